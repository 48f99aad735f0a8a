"""What a try comes to: the access table beside what packets say, as a table, as JSON, and in a sentence for each difference. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.trial.attempts import Attempt, Connection, Plan
from lab.trial.stated import Stated
from wg_office.environment.faults import Path, dotted
from wg_office.network.access import Permission
from wg_office.text.columns import in_columns

ARRIVES = "arrives"
DIFFERS = 3
_HEADINGS = ("Who", "May reach", "On", "Arrives", "Refused beside it")
_WIDTHS = (12, 44, 18, 8)


@dataclass(frozen=True)
class Verdict:
    """All attempts and what became of them."""

    plan: Plan
    granted: Sequence[Permission]
    stated: Sequence[Stated]
    outcomes: Mapping[Connection, str]
    left_out: tuple[str, ...]
    line: Callable[[Path], int] | None
    """The line of the file that says something; None where the file was cut down, and lines have moved."""

    @property
    def differences(self) -> tuple[Attempt, ...]:
        """Where packets say something else than the table."""
        return tuple(each for each in self.plan.attempts if self._differs(each))

    @property
    def broken(self) -> tuple[Stated, ...]:
        """Statements of `expect:` that packets say something else than."""
        return tuple(each for each in self.stated if any(map(self._differs, each.connections)))

    @property
    def holds(self) -> bool:
        """Whether there is none, and anything was tried at all."""
        return not self.differences and not self.broken and bool(self.outcomes)

    def _differs(self, each: Connection) -> bool:
        return (self.outcomes[each] == ARRIVES) is not each.allowed

    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """One for each permission that was tried: who, where, on what; how much of it arrives, and how much beside it does not.

        And one for each statement.
        """
        for number, item in enumerate(self.granted):
            tried = [each for each in self.plan.attempts if each.permission == number]
            if tried:
                yield str(item.source), _where(item), ", ".join(map(str, item.ports)) or "everything", *self._shares(tried)
        for each in self.stated:
            if each.connections:
                yield dotted(each.path), str(each.statement), "", *self._shares(each.connections)

    def _shares(self, tried: Sequence[Connection]) -> tuple[str, str]:
        inside, beside = ([each for each in tried if each.allowed is wanted] for wanted in (True, False))
        return self._share(inside), self._share(beside)

    def _share(self, tried: Sequence[Connection]) -> str:
        return f"{sum(not self._differs(each) for each in tried)} of {len(tried)}" if tried else ""

    def sentences(self) -> Iterator[str]:
        """One for each difference."""
        for each in self.differences:
            place = self._place(self.granted[each.permission].because)
            yield self._sentence(each, f"which {place} grants", f"which no line grants ({each.why}, beside {place})")
        for statement in self.broken:
            place = self._place(statement.path)
            for connection in filter(self._differs, statement.connections):
                yield self._sentence(connection, f"which {place} says", f"which it never does by {place}")

    def _sentence(self, each: Connection, missing: str, opened: str) -> str:
        said = "does not reach" if each.allowed else "reaches"
        what = f"{each.sender.called} {said} {each.target.called} on {each.on}"
        return f"{what}, {missing}: {self.outcomes[each]}" if each.allowed else f"{what}, {opened}"

    def summary(self) -> str:
        """In one line."""
        made, possible, permissions = len(self.plan.attempts), self.plan.possible, f"{self.plan.permissions} of {len(self.granted)}"
        statements = f", {sum(bool(each.connections) for each in self.stated)} of {len(self.stated)} statements" if self.stated else ""
        return f"{made} of {possible} attempts, {permissions} permissions{statements}: {self._found()}"

    def _found(self) -> str:
        if not self.outcomes:
            return "nothing could be tried"
        counted = ((len(self.differences), "differ from the table"), (len(self.broken), "statements do not hold"))
        return ", ".join(f"{number} {what}" for number, what in counted if number) or "all as the file says"

    def _place(self, path: Path) -> str:
        return dotted(path) if self.line is None else f"line {self.line(path)}, {dotted(path)}"

    @property
    def status(self) -> int:
        """The exit status that says so."""
        return 0 if self.holds else DIFFERS

    def as_text(self) -> str:
        """For the terminal."""
        return "\n".join([in_columns([_HEADINGS, *self.rows()], _WIDTHS), *self.sentences(), self.summary()])

    def as_json(self) -> str:
        """For programs."""
        untried = [self.granted[number].because for number in self.plan.untried]
        document = {
            "holds": self.holds,
            "summary": self.summary(),
            "possible": self.plan.possible,
            "untried": [dotted(path) for path in (*untried, *(each.path for each in self.stated if not each.connections))],
            "left_out": list(self.left_out),
            "differences": list(self.sentences()),
            "attempts": [
                self._told(each) | {"why": each.why, "beside": dotted(self.granted[each.permission].because)} for each in self.plan.attempts
            ],
            "statements": [
                {
                    "at": dotted(each.path),
                    "says": str(each.statement),
                    "holds": each not in self.broken if each.connections else None,
                    "attempts": [self._told(connection) for connection in each.connections],
                }
                for each in self.stated
            ],
        }
        return json.dumps(document, indent=2, ensure_ascii=False)

    def _told(self, each: Connection) -> dict[str, object]:
        return {
            "from": str(each.sender.address),
            "who": f"{each.sender.kind} {each.sender.name}",
            "to": str(each.target.address),
            "where": f"{each.target.kind} {each.target.name}",
            "on": each.on,
            "allowed": each.allowed,
            "outcome": self.outcomes[each],
        }


def _where(item: Permission) -> str:
    networks = ", ".join(str(network.ip) if network.size == 1 else str(network) for network in item.destination.networks)
    return f"{item.destination} ({networks})"
