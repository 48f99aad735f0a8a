"""Where things are: the clone, its run-time state, and the cache that clones share."""

import os
from dataclasses import dataclass
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Places:
    """The folders that a toolchain uses; `clone` and `cache` decide all others."""

    clone: Path
    cache: Path

    @property
    def state(self) -> Path:
        """What belongs to this clone and `make clean` takes away."""
        return self.clone / ".state"

    @property
    def bin(self) -> Path:
        """The folder that goes to the front of PATH."""
        return self.state / "toolchain" / "bin"

    @property
    def selection(self) -> Path:
        """Which toolchain was picked."""
        return self.state / "toolchain" / "selected.json"

    @property
    def pulumi_home(self) -> Path:
        """Pulumi's own folder: plugins, and who is logged in where."""
        return self.state / "pulumi-home"

    @property
    def backend(self) -> Path:
        """The stacks' states."""
        return self.state / "backend"

    @property
    def python(self) -> Path:
        """The clone's Python, which runs the stand-ins."""
        return self.clone / ".venv" / "bin" / "python"


def default_cache() -> Path:
    """$WG_OFFICE_CACHE, or the usual place for caches."""
    named = os.environ.get("WG_OFFICE_CACHE")
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wg-office"
    return Path(named).absolute() if named else usual


def here() -> Places:
    """The places of this clone."""
    return Places(CLONE, default_cache() / "toolchain")
