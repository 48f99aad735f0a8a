"""A difference for people and programs: lines for a terminal, Markdown for a merge request, JSON. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.table import Table
from rich.text import Text

from wg_office.review.difference import Change, Difference, HostChange
from wg_office.text.printable import isolated, one_line

LONGEST_COMMENT = 60_000
"""Characters of Markdown. GitHub takes 65,536 in a comment, GitLab a million."""

_FOLDED = 12
"""Lines of a section from which on Markdown folds it."""

_NAMES = 5
"""As many names are said of people to whom the same happens; the rest is counted."""

_TITLES = {
    "people": "People",
    "access": "Access",
    "new files": "New files",
    "sites": "Hosts and sites in the file",
    "network": "The network",
    "guards": "Guards",
    "routes": "Routes",
    "by hand": "By hand",
}
_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


def nothing(made: Difference) -> str:
    """The one line for an empty difference."""
    return f"{made.after}: nothing changes for anybody, and no host is touched"


def summary(made: Difference) -> str:
    """`dev: 1 person, access of 2, 1 new file; 2 of 4 hosts touched, 1 with an interruption`."""
    people, access, files = (
        {who for change in made.changes if change.section == section for who in change.who} for section in ("people", "access", "new files")
    )
    counted = [_counted(len(people), "person", "people"), f"access of {len(access)}", _counted(len(files), "new file", "new files")]
    touched = [host for host in made.hosts if host.verdict != "not touched"]
    ended = sum(bool(host.interruptions) for host in touched)
    return f"{made.after}: {', '.join(counted)}; {len(touched)} of {len(made.hosts)} hosts touched, {ended} with an interruption"


def _counted(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def who(change: Change) -> str:
    """The names it is about."""
    named = ", ".join(change.who[:_NAMES])
    return named if len(change.who) <= _NAMES else f"{named} and {len(change.who) - _NAMES} more"


def line(change: Change) -> str:
    """`e gains: site beijing (192.168.200.244) on 22/tcp`."""
    if change.section in ("by hand", "new files"):
        return f"{who(change)}: {change.text}"
    return f"{who(change)} {change.word}: {change.text}"


def host_lines(host: HostChange) -> Iterator[str]:
    """The verdict on a host, and a line for each session that ends and each refusal."""
    touched = f" ({', '.join(host.touched)})" if host.touched and host.verdict in ("interruption", "refused") else ""
    yield f"{host.host}, {host.role}: {host.verdict}{touched}"
    yield from (f"{host.host}: {text}" for text in host.interruptions)
    yield from (f"{host.host}: `pulumi up` refuses this: {text}" for text in host.refused)


def _sections(made: Difference) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each section's title, and its lines with their signs; a line is one, whatever the file's own words hold."""
    for title, lines in _as_told(made):
        yield title, [(sign, one_line(text)) for sign, text in lines]


def _as_told(made: Difference) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for section, changes in groupby(made.changes, key=lambda change: change.section):
        yield _TITLES[section], [(change.sign, line(change)) for change in changes]
    touched = [host for host in made.hosts if host.verdict != "not touched"]
    untouched = [host.host for host in made.hosts if host.verdict == "not touched"]
    lines = [("~", text) for host in touched for text in host_lines(host)]
    if untouched:
        lines.append(
            (
                " ",
                f"not touched: {', '.join(untouched[:_NAMES])}"
                + (f" and {len(untouched) - _NAMES} more" if len(untouched) > _NAMES else ""),
            )
        )
    yield "Hosts", lines


# --- for people ------------------------------------------------------------------------------------------------------------------------


def table(made: Difference) -> Table:
    """For the terminal, a row per line, below the summary."""
    shown = Table(show_header=False)
    for column in ("section", "sign", "line"):
        shown.add_column(column, overflow="fold")
    for title, lines in _sections(made):
        for number, (sign, text) in enumerate(lines):
            shown.add_row("" if number else title, sign, Text(text, _COLOURS.get(sign, "")))
    return shown


def markdown(made: Difference, guards: Iterable[str] = (), longest: int = LONGEST_COMMENT) -> str:
    """For a comment: long sections are folded, and all of it stays under the limit. `guards` are what the reviewer must not miss."""
    said = "".join(f"\n> {_escaped(text)}\n" for text in guards)
    head = f"### wg-office: {_escaped(summary(made))}\n{said}" if not made.empty else f"{_escaped(nothing(made))}\n{said}"
    sections = "".join(_section(title, lines) for title, lines in _sections(made)) if not made.empty else ""
    if len(head) + len(sections) <= longest:
        return head + sections
    cut = sections[: longest - len(head) - 200].rpartition("\n")[0]
    closing = "\n```\n" if sum(each.startswith("```") for each in cut.splitlines()) % 2 else "\n"
    folded = "</details>\n" if cut.count("<details>") > cut.count("</details>") else ""
    return f"{head}{cut}{closing}{folded}\nToo long for a comment: the rest is in the output of `wg-office diff`.\n"


def _section(title: str, lines: list[tuple[str, str]]) -> str:
    body = "```diff\n" + "".join(f"{sign if sign in '+-' else ' '} {isolated(text)}\n" for sign, text in lines) + "```\n"
    if len(lines) < _FOLDED:
        return f"\n**{title}**\n\n{body}"
    return f"\n<details><summary><b>{title}</b>: {len(lines)} lines</summary>\n\n{body}\n</details>\n"


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\`*_[]<>|" else char for char in text)


# --- for programs ----------------------------------------------------------------------------------------------------------------------


def as_data(made: Difference) -> dict[str, Any]:
    """All of it for JSON."""
    return {
        "before": made.before,
        "after": made.after,
        "empty": made.empty,
        "changes": [asdict(change) for change in made.changes],
        "hosts": [{**asdict(host), "verdict": host.verdict} for host in made.hosts],
    }
