"""What the error hook answers: whether a command runs again, and what it tells of a connection that failed."""

import asyncio

import pytest

from components.confirm import UnderWay, advice, outcome, runs_again

ASKS = 'Process exited with status 75: running "bash":'
REJECTED = 'Process exited with status 84: running "bash":'
BUSY = 'Process exited with status 81: running "bash":'
KILLED = 'Process exited with status 137: running "bash":'
LOST = "wait: remote command exited without exit status or exit signal"
REFUSED = "after 3 failed attempts: dial tcp 192.0.2.7:22: connect: connection refused"
MISMATCH = "after 3 failed attempts: ssh: handshake failed: ssh: host key mismatch"

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJSo0YwaARrdMHOixv+SqeMTv1LEwZOBD96gpP8bvbYt"
CONNECTION = {"host": "192.0.2.7", "port": 2222.0, "user": "ops", "hostKey": HOST_KEY, "privateKey": "a secret"}


@pytest.mark.parametrize(
    ("errors", "again"),
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
        (["Process exited with status 1"], False),
        (["Process exited with status 7"], False),
        (["Process exited with status 124"], False),
        (["Process exited with status 1", ASKS], False),
        ([REFUSED], False),
        ([REFUSED, ASKS], False),
    ],
)
def test_a_command_runs_again_when_the_host_asks_or_the_session_was_lost_once(errors: list[str], again: bool) -> None:
    assert runs_again(errors) is again


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (REFUSED, "ssh-keyscan -t ed25519 -p 2222 192.0.2.7"),
        ("after 3 failed attempts: dial tcp: lookup z: no such host", "cannot be reached"),
        (MISMATCH, "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"),
        (MISMATCH, "SHA256:"),
        ("ssh: handshake failed: ssh: no common algorithm for host key; we offered: []", "another host key"),
        ("ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]", "ssh -p 2222 ops@192.0.2.7"),
        ("dial unix /nobody: connect: no such file or directory", "SSH_AUTH_SOCK"),
        ("ssh: handshake failed: EOF", "before the login"),
        ("proxy: after 3 failed attempts: ssh: rejected: connect failed (No route to host)", "from the hub"),
    ],
)
@pytest.mark.parametrize("command", ["keys", "state"])
def test_a_failed_connection_is_told_with_host_address_and_remedy(error: str, told: str, command: str) -> None:
    line = advice(f"old-gate-{command}", CONNECTION, [error])
    assert line is not None
    assert line.startswith("old-gate: ops@192.0.2.7:2222 ")
    assert told in line
    assert "\n" not in line
    assert "a secret" not in line
    assert "{" not in line


def test_a_host_behind_the_hub_is_told_with_the_hub_s_address() -> None:
    proxied = {**CONNECTION, "proxy": {"host": "203.0.113.10", "port": 22.0, "user": "root", "hostKey": HOST_KEY}}
    line = advice("a-state", proxied, [f"proxy: {MISMATCH}"])
    assert line is not None
    assert "a: ops@192.0.2.7:2222, or the hub on the way there (root@203.0.113.10:22), shows" in line


def test_a_loss_that_is_noticed_too_late_is_not_answered_by_a_second_run() -> None:
    assert not runs_again([LOST], in_time=False)
    assert runs_again([ASKS], in_time=False)


@pytest.mark.parametrize(
    ("errors", "known"),
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
    ],
)
def test_after_the_last_failure_the_operator_is_told_what_is_known_of_the_host(errors: list[str], known: str) -> None:
    line = outcome("old-gate-state", errors, 90)
    assert line.startswith("old-gate ")
    assert known in line
    assert "The next `pulumi up` settles it" in line


def test_keys_that_did_not_arrive_change_nothing() -> None:
    assert "holds the state it had." in outcome("a-keys", [LOST, LOST], 90)


@pytest.mark.parametrize("error", [ASKS, LOST, 'Process exited with status 1: running "x":\ndial tcp: the host\'s own words', ""])
def test_a_command_that_ran_gets_no_advice_on_connections(error: str) -> None:
    assert advice("a-state", CONNECTION, [error]) is None


def test_a_failure_is_passed_on_when_no_other_host_is_under_way() -> None:
    async def fail_beside_another() -> list[str]:
        under_way, order = UnderWay(), []
        for name in ("z-keys", "z-state", "c-state"):
            under_way.began(name)

        async def c_fails() -> None:
            under_way.ended("c-state")
            await under_way.others(60)
            order.append("c has failed")

        waiting = asyncio.create_task(c_fails())
        await asyncio.sleep(0)
        order.append("z is confirmed")
        under_way.ended("z-state")
        await waiting
        return order

    assert asyncio.run(fail_beside_another()) == ["z is confirmed", "c has failed"]


def test_two_that_fail_do_not_wait_for_each_other_nor_for_ever() -> None:
    under_way = UnderWay()
    under_way.began("z-state")
    asyncio.run(under_way.others(0.2))
    under_way.ended("z-state")
    asyncio.run(under_way.others(3600))
