"""Gateways that nobody logs in to: what a person pastes there, and what a preview says of it. Room: Pulumi, no file formats."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pulumi

from wg_office.environment.model import Environment
from wg_office.hosts.keys import GENERATED_ON_APPLY, PublicNames
from wg_office.people.pasted import Pasted, Standing, fingerprint, render_pasted, standing, to_be_pasted

from .keys import Keys, client_keys
from .outputs import shown

PASTED, STANDING = "wg-office:network:PastedGateway", "standing"
"""The type of the resource, as the state names it; and what it notes there."""


@dataclass(frozen=True)
class PastedGatewayArgs:
    """What its text says, with whose keys; and what an earlier `up` has noted, None where there was none."""

    made: Pasted
    hub: Keys
    own: Keys
    before: Standing | None = None


class PastedGateway(pulumi.ComponentResource):
    """No host: its keys are there, and it is a peer at the hub. `conf` is what a person pastes, a secret.

    What its tunnel stands on is noted in the state. Where that is not what it was, a warning says so, in a preview as well.
    """

    conf: pulumi.Output[object]

    def __init__(self, name: str, args: PastedGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(PASTED, name, None, opts)
        keys = client_keys(args.hub.names, args.own, preshared=args.made.hub.psk_of is not None)
        text = keys.apply(lambda each: render_pasted(args.made, each))
        self.conf = pulumi.Output.secret(text)
        called = shown(pulumi.Output.unsecret(text.apply(fingerprint)), GENERATED_ON_APPLY)
        noted = pulumi.Output.all(args.hub.names, args.own.names, called).apply(lambda each: _noted(args, *each))
        self.register_outputs({STANDING: noted})


def _noted(args: PastedGatewayArgs, hub: PublicNames, own: PublicNames, text: str) -> dict[str, Any]:
    """What the state is to hold, once it has been compared with what it held."""
    now = standing(args.made, hub, own, text)
    what = to_be_pasted(args.made, now, args.before)
    if what is not None:
        pulumi.log.warn(what)
    return asdict(now)


def say_what_stays(env: Environment, before: Mapping[str, object]) -> None:
    """Warn of gateways on which something was pasted, and that are none of these any more."""
    for name in sorted(before.keys() - {gateway.name for gateway in env.pasted_gateways}):
        pulumi.log.warn(_no_longer(env, name))


def _no_longer(env: Environment, name: str) -> str:
    if any(gateway.name == name and gateway.is_managed for gateway in env.active_gateways):
        return f"{name}: take the tunnel away on the device that it was pasted on: the host that is set up now has the same keys"
    return f"{name}: nobody logs in there, and what was pasted stays: take it away by hand"
