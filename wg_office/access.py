"""Who may reach what: the environment's grants, flattened, and what follows from them for the firewall of one host.

Pure: the environment goes in, frozen data comes out. `permissions` is what people read (the access table), in the order of the file.
`host_rules` is what one host enforces, whatever its firewall is called, in an order that stays when lines of the file change places.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from netaddr import IPAddress, IPNetwork

from wg_office.faults import Path
from wg_office.grants import ICMP, Access, DeveloperGrant, GroupGrant, HostGrant, Icmp, PortRange, SiteGrant
from wg_office.model import Environment, Gateway, Hub, Peer

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


@dataclass(frozen=True, slots=True)
class Masquerade:
    """What the gateway sends into its LAN under its own address, where the LAN knows no way back to the VPN."""

    sources: tuple[IPNetwork, ...]
    destination: IPNetwork
    interface: str | None
    """The LAN's interface; None where the file does not name it: any but the tunnel."""


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
    """Forwarded. On a gateway: into the LAN. On the hub: back into the tunnel."""
    to_tunnel: tuple[Allow, ...]
    """Forwarded from the gateway's LAN into the tunnel; never anything on the hub."""
    to_host: tuple[Allow, ...]
    """From the tunnel to the host itself."""
    masquerade: Masquerade | None
    mss: int
    mss6: int

    @property
    def answers(self) -> bool:
        """Whether what is not allowed is refused with an ICMP message (the hub, so that people see it at once) or dropped in silence."""
        return self.role == "hub"


def opens(ports: Ports, protocol: str, port: int) -> bool:
    """Whether a connection with this protocol and port is among these ports."""
    if not ports:
        return True
    if protocol == "icmp":
        return ICMP in ports
    return any(isinstance(item, PortRange) and item.protocol == protocol and item.first <= port <= item.last for item in ports)


# --- the access table ------------------------------------------------------------------------------------------------------------------


def permissions(env: Environment) -> tuple[Permission, ...]:
    """Everything that may be opened through the tunnel, in the order of the file; whoever is not in it reaches nothing."""
    return (*_of_hub(env), *_of_gateways(env), *_of_developers(env), *_of_links(env))


def destinations(env: Environment, access: Access) -> Iterator[Place]:
    """Where grants lead, with groups expanded."""
    return (destination for grant in access for destination, _, _ in _targets(env, grant, ()))


def _of_hub(env: Environment) -> Iterator[Permission]:
    """What the hub may reach by itself, and SSH to the gateways that are reached through it."""
    yield from _of_access(env, _host(env, env.hub), env.hub.access, ("hub",))
    for index, gateway in enumerate(env.gateways):
        if gateway.ssh.via == "hub" and not gateway.retired:
            networks = [*peer_addresses(env, gateway), *(own for own in [_single(gateway.lan.address)] if str(own.ip) == gateway.ssh.host)]
            ports = (PortRange("tcp", gateway.ssh.port, gateway.ssh.port),)
            yield Permission(_host(env, env.hub), Place("host", gateway.name, tuple(networks)), ports, ("gateways", index, "ssh", "via"))


def _of_gateways(env: Environment) -> Iterator[Permission]:
    for index, gateway in enumerate(env.gateways):
        if not gateway.retired:
            # Its own gateway a LAN reaches without the tunnel.
            granted = _of_access(env, _site(gateway), gateway.access, ("gateways", index))
            yield from (item for item in granted if _key(item.destination) != ("host", gateway.name))


def _of_developers(env: Environment) -> Iterator[Permission]:
    for index, developer in enumerate(env.developers):
        yield from _of_access(env, _developer(env, developer), developer.access, ("developers", index))


def _of_links(env: Environment) -> Iterator[Permission]:
    for index, link in enumerate(env.links):
        opener, reached = env.gateway_of(link.from_), env.gateway_of(link.to)
        if not opener.retired and not reached.retired:
            yield Permission(_site(opener), _inside(reached, link.hosts), _tidy(link.ports), ("links", index))


def _of_access(env: Environment, source: Place, access: Access, owner: Path) -> Iterator[Permission]:
    for index, grant in enumerate(access):
        for destination, ports, through in _targets(env, grant, ()):
            if _key(destination) != _key(source):
                yield Permission(source, destination, ports, (*owner, "access", index), through)


def _targets(env: Environment, grant: object, through: tuple[Path, ...]) -> Iterator[tuple[Place, Ports, tuple[Path, ...]]]:
    """What a grant comes to, with its groups expanded. A group inside itself adds nothing (and the checks refuse it)."""
    match grant:
        case GroupGrant(group=name):
            if not any(path[1] == name for path in through):
                for index, inner in enumerate(env.groups[name].access):
                    yield from _targets(env, inner, (*through, ("groups", name, "access", index)))
        case SiteGrant(site=name, hosts=hosts, ports=ports):
            gateway = env.gateway_of(name)
            if not gateway.retired:
                yield _inside(gateway, hosts), _tidy(ports), through
        case DeveloperGrant(developer=name, ports=ports):
            yield _developer(env, env.peer(name)), _tidy(ports), through
        case HostGrant(host=name, ports=ports):
            peer = env.peer(name)
            if not (isinstance(peer, Gateway) and peer.retired):
                yield _host(env, peer), _tidy(ports), through


def _site(gateway: Gateway) -> Place:
    return _inside(gateway, ())


def _inside(gateway: Gateway, hosts: tuple[IPNetwork, ...]) -> Place:
    own = _single(gateway.lan.address)
    networks = _without_doubles(hosts) if hosts else (gateway.lan.cidr,)
    return Place("site", gateway.site, networks, () if own in networks else (own,))


def _developer(env: Environment, peer: Peer) -> Place:
    return Place("developer", peer.name, peer_addresses(env, peer))


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


def host_rules(env: Environment, host_name: str) -> FirewallPolicy:
    """The policy of the hub or of a gateway."""
    peer = env.peer(host_name)
    if isinstance(peer, Hub):
        return _hub_policy(env, permissions(env))
    if isinstance(peer, Gateway):
        return _gateway_policy(env, peer, permissions(env))
    raise ValueError(f"{host_name} is no host with a firewall of ours; ask for the hub or a gateway")


def all_host_rules(env: Environment) -> dict[str, FirewallPolicy]:
    """The policies of the hub and of every gateway by host name; flattens the grants once."""
    granted = permissions(env)
    return {env.hub.name: _hub_policy(env, granted)} | {gateway.name: _gateway_policy(env, gateway, granted) for gateway in env.gateways}


def _hub_policy(env: Environment, granted: Iterable[Permission]) -> FirewallPolicy:
    hub = ("host", env.hub.name)
    passing = [item for item in granted if hub not in (_key(item.source), _key(item.destination))]
    arriving = [item for item in granted if _key(item.destination) == hub]
    lans = [gateway.lan.cidr for gateway in env.gateways]
    return _policy(env, env.hub, from_tunnel=_rules(passing), to_host=_rules(arriving), lans=lans)


def _gateway_policy(env: Environment, gateway: Gateway, granted: Iterable[Permission]) -> FirewallPolicy:
    site, host, own = ("site", gateway.site), ("host", gateway.name), _single(gateway.lan.address)
    entering = [item for item in granted if _key(item.destination) == site]
    leaving = [item for item in granted if _key(item.source) == site]
    arriving = [item for item in granted if _key(item.destination) == host]
    return _policy(
        env,
        gateway,
        # The gateway's own LAN address is in the LAN's prefix, but packets to it are not forwarded.
        from_tunnel=_rules(_aimed(entering, lambda network: network != own)),
        to_tunnel=_rules(leaving),
        to_host=_rules([*arriving, *_aimed(entering, lambda network: network == own)]),
        # Only the LANs that are linked with this one: another new site is nothing to this host.
        lans=_lans(env, [*(item.source for item in (*entering, *arriving)), *(item.destination for item in leaving)]),
        masquerade=_masquerade(env, gateway, _lans(env, (item.source for item in entering))),
    )


def _lans(env: Environment, places: Iterable[Place]) -> set[IPNetwork]:
    return {env.gateway_of(place.name).lan.cidr for place in places if place.kind == "site"}


def _masquerade(env: Environment, gateway: Gateway, linked: set[IPNetwork]) -> Masquerade | None:
    """For the VPN's own addresses, and for the LANs that are linked to this one."""
    if gateway.return_path != "masquerade" or gateway.retired:
        return None
    return Masquerade((env.network.cidr, *sorted(linked)), gateway.lan.cidr, gateway.lan.interface)


def _policy(
    env: Environment,
    peer: Hub | Gateway,
    *,
    from_tunnel: tuple[Allow, ...],
    to_host: tuple[Allow, ...],
    to_tunnel: tuple[Allow, ...] = (),
    lans: Iterable[IPNetwork],
    masquerade: Masquerade | None = None,
) -> FirewallPolicy:
    vpn = env.vpn
    lan = (_single(peer.lan.address),) if isinstance(peer, Gateway) else ()
    return FirewallPolicy(
        host=peer.name,
        role="hub" if isinstance(peer, Hub) else "gateway",
        interface=env.network.interface,
        vpn=vpn,
        local=(*peer_addresses(env, peer), *lan),
        remote=(*vpn, *sorted(lans)),
        from_tunnel=from_tunnel,
        to_tunnel=to_tunnel,
        to_host=to_host,
        masquerade=masquerade,
        mss=env.network.mtu - _IPV4_AND_TCP_HEADERS,
        mss6=env.network.mtu - _IPV6_AND_TCP_HEADERS,
    )


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
    notes: dict[tuple[str, tuple[IPNetwork, ...], tuple[IPNetwork, ...], Ports], set[str]] = {}
    for item in granted:
        sender = f"{item.source.kind}-{item.source.name}"
        notes.setdefault((sender, item.source.networks, item.destination.networks, item.ports), set()).add(_note(item))
    rules = [Allow(*key, note="; ".join(sorted(noted))) for key, noted in notes.items()]
    return tuple(sorted(rules, key=lambda rule: (rule.sender, rule.destinations, [str(port) for port in rule.ports])))


def _note(item: Permission) -> str:
    by = f", by group {' and '.join(item.groups)}" if item.through else ""
    return f"{item.source.name}: {item.destination}{by}"
