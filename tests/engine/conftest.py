"""For the engine tests: the real engine on programs of their own, each with its own backend, and servers to connect to."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sshd import Sshd, running_sshd
from stacks import Stack, StackFactory

from toolchain.choose import Source
from toolchain.environment import apart
from toolchain.install import Selection, place_stand_ins, read_selection
from toolchain.places import Places, here

CLONE = Path(__file__).resolve().parent.parent.parent
PASSPHRASE = "test-passphrase"


def selected() -> Selection:
    """The toolchain in use."""
    selection = read_selection(here())
    assert selection is not None, "no toolchain is in place: run `make toolchain` (python -m toolchain install) first"
    return selection


@pytest.fixture(scope="session")
def toolchain_environment() -> dict[str, str]:
    """The environment in which `pulumi` works: the toolchain in use."""
    return apart(here(), selected(), os.environ)


class Apart(Places):
    """Places that share nothing with the clone's but its Python and its program."""

    @property
    def state(self) -> Path:
        """A folder of the tests'."""
        return self.cache


@pytest.fixture(scope="session")
def stand_in_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the stand-ins are used, whichever toolchain is."""
    places = Apart(CLONE, tmp_path_factory.mktemp("stand-ins"))
    place_stand_ins(places, Path(selected().cli).resolve())
    return apart(places, replace(selected(), source=Source.BUILD.value), os.environ)


@pytest.fixture
def stack_factory(tmp_path: Path, toolchain_environment: dict[str, str]) -> StackFactory:
    """Makes isolated stacks: `stack_factory(program_text)`; more than one per test by `name`."""
    return factory(tmp_path, toolchain_environment)


@pytest.fixture(scope="module")
def module_stack_factory(tmp_path_factory: pytest.TempPathFactory, toolchain_environment: dict[str, str]) -> StackFactory:
    """The same for a deployment that all tests of a module look at."""
    return factory(tmp_path_factory.mktemp("stacks"), toolchain_environment)


@pytest.fixture
def stand_in_factory(tmp_path: Path, stand_in_environment: dict[str, str]) -> StackFactory:
    """The same, with the stand-ins."""
    return factory(tmp_path, stand_in_environment)


def factory(folder: Path, environment: dict[str, str]) -> StackFactory:
    """Makes stacks below a folder, each with a Pulumi home of its own that has the plugins of the environment's."""
    plugins = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"

    def make(program: str = "", name: str = "test", config: str = "") -> Stack:
        project = folder / f"project-{name}"
        home, backend = project / "home", project / "backend"
        backend.mkdir(parents=True)
        home.mkdir()
        (home / "plugins").symlink_to(plugins)
        virtualenv = json.dumps(str(CLONE / ".venv"))
        (project / "Pulumi.yaml").write_text(
            f"name: engine-test\nruntime:\n  name: python\n  options:\n    virtualenv: {virtualenv}\n{config}"
        )
        own = {
            "PULUMI_HOME": str(home),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PYTHONPATH": str(CLONE),
        }
        stack = Stack(project, {**environment, **own}, name)
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
