"""From an environment file to the model, or to all of its faults at once. The only part of the core that reads files; it dials nobody.

Two kinds of faults are found together: what one value gets wrong (the model) and what several do (checks.py). For the
second, the part of the file that could be read is salvaged, and findings about the rest are kept back until that is right.
"""

import difflib
import typing
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar, cast

from netaddr import IPAddress
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from wg_office.checks import Finding, check, free_addresses, ssh_endpoints, warn
from wg_office.document import Document, parse
from wg_office.faults import Fault, Faults, Path, Unreadable, dotted
from wg_office.fields import show
from wg_office.grants import GRANT_KINDS, HostGrant, Record
from wg_office.known_hosts import KnownHosts, keyscan
from wg_office.model import Developer, Environment, Gateway, Group, Hub, Link, Network, Ssh

_Part = TypeVar("_Part", bound=Record)

_TAGS = {f"<{kind}>": record for kind, record in GRANT_KINDS.items()}

_SECRETS = frozenset({"private_key", "privatekey", "preshared_key", "presharedkey", "psk", "key", "password", "passphrase"})


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
    placer = _Placer(str(path), document)
    faults = [Fault(str(path), each.line, dotted(each.path), each.message) for each in document.problems]
    if document.data is None and faults:
        return Report(str(path), None, tuple(faults))
    broken = {each.path for each in document.problems}
    environment, errors = _validate(document.data)
    errors = [error for error in errors if _location(error) not in broken]
    draft = environment if environment is not None else _salvage(document.data)
    faults += [placer.fault(place, message) for place, message in _sentences(errors, draft)]
    broken |= {_whole_grant(_location(error)) for error in errors}
    keys, key_findings = _host_keys(draft, path, require_host_keys)
    faults += [placer.finding(each) for each in (*check(draft), *key_findings) if not _concerns(each.path, broken)]
    if faults or environment is None:
        return Report(str(path), None, Faults(faults).faults)
    return Report(str(path), _pinned(environment, keys), (), tuple(sorted(placer.finding(each) for each in warn(environment))))


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
    """The error's path as the file has it: without the tags of grants and pydantic's mark of a mapping's key."""
    path = error["loc"]
    if path[:1] == ("groups",) and path[2:] == ("[key]",):
        return path[:2]
    return tuple(part for at, part in enumerate(path) if not (at > 1 and path[at - 2] == "access" and part in _TAGS))


def _whole_grant(path: Path) -> Path:
    """A grant with a fault in it is salvaged as a whole or not at all."""
    return path[: path.index("access") + 2] if "access" in path else path


def _sentences(errors: list[ErrorDetails], draft: Environment) -> Iterator[tuple[Path, str]]:
    free = free_addresses(draft)
    places = [_location(error) for error in errors]
    for error, place in zip(errors, places, strict=True):
        inner_fault = any(other[: len(place)] == place and len(other) > len(place) for other in places)
        if not (error["type"] == "too_short" and inner_fault):
            yield place, _sentence(error, free)


def _sentence(error: ErrorDetails, free: Iterator[IPAddress]) -> str:
    value = error["input"]
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
    wanted, remedy = _WANTED.get(error["type"], ("", ""))
    if not wanted:
        return f"{error['msg'][:1].lower()}{error['msg'][1:]}"
    if value is None:
        remedy = "give it a value, or leave the field out"
    elif wanted == "text" and isinstance(value, int | float):
        remedy = f"write it in quotes: '{show(value)}'"
    elif wanted == "a whole number" and isinstance(value, str) and value.isascii() and value.isdigit():
        remedy = f"write {value} without quotes"
    return f"must be {wanted}, not {_kind(value)}; {remedy}"


_LIST = ("a list", "write it as [...], or begin each entry with '- '")
_MAPPING = ("a mapping", "write it as fields, 'name: value'")
_WHOLE = ("a whole number", "write digits")
_WANTED = {
    "string_type": ("text", "write a text"),
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "bool_type": ("true or false", "write true or false"),
    "tuple_type": _LIST,
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
}
"""What pydantic wanted by the type of its error, and how that is written."""


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return show(value)
    if isinstance(value, int | float):
        return f"the number {show(value)}"
    return f"the text {show(value)}" if isinstance(value, str) else show(value)


def _missing(place: Path, free: Iterator[IPAddress]) -> str:
    record, name = _record_at(place[:-1]), place[-1]
    if name == "address" and record in (Hub, Gateway, Developer):
        address = next(free, None)
        return "is missing: the address in the VPN" + (f"; {address} is free" if address is not None else "; write it like 10.70.0.4")
    field = _fields(record).get(str(name)) if record is not None else None
    if field is None or not field.description:
        return "is missing"
    example = f"; write it like {name}: {field.examples[0]}" if field.examples else ""
    return f"is missing: {field.description[:1].lower()}{field.description[1:]}{example}"


def _unknown(place: Path) -> str:
    name = str(place[-1])
    if name.lower() in _SECRETS:
        return "is a secret, and secrets never stand in this file; keys are generated, or adopted from the stack's secret configuration"
    record = _record_at(place[:-1])
    known = sorted(_fields(record)) if record is not None else []
    close = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"is not a known field; {remedy}"


def _expected(error: ErrorDetails, value: object) -> str:
    choices = [part.strip(" '") for part in str(error.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(",")]
    close = difflib.get_close_matches(str(value), choices, n=1)
    listed = choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
    return f"{listed} (did you mean {close[0]}?)" if close else listed


def _fields(record: type[Record]) -> dict[str, FieldInfo]:
    """The fields of a record by their names in the file."""
    return {field.alias or name: field for name, field in record.model_fields.items()}


def _record_at(path: Path) -> type[Record] | None:
    """The record that a path leads to, following the model's annotations."""
    current: type[Record] | None = Environment
    group_follows = False
    for part in path:
        if isinstance(part, int) or current is None:
            continue
        if part in _TAGS:
            current = _TAGS[part]
            continue
        if group_follows:
            group_follows = False
            continue
        field = _fields(current).get(part)
        group_follows = current is Environment and part == "groups"
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
    groups = data.get("groups")
    parts: dict[str, Any] = {
        "network": _salvage_part(Network, data.get("network")),
        "hub": _salvage_part(Hub, data.get("hub")),
        "gateways": _salvage_list(Gateway, data.get("gateways")),
        "developers": _salvage_list(Developer, data.get("developers")),
        "links": _salvage_list(Link, data.get("links")),
        "groups": {name: _salvage_part(Group, group) for name, group in groups.items()} if isinstance(groups, dict) else {},
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
            if not any([_cut(raw, each) for each in error.errors(include_url=False)]):
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


def _cut(raw: dict[str, Any], error: ErrorDetails) -> bool:
    """Take what is wrong out of the raw data; False when there is nothing to take out."""
    path = _location(error)
    if error["type"] == "missing":
        path = path[:-1]
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
            return {}, [_no_known_hosts(environment.known_hosts, file, wanted[0][1])] if required else []
    keys: dict[Path, str] = {}
    findings: list[Finding] = []
    for path, ssh in wanted:
        key, reason = known.find(ssh.host, ssh.port) if known is not None else (None, "")
        if key is not None:
            keys[path] = key
        elif required:
            findings.append(_no_host_key(path, ssh, environment.known_hosts, reason))
    return keys, findings


def _no_known_hosts(name: str, file: FilePath, example: Ssh) -> Finding:
    path = file.parent / name
    what = "cannot be read as text" if path.exists() else "does not exist"
    remedy = f"fill it with `{keyscan(example.host, example.port)}` for each host, and compare the keys with the hosts' own"
    return Finding(("known_hosts",), f"{name} {what}", f"{remedy} (the lab writes its own: python -m lab up)")


def _no_host_key(path: Path, ssh: Ssh, known_hosts: str | None, reason: str) -> Finding:
    message = (
        f"is missing, and {known_hosts} {reason}" if known_hosts is not None else "is missing, so nobody could tell the host from another"
    )
    remedy = f"take the key from `{keyscan(ssh.host, ssh.port)}`, and compare it with the host's own"
    return Finding((*path, "host_key"), message, remedy)


def _pinned(environment: Environment, keys: Mapping[Path, str]) -> Environment:
    """The environment with these host keys filled in."""

    def pin(ssh: Ssh, *path: str | int) -> Ssh:
        return ssh.model_copy(update={"host_key": keys[path]}) if path in keys else ssh

    def pin_gateway(gateway: Gateway, index: int) -> Gateway:
        here = ("gateways", index)
        update: dict[str, Any] = {"ssh": pin(gateway.ssh, *here, "ssh")}
        if gateway.router is not None and gateway.router.ssh is not None:
            update["router"] = gateway.router.model_copy(update={"ssh": pin(gateway.router.ssh, *here, "router", "ssh")})
        update["devices"] = tuple(
            device.model_copy(update={"ssh": pin(device.ssh, *here, "devices", number, "ssh")})
            for number, device in enumerate(gateway.devices)
        )
        return gateway.model_copy(update=update)

    hub = environment.hub.model_copy(update={"ssh": pin(environment.hub.ssh, "hub", "ssh")})
    gateways = tuple(pin_gateway(gateway, index) for index, gateway in enumerate(environment.gateways))
    return environment.model_copy(update={"hub": hub, "gateways": gateways})
