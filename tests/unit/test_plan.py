"""Properties of the plan, for random offices: one way there, one way back, and a new developer is no news to whom he does not concern."""

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork
from surely import lan_address_of, lan_of
from test_render import description, environment, host_of, keys_of

from wg_office.environment.model import Environment, Site
from wg_office.network.access import Permission, permissions
from wg_office.network.instructions import by_hand
from wg_office.network.plan import HostPlan, Tunnel, plan
from wg_office.people.profiles import profiles
from wg_office.reading.checks import check

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA5++BQ3Q6b1xTXftLLYGzq6JmeQEQXrv3TMUitrytwl"
few = settings(max_examples=40, deadline=None)
"""Offices are large to draw and slow to plan, so few of them, and no deadline on a busy machine."""

LANS = ("192.168.0.0/24", "192.168.2.0/23", "10.200.0.0/29")


def ssh(number: int, via: str | None = None) -> dict[str, Any]:
    return {"host": f"198.51.100.{number}", "host_key": HOST_KEY} | ({"via": via} if via else {})


@st.composite
def gateways(draw: st.DrawFn, number: int) -> dict[str, Any]:
    lan = IPNetwork(LANS[number])
    way_back = draw(st.sampled_from(["masquerade", "by hand", "by hand, with an address", "router", "device"]))
    gateway: dict[str, Any] = {
        "name": f"g{number}",
        "site": f"s{number}",
        "address": f"10.70.0.{number + 2}",
        "lan": {"cidr": str(lan), "address": str(lan[3])},
        "return_path": "masquerade" if way_back == "masquerade" else "static-route",
        "firewall": draw(st.sampled_from(["nftables", "iptables", "firewalld"])),
        "ssh": ssh(10 + number, draw(st.sampled_from([None, "hub"]))),
        "retired": draw(st.sampled_from([False, False, False, True])),
    }
    if way_back in ("router", "by hand, with an address"):
        gateway["router"] = {"address": str(lan[2])} | ({"ssh": ssh(20 + number)} if way_back == "router" else {})
    if way_back == "device":
        gateway["devices"] = [{"name": f"d{number}", "address": str(lan[2]), "ssh": ssh(30 + number)}]
    return gateway


@st.composite
def accesses(draw: st.DrawFn, sites: list[dict[str, Any]], others: Iterable[str]) -> list[Any]:
    """What a developer may reach. Of a LAN whose router does not take part, only the device that knows the way back."""
    access: list[Any] = []
    for gateway in draw(st.lists(st.sampled_from(sites), unique_by=lambda each: each["site"])) if sites else []:
        host = str(IPNetwork(gateway["lan"]["cidr"])[2])
        whole = "devices" not in gateway and draw(st.booleans())
        access.append(gateway["site"] if whole else {"site": gateway["site"], "hosts": [host], "ports": ["22/tcp", "icmp"]})
    return [*access, *({"developer": name} for name in draw(st.lists(st.sampled_from(sorted(others)), unique=True)))] if others else access


@st.composite
def offices(draw: st.DrawFn, spare: bool = False) -> dict[str, Any]:
    """An office as its file would say; with `spare`, its last developer is one whom nobody else names."""
    sites = [draw(gateways(number)) for number in range(draw(st.integers(0, len(LANS))))]
    names = [f"dev{number}" for number in range(draw(st.integers(1, 3)))]
    developers = []
    for number, name in enumerate(names):
        others = [other for other in names if other != name and not (spare and other == names[-1])]
        developers.append({"name": name, "address": f"10.70.1.{number + 1}", "access": draw(accesses(sites, others))})
    pairs = [(one["site"], other["site"]) for one in sites for other in sites if one is not other and "devices" not in other]
    links = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=2)) if pairs else []
    return {
        "environment": "dev",
        "network": {"cidr": "10.70.0.0/16"} | draw(st.sampled_from([{}, {"cidr6": "fd70::/64"}])),
        "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": ssh(1)},
        "gateways": sites,
        "developers": developers,
        "links": [{"from": one, "to": other} for one, other in links],
    }


def office(data: dict[str, Any]) -> Environment:
    env = Environment.model_validate(data)
    assert check(env) == []
    return env


def plans_of(env: Environment) -> dict[str, HostPlan]:
    return {host.name: host for host in plan(env)}


def tunnel_of(host: HostPlan) -> Tunnel:
    assert host.tunnel is not None
    return host.tunnel


def to_lans(env: Environment) -> list[tuple[Permission, IPAddress, IPAddress]]:
    """Each developer's permission in a LAN: the permission, the developer's address, an address that it lets him reach."""
    wanted = [item for item in permissions(env) if item.source.kind == "developer" and item.destination.kind == "site"]
    return [(item, env.peer(item.source.name).address, IPAddress(item.destination.networks[0].last)) for item in wanted]


def takers(tunnel: Tunnel, address: IPAddress) -> list[str]:
    """The peers to whom WireGuard would send a packet for this address, and from whom it would take one."""
    return [peer.name for peer in tunnel.peers if any(address in prefix for prefix in peer.allowed_ips)]


def known_ways(env: Environment, plans: dict[str, HostPlan], gateway: Site, target: IPAddress) -> list[str]:
    """Everything that brings the target's answers back to the gateway."""
    policy = plans[gateway.name].policy
    assert policy is not None
    ways = ["masquerade" for spec in policy.masquerade if target in spec.destination]
    setters = [f"{gateway.name}-router", *(device.name for device in gateway.devices if device.address == target)]
    ways += [name for name in setters if name in plans and plans[name].routes]
    # Where devices know the way back by the program, the instruction is for the others.
    told = [] if any(device.address == target for device in gateway.devices) else by_hand(env)
    return ways + [text for text in told if text == f"ip route replace {env.network.cidr} via {lan_address_of(gateway)}"]


# --- one way there, one way back -------------------------------------------------------------------------------------------------------


@few
@given(offices())
def test_whoever_may_enter_a_lan_has_exactly_one_way_there(data: dict[str, Any]) -> None:
    env = office(data)
    plans = plans_of(env)
    hub = tunnel_of(plans[env.hub.name])
    for item, developer, target in to_lans(env):
        gateway = env.gateway_of(item.destination.name)
        assert takers(hub, target) == [gateway.name]
        assert [prefix for prefix in hub.routes if target in prefix] == [lan_of(gateway).cidr]
        assert not any(target in prefix for prefix in tunnel_of(plans[gateway.name]).routes), "the gateway sends it into its LAN"
        for profile in profiles(env, next(each for each in env.clients if each.address == developer)):
            if profile.site != gateway.site:
                assert sum(target in IPNetwork(prefix) for prefix in profile.allowed_ips) == 1


@few
@given(offices())
def test_the_lan_has_exactly_one_way_back(data: dict[str, Any]) -> None:
    env = office(data)
    plans = plans_of(env)
    for item, developer, target in to_lans(env):
        gateway = env.gateway_of(item.destination.name)
        assert len(known_ways(env, plans, gateway, target)) == 1
        assert takers(tunnel_of(plans[gateway.name]), developer) == [env.hub.name]
        assert takers(tunnel_of(plans[env.hub.name]), developer) == [item.source.name]


@few
@given(offices())
def test_routes_back_lead_from_the_vpn_and_linked_lans_to_the_gateways_address_in_that_lan(data: dict[str, Any]) -> None:
    env = office(data)
    plans = plans_of(env)
    for gateway in env.gateways:
        for host in plans.values():
            if host.name in (f"{gateway.name}-router", *(device.name for device in gateway.devices)):
                assert {route.via for route in host.routes} == {lan_address_of(gateway)}
                linked = tunnel_of(plans[gateway.name]).routes
                assert [route.destination for route in host.routes] == [env.network.cidr, *linked]


@few
@given(offices())
def test_linked_lans_reach_each_other_through_both_gateways(data: dict[str, Any]) -> None:
    env = office(data)
    plans = plans_of(env)
    for link in env.links:
        opener, reached = env.gateway_of(link.from_), env.gateway_of(link.to)
        for here, there in ((opener, reached), (reached, opener)):
            if not here.is_active:
                continue
            tunnel = tunnel_of(plans[here.name])
            assert (lan_of(there).cidr in tunnel.routes) is there.is_active
            assert takers(tunnel, lan_address_of(there)) == ([env.hub.name] if there.is_active else [])


# --- AllowedIPs ------------------------------------------------------------------------------------------------------------------------


@few
@given(offices())
def test_no_two_peers_of_the_hub_overlap(data: dict[str, Any]) -> None:
    env = office(data)
    prefixes = [prefix for peer in tunnel_of(host_of(env, env.hub.name)).peers for prefix in peer.allowed_ips]
    for one, other in combinations(prefixes, 2):
        assert one not in other
        assert other not in one


@few
@given(offices())
def test_the_hubs_peers_are_everybody_else_and_a_gateways_only_peer_is_the_hub(data: dict[str, Any]) -> None:
    env = office(data)
    keepalive = env.network.keepalive
    peers = tunnel_of(host_of(env, env.hub.name)).peers
    assert [peer.name for peer in peers] == [*(each.name for each in env.gateways), *(each.name for each in env.developers)]
    assert all(peer.endpoint is None and peer.keepalive is None and peer.psk_of == peer.name for peer in peers)
    for gateway in env.active_gateways:
        tunnel = tunnel_of(host_of(env, gateway.name))
        (hub,) = tunnel.peers
        assert (hub.name, hub.psk_of, hub.endpoint, hub.keepalive) == (env.hub.name, gateway.name, env.hub.endpoint, keepalive)
        assert tunnel.listen_port == 51820, "what files say that name none"


@few
@given(offices())
def test_a_retired_gateways_lan_is_nowhere(data: dict[str, Any]) -> None:
    env = office(data)
    for gateway in (each for each in env.gateways if each.retired):
        for host in plan(env):
            assert gateway.name != host.name, "the host itself is taken down"
            if host.tunnel is not None:
                assert lan_of(gateway).cidr not in host.tunnel.routes
                assert takers(host.tunnel, lan_address_of(gateway)) == []


# --- what a change touches -------------------------------------------------------------------------------------------------------------


def changed(one: Environment, other: Environment) -> set[str]:
    hosts = [host.name for host in plan(one)]
    assert hosts == [host.name for host in plan(other)]
    return {name for name in hosts if description(one, name) != description(other, name)}


@few
@given(offices(spare=True), st.integers(0, 3))
def test_a_new_developer_changes_the_hub_and_the_gateways_that_let_them_in(data: dict[str, Any], position: int) -> None:
    *others, new = data["developers"]
    before = office(data | {"developers": others})
    after = office(data | {"developers": [*others[:position], new, *others[position:]]})
    entered = {item.destination.name for item in permissions(after) if item.source.name == new["name"] and item.destination.kind == "site"}
    assert changed(before, after) == {after.hub.name, *(after.gateway_of(site).name for site in entered)}


@few
@given(offices(spare=True), st.integers(0, 3))
def test_a_new_developer_is_one_more_peer_and_no_other_line_of_the_hubs_netdev(data: dict[str, Any], position: int) -> None:
    *others, new = data["developers"]
    before = tunnel_of(host_of(office(data | {"developers": others}), "z"))
    after = tunnel_of(host_of(office(data | {"developers": [*others[:position], new, *others[position:]]}), "z"))
    assert [peer for peer in after.peers if peer.name != new["name"]] == list(before.peers)
    assert (before.routes, before.addresses) == (after.routes, after.addresses)


def test_every_peer_of_the_article_has_keys_of_its_own() -> None:
    env = environment("article")
    made = keys_of(env).values()
    assert len({each.public_key for each in made}) == len({each.preshared_name for each in made}) == len(env.peers)


def test_a_gateway_listens_on_the_port_that_it_is_given() -> None:
    env = environment("article")
    a, c = env.gateways
    moved = env.model_copy(update={"gateways": (a.model_copy(update={"listen_port": 51821}), c)})
    assert [tunnel_of(host_of(moved, name)).listen_port for name in ("z", "a", "c")] == [51820, 51821, 51820]


# --- a masquerading site that opens connections itself ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("links", "destinations"), [([("s0", "s1")], ["192.168.2.0/23"]), ([("s1", "s0")], None)])
def test_the_program_sets_the_routes_of_what_a_masquerading_lan_opens(links: list[tuple[str, str]], destinations: list[str] | None) -> None:
    """On its router or devices; of answers, which are masqueraded, the LAN needs none, and the router stays as it is."""
    lans = [IPNetwork(lan) for lan in LANS[:2]]
    sites: list[dict[str, Any]] = [
        {
            "name": f"g{number}",
            "site": f"s{number}",
            "address": f"10.70.0.{number + 2}",
            "lan": {"cidr": str(lan), "address": str(lan[3])},
            "return_path": "masquerade",
            "ssh": ssh(10 + number),
        }
        for number, lan in enumerate(lans)
    ]
    sites[0]["router"] = {"ssh": ssh(20)}
    hub = {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": ssh(1)}
    env = Environment.model_validate(
        {
            "environment": "dev",
            "network": {"cidr": "10.70.0.0/16"},
            "hub": hub,
            "gateways": sites,
            "links": [{"from": one, "to": other} for one, other in links],
        }
    )
    plans = plans_of(env)
    assert ("g0-router" in plans) == (destinations is not None)
    if destinations is not None:
        assert [(str(route.destination), route.via) for route in plans["g0-router"].routes] == [(each, lans[0][3]) for each in destinations]
