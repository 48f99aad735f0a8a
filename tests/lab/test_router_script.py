"""The host script on a LAN's router, which has no tunnel: its routes are ours, and nothing else of it. On a host of namespaces."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bootunit import UNIT, boot, boot_commands
from sandbox import Office, Sandbox, planned

from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)


@pytest.fixture(scope="module")
def router() -> Iterator[Office]:
    with Sandbox("192.168.201.1/24") as sandbox:
        sandbox.shell("echo net.ipv4.ip_forward = 1 >/etc/sysctl.d/10-router.conf; sysctl -qw net.ipv4.ip_forward=1")
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "router"))
        office.install()
        yield office


@pytest.fixture(autouse=True)
def restarted(router: Office) -> None:
    """As after a start of the host, which still forwards."""
    router.sandbox.shell("sysctl -qw net.ipv4.ip_forward=1; ip route flush proto static")


def forwards(router: Office) -> bool:
    return router.sandbox.shell("sysctl -n net.ipv4.ip_forward") == "1\n"


def test_it_forwards_and_has_its_routes_after_a_start(router: Office) -> None:
    assert boot(router.sandbox)
    assert forwards(router)
    assert router.drift() == []


def test_a_route_that_cannot_be_set_keeps_none_of_the_others_from_being_set_and_the_unit_fails(router: Office) -> None:
    commands = boot_commands(router.sandbox.shell(f"cat {UNIT}"))
    away = [command.replace("10.70.0.0/16 via 192.168.201.247", "10.99.0.0/16 via 198.51.100.1") for command in commands]
    assert away != commands
    assert router.sandbox.run("\n".join([*away, *commands])).returncode != 0
    router.sandbox.shell("\n".join([*away[: len(away) // 2], *commands]))
    assert forwards(router)
    assert router.drift() == []


@pytest.mark.parametrize(
    "function", ["firewall_load", "firewall_drop", "drop_tunnel", "put_tunnel", "adopt", "forget_tunnel_files", "release_networkd"]
)
def test_what_is_for_a_tunnel_does_nothing_to_a_host_without(router: Office, function: str) -> None:
    before = router.look()
    text, _, _ = router.description().rpartition("---- script wg-office\n")[2].rpartition('main "$@"; exec true\n')
    done = router.sandbox.run("bash -s", f'{text}\n{function} "$(current_gen)" ""')
    assert (done.returncode, done.stderr) == (0, "")
    assert router.look() == before
