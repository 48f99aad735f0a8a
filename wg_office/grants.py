"""Who may reach what: ports and grants, as they stand in the environment file. An empty tuple always means "no further limit"."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PlainSerializer, PlainValidator, Tag, WithJsonSchema

from wg_office.fields import DeveloperName, HostOrPrefix, Name, show, wrong

_PORTS = re.compile(r"(?P<first>[0-9]{1,6})(?:-(?P<last>[0-9]{1,6}))?/(?P<protocol>tcp|udp)")
_EXAMPLE = "22/tcp, 8000-8100/tcp, 53/udp or icmp"


class Record(BaseModel):
    """A mapping of the environment file: immutable, and a field it does not know is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """TCP or UDP ports, first and last included."""

    protocol: Literal["tcp", "udp"]
    first: int
    last: int

    def __str__(self) -> str:
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


@dataclass(frozen=True, slots=True, order=True)
class Icmp:
    """Echo requests; for IPv6, ICMPv6's."""

    def __str__(self) -> str:
        return "icmp"


ICMP = Icmp()


def parse_ports(value: object) -> PortRange | Icmp:
    """From `22/tcp`, `8000-8100/tcp`, `53/udp` or `icmp`."""
    if isinstance(value, PortRange | Icmp):
        return value
    if value == "icmp":
        return ICMP
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong(f"{value} lacks its protocol; write {value}/tcp or {value}/udp")
    match = _PORTS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise wrong(f"{show(value)} is no port; write it like {_EXAMPLE}")
    first, last = int(match["first"]), int(match["last"] or match["first"])
    if first > last:
        raise wrong(f"{value} is upside down; write {last}-{first}/{match['protocol']}")
    if first < 1 or last > 65535:
        raise wrong(f"{value} names a port that does not exist; ports are 1 to 65535")
    return PortRange("tcp" if match["protocol"] == "tcp" else "udp", first, last)


Ports = Annotated[
    PortRange | Icmp,
    PlainValidator(parse_ports),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(icmp|[0-9]{1,5}(-[0-9]{1,5})?/(tcp|udp))$"}),
]


def _named(value: object) -> object:
    if value == []:
        raise wrong("is empty, which could mean everything or nothing; name at least one, or leave the field out")
    return value


_AT_LEAST_ONE = Field(json_schema_extra={"minItems": 1})
PortList = Annotated[tuple[Ports, ...], BeforeValidator(_named), _AT_LEAST_ONE]
HostList = Annotated[tuple[HostOrPrefix, ...], BeforeValidator(_named), _AT_LEAST_ONE]

_PORTS_FIELD = "Ports that may be reached, such as 22/tcp, 8000-8100/tcp or icmp; left out: all"
_HOSTS_FIELD = "Addresses or prefixes in the site's LAN; left out: the whole LAN"


class SiteGrant(Record):
    """Devices in a site's LAN."""

    site: Annotated[Name, Field(description="A site, as one of the gateways names it")]
    hosts: Annotated[HostList, Field(description=_HOSTS_FIELD)] = ()
    ports: Annotated[PortList, Field(description=_PORTS_FIELD)] = ()


class DeveloperGrant(Record):
    """Another developer's machine."""

    developer: Annotated[DeveloperName, Field(description="The developer to be reached")]
    ports: Annotated[PortList, Field(description=_PORTS_FIELD)] = ()


class HostGrant(Record):
    """The hub or a gateway itself, at its VPN address."""

    host: Annotated[Name, Field(description="The hub or a gateway, by name")]
    ports: Annotated[PortList, Field(description=_PORTS_FIELD)] = ()


class GroupGrant(Record):
    """Everything that a group may reach."""

    group: Annotated[Name, Field(description="One of the groups")]


GRANT_KINDS: dict[str, type[Record]] = {"site": SiteGrant, "developer": DeveloperGrant, "host": HostGrant, "group": GroupGrant}


def _kind(value: object) -> str | None:
    if isinstance(value, dict):
        named = [key for key in GRANT_KINDS if key in value]
        return f"<{named[0]}>" if len(named) == 1 else None
    return next((f"<{key}>" for key, kind in GRANT_KINDS.items() if isinstance(value, kind)), None)


def _spell_out(value: object) -> object:
    return {"site": value} if isinstance(value, str) else value


# The tags appear in pydantic's error locations; the brackets tell them from field names (load.py takes them out).
_AnyGrant = Annotated[
    Annotated[SiteGrant, Tag("<site>")]
    | Annotated[DeveloperGrant, Tag("<developer>")]
    | Annotated[HostGrant, Tag("<host>")]
    | Annotated[GroupGrant, Tag("<group>")],
    Discriminator(
        _kind,
        custom_error_type="wrong",
        custom_error_message="must be a site's name or a mapping with exactly one of site, developer, host and group",
    ),
]
Grant = Annotated[_AnyGrant, BeforeValidator(_spell_out, json_schema_input_type=str | SiteGrant | DeveloperGrant | HostGrant | GroupGrant)]
Access = tuple[Grant, ...]
