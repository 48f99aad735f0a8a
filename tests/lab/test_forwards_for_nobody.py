"""A host that is made a gateway forwards between none of its own links, if it did not before us. The real script, and packets.

w 198.51.100.9 -- wan0 [host] lan0 -- d 192.168.200.244
                              eth2 -- o 192.168.210.9
                              docker0 -- k 172.17.0.9, which comes later          network namespaces of this machine, as root
"""

import subprocess
from collections.abc import Iterable, Iterator
from itertools import permutations

import pytest
from bootunit import FORWARDING, boot, forwards
from netns import Net
from packets import arriving, listening, redirects, send
from sandbox import Office, Sandbox, planned
from test_withdrawn import ENVIRONMENT

from wg_office.environment.model import Network

LINKS = {
    "w": ("wan0", "198.51.100.1", "198.51.100.9", "fd75::1", "fd75::9"),
    "d": ("lan0", "192.168.200.248", "192.168.200.244", "fd71::1", "fd71::2"),
    "o": ("eth2", "192.168.210.2", "192.168.210.9", "fd73::1", "fd73::9"),
    "k": ("docker0", "172.17.0.1", "172.17.0.9", "fd74::1", "fd74::9"),
}
OWN = "wdo"
PLUG = """
host=$1-host node=$1-$2
ip netns add $node
ip netns exec $node sysctl -qw net.ipv6.conf.default.accept_dad=0
ip link add $3 netns $host type veth peer name eth0 netns $node
ip -n $host -batch - <<END
link set $3 up
address add $4/24 dev $3
address add $6/64 dev $3 nodad
END
ip -n $node -batch - <<END
link set lo up
link set eth0 up
address add $5/24 dev eth0
address add $7/64 dev eth0 nodad
route add default via $4
route add ::/0 via $6
END
"""


class Neighbours(Net):
    """A neighbour on each link of a host."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__("", "")
        self.names, self.sandbox = ["host", *LINKS], sandbox

    def _build(self) -> None:
        pid = self.sandbox.enter.split()[2]
        subprocess.run(["ip", "netns", "attach", f"{self.prefix}-host", pid], check=True)
        self.sandbox.shell("ip link del lan0; sysctl -qw net.ipv6.conf.default.accept_dad=0")
        for name in OWN:
            self.plug(name)
        self.sandbox.shell("sysctl -qw net.ipv4.conf.lan0.send_redirects=1")

    def plug(self, name: str) -> None:
        """The link to this neighbour."""
        subprocess.run(["sh", "-ec", PLUG, "sh", self.prefix, name, *LINKS[name]], check=True)

    def reached(self, pairs: Iterable[tuple[str, ...]]) -> set[tuple[str, str, int]]:
        """Who reaches whom, in which family."""
        asked = {(LINKS[one][at], LINKS[other][at]): (one, other, 4 if at == 2 else 6) for one, other in pairs for at in (2, 4)}
        act = [(one, *addresses) for addresses, (one, _, _) in asked.items()]
        return {asked[found] for found in arriving(self, [(name, "eth0") for name in {other for _, other, _ in asked.values()}], act)}

    def forward(self, families: Iterable[int]) -> None:
        """What an administrator says."""
        for family, key in FORWARDING.items():
            self.sandbox.shell(f"sysctl -qw {key}={int(family in families)}")


@pytest.fixture
def host() -> Iterator[tuple[Neighbours, Office]]:
    network = Network.model_validate(ENVIRONMENT.network.model_dump(mode="json") | {"cidr6": "fd70::/64"})
    environment = ENVIRONMENT.model_copy(update={"network": network})
    with Sandbox("192.168.200.248/24") as sandbox, Neighbours(sandbox) as net:
        yield net, Office(sandbox, environment, planned(environment, "gateway", "c"))


def everybody(names: str, families: Iterable[int] = FORWARDING) -> set[tuple[str, str, int]]:
    return {(one, other, family) for one, other in permutations(names, 2) for family in families}


def check_own_traffic(net: Neighbours) -> None:
    """The host's own, with each neighbour."""
    places = [("host", LINKS[name][0]) for name in OWN] + [(name, "eth0") for name in OWN]
    act = [("host", LINKS[name][at], LINKS[name][at + 1]) for name in OWN for at in (1, 3)]
    act += [(name, LINKS[name][at + 1], LINKS[name][at]) for name in OWN for at in (1, 3)]
    assert arriving(net, places, act) == {(source, to) for _, source, to in act}


def sent_another_way(net: Neighbours) -> set[int]:
    """The families in which the host tells d of better ways, asked to forward back into d's own network."""
    asked = {4: ("192.168.200.77", LINKS["d"][1], LINKS["d"][2]), 6: ("fd71::77", LINKS["d"][3], LINKS["d"][4])}
    for to, via, _ in asked.values():
        net.ip("d", f"route replace {to} via {via}")
    with listening(net, ("d", "eth0")) as packets:
        for to, _, source in asked.values():
            send(net, "d", source, to)
    return {6 if ":" in to else 4 for _, to in redirects(packets)}


@pytest.mark.parametrize("before", [(), (4,)], ids=["not at all", "IPv4 alone"])
def test_a_host_forwards_between_its_links_and_redirects_in_the_families_alone_in_which_it_did_before(
    host: tuple[Neighbours, Office], before: tuple[int, ...]
) -> None:
    net, office = host
    net.forward(before)
    office.install()
    assert {net.sandbox.shell(f"sysctl -n {key}") for key in FORWARDING.values()} == {"1\n"}
    assert net.reached(permutations(OWN, 2)) == everybody(OWN, before)
    assert sent_another_way(net) <= set(before)
    check_own_traffic(net)
    net.plug("k")
    with_container = {each for each in everybody(f"{OWN}k") if "k" in each}
    assert net.reached(each for each in permutations(f"{OWN}k", 2) if "k" in each) == with_container
    office.remove()
    assert [net.sandbox.shell(f"sysctl -n {key}") for key in FORWARDING.values()] == [f"{int(each in before)}\n" for each in FORWARDING]
    net.forward(FORWARDING)
    assert net.reached(permutations(OWN, 2)) == everybody(OWN), "nothing is left of ours that would stop it"


def test_a_host_that_starts_again_forwards_for_nobody_either(host: tuple[Neighbours, Office]) -> None:
    net, office = host
    net.forward(())
    office.install()
    assert boot(net.sandbox)
    assert net.reached(permutations(OWN, 2)) == set()


@pytest.mark.parametrize("before", [(), (4,), (4, 6)], ids=["not at all", "IPv4 alone", "a LAN's router"])
def test_a_host_whose_rules_cannot_be_loaded_at_boot_forwards_as_it_did_before_us(
    host: tuple[Neighbours, Office], before: tuple[int, ...]
) -> None:
    net, office = host
    net.sandbox.shell("".join(f"echo {FORWARDING[family]} = 1 >>/etc/sysctl.d/10-router.conf;" for family in before) or ":")
    net.forward(before)
    office.install()
    rules = "/etc/wg-office/current/files/nftables.nft"
    net.sandbox.shell(f"mv {rules} {rules}.away")
    assert not boot(net.sandbox)
    assert net.reached(permutations(OWN, 2)) == everybody(OWN, before)
    net.sandbox.shell(f"mv {rules}.away {rules}")
    assert boot(net.sandbox)
    assert forwards(net.sandbox) == {4, 6}
    assert net.reached(permutations(OWN, 2)) == everybody(OWN, before)
