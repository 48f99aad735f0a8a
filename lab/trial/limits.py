"""What of an environment the lab's machines cannot be. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from netaddr import IPNetwork

from wg_office.environment.model import Environment, Site

_MANAGEMENT = IPNetwork("10.0.2.0/24")
"""The virtual machine's own."""
_FIREWALLS = ("nftables", "iptables", "firewalld")


def obstacles(env: Environment) -> Iterator[str]:
    """Why a file cannot be tried, each in a few words."""
    endpoint = env.hub.endpoint
    if env.hub.port != endpoint.port and endpoint.address is not None and endpoint.address.version == 6:
        yield f"the hub listens on {env.hub.port} behind a router that forwards {endpoint.port}, by IPv6"
    hosts: tuple[Site, ...] = (env.hub, *env.active_gateways)
    for host in hosts:
        if host.firewall not in _FIREWALLS:
            yield f"{host.name} has firewall: {host.firewall}, and the lab's hosts have {', '.join(_FIREWALLS)}"
        if host.adopt_key:
            yield f"{host.name} has adopt_key, and its key is in your stack"
        if host.public_key is not None and host.is_managed:
            yield f"{host.name} has public_key, and its private key is on that host alone"
    prefixes = [*env.vpn, *(prefix for site in env.sites for prefix in site.own_prefixes)]
    if any(prefix in _MANAGEMENT for prefix in prefixes):
        yield f"{_MANAGEMENT} is in use, by which the lab itself reaches its hosts"
