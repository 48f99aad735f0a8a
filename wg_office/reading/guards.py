"""The guards of `policy:`: what one file breaks, and what a change breaks. Pure.

A change is judged by the policy of the state before it too: who deletes a guard together with what it guards is refused all the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from netaddr import IPSet

from wg_office.environment.faults import Path
from wg_office.environment.grants import DeveloperGrant, GroupGrant, HostGrant, SiteGrant
from wg_office.environment.model import Environment
from wg_office.environment.statements import Removals
from wg_office.network.access import Permission, permissions
from wg_office.reading.checks import Finding, grants, hosts

Rule = Literal["protected", "removals"]
"""The guards that a change can break; each may be overridden for one run, by this name."""

RULES: tuple[Rule, ...] = ("protected", "removals")

REMOVALS: Path = ("policy", "removals")
"""Where the file says how many peers may go at once."""

_FEW = 5
"""So many peers may always go at once: in a small network they are a large share."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A guard that a change breaks, and where it stands: in the file as it was, or as it is."""

    rule: Rule
    message: str
    path: Path
    side: Literal["before", "after"]


def broken_guards(env: Environment) -> Iterator[Finding]:
    """What this file may not say, by its own policy."""
    policy = env.policy
    for path, grant in _granted(env):
        if policy.ports_required and not grant.ports:
            yield Finding(path, "grants all ports", "name ports, such as 22/tcp", ("policy", "ports_required"))
        if policy.widest_grant is not None and isinstance(grant, SiteGrant):
            yield from _too_wide(env, path, grant, policy.widest_grant)
    if policy.widest_grant is not None:
        yield from _too_wide_together(env, policy.widest_grant)
    for path, host in hosts(env):
        if policy.masquerade_reason_required and host.masquerades_some and host.return_path_reason is None:
            here: Path = (*path, "return_path")
            yield Finding(here, "masquerade hides who is there", "say why in return_path_reason", ("policy", "masquerade_reason_required"))
    yield from _without_end(env)
    yield from _protected_are_there(env)


def _without_end(env: Environment) -> Iterator[Finding]:
    """Whoever is given one of these groups for good, directly or by way of another group; named once for each line that gives it."""
    required = env.policy.ends_required
    for number, name in enumerate(required):
        if name not in env.groups:
            yield Finding(("policy", "ends_required", number), f"no group is called {name}", "correct the name, or take it out")
    found: dict[Path, str] = {}
    for item in permissions(env):
        given = [each for each in item.groups if each in required]
        if given and item.until is None:
            found.setdefault(item.because, given[0])
    for path, group in found.items():
        message = f"gives group {group} for good, and the policy asks for an end"
        yield Finding(path, message, "write until: with the date on this grant, or on the person", ("policy", "ends_required"))


def _granted(env: Environment) -> Iterator[tuple[Path, SiteGrant | DeveloperGrant | HostGrant]]:
    """Whatever opens something: each grant but those of groups, and each link as the grant to a site that it is."""
    yield from ((path, grant) for path, _, grant in grants(env) if not isinstance(grant, GroupGrant))
    for index, link in enumerate(env.links):
        yield ("links", index), SiteGrant(site=link.to, hosts=link.hosts, ports=link.ports)


def _too_wide(env: Environment, path: Path, grant: SiteGrant, widest: int) -> Iterator[Finding]:
    size = _size(env, grant)
    if size > widest:
        remedy = "name hosts, or raise widest_grant"
        yield Finding(path, f"grants {size} addresses, and the policy allows {widest}", remedy, ("policy", "widest_grant"))


def _size(env: Environment, grant: SiteGrant) -> int:
    return IPSet(grant.hosts or env.gateway_of(grant.site).prefixes).size


def _too_wide_together(env: Environment, widest: int) -> Iterator[Finding]:
    """Who reaches more of a site by several lines than by any of them: named at the last one, and a group's lines once for all members."""
    for (sender, site), items in _by_sender_and_site(env).items():
        reached = [IPSet(item.destination.networks) for item in items]
        size = IPSet(network for each in reached for network in each.iter_cidrs()).size
        if size > widest and all(each.size <= widest for each in reached):
            groups, last = {item.groups[-1:] for item in items}, items[-1]
            who = f"group {last.groups[-1]}" if len(groups) == 1 and last.groups else sender
            message = f"{who} reaches {size} addresses of {site} with this one, and the policy allows {widest}"
            path = last.through[-1] if last.through else last.because
            yield Finding(path, message, "name fewer hosts, or raise widest_grant", ("policy", "widest_grant"))


def _by_sender_and_site(env: Environment) -> dict[tuple[str, str], list[Permission]]:
    found: dict[tuple[str, str], list[Permission]] = {}
    for item in permissions(env):
        if item.destination.kind == "site":
            found.setdefault((str(item.source), str(item.destination)), []).append(item)
    return found


def _protected_are_there(env: Environment) -> Iterator[Finding]:
    names = {"developers": {each.name for each in env.developers}, "sites": {each.site_name for each in env.active_sites}}
    for kind, known in names.items():
        for number, name in enumerate(getattr(env.policy.protected, kind)):
            if name not in known:
                message = f"{name} is protected, and is not among the {kind} of this file (any more)"
                yield Finding(("policy", "protected", kind, number), message, "put it back, or take it out of the protected first")


def broken_by_change(before: Environment, after: Environment | None) -> Iterator[Broken]:
    """What this change may not do, by the policies of both sides; without an `after` the whole environment goes."""
    yield from _gone(before, after)
    machines = {client.name: client.address for client in before.clients}
    heirs = () if after is None else after.heirs(machines)
    names = peers_in_use(before)
    message = too_many(names, after, heirs, before.policy.removals)
    if message is not None:
        yield Broken("removals", message, REMOVALS, "before")
    elif after is not None and (message := too_many(names, after, heirs, after.policy.removals)) is not None:
        yield Broken("removals", message, REMOVALS, "after")


def peers_in_use(env: Environment) -> tuple[str, ...]:
    """The names of all peers but for gateways that are retired: who has those out of the file later takes nothing from anybody."""
    return (env.hub.name, *(each.name for each in env.active_gateways), *(each.name for each in env.clients))


def _gone(before: Environment, after: Environment | None) -> Iterator[Broken]:
    protected = before.policy.protected
    for kind, was, now in (
        ("developers", protected.developers, {each.name for each in after.developers} if after is not None else set()),
        ("sites", protected.sites, {each.site_name for each in after.active_sites} if after is not None else set()),
    ):
        for number, name in enumerate(was):
            if name not in now:
                message = f"{kind[:-1]} {name} goes, and is protected"
                yield Broken("protected", message, ("policy", "protected", kind, number), "before")


def too_many(names: Sequence[str], after: Environment | None, heirs: Iterable[str], allowed: Removals) -> str | None:
    """Why so many of the peers that are in use may not go at once, or None where they may. A gateway that retires goes, too.

    `heirs`: who of them stays under another name.
    """
    remaining = set() if after is None else {*peers_in_use(after), *heirs}
    gone = [name for name in names if name not in remaining]
    if len(gone) <= allowed.at_most and (len(gone) <= _FEW or 100 * len(gone) <= allowed.share * len(names)):
        return None
    retiring = {peer.name for peer in after.peers}.intersection(gone) if after is not None else set()
    shown = [f"{name} retired" if name in retiring else name for name in gone[:_FEW]]
    named = ", ".join(shown) + (f" and {len(gone) - _FEW} more" if len(gone) > _FEW else "")
    keys = ", and their keys for good" if not retiring else ""
    return f"{len(gone)} of {len(names)} peers go at once ({named}){keys}; the policy allows {allowed.at_most}, or {allowed.share} %"
