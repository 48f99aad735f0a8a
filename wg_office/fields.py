"""The scalar types of the environment file: addresses, prefixes, names and keys, each with one precise sentence when it is wrong."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from netaddr import INET_PTON, AddrFormatError, IPAddress, IPNetwork
from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Version = Literal[4, 6]

MAX_DEVELOPER_NAME = 12
"""The files of a hand-out are named after the network, but an output is easily saved as `e.conf` or `e-x.conf`, and wg-quick names the
tunnel after its file. Linux allows 15 characters."""

MAX_NAME = 32
"""Hosts, sites, groups and environments become file and resource names, which have no such narrow limit."""

_NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,14}")
_LAN_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_WINDOWS_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{device}{digit}" for device in ("com", "lpt") for digit in range(1, 10))})
_LINUX_RESERVED = frozenset({"all", "default", "lo"})


def wrong(sentence: str) -> PydanticCustomError:
    """The exception a validator raises; braces in user text must not be taken for placeholders."""
    return PydanticCustomError("wrong", "{sentence}", {"sentence": sentence})


def show(value: object) -> str:
    """A value as the reader of the YAML file knows it, never longer than a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def text_of(value: object, example: str) -> str:
    """The value if it is text; otherwise the fault says how it is written."""
    if not isinstance(value, str):
        raise wrong(f"{show(value)} is not text; write it like {example}")
    return value


# --- names -----------------------------------------------------------------------------------------------------------------------------


def _name(value: str, longest: int) -> str:
    if len(value) > longest:
        raise wrong(f"{show(value)} has {len(value)} characters; at most {longest} fit")
    if not _NAME.fullmatch(value):
        raise wrong(f"{show(value)} is no valid name; use lowercase letters, digits and '-', a letter first and no '-' last")
    if value in _WINDOWS_RESERVED:
        raise wrong(f"{show(value)} is a device name on Windows and cannot be a file there; choose another name")
    return value


def _host_name(value: str) -> str:
    return _name(value, MAX_NAME)


def _developer_name(value: str) -> str:
    if value in _LINUX_RESERVED:
        raise wrong(f"{show(value)} cannot be an interface name on Linux; choose another name")
    return _name(value, MAX_DEVELOPER_NAME)


_NAME_PATTERN = f"^{_NAME.pattern}$"

Name = Annotated[str, Strict(), AfterValidator(_host_name), Field(json_schema_extra={"pattern": _NAME_PATTERN, "maxLength": MAX_NAME})]
"""The name of a host, site, group or environment."""

NAMED_SCHEMA: JsonDict = {"propertyNames": {"pattern": _NAME_PATTERN, "maxLength": MAX_NAME}}
"""What the JSON schema says of a mapping whose keys are such names."""

DeveloperName = Annotated[
    str, Strict(), AfterValidator(_developer_name), Field(json_schema_extra={"pattern": _NAME_PATTERN, "maxLength": MAX_DEVELOPER_NAME})
]
"""A developer's name: still a valid tunnel and file name where an output is saved under it (see MAX_DEVELOPER_NAME)."""


def _interface(value: str) -> str:
    if not _INTERFACE.fullmatch(value) or value in _LINUX_RESERVED:
        raise wrong(f"{show(value)} is no valid interface name; use at most 15 letters, digits, '_' and '-', a letter first, such as wg0")
    return value


def _lan_interface(value: str) -> str:
    if not _LAN_INTERFACE.fullmatch(value) or value in _LINUX_RESERVED:
        raise wrong(f"{show(value)} is no valid interface name; write what `ip link` shows on the gateway, such as eth0")
    return value


InterfaceName = Annotated[str, Strict(), AfterValidator(_interface), Field(json_schema_extra={"pattern": f"^{_INTERFACE.pattern}$"})]
LanInterfaceName = Annotated[
    str, Strict(), AfterValidator(_lan_interface), Field(json_schema_extra={"pattern": f"^{_LAN_INTERFACE.pattern}$"})
]


def _user(value: str) -> str:
    if not _USER.fullmatch(value):
        raise wrong(f"{show(value)} is no valid user name; use lowercase letters, digits, '_' and '-', such as root")
    return value


UserName = Annotated[str, Strict(), AfterValidator(_user), Field(json_schema_extra={"pattern": f"^{_USER.pattern}$"})]


def is_host_name(value: str) -> bool:
    """Whether this is a DNS name. Something that looks like an IPv4 address and is none is not."""
    labels = value.removesuffix(".").split(".")
    return len(value) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()


def is_address(value: str, version: Version | None = None) -> bool:
    """Whether this is an IP address in its usual notation."""
    return _parse_address(value, version) is not None


def _ssh_host(value: str) -> str:
    if not is_address(value) and not is_host_name(value):
        raise wrong(f"{show(value)} is neither an IP address nor a host name; write it without user, port and brackets")
    return value


SshHost = Annotated[str, Strict(), AfterValidator(_ssh_host)]


def _domain(value: str) -> str:
    if not is_host_name(value):
        raise wrong(f"{show(value)} is no domain name; write it like office.example")
    return value


Domain = Annotated[str, Strict(), AfterValidator(_domain)]

# --- addresses and prefixes ------------------------------------------------------------------------------------------------------------


def _parse_address(value: str, version: Version | None = None) -> IPAddress | None:
    if "/" in value or "%" in value:
        return None
    try:
        return IPAddress(value, version, flags=INET_PTON)
    except (AddrFormatError, ValueError):
        return None


def _address(value: object, version: Version, example: str) -> IPAddress:
    if isinstance(value, IPAddress) and value.version == version:
        return value
    text = text_of(value, example)
    address = _parse_address(text, version)
    if address is None:
        if "/" in text and _parse_address(text.partition("/")[0], version) is not None:
            raise wrong(f"{show(text)} is an address with a prefix length; write {text.partition('/')[0]} alone")
        raise wrong(f"{show(text)} is no IPv{version} address; write it like {example}")
    return address


def _network(value: object, version: Version, example: str, *, single: bool = False) -> IPNetwork:
    if isinstance(value, IPNetwork) and value.version == version:
        return value
    text = text_of(value, example)
    base, slash, length = text.partition("/")
    address, width = _parse_address(base, version), 32 if version == 4 else 128
    if address is not None and not slash and single:
        return IPNetwork((int(address), width), version=version)
    if address is None or not (length.isascii() and length.isdigit()) or len(length) > 3 or int(length) > width:
        raise wrong(f"{show(text)} is no IPv{version} prefix; write it like {example}")
    network = IPNetwork((int(address), int(length)), version=version)
    if network.ip != network.network:
        raise wrong(f"{text} has host bits set; the prefix it lies in is {network.cidr}")
    return network.cidr


def _as_ipv4(value: object) -> IPAddress:
    return _address(value, 4, "10.70.0.4")


def _as_ipv6(value: object) -> IPAddress:
    return _address(value, 6, "fd70::4")


def _as_prefix4(value: object) -> IPNetwork:
    return _network(value, 4, "192.168.200.0/24")


def _as_prefix6(value: object) -> IPNetwork:
    return _network(value, 6, "fd70::/64")


def _as_hosts(value: object) -> IPNetwork:
    return _network(value, 4, "192.168.200.244 or 192.168.200.240/28", single=True)


def _as_any_address(value: object) -> IPAddress:
    if isinstance(value, IPAddress):
        return value
    text = text_of(value, "192.168.200.53")
    address = _parse_address(text)
    if address is None:
        raise wrong(f"{show(text)} is no IP address; write it like 192.168.200.53")
    return address


_TO_TEXT = PlainSerializer(str, return_type=str)

IPv4Address = Annotated[IPAddress, PlainValidator(_as_ipv4), _TO_TEXT, WithJsonSchema({"type": "string", "format": "ipv4"})]
IPv6Address = Annotated[IPAddress, PlainValidator(_as_ipv6), _TO_TEXT, WithJsonSchema({"type": "string", "format": "ipv6"})]
AnyAddress = Annotated[IPAddress, PlainValidator(_as_any_address), _TO_TEXT, WithJsonSchema({"type": "string"})]
IPv4Prefix = Annotated[
    IPNetwork, PlainValidator(_as_prefix4), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+/[0-9]{1,2}$"})
]
IPv6Prefix = Annotated[
    IPNetwork, PlainValidator(_as_prefix6), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"})
]
HostOrPrefix = Annotated[
    IPNetwork, PlainValidator(_as_hosts), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+(/[0-9]{1,2})?$"})
]

# --- endpoint --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the hub listens. An IP address only: resolving a name while a host boots can stall, and the tunnel with it."""

    host: IPAddress
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host.version == 6 else str(self.host)
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, value: object) -> "Endpoint":
        """From `203.0.113.10:51820` or `[2001:db8::1]:51820`."""
        if isinstance(value, cls):
            return value
        example = '203.0.113.10:51820 or "[2001:db8::1]:51820"'
        text = text_of(value, example)
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        address = _parse_address(host[1:-1], 6) if bracketed else _parse_address(host, 4)
        if address is None and is_host_name(host):
            raise wrong(f"{show(text)} has a host name; write the IP address, because looking a name up can stall a host's boot")
        if address is None or not (port.isascii() and port.isdigit()) or len(port) > 5:
            raise wrong(f"{show(text)} is no endpoint; write it like {example}")
        if not 1 <= int(port) <= 65535:
            raise wrong(f"port {port} does not exist; use 1 to 65535, such as 51820")
        return cls(address, int(port))


EndpointText = Annotated[
    Endpoint, PlainValidator(Endpoint.parse), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": r"^(\[.+\]|[0-9.]+):[0-9]{1,5}$"})
]

# --- keys ------------------------------------------------------------------------------------------------------------------------------


def _decode(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _public_key(value: str) -> str:
    raw = _decode(value)
    if raw is None or len(raw) != 32 or base64.b64encode(raw).decode() != value:
        raise wrong("is no WireGuard public key; write the 44 characters that `wg pubkey` prints")
    if not any(raw):
        raise wrong("is the all-zero key, which WireGuard treats as no key; write the 44 characters that `wg pubkey` prints")
    return value


PublicKey = Annotated[str, Strict(), AfterValidator(_public_key), Field(json_schema_extra={"pattern": "^[A-Za-z0-9+/]{43}=$"})]

ED25519 = "ssh-ed25519"


def host_key_fault(kind: str, blob: str) -> str | None:
    """Why this OpenSSH host key cannot be pinned, or None."""
    if kind != ED25519:
        return f"is of type {kind[:20]}, and only {ED25519} can be pinned (others fail in the provider); use `ssh-keyscan -t ed25519 HOST`"
    raw = _decode(blob)
    header = len(ED25519).to_bytes(4, "big") + ED25519.encode() + (32).to_bytes(4, "big")
    if raw is None or not raw.startswith(header) or len(raw) != len(header) + 32:
        return f"is no {ED25519} host key; copy the line of `ssh-keyscan -t ed25519 HOST` from '{ED25519}' on"
    return None


def _host_key(value: str) -> str:
    kind, _, rest = value.strip().partition(" ")
    blob = rest.strip().partition(" ")[0]
    if not blob:
        raise wrong(f"is no host key; write it like '{ED25519} AAAA...', from `ssh-keyscan -t ed25519 HOST`")
    fault = host_key_fault(kind, blob)
    if fault is not None:
        raise wrong(fault)
    return f"{kind} {blob}"


HostKey = Annotated[str, Strict(), AfterValidator(_host_key), Field(json_schema_extra={"pattern": f"^{ED25519} AAAA"})]
"""An OpenSSH ed25519 host key, without its comment."""


def fingerprint(host_key: str) -> str:
    """As `ssh-keygen -l` shows it: SHA256 and unpadded base64."""
    digest = hashlib.sha256(base64.b64decode(host_key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


# --- numbers and flags -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Within:
    """A whole number with both bounds, which the fault names together."""

    low: int
    high: int
    meaning: str = ""

    def _check(self, value: int) -> int:
        if not self.low <= value <= self.high:
            raise wrong(f"{show(value)} is out of range; use {self.low} to {self.high}{self.meaning}")
        return value

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, core_schema.int_schema(strict=True))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


Port = Annotated[int, _Within(1, 65535)]
Mtu = Annotated[int, _Within(1280, 1440, " (IPv6 needs 1280; above 1440, WireGuard's packets do not fit Ethernet)")]
Keepalive = Annotated[int, _Within(0, 65535, " seconds, 0 for none")]
Rotation = Annotated[int, _Within(1, 1_000_000)]
RollbackAfter = Annotated[int, _Within(30, 3600, " seconds (a new connection may take 15, and must not come after the roll-back)")]
Flag = Annotated[bool, Strict()]
