"""For the engine tests: the real engine on programs of their own, each with its own backend, and servers to connect to."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sshd import Sshd, running_sshd

from toolchain.environment import variables
from toolchain.install import read_selection
from toolchain.places import here

CLONE = Path(__file__).resolve().parent.parent.parent
PASSPHRASE = "test-passphrase"


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
        said, _ = process.communicate(timeout=300)
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


StackFactory = Callable[..., Stack]


@pytest.fixture(scope="session")
def toolchain_environment() -> dict[str, str]:
    """The environment in which `pulumi` works."""
    selection = read_selection(here())
    assert selection is not None, "no toolchain is in place: run `make toolchain` (python -m toolchain install) first"
    # An agent, proxies or a stack of the user's must not reach the tests.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "SSH_"))}
    return {**inherited, **variables(here(), selection, inherited)}


@pytest.fixture
def stack_factory(tmp_path: Path, toolchain_environment: dict[str, str]) -> StackFactory:
    """Makes isolated stacks: `stack_factory(program_text)`; more than one per test by `name`."""

    def make(program: str = "", name: str = "test", config: str = "") -> Stack:
        folder = tmp_path / f"project-{name}"
        home, backend = folder / "home", folder / "backend"
        backend.mkdir(parents=True)
        home.mkdir()
        plugins = Path(toolchain_environment.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
        (home / "plugins").symlink_to(plugins)
        virtualenv = json.dumps(str(CLONE / ".venv"))
        (folder / "Pulumi.yaml").write_text(
            f"name: engine-test\nruntime:\n  name: python\n  options:\n    virtualenv: {virtualenv}\n{config}"
        )
        environment = {
            **toolchain_environment,
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PYTHONPATH": str(CLONE),
        }
        stack = Stack(folder, environment, name)
        stack.program(program)
        stack.pulumi("stack", "init", name)
        return stack

    return make


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A real sshd on the loopback address."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    yield from running_sshd(folder)


@pytest.fixture
def second_sshd(tmp_path: Path) -> Iterator[Sshd]:
    """Another one, for what takes two hosts."""
    folder = tmp_path / "second-sshd"
    folder.mkdir()
    yield from running_sshd(folder)
