"""What a host says when it is asked what it has, in its parts. Pure; the words are those of hostside/found.

Every part begins with a line of its own, `== KIND NAME`, and each line of it with a `|`: whatever a file holds, it cannot pass for a part.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from netaddr import AddrFormatError, IPAddress, IPNetwork
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from wg_office.text.printable import one_line

_HEAD = re.compile(r"== (file|wg|addr|route|iptables|nft|active|end) ?([ -~]{0,255})")
_KEY = re.compile(r"[A-Za-z0-9+/]{42,}={0,2}")
_LONGEST = 160


class NotUnderstood(ValueError):
    """A host's words do not fit; the message is one line that names the file or command, and holds no key."""


@dataclass(frozen=True)
class Link:
    """A network interface: its addresses with the length of their prefixes."""

    name: str
    mtu: int
    addresses: tuple[IPNetwork, ...]


@dataclass(frozen=True)
class Way:
    """A route: where it leads, and by which router."""

    destination: IPNetwork
    router: IPAddress | None


@dataclass(frozen=True)
class Said:
    """The parts. Files and tunnels hold keys, so that nothing of them is shown as it is."""

    files: dict[str, str] = field(repr=False)
    wg: str = field(repr=False)
    links: tuple[Link, ...]
    ways: tuple[Way, ...]
    iptables: str
    nft: str
    active: frozenset[str]
    """Services that filter packets, of those that run."""


def shown(text: str) -> str:
    """A line of a host as people may see it: printable, short, and without keys."""
    return one_line(_KEY.sub("(key)", text), _LONGEST)


def parse_said(text: str) -> Said:
    """The parts of what hostside/found says. Raises NotUnderstood."""
    parts: dict[str, dict[str, str]] = {}
    for kind, name, body in _parts(text):
        parts.setdefault(kind, {})[name] = body
    if "end" not in parts:
        raise NotUnderstood("it did not say all; ask again, or look at the host")

    def whole(kind: str) -> str:
        return "".join(parts.get(kind, {}).values())

    return Said(
        files=parts.get("file", {}),
        wg=whole("wg"),
        links=tuple(each for body in parts.get("addr", {}).values() for each in _links(body)),
        ways=tuple(each for body in parts.get("route", {}).values() for each in _ways(body)),
        iptables=whole("iptables"),
        nft=whole("nft"),
        active=frozenset(whole("active").split()),
    )


def _parts(text: str) -> Iterator[tuple[str, str, str]]:
    """The parts in their order; what a login shell greets with comes before the first."""
    kind, name, body = "", "", list[str]()
    for line in text.split("\n"):
        head = _HEAD.fullmatch(line)
        if head is not None:
            if kind:
                yield kind, name, "".join(body)
            kind, name, body = head[1], head[2], []
        elif kind and line.startswith("|"):
            body.append(f"{line[1:]}\n")
        elif kind and line:
            raise NotUnderstood(f"said a line that is no part of the answer: {shown(line)}")
    if kind:
        yield kind, name, "".join(body)


class _Address(BaseModel):
    local: str
    prefixlen: Annotated[int, Field(ge=0, le=128)]
    scope: str = ""


class _Interface(BaseModel):
    ifname: Annotated[str, Field(pattern=r"^[ -.0-~]{1,15}$")]
    mtu: int = 1500
    addr_info: tuple[_Address, ...] = ()


class _Route(BaseModel):
    dst: str
    gateway: str | None = None


_INTERFACES, _ROUTES = TypeAdapter(list[_Interface]), TypeAdapter(list[_Route])


def _links(body: str) -> Iterator[Link]:
    try:
        for each in _INTERFACES.validate_json(body or "[]"):
            yield Link(
                each.ifname, each.mtu, tuple(IPNetwork(f"{at.local}/{at.prefixlen}") for at in each.addr_info if at.scope == "global")
            )
    except (ValidationError, ValueError, AddrFormatError):
        raise NotUnderstood("`ip -j addr` says what no `ip` says") from None


def _ways(body: str) -> Iterator[Way]:
    try:
        for each in _ROUTES.validate_json(body or "[]"):
            if each.dst != "default":
                yield Way(IPNetwork(each.dst), None if each.gateway is None else IPAddress(each.gateway))
    except (ValidationError, ValueError, AddrFormatError):
        raise NotUnderstood("`ip -j route` says what no `ip` says") from None
