"""The lab's hub and gateways without Pulumi: each driven by the host script alone, which a test can stop at any step.

The descriptions are the program's own. Pulumi's part is played by `Machine.up`: it runs a command again where the error hook would.
"""

import hashlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from netaddr import IPNetwork

from lab import Lab
from wg_office.environment.model import Environment
from wg_office.hosts import hostscript, keys
from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED as UNCONFIRMED
from wg_office.hosts.render import render_description
from wg_office.network.plan import HostPlan, plan
from wg_office.people.profiles import ClientKeys, best_of, profiles, render_profile
from wg_office.reading.load import load

CLONE = Path(__file__).resolve().parents[2]
OWNER = "00000000000000aa"
LOST = 255
"""What ssh exits with where the session ends."""
D = "192.168.200.244"
ROLLBACK_AFTER = 600
"""Longer than any row takes on a busy machine: tests say when the timer's unit runs, where it is not the timer that is tested."""

NEWCOMER = "  - {name: g, address: 10.70.0.6, access: [shenzhen, beijing]}\n"


# --- stopping the script at a step ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A moment of the protocol, before or after one of the script's functions, and what a host holds in the end that was stopped there."""

    name: str
    function: str
    before: bool = False
    holds: str = "old"
    confirms: bool = False


STEPS = (
    Step("staged", "stage"),
    Step("checked", "check"),
    Step("armed", "arm"),
    Step("rules", "firewall_load"),
    Step("settings", "put_sysctl"),
    Step("tunnel", "put_tunnel"),
    Step("routes", "put_routes"),
    Step("applied", "mark_pending", before=True),
    Step("pending", "mark_pending"),
    Step("confirming", "confirm", before=True, confirms=True),
    Step("linked", "put_links", confirms=True),
    Step("on-disk", "make_current", before=True, confirms=True),
    Step("renamed", "make_current", holds="new", confirms=True),
    Step("for-good", "finish", before=True, holds="new", confirms=True),
    Step("tidied", "tidy", holds="new", confirms=True),
    Step("disarmed", "disarm", holds="new", confirms=True),
)
BY_NAME = {step.name: step for step in STEPS}
TELLING = ("tunnel", "pending", "on-disk", "renamed")
"""What a fault can find begun: the change, that nobody has confirmed it, the new state on the disk, and in force."""


def row(host: str, step: Step, *, telling: bool) -> ParameterSet:
    """A row of the fault table; those that repeat what others show are run by `make test-matrix` and not by `make test`."""
    return pytest.param(host, step, marks=() if telling else pytest.mark.matrix)


KILL_PROCESS = "kill -KILL $$ $BASHPID"
KILL_SESSION = 'kill -KILL "$(cat /run/fault-session)"'
STALL_SESSION = 'kill -STOP "$(cat /run/fault-session)"'
REBOOT = "systemctl reboot --force --force; sleep 600"
HANG = "sleep 600"

_FAULT = r"""
# Strikes once, and only where the test has asked for it: the roll-back runs this script as well.
fault() {{ rm /run/fault 2>/dev/null || return 0; : >/run/fault-struck; {action}; }}
eval "$(declare -f {function} | sed '1s/^/unfaulted_/')"
{function}() {{ {body}; }}
if [ "${{1:-}}" = apply ]; then
  session=$$
  until case $(cat /proc/$session/comm) in sshd*) true ;; *) false ;; esac; do session=$(awk '{{print $4}}' /proc/$session/stat); done
  echo "$session" >/run/fault-session
fi
"""


def stopped_at(step: Step, action: str, description: str) -> str:
    """The description with a script to which `action` happens at a step."""
    real = f'unfaulted_{step.function} "$@"'
    fault = _FAULT.format(function=step.function, action=action, body=f"fault; {real}" if step.before else f"{real}; fault")
    text, end, nothing = description.rpartition('main "$@"; exec true\n')
    assert not nothing
    return text + fault + end


# --- what a host holds ---------------------------------------------------------------------------------------------------------------

LOOK = r"""
wg=wg0
echo '# wireguard'; wg show $wg dump | awk -F'\t' '
  NR==1 {print $1, $3, $4; next}
  {n=split($4, ips, ","); for (i=1; i<=n; i++) print $1, $2, ips[i], $8}' | sort
echo '# address'; ip -o address show dev $wg scope global | awk '{print $4}' | sort; cat /sys/class/net/$wg/mtu
echo '# route'; ip route show table main | sort
echo '# sysctl'; sysctl net.ipv4.ip_forward net.ipv4.conf.all.send_redirects net.ipv4.conf.all.log_martians
# What a change has withdrawn does not come back (test_withdrawn.py): those chains alone are left out, and the jumps to them.
echo '# firewall'; nft -s list ruleset | awk '/^\tchain withdrawn-/ {gone = 1} !gone && NF && !/ jump withdrawn-/; /^\t}/ {gone = 0}' | sort
echo '# links'; find /etc -lname '/etc/wg-office/*' | sort | xargs -r sha256sum 2>&1
"""
LEFT = r"""
systemctl list-units --all --plain --no-legend 'wg-office-*' | awk '{print $1}'
ls /run/wg-office/armed /run/wg-office/pending /etc/wg-office/gen/*.new 2>/dev/null
find /run/systemd/network ! -type d ! -lname '/etc/wg-office/current/*' 2>/dev/null
ls /etc/wg-office/gen | tail -n +2
"""


# Pulumi puts the keys of a description there before it.
_APPLY = "cp -a /root/keys/. /etc/wg-office/keys/; " + hostscript.apply_command("root")


@dataclass(frozen=True)
class Run:
    """How one run of the script ended."""

    status: int
    said: str


@dataclass
class Machine:
    """A host with its two descriptions, `old` and `new`, and what it looks like with each."""

    lab: Lab
    plans: dict[str, HostPlan]
    names: dict[str, keys.PublicNames]
    secrets: dict[str, str]
    state: str = ""
    generation: str = ""
    looks: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.plans["old"].name

    # -- descriptions

    def description(self, state: str, rollback_after: int = ROLLBACK_AFTER) -> str:
        text = render_description(replace(self.plans[state], rollback_after=rollback_after), self.names, OWNER, hostscript.scripts())
        return _with_setting_and_link(text) if state == "new" else text

    @property
    def other(self) -> str:
        return "new" if self.state == "old" else "old"

    # -- running it

    def run(self, command: str, stdin: str, seconds: float = 240) -> Run:
        argv = [*self.lab.ssh_command(self.name), command]
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return Run(LOST, "no answer")
        return Run(done.returncode, done.stderr)

    def apply(self, description: str, *, fault: bool = False) -> Run:
        asked = ": >/run/fault; rm -f /run/fault-struck; " if fault else ""
        return self.run(asked + _APPLY, description)

    def up(self, description: str) -> list[Run]:
        """What Pulumi does with the error hook: again for status 75, and once for a session that was lost."""
        runs = [self.apply(description)]
        while self._again(runs):
            runs.append(self.apply(description))
        return runs

    @staticmethod
    def _again(runs: list[Run]) -> bool:
        statuses = [run.status for run in runs]
        newest = statuses[-1]
        return statuses.count(newest) <= {UNCONFIRMED: 2, LOST: 1}.get(newest, 0)

    def become(self, state: str) -> None:
        """An undisturbed `up`."""
        runs = self.up(self.description(state))
        assert runs[-1].status == 0, runs
        self.state, self.generation = state, self.shell("readlink /etc/wg-office/current")

    def strike(self, step: Step, action: str) -> list[Run]:
        """An `up` to the other state that meets a fault at a step."""
        description = stopped_at(step, action, self.description(self.other))
        runs = [self.apply(description, fault=True)]
        if runs[0].status == UNCONFIRMED:
            runs.append(self.apply(description))
        assert self.shell("ls /run/fault-struck"), f"{self.name}: the fault at {step.name} did not happen: {runs}"
        return runs

    def start(self, description: str) -> subprocess.Popen[str]:
        """A run of the script that may hang."""
        argv = [*self.lab.ssh_command(self.name), _APPLY]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stdin is not None
        process.stdin.write(description)
        process.stdin.close()
        process.stdin = None
        return process

    def start_to_meet(self, step: Step, action: str) -> subprocess.Popen[str]:
        """A run to the other state that meets `action` at a step; of the confirmation, where the step belongs to that."""
        description = stopped_at(step, action, self.description(self.other))
        if step.confirms:
            first = self.apply(description)
            assert first.status == UNCONFIRMED, first
        self.shell("rm -f /run/fault-struck; : >/run/fault")
        return self.start(description)

    def start_and_stop_at(self, step: Step, action: str) -> subprocess.Popen[str]:
        """The same, until `action` has begun."""
        process = self.start_to_meet(step, action)
        self.await_shell("ls /run/fault-struck")
        return process

    def let_the_timer_end(self) -> None:
        """Run the armed roll-back now, as its timer would; nothing where none is armed."""
        self.shell('read -r _ unit </run/wg-office/armed && systemctl -q is-active "$unit.timer" && systemctl start --wait "$unit.service"')

    def await_idle(self, seconds: float = 240) -> None:
        """Until no run of the script holds the host."""
        assert self.shell(f"flock -w {seconds:.0f} /run/wg-office/lock true && echo idle") == "idle"

    # -- looking

    def shell(self, script: str) -> str:
        return self.lab.exec(self.name, ["bash", "-c", script], check=False).stdout.strip()

    def await_shell(self, script: str, seconds: float = 240) -> None:
        """Poll until a command on the host succeeds."""
        end = time.monotonic() + seconds
        while self.lab.exec(self.name, ["bash", "-c", script], check=False).returncode:
            assert time.monotonic() < end, f"{self.name}: waited {seconds:.0f} s for: {script}"
            time.sleep(0.5)

    def look(self) -> str:
        return self.shell(LOOK)

    @property
    def left(self) -> str:
        """What of a change is still about: nothing, once it is settled."""
        return self.shell(LEFT)

    def assert_holds(self, state: str, why: object = "") -> None:
        seen = self.look()
        assert seen == self.looks[state], f"{self.name} is not {state}; {why}\n{_difference(self.looks[state], seen)}"

    def assert_settles(self, state: str) -> None:
        """The next `up` brings this state, wholly, and leaves nothing behind."""
        self.become(state)
        self.assert_holds(state)
        assert self.left == ""


def _difference(expected: str, seen: str) -> str:
    gone, new = set(expected.splitlines()) - set(seen.splitlines()), set(seen.splitlines()) - set(expected.splitlines())
    return "\n".join([*(f"- {line}" for line in sorted(gone)), *(f"+ {line}" for line in sorted(new))])


def _with_setting_and_link(text: str) -> str:
    text = text.replace("net.ipv4.ip_forward = 1\n", "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.log_martians = 1\n", 1)
    return text.replace("\n---- file ", "\n---- file /etc/sysctl.d/51-wg-office.conf 0644\n# one more link\n---- file ", 1)


# --- all of them ---------------------------------------------------------------------------------------------------------------------


@dataclass
class Bench:
    """z, a and c installed in state `old`, and developer e connected, whose ping of d goes through z and c and concerns no change."""

    lab: Lab
    machines: dict[str, Machine]
    conf: str

    def install(self) -> None:
        """From fresh machines, whatever an interrupted run has left: record what both states look like, and connect e."""
        self._disconnect()
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._install, self.machines.values()))
        self.lab.exec("r2", ["ip", "route", "replace", "10.70.0.0/16", "via", "192.168.200.248"])
        self.lab.put("e", "/etc/wireguard/e.conf", self.conf, mode=0o600)
        self.lab.exec("e", ["wg-quick", "up", "e"])

    def _install(self, machine: Machine) -> None:
        self.lab.reset_node(machine.name)
        put_keys(machine)
        for state in ("new", "old"):
            machine.become(state)
            machine.looks[state] = machine.look()
        for section in ("wireguard", "address", "route", "sysctl", "firewall", "links"):
            old, new = (machine.looks[state].partition(f"# {section}\n")[2].partition("\n# ")[0] for state in ("old", "new"))
            # a gateway's one peer is the hub, whoever else comes
            assert old != new or (section == "wireguard" and machine.name != "z"), f"{machine.name}: the two states have the same {section}"
        assert machine.left == ""

    def _disconnect(self) -> None:
        self.lab.exec("e", ["sh", "-c", "wg-quick down e; rm -f /etc/wireguard/e.conf"], check=False)

    def await_e(self) -> None:
        """Until e reaches d."""
        end = time.monotonic() + 240
        while self.lab.exec("e", ["ping", "-n", "-c1", "-W2", D], check=False).returncode:
            assert time.monotonic() < end, "e does not reach d"


def put_keys(machine: Machine) -> None:
    """All keys of the bench, on one machine."""
    private = keys.private_key(machine.secrets[machine.name])
    held = {keys.key_name("private", private): private}
    for secret in machine.secrets.values():
        shared = keys.preshared_key(secret)
        held[keys.key_name("preshared", shared)] = shared
    done = machine.run(hostscript.keys_command("root", "keys"), hostscript.key_lines(OWNER, held))
    assert done.status == 0, done
    machine.shell("cp -a /etc/wg-office/keys /root/")


def bench(lab: Lab, folder: Path) -> Bench:
    """The bench on a lab; nothing is installed yet."""
    text = (CLONE / "configs" / "dev.yaml").read_text()
    environments = {}
    for state, more in (("old", ""), ("new", NEWCOMER)):
        path = folder / f"{state}.yaml"
        path.write_text(text + more)
        environments[state] = load(path, require_host_keys=False)
    secrets = {peer.name: peer.name.ljust(keys.SECRET_LENGTH, "x") for peer in environments["new"].peers}
    names = {name: keys.names(secret, keys.private_key(secret)) for name, secret in secrets.items()}
    plans = {state: {one.name: one for one in plan(environment)} for state, environment in environments.items()}
    machines = {
        name: Machine(lab, {"old": plans["old"][name], "new": _changed(plans["new"][name])}, names, secrets) for name in ("z", "a", "c")
    }
    return Bench(lab, machines, _conf(environments["old"], secrets, names))


def _changed(host: HostPlan) -> HostPlan:
    """Beyond developer g: another mtu, a second address, a second route."""
    assert host.tunnel is not None
    last = int(hashlib.sha256(host.name.encode()).hexdigest(), 16) % 200 + 20
    return replace(
        host,
        tunnel=replace(
            host.tunnel,
            mtu=1300,
            addresses=(*host.tunnel.addresses, IPNetwork(f"10.99.0.{last}/24")),
            routes=(*host.tunnel.routes, IPNetwork("198.51.100.0/24")),
        ),
    )


def _conf(environment: Environment, secrets: dict[str, str], names: dict[str, keys.PublicNames]) -> str:
    e = next(client for client in environment.clients if client.name == "e")
    client = ClientKeys(names["z"].public_key, keys.preshared_key(secrets["e"]), keys.private_key(secrets["e"]))
    return render_profile(best_of(e, profiles(environment, e)), client)
