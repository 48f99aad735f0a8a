"""One command on one machine, over a new SSH connection. Room: Pulumi, and the only place that knows pulumi-command.

What its resource is given, what its hooks are handed, what its errors say (Go's plugin and the stand-in for it alike), and which limits it
keeps: all of that is here. Others speak of a Way, of what a command is Given, and of how it Ended.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pulumi
from pulumi_command import remote

from wg_office.asking.advice import Failure
from wg_office.environment.model import Ssh
from wg_office.hosts.hostscript import NOTICE
from wg_office.text.printable import one_line

COMMAND = "command:remote:Command"
"""The type of the resource, as the state names it."""

DIALS = 3
"""Attempts to connect after the first one. With the time-out all stay under half of the roll-back delay: no late retry re-applies."""


@dataclass(frozen=True)
class Operator:
    """How the operator logs in everywhere: a private key (secret), or the SSH agent where there is none."""

    private_key: pulumi.Output[str] | None = None


@dataclass(frozen=True)
class Way:
    """How a machine is reached: where, through which other if any, by whom, and how many seconds one attempt to connect may take."""

    ssh: Ssh
    through: Ssh | None
    operator: Operator
    seconds: int


@dataclass(frozen=True)
class Work:
    """The command that brings what is fed to it, the one that takes it away again, and what both read. The lines hold no secret.

    `put_again` is the first one's text for an update, where that is another one each time.
    """

    put: str
    take_away: str
    fed: pulumi.Output[str]
    put_again: pulumi.Output[str] | None = None


def command(name: str, way: Way, work: Work, opts: pulumi.ResourceOptions) -> remote.Command:
    """The resource. What its commands say is shown to nobody: it is in the errors where one fails."""
    return remote.Command(
        name,
        connection=_connection(way),
        create=work.put,
        update=work.put if work.put_again is None else work.put_again,
        delete=work.take_away,
        stdin=work.fed,
        logging=remote.Logging.NONE,
        add_previous_output_in_env=False,
        # Where an update has a text of its own, it is `create` but for the attempt: a change of what runs shows there.
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(additional_secret_outputs=["stdout", "stderr"], hide_diffs=["update"])
        ),
    )


def _connection(way: Way) -> remote.ConnectionArgs:
    proxy = remote.ProxyConnectionArgs(**_dialling(way.through, way)) if way.through is not None else None
    return remote.ConnectionArgs(**_dialling(way.ssh, way), proxy=proxy)


def _dialling(ssh: Ssh, way: Way) -> dict[str, Any]:
    return {
        "host": ssh.host,
        "port": float(ssh.port),
        "user": ssh.user,
        "host_key": ssh.host_key,
        "private_key": way.operator.private_key,
        "dial_error_limit": DIALS,
        "per_dial_timeout": way.seconds,
    }


def fed_to(outputs: Mapping[str, Any]) -> str:
    """What a command was fed when it last succeeded, from its outputs in the state."""
    fed = outputs.get("stdin")
    return fed if isinstance(fed, str) else ""


# --- what a hook is handed -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """What a command was given, as the engine has it: which machine, through which other if any, what it reads (which may be secret)."""

    ssh: Ssh
    through: Ssh | None
    fed: str


async def given(inputs: Mapping[str, Any] | None) -> Given | None:
    """From a resource's inputs; None where there are none, or not known yet how the machine is reached."""
    connection = await _known(inputs, "connection")
    if not connection:
        return None
    proxy = connection.get("proxy")
    return Given(_ssh(connection), _ssh(proxy) if proxy else None, await _known(inputs, "stdin") or "")


async def _known(inputs: Mapping[str, Any] | None, name: str) -> Any:
    return await pulumi.Output.from_input((inputs or {}).get(name)).future()


def _ssh(connection: Mapping[str, Any]) -> Ssh:
    return Ssh(host=connection["host"], port=int(connection["port"]), user=connection["user"], host_key=connection.get("hostKey"))


# --- how a run of it ended -----------------------------------------------------------------------------------------------------------


class How(Enum):
    """How one run of a command that did not succeed ended, as far as it is known."""

    EXITED = "it told its exit status"
    UNHEARD = "it may have begun, and nobody knows how it ended"
    NEVER_BEGAN = "it was never begun"


@dataclass(frozen=True)
class Ended:
    """The end of one run: its exit status where it told one, and how the connection failed where there was none."""

    how: How
    status: int | None = None
    failure: Failure | None = None


_OWN_WORDS = ": running "
"""What follows is the command and what it said, which may be any words."""

_UNHEARD = ("exited without exit status", "error reading from server", "rpc error", "transport is closing")
"""The session broke, or the plugin itself has ended: the command may have begun."""

_SIGNS = {
    "host key": Failure.HOST_KEY,
    "passphrase": Failure.PASSPHRASE,
    "ssh: no key found": Failure.NO_KEY,
    "unable to authenticate": Failure.LOGIN,
    "dial unix": Failure.AGENT,
    "dial tcp": Failure.UNREACHABLE,
    "ssh: rejected": Failure.BEYOND,
    "handshake failed": Failure.HANDSHAKE,
}
"""How a connection failed, by what the error says; the first that fits."""


def ended(error: str) -> Ended:
    """What an error of the plugin's says about a run."""
    verdict, ran, _ = error.partition(_OWN_WORDS)
    status = re.search(r"exited with status (\d+)", verdict)
    if status is not None:
        # 128 and more is also what a signal counts as.
        return Ended(How.EXITED, int(status[1]))
    if ran or any(sign in verdict for sign in _UNHEARD):
        return Ended(How.UNHEARD)
    return Ended(How.NEVER_BEGAN, failure=next((failure for sign, failure in _SIGNS.items() if sign in verdict), None))


def runs(errors: Sequence[str]) -> tuple[Ended, ...]:
    """The same for all runs of one operation, in the order given."""
    return tuple(map(ended, errors))


def notices(error: str) -> tuple[str, ...]:
    """What the host wants its operator to know although nothing failed: lines of its own words, made fit to be shown."""
    said = error.partition(_OWN_WORDS)[2].splitlines()
    return tuple(one_line(line.removeprefix(NOTICE)) for line in said if line.startswith(NOTICE))


# --- a run that never ends -----------------------------------------------------------------------------------------------------------

_PLUGINS = (b"pulumi-resource-command", b"plugin_command")
"""The official one, and the stand-in, by what stands in their command lines."""


def give_up() -> bool:
    """End the plugin: where a session stalls, the official one knows no limit, and no way to be told. Whether there was one to end.

    The engine takes that for the end of what it was asked to do. Where there is no /proc nothing can be found, and nothing is ended.
    """
    found = plugins(os.getpid(), _parents(), _is_plugin)
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return bool(found)


def plugins(program: int, parents: Mapping[int, int], is_plugin: Callable[[int], bool]) -> list[int]:
    """Those of the engine that runs the program: the nearest of its ancestors that has any. Another engine's are left alone."""
    for ancestor in ancestors(program, parents):
        found = [child for child, parent in parents.items() if parent == ancestor and is_plugin(child)]
        if found:
            return found
    return []


SECONDS_LEFT = 3
"""After an interrupt, where the language host is the official one: it kills the program two seconds later, and with it all hooks."""

_HASTY = "pulumi-language-python"


def is_killed_soon() -> bool:
    """Whether a program that was interrupted has only those seconds. The stand-in for the language host is a program of Python's."""
    return any(_runs(ancestor) == _HASTY for ancestor in ancestors(os.getpid(), _parents()))


def ancestors(process: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Nearest first."""
    while process := parents.get(process, 0):
        yield process


def _parents() -> dict[int, int]:
    return {int(folder.name): _parent(folder) for folder in Path("/proc").glob("[0-9]*")}


def _runs(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/exe").readlink().name
    return ""


def _is_plugin(process: int) -> bool:
    with suppress(OSError):
        return any(name in Path(f"/proc/{process}/cmdline").read_bytes() for name in _PLUGINS)
    return False


def _parent(folder: Path) -> int:
    with suppress(OSError):
        # Its name, which may hold anything, stands in brackets before its state and its parent.
        return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0
