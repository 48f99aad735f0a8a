"""A whole office environment: its keys, its machines, its developers, and what comes out of it. Room: Pulumi, no file formats."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pulumi
import pulumi_random as random

from components.developer import Developer, DeveloperArgs
from components.host import Hooks, Operator
from components.keys import PeerKeys, PeerKeysArgs
from components.machine import Gateway, Hub, MachineArgs, WayBack
from components.outputs import shown
from wg_office import keys
from wg_office.access_report import rows
from wg_office.instructions import by_hand
from wg_office.model import Environment
from wg_office.model import Gateway as GatewayModel
from wg_office.model import Hub as HubModel
from wg_office.plan import HostPlan, plan

_MACHINES = {"hub": Hub, "gateway": Gateway, "router": WayBack, "device": WayBack}


@dataclass(frozen=True)
class OfficeArgs:
    """The environment, how the operator logs in, and the private keys that peers adopt (secret, by name).

    `repairs` are stamps by host: where one is new, everything is applied again, changed or not.
    Without `hooks` a change is rolled back unless something else confirms it (mock tests).
    """

    environment: Environment
    operator: Operator
    adopted_keys: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    repairs: Mapping[str, str] = field(default_factory=dict)
    hooks: Hooks | None = None


class Office(pulumi.ComponentResource):
    """One environment. `outputs` is everything worth a stack output, in a stable order; developers' files are secret."""

    outputs: dict[str, pulumi.Output[object]]

    def __init__(self, name: str, args: OfficeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:Office", name, None, opts)
        env = args.environment
        hosts: tuple[HubModel | GatewayModel, ...] = (env.hub, *env.gateways)
        peers = {peer.name: self._host_keys(peer, args) for peer in hosts}
        developers = {
            developer.name: Developer(
                developer.name, DeveloperArgs(env, developer, peers[env.hub.name].names), pulumi.ResourceOptions(parent=self)
            )
            for developer in env.developers
        }
        peers |= {name: developer.keys for name, developer in developers.items()}
        self._machines(args, peers, self._deployment())
        self.outputs = _outputs(env, peers, developers)
        self.register_outputs(self.outputs)

    def _host_keys(self, peer: HubModel | GatewayModel, args: OfficeArgs) -> PeerKeys:
        if peer.adopt_key and peer.name not in args.adopted_keys:
            raise pulumi.RunError(
                f"{peer.name} adopts its private key, but the stack has none for it: "
                f"pulumi config set --secret --path 'privateKeys.{peer.name}' (paste the key)"
            )
        adopted = args.adopted_keys[peer.name] if peer.adopt_key else None
        return PeerKeys(peer.name, PeerKeysArgs(peer.rotation, private_key=adopted), pulumi.ResourceOptions(parent=self))

    def _deployment(self) -> pulumi.Output[str]:
        secret = random.RandomPassword(
            "deployment", length=keys.SECRET_LENGTH, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
        return shown(pulumi.Output.unsecret(secret.apply(keys.deployment_id)), keys.GENERATED_ON_APPLY)

    def _machines(self, args: OfficeArgs, peers: Mapping[str, PeerKeys], deployment: pulumi.Output[str]) -> None:
        hub: list[pulumi.Resource] = []
        for host in plan(args.environment):
            machine = _MACHINES[host.role](
                host.name,
                MachineArgs(host, peers, deployment, args.operator, args.environment.hub.ssh, args.repairs.get(host.name), args.hooks),
                pulumi.ResourceOptions(parent=self, depends_on=hub if _needs_hub(host) else []),
            )
            if host.role == "hub":
                hub = [machine]


def _needs_hub(host: HostPlan) -> bool:
    """A machine behind the tunnel waits for the hub, and is taken away before it."""
    return host.ssh.via == "hub"


def _outputs(env: Environment, peers: Mapping[str, PeerKeys], developers: Mapping[str, Developer]) -> dict[str, pulumi.Output[object]]:
    outputs: dict[str, pulumi.Output[object]] = {
        "public_keys": pulumi.Output.all(**{name: made.names for name, made in peers.items()}).apply(
            lambda names: {name: one.public_key for name, one in names.items()}
        ),
        "by_hand": pulumi.Output.from_input(list(by_hand(env))),
        # Without line numbers: a comment added to the file changes nothing.
        "access": pulumi.Output.from_input([asdict(row) for row in rows(env)]),
    }
    for name, developer in developers.items():
        outputs[f"dev_{name}_conf"] = developer.conf
        outputs[f"dev_{name}_confs"] = developer.confs
    return outputs
