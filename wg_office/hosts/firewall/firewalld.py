"""The hand-over to firewalld (0.9 or newer): a zone for the tunnel, and three policies that accept whatever comes from it or goes to it.

    load      the XML files in place, then `firewall-cmd --reload`
    check     firewall-offline-cmd --system-config DIRECTORY --check-config, over a copy of /etc/firewalld with the files in it
    remove    take the files away, `firewall-cmd --reload`

It names no grant and is the same for every host: nftables.py judges. firewalld cannot match a mark, so it cannot ask whether a packet was
judged; but without our table nothing of the tunnel is forwarded (the routing rule), and every start or reload of firewalld loads the table.

Until a generation is committed, firewalld reads a copy of /etc/firewalld in /run, mounted in its place, which a reboot forgets. Links that
lead nowhere would not do: with one of them firewalld 1.3 starts without any of its settings ("Falling back to full stock configuration").
"""

from xml.sax.saxutils import quoteattr

from wg_office.network.access import FirewallPolicy

DIRECTORY = "/etc/firewalld"
ZONE = "wg-office"

_HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
# Before the host's own policies.
_POLICIES = (
    ("wg-office-in", -30002, ZONE, "ANY", "from the tunnel to elsewhere"),
    ("wg-office-out", -30001, "ANY", ZONE, "from elsewhere into the tunnel"),
    ("wg-office-host", -30002, ZONE, "HOST", "from the tunnel to this host"),
)


def files(policy: FirewallPolicy) -> dict[str, str]:
    """The files under /etc/firewalld by path."""
    return {f"{DIRECTORY}/zones/{ZONE}.xml": _zone(policy)} | {f"{DIRECTORY}/policies/{each[0]}.xml": _policy(*each) for each in _POLICIES}


def _zone(policy: FirewallPolicy) -> str:
    return f'{_HEAD}<zone target="ACCEPT">\n  <short>{ZONE}</short>\n  <interface name={quoteattr(policy.interface)}/>\n</zone>\n'


def _policy(name: str, priority: int, ingress: str, egress: str, short: str) -> str:
    return f"""{_HEAD}<policy target="ACCEPT" priority="{priority}">
  <short>{short}: the table inet wg_office judges ({name})</short>
  <ingress-zone name="{ingress}"/>
  <egress-zone name="{egress}"/>
</policy>
"""
