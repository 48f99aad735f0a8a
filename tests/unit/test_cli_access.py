"""`python -m wg_office access`: the access table of a file, with its lines, in each format."""

import csv
import io

import pytest
from test_render import GOLDEN, environment
from typer.testing import CliRunner

from wg_office.commands import access_report
from wg_office.commands.cli import app

ARTICLE = GOLDEN / "article" / "environment.yaml"

run = CliRunner().invoke


def test_csv_names_the_line_of_the_file_that_grants_it() -> None:
    result = run(app, ["access", str(ARTICLE), "--format", "csv"])
    assert (result.exit_code, result.stderr) == (0, "")
    heading, *rows = csv.reader(io.StringIO(result.stdout))
    assert tuple(heading) == access_report.HEADINGS
    text = ARTICLE.read_text().splitlines()
    for row, granted in zip(rows, ["shenzhen", "beijing", "{developer: f}", "site: beijing", "developer: e"], strict=True):
        line = int(row[-1].split(",")[0].removeprefix("line "))
        assert granted in text[line - 1]


def test_markdown_is_a_table_with_the_same_rows() -> None:
    result = run(app, ["access", str(ARTICLE), "--format", "markdown"])
    lines = result.stdout.splitlines()
    assert len(lines) == 2 + len(access_report.rows(environment("article")))
    assert all(line.startswith("| ") and line.endswith(" |") for line in lines)
    assert "| developer f | site beijing (192.168.200.244) | 22/tcp, 443/tcp, icmp | z, c | line " in result.stdout


def test_the_table_in_a_pipe_is_wide_enough_for_its_cells_and_has_no_colour() -> None:
    text = run(app, ["access", str(ARTICLE)]).stdout
    assert "\x1b" not in text
    for row in access_report.rows(environment("article")):
        assert any(all(cell in line for cell in (row.who, row.may_reach, row.on)) for line in text.splitlines())


def test_an_unknown_format_is_wrong_usage() -> None:
    assert run(app, ["access", str(ARTICLE), "--format", "pdf"]).exit_code == 2


@pytest.mark.parametrize("case", ["article", "one-gateway", "no-gateway", "firewalls"])
def test_it_works_for_every_reviewed_environment(case: str) -> None:
    assert run(app, ["access", str(GOLDEN / case / "environment.yaml")]).exit_code == 0
