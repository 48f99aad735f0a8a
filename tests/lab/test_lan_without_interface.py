"""A LAN for which the file names no interface: the host finds it by its address there, and while that link is down nothing goes elsewhere.

w 198.51.100.9 -- wan0 [host] lan0 -- d 192.168.200.244, fd71::2
                              wg0 --- e 10.70.0.4, fd70::4        namespaces, the real script, packets; as root
"""

import subprocess
from collections.abc import Iterator

import pytest
from bootunit import boot
from packets import arriving
from sandbox import Office, Sandbox, planned
from test_forwards_for_nobody import LINKS, Neighbours
from test_withdrawn import ENVIRONMENT

from wg_office.environment.model import Environment, Gateway, Network

BEHIND, PARTNER = "10.20.0.1", "192.0.2.80"
OUT = {(LINKS["w"][1], PARTNER)}
"""What lies in the internet has the uplink for its way."""
LANS = [
    {"cidr": "192.168.200.0/24", "address": "192.168.200.248"},
    {"cidr": "10.20.0.0/16", "via": "192.168.200.244"},
    {"cidr": f"{PARTNER}/32", "via": "internet"},
    {"cidr": "fd71::/64", "address": "fd71::1"},
]
ASKED = [("e", "10.70.0.4", to) for to in ("192.168.200.244", BEHIND)] + [("e", "fd70::4", "fd71::2")]
OPENED = [("192.168.200.9", "10.70.0.5"), (BEHIND, "10.70.0.5"), ("fd71::9", "fd70::5")]
TUNNEL = """
ip -n $1-host link set far-wg0 netns $1-e
ip -n $1-e -batch - <<END
link set lo up
link set far-wg0 up
address add 10.70.0.4/32 dev far-wg0
address add 10.70.0.5/32 dev far-wg0
address add fd70::4/128 dev far-wg0 nodad
route add 10.70.0.3 dev far-wg0
route add default via 10.70.0.3 src 10.70.0.4
route add fd70::3 dev far-wg0
route add ::/0 via fd70::3
neighbour replace fd70::3 lladdr $(ip netns exec $1-host cat /sys/class/net/wg0/address) dev far-wg0 nud permanent
END
ip -n $1-host neighbour replace fd70::5 lladdr $(ip netns exec $1-e cat /sys/class/net/far-wg0/address) dev wg0 nud permanent
"""


def environment(lans: list[dict[str, str]]) -> Environment:
    """e may reach all of the site, and the site may open connections to f."""
    a, c = ENVIRONMENT.gateways
    told = c.model_dump(mode="json", exclude_defaults=True) | {"lan": None, "lans": lans, "access": [{"developer": "f"}]}
    network = Network.model_validate(ENVIRONMENT.network.model_dump(mode="json") | {"cidr6": "fd70::/64"})
    return ENVIRONMENT.model_copy(update={"network": network, "gateways": (a, Gateway.model_validate(told))})


class Site(Neighbours):
    """The host with neighbours on its uplink and in its LAN, and the tunnel's other end."""

    def __init__(self, sandbox: Sandbox, lans: list[dict[str, str]] = LANS) -> None:
        super().__init__(sandbox)
        self.names.append("e")
        env = environment(lans)
        self.office = Office(sandbox, env, planned(env, "gateway", "c"))

    def tunnel(self) -> None:
        """Its far end, once the host has made it."""
        subprocess.run(["ip", "netns", "add", f"{self.prefix}-e"], check=True)
        subprocess.run(["sh", "-ec", TUNNEL, "sh", self.prefix], check=True)

    def leaked(self) -> set[tuple[str, str]]:
        """What of the tunnel or into it passes by the uplink."""
        forged = [("w", source, to) for source, to in OPENED]
        return arriving(self, [("w", "eth0"), ("e", "far-wg0")], [*ASKED, *forged, ("e", "10.70.0.4", PARTNER)])


@pytest.fixture
def site() -> Iterator[Site]:
    with Sandbox("192.168.200.248/24") as sandbox, Site(sandbox) as net:
        net.ip("host", f"route add default via {LINKS['w'][2]}", f"route add ::/0 via {LINKS['w'][4]}")
        net.ip("host", f"route add 10.20.0.0/16 via {LINKS['d'][2]}")
        net.office.install()
        net.tunnel()
        yield net


def test_while_the_link_is_down_nothing_for_the_lan_leaves_by_another_and_nobody_enters_by_its_name(site: Site) -> None:
    assert arriving(site, [("d", "eth0")], ASKED) == {(source, to) for _, source, to in ASKED}
    assert arriving(site, [("e", "far-wg0")], [("d", LINKS["d"][2], "10.70.0.5")]) == {(LINKS["d"][2], "10.70.0.5")}
    site.ip("host", "link set lan0 down")
    assert site.leaked() == OUT
    assert site.office.drift() == []


def test_what_was_found_is_kept_while_the_link_is_down_by_a_change_and_by_a_start(site: Site) -> None:
    site.ip("host", "link set lan0 down")
    site.office.install(repair="once more")
    assert site.leaked() == OUT
    listed = site.sandbox.shell("nft list table inet wg_office_host")
    assert '!= "lan0" drop' in listed
    assert boot(site.sandbox)
    assert site.sandbox.shell("nft list table inet wg_office_host") == listed


def test_a_lan_that_moves_to_another_interface_is_closed_and_named_until_it_is_repaired(site: Site) -> None:
    site.ip("host", "link add br0 type bridge", "link set br0 up", "link set lan0 master br0")
    site.ip("host", "address del 192.168.200.248/24 dev lan0", "address add 192.168.200.248/24 dev br0")
    assert site.office.drift() == ["network 192.168.200.0/24 is on br0 now, not on lan0, as its rules have it"]
    assert arriving(site, [("d", "eth0")], ASKED[:1]) == set()
    site.office.install(repair="moved")
    assert arriving(site, [("d", "eth0")], ASKED[:1]) == {ASKED[0][1:]}


def test_where_two_lans_have_one_router_answers_by_the_other_lan_pass_and_a_stranger_with_their_sources_does_not() -> None:
    """A router has one route to the VPN, by which it sends for all of its networks."""
    vlan = {"cidr": "192.168.210.0/24", "address": LINKS["o"][1]}
    by_router, entered = (LINKS["o"][2], "10.70.0.5"), [("e", "far-wg0")]
    with Sandbox("192.168.200.248/24") as sandbox, Site(sandbox, [LANS[0], vlan]) as net:
        net.ip("host", f"route add default via {LINKS['w'][2]}")
        net.office.install()
        net.tunnel()
        assert [arriving(net, entered, [(sender, *by_router)]) for sender in "dow"] == [{by_router}, {by_router}, set()]
        net.ip("host", "link set eth2 down")
        assert arriving(net, entered, [("w", *by_router)]) == set()
        assert net.office.drift() == []


def test_a_lan_whose_way_out_is_the_uplink_itself_is_reached_by_it() -> None:
    """As in clouds: one link, and an address that its router alone is beside."""
    with Sandbox("192.168.200.248/24") as sandbox, Site(sandbox) as net:
        sandbox.shell("ip address del 192.168.200.248/24 dev lan0; ip address add 192.168.200.248/32 dev lan0")
        net.ip("host", f"route add {LINKS['d'][2]} dev lan0", f"route add default via {LINKS['d'][2]}")
        net.office.install()
        net.tunnel()
        assert arriving(net, [("d", "eth0")], [("e", "10.70.0.4", "192.168.200.9")]) == {("10.70.0.4", "192.168.200.9")}
