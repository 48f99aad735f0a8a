"""What follows a failed command: a second connection, or advice. The engine's error hook. Room: Pulumi, no file formats.

A host that has applied a change exits 75, "applied, unconfirmed". The hook has the engine run the same command again, which dials anew;
that it could is the proof that the change locked nobody out (docs/adr/0002).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from wg_office.asking.advice import Failure
from wg_office.asking.banner import silent
from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED, BUSY, FOREIGN, REJECTED, UNCHANGED, UNFIT, WENT_BACK_BUT

from .command import Ended, Given, How, give_up, given, notices, runs
from .under_way import UnderWay, host_of, is_description

_ASKS = Ended(How.EXITED, APPLIED_UNCONFIRMED)
_UNHEARD = Ended(How.UNHEARD)
_SILENT = Ended(How.NEVER_BEGAN, failure=Failure.SILENT)
_TO_BE_MENDED = (FOREIGN, UNFIT, REJECTED)

_KEY = "the key of sshKey or sshKeyFile, or, where neither is set, of your SSH agent"


def runs_again(ends: Sequence[Ended], in_time: bool = True) -> bool:
    """Whether the failed operation is to be run again; `ends` are those of its runs so far, newest first.

    A host may ask twice: networkd may have been restarted between the two runs, and the change was then applied anew. A session lost
    in the middle says nothing about the change, so it is looked at once more; but not where the loss was noticed so late (not `in_time`)
    that the host may have gone back already, since the same change would only be applied again.
    """
    newest = ends[0] if ends else None
    if newest == _ASKS:
        return ends.count(_ASKS) <= 2
    return in_time and newest == _UNHEARD and ends.count(_UNHEARD) == 1


def advice(name: str, to: Given, end: Ended) -> str | None:
    """One line on a connection that failed: which machine, at which address, and what to do. None where it is no such failure.

    The engine's own error has the address at best, and for a wrong host key not even that.
    """
    if end.failure is None:
        return None
    where = to.ssh.address if to.through is None else f"{to.ssh.address}, or the machine on the way there ({to.through.address}),"
    return f"{host_of(name)}: {where} {end.failure.told(to.ssh, _KEY, to.through)}."


def outcome(name: str, ends: Sequence[Ended], rollback_after: int) -> str:
    """What is known of a host after its operation has failed for good, and what to do about it."""
    return f"{host_of(name)} {_known(name, ends, rollback_after)}. {_next(ends)}"


def _known(name: str, ends: Sequence[Ended], rollback_after: int) -> str:
    newest, *earlier = ends or [Ended(How.NEVER_BEGAN)]
    unheard = _UNHEARD in ends
    if newest.status == WENT_BACK_BUT:
        return "went back to the state it had, but not in everything: its own words say what is left"
    if not is_description(name) or (newest.status in UNCHANGED and not (unheard and newest.status == BUSY)):
        return "holds the state it had"
    if newest.how is How.NEVER_BEGAN and not earlier:
        return "was not reached, and holds the state it had"
    if not unheard and (newest.how is How.NEVER_BEGAN or newest == _ASKS):
        return f"has applied a change that nobody confirms, and goes back to the state it had within {rollback_after} seconds"
    return f"holds the state it had or the new one, whole, and if it is not confirmed goes back within {rollback_after} seconds"


def _next(ends: Sequence[Ended]) -> str:
    """What to do. Another `pulumi up` alone helps only where what failed may pass by itself."""
    newest = ends[0] if ends else Ended(How.NEVER_BEGAN)
    if newest.status == WENT_BACK_BUT:
        return "Put that right on the host, until `python -m wg_office status` names no drift, and then run `pulumi up` again."
    if newest.status in _TO_BE_MENDED or (newest.failure is not None and not newest.failure.passes):
        return "Mend what is named above, and then run `pulumi up` again; before that it fails again."
    return "The next `pulumi up` settles it, whatever the environment file says by then."


@dataclass(frozen=True)
class Confirmation:
    """The hooks for a host's commands: before and after each, and after one that failed."""

    began: pulumi.ResourceHook
    ended: pulumi.ResourceHook
    failed: pulumi.ErrorHook


def confirmation(under_way: UnderWay, prefix: str) -> Confirmation:
    """The hooks for the hosts of one Office; `prefix` stands before the names of all that is its own."""
    confirming = _Confirming(under_way)
    return Confirmation(
        pulumi.ResourceHook(f"{prefix}a-host-is-under-way", confirming.began),
        pulumi.ResourceHook(f"{prefix}a-host-is-done", lambda args: under_way.ended(args.name)),
        pulumi.ErrorHook(f"{prefix}confirm-over-a-new-connection", confirming.failed),
    )


@dataclass(frozen=True)
class _Confirming:
    under_way: UnderWay

    async def began(self, args: pulumi.ResourceHookArgs) -> None:
        """Once for each host: what takes connections and says nothing would hold the plugin, which has no limit for that."""
        to = await given(args.new_inputs)
        if to is not None and host_of(args.name) not in self.under_way.hosts and await self._silent(to):
            pulumi.log.warn(outcome(args.name, [_SILENT], self.under_way.rollback_after))
            await self.under_way.others()
            raise pulumi.RunError(advice(args.name, to, _SILENT) or "")
        self.under_way.began(args.name)
        asyncio.get_running_loop().call_later(self.under_way.limit, self._overdue, args.name)

    def _overdue(self, name: str) -> None:
        """A run that has not ended by now is not waited for, nor any other that asks through the same plugin."""
        if self.under_way.seconds(name) >= self.under_way.limit:
            pulumi.log.error(
                f"{host_of(name)}: nothing was heard of it for {self.under_way.limit} seconds, and it is not waited for any longer."
            )
            if not give_up():
                pulumi.log.warn("The plugin does not give up by itself. Press Ctrl-C twice: hosts undo by themselves what nobody confirms")

    async def failed(self, args: pulumi.ErrorHookArgs) -> bool:
        """Whether the command is run again."""
        deleting = args.failed_operation == "delete"
        to = await given(args.old_inputs if deleting else args.new_inputs)
        ends = runs(args.errors)
        _advise(args.name, to, ends[:1])
        _pass_on(args.name, args.errors[:1])
        if deleting:
            return False
        if self._again(args.name, ends):
            if to is None or not await self._silent(to):
                return True
            ends = (_SILENT, *ends)
            _advise(args.name, to, ends[:1])
        pulumi.log.warn(outcome(args.name, ends, self.under_way.rollback_after))
        self.under_way.failed(args.name)
        await self.under_way.others()
        return False

    def _again(self, name: str, ends: Sequence[Ended]) -> bool:
        in_time = self.under_way.seconds(name) < self.under_way.rollback_after / 2
        return not self.under_way.cut_short and runs_again(ends, in_time)

    async def _silent(self, to: Given) -> bool:
        """Of a host that is reached through another machine only that one can be asked from here."""
        return await silent(to.through or to.ssh, self.under_way.rollback_after / 4)


def _pass_on(name: str, newest: Sequence[str]) -> None:
    """A command says nothing to the terminal itself; a first run that asks to be confirmed may have something to say."""
    for error in newest:
        for notice in notices(error):
            pulumi.log.warn(f"{host_of(name)}: {notice}")


def _advise(name: str, to: Given | None, newest: Sequence[Ended]) -> None:
    for end in newest:
        line = advice(name, to, end) if to is not None else None
        if line is not None:
            pulumi.log.error(line)
