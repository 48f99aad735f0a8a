"""For the lab tests: the lab itself; and the engine tests' isolated stacks are at hand here as well."""

import sys
from pathlib import Path

import pytest

from lab import Lab

CLONE = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(CLONE / "tests" / "engine"))


@pytest.fixture(scope="module")
def lab() -> Lab:
    """This clone's lab, up."""
    lab = Lab(CLONE)
    lab.up()
    return lab
