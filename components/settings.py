"""The stack's configuration: where the environment file is, and the operator's secrets. Room: Pulumi, no file formats."""

import re
from operator import itemgetter
from pathlib import Path

import pulumi

from components.host import Operator
from wg_office.faults import Faults, Unreadable
from wg_office.keys import public_key
from wg_office.load import load
from wg_office.model import Environment

_STAMP = re.compile(r"[A-Za-z0-9:-]+")


def environment() -> Environment:
    """The environment of this stack. Raises pulumi.RunError with every fault of the file, a line each; nothing has been dialled then."""
    path = Path(pulumi.Config().get("environment") or f"configs/{pulumi.get_stack()}.yaml")
    try:
        return load(path)
    except Unreadable as unreadable:
        remedy = f"Stack {pulumi.get_stack()} needs its environment file: pulumi config set environment configs/NAME.yaml"
        raise pulumi.RunError(f"{unreadable}\n{remedy}") from None
    except Faults as faults:
        raise pulumi.RunError(f"{path} cannot be deployed:\n{faults}") from None


def operator() -> Operator:
    """The operator's key from the secret `sshKey`, or from the file that `sshKeyFile` names; without either, the SSH agent is used."""
    config = pulumi.Config()
    key = config.get_secret("sshKey")
    if key is not None:
        return Operator(key)
    path = config.get("sshKeyFile")
    if path is None:
        return Operator()
    remedy = "Set sshKeyFile to the file of a private key, or sshKey (secret) to the key itself; without both, the SSH agent is used"
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise pulumi.RunError(f"the operator's SSH key {path}: {reason}. {remedy}") from None
    if "PRIVATE KEY" not in text:
        raise pulumi.RunError(f"the operator's SSH key {path}: is no private key. {remedy}")
    return Operator(pulumi.Output.secret(text))


def adopted_keys() -> dict[str, pulumi.Output[str]]:
    """Private keys that existing peers keep, from the secret `privateKeys`, by the peer's name."""
    found = pulumi.Config().get_secret_object("privateKeys")
    if found is None:
        return {}
    made = pulumi.Config().get_object("privateKeys")
    if not isinstance(made, dict):
        raise pulumi.RunError("privateKeys must hold a key per peer: pulumi config set --secret --path 'privateKeys.NAME'")
    for name, key in made.items():
        if not _is_private_key(key):
            raise pulumi.RunError(
                f"privateKeys.{name} is no WireGuard private key (44 characters, as `wg genkey` prints it): "
                f"pulumi config set --secret --path 'privateKeys.{name}' (paste the key)"
            )
    return {name: found.apply(itemgetter(name)) for name in made}


def repairs() -> dict[str, str]:
    """A stamp per host that drifted, from `repair`, where `python -m wg_office status --repair` writes it."""
    stamps = pulumi.Config().get_object("repair") or {}
    if not isinstance(stamps, dict) or not all(_STAMP.fullmatch(str(stamp)) for stamp in stamps.values()):
        raise pulumi.RunError(
            "repair must hold a stamp of letters, digits, ':' and '-' per host, as `python -m wg_office status FILE --repair` writes it; "
            "take it away with: pulumi config rm repair"
        )
    return {name: str(stamp) for name, stamp in stamps.items()}


def _is_private_key(key: object) -> bool:
    try:
        return isinstance(key, str) and bool(public_key(key))
    except ValueError:
        return False
