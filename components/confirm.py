"""What follows a failed command: a second connection, or advice. The engine's error hook. Room: Pulumi, no file formats.

A host that has applied a change exits 75, "applied, unconfirmed". The hook has the engine run the same command again, which dials anew;
that it could is the proof that the change locked nobody out (docs/adr/0002).
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
    return f"{_host(name)}: {where} {failure.told(ssh, _KEY)}."


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


@dataclass(frozen=True)
class Confirmation:
    """The hooks for a host's commands: before its first one, after its last one, and after one that failed."""

    began: pulumi.ResourceHook
    ended: pulumi.ResourceHook
    failed: pulumi.ErrorHook


class UnderWay:
    """The hosts that this `up` has begun to change.

    The engine ends the program at the first failure, and with it the confirmation of all other hosts. So a failure is passed on only when
    no other host is under way.
    """

    def __init__(self) -> None:
        self._hosts: set[str] = set()

    def began(self, name: str) -> None:
        """Before a command of that name (HOST-keys, HOST-state)."""
        self._hosts.add(_host(name))

    def ended(self, name: str) -> None:
        """After the last one, or one that failed."""
        self._hosts.discard(_host(name))

    async def others(self, seconds: float) -> None:
        """Wait until none is under way; longer than `seconds` none can be confirmed any more."""
        end = time.monotonic() + seconds
        while self._hosts and time.monotonic() < end:
            await asyncio.sleep(0.1)


def confirmation(rollback_after: int) -> Confirmation:
    """The hooks for Host. They are made by the program, not at import: Pulumi's mocks know no hooks."""
    started = time.monotonic()
    under_way = UnderWay()

    async def failed(args: pulumi.ErrorHookArgs) -> bool:
        inputs = args.old_inputs if args.failed_operation == "delete" else args.new_inputs
        connection = await pulumi.Output.from_input((inputs or {}).get("connection")).future()
        line = advice(args.name, connection, args.errors) if connection else None
        if line is not None:
            pulumi.log.error(line)
        if args.failed_operation == "delete":
            return False
        if runs_again(args.errors, in_time=time.monotonic() - started < rollback_after):
            return True
        pulumi.log.warn(outcome(args.name, args.errors, rollback_after))
        under_way.ended(args.name)
        await under_way.others(rollback_after)
        return False

    return Confirmation(
        pulumi.ResourceHook("a-host-is-under-way", lambda args: under_way.began(args.name)),
        pulumi.ResourceHook("a-host-is-done", lambda args: under_way.ended(args.name)),
        pulumi.ErrorHook("confirm-over-a-new-connection", failed),
    )


def _host(command: str) -> str:
    return command.rpartition("-")[0]
