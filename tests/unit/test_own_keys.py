"""Hosts whose private keys nobody else has: what the file says, what reaches them, and what is said of it."""

from pathlib import Path

import pytest
from test_preshared import OFFICE, office
from test_render import tree
from typer.testing import CliRunner

from wg_office.commands.cli import app
from wg_office.environment.model import Environment
from wg_office.hosts import description, hostscript, keys
from wg_office.hosts.render import render_description
from wg_office.network.plan import plan
from wg_office.reading.load import inspect
from wg_office.review.difference import difference

KEYS = {name: keys.public_key(keys.private_key(name)) for name in ("hub", "gw", "e", "f")}
run = CliRunner().invoke


def check(tmp_path: Path, text: str) -> str:
    file = tmp_path / "office.yaml"
    file.write_text(text)
    result = run(app, ["check", str(file)])
    return result.stdout + result.stderr


def own(text: str, *names: str) -> str:
    text = text.replace(", public_key: WmPHJ+Zl7RFpw6+Vr4L4IkzSR+Kpty1lcrSNFDlSsxY=", "")
    for name in names:
        line = f"public_key: {KEYS[name]}"
        text = text.replace(f"name: {name}\n", f"name: {name}\n    {line}\n").replace(f"{{name: {name},", f"{{name: {name}, {line},")
    return (
        text.replace("198.51.100.7}", "198.51.100.7, host_key: K}")
        .replace("203.0.113.10}", "203.0.113.10, host_key: K}")
        .replace("host_key: K", "host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJSo0YwaARrdMHOixv+SqeMTv1LEwZOBD96gpP8bvbYt")
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "4 of 4 (hub, gw, e, f)"),
        (("hub", "e"), "2 of 4 (gw, f)"),
        (("gw", "hub", "f"), "1 of 4 (e)"),
        (("hub", "gw", "e", "f"), "none, each machine keeps its own"),
    ],
)
def test_check_says_whose_private_keys_the_state_holds(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    assert f"office.yaml: private keys in the state: {said}\n" in check(tmp_path, own(OFFICE, *names))


def test_its_key_file_is_named_by_the_public_key_and_the_others_know_it_by_that(tmp_path: Path) -> None:
    env = office(tmp_path, hub=f"public_key: {KEYS['hub']}", gw=f"public_key: {KEYS['gw']}")
    made = tree(env)
    assert f"\nPrivateKeyFile={keys.own_key_file(KEYS['hub'])}\n" in made["hub/run/systemd/network/50-wg0.netdev"]
    assert f"\nPrivateKeyFile={keys.own_key_file(KEYS['gw'])}\n" in made["gw/run/systemd/network/50-wg0.netdev"]


def test_the_name_has_no_slash_and_tells_keys_apart() -> None:
    files = {keys.own_key_file(key) for key in ("a/b+c=", "a_b", "a/b", "a+b")}
    assert files == {f"/etc/systemd/network/{name}.key" for name in ("a_b+c=", "a_b", "a+b")}, "base64 has no _ of its own"


def test_both_an_adopted_and_an_own_key_is_one_line(tmp_path: Path) -> None:
    for name, line in (("hub", "hub.adopt_key"), ("gw", "gateways[0].adopt_key")):
        text = own(OFFICE, name).replace("public_key:", "adopt_key: true, public_key:")
        said = check(tmp_path, text if name == "hub" else text.replace("adopt_key: true, public_key", "adopt_key: true\n    public_key"))
        assert f"{line}: stands beside public_key" in said, said
        assert "leave one out: with public_key the host alone has its private key, with adopt_key the stack has it" in said


def test_a_rotation_beside_it_is_said_to_renew_no_private_key(tmp_path: Path) -> None:
    text = own(OFFICE, "hub", "gw").replace("{name: hub,", "{name: hub, rotation: 2,").replace("name: gw\n", "name: gw\n    rotation: 2\n")
    said = check(tmp_path, text)
    assert "hub.rotation: renews nothing, because hub brings a public key, and preshared keys are its peers'; a new key pair" in said
    assert "gateways[0].rotation: renews the preshared key only, because gw brings a public key; a new key pair is made on" in said


def test_a_review_shows_whom_another_key_of_a_host_cuts_off(tmp_path: Path) -> None:
    before, after = office(tmp_path, hub=f"public_key: {KEYS['hub']}"), office(tmp_path, hub=f"public_key: {KEYS['e']}")
    said = {(host.host, text) for host in difference(before, after).hosts for text in host.interruptions}
    assert ("hub", "its key changes, and everybody's session ends until the other side knows") in said
    assert ("gw", "the key of hub, the hub changes, and its session ends until both sides know") in said
    assert not [host for host in difference(before, before).hosts if host.interruptions or host.touched]


def described(env: Environment, held: str | None = None) -> str:
    """The hub's text, with the keys that it would have, or those that another text of it has."""
    host = plan(env)[0]
    names = {
        peer.name: keys.PublicNames(env.brought_keys.get(peer.name, KEYS[peer.name]), "private-1", "preshared-1") for peer in env.peers
    }
    if held is not None:
        names = description.public_names(host, description.read(held), env.brought_keys)
    return render_description(host, names, "0" * 16, hostscript.scripts())


def test_status_finds_no_difference_where_there_is_none_and_one_where_the_key_becomes_another(tmp_path: Path) -> None:
    before, after = office(tmp_path), office(tmp_path, hub=f"public_key: {KEYS['hub']}")
    for env, other in ((before, after), (after, before)):
        held = described(env)
        assert described(env, held) == held
        assert "PrivateKeyFile=/etc/wg-office/keys//" not in described(other, held)
        assert described(other, held) != held


def test_one_key_for_two_hosts_is_a_fault(tmp_path: Path) -> None:
    text = own(OFFICE, "hub").replace("name: gw\n", f"name: gw\n    public_key: {KEYS['hub']}\n")
    assert "gateways[0].public_key: is already the key of hub hub" in check(tmp_path, text)


def test_a_file_without_them_is_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "office.yaml").write_text(OFFICE)
    env = inspect(tmp_path / "office.yaml", require_host_keys=False).environment
    assert env is not None
    assert [host.tunnel.own_key for host in plan(env) if host.tunnel is not None] == [None, None]
