"""What may be reached, as a set: address ranges times ports. Sets can be taken from each other, whatever lines of a file they came from.

Two grants that overlap, a group that says what a line said before, a LAN written as two halves: as sets they are equal. The rows of the
access table are not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from netaddr import IPAddress, IPNetwork, IPSet, cidr_merge, iprange_to_cidrs

from wg_office.environment.grants import Icmp, PortRange
from wg_office.network.access import Ports

_LAST_PORT = 65535
_PROTOCOLS = ("tcp", "udp", "icmp", "other")
"""`other` stands for what has no ports and no name in the file: GRE, ESP and the like, which a grant without ports opens too."""


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A range of addresses times a range of ports of one protocol, ends included. For icmp and other the ports mean nothing."""

    version: int
    protocol: str
    first: int
    last: int
    low: int = 0
    high: int = _LAST_PORT

    def meets(self, other: "Box") -> bool:
        """Whether they have anything in common."""
        return (
            (self.version, self.protocol) == (other.version, other.protocol)
            and self.first <= other.last
            and other.first <= self.last
            and self.low <= other.high
            and other.low <= self.high
        )

    def common(self, other: "Box") -> "Box":
        """What two boxes that meet have in common."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        return replace(self, first=first, last=last, low=max(self.low, other.low), high=min(self.high, other.high))

    def without(self, other: "Box") -> Iterator["Box"]:
        """The up to four boxes that are left of this one."""
        if not self.meets(other):
            yield self
            return
        inner = self.common(other)
        if self.first < inner.first:
            yield replace(self, last=inner.first - 1)
        if inner.last < self.last:
            yield replace(self, first=inner.last + 1)
        between = replace(self, first=inner.first, last=inner.last)
        if self.low < inner.low:
            yield replace(between, high=inner.low - 1)
        if inner.high < self.high:
            yield replace(between, low=inner.high + 1)


Extent = frozenset[Box]
"""What may be reached. Boxes may overlap; empty means nothing."""


def extent(networks: Iterable[IPNetwork], ports: Ports, apart_from: Iterable[IPNetwork] = ()) -> Extent:
    """All ports of all networks but `apart_from`; no ports mean every protocol and port."""
    kinds = tuple(_kinds(ports))
    meant = frozenset(Box(network.version, *kind[:1], network.first, network.last, *kind[1:]) for network in networks for kind in kinds)
    return less(meant, frozenset(Box(each.version, protocol, each.first, each.last) for each in apart_from for protocol in _PROTOCOLS))


def _kinds(ports: Ports) -> Iterator[tuple[str, int, int]]:
    if not ports:
        yield from ((protocol, 0, _LAST_PORT) for protocol in _PROTOCOLS)
    for port in ports:
        yield ("icmp", 0, _LAST_PORT) if isinstance(port, Icmp) else (port.protocol, port.first, port.last)


def less(one: Extent, other: Extent) -> Extent:
    """What is in one and not in the other."""
    left = set(one)
    for box in other:
        left = {part for each in left for part in each.without(box)}
    return frozenset(left)


def both(one: Extent, other: Extent) -> Extent:
    """What is in both."""
    return frozenset(mine.common(theirs) for mine in one for theirs in other if mine.meets(theirs))


PortSpan = tuple[str, int, int]
"""Protocol, first and last port."""

_ALL = tuple((protocol, 0, _LAST_PORT) for protocol in _PROTOCOLS)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Networks with the same ports open."""

    networks: tuple[IPNetwork, ...]
    spans: tuple[PortSpan, ...]

    @property
    def opened(self) -> str:
        """`22/tcp, icmp`, `everything`, or `everything but 22/tcp`."""
        if self.spans == _ALL:
            return "everything"
        if any(protocol == "other" for protocol, _, _ in self.spans):
            return f"everything but {_listed(_closed(self.spans))}"
        return _listed(self.spans)

    def __str__(self) -> str:
        return f"{', '.join(map(shown, self.networks))} on {self.opened}"


def _closed(spans: tuple[PortSpan, ...]) -> tuple[PortSpan, ...]:
    """All that is not among the spans."""
    everything = frozenset(Box(4, protocol, 0, 0) for protocol in _PROTOCOLS)
    left = less(everything, frozenset(Box(4, protocol, 0, 0, low, high) for protocol, low, high in spans))
    return _joined((box.protocol, box.low, box.high) for box in left)


def _listed(spans: Iterable[PortSpan]) -> str:
    return ", ".join(_span(*span) for span in spans)


def _span(protocol: str, low: int, high: int) -> str:
    if protocol in ("icmp", "other"):
        return protocol
    if high - low >= _LAST_PORT - 1:
        return f"all {protocol}"
    return str(PortRange("tcp" if protocol == "tcp" else "udp", max(1, low), high))


def shown(network: IPNetwork) -> str:
    """A single address without its prefix length."""
    return str(network.ip) if network.size == 1 else str(network)


def together(networks: tuple[IPNetwork, ...], whole: tuple[IPNetwork, ...], apart: tuple[IPAddress, ...] = ()) -> str:
    """Networks as they are, or, where that is shorter, as all of some networks but a few; `apart` need not be among them to be all."""
    listed = ", ".join(map(shown, networks))
    if not IPSet(networks).issubset(IPSet(whole)):
        return listed
    left_out = (IPSet(whole) - IPSet(networks) - IPSet(apart)).iter_cidrs()
    if not left_out:
        return ", ".join(map(str, whole))
    return f"{', '.join(map(str, whole))} but {', '.join(map(shown, left_out))}" if len(left_out) < len(networks) else listed


def stretches(wanted: Extent) -> tuple[Stretch, ...]:
    """The set in as few lines as a person would use, in a fixed order whatever boxes it is made of."""
    by_ports: dict[tuple[PortSpan, ...], list[IPNetwork]] = {}
    for version in sorted({box.version for box in wanted}):
        for first, last, spans in _slices([box for box in wanted if box.version == version]):
            by_ports.setdefault(spans, []).extend(_cidrs(first, last, version))
    found = (Stretch(tuple(cidr_merge(networks)), spans) for spans, networks in by_ports.items())
    return tuple(sorted(found, key=lambda each: (each.networks, each.opened)))


def _cidrs(first: int, last: int, version: int) -> list[IPNetwork]:
    family: Literal[4, 6] = 4 if version == 4 else 6
    return list(iprange_to_cidrs(IPAddress(first, family), IPAddress(last, family)))


def _slices(boxes: list[Box]) -> Iterator[tuple[int, int, tuple[PortSpan, ...]]]:
    """The addresses cut wherever a box begins or ends, each slice with its ports."""
    cuts = sorted({box.first for box in boxes} | {box.last + 1 for box in boxes})
    for first, end in pairwise(cuts):
        spans = _joined((box.protocol, box.low, box.high) for box in boxes if box.first <= first and end - 1 <= box.last)
        if spans:
            yield first, end - 1, spans


def _joined(spans: Iterable[PortSpan]) -> tuple[PortSpan, ...]:
    """In order, neighbours made one."""
    joined: list[PortSpan] = []
    for protocol, low, high in sorted(spans, key=lambda span: (_PROTOCOLS.index(span[0]), span[1])):
        if joined and joined[-1][0] == protocol and low <= joined[-1][2] + 1:
            joined[-1] = (protocol, joined[-1][1], max(high, joined[-1][2]))
        else:
            joined.append((protocol, low, high))
    return tuple(joined)
