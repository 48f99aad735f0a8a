"""iptables: chains of our own, one jump each, and nothing else of the host's rules read or written. One text per family.

    load      iptables-restore --noflush FILE4; ip6tables-restore --noflush FILE6       each table in one transaction, old content replaced
    check     iptables-restore --test --noflush FILE4; ip6tables-restore --test --noflush FILE6       changes nothing
    jumps     for each (TABLE, HOOK, CHAIN) of JUMPS, with iptables and with ip6tables:
                  iptables -w -t TABLE -C HOOK -j CHAIN 2>/dev/null || iptables -w -t TABLE -I HOOK 1 -j CHAIN
    remove    the same jumps with -D until that fails, then `iptables-restore --noflush` of REMOVAL, and the same with ip6tables
    list      iptables-save and ip6tables-save, only the lines with WG_OFFICE; compare with what they said right after loading

The jumps come first in their hooks, so an accept here is final: Docker's `FORWARD DROP` and ufw's do not take it back. The chains judge
packets of the tunnel alone and return all others.

`render_hand_over` is for hosts whose backend is nftables and on which `iptables` is installed: the same chains and jumps, which only leave
the tunnel's packets to our nftables table. Without it, Docker and ufw would drop what the table allows.
"""

from collections.abc import Iterable, Iterator

from netaddr import IPNetwork

from wg_office.access import Allow, FirewallPolicy, Ports
from wg_office.grants import ICMP, PortRange

JUMPS = (
    ("filter", "FORWARD", "WG_OFFICE_FORWARD"),
    ("filter", "INPUT", "WG_OFFICE_INPUT"),
    ("mangle", "FORWARD", "WG_OFFICE_MSS"),
    ("nat", "POSTROUTING", "WG_OFFICE_NAT"),
)

_CHAINS = {
    "filter": ("WG_OFFICE_FORWARD", "WG_OFFICE_INPUT", "WG_OFFICE_KNOWN", "WG_OFFICE_FROM_TUNNEL", "WG_OFFICE_TO_TUNNEL"),
    "mangle": ("WG_OFFICE_MSS",),
    "nat": ("WG_OFFICE_NAT",),
}
_ADMIN_PROHIBITED = {4: "REJECT --reject-with icmp-admin-prohibited", 6: "REJECT --reject-with icmp6-adm-prohibited"}
_ECHO_REQUEST = {4: "-p icmp -m icmp --icmp-type echo-request", 6: "-p ipv6-icmp -m icmp6 --icmpv6-type echo-request"}
_MULTIPORT_SLOTS = 15
_LONGEST_COMMENT = 200


def _table(name: str, rules: Iterable[str]) -> str:
    # Naming a chain creates it, or empties it.
    lines = [f"*{name}", *(f":{chain} - [0:0]" for chain in _CHAINS[name]), *rules, "COMMIT"]
    return "\n".join(lines) + "\n"


REMOVAL = "".join(_table(name, [f"-X {chain}" for chain in chains]) for name, chains in _CHAINS.items())
"""What takes our chains away, once no jump leads to them; it succeeds without them, too."""


def render(policy: FirewallPolicy, version: int) -> str:
    """The text for iptables-restore (4) or ip6tables-restore (6)."""
    head = f"# {policy.role} {policy.host}, IPv{version}: who may reach what through {policy.interface}. Nothing else is let through.\n"
    return (
        head + _table("filter", _filter(policy, version)) + _table("mangle", _mss(policy, version)) + _table("nat", _nat(policy, version))
    )


def render_hand_over(policy: FirewallPolicy) -> str:
    """For either family: leaves the tunnel's packets to the nftables table."""
    wg = policy.interface
    rules = [f"-A WG_OFFICE_FORWARD -i {wg} -j ACCEPT", f"-A WG_OFFICE_FORWARD -o {wg} -j ACCEPT", f"-A WG_OFFICE_INPUT -i {wg} -j ACCEPT"]
    head = f"# {policy.role} {policy.host}: the nftables table wg_office judges the packets of {wg}, so nobody else needs to.\n"
    return head + _table("filter", rules) + _table("mangle", []) + _table("nat", [])


def _filter(policy: FirewallPolicy, version: int) -> Iterator[str]:
    wg, otherwise = policy.interface, _ADMIN_PROHIBITED[version] if policy.answers else "DROP"
    yield f"-A WG_OFFICE_FORWARD -i {wg} -j WG_OFFICE_FROM_TUNNEL"
    yield f"-A WG_OFFICE_FORWARD -o {wg} -j WG_OFFICE_TO_TUNNEL"
    # See nftables.py for why this stands first.
    yield "-A WG_OFFICE_KNOWN -p tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j REJECT --reject-with tcp-reset"
    yield "-A WG_OFFICE_KNOWN -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    yield "-A WG_OFFICE_KNOWN -m conntrack --ctstate INVALID -j DROP"
    if policy.role == "hub":
        yield f"-A WG_OFFICE_FROM_TUNNEL ! -o {wg} -j {_ADMIN_PROHIBITED[version]}"
    yield from _judge("WG_OFFICE_FROM_TUNNEL", policy.from_tunnel, version, otherwise)
    if policy.role == "hub":
        yield "-A WG_OFFICE_TO_TUNNEL -j DROP"
    else:
        yield from _judge("WG_OFFICE_TO_TUNNEL", policy.to_tunnel, version, "DROP")
    yield f"-A WG_OFFICE_INPUT ! -i {wg} -j RETURN"
    yield from _judge("WG_OFFICE_INPUT", policy.to_host, version, otherwise)


def _judge(chain: str, rules: Iterable[Allow], version: int, otherwise: str) -> Iterator[str]:
    yield f"-A {chain} -j WG_OFFICE_KNOWN"
    for rule in rules:
        yield from (f"-A {chain} {match} -j ACCEPT" for match in _matches(rule, version))
    yield f"-A {chain} -j {otherwise}"


def _matches(rule: Allow, version: int) -> Iterator[str]:
    comment = f'-m comment --comment "{_shortened(rule.note)}"'
    for source in _of_version(rule.sources, version):
        for destination in _of_version(rule.destinations, version):
            for ports in _port_matches(rule.ports, version):
                yield " ".join(part for part in (f"-s {source} -d {destination}", ports, comment) if part)


def _port_matches(ports: Ports, version: int) -> Iterator[str]:
    if not ports:
        yield ""
    for protocol in ("tcp", "udp"):
        ranges = [port for port in ports if isinstance(port, PortRange) and port.protocol == protocol]
        for portion in _portions(ranges):
            listed = ",".join(_range(port) for port in portion)
            yield f"-p {protocol} -m multiport --dports {listed}" if len(portion) > 1 else f"-p {protocol} -m {protocol} --dport {listed}"
    if ICMP in ports:
        yield _ECHO_REQUEST[version]


def _portions(ranges: Iterable[PortRange]) -> Iterator[list[PortRange]]:
    """As many as one multiport match takes, in which a range counts twice."""
    portion: list[PortRange] = []
    slots = 0
    for port in ranges:
        needed = 1 if port.first == port.last else 2
        if slots + needed > _MULTIPORT_SLOTS:
            yield portion
            portion, slots = [], 0
        portion.append(port)
        slots += needed
    if portion:
        yield portion


def _range(port: PortRange) -> str:
    return str(port.first) if port.first == port.last else f"{port.first}:{port.last}"


def _mss(policy: FirewallPolicy, version: int) -> Iterator[str]:
    size = policy.mss if version == 4 else policy.mss6
    for direction in ("-i", "-o"):
        yield f"-A WG_OFFICE_MSS {direction} {policy.interface} -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {size}"


def _nat(policy: FirewallPolicy, version: int) -> Iterator[str]:
    if policy.masquerade is not None and version == 4:
        spec = policy.masquerade
        way_out = f"-o {spec.interface}" if spec.interface else f"! -o {policy.interface}"
        yield from (f"-A WG_OFFICE_NAT -s {source} -d {spec.destination} {way_out} -j MASQUERADE" for source in spec.sources)


def _of_version(networks: Iterable[IPNetwork], version: int) -> list[IPNetwork]:
    return [network for network in networks if network.version == version]


def _shortened(note: str) -> str:
    return note if len(note) <= _LONGEST_COMMENT else note[: _LONGEST_COMMENT - 3] + "..."
