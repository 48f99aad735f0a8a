"""OpenWrt, as commands for its shell: UCI.

After OpenWrt's manual: https://openwrt.org/docs/guide-user/services/vpn/wireguard/client for the tunnel, and
https://openwrt.org/docs/guide-user/firewall/firewall_configuration for zone, rules and NAT. UCI cannot map
prefixes: that is a file which firewall4 includes in its table, after the README in /etc/nftables.d. Not tried on a device.

Sections have names of ours, so that a second pasting replaces the first.
"""

from collections.abc import Iterator, Mapping

from wg_office.hosts.firewall import alias
from wg_office.people.pasted.values import Pasted, head, private_key, to_fill_in
from wg_office.people.profiles import ClientKeys

_LONGEST_ZONE = 11
"""Characters of a firewall zone's name."""

Options = Mapping[str, object]


def render(made: Pasted, keys: ClientKeys) -> str:
    """The commands."""
    name = made.name.replace("-", "_")
    file = f"/etc/nftables.d/{name}.nft"
    needs = f"It needs firewall4 (OpenWrt 22.03 and later): that translates, by {file}."
    follow = "The tunnel follows the hub's name with `* * * * * /usr/bin/wireguard_watchdog` in the crontab."
    lines = [
        *head(
            made,
            "commands for a shell of OpenWrt, with wireguard-tools installed",
            "Not over this tunnel: it ends for a moment. Pasted again, it replaces what it had set, whose sections begin with",
            f"{name}.",
            *([needs] if made.aliases else []),
            *([follow] if made.endpoint.address is None else []),
        ),
        *to_fill_in(keys),
        "for file in network firewall; do",
        rf'  for section in $(uci -q show $file | sed -n "s/^$file\.\({name}\(_[a-z0-9]*\)\{{0,1\}}\)=.*/\1/p"); do',
        "    uci -q delete $file.$section",
        "  done",
        "done",
        f"rm -f {file}",
        *_tunnel(made, keys, name),
        *_firewall(made, name),
        *_translating(made, name, file),
        "uci commit network",
        "uci commit firewall",
        "/etc/init.d/network reload",
        "/etc/init.d/firewall reload",
    ]
    return "\n".join(lines) + "\n"


def _tunnel(made: Pasted, keys: ClientKeys, name: str) -> Iterator[str]:
    yield from _section(
        f"network.{name}",
        "interface",
        {
            "proto": "wireguard",
            "private_key": private_key(keys),
            "listen_port": made.listen_port,
            "mtu": made.mtu,
            "addresses": made.addresses,
        },
    )
    yield from _section(
        f"network.{name}_hub",
        f"wireguard_{name}",
        {
            "description": made.hub.title,
            "public_key": keys.hub_public_key,
            **({} if keys.preshared_key is None else {"preshared_key": keys.preshared_key}),
            "endpoint_host": made.endpoint.host,
            "endpoint_port": made.endpoint.port,
            "allowed_ips": made.hub.allowed_ips,
            "route_allowed_ips": 1,
            "persistent_keepalive": made.hub.keepalive or 0,
        },
    )


def _firewall(made: Pasted, name: str) -> Iterator[str]:
    """A zone that lets nothing through, and a rule for each thing that it does. Who may, the hub has judged."""
    zone = name[:_LONGEST_ZONE].rstrip("_")
    closed = {"input": "REJECT", "output": "ACCEPT", "forward": "REJECT"}
    yield from _section(f"firewall.{name}", "zone", {"name": zone, "network": (name,), **closed, "mtu_fix": 1})
    for number, rule in enumerate(_rules(made, zone)):
        yield from _section(f"firewall.{name}_rule{number}", "rule", {"name": made.ours, **rule, "target": "ACCEPT"})
    for number, (source, destination) in enumerate(made.translations):
        family = "ipv4" if destination.version == 4 else "ipv6"
        nat = {"name": made.ours, "family": family, "src": "*", "src_ip": source, "dest_ip": destination, "proto": "all"}
        yield from _section(f"firewall.{name}_nat{number}", "nat", {**nat, "target": "MASQUERADE"})


def _translating(made: Pasted, name: str, file: str) -> Iterator[str]:
    """The tunnel's device has the name of its section."""
    if not made.aliases:
        return
    yield f"cat >{file} <<'END'"
    for chain, (kind, hook, priority), rules in alias.chains(name, made.aliases):
        yield f"chain {name}-{chain} {{"
        yield f"  type {kind} hook {hook} priority {priority}; policy accept;"
        yield from (f"  {rule}" for rule in rules)
        yield "}"
    yield "END"


def _rules(made: Pasted, zone: str) -> Iterator[Options]:
    for lan in made.lans:
        yield {"src": zone, "dest": "*", "dest_ip": lan, "proto": "all"}
    for lan in made.inner if made.opens else ():
        yield {"src": "*", "dest": zone, "src_ip": lan, "proto": "all"}
    if made.answers:
        yield {"src": zone, "proto": "all"}
        return
    for hub in made.pinged_by:
        yield {"src": zone, "src_ip": hub, "proto": "icmp"}


def _section(path: str, kind: str, options: Options) -> Iterator[str]:
    yield f"uci set {path}='{kind}'"
    for option, value in options.items():
        if isinstance(value, tuple):
            yield from (f"uci add_list {path}.{option}='{each}'" for each in value)
        else:
            yield f"uci set {path}.{option}='{value}'"
