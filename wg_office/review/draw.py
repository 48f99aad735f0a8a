"""The picture as SVG, for documents and browsers, and as Mermaid, for merge requests. Pure.

Above, the network: who is where, and which tunnels there are. Below, a table of who reaches what: with many sites and people lines between
them would say nothing any more.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from unicodedata import east_asian_width
from xml.sax.saxutils import escape, quoteattr

from wg_office.review.picture import Change, Picture, Row, Site
from wg_office.text.printable import isolated

_WIDTH = 1000
_MARGIN = 32
_LABEL = 210
"""Width of the column with people's names."""
_LINE = 26
_MOST_ROWS = 40
_MOST_COLUMNS = 30
_ROOMY = 6
"""With more columns than this a cell has room for a sign only."""
_LEANING = 84
"""As far as the turned name of the last column leans to the right."""

_STYLE = """
    .panel { fill: #fbfbfa; stroke: #dcdcd8; } .zone { fill: #f0f1ee; stroke: #d3d5cf; }
    .hub { fill: #e6f1ee; stroke: #1f7a68; stroke-width: 2; } .box { fill: #fff; stroke: #9aa39f; }
    .name { fill: #1c2422; font-size: 14px; font-weight: 600; } .text { fill: #47524f; font-size: 12px; }
    .label { fill: #65706c; font-size: 11.5px; font-weight: 600; letter-spacing: .05em; }
    .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
    .tunnel { fill: none; stroke: #1f7a68; stroke-width: 2; stroke-dasharray: 7 5; } .rule { stroke: #dcdcd8; }
    .gain { fill: #1a7f37; font-weight: 600; } .loss { fill: #c2261d; text-decoration: line-through; }
    @media (prefers-color-scheme: dark) {
      .panel { fill: #14191a; stroke: #2d3536; } .zone { fill: #1b2223; stroke: #323b3c; }
      .hub { fill: #16332d; stroke: #54c2a8; } .box { fill: #222a2b; stroke: #66716f; }
      .name { fill: #eef2f0; } .text { fill: #bcc6c2; } .label { fill: #98a39f; }
      .tunnel { stroke: #54c2a8; } .rule { stroke: #2d3536; } .gain { fill: #56d364; } .loss { fill: #ff8a80; }
    }"""


def svg(drawn: Picture) -> str:
    """A whole SVG document, light and dark."""
    sites, table = _Sites(drawn.sites), _Table(drawn)
    table_top = 90 + max(sites.height, 150) + 40
    height = table_top + table.height
    parts = [
        f'<rect class="panel" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="14"/>',
        *_network(drawn, sites),
        *table.parts(table_top),
    ]
    title = f"The network of {drawn.title}: {len(drawn.sites)} sites, {drawn.people} people"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label={quoteattr(title)} '
        f"font-family=\"system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif\">\n"
        f"  <title>{escape(title)}</title>\n  <style>{_STYLE}\n  </style>\n" + "".join(f"  {part}\n" for part in parts) + "</svg>\n"
    )


# --- the network -----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sites:
    """Where the sites' boxes stand: one column while they are few, then two."""

    sites: tuple[Site, ...]

    @property
    def columns(self) -> int:
        return 1 if len(self.sites) <= 5 else 2

    @property
    def height(self) -> int:
        return 64 * -(-len(self.sites) // self.columns)

    def places(self) -> Iterator[tuple[Site, int, int, int]]:
        """Each site with its left, top and width."""
        width = 348 if self.columns == 1 else 196
        for number, site in enumerate(self.sites):
            row, column = divmod(number, self.columns)
            yield site, _WIDTH - _MARGIN - (self.columns - column) * (width + 12) + 12, 62 + 64 * row, width


def _network(drawn: Picture, sites: _Sites) -> Iterator[str]:
    middle = 62 + max(sites.height, 150) // 2
    yield _text(_MARGIN, 42, "label", "AT HOME, BEHIND NAT")
    yield _text(330, 42, "label", "PUBLIC ADDRESS")
    places = list(sites.places())
    yield _text(places[0][1] if places else 620, 42, "label", "OFFICES, BEHIND CARRIER NAT")
    yield from _tunnels(sites, places, middle)
    yield f'<path class="tunnel" d="M{_MARGIN + 210} {middle} H 330"/>'
    yield from _box("box", _MARGIN, middle - 44, 210, 88, _people(drawn))
    yield from _box(
        "hub", 330, middle - 44, 160, 88, [(drawn.hub, "name"), (drawn.hub_address, "text mono"), (drawn.endpoint, "text mono")]
    )
    for site, left, top, width in places:
        named = [(_site_and_gateway(site, width - 16), f"name {_colour(site.name)}"), (site.lan, "text mono")]
        yield from _box("zone", left, top, width, 54, named)


def _site_and_gateway(site: Site, width: int) -> str:
    """Both, or where that is too long the site alone: its end may be what tells it from another."""
    name = site.name.now or site.name.was
    both = f"{name}, {site.gateway}"
    return both if _within(both, width, "name") == both else name


def _tunnels(sites: _Sites, places: list[tuple[Site, int, int, int]], middle: int) -> Iterator[str]:
    """A line for each site; with many, one line to the frame around all of them."""
    if sites.columns > 1:
        left, top, width = places[0][1] - 12, places[0][2] - 10, _WIDTH - _MARGIN - places[0][1] + 22
        yield f'<rect class="panel" x="{left}" y="{top}" width="{width}" height="{sites.height + 8}" rx="11"/>'
        yield f'<path class="tunnel" d="M490 {middle} H {left}"/>'
        return
    for _, left, top, _ in places:
        yield f'<path class="tunnel" d="M490 {middle} C 550 {middle}, 530 {top + 26}, {left} {top + 26}"/>'


def _people(drawn: Picture) -> list[tuple[str, str]]:
    names = tuple(name for row in drawn.rows for name in row.names if not _is_no_person(name))
    return [(f"{drawn.people} {'person' if drawn.people == 1 else 'people'}", "name"), (_named(names, 190), "text")]


def _is_no_person(sender: str) -> bool:
    return sender.startswith(("site ", "host "))


def _box(kind: str, left: int, top: int, width: int, height: int, lines: list[tuple[str, str]]) -> Iterator[str]:
    yield f'<rect class="{kind}" x="{left}" y="{top}" width="{width}" height="{height}" rx="9"/>'
    for number, (text, style) in enumerate(lines):
        yield _text(left + 14, top + 24 + 20 * number, style, _within(text, width - 16, style), text)


def _within(text: str, width: int, style: str) -> str:
    """As much of a text as fits into a box: letters of one width, or the bold and larger ones of a name."""
    return _cut(text, int(width / 7.4)) if "mono" in style else _fit(text, width / 1.2 if "name" in style else width)


# --- the table -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """Who reaches what, a row for those who reach the same; where there are too many, what changes and the largest rows."""

    drawn: Picture

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return self.drawn.destinations[:_MOST_COLUMNS]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return most_telling(self.drawn.rows)

    @property
    def roomy(self) -> bool:
        return len(self.columns) <= _ROOMY

    @property
    def head(self) -> int:
        return 30 if self.roomy else 146

    @property
    def height(self) -> int:
        return self.head + _LINE * (len(self.rows) + 1 + len(self.legend))

    @cached_property
    def legend(self) -> tuple[str, ...]:
        signs = () if self.roomy else ("● everything, ◐ some hosts or ports",)
        left_out = _left_out(self.drawn.rows, self.rows)
        more = len(self.drawn.destinations) - len(self.columns)
        where = (f"Left out are {more} destinations more, machines of people.",) if more else ()
        return (*signs, *([f"Left out {left_out}. `wg-office access` lists all."] if left_out else []), *where)

    def parts(self, top: int) -> Iterator[str]:
        """All of its elements, from this height on."""
        width = (_WIDTH - 2 * _MARGIN - _LABEL - (0 if self.roomy else _LEANING)) / max(len(self.columns), 1)
        yield _text(_MARGIN, top, "label", "WHO REACHES WHAT; NOBODY REACHES ANYTHING ELSE")
        base = top + self.head
        for number, name in enumerate(self.columns):
            left, shown = _MARGIN + _LABEL + width * number, name.removeprefix("site ")
            yield _text(left, base - 6, "text", _fit(shown, width), shown) if self.roomy else _turned(left + width / 2, base - 6, shown)
        for number, row in enumerate(self.rows):
            yield from _row(row, self.columns, base + _LINE * number, width)
        for number, line in enumerate(self.legend):
            yield _text(_MARGIN, base + _LINE * (len(self.rows) + 1 + number), "text", line)


def most_telling(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """All rows; of too many those with a change, and then those that stand for most people, in the order that they had."""
    ranked = sorted(range(len(rows)), key=lambda number: (not _tells_a_change(rows[number]), -len(rows[number].names)))
    return tuple(rows[number] for number in sorted(ranked[:_MOST_ROWS]))


def _tells_a_change(row: Row) -> bool:
    return row.coming or row.going or any(cell.changed for cell in row.cells.values())


def _left_out(rows: tuple[Row, ...], drawn: tuple[Row, ...]) -> str:
    """`are 81 people, each with access of their own`, or nothing."""
    names = [name for row in rows if row not in drawn for name in row.names]
    people = sum(not _is_no_person(name) for name in names)
    others = len(names) - people
    counted = [
        *([f"{people} {'person' if people == 1 else 'people'}"] if people else []),
        *([f"{others} sites or hosts"] if others else []),
    ]
    return f"{'is' if len(names) == 1 else 'are'} {' and '.join(counted)}, few of whom reach the same" if names else ""


def _row(row: Row, columns: tuple[str, ...], top: float, width: float) -> Iterator[str]:
    yield f'<path class="rule" d="M{_MARGIN} {top:g} H {_WIDTH - _MARGIN}"/>'
    yield _text(
        _MARGIN, top + 17, f"text {'gain' if row.coming else 'loss' if row.going else ''}", _named(row.names, _LABEL), ", ".join(row.names)
    )
    for number, column in enumerate(columns):
        cell = row.cells.get(column)
        if cell is not None:
            yield from _cell(cell, _MARGIN + _LABEL + width * number, top + 17, width, len(columns) <= _ROOMY)


def _cell(cell: Change, left: float, top: float, width: float, roomy: bool) -> Iterator[str]:
    """What is, and before it, where that differs, what was."""
    if not roomy:
        yield _text(left + width / 2 - 5, top, f"text {_colour(cell)}", _sign(cell.now or cell.was), cell.now or cell.was)
    elif not cell.changed or not (cell.was and cell.now):
        yield _text(left, top, f"text {_colour(cell)}", _fit(cell.now or cell.was, width), cell.now or cell.was)
    else:
        yield _text(left, top, "text loss", _fit(cell.was, width / 2), cell.was)
        yield _text(left + width / 2, top, "text gain", _fit(cell.now, width / 2), cell.now)


def _fit(text: str, width: float) -> str:
    """As much of a text as fits, also in bold, with the wide letters of a machine that has no other font."""
    if _wide(text) <= width - 8:
        return text
    kept = next(length for length in range(len(text), 0, -1) if _wide(f"{text[:length]}…") <= width - 8)
    return f"{text[:kept]}…"


def _wide(text: str) -> float:
    return sum(14 if east_asian_width(char) in "WF" else 4.2 if char in " .,:;/ijlt" else 8.2 for char in text)


def _sign(words: str) -> str:
    return "●" if words == "all" else "◐"


def _colour(change: Change) -> str:
    if not change.changed:
        return ""
    return "gain" if change.now else "loss"


def _named(names: tuple[str, ...], width: float) -> str:
    """As many names as fit with the number of the rest, at least one and no more than four."""
    for count in range(min(4, len(names)), 0, -1):
        words = ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
        if _wide(words) <= width - 8:
            return words
    return _fit(", ".join(names), width)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(1, room - 1)]}…"


def _text(left: float, top: float, style: str, text: str, title: str = "") -> str:
    whole = f"<title>{escape(title)}</title>" if title and title != text else ""
    return f'<text class="{style.strip()}" x="{left:g}" y="{top:g}">{whole}{escape(isolated(text))}</text>'


def _turned(left: float, top: float, text: str) -> str:
    shown = _fit(text.removeprefix("developer "), 164)
    title = f"<title>{escape(text)}</title>" if shown != text else ""
    return f'<text class="text" transform="translate({left + 4:g} {top:g}) rotate(-60)">{title}{escape(isolated(shown))}</text>'


# --- Mermaid ---------------------------------------------------------------------------------------------------------------------------


def mermaid(drawn: Picture) -> str:
    """A flowchart; arrows say who reaches what, dotted where only in part. A change is green or red."""
    lines = ["flowchart LR", f'  hub["{_label([drawn.hub, drawn.endpoint])}"]']
    for number, site in enumerate(drawn.sites):
        lines.append(f'  s{number}[("{_label([site.name.now or site.name.was, site.lan])}")]')
    nodes = {f"site {site.name.now or site.name.was}": f"s{number}" for number, site in enumerate(drawn.sites)}
    for each in drawn.destinations:
        if each not in nodes:
            nodes[each] = f"d{len(nodes)}"
            lines.append(f'  {nodes[each]}["{_label([each])}"]')
    styles: list[tuple[int, str]] = []
    arrows = 0
    rows = most_telling(drawn.rows)
    for number, row in enumerate(rows):
        lines.append(f'  p{number}(["{_label([_named(row.names, 2 * _LABEL)])}"])')
        for where, node in nodes.items():
            cell = row.cells.get(where)
            if cell is not None:
                lines.append(f"  p{number} {_arrow(cell)} {node}")
                styles += [(arrows, "#1a7f37" if cell.now else "#c2261d")] if cell.changed else []
                arrows += 1
    if left_out := _left_out(drawn.rows, rows):
        lines.append(f'  more["{_label([f"left out {left_out}"])}"]')
    lines += [f"  linkStyle {number} stroke:{colour}" for number, colour in styles]
    return "\n".join(lines) + "\n"


def _arrow(cell: Change) -> str:
    words = cell.now or cell.was
    return "-->" if words == "all" else f'-. "{_label([_cut(words, 40)])}" .->'


def _label(lines: Iterable[str]) -> str:
    """Text that Mermaid takes for nothing but text."""
    return "<br/>".join("".join(f"#{ord(char)};" if char in '"#<>&`' else char for char in isolated(line)) for line in lines)
