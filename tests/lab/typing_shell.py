"""A shell that commands are typed into, one after the other, as a person would: what one sets, the next one finds."""

import os
import select
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Each line is run by this very shell, so that cd, export and source hold. The commands get neither of its own two pipes.
LOOP = r"""
while IFS= read -r -d "" line <&"$1"; do
  eval "$line" <"$3/answer" >"$3/said" 2>&1 {IN}<&- {OUT}>&-
  printf "%s\0" "$?" >&"$2"
done
"""


@dataclass(frozen=True)
class Typed:
    """A command line as it was typed, all that it said, and its exit status."""

    line: str
    said: str
    status: int


class Shell:
    """A bash in a folder, with an environment of its own."""

    def __init__(self, folder: Path, environment: Mapping[str, str], scratch: Path) -> None:
        self._scratch = scratch
        lines, self._lines = os.pipe()
        self._statuses, statuses = os.pipe()
        loop = LOOP.replace("{IN}", str(lines)).replace("{OUT}", str(statuses))
        self._process = subprocess.Popen(
            ["bash", "--norc", "-c", loop, "bash", str(lines), str(statuses), str(scratch)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            pass_fds=(lines, statuses),
        )
        os.close(lines)
        os.close(statuses)

    def type(self, line: str, answer: str = "", seconds: float = 900) -> Typed:
        """Type a line, with what is then entered, and wait for its end."""
        (self._scratch / "answer").write_text(answer)
        os.write(self._lines, f"{line}\0".encode())
        ready, _, _ = select.select([self._statuses], [], [], seconds)
        said = (self._scratch / "said").read_text(errors="replace")
        status = os.read(self._statuses, 16) if ready else b""
        assert status, f"{line}: no end after {seconds:g} s, or the end of the shell:\n{said}"
        return Typed(line, said, int(status.rstrip(b"\0")))

    def close(self) -> None:
        """End it."""
        os.close(self._lines)
        self._process.wait(30)
        os.close(self._statuses)
