"""How the stand-in for pulumi-command ends what does not end by itself: against a real sshd, without an engine."""

import asyncio
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sshd import LOOPBACK, Sshd

from toolchain import remote_shell
from toolchain.remote_shell import LOST_SESSION, CommandError, DialError, Job, Retries, run


def job(server: Sshd, command: str, **connection: Any) -> Job:
    usual = {"host": LOOPBACK, "port": server.port, "user": server.user, "hostKey": server.host_key, "privateKey": server.private_key}
    return Job({**usual, "dialErrorLimit": 0, "perDialTimeout": 10, **connection}, command, "", frozenset())


async def say(line: str) -> None:
    pass


def test_a_session_whose_server_says_nothing_any_more_counts_as_lost(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_shell, "SECONDS_OF_SILENCE", 0.5)
    with pytest.raises(CommandError, match=LOST_SESSION):
        asyncio.run(run(job(sshd, "kill -STOP $PPID; sleep 600"), Retries(), say))


def test_a_command_that_takes_its_time_is_not_lost(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_shell, "SECONDS_OF_SILENCE", 0.5)
    assert asyncio.run(run(job(sshd, "sleep 4; echo done"), Retries(), say)).stdout == "done"


def test_after_a_cancel_what_runs_is_waited_for_only_a_while(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_shell, "SECONDS_AFTER_CANCEL", 0.5)
    retries = Retries()
    retries.cancelled.set()
    with pytest.raises(CommandError, match=LOST_SESSION):
        asyncio.run(run(job(sshd, "sleep 600"), retries, say))


def test_after_a_cancel_what_ends_in_that_while_is_heard(sshd: Sshd) -> None:
    retries = Retries()
    retries.cancelled.set()
    assert asyncio.run(run(job(sshd, "echo done"), retries, say)).stdout == "done"


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(sshd: Sshd) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent, pytest.raises(DialError, match="ssh: handshake failed: i/o timeout"):
        asyncio.run(run(job(sshd, "true", port=silent.getsockname()[1], perDialTimeout=1), Retries(), say))


def test_one_that_says_nothing_behind_a_proxy_is_given_up_too(sshd: Sshd) -> None:
    proxy = job(sshd, "").connection
    with socket.create_server((LOOPBACK, 0)) as silent, pytest.raises(DialError, match=r"proxy: .*ssh: handshake failed: i/o timeout"):
        asyncio.run(run(job(sshd, "true", port=silent.getsockname()[1], perDialTimeout=1, proxy=proxy), Retries(), say))


def test_a_key_with_a_passphrase_is_told_as_the_official_plugin_does(sshd: Sshd, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-C", "", "-f", locked], check=True)
    with pytest.raises(DialError, match="ssh: this private key is passphrase protected"):
        asyncio.run(run(job(sshd, "true", privateKey=locked.read_text()), Retries(), say))


def test_what_is_no_key_is_told_as_the_official_plugin_does(sshd: Sshd) -> None:
    with pytest.raises(DialError, match="ssh: no key found"):
        asyncio.run(run(job(sshd, "true", privateKey="no key"), Retries(), say))
