"""Judges the statements of `expect:` by the rules that hosts enforce, and names the grant that breaks one. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from netaddr import IPAddress, IPNetwork

from wg_office.environment.faults import Path
from wg_office.environment.grants import GroupGrant
from wg_office.environment.model import HUB, Developer, Environment
from wg_office.environment.statements import Expectation, Target, Who
from wg_office.network.access import Permission, Ports, Reach, peer_addresses, reach_of
from wg_office.network.enforced import enforced
from wg_office.network.extent import Extent, Stretch, both, extent, less, stretches, together
from wg_office.reading.checks import ALL_DEVICES, Finding, outside_the_lan, person_of

_GRANTED = "take the grant back, or correct the statement"
_DIRECTLY = "machines of one LAN reach each other without the tunnel, and no rule of ours is in between: correct the statement"
_NOT_GRANTED = "no grant says so, but what the hub itself sends to peers is not filtered: correct the statement"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one statement says of one sender: a group is as many senders as it has machines."""

    index: int
    """The statement's number in the file."""
    name: str
    """The sender's."""
    sources: tuple[IPNetwork, ...]
    networks: tuple[IPNetwork, ...]
    """Where it leads."""
    meant: Extent
    """Of those networks what the statement is about."""
    reaches: bool
    """Whether all of it is open, or none."""


def claims(env: Environment) -> Iterator[Claim]:
    """What the statements of a file without faults come to, in addresses and ports."""
    return (claim for index, statement in enumerate(env.expect) for claim in _claims(env, index, statement))


def _claims(env: Environment, index: int, statement: Expectation) -> Iterator[Claim]:
    reaches = statement.reaches is not None
    networks, gateway = _networks(env, statement.target)
    for name, sources in _sources(env, statement.who):
        meant = _meant(networks, statement.target.ports, sources)
        yield Claim(index, name, sources, networks, less(meant, extent(gateway, ())) if reaches else meant, reaches)


def broken_expectations(env: Environment) -> Iterator[Finding]:
    """A finding for each statement that does not hold; nothing is worked out where there is none."""
    if not env.expect:
        return
    known = reach_of(env)
    for index, statement in enumerate(env.expect):
        unknown = list(_unknown(env, ("expect", index), statement))
        yield from unknown
        if not unknown:
            for claim in _claims(env, index, statement):
                yield from _judged(env, known, statement, claim)


def _judged(env: Environment, known: Reach, statement: Expectation, claim: Claim) -> Iterator[Finding]:
    lans = tuple(prefix for site in env.active_sites for prefix in site.prefixes)
    directly = extent(_own_lans(env, statement.who), ())
    reached = directly | frozenset(box for source in claim.sources for box in enforced(env, known.policies, source))
    if claim.reaches:
        missing = less(claim.meant, reached)
        if missing:
            message = f"does not hold: {claim.name} does not reach {statement.target}; closed are {_listed(missing, lans)}"
            yield Finding(("expect", claim.index, "reaches"), message, "grant it, or correct the statement")
        return
    opened = both(claim.meant, reached)
    if opened:
        message = f"does not hold: {claim.name} reaches {_listed(opened, lans)}"
        because = _because(known.permissions, claim.sources, less(opened, directly))
        remedy = _GRANTED if because is not None else _DIRECTLY if both(opened, directly) else _NOT_GRANTED
        yield Finding(("expect", claim.index, "never_reaches"), message, remedy, because)


def _own_lans(env: Environment, who: Who) -> Iterator[IPNetwork]:
    """The LANs of the site that the sender stands in: what is between two of its machines is no host of ours."""
    address = IPNetwork(who.address) if who.address is not None else None
    for site in env.active_sites:
        inside = address is not None and any(address in prefix for prefix in site.inner)
        if inside or site.name == who.host or (who.site is not None and site.site == who.site):
            yield from site.inner


def _listed(found: Extent, lans: tuple[IPNetwork, ...]) -> str:
    """The first few stretches; a statement about everything may be broken in many."""
    told = [_told(each, lans) for each in stretches(found)]
    return "; ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")


def _told(stretch: Stretch, lans: tuple[IPNetwork, ...]) -> str:
    """In the fewest words: as a part of the LAN that it lies in."""
    words = (together(stretch.networks, (lan,)) for lan in lans)
    return min((f"{each} on {stretch.opened}" for each in words), key=len, default=str(stretch))


def _because(granted: tuple[Permission, ...], sources: tuple[IPNetwork, ...], opened: Extent) -> Path | None:
    """Where the grant stands that opens some of it."""
    for item in granted:
        fits = any(source in network for source in sources for network in item.source.networks)
        if fits and both(extent(item.destination.networks, item.ports), opened):
            return item.through[-1] if item.through else item.because
    return None


# --- names to addresses ----------------------------------------------------------------------------------------------------------------


def _sources(env: Environment, who: Who) -> Iterator[tuple[str, tuple[IPNetwork, ...]]]:
    """Each sender that is meant, with the addresses it sends from."""
    if who.group is not None or who.developer is not None:
        # Each device by itself: what holds for one of them need not hold for the other.
        for client in env.clients:
            if client.developer.name == who.developer or (who.group is not None and _has_group(env, client.developer, who.group)):
                yield client.name, peer_addresses(env, client)
    elif who.site is not None:
        yield str(who), env.gateway_of(who.site).inner
    elif who.address is not None:
        yield str(who), (IPNetwork(who.address),)
    else:
        name = who.host or ""
        yield name, peer_addresses(env, env.peer(name))


def _has_group(env: Environment, developer: Developer, group: str) -> bool:
    """Directly, or inside another group."""
    open_groups, seen = [grant.group for grant in developer.access if isinstance(grant, GroupGrant)], set[str]()
    while open_groups:
        name = open_groups.pop()
        if name not in seen:
            seen.add(name)
            open_groups += [grant.group for grant in env.groups[name].access if isinstance(grant, GroupGrant)]
    return group in seen


def _meant(networks: tuple[IPNetwork, ...], ports: Ports, sources: tuple[IPNetwork, ...]) -> Extent:
    """The addresses and ports of a target, of the families that the sender has; where it has none of them, it gets to none."""
    families = {source.version for source in sources}
    return extent([network for network in networks if network.version in families] or networks, ports)


def _networks(env: Environment, target: Target) -> tuple[tuple[IPNetwork, ...], tuple[IPNetwork, ...]]:
    """What is meant; and of whole LANs the host's own addresses, which a grant to the LANs leaves out."""
    if target.site is not None:
        site = env.gateway_of(target.site)
        own = tuple(site.as_known(IPNetwork(address)) for address in site.own_addresses)
        return (tuple(map(site.as_known, target.hosts)), ()) if target.hosts else (site.prefixes, own)
    if target.address is not None:
        return (IPNetwork(target.address),), ()
    if target.developer is not None:
        theirs = (client for client in env.clients if client.developer.name == target.developer)
        return tuple(address for client in theirs for address in peer_addresses(env, client)), ()
    return peer_addresses(env, env.peer(target.host or "")), ()


def _unknown(env: Environment, here: Path, statement: Expectation) -> Iterator[Finding]:
    """Names that the file does not have, and hosts that are in no LAN: a slip there would hold for ever."""
    sites = {site.site_name for site in env.active_sites}
    known = {
        "developer": {developer.name for developer in env.developers},
        "group": set(env.groups),
        "site": sites,
        "host": {env.hub.name, *(gateway.name for gateway in env.active_gateways)},
    }
    for field in ("who", "reaches", "never_reaches"):
        part = getattr(statement, field)
        for kind, names in known.items():
            name = getattr(part, kind, None)
            if name is not None and name not in names:
                remedy = f"there {'is' if len(names) == 1 else 'are'} {', '.join(sorted(names))}" if names else "there is none"
                other = next((each for each, others in known.items() if name in others), None)
                if other is not None or name == HUB:
                    remedy = f"it is a {other}: write {{{other}: {name}}}" if other else f"the hub is {{host: {env.hub.name}}}"
                if kind == "developer" and (person := person_of(env, name)) is not None:
                    remedy = f"it is a device of {person}, and {ALL_DEVICES}: write {person}"
                yield Finding((*here, field, kind), f"{name} is not a {kind} of this file", remedy)
        yield from _known_otherwise(env, (*here, field, "address"), getattr(part, "address", None))
        site = getattr(part, "site", None)
        if site in sites:
            yield from outside_the_lan(env.gateway_of(site), (*here, field), getattr(part, "hosts", ()))


def _known_otherwise(env: Environment, here: Path, address: IPAddress | None) -> Iterator[Finding]:
    """An address of a LAN that the tunnel knows by another prefix: several machines may have it, and none is reached by it."""
    if address is None or any(address in prefix for prefix in env.routed):
        return
    for site in env.active_sites:
        alias = site.as_known(IPNetwork(address)).ip
        if alias != address:
            yield Finding(here, f"{address} is {alias} in the tunnel", f"write {alias}, or {{site: {site.site}, hosts: [{address}]}}")
            return
