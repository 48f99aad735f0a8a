"""What each host must hold, worked out from the environment: addresses, peers, routes, settings. Pure and in the order of the file.

Room: network. A plan names peers; their keys are put in when it is rendered (render.py), since they exist only after a deployment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from netaddr import IPAddress, IPNetwork

from wg_office.environment.fields import Endpoint
from wg_office.environment.model import Client, Environment, Firewall, Gateway, Lan, Peer, Site, Ssh
from wg_office.network.access import FirewallPolicy, Reach, peer_addresses, reach_of

Role = Literal["hub", "gateway", "router", "device"]


@dataclass(frozen=True)
class PeerPlan:
    """One [WireGuardPeer]: who it is, what is routed to it, and, seen from a gateway, where it is dialled, and its address inside.

    `psk_of` is the peer whose preshared key it is, None where the two have none.
    """

    name: str
    title: str
    psk_of: str | None
    allowed_ips: tuple[IPNetwork, ...]
    endpoint: Endpoint | None = None
    inside: IPAddress | None = None
    keepalive: int | None = None


@dataclass(frozen=True)
class Tunnel:
    """The WireGuard interface of a host. `routes` are the prefixes beyond its own network that lead into it.

    `own_key` is its public key where it has the private one by itself.
    """

    interface: str
    addresses: tuple[IPNetwork, ...]
    mtu: int
    listen_port: int
    peers: tuple[PeerPlan, ...]
    routes: tuple[IPNetwork, ...]
    own_key: str | None = None

    @property
    def follows(self) -> PeerPlan | None:
        """The peer that is dialled at a name, and whose address this host looks up by itself."""
        return next((peer for peer in self.peers if peer.endpoint is not None and peer.endpoint.address is None), None)


@dataclass(frozen=True)
class Route:
    """A static route of a router or device: the VPN, by way of the site's gateway."""

    destination: IPNetwork
    via: IPAddress


@dataclass(frozen=True)
class HostPlan:
    """Everything one machine must hold, but for keys. `through` is on the way to it; `carries` are gateways that are reached through it.

    `takes_over` is the program whose tunnel, of the same name, is taken over as it runs.
    """

    name: str
    role: Role
    environment: str
    ssh: Ssh
    rollback_after: int
    through: Ssh | None = None
    tunnel: Tunnel | None = None
    firewall: Firewall | None = None
    policy: FirewallPolicy | None = None
    routes: tuple[Route, ...] = ()
    carries: tuple[str, ...] = ()
    takes_over: str | None = None


def router_name(site: Site) -> str:
    """What a site's router is called among the hosts that the program configures."""
    return f"{site.name}-router"


def plan(env: Environment, reach: Reach | None = None) -> tuple[HostPlan, ...]:
    """The plans of all hosts: the hub, the gateways, then the routers and devices whose routes the program sets.

    `reach` is what the environment's grants come to, for a caller who has worked it out.

    A retired gateway has none, so that it is taken down, while the hub still knows it: by that way its removal may have to come. Nor has
    one that nobody logs in to.
    """
    policies = (reach or reach_of(env)).policies
    return (
        hub_plan(env, policies[env.hub.name]),
        *(gateway_plan(env, each, each.ssh, policies[each.name]) for each in env.active_gateways if each.ssh is not None),
        *(found for site in env.active_sites for found in way_back_plans(env, site, policies[site.name])),
    )


def hub_plan(env: Environment, policy: FirewallPolicy) -> HostPlan:
    """The hub: a peer for each gateway, with its LANs, and for each machine of a developer. What lies at the hub itself is not routed."""
    peers = [*(_gateway_peer(env, gateway) for gateway in env.gateways), *(_developer_peer(env, client) for client in env.clients)]
    lans = (prefix for gateway in env.active_gateways for prefix in gateway.prefixes)
    tunnel = _tunnel(env, env.hub, env.hub.port, peers, lans)
    return HostPlan(
        name=env.hub.name,
        role="hub",
        environment=env.environment,
        ssh=env.hub.ssh,
        rollback_after=env.network.rollback_after,
        through=env.through(env.hub.ssh),
        tunnel=tunnel,
        firewall=env.hub.firewall,
        policy=policy,
        carries=tuple(each.name for each in env.active_gateways if each.ssh is not None and each.ssh.over_tunnel),
        takes_over=env.hub.takes_over,
    )


def gateway_plan(env: Environment, gateway: Gateway, ssh: Ssh, policy: FirewallPolicy) -> HostPlan:
    """A gateway that the program sets up."""
    return HostPlan(
        name=gateway.name,
        role="gateway",
        environment=env.environment,
        ssh=ssh,
        rollback_after=env.network.rollback_after,
        through=env.through(ssh),
        tunnel=gateway_tunnel(env, gateway, policy),
        firewall=gateway.firewall,
        policy=policy,
        takes_over=gateway.takes_over,
    )


def gateway_tunnel(env: Environment, gateway: Gateway, policy: FirewallPolicy) -> Tunnel:
    """A gateway's: one peer, the hub, by which the VPN and the other LANs that this one exchanges packets with are reached."""
    hub = PeerPlan(
        name=env.hub.name,
        title=f"{env.hub.name}, the hub",
        psk_of=_psk_of(gateway),
        allowed_ips=policy.remote,
        endpoint=env.hub.endpoint,
        inside=env.hub.address,
        keepalive=env.network.keepalive,
    )
    return _tunnel(env, gateway, gateway.listen_port, [hub], (prefix for prefix in policy.remote if prefix not in env.vpn))


def way_back_plans(env: Environment, site: Site, policy: FirewallPolicy) -> tuple[HostPlan, ...]:
    """The router and devices of a site to which the environment gives the program SSH."""
    plans: list[HostPlan] = []
    if site.router_ssh is not None:
        routes = router_routes(site, policy)
        plans += [_way_back_plan(env, router_name(site), "router", site.router_ssh, routes)] if routes else []
    for device in site.devices:
        lan = site.around(device.address)
        routes = way_back_routes(site, lan, policy) if lan is not None else ()
        plans += [_way_back_plan(env, device.name, "device", device.ssh, routes)] if routes else []
    return tuple(plans)


def router_routes(site: Site, policy: FirewallPolicy) -> tuple[Route, ...]:
    """What the site's router must know, by way of the host's address in the LAN in which the router is taken to stand.

    One router serves all LANs of a site: it is asked once for each family, whichever of its LANs need it.
    """
    routes: dict[IPNetwork, Route] = {}
    for lan in site.networks:
        leads = _leading(site, lan)
        for route in way_back_routes(site, lan, policy, leads):
            routes.setdefault(route.destination, route)
    return tuple(routes.values())


def inner_routes(site: Site) -> tuple[Route, ...]:
    """Those by which the host itself reaches what lies behind routers of its site: a person sets them."""
    return tuple(Route(lan.cidr, lan.router) for lan in site.networks if lan.router is not None)


def _leading(site: Site, lan: Lan) -> Lan | None:
    """The LAN by which the site's router reaches the host: its own, else the first of that family in which the host stands."""
    standing = [each for each in site.networks if each.address is not None and each.cidr.version == lan.cidr.version]
    own = site.around(site.router_address) if site.router_address is not None else None
    return own if own in standing else next(iter(standing), None)


def way_back_routes(site: Site, lan: Lan, policy: FirewallPolicy, by: Lan | None = None) -> tuple[Route, ...]:
    """What a LAN must know: the VPN, and the LANs linked to it, by way of the host's address in that LAN (or in another, `by`).

    Where the host masquerades, answers need no route; what the LAN opens itself does. Where it is the LANs' router, nothing does.
    """
    via = (by or lan).address
    if site.is_router or lan.outside or via is None:
        return ()
    opened = [network for rule in policy.to_tunnel for network in rule.destinations]
    needed = [prefix for prefix in policy.remote if not site.masquerades(lan) or any(network in prefix for network in opened)]
    return tuple(Route(destination, via) for destination in needed if destination.version == via.version)


def _tunnel(env: Environment, peer: Peer, port: int, peers: Iterable[PeerPlan], routes: Iterable[IPNetwork]) -> Tunnel:
    addresses = [IPNetwork(f"{peer.address}/{env.network.cidr.prefixlen}")]
    six = env.address6_of(peer)
    if six is not None and env.network.cidr6 is not None:
        addresses.append(IPNetwork(f"{six}/{env.network.cidr6.prefixlen}"))
    return Tunnel(env.network.interface, tuple(addresses), env.network.mtu, port, tuple(peers), tuple(routes), peer.public_key)


def _gateway_peer(env: Environment, gateway: Gateway) -> PeerPlan:
    lans = () if gateway.retired else gateway.prefixes
    return PeerPlan(gateway.name, f"{gateway.name}, gateway of {gateway.site}", _psk_of(gateway), (*peer_addresses(env, gateway), *lans))


def _developer_peer(env: Environment, client: Client) -> PeerPlan:
    return PeerPlan(client.name, f"{client.name}, developer", _psk_of(client), peer_addresses(env, client))


def _psk_of(peer: Gateway | Client) -> str | None:
    return None if peer.preshared == "none" else peer.name


def _way_back_plan(env: Environment, name: str, role: Role, ssh: Ssh, routes: tuple[Route, ...]) -> HostPlan:
    return HostPlan(
        name=name,
        role=role,
        environment=env.environment,
        ssh=ssh,
        rollback_after=env.network.rollback_after,
        through=env.through(ssh),
        routes=routes,
    )
