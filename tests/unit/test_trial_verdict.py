"""What a try comes to, and what is said before any machine is started."""

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.trial.attempts import Attempt, Connection, plan
from lab.trial.case import Case, case_of
from lab.trial.ground import ground
from lab.trial.verdict import ARRIVES, Verdict
from wg_office.network.access import reach_of
from wg_office.reading.load import load

CLONE = Path(__file__).parents[2]
DEV = CLONE / "configs" / "dev.yaml"
OF_DEV = case_of(DEV)


def verdict(but: Callable[[Connection], str | None] = lambda _: None, case: Case = OF_DEV) -> Verdict:
    """Where packets do as they should but for some."""
    return case.verdict({each: but(each) or (ARRIVES if each.allowed else "silence") for each in case.connections})


def beside(each: Connection) -> int | None:
    """The number of the permission."""
    return each.permission if isinstance(each, Attempt) else None


def test_where_packets_do_as_the_table_says_it_holds() -> None:
    told = verdict()
    assert (told.holds, list(told.sentences())) == (True, [])
    assert told.summary() == "60 of 60 attempts, 5 of 5 permissions: all as the file says"


def test_a_permission_that_is_not_there_is_named_with_its_line() -> None:
    told = verdict(lambda each: "silence" if beside(each) == 3 and each.on == "443/tcp" and each.allowed else None)
    assert not told.holds
    assert list(told.sentences()) == [
        "developer f (10.70.0.5) does not reach site beijing (192.168.200.244) on 443/tcp, which line 40, developers[1].access[0] "
        "grants: silence"
    ]


def test_what_is_open_beside_a_permission_is_named_with_the_edge() -> None:
    told = verdict(lambda each: ARRIVES if str(each.target.address) == "192.168.200.248" and each.on == "22/tcp" else None)
    what = "reaches host c (192.168.200.248) on 22/tcp, which no line grants (the gateway itself, beside line"
    assert list(told.sentences()) == [
        f"developer e (10.70.0.4) {what} 35, developers[0].access[1])",
        f"developer f (10.70.0.5) {what} 40, developers[1].access[0])",
    ]


def test_the_table_has_a_row_for_each_permission_with_what_arrives_and_what_is_refused() -> None:
    rows = list(verdict(lambda each: "refused" if beside(each) == 0 and each.protocol == "udp" else None).rows())
    assert rows[0] == ("developer e", "site shenzhen (192.168.201.0/24)", "everything", "2 of 3", "8 of 8")
    assert [row[0] for row in rows] == ["developer e"] * 3 + ["developer f"] * 2


def test_for_programs_there_is_each_attempt() -> None:
    told = json.loads(verdict().as_json())
    assert (told["holds"], told["possible"], len(told["attempts"])) == (True, 60, 60)
    assert told["attempts"][0] == {
        "from": "10.70.0.4",
        "who": "developer e",
        "to": "192.168.201.2",
        "where": "site shenzhen",
        "on": "22/tcp",
        "why": "granted",
        "beside": "developers[0].access[0]",
        "allowed": True,
        "outcome": "arrives",
    }


def test_the_exit_status_says_whether_it_holds() -> None:
    assert (verdict().status, verdict(lambda each: "silence").status) == (0, 3)


def test_what_the_documents_show_of_a_try_is_what_a_green_one_prints() -> None:
    shown = (CLONE / "docs" / "review.md").read_text(encoding="utf-8")
    assert textwrap.indent(verdict().as_text(), "    ", lambda line: bool(line.strip())) in shown


def test_nothing_that_was_tried_is_no_success() -> None:
    env = load(DEV, require_host_keys=False).model_copy(update={"developers": ()})
    assert not Verdict(plan(ground(env, reach_of(env)), ()), (), (), {}, (), None).holds


# --- statements --------------------------------------------------------------------------------------------------------------------------

EXPECT = """
expect:
  - {who: e, reaches: {site: beijing, ports: [22/tcp, icmp]}}
  - {who: f, never_reaches: {site: beijing, hosts: [192.168.200.10]}}
  - {who: {site: beijing}, never_reaches: {developer: e}}
  - {who: {group: guests}, never_reaches: shenzhen}
groups:
  guests: {access: [beijing]}
"""


@pytest.fixture(scope="module")
def with_statements(tmp_path_factory: pytest.TempPathFactory) -> Case:
    file = tmp_path_factory.mktemp("office") / "office.yaml"
    file.write_text(DEV.read_text(encoding="utf-8") + EXPECT, encoding="utf-8")
    return case_of(file)


def test_of_a_statement_the_ends_of_what_it_is_about_are_tried(with_statements: Case) -> None:
    made = [
        {(each.sender.name, str(each.target.address), each.on, each.allowed) for each in one.connections} for one in with_statements.stated
    ]
    assert made[0] >= {("e", "192.168.200.244", "22/tcp", True), ("e", "192.168.200.2", "icmp", True)}
    assert made[1] == {("f", "192.168.200.10", on, False) for on in ("22/tcp", "53/udp", "icmp")}
    assert made[2] == {("beijing", "10.70.0.4", on, False) for on in ("22/tcp", "53/udp", "icmp")}
    assert not made[3], "nobody has the group"


def test_a_statement_that_packets_bear_out_has_its_row(with_statements: Case) -> None:
    told = verdict(case=with_statements)
    assert told.holds
    assert told.summary().endswith(" 5 of 5 permissions, 3 of 4 statements: all as the file says")
    assert list(told.rows())[-2:] == [
        ("expect[1]", "developer f never reaches site beijing (192.168.200.10)", "", "", "3 of 3"),
        ("expect[2]", "site beijing never reaches developer e", "", "", "3 of 3"),
    ]


def test_a_statement_that_packets_contradict_is_named_with_its_line(with_statements: Case) -> None:
    first, second, *_ = (one.connections for one in with_statements.stated)
    told = verdict(lambda each: "silence" if each == first[0] else ARRIVES if each == second[0] else None, with_statements)
    assert not told.holds
    assert told.summary().endswith(": 2 statements do not hold")
    assert [said.partition(" on ")[2] for said in told.sentences()] == [
        "icmp, which line 44, expect[0] says: silence",
        "icmp, which it never does by line 45, expect[1]",
    ]


def test_for_programs_there_is_each_statement(with_statements: Case) -> None:
    told = json.loads(
        verdict(lambda each: ARRIVES if each == with_statements.stated[2].connections[0] else None, with_statements).as_json()
    )
    assert told["untried"] == ["expect[3]"]
    assert [(each["at"], each["holds"]) for each in told["statements"]] == [
        ("expect[0]", True),
        ("expect[1]", True),
        ("expect[2]", False),
        ("expect[3]", None),
    ]
    assert told["statements"][2]["says"] == "site beijing never reaches developer e"


# --- before any machine is started -------------------------------------------------------------------------------------------------------


def test_a_way_through_the_hub_is_replaced_with_what_it_opens(tmp_path: Path) -> None:
    file = tmp_path / "office.yaml"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJSo0YwaARrdMHOixv+SqeMTv1LEwZOBD96gpP8bvbYt"
    through = f"ssh: {{host: 10.70.0.3, via: hub, host_key: {key}}}"
    file.write_text(DEV.read_text(encoding="utf-8").replace("ssh: {host: 127.0.0.1, port: 22012}", through), encoding="utf-8")
    assert [item.because[0] for item in case_of(file).granted] == ["developers"] * 5


@pytest.mark.parametrize(
    ("written", "instead", "reason"),
    [
        ("203.0.113.10:51820", "'[2001:db8::10]:51820'\n  listen_port: 4500", "behind a router that forwards 51820, by IPv6"),
        ("  endpoint: 203.0.113.10:51820", "  firewall: ufw\n  endpoint: 203.0.113.10:51820", "z has firewall: ufw"),
        ("  endpoint: 203.0.113.10:51820", "  adopt_key: true\n  endpoint: 203.0.113.10:51820", "its key is in your stack"),
        ("192.168.201.", "10.0.2.", "10.0.2.0/24 is in use"),
    ],
)
def test_what_the_labs_machines_cannot_be_is_said_before_any_is_started(written: str, instead: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "office.yaml"
    file.write_text(DEV.read_text(encoding="utf-8").replace(written, instead), encoding="utf-8")
    with pytest.raises(LabError, match=re.escape(f"{file} cannot be tried: ") + f".*{re.escape(reason)}"):
        case_of(file)
