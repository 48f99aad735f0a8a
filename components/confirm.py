"""The second connection of an apply: the engine's error hook. Room: Pulumi, no file formats.

A host that has applied a change exits 75, "applied, unconfirmed". The hook has the engine run the same command again, which dials anew;
that it could is the proof that the change locked nobody out (docs/adr/0002).
"""

import pulumi

from wg_office.hostscript import APPLIED_UNCONFIRMED

_UNCONFIRMED = f"exited with status {APPLIED_UNCONFIRMED}"
_SESSION_LOST = "exited without exit status"


def runs_again(errors: list[str]) -> bool:
    """Whether the failed operation is to be run again; `errors` are those of its runs so far, newest first.

    A host may ask twice: networkd may have been restarted between the two runs, and the change was then applied anew. A session lost
    in the middle says nothing about the change, so it is looked at once more.
    """
    newest = errors[0] if errors else ""
    if _UNCONFIRMED in newest:
        return sum(_UNCONFIRMED in error for error in errors) <= 2
    return _SESSION_LOST in newest and sum(_SESSION_LOST in error for error in errors) == 1


def confirmation_hook() -> pulumi.ErrorHook:
    """The hook for Host. It is made by the program, not at import: Pulumi's mocks know no hooks."""

    def confirm(args: pulumi.ErrorHookArgs) -> bool:
        return args.failed_operation != "delete" and runs_again(args.errors)

    return pulumi.ErrorHook("confirm-over-a-new-connection", confirm)
