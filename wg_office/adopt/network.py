"""Whether a hub and gateways that were made by hand fit together, and what network they are. Pure.

The hub is the measure: who is a peer there is a peer of the environment, by the addresses that are routed to it there.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from netaddr import IPAddress, IPNetwork
from pydantic import TypeAdapter

from wg_office.adopt.filters import Filter, filter_of
from wg_office.adopt.units import PeerFound, Tunnel, tunnels
from wg_office.asking.said import NotUnderstood, Said, shown
from wg_office.environment.fields import OwnName, Title, as_name, fits
from wg_office.environment.model import Firewall, Ssh


@dataclass(frozen=True)
class Asked:
    """A host, what the operator calls it, and what it said."""

    name: str
    ssh: Ssh
    said: Said


@dataclass(frozen=True)
class LanFound:
    """A network behind a gateway: the gateway's address in it, or the router behind which it lies."""

    cidr: IPNetwork
    address: IPAddress | None
    via: IPAddress | None
    masquerades: bool


@dataclass(frozen=True)
class HostFound:
    """The hub or a gateway."""

    name: str
    ssh: Ssh
    tunnel: Tunnel
    filter: Filter
    firewall: Firewall
    address: IPAddress
    address6: IPAddress | None = None
    lans: tuple[LanFound, ...] = ()
    preshared_key: str | None = field(default=None, repr=False)
    """With the hub."""


@dataclass(frozen=True)
class Person:
    """A peer of the hub that is no gateway."""

    name: str
    title: str | None
    public_key: str
    address: IPAddress
    address6: IPAddress | None
    preshared_key: str | None = field(default=None, repr=False)
    grants: tuple["GrantFound", ...] = ()


@dataclass(frozen=True)
class GrantFound:
    """What is open to somebody at a site; empty hosts and ports stand for all."""

    site: str
    hosts: tuple[IPNetwork, ...] = ()
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The network."""

    cidr: IPNetwork
    cidr6: IPNetwork | None
    endpoint: str
    hub: HostFound
    gateways: tuple[HostFound, ...]
    people: tuple[Person, ...]
    links: tuple[tuple[str, str], ...]
    is_told: bool
    """Whether anybody says where the hub is dialled."""


class Misfits(Exception):
    """What keeps the hosts from being one network, a line each."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


def network_of(hub: Asked, gateways: tuple[Asked, ...], interface: str | None = None, endpoint: str | None = None) -> Found:
    """The network of a hub and its gateways. Raises Misfits."""
    center = _hub(hub, interface)
    wrong = list[str]()
    sites = [found for each in gateways if (found := _caught(wrong, each, center)) is not None]
    wrong += _twice(center, sites)
    wrong += _unknown_sites(center, sites) if len(sites) == len(gateways) else ()
    if wrong:
        raise Misfits(wrong)
    return _found(center, tuple(sites), endpoint)


# --- the hub -----------------------------------------------------------------------------------------------------------------------------


def _tunnels(asked: Asked) -> tuple[Tunnel, ...]:
    try:
        return tunnels(asked.said)
    except NotUnderstood as wrong:
        raise Misfits([f"{asked.name} ({asked.ssh.address}): {wrong}"]) from None


def _hub(asked: Asked, interface: str | None) -> HostFound:
    all_, who = _tunnels(asked), f"{asked.name} ({asked.ssh.address})"
    chosen = [each for each in all_ if interface in (None, each.name)]
    if not chosen:
        there = ", ".join(shown(each.name) for each in all_) or "none"
        raise Misfits([f"{who} has no WireGuard interface{f' {interface}' if interface else ''}; it has {there}"])
    if len(chosen) > 1:
        raise Misfits(
            [f"{who} has several WireGuard interfaces ({', '.join(shown(each.name) for each in chosen)}): name one with --interface"]
        )
    return _host(asked, chosen[0], who, within=True)


def _host(asked: Asked, tunnel: Tunnel, who: str, within: bool = False) -> HostFound:
    if tunnel.private_key is None:
        raise Misfits([f"{who}: {shown(tunnel.name)} has no private key that could be read; log in as root, or as one who may `sudo -n`"])
    four = [each for each in tunnel.addresses if each.version == 4]
    six = [each for each in tunnel.addresses if each.version == 6]
    if len(four) != 1 or len(six) > 1:
        given = ", ".join(map(str, tunnel.addresses)) or "none"
        raise Misfits([f"{who}: {shown(tunnel.name)} needs one IPv4 address, and has {given}; take the others away first"])
    return HostFound(
        name=asked.name,
        ssh=asked.ssh,
        tunnel=tunnel,
        filter=filter_of(asked.said, tunnel, within),
        firewall=_firewall(asked.said),
        address=four[0].ip,
        address6=six[0].ip if six else None,
    )


def _firewall(said: Said) -> Firewall:
    """Who else filters there, by the services that run."""
    services: tuple[Firewall, ...] = ("firewalld", "ufw", "docker")
    running = next((each for each in services if each in said.active), None)
    return running or ("iptables" if "-A " in said.iptables else "nftables")


# --- gateways ----------------------------------------------------------------------------------------------------------------------------


def _caught(wrong: list[str], asked: Asked, hub: HostFound) -> HostFound | None:
    try:
        return _gateway(asked, hub)
    except Misfits as misfits:
        wrong += misfits.lines
        return None


def _gateway(asked: Asked, hub: HostFound) -> HostFound:
    who, key = f"{asked.name} ({asked.ssh.address})", hub.tunnel.public_key
    to_hub = [(each, peer) for each in _tunnels(asked) if (peer := each.peer(key)) is not None]
    if not to_hub:
        raise Misfits(
            [f"{who} does not know {hub.name}: no WireGuard interface there has a peer with its key {key}; is it another network's?"]
        )
    tunnel, peer = to_hub[0]
    host = _host(asked, tunnel, who)
    back = hub.tunnel.peer(tunnel.public_key)
    if back is None:
        raise Misfits([f"{hub.name} does not know {who}: none of its peers has the key {tunnel.public_key}; is it another network's?"])
    own = [each for each in (host.address, host.address6) if each is not None]
    lines = [*_ends(hub, who, host, peer, back)]
    if lines:
        raise Misfits(lines)
    lans = tuple(
        _lan(asked, host, cidr) for cidr in back.allowed_ips if not any(_only(cidr, address) for address in own) and cidr.prefixlen
    )
    if not lans:
        raise Misfits([f"{hub.name} routes no network to {who}, only its own address: it is no gateway; leave --gateway {asked.name} out"])
    lost = [
        f"{hub.name} routes {lan.cidr} to {who}, which has neither an address in it nor a route to it" for lan in lans if not _reached(lan)
    ]
    if lost:
        raise Misfits(lost)
    return replace(host, lans=lans, preshared_key=back.preshared_key)


def _only(cidr: IPNetwork, address: IPAddress) -> bool:
    return bool(cidr.size == 1 and cidr.ip == address)


def _reached(lan: LanFound) -> bool:
    return lan.address is not None or lan.via is not None


def _ends(hub: HostFound, who: str, host: HostFound, there: PeerFound, here: PeerFound) -> Iterator[str]:
    """What two ends must agree about."""
    if host.address not in _cidr(hub, 4):
        yield f"{who} has {host.address}, which is not in {_cidr(hub, 4)}, the network of {hub.name}"
    elif not any(host.address in prefix for prefix in here.allowed_ips):
        yield f"{hub.name} routes {', '.join(map(str, here.allowed_ips)) or 'nothing'} to {who}, which has {host.address}"
    if there.preshared_key != here.preshared_key:
        yield f"{who} and {hub.name} have different preshared keys with each other, so that no packet passes; make them equal first"


def _lan(asked: Asked, host: HostFound, cidr: IPNetwork) -> LanFound:
    """A network that the hub routes to a gateway, as the gateway has it."""
    at = [address.ip for link in asked.said.links if link.name != host.tunnel.name for address in link.addresses if address.cidr == cidr]
    via = [way.router for way in asked.said.ways if way.router is not None and way.destination == cidr]
    return LanFound(cidr, at[0] if at else None, via[0] if via and not at else None, _masquerades(asked, host, cidr))


def _masquerades(asked: Asked, host: HostFound, cidr: IPNetwork) -> bool:
    """Whether what goes from the tunnel into the LAN bears the gateway's address."""
    out = {link.name for link in asked.said.links if any(address.cidr == cidr for address in link.addresses)}
    return any(
        (rule.oif is None or not out or rule.oif in out)
        and (not rule.sources or any(host.address in prefix for prefix in rule.sources))
        and (not rule.destinations or any(cidr in prefix for prefix in rule.destinations))
        for rule in host.filter.masquerades
    )


def _cidr(hub: HostFound, version: int) -> IPNetwork:
    """The VPN's prefix: the hub's, or where that is its address alone, the smallest around all peers."""
    own = next(each for each in hub.tunnel.addresses if each.version == version)
    if own.size > 1:
        return own.cidr
    around = own.supernet(24 if version == 4 else 64)[0]
    others = [prefix for peer in hub.tunnel.peers for prefix in peer.allowed_ips if prefix.version == version and prefix.size == 1]
    while not all(other in around for other in others) and around.prefixlen > (16 if version == 4 else 48):
        around = around.supernet(around.prefixlen - 1)[0]
    return around


# --- between them ------------------------------------------------------------------------------------------------------------------------


def _twice(hub: HostFound, gateways: list[HostFound]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for host in gateways:
        other = seen.setdefault(host.tunnel.public_key, host.name)
        if other != host.name:
            yield f"{other} and {host.name} have the same key: {hub.name} takes them for one; are they the same machine?"


def _unknown_sites(hub: HostFound, gateways: list[HostFound]) -> Iterator[str]:
    """Peers with a network behind them, or without an address, that nobody named as a gateway."""
    known = {host.tunnel.public_key for host in gateways}
    vpn = [_cidr(hub, each.version) for each in hub.tunnel.addresses]
    for peer in hub.tunnel.peers:
        beyond = [prefix for prefix in peer.allowed_ips if not any(prefix in each for each in vpn)]
        inside = [prefix for prefix in peer.allowed_ips if prefix.version == 4 and prefix not in beyond]
        called = shown(peer.called) or peer.public_key
        if peer.public_key in known:
            continue
        if any(prefix.size == 1 for prefix in beyond):
            vpns = " and ".join(map(str, vpn))
            yield f"{hub.name} routes {', '.join(map(str, beyond))} to its peer {called}, which is not in {vpns}; give it an address there"
        elif beyond:
            yield (
                f"{hub.name} routes {', '.join(map(str, beyond))} to its peer {called}: "
                "name that machine with --gateway NAME=USER@HOST, or take the network from its AllowedIPs"
            )
        elif len(inside) != 1 or inside[0].size != 1:
            given = ", ".join(map(str, peer.allowed_ips)) or "nothing"
            yield f"{hub.name} routes {given} to its peer {called}, which needs one IPv4 address as its AllowedIPs; write that first"


def ends_at_hub(hub: HostFound, gateways: Iterable[HostFound]) -> list[PeerFound]:
    """The hub as each gateway has it."""
    return [peer for each in gateways if (peer := each.tunnel.peer(hub.tunnel.public_key)) is not None]


def _found(hub: HostFound, gateways: tuple[HostFound, ...], endpoint: str | None) -> Found:
    cidr6 = _cidr(hub, 6) if hub.address6 is not None else None
    people = tuple(_people(hub, gateways))
    said = [peer.endpoint for peer in ends_at_hub(hub, gateways) if peer.endpoint]
    host = f"[{hub.ssh.host}]" if ":" in hub.ssh.host else hub.ssh.host
    dialled = endpoint or (said[0] if said else f"{host}:{hub.tunnel.listen_port or 51820}")
    links = tuple(_links(hub, gateways))
    return Found(_cidr(hub, 4), cidr6, dialled, hub, gateways, people, links, bool(said or endpoint))


# --- people ------------------------------------------------------------------------------------------------------------------------------


def _people(hub: HostFound, gateways: tuple[HostFound, ...]) -> Iterator[Person]:
    known = {host.tunnel.public_key for host in gateways}
    taken = {hub.name, *(host.name for host in gateways)}
    for number, peer in enumerate((each for each in hub.tunnel.peers if each.public_key not in known), start=1):
        name = _name(peer.called, number, taken)
        taken.add(name)
        alone = {prefix.version: prefix.ip for prefix in peer.allowed_ips}
        grants = tuple(grant for gateway in gateways for grant in _grants(hub, gateway, alone[4]))
        title = _title(peer.called, name)
        yield Person(name, title, peer.public_key, alone[4], alone.get(6), peer.preshared_key, grants)


_NAMES, _TITLES = TypeAdapter(OwnName), TypeAdapter(Title)


def _name(called: str, number: int, taken: set[str]) -> str:
    """A name that an environment file can have, near to what the comment says."""
    wanted = as_name(called.partition(",")[0])
    if not wanted or not fits(_NAMES, wanted):
        wanted = f"peer{number}"
    numbered = (f"{wanted[:8].rstrip('-')}-{more}" for more in itertools.count(2))
    return next(each for each in itertools.chain([wanted], numbered) if each not in taken)


def _title(called: str, name: str) -> str | None:
    bare = called.partition(",")[0].strip()
    return bare if bare != name and fits(_TITLES, bare) else None


def _grants(hub: HostFound, gateway: HostFound, who: IPAddress) -> Iterator[GrantFound]:
    """What is open to an address behind a gateway, by the rules of both."""
    at_hub, there = (_open_to(host.filter, who, gateway) for host in (hub, gateway))
    for one in at_hub:
        for other in there:
            both = _both(one, other)
            if both is not None:
                yield both


def _open_to(rules: Filter, who: IPAddress, gateway: HostFound) -> list[GrantFound]:
    """By the rules of one host; a whole site where they close nothing."""
    if rules.opened is None:
        return [GrantFound(gateway.name)]
    found: list[GrantFound] = []
    for rule in rules.opened:
        if rule.sources and not any(who in prefix for prefix in rule.sources):
            continue
        inside = [_inner(one, lan.cidr) for one in rule.destinations for lan in gateway.lans if _inner(one, lan.cidr) is not None]
        whole = not rule.destinations or all(any(lan.cidr in one for one in rule.destinations) for lan in gateway.lans)
        if whole or inside:
            found.append(GrantFound(gateway.name, () if whole else tuple(each for each in inside if each is not None), rule.ports))
    return list(dict.fromkeys(found))


def _inner(one: IPNetwork, other: IPNetwork) -> IPNetwork | None:
    """What two prefixes share."""
    return one if one in other else other if other in one else None


def _both(one: GrantFound, other: GrantFound) -> GrantFound | None:
    """What two hosts let through, where both judge; ports of which neither is all must be the same."""
    if one.ports and other.ports and one.ports != other.ports:
        return None
    shared = [_inner(first, second) for first in one.hosts for second in other.hosts]
    hosts = tuple(each for each in shared if each is not None) if one.hosts and other.hosts else one.hosts or other.hosts
    if one.hosts and other.hosts and not hosts:
        return None
    return GrantFound(one.site, hosts, one.ports or other.ports)


def _links(hub: HostFound, gateways: tuple[HostFound, ...]) -> Iterator[tuple[str, str]]:
    """Pairs of sites whose gateways send each other's LANs into the tunnel, where no host's rules close anything."""
    sent = {host.name: peer.allowed_ips for host, peer in zip(gateways, ends_at_hub(hub, gateways), strict=True)}
    for one in gateways:
        for other in gateways:
            linked = _covered(other, sent[one.name]) and _covered(one, sent[other.name])
            if one is not other and linked and all(host.filter.opened is None for host in (hub, one, other)):
                yield one.name, other.name


def _covered(host: HostFound, prefixes: tuple[IPNetwork, ...]) -> bool:
    return all(any(lan.cidr in prefix for prefix in prefixes) for lan in host.lans)
