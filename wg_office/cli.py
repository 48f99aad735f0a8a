"""The command line of the core: what can be said about an environment without Pulumi and without dialling anybody.

Exit status: 0 fine, 1 the file has faults, 2 wrong usage or a file that cannot be read.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from wg_office.faults import Faults, Unreadable
from wg_office.load import Report, inspect, load
from wg_office.model import Environment
from wg_office.schema import schema_text

FAULTY, UNUSABLE = 1, 2

app = typer.Typer(
    help="Checks and shows what an office environment means, without Pulumi and without dialling anybody.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _main() -> None:
    """Keeps subcommands subcommands, however few there are."""


# --- helpers for all commands ------------------------------------------------------------------------------------------------------------


def complain(line: str, *, colour: str = typer.colors.RED) -> None:
    """One line on stderr; coloured on a terminal only, which is click's doing."""
    typer.echo(typer.style(line, fg=colour), err=True)


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


# --- what the environment means: render, access, status, handout are registered here -----------------------------------------------------
