"""From an environment file to the model, or to all of its faults at once. The only part of the core that reads files; it dials nobody.

Two kinds of faults are found together: what one value gets wrong (the model) and what several do (checks.py). For the
second, the part of the file that could be read is salvaged, and findings about the rest are kept back until that is right.
"""

import difflib
import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar, cast

from netaddr import AddrFormatError, IPAddress, IPNetwork
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from wg_office.environment.document import Document, parse
from wg_office.environment.faults import Fault, Faults, Path, Unreadable, dotted
from wg_office.environment.fields import flow, is_address, machine, show
from wg_office.environment.grants import EVERY_SITE, GRANT_KINDS, IN_A_SITE, HostGrant, Record, with_protocol
from wg_office.environment.known_hosts import KnownHosts, keyscan
from wg_office.environment.model import Developer, Device, Dns, Environment, Gateway, Group, Hub, Lan, Link, Network, OwnDevice, Router, Ssh
from wg_office.environment.remedies import (
    BESIDE_CHOICES,
    INSTEAD_OF_JUMPS,
    NETWORKS,
    beside_the_point,
    elsewhere,
    meant_choice,
    not_said,
    squeezed,
    without_space,
)
from wg_office.reading.checks import Finding, check, every_site, free_addresses, grants, lans, on_the_way, ssh_endpoints
from wg_office.reading.conflicts import known_ranges
from wg_office.reading.expect import broken_expectations
from wg_office.reading.guards import broken_guards
from wg_office.reading.warn import warn

_Part = TypeVar("_Part", bound=Record)
_Host = TypeVar("_Host", Hub, Gateway)
_Way = TypeVar("_Way", Ssh, Ssh | None)

_TAGS = {f"<{kind}>": record for kind, record in GRANT_KINDS.items()} | {"<router>": Router}


@dataclass(frozen=True, slots=True)
class Report:
    """What reading a file brought: the environment if there is no fault, and the warnings."""

    file: str
    environment: Environment | None
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...] = ()


def load(path: FilePath, *, require_host_keys: bool = True) -> Environment:
    """The environment of a file, with the host keys of its known_hosts filled in; raises Faults.

    Without `require_host_keys`, a missing host key is no fault: enough to render what hosts would get, not to connect.
    """
    report = inspect(path, require_host_keys=require_host_keys)
    if report.environment is None:
        raise Faults(report.faults)
    return report.environment


def inspect(path: FilePath, *, require_host_keys: bool = True) -> Report:
    """The environment of a file, or its faults; raises Unreadable when there is no such text."""
    document = parse(_read(path, str(path)))
    found = _found(path, document, require_host_keys)
    placer, environment, faults = _Placer(str(path), document), found.environment, [fault for _, fault in found.wrong]
    if not faults and environment is not None:
        faults += [placer.finding(each) for each in (*broken_guards(environment), *broken_expectations(environment))]
    if faults or environment is None:
        return Report(str(path), None, Faults(faults).faults)
    return Report(
        str(path),
        _pinned(environment, found.keys),
        (),
        tuple(sorted(placer.finding(each) for each in (*warn(environment), *known_ranges(environment)))),
    )


def as_far_as_it_goes(path: FilePath) -> tuple[Environment | None, tuple[Fault, ...]]:
    """The environment of a file without the entries that have faults, and those faults; None where what is left is none.

    What it grants against its own `policy:` or `expect:` is left in it.
    """
    try:
        document = parse(_read(path, str(path)))
    except Unreadable as unreadable:
        return None, unreadable.faults
    found = _found(path, document, required=False)
    faults = Faults(fault for _, fault in found.wrong).faults
    while found.wrong:
        document.problems.clear()
        if not _leave_out(document.data, [place for place, _ in found.wrong]):
            return None, faults
        found = _found(path, document, required=False)
    return (None if found.environment is None else _pinned(found.environment, found.keys)), faults


@dataclass(frozen=True, slots=True)
class _Found:
    """What a document comes to: the environment, if each value fits its field; host keys; what is wrong, and where."""

    environment: Environment | None
    keys: Mapping[Path, str]
    wrong: list[tuple[Path, Fault]]


def _found(path: FilePath, document: Document, required: bool) -> _Found:
    placer = _Placer(str(path), document)
    wrong = [(each.path, Fault(str(path), each.line, dotted(each.path), each.message)) for each in document.problems]
    if document.data is None and wrong:
        return _Found(None, {}, wrong)
    broken = {each.path for each in document.problems}
    environment, errors = _validate(document.data)
    errors = [error for error in errors if _location(error) not in broken]
    draft = environment if environment is not None else _salvage(document.data)
    free = free_addresses(draft)
    wrong += [(place, placer.fault(place, message)) for place, message in _sentences(errors, free, draft)]
    broken |= {_whole_grant(_location(error)) for error in errors}
    broken |= {place for path in broken for place in _also_unknown(path)}
    # What a grant or a link names, nobody knows where the names could not be read.
    broken |= {(*path, kind) for path, _, _ in grants(draft) for kind, lists in _NAMES_OF_GRANTS.items() if broken & lists}
    broken |= {("links", number, end) for number, _ in enumerate(draft.links) for end in _ENDS if ("gateways",) in broken}
    # Nor which site the hub's own networks are, where those could not be read and nothing says it.
    broken |= {(*path, "site") for path, _, _ in grants(draft) if ("hub", "site") in broken and getattr(draft.hub, "site", None) is None}
    # Whom a `via:` may name, nobody knows where the machines on the way could not be read.
    broken |= {(*path, "via") for path, _ in ssh_endpoints(draft) if broken & _NAMES_OF_JUMPS}
    keys, key_findings = _host_keys(draft, path, required)
    wrong += [(each.path, placer.finding(each)) for each in (*check(draft, free), *key_findings) if not _concerns(each.path, broken)]
    return _Found(environment, keys, wrong)


_NAMES_OF_GRANTS: dict[str, set[Path]] = {
    "group": {("groups",)},
    "developer": {("developers",)},
    "site": {("gateways",)},
    "host": {("gateways",)},
}
"""Where the names are lost to which grants refer, by the field of a grant: in a mapping or a list that is none."""

_NAMES_OF_JUMPS: set[Path] = {("jumps",), *(("jumps", field) for field in Ssh.model_fields), *((name,) for name in INSTEAD_OF_JUMPS)}
"""Where the names of the machines on the way are lost: no mapping, one machine in place of names, or another word for it."""


def _leave_out(data: Any, places: Iterable[Path]) -> bool:
    """Take the entries at these places out of raw data: the innermost list's, or the field; False where one is not to be had without."""
    cuts = {_entry(place) for place in places}
    # From the last to the first, so that those before it keep their places.
    return isinstance(data, dict) and all([_take(data, each) for each in sorted(cuts, reverse=True)])


def _entry(place: Path) -> Path:
    numbers = [at for at, part in enumerate(place) if isinstance(part, int)]
    return place[: numbers[-1] + 1] if numbers else place


def _take(data: Any, place: Path) -> bool:
    for part in place[:-1]:
        data = data[part] if _is_there(data, part) else None
    if not place or not _is_there(data, place[-1]):
        return False
    del data[place[-1]]
    return True


def _is_there(data: Any, part: str | int) -> bool:
    return (isinstance(data, list) and isinstance(part, int) and part < len(data)) or (isinstance(data, dict) and part in data)


def placed(path: FilePath, findings: Iterable[Finding]) -> tuple[Fault, ...]:
    """Findings of others about a file that can be read, with their lines. Without any it is not read once more."""
    found = tuple(findings)
    if not found:
        return ()
    placer = _Placer(str(path), parse(_read(path, str(path))))
    return tuple(sorted(placer.finding(each) for each in found))


def _read(path: FilePath, shown: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable([Fault(shown, 0, "", f"is not UTF-8 text (byte {error.start}); save it as UTF-8")]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreadable([Fault(shown, 0, "", f"cannot be read: {reason}; name an environment file, such as configs/dev.yaml")]) from None


class _Placer:
    """Puts file and line to a path."""

    def __init__(self, file: str, document: Document) -> None:
        self._file, self._document = file, document

    def fault(self, path: Path, message: str) -> Fault:
        return Fault(self._file, self._document.line(path), dotted(self._document.trimmed(path)), message)

    def finding(self, finding: Finding) -> Fault:
        other = self._document.line(finding.see) if finding.see is not None else 0
        line = f" (line {other})" if other not in (0, self._document.line(finding.path)) else ""
        return self.fault(finding.path, f"{finding.message}{line}; {finding.remedy}")


def _concerns(path: Path, broken: set[Path]) -> bool:
    """Whether a finding is about a part of the file that could not be read."""
    return any(path[: len(each)] == each or each[: len(path)] == path for each in broken)


# --- what one value gets wrong -----------------------------------------------------------------------------------------------------------


def _validate(data: Any) -> tuple[Environment | None, list[ErrorDetails]]:
    try:
        return Environment.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _location(error: ErrorDetails) -> Path:
    """The error's path as the file has it: without the tags of grants and routers, and pydantic's mark of a mapping's key."""
    path = error["loc"]
    if path[:1] in (("groups",), ("jumps",)) and path[2:] == ("[key]",):
        return path[:2]
    return tuple(part for at, part in enumerate(path) if not (part in _TAGS and {"access", "router"} & set(path[max(0, at - 2) : at])))


def _whole_grant(path: Path) -> Path:
    """A grant with a fault in it is salvaged as a whole or not at all."""
    return path[: path.index("access") + 2] if "access" in path else path


def _also_unknown(path: Path) -> Iterator[Path]:
    """Where a site's networks could not be read in the way in which they are written: that no other way is there says nothing more."""
    host = path[:1] if path[:1] == ("hub",) else path[:2]
    field = path[len(host)] if len(path) > len(host) else None
    if field == "lans" or (field in ("lan", *NETWORKS) and len(path) == len(host) + 1) or path[-1:] == ("as",):
        yield (*host, "lan")
        yield from [("hub", "site")] if host == ("hub",) else []


def _sentences(errors: list[ErrorDetails], free: Iterator[IPAddress], draft: Environment) -> Iterator[tuple[Path, str]]:
    places = [_location(error) for error in errors]
    covered = {*beside_the_point(places), *_in_other_letters(errors, places)}
    emptied = [place for error, place in zip(errors, places, strict=True) if error["type"] in _OF_PARTS and error["input"] is None]
    for error, place in zip(errors, places, strict=True):
        inner_fault = any(other[: len(place)] == place and len(other) > len(place) for other in places)
        if error["type"] == "extra_forbidden" and (above := _indented_below(place, emptied)) is not None:
            yield place, f"stands beside {above}, which is empty; indent it, to stand below {above}:"
        elif not (error["type"] == "too_short" and inner_fault) and not (error["type"] == "missing" and place in covered):
            yield place, _sentence(error, free, draft)


def _in_other_letters(errors: Iterable[ErrorDetails], places: Iterable[Path]) -> Iterator[Path]:
    """The fields that are there by a name in other letters, such as Endpoint: that they are missing says nothing more."""
    for error, place in zip(errors, places, strict=True):
        record = _record_at(error["loc"][:-1]) if error["type"] == "extra_forbidden" else None
        yield from ((*place[:-1], each) for each in (_fields(record) if record else ()) if squeezed(each) == squeezed(str(place[-1])))


def _indented_below(place: Path, emptied: Iterable[Path]) -> str | None:
    """The field to whose mapping one belongs that stands beside it, for want of spaces before it."""
    beside = (each for each in emptied if each[:-1] == place[:-1])
    return next((str(each[-1]) for each in beside if (record := _record_at(each)) is not None and place[-1] in _fields(record)), None)


def _sentence(error: ErrorDetails, free: Iterator[IPAddress], draft: Environment) -> str:
    value = error["input"]
    if error["type"] == EVERY_SITE:
        return f"{error['msg']}{every_site(draft)}"
    if error["type"] == IN_A_SITE:
        return _in_a_site(error, draft) or error["msg"]
    match error["type"]:
        case "wrong":
            return error["msg"]
        case "missing":
            return _missing(error["loc"], free)
        case "extra_forbidden":
            return _unknown(error["loc"])
        case "literal_error":
            return f"{show(value)} is not known here; use {_expected(error, value)}"
        case "too_short" | "string_too_short":
            return "is empty, which could mean everything or nothing; name at least one, or leave the field out"
    wanted, remedy = _wanted(error)
    if not wanted:
        return f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    return f"must be {wanted}, not {_kind(value)}; {_in_place_of(error, wanted) or remedy}"


def _in_a_site(error: ErrorDetails, draft: Environment) -> str | None:
    """The grant that somebody meant who wrote an address, or a whole LAN, in its site's place."""
    text = str(error["ctx"]["address"])
    try:
        written = IPNetwork(text).cidr
    except (AddrFormatError, ValueError):
        return None
    for _, site, lan in lans(draft):
        if getattr(site, "site", None) is not None and any(written in prefix for prefix in (lan.cidr, lan.known_as)):
            own = site.as_here(written)
            if own == lan.cidr and len(site.networks) == 1:
                return f"{show(text)} is the LAN of site {site.site}, and a grant names the site; write {site.site}"
            shown = own.ip if own.size == 1 else own
            return f"{show(text)} is an address, and a grant names the site that it is in; write {{site: {site.site}, hosts: [{shown}]}}"
    return None


def _in_place_of(error: ErrorDetails, wanted: str) -> str:
    """The remedy for a value of another kind, where more can be said than how the right kind is written."""
    value = error["input"]
    if value is None:
        return _in_place_of_nothing(error["loc"])
    if error["type"] in _OF_PARTS:
        network = _as_a_network(value) if wanted == _MAPPING[0] and _record_at(error["loc"]) is Lan else None
        network = network or (_as_ssh(value) if error["loc"][-1:] == ("ssh",) else None)
        return network or _as_records(error) or _like_an_example(error["loc"]) or (_as_a_list(error) if wanted == _LIST[0] else "")
    if wanted == "text" and isinstance(value, int | float):
        return _refused(error["loc"], show(value)) or f"write it in quotes: '{show(value)}'"
    if wanted == _FLAG[0]:
        return f"write {_FLAGS[value.strip().lower()]}" if isinstance(value, str) and value.strip().lower() in _FLAGS else ""
    return _nearest_number(error["loc"], value) if wanted == _WHOLE[0] else ""


_FLAGS = dict.fromkeys(("true", "yes", "y", "on", "1"), "true") | dict.fromkeys(("false", "no", "n", "off", "0"), "false")
"""What people, and YAML before its version 1.2, say for the two."""

_NUMBER = re.compile(r"(?:udp/|tcp/)?(?P<number>[0-9]{1,9})(?:/udp|/tcp| ?(?:s|sec|seconds|bytes|%|percent))?", re.ASCII)
"""A number with what its field means anyway."""


_TIME = re.compile(r"(?P<number>[0-9]{1,6}) ?(?P<unit>m|h)(?:in|ins|inutes?|r|rs|ours?)?", re.ASCII)
_SECONDS = {"m": 60, "h": 3600}
_IN_SECONDS = frozenset({"rollback_after", "keepalive"})
_SIZE = re.compile(r"(?:[0-9.]+)?/(?P<length>[0-9]|[12][0-9]|3[0-2])", re.ASCII)


def _nearest_number(place: Path, value: object) -> str:
    """The number that somebody meant, or of which numbers one is possible there."""
    for number, written in _numbers(str(place[-1]), value):
        return _refused(place, number) or written
    return ""


def _numbers(field: str, value: object) -> Iterator[tuple[int, str]]:
    """What was meant, and how it is written."""
    text = value.strip().lower().replace("_", "") if isinstance(value, str) else ""
    if isinstance(value, float) and value.is_integer():
        yield int(value), f"write {int(value)}"
    if isinstance(value, str) and _is_digits(value):
        yield int(value), f"write {int(value)} without quotes"
    if (found := _NUMBER.fullmatch(text)) is not None:
        yield int(found["number"]), f"write {int(found['number'])} alone"
    if field in _IN_SECONDS and (found := _TIME.fullmatch(text)) is not None:
        seconds = int(found["number"]) * _SECONDS[found["unit"]]
        yield seconds, f"write {seconds}, in seconds"
    if field == "widest_grant" and (found := _SIZE.fullmatch(text)) is not None:
        size = 1 << (32 - int(found["length"]))
        yield size, f"write {size}, the number of addresses in a /{found['length']}"


def _refused(place: Path, value: str | int) -> str:
    """What would be right, where the field does not take this either."""
    record = _record_at(place[:-1])
    if record is None or str(place[-1]) not in _fields(record):
        return ""
    try:
        _adapter(record, str(place[-1])).validate_python(value)
    except ValidationError as error:
        return error.errors()[0]["msg"].partition("; ")[2]
    return ""


def _as_ssh(value: object) -> str | None:
    """How a machine is written, for whoever wrote it as one would type it for ssh."""
    entry = machine(value) if isinstance(value, str) else None
    return f"write it as {entry}" if entry is not None else None


def _as_records(error: ErrorDetails) -> str:
    """The entries that somebody meant who wrote their names alone, or as the fields of a mapping."""
    record, value = _record_at(error["loc"]), error["input"]
    if record is not None and isinstance(value, dict) and error["type"] == "tuple_type" and _is_an_entry(record, value):
        return f"write {_one_entry(value)}"
    if record is Link:
        sites = value if isinstance(value, list) else re.findall(r"[\w-]*\w", value) if isinstance(value, str) else []
        return f"write {{from: {sites[0]}, to: {sites[1]}}}" if len(sites) == len(_ENDS) and error["type"] != "tuple_type" else ""
    if record is Dns and isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return "there is one set for all: {servers: [...], domains: [...]}, with servers that each answer for all of the domains"
    if record not in (Gateway, Developer, OwnDevice, Device) or isinstance(value, list):
        return ""
    if isinstance(value, dict) and error["type"] == "tuple_type":
        return f"write each as an entry: {', '.join(f'{{name: {name}, ...}}' for name in list(value)[:3])}"
    names = value.replace(",", " ").split() if isinstance(value, str) else []
    entries = ", ".join(f"{{name: ..., address: {name}}}" if is_address(name) else f"{{name: {name}, address: ...}}" for name in names[:3])
    return f"write {entries if error['type'] != 'tuple_type' else f'[{entries}]'}" if names else ""


_ENDS = ("from", "to")


def _is_an_entry(record: type[Record], value: dict[str, Any]) -> bool:
    """Whether a mapping in a list's place has the fields of one entry, and not entries by their names."""
    known = _fields(record).keys() & value.keys()
    return bool(known) and 2 * len(known) >= len(value)


_SHOWN = 2
"""Fields of an entry that are enough to know it by."""


def _one_entry(value: dict[str, Any]) -> str:
    """The list of one entry, as its first fields have it."""
    parts = [f"{field}: {'...' if isinstance(inner, dict | list) else flow(inner)}" for field, inner in value.items()]
    return f"[{{{', '.join([*parts[:_SHOWN], *(['...'] if len(parts) > _SHOWN else [])])}}}]"


def _as_a_list(error: ErrorDetails) -> str:
    """The list of one or several that somebody meant who wrote them as a text or a number."""
    value = str(error["input"]) if isinstance(error["input"], str | int) and not isinstance(error["input"], bool) else ""
    listed = [with_protocol(each) if error["loc"][-1] == "ports" else each for each in value.replace(",", " ").split()]
    return f"write {flow(listed)}" if listed else ""


def _in_place_of_nothing(place: Path) -> str:
    if isinstance(place[-1], int):
        return "give it a value, or take the entry away"
    field = _fields(record).get(str(place[-1])) if (record := _record_at(place[:-1])) is not None else None
    return "give it a value" if field is not None and field.is_required() else "give it a value, or leave the field out"


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 80


def _like_an_example(place: Path) -> str:
    """How something of several parts is written, with names where there are any; nothing where the field has no example."""
    place = place[:1] if place[:1] in (("groups",), ("jumps",)) else place
    field = _fields(record).get(str(place[-1])) if place and (record := _record_at(place[:-1])) is not None else None
    return f"write it like {place[-1]}: {field.examples[0]}" if field is not None and field.examples else ""


def _wanted(error: ErrorDetails) -> tuple[str, str]:
    """What pydantic wanted, and how that is written there."""
    return _WANTED.get(error["type"], ("", ""))


def _as_a_network(value: object) -> str | None:
    """How a network is written, for whoever wrote its prefix alone, or several where one stands."""
    if isinstance(value, str):
        return f"write it as {{cidr: {show(value, quoted=False)}, address: ...}} (via: ROUTER in place of address where it lies behind one)"
    return "write each network as an entry of lans, in place of lan: {cidr: ..., address: ...}" if isinstance(value, list) else None


_LIST = ("a list", "write it as [...], or begin each entry with '- '")
_MAPPING = ("a mapping", "write it as fields, 'name: value'")
_WHOLE = ("a whole number", "write digits")
_FLAG = ("true or false", "write true or false")
_WANTED = {
    "string_type": ("text", "write a text"),
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": _FLAG,
    "tuple_type": _LIST,
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
}
"""What pydantic wanted by the type of its error, and how that is written."""

_OF_PARTS = frozenset({"tuple_type", "model_type", "dict_type", "mapping_type"})


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return show(value)
    if isinstance(value, int | float):
        return f"the number {show(value)}"
    return f"the text {show(value)}" if isinstance(value, str) else show(value)


def _missing(place: Path, free: Iterator[IPAddress]) -> str:
    record, name = _record_at(place[:-1]), place[-1]
    if name == "address" and record in (Hub, Gateway, Developer, OwnDevice):
        address = next(free, None)
        return "is missing: the address in the VPN" + (
            f"; {address} is free" if address is not None else "; write a free one of network.cidr, of which a shorter prefix has more"
        )
    field = _fields(record).get(str(name)) if record is not None else None
    if field is None or not field.description:
        return "is missing"
    example = f"; write it like {name}: {field.examples[0]}" if field.examples else ""
    return f"is missing: {field.description[:1].lower()}{field.description[1:]}{example}"


def _unknown(place: Path) -> str:
    name, record = str(place[-1]), _record_at(place[:-1])
    known = sorted(_fields(record)) if record is not None else []
    field = without_space(name)
    if field is not None and field in known:
        return f"is one word to YAML; write a space behind the colon: {field}: {show(name[len(field) + 1 :], quoted=False)}"
    close = [each for each in known if squeezed(each) == squeezed(name)]
    if record is Environment and name.startswith(("x-", ".")):
        return "is not a known field; there is none for what others share: put the anchor (&NAME) where it is used first"
    if not close and (answer := not_said(record, name)) is not None:
        return answer
    close = close or difflib.get_close_matches(name, known, n=1, cutoff=_A_LETTER_OF_FIVE)
    if not close and (answer := elsewhere(name)) is not None:
        return answer
    close = close or difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"is not a known field; {remedy}"


_A_LETTER_OF_FIVE = 0.8
"""How near a field must be to another's name, to be a slip of the finger for it all the same."""


def _expected(error: ErrorDetails, value: object) -> str:
    name = str(error["loc"][-1])
    choices = [part.strip(" '") for part in str(error.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(",")]
    if (meant := meant_choice(name, value)) in choices:
        return str(meant)
    close = difflib.get_close_matches(str(value).strip().lower(), choices, n=1)
    if close and (len(choices) == 1 or close[0] == str(value).strip().lower()):
        return close[0]
    listed = choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
    return f"{listed} (did you mean {close[0]}?)" if close else f"{listed}{BESIDE_CHOICES.get(name, '')}"


def _fields(record: type[Record]) -> dict[str, FieldInfo]:
    """The fields of a record by their names in the file."""
    return {field.alias or name: field for name, field in record.model_fields.items()}


def _record_at(path: Path) -> type[Record] | None:
    """The record that a path leads to, following the model's annotations."""
    current: type[Record] | None = Environment
    name_follows = False
    for part in path:
        if isinstance(part, int) or current is None:
            continue
        if part in _TAGS:
            current = _TAGS[part]
            continue
        if name_follows:
            name_follows = False
            continue
        field = _fields(current).get(part)
        name_follows = current is Environment and part in ("groups", "jumps")
        current = _record_in(field.annotation) if field is not None else None
    return current


def _record_in(annotation: Any) -> type[Record] | None:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return annotation
    return next((found for inner in typing.get_args(annotation) if (found := _record_in(inner)) is not None), None)


# --- what can be read of a file with faults ----------------------------------------------------------------------------------------------


def _salvage(data: Any) -> Environment:
    """The environment without what is wrong in it; a part that cannot do without lacks that attribute."""
    if not isinstance(data, dict):
        data = {}
    groups, jumps = data.get("groups"), data.get("jumps")
    parts: dict[str, Any] = {
        "network": _salvage_part(Network, data.get("network")),
        "hub": _salvage_part(Hub, data.get("hub")),
        "gateways": _salvage_list(Gateway, data.get("gateways")),
        "developers": _salvage_list(Developer, data.get("developers")),
        "links": _salvage_list(Link, data.get("links")),
        "groups": {name: _salvage_part(Group, group) for name, group in groups.items()} if isinstance(groups, dict) else {},
        "jumps": {name: _salvage_part(Ssh, jump) for name, jump in jumps.items()} if isinstance(jumps, dict) else {},
    }
    if isinstance(data.get("known_hosts"), str):
        parts["known_hosts"] = data["known_hosts"]
    return Environment.model_construct(**parts)


def _salvage_list(record: type[_Part], data: Any) -> tuple[_Part, ...]:
    return tuple(_salvage_part(record, item) for item in data) if isinstance(data, list) else ()


def _salvage_part(record: type[_Part], data: Any) -> _Part:
    raw = deepcopy(data) if isinstance(data, dict) else {}
    while True:
        try:
            part: _Part = record.model_validate(raw)
            return part
        except ValidationError as error:
            if not any([_cut(record, raw, each) for each in error.errors(include_url=False)]):
                break
    # Only required fields are missing now, and the rest is known to be right.
    return cast(_Part, record.model_construct(**{key: _adapter(record, key).validate_python(value) for key, value in raw.items()}))


@cache
def _adapter(record: type[Record], key: str) -> TypeAdapter[Any]:
    field = _fields(record)[key]
    annotation: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(annotation)


_PLACEHOLDER = HostGrant.model_construct(host="")
"""Stands where a grant could not be read, so that the others keep their places; findings about it are kept back."""


def _cut(record: type[Record], raw: dict[str, Any], error: ErrorDetails) -> bool:
    """Take what is wrong out of the raw data; False when there is nothing to take out."""
    path = _location(error)
    if record is Developer and path[:1] == ("devices",) and len(path) > 1:
        # What is right about a device stays, and the others keep their places.
        device = raw["devices"][path[1]]
        raw["devices"][path[1]] = device if isinstance(device, OwnDevice) else _salvage_part(OwnDevice, device)
        return not isinstance(device, OwnDevice)
    if error["type"] == "missing":
        path = path[:-1]
    if len(path) > 1 and path[-1] == "as":
        path = path[:-1]  # without its alias, the network would be in the way of others
    if not path:
        return False
    if "access" in path and len(path) > (at := path.index("access") + 1):
        raw["access"][path[at]] = _PLACEHOLDER
        return True
    first_index = next((number for number, part in enumerate(path) if isinstance(part, int)), len(path))
    return _delete(raw, path[:first_index])


def _delete(raw: dict[str, Any], path: Path) -> bool:
    inner: Any = raw
    for part in path[:-1]:
        if not isinstance(inner, dict) or part not in inner:
            return False
        inner = inner[part]
    if not isinstance(inner, dict) or path[-1] not in inner:
        return False
    del inner[path[-1]]
    return True


# --- host keys ---------------------------------------------------------------------------------------------------------------------------


def _host_keys(environment: Environment, file: FilePath, required: bool) -> tuple[dict[Path, str], list[Finding]]:
    """The host keys that known_hosts has for hosts without one, and what is missing."""
    wanted = [(path, ssh) for path, ssh in ssh_endpoints(environment) if ssh.host_key is None]
    known: KnownHosts | None = None
    if environment.known_hosts is not None and wanted:
        try:
            known = KnownHosts(_read(file.parent / environment.known_hosts, environment.known_hosts))
        except Unreadable:
            example = keyscan(wanted[0][1], on_the_way(environment, wanted[0][1]))
            return {}, [_no_known_hosts(environment.known_hosts, file, example)] if required else []
    keys: dict[Path, str] = {}
    findings: list[Finding] = []
    for path, ssh in wanted:
        key, reason = known.find(ssh.host, ssh.port) if known is not None else (None, "")
        if key is not None:
            keys[path] = key
        elif required:
            findings.append(_no_host_key(path, ssh, environment.known_hosts, reason, on_the_way(environment, ssh)))
    return keys, findings


def _no_known_hosts(name: str, file: FilePath, example: str) -> Finding:
    path = file.parent / name
    what = "cannot be read as text" if path.exists() else "does not exist"
    remedy = f"fill it with `{example}` for each host, and compare the keys with the hosts' own"
    if name.startswith("~") or "\\" in name:
        begins = "begins with '~'" if name.startswith("~") else "is a path of one machine"
        what = f"{begins}, and it is looked for beside this file, where your colleagues have it too"
        return Finding(("known_hosts",), f"{show(name, quoted=False)} {what}", f"write office.known_hosts, say, and {remedy}")
    return Finding(("known_hosts",), f"{show(name, quoted=False)} {what}", f"{remedy} (the lab writes its own: python -m lab up)")


def _no_host_key(path: Path, ssh: Ssh, known_hosts: str | None, reason: str, through: Ssh | None) -> Finding:
    message = (
        f"is missing, and {known_hosts} {reason}" if known_hosts is not None else "is missing, so nobody could tell the host from another"
    )
    once = ", once the tunnel stands" if ssh.over_tunnel else ""
    remedy = f"take the key from `{keyscan(ssh, through)}`{once}, and compare it with the host's own"
    return Finding((*path, "host_key"), message, remedy)


def _pinned(environment: Environment, keys: Mapping[Path, str]) -> Environment:
    """The environment with these host keys filled in."""

    def pin(ssh: _Way, *path: str | int) -> _Way:
        return ssh.model_copy(update={"host_key": keys[path]}) if ssh is not None and path in keys else ssh

    def pin_host(host: _Host, *here: str | int) -> _Host:
        update: dict[str, Any] = {"ssh": pin(host.ssh, *here, "ssh")}
        if isinstance(host.router, Router) and host.router.ssh is not None:
            update["router"] = host.router.model_copy(update={"ssh": pin(host.router.ssh, *here, "router", "ssh")})
        update["devices"] = tuple(
            device.model_copy(update={"ssh": pin(device.ssh, *here, "devices", number, "ssh")})
            for number, device in enumerate(host.devices)
        )
        return host.model_copy(update=update)

    hub = pin_host(environment.hub, "hub")
    jumps = {name: pin(jump, "jumps", name) for name, jump in environment.jumps.items()}
    gateways = tuple(pin_host(gateway, "gateways", index) for index, gateway in enumerate(environment.gateways))
    return environment.model_copy(update={"hub": hub, "jumps": jumps, "gateways": gateways})
