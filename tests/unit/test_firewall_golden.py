"""What each backend renders: exact files, so that a change of a rule is seen in review.

After an intended change: WG_OFFICE_UPDATE_GOLDEN=1 .venv/bin/pytest tests/unit/test_firewall_golden.py, and read the diff.
"""

import os
import re
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pytest
from test_access import OFFICE, office

from wg_office.access import FirewallPolicy, all_host_rules, host_rules
from wg_office.firewall import files, firewalld, iptables
from wg_office.model import Developer, Environment, Firewall

BACKENDS: tuple[Firewall, ...] = get_args(Firewall)


def texts(policy: FirewallPolicy, backend: Firewall) -> dict[str, str]:
    return {name.lstrip("/"): text for name, text in files(policy, backend).items()}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("host", ["z", "a", "c"])
def test_files_are_as_reviewed(host: str, backend: Firewall) -> None:
    directory = OFFICE.parent / backend / host
    rendered = texts(host_rules(office(), host), backend)
    if os.environ.get("WG_OFFICE_UPDATE_GOLDEN"):
        for name, text in rendered.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
    present = {str(path.relative_to(directory)): path.read_text(encoding="utf-8") for path in directory.rglob("*") if path.is_file()}
    assert rendered == present


def lines_of(env: Environment, host: str, backend: Firewall) -> set[str]:
    return {line for text in texts(host_rules(env, host), backend).values() for line in text.splitlines()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_new_grant_adds_lines_that_name_it_and_takes_none_away(backend: Firewall) -> None:
    env = office()
    idle = Developer.model_validate({"name": "idle", "address": "10.70.0.6", "access": [{"site": "beijing", "ports": ["80/tcp"]}]})
    granted = env.model_copy(update={"developers": (*env.developers[:2], idle)})
    before, after = lines_of(env, "c", backend), lines_of(granted, "c", backend)
    assert before <= after
    assert all("idle" in line or "10.70.0.6" in line for line in after - before)
    assert any("idle: site beijing" in line for line in after - before)
    assert lines_of(env, "a", backend) == lines_of(granted, "a", backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_grants_nothing_is_accepted_but_answers(backend: Firewall) -> None:
    env = office(developers=[], links=[], groups={}, gateways=[office().gateways[0].model_dump(by_alias=True)])
    for policy in all_host_rules(env).values():
        assert policy.from_tunnel == policy.to_tunnel == policy.to_host == ()
        accepting = [line for line in "\n".join(_judging(policy, backend)).splitlines() if re.search(r"accept\b(?!;)|ACCEPT", line)]
        assert len(accepting) == (2 if backend == "iptables" else 1), accepting
        assert all("established" in line.lower() for line in accepting)


def _judging(policy: FirewallPolicy, backend: Firewall) -> list[str]:
    """The texts that decide; the hand-over beside nftables decides nothing."""
    return [text for name, text in texts(policy, backend).items() if not (backend != "iptables" and name.endswith("tables.rules"))]


def test_many_developers_cost_one_look_up_in_nftables() -> None:
    some = [{"name": f"d{n}", "address": f"10.70.{1 + n // 200}.{n % 200 + 1}", "access": ["beijing"]} for n in range(1000)]
    text = texts(host_rules(office(developers=some, gateways=[_without_access()], links=[], groups={}), "c"), "nftables")["nftables.nft"]
    chain = text.split("chain from-tunnel {")[1].split("\n\t}\n")[0]
    assert chain.count("ip saddr vmap") == 1
    assert chain.count("jump via-developer-") == 1000


def _without_access() -> dict[str, object]:
    return office().gateways[1].model_dump(by_alias=True) | {"access": []}


def test_iptables_splits_what_one_multiport_match_cannot_hold() -> None:
    ports = [f"{1000 + 10 * n}-{1005 + 10 * n}/tcp" for n in range(8)]
    env = office(developers=[{"name": "e", "address": "10.70.0.4", "access": [{"site": "beijing", "ports": ports}]}, _f()])
    matches = [line for line in iptables.render(host_rules(env, "c"), 4).splitlines() if "-s 10.70.0.4/32" in line]
    assert [line.count(":") - line.count("e: ") for line in matches] == [7, 1]


def _f() -> dict[str, object]:
    return {"name": "f", "address": "10.70.0.5"}


def test_firewalld_files_are_well_formed_even_for_names_with_two_hyphens() -> None:
    env = office(developers=[{"name": "e--x---y", "address": "10.70.0.4", "access": ["beijing"]}, _f()])
    for text in firewalld.files(host_rules(env, "c")).values():
        ElementTree.fromstring(text)


def test_firewalld_never_has_a_rule_twice() -> None:
    access = [{"site": "beijing", "ports": ["22/tcp", "80/tcp"]}, {"site": "beijing", "ports": ["22/tcp"]}]
    policy = host_rules(office(developers=[{"name": "e", "address": "10.70.0.4", "access": access}, _f()]), "c")
    listed = firewalld.rules(policy).splitlines()
    assert len(listed) == len(set(listed))
    written = Path("/etc/firewalld/policies/wg-office-in.xml")
    rules = re.findall("<rule .*</rule>", firewalld.files(policy)[str(written)])
    assert len(rules) == len(set(rules)) == sum(line.startswith("wg-office-in ") for line in listed)
