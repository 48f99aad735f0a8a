"""The node table: who is in the virtual office, on which links, with which addresses. Everything else in the lab is derived from it.

inet 203.0.113.0/24 -+- z .10 (the hub)
                     +- r1 .21 --- lan1 192.168.201.0/24 --- a .247 (gateway), b .50 (device)
                     +- r2 .22 --- lan2 192.168.200.0/24 --- c .248 (gateway), d .244 (device)
                     +- re .31 --- homee 192.168.1.0/24  --- e .20 (developer)
                     +- rf .32 --- homef 192.168.1.0/24  --- f .21 (developer)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

VM = "vm"
VM_ADDRESS = "10.0.2.100"
MANAGEMENT = "mgmt"
BRIDGES = ("inet", "lan1", "lan2", "homee", "homef", MANAGEMENT)


class Kind(StrEnum):
    """What runs in a node."""

    HOST = "host"  # its own systemd, networkd and sshd
    ROUTER = "router"  # namespaces only; masquerades outwards, lets nothing new in
    DEVICE = "device"  # namespaces only; an address and a default route


@dataclass(frozen=True)
class Link:
    """One network interface of a node: its name inside, the bridge it is plugged into, and its address there."""

    name: str
    bridge: str
    address: str


@dataclass(frozen=True)
class Node:
    """One machine of the virtual office."""

    name: str
    kind: Kind
    links: tuple[Link, ...]
    gateway: str | None = None
    purpose: str = ""
    ssh_offset: int | None = None  # added to LAB_PORT_BASE
    routes_for: str | None = None  # the LAN link of a router; its other link is the way out
    dhcp: str | None = None  # the range a router hands out on its LAN

    @property
    def is_host(self) -> bool:
        """Whether the node runs systemd and sshd."""
        return self.kind is Kind.HOST

    @property
    def management_address(self) -> str:
        """Where the virtual machine's forwarded port leads; of no use to the nodes among themselves."""
        return f"10.0.2.{100 + (self.ssh_offset or 0)}"


def _router(name: str, bridge: str, lan: str, wan: str, purpose: str, dhcp: str | None = None) -> Node:
    links = (Link("lan0", bridge, lan), Link("wan0", "inet", wan))
    return Node(name, Kind.ROUTER, links, None, purpose, routes_for="lan0", dhcp=dhcp)


def _device(name: str, bridge: str, address: str, gateway: str, purpose: str) -> Node:
    return Node(name, Kind.DEVICE, (Link("eth0", bridge, address),), gateway, purpose)


def _host(name: str, bridge: str, address: str, gateway: str, offset: int, purpose: str) -> Node:
    return Node(name, Kind.HOST, (Link("eth0", bridge, address),), gateway, purpose, ssh_offset=offset)


NODES: tuple[Node, ...] = (
    _host("z", "inet", "203.0.113.10/24", "203.0.113.1", 10, "the hub, with a public address"),
    _host("a", "lan1", "192.168.201.247/24", "192.168.201.1", 11, "gateway in LAN1, Shenzhen"),
    _host("c", "lan2", "192.168.200.248/24", "192.168.200.1", 12, "gateway in LAN2, Beijing"),
    Node(
        "r1",
        Kind.HOST,
        (Link("lan0", "lan1", "192.168.201.1/24"), Link("wan0", "inet", "203.0.113.21/24")),
        "203.0.113.1",
        "LAN1's router, with ssh: the program sets its route",
        ssh_offset=21,
        routes_for="lan0",
    ),
    _router(
        "r2",
        "lan2",
        "192.168.200.1/24",
        "203.0.113.22/24",
        "LAN2's router, without ssh: a person sets its route",
        "192.168.200.100,192.168.200.150",
    ),
    _router("re", "homee", "192.168.1.1/24", "203.0.113.31/24", "e's router at home"),
    _router("rf", "homef", "192.168.1.1/24", "203.0.113.32/24", "f's router at home"),
    _device("d", "lan2", "192.168.200.244/24", "192.168.200.1", "a device in LAN2"),
    _device("b", "lan1", "192.168.201.50/24", "192.168.201.1", "a device in LAN1"),
    _device("e", "homee", "192.168.1.20/24", "192.168.1.1", "a developer's laptop, Guangzhou"),
    _device("f", "homef", "192.168.1.21/24", "192.168.1.1", "a developer's laptop, Shanghai"),
)
BY_NAME = {node.name: node for node in NODES}
HOSTS = tuple(node for node in NODES if node.is_host)
SITES = {"shenzhen": "lan1", "beijing": "lan2"}
