"""What is tried: each permission of the access table, and beside each its edges, with what the table says of each of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Literal

from lab.trial.ground import Ground, Machine
from lab.trial.spread import spread
from wg_office.environment.grants import Icmp, PortRange
from wg_office.network.access import Permission, Place, Ports, Protocol

AT_MOST = 240
"""Attempts of one try, unless more are asked for."""

Why = Literal[
    "granted",
    "next port",
    "next host",
    "another site",
    "another person",
    "the gateway itself",
    "the hub itself",
    "from the LAN",
    "has ended",
]

_LAST_PORT = 65535
_EVERYTHING: Ports = (PortRange("tcp", 22, 22), PortRange("udp", 53, 53), Icmp())
"""What is tried of a permission without ports."""
_SSH: Ports = (PortRange("tcp", 22, 22), Icmp())
"""What is tried of machines that have something to hide."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One new connection: a TCP connection, a datagram or an echo request."""

    sender: Machine
    target: Machine
    protocol: Protocol
    port: int
    allowed: bool
    """What the file says of it."""

    @property
    def on(self) -> str:
        """22/tcp, or icmp."""
        return self.protocol if self.protocol == "icmp" else f"{self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Attempt(Connection):
    """A connection that the access table says something of."""

    permission: int
    """That beside which it stands: its number in the access table."""
    why: Why


@dataclass(frozen=True)
class Plan:
    """The attempts that are made, of how many."""

    attempts: tuple[Attempt, ...]
    possible: int
    permissions: int
    """Those that are tried."""
    untried: tuple[int, ...]
    """Numbers of permissions that are not."""


def plan(ground: Ground, granted: Sequence[Permission], at_most: int = AT_MOST, now: float = 0) -> Plan:
    """Each permission once as long as there is room, and of all else as much as there is room for, spread evenly."""
    every = attempts(ground, granted, now)
    firsts = spread(tuple({item.permission: item for item in reversed(every) if item.why == "granted"}.values())[::-1], at_most)
    first = set(firsts)
    others = spread([item for item in every if item not in first], at_most - len(firsts))
    chosen = first.union(others)
    tried = {item.permission for item in firsts}
    untried = tuple(number for number in range(len(granted)) if number not in tried)
    return Plan(tuple(item for item in every if item in chosen), len(every), len(tried), untried)


def attempts(ground: Ground, granted: Sequence[Permission], now: float = 0) -> tuple[Attempt, ...]:
    """All that could be tried, in the order of the access table. No packet is tried twice, and a granted one is no edge.

    What has ended `now` (in seconds since 1970) is granted no more: hosts refuse it.
    """
    known, standing = _Known(ground), [each for each in granted if not has_ended(each, now)]
    made: dict[tuple[object, ...], Attempt] = {}
    for why_granted in (True, False):
        for number, item in enumerate(granted):
            for why, sender, target, protocol, port in _granted(known, item) if why_granted else _edges(known, item, now):
                allowed = any(each.allows(sender.address, target.address, protocol, port) for each in standing)
                if allowed is why_granted and sender.node != target.node and (allowed or is_judged(sender, target)):
                    key = (sender.address, target.address, protocol, port)
                    made.setdefault(key, Attempt(sender, target, protocol, port, allowed, number, why))
    return tuple(sorted(made.values(), key=lambda each: (each.permission, not each.allowed)))


_Try = tuple[Why, Machine, Machine, Protocol, int]


@dataclass(frozen=True)
class _Known:
    """The machines, by what they are."""

    ground: Ground

    def at(self, place: Place) -> list[Machine]:
        """Those that a place of the access table means."""
        return [each for each in self.ground.machines if (each.kind, each.name) == (place.kind, place.name) and place.holds(each.address)]

    def of(self, kind: str, *names: str) -> list[Machine]:
        """All of a kind, or those with these names."""
        return [each for each in self.ground.machines if each.kind == kind and (not names or each.name in names)]

    def after(self, kind: str, name: str) -> list[Machine]:
        """The next place of that kind in the order of the file, other than this one."""
        names = list(dict.fromkeys(each.name for each in self.of(kind)))
        if name not in names:
            return self.of(kind, *names[:1]) if names else []
        following = names[(names.index(name) + 1) % len(names)]
        return [] if following == name else self.of(kind, following)


def _granted(known: _Known, item: Permission) -> Iterator[_Try]:
    """Of a whole site one machine of each of its networks; of single hosts each one."""
    targets = _representatives(known.at(item.destination), item.destination)
    for sender, target in of_one_family(_senders(known, item.source), targets):
        for protocol, port in _probes(item.ports or _EVERYTHING):
            yield "granted", sender, target, protocol, port


def has_ended(item: Permission, now: float) -> bool:
    """Whether hosts refuse it by now, though the file still has it."""
    return item.until is not None and item.until.epoch <= now


def _edges(known: _Known, item: Permission, now: float) -> Iterator[_Try]:
    if has_ended(item, now):
        for _, sender, target, protocol, port in _granted(known, item):
            yield "has ended", sender, target, protocol, port
    source, destination = item.source, item.destination
    senders, targets = _senders(known, source), _representatives(known.at(destination), destination)
    inside = _probes(item.ports or _EVERYTHING)
    beside = [each for each in known.of("site", destination.name) if destination.kind == "site" and not destination.holds(each.address)]
    homes = {each.home for each in known.of("host", destination.name)} | {destination.name}
    hosts = known.of("host")
    tries: list[tuple[Why, Iterable[Machine], Iterable[Machine], Iterable[tuple[Protocol, int]]]] = [
        ("next port", senders, targets, _next(item.ports)),
        ("next host", senders, beside, inside),
        ("another site", senders, known.after("site", destination.name), inside),
        ("another person", senders, known.after("developer", destination.name), inside),
        ("the gateway itself", senders, (each for each in hosts if each.home in homes), _probes(_SSH)),
        ("the hub itself", senders, (each for each in hosts if each.node == "hub"), _probes(_SSH)),
        ("from the LAN", targets if destination.kind == "site" else (), senders, _probes(_SSH)),
    ]
    for why, those, others, probes in tries:
        for (sender, target), (protocol, port) in product(of_one_family(those, others), tuple(probes)):
            yield why, sender, target, protocol, port


def _senders(known: _Known, source: Place) -> list[Machine]:
    """Each of a person's machines; of a site one in each network; of a host its addresses in the VPN."""
    return _representatives(known.at(source), source)


def _representatives(machines: Iterable[Machine], place: Place) -> list[Machine]:
    """One for each network of a place."""
    found = list(machines)
    firsts = (next((each for each in found if each.address in network), None) for network in place.networks)
    return list(dict.fromkeys(each for each in firsts if each is not None))


def of_one_family(senders: Iterable[Machine], targets: Iterable[Machine]) -> Iterator[tuple[Machine, Machine]]:
    """Those of one family: an IPv4 packet leads to no IPv6 address."""
    return ((one, other) for one, other in product(senders, tuple(targets)) if one.address.version == other.address.version)


def _probes(ports: Ports) -> list[tuple[Protocol, int]]:
    """Of a range its first and its last port."""
    return list(dict.fromkeys(chain.from_iterable(map(_ends, ports))))


def _ends(item: PortRange | Icmp) -> list[tuple[Protocol, int]]:
    return [("icmp", 0)] if isinstance(item, Icmp) else [(item.protocol, item.first), (item.protocol, item.last)]


def _next(ports: Ports) -> list[tuple[Protocol, int]]:
    """Just outside of what is granted: the ports around each range, the same ones of the other protocol, and pings."""
    found: list[tuple[Protocol, int]] = [("icmp", 0)]
    for item in ports:
        if isinstance(item, PortRange):
            other: Protocol = "udp" if item.protocol == "tcp" else "tcp"
            found += [(item.protocol, item.last + 1), (item.protocol, item.first - 1), (other, item.first)]
    if ports and not any(isinstance(item, PortRange) for item in ports):
        found.append(("tcp", 22))
    return [(protocol, port) for protocol, port in found if protocol == "icmp" or 0 < port <= _LAST_PORT]


def is_judged(sender: Machine, target: Machine) -> bool:
    """Whether a host of ours is to refuse it.

    What stays in a site does not pass the tunnel, a partner in the internet is there for everybody, and what the hub sends is judged by
    gateways alone.
    """
    return leaves_its_site(sender, target) and not target.outside and (sender.kind != "host" or target.kind != "developer")


def leaves_its_site(sender: Machine, target: Machine) -> bool:
    """Whether it is no matter of one site's own network."""
    return not _site(sender) == _site(target) != ""


def _site(machine: Machine) -> str:
    return machine.name if machine.kind == "site" else machine.home
