"""What the tunnel of a gateway that nobody logs in to stands on. Pure; nothing of it is secret.

The stack holds it, and the next `up` compares.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from wg_office.hosts.keys import PublicNames
from wg_office.people.pasted.values import Pasted


@dataclass(frozen=True)
class Standing:
    """What the device has in common with the hub, if a person has pasted what there is to paste."""

    tunnel: Sequence[str]
    """Without each of these nothing passes: keys by their public names, the endpoint, the device's addresses."""
    lans: Mapping[str, str]
    """By what each LAN is known to all others."""
    text: str
    """The fingerprint of what there is to paste."""

    def bears(self, now: "Standing") -> bool:
        """Whether what was reached goes on while the device has this and the hub has that; a LAN that is not in both nobody misses."""
        return {*now.tunnel} <= {*self.tunnel} and all(self.lans.get(lan, known) == known for lan, known in now.lans.items())


def standing(made: Pasted, hub: PublicNames, own: PublicNames, text: str) -> Standing:
    """Of what this says with these keys; `text` is its fingerprint."""
    known = {each.real: each.known_as for each in made.aliases}
    return Standing(
        (
            f"public key {own.public_key}",
            f"preshared key {own.preshared_name if made.hub.psk_of is not None else None}",
            f"the hub's public key {hub.public_key}",
            f"endpoint {made.endpoint}",
            *(f"address {address}" for address in made.addresses),
        ),
        {str(lan): str(known.get(lan, lan)) for lan in made.lans},
        text,
    )


def held(noted: Mapping[str, Any] | None) -> Standing | None:
    """What the stack has of an earlier `up`; None where it has nothing, or another version's."""
    return Standing(**noted) if noted is not None and noted.keys() == {each.name for each in fields(Standing)} else None


def fingerprint(text: str) -> str:
    """Names a text: 64 bits of a hash. Who does not have its keys finds nothing by it."""
    return hashlib.sha256(f"wg-office pasted {text}".encode()).hexdigest()[:16]
