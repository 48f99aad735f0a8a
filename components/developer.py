"""One machine of a developer: keys, and its files. Room: Pulumi, no file formats; the files are wg_office/people/profiles.py."""

from dataclasses import dataclass

import pulumi

from wg_office.environment.model import Client, Environment
from wg_office.hosts.keys import PublicNames
from wg_office.people.profiles import best_of, profiles, render_profile

from .keys import Keys, PeerKeysArgs, client_keys, peer_keys


@dataclass(frozen=True)
class DeveloperArgs:
    """The environment, the machine, and the hub's public key.

    `stood` is the URN under which the stack has its secret, where that is not this component's: without it the secret would be another
    one, and its owner would need new files. `preshared_key` is adopted (secret).
    """

    environment: Environment
    client: Client
    hub: pulumi.Output[PublicNames]
    stood: str | None = None
    preshared_key: pulumi.Output[str] | None = None


class Developer(pulumi.ComponentResource):
    """A developer's keys and files, of one machine: who has several devices has one of these for each.

    Both outputs are secret: `conf` is the file that is best for the platform, `confs` are all of them by kind.
    """

    keys: Keys
    conf: pulumi.Output[str]
    confs: pulumi.Output[dict[str, str]]

    def __init__(self, name: str, args: DeveloperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:Developer", name, None, opts)
        client = args.client
        opts = pulumi.ResourceOptions(parent=self, aliases=[] if args.stood is None else [args.stood])
        self.keys = peer_keys(name, PeerKeysArgs(args.environment.rotation_of(client), None, client.public_key, args.preshared_key), opts)
        made = client_keys(args.hub, self.keys, preshared=client.preshared != "none")
        every = profiles(args.environment, client)
        best = best_of(client, every).kind
        self.confs = pulumi.Output.secret(made.apply(lambda keys: {profile.kind: render_profile(profile, keys) for profile in every}))
        self.conf = self.confs.apply(lambda texts: texts[best])
        self.register_outputs({})
