"""Which hosts an `up` is changing at the moment, and what is said where it is interrupted. Room: Pulumi, no file formats."""

import asyncio
import os
import signal
import threading
import time
from dataclasses import dataclass, field

import pulumi

from .command import SECONDS_LEFT, give_up, is_killed_soon

SECONDS_MORE = 40
"""How long after the time for going back a command may run. By then nothing can come of it, and the plugin may have no limit of its own."""


def host_of(command: str) -> str:
    """The host of a command's name (HOST-keys, HOST-state)."""
    return command.rpartition("-")[0]


def is_description(command: str) -> bool:
    """Whether a command of that name brings a host's description, and not its keys."""
    return command.endswith("-state")


@dataclass
class Program:
    """What all Offices of one program have under way: hosts by name, with the seconds after which each goes back by itself.

    The engine ends the program at the first failure, and with it the confirmation of all other hosts, whichever Office they belong to.
    """

    hosts: dict[str, int] = field(default_factory=dict)
    cut_short: bool = False

    @property
    def all_back(self) -> int:
        """After how many seconds each of them has gone back that nobody confirmed."""
        return max(self.hosts.values(), default=0)


THIS = Program()
"""The program that runs: an engine starts one for each operation."""


class UnderWay:
    """The hosts of one Office that this `up` has begun to change, each of which goes back after `rollback_after` seconds unless it is
    confirmed. A failure is passed on only when no other host of the program is under way.
    """

    def __init__(self, rollback_after: int, program: Program | None = None) -> None:
        self.rollback_after = rollback_after
        self._program = program or Program()
        self._began: dict[str, float] = {}

    @property
    def cut_short(self) -> bool:
        """Whether the program was interrupted."""
        return self._program.cut_short

    @property
    def limit(self) -> int:
        """For how many seconds a command may run."""
        return self.rollback_after + SECONDS_MORE

    @property
    def hosts(self) -> list[str]:
        """The names of all in the program."""
        return sorted(self._program.hosts)

    def began(self, name: str) -> None:
        """Before a command of that name."""
        self._program.hosts[host_of(name)] = self.rollback_after
        self._began[name] = time.monotonic()

    def seconds(self, name: str) -> float:
        """For how long the command has been running; none where it does not."""
        now = time.monotonic()
        return now - self._began.get(name, now)

    def ended(self, name: str) -> None:
        """After a command that did what it should. After its keys a host still waits for its description."""
        self._began.pop(name, None)
        if is_description(name):
            self._program.hosts.pop(host_of(name), None)

    def failed(self, name: str) -> None:
        """After one that did not: nothing follows it."""
        self._began.pop(name, None)
        self._program.hosts.pop(host_of(name), None)

    async def others(self) -> None:
        """Wait until none is under way, but not for ever: by then each was confirmed, has failed or was given up."""
        end = time.monotonic() + self._program.all_back + SECONDS_MORE
        while self._program.hosts and time.monotonic() < end:
            await asyncio.sleep(0.1)


def outlive_an_interrupt(program: Program) -> None:
    """Ctrl-C once: the ends of commands that have begun are still heard of and told. Where there are none, the program ends at once.
    Where nobody would hear of them any more they are given up first: a session that stalls would hold the engine for good.

    The engine also interrupts the program after an `up` that failed; Python would answer that with a traceback. In a thread, as with the
    automation API's inline programs, nobody hears of signals but the program around it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not program.hosts:
            os.kill(os.getpid(), signal.SIGINT)
        program.cut_short = True
        pulumi.log.warn(
            f"interrupted while this changed: {', '.join(sorted(program.hosts))}. Nothing need be done by hand: what nobody confirms the "
            f"host itself undoes within {program.all_back} seconds. Wait for that, and run `pulumi up` again"
        )
        if is_killed_soon():
            loop.call_later(SECONDS_LEFT, lambda: program.hosts and give_up())

    loop.add_signal_handler(signal.SIGINT, interrupted)
