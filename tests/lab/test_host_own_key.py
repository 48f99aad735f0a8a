"""A host that keeps its private key to itself: made there by the commands of docs/operations.md, used by networkd's file, refused where it
does not fit, and never taken away. On a host of namespaces."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sandbox import Office, Sandbox, planned

from wg_office.hosts import keys
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
COMMANDS = [line.removeprefix("    # ") for line in DOCUMENT.splitlines() if line.startswith("    # ")]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)

OPEN = "key file {file} must be for root and networkd alone: chown root:systemd-network {file} && chmod 0640 {file}"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("192.168.200.248/24") as made:
        made.shell("mkdir -p /etc/systemd/network")
        yield made


@pytest.fixture
def gateway(sandbox: Sandbox) -> Office:
    made = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "gateway", "c"))
    made.put_keys()
    return made


@pytest.fixture(scope="module")
def installed() -> Iterator[Office]:
    """One for all refusals: nothing of it changes."""
    with Sandbox("192.168.200.248/24") as sandbox:
        sandbox.shell("mkdir -p /etc/systemd/network")
        made = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "gateway", "c"))
        made.install()
        yield made


def make(office: Office) -> str:
    """The commands as printed, in one shell: the public key."""
    return office.sandbox.run("bash", "\n".join(["set -e", *COMMANDS])).stdout.strip()


def brings(office: Office, public: str) -> None:
    """The environment file says so from now on."""
    assert office.plan.tunnel is not None
    office.plan = replace(office.plan, tunnel=replace(office.plan.tunnel, own_key=public))
    office.sandbox.shell(f"echo {public} >/run/stand-in/public")


def test_what_the_commands_make_is_the_hosts_key_from_then_on(gateway: Office) -> None:
    public = make(gateway)
    file = keys.own_key_file(public)
    brings(gateway, public)
    gateway.install()
    running = gateway.sandbox.shell("wg show wg0 dump").split()[0]
    assert keys.public_key(running) == public
    assert gateway.drift() == []
    assert gateway.sandbox.run("ls /etc/wg-office/keys/private-*").returncode != 0, "the key of before is gone"
    assert running not in gateway.sandbox.shell("grep -rh . /etc/wg-office || true")
    gateway.remove()
    assert gateway.sandbox.shell(f"cat '{file}'").strip() == running


def test_another_key_takes_over_and_an_unconfirmed_change_goes_back_to_the_first(gateway: Office) -> None:
    first = make(gateway)
    brings(gateway, first)
    gateway.install()
    second = make(gateway)
    brings(gateway, second)
    gateway.apply(gateway.description())
    assert keys.public_key(gateway.sandbox.shell("wg show wg0 dump").split()[0]) == second
    gateway.sandbox.shell("bash /etc/wg-office/current/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")
    assert keys.public_key(gateway.sandbox.shell("wg show wg0 dump").split()[0]) == first
    assert gateway.drift() == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("rm '{file}'", "key file {file} is missing: put the private key of {public} there, or make a key on this host"),
        (": >'{file}'", "key file {file} is missing"),
        ("echo nonsense >'{file}'", "key file {file} holds no private key: put that of {public} there"),
        ("wg genkey >'{file}'", "key file {file} holds another key, whose public key is {found}: put that of {public} there"),
        (
            "chmod 0644 '{file}'",
            OPEN,
        ),
        (
            "chgrp root '{file}'",
            OPEN,
        ),
    ],
)
def test_a_key_that_does_not_fit_is_refused_with_what_to_do_and_nothing_is_changed(installed: Office, spoil: str, said: str) -> None:
    gateway = installed
    public = make(gateway)
    file = keys.own_key_file(public)
    key = gateway.sandbox.shell(f"cat '{file}'").strip()
    gateway.sandbox.shell(spoil.format(file=file))
    found = gateway.sandbox.run(f"wg pubkey <'{file}'").stdout.strip()
    brings(gateway, public)
    told = gateway.refused(gateway.description())
    assert said.format(file=file, public=public, found=found) in told
    assert told.rstrip().endswith("nothing was changed")
    assert key not in told


def test_a_key_that_is_lost_or_exchanged_later_is_drift(gateway: Office) -> None:
    public = make(gateway)
    file = keys.own_key_file(public)
    brings(gateway, public)
    gateway.install()
    gateway.sandbox.shell(f"mv '{file}' /run/kept; wg genkey >'{file}'; chmod 0640 '{file}'; chgrp systemd-network '{file}'")
    assert gateway.drift() == ["private key of wg0 is another one"]
    gateway.sandbox.shell(f"rm '{file}'")
    assert f"key file {file} is missing" in gateway.drift()
    gateway.sandbox.shell(f"mv /run/kept '{file}'; chmod 0644 '{file}'")
    assert gateway.drift() == [f"key file {file} is open to others"]


def test_the_commands_print_nothing_but_the_public_key(gateway: Office) -> None:
    done = gateway.sandbox.run("bash", "\n".join(["set -e", *COMMANDS]))
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, "", 45)
    assert len(COMMANDS) == 4
