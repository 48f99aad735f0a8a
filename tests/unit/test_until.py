"""What ends by itself: how an end is written and shown, and what of the file ends when. What hosts do is in tests/lab."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from netaddr import IPAddress
from pydantic import TypeAdapter, ValidationError
from test_handout import confs_of, developer_of
from test_own_keys import own
from test_preshared import OFFICE
from test_review_difference import developers, office
from typer.testing import CliRunner

from wg_office.commands.access_report import columns, csv_text, markdown, rows
from wg_office.commands.cli import app
from wg_office.environment.fields import Moment, Until
from wg_office.environment.model import Environment
from wg_office.hosts.firewall import flows, nftables
from wg_office.network.access import Permission, permissions, reach_of
from wg_office.people.handout_page import handout_page
from wg_office.reading.guards import broken_guards
from wg_office.review.difference import difference
from wg_office.review.ends import SOON_DAYS, endings

EXAMPLE = Path(__file__).parents[2] / "configs" / "example-until.yaml"
JANUARY = "2037-01-31 24:00 UTC"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2037-01-31", JANUARY),
        ("2037-01-31T18:00Z", "2037-01-31 18:00 UTC"),
        ("2037-01-31 18:00 UTC", "2037-01-31 18:00 UTC"),
        ("2037-02-01T02:30:15+08:00", "2037-01-31 18:30:15 UTC"),
        ("2037-02-01 08:00 +08:00", JANUARY),
        (JANUARY, JANUARY),
        ("2036-12-31", "2036-12-31 24:00 UTC"),
        ("2036-02-29", "2036-02-29 24:00 UTC"),
    ],
)
def test_an_end_is_shown_in_one_form_whatever_it_was_written_like(written: str, shown: str) -> None:
    assert str(Moment.parse(written)) == shown
    assert Moment.parse(shown) == Moment.parse(written), "what is shown can be written"


NO_MOMENTS = ["2037-01-31T18:00", "2037-13-01", "2037-01-31T25:00Z", "tomorrow", 20370131, True, "1969-12-31", "9999-12-31", ""]


@pytest.mark.parametrize("written", NO_MOMENTS)
def test_what_is_no_moment_is_refused_with_how_to_write_one(written: object) -> None:
    with pytest.raises(ValidationError, match=r"write.*\d\d[:-]\d\d") as raised:
        TypeAdapter(Until).validate_python(written)
    assert raised.value.error_count() == 1


def granted(env: Environment, name: str) -> list[Permission]:
    return [item for item in permissions(env) if item.source.name == name]


def test_the_first_of_all_ends_counts() -> None:
    groups = {"staff": {"access": [{"site": "beijing", "until": "2037-03-03"}, {"site": "shenzhen"}]}}
    access = [{"group": "staff", "until": "2037-02-02"}, {"developer": "e"}, "shenzhen"]
    env = office(groups=groups, developers=developers(e={"until": "2037-01-01"}, f={"access": access}))
    assert [str(item.until) for item in granted(env, "f")] == [
        "2037-02-02 24:00 UTC",
        "2037-02-02 24:00 UTC",
        "2037-01-01 24:00 UTC",
        "None",
    ]
    assert {str(item.until) for item in granted(env, "e")} == {"2037-01-01 24:00 UTC"}


def test_a_device_that_ends_sooner_has_its_own_rows_and_rules() -> None:
    devices = [{"name": "laptop", "address": "10.70.2.1"}, {"name": "loan", "address": "10.70.2.2", "until": "2037-01-31"}]
    env = office(developers=[{"name": "jo", "devices": devices, "access": ["beijing"]}], groups={})
    assert [(row.who, row.on) for row in rows(env)] == [
        ("developer jo [laptop]", "everything"),
        ("developer jo [loan]", f"everything, until {JANUARY}"),
    ]
    [first, second] = granted(env, "jo")
    assert not first.allows(IPAddress("10.70.2.2"), IPAddress("192.168.200.9"), "tcp", 22)
    assert second.allows(IPAddress("10.70.2.2"), IPAddress("192.168.200.9"), "tcp", 22)


def test_a_grant_to_oneself_still_opens_nothing_where_a_device_ends() -> None:
    devices = [{"name": "laptop", "address": "10.70.2.1"}, {"name": "loan", "address": "10.70.2.2", "until": "2037-01-31"}]
    env = office(developers=[{"name": "jo", "devices": devices, "access": [{"developer": "jo"}]}], groups={})
    assert [(str(item.source.networks[0].ip), str(item.destination.networks[0].ip)) for item in permissions(env)] == [
        ("10.70.2.1", "10.70.2.2"),
        ("10.70.2.2", "10.70.2.1"),
    ]


def test_every_form_of_the_table_says_until_when() -> None:
    env = office(developers=developers(f={"until": "2037-01-31"}))
    for text in (markdown(env), csv_text(env), columns(env, reach_of(env))):
        assert f"22/tcp, 443/tcp, until {JANUARY}" in text


def test_hosts_are_given_seconds_and_reviewers_the_date_beside_them() -> None:
    env = office(developers=developers(f={"until": "2037-01-31"}))
    policy = reach_of(env).policies["c"]
    epoch = int(datetime(2037, 2, 1, tzinfo=UTC).timestamp())
    assert f'tcp dport {{ 22, 443 }} meta time < {epoch} accept comment "f, until {JANUARY}: site beijing"' in nftables.render(policy)
    assert f"allow 10.70.0.5/32 192.168.200.244/32 tcp 22-22 until {epoch}\n" in flows.render(policy)


def test_who_has_no_end_is_judged_as_before() -> None:
    plain, ending = (
        nftables.render(reach_of(office(developers=developers(**changes))).policies["c"])
        for changes in ({}, {"f": {"until": "2037-01-31"}})
    )
    assert "meta time" not in plain
    assert "ct original ip saddr" not in plain
    of_e = [line for line in plain.splitlines() if '"e: ' in line]
    assert of_e
    assert all(line in ending.splitlines() for line in of_e)


# --- what people are told ---------------------------------------------------------------------------------------------------------------


def told(before: Environment, after: Environment) -> list[str]:
    return [f"{change.section}: {', '.join(change.who)} {change.word}: {change.text}" for change in difference(before, after).changes]


def ending_f(day: str | None) -> Environment:
    return office(developers=developers(f={} if day is None else {"until": day}))


OF_F = "site beijing (192.168.200.244) on 22/tcp, 443/tcp"


def test_a_difference_says_whose_access_ends_when_and_when_it_ended_before() -> None:
    none, january, march = (ending_f(day) for day in (None, "2037-01-31", "2037-03-31"))
    assert sorted(told(none, january)) == [
        f"access: e changes: developer f on everything, until {JANUARY} (before: for good)",
        f"access: f changes: {OF_F}, until {JANUARY} (before: for good)",
        f"people: f changes: until: nothing -> {JANUARY}",
    ]
    assert f"access: f changes: {OF_F}, until 2037-03-31 24:00 UTC (before: until {JANUARY})" in told(january, march)
    assert f"access: f changes: {OF_F}, for good (before: until {JANUARY})" in told(january, none)


def test_who_comes_for_a_while_is_introduced_so() -> None:
    comes = developers(more=[{"name": "ida", "address": "10.70.3.1", "until": "2037-01-31", "access": ["beijing"]}])
    assert told(office(), office(developers=comes)) == [
        f"people: ida comes: 10.70.3.1, until {JANUARY}",
        f"access: ida gains: site beijing (192.168.200.0/24) on everything, until {JANUARY}",
    ]


def test_what_two_lines_open_ends_with_the_last_of_them() -> None:
    def of_f(*ends: str) -> Environment:
        lines = [{"site": "beijing", "ports": ["22/tcp"], "until": end} for end in ends]
        return office(developers=developers(f={"access": lines}))

    assert told(of_f("2037-03-31"), of_f("2037-03-31", "2037-01-31")) == []


def test_a_page_says_until_when_in_both_languages() -> None:
    env = office(developers=developers(f={"until": "2037-01-31"}))
    page = handout_page(env, developer_of(env, "f"), confs_of(env, "f"))
    assert f"It ends {JANUARY}" in page
    assert page.count(JANUARY) == 4, "the person, and the one row, in two languages each"
    assert "UTC" not in handout_page(office(), developer_of(office(), "f"), confs_of(office(), "f"))


def test_a_device_s_page_has_its_own_ends_alone() -> None:
    devices = [{"name": "laptop", "address": "10.70.2.1"}, {"name": "loan", "address": "10.70.2.2", "until": "2037-01-31"}]
    env = office(developers=[{"name": "jo", "devices": devices, "access": ["beijing"]}], groups={})
    assert JANUARY not in handout_page(env, developer_of(env, "jo-laptop"), confs_of(env, "jo-laptop"))
    assert JANUARY in handout_page(env, developer_of(env, "jo-loan"), confs_of(env, "jo-loan"))


ENDING: dict[str, Any] = {
    "developers": developers(f={"until": "2037-01-31"}, e={"access": [{"site": "beijing", "until": "2037-02-20"}]}),
    "links": [{"from": "shenzhen", "to": "beijing", "until": "2037-02-08"}],
}


def noted(now: datetime) -> list[str]:
    return [f"{finding.path[0]} {finding.message}" for finding in endings(office(**ENDING), now)]


def test_an_end_that_comes_or_has_come_is_a_note_by_the_clock_of_who_asks() -> None:
    first = datetime(2037, 2, 1, tzinfo=UTC)
    assert noted(first - timedelta(days=SOON_DAYS, seconds=1)) == []
    assert noted(first - timedelta(days=SOON_DAYS)) == [f"developers f ends soon, {JANUARY}"]
    assert noted(first) == [f"developers f ended, {JANUARY}", "links the link from shenzhen to beijing ends soon, 2037-02-08 24:00 UTC"]


def test_an_end_that_has_passed_is_no_fault(tmp_path: Path) -> None:
    file = Path(shutil.copy(EXAMPLE, tmp_path))
    assert CliRunner().invoke(app, ["check", str(file)]).stderr == "", "until 2036; then the example needs later dates"
    file.write_text(file.read_text().replace("until: 2037-01-31", "until: 2021-01-31"))
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 0
    assert result.stderr == (
        f"warning: {file}:28 developers[0].until: ida ended, 2021-01-31 24:00 UTC; take it out of the file, or write a later end\n"
    )


def soon(tmp_path: Path, name: str = "office.yaml", people: int = 1) -> tuple[Path, str]:
    """A file in which people end tomorrow, and when that is."""
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    lines = "".join(f"  - {{name: d{n}, address: 10.70.3.{n}, until: {tomorrow}}}\n" for n in range(1, people + 1))
    (tmp_path / name).write_text(own(OFFICE).partition("  - {name: e,")[0] + lines)
    return tmp_path / name, f"ends soon, {tomorrow} 24:00 UTC"


def test_a_review_says_who_ends_soon(tmp_path: Path) -> None:
    (after, ends), (before, _) = soon(tmp_path), soon(tmp_path, "before.yaml", people=2)
    for shape in ("table", "markdown", "json"):
        result = CliRunner().invoke(app, ["diff", str(before), str(after), "--format", shape])
        assert result.exit_code == 0, result.output
        assert f"d1 {ends}" in result.output
        assert f"d2 {ends}" not in result.output, "who is no longer in the file"


def test_status_says_who_ends_soon_to_people_and_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wg_office.commands.cli._asked", lambda *_: ())
    file, ends = soon(tmp_path)
    assert f"note: {file}:" in CliRunner().invoke(app, ["status", str(file)]).output
    (line,) = json.loads(CliRunner().invoke(app, ["status", str(file), "--json"]).stdout)["ends"]
    assert f"d1 {ends}" in line


def test_beside_something_else_the_first_few_are_named_and_the_others_counted(tmp_path: Path) -> None:
    (after, ends), (before, _) = soon(tmp_path, people=8), soon(tmp_path, "before.yaml")
    said = CliRunner().invoke(app, ["diff", str(before), str(after)]).output
    assert said.count(ends) == 5
    assert f"3 more have ended or end soon: python -m wg_office check {after}" in said
    assert CliRunner().invoke(app, ["check", str(after)]).output.count(ends) == 8


# --- the guard --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, ["('developers', 2, 'access', 0)"]),
        ({"until": "2037-01-31"}, []),
        ({"access": [{"group": "staff", "until": "2037-01-31"}]}, []),
        ({"access": [{"group": "outer"}]}, ["('developers', 2, 'access', 0)"]),
        ({"access": [{"site": "beijing"}]}, []),
    ],
    ids=["for good", "the person ends", "the grant ends", "by way of a group", "another way"],
)
def test_a_group_that_asks_for_an_end_is_given_to_nobody_for_good(changes: dict[str, Any], found: list[str]) -> None:
    groups = {"staff": {"access": ["beijing", "shenzhen"]}, "outer": {"access": [{"group": "staff"}]}}
    people = [each for each in developers() if each["name"] in ("e", "f")]
    person = {"name": "g", "address": "10.70.3.1", "access": [{"group": "staff"}]} | changes
    env = office(groups=groups, developers=[*people, person], policy={"ends_required": ["staff"]})
    assert [str(each.path) for each in broken_guards(env)] == found


def test_a_group_that_is_not_there_cannot_be_guarded() -> None:
    assert [each.message for each in broken_guards(office(policy={"ends_required": ["stuff"]}))] == ["no group is called stuff"]
