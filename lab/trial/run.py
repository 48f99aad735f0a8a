"""`python -m lab try FILE`: somebody's own environment file on machines made for it, deployed by the real program, tried with packets."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.core import Lab
from lab.errors import LabError
from lab.nodes import VM
from lab.settings import Settings
from lab.trial.case import AT_ONCE, INSIDE, Case, Options, case_of, tried, write
from lab.trial.cut import with_ways
from lab.trial.stack import Stack, tools
from lab.trial.verdict import Verdict
from wg_office.environment.model import Client, Site

NAME, PORTS_AHEAD = "try", 300
"""Its lab is beside the clone's own, whatever that is called: a try begins with new machines."""
_CONNECT = "install -D -m 600 /dev/stdin /etc/wireguard/office.conf && wg-quick up office"
_FIREWALLD = "systemctl enable --now firewalld; firewall-cmd -q --state\n"
_LETS_IN = "for set in '' --permanent; do firewall-cmd -q $set --add-port={}/udp; done"
_HURRY = 'for node; do /run/lab/bin/enter "hurry-$node" "$node" sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 || :; done'
"""Each closed port is to answer."""


class Trial:
    """A try, step by step."""

    def __init__(self, root: Path, case: Case, quiet: bool = False) -> None:
        # First of all: what is missing is said before a machine is started.
        self.tools = tools()
        self.root, self.case = root, case
        self.lab = Lab(root, quiet, case.ground.topology, environment(root))
        self.progress = self.lab.progress

    def bring_up(self, release: str | None = None) -> None:
        """New machines, whatever an earlier try has left."""
        self.lab.cut()
        self.lab.clean()
        hosts = self.lab.topology.hosts
        self.progress(f"{len(self.lab.topology.nodes)} machines, {len(hosts)} of them with systemd")
        self.lab.up({node.name: release for node in hosts} if release else None)

    def deploy(self) -> None:
        """The real program on them, and what a person does: firewalld before it; the routes to type in and laptops' tunnels after it."""
        file = self.lab.settings.state / "environment.yaml"
        write(file, with_ways(self.case.data, self.case.env, str(self.lab.known_hosts), self._port))
        stack = Stack.new(self.root, self.lab.settings.state / "stack", self.tools, file, self.lab.key)
        self._start_firewalld()
        self.progress(f"pulumi up: {', '.join(self.case.ground.hosts)}")
        stack.up()
        self.progress("by hand: routes, and people's tunnels")
        self._type_routes()
        outputs = stack.outputs()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda client: self._connect(client, outputs), self._people()))

    def _start_firewalld(self) -> None:
        """It stays off in the hosts' image, and at the hub it lets nobody dial in unless it is told to."""
        env, hosts = self.case.env, self.case.ground.hosts
        sites: tuple[Site, ...] = (env.hub, *env.active_gateways)
        for site in sites:
            if site.firewall == "firewalld" and site.name in hosts:
                self.progress(f"firewalld on {site.name}")
                self.lab.exec(hosts[site.name], ["sh", "-ec", _FIREWALLD + (_LETS_IN.format(env.hub.port) if site is env.hub else "")])

    def _port(self, name: str) -> int:
        return self.lab.port(self.case.ground.hosts[name])

    def _type_routes(self) -> None:
        for node, routes in self.case.ground.typed.items():
            commands = (["ip", "route", "replace", str(route.destination), "via", str(route.via)] for route in routes)
            self.lab.exec(node, ["sh", "-ec", "\n".join(map(shlex.join, commands))])

    def _people(self) -> Iterator[Client]:
        return (client for client in self.case.env.clients if client.name in self.case.ground.laptops)

    def _connect(self, client: Client, outputs: Mapping[str, Any]) -> None:
        node = self.case.ground.laptops[client.name]
        self.lab.exec(node, ["sh", "-ec", _CONNECT], stdin=str(outputs[f"{client.output}_conf"]))

    def attempt(self) -> Verdict:
        """All that the case tries, with packets."""
        connections = self.case.connections
        nodes = dict.fromkeys(each.target.node for each in connections)
        self.lab.exec(VM, ["sh", "-c", _HURRY, "sh", *nodes])
        self.progress(f"{len(connections)} connections, from {len({each.sender.node for each in connections})} machines")
        verdict = self.case.verdict(tried(connections, self._inside))
        self.progress(verdict.summary())
        return verdict

    def _inside(self, node: str, asked: str) -> str:
        return self.lab.exec(node, ["python3", "-c", INSIDE.read_text(encoding="utf-8")], stdin=asked).stdout


def environment(root: Path) -> dict[str, str]:
    """The lab of a try, as settings: beside the one that the caller means."""
    own = Settings.read(root)
    return {**os.environ, "LAB_NAME": own.name + NAME, "LAB_PORT_BASE": str(own.port_base + PORTS_AHEAD)}


@contextmanager
def machines(trial: Trial, release: str | None = None) -> Iterator[None]:
    """The machines, for as long as they are needed, and for one try at a time; they do not outlive an interruption."""
    with _alone(trial.lab.settings.state.with_suffix(".lock")):
        try:
            trial.bring_up(release)
            yield
        finally:
            trial.lab.cut()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError("Another try is at work here: wait for it, or give this one a LAB_NAME and LAB_PORT_BASE of its own.") from None
        yield


def try_file(root: Path, file: Path, options: Options, release: str | None, as_json: bool) -> int:
    """Try a file, print what came of it, and return the exit status."""
    case = case_of(file, options)
    for said in (case.cut, *case.ground.left_out):
        if said is not None:
            print(f"lab: {file}: {said}", file=sys.stderr)
    if not case.connections:
        raise LabError(f"{file}: there is nothing to try, since nobody in it reaches anything.")
    trial = Trial(root, case)
    with machines(trial, release):
        trial.deploy()
        verdict = trial.attempt()
    print(verdict.as_json() if as_json else verdict.as_text())
    return verdict.status
