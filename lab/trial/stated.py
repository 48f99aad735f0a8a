"""What is tried of `expect:`: of each statement, as `check` understands it, some of the connections that it is about. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from netaddr import IPNetwork

from lab.trial.attempts import Connection, is_judged, leaves_its_site, of_one_family
from lab.trial.ground import Ground, Machine
from lab.trial.spread import spread
from wg_office.environment.faults import Path
from wg_office.environment.model import Environment
from wg_office.environment.statements import Expectation
from wg_office.network.access import Protocol
from wg_office.network.extent import Box
from wg_office.reading.expect import Claim, claims

AT_MOST = 12
"""Attempts of one statement."""
_ANY_PORT = {"tcp": 22, "udp": 53, "icmp": 0}
"""What is tried where a statement is about all ports."""


@dataclass(frozen=True)
class Stated:
    """One statement, and what is tried of it."""

    path: Path
    statement: Expectation
    connections: tuple[Connection, ...]
    """None where nobody whom it is about is in the lab, or no host of ours is in between."""


def stated(env: Environment, ground: Ground, is_over: Callable[[Connection], bool] = lambda _: False) -> tuple[Stated, ...]:
    """All statements, in the order of the file. They hold of what stands in it; what is over by now hosts refuse, and nobody tries."""
    known = tuple(claims(env))
    return tuple(
        Stated(("expect", index), statement, spread([each for each in _connections(ground, known, index) if not is_over(each)], AT_MOST))
        for index, statement in enumerate(env.expect)
    )


def _connections(ground: Ground, known: Sequence[Claim], index: int) -> tuple[Connection, ...]:
    return tuple(dict.fromkeys(each for claim in known if claim.index == index for each in _of(ground, claim)))


def _of(ground: Ground, claim: Claim) -> Iterator[Connection]:
    """From one machine of each of the sender's networks to each machine that is meant."""
    is_tried = leaves_its_site if claim.reaches else is_judged
    senders = filter(None, (_sender(ground, network) for network in claim.sources))
    for sender, target in of_one_family(senders, ground.machines):
        if sender.node != target.node and is_tried(sender, target):
            for protocol, port in dict.fromkeys(_probes(claim, target)):
                yield Connection(sender, target, protocol, port, claim.reaches)


def _sender(ground: Ground, network: IPNetwork) -> Machine | None:
    """A machine there, and the gateway itself only where nobody else is meant."""
    there = sorted((each for each in ground.machines if each.address in network), key=lambda each: each.kind == "host")
    return there[0] if there else None


def _probes(claim: Claim, target: Machine) -> Iterator[tuple[Protocol, int]]:
    """The first and the last port of each range that is meant at this machine."""
    for box in sorted(claim.meant):
        if box.version == target.address.version and box.first <= int(target.address) <= box.last:
            yield from _ends(box)


def _ends(box: Box) -> Iterator[tuple[Protocol, int]]:
    everything = Box(box.version, box.protocol, box.first, box.last)
    for protocol in ("tcp", "udp", "icmp"):
        if box.protocol == protocol and (box == everything or protocol == "icmp"):
            yield protocol, _ANY_PORT[protocol]
        elif box.protocol == protocol:
            yield from ((protocol, box.low), (protocol, box.high))
