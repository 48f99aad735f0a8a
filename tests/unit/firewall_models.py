"""Small models of nftables, iptables and firewalld: what the rendered texts decide about one packet.

They know the part of each language that wg_office renders, and refuse every word they do not know.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from netaddr import IPAddress, IPNetwork

Verdict = Literal["accept", "drop", "reject", "reset"]


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection, unless `state` says otherwise; `way_out` is None for packets to the host itself."""

    way_in: str
    way_out: str | None
    source: IPAddress
    destination: IPAddress
    protocol: Literal["tcp", "udp", "icmp", "gre"]
    port: int = 0
    state: Literal["new", "established", "invalid"] = "new"
    syn: bool = True

    @property
    def hook(self) -> str:
        return "input" if self.way_out is None else "forward"


def _within(address: IPAddress, prefixes: str) -> bool:
    return any(address in IPNetwork(prefix.strip()) for prefix in prefixes.strip("{} ").split(",") if prefix.strip())


def _in_ports(port: int, ranges: str, dash: str) -> bool:
    pairs = [part.strip().split(dash) for part in ranges.strip("{} ").split(",")]
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
            if rules[0].startswith(f"type filter hook {packet.hook} "):
                assert rules[0].endswith("policy accept;")
                verdicts.append(self._run(rules[1:], packet) or "accept")
        return next((verdict for verdict in verdicts if verdict != "accept"), "accept")

    def _run(self, rules: list[str], packet: Packet) -> Verdict | None:
        for rule in rules:
            verdict = self._rule(rule, packet)
            if verdict is not None:
                return verdict
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
        (r'iifname "(\S+)"', lambda p, name: p.way_in == name),
        (r'oifname "(\S+)"', lambda p, name: p.way_out == name),
        (r'oifname != "(\S+)"', lambda p, name: p.way_out != name),
        (rf"ip (?:saddr) (?!vmap){_SET}", lambda p, given: p.source.version == 4 and _within(p.source, given)),
        (rf"ip6 (?:saddr) (?!vmap){_SET}", lambda p, given: p.source.version == 6 and _within(p.source, given)),
        (rf"ip daddr {_SET}", lambda p, given: p.destination.version == 4 and _within(p.destination, given)),
        (rf"ip6 daddr {_SET}", lambda p, given: p.destination.version == 6 and _within(p.destination, given)),
        (rf"(tcp|udp) dport {_SET}", lambda p, protocol, ports: p.protocol == protocol and _in_ports(p.port, ports, "-")),
        (r"icmp type echo-request", lambda p: p.protocol == "icmp" and p.source.version == 4),
        (r"icmpv6 type echo-request", lambda p: p.protocol == "icmp" and p.source.version == 6),
        (r"ct state (\S+)", lambda p, states: p.state in states.split(",")),
        (r"tcp flags & \(fin\|syn\|rst\|ack\) != syn", lambda p: p.protocol == "tcp" and not p.syn),
        (r"tcp flags & \(syn\|rst\) == syn", lambda p: p.protocol == "tcp" and p.syn),
        (r"meta nfproto ipv(4|6)", lambda p, version: p.source.version == int(version)),
    )

    def _act(self, action: str, packet: Packet) -> Verdict | None:
        jump = re.fullmatch(r"jump (\S+)", action)
        if jump:
            return self._run(self.chains[jump[1]], packet)
        dispatch = re.fullmatch(r"(ip6?) saddr vmap \{(.*)\}", action)
        if dispatch:
            if packet.source.version != (6 if dispatch[1] == "ip6" else 4):
                return None
            pairs = [pair.split(" : ") for pair in dispatch[2].split(",") if pair.strip()]
            chosen = [verdict for source, verdict in pairs if packet.source in IPNetwork(source.strip())]
            assert len(chosen) <= 1, "nft refuses overlapping members"
            return self._act(chosen[0].strip(), packet) if chosen else None
        if re.fullmatch(r"tcp option maxseg size set \d+", action):
            return None
        verdicts: dict[str, Verdict] = {
            "accept": "accept",
            "drop": "drop",
            "reject with icmpx type admin-prohibited": "reject",
            "reject with tcp reset": "reset",
        }
        return verdicts[re.sub(r' comment "[^"]*"$', "", action)]


# --- iptables --------------------------------------------------------------------------------------------------------------------------


class Iptables:
    """The filter table of one family, with the jumps in place."""

    def __init__(self, text: str, version: int) -> None:
        self.version = version
        self.chains: dict[str, list[list[str]]] = {}
        for line in text.split("*filter\n")[1].split("COMMIT")[0].splitlines():
            if line.startswith(":"):
                self.chains[line.split()[0][1:]] = []
            else:
                words = shlex.split(line)
                assert words[0] == "-A"
                self.chains[words[1]].append(words[2:])

    def decide(self, packet: Packet) -> Verdict:
        assert packet.source.version == self.version
        return self._run("WG_OFFICE_INPUT" if packet.hook == "input" else "WG_OFFICE_FORWARD", packet) or "accept"

    def _run(self, chain: str, packet: Packet) -> Verdict | None:
        for rule in self.chains[chain]:
            if self._matches(rule, packet):
                target = rule[rule.index("-j") + 1]
                if target == "RETURN":
                    return None
                verdict = self._run(target, packet) if target in self.chains else self._verdict(rule, target)
                if verdict is not None:
                    return verdict
        return None

    @staticmethod
    def _verdict(rule: list[str], target: str) -> Verdict:
        if target == "REJECT":
            return "reset" if rule[-1] == "tcp-reset" else "reject"
        verdicts: dict[str, Verdict] = {"ACCEPT": "accept", "DROP": "drop"}
        return verdicts[target]

    def _matches(self, rule: list[str], packet: Packet) -> bool:
        words = iter(rule[: rule.index("-j")])
        negated = False
        for word in words:
            if word == "!":
                negated = True
                continue
            given = [next(words), next(words)] if word == "--tcp-flags" else [next(words)]
            if self._option(word, given, packet) == negated:
                return False
            negated = False
        return True

    def _option(self, word: str, given: list[str], packet: Packet) -> bool:
        value = given[0]
        own_icmp = {4: "icmp", 6: "ipv6-icmp"}[self.version]
        answers = {
            "-i": lambda: packet.way_in == value,
            "-o": lambda: packet.way_out == value,
            "-s": lambda: packet.source in IPNetwork(value),
            "-d": lambda: packet.destination in IPNetwork(value),
            "-p": lambda: value == (own_icmp if packet.protocol == "icmp" else packet.protocol),
            "-m": lambda: True,
            "--comment": lambda: True,
            "--dport": lambda: _in_ports(packet.port, value, ":"),
            "--dports": lambda: _in_ports(packet.port, value, ":"),
            "--icmp-type": lambda: value == "echo-request",
            "--icmpv6-type": lambda: value == "echo-request",
            "--ctstate": lambda: packet.state.upper() in value.split(","),
            "--tcp-flags": lambda: given == ["FIN,SYN,RST,ACK", "SYN"] and packet.syn,
        }
        return answers[word]()


# --- firewalld -------------------------------------------------------------------------------------------------------------------------


class Firewalld:
    """Our zone and policies; what the host's other zones decide is not ours."""

    def __init__(self, files: dict[str, str], interface: str) -> None:
        zone = ElementTree.fromstring(files["/etc/firewalld/zones/wg-office.xml"])
        assert zone.attrib == {"target": "DROP"}
        assert [element.attrib["name"] for element in zone.findall("interface")] == [interface]
        self.interface = interface
        parsed = [ElementTree.fromstring(text) for name, text in files.items() if "/policies/" in name]
        self.policies = sorted(parsed, key=lambda policy: int(policy.attrib["priority"]))
        assert all(policy.attrib["target"] == "DROP" and int(policy.attrib["priority"]) < 0 for policy in self.policies)

    def decide(self, packet: Packet) -> Verdict:
        ingress = "wg-office" if packet.way_in == self.interface else "another"
        egress = "HOST" if packet.way_out is None else "wg-office" if packet.way_out == self.interface else "another"
        for policy in self.policies:
            if self._zone(policy, "ingress-zone", ingress) and self._zone(policy, "egress-zone", egress):
                return "accept" if any(self._matches(rule, packet) for rule in policy.findall("rule")) else "drop"
        return "accept"

    @staticmethod
    def _zone(policy: ElementTree.Element, end: str, zone: str) -> bool:
        named = [element.attrib["name"] for element in policy.findall(end)]
        return zone in named or ("ANY" in named and zone != "HOST")

    @staticmethod
    def _matches(rule: ElementTree.Element, packet: Packet) -> bool:
        assert rule.find("accept") is not None
        answers = {
            "source": lambda given: packet.source in IPNetwork(given["address"]),
            "destination": lambda given: packet.destination in IPNetwork(given["address"]),
            "port": lambda given: packet.protocol == given["protocol"] and _in_ports(packet.port, given["port"], "-"),
            "icmp-type": lambda given: given == {"name": "echo-request"} and packet.protocol == "icmp",
            "accept": lambda given: given == {},
        }
        return rule.attrib == {"family": f"ipv{packet.source.version}"} and all(answers[part.tag](part.attrib) for part in rule)
