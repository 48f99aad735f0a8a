"""Progress lines with elapsed time, on stderr."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Prints one line per step, each with the seconds since it was made."""

    quiet: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since this progress was started."""
        return time.monotonic() - self.started

    def __call__(self, text: str) -> None:
        """Print one step."""
        if not self.quiet:
            print(f"[lab {self.elapsed:4.0f} s] {text}", file=sys.stderr, flush=True)
