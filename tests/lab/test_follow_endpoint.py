"""hostside/follow-endpoint, and what a gateway whose hub has a name is given, on a host of namespaces: no file that WireGuard or networkd
reads has the name, and the address is the one that the name has now.

Names are looked up by this machine's own getent, in a private /etc/hosts, or at a name server that never answers.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import Office, Sandbox, planned

from wg_office.environment.model import Environment
from wg_office.reading.load import load

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "hosts" / "by-name" / "environment.yaml"
NAME = "vpn.example.org"
FOLLOW = "/bin/bash /etc/wg-office/current/files/follow-endpoint"
UNITS = ("wg-office-endpoint.service", "wg-office-endpoint.timer", "systemd-networkd.service.d/50-wg-office-endpoint.conf")


def at(environment: Environment, endpoint: str) -> Environment:
    """The same office, with its hub dialled there."""
    data = environment.model_dump(by_alias=True, exclude_unset=True)
    data["hub"] |= {"endpoint": endpoint, "listen_port": None}
    return Environment.model_validate(data)


@pytest.fixture
def environment() -> Environment:
    return load(GOLDEN)


@pytest.fixture
def gateway(environment: Environment) -> Iterator[Office]:
    """The gateway, installed; nobody knows its hub's name yet."""
    with Sandbox("198.51.100.70/24") as sandbox:
        office = Office(sandbox, environment, planned(environment, "gateway"))
        sandbox.shell("cp /etc/hosts /run/hosts; echo 'hosts: files' >/etc/nsswitch.conf; ip -6 address add 2001:db8::70/64 dev lan0 nodad")
        sandbox.shell("date +%s >/run/stand-in/handshake")
        office.install()
        yield office


def named(gateway: Office, *addresses: str) -> None:
    """The name has these addresses now."""
    lines = "".join(f"{address} {NAME}\\n" for address in addresses)
    gateway.sandbox.shell(f"{{ cat /run/hosts; printf '{lines}'; }} >/etc/hosts")


def dialled(gateway: Office) -> str:
    """Where WireGuard dials the hub."""
    endpoints = gateway.sandbox.shell("wg show wg0 endpoints").split()
    assert endpoints[0] == gateway.public("hub"), "the hub alone is its peer"
    assert len(endpoints) == 2
    return endpoints[1]


def follow(gateway: Office) -> str:
    """One look-up, as the timer has it."""
    return gateway.sandbox.shell(FOLLOW)


def test_the_name_stands_where_neither_networkd_nor_wireguard_reads_it(gateway: Office) -> None:
    assert gateway.sandbox.shell(f"grep -rl {NAME} /etc/systemd /etc/sysctl.d /run/stand-in 2>/dev/null || true") == ""
    assert dialled(gateway) == "(none)"
    assert gateway.sandbox.shell("systemctl is-active wg-office-endpoint.timer && echo runs") == "runs\n"


def test_an_address_is_followed_and_told_and_is_no_drift(gateway: Office) -> None:
    named(gateway, "203.0.113.10")
    assert follow(gateway) == f"<5>{NAME} is at 203.0.113.10:51820 now, and was at (none)\n"
    assert dialled(gateway) == "203.0.113.10:51820"
    assert follow(gateway) == "", "nothing to do, nothing to say"
    named(gateway, "203.0.113.99")
    follow(gateway)
    assert dialled(gateway) == "203.0.113.99:51820", "whoever answers at the old address"
    named(gateway, "2001:db8::10")
    follow(gateway)
    assert dialled(gateway) == "[2001:db8::10]:51820"
    assert gateway.drift() == []


def test_the_session_that_was_has_something_to_send_so_that_a_new_hub_is_found_soon(gateway: Office) -> None:
    named(gateway, "203.0.113.10")
    gateway.sandbox.shell(
        "nft 'table inet sent { chain out { type filter hook output priority 0; oifname wg0 ip daddr 10.76.0.1 udp dport 9 counter; }; }'"
    )
    follow(gateway)
    follow(gateway)
    assert "counter packets 1 bytes" in gateway.sandbox.shell("nft list table inet sent"), "one for the change, none for what stays"


def test_of_several_addresses_the_one_that_works_stays_and_a_dead_one_is_left(gateway: Office) -> None:
    named(gateway, "203.0.113.10", "203.0.113.20")
    follow(gateway)
    first = dialled(gateway)
    follow(gateway)
    assert dialled(gateway) == first
    gateway.sandbox.shell("echo 0 >/run/stand-in/handshake")
    seen = []
    for _ in range(4):
        follow(gateway)
        seen.append(dialled(gateway))
    assert seen == [other := next(each for each in seen if each != first), first, other, first]


def test_where_nobody_answers_for_the_name_the_address_stays_and_the_look_up_ends(gateway: Office) -> None:
    named(gateway, "203.0.113.10")
    follow(gateway)
    named(gateway)
    follow(gateway)
    assert dialled(gateway) == "203.0.113.10:51820"
    silent = "nameserver 198.51.100.99\\noptions timeout:30 attempts:5\\n"
    gateway.sandbox.shell(
        f"echo 'hosts: dns' >/etc/nsswitch.conf; printf '{silent}\\n' >/run/resolv; mount --bind /run/resolv /etc/resolv.conf"
    )
    assert follow(gateway) == ""
    assert dialled(gateway) == "203.0.113.10:51820"


def test_a_name_that_comes_late_at_boot_is_waited_for(gateway: Office) -> None:
    gateway.sandbox.shell(f"setsid {FOLLOW} >/run/said 2>&1 &")
    named(gateway, "203.0.113.10")
    end = time.monotonic() + 60
    while dialled(gateway) == "(none)":
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_end_of_a_change_is_waited_for_so_that_a_first_up_is_followed_at_once(gateway: Office) -> None:
    named(gateway, "203.0.113.10")
    held = "flock /run/wg-office/lock sh -c 'touch /run/held; sleep 2'"
    gateway.sandbox.shell(f"setsid {held} >/dev/null 2>&1 & until [ -e /run/held ]; do sleep 0.1; done; {FOLLOW}")
    assert dialled(gateway) == "203.0.113.10:51820"


def test_a_change_that_is_under_way_and_a_hub_that_is_gone_are_left_alone(gateway: Office) -> None:
    named(gateway, "203.0.113.10")
    gateway.sandbox.shell(f"flock /run/wg-office/lock {FOLLOW}")
    assert dialled(gateway) == "(none)"
    gateway.sandbox.shell("sed -i 2d /run/stand-in/wg/wg0")
    follow(gateway)
    assert gateway.sandbox.shell("wg show wg0 endpoints") == "", "`wg set` would have made the peer anew"


def test_a_timer_that_does_not_run_is_drift(gateway: Office) -> None:
    gateway.sandbox.shell("systemctl stop wg-office-endpoint.timer")
    assert gateway.drift() == ["unit wg-office-endpoint.timer does not run"]


def test_a_drop_in_of_networkd_that_was_lost_is_told_and_put_back(gateway: Office) -> None:
    """While it leads nowhere systemd says of networkd that there is no such unit."""
    lost = f"/etc/wg-office/current/files/etc/systemd/system/{UNITS[2]}"
    gateway.sandbox.shell(f"rm {lost}")
    (told,) = gateway.drift()
    assert told.endswith(f"/files/etc/systemd/system/{UNITS[2]} is missing")
    gateway.install(repair="1")
    assert gateway.drift() == []


def test_address_name_address_and_removal_leave_the_endpoint_and_then_nothing(environment: Environment, gateway: Office) -> None:
    named(gateway, "203.0.113.99")
    by_address = Office(gateway.sandbox, environment, planned(at(environment, "203.0.113.10:51820"), "gateway"))
    by_address.install()
    assert dialled(gateway) == "203.0.113.10:51820"
    assert gateway.sandbox.run("systemctl is-active wg-office-endpoint.timer").returncode != 0
    assert gateway.sandbox.shell(f"cd /etc/systemd/system && ls -d {' '.join(UNITS)} 2>/dev/null || true") == ""
    gateway.install()
    assert dialled(gateway) == "203.0.113.10:51820", "until the name has been looked up nothing ends"
    gateway.remove()
    assert gateway.sandbox.run("systemctl is-active wg-office-endpoint.timer").returncode != 0
    assert gateway.sandbox.shell("find /etc -lname '/etc/wg-office/*'; ls /etc/wg-office 2>/dev/null || true") == ""
