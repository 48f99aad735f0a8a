"""Where the lab keeps its things, and what the environment may change."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

DEFAULT_PORT_BASE = 22000
PORTS_USED = 100


@dataclass(frozen=True)
class Settings:
    """All paths and choices of one lab."""

    root: Path
    cache: Path
    runtime: Path
    port_base: int
    memory: int
    accel: str
    name: str = ""

    @property
    def state(self) -> Path:
        """What this lab generated and must keep: keys, disks, logs."""
        return _state(self.root, self.name)

    @classmethod
    def read(cls, root: Path, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from the environment, with the port base of a lab that was brought up before as the default."""
        env = os.environ if environ is None else environ
        root, name = root.resolve(), _name(env)
        cache = Path(env.get("WG_OFFICE_CACHE") or Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wg-office")
        return cls(
            root=root,
            cache=cache / "lab",
            runtime=_runtime_directory(_state(root, name), env),
            port_base=_port_base(_state(root, name), env),
            memory=_number(env, "LAB_MEMORY", 3072, 1024, 65536),
            accel=_accel(env),
            name=name,
        )


def _state(root: Path, name: str) -> Path:
    # Resolved: a state that is linked from another clone is the same lab, whose process and sockets are known by its path.
    return (root / ".state" / (f"lab-{name}" if name else "lab")).resolve()


def _name(env: Mapping[str, str]) -> str:
    name = env.get("LAB_NAME") or ""
    if not re.fullmatch(r"[a-z0-9]{0,20}", name):
        raise LabError(f"LAB_NAME={name} is no name for a lab: use up to 20 small letters and digits, or unset it.")
    return name


def _runtime_directory(state: Path, env: Mapping[str, str]) -> Path:
    # A control socket's path may have 107 characters, and a clone can lie anywhere.
    digest = hashlib.sha256(str(state).encode()).hexdigest()[:12]
    return Path(env.get("XDG_RUNTIME_DIR") or "/tmp") / f"wg-office-lab-{os.geteuid()}-{digest}"


def _number(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise LabError(f"{name}={text} is not a number from {low} to {high}: unset it to get {default}.")
    return int(text)


def _accel(env: Mapping[str, str]) -> str:
    accel = env.get("LAB_ACCEL") or "tcg"
    if accel not in ("tcg", "kvm"):
        raise LabError(f"LAB_ACCEL={accel} is not known: use tcg (works everywhere) or kvm.")
    return accel


def _port_base(state: Path, env: Mapping[str, str]) -> int:
    remembered = state / "lab.json"
    default = DEFAULT_PORT_BASE
    if not env.get("LAB_PORT_BASE") and remembered.is_file():
        default = int(json.loads(remembered.read_text()).get("port_base", default))
    return _number(env, "LAB_PORT_BASE", default, 1024, 65535 - PORTS_USED)
