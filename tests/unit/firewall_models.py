"""A small model of nftables: what the rendered text decides about one packet.

It knows the part of the language that wg_office renders, and refuses every word it does not know.
"""

import re
from dataclasses import dataclass
from typing import Literal

from netaddr import IPAddress, IPNetwork

Protocol = Literal["tcp", "udp", "icmp", "gre"]
Verdict = Literal["accept", "drop", "reject", "reset", "return"]


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection, unless `state` says otherwise; `way_out` is None for packets to the host itself."""

    way_in: str
    way_out: str | None
    source: IPAddress
    destination: IPAddress
    protocol: Protocol
    port: int = 0
    state: Literal["new", "established", "invalid"] = "new"
    syn: bool = True
    at: int = 0
    """When, in seconds since 1970."""

    @property
    def hook(self) -> str:
        return "input" if self.way_out is None else "forward"


def _within(address: IPAddress, prefixes: str) -> bool:
    return any(address in IPNetwork(prefix.strip()) for prefix in prefixes.strip("{} ").split(",") if prefix.strip())


def _in_ports(port: int, ranges: str) -> bool:
    pairs = [part.strip().split("-") for part in ranges.strip("{} ").split(",")]
    return any(int(pair[0]) <= port <= int(pair[-1]) for pair in pairs)


# --- nftables --------------------------------------------------------------------------------------------------------------------------

_SET = r"(\{[^}]*\}|\S+)"


class Nftables:
    """The table as `nft -f` would load it."""

    def __init__(self, text: str) -> None:
        body = text.split("table inet wg_office {\n", 1)[1]
        found = re.findall(r"^\tchain (\S+) \{\n(.*?)^\t\}$", body, re.MULTILINE | re.DOTALL)
        self.chains = {name: [line.strip() for line in re.sub(r"\{\n([^}]*)\}", self._joined, rules).splitlines()] for name, rules in found}
        assert len(self.chains) == len(found) == body.count("chain ")

    @staticmethod
    def _joined(match: re.Match[str]) -> str:
        return "{" + " ".join(match[1].split()) + "}"

    def decide(self, packet: Packet) -> Verdict:
        verdicts = []
        for rules in self.chains.values():
            if re.match(rf"type filter hook (prerouting|postrouting|{packet.hook}) ", rules[0]) and not (
                packet.hook == "input" and " postrouting " in rules[0]
            ):
                assert rules[0].endswith("policy accept;")
                verdicts.append(self._run(rules[1:], packet) or "accept")
        return next((verdict for verdict in verdicts if verdict != "accept"), "accept")

    def _run(self, rules: list[str], packet: Packet) -> Verdict | None:
        for rule in rules:
            verdict = self._rule(rule, packet)
            if verdict is not None:
                return None if verdict == "return" else verdict
        return None

    def _rule(self, rule: str, packet: Packet) -> Verdict | None:
        rest = rule
        while True:
            for pattern, test in self._MATCHES:
                match = re.match(pattern + r"(?: |$)", rest)
                if match:
                    if not test(packet, *match.groups()):
                        return None
                    rest = rest[match.end() :]
                    break
            else:
                return self._act(rest, packet)

    _MATCHES = (
        (r'iifname != \{ "(\S+)", "lo" \}', lambda p, name: p.way_in not in (name, "lo")),
        (r'oifname != \{ "(\S+)", "lo" \}', lambda p, name: p.way_out not in (name, "lo")),
        # Of the LANs alone, which are not behind the tunnel.
        (r"fib saddr \. iif oif missing", lambda p: p.way_in == "wg0"),
        (r"meta l4proto \{ icmp, ipv6-icmp \}", lambda p: p.protocol == "icmp"),
        (r"ct state related ct original (?:ip6?) [sd]addr \. (?:ip6?) saddr \{[^}]*\}", lambda p: False),
        (r"icmp type redirect", lambda p: False),
        (r"icmpv6 type nd-redirect", lambda p: False),
        (r'iifname != "(\S+)"', lambda p, name: p.way_in != name),
        (r'iifname "(\S+)"', lambda p, name: p.way_in == name),
        (r'oifname "(\S+)"', lambda p, name: p.way_out == name),
        (r'oifname != "(\S+)"', lambda p, name: p.way_out != name),
        (rf"ip (?:saddr) (?!vmap){_SET}", lambda p, given: p.source.version == 4 and _within(p.source, given)),
        (rf"ip6 (?:saddr) (?!vmap){_SET}", lambda p, given: p.source.version == 6 and _within(p.source, given)),
        (rf"ip daddr != {_SET}", lambda p, given: p.destination.version == 4 and not _within(p.destination, given)),
        (rf"ip6 daddr != {_SET}", lambda p, given: p.destination.version == 6 and not _within(p.destination, given)),
        (rf"ip daddr {_SET}", lambda p, given: p.destination.version == 4 and _within(p.destination, given)),
        (rf"ip6 daddr {_SET}", lambda p, given: p.destination.version == 6 and _within(p.destination, given)),
        (rf"(tcp|udp) dport {_SET}", lambda p, protocol, ports: p.protocol == protocol and _in_ports(p.port, ports)),
        (r"icmp type echo-request", lambda p: p.protocol == "icmp" and p.source.version == 4),
        (r"icmpv6 type echo-request", lambda p: p.protocol == "icmp" and p.source.version == 6),
        # A packet stands for its connection too: it goes in the direction in which that was opened.
        (rf"ct original ip saddr (?!vmap){_SET}", lambda p, given: p.source.version == 4 and _within(p.source, given)),
        (rf"ct original ip6 saddr (?!vmap){_SET}", lambda p, given: p.source.version == 6 and _within(p.source, given)),
        (rf"ct reply ip saddr {_SET}", lambda p, given: p.destination.version == 4 and _within(p.destination, given)),
        (rf"ct reply ip6 saddr {_SET}", lambda p, given: p.destination.version == 6 and _within(p.destination, given)),
        (rf"ct reply proto-src {_SET}", lambda p, ports: _in_ports(p.port, ports)),
        (r"meta l4proto (tcp|udp)", lambda p, protocol: p.protocol == protocol),
        (r"meta time < (\d+)", lambda p, end: p.at < int(end)),
        (r"icmp type \{ echo-request, echo-reply \}", lambda p: p.protocol == "icmp" and p.source.version == 4),
        (r"icmpv6 type \{ echo-request, echo-reply \}", lambda p: p.protocol == "icmp" and p.source.version == 6),
        (r"ct state (\S+)", lambda p, states: p.state in states.split(",")),
        (r"tcp flags & \(fin\|syn\|rst\|ack\) != syn", lambda p: p.protocol == "tcp" and not p.syn),
        (r"tcp flags & \(syn\|rst\) == syn", lambda p: p.protocol == "tcp" and p.syn),
        (r"meta nfproto ipv(4|6)", lambda p, version: p.source.version == int(version)),
    )

    def _act(self, action: str, packet: Packet) -> Verdict | None:
        jump = re.fullmatch(r"jump (\S+)", action)
        if jump:
            return self._run(self.chains[jump[1]], packet)
        dispatch = re.fullmatch(r"(?:ct original )?(ip6?) saddr vmap \{(.*)\}", action)
        if dispatch:
            if packet.source.version != (6 if dispatch[1] == "ip6" else 4):
                return None
            pairs = [pair.split(" : ") for pair in dispatch[2].split(",") if pair.strip()]
            chosen = [verdict for source, verdict in pairs if packet.source in IPNetwork(source.strip())]
            assert len(chosen) <= 1, "nft refuses overlapping members"
            return self._act(chosen[0].strip(), packet) if chosen else None
        if re.fullmatch(r"tcp option maxseg size set \d+|meta mark set meta mark or 0x\w+", action):
            return None
        verdicts: dict[str, Verdict] = {
            "accept": "accept",
            "return": "return",
            "drop": "drop",
            "reject with icmpx type admin-prohibited": "reject",
            "reject with tcp reset": "reset",
        }
        return verdicts[re.sub(r' comment "[^"]*"$', "", action)]
