"""The firewall of a host as text, one module per backend; all of them render the same policy (wg_office.access.FirewallPolicy).

Each module's docstring says how a host loads, checks, lists and removes what it renders.
"""

from wg_office.access import FirewallPolicy
from wg_office.firewall import firewalld, flows, iptables, nftables
from wg_office.model import Firewall


def files(policy: FirewallPolicy, backend: Firewall) -> dict[str, str]:
    """What the host needs, by file name: absolute, or relative to the generation.

    Where iptables.rules and ip6tables.rules stand beside an nftables.nft, they are loaded if the commands are there (the hand-over in
    iptables.py); alone, they are the backend.
    """
    listed = {"flows": flows.render(policy)}
    if backend == "iptables":
        return listed | {"iptables.rules": iptables.render(policy, 4), "ip6tables.rules": iptables.render(policy, 6)}
    hand_over = iptables.render_hand_over(policy)
    listed |= {"nftables.nft": nftables.render(policy), "iptables.rules": hand_over, "ip6tables.rules": hand_over}
    return listed | (firewalld.files(policy) | {"firewalld.rules": firewalld.rules(policy)} if backend == "firewalld" else {})
