"""The commands of a review: `diff`, `diagram` and `new`. Room: commands; nothing is dialled.

What only one of them needs is imported by that one.
"""

import shlex
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wg_office.commands.terminal import FAULTY, UNUSABLE, EnvironmentFile, complain, console, environment_of, faults_reported, stop, tell
from wg_office.environment.faults import Fault, Faults, Unreadable, dotted
from wg_office.environment.model import Environment
from wg_office.reading.checks import Finding
from wg_office.reading.guards import RULES, Broken, broken_by_change
from wg_office.review import revisions
from wg_office.review.ends import beside, endings
from wg_office.review.revisions import WORKING_TREE, NoRevision, State, state_of
from wg_office.text.printable import json_text, one_line

if TYPE_CHECKING:
    from wg_office.reading.new import Answers
    from wg_office.review.difference import Difference

CHANGED, NO_BASE = 3, 4
"""The exit statuses of `diff` alone: with --exit-code where something changes, and where the base cannot be read. 1 and 2 are for faults,
here as in all commands."""


class DifferenceFormat(StrEnum):
    """How a difference is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    JSON = "json"


class PictureFormat(StrEnum):
    """How a picture is drawn."""

    SVG = "svg"
    MERMAID = "mermaid"


# --- diff ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """A file on both sides: what differs, the guards that this breaks, and of the new one what `ends` soon.

    What has `faults` in the base is not among what is compared.
    """

    file: Path
    made: "Difference"
    broken: tuple[tuple[Broken, Fault], ...]
    faults: tuple[Fault, ...] = ()
    ends: tuple[Fault, ...] = ()

    def notes(self, allowed: Iterable[str]) -> Iterator[tuple[bool, str]]:
        """What is said beside the difference: each line, and whether the run passes all the same."""
        if self.faults:
            yield True, f"{self.faults[0].file} has faults, and what they concern is not compared:"
            yield from ((True, str(fault)) for fault in self.faults[:_FAULTS])
        if len(self.faults) > _FAULTS:
            yield True, f"and {len(self.faults) - _FAULTS} more"
        yield from ((True, f"note: {each}") for each in beside(self.ends))
        yield from self.guards(allowed)

    def guards(self, allowed: Iterable[str]) -> Iterator[tuple[bool, str]]:
        """Of each broken guard whether it is allowed for this run, and what is to be said."""
        for broken, fault in self.broken:
            if broken.rule in allowed:
                yield True, f"allowed for this run: {fault}"
            else:
                yield False, f"{fault}; split the change, or let this one run pass: --allow {broken.rule}{_at_up(broken)}"


_FAULTS = 5
"""So many faults of the base are named; the rest is counted, since it is not what is reviewed."""


def _at_up(broken: Broken) -> str:
    return ", and WG_OFFICE_ALLOW=removals for `pulumi up`" if broken.rule == "removals" else ""


def diff(
    base: Annotated[str, typer.Argument(help="A file, a git revision, or REVISION:PATH", metavar="BASE", show_default=False)],
    head: Annotated[str, typer.Argument(help="The same; left out: the working tree", metavar="HEAD", show_default=False)] = "",
    file: Annotated[
        Path | None,
        typer.Option(help="The environment file; left out: all files of configs/ that differ", metavar="FILE", show_default=False),
    ] = None,
    shape: Annotated[
        DifferenceFormat, typer.Option("--format", help="For a terminal, a merge request, or a program")
    ] = DifferenceFormat.TABLE,
    marker: Annotated[str, typer.Option(help="First line of Markdown: <!-- NAME -->, by which a job finds its comment again")] = "",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with status 3 where something changes")] = False,
    allow: Annotated[
        list[str] | None, typer.Option(help=f"Let this run pass a guard: {' or '.join(RULES)}", metavar="RULE", show_default=False)
    ] = None,
) -> None:
    """Print what a change means: for people, for each host, and for whoever works by hand. Needs no Pulumi and no secret.

    Exit status: 0 whatever changes (see --exit-code), 1 where the new file has faults or the change breaks a guard of its `policy:`, 2
    where a file or revision is not there, 4 where the old file cannot be read at all; entries of it with faults are named and left out.

    Example: python -m wg_office diff main

    Example: python -m wg_office diff main my-branch --file configs/office.yaml --format markdown
    """
    unknown = [name for name in allow or () if name not in RULES]
    if unknown:
        stop(f"--allow {unknown[0]}: there is no such guard; there are {', '.join(RULES)}")
    with _revisions_reported():
        found, status = _all_compared(_pairs(state_of(base), state_of(head) if head else State(), file))
    if found or not status:
        told = [each for each in found if file is not None or len(found) == 1 or not each.made.empty or each.broken or each.faults]
        _print(told, shape, marker, allow or [], _NOTHING_ELSE if status else _NOTHING)
    if any(not passed for each in found for passed, _ in each.guards(allow or [])):
        status = FAULTY
    raise typer.Exit(status or (CHANGED if exit_code and any(not each.made.empty for each in found) else 0))


def _all_compared(pairs: Iterable[tuple[State, Path, State, Path]]) -> tuple[list[Compared], int]:
    """What can be compared, and the status that the rest deserves: a file with faults leaves something to be said of the others."""
    found, status = list[Compared](), 0
    for pair in pairs:
        try:
            found.append(_compared(*pair))
        except Faults as faults:
            for fault in faults.faults:
                complain(str(fault))
            status = status or (UNUSABLE if isinstance(faults, Unreadable) else FAULTY)
        except _NoBase as unread:
            for fault in unread.args:
                complain(str(fault))
            complain(f"{unread.args[0].file}: too little of it can be read to say what changes; {_ANOTHER_BASE}")
            status = status or NO_BASE
    return found, status


class _NoBase(Exception):
    """The old file cannot be read as an environment; its faults."""


_ANOTHER_BASE = "name a base that `check` accepts: an earlier revision (`git log -- FILE`), or a file"


@contextmanager
def _revisions_reported() -> Iterator[None]:
    try:
        yield
    except NoRevision as unknown:
        stop(str(unknown))


def _pairs(base: State, head: State, file: Path | None) -> Iterator[tuple[State, Path, State, Path]]:
    """The files to compare. Where only one side names its file, the other has it under the same name."""
    if base.revision == head.revision == WORKING_TREE and None in (base.file, head.file) and file is None:
        raise NoRevision(f"{base.file} is a file: name the other one too")
    if base.file is not None or head.file is not None or file is not None:
        was, now = base.file or file or head.file, head.file or file or base.file
        if was is not None and now is not None:
            yield base, was, head, now
        return
    for each in sorted({*revisions.environment_files(base), *revisions.environment_files(head)}):
        yield base, each, head, each


def _compared(base: State, was: Path, head: State, now: Path) -> Compared:
    from wg_office.review.difference import difference

    (before, faults), after = revisions.readable(base, was), revisions.environment(head, now)
    if before is None and faults:
        raise _NoBase(*faults)
    if before is None and after is None:
        raise NoRevision(f"{now} is on neither side; name an environment file, such as configs/dev.yaml")
    broken = () if before is None else tuple(broken_by_change(before, after))
    placed = ((each, _placed(each, *((base, was) if each.side == "before" else (head, now)))) for each in broken)
    ends = () if after is None else (_placed(each, head, now) for each in endings(after, datetime.now(UTC)))
    return Compared(now, difference(before, after), tuple(placed), faults, tuple(ends))


def _placed(found: Broken | Finding, state: State, file: Path) -> Fault:
    return Fault(state.called(file), revisions.line_of(state, file, found.path), dotted(found.path), found.message)


def _print(told: list[Compared], shape: DifferenceFormat, marker: str, allowed: list[str], nothing: str) -> None:
    match shape:
        case DifferenceFormat.JSON:
            typer.echo(json_text([_as_data(each, allowed) for each in told]))
        case DifferenceFormat.MARKDOWN:
            typer.echo(_markdown(told, marker, allowed, nothing), nl=False)
        case DifferenceFormat.TABLE:
            _print_tables(told, allowed, nothing)


_NOTHING = "nothing changes in any environment of configs/"
_NOTHING_ELSE = "nothing changes in the environments of configs/ that can be read"


def _print_tables(told: list[Compared], allowed: list[str], nothing: str) -> None:
    from wg_office.review import report

    if not told:
        typer.echo(nothing)
    for each in told:
        if each.made.empty:
            typer.echo(report.nothing(each.made))
        else:
            typer.echo(report.summary(each.made))
            console().print(report.table(each.made))
        for passed, text in each.notes(allowed):
            complain(text, colour=typer.colors.YELLOW if passed else typer.colors.RED)


def _markdown(told: list[Compared], marker: str, allowed: list[str], nothing: str) -> str:
    from wg_office.review import report

    first = f"<!-- {marker} -->\n" if marker else ""
    longest = (report.LONGEST_COMMENT - len(first)) // max(len(told), 1) - 1
    texts = [report.markdown(each.made, [text for _, text in each.notes(allowed)], longest) for each in told]
    return first + ("\n".join(texts) or f"{nothing}\n")


def _as_data(each: Compared, allowed: list[str]) -> dict[str, object]:
    from wg_office.review import report

    guards = [
        {"rule": broken.rule, "file": fault.file, "line": fault.line, "message": fault.message, "allowed": broken.rule in allowed}
        for broken, fault in each.broken
    ]
    faults = [{"file": fault.file, "line": fault.line, "path": fault.path, "message": fault.message} for fault in each.faults]
    return {"file": str(each.file), **report.as_data(each.made), "guards": guards, "base_faults": faults, "ends": list(map(str, each.ends))}


# --- diagram ---------------------------------------------------------------------------------------------------------------------------


def diagram(
    file: EnvironmentFile,
    before: Annotated[
        str, typer.Option(help="Draw what has changed since: a file, a git revision, or REVISION:PATH", metavar="BASE", show_default=False)
    ] = "",
    shape: Annotated[PictureFormat, typer.Option("--format", help="For documents and browsers, or for merge requests")] = PictureFormat.SVG,
) -> None:
    """Draw the network: sites, people, and who reaches what. Of a change, what comes is green and what goes is red.

    Example: python -m wg_office diagram configs/dev.yaml > network.svg

    Example: python -m wg_office diagram configs/dev.yaml --before main --format mermaid
    """
    from wg_office.review.draw import mermaid, svg
    from wg_office.review.picture import picture

    environment = environment_of(file)
    drawn = picture(environment, _before(before, file) if before else None)
    typer.echo(svg(drawn) if shape is PictureFormat.SVG else mermaid(drawn), nl=False)


def _before(word: str, file: Path) -> Environment:
    with _revisions_reported(), faults_reported():
        state = state_of(word)
        found = revisions.environment(State(state.revision, state.file or file), state.file or file)
    assert found is not None, "a state that names its file has it, or says so"
    return found


# --- new -------------------------------------------------------------------------------------------------------------------------------


_HUB_IS_AT = "The hub's public address or name, with :port if it is not 51820"


def new(
    environment: Annotated[str, typer.Option(prompt="A name for the network, such as office", help="The environment's name")],
    endpoint: Annotated[str, typer.Option(prompt=_HUB_IS_AT, help=_HUB_IS_AT)],
    site: Annotated[str, typer.Option(prompt="A name for the office, such as beijing", help="The office's name")],
    lan: Annotated[str, typer.Option(prompt="The office's network, such as 192.168.200.0/24", help="The office's network")],
    lan_address: Annotated[str, typer.Option(prompt="The gateway's address in it", help="The gateway's address in it")],
    gateway_ssh: Annotated[
        str, typer.Option(prompt="How you reach the gateway by SSH: [USER@]HOST[:PORT]", help="SSH to the gateway: [USER@]HOST[:PORT]")
    ],
    developer: Annotated[str, typer.Option(prompt="The first developer's name", help="The first developer")],
    hub_ssh: Annotated[str, typer.Option(help="SSH to the hub, if not at its public address: [USER@]HOST[:PORT]", show_default=False)] = "",
    platform: Annotated[str, typer.Option(help="The developer's platform, such as macos", show_default=False)] = "",
    return_path: Annotated[str, typer.Option(help="static-route or masquerade")] = "static-route",
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; left out: configs/ENVIRONMENT.yaml", metavar="FILE", show_default=False)
    ] = None,
) -> None:
    """Write a first environment file, with addresses that are free and comments for whoever goes on. Asks for what is needed, not given.

    Example: python -m wg_office new
    """
    from wg_office.reading.new import Answers

    answers = Answers(environment, endpoint, site, lan, lan_address, gateway_ssh, developer, hub_ssh, platform, return_path)
    file = out or Path("configs") / f"{environment.strip()}.yaml"
    text = _checked(answers, file)
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        stop(f"{file} is there already; name another file with --out, or edit it")
    except OSError as error:
        stop(f"{file} cannot be written: {error.strerror}; name another place with --out")
    _after_writing(file)


def _checked(answers: "Answers", file: Path) -> str:
    """The text of the file, which `check` accepts. Where it does not, nothing has been written, and each wrong answer is named."""
    from wg_office.reading.load import inspect
    from wg_office.reading.new import new_environment, said_of_answers
    from wg_office.review.around import others_beside

    name = answers.environment.strip()
    if not name or Path(name).name != name or not name.isprintable():
        stop(one_line(f"{name or 'an empty text'}: is no name for a file; choose one of letters, digits and hyphens"))
    try:
        text = new_environment(answers, [other.network.cidr for other in others_beside(file).values()])
    except ValueError as error:
        stop(one_line(f"--lan: {error}"))
    with tempfile.TemporaryDirectory(prefix="wg-office-new-") as folder:
        draft = Path(folder) / "office.yaml"
        draft.write_text(text, encoding="utf-8", errors="replace")
        faults = inspect(draft, require_host_keys=False).faults
    for line in said_of_answers(faults, answers):
        complain(one_line(line))
    if faults:
        stop("nothing has been written; answer again", FAULTY)
    return text


def _after_writing(file: Path) -> None:
    """What `check` says, and what is typed next."""
    from wg_office.reading.load import inspect

    report = inspect(file, require_host_keys=False)
    tell(report)
    assert report.environment is not None, "it was checked before it was written"
    for line in _next_commands(report.environment, file):
        typer.echo(line)


def _next_commands(env: Environment, file: Path) -> Iterator[str]:
    from wg_office.environment.known_hosts import keyscan

    known = file.parent / (env.known_hosts or "")
    yield "\nAsk each host for its key, and compare it with what the host's own console shows:\n"
    for ssh in (env.hub.ssh, *(gateway.ssh for gateway in env.gateways if gateway.ssh is not None)):
        yield f"    {keyscan(ssh)} >> {shlex.quote(str(known))}"
    yield f"    ssh-keygen -lf {shlex.quote(str(known))}"
    yield "\nThen:\n"
    for command in ("check", "render", "access"):
        yield f"    python -m wg_office {command} {shlex.quote(str(file))}"
