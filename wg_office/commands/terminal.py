"""How all commands speak to the person at the terminal, and end. Room: commands."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from wg_office.environment.faults import Faults, Unreadable
from wg_office.environment.model import Developer, Environment
from wg_office.reading.load import Report, load

if TYPE_CHECKING:
    from rich.console import Console

FAULTY, UNUSABLE, UNREACHABLE = 1, 2, 5
"""Exit statuses: faults, wrong usage, and a host that could not be asked."""

_WIDE = 200
"""Columns of a table that goes into a file or pipe."""


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


def console() -> "Console":
    """For tables. rich takes a pipe to be 80 columns wide, where the cells would be folded beyond reading."""
    from rich.console import Console

    made = Console()
    return made if made.is_terminal else Console(width=_WIDE)


EnvironmentFile = Annotated[Path, typer.Argument(help="An environment file, such as configs/dev.yaml", metavar="FILE", show_default=False)]
EnvironmentOption = Annotated[Path, typer.Option(help="The environment file", metavar="FILE", show_default=False)]
KeyFile = Annotated[
    Path | None,
    typer.Option(help="The operator's private key; left out: the stack's sshKeyFile, or without one the SSH agent", show_default=False),
]
StackName = Annotated[str | None, typer.Option(help="The stack; left out: the one called like the environment", show_default=False)]


def create(file: Path, text: str, mode: int) -> None:
    """A new file that `--out` names, or a line and the end."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as created:
            created.write(text)
    except OSError as error:
        stop(f"{file} cannot be written: {error.strerror}; name another place with --out", UNUSABLE)


def refuse_existing(file: Path) -> None:
    """Nothing is written over."""
    if file.exists():
        stop(f"{file} is there already; name another file with --out, or remove it")


def tell(report: Report) -> None:
    """What `check` says of a file."""
    for fault in report.faults:
        complain(str(fault))
    for warning in report.warnings:
        complain(f"warning: {warning}", colour=typer.colors.YELLOW)
    if report.environment is not None:
        typer.echo(f"{report.file}: {summary(report.environment)}")
        typer.echo(f"{report.file}: {keys_in_state(report.environment)}")


def keys_in_state(environment: Environment) -> str:
    """`private keys in the state: 2 of 3 (z, e)`, or that there is none."""
    held = environment.keys_in_state
    if not held:
        return "private keys in the state: none, each machine keeps its own"
    return f"private keys in the state: {len(held)} of {len(environment.peers)} ({_some(held)})"


def summary(environment: Environment) -> str:
    """`dev is fine: hub z, 2 gateways (a at shenzhen, c at beijing), 2 developers (e, f)`."""
    gateways = [f"{each.name} at {each.site}" for each in environment.gateways]
    developers = [_person(each) for each in environment.developers]
    hub = f"hub {environment.hub.name}{f' at {environment.hub.site}' if environment.hub.site else ''}"
    parts = [hub, _counted("gateway", gateways), _counted("developer", developers)]
    return f"{environment.environment} is fine: {', '.join(parts)}"


def _person(developer: Developer) -> str:
    devices = " and ".join(each.name for each in developer.devices)
    return f"{developer.name} with {devices}" if devices else developer.name


def _counted(what: str, names: list[str]) -> str:
    if not names:
        return f"no {what}s"
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'} ({_some(names)})"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:7])} and {len(names) - 7} more"
