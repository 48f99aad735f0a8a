"""Who may reach what: ports and grants, as they stand in the environment file. An empty tuple always means "no further limit"."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PlainSerializer, PlainValidator, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from wg_office.environment.fields import HostOrPrefix, MeantDeveloper, Name, Until, flow, is_address, show, wrong

_PORTS = re.compile(r"(?P<first>[0-9]{1,6})(?:-(?P<last>[0-9]{1,6}))?/(?P<protocol>tcp|udp)")
_EXAMPLE = "22/tcp, 8000-8100/tcp, 53/udp or icmp"

_NEARLY = re.compile(r"(?:(tcp|udp)[/: ]*)?([0-9]{1,5})(?: ?[-:] ?([0-9]{1,5}))?(?:[/: ]*(tcp|udp))?")
"""A port as other programs have it: 443:tcp, tcp/80, 8000:8100/tcp, 53/UDP, or without its protocol."""

_BY_NAME = {
    **{"ssh": "22/tcp", "http": "80/tcp", "https": "443/tcp", "rdp": "3389/tcp", "smb": "445/tcp", "vnc": "5900/tcp"},
    **{"mysql": "3306/tcp", "postgres": "5432/tcp", "postgresql": "5432/tcp", "ldap": "389/tcp", "ldaps": "636/tcp"},
    **{"dns": "53/udp", "ntp": "123/udp", "icmp": "icmp", "ping": "icmp", "icmpv6": "icmp"},
}


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
        raise wrong(f"{show(value)} lacks its protocol; write {show(value)}/tcp or {show(value)}/udp")
    match = _PORTS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise wrong(f"{show(value)} {_no_port(value.strip().lower()) if isinstance(value, str) else _NO_PORT}")
    first, last = int(match["first"]), int(match["last"] or match["first"])
    if first > last:
        raise wrong(f"{value} is upside down; write {last}-{first}/{match['protocol']}")
    if first < 1 or last > 65535:
        raise wrong(f"{value} names a port that does not exist; ports are 1 to 65535")
    return PortRange("tcp" if match["protocol"] == "tcp" else "udp", first, last)


_NO_PORT = f"is no port; write it like {_EXAMPLE}"


def _no_port(text: str) -> str:
    """What is wrong with a text that is none, and what was probably meant."""
    if text in ("any", "all", "*"):
        return "is no port; leave ports out, which means all of them"
    if (found := _NEARLY.fullmatch(text)) is None:
        return _no_number(text)
    before, first, last, behind = found.groups()
    ports = first if last is None else f"{first}-{last}"
    if before and behind:
        return _NO_PORT
    if not before and not behind:
        return f"lacks its protocol; write {ports}/tcp or {ports}/udp"
    return f"is no port; write {ports}/{before or behind}"


_NOT_JUDGED = frozenset({"gre", "esp", "ah", "ipsec", "sctp", "ospf", "igmp", "ipip"})


def _no_number(text: str) -> str:
    """The same of a text without a number: a service's name, a protocol, or several ports."""
    name, _, protocol = text.partition("/")
    ports = [part.strip() for part in name.split(",")]
    if protocol in ("tcp", "udp") and len(ports) > 1 and all(part.isdigit() for part in ports):
        return f"names several ports; write an entry for each: {', '.join(f'{part}/{protocol}' for part in ports)}"
    if text in ("tcp", "udp") or (name in ("*", "any", "all") and protocol):
        return f"is no port; write 1-65535/{protocol or text}"
    if name in _NOT_JUDGED or protocol in _NOT_JUDGED:
        return "is a protocol for which no single ports are granted; leave ports out, which means all protocols"
    meant = _BY_NAME.get(name, _BY_NAME.get(protocol, text))
    return _NO_PORT if meant not in _BY_NAME.values() else f"is no port; write {meant}"


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
_UNTIL_FIELD = "When it ends, by the hosts themselves: a date (the end of that day in UTC), or a time with its zone; left out: never"
End = Annotated[Until | None, Field(description=_UNTIL_FIELD, examples=["2027-01-31"])]
"""`until` of whatever can end."""
_HOSTS_FIELD = "Addresses or prefixes in the site's LAN; left out: the whole LAN"


class SiteGrant(Record):
    """Devices in a site's LAN."""

    site: Annotated[Name, Field(description="A site, as one of the gateways names it")]
    hosts: Annotated[HostList, Field(description=_HOSTS_FIELD)] = ()
    ports: Annotated[PortList, Field(description=_PORTS_FIELD)] = ()
    until: End = None


class DeveloperGrant(Record):
    """Another developer's machine."""

    developer: Annotated[MeantDeveloper, Field(description="The developer to be reached")]
    ports: Annotated[PortList, Field(description=_PORTS_FIELD)] = ()
    until: End = None


class HostGrant(Record):
    """The hub or a gateway itself, at its VPN address."""

    host: Annotated[Name, Field(description="The hub or a gateway, by name")]
    ports: Annotated[PortList, Field(description=_PORTS_FIELD)] = ()
    until: End = None


class GroupGrant(Record):
    """Everything that a group may reach."""

    group: Annotated[Name, Field(description="One of the groups")]
    until: End = None


GRANT_KINDS: dict[str, type[Record]] = {"site": SiteGrant, "developer": DeveloperGrant, "host": HostGrant, "group": GroupGrant}


def _kind(value: object) -> str | None:
    if isinstance(value, dict):
        named = [key for key in GRANT_KINDS if key in value]
        return f"<{named[0]}>" if len(named) == 1 else None
    return next((f"<{key}>" for key, kind in GRANT_KINDS.items() if isinstance(value, kind)), None)


_NO_KIND = "must be a site's name or a mapping with exactly one of site, developer, host and group"
_LIKE = "write it like beijing, or {site: beijing, ports: [22/tcp]}"


IN_A_SITE, EVERY_SITE = "in_a_site", "every_site"
"""The types of faults of which whoever knows the file's sites can say more: an address in a site's place, and a word for all of them."""

EVERYTHING = frozenset({"*", "all", "any", "everything", "everywhere"})


def _spell_out(value: object) -> object:
    if isinstance(value, str):
        if is_address(value.partition("/")[0]) and value not in _ALL_ADDRESSES:
            sentence = f"{show(value)} is an address, and a grant names the site that it is in; write {{site: NAME, hosts: [{value}]}}"
            raise PydanticCustomError(IN_A_SITE, "{sentence}", {"sentence": sentence, "address": value})
        if value == "*":
            sentence = f"{show(value)} is no name; name each site that is to be reached"
            raise PydanticCustomError(EVERY_SITE, "{sentence}", {"sentence": sentence})
        if (meant := _no_site(value)) is not None:
            raise wrong(f"{show(value)} {meant}")
        return {"site": value}
    meant = _in_our_words(value) if isinstance(value, dict | list) else None
    if meant is not None:
        raise wrong(f"{_NO_KIND}; write {meant}")
    return value


_ALL_ADDRESSES = frozenset({"0.0.0.0/0", "::/0"})


def _no_site(text: str) -> str | None:
    """What is wrong with a text that cannot be a site's name, where it is known what was meant."""
    if text in _ALL_ADDRESSES:
        return "is everything, and there is no exit to the internet; name sites"
    site, _, ports = text.partition(":")
    if not ports:
        return None
    whom = {"site": "NAME", "hosts": [site]} if is_address(site) else {"site": site}
    return f"is no name; write {flow(whom | {'ports': [with_protocol(each) for each in ports.replace(',', ' ').split()]})}"


def with_protocol(port: object) -> object:
    """A port that somebody wrote as a number alone: most are TCP's."""
    return f"{port}/tcp" if str(port).isascii() and str(port).isdigit() else port


_OTHERWISE = {
    "site": ("sites", "lan"),
    "developer": ("developers", "user", "users", "person", "people", "peer", "peers"),
    "host": ("gateway", "gateways"),
    "group": ("groups",),
}
"""What people call whom a grant is to."""


def _in_our_words(value: dict[str, object] | list[object]) -> str | None:
    """The grants that somebody meant by a mapping, or a list, that is none as it stands; None where that cannot be told."""
    if isinstance(value, list):
        return f"its entries one by one: {', '.join(map(flow, value))}" if value else None
    named = [key for key in GRANT_KINDS if key in value]
    if named == ["site", "host"] and is_address(str(value["host"])):
        return flow({"site": value["site"], "hosts": [value["host"]]} | _without(value, "site", "host"))
    if len(named) > 1:
        return ", ".join(flow({kind: value[kind]} | _without(value, *named, *(() if kind == "site" else ("hosts",)))) for kind in named)
    if named:
        names = value[named[0]]
        return _one_by_one(named[0], names, _without(value, named[0])) if isinstance(names, list) else None
    for kind, words in _OTHERWISE.items():
        if (word := next((each for each in words if each in value), None)) is not None:
            return _one_by_one(kind, value[word], _without(value, word))
    if {"hosts", "ports"} & value.keys():
        return flow({"site": "NAME"} | value)
    if value.keys() & _MACHINES:
        return "{site: NAME, hosts: [ADDRESS]} for a machine, or a part, of a site's LAN"
    return _by_name(*next(iter(value.items()))) if len(value) == 1 else None


_MACHINES = frozenset({"device", "devices", "machine", "machines", "server", "address", "ip", "network", "net", "subnet", "cidr", "prefix"})


def _without(value: dict[str, object], *names: str) -> dict[str, object]:
    return {key: inner for key, inner in value.items() if key not in names}


def _one_by_one(kind: str, names: object, limits: dict[str, object]) -> str | None:
    """A grant for each of several names."""
    return ", ".join(flow({kind: name} | limits) for name in (names if isinstance(names, list) else [names])) or None


def _by_name(site: str, what: object) -> str | None:
    """A site that stands where `site` should, with its ports or hosts: `beijing: [22/tcp]`."""
    if isinstance(what, dict):
        return flow({"site": site} | what)
    limits = what if isinstance(what, list) else [what]
    if what is None or limits == []:
        return flow({"site": site})
    named = "hosts" if all(is_address(str(each).partition("/")[0]) for each in limits) else "ports"
    return flow({"site": site, named: [with_protocol(each) for each in limits]})


# The tags appear in pydantic's error locations; the brackets tell them from field names (load.py takes them out).
_AnyGrant = Annotated[
    Annotated[SiteGrant, Tag("<site>")]
    | Annotated[DeveloperGrant, Tag("<developer>")]
    | Annotated[HostGrant, Tag("<host>")]
    | Annotated[GroupGrant, Tag("<group>")],
    Discriminator(
        _kind,
        custom_error_type="wrong",
        custom_error_message=f"{_NO_KIND}; {_LIKE}",
    ),
]
Grant = Annotated[_AnyGrant, BeforeValidator(_spell_out, json_schema_input_type=str | SiteGrant | DeveloperGrant | HostGrant | GroupGrant)]


def _listed(value: object) -> object:
    """The list that somebody meant who wrote one grant alone, or sites by their names."""
    if isinstance(value, str) and value.strip().lower() in EVERYTHING:
        sentence = f"must be a list, not the text {show(value)}; name each site that is to be reached"
        raise PydanticCustomError(EVERY_SITE, "{sentence}", {"sentence": sentence})
    if isinstance(value, str):
        raise wrong(f"must be a list, not the text {show(value)}; write [{', '.join(value.replace(',', ' ').split())}]")
    if isinstance(value, dict) and value:
        raise wrong(f"must be a list, not a mapping; write [{_as_entries(value)}]")
    return value


def _as_entries(value: dict[str, object]) -> str:
    words = {*GRANT_KINDS, *(word for each in _OTHERWISE.values() for word in each)}
    if words & value.keys():
        return _in_our_words(value) or flow(value)
    return ", ".join(_by_name(site, what) or site for site, what in value.items())


Access = Annotated[tuple[Grant, ...], BeforeValidator(_listed)]
