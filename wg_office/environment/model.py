"""One office environment, as people write and review it in configs/<environment>.yaml.

Everything here is frozen data. What one value alone can get wrong is refused here, what needs two values in checks.py;
reading files is left to load.py.

Addresses of peers are always written down. Numbering them by position would renumber everybody behind a developer who
leaves, and change each rule and each file with the address; the check names the next free address instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from netaddr import IPAddress, IPNetwork
from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from wg_office.environment.fields import (
    NAMED_SCHEMA,
    AnyAddress,
    DeveloperName,
    Domain,
    Endpoint,
    EndpointText,
    Flag,
    HomePrefix,
    HostKey,
    InterfaceName,
    IPv4Address,
    IPv4Prefix,
    IPv6Address,
    IPv6Prefix,
    Keepalive,
    LanAddress,
    LanInterfaceName,
    LanPrefix,
    Mark,
    Moment,
    Mtu,
    Name,
    OwnEndpoint,
    OwnName,
    Port,
    PublicKey,
    RollbackAfter,
    Rotation,
    SshHost,
    Ssid,
    Title,
    UserName,
    Via,
    Way,
    earliest,
    fingerprint,
    is_address,
    show,
    with_the_length_of,
    wrong,
)
from wg_office.environment.grants import Access, End, HostList, PortList, Record
from wg_office.environment.statements import Expectation, Policy

Firewall = Literal["nftables", "iptables", "ufw", "docker", "firewalld"]
Managed = Literal["routeros", "openwrt", "opnsense", "wg-quick", "no"]
ReturnPath = Literal["static-route", "masquerade"]
Platform = Literal["linux", "macos", "windows", "ios", "android"]
Preshared = Literal["adopted", "none"]

HUB = "hub"
"""What `via:` calls the hub, whatever its name is."""

_LOOPBACK = frozenset({IPAddress("127.0.0.1"), IPAddress("::1")})

GATEWAY_PORT = 51820
"""Gateways listen on a fixed port: without one, each `wg syncconf` draws a new one."""


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
    dns: Annotated[
        Dns | None,
        Field(
            description="Split DNS for developers: these servers, each for all of these domains",
            examples=["{servers: [192.168.200.53], domains: [office.example]}"],
        ),
    ] = None
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys of the hub and of all peers")] = 1
    mark: Annotated[Mark, Field(description="The one bit of a packet's mark that is ours on the hosts")] = 0x40000000


class Ssh(Record):
    """How the operator's machine reaches a host."""

    host: Annotated[SshHost, Field(description="Address or name to dial", examples=["198.51.100.7"])]
    port: Annotated[Port, Field(description="TCP port of sshd")] = 22
    user: Annotated[UserName, Field(description="User to log in as")] = "root"
    host_key: Annotated[HostKey | None, Field(description="The host's key, 'ssh-ed25519 AAAA...'; left out: from known_hosts")] = None
    via: Annotated[Way | None, Field(description="Through the hub (hub), once the tunnel stands, or through one of jumps, by its name")] = (
        None
    )

    @property
    def address(self) -> str:
        """`root@203.0.113.10:22`, as people write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"

    @property
    def calls_in(self) -> bool:
        """Whether the machine has dialled the hub itself (`ssh -R`), and is reached by the port that waits for us there."""
        return self.via == HUB and self.on_loopback

    @property
    def on_loopback(self) -> bool:
        """Whether it is a port of the machine itself from which it is dialled, on the addresses that `ssh -R` has the hub listen on."""
        host = self.host.lower().removesuffix(".")
        return host == "localhost" or (is_address(host) and IPAddress(host) in _LOOPBACK)

    @property
    def over_tunnel(self) -> bool:
        """Whether it is reached through the hub and over the tunnel, which stands only after a first contact by another way."""
        return self.via == HUB and not self.calls_in

    @property
    def host_key_fingerprint(self) -> str | None:
        """The pinned key's SHA256 fingerprint."""
        return None if self.host_key is None else fingerprint(self.host_key)


_Firewall = Annotated[Firewall, Field(description="Who else filters packets on this host; our nftables table judges the tunnel's on each")]


class Lan(Record):
    """A network of a site: one in which its host stands, one behind a router there, or one out in the internet."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"anyOf": [{"required": ["address"]}, {"required": ["via"]}]})

    cidr: Annotated[LanPrefix, Field(description="The LAN's prefix, IPv4 or IPv6", examples=["192.168.200.0/24"])]
    address: Annotated[LanAddress | None, Field(description="The gateway's address in the LAN", examples=["192.168.200.248"])] = None
    interface: Annotated[LanInterfaceName | None, Field(description="Its interface in the LAN; left out: found by the address")] = None
    via: Annotated[
        Via | None,
        Field(
            description="In place of address: the router behind which it lies; or internet, for a partner who admits the office's address"
        ),
    ] = None
    return_path: Annotated[ReturnPath | None, Field(description="How answers find the way back, where that differs from the site's")] = None
    alias: Annotated[
        LanPrefix | None,
        Field(
            alias="as",
            description="The prefix of the same length by which all others know it, where its own is in use elsewhere: its host translates",
            examples=["10.99.1.0/24"],
        ),
    ] = None

    @field_validator("alias", mode="before")
    @classmethod
    def _of_its_length(cls, value: object, info: ValidationInfo) -> object:
        cidr = info.data.get("cidr")
        return value if cidr is None else with_the_length_of(cidr, value)

    @property
    def known_as(self) -> IPNetwork:
        """The prefix by which everybody but its site knows it, and which the tunnel carries."""
        return self.cidr if self.alias is None else self.alias

    @property
    def called(self) -> str:
        """For people: its own prefix, and the one by which others know it."""
        return str(self.cidr) if self.alias is None else f"{self.cidr} as {self.alias}"

    @property
    def has_a_cable(self) -> bool:
        """Whether somebody may be plugged into the very prefix that people's files name."""
        return not self.outside and self.alias is None

    @property
    def router(self) -> IPAddress | None:
        """The router behind which it lies."""
        return self.via if isinstance(self.via, IPAddress) else None

    @property
    def outside(self) -> bool:
        """Whether it is no network of the site at all, and reached from there through the internet."""
        return self.via == "internet"


class Router(Record):
    """The LAN's default gateway, which sends VPN traffic back to the WireGuard gateway."""

    address: Annotated[LanAddress | None, Field(description="Its address in the LAN, for the instruction to a person")] = None
    ssh: Annotated[Ssh | None, Field(description="With it the program sets the route; without, a person does")] = None


Itself = Literal["self"]
"""For `router:` where the gateway is the LAN's router: every answer passes it anyway, so that no route is needed."""


def _router_kind(value: object) -> str | None:
    if value == "self":
        return "<self>"
    return "<router>" if isinstance(value, dict | Router) else None


def _router_alone(value: object) -> object:
    """An address alone is no router yet: the file says which of its fields it is."""
    if isinstance(value, str) and is_address(value):
        raise wrong(f"must be a mapping, not the text {show(value)}; write {{address: {value}}}")
    if isinstance(value, str) and value != "self" and value.strip().lower() == "self":
        raise wrong(f"{show(value)} is not known here; use self")
    return value


# The tags appear in pydantic's error locations, as those of grants do.
RouterOrItself = Annotated[
    Annotated[Router, Tag("<router>")] | Annotated[Itself, Tag("<self>")],
    Discriminator(
        _router_kind,
        custom_error_type="wrong",
        custom_error_message="must be a mapping with the router's address, its ssh, or both; or self, where the gateway is the router",
    ),
    BeforeValidator(_router_alone, json_schema_input_type=Router | Itself),
]


class Device(Record):
    """A single machine in a LAN that gets the static route itself."""

    name: Annotated[Name, Field(description="Name of the device", examples=["d"])]
    address: Annotated[LanAddress, Field(description="Its address in the LAN", examples=["192.168.200.244"])]
    ssh: Annotated[
        Ssh,
        Field(
            description="How the program reaches it to set its route; of others leave the entry out",
            examples=["{host: 198.51.100.7, port: 22, user: root}"],
        ),
    ]


class Networks:
    """What the hub and gateways have in common as the hosts of a site: its networks, and the way back from them."""

    if TYPE_CHECKING:
        site: str | None
        lan: Lan | None
        lans: tuple[Lan, ...]
        return_path: ReturnPath
        router: Router | Itself | None
        wifi: tuple[Ssid, ...]

    @property
    def networks(self) -> tuple[Lan, ...]:
        """The site's networks, however the file writes them."""
        return self.lans if self.lan is None else (self.lan,)

    @property
    def prefixes(self) -> tuple[IPNetwork, ...]:
        """What people reach of the site, by the prefixes that the tunnel carries."""
        return tuple(lan.known_as for lan in self.networks)

    @property
    def inner(self) -> tuple[IPNetwork, ...]:
        """Of those the site's own, whose machines may open connections too: all but what lies in the internet."""
        return tuple(lan.known_as for lan in self.networks if not lan.outside)

    @property
    def own_prefixes(self) -> tuple[IPNetwork, ...]:
        """What people reach of the site, by the addresses that its machines have."""
        return tuple(lan.cidr for lan in self.networks)

    @property
    def own_inner(self) -> tuple[IPNetwork, ...]:
        """The site's own, by the addresses that its machines have."""
        return tuple(lan.cidr for lan in self.networks if not lan.outside)

    @property
    def own_addresses(self) -> tuple[IPAddress, ...]:
        """The host's addresses in its LANs."""
        return tuple(lan.address for lan in self.networks if lan.address is not None)

    @property
    def aliased(self) -> tuple[Lan, ...]:
        """The networks that everybody else knows by another prefix."""
        return tuple(lan for lan in self.networks if lan.alias is not None)

    def as_known(self, network: IPNetwork) -> IPNetwork:
        """What everybody else calls an address or a part of the site's networks."""
        lan = next((each for each in self.aliased if network in each.cidr), None)
        return network if lan is None else moved(network, lan.cidr, lan.known_as)

    def as_here(self, network: IPNetwork) -> IPNetwork:
        """The way back: what the site's machines have where everybody else says this."""
        lan = next((each for each in self.aliased if network in each.known_as), None)
        return network if lan is None else moved(network, lan.known_as, lan.cidr)

    @property
    def site_name(self) -> str:
        """The site's name; the checks have seen to it that whoever has networks has one."""
        return self.site or ""

    @property
    def is_active(self) -> bool:
        """Whether its networks are in use."""
        return not getattr(self, "retired", False)

    @property
    def is_managed(self) -> bool:
        """Whether the program sets this host up. Where it does not, the hub alone judges what enters its networks and leaves them."""
        return getattr(self, "managed", None) is None

    @property
    def router_ssh(self) -> Ssh | None:
        """The way to the site's router, where the program sets its route."""
        return self.router.ssh if isinstance(self.router, Router) else None

    @property
    def router_address(self) -> IPAddress | None:
        """The router's address in a LAN, where the file names it."""
        return self.router.address if isinstance(self.router, Router) else None

    @property
    def is_router(self) -> bool:
        """Whether the host is its LANs' router itself, so that every answer passes it."""
        return self.router == "self" or self.router_address in self.own_addresses

    def masquerades(self, lan: Lan) -> bool:
        """Whether what it sends into this LAN bears its own address."""
        return lan.outside or (lan.return_path or self.return_path) == "masquerade"

    @property
    def masquerades_all(self) -> bool:
        """Whether it does so with all that it has."""
        return all(self.masquerades(lan) for lan in self.networks)

    @property
    def masquerades_some(self) -> bool:
        """Whether it does so with a network of the site itself."""
        return any(self.masquerades(lan) for lan in self.networks if not lan.outside)

    def around(self, address: IPAddress) -> Lan | None:
        """The LAN in which the host stands and that holds the address."""
        return next((lan for lan in self.networks if lan.address is not None and address in lan.cidr), None)


_LANS = "Several networks, in place of lan: in which it stands (address), behind a router there or in the internet (via)"
_LANS_EXAMPLE = "[{cidr: 192.168.200.0/24, address: 192.168.200.248}, {cidr: 10.20.0.0/16, via: 192.168.200.1}]"
_ROUTER = "The LAN's router; with ssh the program sets its route; self: it is this host"
_OneLan = Annotated[
    Lan | None, Field(description="The office network behind it", examples=["{cidr: 192.168.200.0/24, address: 192.168.200.248}"])
]


def _not_empty(remedy: str) -> BeforeValidator:
    """A list that could mean everything or nothing is refused, with what to do instead."""

    def filled(value: object) -> object:
        if value == []:
            raise wrong(f"is empty; {remedy}")
        return value

    return BeforeValidator(filled)


_NO_LANS = "name at least one network, such as {cidr: ..., address: ...}; a hub that has none leaves the field out"
_NO_DEVICES = "name at least one, such as {name: laptop, address: ...}, or write the address of the one machine"
_SeveralLans = Annotated[tuple[Lan, ...], _not_empty(_NO_LANS), Field(description=_LANS, examples=[_LANS_EXAMPLE])]
_WayBack = Annotated[ReturnPath, Field(description="How answers find the way back from the LAN")]
_WayBackReason = Annotated[str | None, Field(min_length=1, description="Why it masquerades, where the policy asks")]
_SiteRouter = Annotated[RouterOrItself | None, Field(description=_ROUTER)]
_Devices = Annotated[tuple[Device, ...], Field(description="Single devices whose route the program sets")]
_Wifi = Annotated[
    tuple[Ssid, ...],
    Field(min_length=1, description="Names of the site's Wi-Fi, by which Apple devices know that they are there", examples=["[Office]"]),
]
_HostsOwnKey = Annotated[
    PublicKey | None, Field(description="Its public key, where the host keeps its private key to itself; left out: one is made")
]
_TakesOver = Annotated[
    Literal["wg-quick"] | None,
    Field(description="The tunnel of this name that wg-quick has made there is taken over as it runs; left out: it is refused"),
]
_PresharedKey = Annotated[
    Preshared | None,
    Field(
        description="Its preshared key with the hub: adopted from the stack's secret configuration, or none at all; left out: one is made"
    ),
]


class Hub(Record, Networks):
    """The one host with a public address, which everybody connects to."""

    name: Annotated[Name, Field(description="Name of the host", examples=["c"])]
    address: Annotated[IPv4Address, Field(description="Its address in the VPN")]
    address6: Annotated[IPv6Address | None, Field(description="Its IPv6 address in the VPN; left out: derived from address")] = None
    endpoint: Annotated[
        EndpointText, Field(description="Public address, or name, and UDP port", examples=["203.0.113.10:51820 or vpn.example.org:51820"])
    ]
    listen_port: Annotated[
        Port | None, Field(description="UDP port of its WireGuard, where what is dialled is forwarded to another; left out: the endpoint's")
    ] = None
    also_on: Annotated[
        tuple[Port, ...],
        Field(min_length=1, description="Further UDP ports that lead to it, where others are blocked", examples=["[443]"]),
    ] = ()
    ssh: Annotated[Ssh, Field(description="How the program reaches it", examples=["{host: 198.51.100.7, port: 22, user: root}"])]
    firewall: _Firewall = "nftables"
    access: Annotated[Access, Field(description="What the hub may reach by itself, such as a gateway's SSH")] = ()
    public_key: _HostsOwnKey = None
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys")] = 1
    adopt_key: Annotated[Flag, Field(description="Take the private key from the stack's secret configuration")] = False
    takes_over: _TakesOver = None
    site: Annotated[Name | None, Field(description="Name of the site that its own networks are, as grants use it")] = None
    lan: _OneLan = None
    lans: _SeveralLans = ()
    return_path: _WayBack = "static-route"
    return_path_reason: _WayBackReason = None
    router: _SiteRouter = None
    devices: _Devices = ()
    wifi: _Wifi = ()

    @property
    def port(self) -> int:
        """The UDP port of its WireGuard."""
        return self.endpoint.port if self.listen_port is None else self.listen_port


def _managed(value: object) -> object:
    if value is True or value in ("yes", "ssh"):
        raise wrong(f"{show(value)} is what every gateway with ssh is; leave it out, and see that ssh is there")
    return "no" if value is False else value


_MANAGED = "For a gateway that nobody logs in to, in place of ssh: in which form its settings are shown to whoever pastes them there"


class Gateway(Record, Networks):
    """The host in an office that connects its LANs with the hub."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "oneOf": [{"required": ["lan"]}, {"required": ["lans"]}],
            "anyOf": [{"required": ["ssh"]}, {"required": ["managed"]}],
        },
    )

    name: Annotated[Name, Field(description="Name of the host", examples=["c"])]
    site: Annotated[Name, Field(description="Name of the site, as grants use it", examples=["beijing"])]
    address: Annotated[IPv4Address, Field(description="Its address in the VPN")]
    address6: Annotated[IPv6Address | None, Field(description="Its IPv6 address in the VPN; left out: derived from address")] = None
    lan: _OneLan = None
    lans: _SeveralLans = ()
    listen_port: Annotated[Port, Field(description="UDP port of its WireGuard; another where something else has this one")] = GATEWAY_PORT
    return_path: _WayBack = "static-route"
    return_path_reason: _WayBackReason = None
    firewall: _Firewall = "nftables"
    # Before ssh, whose validator asks for it.
    managed: Annotated[
        Managed | None,
        BeforeValidator(_managed),
        WithJsonSchema({"enum": [*get_args(Managed), False]}),
        Field(description=_MANAGED, examples=["routeros"]),
    ] = None
    ssh: Annotated[
        Ssh | None,
        Field(
            description="How the program reaches it, unless managed says that nobody logs in there",
            examples=["{host: 198.51.100.7, port: 22, user: root}"],
            validate_default=True,
        ),
    ] = None
    router: _SiteRouter = None
    devices: _Devices = ()
    wifi: _Wifi = ()
    access: Annotated[Access, Field(description="What the LAN may reach by itself: developers and hosts")] = ()
    public_key: _HostsOwnKey = None
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys")] = 1
    adopt_key: Annotated[Flag, Field(description="Take the private key from the stack's secret configuration")] = False
    takes_over: _TakesOver = None
    preshared: _PresharedKey = None
    retired: Annotated[Flag, Field(description="First of two steps to take a gateway away: taken down, still known to the hub")] = False

    @field_validator("ssh")
    @classmethod
    def _ssh_or_managed(cls, value: Ssh | None, info: ValidationInfo) -> Ssh | None:
        if value is None and info.data.get("managed", "unreadable") is None:
            raise PydanticCustomError("missing", "is missing")
        return value

    @property
    def output(self) -> str:
        """The stack's output with what is pasted on a gateway that nobody logs in to."""
        return f"gateway_{self.name}_conf"


_EndpointOfOne = Annotated[
    OwnEndpoint | None,
    Field(
        description="Where this machine sends to in place of the hub: a program on it that carries the tunnel where UDP is blocked",
        examples=['"127.0.0.1:51820"'],
    ),
]
_PLATFORM = Field(description="The machine's operating system; left out: files hold only what every client takes")
_OWN_KEY = Field(description="The developer's own public key; left out: one is generated")


class OwnDevice(Record):
    """One of the machines of a developer who has several."""

    name: Annotated[DeveloperName, Field(description="Name of the device; the peer is called DEVELOPER-DEVICE", examples=["laptop"])]
    address: Annotated[IPv4Address, Field(description="The device's address in the VPN")]
    address6: Annotated[IPv6Address | None, Field(description="Its IPv6 address in the VPN; left out: derived from address")] = None
    public_key: Annotated[PublicKey | None, _OWN_KEY] = None
    preshared: _PresharedKey = None
    platform: Annotated[Platform | None, _PLATFORM] = None
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys")] = 1
    endpoint: _EndpointOfOne = None
    until: End = None


class Developer(Record):
    """A person outside the offices: with one machine, whose fields stand here, or with several devices."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["address"]}, {"required": ["devices"]}]})

    name: Annotated[OwnName, Field(description="Name of the developer", examples=["e"])]
    title: Annotated[
        Title | None, Field(description="What people call this person, as they write it; shown, and never part of a file's name")
    ] = None
    # Before the fields that do not stand beside it: their validators ask for it.
    devices: Annotated[
        tuple[OwnDevice, ...],
        _not_empty(_NO_DEVICES),
        Field(
            description="The person's machines, if there are several, in place of address",
            examples=["[{name: laptop, address: ...}, {name: phone, address: ...}]"],
            json_schema_extra={"minItems": 1},
        ),
    ] = ()
    address: Annotated[IPv4Address | None, Field(description="The machine's address in the VPN", validate_default=True)] = None
    address6: Annotated[IPv6Address | None, Field(description="Its IPv6 address in the VPN; left out: derived from address")] = None
    access: Annotated[Access, Field(description="What the developer may reach, on every device; left out: nothing")] = ()
    public_key: Annotated[PublicKey | None, _OWN_KEY] = None
    preshared: _PresharedKey = None
    platform: Annotated[Platform | None, _PLATFORM] = None
    rotation: Annotated[Rotation, Field(description="Raise it by one to renew the keys")] = 1
    home: Annotated[HomePrefix | None, Field(description="The network at home, to be warned when it overlaps an office")] = None
    endpoint: _EndpointOfOne = None
    until: End = None

    @field_validator("address")
    @classmethod
    def _address_or_devices(cls, value: IPAddress | None, info: ValidationInfo) -> IPAddress | None:
        devices = info.data.get("devices")  # None where they could not be read, of which enough is said then
        if value is None and devices == ():
            raise PydanticCustomError("missing", "is missing")
        if value is not None and devices:
            raise wrong(f"{value} stands beside devices; make it the address of one of them, which then keeps its keys")
        return value

    @field_validator("address6", "public_key", "preshared", "platform", "rotation", "endpoint")
    @classmethod
    def _of_one_device(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("devices"):
            raise wrong("stands beside devices, each of which has its own; move it into the device that it is about")
        return value

    @property
    def called(self) -> str:
        """For people: the name, and the title where there is one."""
        return self.name if self.title is None else f"{self.name} ({self.title})"

    @property
    def clients(self) -> tuple["Client", ...]:
        """The person's machines, of which each is a peer."""
        if self.address is not None:
            return (self._client(self.name, None, self.address, self),)
        return tuple(self._client(f"{self.name}-{each.name}", each.name, each.address, each) for each in self.devices)

    def _client(self, name: str, device: str | None, address: IPAddress, of: "Developer | OwnDevice") -> "Client":
        return Client(
            name,
            self,
            device,
            address,
            of.address6,
            of.public_key,
            of.platform,
            of.rotation,
            of.endpoint,
            until=earliest(self.until, of.until),
            preshared=of.preshared,
        )


@dataclass(frozen=True, slots=True)
class Client:
    """A machine of a developer: a peer with an address, keys and files of its own. What it may reach is what the person may."""

    name: str
    """The peer's: the developer's, or `e-laptop`."""
    developer: Developer
    device: str | None
    """The device's own name; None where the developer has one machine alone."""
    address: IPAddress
    address6: IPAddress | None
    public_key: str | None
    platform: Platform | None
    rotation: int
    endpoint: Endpoint | None
    until: Moment | None = None
    """When it ends: with the device, or with the person."""
    preshared: Preshared | None = None

    @property
    def called(self) -> str:
        """For people: the name, and the person's title where there is one."""
        return self.name if self.developer.title is None else f"{self.name} ({self.developer.title})"

    @property
    def output(self) -> str:
        """What the stack's outputs about it begin with: `dev_e`, or `dev_e_laptop`."""
        return f"dev_{self.developer.name}" if self.device is None else f"dev_{self.developer.name}_{self.device}"


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
    until: End = None


Peer = Hub | Gateway | Client
"""Whoever has an address in the VPN."""

Site = Hub | Gateway
"""The host of a site: a gateway, or the hub where it has networks of its own."""


class Environment(Record):
    """One office environment: a hub, the sites behind gateways, and the developers."""

    environment: Annotated[Name, Field(description="Name of the environment; the stack has the same", examples=["dev"])]
    known_hosts: Annotated[str | None, Field(min_length=1, description="OpenSSH known_hosts file, relative to this one")] = None
    jumps: Annotated[
        Mapping[Name, Ssh],
        Field(
            description="Machines that the operator goes through (`via: NAME` in an ssh), by name",
            examples=["{bastion: {host: 198.51.100.9, user: ops}}"],
            json_schema_extra=NAMED_SCHEMA,
        ),
    ] = {}
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
        Mapping[Name, Group],
        Field(
            description="Access that several developers share, by name",
            examples=["{ops: {access: [beijing]}}"],
            json_schema_extra=NAMED_SCHEMA,
        ),
    ] = {}
    links: Annotated[tuple[Link, ...], Field(description="LAN to LAN; left out: none", examples=["[{from: beijing, to: shenzhen}]"])] = ()
    expect: Annotated[tuple[Expectation, ...], Field(description="Statements about who reaches what that must hold")] = ()
    policy: Annotated[Policy, Field(description="Guards: what is refused whoever writes it")] = Policy()

    @property
    def clients(self) -> tuple[Client, ...]:
        """The machines of all developers, in the order of the file."""
        return tuple(client for developer in self.developers for client in developer.clients)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The hub, the gateways, the developers' machines, in the order of the file."""
        return (self.hub, *self.gateways, *self.clients)

    def rotation_of(self, peer: Peer) -> str:
        """What a peer's keys are bound to, which are renewed when it changes: its own rotation, and the network's once that was raised."""
        every = self.network.rotation
        return f"{peer.rotation}" if every == 1 else f"{every}.{peer.rotation}"

    @property
    def active_gateways(self) -> tuple[Gateway, ...]:
        """The gateways whose LAN is in use."""
        return tuple(gateway for gateway in self.gateways if not gateway.retired)

    @property
    def pasted_gateways(self) -> tuple[Gateway, ...]:
        """Of the gateways in use those that nobody logs in to: a person pastes there what they need."""
        return tuple(gateway for gateway in self.active_gateways if not gateway.is_managed)

    @property
    def adopted_gateways(self) -> frozenset[str]:
        """Those that bring a private key which is in use: their tunnel may stand before our first change."""
        return frozenset(gateway.name for gateway in self.gateways if gateway.adopt_key)

    @property
    def brought_keys(self) -> dict[str, str]:
        """The public keys that peers brought themselves, by the peer's name."""
        return {peer.name: peer.public_key for peer in self.peers if peer.public_key is not None}

    @property
    def keys_in_state(self) -> tuple[str, ...]:
        """The peers whose private keys the stack's state holds: all that do not bring a public one."""
        return tuple(peer.name for peer in self.peers if peer.public_key is None)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The hosts of the sites: the hub, where it has networks of its own, then the gateways."""
        return ((self.hub,) if self.hub.networks else ()) + self.gateways

    @property
    def active_sites(self) -> tuple[Site, ...]:
        """The hosts of the sites whose networks are in use."""
        return tuple(site for site in self.sites if site.is_active)

    @property
    def vpn(self) -> tuple[IPNetwork, ...]:
        """The VPN's own prefixes: IPv4, and IPv6 where there is one."""
        return (self.network.cidr,) if self.network.cidr6 is None else (self.network.cidr, self.network.cidr6)

    @property
    def routed(self) -> tuple[IPNetwork, ...]:
        """Every prefix that the tunnel carries: the VPN's own and each LAN."""
        return (*self.vpn, *(prefix for site in self.sites for prefix in site.prefixes))

    def through(self, ssh: Ssh) -> Ssh | None:
        """The machine that the operator goes through on the way to another, if there is one."""
        if ssh.via is None:
            return None
        return self.hub.ssh if ssh.via == HUB else self.jumps[ssh.via]

    def gateway_of(self, site: str) -> Site:
        """The host of a site: its gateway, or the hub; the checks have seen to it that there is one."""
        return next(each for each in self.sites if each.site == site)

    def peer(self, name: str) -> Peer:
        """Hub, gateway or a developer's machine by name; names are unique across all of them."""
        return next(peer for peer in self.peers if peer.name == name)

    def heirs(self, machines: Mapping[str, IPAddress]) -> dict[str, Client]:
        """Of developers' machines, by name and address, those that have become a device of the same person, which keeps their keys."""
        return {
            client.developer.name: client
            for client in self.clients
            if client.device is not None and machines.get(client.developer.name) == client.address
        }

    def address6_of(self, peer: Peer) -> IPAddress | None:
        """The peer's IPv6 address: as written, or derived; None in an environment without cidr6."""
        if self.network.cidr6 is None:
            return None
        return peer.address6 if peer.address6 is not None else derived_address6(self.network.cidr, self.network.cidr6, peer.address)


def moved(network: IPNetwork, source: IPNetwork, destination: IPNetwork) -> IPNetwork:
    """The counterpart of a part of one prefix in another of the same length."""
    return IPNetwork((destination.first + network.first - source.first, network.prefixlen), version=destination.version)


def derived_address6(cidr: IPNetwork, cidr6: IPNetwork, address: IPAddress) -> IPAddress:
    """The IPv4 address's host part at the end of the IPv6 prefix: 10.70.1.4 of 10.70.0.0/16 in fd70::/64 is fd70::104."""
    return IPAddress(int(cidr6.network) + (int(address) & int(cidr.hostmask)), 6)
