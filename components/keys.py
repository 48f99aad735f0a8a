"""The keys of one peer. Room: Pulumi, no file formats; how keys follow from a secret is wg_office/hosts/keys.py."""

from dataclasses import dataclass
from operator import attrgetter

import pulumi
import pulumi_random as random

from wg_office.hosts import keys
from wg_office.hosts.keys import GENERATED_ON_APPLY, PublicNames
from wg_office.people.profiles import ClientKeys

from .outputs import shown

PASSWORD = "random:index/randomPassword:RandomPassword"
_SECRET = "-secret"


def peer_of(secret: str) -> str | None:
    """Whose secret a RandomPassword of this name is; None where it is no peer's."""
    return secret.removesuffix(_SECRET) if secret.endswith(_SECRET) else None


@dataclass(frozen=True)
class PeerKeysArgs:
    """`rotation` renews the keys when it changes. `private_key` and `preshared_key` are adopted (secrets); `public_key` was brought."""

    rotation: str
    private_key: pulumi.Output[str] | None = None
    public_key: str | None = None
    preshared_key: pulumi.Output[str] | None = None


@dataclass(frozen=True)
class Keys:
    """What follows from one generated secret.

    `private_key` (None where its owner keeps it) and `preshared_key` are secret; `names` is public and shows a placeholder in the
    preview in which the keys are made.
    """

    private_key: pulumi.Output[str] | None
    preshared_key: pulumi.Output[str]
    names: pulumi.Output[PublicNames]


def peer_keys(name: str, args: PeerKeysArgs, opts: pulumi.ResourceOptions) -> Keys:
    """Generate a peer's secret, as `NAME-secret`."""
    # RandomPassword alone of the random resources does not show its value as its id.
    secret = random.RandomPassword(
        f"{name}{_SECRET}", length=keys.SECRET_LENGTH, special=False, keepers={"rotation": args.rotation}, opts=opts
    ).result
    private_key = None
    if args.public_key is None:
        private_key = args.private_key if args.private_key is not None else secret.apply(keys.private_key)
    preshared_key = args.preshared_key if args.preshared_key is not None else secret.apply(keys.preshared_key)
    names = shown(pulumi.Output.unsecret(_names(secret, private_key, args)), _unknown_names(args))
    return Keys(private_key, preshared_key, names)


def client_keys(hub: pulumi.Output[PublicNames], own: Keys, *, preshared: bool) -> pulumi.Output[ClientKeys]:
    """What a person's or device's file holds, of a peer with these keys."""
    made = pulumi.Output.all(hub, own.preshared_key if preshared else None, own.private_key)
    return made.apply(lambda each: ClientKeys(each[0].public_key, each[1], each[2]))


class PeerKeys(pulumi.ComponentResource):
    """The keys of a hub or gateway."""

    keys: Keys

    def __init__(self, name: str, args: PeerKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:PeerKeys", name, None, opts)
        self.keys = peer_keys(name, args, pulumi.ResourceOptions(parent=self))
        self.register_outputs({"public_key": self.keys.names.apply(attrgetter("public_key"))})


def _names(secret: pulumi.Output[str], private_key: pulumi.Output[str] | None, args: PeerKeysArgs) -> pulumi.Output[PublicNames]:
    brought = args.public_key if private_key is None else None
    return pulumi.Output.all(secret, private_key, args.preshared_key).apply(lambda made: keys.names(made[0], made[1], brought, made[2]))


def _unknown_names(args: PeerKeysArgs) -> PublicNames:
    return PublicNames(args.public_key or GENERATED_ON_APPLY, GENERATED_ON_APPLY, GENERATED_ON_APPLY)
