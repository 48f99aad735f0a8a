"""A host for the host script as namespaces of this machine (as root): the kernel's links, routes, settings and rules are its own.

systemd and WireGuard are stand-ins (stand_ins/), and `wg0` is a veth: enough to see what the script makes of each state it may find,
in fractions of a second. What systemd and WireGuard themselves do is for the lab's machines.
"""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from wg_office.environment.model import Environment
from wg_office.hosts import hostscript, keys
from wg_office.hosts.keys import PublicNames
from wg_office.hosts.render import render_description
from wg_office.network.plan import HostPlan, plan

STAND_INS = Path(__file__).resolve().parent / "stand_ins"
OWNER = "00000000000000aa"
UNCONFIRMED = hostscript.APPLIED_UNCONFIRMED

_SETUP = f"""
set -e
mount --make-rprivate /
mkdir -p /dev/shm && mount -t tmpfs tmpfs /dev/shm && mkdir /dev/shm/upper /dev/shm/work
mount -t overlay -o lowerdir=/etc,upperdir=/dev/shm/upper,workdir=/dev/shm/work overlay /etc
mount --bind {STAND_INS} /usr/local/sbin
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
mkdir -p /run/systemd/system /run/stand-in
ip link set lo up
ip link add lan0 type veth peer name far-lan0
ip address add $1 dev lan0
ip link set far-lan0 up
ip link set lan0 up
systemctl start systemd-networkd
systemctl enable systemd-networkd
echo ready
exec sleep infinity
"""


class Sandbox:
    """The host with an address of its own beside the tunnel's, and a shell on it."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __enter__(self) -> "Sandbox":
        command = ["unshare", "--mount", "--net", "--uts", "sh", "-c", _SETUP, "sh", self.address]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "the namespaces could not be made"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def enter(self) -> str:
        """The command that runs what follows it on the host."""
        return f"nsenter --target {self._process.pid} --mount --net --uts"

    def run(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command line, as sshd would run it."""
        return subprocess.run([*self.enter.split(), "sh", "-c", command], input=stdin, capture_output=True, text=True, check=False)

    def shell(self, command: str) -> str:
        """What a command line prints; it must succeed."""
        done = self.run(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout


class Office:
    """One host of an environment with keys from fixed secrets, in a sandbox."""

    def __init__(self, sandbox: Sandbox, environment: Environment, plan: HostPlan) -> None:
        self.sandbox, self.plan = sandbox, plan
        self.secrets = {peer.name: peer.name.ljust(keys.SECRET_LENGTH, "x") for peer in environment.peers}
        self.names: Mapping[str, PublicNames] = {
            name: keys.names(secret, keys.private_key(secret)) for name, secret in self.secrets.items()
        }

    @property
    def secret_keys(self) -> dict[str, str]:
        """All that nobody may see, by a name for messages."""
        private = {f"{name}:private": keys.private_key(secret) for name, secret in self.secrets.items()}
        return private | {f"{name}:preshared": keys.preshared_key(secret) for name, secret in self.secrets.items()}

    def description(self, repair: str | None = None, edit: Callable[[str], str] = str) -> str:
        """The host's description."""
        return edit(render_description(self.plan, self.names, OWNER, hostscript.scripts(), repair))

    def put_keys(self, repair: str | None = None) -> None:
        """The first of an `up`'s two commands, on a host with a tunnel."""
        if self.plan.tunnel is None:
            return
        self.sandbox.shell(f"echo {self.public(self.plan.name)} >/run/stand-in/public")
        private = keys.private_key(self.secrets[self.plan.name])
        held = {keys.key_name("private", private): private}
        for secret in self.secrets.values():
            held[keys.key_name("preshared", keys.preshared_key(secret))] = keys.preshared_key(secret)
        done = self.sandbox.run(hostscript.keys_command("root", "keys"), hostscript.key_lines(OWNER, held, repair))
        assert done.returncode == 0, done.stderr

    def apply(self, description: str) -> subprocess.CompletedProcess[str]:
        """One run of the second."""
        return self.sandbox.run(hostscript.apply_command("root"), description)

    def install(self, repair: str | None = None, edit: Callable[[str], str] = str) -> None:
        """Keys, apply, confirm: what one `up` does."""
        self.put_keys(repair)
        for status in (UNCONFIRMED, 0):
            done = self.apply(self.description(repair, edit))
            assert done.returncode == status, done.stderr

    def refused(self, description: str) -> str:
        """What the script says of a change that the host is not fit for; nothing may have changed."""
        before = self.look()
        done = self.apply(description)
        assert done.returncode in hostscript.UNCHANGED, done
        changed = set(before) ^ set(self.look())
        assert not changed, changed
        return done.stderr

    def look(self) -> list[str]:
        """What a change could change, sorted: nft lists the table that was loaded last as the last."""
        look = """
            ip -o address show scope global; ip -o link show | cut -d' ' -f2-5; ip route show; nft -s list ruleset
            sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding; find /etc -lname '/etc/wg-office/*'
            ls /run/stand-in/units /etc/wg-office/gen 2>/dev/null || true
        """
        return sorted(self.sandbox.shell(look).splitlines())

    def remove(self) -> None:
        """What one `destroy` does."""
        commands = [(hostscript.remove_command("root"), self.description())]
        if self.plan.tunnel is not None:
            commands.append((hostscript.keys_command("root", "forget-keys"), hostscript.key_lines(OWNER, {})))
        for command, stdin in commands:
            done = self.sandbox.run(command, stdin)
            assert done.returncode == 0, done.stderr

    def status(self, pings: str = "") -> str:
        """What the script says of the host."""
        done = self.sandbox.run(hostscript.status_command("root"), hostscript.scripts().host + pings)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def public(self, name: str) -> str:
        """A peer's public key."""
        return self.names[name].public_key

    def drift(self) -> list[str]:
        """The differences that the script finds."""
        return [line.removeprefix("drift ") for line in self.status().splitlines() if line.startswith("drift ")]


def planned(environment: Environment, role: str, name: str | None = None) -> HostPlan:
    """The plan of the first host of a role, or of the one with that name."""
    return next(host for host in plan(environment) if host.role == role and name in (None, host.name))
