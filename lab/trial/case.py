"""All that is known of a try before any machine is started, and how its connections are made, whoever sends the packets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from lab.errors import LabError
from lab.trial.attempts import AT_MOST, Connection, Plan, has_ended, plan
from lab.trial.cut import PEOPLE, SITES, cut_down, with_ways
from lab.trial.ground import Ground, ground
from lab.trial.limits import obstacles
from lab.trial.stated import Stated, stated
from lab.trial.verdict import ARRIVES, Verdict
from wg_office.environment.document import Document, parse
from wg_office.environment.model import Environment
from wg_office.network.access import Permission, Reach, reach_of
from wg_office.reading.load import load

_ROUNDS = 4
"""How often what should arrive is tried: a tunnel that has just come up, or a machine with much to do, may need it."""
AT_ONCE = 4
"""So many machines are asked side by side."""
INSIDE = Path(__file__).parent / "inside.py"
"""What a node's own Python runs."""


@dataclass(frozen=True)
class Options:
    """How much is tried."""

    attempts: int = AT_MOST
    sites: int = SITES
    people: int = PEOPLE


@dataclass(frozen=True)
class Case:
    """A file, what is deployed of it, and the lab that this needs."""

    data: Mapping[str, Any]
    env: Environment
    reach: Reach
    ground: Ground
    plan: Plan
    stated: tuple[Stated, ...]
    document: Document
    cut: str | None

    @property
    def granted(self) -> tuple[Permission, ...]:
        """The access table."""
        return self.reach.permissions

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All that are tried, of the access table and of `expect:`."""
        return (*self.plan.attempts, *(each for statement in self.stated for each in statement.connections))

    def verdict(self, outcomes: Mapping[Connection, str]) -> Verdict:
        """What has become of them. Where the file was cut down lines have moved, and none is named."""
        line = self.document.line if self.cut is None else None
        return Verdict(self.plan, self.granted, self.stated, outcomes, self.ground.left_out, line)


def case_of(file: Path, options: Options = Options()) -> Case:
    """All that is known before any machine is started; raises Faults where the file has some."""
    whole = load(file, require_host_keys=False)
    document = parse(file.read_text(encoding="utf-8"))
    cut = cut_down(document.data, whole, options.sites, options.people)
    # As it will be deployed: without `via: hub` some permissions are not needed.
    env = _draft(cut.data)
    if hindered := list(obstacles(env)):
        raise LabError(f"{file} cannot be tried: {'; '.join(hindered)}.")
    reach = reach_of(env)
    made = ground(env, reach)
    now = time.time()
    chosen = plan(made, reach.permissions, options.attempts, now)
    return Case(cut.data, env, reach, made, chosen, stated(env, made, _over(reach, now)), document, cut.said)


def _over(reach: Reach, now: float) -> Callable[[Connection], bool]:
    """Whether a connection is one that was granted and is not any more."""
    ended = [each for each in reach.permissions if has_ended(each, now)]
    standing = [each for each in reach.permissions if each not in ended]

    def is_over(each: Connection) -> bool:
        packet = (each.sender.address, each.target.address, each.protocol, each.port)
        return any(item.allows(*packet) for item in ended) and not any(item.allows(*packet) for item in standing)

    return is_over


def _draft(data: Mapping[str, Any]) -> Environment:
    left, ports = Environment.model_validate(data), count(1)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "draft.yaml"
        write(file, with_ways(data, left, "known_hosts", lambda _: next(ports)))
        return load(file, require_host_keys=False)


def write(file: Path, data: Mapping[str, Any]) -> None:
    """An environment file with these data."""
    file.write_text(yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True), encoding="utf-8")


# --- how connections are made ------------------------------------------------------------------------------------------------------------

Run = Callable[[str, str], str]
"""Runs INSIDE in a node with this on stdin, and returns what it printed."""


def tried(connections: Iterable[Connection], run: Run) -> dict[Connection, str]:
    """What becomes of each. What should arrive and did not is tried again; what should not, and did, is a find at once."""
    outcomes, missing = dict[Connection, str](), list(connections)
    for _ in range(_ROUNDS):
        outcomes |= _once(missing, run)
        missing = [each for each in missing if each.allowed and outcomes[each] != ARRIVES]
        if not missing:
            break
    return outcomes


def _once(connections: Sequence[Connection], run: Run) -> dict[Connection, str]:
    made = _batches(connections)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda batch: _batch(batch, run), made)
        return {each: said for batch, words in zip(made, found, strict=True) for each, said in zip(batch, words, strict=True)}


def _batches(connections: Iterable[Connection]) -> list[list[Connection]]:
    """By the machine that opens them."""
    ordered = sorted(connections, key=lambda each: each.sender.node)
    return [list(batch) for _, batch in groupby(ordered, key=lambda each: each.sender.node)]


def _batch(batch: Sequence[Connection], run: Run) -> list[str]:
    """All of one machine, in one session."""
    asked = json.dumps([(str(each.sender.real), str(each.target.address), each.protocol, each.port) for each in batch])
    return [str(each) for each in json.loads(run(batch[0].sender.node, asked))]
