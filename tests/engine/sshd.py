"""A throw-away sshd on a free port of the loopback address, with generated keys: the far end of a remote.Command."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"

BEHIND = "127.0.0.2"
"""The same server, as a machine that is reached over a tunnel: 127.0.0.1 behind the hub would be one that has dialled the hub itself."""


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def new_key(path: Path) -> Path:
    """A fresh ed25519 key pair."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path


@dataclass
class Sshd:
    """The server; `home` is where commands may leave their traces."""

    folder: Path
    port: int = field(default_factory=free_port)
    extra: str = ""
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        self.private_key = new_key(self.folder / "client").read_text()
        self.host_key = new_key(self.folder / "host").with_suffix(".pub").read_text().strip()

    @property
    def home(self) -> Path:
        """A folder for what the commands write."""
        return self.folder / "home"

    @property
    def user(self) -> str:
        """Who logs in: the one who runs the tests."""
        return pwd.getpwuid(os.getuid()).pw_name

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self.folder / "log").read_text()

    @property
    def dials(self) -> int:
        """How many connections there were that logged in."""
        return self.log.count("Accepted publickey")

    def connection(self, **changed: object) -> dict[str, object]:
        """The arguments for remote.ConnectionArgs."""
        usual = {
            "host": LOOPBACK,
            "port": self.port,
            "user": self.user,
            "private_key": self.private_key,
            "host_key": self.host_key,
            "dial_error_limit": 2,
            "per_dial_timeout": 5,
        }
        return {**usual, **changed}

    def start(self) -> None:
        """Start it and wait until it answers."""
        shutil.copy(self.folder / "client.pub", self.folder / "authorized_keys")
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress {LOOPBACK}\nListenAddress {BEHIND}\nPort {self.port}\n"
            f"HostKey {self.folder / 'host'}\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
            f"MaxStartups 100\nSetEnv WG_TEST_HOME={self.home}\n{self.extra}"
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = ["/usr/sbin/sshd", "-f", str(config), "-D", "-E", str(self.folder / "log")]
        self.process = subprocess.Popen(command, start_new_session=True)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError(f"sshd does not answer: {self.log}")

    def sessions(self) -> list[int]:
        """The processes that serve connections, the listener not among them."""
        assert self.process is not None
        found = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
        pairs = list(zip(map(int, found[::2]), map(int, found[1::2]), strict=True))
        return [pid for pid, parent in pairs if parent == self.process.pid]

    def stop(self) -> None:
        """End it, and with it every session."""
        if self.process is None:
            return
        for session in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(session, signal.SIGKILL)
        self.process.terminate()
        self.process.wait(timeout=20)
        self.process = None


def running_sshd(folder: Path, extra: str = "") -> Iterator[Sshd]:
    """For a fixture: a server that runs until the test is over."""
    server = Sshd(folder, extra=extra)
    server.start()
    try:
        yield server
    finally:
        server.stop()
