"""The hand-over to iptables, and so to Docker and ufw: they are not asked about what the judge's table has stamped.

    load      NAME-restore --wait --noflush FILE, and jumps to its chains, first in FORWARD and INPUT (hostside/after-load)

One text for both families. It names no grant, and is the same for every host. A packet that our table refuses is dropped there, whatever is
accepted here; one that our table has not seen, because somebody has flushed it, is not accepted here either. Without the hand-over a
`FORWARD DROP` would take back what is granted.
"""

from wg_office.network.access import FirewallPolicy

FORWARD, INPUT = "WG-OFFICE-FORWARD", "WG-OFFICE-INPUT"


def render(policy: FirewallPolicy) -> str:
    """The text for iptables-restore and ip6tables-restore."""
    wg, stamped = policy.interface, f"-m mark --mark {policy.mark:#x}/{policy.mark:#x} -j ACCEPT"
    return f"""*filter
:{FORWARD} - [0:0]
:{INPUT} - [0:0]
-A {FORWARD} -i {wg} {stamped}
-A {FORWARD} -o {wg} {stamped}
-A {INPUT} -i {wg} {stamped}
COMMIT
"""
