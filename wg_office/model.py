"""One office environment, as people write and review it in configs/<environment>.yaml.

Everything here is frozen data. What one value alone can get wrong is refused here, what needs two values in checks.py;
reading files is left to load.py.

Addresses of peers are always written down. Numbering them by position would renumber everybody behind a developer who
leaves, and change each rule and each file with the address; the check names the next free address instead.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from netaddr import IPAddress, IPNetwork
from pydantic import ConfigDict, Field

from wg_office.fields import (
    NAMED_SCHEMA,
    AnyAddress,
    DeveloperName,
    Domain,
    EndpointText,
    Flag,
    HostKey,
    InterfaceName,
    IPv4Address,
    IPv4Prefix,
    IPv6Address,
    IPv6Prefix,
    Keepalive,
    LanInterfaceName,
    Mtu,
    Name,
    Port,
    PublicKey,
    RollbackAfter,
    Rotation,
    SshHost,
    UserName,
    fingerprint,
)
from wg_office.grants import Access, HostList, PortList, Record

Firewall = Literal["nftables", "iptables", "firewalld"]
ReturnPath = Literal["static-route", "masquerade"]
Platform = Literal["linux", "macos", "windows", "ios", "android"]


class Dns(Record):
    """Names of the offices, resolved through the tunnel where the client can do that for these domains alone."""

    servers: Annotated[
        tuple[AnyAddress, ...], Field(min_length=1, description="Name servers inside a LAN or the VPN", examples=["[192.168.200.53]"])
    ]
    domains: Annotated[
        tuple[Domain, ...], Field(min_length=1, description="The domains these servers answer for", examples=["[office.example]"])
    ]


class Network(Record):
    """The VPN itself."""

    cidr: Annotated[IPv4Prefix, Field(description="The VPN's IPv4 prefix; every peer has an address in it", examples=["10.70.0.0/16"])]
    cidr6: Annotated[IPv6Prefix | None, Field(description="The VPN's IPv6 prefix, if there is to be one")] = None
    mtu: Annotated[Mtu, Field(description="MTU of the tunnel on every peer")] = 1280
    keepalive: Annotated[Keepalive, Field(description="Seconds between keepalives; 0 turns them off")] = 15
    interface: Annotated[InterfaceName, Field(description="Name of the WireGuard interface on the hosts")] = "wg0"
    rollback_after: Annotated[RollbackAfter, Field(description="Seconds after which an unconfirmed change is taken back")] = 90
    dns: Annotated[Dns | None, Field(description="Split DNS for developers")] = None


class Ssh(Record):
    """How the operator's machine reaches a host."""

    host: Annotated[SshHost, Field(description="Address or name to dial", examples=["198.51.100.7"])]
    port: Annotated[Port, Field(description="TCP port of sshd")] = 22
    user: Annotated[UserName, Field(description="User to log in as")] = "root"
    host_key: Annotated[HostKey | None, Field(description="The host's key, 'ssh-ed25519 AAAA...'; left out: from known_hosts")] = None
    via: Annotated[Literal["hub"] | None, Field(description="Through the hub, once the tunnel stands")] = None

    @property
    def address(self) -> str:
        """`root@203.0.113.10:22`, as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"

    @property
    def host_key_fingerprint(self) -> str | None:
        """The pinned key's SHA256 fingerprint."""
        return None if self.host_key is None else fingerprint(self.host_key)


class Hub(Record):
    """The one host with a public address, which everybody connects to."""

    name: Annotated[Name, Field(description="Name of the host", examples=["c"])]
    address: Annotated[IPv4Address, Field(description="Its address in the VPN")]
    address6: Annotated[IPv6Address | None, Field(description="Its IPv6 address in the VPN; left out: derived from address")] = None
    endpoint: Annotated[EndpointText, Field(description="Public IP address and UDP port", examples=["203.0.113.10:51820"])]
    ssh: Annotated[Ssh, Field(description="How the program reaches it", examples=["{host: 198.51.100.7, port: 22, user: root}"])]
    firewall: Annotated[Firewall, Field(description="What filters packets on this host")] = "nftables"
    access: Annotated[Access, Field(description="What the hub may reach by itself, such as a gateway's SSH")] = ()
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys")] = 1
    adopt_key: Annotated[Flag, Field(description="Take the private key from the stack's secret configuration")] = False


class Lan(Record):
    """An office network behind a gateway."""

    cidr: Annotated[IPv4Prefix, Field(description="The LAN's prefix", examples=["192.168.200.0/24"])]
    address: Annotated[IPv4Address, Field(description="The gateway's address in the LAN", examples=["192.168.200.248"])]
    interface: Annotated[LanInterfaceName | None, Field(description="Its interface in the LAN; left out: found by the address")] = None


class Router(Record):
    """The LAN's default gateway, which sends VPN traffic back to the WireGuard gateway."""

    address: Annotated[IPv4Address | None, Field(description="Its address in the LAN, for the instruction to a person")] = None
    ssh: Annotated[Ssh | None, Field(description="With it the program sets the route; without, a person does")] = None


class Device(Record):
    """A single machine in a LAN that gets the static route itself."""

    name: Annotated[Name, Field(description="Name of the device", examples=["d"])]
    address: Annotated[IPv4Address, Field(description="Its address in the LAN", examples=["192.168.200.244"])]
    ssh: Annotated[Ssh, Field(description="How the program reaches it", examples=["{host: 198.51.100.7, port: 22, user: root}"])]


class Gateway(Record):
    """The host in an office that connects its LAN with the hub."""

    name: Annotated[Name, Field(description="Name of the host", examples=["c"])]
    site: Annotated[Name, Field(description="Name of the site, as grants use it", examples=["beijing"])]
    address: Annotated[IPv4Address, Field(description="Its address in the VPN")]
    address6: Annotated[IPv6Address | None, Field(description="Its IPv6 address in the VPN; left out: derived from address")] = None
    lan: Annotated[Lan, Field(description="The office network behind it", examples=["{cidr: 192.168.200.0/24, address: 192.168.200.248}"])]
    return_path: Annotated[ReturnPath, Field(description="How answers find the way back from the LAN")] = "static-route"
    firewall: Annotated[Firewall, Field(description="What filters packets on this host")] = "nftables"
    ssh: Annotated[Ssh, Field(description="How the program reaches it", examples=["{host: 198.51.100.7, port: 22, user: root}"])]
    router: Annotated[Router | None, Field(description="The LAN's router; with ssh the program sets its route")] = None
    devices: Annotated[tuple[Device, ...], Field(description="Single devices whose route the program sets")] = ()
    access: Annotated[Access, Field(description="What the LAN may reach by itself: developers and hosts")] = ()
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys")] = 1
    adopt_key: Annotated[Flag, Field(description="Take the private key from the stack's secret configuration")] = False
    retired: Annotated[Flag, Field(description="First of two steps to take a gateway away: taken down, still known to the hub")] = False


class Developer(Record):
    """A person's machine outside the offices."""

    name: Annotated[DeveloperName, Field(description="Name of the developer", examples=["e"])]
    address: Annotated[IPv4Address, Field(description="The machine's address in the VPN")]
    address6: Annotated[IPv6Address | None, Field(description="Its IPv6 address in the VPN; left out: derived from address")] = None
    access: Annotated[Access, Field(description="What the developer may reach; left out: nothing")] = ()
    public_key: Annotated[PublicKey | None, Field(description="The developer's own public key; left out: one is generated")] = None
    platform: Annotated[
        Platform | None, Field(description="The machine's operating system; left out: files hold only what every client takes")
    ] = None
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys")] = 1
    home: Annotated[IPv4Prefix | None, Field(description="The network at home, to be warned when it overlaps an office")] = None


class Group(Record):
    """Access that several developers share."""

    access: Annotated[Access, Field(description="What its members may reach", examples=["[beijing]"])]


class Link(Record):
    """One site's LAN may open connections into another's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_: Annotated[Name, Field(alias="from", description="The site that opens connections", examples=["beijing"])]
    to: Annotated[Name, Field(description="The site that is reached", examples=["shenzhen"])]
    hosts: Annotated[HostList, Field(description="Addresses or prefixes in the reached LAN; left out: all of it")] = ()
    ports: Annotated[PortList, Field(description="Ports that may be reached; left out: all")] = ()


Peer = Hub | Gateway | Developer
"""Whoever has an address in the VPN."""


class Environment(Record):
    """One office environment: a hub, the sites behind gateways, and the developers."""

    environment: Annotated[Name, Field(description="Name of the environment; the stack has the same", examples=["dev"])]
    known_hosts: Annotated[str | None, Field(min_length=1, description="OpenSSH known_hosts file, relative to this one")] = None
    network: Annotated[Network, Field(description="The VPN", examples=["{cidr: 10.70.0.0/16}"])]
    hub: Annotated[
        Hub,
        Field(
            description="The host with the public address",
            examples=["{name: z, address: 10.70.0.1, endpoint: 203.0.113.10:51820, ssh: {host: 203.0.113.10}}"],
        ),
    ]
    gateways: Annotated[tuple[Gateway, ...], Field(description="One per site")] = ()
    developers: Annotated[tuple[Developer, ...], Field(description="Who connects from outside")] = ()
    groups: Annotated[
        Mapping[Name, Group], Field(description="Access that several developers share, by name", json_schema_extra=NAMED_SCHEMA)
    ] = {}
    links: Annotated[tuple[Link, ...], Field(description="LAN to LAN; left out: none")] = ()

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The hub, the gateways, the developers, in the order of the file."""
        return (self.hub, *self.gateways, *self.developers)

    @property
    def active_gateways(self) -> tuple[Gateway, ...]:
        """The gateways whose LAN is in use."""
        return tuple(gateway for gateway in self.gateways if not gateway.retired)

    @property
    def vpn(self) -> tuple[IPNetwork, ...]:
        """The VPN's own prefixes: IPv4, and IPv6 where there is one."""
        return (self.network.cidr,) if self.network.cidr6 is None else (self.network.cidr, self.network.cidr6)

    @property
    def routed(self) -> tuple[IPNetwork, ...]:
        """Every prefix that the tunnel carries: the VPN's own and each LAN."""
        return (*self.vpn, *(gateway.lan.cidr for gateway in self.gateways))

    def gateway_of(self, site: str) -> Gateway:
        """The gateway of a site; the checks have seen to it that there is one."""
        return next(gateway for gateway in self.gateways if gateway.site == site)

    def peer(self, name: str) -> Peer:
        """Hub, gateway or developer by name; names are unique across all of them."""
        return next(peer for peer in self.peers if peer.name == name)

    def address6_of(self, peer: Peer) -> IPAddress | None:
        """The peer's IPv6 address: as written, or derived; None in an environment without cidr6."""
        if self.network.cidr6 is None:
            return None
        return peer.address6 if peer.address6 is not None else derived_address6(self.network.cidr, self.network.cidr6, peer.address)


def derived_address6(cidr: IPNetwork, cidr6: IPNetwork, address: IPAddress) -> IPAddress:
    """The IPv4 address's host part at the end of the IPv6 prefix: 10.70.1.4 of 10.70.0.0/16 in fd70::/64 is fd70::104."""
    return IPAddress(int(cidr6.network) + (int(address) & int(cidr.hostmask)), 6)
