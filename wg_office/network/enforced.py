"""What a sender really reaches: worked out from the rules that each host enforces, not from the grants they were made of.

Pure. A packet passes when every host on its way lets it through; what one of them forgets is not reached.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from netaddr import IPNetwork

from wg_office.environment.model import Environment
from wg_office.network.access import Allow, FirewallPolicy
from wg_office.network.extent import Box, Extent, both, extent, less

Policies = Mapping[str, FirewallPolicy]
"""The rules of the hub and of every gateway, by host (wg_office.network.access.reach_of)."""


def enforced(env: Environment, policies: Policies, source: IPNetwork) -> Extent:
    """All that new connections from this address, or from all of this prefix, may lead to through the tunnel."""
    hub = policies[env.hub.name]
    home = next((site for site in env.active_sites if _within(source, site.inner)), None)
    judge = policies[home.name] if home is not None and home.is_managed else None
    sent = _everything(source) if home is None or judge is None else _opened(judge, judge.to_tunnel, home.as_here(source))
    judged = home is env.hub or _is_own(hub, source)
    carried = sent if judged else both(sent, _let_in(hub, source))
    for gateway in (each for each in env.active_gateways if each.is_managed):
        carried = _entering(policies[gateway.name], gateway.prefixes, source, carried)
    return carried


def _everything(source: IPNetwork) -> Extent:
    """All addresses of the sender's family; an IPv4 packet does not lead to an IPv6 address."""
    return extent([IPNetwork("0.0.0.0/0" if source.version == 4 else "::/0")], ())


def _is_own(policy: FirewallPolicy, source: IPNetwork) -> bool:
    return not less(extent([source], ()), _own(policy))


def _own(policy: FirewallPolicy) -> Extent:
    return _as_known(policy, extent(policy.local, ()))


def _as_known(policy: FirewallPolicy, reached: Extent) -> Extent:
    """As the tunnel knows it: the host translates what its rules have by the addresses of its LANs."""
    return frozenset(_moved(policy, box) for box in reached) if policy.aliases else reached


def _moved(policy: FirewallPolicy, box: Box) -> Box:
    for alias in policy.aliases:
        if box.version == alias.real.version and alias.real.first <= box.first and box.last <= alias.real.last:
            ahead = alias.known_as.first - alias.real.first
            return replace(box, first=box.first + ahead, last=box.last + ahead)
    return box


def _within(source: IPNetwork, networks: Iterable[IPNetwork]) -> bool:
    return any(source in network for network in networks)


def _opened(policy: FirewallPolicy, rules: Iterable[Allow], source: IPNetwork) -> Extent:
    opened = frozenset(box for rule in rules if any(source in own for own in rule.sources) for box in extent(rule.destinations, rule.ports))
    return _as_known(policy, frozenset(box for box in opened if box.version == source.version))


def _let_in(policy: FirewallPolicy, source: IPNetwork) -> Extent:
    """What a host lets pass of what comes out of the tunnel. Packets to its own addresses are not forwarded."""
    return less(_opened(policy, policy.from_tunnel, source), _own(policy)) | _at_host(policy, source)


def _at_host(policy: FirewallPolicy, source: IPNetwork) -> Extent:
    """What the host itself answers, at its own addresses only."""
    return both(_opened(policy, policy.to_host, source), _own(policy))


def _entering(policy: FirewallPolicy, lans: tuple[IPNetwork, ...], source: IPNetwork, carried: Extent) -> Extent:
    """What is left of it when this gateway has judged what is meant for it and for its LANs."""
    if _within(source, lans) or _is_own(policy, source):
        return carried
    own, behind = _own(policy), extent(lans, ())
    return less(carried, own | behind) | both(carried, both(_let_in(policy, source), own | behind))
