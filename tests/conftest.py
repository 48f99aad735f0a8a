"""For all tests: the clone is importable, and each run says which toolchain it used."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

CLONE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CLONE))

from tests import package  # noqa: E402
from toolchain.install import read_selection  # noqa: E402
from toolchain.places import here  # noqa: E402

# How long an example takes says nothing on a machine that also runs a virtual one.
settings.register_profile("wg-office", deadline=None)
settings.load_profile("wg-office")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip builds it."""
    return package.wheel(tmp_path_factory.mktemp("package"))


LEAKS = ("error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is left open is an error in tests/unit."""
    for item in items:
        if item.path.is_relative_to(CLONE / "tests" / "unit"):
            for leak in LEAKS:
                item.add_marker(pytest.mark.filterwarnings(leak))


def pytest_report_header() -> str:
    selection = read_selection(here())
    return f"toolchain: {selection.line() if selection else 'none in place; engine and lab tests need `make toolchain`'}"
