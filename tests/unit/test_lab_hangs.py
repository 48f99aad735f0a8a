"""A virtual machine that hangs: whatever it does, `down` ends it, `status` says so, and every verb ends with a sentence."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import Lab, LabError, core
from lab.cli import main
from lab.nodes import NODES

# For the lab QEMU is a process that has the pid file's path among its arguments, and the forwarded ports.
MACHINE = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[2])))
print("ready", flush=True)
held = []
while True:
    connection = server.accept()[0]
    held.append(connection) if sys.argv[3] == "is silent" else connection.close()
"""


@pytest.fixture(params=["is silent", "hangs up", "is stopped"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[str]"]:
    """A machine that answers nothing, in the lab of a clone at `tmp_path`, for which nobody waits long."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    for name, value in {"LAB_PORT_BASE": str(port), "LAB_NAME": "", "XDG_RUNTIME_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name, seconds in {
        "ANSWER_SECONDS": 1.0,
        "POWEROFF_SECONDS": 0.5,
        "BOOT_SECONDS": 3.0,
        "ASK_SECONDS": 1.0,
        "REBOOT_SECONDS": 1.0,
    }.items():
        monkeypatch.setattr(core, name, seconds)
    monkeypatch.setattr("lab.cli.Lab", lambda _root: Lab(tmp_path))
    state = tmp_path / ".state" / "lab"
    state.mkdir(parents=True)
    (state / "lab.json").write_text(f'{{"port_base": {port}, "releases": {{}}}}')
    way = "is silent" if request.param == "is stopped" else request.param
    command = [sys.executable, "-c", MACHINE, str(state / "qemu.pid"), str(port), way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        (state / "qemu.pid").write_text(str(process.pid))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if request.param == "is stopped":
            process.send_signal(signal.SIGSTOP)
        yield process
        process.kill()


def test_down_ends_it(machine: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["down"]) == 0
    assert machine.wait(60) == -signal.SIGKILL
    assert "it did not shut down by itself; ending it" in capsys.readouterr().err
    assert main(["status"]) == 3
    assert "virtual machine: down" in capsys.readouterr().out


def test_status_says_so(machine: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 3
    said = capsys.readouterr()
    assert f"running, process {machine.pid}" in said.out
    assert "it does not answer" in said.out
    assert "`python -m lab down` ends it in any case" in said.out
    assert said.out.count(" unknown ") == len(NODES)
    assert said.err == ""


@pytest.mark.parametrize("verb", ["up", "reset z", "reboot z", "reboot e", "crash z", "move e beijing"])
def test_a_verb_that_needs_it_ends_with_one_sentence(
    machine: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert main(verb.split()) == 1
    *_progress, sentence = capsys.readouterr().err.splitlines()
    assert sentence.startswith("lab: ")
    assert "python -m lab status" in sentence
    assert machine.poll() is None, "nobody has asked to end it"


@pytest.mark.parametrize("machine", ["hangs up"], indirect=True)
@pytest.mark.usefixtures("machine")
def test_a_command_in_a_node_ends_with_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", "z", "--", "true"]) == 255
    assert capfd.readouterr().err.splitlines()[-1].startswith("lab: The virtual machine did not answer within 1 s")


@pytest.mark.parametrize("machine", ["is silent"], indirect=True)
def test_down_does_not_wait_for_an_up_that_waits(machine: "subprocess.Popen[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "BOOT_SECONDS", 600.0)
    waiting, waits = Lab(tmp_path, quiet=True), threading.Event()
    monkeypatch.setattr(waiting, "progress", lambda _text: waits.set())
    with ThreadPoolExecutor() as pool:
        up = pool.submit(waiting.up)
        assert waits.wait(60)
        Lab(tmp_path, quiet=True).down()
        with pytest.raises(LabError, match=r"ended while we waited"):
            up.result(60)
    assert machine.wait(60) == -signal.SIGKILL


@pytest.mark.parametrize("machine", ["hangs up"], indirect=True)
@pytest.mark.usefixtures("machine")
def test_a_fault_of_this_machine_is_one_sentence_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    assert main(["status"]) == 1
    assert capsys.readouterr().err.startswith("lab: [Errno 2] No such file or directory")
