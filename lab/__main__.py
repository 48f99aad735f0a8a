"""`python -m lab`."""

from __future__ import annotations

import signal
import sys

from .cli import main


def _terminate(number: int, _frame: object) -> None:
    """Make SIGTERM unwind, so that a command in a node ends with us."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `python -m lab status | head` is no fault
    sys.exit(main())
