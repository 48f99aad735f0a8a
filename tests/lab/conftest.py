"""For the lab tests: the engine tests' isolated stacks are at hand here as well."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent / "engine"))
