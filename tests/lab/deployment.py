"""The real program of this clone on the lab's machines: an isolated stack, an environment file, and eyes on both ends."""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stacks import Stack

from lab import Lab
from lab.demo import connect, follow_instructions
from lab.nodes import VM
from lab.trial.stack import lay_project, tools

CLONE = Path(__file__).resolve().parent.parent.parent
HOSTS = ("z", "a", "c", "r1")
TUNNEL_HOSTS = ("z", "a", "c")
LAPTOPS = ("e", "f")
VPN = "10.70.0.0/16"
HUB, C, E, F = "10.70.0.1", "10.70.0.3", "10.70.0.4", "10.70.0.5"
D, B = "192.168.200.244", "192.168.201.50"

# On a busy machine, emulated hosts take longer over a change than real ones are given to confirm it.
ENVIRONMENT = """\
environment: job
known_hosts: {known_hosts}
network: {{cidr: 10.70.0.0/16, mtu: 1280, keepalive: 15, interface: wg0, rollback_after: 600}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  access: [{{host: c, ports: [22/tcp]}}]
  ssh: {{host: 127.0.0.1, port: {z}}}
gateways:
  - name: a
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    return_path: static-route
    ssh: {{host: 127.0.0.1, port: {a}}}
    router: {{address: 192.168.201.1, ssh: {{host: 127.0.0.1, port: {r1}}}}}
  - name: c
    site: beijing
    address: 10.70.0.3
    lan: {{cidr: 192.168.200.0/24, address: 192.168.200.248}}
    return_path: static-route
    ssh: {c_ssh}
    router: {{address: 192.168.200.1}}
developers:
  - name: e
    address: 10.70.0.4
    access: [shenzhen, beijing, {{developer: f}}]
  - name: f
    address: 10.70.0.5
    access:
      - {{site: beijing, hosts: [192.168.200.244], ports: [22/tcp, 443/tcp, icmp]}}
      - {{developer: e}}
"""
G = """\
  - name: g
    address: 10.70.0.6
    access: [{site: beijing, hosts: [192.168.200.244], ports: [icmp]}]
"""

# What a person would look at to see whether a machine is as it was.
# Which units are enabled shows in the links of /etc/systemd/system.
LOOK = r"""
cd /
# A machine that still starts still writes.
timeout 180 systemctl is-system-running --wait >/dev/null 2>&1 || true
echo '# files'; find /etc -xdev -type f -exec sha256sum {} + | sort -k2
echo '# modes and links'; find /etc -xdev -printf '%y %m %u:%g %p %l\n' | sort -k4
echo '# links'; ip -o link show | sed 's/^[0-9]*: //; s/@if[0-9]*//' | sort
echo '# addresses'; ip -o address show scope global | sed 's/^[0-9]*: //; s/valid_lft.*//' | sort
echo '# routes'; for v in -4 -6; do ip $v route show table all | sed 's/expires [0-9]*sec//; s/  *$//' | sort; done
echo '# rules'; ip -4 rule show; ip -6 rule show
echo '# sysctl'; sysctl -a 2>/dev/null | grep -E '^net\.ipv[46]\.(ip_forward|conf\.|fwmark|route\.)' | sort
echo '# firewall'; nft -s list ruleset
echo '# timers and networkd at run time'; ls /run/systemd/network /run/systemd/transient 2>/dev/null | grep -E 'wg' || true
systemctl is-active systemd-networkd || true
"""


@dataclass
class Seen:
    """The command lines of all processes that ran, here and in the virtual machine (there with their environments)."""

    here: set[str] = field(default_factory=set)
    there: str = ""


@dataclass
class Deployment:
    """A stack of the real program, and the lab it is deployed to."""

    lab: Lab
    stack: Stack
    environment_file: Path
    before: dict[str, str] = field(default_factory=dict)
    up_said: str = ""
    seen: Seen = field(default_factory=Seen)
    outputs: dict[str, Any] = field(default_factory=dict)

    def write(self, environment: str = ENVIRONMENT, *, with_g: bool = False, through_the_hub: bool = False) -> None:
        """Write the environment file, with or without developer g, with c reached by a forwarded port or through the hub."""
        ports = {name: self.lab.port(name) for name in HOSTS}
        c_ssh = (
            f"{{host: {C}, via: hub, host_key: {self.host_key('c')}}}" if through_the_hub else f"{{host: 127.0.0.1, port: {ports['c']}}}"
        )
        text = environment.format(known_hosts=self.lab.known_hosts, c_ssh=c_ssh, **ports)
        self.environment_file.write_text(text + (G if with_g else ""))

    def host_key(self, name: str) -> str:
        """A host's public key as known_hosts has it."""
        lines = self.lab.known_hosts.read_text().splitlines()
        return next(line.split(maxsplit=1)[1] for line in lines if line.startswith(f"[127.0.0.1]:{self.lab.port(name)} "))

    def up(self) -> str:
        """`pulumi up`; afterwards the outputs are those of the new state."""
        said = self.stack.up()
        self.outputs = self.stack.outputs()
        return said

    def conf(self, developer: str) -> str:
        """A developer's wg-quick file."""
        return str(self.outputs[f"dev_{developer}_conf"])

    def public_key(self, peer: str) -> str:
        """A peer's public key, from its line in the output."""
        keys: dict[str, str] = dict(line.split() for line in self.outputs["public_keys"].splitlines())
        return keys[peer]

    def connect(self, laptop: str) -> None:
        """Bring a laptop's tunnel up with the stack's output."""
        connect(self.lab, laptop, self.conf(laptop))

    def reaches(self, laptop: str, address: str, count: int = 3) -> bool:
        """Whether any ping of a few is answered."""
        return self.lab.exec(laptop, ["ping", "-n", f"-c{count}", "-i0.3", "-W3", address], check=False).returncode == 0

    def comes_to_reach(self, laptop: str, address: str, seconds: float = 240) -> bool:
        """Whether a ping is answered within a time; a handshake after a reboot may take a keepalive interval or two."""
        deadline = time.monotonic() + seconds
        while not self.reaches(laptop, address, count=1):
            if time.monotonic() > deadline:
                return False
        return True

    def secrets(self) -> dict[str, str]:
        """Every private and preshared key and generated secret of the deployment, and the operator's key, by a name for messages."""
        found: dict[str, str] = {}
        for name in TUNNEL_HOSTS:
            listing = self.lab.exec(name, ["sh", "-c", "cd /etc/wg-office/keys && for k in *; do echo $k $(cat $k); done"]).stdout
            found |= {f"{name}:{line.split()[0]}": line.split()[1] for line in listing.splitlines()}
        for name in ("e", "f", "g"):
            text = str(self.outputs.get(f"dev_{name}_conf", ""))
            found |= {f"{name}:{kind}": key for kind, key in re.findall(r"^(PrivateKey|PresharedKey) *= *(\S+)", text, re.MULTILINE)}
        shown = json.loads(self.stack.pulumi("stack", "export", "--show-secrets"))
        for one in shown["deployment"]["resources"]:
            if one["type"] == "random:index/randomPassword:RandomPassword":
                found[one["urn"].rpartition("::")[2]] = json.loads(one["outputs"]["result"]["plaintext"])
        found["the operator's key"] = self.lab.key.read_text().splitlines()[2]
        return found


def fresh(lab: Lab) -> None:
    """Give the machines back their first state, whatever ran before."""
    for laptop in LAPTOPS:
        disconnect(lab, laptop)
    for prefix in (VPN, "192.168.201.0/24"):
        lab.exec("r2", ["ip", "route", "flush", "exact", prefix], check=False)
    lab.move("e", "home")
    lab.reset_nodes(HOSTS)


def disconnect(lab: Lab, laptop: str) -> None:
    """End all tunnels of a laptop and forget their files."""
    each = "for c in /etc/wireguard/*.conf; do [ -e $c ] || continue; wg-quick down $(basename $c .conf) 2>/dev/null; rm -f $c; done"
    lab.exec(laptop, ["sh", "-c", each])


def looks(lab: Lab, hosts: Sequence[str] = HOSTS) -> dict[str, str]:
    """What each machine looks like now."""
    with ThreadPoolExecutor() as pool:
        texts = pool.map(lambda name: lab.exec(name, ["sh", "-c", LOOK]).stdout, hosts)
    return dict(zip(hosts, texts, strict=True))


def job_stack(folder: Path, lab: Lab) -> tuple[Stack, Path]:
    """An isolated stack whose program is this clone's, and its environment file."""
    environment = tools()
    home, backend = folder / "home", folder / "backend"
    backend.mkdir(parents=True)
    home.mkdir()
    plugins = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    (home / "plugins").symlink_to(plugins)
    lay_project(CLONE, folder)
    own = {
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": "job-passphrase",
        "PYTHONPATH": str(CLONE),
    }
    stack = Stack(folder, {**environment, **own}, "job")
    stack.pulumi("stack", "init", "job")
    environment_file = folder / "environment.yaml"
    stack.pulumi("config", "set", "environment", str(environment_file))
    stack.pulumi("config", "set", "sshKeyFile", str(lab.key))
    return stack, environment_file


def do_by_hand(deployment: Deployment) -> None:
    """Follow the instructions in the outputs as the person at Beijing's router would."""
    follow_instructions(deployment.lab, deployment.outputs["by_hand"])


# Shell built-ins only: forks would take the emulated processors from what is watched.
WATCH = r"""
declare -A seen
while [ -e /run/watching ]; do
  for process in /proc/[0-9]*; do
    mapfile -d '' -t words <"$process/cmdline" || continue
    said="${words[*]}"
    if [ -n "$said" ] && [ -z "${seen[$said]:-}" ]; then
      seen[$said]=yes
      mapfile -d '' -t words <"$process/environ" || true
      printf '%s\n' "$said" "${words[@]}" >>/run/watched
    fi
  done
  sleep 0.2
done 2>/dev/null
"""


@contextmanager
def watching(lab: Lab) -> Iterator[Seen]:
    """Sample the process lists of this machine and of all nodes (they are processes of the virtual machine) as fast as is fair."""
    seen, done = Seen(), threading.Event()

    def look_here() -> None:
        while not done.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    seen.here.add((process / "cmdline").read_text(errors="replace"))
                except OSError:
                    continue

    lab.exec(VM, ["sh", "-c", ": >/run/watched; : >/run/watching"])
    thread = threading.Thread(target=look_here)
    with lab.popen(VM, ["bash", "-c", WATCH]) as there:
        thread.start()
        try:
            yield seen
        finally:
            done.set()
            thread.join()
            lab.exec(VM, ["rm", "-f", "/run/watching"])
            there.wait(60)
            seen.there = lab.exec(VM, ["sort", "-u", "/run/watched"]).stdout
            lab.exec(VM, ["rm", "-f", "/run/watched"])


def found_in(text: str, secrets: Mapping[str, str]) -> list[str]:
    """The names of the secrets whose text appears."""
    return sorted(name for name, secret in secrets.items() if secret in text)
