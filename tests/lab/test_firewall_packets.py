"""What the judge does with packets beside other firewalls, in network namespaces. Needs root, nft, iptables, conntrack and firewalld.

The full path through WireGuard, reboots and the host script is tested in the lab's virtual machine; here every rule meets packets.
"""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from firewalls import Loader, loader
from netns import DEVICE, DEVICE6, OTHER_DEVICE, Net

from wg_office.environment.model import Environment, Firewall
from wg_office.network.access import FirewallPolicy, reach_of

OTHERS: tuple[Firewall, ...] = ("nftables", "docker", "firewalld")
"""Nobody else, iptables as Docker and ufw use it, and firewalld."""
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
LAN_OF_E = {"site": "beijing"}
PORTS_OF_F = {"site": "beijing", "hosts": [DEVICE], "ports": ["443/tcp", "8000-8010/tcp", "53/udp", "icmp"]}


def host_rules(env: Environment, host: str) -> FirewallPolicy:
    return reach_of(env).policies[host]


def office(*, e: list[Any] | None = None, f: list[Any] | None = None, links: bool = True, **gateway: Any) -> Environment:
    """The article's office with IPv6 in the VPN; e may reach the LAN of Beijing, f ports of one device."""
    ssh = {"host": "203.0.113.10", "host_key": HOST_KEY}
    beijing = {
        "name": "c",
        "site": "beijing",
        "address": "10.70.0.3",
        "lan": {"cidr": "192.168.200.0/24", "address": "192.168.200.248", "interface": "lan0"},
        "ssh": ssh | {"host": "10.70.0.3", "via": "hub"},
        "access": [{"developer": "f", "ports": ["9000/tcp"]}],
    }
    shenzhen = {
        "name": "a",
        "site": "shenzhen",
        "address": "10.70.0.2",
        "lan": {"cidr": "192.168.201.0/24", "address": "192.168.201.247"},
        "ssh": ssh,
    }
    return Environment.model_validate(
        {
            "environment": "packets",
            "network": {"cidr": "10.70.0.0/16", "cidr6": "fd70::/64"},
            "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": ssh},
            "gateways": [shenzhen, beijing | gateway],
            "developers": [
                {
                    "name": "e",
                    "address": "10.70.0.4",
                    "access": [LAN_OF_E, {"developer": "f"}, {"host": "c", "ports": ["443/tcp"]}] if e is None else e,
                },
                {"name": "f", "address": "10.70.0.5", "access": [PORTS_OF_F, {"host": "z", "ports": ["icmp"]}] if f is None else f},
            ],
            "links": [{"from": "shenzhen", "to": "beijing", "hosts": [DEVICE], "ports": ["5432/tcp"]}] if links else [],
        }
    )


@pytest.fixture
def gateway() -> Iterator[Net]:
    with Net("10.70.0.3", "fd70::3") as net:
        net.listen("d", 22, 443, 8005, 5432)
        net.listen("host", 22, 443)
        net.listen("f", 9000, 9001)
        yield net


@pytest.fixture
def hub() -> Iterator[Net]:
    with Net("10.70.0.1", "fd70::1") as net:
        net.listen("d", 443)
        net.listen("host", 22)
        net.listen("e", 9000)
        net.listen("f", 9000)
        yield net


@pytest.fixture(params=OTHERS)
def beside(request: pytest.FixtureRequest, gateway: Net, tmp_path: Path) -> Iterator[Loader]:
    with loader(gateway, request.param, tmp_path) as made:
        yield made


@pytest.fixture
def at_gateway(gateway: Net, tmp_path: Path) -> Iterator[Loader]:
    with loader(gateway, "nftables", tmp_path) as made:
        yield made


@pytest.fixture
def at_hub(hub: Net, tmp_path: Path) -> Iterator[Loader]:
    with loader(hub, "nftables", tmp_path) as made:
        yield made


def check_gateway(net: Net) -> None:
    """Everything `office` says about gateway c, with a packet each."""
    found = net.probe(
        {
            "e to d": lambda: net.tcp("e", DEVICE, 22),
            "e pings d": lambda: net.ping("e", DEVICE),
            "e to d's neighbour": lambda: net.tcp("e", OTHER_DEVICE, 22),
            "e to d's neighbour, UDP": lambda: net.udp("e", OTHER_DEVICE, 53, "d"),
            "f to d, a granted port": lambda: net.tcp("f", DEVICE, 443),
            "f to d, a granted range": lambda: net.tcp("f", DEVICE, 8005),
            "f to d, UDP": lambda: net.udp("f", DEVICE, 53, "d"),
            "f pings d": lambda: net.ping("f", DEVICE),
            "f to d, another port": lambda: net.tcp("f", DEVICE, 22),
            "f to d, another UDP port": lambda: net.udp("f", DEVICE, 54, "d"),
            "f to d's neighbour": lambda: net.tcp("f", OTHER_DEVICE, 443),
            "f pings d's neighbour": lambda: net.ping("f", OTHER_DEVICE),
            "linked site to d": lambda: net.tcp("s", DEVICE, 5432),
            "linked site to d, another port": lambda: net.tcp("s", DEVICE, 22),
            "hub to d": lambda: net.tcp("z", DEVICE, 22),
            "hub pings d": lambda: net.ping("z", DEVICE),
            "d to f, granted": lambda: net.tcp("d", "10.70.0.5", 9000),
            "d to f, another port": lambda: net.tcp("d", "10.70.0.5", 9001),
            "d to linked site, the other way": lambda: net.ping("d", "192.168.201.50"),
            "d pings e": lambda: net.ping("d", "10.70.0.4"),
            "e to the gateway, granted": lambda: net.tcp("e", "10.70.0.3", 443),
            "e to the gateway, granted, IPv6": lambda: net.tcp("e", "fd70::3", 443),
            "e to the gateway, SSH": lambda: net.tcp("e", "10.70.0.3", 22),
            "e to the gateway's LAN address": lambda: net.tcp("e", "192.168.200.248", 22),
            "f pings the gateway": lambda: net.ping("f", "10.70.0.3"),
            "hub to the gateway, SSH": lambda: net.tcp("z", "10.70.0.3", 22),
            "hub to the gateway, SSH to its LAN address": lambda: net.tcp("z", "192.168.200.248", 22),
            "hub to the gateway, another port": lambda: net.tcp("z", "10.70.0.3", 443),
            "e to the LAN, IPv6": lambda: net.tcp("e", DEVICE6, 22),
            "e pings the LAN, IPv6": lambda: net.ping("e", DEVICE6),
            "the LAN pings e, IPv6": lambda: net.ping("d", "fd70::4"),
        }
    )
    assert found == {probe: "open" if probe in REACHED_THROUGH_GATEWAY else "silence" for probe in found}


REACHED_THROUGH_GATEWAY = {
    "e to d",
    "e pings d",
    "e to d's neighbour",
    "e to d's neighbour, UDP",
    "f to d, a granted port",
    "f to d, a granted range",
    "f to d, UDP",
    "f pings d",
    "linked site to d",
    "d to f, granted",
    "e to the gateway, granted",
    "e to the gateway, granted, IPv6",
    "hub to the gateway, SSH",
}


def test_gateway_lets_through_what_is_granted_and_is_silent_otherwise(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    check_gateway(at_gateway.net)


def test_rules_stand_after_the_firewall_was_loaded_and_reloaded_again(beside: Loader) -> None:
    beside.load(host_rules(office(), "c"))
    beside.reload()
    beside.load(host_rules(office(), "c"))
    check_gateway(beside.net)


def test_access_works_under_dockers_forward_drop_and_foreign_rules_stay(beside: Loader) -> None:
    net = beside.net
    beside.load(host_rules(office(e=[]), "c"))
    for tool in ("iptables", "ip6tables"):
        for rule in ("-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-I FORWARD -j DOCKER-USER"):
            net.run("host", [tool, *rule.split()])
    net.run("host", ["nft", "add table inet foreign { chain c { type filter hook forward priority 5; counter; }; }"])
    beside.load(host_rules(office(), "c"))
    check_gateway(net)
    rules = net.run("host", ["iptables-save", "-t", "filter"])
    assert [line for line in rules.splitlines() if "DOCKER" in line or ":FORWARD" in line] == [
        ":FORWARD DROP [0:0]",
        ":DOCKER-USER - [0:0]",
        "-A FORWARD -j DOCKER-USER",
        "-A DOCKER-USER -j RETURN",
    ]
    assert "counter packets" in net.run("host", ["nft", "list", "table", "inet", "foreign"])


def test_published_port_of_a_container_is_no_way_around_the_rules(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    translate = f"-t nat -A PREROUTING -d 10.70.0.3 -p tcp --dport 8443 -j DNAT --to-destination {OTHER_DEVICE}:443"
    at_gateway.net.run("host", ["iptables", *translate.split()])
    assert at_gateway.net.tcp("f", "10.70.0.3", 8443) == "silence"


def test_hub_passes_on_what_is_granted_and_says_what_is_not(at_hub: Loader) -> None:
    at_hub.load(host_rules(office(), "z"))
    net = at_hub.net
    found = net.probe(
        {
            "e to f": lambda: net.tcp("e", "10.70.0.5", 9000),
            "e to f, IPv6": lambda: net.tcp("e", "fd70::5", 9000),
            "f to e": lambda: net.tcp("f", "10.70.0.4", 9000),
            "f to e, IPv6": lambda: net.tcp("f", "fd70::4", 9000),
            "e to the hub's own network": lambda: net.tcp("e", DEVICE, 443),
            "e to the hub's own network, IPv6": lambda: net.tcp("e", DEVICE6, 443),
            "e to the hub, SSH": lambda: net.tcp("e", "10.70.0.1", 22),
            "f pings the hub": lambda: net.ping("f", "10.70.0.1"),
            "the hub's own network to f": lambda: net.tcp("d", "10.70.0.5", 9000),
        }
    )
    # What comes from the hub's own network is nobody's mistake that needs an answer.
    expected = dict.fromkeys(found, "prohibited") | dict.fromkeys(["e to f", "e to f, IPv6", "f pings the hub"], "open")
    assert found == expected | {"the hub's own network to f": "silence"}


def test_nobody_in_the_file_reaches_anything(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(e=[], f=[], links=False, access=[], ssh={"host": "203.0.113.7", "host_key": HOST_KEY}), "c"))
    net = at_gateway.net
    attempts = {
        f"{peer} to {to}": partial(net.tcp, peer, to, 443) for peer in ("e", "f", "z") for to in (DEVICE, "10.70.0.3", "192.168.200.248")
    }
    attempts |= {"d to f": partial(net.tcp, "d", "10.70.0.5", 9000), "z to c, SSH": partial(net.tcp, "z", "10.70.0.3", 22)}
    assert net.probe(attempts) == dict.fromkeys(attempts, "silence")


def seen_by_device(net: Net, peer: str, port: int, source: str | None = None) -> str:
    """The source address that the device sees."""
    listener = next(item for item in net.listeners if item.getsockname()[1] == port)
    net.connect(peer, DEVICE, port, source).close()
    accepted, address = listener.accept()
    accepted.close()
    return str(address[0]).removeprefix("::ffff:")


def test_masquerade_gives_the_lan_the_gateways_address_and_only_for_the_tunnel(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(return_path="masquerade"), "c"))
    net = at_gateway.net
    assert {peer: seen_by_device(net, peer, port) for peer, port in (("e", 443), ("s", 5432))} == dict.fromkeys("es", "192.168.200.248")
    # The gateway's own packets into the LAN, and a source of the tunnel's kind on its way elsewhere, keep their addresses.
    net.ip("host", "addr add 192.168.77.2/32 dev lan0")
    net.ip("d", "route add 192.168.77.2/32 via 192.168.200.248")
    assert seen_by_device(net, "host", 8005, source="192.168.77.2") == "192.168.77.2"


def test_static_route_leaves_the_developers_own_address(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    assert seen_by_device(at_gateway.net, "e", 443) == "10.70.0.4"


def flows_through(client: socket.socket, server: socket.socket) -> bool:
    """Whether what the server sends arrives."""
    try:
        server.sendall(b"still here")
        return client.recv(64) != b""
    except OSError:
        return False


@pytest.mark.parametrize("return_path", ["static-route", "masquerade"])
def test_withdrawn_connection_ends_while_its_server_keeps_sending_and_others_go_on(at_gateway: Loader, return_path: str) -> None:
    at_gateway.load(host_rules(office(return_path=return_path), "c"))
    (of_e, to_e), (of_f, to_f) = at_gateway.net.stream("e", DEVICE, 443), at_gateway.net.stream("f", DEVICE, 443)
    with of_e, to_e, of_f, to_f:
        assert flows_through(of_e, to_e)
        assert flows_through(of_f, to_f)
        at_gateway.load(host_rules(office(e=[], return_path=return_path), "c"))
        assert not flows_through(of_e, to_e)
        assert not flows_through(of_e, to_e)
        assert flows_through(of_f, to_f)
        assert at_gateway.net.tcp("e", DEVICE, 443) == "silence"


def test_withdrawn_port_ends_its_connection_and_not_the_other_of_the_same_developer(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    of_e, to_e = at_gateway.net.stream("e", DEVICE, 443)
    other = at_gateway.net.connect("e", DEVICE, 8005)
    listener = next(item for item in at_gateway.net.listeners if item.getsockname()[1] == 8005)
    to_other, _ = listener.accept()
    other.settimeout(1)
    with of_e, to_e, other, to_other:
        at_gateway.load(host_rules(office(e=[{"site": "beijing", "ports": ["8005/tcp"]}]), "c"))
        assert not flows_through(of_e, to_e)
        assert flows_through(other, to_other)


def test_withdrawn_link_ends_its_connections(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    client = at_gateway.net.connect("s", DEVICE, 5432)
    server, _ = next(item for item in at_gateway.net.listeners if item.getsockname()[1] == 5432).accept()
    client.settimeout(1)
    with client, server:
        assert flows_through(client, server)
        at_gateway.load(host_rules(office(links=False), "c"))
        assert not flows_through(client, server)


def test_both_ends_of_an_unknown_connection_are_told_that_it_is_over(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    client, server = at_gateway.net.stream("e", DEVICE, 443)
    with client, server:
        at_gateway.net.run("host", ["conntrack", "-F"])
        client.send(b"?")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        server.sendall(b"?")
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_mss_is_clamped_in_both_directions(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    client, server = at_gateway.net.stream("e", DEVICE, 443)
    with client, server:
        # 12 bytes of every segment are the timestamp option's.
        assert [end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) for end in (client, server)] == [1240 - 12, 1240 - 12]


def test_mss_follows_the_tunnels_mtu(at_gateway: Loader) -> None:
    env = office()
    at_gateway.load(host_rules(env.model_copy(update={"network": env.network.model_copy(update={"mtu": 1420})}), "c"))
    client, server = at_gateway.net.stream("e", DEVICE, 443)
    with client, server:
        assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1380 - 12


def test_forged_source_outside_the_vpn_is_dropped(at_gateway: Loader) -> None:
    at_gateway.load(host_rules(office(), "c"))
    at_gateway.net.ip("e", "addr add 172.16.9.9/32 dev wg")
    at_gateway.net.ip("host", "route add 172.16.9.9/32 dev wg0")
    assert at_gateway.net.tcp("e", DEVICE, 22, source="172.16.9.9") == "silence"


# --- several networks of one site ------------------------------------------------------------------------------------------------------

VLAN, BEHIND, PARTNER = "192.168.210.9", "10.20.0.9", "198.51.100.80"


SEVERAL = [
    {"cidr": "192.168.200.0/24", "address": "192.168.200.248", "interface": "lan0"},
    {"cidr": "192.168.210.0/24", "address": "192.168.210.2", "return_path": "masquerade"},
    {"cidr": "10.20.0.0/16", "via": DEVICE},
    {"cidr": f"{PARTNER}/32", "via": "internet"},
    {"cidr": "fd71::/64", "address": "fd71::1"},
]


def furnish(net: Net) -> None:
    """Further networks at the host's LAN: d plays the router behind which one lies, and the way out to the partner."""
    net.ip("host", "addr add 192.168.210.2/24 dev lan0", f"route add 10.20.0.0/16 via {DEVICE}", f"route add default via {DEVICE}")
    net.ip("d", f"addr add {VLAN}/24 dev eth0", f"addr add {BEHIND}/32 dev lo", f"addr add {PARTNER}/32 dev lo")
    # Neither the VLAN nor the partner knows a way back to the VPN: what is not masqueraded gets no answer.
    net.ip("d", f"rule add from {VLAN} to 10.70.0.0/16 blackhole", f"rule add from {PARTNER} to 10.70.0.0/16 blackhole")
    # Until its link-local address is no longer tentative, a router asks for no neighbour.
    while any(net.run(name, ["ip", "-6", "addr", "show", "tentative"]) for name in ("host", "d")):
        pass


def sources_seen(net: Net, name: str, to: str) -> str:
    """From whom d takes a connection of this peer to be."""
    with net.inside("d"):
        listener = socket.create_server((to, 7000))
    with listener:
        listener.settimeout(5)
        with net.connect(name, to, 7000), listener.accept()[0] as accepted:
            return str(accepted.getpeername()[0])


def check_several(net: Net) -> None:
    """Each of the networks is reached by whoever may, and by nobody else."""
    found = net.probe(
        {
            "e to the LAN": lambda: net.tcp("e", DEVICE, 443),
            "e to the VLAN": lambda: net.tcp("e", VLAN, 443),
            "e behind the router": lambda: net.tcp("e", BEHIND, 443),
            "e to the partner": lambda: net.tcp("e", PARTNER, 443),
            "e to the LAN, IPv6": lambda: net.tcp("e", DEVICE6, 443),
            "f to the VLAN, granted": lambda: net.tcp("f", VLAN, 443),
            "f to the VLAN, another port": lambda: net.tcp("f", VLAN, 22),
            "f behind the router": lambda: net.tcp("f", BEHIND, 443),
            "f to the partner": lambda: net.tcp("f", PARTNER, 443),
            "f to the LAN, IPv6": lambda: net.tcp("f", DEVICE6, 443),
        }
    )
    refused = "prohibited" if net.host_address == "10.70.0.1" else "silence"
    assert found == {name: "open" if name.startswith("e ") or name.endswith(", granted") else refused for name in found}
    seen = {to: sources_seen(net, "e", to) for to in (DEVICE, BEHIND, VLAN, PARTNER)}
    assert seen == {DEVICE: "10.70.0.4", BEHIND: "10.70.0.4", VLAN: "192.168.210.2", PARTNER: "192.168.200.248"}


def test_gateway_serves_several_networks_and_masquerades_those_alone_that_need_it(at_gateway: Loader) -> None:
    furnish(at_gateway.net)
    some_ports = {"site": "beijing", "hosts": [VLAN], "ports": ["443/tcp"]}
    at_gateway.load(host_rules(office(links=False, f=[some_ports], lan=None, lans=SEVERAL, access=[]), "c"))
    check_several(at_gateway.net)


def test_hub_serves_networks_of_its_own_as_a_gateway_does_and_no_others(at_hub: Loader) -> None:
    furnish(at_hub.net)
    some_ports = {"site": "cloud", "hosts": [VLAN], "ports": ["443/tcp"]}
    env = office(links=False, e=["cloud"], f=[some_ports], lan={"cidr": "192.168.220.0/24", "address": "192.168.220.248"}, access=[])
    hub = env.hub.model_dump(mode="json", exclude_defaults=True) | {"site": "cloud", "lans": SEVERAL}
    at_hub.load(host_rules(env.model_copy(update={"hub": type(env.hub).model_validate(hub)}), "z"))
    check_several(at_hub.net)
    at_hub.net.ip("d", "addr add 172.16.5.5/32 dev lo")
    assert at_hub.net.tcp("e", "172.16.5.5", 443) == "prohibited", "what is no network of its site stays closed"
    assert at_hub.net.tcp("d", "10.70.0.4", 9000) == "silence", "its networks open nothing without a link"
