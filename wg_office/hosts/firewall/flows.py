"""Which connections a host's policy allows, for hostside/flows.awk, which ends those that are withdrawn: the rules judge new ones only."""

from collections.abc import Iterator

from wg_office.environment.grants import PortRange
from wg_office.network.access import Allow, FirewallPolicy


def render(policy: FirewallPolicy) -> str:
    """One line per fact, sorted; hostside/flows.awk describes the format."""
    rules = (*policy.from_tunnel, *policy.to_tunnel, *policy.to_host)
    lines = [
        "# wg-office flows 1",
        *(f"scope {prefix}" for prefix in policy.remote),
        *(f"local {address.ip}" for address in policy.local),
        *(f"alias {alias.known_as} {alias.real}" for alias in policy.aliases),
        *sorted({line for rule in rules for line in _allows(rule)}),
    ]
    return "\n".join(lines) + "\n"


def _allows(rule: Allow) -> Iterator[str]:
    ports = [f"{port.protocol} {port.first}-{port.last}" if isinstance(port, PortRange) else "icmp" for port in rule.ports] or ["any"]
    ends = "" if rule.until is None else f" until {rule.until.epoch}"
    for source in rule.sources:
        for destination in rule.destinations:
            if source.version == destination.version:
                yield from (f"allow {source} {destination} {port}{ends}" for port in ports)
