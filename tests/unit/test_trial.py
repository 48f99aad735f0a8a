"""A lab made from an environment: who is plugged in where, what is tried, and what is left of a file that is too large."""

import socket
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from netaddr import IPNetwork
from test_aliases import few, translating

from lab.nodes import Forward, Kind, Node
from lab.seed import port_name, router_rules
from lab.trial import inside
from lab.trial.attempts import Attempt, attempts, plan
from lab.trial.cut import cut_down, with_ways
from lab.trial.ground import Ground, ground
from lab.trial.spread import spread
from wg_office.environment.grants import ICMP, PortRange
from wg_office.environment.model import Environment
from wg_office.network.access import Reach, reach_of
from wg_office.network.enforced import enforced
from wg_office.network.extent import both, extent
from wg_office.reading.load import load

CLONE = Path(__file__).parents[2]
FILES = sorted([*(CLONE / "configs").glob("*.yaml"), CLONE / "tests" / "golden" / "firewall" / "office" / "environment.yaml"])
SSH = {"host": "192.0.2.9", "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJSo0YwaARrdMHOixv+SqeMTv1LEwZOBD96gpP8bvbYt"}


@cache
def of(file: Path) -> Environment:
    return load(file, require_host_keys=False)


def laid_out(env: Environment) -> Ground:
    return ground(env, reach_of(env))


@cache
def on(file: Path) -> Ground:
    return laid_out(of(file))


@cache
def tried(file: Path) -> tuple[Attempt, ...]:
    return attempts(on(file), reach_of(of(file)).permissions)


def large(gateways: int = 12, people: int = 40, **more: Any) -> dict[str, Any]:
    sites = [f"s{number}" for number in range(gateways)]
    return {
        "environment": "large",
        "network": {"cidr": "10.70.0.0/16"},
        "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": SSH},
        "gateways": [
            {
                "name": f"g{number}",
                "site": site,
                "address": f"10.70.1.{number}",
                "lan": {"cidr": f"192.168.{number}.0/24", "address": f"192.168.{number}.2"},
                "ssh": SSH,
            }
            for number, site in enumerate(sites)
        ],
        "developers": [
            {
                "name": f"p{number}",
                "address": f"10.70.2.{number}",
                "access": [sites[0], {"developer": "p0"}][: 1 + number % 2],
            }
            for number in range(people)
        ],
        "links": [{"from": sites[0], "to": sites[-1]}],
    } | more


each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


# --- the ground --------------------------------------------------------------------------------------------------------------------------


@each_file
def test_the_ground_is_a_function_of_the_environment(file: Path) -> None:
    assert laid_out(of(file)) == on(file)


@each_file
def test_an_address_is_used_once_on_its_bridge(file: Path) -> None:
    assert_addresses_are_used_once(on(file))


def assert_addresses_are_used_once(made: Ground) -> None:
    used = Counter((link.bridge, IPNetwork(each).ip) for node in made.topology.nodes for link in node.links for each in link.addresses)
    assert max(used.values()) == 1, used


@each_file
def test_every_way_out_is_a_neighbour_that_forwards(file: Path) -> None:
    nodes = on(file).topology.nodes
    for node in nodes:
        for way_out in filter(None, (node.gateway, node.gateway6)):
            bridges = [link.bridge for link in node.links for each in link.addresses if IPNetwork(way_out) in IPNetwork(each)]
            neighbours = [other for other in nodes if other is not node and any(has(other, bridge, way_out) for bridge in bridges)]
            assert [other.kind is not Kind.DEVICE for other in neighbours] == [True], (node.name, way_out)


def has(node: Node, bridge: str, address: str) -> bool:
    return any(link.bridge == bridge and str(IPNetwork(each).ip) == address for link in node.links for each in link.addresses)


@each_file
def test_machines_have_their_addresses_and_hosts_a_port(file: Path) -> None:
    made = on(file)
    for machine in made.machines:
        plugged = any(has(made.topology.by_name[machine.node], link.bridge, str(machine.real)) for link in links_of(made, machine.node))
        assert plugged or machine.kind != "site"
    assert {made.topology.by_name[name].kind for name in made.hosts.values()} == {Kind.HOST}
    offsets = [node.ssh_offset for node in made.topology.hosts]
    assert sorted(set(offsets), key=str) == sorted(offsets, key=str)


def links_of(made: Ground, name: str) -> Iterator[Any]:
    return iter(made.topology.by_name[name].links)


@each_file
def test_names_of_cables_fit_the_kernels_fifteen_characters_and_are_unique(file: Path) -> None:
    names = [port_name(node, link.name) for node in on(file).topology.nodes for link in node.links]
    assert max(map(len, names)) <= 15
    assert len(set(names)) == len(names)


def test_equal_lans_do_not_meet() -> None:
    nodes = on(CLONE / "configs" / "example-same-lans.yaml").topology.nodes
    bridges = [link.bridge for node in nodes for link in node.links if node.is_host and link.address == "192.168.1.2/24"]
    assert bridges == ["lan1a", "lan2a"]


def test_a_machine_is_known_by_its_alias_and_has_its_own_address() -> None:
    env = of(CLONE / "configs" / "example-same-lans.yaml")
    assert ("10.99.1.53", "192.168.1.53") in {(str(each.address), str(each.real)) for each in laid_out(env).machines}


def test_who_cannot_be_tried_is_named_with_the_reason() -> None:
    said = laid_out(of(CLONE / "configs" / "example-unmanaged.yaml")).left_out
    assert "site depot: nobody logs in to tik" in said


# --- what is tried -----------------------------------------------------------------------------------------------------------------------


@each_file
def test_every_permission_between_those_who_are_there_is_tried(file: Path) -> None:
    env = of(file)
    made, granted = on(file), reach_of(env).permissions
    there = {(each.kind, each.name) for each in made.machines}
    possible = {
        number
        for number, item in enumerate(granted)
        if {(item.source.kind, item.source.name), (item.destination.kind, item.destination.name)} <= there
    }
    shown = {each.permission for each in attempts(made, granted) if each.allowed}
    same = {number for number in possible if any(granted[number] != granted[other] for other in shown)}
    assert possible - shown <= same
    assert shown


@each_file
def test_the_rules_of_the_hosts_say_what_the_access_table_says(file: Path) -> None:
    env = of(file)
    reach = reach_of(env)
    for each in tried(file):
        assert_rules_agree(env, reach, each)


def assert_rules_agree(env: Environment, reach: Reach, each: Attempt) -> None:
    ports = (ICMP,) if each.protocol == "icmp" else (PortRange(each.protocol, each.port, each.port),)
    reached = enforced(env, reach.policies, IPNetwork(each.sender.address))
    assert bool(both(reached, extent([IPNetwork(each.target.address)], ports))) is each.allowed, each


@each_file
def test_nothing_is_tried_twice_and_no_edge_is_a_permission(file: Path) -> None:
    made = tried(file)
    assert len({(each.sender.address, each.target.address, each.on) for each in made}) == len(made)
    assert {each.why == "granted" for each in made if each.allowed} == {True}
    assert {each.why == "granted" for each in made if not each.allowed} <= {False}


def test_beside_a_permission_its_edges_are_tried() -> None:
    made = [each for each in tried(CLONE / "configs" / "dev.yaml") if each.permission == 3]
    assert {(str(each.target.address), each.on, each.why) for each in made} >= {
        ("192.168.200.244", "22/tcp", "granted"),
        ("192.168.200.244", "23/tcp", "next port"),
        ("192.168.200.244", "443/udp", "next port"),
        ("192.168.200.245", "22/tcp", "next host"),
        ("192.168.201.2", "22/tcp", "another site"),
        ("192.168.200.248", "22/tcp", "the gateway itself"),
        ("10.70.0.1", "22/tcp", "the hub itself"),
        ("10.70.0.5", "22/tcp", "from the LAN"),
    }


def test_ipv6_is_tried_where_it_is() -> None:
    made = tried(CLONE / "configs" / "example-several-lans.yaml")
    assert {each.allowed for each in made if each.target.address.version == 6} == {True, False}


@pytest.mark.parametrize("at_most", [1, 3, 20, 40, 1000])
def test_with_little_room_permissions_come_first(at_most: int) -> None:
    env = of(CLONE / "configs" / "dev.yaml")
    made, granted = laid_out(env), reach_of(env).permissions
    chosen = plan(made, granted, at_most)
    assert (len(chosen.attempts), chosen.permissions) == (min(at_most, chosen.possible), min(at_most, len(granted)))
    assert len(chosen.untried) == len(granted) - chosen.permissions


@pytest.mark.parametrize(("length", "at_most"), [(0, 3), (3, 3), (10, 4), (1000, 7), (5, 0)])
def test_a_spread_begins_at_the_first_and_keeps_equal_distances(length: int, at_most: int) -> None:
    chosen = spread(range(length), at_most)
    assert len(chosen) == min(length, at_most)
    distances = [after - before for before, after in pairwise(chosen)]
    assert chosen[:1] == tuple(range(length))[: min(1, at_most)]
    assert max(distances, default=0) - min(distances, default=0) <= 1


# --- any office --------------------------------------------------------------------------------------------------------------------------


@settings(few, max_examples=10)
@given(translating())
def test_any_office_is_laid_out_and_its_rules_say_what_its_table_says(env: Environment) -> None:
    reach = reach_of(env)
    made = ground(env, reach)
    assert_addresses_are_used_once(made)
    for each in attempts(made, reach.permissions):
        assert_rules_agree(env, reach, each)


def test_where_the_hub_is_dialled_by_ipv6_all_who_dial_it_have_a_way_there() -> None:
    env = of(CLONE / "configs" / "example-firewalld.yaml")
    nodes = laid_out(env).topology.by_name
    assert f"{env.hub.endpoint.address}/128" in nodes["hub"].links[-1].addresses
    for dialling, router in (("g1", "r1"), ("p1a", "w1"), ("p2a", "w2")):
        inside, outside = ([each for each in link.addresses if ":" in each] for link in nodes[router].links)
        assert f"{nodes[dialling].gateway6}/64" in inside
        assert (len(outside), nodes[router].flat) == (1, True)


def test_a_hub_that_listens_on_another_port_stands_behind_a_router_that_has_its_address_and_forwards() -> None:
    data = large(1, 1)
    data["hub"] |= {"listen_port": 4500, "also_on": [443]}
    nodes = laid_out(Environment.model_validate(data)).topology.by_name
    (up,), front = nodes["hub"].links, nodes["front"]
    assert f"{front.links[-1].addresses[0]}" == "203.0.113.10/32"
    inside = str(IPNetwork(up.address).ip)
    assert front.forwards == (Forward(51820, inside, 4500), Forward(443, inside, 443))
    assert f'iifname "wan0" udp dport 51820 dnat to {inside}:4500' in router_rules(front)
    assert str(IPNetwork(front.links[0].address).ip) == nodes["hub"].gateway


# --- a file that is too large -------------------------------------------------------------------------------------------------------------


def test_a_file_that_fits_is_left_as_it_is() -> None:
    data = large(2, 3)
    assert cut_down(data, Environment.model_validate(data)).data == data


def test_what_is_left_of_a_large_file_is_whole_and_is_said(tmp_path: Path) -> None:
    data = large(expect=[{"who": "p1", "reaches": "s1"}], policy={"protected": {"developers": ["p2"]}})
    cut = cut_down(data, Environment.model_validate(data), sites=3, people=4)
    assert cut.said is not None
    assert cut.said.startswith("cut down to 3 of 12 sites (s0, s4, s8) and 4 of 40 people (p0, p1, p2, p21);")
    file, ports = tmp_path / "cut.yaml", count(22000)
    file.write_text(yaml.safe_dump(with_ways(cut.data, Environment.model_validate(cut.data), "known_hosts", lambda _: next(ports))))
    left = load(file, require_host_keys=False)
    assert ([each.name for each in left.gateways], len(left.developers), left.links) == (["g0", "g4", "g8"], 4, ())


def test_a_gateway_that_nobody_logs_in_to_costs_no_machine_and_stays() -> None:
    data = large(3, 2)
    del data["gateways"][1]["ssh"]
    data["gateways"][1] |= {"managed": "no"}
    cut = cut_down(data, Environment.model_validate(data), sites=2)
    assert (cut.data, cut.said) == (data, None)


def test_people_who_have_the_only_access_of_its_kind_stay() -> None:
    data = large(2, 30)
    for number, person in enumerate(data["developers"]):
        person["access"] = [{"site": "s0", "ports": ["22/tcp"]}] if number == 17 else ["s1"]
    cut = cut_down(data, Environment.model_validate(data), people=3)
    assert [each["name"] for each in cut.data["developers"]] == ["p0", "p1", "p17"]


def test_only_the_ways_to_hosts_are_replaced() -> None:
    file = CLONE / "configs" / "dev.yaml"
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    copy = with_ways(data, of(file), "elsewhere", lambda name: {"z": 1, "a": 2, "c": 3, "a-router": 4}[name])
    assert copy["known_hosts"] == "elsewhere"
    assert [copy["hub"].pop("ssh"), copy["gateways"][0]["router"].pop("ssh")] == [way(1), way(4)]
    assert [each.pop("ssh") for each in copy["gateways"]] == [way(2), way(3)]
    for host in (data["hub"], data["gateways"][0]["router"], *data["gateways"]):
        del host["ssh"]
    assert copy["network"].pop("rollback_after") >= 600
    assert copy == data | {"known_hosts": "elsewhere"}


def way(port: int) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": port}


@pytest.mark.parametrize(("family", "here"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_reply_to_another_ping_is_none(family: socket.AddressFamily, here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw socket hears it as long as it is not connected: one of many threads may be kept from that for a while."""
    six = family == socket.AF_INET6
    monkeypatch.setattr(inside, "PATIENCE", 0.5)
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP) as made:
        made.bind((here, 0))
        assert inside.tried(here, here, "icmp", 0) == "arrives"
        # Nobody answers it: of another kind, or with a wrong sum.
        ours = (b"\xc8" if six else b"\x08") + b"\0\0\0" + inside.echo_request(six)[4:]
        assert inside.asked(made, here, 0, ours) == "silence"
