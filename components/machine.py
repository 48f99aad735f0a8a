"""Hub, gateways, and the routers and devices that know the way back. Room: Pulumi, no file formats.

All of them are a Host with a description rendered from their plan; what keys they hold follows from the plan as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.host import Hooks, Host, HostArgs, Operator
from components.keys import PeerKeys
from wg_office import hostscript
from wg_office.keys import key_name
from wg_office.model import Ssh
from wg_office.plan import HostPlan
from wg_office.render import render_description


@dataclass(frozen=True)
class MachineArgs:
    """A machine's plan, and what is needed to bring it there.

    `keys` are those of all peers, by name; of them the machine is given only what its plan uses. `deployment` names the Pulumi state
    that owns the machine. `hub` is the way to the machines that are reached through the hub. A new `repair` has all of it applied again.
    """

    plan: HostPlan
    keys: Mapping[str, PeerKeys]
    deployment: pulumi.Output[str]
    operator: Operator
    hub: Ssh
    repair: str | None = None
    hooks: Hooks | None = None


class _Machine(pulumi.ComponentResource):
    token: str

    def __init__(self, name: str, args: MachineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(self.token, name, None, opts)
        Host(
            name,
            HostArgs(
                ssh=args.plan.ssh,
                operator=args.operator,
                rollback_after=args.plan.rollback_after,
                description=_description(args),
                key_lines=_key_lines(args),
                through=args.hub if args.plan.ssh.via == "hub" else None,
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
    named = [] if tunnel is None else [args.plan.name, *(peer.name for peer in tunnel.peers), *(peer.psk_of for peer in tunnel.peers)]
    names = pulumi.Output.all(**{name: args.keys[name].names for name in named}) if named else pulumi.Output.from_input({})
    return pulumi.Output.all(args.deployment, names).apply(
        lambda made: render_description(args.plan, made[1], made[0], hostscript.scripts(), args.repair)
    )


def _key_lines(args: MachineArgs) -> pulumi.Output[str] | None:
    if args.plan.tunnel is None:
        return None
    preshared = [args.keys[peer.psk_of].preshared_key for peer in args.plan.tunnel.peers]

    def lines(made: list[str]) -> str:
        deployment, private, *shared = made
        keys = {key_name("private", private): private} | {key_name("preshared", key): key for key in shared}
        return hostscript.key_lines(deployment, keys, args.repair)

    return pulumi.Output.secret(pulumi.Output.all(args.deployment, args.keys[args.plan.name].private_key, *preshared).apply(lines))
