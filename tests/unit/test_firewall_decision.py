"""For random offices and random packets: what the rendered rules decide, host by host, is what the access table says."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pytest
from firewall_models import Nftables, Packet, Protocol, Verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from netaddr import IPAddress
from test_access import office

from wg_office.environment.fields import Moment
from wg_office.environment.grants import PortRange
from wg_office.environment.model import Environment, Gateway, Site
from wg_office.hosts.firewall import flows, nftables
from wg_office.network.access import FirewallPolicy, Permission, permissions, reach_of

SSH = {"host": "203.0.113.10"}
SITES = ("beijing", "shenzhen", "wuhan", "cloud")
DEVELOPERS = ("e", "f", "g", "h")
PORTS = ("22/tcp", "443/tcp", "20-25/tcp", "8000-8100/tcp", "8050-9000/tcp", "53/udp", "8000-8100/udp", "icmp")
INTERESTING_PORTS = (1, 19, 20, 22, 25, 26, 53, 443, 7999, 8000, 8050, 8100, 8101, 9000, 9001, 65535)
ENDS = (Moment.parse("2030-01-31"), Moment.parse("2031-06-30T12:00Z"))
TIMES = (0, *(end.epoch + after for end in ENDS for after in (-1, 0)))
"""Before an end, and when it has come."""
OUTSIDE = IPAddress("198.51.100.9")
FLOWS_AWK = Path(__file__).parents[2] / "hostside" / "flows.awk"


# --- random offices --------------------------------------------------------------------------------------------------------------------


def host_rules(env: Environment, host: str) -> FirewallPolicy:
    return reach_of(env).policies[host]


def lan(site: str, rest: str) -> str:
    return f"192.168.{200 + SITES.index(site)}.{rest}"


def further_lans(site: str, six: bool) -> list[dict[str, Any]]:
    """What a site may have beside its LAN: another VLAN, a network behind a router, a partner in the internet, IPv6."""
    number = SITES.index(site)
    lans: list[dict[str, Any]] = [
        {"cidr": f"192.168.{210 + number}.0/24", "address": f"192.168.{210 + number}.248"},
        {"cidr": f"10.{20 + number}.0.0/16", "via": lan(site, "1"), "return_path": "masquerade"},
        {"cidr": f"198.18.{number}.80/30", "via": "internet"},
    ]
    return [*lans, *([{"cidr": f"fd00:{number}::/64", "address": f"fd00:{number}::248"}] if six else [])]


def hosts_in(site: str) -> st.SearchStrategy[list[str]]:
    return st.lists(
        st.sampled_from([lan(site, rest) for rest in ("9", "10", "8/30", "128/25", "248")]), min_size=1, max_size=3, unique=True
    )


@st.composite
def networks(draw: st.DrawFn, site: str, six: bool) -> dict[str, Any]:
    first = {"cidr": lan(site, "0/24"), "address": lan(site, "248")}
    more = draw(st.lists(st.sampled_from(further_lans(site, six)), unique_by=lambda each: each["cidr"]))
    return {"lans": [first, *more]} if more else {"lan": first}


def limited(draw: st.DrawFn, grant: dict[str, Any]) -> dict[str, Any]:
    ports = draw(st.none() | st.lists(st.sampled_from(PORTS), min_size=1, max_size=4, unique=True))
    return ending(draw, grant if ports is None else grant | {"ports": ports})


def ending(draw: st.DrawFn, entry: dict[str, Any]) -> dict[str, Any]:
    until = draw(st.sampled_from([None, None, *ENDS]))
    return entry if until is None else entry | {"until": until}


def site_grant(draw: st.DrawFn, site: str, key: str = "site") -> dict[str, Any]:
    hosts = draw(st.none() | hosts_in(site))
    return limited(draw, {key: site} | ({} if hosts is None else {"hosts": hosts}))


@st.composite
def grants(draw: st.DrawFn, sites: tuple[str, ...], developers: tuple[str, ...], groups: tuple[str, ...] = ()) -> dict[str, Any]:
    kind = draw(
        st.sampled_from([*(["site"] if sites else []), *(["developer"] if developers else []), "host", *(["group"] if groups else [])])
    )
    if kind == "site":
        return site_grant(draw, draw(st.sampled_from(sites)))
    if kind == "group":
        return ending(draw, {"group": draw(st.sampled_from(groups))})
    names = developers if kind == "developer" else ("z", *(f"gw-{site}" for site in sites[:3]))
    return limited(draw, {kind: draw(st.sampled_from(names))})


def machines(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """A person's one machine, or two, of which one may end before the other."""
    one, two = ({"address": f"10.70.{third}.{number + 1}"} for third in (1, 2))
    if draw(st.booleans()):
        return one
    return {"devices": [{"name": "laptop"} | one, ending(draw, {"name": "phone"} | two)]}


@st.composite
def offices(draw: st.DrawFn) -> Environment:
    sites, developers = SITES[: draw(st.integers(0, 4))], DEVELOPERS[: draw(st.integers(0, 4))]
    network = {"cidr": "10.70.0.0/16"} | draw(st.sampled_from([{}, {"cidr6": "fd70::/64"}]))
    # The last of the sites, where there are four, is the hub's own.
    at_hub, offices = sites[3:], sites[:3]

    def granted(*names: tuple[str, ...]) -> list[Any]:
        return draw(st.lists(grants(*names), max_size=3))

    gateways = [
        {
            "name": f"gw-{site}",
            "site": site,
            "address": f"10.70.0.{10 + number}",
            **draw(networks(site, "cidr6" in network)),
            "ssh": SSH | draw(st.sampled_from([{}, {"via": "hub"}, {"via": "hub", "port": 2222}])),
            "access": granted((), developers),
            "return_path": draw(st.sampled_from(["static-route", "masquerade"])),
            "retired": draw(st.integers(0, 9)) == 0,
        }
        for number, site in enumerate(offices)
    ]
    hub = {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": SSH}
    hub |= {"site": at_hub[0], **draw(networks(at_hub[0], "cidr6" in network))} if at_hub else {}
    pairs = [(one, other) for one in sites for other in sites if one != other]
    links = [
        site_grant(draw, other, "to") | {"from": one}
        for one, other in (draw(st.lists(st.sampled_from(pairs), max_size=2)) if pairs else [])
    ]
    return Environment.model_validate(
        {
            "environment": "random",
            "network": network,
            "hub": hub,
            "gateways": gateways,
            "developers": [
                ending(draw, machines(draw, number) | {"name": name, "access": granted(sites, developers, ("inner", "outer"))})
                for number, name in enumerate(developers)
            ],
            "groups": {"inner": {"access": granted(sites, developers)}, "outer": {"access": granted(sites, developers, ("inner",))}},
            "links": links,
        }
    )


# --- random packets, and their way through the office ----------------------------------------------------------------------------------


def senders(env: Environment) -> list[IPAddress]:
    """Whoever can send something: peers, devices in the LANs, and an address that belongs to nobody."""
    addresses = [peer.address for peer in env.peers] + [IPAddress("10.70.9.9")]
    addresses += [address for peer in env.peers if (address := env.address6_of(peer)) is not None]
    return addresses + [
        prefix[number] for site in env.sites for prefix in site.prefixes for number in (1, 2, 9, 10, 130, 77) if number < prefix.size
    ]


def receivers(env: Environment) -> list[IPAddress]:
    return [*senders(env), *(address for site in env.sites for address in site.own_addresses), OUTSIDE]


def site_at(env: Environment, address: IPAddress) -> Site | None:
    return next((site for site in env.sites if any(address in prefix for prefix in site.prefixes)), None)


def way(env: Environment, packet: Packet) -> Iterator[tuple[str, str, str | None]]:
    """The hosts that judge the packet, with the interfaces it comes in and goes out by."""
    source, destination = packet.source, packet.destination
    start, end = site_at(env, source), site_at(env, destination)
    hosts: tuple[Site, ...] = (env.hub, *env.gateways)
    at_host = next((peer for peer in hosts if destination in (peer.address, env.address6_of(peer))), None)
    if start is not None:
        yield start.name, "lan", "wg0"
    if source not in (env.hub.address, env.address6_of(env.hub)) and start is not env.hub:
        inside = end is not None or destination in env.network.cidr or (env.network.cidr6 is not None and destination in env.network.cidr6)
        at_hub = at_host is env.hub or destination in env.hub.own_addresses
        yield env.hub.name, "wg0", None if at_hub else "lan" if end is env.hub else "wg0" if inside else "eth0"
    if end is not None and end is not env.hub:
        yield end.name, "wg0", None if destination in end.own_addresses else "lan"
    elif isinstance(at_host, Gateway):
        yield at_host.name, "wg0", None


def meaningful(env: Environment, source: IPAddress, destination: IPAddress) -> bool:
    """Whether the packet meets a firewall of ours. What the hub or a gateway sends by itself, and what stays in a LAN, does not."""
    start, end = site_at(env, source), site_at(env, destination)
    if start is not None and source in start.own_addresses:
        return False
    if source == destination or source.version != destination.version or (start is not None and start is end):
        return False
    if start is not None and destination in (start.address, env.address6_of(start)):
        return False
    from_hub = source in (env.hub.address, env.address6_of(env.hub))
    hosts = {address for gateway in env.gateways for address in (gateway.address, env.address6_of(gateway))}
    return not from_hub or end not in (None, env.hub) or destination in hosts


def edges(item: Permission) -> list[int]:
    """The ports on either side of what is granted."""
    ranges = [port for port in item.ports if isinstance(port, PortRange)]
    return [port for each in ranges for port in (each.first - 1, each.first, each.last, each.last + 1)]


@st.composite
def near(draw: st.DrawFn, item: Permission, gateways: list[IPAddress]) -> tuple[IPAddress, IPAddress, int]:
    """Ends and a port that a permission is about, or only just not."""
    source, destination = draw(st.sampled_from(item.source.networks)), draw(st.sampled_from(item.destination.networks))
    inside = st.integers(0, destination.size).map(lambda offset: destination.ip + offset)
    reached = draw(inside | st.sampled_from(gateways) if gateways else inside)
    return source.ip + draw(st.integers(0, source.size // 2)), reached, draw(st.sampled_from(edges(item) or [0]))


@st.composite
def meetings(draw: st.DrawFn, of: st.SearchStrategy[Environment] | None = None) -> tuple[Environment, list[Packet]]:
    env = draw(offices() if of is None else of)
    anyone = st.tuples(st.sampled_from(senders(env)), st.sampled_from(receivers(env)), st.sampled_from(INTERESTING_PORTS))
    granted, gateways = permissions(env), [address for site in env.sites for address in site.own_addresses]
    aimed = st.sampled_from(granted).flatmap(lambda item: near(item, gateways)) if granted else anyone
    packets = []
    for source, destination, port in draw(st.lists(anyone | aimed | aimed | aimed, min_size=6, max_size=20)):
        if meaningful(env, source, destination):
            protocol: Protocol = draw(st.sampled_from(["tcp", "tcp", "udp", "icmp", "gre"]))
            port, when = port if protocol in ("tcp", "udp") else 0, draw(st.sampled_from(TIMES))
            packets.append(Packet("", None, source, destination, protocol, port, at=when))
    return env, packets


# --- the properties --------------------------------------------------------------------------------------------------------------------


@lru_cache
def in_nftables(policy: FirewallPolicy) -> Nftables:
    return Nftables(nftables.render(policy))


def by_nftables(policy: FirewallPolicy, packet: Packet) -> Verdict:
    return in_nftables(policy).decide(packet)


THOROUGH = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def at(packet: Packet, way_in: str, way_out: str | None) -> Packet:
    return replace(packet, way_in=way_in, way_out=way_out)


def in_table(table: tuple[Permission, ...], packet: Packet, *, ever: bool = False) -> bool:
    """Whether a connection may be opened when this packet comes; or whether it ever might."""
    granted = (item for item in table if ever or item.until is None or packet.at < item.until.epoch)
    return any(item.allows(packet.source, packet.destination, packet.protocol, packet.port) for item in granted)


@THOROUGH
@given(meetings())
def test_rules_let_through_exactly_what_the_access_table_says(meeting: tuple[Environment, list[Packet]]) -> None:
    env, packets = meeting
    table, policies = permissions(env), reach_of(env).policies
    for packet in packets:
        verdicts = {host: by_nftables(policies[host], at(packet, came, goes)) for host, came, goes in way(env, packet)}
        assert (set(verdicts.values()) == {"accept"}) == in_table(table, packet), (packet, verdicts)
        # The hub refuses aloud what comes out of the tunnel, gateways are silent.
        aloud = site_at(env, packet.source) is not env.hub
        refusals = {host: "reject" if host == env.hub.name and aloud else "drop" for host in verdicts}
        assert all(verdict in ("accept", refusals[host]) for host, verdict in verdicts.items()), (packet, verdicts)
        if in_table(table, packet, ever=True):
            known = replace(packet, state="established", syn=False)
            verdicts = {host: by_nftables(policies[host], at(known, came, goes)) for host, came, goes in way(env, packet)}
            assert (set(verdicts.values()) == {"accept"}) == in_table(table, packet), ("an open connection", packet, verdicts)


@THOROUGH
@given(meetings())
def test_connections_that_may_stay_are_those_that_may_be_opened(meeting: tuple[Environment, list[Packet]]) -> None:
    env, packets = meeting
    policies = reach_of(env).policies
    for host, policy in policies.items():
        met = [
            at(packet, came, goes)
            for packet in packets
            for met_by, came, goes in way(env, packet)
            if met_by == host and carried(policy, packet, came, goes)
        ]
        opened = [by_nftables(policy, packet) == "accept" for packet in met]
        ended: set[int] = set()
        for when in TIMES:
            then = [(number, packet) for number, packet in enumerate(met) if packet.at == when]
            ended |= _ended(flows.render(policy), [tracked(packet, number) for number, packet in then], when) if then else set()
        assert [number not in ended for number in range(len(met))] == opened, (host, met)


def carried(policy: FirewallPolicy, packet: Packet, way_in: str, way_out: str | None) -> bool:
    """Whether WireGuard brings or takes such a packet: not one of a LAN that is not linked, nor one that came from the host itself."""
    far_end = packet.source if way_in == policy.interface else packet.destination
    return any(far_end in far for far in policy.remote) and not any(packet.source in own for own in policy.local)


def tracked(packet: Packet, number: int) -> str:
    """The packet's connection as conntrack lists it, told apart by its own port or id."""
    there, back = f"src={packet.source} dst={packet.destination}", f"src={packet.destination} dst={packet.source}"
    if packet.protocol in ("tcp", "udp"):
        return f"{packet.protocol} 6 99 {there} sport={number} dport={packet.port} {back} sport={packet.port} dport={number} mark=0 use=1"
    if packet.protocol == "icmp":
        name, kind = ("icmp", 8) if packet.source.version == 4 else ("icmpv6", 128)
        return f"{name} 1 99 {there} type={kind} code=0 id={number} {back} type=0 code=0 id={number} mark=0 use=1"
    return f"unknown {200 + number} 99 {there} {back} mark=0 use=1"


def _ended(text: str, connections: list[str], now: int) -> set[int]:
    feed = text + "\n".join(connections) + "\n"
    result = subprocess.run(["mawk", "-v", f"now={now}", "-f", str(FLOWS_AWK)], input=feed, capture_output=True, text=True, check=True)
    numbers = set()
    for line in result.stdout.splitlines():
        words = line.split()
        number = next((words[i + 1] for i, word in enumerate(words) if word in ("--sport", "--icmp-id", "--icmpv6-id")), None)
        numbers.add(int(words[3]) - 200 if number is None else int(number))
    return numbers


# --- what no table says ----------------------------------------------------------------------------------------------------------------


def packet_of(source: str, destination: str, way_in: str, way_out: str | None, **rest: Any) -> Packet:
    return Packet(way_in, way_out, IPAddress(source), IPAddress(destination), "tcp", 22, **rest)


@pytest.mark.parametrize("host", ["z", "a", "c"])
def test_packets_that_are_not_the_tunnels_are_nobodys_business(host: str) -> None:
    policy = host_rules(office(), host)
    for packet in (
        packet_of("192.168.77.9", "198.51.100.9", "eth0", "eth1"),
        packet_of("192.168.77.9", "198.51.100.9", "eth0", "eth1", state="invalid"),
        packet_of("172.17.0.4", "192.168.77.9", "eth0", "docker0", syn=False),
        packet_of("198.51.100.9", "203.0.113.10", "eth0", None),
        packet_of("2001:db8::9", "2001:db8::10", "eth0", None, syn=False),
    ):
        assert by_nftables(policy, packet) == "accept"


@pytest.mark.parametrize("host", ["z", "a", "c"])
@pytest.mark.parametrize("state", ["new", "established"])
def test_sources_of_the_tunnel_come_through_nothing_else_nor_leave_by_anything_else(
    host: str, state: Literal["new", "established"]
) -> None:
    policy = host_rules(office(), host)
    own = policy.local[0].ip.format()
    assert by_nftables(policy, packet_of("10.70.0.4", "198.51.100.9", "eth0", "eth1", state=state)) == "drop"
    assert by_nftables(policy, packet_of("10.70.0.4", own, "eth0", None, state=state)) == "drop"
    assert by_nftables(policy, packet_of("198.51.100.9", own, "eth0", None, state=state)) == "drop"
    assert by_nftables(policy, packet_of("198.51.100.9", "10.70.0.4", "eth0", "eth1", state=state)) == "drop"
    assert by_nftables(policy, packet_of(own, own, "lo", None, state=state)) == "accept"


@pytest.mark.parametrize("host", ["z", "a", "c"])
def test_packet_from_the_middle_of_an_unknown_connection_is_reset_even_where_a_new_one_may_be_opened(host: str) -> None:
    policy = host_rules(office(), host)
    out = "wg0" if host == "z" else "eth0"
    assert by_nftables(policy, packet_of("10.70.0.4", "192.168.200.9", "wg0", out, syn=False)) == "reset"
    assert by_nftables(policy, packet_of("10.70.0.4", policy.local[0].ip.format(), "wg0", None, syn=False)) == "reset"
    if host != "z":
        device = "192.168.201.9" if host == "a" else "192.168.200.9"
        assert by_nftables(policy, packet_of(device, "10.70.0.4", "eth0", "wg0", syn=False)) == "reset"


def ends(ways: tuple[str, str | None]) -> tuple[str, str]:
    """Somebody of the VPN and a device, in the direction of these interfaces."""
    return ("192.168.200.9", "10.70.0.9") if ways[0] != "wg0" else ("10.70.0.9", "192.168.200.9")


def test_answers_pass_and_invalid_packets_do_not() -> None:
    policy = host_rules(office(), "c")
    for ways in (("wg0", "eth0"), ("eth0", "wg0"), ("wg0", None)):
        assert by_nftables(policy, packet_of(*ends(ways), *ways, state="established", syn=False)) == "accept"
        assert by_nftables(policy, packet_of(*ends(ways), *ways, state="invalid")) == "drop"


def test_hubs_own_networks_are_closed_even_to_answers() -> None:
    policy = host_rules(office(), "z")
    assert by_nftables(policy, packet_of("10.70.0.4", "198.51.100.9", "wg0", "eth0", state="established", syn=False)) == "reject"
    assert by_nftables(policy, packet_of("198.51.100.9", "10.70.0.4", "eth0", "wg0", state="established", syn=False)) == "drop"
