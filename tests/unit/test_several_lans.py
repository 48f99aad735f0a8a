"""Sites with several networks, the hub's own among them: one way there, one way back, and what people are given for it."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from netaddr import IPAddress, IPNetwork
from test_firewall_decision import offices

from wg_office.asking.status import pings
from wg_office.commands.access_report import rows
from wg_office.environment.model import Environment, Lan, Site
from wg_office.network.access import FirewallPolicy, Permission, permissions, reach_of
from wg_office.network.enforced import enforced
from wg_office.network.extent import both, extent, less
from wg_office.network.instructions import LONGEST, by_hand
from wg_office.network.plan import HostPlan, Route, Tunnel, plan, router_routes, way_back_routes
from wg_office.people.profiles import AT, EVERYDAY, profiles
from wg_office.reading.checks import check
from wg_office.reading.load import load
from wg_office.review.difference import difference

EXAMPLE = Path(__file__).parents[2] / "configs" / "example-several-lans.yaml"
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.fixture(scope="module")
def grown() -> Environment:
    return load(EXAMPLE)


def tunnel_of(hosts: dict[str, HostPlan], name: str) -> Tunnel:
    tunnel = hosts[name].tunnel
    assert tunnel is not None
    return tunnel


def plans(env: Environment) -> dict[str, HostPlan]:
    return {host.name: host for host in plan(env)}


def into_sites(env: Environment) -> list[tuple[Permission, Site, Lan, IPAddress]]:
    """Each permission in a site, by each network that it names: the site's host, the LAN, and an address in it."""
    found = []
    for item in permissions(env):
        if item.destination.kind == "site":
            site = env.gateway_of(item.destination.name)
            for network in item.destination.networks:
                lan = next(each for each in site.networks if network in each.cidr)
                found.append((item, site, lan, IPAddress(network.last, network.version)))
    return found


# --- one way there, one way back -------------------------------------------------------------------------------------------------------


@few
@given(offices())
def test_no_two_peers_of_the_hub_share_an_address_and_its_own_networks_are_nobodys(env: Environment) -> None:
    hub = tunnel_of(plans(env), env.hub.name)
    prefixes = [prefix for peer in hub.peers for prefix in peer.allowed_ips] + [*env.hub.prefixes]
    assert not [one for number, one in enumerate(prefixes) for other in prefixes[:number] if one in other or other in one]
    assert not {*env.hub.prefixes} & {*hub.routes}, "what is on-link at the hub is never routed into the tunnel"


@few
@given(offices())
def test_each_grant_has_exactly_one_way_there(env: Environment) -> None:
    hosts = plans(env)
    hub = tunnel_of(hosts, env.hub.name)
    for item, site, _, target in into_sites(env):
        takers = [peer.name for peer in hub.peers if any(target in prefix for prefix in peer.allowed_ips)]
        routes = [prefix for prefix in hub.routes if target in prefix]
        assert (takers, len(routes)) == (([], 0) if site is env.hub else ([site.name], 1))
        if site is not env.hub:
            assert not [prefix for prefix in tunnel_of(hosts, site.name).routes if target in prefix], "it goes into the LAN from here"
        if item.source.kind == "site" and item.source.name != env.hub.site:
            opener = tunnel_of(hosts, env.gateway_of(item.source.name).name)
            assert [prefix for prefix in opener.routes if target in prefix] != []


@few
@given(offices())
def test_each_grants_answers_have_exactly_one_way_back(env: Environment) -> None:
    policies = reach_of(env).policies
    for item, site, lan, _ in into_sites(env):
        policy = policies[site.name]
        for source in (each for each in item.source.networks if each.version == lan.cidr.version):
            masked = [spec for spec in policy.masquerade if lan.cidr == spec.destination and any(source in each for each in spec.sources)]
            routed = [route for route in known_routes(site, lan, policy) if source in route.destination]
            asked = not lan.outside and (not site.masquerades(lan) or opens(policy, source))
            assert (len(masked), len(routed)) == (int(site.masquerades(lan)), int(asked))


def known_routes(site: Site, lan: Lan, policy: FirewallPolicy) -> list[Route]:
    """What the LAN's own router is asked to know; a router behind which it lies, of the LAN in which that one stands."""
    by = site.around(lan.router) if lan.router is not None else None
    return list(way_back_routes(site, lan, policy, by))


def opens(policy: FirewallPolicy, source: IPNetwork) -> bool:
    """Whether the site opens connections to whoever opens them here: then it needs the route besides."""
    return any(
        source in prefix and network in prefix for prefix in policy.remote for rule in policy.to_tunnel for network in rule.destinations
    )


@few
@given(offices())
def test_a_developers_file_leads_to_what_he_reaches_once_and_at_the_office_not_at_all(env: Environment) -> None:
    for item, site, _, target in into_sites(env):
        if item.source.kind != "developer":
            continue
        for profile in profiles(env, next(each for each in env.clients if each.developer.name == item.source.name)):
            listed = [prefix for prefix in profile.allowed_ips if target in IPNetwork(prefix)]
            assert len(listed) == (0 if profile.kind == AT + site.site_name else 1)


@few
@given(offices())
def test_what_hosts_enforce_is_what_the_file_grants(env: Environment) -> None:
    assert_hosts_enforce_what_is_granted(env)


def assert_hosts_enforce_what_is_granted(env: Environment) -> None:
    """For each developer's machine: in the sites' networks, by whichever prefix, just what is granted is reached."""
    policies = reach_of(env).policies
    for client in env.clients:
        source = IPNetwork(client.address)
        granted = [item for item in permissions(env) if source in item.source.networks]
        wanted = frozenset(box for item in granted for box in extent(item.destination.networks, item.ports, item.destination.apart_from))
        reached = enforced(env, policies, source)
        assert not less(frozenset(box for box in wanted if box.version == 4), reached)
        lans = extent([prefix for site in env.sites for prefix in (*site.prefixes, *site.own_prefixes)], ())
        assert not less(both(reached, lans), wanted)


# --- the example -----------------------------------------------------------------------------------------------------------------------


def test_a_site_by_name_is_all_of_its_networks(grown: Environment) -> None:
    (whole,) = (item for item in permissions(grown) if item.source.name == "tang" and item.destination.name == "chengdu")
    assert whole.destination.networks == grown.gateway_of("chengdu").prefixes
    assert [str(each.ip) for each in whole.destination.apart_from] == ["192.168.60.2", "192.168.61.2", "2001:db8:60::2"]


def test_one_lan_written_as_lans_is_what_lan_is() -> None:
    raw = yaml.safe_load((Path(__file__).parents[1] / "golden" / "hosts" / "article" / "environment.yaml").read_text(encoding="utf-8"))
    env = Environment.model_validate(raw)
    for gateway in raw["gateways"]:
        gateway["lans"] = [gateway.pop("lan")]
    other = Environment.model_validate(raw)
    assert (plan(other), by_hand(other), rows(other)) == (plan(env), by_hand(env), rows(env))


def test_what_lies_in_the_internet_opens_nothing_and_is_listed_as_it_is(grown: Environment) -> None:
    partner = IPNetwork("198.51.100.80/32")
    assert partner not in grown.gateway_of("chengdu").inner
    everyday = next(profile for profile in profiles(grown, grown.clients[0]) if profile.kind == EVERYDAY)
    assert str(partner) in everyday.allowed_ips


def test_an_ipv6_lan_is_widened_to_the_two_networks_that_every_customer_has(grown: Environment) -> None:
    everyday = next(profile for profile in profiles(grown, grown.clients[0]) if profile.kind == EVERYDAY)
    assert "2001:db8:60::/63" in everyday.allowed_ips


def test_the_sites_router_is_asked_once_and_a_router_behind_which_something_is_masqueraded_not_at_all(grown: Environment) -> None:
    told = by_hand(grown)
    assert [item for item in told if "on the router" in item] == ["site chengdu: on the router 192.168.60.1 add these 3 routes"]
    assert "ip -6 route replace fd74:6f66:6669::/64 via 2001:db8:60::2" in told
    assert max(map(len, told)) <= LONGEST


def test_a_hub_as_a_site_is_asked_for_the_clouds_check_only_where_a_route_is_set(grown: Environment) -> None:
    asked = "switch off the source/destination check of hub"
    masked = grown.model_copy(update={"hub": grown.hub.model_copy(update={"return_path": "masquerade"})})
    assert any(asked in item for item in by_hand(grown))
    assert any(asked in item for item in by_hand(masked)), "the cloud's servers open connections, too"
    assert not any(asked in item for item in by_hand(masked.model_copy(update={"links": ()})))


def test_the_table_names_the_hub_once_where_it_is_the_site_too(grown: Environment) -> None:
    assert {row.enforced_at for row in rows(grown) if "cloud" in row.may_reach} == {"hub"}


def test_a_network_that_comes_is_a_change_of_hub_gateway_and_file(grown: Environment) -> None:
    (west,) = grown.gateways
    fewer = grown.model_copy(update={"gateways": (west.model_copy(update={"lans": west.lans[:2]}),)})
    found = difference(fewer, grown)
    assert {host.host for host in found.hosts if host.verdict != "not touched"} == {"hub", "west"}
    assert any(change.section == "new files" and change.who == ("tang", "yu") for change in found.changes)


def test_devices_of_the_hub_get_their_route_over_it_and_are_pinged_by_its_name() -> None:
    ssh = {"host": "203.0.113.60"}
    device = {"name": "db", "address": "10.10.0.9", "ssh": {"host": "10.10.0.9", "via": "hub"}}
    hub = {"name": "hub", "address": "10.74.0.1", "endpoint": "203.0.113.60:51820", "ssh": ssh, "site": "cloud", "devices": [device]}
    hub |= {"lans": [{"cidr": "10.10.0.0/24", "address": "10.10.0.19"}]}
    env = Environment.model_validate({"environment": "cloud", "network": {"cidr": "10.74.0.0/16"}, "hub": hub})
    assert check(env) == []
    made = plans(env)["db"]
    assert [(str(route.destination), str(route.via)) for route in made.routes] == [("10.74.0.0/16", "10.10.0.19")]
    assert [(ping.to, str(ping.address)) for ping in pings(env, made)] == [("hub", "10.10.0.19")]


def test_a_router_is_not_told_twice_what_two_of_its_lans_need() -> None:
    env = load(EXAMPLE)
    routes = router_routes(env.gateways[0], reach_of(env).policies["west"])
    assert len({route.destination for route in routes}) == len(routes)
