"""For the lab tests: the lab itself; and the engine tests' isolated stacks are at hand here as well."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from faultlab import Bench, bench

from lab import Lab, LabError
from lab.nodes import VM

CLONE = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(CLONE / "tests" / "engine"))

from deployment import fresh  # noqa: E402


@pytest.fixture(scope="session")
def hosts_given_back() -> Iterator[None]:
    """Whoever needs hosts that are new starts with `fresh`; what the last one leaves is taken away here."""
    yield
    fresh(Lab(CLONE))


@pytest.fixture(scope="module")
def lab(hosts_given_back: None) -> Lab:
    """This clone's lab, up."""
    lab = Lab(CLONE)
    lab.up()
    return lab


@pytest.fixture(scope="session")
def table(hosts_given_back: None, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The hosts of the fault table, installed once for all rows. What else runs in this session comes after them, and starts anew."""
    lab = Lab(CLONE)
    lab.up()
    made = bench(lab, tmp_path_factory.mktemp("bench"))
    made.install()
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the virtual machine says so by its fixtures; `make test` runs the others beside it."""
    for item in items:
        if {"lab", "table"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("vm")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """After a failure, end the run where the virtual machine does not answer any more: each further test would only wait for it."""
    lab = Lab(CLONE, quiet=True)
    if report.failed and report.nodeid.startswith("tests/lab/") and _hangs(lab):
        pytest.exit(f"the lab's virtual machine does not answer any more: see {lab.machine.console}", returncode=1)


def _hangs(lab: Lab) -> bool:
    if not lab.running:
        return False
    try:
        return lab.exec(VM, ["true"], check=False, timeout=180).returncode != 0
    except (LabError, subprocess.TimeoutExpired):
        return True
