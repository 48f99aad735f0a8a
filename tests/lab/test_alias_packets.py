"""A LAN that the tunnel knows by another prefix, with packets, in network namespaces of this machine. Needs root, nft and conntrack."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from firewalls import Loader, loader
from netns import DEVICE, DEVICE6, OTHER_DEVICE, Net
from test_firewall_packets import office

from wg_office.network.access import FirewallPolicy, reach_of

ALIAS, OTHER_ALIAS, ALIAS6, GATEWAYS_ALIAS = "10.99.7.244", "10.99.7.245", "fd99:7::2", "10.99.7.248"
BEHIND, ALIAS_BEHIND = "10.20.0.9", "10.99.20.9"
LANS = [
    {"cidr": "192.168.200.0/24", "address": "192.168.200.248", "interface": "lan0", "as": "10.99.7.0/24"},
    {"cidr": "10.20.0.0/24", "via": DEVICE, "as": "10.99.20.0/24"},
    {"cidr": "fd71::/64", "address": "fd71::1", "as": "fd99:7::/64"},
]
F_MAY = {"site": "beijing", "hosts": [DEVICE], "ports": ["443/tcp", "53/udp", "icmp"]}


def policy(lans: list[dict[str, Any]] | None = None, **gateway: Any) -> FirewallPolicy:
    """Gateway c of the office, with aliases unless its networks are given; e may reach all of the site, f a few ports of one device."""
    return reach_of(office(**{"f": [F_MAY], "lan": None, "lans": LANS if lans is None else lans} | gateway)).policies["c"]


def without_alias(lans: list[dict[str, Any]] = LANS) -> list[dict[str, Any]]:
    return [{key: value for key, value in lan.items() if key != "as"} for lan in lans]


@pytest.fixture(params=["nftables", "firewalld"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Loader]:
    with Net("10.70.0.3", "fd70::3") as net, loader(net, request.param, tmp_path) as made:
        net.listen("d", 22, 443, 5432)
        net.listen("host", 22)
        net.listen("f", 9000)
        net.ip("host", f"route add 10.20.0.0/24 via {DEVICE}")
        net.ip("d", f"addr add {BEHIND}/32 dev lo")
        yield made


def sender_of_a_datagram(net: Net, alias: str, real: str, port: int = 53) -> str:
    """Whom d sees where f sends to the alias; the answer must come from the alias."""
    with net.inside("d"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with net.inside("f"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server, client:
        server.bind((real, port))
        server.settimeout(2)
        client.settimeout(2)
        client.connect((alias, port))
        client.send(b"?")
        _, sender = server.recvfrom(9)
        server.sendto(b"!", sender)
        assert client.recv(9) == b"!", "a connected socket takes answers of the alias alone"
        return str(sender[0])


def test_each_address_of_the_alias_is_its_counterpart_and_rules_have_the_machines_own(gateway: Loader) -> None:
    gateway.load(policy())
    net = gateway.net
    found = net.probe(
        {
            "e to d": lambda: net.tcp("e", ALIAS, 22),
            "e to d's neighbour": lambda: net.tcp("e", OTHER_ALIAS, 22),
            "e behind the LAN's router": lambda: net.tcp("e", ALIAS_BEHIND, 22),
            "e to d, IPv6": lambda: net.tcp("e", ALIAS6, 22),
            "e pings d": lambda: net.ping("e", ALIAS),
            "e pings d, IPv6": lambda: net.ping("e", ALIAS6),
            "f to d, granted": lambda: net.tcp("f", ALIAS, 443),
            "f pings d, granted": lambda: net.ping("f", ALIAS),
            "linked site to d, granted": lambda: net.tcp("s", ALIAS, 5432),
            "f to d, another port": lambda: net.tcp("f", ALIAS, 22),
            "f to d's neighbour": lambda: net.tcp("f", OTHER_ALIAS, 443),
            "linked site, another port": lambda: net.tcp("s", ALIAS, 22),
            "f behind the LAN's router": lambda: net.tcp("f", ALIAS_BEHIND, 443),
            "e to the gateway in the LAN": lambda: net.tcp("e", GATEWAYS_ALIAS, 22),
        }
    )
    reached = {name for name in found if name.startswith("e ") or name.endswith("granted")} - {"e to the gateway in the LAN"}
    assert found == {name: "open" if name in reached else "silence" for name in found}
    assert sender_of_a_datagram(net, ALIAS, DEVICE) == "10.70.0.5"


def test_gateway_in_the_lan_is_reached_by_its_alias_where_that_is_granted(gateway: Loader) -> None:
    gateway.load(policy(e=[{"site": "beijing", "hosts": ["192.168.200.248"], "ports": ["22/tcp"]}]))
    net = gateway.net
    found = [net.tcp("e", to, 22) for to in (GATEWAYS_ALIAS, "192.168.200.248", ALIAS)]
    assert found == ["open", "silence", "silence"]


def test_lans_own_prefix_does_not_pass_the_tunnel_beside_its_alias(gateway: Loader) -> None:
    gateway.load(policy())
    net = gateway.net
    probes = {
        f"{peer} to {to}": partial(net.tcp, peer, to, 443)
        for peer in ("e", "f", "s", "z")
        for to in (DEVICE, OTHER_DEVICE, BEHIND, DEVICE6)
        if peer != "s" or ":" not in to
    }
    assert net.probe(probes) == dict.fromkeys(probes, "silence")


def test_what_the_lan_opens_comes_from_its_alias(gateway: Loader) -> None:
    gateway.load(policy(access=[{"developer": "f", "ports": ["9000/tcp", "9001/tcp"]}]))
    net = gateway.net
    for source, to, expected in ((DEVICE, "10.70.0.5", ALIAS), (OTHER_DEVICE, "10.70.0.5", OTHER_ALIAS), (None, "fd70::5", ALIAS6)):
        with net.inside("f"):
            listener = socket.create_server(("::", 9001), family=socket.AF_INET6, dualstack_ipv6=True)
        with listener, net.connect("d", to, 9001, source):
            listener.settimeout(5)
            accepted, address = listener.accept()
            accepted.close()
            assert address[0].removeprefix("::ffff:") == expected


@pytest.mark.parametrize(("return_path", "seen"), [("static-route", "10.70.0.4"), ("masquerade", "192.168.200.248")])
def test_masquerading_and_routes_are_as_without_an_alias(gateway: Loader, return_path: str, seen: str) -> None:
    gateway.load(policy(return_path=return_path))
    net = gateway.net
    with net.inside("d"):
        listener = socket.create_server((DEVICE, 7000))
    with listener, net.connect("e", ALIAS, 7000):
        listener.settimeout(5)
        accepted, address = listener.accept()
        accepted.close()
        assert address[0] == seen


def test_errors_about_a_connection_come_from_the_alias_too(gateway: Loader) -> None:
    gateway.load(policy())
    net = gateway.net
    with net.inside("e"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(2)
        client.connect((ALIAS, 9999))
        client.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            client.recv(9)


def lives(client: socket.socket, server: socket.socket) -> bool:
    """Whether what either end sends arrives at the other."""
    try:
        server.sendall(b"still here")
        client.sendall(b"still here")
        return client.recv(64) != b"" and server.recv(64) != b""
    except OSError:
        return False


def test_withdrawn_connection_ends_and_others_go_on(gateway: Loader) -> None:
    gateway.load(policy())
    of_e, of_f = gateway.net.stream("e", ALIAS, 443), gateway.net.stream("f", ALIAS, 443)
    assert (lives(*of_e), lives(*of_f)) == (True, True)
    gateway.load(policy(e=[]))
    assert (lives(*of_e), lives(*of_f)) == (False, True)
    for end in (*of_e, *of_f):
        end.close()


OTHER_PREFIX = [LANS[0] | {"as": "10.98.7.0/24"}, *LANS[1:]]


@pytest.mark.parametrize(
    ("before", "after", "to"),
    [(without_alias(), LANS, DEVICE), (LANS, without_alias(), ALIAS), (LANS, OTHER_PREFIX, ALIAS)],
    ids=["comes", "goes", "changes"],
)
def test_connections_end_by_an_alias_that_comes_goes_or_changes(
    gateway: Loader, before: list[dict[str, Any]], after: list[dict[str, Any]], to: str
) -> None:
    granted = {"access": [{"developer": "f", "ports": ["9000/tcp"]}]}
    gateway.load(policy(before, **granted))
    arriving, leaving = gateway.net.stream("e", to, 443), gateway.net.stream("d", "10.70.0.5", 9000)
    assert (lives(*arriving), lives(*leaving)) == (True, True)
    gateway.load(policy(before, **granted))
    assert (lives(*arriving), lives(*leaving)) == (True, True), "who loads the same rules again ends nothing"
    gateway.load(policy(after, **granted))
    assert (lives(*arriving), lives(*leaving)) == (False, False)
    for end in (*arriving, *leaving):
        end.close()


def test_hubs_own_network_has_an_alias_as_a_gateways_has(tmp_path: Path) -> None:
    env = office(links=False, e=["cloud"], f=[], lan={"cidr": "192.168.220.0/24", "address": "192.168.220.248"}, access=[])
    hub = env.hub.model_dump(mode="json", exclude_defaults=True) | {"site": "cloud", "lans": [LANS[0]]}
    env = env.model_copy(update={"hub": type(env.hub).model_validate(hub)})
    with Net("10.70.0.1", "fd70::1") as net, loader(net, "nftables", tmp_path) as made:
        net.listen("d", 443)
        net.listen("f", 9000)
        made.load(reach_of(env).policies["z"])
        assert (net.tcp("e", ALIAS, 443), net.tcp("f", ALIAS, 443)) == ("open", "prohibited")
        assert (net.tcp("e", DEVICE, 443), net.tcp("d", "10.70.0.5", 9000)) == ("silence", "silence")


def test_two_sites_with_one_prefix_are_two_for_whoever_reaches_both(gateway: Loader) -> None:
    """The other one is the namespace s, whose machines have the addresses of this gateway's LAN and no alias."""
    net = gateway.net
    lans = [{"cidr": "192.168.201.0/24", "address": "192.168.201.248", "interface": "lan0", "as": "10.99.7.0/24"}]
    net.ip("host", "route del 192.168.201.0/24 dev wg0", "addr add 192.168.201.248/24 dev lan0")
    net.ip("d", "addr add 192.168.201.50/24 dev eth0")
    gateway.load(policy(lans, links=False))
    assert net.tcp("e", "10.99.7.50", 443) == "open"
    assert net.tcp("e", "192.168.201.50", 443) == "silence", "what is meant for the other site's machine is not this one's"
