"""The node table: who is in the virtual office, on which links, with which addresses. Everything else in the lab is derived from it.

lab/trial makes other tables, from an environment's model.

inet 203.0.113.0/24 -+- z .10 (the hub)
                     +- r1 .21 --- lan1 192.168.201.0/24 --- a .247 (gateway), b .50 (device)
                     +- r2 .22 --- lan2 192.168.200.0/24 --- c .248 (gateway), d .244 (device)
                     +- re .31 --- homee 192.168.1.0/24  --- e .20 (developer)
                     +- rf .32 --- homef 192.168.1.0/24  --- f .21 (developer)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from .errors import LabError

VM = "vm"
VM_ADDRESS = "10.0.2.100"
MANAGEMENT = "mgmt"


class Kind(StrEnum):
    """What runs in a node."""

    HOST = "host"  # its own systemd, networkd and sshd
    ROUTER = "router"  # namespaces only; masquerades outwards, lets nothing new in but what it forwards
    DEVICE = "device"  # namespaces only; an address and a default route


@dataclass(frozen=True)
class Link:
    """One network interface of a node: its name inside, the bridge it is plugged into, and its addresses there."""

    name: str
    bridge: str
    address: str
    more: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them, the first one first."""
        return (self.address, *self.more)


@dataclass(frozen=True)
class Forward:
    """A UDP port that a router passes on to a machine behind it."""

    port: int
    address: str
    to: int


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
    gateway6: str | None = None
    forwards: tuple[Forward, ...] = ()  # what a router lets in nevertheless
    flat: bool = False  # whether its last link leads to every other address directly, as to neighbours: an internet without routers

    @property
    def is_host(self) -> bool:
        """Whether the node runs systemd and sshd."""
        return self.kind is Kind.HOST

    @property
    def has_ipv6(self) -> bool:
        """Whether it has an IPv6 address on any link."""
        return any(":" in address for link in self.links for address in link.addresses)

    @property
    def management_address(self) -> str:
        """Where the virtual machine's forwarded port leads; of no use to the nodes among themselves."""
        return f"10.0.2.{100 + (self.ssh_offset or 0)}"


@dataclass(frozen=True)
class Topology:
    """All machines of a lab, the bridge of each site to which a laptop can be carried, and the names that all machines know."""

    nodes: tuple[Node, ...]
    sites: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The machines by name."""
        return {node.name: node for node in self.nodes}

    @property
    def hosts(self) -> tuple[Node, ...]:
        """Those with systemd and sshd."""
        return tuple(node for node in self.nodes if node.is_host)

    @property
    def bridges(self) -> tuple[str, ...]:
        """In the order in which they first occur, the management network last."""
        return (*dict.fromkeys(link.bridge for node in self.nodes for link in node.links), MANAGEMENT)

    def offset(self, name: str) -> int:
        """What a node's forwarded port lies above the port base; the virtual machine's own is the first."""
        return next((node.ssh_offset or 0 for node in self.hosts if node.name == name), 0)

    def check(self, name: str) -> None:
        """Refuse a name that is in no table."""
        if name != VM and name not in self.by_name:
            raise LabError(f"There is no node {name!r} in the lab: choose one of {VM}, {', '.join(self.by_name)}.")

    @property
    def places(self) -> dict[str, str]:
        """Where a laptop can be carried to: each office whose router hands out addresses, and home."""
        serving = {link.bridge for node in self.nodes for link in node.links if node.dhcp and link.name == node.routes_for}
        return {site: bridge for site, bridge in self.sites.items() if bridge in serving} | {"home": "home"}


def _router(name: str, bridge: str, lan: str, wan: str, purpose: str, dhcp: str | None = None) -> Node:
    links = (Link("lan0", bridge, lan), Link("wan0", "inet", wan))
    return Node(name, Kind.ROUTER, links, None, purpose, routes_for="lan0", dhcp=dhcp)


def _device(name: str, bridge: str, address: str, gateway: str, purpose: str) -> Node:
    return Node(name, Kind.DEVICE, (Link("eth0", bridge, address),), gateway, purpose)


def _host(name: str, bridge: str, address: str, gateway: str, offset: int, purpose: str) -> Node:
    return Node(name, Kind.HOST, (Link("eth0", bridge, address),), gateway, purpose, ssh_offset=offset)


_NODES: tuple[Node, ...] = (
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
OFFICE = Topology(_NODES, {"shenzhen": "lan1", "beijing": "lan2"})
"""The lab of the demo and the tests."""
NODES, BY_NAME, HOSTS, BRIDGES, SITES = OFFICE.nodes, OFFICE.by_name, OFFICE.hosts, OFFICE.bridges, OFFICE.sites
