"""firewalld (0.9 or newer): a zone of our own for the tunnel, and policies with a rich rule per permission; no direct rules.

    load      where `firewall-cmd --get-policies` does not name POLICIES, or more than rules differs from the generation before:
              the XML files in place, then `firewall-cmd --reload`
              elsewhere, for each policy: `firewall-cmd --policy=POLICY --add-rich-rule=RULE` for each RULE of firewalld.rules that
              `firewall-cmd --policy=POLICY --list-rich-rules` does not list, and `--remove-rich-rule=RULE` for each one too many
    check     firewall-offline-cmd --system-config DIRECTORY --check-config, over a copy of /etc/firewalld with the files in it
    remove    take the files away, `firewall-cmd --reload`
    list      firewall-cmd --list-all-policies: under POLICIES, the lines of firewalld.rules without the policy's name

Changes are made at run time because a reload takes away what others have set at run time only, and every iptables rule of the host (Docker
writes its own again). The first installation and the removal cannot do without one, and are refused where it would lose something.

Until a generation is committed, firewalld reads a copy of /etc/firewalld in /run, mounted in its place, which a reboot forgets. Links that
lead nowhere would not do: with one of them firewalld 1.3 starts without any of its settings ("Falling back to full stock configuration").

Beside it these hosts have the table of nftables.py, and packets need the leave of both. There are things that firewalld cannot say:
- everything passes whose destination was translated (Docker's published ports), and with it a developer who may not;
- a rich rule that clamps the MSS (1.0 or newer) sees the first packet of a connection and misses the answer;
- a packet from the middle of an unknown TCP connection passes for a new connection;
- a zone bound to a source prefix (`trusted` for 10.0.0.0/8, say) comes before a zone bound to an interface;
- masquerading cannot be limited to an interface, switches forwarding on at boot and, in 0.9, lets its sources pass from everywhere;
- and when firewalld is stopped, nothing filters any more.
The table answers what is refused and masquerades; here everything that is not allowed is simply dropped.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from xml.sax.saxutils import quoteattr

from netaddr import IPNetwork

from wg_office.access import Allow, FirewallPolicy
from wg_office.grants import Icmp, PortRange

DIRECTORY = "/etc/firewalld"
ZONE = "wg-office"
POLICIES = ("wg-office-in", "wg-office-out", "wg-office-host")

_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
# Before the host's own policies; what comes out of the tunnel and goes back into it must meet -in before -out.
_PRIORITY = {"wg-office-in": -30002, "wg-office-out": -30001, "wg-office-host": -30002}


def files(policy: FirewallPolicy) -> dict[str, str]:
    """The files under /etc/firewalld by path."""
    written = {
        "wg-office-in": _policy("wg-office-in", ZONE, "ANY", _accepts(policy.from_tunnel), "from the tunnel to elsewhere"),
        "wg-office-out": _policy("wg-office-out", "ANY", ZONE, _accepts(policy.to_tunnel), "from elsewhere into the tunnel"),
        "wg-office-host": _policy("wg-office-host", ZONE, "HOST", _accepts(policy.to_host), "from the tunnel to this host"),
    }
    return {f"{DIRECTORY}/zones/{ZONE}.xml": _zone(policy)} | {f"{DIRECTORY}/policies/{name}.xml": text for name, text in written.items()}


def rules(policy: FirewallPolicy) -> str:
    """firewalld.rules: the rich rules as they must stand at run time, a policy's name and a rule on each line."""
    by_policy = zip(POLICIES, (policy.from_tunnel, policy.to_tunnel, policy.to_host), strict=True)
    return "".join(f"{name} {rule}\n" for name, granted in by_policy for rule in sorted(map(str, _rich_rules(granted))))


def _zone(policy: FirewallPolicy) -> str:
    return f'{_HEAD}<zone target="DROP">\n  <short>{ZONE}</short>\n  <interface name={quoteattr(policy.interface)}/>\n</zone>\n'


def _policy(name: str, ingress: str, egress: str, rules: Iterable[str], short: str) -> str:
    lines = [
        f'<policy target="DROP" priority="{_PRIORITY[name]}">',
        f"  <short>{short}</short>",
        f'  <ingress-zone name="{ingress}"/>',
        f'  <egress-zone name="{egress}"/>',
        *(f"  {rule}" for rule in rules),
        "</policy>",
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _accepts(rules: Iterable[Allow]) -> Iterator[str]:
    for rule, note in _rich_rules(rules).items():
        yield f"{rule.xml()} <!-- {_comment(note)} -->"


@dataclass(frozen=True, slots=True)
class _RichRule:
    """One rule in both of firewalld's notations."""

    source: IPNetwork
    destination: IPNetwork
    port: PortRange | Icmp | None

    def xml(self) -> str:
        """As in a policy's file."""
        ends = f'<source address="{self.source}"/><destination address="{self.destination}"/>'
        return f'<rule family="ipv{self.source.version}">{ends}{self._element("<{}/>")}<accept/></rule>'

    def __str__(self) -> str:
        """As `firewall-cmd --list-rich-rules` writes it, to the letter."""
        ends = f'source address="{self.source}" destination address="{self.destination}"'
        return f'rule family="ipv{self.source.version}" {ends} {self._element("{} ")}accept'

    def _element(self, form: str) -> str:
        if self.port is None:
            return ""
        if isinstance(self.port, Icmp):
            return form.format('icmp-type name="echo-request"')
        listed = f"{self.port.first}" if self.port.first == self.port.last else f"{self.port.first}-{self.port.last}"
        return form.format(f'port port="{listed}" protocol="{self.port.protocol}"')


def _rich_rules(rules: Iterable[Allow]) -> dict[_RichRule, str]:
    """The rules with their notes; firewalld refuses to have one twice."""
    made: dict[_RichRule, str] = {}
    for rule in rules:
        for source, destination in product(rule.sources, rule.destinations):
            if source.version == destination.version:
                for port in rule.ports or (None,):
                    made.setdefault(_RichRule(source, destination, port), rule.note)
    return made


def _comment(note: str) -> str:
    """Two hyphens in a row would end the comment."""
    return re.sub("-(?=-)", "- ", note)
