"""The network that is measured: the lab's hub, gateways and router, and as many developers as one likes, in the words of each tool."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import yaml

from wg_office.environment.model import Environment
from wg_office.hosts.keys import preshared_key, private_key, public_key
from wg_office.network.plan import HostPlan, PeerPlan, plan

DEV = Path(__file__).resolve().parent.parent / "configs" / "dev.yaml"
HOSTS = ("z", "a", "c", "r1")


class Hosts(Protocol):
    """Where the network's hosts are reached: the lab, or what stands for it."""

    @property
    def known_hosts(self) -> Path:
        """The file with their keys."""

    def port(self, host: str, /) -> int:
        """A host's SSH port on the loopback address."""


@dataclass(frozen=True)
class Office:
    """The network with that many developers, each of whom may reach both LANs."""

    hosts: Hosts
    developers: int

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the environment file says: that of the demo, with this lab's ports."""
        data: dict[str, Any] = yaml.safe_load(DEV.read_text())
        data["hub"]["ssh"]["port"] = self.hosts.port("z")
        for gateway in data["gateways"]:
            gateway["ssh"]["port"] = self.hosts.port(gateway["name"])
        data["gateways"][0]["router"]["ssh"]["port"] = self.hosts.port("r1")
        developers = [
            {"name": f"dev{number:04}", "address": f"10.70.{1 + number // 250}.{1 + number % 250}", "access": ["shenzhen", "beijing"]}
            for number in range(self.developers)
        ]
        return data | {"environment": "bench", "known_hosts": str(self.hosts.known_hosts), "developers": developers}

    @cached_property
    def environment(self) -> Environment:
        """The same as a model."""
        return Environment.model_validate(self.data)

    @property
    def peers_of_hub(self) -> int:
        """Gateways and developers."""
        return len(self.environment.gateways) + self.developers

    def yaml(self) -> str:
        """The environment file of wg-office; JSON is YAML."""
        return json.dumps(self.data)

    def inventory(self) -> str:
        """The inventory of Ansible, with each host's variables, from the plan that wg-office renders. Holds keys."""
        hosts = plan(self.environment)
        children = {
            "tunnel": {"hosts": {host.name: self._tunnel(host) for host in hosts if host.tunnel}},
            "routers": {"hosts": {host.name: self._router(host) for host in hosts if not host.tunnel}},
        }
        shared = {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "developers": [str(developer.address) for developer in self.environment.developers],
        }
        return json.dumps({"all": {"vars": shared, "children": children}})

    def _tunnel(self, host: HostPlan) -> dict[str, Any]:
        assert host.tunnel
        return {
            **_login(host),
            "address": str(host.tunnel.addresses[0]),
            "mtu": host.tunnel.mtu,
            "private_key": private_key(host.name),
            "peers": [_peer(peer) for peer in host.tunnel.peers],
            "lans": [
                str(prefix)
                for gateway in self.environment.gateways
                for prefix in gateway.prefixes
                if host.role == "hub" or gateway.name == host.name
            ],
        }

    def _router(self, host: HostPlan) -> dict[str, Any]:
        return {**_login(host), "routes": [f"{route.destination} via {route.via}" for route in host.routes]}


def _login(host: HostPlan) -> dict[str, Any]:
    return {"ansible_host": host.ssh.host, "ansible_port": host.ssh.port}


def _peer(peer: PeerPlan) -> dict[str, Any]:
    return {
        "name": peer.name,
        "key": public_key(private_key(peer.name)),
        "psk": preshared_key(peer.psk_of or peer.name),
        "allowed": ", ".join(map(str, peer.allowed_ips)),
        "endpoint": str(peer.endpoint or ""),
        "keepalive": peer.keepalive or 0,
    }
