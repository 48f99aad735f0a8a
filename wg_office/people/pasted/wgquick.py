"""A wg-quick file: for a Linux machine with forwarding, rules and all; and a plain one for whatever else reads or is told such values.

After wg-quick(8), https://man7.org/linux/man-pages/man8/wg-quick.8.html. Both are read by wg-quick itself in a test, and what that for
Linux does beside the tunnel is tried with packets (tests/lab/test_pasted_packets.py).
"""

from collections.abc import Iterator

from netaddr import IPNetwork

from wg_office.hosts.firewall import alias
from wg_office.network.extent import shown
from wg_office.people.pasted.values import Pasted, head, private_key, to_fill_in
from wg_office.people.profiles import ClientKeys, preshared_line


def render_for_linux(made: Pasted, keys: ClientKeys) -> str:
    """The file as /etc/wireguard/NAME.conf."""
    how = f"Save it as /etc/wireguard/{made.name}.conf, mode 0600, then `systemctl enable --now wg-quick@{made.name}`."
    return _file(made, keys, head(made, "wg-quick file for Linux", how, *_needs(made), tried=True), _hooks(made))


def render_plain(made: Pasted, keys: ClientKeys) -> str:
    """The values alone, and what the device has to do beside."""
    return _file(made, keys, head(made, "what to set on a device that speaks WireGuard", *_duties(made)), ())


def _file(made: Pasted, keys: ClientKeys, comments: Iterator[str], hooks: Iterator[str] | tuple[()]) -> str:
    lines = [
        *comments,
        *to_fill_in(keys),
        "[Interface]",
        f"PrivateKey = {private_key(keys)}",
        f"Address = {', '.join(map(str, made.addresses))}",
        f"ListenPort = {made.listen_port}",
        f"MTU = {made.mtu}",
        *hooks,
        "",
        "[Peer]",
        f"PublicKey = {keys.hub_public_key}",
        *preshared_line(keys),
        f"AllowedIPs = {', '.join(map(str, made.hub.allowed_ips))}",
        f"Endpoint = {made.endpoint}",
    ]
    if made.hub.keepalive:
        lines.append(f"PersistentKeepalive = {made.hub.keepalive}")
    return "\n".join(lines) + "\n"


def _hooks(made: Pasted) -> Iterator[str]:
    """Forwarding, TCP segments that fit, masquerading, and LANs by another prefix, in a table of our own that goes with the tunnel."""
    table = f"inet {made.name.replace('-', '_')}"
    yield "PostUp = sysctl -q -w net.ipv4.ip_forward=1"
    if any(address.version == 6 for address in made.addresses):
        yield "PostUp = sysctl -q -w net.ipv6.conf.all.forwarding=1"
    yield f"PostUp = nft 'add table {table}'; nft 'delete table {table}'; nft 'add table {table}'"
    yield f"PostUp = nft 'add chain {table} forward {{ type filter hook forward priority -150; }}'"
    yield f"PostUp = nft 'add rule {table} forward oifname \"%i\" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu'"
    if made.masquerade:
        yield f"PostUp = nft 'add chain {table} postrouting {{ type nat hook postrouting priority 100; }}'"
    for source, destination in made.translations:
        ip = alias.FAMILIES[destination.version]
        yield f"PostUp = nft 'add rule {table} postrouting {ip} saddr {source} {ip} daddr {destination} masquerade'"
    for chain, (kind, hook, priority), rules in alias.chains("%i", made.aliases):
        yield f"PostUp = nft 'add chain {table} {chain} {{ type {kind} hook {hook} priority {priority}; }}'"
        yield from (f"PostUp = nft 'add rule {table} {chain} {rule}'" for rule in rules)
    yield f"PostDown = nft 'delete table {table}'"


def _needs(made: Pasted) -> Iterator[str]:
    yield "It needs wireguard-tools and nftables."
    if made.aliases:
        yield "What translates needs nft 0.9.5 and Linux 5.8, or later."
    yield f"A firewall of the machine's own has to let through what comes out of the tunnel to {_listed(made.lans)}."
    if made.endpoint.address is None:
        yield "The hub's name is looked up when the tunnel starts; wireguard-tools' reresolve-dns.sh follows it, from a timer."


def _duties(made: Pasted) -> Iterator[str]:
    """What such values cannot say."""
    yield f"It forwards between the tunnel and {_listed(made.lans)}, and lets through what comes out of the tunnel to there;"
    yield "who may, the hub has judged before."
    if made.opens:
        yield f"It lets {_listed(made.inner)} open connections into the tunnel."
    for each in made.aliases:
        yield f"It translates, each address to its counterpart: what comes out of the tunnel to {each.known_as} goes to {each.real},"
        yield f"and what goes from {each.real} into the tunnel bears {each.known_as} there; what comes out of it to {each.real} it drops."
    for source, destination in made.translations:
        yield f"It masquerades what goes from {source} to {destination}: it bears the device's own address there."
    yield "It answers whoever comes from the tunnel." if made.answers else f"It answers pings from {_listed(made.pinged_by)}."
    if made.endpoint.address is None:
        yield f"It looks {made.endpoint.host} up again where the hub does not answer any more; if it cannot, restart it then."


def _listed(prefixes: tuple[IPNetwork, ...]) -> str:
    return ", ".join(map(shown, prefixes))
