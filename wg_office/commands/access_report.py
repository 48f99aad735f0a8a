"""The access table for people: who may reach what, and which line of the file says so. As a table for terminals, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

from netaddr import IPNetwork

from wg_office.environment.faults import Path, dotted
from wg_office.environment.model import Client, Developer, Environment, Site
from wg_office.network.access import Permission, Place, Reach, permissions
from wg_office.network.extent import shown
from wg_office.text.columns import in_columns, no_mapping
from wg_office.text.printable import isolated

if TYPE_CHECKING:
    from rich.table import Table

Lines = Callable[[Path], int]
"""The line of the environment file on which something stands (wg_office.environment.document.Document.line)."""

_Judges = Mapping[tuple[str, str], str]
"""The host that judges what enters a site or host and leaves it, by the place's kind and name."""

_People = Mapping[str, Developer]

HEADINGS = ("Who", "May reach", "On", "Enforced at", "Because of")
_WIDTHS = (32, 32, 14, 12)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    who: str
    may_reach: str
    on: str
    enforced_at: str
    because: str


def rows(env: Environment, lines: Lines | None = None, granted: tuple[Permission, ...] | None = None) -> tuple[Row, ...]:
    """One row per permission in the order of the file, and one for each developer who may reach nothing.

    `granted` are the environment's permissions, for a caller who has worked them out.
    """
    granted = permissions(env) if granted is None else granted
    sites = {site.site_name: site for site in env.sites}
    judges = {("site", site.site_name): site.name for site in env.sites if site.is_managed}
    judges |= {("host", env.hub.name): env.hub.name} | {("host", each.name): each.name for each in env.gateways if each.is_managed}
    allowed = {item.source.name for item in granted if item.source.kind == "developer"}
    idle = (developer for developer in env.developers if developer.name not in allowed)
    people = {developer.name: developer for developer in env.developers}
    waiting = {site.site_name for site in env.active_sites if site.masquerades_some and site.router_ssh is None and not site.is_router}
    return (
        *(_when_routed(_row(env.hub.name, judges, sites, people, item, lines), item, waiting) for item in granted),
        *(Row(_person(developer, developer.clients), "nothing", "", "", "no line grants anything") for developer in idle),
    )


def table(env: Environment, lines: Lines | None = None) -> Table:
    """For the terminal."""
    # Here, because a deployment needs none of it, and waits for each import.
    from rich.table import Table
    from rich.text import Text

    made = Table(title=f"Who may reach what in {env.environment}; nobody reaches anything else")
    for heading in HEADINGS:
        made.add_column(heading, overflow="fold")
    for row in rows(env, lines):
        made.add_row(*map(Text, astuple(row)))
    return made


def markdown(env: Environment, lines: Lines | None = None) -> str:
    """A Markdown table."""
    listed = [HEADINGS, tuple("---" for _ in HEADINGS), *(astuple(row) for row in rows(env, lines))]
    return "".join(f"| {' | '.join(map(_in_a_cell, cells))} |\n" for cells in listed)


def _in_a_cell(text: str) -> str:
    """A title is free text, which ends no cell and is no tag, picture or link."""
    plain = isolated(text).replace("&", "&amp;").replace("<", "&lt;")
    escaped = "".join(f"\\{char}" if char in "\\|`*_" else char for char in plain)
    return escaped.replace("](", "]\\(")


def csv_text(env: Environment, lines: Lines | None = None) -> str:
    """CSV with a line of headings."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows(astuple(row) for row in rows(env, lines))
    return written.getvalue()


def columns(env: Environment, reach: Reach) -> str:
    """The rows as a text for the stack's outputs. It names groups, not places in the file: those move when somebody is put in above."""
    made = rows(env, granted=reach.permissions)
    by = [", ".join(f"group {name}" for name in item.groups) for item in reach.permissions]
    by += [""] * (len(made) - len(by))
    cells = ((*map(no_mapping, astuple(row)[:-1]), groups) for row, groups in zip(made, by, strict=True))
    return in_columns([(*HEADINGS[:-1], "By"), *cells], _WIDTHS)


def _row(hub: str, judges: _Judges, sites: Mapping[str, Site], people: _People, item: Permission, lines: Lines | None) -> Row:
    opened = ", ".join(str(port) for port in item.ports) or "everything"
    return Row(
        who=_described(item.source, sites, people),
        may_reach=_described(item.destination, sites, people),
        on=opened if item.until is None else f"{opened}, until {item.until}",
        enforced_at=_enforced_at(list(dict.fromkeys(_hosts(hub, judges, item)))),
        because="; ".join(_place(path, lines) for path in (item.because, *item.through)),
    )


def _when_routed(row: Row, item: Permission, waiting: Collection[str]) -> Row:
    """What a masquerading site's machines open needs a route that they do not have by themselves: a promise with a condition."""
    if item.source.kind != "site" or item.source.name not in waiting:
        return row
    return replace(row, on=f"{row.on}, once its LAN has the route")


def _person(developer: Developer, clients: Iterable[Client]) -> str:
    """The name, the title, and the devices that a grant holds for."""
    devices = ", ".join(each.device for each in clients if each.device is not None)
    return f"developer {developer.called}" + (f" [{devices}]" if devices else "")


def _described(place: Place, sites: Mapping[str, Site], people: _People) -> str:
    """A site with what is meant of its LAN; a person as people call them; a host by its name."""
    if place.kind == "developer":
        person = people[place.name]
        return _person(person, (client for client in person.clients if place.holds(client.address)))
    if place.kind != "site":
        return str(place)
    return f"{place} ({', '.join(_both(sites[place.name], network) for network in place.networks)})"


def _both(site: Site, network: IPNetwork) -> str:
    """As the site's machines have it, and as the tunnel knows it where that is something else."""
    own = site.as_here(network)
    return shown(own) if own == network else f"{shown(own)} as {shown(network)}"


def _place(path: Path, lines: Lines | None) -> str:
    return dotted(path) if lines is None else f"line {lines(path)}, {dotted(path)}"


def _enforced_at(hosts: list[str | None]) -> str:
    """The hosts; and that it is one alone, or none, where a gateway on the way is nobody's to set up."""
    named = [host for host in hosts if host is not None]
    if len(named) == len(hosts):
        return ", ".join(named)
    return f"{named[0]} alone" if len(named) == 1 else ", ".join(named) or "nobody"


def _hosts(hub: str, judges: _Judges, item: Permission) -> Iterator[str | None]:
    """The hosts whose firewall lets it through, in the order in which a packet meets them; None for a gateway that judges nothing."""
    if item.source.kind == "site":
        yield judges.get(_key(item.source))
    if hub not in (item.source.name, item.destination.name):
        yield hub
    if item.destination.kind != "developer":
        yield judges.get(_key(item.destination))


def _key(place: Place) -> tuple[str, str]:
    return place.kind, place.name
