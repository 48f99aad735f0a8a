"""What a change would do to those who are connected, said in the preview, or refused there. Room: Pulumi, no file formats.

The engine calls its hook before an update or a creation, in a preview as well, with the old description, which the program never sees.
"""

from collections.abc import Mapping
from typing import Any

import pulumi
from netaddr import IPAddress, valid_ipv4

from wg_office.changes import admits, disruptions, severs
from wg_office.description import Description, read
from wg_office.model import Environment

_NO_TUNNEL_YET = "is reached over a tunnel that does not stand yet; give it an ssh without `via: hub` for its first `pulumi up`"

_HUB_NOT_ADMITTED = "does not let the hub in yet; first put {{host: {name}, ports: [{port}/tcp]}} into the hub's access, and `pulumi up`"


def foresight_hook(env: Environment) -> pulumi.ResourceHook:
    """The hook for Host's descriptions. It warns of an interruption, and raises where a host could not be reached any more."""
    adopting = {gateway.name for gateway in env.gateways if gateway.adopt_key}

    async def foresee(args: pulumi.ResourceHookArgs) -> None:
        name = args.name.rpartition("-")[0]
        new, old = await _known(args.new_inputs), await _known(args.old_inputs)
        through_hub = _through_hub(new)
        if args.old_inputs is None:
            refused: tuple[str, ...] = (_NO_TUNNEL_YET,) if through_hub and name not in adopting else ()
        else:
            before, after = read(old["stdin"]), read(new["stdin"])
            refused = severs(before, after, through_hub)
            if through_hub and not _through_hub(old) and not _lets_in(env, before, new["connection"]):
                refused += (_HUB_NOT_ADMITTED.format(name=name, port=int(new["connection"]["port"])),)
            for disruption in disruptions(before, after):
                pulumi.log.warn(f"{name}: {disruption}")
        if refused:
            raise pulumi.RunError("\n".join(f"{name}: {reason}" for reason in refused))

    return pulumi.ResourceHook("foresee-interruptions", foresee, pulumi.ResourceHookOptions(on_dry_run=True))


def _through_hub(inputs: Mapping[str, Any]) -> bool:
    return bool((inputs["connection"] or {}).get("proxy"))


def _lets_in(env: Environment, description: Description, connection: Mapping[str, Any]) -> bool:
    """Whether the host as it is now answers the hub; a name that is no address the file cannot know."""
    if not valid_ipv4(connection["host"]):
        return True
    return admits(description, env.hub.address, IPAddress(connection["host"]), int(connection["port"]))


async def _known(inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The two inputs that say what a host is and how it is reached."""
    found = {}
    for key in ("connection", "stdin"):
        found[key] = await pulumi.Output.from_input((inputs or {}).get(key)).future()
    return found
