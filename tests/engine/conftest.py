"""For the engine tests: the real engine on programs of their own, each with its own backend, and servers to connect to."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Sshd, running_sshd
from stacks import Stack, StackFactory

from toolchain.environment import variables
from toolchain.install import read_selection
from toolchain.places import here

CLONE = Path(__file__).resolve().parent.parent.parent
PASSPHRASE = "test-passphrase"


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
