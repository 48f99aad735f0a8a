"""Who may reach what: the environment's grants, flattened, and what follows from them for the firewall of one host.

Pure: the environment goes in, frozen data comes out. `permissions` is what people read (the access table), in the order of the file.
A `FirewallPolicy` is what one host enforces, whatever its firewall is called, in an order that stays when lines of the file change places.
`reach_of` works out both, once, for whoever needs them.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from netaddr import IPAddress, IPNetwork, IPSet

from wg_office.environment.faults import Path
from wg_office.environment.fields import Moment, earliest
from wg_office.environment.grants import ICMP, Access, DeveloperGrant, GroupGrant, HostGrant, Icmp, PortRange, SiteGrant
from wg_office.environment.model import Client, Developer, Environment, Gateway, Hub, Lan, Peer, Site

Ports = tuple[PortRange | Icmp, ...]
"""What may be opened; empty means every protocol and port."""

PlaceKind = Literal["developer", "site", "host"]
Protocol = Literal["tcp", "udp", "icmp"]
Role = Literal["hub", "gateway"]

_IPV4_AND_TCP_HEADERS = 40
_IPV6_AND_TCP_HEADERS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """One end of a permission, by its name in the file and by its addresses."""

    kind: PlaceKind
    name: str
    networks: tuple[IPNetwork, ...]
    """As the tunnel carries them: of a site's LAN with an alias, that."""
    apart_from: tuple[IPNetwork, ...] = ()
    """Addresses inside `networks` that are not meant: a grant to a whole LAN does not open the gateway that stands in it."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def holds(self, address: IPAddress) -> bool:
        """Whether the address is meant."""
        return any(address in network for network in self.networks) and not any(address in network for network in self.apart_from)


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that one sender may do, and the line of the file that says so."""

    source: Place
    destination: Place
    ports: Ports
    because: Path
    """Where the sender's own line stands: developers[0].access[1]."""
    through: tuple[Path, ...] = ()
    """Where the lines of the groups in between stand, outermost first."""
    until: Moment | None = None
    """When it ends: the first of all that end it, the line's own, a group's, the sender's and the receiver's."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups in between."""
        return tuple(str(path[1]) for path in self.through)

    def allows(self, source: IPAddress, destination: IPAddress, protocol: str, port: int = 0) -> bool:
        """Whether a new connection may be opened by this permission. `icmp` is an echo request."""
        return self.source.holds(source) and self.destination.holds(destination) and opens(self.ports, protocol, port)


@dataclass(frozen=True, slots=True)
class Allow:
    """New connections that one host lets pass: from any of the sources to any of the destinations."""

    sender: str
    """`developer-e`, `site-beijing`, `host-z`."""
    sources: tuple[IPNetwork, ...]
    destinations: tuple[IPNetwork, ...]
    ports: Ports
    note: str
    """For the comment beside the rule. Names only: with the line's number in it, a new line in the file would change every host."""
    until: Moment | None = None
    """When it ends, for the host to see to by itself."""


@dataclass(frozen=True, slots=True)
class Masquerade:
    """What a host sends into a LAN under its own address, where the LAN knows no way back to the VPN. All of one family."""

    sources: tuple[IPNetwork, ...]
    destination: IPNetwork
    interface: str | None
    """The LAN's interface; None where the file does not name it: any but the tunnel."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A LAN of the host, and the prefix of the same length by which the tunnel knows it."""

    real: IPNetwork
    known_as: IPNetwork


@dataclass(frozen=True, slots=True)
class Redirect:
    """UDP ports of the hub that lead to its WireGuard as well, for people in networks that block others."""

    ports: tuple[int, ...]
    to: int


@dataclass(frozen=True, slots=True)
class FirewallPolicy:
    """What one host's firewall has to do with packets of the tunnel. What is not listed is not let through; there is no other mode."""

    host: str
    role: Role
    interface: str
    vpn: tuple[IPNetwork, ...]
    local: tuple[IPNetwork, ...]
    """The host's own addresses."""
    remote: tuple[IPNetwork, ...]
    """What lies on the tunnel's other side: the VPN and the LANs."""
    from_tunnel: tuple[Allow, ...]
    """Forwarded. On a gateway: into its LANs. On the hub: back into the tunnel, or into LANs of its own."""
    to_tunnel: tuple[Allow, ...]
    """Forwarded from the host's own LANs into the tunnel."""
    to_host: tuple[Allow, ...]
    """From the tunnel to the host itself."""
    masquerade: tuple[Masquerade, ...]
    mss: int
    mss6: int
    mark: int
    """The bit that the table sets on packets of the tunnel, by which others may know that it is there."""
    lans: tuple[Lan, ...] = ()
    """The host's own networks. On the hub: whatever else comes out of the tunnel may only go back into it."""
    redirect: Redirect | None = None
    ends: tuple[tuple[IPNetwork, IPNetwork], ...] = ()
    """On the hub: an end of connections, and who may send ICMP errors about them."""
    aliases: tuple[Alias, ...] = ()
    """Of the host's own networks, which rules have by the addresses that their machines have: those that it translates."""

    @property
    def answers(self) -> bool:
        """Whether what is not allowed is refused with an ICMP message (the hub, so that people see it at once) or dropped in silence."""
        return self.role == "hub"


@dataclass(frozen=True, slots=True)
class Reach:
    """What an environment's grants come to: who may reach what, and what each host enforces of it, by the host's name."""

    permissions: tuple[Permission, ...]
    policies: Mapping[str, FirewallPolicy]


def opens(ports: Ports, protocol: str, port: int) -> bool:
    """Whether a connection with this protocol and port is among these ports."""
    if not ports:
        return True
    if protocol == "icmp":
        return ICMP in ports
    return any(isinstance(item, PortRange) and item.protocol == protocol and item.first <= port <= item.last for item in ports)


# --- the access table ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Names:
    """Whom the environment's names stand for; a thousand grants are not a thousand searches."""

    env: Environment

    @cached_property
    def gateway_of(self) -> Mapping[str, Site]:
        """By site."""
        return {host.site_name: host for host in self.env.sites}

    @cached_property
    def host(self) -> Mapping[str, Site]:
        """Hub and gateways, by name."""
        hosts: tuple[Site, ...] = (self.env.hub, *self.env.gateways)
        return {host.name: host for host in hosts}

    @cached_property
    def developer(self) -> Mapping[str, Developer]:
        return {developer.name: developer for developer in self.env.developers}


def permissions(env: Environment) -> tuple[Permission, ...]:
    """Everything that may be opened through the tunnel, in the order of the file; whoever is not in it reaches nothing."""
    names = _Names(env)
    return (*_of_hub(names), *_of_gateways(names), *_of_developers(names), *_of_links(names))


def destinations(env: Environment, access: Access) -> Iterator[Place]:
    """Where grants lead, with groups expanded."""
    names = _Names(env)
    return (target.place for grant in access for target in _targets(names, grant, ()))


def may_open(env: Environment, access: Access, address: IPAddress, protocol: Protocol, port: int) -> bool:
    """Whether one of the grants lets a connection to this address be opened."""
    names = _Names(env)
    reached = (target for grant in access for target in _targets(names, grant, ()))
    return any(target.place.holds(address) and opens(target.ports, protocol, port) for target in reached)


def _of_hub(names: _Names) -> Iterator[Permission]:
    """What the hub may reach by itself, and SSH to the gateways that are reached through it."""
    env = names.env
    granted = _of_access(names, _host(env, env.hub), env.hub.access, ("hub",))
    # Its own networks the hub reaches without the tunnel.
    yield from (item for item in granted if _key(item.destination) != ("site", env.hub.site))
    for index, gateway in enumerate(env.gateways):
        if gateway.ssh is not None and gateway.ssh.over_tunnel and not gateway.retired:
            own = (_single(address) for address in gateway.own_addresses if str(address) == gateway.ssh.host)
            networks = [*peer_addresses(env, gateway), *own]
            ports = (PortRange("tcp", gateway.ssh.port, gateway.ssh.port),)
            yield Permission(_host(env, env.hub), Place("host", gateway.name, tuple(networks)), ports, ("gateways", index, "ssh", "via"))


def _of_gateways(names: _Names) -> Iterator[Permission]:
    for index, gateway in enumerate(names.env.gateways):
        if not gateway.retired:
            # Its own gateway a LAN reaches without the tunnel.
            granted = _of_access(names, _site(gateway), gateway.access, ("gateways", index))
            yield from (item for item in granted if _key(item.destination) != ("host", gateway.name))


def _of_developers(names: _Names) -> Iterator[Permission]:
    for index, developer in enumerate(names.env.developers):
        for place, until in _machines(names.env, developer):
            yield from _of_access(names, place, developer.access, ("developers", index), until)


def _of_links(names: _Names) -> Iterator[Permission]:
    for index, link in enumerate(names.env.links):
        opener, reached = names.gateway_of[link.from_], names.gateway_of[link.to]
        if opener.is_active and reached.is_active:
            yield Permission(_site(opener), _inside(reached, link.hosts), _tidy(link.ports), ("links", index), until=link.until)


def _of_access(names: _Names, source: Place, access: Access, owner: Path, until: Moment | None = None) -> Iterator[Permission]:
    for index, grant in enumerate(access):
        for target in _targets(names, grant, ()):
            if not _is_itself(source, target.place):
                ends = earliest(until, target.until)
                yield Permission(source, target.place, target.ports, (*owner, "access", index), target.through, ends)


def _is_itself(source: Place, destination: Place) -> bool:
    return _key(destination) == _key(source) and destination.networks == source.networks and not _has_several(source)


def _has_several(place: Place) -> bool:
    """A person's devices may reach each other where a grant says so; whoever has one machine reaches it without us."""
    return place.kind == "developer" and sum(network.version == 4 for network in place.networks) > 1


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a grant leads, what it opens there, the groups in between, and when the first of them ends."""

    place: Place
    ports: Ports
    through: tuple[Path, ...]
    until: Moment | None


def _targets(names: _Names, grant: object, through: tuple[Path, ...], until: Moment | None = None) -> Iterator[_Target]:
    """What a grant comes to, with its groups expanded. A group inside itself adds nothing (and the checks refuse it)."""
    until = earliest(until, getattr(grant, "until", None))
    match grant:
        case GroupGrant(group=name):
            if not any(path[1] == name for path in through):
                for index, inner in enumerate(names.env.groups[name].access):
                    yield from _targets(names, inner, (*through, ("groups", name, "access", index)), until)
        case SiteGrant(site=name, hosts=hosts, ports=ports):
            host = names.gateway_of[name]
            if host.is_active:
                yield _Target(_inside(host, hosts), _tidy(ports), through, until)
        case DeveloperGrant(developer=name, ports=ports):
            for place, ends in _machines(names.env, names.developer[name]):
                yield _Target(place, _tidy(ports), through, earliest(until, ends))
        case HostGrant(host=name, ports=ports):
            host = names.host[name]
            if host.is_active:
                yield _Target(_host(names.env, host), _tidy(ports), through, until)


def _site(host: Site) -> Place:
    """A site as one that opens connections; what lies in the internet does not."""
    return _place(host, host.inner)


def _inside(host: Site, hosts: tuple[IPNetwork, ...]) -> Place:
    return _place(host, _without_doubles(map(host.as_known, hosts)) if hosts else host.prefixes)


def _place(host: Site, networks: tuple[IPNetwork, ...]) -> Place:
    own = (host.as_known(_single(address)) for address in host.own_addresses)
    return Place("site", host.site_name, networks, tuple(each for each in own if each not in networks))


def _machines(env: Environment, developer: Developer) -> Iterator[tuple[Place, Moment | None]]:
    """The person, since whatever is granted holds for all devices alike; more than once where some of them end at another time."""
    by_end: dict[Moment | None, list[Client]] = {}
    for client in developer.clients:
        by_end.setdefault(client.until, []).append(client)
    for until, clients in by_end.items():
        yield Place("developer", developer.name, tuple(each for client in clients for each in peer_addresses(env, client))), until


def _host(env: Environment, peer: Peer) -> Place:
    return Place("host", peer.name, peer_addresses(env, peer))


def peer_addresses(env: Environment, peer: Peer) -> tuple[IPNetwork, ...]:
    """A peer's own addresses in the VPN as /32 and, where there is IPv6, /128."""
    address6 = env.address6_of(peer)
    return (_single(peer.address),) if address6 is None else (_single(peer.address), _single(address6))


def _single(address: IPAddress) -> IPNetwork:
    return IPNetwork((int(address), 32 if address.version == 4 else 128), version=address.version)


def _without_doubles(networks: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    """Sorted, and without those that lie in another: firewalls refuse overlapping members of one set."""
    unique = sorted(set(networks))
    return tuple(network for network in unique if not any(network in other for other in unique if other != network))


def _tidy(ports: Ports) -> Ports:
    """Sorted, with overlapping ranges made one."""
    tidy: list[PortRange] = []
    for item in sorted(port for port in ports if isinstance(port, PortRange)):
        last = tidy[-1] if tidy else None
        if last is not None and last.protocol == item.protocol and item.first <= last.last:
            tidy[-1] = PortRange(item.protocol, last.first, max(last.last, item.last))
        else:
            tidy.append(item)
    return (*tidy, *([ICMP] if ICMP in ports else []))


# --- what one host enforces ------------------------------------------------------------------------------------------------------------


def reach_of(env: Environment) -> Reach:
    """All permissions, and the policies of the hub and of every gateway; that of one which nobody logs in to says what is meant alone."""
    granted = permissions(env)
    by_end = _by_end(granted)
    gateways = {gateway.name: _gateway_policy(env, gateway, by_end) for gateway in env.gateways}
    unmanaged = {gateway.site for gateway in env.gateways if not gateway.is_managed}
    at_hub = _by_end(_but_the_gateway(item, unmanaged) for item in granted) if unmanaged else by_end
    return Reach(granted, {env.hub.name: _hub_policy(env, at_hub)} | gateways)


def _but_the_gateway(item: Permission, sites: Collection[str]) -> Permission:
    """In these sites nobody but the hub keeps those who may reach a LAN from the gateway in it."""
    place = item.destination
    if place.kind != "site" or place.name not in sites or not place.apart_from:
        return item
    left = IPSet(place.networks) - IPSet(place.apart_from)
    return replace(item, destination=replace(place, networks=tuple(left.iter_cidrs())))


@dataclass(frozen=True, slots=True)
class _ByEnd:
    """Permissions by the place that opens and by the one that is reached."""

    source: Mapping[tuple[str, str], list[Permission]]
    destination: Mapping[tuple[str, str], list[Permission]]


def _by_end(granted: Iterable[Permission]) -> _ByEnd:
    source: dict[tuple[str, str], list[Permission]] = defaultdict(list)
    destination: dict[tuple[str, str], list[Permission]] = defaultdict(list)
    for item in granted:
        source[_key(item.source)].append(item)
        destination[_key(item.destination)].append(item)
    return _ByEnd(source, destination)


def _hub_policy(env: Environment, granted: _ByEnd) -> FirewallPolicy:
    """What passes the hub from peer to peer, and as at a gateway what enters its own networks and leaves them."""
    here = (("host", env.hub.name), ("site", env.hub.site))
    passing = [item for ends in granted.source.values() for item in ends if not {_key(item.source), _key(item.destination)} & {*here}]
    policy = _site_policy(env, env.hub, granted, passing, _prefixes(gateway for gateway in env.gateways))
    return replace(policy, redirect=Redirect(env.hub.also_on, env.hub.port)) if env.hub.also_on else policy


def _gateway_policy(env: Environment, gateway: Gateway, granted: _ByEnd) -> FirewallPolicy:
    site = ("site", gateway.site)
    met = [*granted.destination.get(site, []), *granted.destination.get(("host", gateway.name), [])]
    # Only the LANs that are linked with this one: another new site is nothing to this host.
    lans = _lans(env, [*(item.source for item in met), *(item.destination for item in granted.source.get(site, []))])
    return _site_policy(env, gateway, granted, [], lans)


def _site_policy(env: Environment, host: Site, granted: _ByEnd, passing: list[Permission], lans: set[IPNetwork]) -> FirewallPolicy:
    own = tuple(_single(address) for address in host.own_addresses)
    site = ("site", host.site_name)
    entering = [_as_here(host, item) for item in granted.destination.get(site, []) if _key(item.source) != ("host", host.name)]
    leaving = [_as_here(host, item) for item in granted.source.get(site, [])]
    arriving = [item for item in granted.destination.get(("host", host.name), []) if _key(item.source) != site]
    # The host's own LAN address is in the LAN's prefix, but packets to it are not forwarded.
    from_tunnel = _rules([*passing, *_aimed(entering, lambda network: network not in own)])
    to_host = _rules([*arriving, *_aimed(entering, lambda network: network in own)])
    to_tunnel = _rules(leaving)
    return FirewallPolicy(
        host=host.name,
        role="hub" if isinstance(host, Hub) else "gateway",
        interface=env.network.interface,
        vpn=env.vpn,
        local=(*peer_addresses(env, host), *own),
        remote=(*env.vpn, *sorted(lans)),
        from_tunnel=from_tunnel,
        to_tunnel=to_tunnel,
        to_host=to_host,
        masquerade=_masquerades(env, host, _lans(env, (item.source for item in entering))),
        mss=env.network.mtu - _IPV4_AND_TCP_HEADERS,
        mss6=env.network.mtu - _IPV6_AND_TCP_HEADERS,
        mark=env.network.mark,
        lans=host.networks,
        ends=tuple(sorted(_ends(env, (*from_tunnel, *to_tunnel, *to_host)))) if isinstance(host, Hub) else (),
        aliases=tuple(Alias(lan.cidr, lan.known_as) for lan in host.aliased),
    )


def _as_here(host: Site, item: Permission) -> Permission:
    """With the addresses that the site's own machines have: rules judge what the host has translated, or not translated yet."""
    if not host.aliased:
        return item
    ends = [replace(end, networks=tuple(map(host.as_here, end.networks))) for end in (item.source, item.destination)]
    return replace(item, source=ends[0], destination=ends[1])


def _lans(env: Environment, places: Iterable[Place]) -> set[IPNetwork]:
    sites = {place.name for place in places if place.kind == "site"}
    return _prefixes(host for host in env.sites if host.site in sites)


def _prefixes(hosts: Iterable[Site]) -> set[IPNetwork]:
    return {prefix for host in hosts for prefix in host.prefixes}


def _masquerades(env: Environment, host: Site, linked: set[IPNetwork]) -> tuple[Masquerade, ...]:
    """For the VPN's own addresses, and for the LANs that are linked to this site."""
    lans = [lan for lan in host.networks if host.is_active and host.masquerades(lan)]
    return tuple(Masquerade(_of_family(lan, (*env.vpn, *sorted(linked))), lan.cidr, lan.interface) for lan in lans)


def _of_family(lan: Lan, prefixes: Iterable[IPNetwork]) -> tuple[IPNetwork, ...]:
    return tuple(prefix for prefix in prefixes if prefix.version == lan.cidr.version)


def _ends(env: Environment, rules: Iterable[Allow]) -> set[tuple[IPNetwork, IPNetwork]]:
    """Each peer that others reach, for itself; in a LAN any device of its site, such as a router, and the gateway before it.

    Nobody misses what a peer would say of answers to itself, since all tunnels have one MTU: so most people are not among them.
    """
    rules = tuple(rules)
    reached = {network for rule in rules for network in rule.destinations}
    met = reached.union(*(rule.sources for rule in rules))
    ends = {(network, network) for network in reached if any(network in prefix for prefix in env.vpn)}
    for host in env.sites:
        # Of its own networks the hub hears before it translates; of others when their gateway has.
        known, senders = ((*host.prefixes, *host.own_prefixes), host.own_prefixes) if host is env.hub else (host.prefixes, host.prefixes)
        if any(network in prefix for prefix in known for network in met):
            those = (*senders, *peer_addresses(env, host))
            ends |= {(prefix, sender) for prefix in known for sender in those if sender.version == prefix.version}
    return ends


def _key(place: Place) -> tuple[str, str]:
    return place.kind, place.name


def _aimed(granted: Iterable[Permission], wanted: Callable[[IPNetwork], bool]) -> Iterator[Permission]:
    """The permissions with only those destinations that are wanted."""
    for item in granted:
        networks = tuple(network for network in item.destination.networks if wanted(network))
        if networks:
            yield replace(item, destination=replace(item.destination, networks=networks))


def _rules(granted: Iterable[Permission]) -> tuple[Allow, ...]:
    """One rule per permission, sorted; two lines of the file that come to the same share one."""
    notes: dict[tuple[str, tuple[IPNetwork, ...], tuple[IPNetwork, ...], Ports, Moment | None], set[str]] = {}
    for item in granted:
        sender = f"{item.source.kind}-{item.source.name}"
        notes.setdefault((sender, item.source.networks, item.destination.networks, item.ports, item.until), set()).add(_note(item))
    rules = [Allow(*key[:4], note="; ".join(sorted(noted)), until=key[4]) for key, noted in notes.items()]
    return tuple(sorted(rules, key=_order))


def _order(rule: Allow) -> tuple[object, ...]:
    ends = (rule.until is not None, rule.until.epoch if rule.until is not None else 0, rule.sources)
    return rule.sender, rule.destinations, [str(port) for port in rule.ports], ends


def _note(item: Permission) -> str:
    by = f", by group {' and '.join(item.groups)}" if item.through else ""
    ends = f", until {item.until}" if item.until is not None else ""
    # The end stands in front, where a comment that is too long keeps it.
    return f"{item.source.name}{ends}: {item.destination}{by}"
