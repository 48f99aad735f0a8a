"""The guard on removals, before anything is dialled: what the file says now against the peers that the stack has. Room: Pulumi.

What one file says is judged in wg_office/reading/load.py; only a change removes somebody. The override is for one run,
and no host hears of it.
"""

import os
from pathlib import Path

import pulumi

from wg_office.environment.model import Environment
from wg_office.reading.checks import Finding
from wg_office.reading.guards import REMOVALS, too_many
from wg_office.reading.load import placed

from .deployed import Deployed

ALLOW = "WG_OFFICE_ALLOW"
_RULE = "removals"


def refuse_many_removals(env: Environment, file: Path, before: Deployed) -> None:
    """Raise pulumi.RunError where more peers would go at once than the policy allows; where the operator does, warn."""
    allowed = os.environ.get(ALLOW, "")
    if allowed not in ("", _RULE):
        raise pulumi.RunError(f"{ALLOW}={allowed}: there is no such guard; there is {_RULE}")
    message = too_many(before.peers, env, before.moved(env).values(), env.policy.removals)
    if message is None:
        return
    remedy = f"split the change, or let one run pass: {ALLOW}={_RULE} pulumi up"
    (fault,) = placed(file, [Finding(REMOVALS, message, "allowed for this run" if allowed else remedy)])
    if not allowed:
        raise pulumi.RunError(str(fault))
    pulumi.log.warn(f"{ALLOW}={_RULE}: {fault}")
