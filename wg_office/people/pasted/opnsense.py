"""OPNsense, as steps in its web pages.

After OPNsense's manual: https://docs.opnsense.org/manual/how-tos/wireguard-s2s.html for instance, peer, rules and MSS, and
https://docs.opnsense.org/manual/nat.html for outbound and one-to-one NAT, which comes before the filter. Not tried on a device.
"""

from collections.abc import Iterator

from netaddr import IPNetwork

from wg_office.people.pasted.values import Pasted, head, private_key, to_fill_in
from wg_office.people.profiles import ClientKeys

_IPV4_HEADERS, _IPV6_HEADERS = 40, 60

Fields = dict[str, object]
Step = tuple[str, Fields]


def render(made: Pasted, keys: ClientKeys) -> str:
    """The steps, numbered, each with the fields to set; what is not named stays as it is."""
    lines = [
        *head(made, "steps for the web pages of OPNsense", "Fields that are not named stay as they are. Save and apply after each step."),
        *to_fill_in(keys),
    ]
    for number, (page, fields) in enumerate(_steps(made, keys), 1):
        lines += ["", f"{number}. {page}"]
        lines += [f"   {field + ':':<18} {value}" for field, value in fields.items()]
    return "\n".join(lines) + "\n"


def _steps(made: Pasted, keys: ClientKeys) -> Iterator[Step]:
    yield from _tunnel(made, keys)
    yield from (("Firewall > NAT > One-to-one: add a rule", fields) for fields in _mappings(made))
    yield from ((f"Firewall > Rules > WireGuard (Group): add a rule{why}", fields) for why, fields in _passing(made))
    for lan in made.inner if made.opens else ():
        there = ", ".join(str(prefix) for prefix in made.hub.allowed_ips if prefix.version == lan.version)
        passing: Fields = {"Action": "Pass", **_family(lan), "Protocol": "any", "Source": lan, "Destination": there}
        yield f"Firewall > Rules > the interface of {lan}: add a rule, unless one lets everything through", passing
    largest = made.mtu - max(_IPV4_HEADERS if each.version == 4 else _IPV6_HEADERS for each in made.addresses)
    everything: Fields = {"Interface": "WireGuard (Group)", "Direction": "any", "Protocol": "any", "Source": "any", "Destination": "any"}
    yield "Firewall > Settings > Normalization: add a rule", {**everything, "Max mss": largest}
    if made.masquerade:
        yield "Firewall > NAT > Outbound", {"Mode": "Hybrid outbound NAT rule generation"}
    for source, destination in made.translations:
        where: Fields = {"Interface": f"the one by which {destination} is reached", **_family(destination), "Protocol": "any"}
        fields = {**where, "Source address": source, "Destination address": destination, "Translation/target": "Interface address"}
        yield "Firewall > NAT > Outbound: add a rule", fields


def _tunnel(made: Pasted, keys: ClientKeys) -> Iterator[Step]:
    yield (
        "VPN > WireGuard > Peers: add a peer, in advanced mode",
        {
            "Enabled": "yes",
            "Name": made.hub.name,
            "Public key": keys.hub_public_key,
            "Pre-shared key": keys.preshared_key or "empty",
            "Allowed IPs": ", ".join(map(str, made.hub.allowed_ips)),
            "Endpoint address": made.endpoint.host,
            "Endpoint port": made.endpoint.port,
            "Keepalive interval": made.hub.keepalive or "empty",
        },
    )
    yield (
        "VPN > WireGuard > Instances: add an instance, in advanced mode",
        {
            "Enabled": "yes",
            "Name": made.name,
            "Private key": f"{private_key(keys)} (in place of one that it makes; the public key follows)",
            "Listen port": made.listen_port,
            "MTU": made.mtu,
            "Tunnel address": ", ".join(map(str, made.addresses)),
            "Peers": made.hub.name,
        },
    )
    yield "VPN > WireGuard > General", {"Enable WireGuard": "yes"}
    if made.endpoint.address is None:
        follow: Fields = {"Command": "Renew DNS for WireGuard on stale connections", "Minutes": "*/2"}
        yield "System > Settings > Cron: add a job, which follows the hub's name", follow


def _mappings(made: Pasted) -> Iterator[Fields]:
    """LANs that others know by another prefix; for this tunnel alone, since its interface is that of all."""
    for each in made.aliases:
        for there in made.hub.allowed_ips:
            if there.version == each.real.version:
                mapped: Fields = {"External network": each.known_as, "Source": each.real, "Destination": there}
                yield {"Interface": "WireGuard (Group)", "Type": "BINAT", **mapped}


def _passing(made: Pasted) -> Iterator[tuple[str, Fields]]:
    """What comes out of the tunnel. Who may, the hub has judged."""
    for lan in made.lans:
        yield "", {"Action": "Pass", **_family(lan), "Protocol": "any", "Source": "any", "Destination": lan}
    for own in made.addresses if made.answers else ():
        yield ", for the device itself", {"Action": "Pass", **_family(own), "Protocol": "any", "Source": "any", "Destination": own.ip}
    for hub in () if made.answers else made.pinged_by:
        ping = {"Action": "Pass", **_family(hub), "Protocol": "ICMP", "Source": hub.ip, "Destination": "This Firewall"}
        yield ", for the hub's pings", ping


def _family(prefix: IPNetwork) -> Fields:
    return {"TCP/IP version": f"IPv{prefix.version}"}
