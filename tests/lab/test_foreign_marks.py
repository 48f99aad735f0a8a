"""The stamp is one bit of the packet's mark: who else uses it is named by `status`, with the rule, and who uses other bits is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import Office, Sandbox, planned

from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
CHAIN = "nft add table inet k && nft add chain inet k c '{ type filter hook prerouting priority 0; }'"
RULE = "nft add rule inet k c"
NATIVE = "nft add table ip filter && nft add chain ip filter own '{ type filter hook forward priority 0; }' && nft add rule ip filter own"
IPTABLES = {
    "-j MARK --set-xmark 0x40000000/0xf0000000": True,
    "-j MARK --xor-mark 0x40000000": True,
    "-j MARK --or-mark 0x1": False,
    "-j MARK --and-mark 0xbfffffff": True,
    "-j MARK --set-xmark 0x40000/0xff0000": False,
    "-j MARK --set-xmark 0x200/0xf00": False,
    "-m mark ! --mark 0x4000/0x4000 -j RETURN": False,
    "-m mark --mark 0x1": True,
    "-m connmark --mark 0x40000000 -j ACCEPT": False,
    "-m connmark ! --mark 0x40000000/0x40000000 -j ACCEPT": False,
    "-m connmark --mark 0x40000000 -j MARK --set-xmark 0x1/0x1": False,
    "-m connmark --mark 0x1 -j MARK --set-mark 0x1": True,
    "-j CONNMARK --set-mark 0x40000000": False,
    "-j CONNMARK --save-mark": False,
    "-p udp -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff": True,
    "-j CONNMARK --restore-mark --mask 0xff": False,
    "-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0x40000000": True,
    "-p tcp -j TPROXY --on-port 80 --tproxy-mark 0x1/0x1": False,
    "-p tcp -j TPROXY --on-port 80 --tproxy-mark 0x40000000": True,
    "-p tcp -m socket --restore-skmark": True,
    "-m comment --comment 'not --mark 0x40000000, nor meta mark set 0x1'": False,
}
ROUTING = {
    "not fwmark 0xca6c table 51820": True,
    "fwmark 0x80000/0xff0000 table 52": False,
    "fwmark 0/0x40000000 table 53": True,
}
NFT = {
    "meta mark set 0x1": True,
    "meta mark set mark and 0xff00ffff xor 0x40000": False,
    "meta mark set mark or 0x40000000": True,
    "meta mark set mark and 0xbfffffff": True,
    "meta mark set ct mark": True,
    "meta mark set ct mark and 0xff": True,
    "meta mark set ip saddr map '{ 10.0.0.1 : 0x1 }'": True,
    "meta mark 0x40000": True,
    "meta mark and 0x40000 == 0x40000 accept": False,
    "meta mark and 0x40000000 != 0x40000000 accept": True,
    "meta mark and 0xf0000000 == 0x50000000 accept": True,
    "meta mark '{ 0x1, 0x2 }' accept": True,
    "ip saddr . meta mark '{ 10.0.0.1 . 0x1 }' accept": True,
    "ct mark 0x40000000 accept": False,
    "ct mark and 0x40000000 == 0x40000000 accept": False,
    "ct mark set 0x40000000": False,
    "ct mark set ct mark or 0x40000000": False,
    "ct mark set mark and 0xff or 0x40000000": False,
    "ct mark set mark meta mark set mark or 0x1": False,
    "ct mark and 0x40000000 == 0x40000000 meta mark set mark or 0x1": False,
    "ct mark 0x1 meta mark set 0x40000000": True,
    "log prefix '\"meta mark set 0x1\"'": False,
}
OTHERS = {
    "iptables": {f"iptables -t mangle -A PREROUTING {rule}": touches for rule, touches in IPTABLES.items()},
    "ip6tables": {f"ip6tables -t mangle -A PREROUTING {rule}": touches for rule, touches in IPTABLES.items()},
    "ip rule": {f"ip rule add {rule}": touches for rule, touches in ROUTING.items()},
    "ip -6 rule": {f"ip -6 rule add {rule}": touches for rule, touches in ROUTING.items()},
    "nft": {f"{CHAIN}; {RULE} {rule}": touches for rule, touches in NFT.items()},
    "a table that is called as one of iptables', and is not": {f"{NATIVE} meta mark set 0x1": True},
}
FORGET = """
    nft list tables | grep -v wg_office | while read -r table; do nft delete $table; done
    for family in -4 -6; do for table in 51820 52 53; do while ip $family rule del table $table 2>/dev/null; do :; done; done; done
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Office]:
    environment = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, environment, planned(environment, "hub"))
        office.install()
        yield office


def test_a_host_without_others_has_none(host: Office) -> None:
    assert host.drift() == []


@pytest.mark.parametrize("kind", OTHERS)
def test_whoever_touches_our_bit_is_named_and_nobody_else(host: Office, kind: str) -> None:
    for touches in (False, True):
        commands = [command for command, expected in OTHERS[kind].items() if expected == touches]
        host.sandbox.shell("\n".join(["set -e", *commands]))
        said = [line for line in host.drift() if line.startswith("packet mark")]
        assert len(said) == len(commands) * touches, said
        assert all(line.startswith("packet mark 0x40000000 is ours, and somebody else's rule touches it: ") for line in said)
        host.sandbox.shell(FORGET)
