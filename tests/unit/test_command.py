"""What pulumi-command's errors say of a run, in Go's words and in those of the stand-in for it."""

import asyncio
import os
from typing import Any

import pytest

from components import command
from components.command import Ended, How, ended, given, notices, plugins
from wg_office.asking.advice import Failure

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJSo0YwaARrdMHOixv+SqeMTv1LEwZOBD96gpP8bvbYt"


@pytest.mark.parametrize(
    ("error", "end"),
    [
        ('Process exited with status 75: running "bash":\n', Ended(How.EXITED, 75)),
        ("Process exited with status 75", Ended(How.EXITED, 75)),
        ('Process exited with status 137 from signal KILL: running "bash":\n', Ended(How.EXITED, 137)),
        ('Process exited with status 84: running "bash":\nhandshake failed, exited with status 75: dial tcp', Ended(How.EXITED, 84)),
        ("wait: remote command exited without exit status or exit signal", Ended(How.UNHEARD)),
        ('wait: remote command exited without exit status or exit signal: running "bash":\nit said 75', Ended(How.UNHEARD)),
        ('EOF: running "bash":\n', Ended(How.UNHEARD)),
        ('read tcp 127.0.0.1:5->127.0.0.1:6: read: connection timed out: running "x":\n', Ended(How.UNHEARD)),
        ("error reading from server: EOF", Ended(How.UNHEARD)),
        ("rpc error: code = Unavailable desc = error reading from server: EOF", Ended(How.UNHEARD)),
        (
            "after 3 failed attempts: dial tcp 192.0.2.7:22: connect: connection refused",
            Ended(How.NEVER_BEGAN, failure=Failure.UNREACHABLE),
        ),
        ("after 3 failed attempts: dial tcp: lookup z: no such host", Ended(How.NEVER_BEGAN, failure=Failure.UNREACHABLE)),
        ("after 3 failed attempts: dial tcp 192.0.2.7:22: i/o timeout", Ended(How.NEVER_BEGAN, failure=Failure.UNREACHABLE)),
        ("after 3 failed attempts: ssh: handshake failed: ssh: host key mismatch", Ended(How.NEVER_BEGAN, failure=Failure.HOST_KEY)),
        (
            "ssh: handshake failed: ssh: no common algorithm for host key; we offered: []",
            Ended(How.NEVER_BEGAN, failure=Failure.HOST_KEY),
        ),
        (
            "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]",
            Ended(How.NEVER_BEGAN, failure=Failure.LOGIN),
        ),
        ("ssh: handshake failed: EOF", Ended(How.NEVER_BEGAN, failure=Failure.HANDSHAKE)),
        ("dial unix /nobody: connect: no such file or directory", Ended(How.NEVER_BEGAN, failure=Failure.AGENT)),
        (
            "proxy: after 3 failed attempts: ssh: rejected: connect failed (No route to host)",
            Ended(How.NEVER_BEGAN, failure=Failure.BEYOND),
        ),
        ("ssh: this private key is passphrase protected", Ended(How.NEVER_BEGAN, failure=Failure.PASSPHRASE)),
        ("ssh: no key found", Ended(How.NEVER_BEGAN, failure=Failure.NO_KEY)),
        ("context canceled", Ended(How.NEVER_BEGAN)),
        ("", Ended(How.NEVER_BEGAN)),
    ],
)
def test_an_error_says_how_a_run_ended(error: str, end: Ended) -> None:
    assert ended(error) == end


def test_the_machine_that_a_command_was_given_is_read_back() -> None:
    inputs: dict[str, Any] = {
        "connection": {"host": "192.0.2.7", "port": 2222.0, "user": "ops", "hostKey": HOST_KEY, "privateKey": "a secret"},
        "stdin": "a description",
    }
    inputs["connection"]["proxy"] = {"host": "203.0.113.10", "port": 22.0, "user": "root", "hostKey": HOST_KEY}
    to = asyncio.run(given(inputs))
    assert to is not None
    assert to.through is not None
    assert (to.ssh.address, to.ssh.host_key, to.through.address) == ("ops@192.0.2.7:2222", HOST_KEY, "root@203.0.113.10:22")
    assert to.fed == "a description"
    assert "a secret" not in repr(to)


@pytest.mark.parametrize("inputs", [None, {}, {"stdin": "x", "connection": None}])
def test_what_was_never_given_a_machine_has_none(inputs: dict[str, Any] | None) -> None:
    assert asyncio.run(given(inputs)) is None


# init 1, a shell 10 with two engines 20 and 30, each with a language host, a program, and a plugin; 99 is left over from a third
PARENTS = {10: 1, 20: 10, 21: 20, 22: 21, 23: 20, 30: 10, 31: 30, 32: 31, 33: 30, 99: 1, 1: 0}


def test_only_the_own_engine_s_plugin_is_ended() -> None:
    assert plugins(22, PARENTS, {23, 33, 99}.__contains__) == [23]
    assert plugins(32, PARENTS, {23, 33, 99}.__contains__) == [33]
    assert plugins(22, PARENTS, set[int]().__contains__) == []


@pytest.mark.parametrize(("host", "soon"), [("pulumi-language-python", True), ("python3.11", False), ("go", False)])
def test_a_program_of_the_official_language_host_is_killed_soon_after_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, host: str, soon: bool
) -> None:
    monkeypatch.setattr(command, "_parents", lambda: PARENTS | {os.getpid(): 21})
    monkeypatch.setattr(command, "_runs", {20: "pulumi", 21: host, 31: "pulumi-language-python"}.get)
    assert command.is_killed_soon() is soon


def test_what_a_host_wants_known_is_passed_on_fit_to_be_shown_and_nothing_else_is() -> None:
    said = "wg-office: table inet filter drops\nwg-office: note: table inet filter drops what \x1b[31mnobody accepts\nmore"
    assert notices(f'Process exited with status 75: running "bash":\n{said}') == ("table inet filter drops what \\x1b[31mnobody accepts",)
    assert notices("wg-office: note: before the command's own words") == ()
