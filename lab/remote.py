"""Commands in the virtual machine and its nodes: one SSH connection, shared by all of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import LabError
from .keys import KNOWN_HOSTS, OPERATOR_KEY
from .nodes import OFFICE, Topology
from .settings import Settings

ENTER = "/run/lab/bin/enter"


@dataclass(frozen=True)
class Connection:
    """The way into the virtual machine of one lab."""

    settings: Settings
    topology: Topology = OFFICE

    @property
    def socket(self) -> Path:
        """The shared connection's control socket."""
        return self.settings.runtime / "ssh"

    def ssh(self, port: int, *, shared: bool) -> list[str]:
        """An ssh command line up to the host, for a forwarded port."""
        state = self.settings.state
        options = {
            "IdentityFile": state / OPERATOR_KEY,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": state / KNOWN_HOSTS,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "60",
            # A machine that hangs is no reason to wait for ever; one that is busy says something within two minutes.
            "ServerAliveInterval": "30",
            "ServerAliveCountMax": "4",
            "LogLevel": "ERROR",
        }
        if shared:
            options |= {"ControlPath": self.socket, "ControlMaster": "auto", "ControlPersist": "yes"}
        flags = [f"-o{key}={value}" for key, value in options.items()]
        return ["ssh", "-F/dev/null", *flags, f"-p{port}", "root@127.0.0.1"]

    def command(self, node: str, argv: Sequence[str], tag: str, terminal: bool = False) -> list[str]:
        """The local command that runs `argv` inside a node."""
        self.topology.check(node)
        self._make_runtime()
        ssh, *rest = self.ssh(self.settings.port_base, shared=True)
        return [ssh, *(["-t"] if terminal else []), *rest, remote_command(node, argv, tag)]

    def interrupt(self, tag: str, signal_name: str) -> None:
        """Signal a command that runs in a node, if the machine still hears it."""
        command = [*self.ssh(self.settings.port_base, shared=True), shlex.join(["/run/lab/bin/interrupt", tag, signal_name])]
        _quietly(command, seconds=30)

    def close(self) -> None:
        """End the shared connection and remove its socket."""
        if self.socket.exists():
            _quietly(["ssh", "-F/dev/null", f"-oControlPath={self.socket}", "-Oexit", "root@127.0.0.1"], seconds=10)
        self.socket.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.settings.runtime.rmdir()

    def _make_runtime(self) -> None:
        directory = self.settings.runtime
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        info = directory.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
            raise LabError(
                f"{directory} belongs to somebody else or is open to others: remove it, or set XDG_RUNTIME_DIR to a directory of your own."
            )


def _quietly(command: Sequence[str], seconds: float) -> None:
    """Run what may fail, and may go unheard."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds)


def remote_command(node: str, argv: Sequence[str], tag: str) -> str:
    """One line for the shell at the other end of ssh that gives `argv` to the node exactly as it is here."""
    if not argv:
        raise LabError("exec needs a command: `python -m lab exec NODE -- COMMAND...`.")
    # `exec`, so that the process that notes its id for the tag is the leader of the session's process group.
    return shlex.join(["exec", ENTER, tag, node, *argv])


def new_tag() -> str:
    """A name by which a running command can be found again."""
    return secrets.token_hex(6)


class Background:
    """A command that runs in a node until it ends or is stopped; its output is read from `process`."""

    def __init__(self, connection: Connection, node: str, argv: Sequence[str], stdin: int | IO[str] | None = subprocess.DEVNULL) -> None:
        self._connection = connection
        self._tag = new_tag()
        self.argv = tuple(argv)
        self.process = subprocess.Popen(
            connection.command(node, argv, self._tag),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self, signal_name: str = "INT", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Signal the command (SIGINT makes ping and tcpdump print their summary) and collect what it printed."""
        self.signal(signal_name)
        return self.wait(timeout)

    def signal(self, name: str) -> None:
        """The same, for whoever reads the output elsewhere."""
        if self.process.poll() is None:
            self._connection.interrupt(self._tag, name)

    def wait(self, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """Collect the output of a command that ends by itself."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._connection.interrupt(self._tag, "KILL")
            self.process.kill()
            self.process.communicate()
            raise
        return subprocess.CompletedProcess(self.argv, self.process.returncode, out, err)

    def __enter__(self) -> Background:
        """Use as a context manager: the command does not outlive the block."""
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            if self.process.poll() is None:
                self.stop("KILL")
