"""What a host says of itself, held to a strict grammar before anybody believes it. Pure.

A host may be broken, or in other hands: it shall neither lead the operator's terminal nor end the status of other hosts.

Room: asking. The words are those of `verb_status` in hostside/wg-office.d, which travels with the question: host and reader never differ.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wg_office.hosts import description
from wg_office.hosts.description import Description

NO_SESSION = 180
"""Seconds after which WireGuard gives a session up; with keepalive there is a handshake every two minutes."""


@dataclass(frozen=True)
class PeerSeen:
    """A peer of the running interface."""

    public_key: str
    handshake_age: int | None
    received: int
    sent: int
    endpoint: str
    name: str | None = None

    @property
    def is_awake(self) -> bool:
        """Whether it has a session."""
        return self.handshake_age is not None and self.handshake_age <= NO_SESSION


@dataclass(frozen=True)
class HostReport:
    """What a host said."""

    time: float
    versions: Mapping[str, str]
    generation: str | None
    deployment: str | None = None
    pending: str | None = None
    rolled_back: tuple[str, int] | None = None
    leaving: bool = False
    drift: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()
    public_key: str | None = None
    peers: tuple[PeerSeen, ...] = ()
    pings: Mapping[str, str] = field(default_factory=dict)
    description: Description | None = None


# --- the grammar -------------------------------------------------------------------------------------------------------------------------

_WORD = "[A-Za-z0-9+/=_.:~()-]{1,128}"
_COUNT = "[0-9]{1,20}"
_SECONDS = "-?[0-9]{1,12}"
_ENDPOINT = r"\(none\)|[0-9.]{7,15}:[0-9]{1,5}|\[[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,15})?\]:[0-9]{1,5}"

_GRAMMAR = {
    key: re.compile(rest)
    for key, rest in {
        "time": r"([0-9]{1,12}(?:\.[0-9]{1,9})?)",
        "ping": r"([0-9A-Fa-f:.]{2,45}) (answered|refused|silent|unknown)",
        # A file or program that is empty or says nothing on the host is the host's matter, and no reason to understand nothing at all.
        "version": f"([a-z-]{{1,32}}) ((?:{_WORD})?)",
        "deployment": f"((?:{_WORD})?)",
        "pending": f"((?:{_WORD})?)",
        "leaving": "",
        "rolled-back": f"({_WORD}) ({_SECONDS})",
        "generation": f"({_WORD})",
        "drift": "(.{1,1000})",
        "withdrawn": "(.{1,1000})",
        "revoked": "([a-z0-9-]{1,64})",
        "key": f"((?:{_WORD})?)",
        "peer": f"({_WORD}) (never|{_SECONDS}) ({_COUNT}) ({_COUNT}) ({_ENDPOINT})",
    }.items()
}

_PEER_NAME = re.compile("[A-Za-z0-9_.-]{0,64}")
_PATH = re.compile("[ -Z^-~]{1,255}")


def parse_report(said: str) -> HostReport:
    """The words of `wg-office status full`. Raises ValueError where they are not to be understood."""
    lines, mark, text = _after_greetings(said).partition("\ndescription\n")
    if not all(line.replace("\t", "").isprintable() for line in f"{lines}\n{text}".split("\n")):
        raise ValueError("a line holds what is not printable")
    values: dict[str, list[tuple[str, ...]]] = {}
    for key, *rest in map(_understood, lines.removesuffix("\n").split("\n")):
        values.setdefault(key, []).append(tuple(rest))

    def word(key: str) -> str | None:
        return values[key][-1][0] or None if key in values else None

    time, generation = word("time"), word("generation")
    if time is None or generation is None:
        raise ValueError("neither the time nor the generation is said")
    return HostReport(
        time=float(time),
        versions={name: version for name, version in values.get("version", [])},
        generation=None if generation == "none" else generation,
        deployment=word("deployment"),
        pending=word("pending"),
        rolled_back=next(((change, int(ago)) for change, ago in values.get("rolled-back", [])), None),
        leaving="leaving" in values,
        drift=tuple(text for (text,) in values.get("drift", [])),
        withdrawn=tuple(text for (text,) in values.get("withdrawn", [])),
        revoked=tuple(name for (name,) in values.get("revoked", [])),
        public_key=word("key"),
        peers=tuple(_peer(*words) for words in values.get("peer", [])),
        pings={address: answer for address, answer in values.get("ping", [])},
        description=_described(text) if mark else None,
    )


def _after_greetings(said: str) -> str:
    """From the script's first word on: a login shell that greets is no fault."""
    start = re.search("^time ", said, re.MULTILINE)
    if start is None:
        raise ValueError("the time is not said")
    return said[start.start() :]


def _understood(line: str) -> tuple[str, ...]:
    """The key of a line and its words."""
    key, _, rest = line.partition(" ")
    found = _GRAMMAR[key].fullmatch(rest) if key in _GRAMMAR else None
    if found is None:
        raise ValueError("a line is not one of the script's")
    return (key, *found.groups())


def _peer(key: str, age: str, received: str, sent: str, endpoint: str) -> PeerSeen:
    return PeerSeen(key, None if age == "never" else int(age), int(received), int(sent), endpoint)


def _described(text: str) -> Description:
    """The description that the host holds; what of it may be shown is held to the grammar too."""
    held = description.read(text)
    names = all(_PEER_NAME.fullmatch(peer.name) for peer in held.peers())
    version = held.version is None or re.fullmatch(_WORD, held.version)
    if not (names and version and all(map(_PATH.fullmatch, held.parts))):
        raise ValueError("the description names what no description names")
    return held
