"""Where this machine gets its Debian packages from: the lab's image is built from the same places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RELEASES = ("bullseye", "bookworm", "trixie")
_SUITE = re.compile(rf"^({'|'.join(RELEASES)})(-security|-updates|/updates)?$")
_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True)
class Source:
    """One Debian archive: its address, the suite's suffix ("" or "-security", ...), and the key ring that signs it."""

    uri: str
    suffix: str
    signed_by: str | None

    def line(self, release: str) -> str:
        """The one-line form for a release, as mmdebstrap takes it."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {release}{self.suffix} main"


def parse_one_line(text: str) -> Iterator[Source]:
    """The Debian archives in a `sources.list` file."""
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        if match and "main" in match["components"].split():
            options = dict(part.split("=", 1) for part in (match["options"] or "").split() if "=" in part)
            yield from _sources([match["uri"]], [match["suite"]], options.get("signed-by"))


def parse_deb822(text: str) -> Iterator[Source]:
    """The Debian archives in a `*.sources` file."""
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", without_comments):
        fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in stanza.splitlines()) if value}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        if "main" in fields.get("components", "").split():
            key_ring = fields.get("signed-by")
            yield from _sources(fields.get("uris", "").split(), fields.get("suites", "").split(), key_ring)


def _sources(uris: list[str], suites: list[str], signed_by: str | None) -> Iterator[Source]:
    for uri in uris:
        for suite in suites:
            match = _SUITE.match(suite)
            if match:
                yield Source(uri, match[2] or "", signed_by)


def configured(etc_apt: Path = Path("/etc/apt")) -> list[Source]:
    """The Debian archives this machine uses, each once, in order."""
    found: dict[Source, None] = {}
    for path in [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*.list"))]:
        if path.is_file():
            found.update(dict.fromkeys(parse_one_line(path.read_text())))
    for path in sorted((etc_apt / "sources.list.d").glob("*.sources")):
        found.update(dict.fromkeys(parse_deb822(path.read_text())))
    return list(found)
