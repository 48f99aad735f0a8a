"""The one judge of a host's packets: the nftables table `inet wg_office`, whoever else filters there.

    check     nft -c -f FILE            changes nothing
    load      nft -f FILE               if FILE ends with END, so that one that was cut short is not loaded
    remove    nft -f - <<<REMOVAL       succeeds without the table, too
    list      nft -s list table inet wg_office

A load keeps the base chains and exchanges their content in one transaction: deleting and adding the table would let single packets pass.

Every base chain accepts what has nothing to do with the tunnel: other packets are never judged here, other rules never touched.
An accept here does not overrule a drop in another table (Docker's, ufw's, firewalld's): those are asked as well, which is what
handover.py and firewalld.py are for.

The stamp is one bit of the packet's mark, set on all packets that the tunnel brings or is to take. The host's routing rule
`iif wg0 fwmark 0/BIT prohibit` forwards nothing of the tunnel without it: nothing, when this table is gone.
"""

from collections.abc import Iterable, Iterator

from netaddr import IPNetwork

from wg_office.environment.grants import ICMP, PortRange
from wg_office.hosts.firewall import alias
from wg_office.hosts.firewall.alias import FAMILIES
from wg_office.network.access import Allow, FirewallPolicy, Masquerade, Ports

TABLE = "wg_office"
REMOVAL = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
END = "# The end of the rules."
_LONGEST_COMMENT = 120
_UNKNOWN = "tcp flags & (fin|syn|rst|ack) != syn ct state new reject with tcp reset"
_ERROR = "meta l4proto { icmp, ipv6-icmp } ct state related"
_ADMIN_PROHIBITED = "reject with icmpx type admin-prohibited"


def render(policy: FirewallPolicy) -> str:
    """The whole table, to be loaded with `nft -f`."""
    chains = [
        _spoofed(policy),
        _stamp(policy),
        _forward(policy),
        _from_tunnel(policy),
        *_senders("via", policy.from_tunnel),
        _to_tunnel(policy),
        *_still(_FORWARDED, _forwarded(policy)),
        _input(policy),
        *_senders("to-host", policy.to_host),
        *_still(_TO_HOST, policy.to_host),
        _known(policy),
        _mss(policy),
        *_postrouting(policy),
        *_redirect(policy),
        *_aliases(policy),
        _leaving(policy),
    ]
    head = f"# {policy.role} {policy.host}: who may reach what through {policy.interface}. Nothing else is let through.\n"
    body = "\n".join(chains)
    return f"{head}table inet {TABLE}\nflush table inet {TABLE}\ntable inet {TABLE} {{\n{body}}}\n{END}\n"


def _chain(name: str, lines: Iterable[str]) -> str:
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tchain {name} {{\n{body}\t}}\n"


def _base_chain(name: str, kind: str, hook: str, priority: str, lines: Iterable[str]) -> str:
    return _chain(name, [f"type {kind} hook {hook} priority {priority}; policy accept;", *lines])


def _spoofed(policy: FirewallPolicy) -> str:
    """Before anybody translates: who pretends to come through the tunnel or from the LAN, or means services of the tunnel's address.

    The host's own packets come by way of `lo`. A connection that is known already is no excuse.
    """
    elsewhere = f'iifname != {{ "{policy.interface}", "lo" }}'
    own = [address for address in policy.local if any(address in prefix for prefix in policy.vpn)]
    lines = [f"{elsewhere} {match} drop" for match in (*_matching("saddr", policy.remote), *_matching("daddr", own))]
    lines += _from_the_wrong_side(policy)
    return _base_chain("spoofed", "filter", "prerouting", "raw", lines)


def _from_the_wrong_side(policy: FirewallPolicy) -> Iterator[str]:
    """A LAN's source that comes neither by the way back to it nor from another of the site's LANs, as far as the file names those.

    Where VLANs have one router, answers come in by another of them than questions went out. Interfaces that the file does not name the host
    finds, and has these rules itself (hostside/wg-office.d, `lan_rules`).
    """
    several = len(policy.lans) > 1
    if several and not names_all(policy):
        return
    named = _lan_interfaces(policy) if several else []
    known = f"iifname != {_set(named)} " if named else ""
    own = (lan.cidr for lan in policy.lans if not lan.outside)
    yield from (f"{known}{match} fib saddr . iif oif missing drop" for match in _matching("saddr", own))


def _lan_interfaces(policy: FirewallPolicy) -> list[str]:
    return sorted({f'"{lan.interface}"' for lan in policy.lans if lan.interface is not None})


def _stamp(policy: FirewallPolicy) -> str:
    """After everybody else's marks, and before the way is chosen.

    What goes into the tunnel has it too: with `rp_filter` the kernel asks for the way back, by the same rule (sysctl src_valid_mark).
    """
    stamp = f"meta mark set meta mark or {policy.mark:#010x}"
    lines = [f'iifname "{policy.interface}" {stamp}', *(f"{match} {stamp}" for match in _matching("daddr", policy.remote))]
    return _base_chain("stamp", "filter", "prerouting", "filter", lines)


def _matching(end: str, networks: Iterable[IPNetwork]) -> Iterator[str]:
    """One match for each family that these networks have."""
    listed = list(networks)
    for version, family in FAMILIES.items():
        members = [_address(network) for network in _of_version(listed, version)]
        if members:
            yield f"{family} {end} {_set(members)}"


def _forward(policy: FirewallPolicy) -> str:
    wg = policy.interface
    return _base_chain("forward", "filter", "forward", "filter", [f'iifname "{wg}" jump from-tunnel', f'oifname "{wg}" jump to-tunnel'])


def _from_tunnel(policy: FirewallPolicy) -> str:
    open_ones = _open_ones(_FORWARDED, _forwarded(policy))
    return _chain("from-tunnel", [*_wrong_way(policy), *open_ones, "jump known", *_dispatch("via", policy.from_tunnel), _otherwise(policy)])


def _wrong_way(policy: FirewallPolicy) -> Iterator[str]:
    """Not even in answer to a connection that was there before these rules, or before the LAN's interface went down."""
    if policy.role == "hub":
        yield from _only_back(policy)
    yield from _only_into_lans(policy)


def _only_into_lans(policy: FirewallPolicy) -> Iterator[str]:
    """By the interfaces that the file names; others the host finds itself (hostside/wg-office.d, `lan_rules`)."""
    interfaces, all_named = _lan_interfaces(policy), names_all(policy)
    if all_named:
        back = [f'"{policy.interface}"'] if policy.role == "hub" else []
        yield from (f"oifname != {_set([*back, *interfaces])} {match}drop" for match in _not_outside(policy, "daddr"))
    if len(interfaces) > 1 or not all_named:
        named = (lan for lan in policy.lans if lan.interface is not None)
        yield from (f'{FAMILIES[lan.cidr.version]} daddr {lan.cidr} oifname != "{lan.interface}" drop' for lan in named)


def names_all(policy: FirewallPolicy) -> bool:
    """Whether the file names the interface of each LAN in which the host stands; all others lie behind one of those."""
    standing = [lan for lan in policy.lans if lan.via is None]
    return bool(standing) and all(lan.interface is not None for lan in standing)


def _not_outside(policy: FirewallPolicy, end: str) -> Iterable[str]:
    """What lies in the internet has the host's way out for its way."""
    outside = [lan.cidr for lan in policy.lans if lan.outside]
    return _elsewhere_than(outside, end) if outside else [""]


def _only_back(policy: FirewallPolicy) -> Iterator[str]:
    """Networks at the hub that are not its site are nobody's business, not even in answer to a connection from before these rules."""
    own = [lan.cidr for lan in policy.lans]
    matches = _elsewhere_than(own, "daddr") if own else [""]
    yield from (f'oifname != "{policy.interface}" {match}{_ADMIN_PROHIBITED}' for match in matches)


def _elsewhere_than(networks: list[IPNetwork], end: str) -> Iterator[str]:
    """Matches, one for each family."""
    for version, family in FAMILIES.items():
        here = [_address(network) for network in _of_version(networks, version)]
        yield f"{family} {end} != {_set(here)} " if here else f"meta nfproto ipv{version} "


def _to_tunnel(policy: FirewallPolicy) -> str:
    if policy.role == "hub" and not policy.lans:
        return _chain("to-tunnel", ["drop"])
    rules = [line for rule in policy.to_tunnel for line in _accepts(rule, with_source=True)]
    open_ones = _open_ones(_FORWARDED, _forwarded(policy))
    return _chain("to-tunnel", [*_only_from_lans(policy), *open_ones, "jump known", *rules, "drop"])


def _only_from_lans(policy: FirewallPolicy) -> Iterator[str]:
    """While a LAN's interface is down, the way back to its addresses is the host's default route, and who comes by that is a stranger."""
    if names_all(policy):
        elsewhere = f"iifname != {_set(_lan_interfaces(policy))}"
        yield from (f"{elsewhere} {match}drop" for match in _not_outside(policy, "saddr"))


def _input(policy: FirewallPolicy) -> str:
    base = _base_chain("input", "filter", "input", "filter", [f'iifname "{policy.interface}" jump to-host'])
    # The host's own end of an unknown connection must not make it a known one either.
    own = _base_chain("output", "filter", "output", "filter", [f'oifname "{policy.interface}" {_UNKNOWN}'])
    judged = [*_open_ones(_TO_HOST, policy.to_host), "jump known", *_dispatch("to-host", policy.to_host), _otherwise(policy)]
    return base + "\n" + own + "\n" + _chain("to-host", judged)


def _otherwise(policy: FirewallPolicy) -> str:
    return _ADMIN_PROHIBITED if policy.answers else "drop"


def _known(policy: FirewallPolicy) -> str:
    """What needs no permission, because its connection had one.

    A TCP packet from the middle of an unknown connection stands first: conntrack would take it for a new one, perhaps opened by the wrong
    end, and a withdrawn permission would live on in the other direction. A reset tells both ends at once that it is over.
    Related are errors alone: where others track FTP, a connection announces further ones, which need permissions of their own.
    """
    return _chain(
        "known",
        [
            _UNKNOWN,
            "icmp type redirect drop",
            "icmpv6 type nd-redirect drop",
            *_errors(policy),
            "ct state established accept",
            "ct state invalid drop",
        ],
    )


def _errors(policy: FirewallPolicy) -> Iterator[str]:
    """The hub stands between peers: errors about a connection are for its two ends to send, and for nobody who only guesses its ports."""
    if policy.role == "gateway":
        yield f"{_ERROR} accept"
        return
    for version, family in FAMILIES.items():
        pairs = [(end, sender) for end, sender in policy.ends if end.version == version]
        if pairs:
            members = "".join(f"\t\t\t{_address(end)} . {_address(sender)},\n" for end, sender in pairs)
            yield from (f"{_ERROR} ct original {family} {end} . {family} saddr {{\n{members}\t\t}} accept" for end in ("saddr", "daddr"))
    yield f"{_ERROR} drop"


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
    """Wherever there is a LAN: with the last chain of this kind the kernel stops translating, for open connections as well."""
    if policy.lans:
        yield _base_chain("postrouting", "nat", "postrouting", "srcnat", (_masquerade(policy, spec) for spec in policy.masquerade))


def _masquerade(policy: FirewallPolicy, spec: Masquerade) -> str:
    """By the stamp, because older kernels do not know here by which interface a packet came."""
    way_out = f'oifname "{spec.interface}"' if spec.interface else f'oifname != "{policy.interface}"'
    family = FAMILIES[spec.destination.version]
    stamped = f"meta mark and {policy.mark:#010x} == {policy.mark:#010x}"
    return f"{stamped} {way_out} {family} saddr {_set(map(str, spec.sources))} {family} daddr {spec.destination} masquerade"


def _redirect(policy: FirewallPolicy) -> Iterator[str]:
    """Only what is meant for this host itself: QUIC that it forwards for others has the same port."""
    if policy.redirect is not None:
        ports = _set(map(str, policy.redirect.ports))
        rule = f'iifname != {{ "lo", "{policy.interface}" }} fib daddr type local udp dport {ports} redirect to :{policy.redirect.to}'
        yield _base_chain("also-on", "nat", "prerouting", "dstnat", [rule])


def _leaving(policy: FirewallPolicy) -> str:
    """When the tunnel's routes are gone, what was meant for it would follow the default route, readable for all."""
    elsewhere = f'oifname != {{ "{policy.interface}", "lo" }}'
    return _base_chain(
        "leaving", "filter", "postrouting", "raw", [f"{elsewhere} {match} drop" for match in _matching("daddr", policy.remote)]
    )


def _aliases(policy: FirewallPolicy) -> Iterator[str]:
    for name, (kind, hook, priority), rules in alias.chains(policy.interface, policy.aliases):
        yield _base_chain(name, kind, hook, priority, rules)


# --- permissions -----------------------------------------------------------------------------------------------------------------------


def _dispatch(prefix: str, rules: tuple[Allow, ...], of: str = "") -> Iterator[str]:
    """One look-up by source address, however many senders there are; what their chain does not accept comes back."""
    for version, family in FAMILIES.items():
        judged = [rule for rule in rules if _of_version(rule.destinations, version)]
        jumps = {_address(source): f"jump {prefix}-{rule.sender}" for rule in judged for source in _of_version(rule.sources, version)}
        if jumps:
            members = "".join(f"\t\t\t{source} : {verdict},\n" for source, verdict in jumps.items())
            yield f"{of}{family} saddr vmap {{\n{members}\t\t}}"


def _senders(prefix: str, rules: tuple[Allow, ...]) -> Iterator[str]:
    """A chain per sender, a line per permission."""
    for sender, theirs in _by_sender(rules).items():
        differ = _machines_differ(theirs)
        yield _chain(f"{prefix}-{sender}", (line for rule in theirs for line in _accepts(rule, with_source=differ)))


def _by_sender(rules: Iterable[Allow]) -> dict[str, list[Allow]]:
    found: dict[str, list[Allow]] = {}
    for rule in rules:
        found.setdefault(rule.sender, []).append(rule)
    return found


def _machines_differ(rules: list[Allow]) -> bool:
    """Whether one of a person's machines ends at another time than others, so that a rule is not for all of them."""
    return len({rule.sources for rule in rules}) > 1


def _accepts(rule: Allow, *, with_source: bool = False) -> Iterator[str]:
    for version, family in FAMILIES.items():
        sources, destinations = _of_version(rule.sources, version), _of_version(rule.destinations, version)
        if sources and destinations:
            source = f"{family} saddr {_set(map(_address, sources))} " if with_source else ""
            destination = f"{family} daddr {_set(map(_address, destinations))}"
            for ports in _port_matches(rule.ports, version):
                yield f'{source}{destination}{ports}{_while(rule)} accept comment "{_shortened(rule.note)}"'


def _while(rule: Allow) -> str:
    """In seconds since 1970: a date would be one in the host's own time zone."""
    return "" if rule.until is None else f" meta time < {rule.until.epoch}"


_ASKED = (" {protocol} dport {ports}", "echo-request")
"""How a packet that opens something is matched: by its ports, and by ICMP's type."""
_OPEN = (" meta l4proto {protocol} ct reply proto-src {ports}", "{ echo-request, echo-reply }")
"""The same of each packet of a connection that is open."""


def _port_matches(ports: Ports, version: int, words: tuple[str, str] = _ASKED) -> Iterator[str]:
    by_ports, echo = words
    if not ports:
        yield ""
    for protocol in ("tcp", "udp"):
        ranges = [_range(port) for port in ports if isinstance(port, PortRange) and port.protocol == protocol]
        if ranges:
            yield by_ports.format(protocol=protocol, ports=_set(ranges))
    if ICMP in ports:
        yield f" {'icmp' if version == 4 else 'icmpv6'} type {echo}"


# --- connections that are open when their permission ends ------------------------------------------------------------------------------

_FORWARDED, _TO_HOST = "still", "still-to-host"


def _forwarded(policy: FirewallPolicy) -> tuple[Allow, ...]:
    return (*policy.from_tunnel, *policy.to_tunnel)


def _ending(rules: Iterable[Allow]) -> dict[str, list[Allow]]:
    """All rules of each sender of whom one ends: what another still allows goes on."""
    return {sender: theirs for sender, theirs in _by_sender(rules).items() if any(rule.until is not None for rule in theirs)}


def _open_ones(prefix: str, rules: tuple[Allow, ...]) -> Iterator[str]:
    """Connections that such a sender has opened, packet by packet and in both directions: not even these are known for longer."""
    ending = tuple(rule for theirs in _ending(rules).values() for rule in theirs)
    yield from _dispatch(prefix, ending, "ct state established ct original ")


def _still(prefix: str, rules: tuple[Allow, ...]) -> Iterator[str]:
    """A chain per sender: back to the others' way is what is still allowed, and both ends of all else are told that it is over."""
    for sender, theirs in _ending(rules).items():
        differ = _machines_differ(theirs)
        lines = [line for rule in theirs for line in _still_allowed(rule, with_source=differ)]
        yield _chain(f"{prefix}-{sender}", [*lines, "meta l4proto tcp reject with tcp reset", "drop"])


def _still_allowed(rule: Allow, *, with_source: bool) -> Iterator[str]:
    """By the end from which answers come, which is where packets really go, whatever the host translates."""
    for version, family in FAMILIES.items():
        sources, destinations = _of_version(rule.sources, version), _of_version(rule.destinations, version)
        if sources and destinations:
            source = f"ct original {family} saddr {_set(map(_address, sources))} " if with_source else ""
            destination = f"ct reply {family} saddr {_set(map(_address, destinations))}"
            yield from (f"{source}{destination}{ports}{_while(rule)} return" for ports in _port_matches(rule.ports, version, _OPEN))


# --- words -----------------------------------------------------------------------------------------------------------------------------


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
