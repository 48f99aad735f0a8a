"""firewalld (0.9 or newer): a zone of our own for the tunnel, and policies with a rich rule per permission; no direct rules.

    load      put the files in place, `firewall-cmd --reload`       established connections survive; changes made at run time only do not
    check     firewall-offline-cmd --system-config DIRECTORY --check-config, over a copy of /etc/firewalld with the files in it
    remove    take the files away, `firewall-cmd --reload`
    list      firewall-cmd --info-zone=wg-office, --info-policy=NAME for each of POLICIES; compare with what they said after loading

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
from xml.sax.saxutils import quoteattr

from netaddr import IPNetwork

from wg_office.access import Allow, FirewallPolicy, Ports
from wg_office.grants import PortRange

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
    for rule in rules:
        for source in rule.sources:
            for destination in rule.destinations:
                if source.version == destination.version:
                    for what in _elements(rule.ports):
                        yield f"{_rule(source, destination, what)} <!-- {_comment(rule.note)} -->"


def _rule(source: IPNetwork, destination: IPNetwork, what: str) -> str:
    return f'<rule family="ipv{source.version}"><source address="{source}"/><destination address="{destination}"/>{what}<accept/></rule>'


def _elements(ports: Ports) -> Iterator[str]:
    if not ports:
        yield ""
    for port in ports:
        if isinstance(port, PortRange):
            listed = f"{port.first}" if port.first == port.last else f"{port.first}-{port.last}"
            yield f'<port port="{listed}" protocol="{port.protocol}"/>'
        else:
            yield '<icmp-type name="echo-request"/>'


def _comment(note: str) -> str:
    """Two hyphens in a row would end the comment."""
    return re.sub("-(?=-)", "- ", note)
