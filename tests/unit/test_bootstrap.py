"""A gateway's first minute: whom `bootstrap` serves, the script as it is pasted, and what is made of the hub's answers.

After an intended change of the script: WG_OFFICE_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/unit/test_bootstrap.py
"""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wg_office.asking import bootstrap
from wg_office.asking.bootstrap import Invitation, OneTimeKey, Prepared
from wg_office.asking.said import NotUnderstood
from wg_office.commands.cli import app
from wg_office.environment.known_hosts import KnownHosts, line_of
from wg_office.environment.model import Environment, Ssh
from wg_office.hosts.hostscript import site_script
from wg_office.reading.load import load

GOLDEN = Path(__file__).parents[1] / "golden" / "bootstrap" / "first-minute.sh"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/"
HUB = Ssh(host="203.0.113.10", host_key=KEY)
WAY = Ssh(host="127.0.0.1", port=2201, via="hub")
UNTIL = datetime(2026, 11, 29, 0, 50, 12, tzinfo=UTC)

ENVIRONMENT = f"""\
environment: office
network: {{cidr: 10.70.0.0/16}}
hub: {{name: z, address: 10.70.0.1, endpoint: 203.0.113.10:51820, ssh: {{host: 203.0.113.10, host_key: {KEY}}}}}
gateways:
  - {{name: a, site: shenzhen, address: 10.70.0.2, lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}},
     ssh: {{host: 10.70.0.2, via: hub}},
     devices: [{{name: d, address: 192.168.201.9, ssh: {{host: 198.51.100.8}}}}]}}
  - {{name: m, site: depot, address: 10.70.0.3, lan: {{cidr: 192.168.202.0/24, address: 192.168.202.2}}, managed: routeros}}
  - {{name: o, site: old, address: 10.70.0.4, lan: {{cidr: 192.168.203.0/24, address: 192.168.203.2}},
     ssh: {{host: 198.51.100.7}}, retired: true}}
  - {{name: c, site: beijing, address: 10.70.0.5, lan: {{cidr: 192.168.204.0/24, address: 192.168.204.2}},
     ssh: {{host: 127.0.0.1, port: 2201, via: hub}}}}
developers:
  - {{name: e, address: 10.70.0.10, access: [shenzhen]}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "office.yaml").write_text(ENVIRONMENT)
    return tmp_path / "office.yaml"


@pytest.fixture
def env(file: Path) -> Environment:
    return load(file, require_host_keys=False)


# --- whom it serves ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody", "office has no gateway nobody; it has a, m, o, c"),
        ("cc", "office has no gateway cc; did you mean c?"),
        ("z", "office has no gateway z; z is the hub, which is reached by SSH as it is: pulumi up"),
        ("d", "office has no gateway d; d is a device in a LAN, which is set up through its own ssh: pulumi up"),
        ("e", "office has no gateway e; e is a developer, who gets a page: python -m wg_office handout e"),
        ("m", "nobody logs in to m (managed: routeros): `pulumi stack output gateway_m_conf --show-secrets` is what is set there"),
        ("o", "o is retired: true, so that `pulumi up` sets nothing up there; take that out first"),
    ],
)
def test_who_is_no_gateway_to_be_set_up_is_told_what_to_do_instead_and_nobody_is_dialled(file: Path, name: str, words: str) -> None:
    done = CliRunner().invoke(app, ["bootstrap", name, "--file", str(file), "--key", "/nowhere"])
    assert (done.exit_code, done.output) == (2, f"{file}: {words}\n")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f", host_key: {KEY}}}", "}", "hub z has no pinned host key, and nobody on site could tell it from another: see `check`"),
        (
            "ssh: {host: 203.0.113.10,",
            "ssh: {host: 127.0.0.1,",
            "hub z is at 127.0.0.1 for you, and elsewhere for the machine on site: give --hub",
        ),
        (
            "ssh: {host: 127.0.0.1, port: 2201",
            'ssh: {host: "::1", port: 2201',
            "c: the hub listens for it on 127.0.0.1; write that as the host",
        ),
    ],
)
def test_a_way_that_cannot_be_is_one_line(file: Path, old: str, new: str, words: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    done = CliRunner().invoke(app, ["bootstrap", "c", "--file", str(file), "--key", "/nowhere"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert words in done.output


def test_a_hub_behind_a_jump_is_no_hub_that_a_gateway_can_be_reached_through(file: Path) -> None:
    text = file.read_text().replace("ssh: {host: 127.0.0.1, port: 2201, via: hub}", "ssh: {host: 198.51.100.3}")
    text = text.replace("ssh: {host: 10.70.0.2, via: hub}", "ssh: {host: 198.51.100.2}").replace(
        "ssh: {host: 203.0.113.10,", "ssh: {host: 10.0.0.1, via: b,"
    )
    file.write_text(f"jumps: {{b: {{host: 198.51.100.9}}}}\n{text}")
    done = CliRunner().invoke(app, ["bootstrap", "c", "--file", str(file), "--key", "/nowhere"])
    assert (done.exit_code, done.output) == (
        2,
        f"{file}: hub z is itself reached through b, and a connection goes through one machine at most\n",
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--json",), "--json needs --out FILE for the script"),
        (("--wait", "--out", "x"), "--wait makes no script: leave out --out"),
        (("--out", "/"), "/ is there already; name another file with --out, or remove it"),
        (("--hub", "a b"), "--hub a b: "),
        (("--authorize", "/nowhere"), "/nowhere: cannot be read: No such file or directory; --authorize takes"),
    ],
)
def test_what_cannot_be_meant_is_one_line(file: Path, arguments: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(app, ["bootstrap", "c", "--file", str(file), "--key", "/nowhere", *arguments])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert words in done.output


def test_the_way_is_the_files_own_or_a_port_that_no_other_gateway_has(env: Environment) -> None:
    a, _, _, c = env.gateways
    assert bootstrap.way_of(env, c) == c.ssh
    assert bootstrap.way_of(env, a) == Ssh(host="127.0.0.1", port=2202, via="hub")


# --- the script ----------------------------------------------------------------------------------------------------------------------


def invitation() -> Invitation:
    once = OneTimeKey("-----BEGIN OPENSSH PRIVATE KEY-----\nTHE/ONE+TIME=\n-----END OPENSSH PRIVATE KEY-----", OTHER)
    return Invitation("office", "a", HUB, WAY, once, Prepared(UNTIL, KEY, ()), (KEY, OTHER))


def test_the_script_is_as_reviewed() -> None:
    text = bootstrap.script(invitation(), site_script())
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize("command", ["dash -n", "bash --posix -n", "shellcheck --shell=sh"])
def test_the_script_is_posix_shell(command: str) -> None:
    done = subprocess.run([*command.split(), str(GOLDEN)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_terminal_takes_it_as_it_is_pasted() -> None:
    """No tabs, which complete; no history (`!word`); no line longer than a terminal's 4096 characters."""
    text = GOLDEN.read_text()
    assert "\t" not in text
    assert [line for line in text.splitlines() if "!" in line.replace("#!/bin/sh", "").replace("! ", "").replace("!= ", "")] == []
    assert max(map(len, text.splitlines())) < 4096


def test_a_one_time_key_is_another_each_time_and_does_not_show_its_private_half() -> None:
    one, other = bootstrap.one_time_key(), bootstrap.one_time_key()
    assert one.public != other.public
    assert one.private.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert one.private not in repr(one)
    assert one.private not in bootstrap.preparation(WAY, HUB, "a", one, (KEY,))


# --- what the hub says ---------------------------------------------------------------------------------------------------------------


def test_the_hubs_answers_are_understood_behind_a_greeting() -> None:
    moment = datetime.fromtimestamp(1795913412, UTC)
    assert bootstrap.prepared(f"Welcome!\nlets-in {KEY}\nuntil 1795913412\ninner {OTHER}\n") == Prepared(moment, OTHER, (KEY,))
    found = bootstrap.waited(f"Welcome!\nuntil 1795913412\nport 2201\nenrolled {KEY}\n", 2201)
    assert found is not None
    assert found.host_key == KEY
    assert bootstrap.waited("until 1795913412\nport 2201\nwaiting\n", 2201) == bootstrap.Waited(found.until, None)
    assert bootstrap.waited("gone\n", 2201) is None
    assert bootstrap.waited("until 1795913412\nport 2299\nwaiting\n", 2201) is None


@pytest.mark.parametrize("said", ["", "until soon\n", "until \n", "until 1795913412\ninner ssh-ed25519 AAAA\n", "\x1b[2J\n"])
def test_what_is_no_answer_is_not_understood(said: str) -> None:
    with pytest.raises(NotUnderstood):
        bootstrap.prepared(said)
    with pytest.raises(NotUnderstood):
        bootstrap.waited(said, 2201)


def test_what_is_no_host_key_is_not_pinned() -> None:
    for key in ("ssh-rsa AAAA", "ssh-ed25519 AAAA", f"{KEY}AAAA", f"{KEY} command"):
        with pytest.raises(NotUnderstood):
            bootstrap.waited(f"until 1795913412\nport 2201\nenrolled {key}\n", 2201)


def test_public_keys_are_taken_from_files_without_comments_and_nothing_else_is() -> None:
    assert bootstrap.public_lines(f"# ours\n{KEY} e@laptop\n\n{OTHER}\n") == (KEY, OTHER)
    for text in ("command=x ssh-ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc", f'from="*" {KEY}', "ssh-ed25519"):
        with pytest.raises(ValueError, match=r".*"):
            bootstrap.public_lines(text)


# --- what is to be done then ---------------------------------------------------------------------------------------------------------


def test_the_steps_name_what_the_file_does_not_say_yet(env: Environment) -> None:
    a, _, _, c = env.gateways
    way = bootstrap.way_of(env, a).model_copy(update={"host_key": KEY})
    assert bootstrap.next_steps(env, a, way, UNTIL, key_in_file=False) == (
        "write for gateway a: ssh: {host: 127.0.0.1, port: 2202, via: hub}",
        "write into the hub's access: {host: a, ports: [22/tcp]}",
        "pulumi preview, and pulumi up, before 2026-11-29 00:50 UTC, when this way ends",
        "then, with the tunnel: ssh: {host: 10.70.0.2, via: hub}, and pulumi up again",
    )
    way = bootstrap.way_of(env, c).model_copy(update={"host_key": KEY})
    assert bootstrap.next_steps(env, c, way, UNTIL, key_in_file=False)[0] == "write into the hub's access: {host: c, ports: [22/tcp]}"
    assert bootstrap.next_steps(env, c, way, UNTIL, key_in_file=True)[0].endswith(f"via: hub, host_key: {KEY}}}")


def test_a_known_host_is_not_given_another_key() -> None:
    known = KnownHosts(line_of(KEY, ("127.0.0.1", 2201), ("10.70.0.2", 22)))
    assert known.find("127.0.0.1", 2201) == known.find("10.70.0.2", 22) == (KEY, "")
    assert known.against("127.0.0.1", 2201, KEY) is None
    assert known.against("10.70.0.3", 22, OTHER) is None
    assert known.against("10.70.0.2", 22, OTHER) == "has another key of 10.70.0.2 (line 1)"
    revoked = KnownHosts(f"@revoked * {KEY}\n")
    assert revoked.against("10.70.0.2", 22, KEY) == "marks this key of 10.70.0.2 as revoked (line 1)"
