"""The stack's configuration: where the environment file is, and the operator's secrets. Room: Pulumi, no file formats.

A setting that is empty is one that is not set, here as in Pulumi.yaml.
"""

import ipaddress
import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import pulumi

from wg_office.asking.operator_key import UnusableKey, read_key, refuse_unusable
from wg_office.environment.faults import Faults, Unreadable
from wg_office.environment.model import Environment, Ssh
from wg_office.hosts.keys import public_key
from wg_office.reading.checks import ssh_endpoints
from wg_office.reading.load import load, placed
from wg_office.review.ends import beside, endings

from .host import Operator

PUBLIC_PASSPHRASE = "wg-office-lab"
"""The demo's (toolchain/environment.py): whoever has the sources can read a state that it encrypts."""

T = TypeVar("T")

_STAMP = re.compile(r"[A-Za-z0-9:-]+")


def environment_file() -> Path:
    """Where this stack's environment is."""
    return Path(_setting("environment") or f"configs/{pulumi.get_stack()}.yaml")


def environment(file: Path | None = None) -> Environment:
    """The environment of this stack, or of another file where a program has several.

    Raises pulumi.RunError with every fault of the file, a line each; nothing has been dialled then. What ends soon is said, and no fault.
    """
    path = file or environment_file()
    try:
        loaded = load(path)
    except Unreadable as unreadable:
        remedy = f"\nStack {pulumi.get_stack()} needs its environment file: pulumi config set environment configs/NAME.yaml"
        raise pulumi.RunError(f"{unreadable}{remedy if file is None else ''}") from None
    except Faults as faults:
        raise pulumi.RunError(f"{path} cannot be deployed:\n{faults}") from None
    _refuse_the_public_passphrase(loaded)
    for line in beside(placed(path, endings(loaded, datetime.now(UTC)))):
        pulumi.log.warn(line)
    return loaded


def operator() -> Operator:
    """The operator's key from the secret `sshKey`, or from the file that `sshKeyFile` names; without either, the SSH agent is used."""
    key, file = _setting("sshKey"), _setting("sshKeyFile")
    if key and file:
        raise pulumi.RunError(
            "sshKey and sshKeyFile are both set, and only one can count: "
            "take one away with `pulumi config rm sshKeyFile` or `pulumi config rm sshKey`"
        )
    if key:
        _checked("sshKey", "sshKey", lambda: refuse_unusable(key))
        return Operator(pulumi.Output.secret(key))
    if file:
        text = _checked("sshKeyFile", file, lambda: read_key(Path(file)))
        return Operator(pulumi.Output.secret(text))
    return Operator()


def adopted_keys() -> dict[str, pulumi.Output[str]]:
    """Private keys that existing peers keep, from the secret `privateKeys`, by the peer's name."""
    return _keys("privateKeys", "private key", "genkey")


def adopted_preshared() -> dict[str, pulumi.Output[str]]:
    """Preshared keys that existing peers keep, from the secret `presharedKeys`, by the peer's name."""
    return _keys("presharedKeys", "preshared key", "genpsk")


def _keys(setting: str, kind: str, maker: str) -> dict[str, pulumi.Output[str]]:
    made = _table(setting, f"a key per peer: pulumi config set --secret --path '{setting}.NAME'")
    for name, key in made.items():
        if not _is_key(key):
            raise pulumi.RunError(
                f"{setting}.{name} is no WireGuard {kind} (44 characters, as `wg {maker}` prints it): "
                f"pulumi config set --secret --path '{setting}.{name}' (paste the key)"
            )
    found = pulumi.Output.secret(made)
    return {name: found.apply(itemgetter(name)) for name in made}


def repairs() -> dict[str, str]:
    """A stamp per host that drifted, from `repair`, where `python -m wg_office repair` writes it."""
    remedy = (
        "a stamp of letters, digits, ':' and '-' per host, as `python -m wg_office repair FILE` writes it; "
        "take it away with: pulumi config rm repair"
    )
    stamps = _table("repair", remedy)
    if not all(_STAMP.fullmatch(str(stamp)) for stamp in stamps.values()):
        raise pulumi.RunError(f"repair must hold {remedy}")
    return {name: str(stamp) for name, stamp in stamps.items()}


# --- one way to read a setting -----------------------------------------------------------------------------------------------------------


def _setting(name: str) -> str | None:
    """A setting, or None where it is missing or empty."""
    return (pulumi.Config().get(name) or "").strip() or None


def _table(name: str, what: str) -> dict[str, Any]:
    """A setting that holds something per name, without what is empty."""
    try:
        found = json.loads(_setting(name) or "{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise pulumi.RunError(f"{name} must hold {what}")
    return {key: value for key, value in found.items() if value not in ("", None)}


# --- the operator's key, and the passphrase ----------------------------------------------------------------------------------------------


def _checked(setting: str, shown: str, look: Callable[[], T]) -> T:
    try:
        return look()
    except UnusableKey as unusable:
        raise pulumi.RunError(
            f"the operator's SSH key {shown}: {unusable}. Set sshKeyFile to the file of a private key, or sshKey (secret) to the key "
            f"itself; without both, the SSH agent is used: pulumi config rm {setting}"
        ) from None


def _refuse_the_public_passphrase(environment: Environment) -> None:
    """The demo's passphrase protects nothing. It will do for hosts on this very machine, and for no others."""
    if _passphrase() != PUBLIC_PASSPHRASE:
        return
    remote = [ssh.address for _, ssh in ssh_endpoints(environment) if not _is_here(ssh)]
    if remote:
        raise pulumi.RunError(
            f"the passphrase of this shell is the demo's, which everybody knows, and {remote[0]} is not on this machine. Choose another: "
            "`pulumi stack change-secrets-provider passphrase` asks for it; then set PULUMI_CONFIG_PASSPHRASE to it. "
            "Where a key service encrypts the state: unset PULUMI_CONFIG_PASSPHRASE"
        )


def _passphrase() -> str | None:
    """The passphrase as Pulumi takes it: from the variable, or from the file that another names."""
    given, file = os.environ.get("PULUMI_CONFIG_PASSPHRASE"), os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if given or not file:
        return given
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _is_here(ssh: Ssh) -> bool:
    """Whether a host is on this machine; one behind the hub is where the hub is."""
    if ssh.via is not None or ssh.host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(ssh.host).is_loopback
    except ValueError:
        return False


def _is_key(key: object) -> bool:
    try:
        return isinstance(key, str) and bool(public_key(key))
    except ValueError:
        return False
