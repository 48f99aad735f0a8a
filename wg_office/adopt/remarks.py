"""What an environment file does not say of a network that was found: a line each, from where it stands. Pure."""

from collections.abc import Iterator

from wg_office.adopt.network import Found, HostFound, ends_at_hub
from wg_office.asking.said import shown

LEAST_MTU, LARGEST_MTU = 1280, 1440
"""Of the network in an environment file."""


def remarks(found: Found) -> tuple[str, ...]:
    """Everything that the next `up` changes or leaves, or that a person has to look at."""
    return tuple(
        line
        for of in (_not_understood, _endpoints, _interfaces, _keepalive, _prefixes, _exits, _behind_the_hub, _access)
        for line in of(found)
    )


def _hosts(found: Found) -> tuple[HostFound, ...]:
    return (found.hub, *found.gateways)


def _not_understood(found: Found) -> Iterator[str]:
    for host in _hosts(found):
        yield from (f"{host.name}: {each}" for each in (*host.tunnel.strange, *host.filter.strange))


def _endpoints(found: Found) -> Iterator[str]:
    for other in dict.fromkeys(peer.endpoint or "" for peer in ends_at_hub(found.hub, found.gateways)):
        if other not in ("", found.endpoint):
            yield f"a gateway dials the hub at {shown(other)}; all will dial {shown(found.endpoint)}"
    if not found.is_told:
        yield f"nobody says where the hub is dialled: {found.endpoint} is where you log in, and its port; correct hub.endpoint"


def _interfaces(found: Found) -> Iterator[str]:
    name, mtu = found.hub.tunnel.name, found.hub.tunnel.mtu
    if mtu is not None and mtu not in range(LEAST_MTU, LARGEST_MTU + 1):
        yield f"{found.hub.name}: its MTU {mtu} is none that fits every network; the file has the nearest that is"
    for host in found.gateways:
        if host.tunnel.name != name:
            yield f"{host.name}: its interface {shown(host.tunnel.name)} becomes {shown(name)}, as on the hub"
        if host.tunnel.mtu not in (None, mtu):
            yield f"{host.name}: its MTU {host.tunnel.mtu} becomes that of the network"


def _keepalive(found: Found) -> Iterator[str]:
    kept = [shown(peer.called) or peer.public_key for peer in found.hub.tunnel.peers if peer.keepalive]
    if kept:
        yield f"{found.hub.name}: keepalive towards {', '.join(kept)} goes; whoever is behind NAT sends it"
    given = {peer.keepalive for peer in ends_at_hub(found.hub, found.gateways)}
    if len(given) > 1:
        yield f"gateways send keepalives every {' and '.join(map(str, sorted(given)))} seconds; the file has one number for all"


def _prefixes(found: Found) -> Iterator[str]:
    if any(each.size == 1 for each in found.hub.tunnel.addresses):
        yield f"{found.hub.name} has its address alone, without a prefix: {found.cidr} is the smallest around its peers"


def _exits(found: Found) -> Iterator[str]:
    for gateway in found.gateways:
        peer = found.hub.tunnel.peer(gateway.tunnel.public_key)
        if peer is not None and any(not prefix.prefixlen for prefix in peer.allowed_ips):
            yield f"{found.hub.name} sends everything to {gateway.name}, as an exit to the internet; that ends: only networks are routed"


def _behind_the_hub(found: Found) -> Iterator[str]:
    rules = found.hub.filter.masquerades
    if any(not rule.sources or any(found.hub.address in prefix for prefix in rule.sources) for rule in rules):
        yield (
            f"{found.hub.name} masquerades what comes from the tunnel: the way to the internet through it ends, and networks of its own "
            "are reached only when they stand in the file, as the hub's site and lans, and in access"
        )


def _access(found: Found) -> Iterator[str]:
    if found.people:
        yield (
            "what developers could reach of each other, and of the hub and gateways themselves, is not granted: "
            "{developer: NAME} and {host: NAME} in access grant it"
        )
    filtered = [host.name for host in _hosts(found) if host.filter.opened is not None]
    if filtered:
        yield (
            f"{' and '.join(filtered)}: rules of the host's own close the tunnel; they stay in force beside those of wg-office, "
            "and refuse who is granted later: take them away after the first `pulumi up`"
        )
