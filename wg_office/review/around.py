"""What lies around an environment file: others of its folder, and its past in git. Room: review; it reads files, and dials nobody."""

from pathlib import Path

from wg_office.environment.faults import Fault, Faults
from wg_office.environment.model import Environment
from wg_office.reading.conflicts import between
from wg_office.reading.load import load, placed
from wg_office.review.history import former_owners


def surroundings(env: Environment, file: Path) -> tuple[Fault, ...]:
    """What `check` warns of beyond what the file itself says."""
    return placed(file, [*between(env, others_beside(file)), *former_owners(env, file)])


def others_beside(file: Path) -> dict[str, Environment]:
    """The other environments of the folder by their files; one with faults is its own check's business."""
    found = {}
    for other in sorted(file.parent.glob("*.yaml")):
        if other.resolve() != file.resolve():
            try:
                found[str(other)] = load(other, require_host_keys=False)
            except Faults:
                continue
    return found
