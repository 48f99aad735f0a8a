"""Keys: what follows from a secret, and that what may be shown of it gives nothing away."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wg_office.hosts import keys

unhurried = settings(deadline=None)
secrets = st.text(alphabet="ABCXYZabcxyz0189", min_size=1, max_size=keys.SECRET_LENGTH)

# RFC 7748, section 6.1, in hexadecimal.
VECTORS = (
    (
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    ),
    (
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ),
)


def base64_of(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


@pytest.mark.parametrize(("private", "public"), VECTORS)
def test_public_keys_are_those_of_the_rfc(private: str, public: str) -> None:
    assert keys.public_key(base64_of(private)) == base64_of(public)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64", "x" * 44])
def test_what_is_no_key_has_no_public_key(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (base64 and the curve have each their own words)
        keys.public_key(text)


@unhurried
@given(secrets)
def test_private_keys_are_32_bytes_and_clamped(secret: str) -> None:
    raw = base64.b64decode(keys.private_key(secret), validate=True)
    assert len(raw) == 32
    assert raw[0] & 0b111 == 0
    assert raw[31] >> 6 == 0b01


@unhurried
@given(secrets)
def test_the_same_secret_gives_the_same_keys_and_each_purpose_its_own(secret: str) -> None:
    made = (keys.private_key(secret), keys.preshared_key(secret), keys.deployment_id(secret))
    assert made == (keys.private_key(secret), keys.preshared_key(secret), keys.deployment_id(secret))
    raw = [base64.b64decode(made[0]), base64.b64decode(made[1])]
    assert raw[0][1:31] != raw[1][1:31]
    assert not any(each.startswith(bytes.fromhex(made[2])) for each in raw)


@unhurried
@given(secrets, secrets)
def test_different_secrets_give_different_keys(one: str, other: str) -> None:
    for derived in (keys.private_key, keys.preshared_key, keys.deployment_id):
        assert (derived(one) == derived(other)) == (one == other)


def test_keys_stay_as_they_were_deployed() -> None:
    """A changed derivation would exchange the keys of every stack at its next update."""
    assert keys.private_key("A" * 43) == "MGnBm8Y8NKPbbw5VDCcbZAxwUnxIMwx4ynxu7IcSQXo="
    assert keys.preshared_key("A" * 43) == "zO6qoJ6NK0VaZ+Bh0mZL9Q47UEaRiYWY3C/nFJYUzWw="
    assert keys.deployment_id("A" * 43) == "4879d96e40484a8c"


@unhurried
@given(secrets)
def test_names_give_no_secret_away(secret: str) -> None:
    private, preshared = keys.private_key(secret), keys.preshared_key(secret)
    made = keys.names(secret, private)
    for shown in (repr(made), str(made), made.private_name, made.preshared_name):
        assert private not in shown
        assert preshared not in shown
        assert len(secret) < 8 or secret not in shown
    assert made.public_key == keys.public_key(private)


@unhurried
@given(secrets, secrets)
def test_a_renewed_key_has_a_new_name(one: str, other: str) -> None:
    old, new = (keys.names(secret, keys.private_key(secret)) for secret in (one, other))
    assert (old == new) == (one == other)
    assert len({old.private_name, old.preshared_name, new.private_name, new.preshared_name}) == (2 if one == other else 4)


@unhurried
@given(secrets)
def test_names_are_file_names_that_say_which_kind(secret: str) -> None:
    made = keys.names(secret, keys.private_key(secret))
    for kind, name in (("private", made.private_name), ("preshared", made.preshared_name)):
        head, _, digest = name.partition("-")
        assert (head, len(digest)) == (kind, 16)
        assert set(digest) <= set("0123456789abcdef")


def test_who_brought_a_public_key_has_no_private_one_here() -> None:
    public = base64_of(VECTORS[0][1])
    made = keys.names("secret", None, public)
    assert (made.public_key, made.private_name) == (public, "")
    assert made.preshared_name == keys.key_name("preshared", keys.preshared_key("secret"))


def test_a_peer_without_any_key_is_refused() -> None:
    with pytest.raises(ValueError, match="has a private key or brings a public key"):
        keys.names("secret", None)


def names_of(**public: str) -> dict[str, keys.PublicNames]:
    return {name: keys.PublicNames(key, "", "") for name, key in public.items()}


def test_peers_with_one_key_are_found_and_keys_that_are_not_made_yet_are_alike_for_nobody() -> None:
    assert keys.duplicate_keys(names_of(hub="A", gate="B", e="C")) == ()
    assert keys.duplicate_keys(names_of(hub="A", gate="B", e="A", f="B", g="A")) == (("hub", "e"), ("gate", "f"), ("hub", "g"))
    unknown = keys.GENERATED_ON_APPLY
    assert keys.duplicate_keys(names_of(hub=unknown, gate=unknown, e="A")) == ()
