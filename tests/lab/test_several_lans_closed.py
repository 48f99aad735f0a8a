"""The other-interface matrix, links down, and ICMP errors, where a site has several LANs: at a gateway, and at the hub.

                      .-- lan0 192.168.200.248, fd71::1 -- eth0 --.
    peers -- wg0 [host]-- lan1 192.168.210.2 ----------- eth1 -- [d], behind which lies 10.20.0.0/16
                      '-- wan0 203.0.113.2 -- w

d has one route to the VPN, by eth0: what it answers as a machine of the other VLAN comes in by another interface than the question did.
"""

import socket
from collections.abc import Iterator

import pytest
from firewalls import Loader, loader
from netns import DEVICE, DEVICE6, Net
from packets import arriving, ends, icmp, listening, redirect, redirects, send
from test_firewall_closed import WAN, WAN6, WAN_HOST, Neighbour
from test_firewall_packets import BEHIND, PARTNER, VLAN, host_rules, office

from wg_office.environment.model import Environment, Hub

LINKED, E, F = "192.168.201.50", "10.70.0.4", "10.70.0.5"
LANS = [
    {"cidr": "192.168.200.0/24", "address": "192.168.200.248", "interface": "lan0"},
    {"cidr": "192.168.210.0/24", "address": "192.168.210.2", "interface": "lan1"},
    {"cidr": "10.20.0.0/16", "via": DEVICE},
    {"cidr": f"{PARTNER}/32", "via": "internet"},
    {"cidr": "fd71::/64", "address": "fd71::1", "interface": "lan0"},
]
OWN = (DEVICE, VLAN, BEHIND)
HOST = {"gateway": ("10.70.0.3", "fd70::3", "c"), "hub": ("10.70.0.1", "fd70::1", "z")}


def second_link(net: Net) -> None:
    """Of d, which plays a machine of either VLAN, and the router."""
    net._cable("d", "eth1", "host", "lan1")
    net.ip("host", "link set lan1 up", "addr add 192.168.210.2/24 dev lan1", f"route add 10.20.0.0/16 via {DEVICE}")
    net.ip("d", "link set eth1 up", f"addr add {VLAN}/24 dev eth1", f"addr add {BEHIND}/32 dev lo")
    net.run("d", ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth1.rp_filter=0"])


def environment(role: str) -> Environment:
    """e may reach the site, and the site f."""
    if role == "gateway":
        return office(lan=None, lans=LANS, access=[{"developer": "f"}])
    env = office(links=False, e=["cloud", "shenzhen"], lan={"cidr": "192.168.220.0/24", "address": "192.168.220.248"}, access=[])
    hub = env.hub.model_dump(mode="json", exclude_defaults=True) | {"site": "cloud", "lans": LANS}
    return env.model_copy(update={"hub": Hub.model_validate(hub)})


@pytest.fixture(scope="module", params=HOST)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    address, address6, name = HOST[request.param]
    with Net(address, address6) as net:
        second_link(net)
        neighbour = Neighbour(net)
        for forged in (*OWN, LINKED, E):
            neighbour.forge(forged)
        net.listen("d", 443)
        net.listen("host", 443)
        net.listen("s", 443)
        with loader(net, "nftables", tmp_path_factory.mktemp("rules")) as made:
            made.load(host_rules(environment(request.param), name))
            yield made


def is_hub(host: Loader) -> bool:
    return host.net.host_address == HOST["hub"][0]


EVERYWHERE = [("d", "eth0"), ("d", "eth1"), ("e", "wg"), ("f", "wg"), ("s", "wg")]


def test_what_is_granted_is_reached_whichever_of_the_lans_the_answer_comes_by(host: Loader) -> None:
    net = host.net
    found = {to: net.tcp("e", to, 443) for to in (*OWN, DEVICE6)}
    assert found == dict.fromkeys(found, "open")
    assert net.tcp("d", "192.168.200.248", 443, source=VLAN) == "open", "what a LAN asks of the host itself is its own affair"
    opened = arriving(net, EVERYWHERE, [("d", source, F) for source in OWN])
    assert opened == (set() if is_hub(host) else {(source, F) for source in OWN})


def test_neighbours_reach_nothing_of_the_tunnel_nor_of_the_lans_with_any_source_but_their_own(host: Loader) -> None:
    act = [("w", source, to) for source in (*OWN, LINKED, E) for to in (*OWN, F, host.net.host_address, LINKED) if to != source]
    act += [("w", WAN, to) for to in (F, LINKED, host.net.host_address)] + [("w", WAN6, "fd70::5")]
    act += [("d", source, to) for source in (LINKED, E) for to in (F, WAN)]
    assert arriving(host.net, [*EVERYWHERE, ("w", "eth0")], act) == set()


def test_no_forged_datagram_is_taken_in_by_the_host_itself(host: Loader) -> None:
    net = host.net
    with net.inside("host"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server:
        server.bind(("", 53))
        server.settimeout(1)
        for source in (*OWN, LINKED, E):
            for to in (WAN_HOST, "192.168.200.248", net.host_address):
                send(net, "w", source, to)
        send(net, "w", WAN, WAN_HOST)
        assert server.recvfrom(9)[1][0] == WAN


def test_a_tunnels_peer_with_a_source_of_the_lans_is_none_of_them(host: Loader) -> None:
    assert arriving(host.net, EVERYWHERE, [("e", VLAN, F), ("e", VLAN, DEVICE)]) == set(), "sent without having that address"


def test_redirects_pass_nowhere(host: Loader) -> None:
    net = host.net
    with net.connect("e", VLAN, 443) as client:
        about = (E, client.getsockname()[1], VLAN, 443)
        with listening(net, *EVERYWHERE) as packets:
            icmp(net, "e", VLAN, (VLAN, 443, E, about[1]), redirect(E))
            icmp(net, "f", VLAN, (VLAN, 443, E, about[1]), redirect(F))
            icmp(net, "d", E, about, redirect(DEVICE), source=VLAN)
            icmp(net, "f", E, about, redirect(F))
        assert redirects(packets) == set()


def test_errors_come_from_any_network_of_the_site_that_is_one_end_and_from_no_other(host: Loader) -> None:
    net = host.net
    with net.connect("e", VLAN, 443) as client:
        about = (E, client.getsockname()[1], VLAN, 443)
        with listening(net, ("e", "wg")) as packets:
            for sender, source in (("d", VLAN), ("d", BEHIND), ("d", DEVICE), ("f", F), ("s", LINKED), ("w", WAN)):
                icmp(net, sender, E, about, source=source)
        assert {ends(each)[0] for each in packets if each[9] == 1 and each[20:22] == b"\3\4"} == set(OWN)


@pytest.mark.parametrize("link", ["lan1", "lan0"])
def test_while_a_lans_link_is_down_its_name_opens_nothing_and_nothing_for_it_leaks(host: Loader, link: str) -> None:
    net = host.net
    net.ip("host", f"link set {link} down")
    try:
        lost = OWN if link == "lan0" else (VLAN,)
        act = [("w", source, to) for source in OWN for to in (F, E)] + [("e", E, to) for to in lost]
        if link == "lan0":
            act.append(("e", "fd70::4", DEVICE6))
        assert arriving(net, [("w", "eth0"), ("e", "wg"), ("f", "wg")], act) == set()
    finally:
        net.ip("host", f"link set {link} up")
        if link == "lan0":
            net.ip("host", f"route replace 10.20.0.0/16 via {DEVICE}", "addr replace fd71::1/64 dev lan0 nodad")


def test_nothing_of_the_tunnel_reaches_the_lans_when_somebody_flushes_the_table(host: Loader) -> None:
    net = host.net
    net.run("host", ["nft", "flush", "ruleset"])
    assert arriving(net, EVERYWHERE, [("e", E, to) for to in OWN]) == set()
    host.judge()
    assert net.tcp("e", VLAN, 443) == "open"
