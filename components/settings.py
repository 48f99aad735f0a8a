"""The stack's configuration: where the environment file is, and the operator's secrets. Room: Pulumi, no file formats."""

from operator import itemgetter
from pathlib import Path

import pulumi

from components.host import Operator
from wg_office.faults import Faults
from wg_office.load import load
from wg_office.model import Environment


def environment() -> Environment:
    """The environment of this stack. Raises pulumi.RunError with every fault of the file, a line each; nothing has been dialled then."""
    path = Path(pulumi.Config().get("environment") or f"configs/{pulumi.get_stack()}.yaml")
    try:
        return load(path)
    except Faults as faults:
        raise pulumi.RunError(f"{path} cannot be deployed:\n{faults}") from None
    except OSError as error:
        raise pulumi.RunError(
            f"{path}: {error.strerror}. Write the environment file, or name it: pulumi config set environment configs/NAME.yaml"
        ) from None


def operator() -> Operator:
    """The operator's key from the secret `sshKey`, or from the file that `sshKeyFile` names; without either, the SSH agent is used."""
    config = pulumi.Config()
    key = config.get_secret("sshKey")
    if key is not None:
        return Operator(key)
    path = config.get("sshKeyFile")
    if path is None:
        return Operator()
    try:
        return Operator(pulumi.Output.secret(Path(path).expanduser().read_text(encoding="utf-8")))
    except OSError as error:
        remedy = "Set sshKeyFile to a key file, or sshKey (secret) to the key"
        raise pulumi.RunError(f"the operator's SSH key {path}: {error.strerror}. {remedy}") from None


def adopted_keys() -> dict[str, pulumi.Output[str]]:
    """Private keys that existing peers keep, from the secret `privateKeys`, by the peer's name."""
    found = pulumi.Config().get_secret_object("privateKeys")
    if found is None:
        return {}
    names = pulumi.Config().get_object("privateKeys") or {}
    return {name: found.apply(itemgetter(name)) for name in names}
