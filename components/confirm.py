"""What follows a failed command: a second connection, or advice. The engine's error hook. Room: Pulumi, no file formats.

A host that has applied a change exits 75, "applied, unconfirmed". The hook has the engine run the same command again, which dials anew;
that it could is the proof that the change locked nobody out (docs/adr/0002).
"""

from collections.abc import Mapping
from typing import Any

import pulumi

from wg_office.hostscript import APPLIED_UNCONFIRMED
from wg_office.known_hosts import keyscan
from wg_office.model import Ssh

_UNCONFIRMED = f"exited with status {APPLIED_UNCONFIRMED}"
_SESSION_LOST = "exited without exit status"

_ADVICE = {
    "host key": (
        "shows another host key than the pinned one ({pinned}). Do not go on before you know why: compare `{scan} | ssh-keygen -lf -` "
        "with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host's own console; if they agree, pin the new key"
    ),
    "unable to authenticate": (
        "does not let the operator in. Make `ssh -p {port} {user}@{host}` work with the key of sshKey or sshKeyFile, "
        "or, where neither is set, of your SSH agent"
    ),
    "dial unix": "was not dialled: the SSH agent that SSH_AUTH_SOCK names does not answer. Start it, or unset SSH_AUTH_SOCK",
    "dial tcp": (
        "cannot be reached. Check that the host runs, that address and port in the environment file are right, and that `{scan}` answers"
    ),
    "ssh: rejected": "cannot be reached from the hub. Check that the tunnel stands (`wg show` on the hub), and that sshd runs there",
    "handshake failed": "ended the connection before the login. Check that an SSH server answers there: `{scan}`",
}
"""What to do, by what the error says; the first that fits."""


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
    remedy = next((text for sign, text in _ADVICE.items() if sign in newest), None)
    # A command that ran has words of its own to say, which may be any.
    if remedy is None or "exited with" in newest:
        return None
    ssh, hub = _ssh(connection), connection.get("proxy")
    where = ssh.address if hub is None else f"{ssh.address}, or the hub on the way there ({_ssh(hub).address}),"
    told = remedy.format(host=ssh.host, port=ssh.port, user=ssh.user, scan=keyscan(ssh.host, ssh.port), pinned=ssh.host_key_fingerprint)
    line = f"{name.rpartition('-')[0]}: {where} {told}."
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
