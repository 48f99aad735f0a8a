"""Situations of people, as environment files. Each begins with what `check` says of it (`#= `), and what a person is told to do (`#> `).

The files are written for these tests, after public reports and what was seen. Where the project's folder of reported cases stands beside
the clone, they are read as well: each is either served, or refused in one line with a remedy, and nobody is sent to type a route by way
of the machine itself.
"""

from pathlib import Path

import pytest
from surely import lan_of

from wg_office.network.instructions import LONGEST, by_hand
from wg_office.reading.load import inspect

HERE = Path(__file__).parent / "cases"
REPORTED = sorted((Path(__file__).parents[3] / "shared" / "cases").glob("*/*.yaml"))


def said(file: Path) -> list[str]:
    """All that the file leads to, as its first lines have it."""
    report = inspect(file)
    found = [f"#= {fault}" for fault in report.faults] + [f"#= warning: {warning}" for warning in report.warnings]
    told = by_hand(report.environment) if report.environment is not None else ()
    return [line.replace(f"{file}:", "") for line in found] + [f"#> {item}" for item in told]


def expected(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(("#= ", "#> "))]


@pytest.mark.parametrize("file", sorted(HERE.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_situation_gets_exactly_these_answers(file: Path) -> None:
    assert said(file) == expected(file)


if REPORTED:

    @pytest.mark.parametrize("file", REPORTED, ids=lambda file: f"{file.parent.name}/{file.stem}")
    def test_a_reported_situation_is_served_or_refused_with_a_remedy(file: Path) -> None:
        report = inspect(file)
        assert [str(fault) for fault in (*report.faults, *report.warnings) if ";" not in str(fault) and ": " not in fault.message] == []
        if report.environment is None:
            return
        for item in by_hand(report.environment):
            assert len(item) <= LONGEST
        gateways = [gateway for gateway in report.environment.gateways if gateway.is_router]
        for gateway in gateways:
            assert not [item for item in by_hand(report.environment) if item.endswith(f" via {lan_of(gateway).address}")]
