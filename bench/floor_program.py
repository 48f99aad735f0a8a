"""The floor: the resources of a deployment, as its state has them, without any logic of ours. A Pulumi program for `make bench`."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pulumi_random as random
from pulumi_command import remote

made: dict[str, pulumi.Resource] = {}


def register(one: dict[str, Any], opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """A resource of the same type and name, with the same inputs."""
    name, kind, inputs = one["name"], one["type"], one["inputs"]
    match kind:
        case "random:index/randomPassword:RandomPassword":
            return random.RandomPassword(name, length=inputs["length"], special=False, keepers=inputs.get("keepers"), opts=opts)
        case "pulumi:index:Stash":
            return pulumi.Stash(name, opts, input=inputs["input"])
        case "command:remote:Command":
            texts = {key: inputs[key] for key in ("create", "update", "delete", "stdin")}
            connection = remote.ConnectionArgs(**{_snake(key): value for key, value in inputs["connection"].items()})
            return remote.Command(
                name, **texts, connection=connection, logging=remote.Logging.NONE, add_previous_output_in_env=False, opts=opts
            )
        case _:
            made = pulumi.ComponentResource(kind, name, None, opts)
            # As the SDK asks of every component, whatever it is for.
            made.register_outputs({})
            return made


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)


for one in json.loads(Path("resources.json").read_text()):
    made[one["urn"]] = register(one, pulumi.ResourceOptions(parent=made.get(one["parent"])))
