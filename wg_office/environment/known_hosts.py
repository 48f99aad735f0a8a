"""OpenSSH's known_hosts, as far as pinning an ed25519 host key needs it: plain and hashed names, ports, patterns, revoked keys."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

from wg_office.environment.fields import ED25519, host_key_fault
from wg_office.environment.model import Ssh


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    marker: str
    names: str
    kind: str
    blob: str


class KnownHosts:
    """The entries of one known_hosts file."""

    def __init__(self, text: str) -> None:
        self._entries = tuple(_entries(text))

    def find(self, host: str, port: int) -> tuple[str | None, str]:
        """The ed25519 key of a host, or None and why there is none that could be pinned."""
        name = known_as(host, port)
        entries = self._of(name)
        revoked = {entry.blob for entry in entries if entry.marker == "@revoked"}
        plain = [entry for entry in entries if not entry.marker]
        keys = [entry for entry in plain if entry.kind == ED25519]
        if not keys:
            others = ", ".join(f"{entry.kind} on line {entry.line}" for entry in plain)
            return None, f"has no {ED25519} key of {name}" + (f" (only {others}, which the provider cannot use)" if others else "")
        if len({entry.blob for entry in keys}) > 1:
            lines = " and ".join(str(entry.line) for entry in keys)
            return None, f"has different keys of {name} (lines {lines})"
        if keys[0].blob in revoked:
            return None, f"marks the key of {name} as revoked"
        fault = host_key_fault(keys[0].kind, keys[0].blob)
        if fault is not None:
            return None, f"has a damaged key of {name} (line {keys[0].line})"
        return f"{keys[0].kind} {keys[0].blob}", ""

    def against(self, host: str, port: int, key: str) -> str | None:
        """What speaks against this being the ed25519 key of a host: another one, or that it is revoked. None where nothing does."""
        name = known_as(host, port)
        kind, _, blob = key.partition(" ")
        entries = [entry for entry in self._of(name) if entry.kind == kind]
        revoked = [entry.line for entry in entries if entry.marker == "@revoked" and entry.blob == blob]
        others = [entry.line for entry in entries if not entry.marker and entry.blob != blob]
        if revoked:
            return f"marks this key of {name} as revoked (line {revoked[0]})"
        return f"has another key of {name} (line {others[0]})" if others else None

    def _of(self, name: str) -> "list[_Entry]":
        return [entry for entry in self._entries if _matches(entry.names, name)]


def line_of(key: str, *hosts: tuple[str, int]) -> str:
    """A line that says which key these hosts have, each given by address and port."""
    return f"{','.join(known_as(*host) for host in hosts)} {key}\n"


def known_as(host: str, port: int) -> str:
    """A host's name in known_hosts: the port appears only when it is not 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def keyscan(ssh: Ssh, through: Ssh | None = None) -> str:
    """The command that asks a host for its key: typed here, or, for a host that is reached through another machine, there."""
    scan = f"ssh-keyscan -t ed25519 {'' if ssh.port == 22 else f'-p {ssh.port} '}{ssh.host}"
    if through is None:
        return scan if ssh.via is None else f"ssh {ssh.via.upper()} {scan}"
    return f"{login(through)} {scan}"


def login(ssh: Ssh) -> str:
    """The command that logs in to a machine."""
    return f"ssh {'' if ssh.port == 22 else f'-p {ssh.port} '}{ssh.user}@{ssh.host}"


def _entries(text: str) -> Iterator[_Entry]:
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) >= 3 and not words[0].startswith("#"):
            yield _Entry(number, marker, words[0], words[1], words[2])


def _matches(names: str, name: str) -> bool:
    if names.startswith("|"):
        return _hash_matches(names, name)
    patterns = names.lower().split(",")
    if any(_pattern(pattern[1:]).fullmatch(name) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_pattern(pattern).fullmatch(name) for pattern in patterns if not pattern.startswith("!"))


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern))


def _hash_matches(names: str, name: str) -> bool:
    parts = names.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return False
    try:
        salt, digest = base64.b64decode(parts[2], validate=True), base64.b64decode(parts[3], validate=True)
    except ValueError:
        return False
    # SHA-1 is what OpenSSH's format prescribes; the hash hides names, it authenticates nothing.
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
