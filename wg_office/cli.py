"""The command line of the core: what can be said about an environment without Pulumi.

Only `status` dials, and changes nothing. `handout` asks Pulumi for what a stack holds, and `status --repair` tells it what to repair.
Exit status: 0 fine, 1 the file has faults or a hand-out cannot be made, 2 wrong usage or a file that cannot be read; `status` has more.
"""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from wg_office import access_report, status_report
from wg_office.dial import NoLogin, read_hosts
from wg_office.document import parse
from wg_office.faults import Faults, Unreadable
from wg_office.handout import HandoutError, run_handout
from wg_office.hostscript import scripts
from wg_office.instructions import by_hand
from wg_office.keys import GENERATED_ON_APPLY, PublicNames
from wg_office.load import Report, inspect, load
from wg_office.model import Developer, Environment, Peer
from wg_office.plan import HostPlan, plan
from wg_office.render import File, Keys, render_files
from wg_office.schema import schema_text
from wg_office.stack import StackError, developer_confs, repair_command, set_repair, stack_outputs
from wg_office.status import EXIT_STATUS, judge

FAULTY, UNUSABLE = 1, 2

_WIDE = 200
"""Columns of a table that goes into a file or pipe."""

_EXAMPLES = """Examples:

    python -m wg_office check configs/dev.yaml

    python -m wg_office access configs/dev.yaml

    python -m wg_office render configs/dev.yaml --host z

    python -m wg_office status configs/dev.yaml

    python -m wg_office handout e --file configs/dev.yaml"""

app = typer.Typer(
    help=f"""Checks and shows what an office environment means, without dialling anybody; `status` asks its hosts how they are.

{_EXAMPLES}""",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


# --- helpers for all commands ------------------------------------------------------------------------------------------------------------


def complain(line: str, *, colour: str = typer.colors.RED) -> None:
    """One line on stderr; coloured on a terminal only, which is click's doing."""
    typer.echo(typer.style(line, fg=colour), err=True)


def stop(line: str, status: int = UNUSABLE) -> NoReturn:
    """One line on stderr, and the end."""
    complain(line)
    raise typer.Exit(status)


def fail(faults: Faults) -> NoReturn:
    """Print the faults, one a line, and end with the status they deserve."""
    for fault in faults.faults:
        complain(str(fault))
    raise typer.Exit(UNUSABLE if isinstance(faults, Unreadable) else FAULTY)


@contextmanager
def faults_reported() -> Iterator[None]:
    """Turn Faults into lines on stderr and an exit status."""
    try:
        yield
    except Faults as faults:
        fail(faults)


def environment_of(file: Path) -> Environment:
    """The environment of a file for commands that only show things: host keys may be missing."""
    with faults_reported():
        return load(file, require_host_keys=False)


def console() -> Console:
    """For tables. rich takes a pipe to be 80 columns wide, where the cells would be folded beyond reading."""
    made = Console()
    return made if made.is_terminal else Console(width=_WIDE)


EnvironmentFile = Annotated[Path, typer.Argument(help="An environment file, such as configs/dev.yaml", metavar="FILE", show_default=False)]


# --- check and schema --------------------------------------------------------------------------------------------------------------------


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Environment files, such as configs/dev.yaml", metavar="FILE...")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON list on stdout")] = False,
) -> None:
    """Report every fault of environment files; nothing is dialled or changed."""
    status, reports = 0, list[Report]()
    for file in files:
        try:
            report = inspect(file)
        except Unreadable as unreadable:
            report = Report(str(file), None, unreadable.faults)
            status = UNUSABLE
        reports.append(report)
        if report.faults:
            status = status or FAULTY
        if not as_json:
            _print(report)
    if as_json:
        typer.echo(json.dumps([_as_data(report) for report in reports], indent=2, ensure_ascii=False))
    raise typer.Exit(status)


def _print(report: Report) -> None:
    for fault in report.faults:
        complain(str(fault))
    for warning in report.warnings:
        complain(f"warning: {warning}", colour=typer.colors.YELLOW)
    if report.environment is not None:
        typer.echo(f"{report.file}: {summary(report.environment)}")


def summary(environment: Environment) -> str:
    """`dev is fine: hub z, 2 gateways (a at shenzhen, c at beijing), 2 developers (e, f)`."""
    gateways = [f"{each.name} at {each.site}" for each in environment.gateways]
    developers = [each.name for each in environment.developers]
    parts = [f"hub {environment.hub.name}", _counted("gateway", gateways), _counted("developer", developers)]
    return f"{environment.environment} is fine: {', '.join(parts)}"


def _counted(what: str, names: list[str]) -> str:
    if not names:
        return f"no {what}s"
    shown = ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:7])} and {len(names) - 7} more"
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'} ({shown})"


def _as_data(report: Report) -> dict[str, object]:
    return {
        "file": report.file,
        "environment": report.environment.environment if report.environment is not None else None,
        "faults": [asdict(fault) for fault in report.faults],
        "warnings": [asdict(warning) for warning in report.warnings],
    }


@app.command()
def schema() -> None:
    """Print the JSON schema of environment files (configs/environment.schema.json)."""
    typer.echo(schema_text(), nl=False)


# --- render ------------------------------------------------------------------------------------------------------------------------------


@app.command()
def render(
    file: EnvironmentFile,
    host: Annotated[str | None, typer.Option(help="Only this host's files", metavar="NAME", show_default=False)] = None,
    with_script: Annotated[bool, typer.Option("--script", help="Also print, once at the end, what runs on the hosts")] = False,
) -> None:
    """Print every file that every host would get, for the review of a first installation.

    Keys do not exist before the deployment and secret ones never stand in these files: `(generated on apply)` stands for their names.

    Example: python -m wg_office render configs/dev.yaml --host z
    """
    environment = environment_of(file)
    plans = plan(environment)
    chosen = [each for each in plans if host in (None, each.name)]
    if not chosen:
        stop(f"{file}: {environment.environment} has no host {host}; it has {', '.join(each.name for each in plans)}")
    keys = placeholders(environment)
    for each in chosen:
        typer.echo(f"{_introduced(each)}\n")
        for rendered in render_files(each, keys):
            typer.echo(_under_heading(each.name, rendered))
    if host is None:
        for instruction in by_hand(environment):
            typer.echo(f"# by hand: {instruction}\n")
    if with_script:
        texts = scripts()
        for travelling in (File("wg-office", texts.host), File("flows.awk", texts.flows)):
            typer.echo(_under_heading("the hub and every gateway" if travelling.path == "flows.awk" else "every host", travelling))


def placeholders(environment: Environment) -> Keys:
    """What stands for keys before they exist; a public key that a developer brought is known."""
    return {
        peer.name: PublicNames(_own_key(peer) or GENERATED_ON_APPLY, GENERATED_ON_APPLY, GENERATED_ON_APPLY) for peer in environment.peers
    }


def _own_key(peer: Peer) -> str | None:
    return peer.public_key if isinstance(peer, Developer) else None


def _introduced(host: HostPlan) -> str:
    through = ", through the hub" if host.ssh.via is not None else ""
    key = host.ssh.host_key_fingerprint or "not known yet"
    return f"# host {host.name}, {host.role} of {host.environment}; reached as {host.ssh.address}{through}, host key {key}"


def _under_heading(host: str, file: File) -> str:
    return f"==> {host}: {file.path}\n{file.text}"


# --- access ------------------------------------------------------------------------------------------------------------------------------


class TableFormat(StrEnum):
    """How the access table is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"


@app.command()
def access(
    file: EnvironmentFile,
    table_format: Annotated[TableFormat, typer.Option("--format", help="For a terminal, a document, or a spreadsheet")] = TableFormat.TABLE,
) -> None:
    """Print who may reach what, and which line of the file says so. What is not in the table is not possible.

    Example: python -m wg_office access configs/dev.yaml --format csv > access.csv
    """
    environment = environment_of(file)
    lines = parse(file.read_text(encoding="utf-8-sig")).line
    match table_format:
        case TableFormat.MARKDOWN:
            typer.echo(access_report.markdown(environment, lines), nl=False)
        case TableFormat.CSV:
            typer.echo(access_report.csv_text(environment, lines), nl=False)
        case TableFormat.TABLE:
            console().print(access_report.table(environment, lines))


# --- status ------------------------------------------------------------------------------------------------------------------------------


@app.command()
def status(
    file: EnvironmentFile,
    key: Annotated[Path | None, typer.Option(help="The operator's private key; left out: the SSH agent", show_default=False)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that each host may take; all are asked at once", min=1)] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object on stdout")] = False,
    with_peers: Annotated[bool, typer.Option("--peers", help="Also a table of all peers of all hosts")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Have the next `pulumi up` apply everything again on hosts with drift")] = False,
    stack: Annotated[
        str | None, typer.Option(help="For --repair; left out: the one called like the environment", show_default=False)
    ] = None,
) -> None:
    """Ask all hosts how they are: drift, health, and whether an `up` is due. Changes nothing, and needs neither Pulumi nor a secret of its.

    Exit status: 0 all well; 3 an `up` is due, since a host differs from the file; 4 drift, since a host differs from what it was given,
    or trouble, since something does not work; 5 a host could not be asked. The highest that applies. As everywhere, 1 is for faults of
    the file, and 2 for wrong usage. docs/drift.md has more.

    Example: python -m wg_office status configs/dev.yaml --key ~/.ssh/wg-office --json
    """
    environment = environment_of(file)
    plans = plan(environment)
    try:
        hosts = judge(environment, plans, read_hosts(environment, plans, key, timeout), scripts())
    except NoLogin as error:
        stop(str(error))
    if as_json:
        typer.echo(json.dumps(status_report.as_data(environment, hosts), indent=2, ensure_ascii=False))
    else:
        console().print(status_report.table(environment, hosts))
        if with_peers:
            console().print(status_report.peer_table(hosts))
        for line in (*status_report.lines(hosts), status_report.summary(environment, hosts)):
            typer.echo(line)
    broken = [host.plan.name for host in hosts if host.needs_repair]
    if repair and broken:
        _have_repaired(stack or environment.environment, broken)
    raise typer.Exit(EXIT_STATUS[status_report.state(hosts)])


def _have_repaired(stack: str, hosts: list[str]) -> None:
    """Write a stamp for each host into the stack's configuration; what is said goes to stderr, beside any JSON."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        set_repair(stack, hosts, stamp)
    except StackError as error:
        complain(f"{error}. By hand: {shlex.join(['pulumi', *repair_command(stack, hosts, stamp)])}")
        return
    complain(f"the next `pulumi up --stack {stack}` repairs {', '.join(hosts)}, and shows them in its preview", colour=typer.colors.YELLOW)


# --- handout -----------------------------------------------------------------------------------------------------------------------------


@app.command()
def handout(
    name: Annotated[str, typer.Argument(help="A developer of the file", metavar="NAME", show_default=False)],
    file: Annotated[Path, typer.Option(help="The environment file", metavar="FILE", show_default=False)],
    stack: Annotated[str | None, typer.Option(help="The stack; left out: the one called like the environment", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it; left out: handout-ENVIRONMENT-NAME.html here", show_default=False)
    ] = None,
    as_zip: Annotated[bool, typer.Option("--zip", help="A zip with the page and the WireGuard files")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already")] = False,
) -> None:
    """Write the page that a developer gets: the WireGuard files, how to set them up, and what may be reached.

    It holds the developer's private key: readable for you only, to be handed over in private and then removed.
    The stack must have been deployed, and `pulumi` must be on the PATH (in this clone: eval "$(make -s env)").

    Example: python -m wg_office handout e --file configs/dev.yaml --zip
    """
    environment = environment_of(file)
    if name not in [developer.name for developer in environment.developers]:
        known = ", ".join(developer.name for developer in environment.developers) or "none yet"
        stop(f"{file}: {environment.environment} has no developer {name}; it has {known}")
    try:
        confs = developer_confs(stack_outputs(stack or environment.environment), name)
        written = run_handout(environment, name, confs, out, as_zip=as_zip, force=force)
    except (HandoutError, StackError) as error:
        stop(str(error), FAULTY)
    typer.echo(f"{written}: for {name} only; hand it over in private, then remove it")
