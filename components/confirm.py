"""What follows a failed command: a second connection, or advice. The engine's error hook. Room: Pulumi, no file formats.

A host that has applied a change exits 75, "applied, unconfirmed". The hook has the engine run the same command again, which dials anew;
that it could is the proof that the change locked nobody out (docs/adr/0002).
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from wg_office.advice import Failure
from wg_office.hostscript import APPLIED_UNCONFIRMED
from wg_office.model import Ssh

_UNCONFIRMED = f"exited with status {APPLIED_UNCONFIRMED}"
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


def runs_again(errors: list[str]) -> bool:
    """Whether the failed operation is to be run again; `errors` are those of its runs so far, newest first.

    A host may ask twice: networkd may have been restarted between the two runs, and the change was then applied anew. A session lost
    in the middle says nothing about the change, so it is looked at once more.
    """
    newest = errors[0] if errors else ""
    if _UNCONFIRMED in newest:
        return sum(_UNCONFIRMED in error for error in errors) <= 2
    return _SESSION_LOST in newest and sum(_SESSION_LOST in error for error in errors) == 1


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
    line = f"{name.rpartition('-')[0]}: {where} {failure.told(ssh, _KEY)}."
    if any(_UNCONFIRMED in error for error in errors):
        line += " It had just applied a change, and takes it back by itself, as nobody confirms it."
    return line


def _ssh(connection: Mapping[str, Any]) -> Ssh:
    return Ssh(host=connection["host"], port=int(connection["port"]), user=connection["user"], host_key=connection.get("hostKey"))


def confirmation_hook() -> pulumi.ErrorHook:
    """The hook for Host. It is made by the program, not at import: Pulumi's mocks know no hooks."""

    async def confirm(args: pulumi.ErrorHookArgs) -> bool:
        inputs = args.old_inputs if args.failed_operation == "delete" else args.new_inputs
        connection = await pulumi.Output.from_input((inputs or {}).get("connection")).future()
        line = advice(args.name, connection, args.errors) if connection else None
        if line is not None:
            pulumi.log.error(line)
        return args.failed_operation != "delete" and runs_again(args.errors)

    return pulumi.ErrorHook("confirm-over-a-new-connection", confirm)
