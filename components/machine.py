"""Hub, gateways, and the routers and devices that know the way back. Room: Pulumi, no file formats.

All of them are a Host with a description rendered from their plan; what keys they hold follows from the plan as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from netaddr import IPAddress

from wg_office.hosts import hostscript
from wg_office.hosts.changes import way
from wg_office.hosts.description import read
from wg_office.hosts.keys import key_name
from wg_office.hosts.render import render_description
from wg_office.network.plan import HostPlan, Tunnel

from .host import Hooks, Host, HostArgs, Operator
from .keys import Keys


@dataclass(frozen=True)
class MachineArgs:
    """A machine's plan, and what is needed to bring it there.

    `keys` are those of all peers, by name; of them the machine is given only what its plan uses. `deployment` names the Pulumi state
    that owns the machine. `hub_address` is where connections through the hub come from. A new `repair` has all of it applied again.
    """

    plan: HostPlan
    keys: Mapping[str, Keys]
    deployment: pulumi.Output[str]
    operator: Operator
    hub_address: IPAddress
    hooks: Hooks
    repair: str | None = None


class _Machine(pulumi.ComponentResource):
    token: str

    def __init__(self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(self.token, name, None, opts)
        description = _description(args)
        Host(
            name,
            HostArgs(
                ssh=args.plan.ssh,
                operator=args.operator,
                rollback_after=args.plan.rollback_after,
                description=description,
                key_lines=_key_lines(args, description),
                through=args.plan.through,
                hooks=args.hooks,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


class Hub(_Machine):
    """The one host with a public address. It holds its private key, and a preshared key with each peer."""

    token = "wg-office:network:Hub"


class Gateway(_Machine):
    """The host between the hub and an office LAN. It holds its private key, and its preshared key with the hub."""

    token = "wg-office:network:Gateway"


class WayBack(_Machine):
    """A LAN's router, or a device in it, with a static route to the VPN. It holds no key."""

    token = "wg-office:network:WayBack"


def _description(args: MachineArgs) -> pulumi.Output[str]:
    tunnel = args.plan.tunnel
    named = [] if tunnel is None else [args.plan.name, *(peer.name for peer in tunnel.peers), *_psks(tunnel)]
    names = pulumi.Output.all(**{name: args.keys[name].names for name in named}) if named else pulumi.Output.from_input({})
    return pulumi.Output.all(args.deployment, names).apply(
        lambda made: render_description(args.plan, made[1], made[0], hostscript.scripts(), args.repair)
    )


def _psks(tunnel: Tunnel) -> list[str]:
    """The peers whose preshared keys the tunnel needs."""
    return [peer.psk_of for peer in tunnel.peers if peer.psk_of is not None]


def _key_lines(args: MachineArgs, description: pulumi.Output[str]) -> pulumi.Output[str] | None:
    if args.plan.tunnel is None:
        return None
    own = args.keys[args.plan.name].private_key
    preshared = [args.keys[name].preshared_key for name in _psks(args.plan.tunnel)]

    def lines(made: list[Any]) -> str:
        deployment, described, private, *shared = made
        keys = {} if private is None else {key_name("private", private): private}
        keys |= {key_name("preshared", key): key for key in shared}
        return hostscript.key_lines(deployment, keys, args.repair, way(read(described), args.hub_address))

    return pulumi.Output.secret(pulumi.Output.all(args.deployment, description, own, *preshared).apply(lines))
