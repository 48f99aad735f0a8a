"""What of an environment ends soon, or has ended. Pure, but for the clock of whoever asks: nothing that is rendered depends on it.

An end that has passed is worth a note, and no fault: the hosts have seen to it, and nobody's `up` waits for the file to be tidied.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from wg_office.environment.faults import Fault, Path
from wg_office.environment.fields import Moment
from wg_office.environment.model import Environment
from wg_office.reading.checks import Finding, grants

SOON_DAYS = 14

_MOST = 5
"""So many stand beside what is really asked for; `check` has them all."""


def endings(env: Environment, now: datetime) -> Iterator[Finding]:
    """A note for each end that has passed or comes within SOON_DAYS, at its line."""
    for path, what, until in _ends(env):
        here: Path = (*path, "until")
        left = until.epoch - now.timestamp()
        if left <= 0:
            yield Finding(here, f"{what} ended, {until}", "take it out of the file, or write a later end")
        elif left <= SOON_DAYS * 24 * 3600:
            yield Finding(here, f"{what} ends soon, {until}", "the hosts see to it by themselves; write a later end if it is to go on")


def beside(found: Sequence[Fault]) -> Iterator[str]:
    """The same, placed in a file, for a command that is about something else: a line for each of the first few."""
    yield from map(str, found[:_MOST])
    if len(found) > _MOST:
        yield f"{found[0].file}: {len(found) - _MOST} more have ended or end soon: python -m wg_office check {found[0].file}"


def _ends(env: Environment) -> Iterator[tuple[Path, str, Moment]]:
    for index, person in enumerate(env.developers):
        if person.until is not None:
            yield ("developers", index), person.called, person.until
        for number, device in enumerate(person.devices):
            if device.until is not None:
                yield ("developers", index, "devices", number), f"{person.name}-{device.name}", device.until
    for path, owner, grant in grants(env):
        if grant.until is not None:
            yield path, "this grant" if owner is None else f"this grant to {owner}", grant.until
    for index, link in enumerate(env.links):
        if link.until is not None:
            yield ("links", index), f"the link from {link.from_} to {link.to}", link.until
