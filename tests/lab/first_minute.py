"""Hub and gateway of a first contact as mount and process namespaces of this machine (as root), each with a real sshd on the loopback
address.

/etc, /run and /root are their own. systemd-run, systemctl and wg are stand-ins (first_minute_stand_ins/): a timer is only noted.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sshd import LOOPBACK, free_port, new_key

from wg_office.asking.bootstrap import script
from wg_office.commands.bootstrap import first_contact, invite
from wg_office.hosts.hostscript import site_script
from wg_office.reading.load import load

CLONE = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).resolve().parent / "first_minute_stand_ins"
ANOTHERS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAnotherssKeyAnotherssKeyAnotherssKeyAnotherss somebody@else"
"""A line of somebody else's in authorized_keys, without its end."""

_SETUP = f"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /dev/shm && mkdir /dev/shm/upper /dev/shm/work
mount -t overlay -o lowerdir=/etc,upperdir=/dev/shm/upper,workdir=/dev/shm/work overlay /etc
mount --bind {STAND_INS} /usr/local/sbin
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=0700 tmpfs /root
mkdir -m 0755 /run/sshd
mkdir -m 0700 /root/.ssh
rm -f /etc/ssh/ssh_host_* /etc/ssh/sshd_config.d/*
ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key
printf 'ListenAddress {LOOPBACK}\\nPort %s\\nPasswordAuthentication no\\n%s\\n' "$1" "$2" >/etc/ssh/sshd_config
printf '{ANOTHERS}' >/root/.ssh/authorized_keys
chmod 0600 /root/.ssh/authorized_keys
/usr/sbin/sshd -E /run/sshd.log
echo ready
exec sleep infinity
"""


@dataclass
class Machine:
    """A machine with an sshd, of which nothing is known."""

    settings: str = ""
    port: int = field(default_factory=free_port)

    def __enter__(self) -> "Machine":
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = [*own, "sh", "-c", _SETUP, "sh", str(self.port), self.settings]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the namespaces could not be made"
        self._init = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command line as root."""
        enter = ["nsenter", "--target", self._init, "--mount", "--pid", "--wdns=/", "sh", "-c", command]
        return subprocess.run(enter, input=stdin, capture_output=True, text=True, check=False)

    def shell(self, command: str) -> str:
        """What a command line prints; it must succeed."""
        done = self.run(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    @property
    def host_key(self) -> str:
        """What its sshd shows."""
        return self.shell("cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub").strip()

    @property
    def authorized(self) -> str:
        """Who may log in as root."""
        return self.shell("cat /root/.ssh/authorized_keys")


def until(what: Callable[[], object], seconds: float = 240) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


ENVIRONMENT = """\
environment: office
known_hosts: known_hosts
network: {{cidr: 192.0.2.0/24}}
hub:
  name: z
  address: 192.0.2.1
  endpoint: 203.0.113.10:51820
  access: [{{host: a, ports: [22/tcp]}}]
  ssh: {{host: 127.0.0.1, port: {hub}}}
gateways:
  - name: a
    site: shenzhen
    address: 192.0.2.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    ssh: {{host: 127.0.0.1, port: {way}, via: hub}}
developers:
  - {{name: e, address: 192.0.2.4, access: [shenzhen]}}
"""


@dataclass
class Office:
    """The operator's machine, which is this one, with an environment file and a key that the hub knows."""

    folder: Path
    hub: Machine
    site: Machine
    way: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.key = new_key(self.folder / "operator")
        self.public = self.key.with_suffix(".pub").read_text().strip()
        self.file.write_text(ENVIRONMENT.format(hub=self.hub.port, way=self.way))
        self.known.write_text(f"[{LOOPBACK}]:{self.hub.port} {self.hub.host_key}\n")
        self.hub.run("printf '\\n%s\\n' \"$0\" >>/root/.ssh/authorized_keys".replace("$0", self.public))
        self.hub_before = self.hub.authorized

    @property
    def file(self) -> Path:
        return self.folder / "office.yaml"

    @property
    def known(self) -> Path:
        return self.folder / "known_hosts"

    def start(self, *arguments: str, name: str = "a") -> "subprocess.Popen[str]":
        """The command, which then waits."""
        words = [sys.executable, "-m", "wg_office", "bootstrap", name, "--file", str(self.file), "--key", str(self.key)]
        environment = {key: value for key, value in os.environ.items() if key != "SSH_AUTH_SOCK"} | {"PYTHONPATH": str(CLONE)}
        command = [*words, *(() if "--hub" in arguments else ("--hub", f"{LOOPBACK}:{self.hub.port}")), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=self.folder)

    def run(self, *arguments: str, name: str = "a") -> subprocess.CompletedProcess[str]:
        """The command to its end."""
        running = self.start(*arguments, name=name)
        said = running.communicate(timeout=300)
        return subprocess.CompletedProcess(running.args, running.returncode, *said)

    def script(self) -> str:
        """A script, with nobody who waits for its use."""
        first = first_contact(self.file, load(self.file, require_host_keys=False), "a", f"{LOOPBACK}:{self.hub.port}", self.key, 60, None)
        return script(invite(first, ()), site_script())

    @contextmanager
    def invited(self, *arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
        """The script, and the command that waits for its use."""
        out = self.folder / f"script-{time.monotonic_ns()}.sh"
        running = self.start("--out", str(out), *arguments)
        try:
            until(lambda: (out.exists() and out.read_text().endswith(")\n")) or running.poll() is not None)
            assert running.poll() is None, running.communicate()
            yield out.read_text(), running
        finally:
            with suppress(ProcessLookupError):
                running.kill()
            running.communicate()

    def one_time_key(self, script: str) -> Path:
        """The key that is in a script."""
        values = script.partition("(\n")[2].partition("\n# ---")[0]
        text = subprocess.run(["sh", "-c", f'{values}\nprintf "%s\\n" "$once"'], capture_output=True, text=True, check=True).stdout
        file = self.folder / f"once-{time.monotonic_ns()}"
        file.touch(0o600)
        file.write_text(text)
        return file


def listens(port: int) -> bool:
    """Whether somebody answers there."""
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False
