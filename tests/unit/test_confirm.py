"""What the error hook answers: whether a command runs again, and what it tells of a connection that failed."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from components.command import Ended, Given, How
from components.confirm import advice, outcome, runs_again
from components.under_way import SECONDS_MORE, Program, UnderWay, outlive_an_interrupt
from wg_office.asking.advice import Failure
from wg_office.environment.model import Ssh
from wg_office.hosts import hostscript

ASKS = Ended(How.EXITED, 75)
REJECTED, BUSY, FOREIGN, UNFIT, UNDONE, BUT = (Ended(How.EXITED, status) for status in (84, 81, 82, 83, 85, hostscript.WENT_BACK_BUT))
KILLED = Ended(How.EXITED, 137)
LOST = Ended(How.UNHEARD)
REFUSED, MISMATCH, NO_LOGIN, SILENT = (
    Ended(How.NEVER_BEGAN, failure=failure) for failure in (Failure.UNREACHABLE, Failure.HOST_KEY, Failure.LOGIN, Failure.SILENT)
)

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJSo0YwaARrdMHOixv+SqeMTv1LEwZOBD96gpP8bvbYt"
TO = Given(Ssh(host="192.0.2.7", port=2222, user="ops", host_key=HOST_KEY), None, "a secret")


@pytest.mark.parametrize(
    ("ends", "again"),
    [
        ([], False),
        ([ASKS], True),
        ([ASKS, ASKS], True),
        ([ASKS, ASKS, ASKS], False),
        ([LOST], True),
        ([LOST, LOST], False),
        ([ASKS, LOST], True),
        ([LOST, ASKS], True),
        ([LOST, ASKS, LOST], False),
        ([Ended(How.EXITED, 1)], False),
        ([Ended(How.EXITED, 7)], False),
        ([Ended(How.EXITED, 124)], False),
        ([Ended(How.EXITED, 1), ASKS], False),
        ([REFUSED], False),
        ([REFUSED, ASKS], False),
    ],
)
def test_a_command_runs_again_when_the_host_asks_or_the_session_was_lost_once(ends: list[Ended], again: bool) -> None:
    assert runs_again(ends) is again


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Failure.UNREACHABLE, "ssh-keyscan -t ed25519 -p 2222 192.0.2.7"),
        (Failure.HOST_KEY, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"),
        (Failure.HOST_KEY, "SHA256:"),
        (Failure.LOGIN, "ssh -p 2222 ops@192.0.2.7"),
        (Failure.AGENT, "SSH_AUTH_SOCK"),
        (Failure.HANDSHAKE, "before the login"),
        (Failure.BEYOND, "from the machine on the way there. Check that `ssh-keyscan"),
        (Failure.SILENT, "says nothing"),
        (Failure.PASSPHRASE, "`ssh-add` the key"),
        (Failure.NO_KEY, "cannot be read as a private key"),
    ],
)
@pytest.mark.parametrize("command", ["keys", "state"])
def test_a_failed_connection_is_told_with_host_address_and_remedy(failure: Failure, told: str, command: str) -> None:
    line = advice(f"old-gate-{command}", TO, Ended(How.NEVER_BEGAN, failure=failure))
    assert line is not None
    assert line.startswith("old-gate: ops@192.0.2.7:2222 ")
    assert told in line
    assert "\n" not in line
    assert "a secret" not in line
    assert "{" not in line


def test_a_host_behind_another_is_told_with_the_other_s_address() -> None:
    proxied = replace(TO, through=Ssh(host="203.0.113.10", host_key=HOST_KEY))
    line = advice("a-state", proxied, MISMATCH)
    assert line is not None
    assert "a: ops@192.0.2.7:2222, or the machine on the way there (root@203.0.113.10:22), shows" in line


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Failure.BEYOND, "cannot be reached from ops@203.0.113.9:2200. Check that `ssh -p 2200 ops@203.0.113.9 ssh-keyscan -t ed25519"),
        (Failure.LOGIN, "Make `ssh -J ops@203.0.113.9:2200 -p 2222 ops@192.0.2.7` work"),
        (Failure.HOST_KEY, "compare `ssh -p 2200 ops@203.0.113.9 ssh-keyscan -t ed25519 -p 2222 192.0.2.7 | ssh-keygen -lf -`"),
    ],
)
def test_what_to_try_about_a_host_behind_another_is_typed_there(failure: Failure, told: str) -> None:
    proxied = replace(TO, through=Ssh(host="203.0.113.9", port=2200, user="ops", host_key=HOST_KEY))
    assert told in (advice("a-state", proxied, Ended(How.NEVER_BEGAN, failure=failure)) or "")


def test_a_loss_that_is_noticed_too_late_is_not_answered_by_a_second_run() -> None:
    assert not runs_again([LOST], in_time=False)
    assert runs_again([ASKS], in_time=False)


@pytest.mark.parametrize(
    ("ends", "known"),
    [
        ([REFUSED], "was not reached, and holds the state it had."),
        ([REJECTED], "holds the state it had."),
        ([REJECTED, ASKS], "holds the state it had."),
        ([REFUSED, ASKS], "has applied a change that nobody confirms, and goes back to the state it had within 90 seconds."),
        ([REFUSED, LOST], "holds the state it had or the new one, whole"),
        ([REFUSED, LOST, ASKS], "holds the state it had or the new one, whole"),
        ([LOST, LOST], "holds the state it had or the new one, whole"),
        ([KILLED], "holds the state it had or the new one, whole"),
        ([ASKS, ASKS, ASKS], "has applied a change that nobody confirms"),
        ([BUSY], "holds the state it had."),
        ([BUSY, LOST], "holds the state it had or the new one, whole"),
        ([UNDONE, LOST], "holds the state it had."),
        ([SILENT], "was not reached, and holds the state it had."),
        ([SILENT, ASKS], "has applied a change that nobody confirms, and goes back to the state it had within 90 seconds."),
        ([SILENT, LOST], "holds the state it had or the new one, whole"),
        ([BUT], "went back to the state it had, but not in everything: its own words say what is left."),
        ([BUT, ASKS], "went back to the state it had, but not in everything"),
    ],
)
def test_after_the_last_failure_the_operator_is_told_what_is_known_of_the_host(ends: list[Ended], known: str) -> None:
    line = outcome("old-gate-state", ends, 90)
    assert line.startswith("old-gate ")
    assert known in line


@pytest.mark.parametrize("ends", [[LOST, LOST], [REFUSED], [SILENT], [REFUSED, ASKS], [BUSY], [UNDONE], [KILLED], [ASKS, ASKS, ASKS]])
def test_where_trying_again_may_help_it_is_advised(ends: list[Ended]) -> None:
    assert "The next `pulumi up` settles it" in outcome("a-state", ends, 90)


@pytest.mark.parametrize("ends", [[MISMATCH], [NO_LOGIN], [MISMATCH, ASKS], [FOREIGN], [UNFIT], [REJECTED], [REJECTED, ASKS], [BUT]])
@pytest.mark.parametrize("command", ["keys", "state"])
def test_where_something_is_to_be_mended_first_nobody_is_told_that_trying_again_settles_it(ends: list[Ended], command: str) -> None:
    line = outcome(f"a-{command}", ends, 90)
    assert "settles it" not in line
    assert "run `pulumi up` again" in line


def test_what_a_host_could_not_take_back_is_looked_up_with_status() -> None:
    assert "`python -m wg_office status` names no drift" in outcome("a-state", [BUT], 90)


def test_keys_that_did_not_arrive_change_nothing() -> None:
    assert "holds the state it had." in outcome("a-keys", [LOST, LOST], 90)


@pytest.mark.parametrize("end", [ASKS, LOST, Ended(How.EXITED, 1), Ended(How.NEVER_BEGAN)])
def test_a_command_that_ran_gets_no_advice_on_connections(end: Ended) -> None:
    assert advice("a-state", TO, end) is None


def test_a_failure_is_passed_on_when_no_other_host_is_under_way() -> None:
    async def fail_beside_another() -> list[str]:
        under_way, order = UnderWay(60), []
        for name in ("z-keys", "z-state", "c-state"):
            under_way.began(name)

        async def c_fails() -> None:
            under_way.failed("c-state")
            await under_way.others()
            order.append("c has failed")

        waiting = asyncio.create_task(c_fails())
        await asyncio.sleep(0)
        under_way.ended("z-keys")
        await asyncio.sleep(0.3)
        assert order == [], "z has its keys, and its description is still to come"
        order.append("z is confirmed")
        under_way.ended("z-state")
        await waiting
        return order

    assert asyncio.run(fail_beside_another()) == ["z is confirmed", "c has failed"]


def test_a_failure_is_not_passed_on_while_a_host_of_another_office_is_under_way() -> None:
    async def fail_beside_another() -> list[str]:
        program, order = Program(), list[str]()
        north, south = UnderWay(60, program), UnderWay(90, program)
        north.began("north-z-state")
        south.began("south-z-state")
        assert (program.all_back, south.hosts) == (90, ["north-z", "south-z"])

        async def fails() -> None:
            north.failed("north-z-state")
            await north.others()
            order.append("north has failed")

        waiting = asyncio.create_task(fails())
        await asyncio.sleep(0)
        order.append("south is confirmed")
        south.ended("south-z-state")
        await waiting
        return order

    assert asyncio.run(fail_beside_another()) == ["south is confirmed", "north has failed"]


def test_in_a_thread_signals_are_left_to_the_program_around_it() -> None:
    async def listen() -> None:
        outlive_an_interrupt(Program())

    before = signal.getsignal(signal.SIGINT)
    with ThreadPoolExecutor() as pool:
        pool.submit(lambda: asyncio.run(listen())).result()
    assert signal.getsignal(signal.SIGINT) is before


def test_two_that_fail_do_not_wait_for_each_other_nor_for_ever() -> None:
    under_way = UnderWay(-SECONDS_MORE)
    under_way.began("z-state")
    asyncio.run(under_way.others())
    under_way = UnderWay(3600)
    under_way.began("z-state")
    under_way.ended("z-state")
    asyncio.run(under_way.others())
