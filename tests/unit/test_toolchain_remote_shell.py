"""The waiting and the error texts of the command stand-in, which the program's error hook reads."""

import asyncio
import errno
import socket
from typing import Any

import pytest

from toolchain.remote_shell import LONGEST_OUTPUT, CommandError, DialError, Endpoint, Retries, _read, dial_text, ending, printable

CONNECTION: dict[str, Any] = {"host": "203.0.113.10", "port": 22.0, "hostKey": "k", "privateKey": "p"}


async def quiet(line: str) -> None:
    del line


def endpoint(**changed: Any) -> Endpoint:
    return Endpoint.of({**CONNECTION, **changed})


def test_the_limits_are_the_official_ones_where_none_are_given() -> None:
    assert (endpoint().dial_errors, endpoint().dial_seconds, endpoint().user, endpoint().port) == (10, 15, "root", 22)


def test_an_agent_in_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    assert endpoint().agent == "/run/agent"
    assert endpoint(agentSocketPath="/run/other").agent == "/run/other"
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert endpoint().agent is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "dial tcp 203.0.113.10:22: connect: connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "dial tcp 203.0.113.10:22: connect: no route to host"),
        (OSError(errno.ENETUNREACH, "x"), "dial tcp 203.0.113.10:22: connect: network is unreachable"),
        (TimeoutError(), "dial tcp 203.0.113.10:22: i/o timeout"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "dial tcp 203.0.113.10:22: connect: connection timed out"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "dial tcp: lookup 203.0.113.10: no such host"),
    ],
)
def test_a_failed_dial_reads_as_go_writes_it(error: OSError, text: str) -> None:
    assert dial_text(endpoint(), error) == text


def test_an_ipv6_address_is_bracketed() -> None:
    assert dial_text(endpoint(host="2001:db8::1"), TimeoutError()) == "dial tcp [2001:db8::1]:22: i/o timeout"


@pytest.mark.parametrize(
    ("status", "by_signal", "text"),
    [
        (0, None, ""),
        (75, None, "Process exited with status 75"),
        (None, None, "wait: remote command exited without exit status or exit signal"),
        (-1, ("KILL", False, "", ""), "Process exited with status 137 from signal KILL"),
        (-1, ("TERM", False, "why", ""), "Process exited with status 143 from signal TERM. Reason was: why"),
    ],
)
def test_how_a_command_ended_reads_as_the_official_plugin_writes_it(status: int | None, by_signal: Any, text: str) -> None:
    assert ending(status, by_signal) == text


@pytest.mark.parametrize(("limit", "dials"), [(0, 1), (2, 3), (5, 6)])
def test_the_limit_counts_the_errors_that_are_forgiven(limit: int, dials: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.remote_shell.FIRST_DELAY", 0.0)
    tried = []

    async def attempt() -> None:
        tried.append(1)
        raise DialError("no answer")

    with pytest.raises(DialError, match=f"^after {limit} failed attempts: no answer$"):
        asyncio.run(Retries().dial("Dial", limit, attempt, quiet))
    assert len(tried) == dials


def test_the_waits_between_dials_grow_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Waiting(Retries):
        async def _cancelled_within(self, seconds: float) -> bool:
            waits.append(seconds)
            return False

    async def attempt() -> None:
        raise DialError("no answer")

    with pytest.raises(DialError):
        asyncio.run(Waiting().dial("Dial", 12, attempt, quiet))
    assert waits[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert waits == sorted(waits)
    assert waits[-1] == 5.0


def test_cancelling_ends_the_dialling() -> None:
    retries = Retries()

    async def attempt() -> None:
        retries.cancelled.set()
        raise DialError("no answer")

    with pytest.raises(DialError, match="context canceled"):
        asyncio.run(retries.dial("Dial", -1, attempt, quiet))


class Endless:
    """A stream of a host that never ends."""

    sent = 0

    async def read(self, most: int) -> bytes:
        self.sent += most
        return b"x" * most


def test_a_host_that_never_ends_is_read_up_to_a_limit() -> None:
    stream: Any = Endless()
    with pytest.raises(CommandError, match="it said more than 16 MiB"):
        asyncio.run(_read(stream, [], [], None))
    assert stream.sent <= LONGEST_OUTPUT + 32768


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("up\x9b1A\u202eleft".encode()) == "up1Aleft"
    assert printable(b"\x1b[31mred\x07\ttab\r") == "[31mred\ttab"
