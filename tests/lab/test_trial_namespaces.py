"""Who reaches what by the access table, tried with packets on the ground of a try: the rules of every host, without a virtual machine."""

from pathlib import Path

import pytest
from ground_net import GroundNet
from random_offices import features

from lab.trial.case import Options, case_of

CLONE = Path(__file__).resolve().parents[2]
CONFIGS = CLONE / "configs"
OFFICE = CLONE / "tests" / "golden" / "firewall" / "office" / "environment.yaml"
ALIKE = Path(__file__).with_name("offices") / "alike-and-ended.yaml"
"""Three sites with one LAN, of which one has no alias, and grants that are over."""
FILES = [ALIKE, *sorted(CONFIGS.glob("*.yaml")), OFFICE]
EXPECT = """
expect:
  - {who: f, reaches: {site: beijing, hosts: [192.168.200.244], ports: [22/tcp]}}
  - {who: f, never_reaches: {site: beijing, hosts: [192.168.200.10]}}
  - {who: {host: z}, never_reaches: shenzhen}
"""


def test_all_features_occur_in_these_files() -> None:
    found = [features(case_of(file)) for file in FILES]
    assert {name for each in found for name, occurs in each.items() if occurs} == found[0].keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_packets_say_what_the_access_table_says(file: Path) -> None:
    with GroundNet(case_of(file)) as net:
        told = net.verdict()
    assert list(told.sentences()) == []
    assert told.holds


def test_a_rule_that_is_taken_away_or_put_in_by_hand_is_named(tmp_path: Path) -> None:
    file = tmp_path / "office.yaml"
    file.write_text((CONFIGS / "dev.yaml").read_text(encoding="utf-8") + EXPECT, encoding="utf-8")
    with GroundNet(case_of(file, Options(attempts=30))) as net:
        whole = net.verdict()
        net.run("g2", ["nft", "flush", "chain", "inet", "wg_office", "via-developer-f"])
        missing = net.verdict()
        for node in ("hub", "g2"):
            net.run(node, ["nft", "insert", "rule", "inet", "wg_office", "forward", "accept"])
        opened = net.verdict()
    assert (whole.holds, [bool(each.connections) for each in whole.stated]) == (True, [True] * 3)
    assert {(each.permission, each.allowed) for each in missing.differences} == {(3, True)}
    assert [each.path for each in missing.broken] == [("expect", 0)]
    assert {each.why for each in opened.differences} >= {"next port", "next host"}
    assert ("expect", 1) in [each.path for each in opened.broken]
