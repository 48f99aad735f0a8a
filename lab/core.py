"""The lab as an object: what the command line and the tests use."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from . import emulator, hostpackages, image, keys, seed
from .errors import LabError
from .nodes import OFFICE, VM, Kind, Topology
from .progress import Progress
from .remote import Background, Connection, new_tag
from .settings import Settings
from .vm import VirtualMachine, disk_devices, wait_gone

BOOT_SECONDS = 600.0
REBOOT_SECONDS = 600.0
ASK_SECONDS = 60.0
ANSWER_SECONDS = 15.0  # what a machine is given before `status` and `down` go on without its answer
POWEROFF_SECONDS = 30.0
SSH_FAILED = 255
States = Mapping[str, tuple[str, int]]  # node -> state of its unit, process id of its first process or 0


@dataclass(frozen=True)
class NodeState:
    """One node as it is now."""

    name: str
    purpose: str
    state: str
    leader: int
    port: int | None
    release: str


@dataclass(frozen=True)
class Remembered:
    """How the lab was brought up last."""

    port_base: int
    releases: dict[str, str] = field(default_factory=dict)


class Lab:
    """One lab, of the clone at `root`."""

    def __init__(
        self, root: Path | str, quiet: bool = False, topology: Topology = OFFICE, environ: Mapping[str, str] | None = None
    ) -> None:
        self.topology = topology
        self.settings = Settings.read(Path(root), environ)
        # A running lab keeps the ports it was started with; `up` alone compares them with what is asked for now.
        self._asked_port_base = self.settings.port_base
        if VirtualMachine(self.settings, topology).pid() is not None:
            self.settings = replace(self.settings, port_base=self._remembered().port_base)
        self.machine = VirtualMachine(self.settings, topology)
        self.connection = Connection(self.settings, topology)
        self.progress = Progress(quiet)

    # ---- where things are ----

    @property
    def key(self) -> Path:
        """The operator's private key."""
        return self.settings.state / keys.OPERATOR_KEY

    @property
    def known_hosts(self) -> Path:
        """The nodes' host keys, in OpenSSH's format."""
        return self.settings.state / keys.KNOWN_HOSTS

    @property
    def running(self) -> bool:
        """Whether the virtual machine runs."""
        return self.machine.pid() is not None

    def port(self, node: str) -> int:
        """The forwarded port of a node's sshd on 127.0.0.1."""
        self.topology.check(node)
        if node != VM and not self.topology.by_name[node].is_host:
            raise LabError(f"Node {node} has no sshd: use `python -m lab exec {node} -- COMMAND`.")
        return self.settings.port_base + self.topology.offset(node)

    def ssh_command(self, node: str) -> list[str]:
        """A complete ssh command line to a node, ready for more arguments."""
        return self.connection.ssh(self.port(node), shared=False)

    # ---- life ----

    def up(self, releases: Mapping[str, str] | None = None) -> list[NodeState]:
        """Bring the lab up; nothing happens if it is up. `releases`: node -> Debian release other than the main one.

        Returns every node as it is now.
        """
        self.settings.state.mkdir(parents=True, exist_ok=True)
        self.settings.state.chmod(0o700)
        with self._locked():
            if self.running and not self._memory.is_file():
                self.progress("somebody removed this lab's state under the running machine; ending it")
                self.machine.kill()
            if self.running:
                self._refuse_other_shape(releases)
            else:
                self._start(dict(releases) if releases is not None else self._remembered().releases)
        # Not locked any more: `down` must not wait for an `up` that waits for a machine that never comes.
        return self._node_states(self._wait_all())

    def _start(self, releases: dict[str, str]) -> None:
        hostpackages.ensure(hostpackages.VM_TOOLS, self.progress)
        names = dict.fromkeys([image.MAIN_RELEASE, *releases.values()])
        images = {name: image.ensure(name, self.settings.cache, self.progress) for name in names}
        qemu = emulator.ensure(self.settings.cache, self.progress)
        lab_keys = keys.ensure(self.settings.state, self.settings.port_base, self.topology)
        self.connection.close()
        self.progress(f"starting the virtual machine ({self.settings.accel})")
        self.machine.start(seed.seed(lab_keys, releases, disk_devices(images), self.topology), qemu, images)
        new = self._memory.with_suffix(".new")
        new.write_text(json.dumps(asdict(Remembered(self.settings.port_base, releases))) + "\n")
        new.rename(self._memory)

    def _refuse_other_shape(self, releases: Mapping[str, str] | None) -> None:
        remembered = self._remembered()
        if remembered.port_base != self._asked_port_base:
            raise LabError(f"The lab runs with LAB_PORT_BASE={remembered.port_base}: `python -m lab down` first, or use that number.")
        if releases is not None and dict(releases) != remembered.releases:
            raise LabError(f"The lab runs with other releases ({remembered.releases or 'none'}): `python -m lab down` first.")

    @property
    def _memory(self) -> Path:
        return self.settings.state / "lab.json"

    def _remembered(self) -> Remembered:
        return Remembered(**json.loads(self._memory.read_text())) if self._memory.is_file() else Remembered(self.settings.port_base)

    def _wait_all(self) -> States:
        """Until each node is up and each sshd answers."""
        # The cheap question first: a lab that is up answers it at once.
        if self.connection.socket.exists():
            states = self._states()
            if len(states) == len(self.topology.nodes) and all(state == "active" for state, _ in states.values()):
                return states
        self._poll("the virtual machine's sshd", lambda: _answers(self.port(VM)), BOOT_SECONDS)
        states = self._wait_nodes()
        for node in self.topology.hosts:
            self._wait_sshd(node.name, BOOT_SECONDS)
        self.progress("the lab is up")
        return states

    def _wait_nodes(self) -> States:
        """One command that ends when all nodes are up: asking again and again would cost a quarter of the emulated CPUs."""
        self.progress("waiting for all nodes")
        try:
            states = self._states("wait", seconds=BOOT_SECONDS)
        except NoAnswerError:
            states = self._states()
        failed = [name for name, (state, _) in states.items() if state != "active"]
        if failed or len(states) != len(self.topology.nodes):
            raise LabError(f"Not all nodes came up ({', '.join(failed) or 'no answer'}): see `python -m lab exec vm -- journalctl -b`.")
        return states

    def _wait_sshd(self, node: str, seconds: float) -> None:
        self._poll(f"{node}'s sshd", lambda: _answers(self.port(node)), seconds)

    def _poll(self, what: str, done: Callable[[], bool], seconds: float, pause: float = 0.3) -> None:
        """Wait with one progress line, and with a precise complaint when it takes too long or the machine is gone."""
        deadline = time.monotonic() + seconds
        said = False
        while not done():
            if not self.running:
                raise LabError(f"The virtual machine ended while we waited for {what}: see {self.machine.console}.")
            if time.monotonic() > deadline:
                raise LabError(f"Waited {seconds:.0f} s for {what}: see {self.machine.console} and `python -m lab status`.")
            if not said:
                self.progress(f"waiting for {what}")
                said = True
            time.sleep(pause)

    def down(self) -> None:
        """Shut the virtual machine down, by force where it does not do so itself; what the nodes had written to the disk is kept."""
        if not self.settings.state.is_dir():
            return
        with self._locked():
            self._shut_down()

    def _shut_down(self) -> None:
        pid = self.machine.pid()
        if pid is not None:
            self.progress("shutting down")
            if not (self._takes("systemctl", "poweroff") and wait_gone(pid, POWEROFF_SECONDS)):
                self.progress("it did not shut down by itself; ending it")
        self.cut()

    def _takes(self, *argv: str) -> bool:
        """Whether the virtual machine takes a command; how it ends says nothing, since the way there may be shut down with the rest."""
        try:
            command = self.connection.command(VM, argv, new_tag())
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_SECONDS, check=False)
        except (LabError, subprocess.TimeoutExpired):
            return False
        return True

    def clean(self) -> None:
        """Down, and remove everything this lab generated. The image cache stays."""
        self.down()
        shutil.rmtree(self.settings.state, ignore_errors=True)

    def cut(self) -> None:
        """A power cut: the virtual machine is gone from one moment to the next."""
        self.machine.kill()
        self.connection.close()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.settings.state / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.progress("another `python -m lab` is at work here; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    # ---- status ----

    def status(self) -> list[NodeState]:
        """Every node as it is now; `unknown` where the virtual machine runs and does not answer within seconds."""
        try:
            states = self._states(seconds=ANSWER_SECONDS) if self.running else {}
        except NoAnswerError:
            states = {}
        return self._node_states(states)

    def _node_states(self, states: States) -> list[NodeState]:
        releases = self._remembered().releases
        return [self._node_state(name, states, releases) for name in self.topology.by_name]

    def _node_state(self, name: str, states: States, releases: Mapping[str, str]) -> NodeState:
        node = self.topology.by_name[name]
        state, leader = states.get(name, ("unknown" if self.running else "down", 0))
        port = self.port(name) if node.is_host else None
        return NodeState(name, node.purpose, state, leader, port, releases.get(name, image.MAIN_RELEASE))

    def _states(self, *options: str, seconds: float | None = None) -> States:
        done = self._ask(VM, ["/run/lab/bin/states", *options], seconds or ASK_SECONDS)
        rows = [line.split() for line in done.stdout.splitlines()]
        return {name: (state, int(leader)) for name, state, leader in rows}

    # ---- commands in nodes ----

    def exec(
        self, node: str, argv: Sequence[str], check: bool = True, stdin: str | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a node. Its exit status is the result's; with `check`, a failure raises with what it printed."""
        tag = new_tag()
        try:
            return self._run(node, argv, tag, timeout, check, stdin)
        except subprocess.TimeoutExpired:
            self.connection.interrupt(tag, "KILL")
            raise

    def _ask(self, node: str, argv: Sequence[str], seconds: float, check: bool = False) -> subprocess.CompletedProcess[str]:
        """A command of the lab's own, which ends by itself: its answer comes within a time, or a sentence does."""
        try:
            return self._run(node, argv, new_tag(), seconds, check)
        except subprocess.TimeoutExpired:
            raise NoAnswerError(f"Node {node}", seconds) from None

    def _run(
        self, node: str, argv: Sequence[str], tag: str, timeout: float | None, check: bool, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        self._require_running()
        command = self.connection.command(node, argv, tag)
        # subprocess takes either `input` or `stdin`, and exec without input must not eat the caller's.
        source: dict[str, Any] = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **source)
        if done.returncode == SSH_FAILED:
            self._require_answer()
        if check and done.returncode != 0:
            raise CommandFailedError(node, argv, done)
        return subprocess.CompletedProcess(list(argv), done.returncode, done.stdout, done.stderr)

    def _require_answer(self) -> None:
        """The way to a node is gone: say so where that is because the virtual machine is."""
        self._require_running()
        if not _answers(self.port(VM), ANSWER_SECONDS):
            raise NoAnswerError("The virtual machine", ANSWER_SECONDS)

    def run(self, node: str, argv: Sequence[str]) -> int:
        """Run a command in a node on our own stdin, stdout and stderr; returns its exit status."""
        self._require_running()
        tag = new_tag()
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        with subprocess.Popen(self.connection.command(node, argv, tag, terminal=terminal)) as process:
            try:
                status = process.wait()
            except (KeyboardInterrupt, SystemExit) as stopped:
                # The command must not outlive us.
                self.connection.interrupt(tag, "INT" if isinstance(stopped, KeyboardInterrupt) else "TERM")
                if not wait_gone(process.pid, 60):
                    process.kill()
                raise
        if status == SSH_FAILED:
            self._require_answer()
        return status

    def popen(self, node: str, argv: Sequence[str]) -> Background:
        """Start a command in a node and go on: a long ping, a tcpdump, a server."""
        self._require_running()
        return Background(self.connection, node, argv)

    def put(self, node: str, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in a node, with its directories."""
        self.exec(node, ["install", "-D", "-m", f"{mode:o}", "/dev/stdin", path], stdin=text)

    def get(self, node: str, path: str) -> str:
        """Read a file of a node."""
        return self.exec(node, ["cat", path]).stdout

    def _require_running(self) -> None:
        if not self.running:
            raise LabError("The lab is down: bring it up with `python -m lab up`.")

    # ---- nodes' lives ----

    def leader(self, node: str) -> int:
        """The process id of a node's first process, as the virtual machine sees it; another one after each reboot. 0 while it is down."""
        return self._states().get(node, ("down", 0))[1]

    def reboot(self, node: str, wait: bool = True) -> None:
        """Reboot a node from inside, as a person would."""
        self.topology.check(node)
        before = self.leader(node)
        if node != VM and self.topology.by_name[node].is_host:
            self._ask(node, ["systemctl", "reboot"], ASK_SECONDS)
        else:
            self._ask(VM, ["systemctl", "--no-block", "restart", f"node@{node}.service"], ASK_SECONDS, check=True)
        if wait:
            self.wait(node, other_than=before)

    def crash(self, node: str, wait: bool = True) -> None:
        """Kill everything in a node at once; it starts again. (What it wrote is not lost: the kernel lives on; see `cut`.)"""
        self.topology.check(node)
        before = self.leader(node)
        self._ask(VM, ["systemctl", "kill", "--signal=KILL", f"node@{node}.service"], ASK_SECONDS, check=True)
        if wait:
            self.wait(node, other_than=before)

    def move(self, node: str, place: str) -> None:
        """Carry a laptop or device to an office (its cable into that LAN, an address by DHCP there), or back `home`."""
        self.topology.check(node)
        bridge = self.topology.places.get(place)
        if node == VM or self.topology.by_name[node].kind is not Kind.DEVICE or bridge is None:
            movable = ", ".join(name for name, other in self.topology.by_name.items() if other.kind is Kind.DEVICE)
            raise LabError(f"Cannot move {node} to {place}: one of {movable} can be moved, to {', '.join(self.topology.places)}.")
        self._ask(VM, ["/run/lab/bin/move", node, bridge], REBOOT_SECONDS, check=True)

    def reset_node(self, node: str) -> None:
        """Give a node back its first state: whatever was written in it is gone."""
        self.topology.check(node)
        self._ask(VM, ["/run/lab/bin/reset", node], REBOOT_SECONDS, check=True)
        self.wait(node)

    def reset_nodes(self, nodes: Iterable[str]) -> None:
        """The same for several, side by side."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.reset_node, nodes))

    def wait(self, node: str, seconds: float = REBOOT_SECONDS, other_than: int = 0) -> None:
        """Until a node is up and its sshd answers; with `other_than`, until it is not that boot any more."""
        self.topology.check(node)

        def ready() -> bool:
            state, leader = self._states().get(node, ("down", 0))
            return state == "active" and leader not in (0, other_than)

        self._poll(f"{node} to be up", ready, seconds)
        if self.topology.by_name[node].is_host:
            self._wait_sshd(node, seconds)


class NoAnswerError(LabError):
    """Nothing came back in time. Whether the machine hangs or has much to do cannot be told from here."""

    def __init__(self, who: str, seconds: float) -> None:
        super().__init__(
            f"{who} did not answer within {seconds:.0f} s: `python -m lab status` says whether the virtual machine does, "
            "`python -m lab down` ends it in any case."
        )


class CommandFailedError(LabError):
    """A command in a node ended with another status than 0."""

    def __init__(self, node: str, argv: Sequence[str], done: subprocess.CompletedProcess[str]) -> None:
        self.returncode, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        said = (done.stderr or done.stdout).strip()
        super().__init__(f"On {node}, `{' '.join(argv)}` ended with status {done.returncode}: {said or 'it printed nothing'}")


def _answers(port: int, seconds: float = 2) -> bool:
    """Whether an sshd greets at a forwarded port (QEMU accepts the connection before the guest does, so that alone says nothing)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
