"""The access table for people: who may reach what, and which line of the file says so. As a table for terminals, as Markdown and as CSV."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass

from rich.table import Table

from wg_office.access import Permission, Place, permissions
from wg_office.faults import Path, dotted
from wg_office.model import Environment

Lines = Callable[[Path], int]
"""The line of the environment file on which something stands (wg_office.document.Document.line)."""

HEADINGS = ("Who", "May reach", "On", "Enforced at", "Because of")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    who: str
    may_reach: str
    on: str
    enforced_at: str
    because: str


def rows(env: Environment, lines: Lines | None = None) -> tuple[Row, ...]:
    """One row per permission in the order of the file, and one for each developer who may reach nothing."""
    granted = permissions(env)
    allowed = {item.source.name for item in granted if item.source.kind == "developer"}
    idle = (developer for developer in env.developers if developer.name not in allowed)
    return (
        *(_row(env, item, lines) for item in granted),
        *(Row(f"developer {developer.name}", "nothing", "", "", "no line grants anything") for developer in idle),
    )


def table(env: Environment, lines: Lines | None = None) -> Table:
    """For the terminal."""
    made = Table(title=f"Who may reach what in {env.environment}; nobody reaches anything else")
    for heading in HEADINGS:
        made.add_column(heading, overflow="fold")
    for row in rows(env, lines):
        made.add_row(*astuple(row))
    return made


def markdown(env: Environment, lines: Lines | None = None) -> str:
    """A Markdown table."""
    listed = [HEADINGS, tuple("---" for _ in HEADINGS), *(astuple(row) for row in rows(env, lines))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in listed)


def csv_text(env: Environment, lines: Lines | None = None) -> str:
    """CSV with a line of headings."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows(astuple(row) for row in rows(env, lines))
    return written.getvalue()


def _row(env: Environment, item: Permission, lines: Lines | None) -> Row:
    return Row(
        who=_described(item.source),
        may_reach=_described(item.destination),
        on=", ".join(str(port) for port in item.ports) or "everything",
        enforced_at=", ".join(_hosts(env, item)),
        because="; ".join(_place(path, lines) for path in (item.because, *item.through)),
    )


def _described(place: Place) -> str:
    """A site with what is meant of its LAN; whoever has one address is known by his name."""
    if place.kind != "site":
        return str(place)
    return f"{place} ({', '.join(str(network.ip) if network.size == 1 else str(network) for network in place.networks)})"


def _place(path: Path, lines: Lines | None) -> str:
    return dotted(path) if lines is None else f"line {lines(path)}, {dotted(path)}"


def _hosts(env: Environment, item: Permission) -> Iterator[str]:
    """The hosts whose firewall lets it through, in the order in which a packet meets them."""
    if item.source.kind == "site":
        yield env.gateway_of(item.source.name).name
    if env.hub.name not in (item.source.name, item.destination.name):
        yield env.hub.name
    if item.destination.kind == "site":
        yield env.gateway_of(item.destination.name).name
    elif item.destination.kind == "host":
        yield item.destination.name
