"""Starts one of the plugins: `python -I launch.py MODULE ARGUMENTS...`.

A script of its own, because the wrappers run Python isolated (-I): the user's PYTHONPATH must not change what
the engine talks to.
"""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    module = sys.argv.pop(1)
    sys.exit(importlib.import_module(f"toolchain.{module}").main())
