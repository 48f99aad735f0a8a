"""The keys of one peer. Room: Pulumi, no file formats; how keys follow from a secret is wg_office/keys.py."""

from dataclasses import dataclass

import pulumi
import pulumi_random as random

from components.outputs import shown
from wg_office import keys
from wg_office.keys import GENERATED_ON_APPLY, PublicNames


@dataclass(frozen=True)
class PeerKeysArgs:
    """`rotation` renews the keys when it changes. `private_key` is adopted (a secret); `public_key` is one the developer brought."""

    rotation: int
    private_key: pulumi.Output[str] | None = None
    public_key: str | None = None


class PeerKeys(pulumi.ComponentResource):
    """One generated secret, and what follows from it.

    `private_key` (None where the developer keeps it) and `preshared_key` are secret; `names` is public and shows a placeholder in the
    preview in which the keys are made.
    """

    private_key: pulumi.Output[str] | None
    preshared_key: pulumi.Output[str]
    names: pulumi.Output[PublicNames]

    def __init__(self, name: str, args: PeerKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:PeerKeys", name, None, opts)
        # RandomPassword alone of the random resources does not show its value as its id (facts/pulumi-command.md).
        secret = random.RandomPassword(
            f"{name}-secret",
            length=keys.SECRET_LENGTH,
            special=False,
            keepers={"rotation": str(args.rotation)},
            opts=pulumi.ResourceOptions(parent=self),
        ).result
        self.preshared_key = secret.apply(keys.preshared_key)
        self.private_key = None
        if args.public_key is None:
            self.private_key = args.private_key if args.private_key is not None else secret.apply(keys.private_key)
        self.names = shown(pulumi.Output.unsecret(self._names(secret, args)), _unknown_names(args))
        self.register_outputs({"public_key": self.names.apply(lambda made: made.public_key)})

    def _names(self, secret: pulumi.Output[str], args: PeerKeysArgs) -> pulumi.Output[PublicNames]:
        if self.private_key is None:
            return secret.apply(lambda value: keys.names(value, None, args.public_key))
        return pulumi.Output.all(secret, self.private_key).apply(lambda both: keys.names(both[0], both[1]))


def _unknown_names(args: PeerKeysArgs) -> PublicNames:
    return PublicNames(args.public_key or GENERATED_ON_APPLY, GENERATED_ON_APPLY, GENERATED_ON_APPLY)
