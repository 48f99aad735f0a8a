"""Keys, derived and named. Pure: from one generated secret per peer follow its private and preshared key.

Room: hosts. Nothing here prints or stores anything.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from wg_office.text.columns import in_columns

SECRET_LENGTH = 43
"""Characters of letters and digits that a peer's secret has: 43 carry 256 bits."""

GENERATED_ON_APPLY = "(generated on apply)"
"""Stands in previews and renderings for what a key will be, or be called."""

_OWN_DIRECTORY = "/etc/systemd/network"
"""Where networkd may read, and where its own documentation has such keys. /etc/wireguard is open to root alone."""

_SALT = b"wg-office"
_NAME_WIDTH = 14


@dataclass(frozen=True)
class PublicNames:
    """What may be shown of a peer's keys.

    `private_name` and `preshared_name` name the root-only key files on hosts. A renewed key has a new name, which is how a rotation
    shows in a preview. `private_name` is empty for whoever keeps the private key to themselves.
    """

    public_key: str
    private_name: str
    preshared_name: str


def private_key(secret: str) -> str:
    """The X25519 private key that belongs to a peer's secret, clamped, in base64."""
    raw = bytearray(_derive(secret, "private key", 32))
    raw[0] &= 0b11111000
    raw[31] = (raw[31] & 0b01111111) | 0b01000000
    return base64.b64encode(raw).decode()


def preshared_key(secret: str) -> str:
    """The preshared key between the hub and the peer that the secret belongs to, in base64."""
    return base64.b64encode(_derive(secret, "preshared key", 32)).decode()


def deployment_id(secret: str) -> str:
    """Names the Pulumi state that owns a host: 16 hex digits, public."""
    return _derive(secret, "deployment id", 8).hex()


def public_key(private: str) -> str:
    """The public key of a private key, both in base64. Raises ValueError where it is no key."""
    raw = base64.b64decode(private, validate=True)
    return base64.b64encode(X25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()).decode()


def key_name(kind: str, key: str) -> str:
    """The file name of a private or preshared key: its kind and 64 bits of a hash, from which nobody finds 256 random bits."""
    return f"{kind}-{hashlib.sha256(f'wg-office {kind} {key}'.encode()).hexdigest()[:16]}"


def own_key_file(public: str) -> str:
    """Where a host has a private key that nobody else has: a person has put it there, under its public key's name."""
    return f"{_OWN_DIRECTORY}/{public.replace('/', '_')}.key"


def names(secret: str, private: str | None, public: str | None = None, preshared: str | None = None) -> PublicNames:
    """What may be shown of a peer with this secret and private key, or of one who brought only a public key.

    `preshared` is a preshared key that it had before, in place of the one that follows from the secret.
    """
    if private is not None:
        public = public_key(private)
    if public is None:
        raise ValueError("a peer has a private key or brings a public key")
    return PublicNames(
        public_key=public,
        private_name=key_name("private", private) if private is not None else "",
        preshared_name=key_name("preshared", preshared or preshared_key(secret)),
    )


def listed(peers: Mapping[str, PublicNames]) -> str:
    """A line for each peer: its name and its public key."""
    return in_columns(((name, made.public_key) for name, made in peers.items()), (_NAME_WIDTH,))


def read_listed(text: str) -> dict[str, str]:
    """The public keys by name, of what `listed` made."""
    return {words[0]: words[1] for line in text.splitlines() if len(words := line.split()) == 2}


def duplicate_keys(names: Mapping[str, PublicNames]) -> tuple[tuple[str, str], ...]:
    """Pairs of peers that have one public key, the first of each key with every other; what is not generated yet is like no other.

    WireGuard knows a peer by its key alone: the second one with a key takes the place of the first.
    """
    first: dict[str, str] = {}
    owners = [(name, one.public_key, first.setdefault(one.public_key, name)) for name, one in names.items()]
    return tuple((owner, name) for name, key, owner in owners if owner != name and key != GENERATED_ON_APPLY)


def _derive(secret: str, purpose: str, length: int) -> bytes:
    info = f"wg-office v1 {purpose}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=_SALT, info=info).derive(secret.encode())
