"""What a host's firewall is given: exact files, so that a change of a rule is seen in review.

After an intended change: WG_OFFICE_UPDATE_GOLDEN=1 .venv/bin/pytest tests/unit/test_firewall_golden.py, and read the diff.
"""

import os
import re
from typing import get_args
from xml.etree import ElementTree

import pytest
from test_access import OFFICE, office

from wg_office.environment.model import Developer, Environment, Firewall
from wg_office.hosts.firewall import files, firewalld
from wg_office.network.access import FirewallPolicy, reach_of

WORDS: tuple[Firewall, ...] = get_args(Firewall)


def host_rules(env: Environment, host: str) -> FirewallPolicy:
    return reach_of(env).policies[host]


def texts(policy: FirewallPolicy, backend: Firewall) -> dict[str, str]:
    return {name.lstrip("/"): text for name, text in files(policy, backend).items()}


def test_further_ports_lead_to_the_hub_and_what_it_forwards_is_left_alone() -> None:
    env = office()
    hub = env.hub.model_copy(update={"also_on": (443,)})
    rules = texts(host_rules(env.model_copy(update={"hub": hub}), "z"), "nftables")["nftables.nft"]
    assert 'iifname != { "lo", "wg0" } fib daddr type local udp dport 443 redirect to :51820\n' in rules


@pytest.mark.parametrize("firewall", ["nftables", "firewalld"])
@pytest.mark.parametrize("host", ["z", "a", "c"])
def test_files_are_as_reviewed(host: str, firewall: Firewall) -> None:
    directory = OFFICE.parent / firewall / host
    rendered = texts(host_rules(office(), host), firewall)
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        for name, text in rendered.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
    present = {str(path.relative_to(directory)): path.read_text(encoding="utf-8") for path in directory.rglob("*") if path.is_file()}
    assert rendered == present


def test_the_judge_is_the_same_whoever_else_filters() -> None:
    policy = host_rules(office(), "c")
    judges = [{name: text for name, text in texts(policy, firewall).items() if "firewalld" not in name} for firewall in WORDS]
    assert all(judge == judges[0] for judge in judges)


@pytest.mark.parametrize("firewall", WORDS)
def test_a_hand_over_is_the_same_for_every_host_and_names_no_grant(firewall: Firewall) -> None:
    handed_over = [
        {name: text for name, text in texts(policy, firewall).items() if name not in ("nftables.nft", "flows")}
        for policy in reach_of(office()).policies.values()
    ]
    assert all(each == handed_over[0] for each in handed_over)
    assert not re.search(r"\d+\.\d+\.\d+\.\d+", "".join(handed_over[0].values()))


def judge_of(env: Environment, host: str) -> set[str]:
    return set(texts(host_rules(env, host), "nftables")["nftables.nft"].splitlines())


def test_new_grant_adds_lines_that_name_it_and_takes_none_away() -> None:
    env = office()
    idle = Developer.model_validate({"name": "idle", "address": "10.70.0.6", "access": [{"site": "beijing", "ports": ["80/tcp"]}]})
    granted = env.model_copy(update={"developers": (*env.developers[:2], idle)})
    before, after = judge_of(env, "c"), judge_of(granted, "c")
    assert before <= after
    assert all("idle" in line or "10.70.0.6" in line for line in after - before)
    assert any("idle: site beijing" in line for line in after - before)
    assert judge_of(env, "a") == judge_of(granted, "a")


def test_without_grants_nothing_is_accepted_but_answers_and_errors() -> None:
    env = office(developers=[], links=[], groups={}, gateways=[office().gateways[0].model_dump(by_alias=True, exclude_unset=True)])
    for policy in reach_of(env).policies.values():
        assert policy.from_tunnel == policy.to_tunnel == policy.to_host == ()
        whole = texts(policy, "nftables")["nftables.nft"]
        accepting = [
            line.strip() for line in re.sub(r"saddr \{\n[^}]*\}", "saddr {}", whole).splitlines() if re.search(r"accept\b(?!;)", line)
        ]
        errors = "meta l4proto { icmp, ipv6-icmp } ct state related "
        assert all(line.startswith((errors, "ct state established ")) for line in accepting), accepting


def test_many_developers_cost_one_look_up_in_nftables() -> None:
    some = [{"name": f"d{n}", "address": f"10.70.{1 + n // 200}.{n % 200 + 1}", "access": ["beijing"]} for n in range(1000)]
    text = texts(host_rules(office(developers=some, gateways=[_without_access()], links=[], groups={}), "c"), "nftables")["nftables.nft"]
    chain = text.split("chain from-tunnel {")[1].split("\n\t}\n")[0]
    assert chain.count("ip saddr vmap") == 1
    assert chain.count("jump via-developer-") == 1000


def _without_access() -> dict[str, object]:
    return office().gateways[1].model_dump(by_alias=True, exclude_unset=True) | {"access": []}


def test_firewalld_files_are_well_formed() -> None:
    for text in firewalld.files(host_rules(office(), "c")).values():
        ElementTree.fromstring(text)
