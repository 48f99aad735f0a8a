"""What comes by other ways than through the rules: other interfaces, forged sources, a flushed table, lost links, ICMP errors.

The matrix of docs/access.md, packet by packet, in network namespaces. Needs root, nft, iptables and conntrack.
"""

import socket
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from firewalls import Loader, loader
from netns import DEVICE, DEVICE6, Net
from packets import arriving, icmp, listening
from test_firewall_packets import check_gateway, flows_through, host_rules, office

WAN, WAN_HOST, WAN6, WAN_HOST6 = "203.0.113.9", "203.0.113.2", "fd72::9", "fd72::2"


class Neighbour:
    """A machine `w` on another link of the host, which sends everything to it."""

    def __init__(self, net: Net) -> None:
        self.net = net
        net.names.insert(0, "w")
        subprocess.run(["ip", "netns", "add", f"{net.prefix}-w"], check=True)
        net._cable("w", "eth0", "host", "wan0")
        net.ip("host", "link set wan0 up", f"addr add {WAN_HOST}/24 dev wan0", f"addr add {WAN_HOST6}/64 dev wan0 nodad")
        net.ip("host", f"route add default via {WAN}", f"route add default via {WAN6}")
        net.ip("w", "link set lo up", "link set eth0 up", f"addr add {WAN}/24 dev eth0", f"addr add {WAN6}/64 dev eth0 nodad")
        net.ip("w", f"route add default via {WAN_HOST}", f"route add default via {WAN_HOST6}")

    def forge(self, source: str) -> None:
        """Have an address that is somebody else's."""
        self.net.ip("w", f"addr add {source}/{128 if ':' in source else 32} dev lo{' nodad' if ':' in source else ''}")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Loader]:
    with Net("10.70.0.3", "fd70::3") as net:
        net.listen("d", 22, 443, 5432, 8005)
        net.listen("host", 22, 443)
        net.listen("e", 9000)
        net.listen("f", 9000, 9001)
        with loader(net, "docker", tmp_path) as made:
            made.load(host_rules(office(return_path="masquerade"), "c"))
            yield made


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Loader]:
    with Net("10.70.0.1", "fd70::1") as net:
        net.listen("d", 443)
        net.listen("host", 22)
        net.listen("e", 9000)
        net.listen("f", 9000)
        with loader(net, "nftables", tmp_path) as made:
            made.load(host_rules(office(), "z"))
            yield made


def test_a_neighbour_reaches_nothing_of_the_tunnel_with_any_source(gateway: Loader) -> None:
    net, neighbour = gateway.net, Neighbour(gateway.net)
    sources = {
        "its own": WAN,
        "e's": "10.70.0.4",
        "the hub's": "10.70.0.1",
        "a linked LAN's": "192.168.201.50",
        "the LAN's": "192.168.200.9",
    }
    for forged in [*list(sources.values())[1:], "fd70::4"]:
        neighbour.forge(forged)
    act = [("w", source, to) for source in sources.values() for to in (DEVICE, "10.70.0.5", "10.70.0.3", "192.168.201.50")]
    act += [("w", source, to) for source in (WAN6, "fd70::4") for to in (DEVICE6, "fd70::5", "fd70::3")]
    # The rows of its own source into the LAN are the host's own affair, which did not forward before us: host.nft.
    mine = {(WAN, DEVICE), (WAN6, DEVICE6)}
    assert arriving(net, [("d", "eth0"), ("e", "wg"), ("f", "wg"), ("s", "wg")], act) - mine == set()


def test_services_of_the_tunnels_address_are_not_open_from_other_interfaces(gateway: Loader) -> None:
    net = gateway.net
    Neighbour(net)
    found = net.probe(
        {
            f"{name} to {to}": partial(net.tcp, name, to, 443)
            for name, to in (("w", "10.70.0.3"), ("w", "fd70::3"), ("d", "10.70.0.3"), ("d", "fd70::3"))
        }
    )
    assert found == dict.fromkeys(found, "silence")
    assert net.tcp("w", WAN_HOST, 443) == "open", "what is the host's own affair stays open"
    assert net.tcp("host", "10.70.0.3", 443) == "open"


def test_a_known_connection_is_no_way_in_for_a_forged_member(gateway: Loader) -> None:
    net, neighbour = gateway.net, Neighbour(gateway.net)
    client, server = net.stream("e", DEVICE, 443)
    with client, server:
        assert flows_through(client, server)
        neighbour.forge("10.70.0.4")
        assert arriving(net, [("d", "eth0")], [("w", "10.70.0.4", DEVICE)]) == set()
        assert flows_through(client, server)


def test_the_hubs_other_networks_neither_reach_peers_nor_are_reached(hub: Loader) -> None:
    net, neighbour = hub.net, Neighbour(hub.net)
    for forged in ("10.70.0.5", "192.168.200.9"):
        neighbour.forge(forged)
    act = [("w", source, to) for source in (WAN, "10.70.0.5", "192.168.200.9") for to in ("10.70.0.4", "10.70.0.1")]
    assert arriving(net, [("e", "wg")], act) == set()
    assert net.tcp("w", "10.70.0.1", 22) == "silence"


def test_nothing_of_the_tunnel_is_forwarded_when_somebody_flushes_the_table(gateway: Loader) -> None:
    net = gateway.net
    net.run("host", ["iptables", "-P", "FORWARD", "ACCEPT"])
    client, server = net.stream("e", DEVICE, 443)
    with client, server:
        assert flows_through(client, server)
        net.run("host", ["nft", "flush", "ruleset"])
        assert not flows_through(server, client)
        assert {net.tcp(who, DEVICE, 443) for who in "ef"} <= {"silence", "prohibited", "EACCES"}
        assert net.tcp("e", DEVICE6, 22) in ("silence", "prohibited", "EACCES")
        assert arriving(net, [("d", "eth0")], [("e", "10.70.0.4", DEVICE)]) == set()
    gateway.judge()
    check_gateway(net)


def test_nothing_of_the_hub_is_passed_on_when_somebody_flushes_the_table(hub: Loader) -> None:
    net = hub.net
    assert net.tcp("e", "10.70.0.5", 9000) == "open"
    net.run("host", ["nft", "flush", "ruleset"])
    assert "open" not in {net.tcp("e", to, 9000) for to in ("10.70.0.5", "fd70::5")}
    hub.judge()
    assert {net.tcp("e", to, 9000) for to in ("10.70.0.5", "fd70::5")} == {"open"}


def test_connections_that_were_made_while_the_table_was_gone_end(gateway: Loader) -> None:
    net = gateway.net
    net.run("host", ["nft", "flush", "ruleset"])
    client = net.connect("e", "10.70.0.3", 22)
    server, _ = next(each for each in net.listeners if each.getsockname()[1] == 22 and each is not net.listeners[0]).accept()
    client.settimeout(1)
    with client, server:
        assert flows_through(client, server), "input is open until the rules are back"
        gateway.judge()
        net.run("host", ["sh", str(gateway.files / "after-load")])
        flows_through(client, server)
        assert not flows_through(client, server)


@pytest.mark.parametrize("link", ["wg0", "lan0"])
def test_a_link_that_goes_down_leaks_nothing_to_the_uplink(gateway: Loader, link: str) -> None:
    net = gateway.net
    Neighbour(net)
    net.ip("host", f"link set {link} down")
    act = [("d", DEVICE, "10.70.0.5")] if link == "wg0" else [("e", "10.70.0.4", DEVICE)]
    if link == "wg0":
        act.append(("host", WAN_HOST, "10.70.0.5"))
    assert arriving(net, [("w", "eth0")], act) == set()


FTP = """
    ct helper ftp { type "ftp" protocol tcp; }
    chain c { type filter hook prerouting priority filter; tcp dport 8005 ct helper set "ftp"; }
"""
FOREIGN = {
    "Docker 20": [
        "-N DOCKER-USER",
        "-A DOCKER-USER -j RETURN",
        "-I FORWARD -j DOCKER-USER",
        "-P FORWARD DROP",
        "-I FORWARD -o wan0 -j ACCEPT",
    ],
    "Docker 28": ["-N DOCKER-FORWARD", "-A DOCKER-FORWARD -j ACCEPT", "-I FORWARD -j DOCKER-FORWARD"],
    "ufw": ["-N ufw-user-forward", "-A FORWARD -j ufw-user-forward", "-A ufw-user-forward -i wg0 -j ACCEPT", "-A FORWARD -j REJECT"],
    "LXD": ["-I FORWARD -i lxdbr0 -j ACCEPT", "-I FORWARD -o lxdbr0 -j ACCEPT"],
    "Tailscale": ["-N ts-forward", "-I FORWARD -j ts-forward", "-A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000"],
    "a person": ["-I FORWARD -j ACCEPT", "-I INPUT -j ACCEPT"],
}


@pytest.mark.parametrize("who", FOREIGN)
def test_what_others_insert_after_us_opens_nothing(gateway: Loader, who: str) -> None:
    for rule in FOREIGN[who]:
        gateway.net.run("host", ["iptables", "-w", *rule.split()])
    net = gateway.net
    attempts = {"e to its own": (DEVICE, 443), "e to the gateway": ("10.70.0.3", 22), "f, another port": (DEVICE, 22)}
    found = {name: net.tcp(name[0], *target) for name, target in attempts.items()}
    assert found == {"e to its own": "open", "e to the gateway": "silence", "f, another port": "silence"}


def test_errors_about_a_connection_come_from_its_ends_alone(hub: Loader) -> None:
    net = hub.net
    client = net.connect("e", "10.70.0.5", 9000)
    with client:
        about = ("10.70.0.4", client.getsockname()[1], "10.70.0.5", 9000)
        for sender, passes in (("s", False), ("f", True)):
            with listening(net, ("e", "wg")) as packets:
                icmp(net, sender, "10.70.0.4", about)
            assert any(each[9] == 1 and each[20:22] == b"\3\4" for each in packets) == passes, sender


def test_a_connection_that_others_track_announces_no_further_ones(gateway: Loader) -> None:
    net = gateway.net
    gateway.load(host_rules(office(), "c"))
    net.run("host", ["nft", f"table ip others {{ {FTP} }}"])
    with net.connect("f", DEVICE, 8005) as client:
        server, _ = next(each for each in net.listeners if each.getsockname()[1] == 8005).accept()
        with server:
            # The kernel reads a line once it has seen where one ends.
            for line in (b"USER f\r\n", b"PORT 10,70,0,5,35,41\r\n"):
                client.sendall(line)
                assert server.recv(64)
            assert "ftp" in net.run("host", ["conntrack", "-L", "expect"])
            assert net.tcp("d", "10.70.0.5", 9001) == "silence"


def test_no_forbidden_packet_passes_while_rules_are_exchanged_under_a_flood(gateway: Loader) -> None:
    net = gateway.net
    stop = threading.Event()

    def flood() -> None:
        with net.inside("f"):
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with made:
            while not stop.is_set():
                for _ in range(100):
                    made.sendto(b"!", (DEVICE, 54))

    with net.inside("d"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server:
        server.bind((DEVICE, 54))
        server.setblocking(False)
        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            loads = f"for n in $(seq 50); do nft -f {gateway.files}/nftables.nft; done"
            net.run("host", ["sh", "-c", loads])
        finally:
            stop.set()
            flooding.join()
        with pytest.raises(BlockingIOError):
            server.recv(1)
