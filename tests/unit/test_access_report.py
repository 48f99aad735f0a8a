"""The access table as people get it."""

import csv
import io
from pathlib import Path

from rich.console import Console
from test_access import OFFICE, office

from wg_office.commands.access_report import HEADINGS, Row, csv_text, markdown, rows, table
from wg_office.environment.document import parse
from wg_office.network.access import permissions


def test_rows_say_who_reaches_what_where_and_by_which_line() -> None:
    document = parse(Path(OFFICE).read_text(encoding="utf-8"))
    listed = rows(office(), document.line)
    assert len(listed) == len(permissions(office())) + 1
    assert Row("developer e", "site beijing (192.168.200.0/24)", "everything", "z, c", "line 23, developers[0].access[1]") in listed
    group = "line 24, developers[1].access[0]; line 27, groups.ops.access[0]"
    assert Row("developer f", "site shenzhen (192.168.201.48/29)", "8000-8200/tcp", "z, a", group) in listed
    assert Row("site shenzhen (192.168.201.0/24)", "site beijing (192.168.200.244)", "5432/tcp", "a, z, c", "line 30, links[0]") in listed
    assert Row("host z", "host c", "22/tcp", "c", "line 20, gateways[1].ssh.via") in listed


def test_who_reaches_nothing_is_said_too() -> None:
    assert rows(office())[-1] == Row("developer idle", "nothing", "", "", "no line grants anything")


def test_csv_holds_the_same_rows() -> None:
    read = list(csv.reader(io.StringIO(csv_text(office()))))
    assert read[0] == list(HEADINGS)
    assert [Row(*cells) for cells in read[1:]] == list(rows(office()))


def test_markdown_has_a_line_for_each_row() -> None:
    lines = markdown(office()).splitlines()
    assert lines[0] == "| Who | May reach | On | Enforced at | Because of |"
    assert len(lines) == 2 + len(rows(office()))
    assert "| developer e | developer f | everything | z | developers[0].access[2] |" in lines


def test_terminal_table_cuts_nothing_off() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table(office()))
    assert "…" not in console.export_text()


def test_what_a_masquerading_site_opens_is_marked_until_its_lan_has_the_route() -> None:
    """A row without the mark would promise what cannot be: masquerading serves answers alone."""
    env = office()
    opener = env.gateway_of("shenzhen")
    masquerading = opener.model_copy(update={"return_path": "masquerade", "router": None, "devices": ()})
    marked = env.model_copy(update={"gateways": tuple(masquerading if each is opener else each for each in env.gateways)})
    plain = rows(env)
    changed = [(was, now) for was, now in zip(plain, rows(marked), strict=True) if was != now]
    assert {was.who for was, _ in changed} == {"site shenzhen (192.168.201.0/24)"}
    assert {now.on.removeprefix(was.on) for was, now in changed} == {", once its LAN has the route"}
