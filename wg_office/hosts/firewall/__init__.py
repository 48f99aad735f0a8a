"""The firewall of a host as text: one judge (nftables.py), and a hand-over in the words of whoever else filters there.

Each module's docstring says how a host loads, checks, lists and removes what it renders.
"""

from wg_office.environment.model import Firewall
from wg_office.hosts.firewall import firewalld, flows, handover, nftables
from wg_office.network.access import FirewallPolicy


def files(policy: FirewallPolicy, firewall: Firewall) -> dict[str, str]:
    """What the host needs, by file name: absolute, or relative to the generation. `firewall` says who else filters."""
    judge = {"nftables.nft": nftables.render(policy), "flows": flows.render(policy), "hand-over.rules": handover.render(policy)}
    return judge | (firewalld.files(policy) if firewall == "firewalld" else {})
