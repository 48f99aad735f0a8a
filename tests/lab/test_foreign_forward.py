"""A forward chain of somebody else's that drops what nobody accepts: named at the first apply and by status. On a host of namespaces."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import Office, Sandbox, planned

from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
CLOUD = load(ROOT / "configs" / "example-several-lans.yaml", require_host_keys=False)
LINE = "table {} drops what nobody accepts: add 'iifname \"wg0\" accept' and 'oifname \"wg0\" accept' to its chain through"
BASE = "chain through {{ type filter hook forward priority filter; policy {}; {} }}"
BOTH = 'iifname "wg0" accept; oifname "wg0" accept;'


def table(policy: str, rules: str, *more: str, name: str = "inet mine") -> str:
    """The table as nft(8) takes it: chains and sets that a base chain jumps to or asks stand before it."""
    return f"table {name} {{ {'; '.join([*more, BASE.format(policy, rules)])}; }}"


STOPS = {
    "policy drop": table("drop", "ct state established accept;"),
    "a drop at the end": table("accept", 'iifname "lan0" accept; counter drop;'),
    "a drop with its reason logged": table("accept", 'log prefix "accept no more: " level info counter reject;'),
    "a drop in a chain that is jumped to": table("accept", "jump rest;", "chain rest { iifname lan0 accept; drop; }"),
    "a drop two jumps away": table("accept", "counter jump a;", "chain b { counter drop; }; chain a { jump b; }"),
    "a goto that ends in the policy": table("drop", f"goto a; {BOTH}", "chain a { tcp dport 22 accept; }"),
    "an accept behind the drop": table("accept", f"drop; {BOTH}"),
    "an accept in a chain that nobody jumps to": table("drop", "ct state established accept;", f"chain unused {{ {BOTH} }}"),
    "an accept in a chain that is for others": table("drop", 'iifname "lan0" jump a;', f"chain a {{ {BOTH} }}"),
    "an accept of what was accepted before": table("drop", 'iifname "wg0" ct state established,related accept; oifname "wg0" accept;'),
    "an accept for other interfaces": table("drop", 'iifname { "lan0", "wg1" } accept; oifname "wg*" accept;'),
    "an accept for all but the tunnel": table("drop", 'iifname != "wg0" accept; oifname "wg0" accept;'),
    "a drop for all but others": table("accept", 'iifname != { "lan0", "lan1" } drop;'),
    "a comment that says accept": table("drop", 'tcp dport 25 drop comment "iifname wg0 accept, oifname wg0 accept";'),
    "a map that drops": table("accept", "iifname vmap { lan0 : accept, wg0 : drop };"),
    "one way alone": table("drop", 'iifname "wg0" accept;'),
    "IPv4 alone": table("drop", "", name="ip mine"),
    "iptables' table by another hand": table("drop", "", name="ip filter"),
}

LETS_PASS = {
    "accepts in the chain itself": table("drop", BOTH),
    "accepts in a chain that is jumped to": table("drop", "ct state established accept; jump mine;", f"chain mine {{ {BOTH} }}"),
    "accepts two jumps away": table("drop", "jump a;", f"chain b {{ {BOTH} }}; chain a {{ counter jump b; drop; }}"),
    "accepts of a goto": table("drop", "goto a;", f"chain a {{ {BOTH} drop; }}"),
    "jumps that name the tunnel": table(
        "drop", 'iifname "wg0" jump a; oifname "wg0" jump a;', "chain a { meta l4proto { tcp, udp, icmp } accept; }"
    ),
    "a map of interfaces": table("drop", "ct state established accept; iifname vmap { lan0 : drop, wg0 : jump a };", "chain a { accept; }"),
    "a map of states": table("drop", "ct state vmap { established : accept, related : accept, invalid : drop }; iifname wg0 accept;"),
    "a set of interfaces": table(
        "drop", "iifname @inner accept; oifname @inner accept;", "set inner { type ifname; elements = { wg0, lan0 } }"
    ),
    "a long set": table(
        "drop",
        "iifname @inner accept; ct state established accept;",
        f"set inner {{ type ifname; elements = {{ {', '.join(f'lan{n}' for n in range(20))}, wg0 }} }}",
    ),
    "a pair of interfaces": table("drop", 'iifname . oifname { "wg0" . "lan0", "lan0" . "wg0" } accept;'),
    "a map of pairs": table("drop", "iifname . oifname vmap { wg0 . lan0 : accept, lan0 . wg0 : jump a };", "chain a { accept; }"),
    "all interfaces whose names begin so": table("drop", 'iifname "wg*" accept; oifname "wg*" accept;'),
    "everything but what comes from outside": table("drop", 'iifname != "wan0" accept;  oifname != "wan0" accept;'),
    "answers, where nobody behind this host calls": table(
        "drop", 'ct state { established, related } accept; iifname "wg0" oifname "lan0" accept;'
    ),
    "everything in the end": table("drop", "tcp dport 25 drop; ct state new,established counter accept;"),
    "a drop of some": table("accept", "tcp dport 25 drop; ct state invalid drop; iifname lan0 drop; limit rate 1/second drop;"),
    "a return before the drop": table("accept", "jump a;", 'chain a { iifname "wg0" return; oifname "wg0" return; drop; }'),
    "a drop that only others jump to": table("accept", 'iifname "lan0" oifname "lan1" jump a;', "chain a { drop; }"),
    "IPv6 alone, where the tunnel has none": table("drop", "", name="ip6 mine"),
    "a bridge": table("drop", "", name="bridge mine"),
    "firewalld's, which is asked elsewhere": table("drop", "", name="inet firewalld"),
}


RULESETS = STOPS | LETS_PASS


def of_its_own(case: str) -> tuple[str, str]:
    """A case's table under a name that no other has, and that name."""
    kind, name = RULESETS[case].split()[1:3]
    own = name.replace("mine", f"mine{list(RULESETS).index(case)}")
    return RULESETS[case].replace(f"table {kind} {name}", f"table {kind} {own}", 1), f"{kind} {own}"


@pytest.fixture(scope="module")
def host() -> Iterator[Office]:
    """Whose rules are all of them at once."""
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        office.install()
        for case in RULESETS:
            sandbox.shell(f"nft '{of_its_own(case)[0]}'")
        yield office


@pytest.fixture(scope="module")
def drift(host: Office) -> list[str]:
    return host.drift()


@pytest.mark.parametrize("case", STOPS)
def test_one_that_stops_the_tunnels_packets_is_named_with_the_rules_to_add(drift: list[str], case: str) -> None:
    assert drift.count(LINE.format(of_its_own(case)[1])) == 1


@pytest.mark.parametrize("case", LETS_PASS)
def test_one_that_lets_them_pass_is_not_named(drift: list[str], case: str) -> None:
    assert [line for line in drift if of_its_own(case)[1] in line] == []


def test_nothing_else_is_named(drift: list[str]) -> None:
    assert len(drift) == len(STOPS)


def test_the_rules_to_add_are_what_it_takes(host: Office, drift: list[str]) -> None:
    name = of_its_own("policy drop")[1]
    (line,) = (line for line in drift if f"{name} " in line)
    for rule in re.findall("'([^']*)'", line):
        host.sandbox.shell(f"nft 'add rule {name} through {rule}'")
    assert host.drift() == [each for each in drift if each != line]


@pytest.mark.parametrize(
    ("ruleset", "lines"), [(STOPS["policy drop"], 1), (LETS_PASS["accepts in a chain that is jumped to"], 0)], ids=["stops", "lets pass"]
)
def test_the_first_apply_says_as_much(ruleset: str, lines: int) -> None:
    with Sandbox("203.0.113.10/24") as sandbox:
        host = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        host.put_keys()
        sandbox.shell(f"nft '{ruleset}'")
        first = host.apply(host.description())
        assert first.returncode == APPLIED_UNCONFIRMED, first.stderr
        assert [line for line in first.stderr.splitlines() if "note" in line] == [f"wg-office: note: {LINE.format('inet mine')}"] * lines


def test_a_hub_with_networks_of_its_own_and_ipv6_in_the_tunnel_needs_more() -> None:
    with Sandbox("10.10.0.19/24") as sandbox:
        host = Office(sandbox, CLOUD, planned(CLOUD, "hub"))
        host.install()
        sandbox.shell(f"nft '{LETS_PASS['answers, where nobody behind this host calls']}'")
        sandbox.shell(f"nft '{LETS_PASS['IPv6 alone, where the tunnel has none']}'")
        assert host.drift() == [LINE.format("inet mine"), LINE.format("ip6 mine")], "somebody behind it calls"
