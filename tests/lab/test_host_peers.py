"""Which peers a change of a host's tunnel writes: those alone that it is about. On a host of namespaces.

WireGuard writes a peer by taking its addresses away and giving them anew, and loses what comes in between.
Seen on the lab's hub: one packet in some 300 runs of `wg syncconf` at 400 packets a second, "Destination Host Unreachable".
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from netaddr import IPNetwork
from sandbox import Office, Sandbox, planned

from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED
from wg_office.network.plan import HostPlan, PeerPlan
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)


@pytest.fixture
def hub() -> Iterator[Office]:
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        office.install()
        yield office


def written(office: Office) -> set[str]:
    """The names of those who were written since this was asked last."""
    names = {office.public(name): name for name in office.names}
    text = office.sandbox.shell("cat /run/stand-in/wg/wg0.written; : >/run/stand-in/wg/wg0.written")
    return {names[line.split()[2]] for line in text.splitlines() if line.startswith("PublicKey")}


def with_peers(change: Callable[[tuple[PeerPlan, ...]], tuple[PeerPlan, ...]], host: HostPlan) -> HostPlan:
    assert host.tunnel is not None
    return replace(host, tunnel=replace(host.tunnel, peers=change(host.tunnel.peers)))


def with_mtu(host: HostPlan, mtu: int) -> HostPlan:
    assert host.tunnel is not None
    return replace(host, tunnel=replace(host.tunnel, mtu=mtu))


def edited(name: str, **values: object) -> Callable[[tuple[PeerPlan, ...]], tuple[PeerPlan, ...]]:
    return lambda peers: tuple(replace(one, **values) if one.name == name else one for one in peers)  # type: ignore[arg-type]


def test_the_first_change_writes_them_all(hub: Office) -> None:
    assert written(hub) == {"a", "c", "e", "f"}


def test_who_goes_takes_nobody_along(hub: Office) -> None:
    written(hub)
    hub.plan = with_peers(lambda peers: tuple(one for one in peers if one.name != "f"), hub.plan)
    hub.install()
    assert written(hub) == set()
    assert hub.drift() == []


def test_who_comes_is_the_only_one_written_also_by_the_way_back(hub: Office) -> None:
    everybody = hub.plan
    hub.plan = with_peers(lambda peers: tuple(one for one in peers if one.name != "f"), hub.plan)
    hub.install()
    written(hub)
    hub.plan, before = everybody, hub.plan
    hub.put_keys()
    assert hub.apply(hub.description()).returncode == APPLIED_UNCONFIRMED
    assert written(hub) == {"f"}
    hub.sandbox.shell("bash /etc/wg-office/current/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")
    assert written(hub) == set()
    hub.plan = before
    assert hub.drift() == []


@pytest.mark.parametrize(
    "change",
    [
        edited("f", allowed_ips=(IPNetwork("10.70.0.9/32"),)),
        edited("f", keepalive=21),
        edited("f", psk_of=None),
    ],
    ids=["another address", "another keepalive", "no preshared key"],
)
def test_who_is_changed_is_the_only_one_written(hub: Office, change: Callable[[tuple[PeerPlan, ...]], tuple[PeerPlan, ...]]) -> None:
    written(hub)
    hub.plan = with_peers(change, hub.plan)
    hub.install()
    assert written(hub) == {"f"}
    assert hub.drift() == []


def test_an_address_passes_from_one_to_another(hub: Office) -> None:
    hub.plan = with_peers(lambda peers: tuple(one for one in peers if one.name != "e"), hub.plan)
    hub.plan = with_peers(edited("f", allowed_ips=(IPNetwork("10.70.0.4/32"), IPNetwork("fd70::4/128"))), hub.plan)
    written(hub)
    hub.install()
    assert written(hub) == {"f"}
    assert hub.drift() == []


def test_an_endpoint_that_somebody_set_is_set_back_and_one_that_stands_is_not_written() -> None:
    with Sandbox("192.168.200.248/24") as sandbox:
        gateway = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "gateway", "c"))
        gateway.install()
        written(gateway)
        gateway.plan = with_mtu(gateway.plan, 1300)
        gateway.install()
        assert written(gateway) == set()
        sandbox.shell(f"wg set wg0 peer {gateway.public('z')} endpoint 203.0.113.99:51820")
        gateway.plan = with_mtu(gateway.plan, 1310)
        gateway.install()
        assert written(gateway) == {"z"}
        assert sandbox.shell("wg show wg0 endpoints").split()[1] == "203.0.113.10:51820"
