"""One developer: keys, and the files for their machine. Room: Pulumi, no file formats; the files are wg_office/profiles.py."""

from dataclasses import dataclass

import pulumi

from components.keys import PeerKeys, PeerKeysArgs
from wg_office.keys import PublicNames
from wg_office.model import Developer as DeveloperModel
from wg_office.model import Environment
from wg_office.profiles import ClientKeys, best_profile, profiles, render_profile


@dataclass(frozen=True)
class DeveloperArgs:
    """The environment, the developer in it, and the hub's public key."""

    environment: Environment
    developer: DeveloperModel
    hub: pulumi.Output[PublicNames]


class Developer(pulumi.ComponentResource):
    """A developer's keys and files.

    Both outputs are secret: `conf` is the file that is best for the platform, `confs` are all of them by kind.
    """

    keys: PeerKeys
    conf: pulumi.Output[str]
    confs: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: DeveloperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:Developer", name, None, opts)
        developer = args.developer
        self.keys = PeerKeys(name, PeerKeysArgs(developer.rotation, public_key=developer.public_key), pulumi.ResourceOptions(parent=self))
        client_keys = pulumi.Output.all(args.hub, self.keys.preshared_key, self.keys.private_key).apply(
            lambda made: ClientKeys(hub_public_key=made[0].public_key, preshared_key=made[1], private_key=made[2])
        )
        best, every = best_profile(args.environment, developer), profiles(args.environment, developer)
        self.conf = pulumi.Output.secret(client_keys.apply(lambda keys: render_profile(best, keys)))
        self.confs = pulumi.Output.secret(
            client_keys.apply(lambda keys: {profile.kind: render_profile(profile, keys) for profile in every})
        )
        self.register_outputs({"conf": self.conf})
