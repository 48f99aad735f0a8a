"""The lab's own SSH keys: generated once, kept until `clean`, so that host keys stay the same across `up` and `down`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .nodes import OFFICE, VM, Topology
from .seed import Keys

OPERATOR_KEY = "id_ed25519"
KNOWN_HOSTS = "known_hosts"


def ensure(state: Path, port_base: int, topology: Topology = OFFICE) -> Keys:
    """Read the lab's keys, generate those that are missing, and write known_hosts for the ports in use."""
    host_keys = state / "hostkeys"
    host_keys.mkdir(parents=True, exist_ok=True)
    operator = _key(state / OPERATOR_KEY, "operator of the wg-office lab")
    names = [VM, *(node.name for node in topology.hosts)]
    hosts = {name: _key(host_keys / name, f"{name} of the wg-office lab") for name in names}
    known = "".join(f"[127.0.0.1]:{port_base + topology.offset(name)} {_public(path)}\n" for name, path in hosts.items())
    (state / KNOWN_HOSTS).write_text(known)
    authorized = operator.with_suffix(".pub").read_text()
    return Keys(authorized=authorized, host_keys={name: path.read_text() for name, path in hosts.items()})


def _key(path: Path, comment: str) -> Path:
    if not path.with_suffix(".pub").is_file():
        path.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], check=True, stdin=subprocess.DEVNULL
        )
        path.chmod(0o600)
    return path


def _public(path: Path) -> str:
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])
