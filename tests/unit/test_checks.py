"""The checks as pure functions; which sentence each fault gets is compared in faults/."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork
from surely import lan_of, unread

from wg_office.environment.model import Developer, Environment, Gateway, Group, Hub, Network
from wg_office.reading.checks import check, free_addresses, ssh_endpoints
from wg_office.reading.load import load
from wg_office.reading.warn import warn

DEV = load(Path(__file__).parents[2] / "configs" / "dev.yaml", require_host_keys=False)


def with_developers(count: int) -> Environment:
    names = [f"d{number}" for number in range(count)]
    developers = tuple(
        Developer.model_validate({"name": name, "address": str(IPAddress("10.70.1.1") + at), "access": ["beijing"]})
        for at, name in enumerate(names)
    )
    return DEV.model_copy(update={"developers": developers})


def test_a_right_environment_has_no_findings() -> None:
    assert [*check(DEV), *warn(DEV)] == []


def test_three_hundred_developers_have_no_findings() -> None:
    assert check(with_developers(300)) == []


def test_checks_do_not_stumble_over_parts_that_could_not_be_read() -> None:
    nothing = unread(
        Environment,
        network=unread(Network),
        hub=unread(Hub),
        gateways=(unread(Gateway), *DEV.gateways),
        developers=(unread(Developer), *DEV.developers),
        groups={"broken": unread(Group)},
    )
    assert check(nothing) == []
    assert list(free_addresses(nothing)) == []


def test_free_addresses_skip_what_is_taken() -> None:
    free = free_addresses(DEV)
    assert [str(next(free)), str(next(free))] == ["10.70.0.6", "10.70.0.7"]


def test_free_addresses_end_with_the_prefix() -> None:
    network = DEV.network.model_copy(update={"cidr": IPNetwork("10.70.0.0/29")})
    assert [str(each) for each in free_addresses(DEV.model_copy(update={"network": network}))] == ["10.70.0.6"]


def test_every_ssh_endpoint_is_found() -> None:
    assert [path for path, _ in ssh_endpoints(DEV)] == [
        ("hub", "ssh"),
        ("gateways", 0, "ssh"),
        ("gateways", 0, "router", "ssh"),
        ("gateways", 1, "ssh"),
    ]


def groups_of(edges: dict[str, list[str]]) -> Environment:
    groups = {name: Group.model_validate({"access": [{"group": member} for member in members]}) for name, members in edges.items()}
    return DEV.model_copy(update={"groups": groups})


def has_cycle(edges: dict[str, list[str]]) -> bool:
    """By taking away, again and again, the groups that contain nothing any more."""
    left = {name: {member for member in members if member in edges} for name, members in edges.items()}
    while empty := [name for name, members in left.items() if not members]:
        for name in empty:
            del left[name]
        left = {name: members - set(empty) for name, members in left.items()}
    return bool(left)


NAMES = st.sampled_from(["g1", "g2", "g3", "g4", "g5"])


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3, unique=True), max_size=5))
def test_a_cycle_is_found_exactly_when_there_is_one(edges: dict[str, list[str]]) -> None:
    cycles = [finding for finding in check(groups_of(edges)) if "contain each other" in finding.message]
    assert bool(cycles) == has_cycle(edges)
    for finding in cycles:
        circle = finding.message.partition(": ")[2].split(" -> ")
        assert circle[0] == circle[-1]
        assert all(after in edges[before] for before, after in pairwise(circle))


def test_a_long_chain_of_groups_is_no_cycle() -> None:
    edges = {f"g{number}": [f"g{number + 1}"] for number in range(2000)}
    assert [finding.message for finding in check(groups_of(edges))] == ["g2000 is not a group of this file"]


PREFIXES = st.builds(lambda value, length: IPNetwork((value, length), version=4).cidr, st.integers(2**24, 2**31 - 1), st.integers(9, 30))


@given(PREFIXES, PREFIXES)
def test_lans_that_share_an_address_are_found(one: IPNetwork, other: IPNetwork) -> None:
    a, c = DEV.gateways
    gateways = tuple(
        gateway.model_copy(update={"lan": lan_of(gateway).model_copy(update={"cidr": cidr})}) for gateway, cidr in ((a, one), (c, other))
    )
    found = [finding for finding in check(DEV.model_copy(update={"gateways": gateways})) if "overlaps the LAN" in finding.message]
    assert bool(found) == (one.ip in other or other.ip in one)
