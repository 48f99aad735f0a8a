"""What may be reached, as sets: the algebra, the words, and that hosts enforce what the access table says."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork
from surely import lan_address_of, lan_of
from test_access import office
from test_firewall_decision import THOROUGH, offices

from wg_office.environment.grants import parse_ports
from wg_office.environment.model import Environment
from wg_office.network.access import permissions, reach_of
from wg_office.network.enforced import enforced
from wg_office.network.extent import Box, Extent, both, extent, less, stretches

ADDRESSES = range(8)
SPANS = st.tuples(st.integers(0, 7), st.integers(0, 7)).map(sorted)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    (first, last), (low, high) = draw(SPANS), draw(SPANS)
    return Box(4, draw(st.sampled_from(["tcp", "udp"])), first, last, low, high)


SETS = st.frozensets(boxes(), max_size=4)


def points(found: Extent) -> set[tuple[str, int, int]]:
    return {
        (box.protocol, address, port)
        for box in found
        for address in range(box.first, box.last + 1)
        for port in range(box.low, box.high + 1)
    }


@given(SETS, SETS)
def test_taking_away_and_having_in_common_agree_with_sets_of_single_points(one: Extent, other: Extent) -> None:
    assert points(less(one, other)) == points(one) - points(other)
    assert points(both(one, other)) == points(one) & points(other)


@given(SETS)
def test_stretches_are_all_of_it_and_do_not_depend_on_the_boxes_it_is_made_of(found: Extent) -> None:
    cut = frozenset(
        part
        for box in found
        for half in (Box(4, box.protocol, 3, 5),)
        for part in (*box.without(half), *([box.common(half)] if box.meets(half) else []))
    )
    assert stretches(found) == stretches(cut)
    told = {
        (protocol, int(address), port)
        for each in stretches(found)
        for network in each.networks
        for address in network
        for protocol, low, high in each.spans
        for port in range(low, high + 1)
    }
    assert told == points(found)


def test_words_are_as_few_as_a_person_would_use() -> None:
    lan, one = IPNetwork("192.168.200.0/24"), IPNetwork("192.168.200.244/32")
    ssh = extent([one], (parse_ports("22/tcp"), parse_ports("icmp")))
    assert [str(each) for each in stretches(ssh)] == ["192.168.200.244 on 22/tcp, icmp"]
    assert [str(each) for each in stretches(extent([lan], ()))] == ["192.168.200.0/24 on everything"]
    assert [str(each) for each in stretches(less(extent([one], ()), ssh))] == ["192.168.200.244 on everything but 22/tcp, icmp"]
    halves = extent([IPNetwork("192.168.200.0/25"), IPNetwork("192.168.200.128/25")], (parse_ports("1-65535/udp"),))
    assert [str(each) for each in stretches(halves)] == ["192.168.200.0/24 on all udp"]


def by_table(env: Environment, source: IPNetwork) -> Extent:
    return frozenset(
        box
        for item in permissions(env)
        if item.source.holds(IPAddress(source.first))
        for box in extent(item.destination.networks, item.ports, item.destination.apart_from)
    )


@THOROUGH
@given(offices())
def test_hosts_enforce_for_each_machine_what_the_access_table_says(env: Environment) -> None:
    policies = reach_of(env).policies
    for client in env.clients:
        source = IPNetwork(client.address)
        found, wanted = enforced(env, policies, source), by_table(env, source)
        own = extent([source], ())
        four = extent([IPNetwork("0.0.0.0/0")], ())
        assert less(both(found, four), wanted | own) == less(both(wanted, four), found) == frozenset()


def test_a_gateway_that_forgets_a_rule_is_seen() -> None:
    env = office()
    policies = reach_of(env).policies
    gateway = env.gateways[0]
    source = IPNetwork(env.peer("e").address)
    lan, itself = extent([lan_of(gateway).cidr], ()), extent([IPNetwork(lan_address_of(gateway))], ())
    assert both(enforced(env, policies, source), lan)
    forgetful = {**policies, gateway.name: replace(policies[gateway.name], from_tunnel=())}
    assert not both(enforced(env, forgetful, source), less(lan, itself))
