"""Widening of LAN prefixes, so that a laptop inside the office reaches the LAN directly.

A client that lists exactly the LAN's prefix ties with the LAN's own on-link route, and on several platforms the tunnel
wins the tie. A prefix one bit shorter loses to the on-link route by longest match, and still catches the LAN from afar.
Parents are taken one by one: a common supernet of 192.168.1.0/24 and 192.168.200.0/24 would be 192.168.0.0/16, which
swallows most home networks, where two /23s add 512 addresses in all.

Widening never leaves private address space: the parent of 192.168.0.0/16, and of any LAN with public addresses, holds
other people's, which would be sent into the tunnel. Such a LAN is listed as it is. IPv6 is different in one thing: whoever has
a line is given more than one /64 (RFC 6177), so that a LAN's /64 is widened to the /63 around it, whosever its addresses are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from netaddr import IPAddress, IPNetwork

ConflictKind = Literal["endpoint", "vpn"]

_PRIVATE = tuple(map(IPNetwork, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
"""The address space that nobody owns: RFC 1918, that of carrier NAT (RFC 6598), and unique local IPv6 (RFC 4193)."""

_SHORTEST_IPV6 = 63
"""Of public IPv6 addresses: the /64 beside a LAN's is the same customer's."""


@dataclass(frozen=True)
class Conflict:
    """Why a LAN cannot be widened: what its parent prefix would swallow."""

    kind: ConflictKind
    lan: IPNetwork
    widened: IPNetwork
    swallowed: IPNetwork

    @property
    def by_widening(self) -> bool:
        """Whether the LAN itself is free of the conflict. Where it is not, the environment is wrong already without the widening."""
        return not _overlap(self.lan, self.swallowed)

    @property
    def message(self) -> str:
        """What is wrong, for a person."""
        if self.kind == "endpoint":
            what = f"the hub's endpoint {self.swallowed.ip}, so that the tunnel would be routed into itself"
        else:
            what = f"addresses of the VPN {self.swallowed}"
        return f"{self.lan} is widened to {self.widened} in the developers' files, which holds {what}"

    @property
    def remedy(self) -> str:
        """What would be right."""
        return f"{'give the hub another public address' if self.kind == 'endpoint' else 'choose another VPN prefix'}, or renumber the LAN"


def _contains(outer: IPNetwork, inner: IPNetwork) -> bool:
    return bool(outer.version == inner.version and outer.first <= inner.first and inner.last <= outer.last)


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return _contains(one, other) or _contains(other, one)


def parent(lan: IPNetwork) -> IPNetwork:
    """The prefix that is one bit shorter; the LAN's own where that would leave private address space."""
    wider = IPNetwork((lan.first, max(0, lan.prefixlen - 1)), version=lan.version).cidr
    return wider if is_private(wider) or (wider.version == 6 and wider.prefixlen >= _SHORTEST_IPV6) else lan.cidr


def is_private(prefix: IPNetwork) -> bool:
    """Whether nobody owns any of these addresses."""
    return any(_contains(block, prefix) for block in _PRIVATE)


def can_be_widened(lan: IPNetwork) -> bool:
    """Whether a prefix that is wider than the LAN may stand for it; if not, the tunnel may win over the cable at that office."""
    return parent(lan) != lan.cidr


def without_contained(prefixes: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Drop each prefix that another one contains; neighbours are not merged, because that would widen them further."""
    kept: list[IPNetwork] = []
    for prefix in sorted({p.cidr for p in prefixes}, key=lambda p: (p.version, p.prefixlen, p.first)):
        if not any(_contains(wider, prefix) for wider in kept):
            kept.append(prefix)
    return tuple(sorted(kept, key=lambda p: (p.version, p.first)))


def widen(lans: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Return the parents of the LANs, without those that another parent contains, in address order."""
    return without_contained(parent(lan) for lan in lans)


def swept_in(lans: Sequence[IPNetwork], others: Iterable[IPNetwork], granted: Sequence[IPNetwork] = ()) -> tuple[IPNetwork, ...]:
    """Return those of the other LANs that the widening of `lans` touches although they are neither among `lans` nor `granted`."""
    widened, known = widen(lans), {*lans, *granted}
    return tuple(other for other in others if other not in known and any(_overlap(prefix, other) for prefix in widened))


def conflicts(lans: Iterable[IPNetwork], endpoint: IPAddress | None, vpn: Iterable[IPNetwork]) -> tuple[Conflict, ...]:
    """Find what the widening must never swallow: the hub's public address (None where it is a name) and the VPN itself."""
    found: list[Conflict] = []
    vpn_prefixes = tuple(vpn)
    for lan in lans:
        widened = parent(lan)
        if endpoint is not None and endpoint.version == widened.version and endpoint in widened:
            found.append(Conflict("endpoint", lan, widened, IPNetwork(endpoint)))
        found.extend(Conflict("vpn", lan, widened, prefix) for prefix in vpn_prefixes if _overlap(widened, prefix))
    return tuple(found)
