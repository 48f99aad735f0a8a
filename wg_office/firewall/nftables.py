"""nftables: one `inet` table of our own, replaced in one transaction.

    load      nft -f FILE
    check     nft -c -f FILE            changes nothing
    remove    nft -f - <<<REMOVAL       succeeds without the table, too
    list      nft list table inet wg_office                    compare with what it said right after loading

Every base chain accepts what has nothing to do with the tunnel's interface: other packets are never judged here, other rules never touched.
An accept here does not overrule a drop in another table (Docker's, ufw's, firewalld's): those are asked as well.
"""

from collections.abc import Iterable, Iterator

from netaddr import IPNetwork

from wg_office.access import Allow, FirewallPolicy, Ports
from wg_office.grants import ICMP, PortRange

TABLE = "wg_office"
REMOVAL = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
_LONGEST_COMMENT = 120
_ADMIN_PROHIBITED = "reject with icmpx type admin-prohibited"


def render(policy: FirewallPolicy) -> str:
    """The whole table, to be loaded with `nft -f`."""
    chains = [
        _forward(policy),
        _from_tunnel(policy),
        *_senders("via", policy.from_tunnel),
        _to_tunnel(policy),
        _input(policy),
        *_senders("to-host", policy.to_host),
        _known(),
        _mss(policy),
        *_postrouting(policy),
    ]
    head = f"# {policy.role} {policy.host}: who may reach what through {policy.interface}. Nothing else is let through.\n"
    return f"{head}{REMOVAL}table inet {TABLE} {{\n" + "\n".join(chains) + "}\n"


def _chain(name: str, lines: Iterable[str]) -> str:
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {name} {{\n{body}\t}}\n"


def _base_chain(name: str, kind: str, hook: str, priority: str, lines: Iterable[str]) -> str:
    return _chain(name, [f"type {kind} hook {hook} priority {priority}; policy accept;", *lines])


def _forward(policy: FirewallPolicy) -> str:
    wg = policy.interface
    return _base_chain("forward", "filter", "forward", "filter", [f'iifname "{wg}" jump from-tunnel', f'oifname "{wg}" jump to-tunnel'])


def _from_tunnel(policy: FirewallPolicy) -> str:
    # The hub's own networks are nobody's business, not even in answer to a connection that was there before these rules.
    only_back = [f'oifname != "{policy.interface}" {_ADMIN_PROHIBITED}'] if policy.role == "hub" else []
    return _chain("from-tunnel", [*only_back, "jump known", *_dispatch("via", policy.from_tunnel), _otherwise(policy)])


def _to_tunnel(policy: FirewallPolicy) -> str:
    if policy.role == "hub":
        return _chain("to-tunnel", ["drop"])
    rules = [line for rule in policy.to_tunnel for line in _accepts(rule, with_source=True)]
    return _chain("to-tunnel", ["jump known", *rules, "drop"])


def _input(policy: FirewallPolicy) -> str:
    base = _base_chain("input", "filter", "input", "filter", [f'iifname "{policy.interface}" jump to-host'])
    return base + "\n" + _chain("to-host", ["jump known", *_dispatch("to-host", policy.to_host), _otherwise(policy)])


def _otherwise(policy: FirewallPolicy) -> str:
    return _ADMIN_PROHIBITED if policy.answers else "drop"


def _known() -> str:
    """What needs no permission, because its connection had one.

    A TCP packet from the middle of an unknown connection stands first: conntrack would take it for a new one, perhaps opened by the wrong
    end, and a withdrawn permission would live on in the other direction. A reset tells both ends at once that it is over.
    """
    return _chain(
        "known",
        [
            "tcp flags & (fin|syn|rst|ack) != syn ct state new reject with tcp reset",
            "ct state established,related accept",
            "ct state invalid drop",
        ],
    )


def _mss(policy: FirewallPolicy) -> str:
    # A number, because `rt mtu` knows the way out only and misses the SYNs that go into the LAN. It never raises what a SYN says.
    lines = [
        f'{direction} "{policy.interface}" meta nfproto {family} tcp flags & (syn|rst) == syn tcp option maxseg size set {size}'
        for family, size in (("ipv4", policy.mss), ("ipv6", policy.mss6))
        for direction in ("iifname", "oifname")
    ]
    # not `mss`, which nft 0.9 takes for its own word
    return _base_chain("clamp", "filter", "forward", "mangle", lines)


def _postrouting(policy: FirewallPolicy) -> Iterator[str]:
    if policy.masquerade is not None:
        spec = policy.masquerade
        way_out = f'oifname "{spec.interface}"' if spec.interface else f'oifname != "{policy.interface}"'
        rule = f"{way_out} ip saddr {_set(map(str, spec.sources))} ip daddr {spec.destination} masquerade"
        yield _base_chain("postrouting", "nat", "postrouting", "srcnat", [rule])


# --- permissions -----------------------------------------------------------------------------------------------------------------------


def _dispatch(prefix: str, rules: tuple[Allow, ...]) -> Iterator[str]:
    """One look-up by source address, however many senders there are; what their chain does not accept comes back."""
    for family, version in (("ip", 4), ("ip6", 6)):
        judged = [rule for rule in rules if _of_version(rule.destinations, version)]
        jumps = {_address(source): f"jump {prefix}-{rule.sender}" for rule in judged for source in _of_version(rule.sources, version)}
        if jumps:
            members = "".join(f"\t\t\t{source} : {verdict},\n" for source, verdict in jumps.items())
            yield f"{family} saddr vmap {{\n{members}\t\t}}"


def _senders(prefix: str, rules: tuple[Allow, ...]) -> Iterator[str]:
    """A chain per sender, a line per permission."""
    by_sender: dict[str, list[str]] = {}
    for rule in rules:
        by_sender.setdefault(rule.sender, []).extend(_accepts(rule))
    yield from (_chain(f"{prefix}-{sender}", lines) for sender, lines in by_sender.items())


def _accepts(rule: Allow, *, with_source: bool = False) -> Iterator[str]:
    for family, version in (("ip", 4), ("ip6", 6)):
        sources, destinations = _of_version(rule.sources, version), _of_version(rule.destinations, version)
        if sources and destinations:
            source = f"{family} saddr {_set(map(_address, sources))} " if with_source else ""
            destination = f"{family} daddr {_set(map(_address, destinations))}"
            for ports in _port_matches(rule.ports, version):
                yield f'{source}{destination}{ports} accept comment "{_shortened(rule.note)}"'


def _port_matches(ports: Ports, version: int) -> Iterator[str]:
    if not ports:
        yield ""
    for protocol in ("tcp", "udp"):
        ranges = [_range(port) for port in ports if isinstance(port, PortRange) and port.protocol == protocol]
        if ranges:
            yield f" {protocol} dport {_set(ranges)}"
    if ICMP in ports:
        yield " icmp type echo-request" if version == 4 else " icmpv6 type echo-request"


def _range(port: PortRange) -> str:
    return str(port.first) if port.first == port.last else f"{port.first}-{port.last}"


def _of_version(networks: Iterable[IPNetwork], version: int) -> list[IPNetwork]:
    return [network for network in networks if network.version == version]


def _address(network: IPNetwork) -> str:
    return str(network.ip) if network.size == 1 else str(network)


def _set(members: Iterable[str]) -> str:
    listed = list(members)
    return listed[0] if len(listed) == 1 else "{ " + ", ".join(listed) + " }"


def _shortened(note: str) -> str:
    return note if len(note) <= _LONGEST_COMMENT else note[: _LONGEST_COMMENT - 3] + "..."
