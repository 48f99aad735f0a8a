"""What follows a failed command: a second connection, or advice. The engine's error hook. Room: Pulumi, no file formats.

A host that has applied a change exits 75, "applied, unconfirmed". The hook has the engine run the same command again, which dials anew;
that it could is the proof that the change locked nobody out (docs/adr/0002).
"""

import re
import time
from collections.abc import Mapping
from typing import Any

import pulumi

from wg_office.advice import Failure
from wg_office.hostscript import APPLIED_UNCONFIRMED, BUSY, UNCHANGED
from wg_office.model import Ssh

_UNCONFIRMED = f"exited with status {APPLIED_UNCONFIRMED}:"
_SESSION_LOST = "exited without exit status"

_KEY = "the key of sshKey or sshKeyFile, or, where neither is set, of your SSH agent"

_SIGNS = {
    "host key": Failure.HOST_KEY,
    "unable to authenticate": Failure.LOGIN,
    "dial unix": Failure.AGENT,
    "dial tcp": Failure.UNREACHABLE,
    "ssh: rejected": Failure.FROM_HUB,
    "handshake failed": Failure.HANDSHAKE,
}
"""How a connection failed, by what the error says; the first that fits."""


def runs_again(errors: list[str], in_time: bool = True) -> bool:
    """Whether the failed operation is to be run again; `errors` are those of its runs so far, newest first.

    A host may ask twice: networkd may have been restarted between the two runs, and the change was then applied anew. A session lost
    in the middle says nothing about the change, so it is looked at once more; but not where the loss was noticed so late (not `in_time`)
    that the host may have gone back already, since the same change would only be applied again.
    """
    newest = errors[0] if errors else ""
    if _UNCONFIRMED in newest:
        return sum(_UNCONFIRMED in error for error in errors) <= 2
    return in_time and _SESSION_LOST in newest and sum(_SESSION_LOST in error for error in errors) == 1


def advice(name: str, connection: Mapping[str, Any], errors: list[str]) -> str | None:
    """One line on a connection that failed: which machine, at which address, and what to do. None where it is no such failure.

    The engine's own error has the address at best, and for a wrong host key not even that.
    """
    newest = errors[0] if errors else ""
    failure = next((failure for sign, failure in _SIGNS.items() if sign in newest), None)
    # A command that ran has words of its own to say, which may be any.
    if failure is None or "exited with" in newest:
        return None
    ssh, hub = _ssh(connection), connection.get("proxy")
    where = ssh.address if hub is None else f"{ssh.address}, or the hub on the way there ({_ssh(hub).address}),"
    return f"{name.rpartition('-')[0]}: {where} {failure.told(ssh, _KEY)}."


def outcome(name: str, errors: list[str], rollback_after: int) -> str:
    """What is known of a host after its operation has failed for good, and what to do about it."""
    host, _, what = name.rpartition("-")
    newest, *earlier = errors or [""]
    never_ran = "exited with" not in newest and _SESSION_LOST not in newest
    unheard = any(_SESSION_LOST in error for error in errors)
    status = re.search(r"exited with status (\d+):", newest)
    if what == "keys" or (status is not None and int(status[1]) in UNCHANGED and not (unheard and int(status[1]) == BUSY)):
        known = "holds the state it had"
    elif never_ran and not earlier:
        known = "was not reached, and holds the state it had"
    elif not unheard and (never_ran or _UNCONFIRMED in newest):
        known = f"has applied a change that nobody confirms, and goes back to the state it had within {rollback_after} seconds"
    else:
        known = f"holds the state it had or the new one, whole, and if it is not confirmed goes back within {rollback_after} seconds"
    return f"{host} {known}. The next `pulumi up` settles it, whatever the environment file says by then."


def _ssh(connection: Mapping[str, Any]) -> Ssh:
    return Ssh(host=connection["host"], port=int(connection["port"]), user=connection["user"], host_key=connection.get("hostKey"))


def confirmation_hook(rollback_after: int) -> pulumi.ErrorHook:
    """The hook for Host. It is made by the program, not at import: Pulumi's mocks know no hooks."""
    began = time.monotonic()

    async def confirm(args: pulumi.ErrorHookArgs) -> bool:
        inputs = args.old_inputs if args.failed_operation == "delete" else args.new_inputs
        connection = await pulumi.Output.from_input((inputs or {}).get("connection")).future()
        line = advice(args.name, connection, args.errors) if connection else None
        if line is not None:
            pulumi.log.error(line)
        if args.failed_operation == "delete":
            return False
        if runs_again(args.errors, in_time=time.monotonic() - began < rollback_after):
            return True
        pulumi.log.warn(outcome(args.name, args.errors, rollback_after))
        return False

    return pulumi.ErrorHook("confirm-over-a-new-connection", confirm)
