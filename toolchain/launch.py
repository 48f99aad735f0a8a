"""Starts one of the plugins: `python -I launch.py MODULE ARGUMENTS...`.

A script of its own, because the wrappers run Python isolated (-I): the user's PYTHONPATH must not change what the engine talks to.
"""

import importlib
import importlib.util
import sys
import types
from pathlib import Path


def without_the_sdk() -> None:
    """Make `pulumi` and `pulumi.runtime` empty packages that only know where their modules are.

    The plugins need the SDK's protocol and nothing else of it, and start on every `pulumi` command: the rest would take 0.2 s for each.
    """
    spec = importlib.util.find_spec("pulumi")
    if spec is None or spec.origin is None:
        sys.exit(f"the Python package pulumi is not installed in {sys.prefix}: run `pip install -r requirements.txt`")
    home = Path(spec.origin).parent
    for name, place in (("pulumi", home), ("pulumi.runtime", home / "runtime")):
        package = types.ModuleType(name)
        package.__path__ = [str(place)]
        sys.modules[name] = package


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    without_the_sdk()
    module = sys.argv.pop(1)
    sys.exit(importlib.import_module(f"toolchain.{module}").main())
