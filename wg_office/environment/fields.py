"""The scalar types of the environment file: addresses, prefixes, names and keys, each with one precise sentence when it is wrong."""

import base64
import binascii
import hashlib
import re
import unicodedata
from calendar import month_name, monthrange
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from netaddr import INET_PTON, AddrFormatError, IPAddress, IPNetwork, iprange_to_cidrs
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    Strict,
    TypeAdapter,
    ValidationError,
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

MAX_TITLE = 80
"""Characters of a title: what a table's cell and a line of a page still show."""

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


def show(value: object, *, quoted: bool = True) -> str:
    """A value as the reader of the YAML file knows it, never longer than a line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value) if isinstance(value, str) and quoted else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def flow(value: object) -> str:
    """A value as it is written on one line of the file."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    return show(value, quoted=False)


def text_of(value: object, example: str) -> str:
    """The value if it is text; otherwise the fault says how it is written."""
    if not isinstance(value, str):
        raise wrong(f"{show(value)} is not text; write it like {example}")
    return value


# --- names -----------------------------------------------------------------------------------------------------------------------------


def _name(value: str, longest: int) -> str:
    if len(value) > longest:
        raise wrong(f"{show(value)} has {len(value)} characters; at most {longest} fit{_such_as(value, longest)}")
    if not _NAME.fullmatch(value):
        how = "use lowercase letters (a to z), digits and '-', a letter first and no '-' last"
        raise wrong(f"{show(value)} is no valid name{_disguised(value)}; {how}{_such_as(value, longest)}")
    if value in _WINDOWS_RESERVED:
        raise wrong(f"{show(value)} is a device name on Windows and cannot be a file there; choose another name")
    return value


def _such_as(value: str, longest: int) -> str:
    """A valid name that is nearest to what somebody wrote; nothing where hardly a letter of it could stay."""
    name = as_name(value, longest)
    enough = 2 * len(name) >= min(len(value), longest) and name not in _WINDOWS_RESERVED | _LINUX_RESERVED
    return f", such as {name}" if enough else ""


_LOOKS_LIKE = dict(
    zip(
        "асеіјорԛѕхуһԁԝѵаАВСЕНІЈКМОРЅТХУҮ" + "αινορυχγΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "ıɡոսօ",
        "aceijopqsxyhdwvaabcehijkmopstxyy" + "aivopuxyabezhikmnoptyx" + "ignuo",
        strict=True,
    )
)
"""The letters of other alphabets (Cyrillic, Greek and others) that one cannot tell by sight from those on the right."""


_IN_OUR_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
"""Latin letters that are no other letter with something on it."""


def _is_disguised(char: str, text: str) -> bool:
    """Whether nobody sees that this is no letter of ours: beside letters that are, it looks like one, or like nothing."""
    beside = any(each.isascii() and each.isalpha() for each in text)
    return beside and (_bare(char) in _LOOKS_LIKE or unicodedata.category(char) == "Cf")


def _bare(char: str) -> str:
    """A letter without what stands on it."""
    return unicodedata.normalize("NFKD", char)[0]


def _disguised(value: str) -> str:
    """Which letter of a name only looks like one of ours, if there is one."""
    at, char = next(((at, char) for at, char in enumerate(value, 1) if _is_disguised(char, value)), (0, ""))
    return f": its character {at} is {unicodedata.name(char, f'U+{ord(char):04X}')}" if at else ""


def as_name(value: str, longest: int = MAX_DEVELOPER_NAME) -> str:
    """The letters and digits of a text as a name; empty where none could stay."""
    meant = "".join(_LOOKS_LIKE.get(_bare(char), char) if _is_disguised(char, value) else char for char in value[:200])
    plain = unicodedata.normalize("NFKD", meant.casefold().translate(_IN_OUR_LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).lstrip("-0123456789")[:longest].rstrip("-")


def fits(kind: TypeAdapter[str], text: str) -> bool:
    """Whether a text is what a field of that kind takes."""
    try:
        kind.validate_python(text)
    except ValidationError:
        return False
    return True


def _host_name(value: str) -> str:
    return _name(value, MAX_NAME)


def _developer_name(value: str) -> str:
    if value in _LINUX_RESERVED:
        raise wrong(f"{show(value)} cannot be an interface name on Linux; choose another name")
    return _name(value, MAX_DEVELOPER_NAME)


def _own_name(value: str) -> str:
    """A developer's name where it is given; what somebody wrote the way people write names can stand beside it."""
    try:
        return _developer_name(value)
    except PydanticCustomError as error:
        if value.isascii() and " " not in value:
            raise
        raise wrong(f"{error.message()}; the way people write it can stand in title:") from None


_NAME_PATTERN = f"^{_NAME.pattern}$"

Name = Annotated[str, Strict(), AfterValidator(_host_name), Field(json_schema_extra={"pattern": _NAME_PATTERN, "maxLength": MAX_NAME})]
"""The name of a host, site, group or environment."""

NAMED_SCHEMA: JsonDict = {"propertyNames": {"pattern": _NAME_PATTERN, "maxLength": MAX_NAME}}
"""What the JSON schema says of a mapping whose keys are such names."""

DeveloperName = Annotated[
    str, Strict(), AfterValidator(_developer_name), Field(json_schema_extra={"pattern": _NAME_PATTERN, "maxLength": MAX_DEVELOPER_NAME})
]
"""A developer's name: still a valid tunnel and file name where an output is saved under it (see MAX_DEVELOPER_NAME)."""


MeantDeveloper = Annotated[
    str, Strict(), AfterValidator(_host_name), Field(json_schema_extra={"pattern": _NAME_PATTERN, "maxLength": MAX_DEVELOPER_NAME})
]
"""The name where somebody else refers to it. A longer one is a device's, or nobody's: the checks say which."""


OwnName = Annotated[
    str, Strict(), AfterValidator(_own_name), Field(json_schema_extra={"pattern": _NAME_PATTERN, "maxLength": MAX_DEVELOPER_NAME})
]
"""The same where a developer is introduced."""

_JOINERS = "\u200c\u200d"
"""Invisible, and part of how some languages and emoji are written."""


_KINDS = {
    "Cc": "the control character",
    "Cf": "the invisible character",
    "Cn": "a character that not every machine knows,",
    "Co": "a character of some machines' own,",
    "Cs": "half a character,",
}
"""What a title may not hold, by Unicode's category."""


def _title(value: str) -> str:
    if len(value) > MAX_TITLE:
        raise wrong(f"has {len(value)} characters; at most {MAX_TITLE} fit into a table; shorten it")
    if not value.strip(f" {_JOINERS}") or value.isspace():
        raise wrong("is empty; write what people call this person, or leave it out")
    hidden = next((char for char in value if unicodedata.category(char)[0] == "C" and char not in _JOINERS), None)
    if hidden is not None or len(value.splitlines()) > 1:
        what = "a line break" if hidden is None or hidden in "\r\n" else f"{_KINDS[unicodedata.category(hidden)]} U+{ord(hidden):04X}"
        raise wrong(f"holds {what}, and a title is one line of text; take it out")
    return value


Title = Annotated[str, Strict(), AfterValidator(_title), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_TITLE})]
"""Free text about a person, for people: never a part of a name, a file's name, or what reaches a host."""


_LONGEST_SSID = 32


def _ssid(value: str) -> str:
    size = len(value.encode(errors="replace"))
    if not 1 <= size <= _LONGEST_SSID:
        raise wrong(f"has {size} bytes, and the name of a Wi-Fi has 1 to {_LONGEST_SSID}; write it as devices show it")
    if any(unicodedata.category(char)[0] == "C" for char in value):
        raise wrong("holds a character that nobody sees; write the name of the Wi-Fi as devices show it")
    return value


Ssid = Annotated[str, Strict(), AfterValidator(_ssid), Field(json_schema_extra={"minLength": 1, "maxLength": _LONGEST_SSID})]
"""The name of a wireless network."""


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


def _as_looked_up(value: str) -> tuple[str, str] | None:
    """What keeps a text from being the name of a host, and the nearest that is none the less; None where it is no name at all."""
    if "_" in value and is_host_name(value.replace("_", "-")):
        return "has a '_', which no name of a host has", value.replace("_", "-")
    labels = unicodedata.normalize("NFC", value.lower()).split(".")
    name = ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)
    return ("is looked up in ASCII letters", name) if not value.isascii() and is_host_name(name) else None


def _nearest_name(text: str, name: str, rest: str = "", instead: str = "") -> str | None:
    """The sentence for a text whose name nobody can look up as it stands. `rest` is written behind the name; `instead` does without."""
    found = _as_looked_up(name)
    if found is None:
        return None
    perhaps = f", if it has that name too{instead}" if "_" in name else ""
    return f"{show(text)} {found[0]}; write {found[1]}{rest}{perhaps}"


_OR_ADDRESS = ", or its address"


def is_address(value: str, version: Version | None = None) -> bool:
    """Whether this is an IP address in its usual notation."""
    return _parse_address(value, version) is not None


def _ssh_host(value: str) -> str:
    if not is_address(value) and not is_host_name(value):
        tidy = _tidied_for(_ssh_host, value)
        entry = None if tidy is not None else machine(value)
        plain = f"{show(value)} is neither an IP address nor a host name; write {tidy or entry or 'it without user, port and brackets'}"
        if _parse_address(value.partition("%")[0], 6) is not None:
            plain = f"{show(value)} names an interface, which only this machine has; write another address of the host, or its name"
        raise wrong(_nearest_name(value, value, instead=_OR_ADDRESS) or plain)
    return value


SshHost = Annotated[str, Strict(), AfterValidator(_ssh_host)]

_MACHINE = re.compile(r"(?:ssh://)?(?:(?P<user>[^@:/\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:/\s]+)(?::(?P<port>[0-9]{1,5}))?/?")


def _way(value: object) -> object:
    """The name of the machine on the way. Whoever writes the machine itself is told where that belongs."""
    if isinstance(value, dict):
        raise wrong("is a mapping, and via is a name; write it under jumps, at the top, as bastion: {...}, and via: bastion here")
    if isinstance(value, list) or (isinstance(value, str) and "," in value):
        raise wrong(f"{show(value)} names several machines, and a connection goes through one at most; name a jump that reaches the host")
    entry = machine(value) if isinstance(value, str) and not _NAME.fullmatch(value) else None
    if entry is not None:
        where = f"write it under jumps, at the top, as bastion: {entry}, and via: bastion here"
        raise wrong(f"{show(value)} is a machine, and via is the name of one; {where}. For the hub write via: hub")
    return value


def machine(text: str) -> str | None:
    """A machine as somebody would type it for ssh, in the way in which it stands in the file."""
    if is_address(text, 6):
        return f'{{host: "{text}"}}'
    found = _MACHINE.fullmatch(text)
    if found is None:
        return None
    host, parts = found["host"].strip("[]"), {key: found[key] for key in ("port", "user") if found[key] is not None}
    if not (is_address(host) or is_host_name(host)) or not (parts or "." in host or ":" in host):
        return None
    written = [f'host: "{host}"' if ":" in host else f"host: {host}", *(f"{key}: {part}" for key, part in parts.items())]
    return f"{{{', '.join(written)}}}"


Way = Annotated[
    str,
    Strict(),
    BeforeValidator(_way),
    AfterValidator(_host_name),
    Field(json_schema_extra={"pattern": _NAME_PATTERN, "maxLength": MAX_NAME}),
]
"""The name of a machine that the operator goes through."""


def _domain(value: str) -> str:
    above = value.lstrip("~*.")
    if above != value and is_host_name(above):
        raise wrong(f"{show(value)} is no domain name; write {above}, which stands for all names in it")
    several = [part.strip() for part in value.split(",")]
    if len(several) > 1 and all(map(is_host_name, several)):
        raise wrong(f"{show(value)} is no domain name; write an entry for each: [{', '.join(several)}]")
    if not is_host_name(value):
        raise wrong(_nearest_name(value, value) or f"{show(value)} is no domain name; write it like office.example")
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


_AROUND = " \t\u00a0\u3000\"'`“”„‟‘’‚«»,;"
"""What other programs, and hands, leave around a value."""


def _tidied(text: str) -> str:
    """An address, a prefix or an endpoint without what does not belong to it: spaces, quotes, a scheme, zeros in front."""
    bare = re.sub(r"^[A-Za-z]+://", "", "".join(text.split()).strip(_AROUND)).rstrip("/")
    return bare if ":" in bare.partition(":")[2] else re.sub(r"(?<![0-9])0+(?=[0-9])", "", bare)


def _tidied_for(parse: Callable[[str], object], text: str) -> str | None:
    """What to write for a text that would do without that; None where it is in order, or would not."""
    tidy = _tidied(text)
    try:
        return tidy if tidy != text and parse(tidy) is not None else None
    except PydanticCustomError:
        return None


def _address(value: object, version: Version, example: str, instead: str = "") -> IPAddress:
    if isinstance(value, IPAddress) and value.version == version:
        return value
    text = text_of(value, example)
    address = _parse_address(text, version)
    if address is None:
        if "/" in text and _parse_address(text.partition("/")[0], version) is not None:
            raise wrong(f"{show(text)} is an address with a prefix length; write {text.partition('/')[0]} alone")
        if instead and _parse_address(text, 6) is not None:
            raise wrong(f"{show(text)} is an IPv6 address{instead}")
        tidy = _tidied_for(lambda tidied: _address(tidied, version, example), text)
        raise wrong(f"{show(text)} is no IPv{version} address; write {tidy or f'it like {example}'}")
    return address


def _network(value: object, version: Version, example: str, instead: str = "", *, single: bool = False) -> IPNetwork:
    if isinstance(value, IPNetwork) and value.version == version:
        return value
    text = text_of(value, example)
    base, slash, length = text.partition("/")
    address, width = _parse_address(base, version), 32 if version == 4 else 128
    if address is not None and not slash and single:
        return IPNetwork((int(address), width), version=version)
    if instead and _parse_address(base, 6) is not None:
        raise wrong(f"{show(text)} is IPv6{instead}")
    if address is not None and not slash:
        raise wrong(f"{show(text)} is no IPv{version} prefix without its length; {_with_length(address, width)}")
    if address is not None and (mask := _parse_address(length, 4)) is not None and mask.is_netmask() and version == 4:
        meant = IPNetwork((int(address), mask.netmask_bits()), version=4).cidr
        raise wrong(f"{show(text)} has a netmask for its length; write {meant}")
    if address is None or not (length.isascii() and length.isdigit()) or len(length) > 3 or int(length) > width:
        tidy = _tidied_for(lambda tidied: _network(tidied, version, example, single=single), text)
        raise wrong(f"{show(text)} is {_no_prefix(text, version)}; write {tidy or _in_prefixes(text) or f'it like {example}'}")
    network = IPNetwork((int(address), int(length)), version=version)
    if network.ip != network.network:
        raise wrong(f"{text} has host bits set; the prefix it lies in is {network.cidr}")
    return network.cidr


def _no_prefix(text: str, version: Version) -> str:
    """What a text is that is no prefix."""
    if is_address(text.partition(":")[0], 4):
        return "an address with a port, and ports stand in ports"
    return f"{'a name, and ' if re.search('[A-Za-z]', text) and '.' in text and is_host_name(text) else ''}no IPv{version} prefix"


_RANGE = re.compile(r"(?P<first>[0-9.]+) ?[-–] ?(?P<last>[0-9.]+)", re.ASCII)
_MASKED = re.compile(r"(?P<address>[0-9.]+)[ \\]+(?P<mask>[0-9.]+)", re.ASCII)
_MOST = 6
"""Prefixes that one still writes in place of a range."""


def _in_prefixes(text: str) -> str | None:
    """IPv4 addresses in the notations of others: 192.168.1.*, 192.168.1.5-9, 192.168.1.0 255.255.255.0, an address with a port."""
    if re.fullmatch(r"([0-9]+\.){1,3}[*x]", text):
        fixed = text.rstrip("*x").rstrip(".").split(".")
        return f"{'.'.join([*fixed, '0', '0', '0'][:4])}/{8 * len(fixed)}"
    if (found := _MASKED.fullmatch(text)) is not None:
        return _tidied_for(lambda each: _network(each, 4, ""), f" {found['address']}/{_bits(found['mask'])}")
    if is_address(alone := text.partition(":")[0], 4):
        return alone
    found = _RANGE.fullmatch(text)
    return None if found is None else _of_a_range(found["first"], found["last"])


def _bits(mask: str) -> str:
    address = _parse_address(mask, 4)
    return str(address.netmask_bits()) if address is not None and address.is_netmask() else mask


def _of_a_range(first: str, last: str) -> str | None:
    """The prefixes of a range, whose end may be the last number alone."""
    whole = last if "." in last else f"{first.rpartition('.')[0]}.{last}"
    start, end = _parse_address(first, 4), _parse_address(whole, 4)
    prefixes = iprange_to_cidrs(start, end) if start is not None and end is not None and start <= end else []
    return ", ".join(str(each.ip) if each.size == 1 else str(each) for each in prefixes) if 0 < len(prefixes) <= _MOST else None


def _with_length(address: IPAddress, width: int) -> str:
    around = IPNetwork((int(address), 24 if width == 32 else 64), version=address.version).cidr
    single = f"{address}/{width} for this one machine, or its network, like " if address != around.network else ""
    return f"write it like {single}{around}"


_VPN_IS_BOTH = "; write the IPv4 one here, and this one as {}"


def _as_ipv4(value: object) -> IPAddress:
    if isinstance(value, list | tuple):
        raise wrong("is a list, and each peer has one address; a person's machines are devices: [{name: laptop, address: ...}, ...]")
    return _address(value, 4, "10.70.0.4", _VPN_IS_BOTH.format("address6"))


def _as_lan_address(value: object) -> IPAddress:
    if isinstance(value, str) and value.lower() in ("dhcp", "auto", "dynamic"):
        raise wrong(f"{show(value)} is no address; write a fixed one, which its DHCP server reserves for it: routes lead there")
    return _address(value, _version_of(value), "192.168.200.248")


def _version_of(value: object) -> Version:
    """What the value looks like: whoever writes a colon means IPv6."""
    return 6 if ":" in str(value) else 4


def _as_via(value: object) -> IPAddress | Literal["internet"]:
    if value == "internet":
        return "internet"
    if isinstance(value, str) and value.strip().lower() == "internet":
        raise wrong(f"{show(value)} is not known here; use internet")
    if isinstance(value, str) and _parse_address(value.partition("/")[0]) is None:
        raise wrong(f"{show(value)} is neither a router's address in a LAN of the site nor internet; write it like 192.168.200.1")
    return _as_lan_address(value)


def _as_ipv6(value: object) -> IPAddress:
    return _address(value, 6, "fd70::4")


def _as_prefix4(value: object) -> IPNetwork:
    return _network(value, 4, "10.70.0.0/16", _VPN_IS_BOTH.format("cidr6"))


def _as_home(value: object) -> IPNetwork:
    return _network(value, 4, "192.168.1.0/24", "; write the home network's IPv4 prefix, or leave it out")


def _as_lan(value: object) -> IPNetwork:
    several = _several(value)
    if several:
        raise wrong(f"is a list, and cidr is one prefix; write {_as_lans(several)}")
    return _network(value, _version_of(value), "192.168.200.0/24")


def with_the_length_of(cidr: IPNetwork, value: object) -> object:
    """What takes a network's place and is no prefix as it stands: the fault has the length that it must have, too."""
    base, slash, length = value.partition("/") if isinstance(value, str) else ("", "", "")
    address = _parse_address(base, cidr.version)
    if address is None or (slash and not (length.isascii() and length.isdigit())) or length == str(cidr.prefixlen):
        return value
    meant = IPNetwork((int(address), cidr.prefixlen), version=cidr.version).cidr
    if not slash:
        raise wrong(f"{show(value)} is no IPv{cidr.version} prefix without its length; write {meant}, as long as {cidr}")
    if len(length) <= len("128") and int(length) <= (32 if cidr.version == 4 else 128):
        written = IPNetwork((int(address), int(length)), version=cidr.version)
        if written.ip != written.network:
            raise wrong(f"{value} has host bits set, and another length than {cidr}; write {meant}")
    return value


def _several(value: object) -> list[object]:
    """The entries of what was written as a list of prefixes."""
    if isinstance(value, list | tuple):
        return list(value)
    return list(value.replace(",", " ").split()) if isinstance(value, str) and "," in value else []


def _as_lans(prefixes: Iterable[object]) -> str:
    """How several LANs are written."""
    entries = [f"{{cidr: {show(prefix, quoted=False)}, address: ...}}" for prefix in prefixes]
    return f"lans: [{', '.join(entries[:3])}] (via: ROUTER in place of address where the gateway does not stand in it)"


def _as_prefix6(value: object) -> IPNetwork:
    return _network(value, 6, "fd70::/64")


def _as_hosts(value: object) -> IPNetwork:
    return _network(value, _version_of(value), "192.168.200.244 or 192.168.200.240/28", single=True)


def _as_any_address(value: object) -> IPAddress:
    if isinstance(value, IPAddress):
        return value
    text = text_of(value, "192.168.200.53")
    address = _parse_address(text)
    if address is None:
        alone, _, port = text.partition(":")
        if port.isdigit() and is_address(alone, 4):
            raise wrong(f"{show(text)} is an address with a port; write {alone} alone")
        tidy = _tidied_for(_as_any_address, text)
        raise wrong(f"{show(text)} is no IP address; write {tidy or 'it like 192.168.200.53'}")
    return address


_TO_TEXT = PlainSerializer(str, return_type=str)

IPv4Address = Annotated[IPAddress, PlainValidator(_as_ipv4), _TO_TEXT, WithJsonSchema({"type": "string", "format": "ipv4"})]
IPv6Address = Annotated[IPAddress, PlainValidator(_as_ipv6), _TO_TEXT, WithJsonSchema({"type": "string", "format": "ipv6"})]
AnyAddress = Annotated[IPAddress, PlainValidator(_as_any_address), _TO_TEXT, WithJsonSchema({"type": "string"})]
LanAddress = Annotated[IPAddress, PlainValidator(_as_lan_address), _TO_TEXT, WithJsonSchema({"type": "string"})]
Via = Annotated[IPAddress | Literal["internet"], PlainValidator(_as_via), _TO_TEXT, WithJsonSchema({"type": "string"})]
_PREFIX4_SCHEMA = WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+/[0-9]{1,2}$"})
_PREFIX_SCHEMA = WithJsonSchema({"type": "string", "pattern": r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"})
IPv4Prefix = Annotated[IPNetwork, PlainValidator(_as_prefix4), _TO_TEXT, _PREFIX4_SCHEMA]
HomePrefix = Annotated[IPNetwork, PlainValidator(_as_home), _TO_TEXT, _PREFIX4_SCHEMA]
LanPrefix = Annotated[IPNetwork, PlainValidator(_as_lan), _TO_TEXT, _PREFIX_SCHEMA]
IPv6Prefix = Annotated[IPNetwork, PlainValidator(_as_prefix6), _TO_TEXT, _PREFIX_SCHEMA]
HostOrPrefix = Annotated[
    IPNetwork, PlainValidator(_as_hosts), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"})
]

# --- endpoint --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the hub is dialled: at an address, or at a name, which is written as it stands and looked up by whoever dials."""

    host: IPAddress | str
    port: int

    @property
    def address(self) -> IPAddress | None:
        """The address; None where it is a name, and nobody has looked that up."""
        return self.host if isinstance(self.host, IPAddress) else None

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.address is not None and self.address.version == 6 else str(self.host)
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, value: object) -> "Endpoint":
        """From `203.0.113.10:51820`, `vpn.example.org:51820` or `[2001:db8::1]:51820`."""
        if isinstance(value, cls):
            return value
        example = '203.0.113.10:51820, vpn.example.org:51820 or "[2001:db8::1]:51820"'
        if isinstance(value, list | tuple):
            raise wrong("is a list, and everybody dials one endpoint; write one, or a name that has the IPv4 and the IPv6 address")
        text = text_of(value, example)
        host, _, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        address = _parse_address(host[1:-1], 6) if bracketed else _parse_address(host, 4)
        name = host if is_host_name(host) else None
        if name is not None and "." not in name.removesuffix("."):
            raise wrong(f"{show(text)} has a name that others cannot look up; write it in full, like vpn.example.org:51820, or an address")
        if (address is None and name is None) or not (port.isascii() and port.isdigit()) or len(port) > 5:
            raise wrong(_no_endpoint(text, example))
        if not 1 <= int(port) <= 65535:
            raise wrong(f"port {port} does not exist; use 1 to 65535, such as 51820")
        return cls(address if address is not None else str(name), int(port))


def _no_endpoint(text: str, example: str) -> str:
    if _parse_address(text, 6) is not None:
        return f'{show(text)} has no port; write it like "[{text}]:51820"'
    if _parse_address(text, 4) is not None or (is_host_name(text) and "." in text):
        return f"{show(text)} has no port; write it like {text}:51820"
    if (tidy := _tidied_for(Endpoint.parse, text)) is not None:
        return f"{show(text)} is no endpoint; write {tidy}"
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "51820")
    return _nearest_name(text, host, f":{port}", _OR_ADDRESS) or f"{show(text)} is no endpoint; write it like {example}"


def _own_endpoint(value: object) -> Endpoint:
    """Of a machine that sends to a program on itself."""
    if isinstance(value, str) and value.lower().startswith("localhost"):
        raise wrong(f"{show(value)} may mean ::1 as well as 127.0.0.1; write the address, such as 127.0.0.1:51820")
    return Endpoint.parse(value)


_ENDPOINT_PATTERN = r"^(\[.+\]|[0-9.]+|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\.?):[0-9]{1,5}$"

EndpointText = Annotated[
    Endpoint, PlainValidator(Endpoint.parse), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": _ENDPOINT_PATTERN})
]

OwnEndpoint = Annotated[Endpoint, PlainValidator(_own_endpoint), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": _ENDPOINT_PATTERN})]

# --- moments ---------------------------------------------------------------------------------------------------------------------------

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[Tt ]+(\d\d:\d\d(?::\d\d)?) *(.*))?", re.ASCII)
_ZONE = re.compile(r"[Zz]|UTC|[+-]\d\d:\d\d", re.ASCII)
_DATE_EXAMPLE = "2027-01-31 (the end of that day in UTC) or 2027-01-31T18:00+08:00"
_LATEST_YEAR = 2200
"""Hosts count in nanoseconds, of which 64 bits hold no more than to the year 2262."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A moment, in seconds since 1970 as the hosts have it: the same wherever it is read."""

    epoch: int

    def __str__(self) -> str:
        """In UTC. The end of a day is shown as that, and not as the beginning of the next."""
        at = datetime.fromtimestamp(self.epoch, UTC)
        if (at.hour, at.minute, at.second) == (0, 0, 0):
            return f"{at - timedelta(days=1):%Y-%m-%d} 24:00 UTC"
        return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at.second else f"{at:%Y-%m-%d %H:%M} UTC"

    @property
    def calendar(self) -> str:
        """As systemd has it."""
        return f"{datetime.fromtimestamp(self.epoch, UTC):%Y-%m-%d %H:%M:%S} UTC"

    @classmethod
    def parse(cls, value: object) -> "Moment":
        """From `2027-01-31`, the end of that day in UTC, or from a time with its zone."""
        if isinstance(value, cls):
            return value
        text = str(value) if isinstance(value, int) and len(str(value)) == _DIGITS_OF_A_DATE else text_of(value, _DATE_EXAMPLE)
        found = _DATE.fullmatch(text)
        if found is None:
            raise wrong(f"{show(text)} is no date; {_nearest_date(text)}")
        day, time, zone = found.groups()
        if time is not None and not _ZONE.fullmatch(zone):
            missing = "no time zone" if not zone else f"{show(zone)} for its time zone, which hosts do not know"
            raise wrong(f"{show(text)} has {missing}; {_nearest_zone(f'{day}T{time}', zone)}")
        try:
            return cls(_epoch(day, time, zone))
        except (ValueError, OverflowError):
            raise wrong(f"{show(text)} {_no_moment(day, time, zone)}; write it like {_DATE_EXAMPLE}") from None


_DIGITS_OF_A_DATE = 8
_YEAR_FIRST = re.compile(r"(\d{4})[-/. 年]?(\d{1,2})[-/. 月]?(\d{1,2})日?", re.ASCII)
_DAY_FIRST = re.compile(r"(?P<day>\d{1,2})\. ?(?P<month>\d{1,2})\. ?(?P<year>\d{4})", re.ASCII)
"""Dates whose order is beyond doubt, as people write them; 02/03/2027 is two days."""


def _nearest_date(text: str) -> str:
    """What to write for a text that is no date here."""
    if text.strip().lower() in ("never", "none", "unlimited", "forever", "infinity", "always"):
        return "leave it out, and it never ends"
    year_first, day_first = _YEAR_FIRST.fullmatch(text.strip()), _DAY_FIRST.fullmatch(text.strip())
    parts = year_first.groups() if year_first else day_first.group("year", "month", "day") if day_first else ()
    numbers = [int(part) for part in parts]
    if not numbers or numbers[0] < 1:
        return f"write it like {_DATE_EXAMPLE}"
    missing = _not_in_the_calendar(*numbers)
    return f"{missing}: write it like {_DATE_EXAMPLE}" if missing else f"write {date(*numbers)}, which is the end of that day in UTC"


def _not_in_the_calendar(year: int, month: int, day: int) -> str | None:
    """Which part of a date there is not."""
    if not 1 <= month <= _MONTHS:
        return f"a year has no month {month}"
    days = monthrange(year, month)[1]
    return None if 1 <= day <= days else f"{month_name[month]} {year} has {days} days"


_MONTHS = 12


def _no_moment(day: str, time: str | None, zone: str | None) -> str:
    """What is wrong with a moment that has the right form: there is no such day, hour or zone, or it is too far away."""
    year, month, number = map(int, day.split("-"))
    missing = _not_in_the_calendar(year, month, number) if year >= 1 else None
    if missing is not None:
        return f"is no day: {missing}"
    hour, *rest = map(int, (time or "00:00").split(":"))
    if time != "24:00" and (hour > _LAST_HOUR or max(rest) > _LAST_MINUTE):
        return "is no time: a day ends with 23:59, or with 24:00"
    if zone is not None and zone[0] in "+-" and (zone[1:] > _WIDEST_ZONE or int(zone[-2:]) > _LAST_MINUTE):
        return f"has no time zone that there is: they reach from -12:00 to +{_WIDEST_ZONE}"
    return f"is no moment from 1971 to {_LATEST_YEAR - 1}"


_LAST_HOUR, _LAST_MINUTE = 23, 59
_WIDEST_ZONE = "14:00"


def _nearest_zone(moment: str, zone: str) -> str:
    """What to write for a time whose zone hosts do not know: an offset without its colon or minutes means one thing alone."""
    offset = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?", zone, re.ASCII)
    if offset is not None:
        sign, hours, minutes = offset.groups()
        return f"write {moment}{sign}{int(hours):02}:{minutes or '00'}"
    return f"write {moment}Z for UTC, another zone like {moment}+08:00, or the date alone"


def _epoch(day: str, time: str | None, zone: str | None) -> int:
    offset = zone if zone is not None and zone[0] in "+-" else "Z"
    if time in (None, "24:00"):
        at = datetime.fromisoformat(f"{day}T00:00{offset}") + timedelta(days=1)
    else:
        at = datetime.fromisoformat(f"{day}T{time}{offset}")
    if not 1970 < at.year < _LATEST_YEAR:
        raise ValueError(day)
    return int(at.timestamp())


_UNTIL_PATTERN = r"^\d{4}-\d\d-\d\d([Tt ] *\d\d:\d\d(:\d\d)? *([Zz]|UTC|[+-]\d\d:\d\d))?$"

Until = Annotated[Moment, PlainValidator(Moment.parse), _TO_TEXT, WithJsonSchema({"type": "string", "pattern": _UNTIL_PATTERN})]
"""When something ends."""


def earliest(*ends: Moment | None) -> Moment | None:
    """Of several ends the one that comes first; None where there is none."""
    return min((end for end in ends if end is not None), default=None)


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
    if rest.strip().startswith(f"{ED25519} "):
        raise wrong(f"begins with {show(kind)}; write it from '{ED25519}' on, without the host")
    if kind.startswith("SHA256:"):
        raise wrong(
            f"is a fingerprint, and the key itself is pinned; write it like '{ED25519} AAAA...', from `ssh-keyscan -t ed25519 HOST`"
        )
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
Whole = Annotated[int, _Within(1, 1_000_000)]
Percent = Annotated[int, _Within(1, 100, " percent; with 100 it refuses nothing")]
RollbackAfter = Annotated[int, _Within(30, 3600, " seconds (a new connection may take 15, and must not come after the roll-back)")]
Flag = Annotated[bool, Strict()]


def _single_bit(value: int) -> int:
    if value.bit_count() != 1:
        raise wrong(f"{value:#x} is not a single bit: a packet mark is shared with others, so ours has one bit, such as 0x40000000")
    return value


Mark = Annotated[int, _Within(1, 0x80000000), AfterValidator(_single_bit)]
