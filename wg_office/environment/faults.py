"""What is wrong with an environment file, for people: file, line, path, what is wrong and what would be right."""

from collections.abc import Iterable
from dataclasses import dataclass

from wg_office.text.printable import one_line

Path = tuple[str | int, ...]
"""Where in the file: ("gateways", 1, "lan", "cidr")."""


def dotted(path: Path) -> str:
    """`gateways[1].lan.cidr`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_cut(part)}" if text else _cut(part)
    return text


def _cut(name: str) -> str:
    """A field's name, no longer than any that there is; what somebody wrote in its place may fill a screen."""
    return name if len(name) <= 40 else f"{name[:37]}..."


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault. Line 0 stands for the file as a whole."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        """One printable line, also where a name or a value of the file has several, or what would lead a terminal."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place} {self.path}: {self.message}" if self.path else f"{place}: {self.message}"
        return one_line(text)


class Faults(Exception):
    """All faults of an environment file at once."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class Unreadable(Faults):
    """The environment file itself could not be read."""
