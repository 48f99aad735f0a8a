"""The program's own stack of a try: an interruption reaches Pulumi once, and is not over before Pulumi is."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.trial.stack import Stack

PULUMI = """#!/bin/bash
case $1 in
fail) echo "what is wrong" >&2; exit 4 ;;
esac
trap 'echo interrupted >>said; exit 1' INT
echo $$ >started
while :; do sleep 0.05; done
"""


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    program = tmp_path / "pulumi"
    program.write_text(PULUMI)
    program.chmod(0o755)
    return Stack(tmp_path, {"PATH": f"{tmp_path}:{os.environ['PATH']}"})


@pytest.fixture
def interrupted(stack: Stack) -> Iterator[threading.Thread]:
    """Somebody who presses Ctrl-C as soon as Pulumi runs."""

    def press() -> None:
        deadline = time.monotonic() + 60
        while not (stack.folder / "started").is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    # What runs in the background, as `make test` runs this, ignores it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=press)
    thread.start()
    yield thread
    thread.join()
    signal.signal(signal.SIGINT, before)


def test_an_interruption_is_passed_on_once_and_waits_for_pulumis_end(stack: Stack, interrupted: threading.Thread) -> None:
    with pytest.raises(KeyboardInterrupt):
        stack.pulumi("up")
    interrupted.join()
    assert (stack.folder / "said").read_text() == "interrupted\n"
    assert not Path(f"/proc/{(stack.folder / 'started').read_text().strip()}").exists()


def test_where_pulumi_fails_its_own_words_say_why(stack: Stack) -> None:
    with pytest.raises(LabError, match=r"`pulumi fail` failed on the machines of the try, and said:\nwhat is wrong"):
        stack.pulumi("fail")
