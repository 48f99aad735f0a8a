"""What each host must hold, worked out from the environment: addresses, peers, routes, settings. Pure and in the order of the file.

Room: the core. A plan names peers; their keys are put in when it is rendered (render.py), since they exist only after a deployment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from netaddr import IPAddress, IPNetwork

from wg_office.access import FirewallPolicy, host_rules, peer_addresses
from wg_office.checks import router_name
from wg_office.fields import Endpoint
from wg_office.model import Developer, Environment, Firewall, Gateway, Peer, Ssh

Role = Literal["hub", "gateway", "router", "device"]

GATEWAY_PORT = 51820
"""Gateways listen on a fixed port: without one, each `wg syncconf` draws a new one (facts/hosts.md)."""


@dataclass(frozen=True)
class PeerPlan:
    """One [WireGuardPeer]: who it is, what is routed to it, and, seen from a gateway, where it listens."""

    name: str
    title: str
    psk_of: str
    allowed_ips: tuple[IPNetwork, ...]
    endpoint: Endpoint | None = None
    keepalive: int | None = None


@dataclass(frozen=True)
class Tunnel:
    """The WireGuard interface of a host. `routes` are the prefixes beyond its own network that lead into it."""

    interface: str
    addresses: tuple[IPNetwork, ...]
    mtu: int
    listen_port: int
    peers: tuple[PeerPlan, ...]
    routes: tuple[IPNetwork, ...]


@dataclass(frozen=True)
class Route:
    """A static route of a router or device: the VPN, by way of the site's gateway."""

    destination: IPNetwork
    via: IPAddress


@dataclass(frozen=True)
class HostPlan:
    """Everything one machine must hold, but for keys. `carries` are the gateways that are reached through it."""

    name: str
    role: Role
    environment: str
    ssh: Ssh
    rollback_after: int
    tunnel: Tunnel | None = None
    firewall: Firewall | None = None
    policy: FirewallPolicy | None = None
    routes: tuple[Route, ...] = ()
    carries: tuple[str, ...] = ()


def plan(env: Environment) -> tuple[HostPlan, ...]:
    """The plans of all hosts: the hub, the gateways, then the routers and devices whose routes the program sets.

    A retired gateway has none, so that it is taken down, while the hub still knows it: by that way its removal may have to come.
    """
    return (hub_plan(env), *(gateway_plan(env, gateway) for gateway in env.active_gateways), *way_back_plans(env))


def hub_plan(env: Environment) -> HostPlan:
    """The hub: a peer for each gateway, with its LAN, and for each developer."""
    peers = [*(_gateway_peer(env, gateway) for gateway in env.gateways), *(_developer_peer(env, dev) for dev in env.developers)]
    tunnel = _tunnel(env, env.hub, env.hub.endpoint.port, peers, (gateway.lan.cidr for gateway in env.active_gateways))
    return HostPlan(
        name=env.hub.name,
        role="hub",
        environment=env.environment,
        ssh=env.hub.ssh,
        rollback_after=env.network.rollback_after,
        tunnel=tunnel,
        firewall=env.hub.firewall,
        policy=host_rules(env, env.hub.name),
        carries=tuple(gateway.name for gateway in env.active_gateways if gateway.ssh.via == "hub"),
    )


def gateway_plan(env: Environment, gateway: Gateway) -> HostPlan:
    """A gateway: one peer, the hub, by which the VPN and the other LANs that this one exchanges packets with are reached."""
    policy = host_rules(env, gateway.name)
    hub = PeerPlan(
        name=env.hub.name,
        title=f"{env.hub.name}, the hub",
        psk_of=gateway.name,
        allowed_ips=policy.remote,
        endpoint=env.hub.endpoint,
        keepalive=env.network.keepalive,
    )
    return HostPlan(
        name=gateway.name,
        role="gateway",
        environment=env.environment,
        ssh=gateway.ssh,
        rollback_after=env.network.rollback_after,
        tunnel=_tunnel(env, gateway, GATEWAY_PORT, [hub], (prefix for prefix in policy.remote if prefix not in env.vpn)),
        firewall=gateway.firewall,
        policy=policy,
    )


def way_back_plans(env: Environment) -> tuple[HostPlan, ...]:
    """The routers and devices of the sites to which the environment gives the program SSH."""
    plans = []
    for gateway in env.active_gateways:
        routes = way_back_routes(env, gateway)
        if gateway.router is not None and gateway.router.ssh is not None:
            plans.append(_way_back_plan(env, router_name(gateway), "router", gateway.router.ssh, routes))
        plans += [_way_back_plan(env, device.name, "device", device.ssh, routes) for device in gateway.devices]
    return tuple(plans)


def way_back_routes(env: Environment, gateway: Gateway) -> tuple[Route, ...]:
    """What a LAN must know to answer: the VPN, and the LANs linked to it, by way of the gateway's address in that LAN.

    IPv4 only: LANs have no IPv6 of ours, so IPv6 stays among developers and hosts.
    """
    remote = host_rules(env, gateway.name).remote
    return tuple(Route(destination, gateway.lan.address) for destination in remote if destination.version == 4)


def _tunnel(env: Environment, peer: Peer, port: int, peers: Iterable[PeerPlan], routes: Iterable[IPNetwork]) -> Tunnel:
    addresses = [IPNetwork(f"{peer.address}/{env.network.cidr.prefixlen}")]
    six = env.address6_of(peer)
    if six is not None and env.network.cidr6 is not None:
        addresses.append(IPNetwork(f"{six}/{env.network.cidr6.prefixlen}"))
    return Tunnel(env.network.interface, tuple(addresses), env.network.mtu, port, tuple(peers), tuple(routes))


def _gateway_peer(env: Environment, gateway: Gateway) -> PeerPlan:
    lan = () if gateway.retired else (gateway.lan.cidr,)
    return PeerPlan(gateway.name, f"{gateway.name}, gateway of {gateway.site}", gateway.name, (*peer_addresses(env, gateway), *lan))


def _developer_peer(env: Environment, developer: Developer) -> PeerPlan:
    return PeerPlan(developer.name, f"{developer.name}, developer", developer.name, peer_addresses(env, developer))


def _way_back_plan(env: Environment, name: str, role: Role, ssh: Ssh, routes: tuple[Route, ...]) -> HostPlan:
    return HostPlan(name=name, role=role, environment=env.environment, ssh=ssh, rollback_after=env.network.rollback_after, routes=routes)
