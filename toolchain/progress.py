"""Telling a person what is going on, and for how long already."""

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO


def say(text: str) -> None:
    """One line that stays. On stderr: stdout is for what other programs read."""
    print(f"toolchain: {text}", file=sys.stderr, flush=True)


class Progress:
    """While its block runs: a live line with the seconds elapsed, or a line every 15 s where nobody watches a terminal."""

    def __init__(self, what: str, stream: TextIO | None = None, every: float = 15.0) -> None:
        self.what = what
        self.detail = ""
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._every = 0.5 if self._live else every
        self._started = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def _line(self) -> str:
        detail = f", {self.detail}" if self.detail else ""
        return f"toolchain: {self.what}: {self.elapsed:.0f} s{detail}"

    def _run(self) -> None:
        while not self._done.wait(self._every):
            end = "\x1b[K\r" if self._live else "\n"
            print(self._line()[:140], end=end, file=self._stream, flush=True)

    def __enter__(self) -> Self:
        print(f"toolchain: {self.what} ...", file=self._stream, flush=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()
        end = "done" if error is None else "stopped"
        clear = "\x1b[K" if self._live else ""
        print(f"{clear}toolchain: {self.what}: {end} after {self.elapsed:.0f} s", file=self._stream, flush=True)
