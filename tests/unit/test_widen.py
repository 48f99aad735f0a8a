"""The widening of LANs: strictly shorter, covering, minimal, never out of private space, and never silent about what it swallows."""

from __future__ import annotations

from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import IPAddress, IPNetwork

from wg_office.network.widen import can_be_widened, conflicts, parent, swept_in, widen


def net(text: str) -> IPNetwork:
    return IPNetwork(text)


@st.composite
def networks(draw: st.DrawFn, shortest: int = 1) -> IPNetwork:
    version: Literal[4, 6] = 4 if draw(st.booleans()) else 6
    width = 32 if version == 4 else 128
    length = draw(st.integers(shortest, width))
    value = draw(st.integers(0, 2**width - 1))
    return IPNetwork(f"{IPAddress(value, version)}/{length}").cidr


PRIVATE = [net(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]


@st.composite
def private_lans(draw: st.DrawFn) -> IPNetwork:
    """A LAN strictly inside a private block, so that its parent is in there too."""
    block = draw(st.sampled_from(PRIVATE))
    length = draw(st.integers(block.prefixlen + 1, 32 if block.version == 4 else 128))
    return IPNetwork((draw(st.integers(block.first, block.last)), length), version=block.version).cidr


lan_lists = st.lists(private_lans(), min_size=1, max_size=12)


@given(lan_lists)
def test_each_lan_lies_in_a_strictly_shorter_prefix(lans: list[IPNetwork]) -> None:
    widened = widen(lans)
    for lan in lans:
        assert any(lan in prefix and prefix.prefixlen < lan.prefixlen for prefix in widened)


@given(lan_lists)
def test_nothing_but_parents_of_the_given_lans_is_listed(lans: list[IPNetwork]) -> None:
    assert set(widen(lans)) <= {parent(lan) for lan in lans}


@given(lan_lists)
def test_no_prefix_can_be_dropped_without_uncovering_a_lan(lans: list[IPNetwork]) -> None:
    widened = widen(lans)
    for dropped in widened:
        rest = [prefix for prefix in widened if prefix != dropped]
        assert not all(any(lan in prefix and prefix.prefixlen < lan.prefixlen for prefix in rest) for lan in lans)


@given(lan_lists)
def test_at_most_as_many_addresses_are_added_as_the_lans_have(lans: list[IPNetwork]) -> None:
    for prefix in widen(lans):
        assert any(prefix.size == 2 * lan.size for lan in lans)


@given(st.lists(networks(shortest=0), min_size=1, max_size=12))
def test_nothing_is_listed_that_is_neither_private_nor_a_lan_itself(lans: list[IPNetwork]) -> None:
    """Other people's public addresses never go into the tunnel."""
    for prefix in widen(lans):
        beside = prefix.version == 6 and prefix.prefixlen >= 63
        assert prefix in lans or any(prefix in block for block in PRIVATE) or beside, "the /64 beside a LAN's is the same customer's"


@pytest.mark.parametrize(
    "lan", ["192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "100.64.0.0/10", "203.0.113.0/24", "172.0.0.0/8", "0.0.0.0/0", "fc00::/7"]
)
def test_a_lan_whose_parent_holds_other_peoples_addresses_stays_as_it_is(lan: str) -> None:
    assert not can_be_widened(net(lan))
    assert widen([net(lan)]) == (net(lan),)


@pytest.mark.parametrize("lan", ["192.168.0.0/17", "172.16.0.0/13", "10.128.0.0/9", "100.64.0.0/11", "fd00::/8"])
def test_half_a_private_block_is_widened_to_all_of_it(lan: str) -> None:
    assert can_be_widened(net(lan))
    assert any(widen([net(lan)]) == (block,) for block in PRIVATE)


@given(lan_lists, st.randoms(use_true_random=False))
def test_the_order_of_the_lans_does_not_matter(lans: list[IPNetwork], order: Random) -> None:
    shuffled = list(lans)
    order.shuffle(shuffled)
    assert widen(shuffled) == widen(lans)


@given(networks(), st.data())
def test_an_endpoint_inside_the_widened_prefix_is_found(lan: IPNetwork, data: st.DataObject) -> None:
    wide = parent(lan)
    endpoint = IPAddress(data.draw(st.integers(wide.first, wide.last)), lan.version)
    assert [c.kind for c in conflicts([lan], endpoint, [])] == ["endpoint"]


@given(networks(), networks())
def test_the_vpn_is_a_conflict_exactly_when_it_overlaps_the_widened_prefix(lan: IPNetwork, vpn: IPNetwork) -> None:
    wide = parent(lan)
    overlap = wide.version == vpn.version and wide.first <= vpn.last and vpn.first <= wide.last
    assert bool(conflicts([lan], None, [vpn])) == overlap


@pytest.mark.parametrize(
    ("lans", "expected"),
    [
        (["192.168.200.0/24", "192.168.201.0/24"], ["192.168.200.0/23"]),
        (["192.168.1.0/24", "192.168.200.0/24"], ["192.168.0.0/23", "192.168.200.0/23"]),
        (["192.168.201.0/24", "192.168.202.0/24"], ["192.168.200.0/23", "192.168.202.0/23"]),
        (["10.0.0.0/8", "10.9.0.0/16"], ["10.0.0.0/8"]),
        (["192.168.200.244/24"], ["192.168.200.0/23"]),
        (["fd00:1::/64"], ["fd00:1::/63"]),
        ([], []),
    ],
)
def test_known_widenings(lans: list[str], expected: list[str]) -> None:
    assert [str(prefix) for prefix in widen(map(net, lans))] == expected


def test_a_neighbouring_lan_that_is_swept_in_is_named() -> None:
    lan1, lan2, far = net("192.168.201.0/24"), net("192.168.200.0/24"), net("192.168.7.0/24")
    assert swept_in([lan2], [lan1, lan2, far]) == (lan1,)
    assert swept_in([lan1, lan2], [lan1, lan2, far]) == ()


def test_a_conflict_says_what_is_swallowed_and_what_to_do() -> None:
    (endpoint,) = conflicts([net("192.168.112.0/24")], IPAddress("192.168.113.10"), [net("10.70.0.0/16")])
    assert endpoint.message == (
        "192.168.112.0/24 is widened to 192.168.112.0/23 in the developers' files, which holds the hub's endpoint 192.168.113.10, "
        "so that the tunnel would be routed into itself"
    )
    assert endpoint.remedy == "give the hub another public address, or renumber the LAN"
    (vpn,) = conflicts([net("10.71.0.0/16")], None, [net("10.70.0.0/16")])
    assert vpn.message == "10.71.0.0/16 is widened to 10.70.0.0/15 in the developers' files, which holds addresses of the VPN 10.70.0.0/16"
    assert vpn.remedy == "choose another VPN prefix, or renumber the LAN"


def test_a_conflict_tells_the_widenings_fault_from_the_lans_own() -> None:
    (own,) = conflicts([net("192.168.113.0/24")], IPAddress("192.168.113.10"), [])
    (new,) = conflicts([net("192.168.112.0/24")], IPAddress("192.168.113.10"), [])
    assert (own.by_widening, new.by_widening) == (False, True)
