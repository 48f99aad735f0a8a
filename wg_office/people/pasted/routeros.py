"""RouterOS 7, as commands for its terminal.

After MikroTik's manual: https://help.mikrotik.com/docs/display/ROS/WireGuard, and its pages on filter, mangle, raw and NAT
(https://help.mikrotik.com/docs/spaces/ROS/pages/24805523/Filter, https://help.mikrotik.com/docs/display/ROS/NAT for netmap).
Not tried on a device.

What it sets bears a comment by which it is found again, so that a second pasting replaces the first.
"""

from collections.abc import Iterator

from netaddr import IPNetwork

from wg_office.people.pasted.values import Pasted, head, private_key, to_fill_in
from wg_office.people.profiles import ClientKeys

_PLACES = (
    *(f"/{family}/firewall/{table}" for family in ("ip", "ipv6") for table in ("filter", "nat", "mangle", "raw")),
    *(f"/{family}/{what}" for family in ("ip", "ipv6") for what in ("route", "address")),
    "/interface/wireguard/peers",
    "/interface/wireguard",
)
"""Where it sets something; of two that depend on each other, the one that depends first."""


def render(made: Pasted, keys: ClientKeys) -> str:
    """The commands."""
    lines = [
        *head(
            made,
            "commands for a terminal of RouterOS 7",
            "Not over this tunnel: it ends for a moment. Pasted again, it replaces what it had set, which bears the comment",
            f'"{made.ours}".',
        ),
        *to_fill_in(keys),
        *(f'{place}/remove [find comment="{made.ours}"]' for place in _PLACES),
        *_tunnel(made, keys),
        *_aliases(made),
        *_rules(made),
    ]
    return "\n".join(lines) + "\n"


def _tunnel(made: Pasted, keys: ClientKeys) -> Iterator[str]:
    comment = f'comment="{made.ours}"'
    yield (
        f"/interface/wireguard/add name={made.name} mtu={made.mtu} listen-port={made.listen_port} "
        f'private-key="{private_key(keys)}" {comment}'
    )
    keepalive = f" persistent-keepalive={made.hub.keepalive}s" if made.hub.keepalive else ""
    preshared = "" if keys.preshared_key is None else f'preshared-key="{keys.preshared_key}" '
    yield (
        f'/interface/wireguard/peers/add interface={made.name} public-key="{keys.hub_public_key}" {preshared}'
        f"endpoint-address={made.endpoint.host} endpoint-port={made.endpoint.port} "
        f"allowed-address={','.join(map(str, made.hub.allowed_ips))}{keepalive} {comment}"
    )
    for address in made.addresses:
        advertise = "" if address.version == 4 else " advertise=no"
        yield f"/{_family(address)}/address/add address={address} interface={made.name}{advertise} {comment}"
    for route in made.routes:
        yield f"/{_family(route)}/route/add dst-address={route} gateway={made.name} {comment}"


def _aliases(made: Pasted) -> Iterator[str]:
    """LANs that others know by another prefix: one to one in both directions. The LAN's own prefix does not come in beside it."""
    comment = f'comment="{made.ours}"'
    for each in made.aliases:
        family, to = f"/{_family(each.real)}/firewall", "to-addresses" if each.real.version == 4 else "to-address"
        real, known_as = each.real, each.known_as
        yield f"{family}/raw/add chain=prerouting in-interface={made.name} dst-address={real} action=drop {comment}"
        yield f"{family}/nat/add chain=dstnat in-interface={made.name} dst-address={known_as} action=netmap {to}={real} {comment}"
        yield f"{family}/nat/add chain=srcnat out-interface={made.name} src-address={real} action=netmap {to}={known_as} {comment}"
    if made.aliases:
        yield "# The first rule that fits translates: these move to the top."
    for family in dict.fromkeys(_family(each.real) for each in made.aliases):
        yield from (f'/{family}/firewall/{table}/move [find comment="{made.ours}"] destination=0' for table in ("raw", "nat"))


def _rules(made: Pasted) -> Iterator[str]:
    comment = f'comment="{made.ours}"'
    for source, destination in made.translations:
        nat = f"/{_family(destination)}/firewall/nat/add chain=srcnat"
        yield f"{nat} src-address={source} dst-address={destination} action=masquerade {comment}"
    families = dict.fromkeys(map(_family, made.addresses))
    for family in families:
        yield (
            f"/{family}/firewall/mangle/add chain=forward out-interface={made.name} protocol=tcp tcp-flags=syn action=change-mss "
            f"new-mss=clamp-to-pmtu passthrough=yes {comment}"
        )
    yield "# Where a filter drops what it does not know, these come before that; the last command of each family moves them to the top."
    for family in families:
        filters = list(_filters(made, family))
        yield from (f"/{family}/firewall/filter/add {rule} action=accept {comment}" for rule in filters)
        yield f'/{family}/firewall/filter/move [find comment="{made.ours}"] destination=0'


def _filters(made: Pasted, family: str) -> Iterator[str]:
    """What is let through. Who may, the hub has judged."""
    icmp = "icmp" if family == "ip" else "icmpv6"
    for lan in made.lans:
        if _family(lan) == family:
            yield f"chain=forward in-interface={made.name} dst-address={lan}"
    for lan in made.inner if made.opens else ():
        if _family(lan) == family:
            yield f"chain=forward out-interface={made.name} src-address={lan}"
    if made.answers:
        yield f"chain=input in-interface={made.name}"
        return
    for address in made.pinged_by:
        if _family(address) == family:
            yield f"chain=input in-interface={made.name} src-address={address} protocol={icmp}"


def _family(prefix: IPNetwork) -> str:
    return "ip" if prefix.version == 4 else "ipv6"
