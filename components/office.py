"""A whole office environment: its keys, its machines, its developers, and what comes out of it. Room: Pulumi, no file formats."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_random as random

from wg_office.commands.access_report import columns
from wg_office.environment.model import Client, Environment
from wg_office.environment.model import Gateway as GatewayModel
from wg_office.environment.model import Hub as HubModel
from wg_office.hosts import keys
from wg_office.network.access import Reach, reach_of
from wg_office.network.instructions import by_hand
from wg_office.network.plan import HostPlan, plan
from wg_office.people.pasted import Standing, pasted

from .confirm import confirmation
from .developer import Developer, DeveloperArgs
from .foresee import foresight_hook
from .host import Hooks, Operator
from .keys import Keys, PeerKeys, PeerKeysArgs
from .machine import Gateway, Hub, MachineArgs, WayBack
from .outputs import once, shown
from .pasted import PastedGateway, PastedGatewayArgs, say_what_stays
from .under_way import THIS, UnderWay, outlive_an_interrupt

_MACHINES = {"hub": Hub, "gateway": Gateway, "router": WayBack, "device": WayBack}


@dataclass(frozen=True)
class OfficeArgs:
    """The environment, how the operator logs in, and the private and preshared keys that peers adopt (secret, by name).

    `repairs` are stamps by host: where one is new, everything is applied again, changed or not.
    `stood` are developers' machines whose secret the stack has elsewhere, and its URN there. `pasted` is what the stack has noted of
    gateways that nobody logs in to, by name.
    `alone` is the Office whose resources have no more than the names of peers and hosts, as all had when a program had one only.
    """

    environment: Environment
    operator: Operator
    adopted_keys: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    adopted_preshared: Mapping[str, pulumi.Output[str]] = field(default_factory=dict, kw_only=True)
    repairs: Mapping[str, str] = field(default_factory=dict)
    stood: Mapping[str, str] = field(default_factory=dict)
    pasted: Mapping[str, Standing | None] = field(default_factory=dict)
    alone: bool = False


class Office(pulumi.ComponentResource):
    """One environment. `outputs` is everything worth a stack output, in a stable order.

    Secret are developers' files, and what is pasted on gateways. The names of all that is in it begin with its own name, so that a
    program may have several; but for the one that is `alone`.
    """

    outputs: dict[str, pulumi.Output[object]]

    def __init__(self, name: str, args: OfficeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:Office", name, None, opts)
        env, reach = args.environment, reach_of(args.environment)
        self._prefix = "" if args.alone else f"{name}-"
        hosts: tuple[HubModel | GatewayModel, ...] = (env.hub, *env.gateways)
        peers = {peer.name: self._host_keys(peer, args) for peer in hosts}
        hub = peers[env.hub.name].names
        developers = {
            client.name: Developer(self._called(client.name), self._developer(args, client, hub), pulumi.ResourceOptions(parent=self))
            for client in env.clients
        }
        peers |= {name: developer.keys for name, developer in developers.items()}
        self._machines(args, plan(env, reach), peers, once(self._deployment(), _unlike(peers)))
        self.outputs = _outputs(env, reach, peers, developers) | self._pasted(args, reach, peers)
        # The program exports them: the state need not hold everybody's files twice, nor each run read and write them twice.
        self.register_outputs({})

    def _called(self, name: str) -> str:
        # Said by the program and not found out, nor taken over by aliases: who comes first in a program is an accident of its order.
        return f"{self._prefix}{name}"

    def _developer(self, args: OfficeArgs, client: Client, hub: pulumi.Output[keys.PublicNames]) -> DeveloperArgs:
        return DeveloperArgs(args.environment, client, hub, args.stood.get(client.name), _preshared(client, args))

    def _host_keys(self, peer: HubModel | GatewayModel, args: OfficeArgs) -> Keys:
        adopted = _adopted(peer.name, args.adopted_keys, "private key", "privateKeys") if peer.adopt_key else None
        preshared = _preshared(peer, args) if isinstance(peer, GatewayModel) else None
        made = PeerKeysArgs(args.environment.rotation_of(peer), adopted, peer.public_key, preshared)
        return PeerKeys(self._called(peer.name), made, pulumi.ResourceOptions(parent=self)).keys

    def _pasted(self, args: OfficeArgs, reach: Reach, peers: Mapping[str, Keys]) -> dict[str, pulumi.Output[object]]:
        """The secret outputs of gateways that nobody logs in to."""
        env, opts = args.environment, pulumi.ResourceOptions(parent=self)
        say_what_stays(env, args.pasted)
        made = {
            each: PastedGatewayArgs(
                pasted(env, each, reach.policies[each.name]), peers[env.hub.name], peers[each.name], args.pasted.get(each.name)
            )
            for each in env.pasted_gateways
        }
        return {each.output: PastedGateway(self._called(each.name), what, opts).conf for each, what in made.items()}

    def _deployment(self) -> pulumi.Output[str]:
        secret = random.RandomPassword(
            self._called("deployment"), length=keys.SECRET_LENGTH, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
        return shown(pulumi.Output.unsecret(secret.apply(keys.deployment_id)), keys.GENERATED_ON_APPLY)

    def _machines(self, args: OfficeArgs, hosts: tuple[HostPlan, ...], peers: Mapping[str, Keys], deployment: pulumi.Output[str]) -> None:
        hub: list[pulumi.Resource] = []
        hooks = _hooks(args.environment, self._prefix)
        for host in hosts:
            machine = _MACHINES[host.role](
                self._called(host.name),
                MachineArgs(
                    host,
                    peers,
                    deployment,
                    args.operator,
                    args.environment.hub.address,
                    hooks,
                    args.repairs.get(host.name),
                ),
                pulumi.ResourceOptions(parent=self, depends_on=hub if _needs_hub(host) else []),
            )
            if host.role == "hub":
                hub = [machine]


def _hooks(env: Environment, prefix: str) -> Hooks:
    """What confirms and foresees. A failure waits for what all Offices of the program have under way."""
    under_way = UnderWay(env.network.rollback_after, THIS)
    outlive_an_interrupt(THIS)
    return Hooks(confirmation(under_way, prefix), foresight_hook(env, under_way, prefix))


def _preshared(peer: GatewayModel | Client, args: OfficeArgs) -> pulumi.Output[str] | None:
    """The preshared key that a peer adopts."""
    if peer.preshared != "adopted":
        return None
    return _adopted(peer.name, args.adopted_preshared, "preshared key", "presharedKeys")


def _adopted(peer: str, held: Mapping[str, pulumi.Output[str]], kind: str, setting: str) -> pulumi.Output[str]:
    """The key that the stack has for a peer. Raises pulumi.RunError where it has none."""
    if peer not in held:
        raise pulumi.RunError(
            f"{peer} adopts its {kind}, but the stack has none for it: pulumi config set --secret --path '{setting}.{peer}' (paste the key)"
        )
    return held[peer]


def _unlike(peers: Mapping[str, Keys]) -> pulumi.Output[None]:
    """Known once all keys are, and found to be different: a key that a developer brought may be another peer's generated one."""

    def refuse(names: Mapping[str, keys.PublicNames]) -> None:
        for first, second in keys.duplicate_keys(names):
            raise pulumi.RunError(
                f"{first} and {second} have the same public key, so that one would take the other's place at the hub; "
                "a public_key or adopted key must be nobody else's: have a new pair made"
            )

    return pulumi.Output.all(**{name: made.names for name, made in peers.items()}).apply(refuse)


def _needs_hub(host: HostPlan) -> bool:
    """A machine behind the tunnel waits for the hub, and is taken away before it."""
    return host.ssh.via == "hub"


def _outputs(
    env: Environment, reach: Reach, peers: Mapping[str, Keys], developers: Mapping[str, Developer]
) -> dict[str, pulumi.Output[object]]:
    # Texts with a line per entry: Pulumi compares those by lines, and shows a list or map whole.
    outputs: dict[str, pulumi.Output[object]] = {
        "public_keys": pulumi.Output.all(**{name: made.names for name, made in peers.items()}).apply(keys.listed),
        "by_hand": pulumi.Output.from_input(list(by_hand(env, reach))),
        "access": pulumi.Output.from_input(columns(env, reach)),
    }
    for client in env.clients:
        outputs[f"{client.output}_conf"] = developers[client.name].conf
        outputs[f"{client.output}_confs"] = developers[client.name].confs
    return outputs
