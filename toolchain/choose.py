"""Which toolchain to use: pure decisions on facts that others gathered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from toolchain.versions import PLUGINS, PULUMI

Version = tuple[int, ...]


class Source(Enum):
    """Where the CLI and its plugins come from."""

    SYSTEM = "system"
    RELEASE = "release"
    BUILD = "build"


@dataclass(frozen=True)
class SystemPulumi:
    """The `pulumi` that is on PATH."""

    path: str
    version: str
    has_python_host: bool
    plugins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """All that the choice depends on; `release_reachable` is None where nobody asked yet."""

    system: SystemPulumi | None = None
    release_cached: bool = False
    build_cached: bool = False
    release_reachable: bool | None = None
    wanted: Source | None = None


@dataclass(frozen=True)
class Choice:
    """The source, and why it is that one; no source: ask first whether the release is reachable."""

    source: Source | None
    why: str


def parse_version(text: str) -> Version | None:
    """`v3.259.0`, `go1.26.8`, `3.259.0-alpha.1` as numbers that compare; None where it is no version."""
    match = re.fullmatch(r"(?:v|go)?(\d+)\.(\d+)(?:\.(\d+))?(-.*)?(?:\s.*)?", text.strip())
    if match is None:
        return None
    numbers = tuple(int(number or 0) for number in match.groups()[:3])
    # A pre-release comes before its release.
    return numbers if match.group(4) is None else (*numbers[:2], numbers[2] - 1)


def new_enough(found: str, wanted: str) -> bool:
    """Whether the version found is the wanted one or a later one."""
    have, want = parse_version(found), parse_version(wanted)
    return have is not None and want is not None and have >= want


def system_fault(system: SystemPulumi | None) -> str | None:
    """Why the `pulumi` on PATH cannot be used as it is; None where it can."""
    if system is None:
        return "no pulumi on PATH"
    if not new_enough(system.version, PULUMI):
        return f"the pulumi on PATH is {system.version or 'of unknown version'}, older than {PULUMI}"
    if not system.has_python_host:
        return f"the pulumi on PATH ({system.path}) has no pulumi-language-python beside it or on PATH"
    missing = [f"{name} {version}" for name, version in PLUGINS.items() if version not in system.plugins.get(name, ())]
    return f"the pulumi on PATH lacks the plugin {' and '.join(missing)}" if missing else None


def choose(facts: Facts) -> Choice:
    """The toolchain to use, cheapest and most official first; what is in the cache already needs no question to the network."""
    fault = system_fault(facts.system)
    if facts.wanted is not None:
        if facts.wanted is Source.SYSTEM and fault:
            return Choice(None, f"{fault}, but WG_OFFICE_TOOLCHAIN=system asks for it")
        return Choice(facts.wanted, f"WG_OFFICE_TOOLCHAIN={facts.wanted.value}")
    if fault is None:
        return Choice(Source.SYSTEM, "on PATH, with its plugins")
    if facts.release_cached:
        return Choice(Source.RELEASE, f"{fault}; the official release is in the cache")
    if facts.build_cached:
        return Choice(Source.BUILD, f"{fault}; a build is in the cache")
    if facts.release_reachable is None:
        return Choice(None, f"{fault}; is the official release reachable?")
    if facts.release_reachable:
        return Choice(Source.RELEASE, fault)
    return Choice(Source.BUILD, f"{fault}, and the official release is not reachable from here")
