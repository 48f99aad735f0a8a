"""Grants become permissions, and permissions become what one host enforces."""

from pathlib import Path
from typing import Any

import yaml
from netaddr import IPAddress, IPNetwork

from wg_office.environment.faults import dotted
from wg_office.environment.model import Environment
from wg_office.network.access import FirewallPolicy, Permission, permissions, reach_of

OFFICE = Path(__file__).parents[1] / "golden" / "firewall" / "office" / "environment.yaml"


def host_rules(env: Environment, host: str) -> FirewallPolicy:
    return reach_of(env).policies[host]


def office(**changes: Any) -> Environment:
    return Environment.model_validate(yaml.safe_load(OFFICE.read_text(encoding="utf-8")) | changes)


def with_gateway_c(**changes: Any) -> Environment:
    gateways = yaml.safe_load(OFFICE.read_text(encoding="utf-8"))["gateways"]
    return office(gateways=[gateways[0], gateways[1] | changes])


def with_access_of_e(*access: Any) -> Environment:
    return office(developers=[{"name": "e", "address": "10.70.0.4", "access": list(access)}, {"name": "f", "address": "10.70.0.5"}])


def of(env: Environment, name: str) -> list[Permission]:
    return [item for item in permissions(env) if item.source.name == name]


def told(item: Permission) -> tuple[str, list[str], list[str]]:
    return str(item.destination), [str(network) for network in item.destination.networks], [str(port) for port in item.ports]


def test_developer_without_a_line_reaches_nothing() -> None:
    assert of(office(), "idle") == []


def test_site_by_name_is_its_whole_lan_on_everything() -> None:
    assert told(of(office(), "e")[0]) == ("site shenzhen", ["192.168.201.0/24"], [])


def test_each_permission_names_the_line_that_says_so_and_the_groups_in_between() -> None:
    pinging = next(item for item in of(office(), "f") if item.destination.name == "z")
    assert dotted(pinging.because) == "developers[1].access[0]"
    assert [dotted(path) for path in pinging.through] == ["groups.ops.access[1]", "groups.pingers.access[0]"]
    assert pinging.groups == ("ops", "pingers")


def test_overlapping_hosts_and_ports_are_made_one() -> None:
    assert told(of(office(), "f")[0]) == ("site shenzhen", ["192.168.201.48/29"], ["8000-8200/tcp"])


def test_group_inside_itself_adds_nothing_and_ends() -> None:
    looped = {"a": {"access": [{"group": "b"}, "beijing"]}, "b": {"access": [{"group": "a"}]}, "ops": {"access": []}}
    env = with_access_of_e({"group": "a"}).model_copy(update={"groups": office(groups=looped).groups})
    assert [str(item.destination) for item in of(env, "e")] == ["site beijing"]


def test_links_and_what_a_lan_may_open_come_from_its_prefix() -> None:
    link, opened = permissions(office())[-1], of(office(), "beijing")[0]
    assert (str(link.source), told(link), dotted(link.because)) == (
        "site shenzhen",
        ("site beijing", ["192.168.200.244/32"], ["5432/tcp"]),
        "links[0]",
    )
    assert (str(opened.source.networks[0]), str(opened.destination), dotted(opened.because)) == (
        "192.168.200.0/24",
        "developer f",
        "gateways[1].access[0]",
    )


def test_ssh_through_the_hub_is_a_permission_like_any_other() -> None:
    via = of(office(), "z")[0]
    assert told(via) == ("host c", ["10.70.0.3/32", "fd70::3/128"], ["22/tcp"])
    assert dotted(via.because) == "gateways[1].ssh.via"


def test_ssh_through_the_hub_to_the_lan_address_opens_that_address() -> None:
    env = with_gateway_c(ssh={"host": "192.168.200.248", "port": 2022, "via": "hub"})
    assert told(of(env, "z")[0]) == ("host c", ["10.70.0.3/32", "fd70::3/128", "192.168.200.248/32"], ["2022/tcp"])


def test_nobody_reaches_or_leaves_a_retired_site() -> None:
    env = with_gateway_c(retired=True)
    assert {str(item.destination) for item in permissions(env)} == {"site shenzhen", "developer f", "host z"}
    policy = host_rules(env, "c")
    assert (policy.from_tunnel, policy.to_tunnel, policy.masquerade) == ((), (), ())


def test_grant_to_a_lan_does_not_open_the_gateway_in_it() -> None:
    env = with_access_of_e("beijing")
    assert not of(env, "e")[0].allows(IPAddress("10.70.0.4"), IPAddress("192.168.200.248"), "tcp", 22)
    assert [rule.sender for rule in host_rules(env, "c").to_host] == ["host-z"]


def test_grant_that_names_the_gateways_lan_address_opens_it_at_the_gateway_itself() -> None:
    env = with_access_of_e({"site": "beijing", "hosts": ["192.168.200.248", "192.168.200.9"], "ports": ["80/tcp"]})
    policy = host_rules(env, "c")
    assert [rule.destinations for rule in policy.to_host if rule.sender == "developer-e"] == [(IPNetwork("192.168.200.248/32"),)]
    assert [rule.destinations for rule in policy.from_tunnel if rule.sender == "developer-e"] == [(IPNetwork("192.168.200.9/32"),)]


def test_gateway_knows_only_those_whom_it_lets_in() -> None:
    env = with_access_of_e("shenzhen")
    assert host_rules(env, "c") == host_rules(with_access_of_e(), "c")
    assert host_rules(env, "a") != host_rules(with_access_of_e(), "a")
    assert host_rules(env, "z") != host_rules(with_access_of_e(), "z")


def test_order_of_the_file_changes_no_host() -> None:
    env = office()
    turned = env.model_copy(update={"developers": env.developers[::-1], "links": env.links[::-1]})
    assert reach_of(turned).policies == reach_of(env).policies


def test_new_line_above_changes_no_rule_of_others() -> None:
    env = office()
    first = with_access_of_e().developers[0].model_copy(update={"name": "aa", "address": IPAddress("10.70.0.9")})
    assert reach_of(env.model_copy(update={"developers": (first, *env.developers)})).policies == reach_of(env).policies


def test_two_lines_that_come_to_the_same_share_a_rule() -> None:
    env = with_access_of_e("beijing", {"site": "beijing"}, {"group": "all"}).model_copy(
        update={"groups": office(groups={"all": {"access": ["beijing"]}, "ops": {"access": []}}).groups}
    )
    assert len(of(env, "e")) == 3
    assert [rule.note for rule in host_rules(env, "c").from_tunnel if rule.sender == "developer-e"] == [
        "e: site beijing; e: site beijing, by group all"
    ]


def test_hub_passes_everything_on_but_what_is_for_itself() -> None:
    policy = host_rules(office(), "z")
    assert policy.to_tunnel == ()
    assert [(rule.sender, rule.note) for rule in policy.to_host] == [("developer-f", "f: host z, by group ops and pingers")]
    assert "host-z" not in {rule.sender for rule in policy.from_tunnel}


def test_masquerade_is_for_the_vpn_and_linked_lans_into_the_lan_by_its_interface() -> None:
    (spec,) = host_rules(office(), "c").masquerade
    assert [str(source) for source in spec.sources] == ["10.70.0.0/16", "192.168.201.0/24"]
    assert (str(spec.destination), spec.interface) == ("192.168.200.0/24", "eth0")
    assert host_rules(office(), "a").masquerade == ()


def test_mss_fits_the_tunnel() -> None:
    assert (host_rules(office(), "z").mss, host_rules(office(), "z").mss6) == (1340, 1320)


def test_the_hub_and_each_gateway_have_a_policy_and_nobody_else() -> None:
    assert {name: policy.host for name, policy in reach_of(office()).policies.items()} == {name: name for name in ("z", "a", "c")}
