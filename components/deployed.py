"""What the stack holds of an earlier `up`, before anything of this one is registered. Room: Pulumi, no file formats.

Asking leaves no trace in a preview. Before the first `up` there is nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from netaddr import IPAddress

from wg_office.environment.model import Environment
from wg_office.hosts.changes import addresses
from wg_office.hosts.description import read
from wg_office.people.pasted import Standing, held

from .command import COMMAND, fed_to
from .keys import PASSWORD, peer_of
from .pasted import PASTED, STANDING
from .under_way import host_of, is_description

_DEVELOPER = "$wg-office:network:Developer$"
"""Stands in the URN of what is a developer's."""

_BETWEEN = f"{_DEVELOPER}wg-office:network:PeerKeys$"
"""Stands in the URN of a developer's secret until 3369bfa."""


@dataclass(frozen=True)
class Deployed:
    """The peers that have keys, of hosts those that are set up (a retired gateway has keys alone), and the developers' addresses, as the
    hub was last given them; what is set on gateways that nobody logs in to, if a person has pasted it; and the URN of each peer's secret.
    """

    peers: tuple[str, ...]
    developers: Mapping[str, IPAddress]
    pasted: Mapping[str, Standing | None]
    secrets: Mapping[str, str]

    def moved(self, env: Environment) -> dict[str, str]:
        """Developers' machines that are devices now, by what each is called: what it was called when its keys were made."""
        return {client.name: name for name, client in env.heirs(self.developers).items() if name in self.peers}

    def stood(self, env: Environment) -> dict[str, str]:
        """Developers' machines whose secret now has another place or name, and the URN that it had."""
        former = {client.name: client.name for client in env.clients} | self.moved(env)
        urns = {name: self.secrets[was] for name, was in former.items() if was in self.secrets}
        return {name: urn for name, urn in urns.items() if former[name] != name or _BETWEEN in urn}


def deployed() -> Deployed:
    """As the state has it."""
    found: Any = pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": _stack()}).value
    resources: dict[str, dict[str, Any]] = (found or {}).get("outputs") or {}
    developers = {name: address for text in _descriptions(resources) for name, address in addresses(read(text)).items()}
    pasted = {_name(urn): held((each.get("outputs") or {}).get(STANDING)) for urn, each in resources.items() if each.get("type") == PASTED}
    secrets = dict(_secrets(resources))
    peers = {*_in_use(secrets, resources), *pasted}
    return Deployed(tuple(sorted(peers)), developers, pasted, secrets)


def _stack() -> pulumi.Output[str]:
    """The stack's name once the engine has noted its own resource: while it writes that down, a state in files cannot be read.

    The file backend keeps a `.attrs` beside the state, which it truncates and fills (gocloud.dev/blob/fileblob, attrs.go); in between,
    reading says `failed to load checkpoint: EOF`.
    """
    name = "/".join((pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack()))
    root = pulumi.runtime.get_root_resource()
    return pulumi.Output.from_input(name) if root is None else root.urn.apply(lambda _: name)


def _secrets(resources: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for urn, resource in resources.items():
        name = peer_of(_name(urn)) if resource.get("type") == PASSWORD else None
        if name is not None:
            yield name, urn


def _in_use(secrets: Mapping[str, str], urns: Iterable[str]) -> Iterator[str]:
    set_up = {host_of(_name(urn)) for urn in urns if is_description(_name(urn))}
    return (name for name, urn in secrets.items() if _DEVELOPER in urn or name in set_up)


def _descriptions(resources: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for urn, resource in resources.items():
        if resource.get("type") == COMMAND and is_description(_name(urn)):
            yield fed_to(resource.get("outputs") or {})


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]
