"""A project with one stack of the real engine, in a folder of its own."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Stack:
    """A project with one stack, in a folder of its own; nothing of it is shared with other stacks but the plugins."""

    folder: Path
    environment: dict[str, str]
    name: str = "test"
    log: list[str] = field(default_factory=list)

    def program(self, text: str) -> None:
        """Write the program."""
        (self.folder / "__main__.py").write_text(text)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `pulumi` and do not wait for it."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pulumi(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """Run `pulumi` and return all that it said; the test fails unless it ends as expected."""
        process = self.start(*arguments, **environment)
        said, _ = process.communicate(timeout=900)
        self.log.append(said)
        assert (process.returncode != 0) is fails, f"pulumi {' '.join(arguments)} ended with {process.returncode}:\n{said}"
        return said

    def up(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """`pulumi up` without asking."""
        return self.pulumi("up", "--yes", "--skip-preview", *arguments, fails=fails, **environment)

    def preview(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """`pulumi preview --diff`."""
        return self.pulumi("preview", "--diff", *arguments, fails=fails, **environment)

    def destroy(self, fails: bool = False) -> str:
        """`pulumi destroy` without asking."""
        return self.pulumi("destroy", "--yes", "--skip-preview", fails=fails)

    def outputs(self, secrets: bool = True) -> dict[str, Any]:
        """The stack's outputs."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", *(["--show-secrets"] if secrets else []))))

    def state(self) -> str:
        """The state, the way it is kept: secrets encrypted."""
        return self.pulumi("stack", "export")

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """The state's resources of one type."""
        return [one for one in json.loads(self.state())["deployment"].get("resources", []) if one["type"] == kind]


def warnings(said: str) -> list[str]:
    """The lines that warn, but for the engine's own on a plugin that the user has on PATH."""
    return [line for line in said.splitlines() if "warning" in line and " from $PATH at " not in line]


StackFactory = Callable[..., Stack]


def wait_for(path: Path, process: subprocess.Popen[str] | None = None) -> None:
    """Until a program or a command has written the file; fails at once where the process that should lead to it has ended."""
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        assert process is None or process.poll() is None, process and process.communicate()
        time.sleep(0.05)


def told_to_end(process: subprocess.Popen[str], folder: Path, how: int = signal.SIGINT, seconds: int = 60) -> str:
    """Signal a run in that folder; it fails within that time and leaves no process. What it said."""
    process.send_signal(how)
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode != 0, said
    assert not running_in(folder)
    return said


def running_in(folder: Path) -> list[str]:
    """The command lines of what works in this folder, given some seconds to be gone."""
    deadline = time.monotonic() + 10
    while (found := _working_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _working_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
