"""The program's own stack of a try: an interruption reaches Pulumi once, and is not over before Pulumi is."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.trial import stack as stack_of_a_try
from lab.trial.stack import Stack, tools
from toolchain.choose import Source
from toolchain.install import Selection

PULUMI = """#!/bin/bash
case $1 in
fail) echo "what is wrong" >&2; exit 4 ;;
esac
trap 'echo interrupted >>said; exit 1' INT
echo $$ >started
while :; do sleep 0.05; done
"""


def wait_until_started(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while not (folder / "started").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    program = tmp_path / "pulumi"
    program.write_text(PULUMI)
    program.chmod(0o755)
    return Stack(tmp_path, {"PATH": f"{tmp_path}:{os.environ['PATH']}"})


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What runs in the background, as `make test` runs this, ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupted(interruptible: None, stack: Stack) -> Iterator[threading.Thread]:
    """Somebody who presses Ctrl-C as soon as Pulumi runs."""

    def press() -> None:
        wait_until_started(stack.folder)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    yield thread
    thread.join()


def test_an_interruption_is_passed_on_once_and_waits_for_pulumis_end(stack: Stack, interrupted: threading.Thread) -> None:
    with pytest.raises(KeyboardInterrupt):
        stack.pulumi("up")
    interrupted.join()
    assert (stack.folder / "said").read_text() == "interrupted\n"
    assert not Path(f"/proc/{(stack.folder / 'started').read_text().strip()}").exists()


class InterruptedAtTheStart(subprocess.Popen[str]):
    """Somebody who presses Ctrl-C when the process is there and its starter does not know it yet."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        wait_until_started(Path(named["cwd"]))
        signal.raise_signal(signal.SIGINT)


def test_an_interruption_while_pulumi_starts_leaves_it_not_at_work(
    interruptible: None, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", InterruptedAtTheStart)
    with pytest.raises(KeyboardInterrupt):
        stack.pulumi("up")
    assert (stack.folder / "said").read_text() == "interrupted\n"


def test_where_pulumi_fails_its_own_words_say_why(stack: Stack) -> None:
    with pytest.raises(LabError, match=r"`pulumi fail` failed on the machines of the try, and said:\nwhat is wrong"):
        stack.pulumi("fail")


@pytest.mark.parametrize(("source", "kept"), [(Source.SYSTEM, True), (Source.BUILD, False)])
def test_a_pulumi_on_path_keeps_its_users_plugins_and_nothing_else_of_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: Source, kept: bool
) -> None:
    monkeypatch.setattr(stack_of_a_try, "read_selection", lambda _: Selection(source.value, "3.259.0", "pulumi", "a test"))
    users = str(tmp_path / "plugins-of-the-users")
    for name, value in {"PULUMI_HOME": users, "PULUMI_STACK": "office", "PULUMI_BACKEND_URL": "s3://office", "SSH_AUTH_SOCK": "/a"}.items():
        monkeypatch.setenv(name, value)
    given = tools()
    assert (given.get("PULUMI_HOME") == users) is kept
    assert "PULUMI_STACK" not in given
    assert "SSH_AUTH_SOCK" not in given
    assert given["PULUMI_BACKEND_URL"].startswith("file://")
