"""The real program on the machines of a try: a stack of its own, in a folder of its own, with this clone's tools."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from toolchain.environment import apart
from toolchain.install import read_selection
from toolchain.places import here

NAME = "try"
_GRACE = 25
"""Seconds that an interrupted `up` is given to end by itself."""
_SHOWN = 25
"""Lines of what Pulumi said that are shown where it fails."""


@dataclass(frozen=True)
class Stack:
    """A project with one stack, whose program is this clone's; nothing of it is shared but the plugins."""

    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def new(cls, clone: Path, folder: Path, tools: Mapping[str, str], environment_file: Path, key: Path) -> Stack:
        """An empty stack for this environment file and this operator's key."""
        (folder / "backend").mkdir(parents=True)
        lay_project(clone, folder)
        own = {"PULUMI_BACKEND_URL": f"file://{folder}/backend", "PYTHONPATH": str(clone)}
        stack = cls(folder, {**tools, **own})
        stack.pulumi("stack", "init", NAME)
        stack.pulumi("config", "set", "environment", str(environment_file))
        stack.pulumi("config", "set", "sshKeyFile", str(key))
        return stack

    def up(self) -> None:
        """`pulumi up`, as after the merge."""
        self.pulumi("up", "--yes", "--skip-preview")

    def outputs(self) -> dict[str, Any]:
        """All outputs, the secret ones too: people's files are among them."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", "--show-secrets")))

    def pulumi(self, *arguments: str) -> str:
        """Run `pulumi` and return what it said; where it fails its own words say why."""
        with _held_back() as let_through, self._start(arguments) as process:
            try:
                let_through()
                out, err = process.communicate()
            except BaseException:
                _interrupt(process)
                raise
        if process.returncode:
            said = "\n".join([line for line in (out + err).splitlines() if line.strip()][-_SHOWN:])
            raise LabError(f"`pulumi {arguments[0]}` failed on the machines of the try, and said:\n{said}")
        return out

    def _start(self, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What interrupts us is passed on once.
            start_new_session=True,
        )


@contextlib.contextmanager
def _held_back() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the call: raised while a process is being started, it would leave that at work, unknown to us."""
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))

    def let_through() -> None:
        signal.signal(signal.SIGINT, before)
        while came:
            signal.raise_signal(came.pop())

    try:
        yield let_through
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C would: its plugins end with it. Killed, it would leave them at work."""
    process.send_signal(signal.SIGINT)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE)
    finally:
        process.kill()


def lay_project(clone: Path, folder: Path) -> None:
    """Make the folder a project whose program and Python are this clone's."""
    (folder / "__main__.py").symlink_to(clone / "__main__.py")
    (folder / "Pulumi.yaml").write_text((clone / "Pulumi.yaml").read_text().replace("virtualenv: .venv", f"virtualenv: {clone}/.venv"))


def tools() -> dict[str, str]:
    """The environment in which `pulumi` is this clone's."""
    places = here()
    selection = read_selection(places)
    if selection is None:
        raise LabError("Pulumi is not in place: run `make toolchain` first.")
    return apart(places, selection, os.environ)
