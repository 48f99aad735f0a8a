"""The tunnels of a host: from wg-quick's files, networkd's units, and what runs (`wg show all dump`). Pure.

After wg-quick(8) and systemd.netdev(5). What runs counts; names, endpoints and hooks stand in the files alone.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from netaddr import AddrFormatError, IPNetwork

from wg_office.asking.said import NotUnderstood, Said, shown
from wg_office.hosts.keys import public_key

_NO_KEY = "A" * 43 + "="
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")


@dataclass(frozen=True)
class PeerFound:
    """A peer as one side has it."""

    public_key: str
    preshared_key: str | None = field(default=None, repr=False)
    allowed_ips: tuple[IPNetwork, ...] = ()
    endpoint: str | None = None
    keepalive: int = 0
    called: str = ""
    """What a comment calls it."""


@dataclass(frozen=True)
class Tunnel:
    """A WireGuard interface. `strange` are its settings and hooks that no environment file has, ready to be shown."""

    name: str
    source: str
    private_key: str | None = field(default=None, repr=False)
    addresses: tuple[IPNetwork, ...] = ()
    listen_port: int | None = None
    mtu: int | None = None
    peers: tuple[PeerFound, ...] = ()
    hooks: tuple[str, ...] = field(default=(), repr=False)
    strange: tuple[str, ...] = ()
    runs: bool = False

    @property
    def public_key(self) -> str:
        """What its peers know it by."""
        return public_key(self.private_key) if self.private_key is not None else ""

    @property
    def is_wg_quicks(self) -> bool:
        """Whether it runs as wg-quick has made it, so that a host can take it over as it is (hostside/wg-office.d/23-found-tunnel.sh)."""
        return self.runs and self.source == f"/etc/wireguard/{self.name}.conf"

    def peer(self, key: str) -> PeerFound | None:
        """The peer with this public key."""
        return next((peer for peer in self.peers if peer.public_key == key), None)


def tunnels(said: Said) -> tuple[Tunnel, ...]:
    """All tunnels of a host, what runs merged with what the files say. Raises NotUnderstood."""
    written = {each.name: each for each in (*_quick_files(said), *_netdevs(said))}
    running = {each.name: each for each in _running(said.wg)}
    found = [_merged(written.get(name), running.get(name)) for name in dict.fromkeys([*written, *running])]
    return tuple(_addressed(each, said) for each in found)


# --- the lines of a file -----------------------------------------------------------------------------------------------------------------


@dataclass
class _Section:
    name: str
    line: int
    comments: list[str]
    settings: list[tuple[int, str, str]] = field(default_factory=list)


def _sections(source: str, text: str) -> Iterator[_Section]:
    """The sections of a file with the comments right above and within them."""
    comments: list[str] = []
    section: _Section | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        bare, hash_, comment = line.partition("#") if not line.lstrip().startswith(";") else ("", "#", line)
        bare, head = bare.strip(), re.match(r"\[(\w+)\]$", bare.strip())
        if head is not None:
            if section is not None:
                yield section
            section, comments = _Section(head[1], number, [*comments, *([comment] if hash_ else [])]), []
        elif not bare:
            comments = [*comments, comment] if hash_ else comments
            if hash_ and section is not None and not section.settings:
                section.comments.append(comment)
        elif section is None or "=" not in bare:
            raise NotUnderstood(f"{source}:{number} is no setting: {shown(bare)}")
        else:
            key, _, value = bare.partition("=")
            section.settings.append((number, key.strip(), value.strip()))
            comments = []
    if section is not None:
        yield section


_PREFIX = re.compile(r"(?i)^(?:begin_peer|begin|client|peer|user|friendly_name|name)\b\s*[:=]?\s*")
_NAMED = re.compile(r"(?i)^(?:friendly_)?name\s*[:=]")


def _called(comments: Iterable[str]) -> str:
    """The name in the comments above a peer: the last that is one. PiVPN has `### begin NAME ###`, and an end of the one before."""
    said = [comment.strip("# \t;") for comment in comments]
    usable = [each for each in said if each and not re.match(r"(?i)end(?:_peer)?\b", each) and "[" not in each]
    named = [each for each in usable if _NAMED.match(each)] or [each for each in usable if "=" not in each]
    return re.sub(r"\s*\([0-9a-fA-F-]{36}\)$", "", _PREFIX.sub("", named[-1])) if named else ""


class _Reader:
    """Takes a section's settings into a tunnel or peer; `where` is for errors."""

    def __init__(self, source: str, section: _Section) -> None:
        self._source, self._section = source, section
        self.strange: list[str] = []

    def all(self, *names: str) -> list[tuple[int, str]]:
        wanted = {name.lower() for name in names}
        return [(line, value) for line, key, value in self._section.settings if key.lower() in wanted]

    def note_others(self, *known: str, hooks: Iterable[str] = ()) -> None:
        understood = {name.lower() for name in (*known, *hooks)}
        self.strange += [f"{self._source}:{n}: {shown(f'{k} = {v}')}" for n, k, v in self._section.settings if k.lower() not in understood]

    def last(self, name: str, pattern: re.Pattern[str]) -> str | None:
        given = self.all(name)
        if not given:
            return None
        line, value = given[-1]
        if pattern.fullmatch(value) is None:
            raise NotUnderstood(f"{self._source}:{line}: {name} is not what WireGuard takes")
        return value

    def key(self, name: str) -> str | None:
        found = self.last(name, _KEY)
        return None if found == _NO_KEY else found

    def number(self, name: str) -> int | None:
        found = self.last(name, re.compile(r"[0-9]{1,5}|off"))
        return None if found is None else 0 if found == "off" else int(found)

    def networks(self, *names: str) -> tuple[IPNetwork, ...]:
        found = [(line, word.strip()) for line, value in self.all(*names) for word in value.split(",") if word.strip()]
        return tuple(_network(f"{self._source}:{line}", word) for line, word in found)


def _network(where: str, word: str) -> IPNetwork:
    if re.fullmatch(r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?", word) is not None:
        try:
            return IPNetwork(word)
        except (AddrFormatError, ValueError):
            pass
    raise NotUnderstood(f"{where}: {shown(word)} is no address")


_ENDPOINT = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]:[0-9]{1,5}|[A-Za-z0-9.-]{1,253}:[0-9]{1,5}")


def _peer(reader: _Reader, called: str) -> PeerFound:
    public = reader.key("PublicKey")
    if public is None:
        raise NotUnderstood(f"{reader._source}:{reader._section.line}: a peer without PublicKey")
    return PeerFound(
        public,
        reader.key("PresharedKey"),
        tuple(each.cidr for each in reader.networks("AllowedIPs")),
        reader.last("Endpoint", _ENDPOINT),
        reader.number("PersistentKeepalive") or 0,
        called,
    )


# --- wg-quick ----------------------------------------------------------------------------------------------------------------------------

_QUICK = re.compile(r"/etc/wireguard/([A-Za-z0-9_=+.-]{1,15})\.conf")
_HOOKS = ("PreUp", "PostUp", "PreDown", "PostDown")


def _quick_files(said: Said) -> Iterator[Tunnel]:
    for source, text in said.files.items():
        name = _QUICK.fullmatch(source)
        if name is not None:
            yield _quick(name[1], source, text)


def _quick(name: str, source: str, text: str) -> Tunnel:
    """A wg-quick file. Raises NotUnderstood."""
    tunnel = Tunnel(name, source)
    for section in _sections(source, text):
        reader = _Reader(source, section)
        if section.name.lower() == "interface":
            reader.note_others("PrivateKey", "Address", "ListenPort", "MTU", "SaveConfig", hooks=_HOOKS)
            tunnel = replace(
                tunnel,
                private_key=reader.key("PrivateKey"),
                addresses=reader.networks("Address"),
                listen_port=reader.number("ListenPort"),
                mtu=reader.number("MTU"),
                hooks=tuple(command for _, value in reader.all("PreUp", "PostUp") for command in _commands(name, value)),
            )
        elif section.name.lower() == "peer":
            reader.note_others("PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive")
            tunnel = replace(tunnel, peers=(*tunnel.peers, _peer(reader, _called(section.comments))))
        else:
            raise NotUnderstood(f"{source}:{section.line}: wg-quick knows no [{section.name}]")
        tunnel = replace(tunnel, strange=(*tunnel.strange, *reader.strange))
    return tunnel


def _commands(name: str, hook: str) -> list[str]:
    return [command.strip() for command in re.split(r";|&&", hook.replace("%i", name)) if command.strip()]


# --- networkd ----------------------------------------------------------------------------------------------------------------------------


def _netdevs(said: Said) -> Iterator[Tunnel]:
    for source, text in said.files.items():
        if source.endswith(".netdev"):
            sections = list(_sections(source, text))
            if any(("Kind", "wireguard") in [(key, value) for _, key, value in each.settings] for each in sections):
                yield _netdev(source, sections, said)


def _netdev(source: str, sections: list[_Section], said: Said) -> Tunnel:
    tunnel = Tunnel("", source)
    for section in sections:
        reader = _Reader(source, _with_keys(section, said))
        if section.name == "NetDev":
            reader.note_others("Name", "Kind", "MTUBytes", "Description")
            tunnel = replace(tunnel, name=reader.last("Name", re.compile(r"[A-Za-z0-9_.-]{1,15}")) or "", mtu=reader.number("MTUBytes"))
        elif section.name == "WireGuard":
            reader.note_others("PrivateKey", "PrivateKeyFile", "ListenPort")
            tunnel = replace(tunnel, private_key=reader.key("PrivateKey"), listen_port=reader.number("ListenPort"))
        elif section.name == "WireGuardPeer":
            reader.note_others("PublicKey", "PresharedKey", "PresharedKeyFile", "AllowedIPs", "Endpoint", "PersistentKeepalive")
            tunnel = replace(tunnel, peers=(*tunnel.peers, _peer(reader, _called(section.comments))))
        tunnel = replace(tunnel, strange=(*tunnel.strange, *reader.strange))
    return replace(tunnel, addresses=tuple(_addresses(tunnel.name, said)))


def _with_keys(section: _Section, said: Said) -> _Section:
    """The section with the keys that it names by a file."""
    more = [
        (number, key.removesuffix("File"), said.files[value].strip())
        for number, key, value in section.settings
        if key in ("PrivateKeyFile", "PresharedKeyFile") and value in said.files
    ]
    return replace(section, settings=[*section.settings, *more])


def _addresses(name: str, said: Said) -> Iterator[IPNetwork]:
    """What the .network of an interface of that name gives it."""
    for source, text in said.files.items():
        if source.endswith(".network"):
            sections = list(_sections(source, text))
            if any(section.name == "Match" and "Name" in dict_of(section) and dict_of(section)["Name"] == name for section in sections):
                for section in sections:
                    if section.name in ("Network", "Address"):
                        yield from _Reader(source, section).networks("Address")


def dict_of(section: _Section) -> dict[str, str]:
    """A section's settings by name, the last of each."""
    return {key: value for _, key, value in section.settings}


# --- what runs ---------------------------------------------------------------------------------------------------------------------------

_FIELDS = {
    5: (r"[ -~]{1,15}", rf"{_KEY.pattern}|\(none\)", rf"{_KEY.pattern}|\(none\)", "[0-9]{1,5}", "off|0x[0-9a-f]{1,8}"),
    9: (
        r"[ -~]{1,15}",
        _KEY.pattern,
        rf"{_KEY.pattern}|\(none\)",
        r"\(none\)|\S{3,80}",
        r"\(none\)|[0-9A-Fa-f:./,]{1,100000}",
        "[0-9]{1,20}",
        "[0-9]{1,20}",
        "[0-9]{1,20}",
        "off|[0-9]{1,5}",
    ),
}


def _running(dump: str) -> Iterator[Tunnel]:
    """The tunnels of `wg show all dump`."""
    made: dict[str, Tunnel] = {}
    for line in dump.splitlines():
        words = line.split("\t")
        patterns = _FIELDS.get(len(words), ())
        if not patterns or not all(re.fullmatch(pattern, word) for pattern, word in zip(patterns, words, strict=True)):
            raise NotUnderstood("`wg show all dump` says what no `wg` says")
        if len(words) == 5:
            made[words[0]] = Tunnel(words[0], "wg show", _key(words[1]), (), int(words[3]), runs=True)
        elif words[0] in made:
            made[words[0]] = replace(made[words[0]], peers=(*made[words[0]].peers, _running_peer(words)))
    return iter(made.values())


def _running_peer(words: list[str]) -> PeerFound:
    _, key, psk, endpoint, allowed, *_, keepalive = words
    networks = () if allowed == "(none)" else tuple(_network("wg show", word) for word in allowed.split(","))
    return PeerFound(key, _key(psk), networks, None if endpoint == "(none)" else endpoint, 0 if keepalive == "off" else int(keepalive))


def _key(word: str) -> str | None:
    return None if word in ("(none)", _NO_KEY) else word


def _merged(written: Tunnel | None, running: Tunnel | None) -> Tunnel:
    """What runs, with the names and endpoints of the file; who is in the file alone comes back at a restart, and so is kept."""
    if written is None or running is None:
        found = written or running
        assert found is not None
        return found
    names = {peer.public_key: peer for peer in written.peers}
    peers = [_named(peer, names.get(peer.public_key)) for peer in running.peers]
    only_written = [peer for peer in written.peers if running.peer(peer.public_key) is None]
    only_running = [peer for peer in running.peers if peer.public_key not in names]
    strange = [f"{written.source}: peer {peer.public_key} is in the file and does not run; it is taken over" for peer in only_written]
    strange += [f"wg show: peer {peer.public_key} runs and is not in {written.source}; it is taken over" for peer in only_running]
    return replace(
        written,
        private_key=running.private_key or written.private_key,
        listen_port=running.listen_port or written.listen_port,
        peers=(*peers, *only_written),
        strange=(*written.strange, *strange),
        runs=True,
    )


def _named(running: PeerFound, written: PeerFound | None) -> PeerFound:
    return running if written is None else replace(running, called=written.called, endpoint=written.endpoint)


def _addressed(tunnel: Tunnel, said: Said) -> Tunnel:
    """The tunnel with its addresses and MTU as they are; wg-quick works an MTU out where the file has none."""
    link = next((link for link in said.links if link.name == tunnel.name), None)
    if link is None:
        return tunnel
    return replace(tunnel, addresses=tunnel.addresses or link.addresses, mtu=link.mtu)
