"""A stand-in for pulumi-random: RandomPassword, from the operating system's generator. Its id tells nothing, its result is secret."""

import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any

from toolchain.serving import Provider, serve_provider
from toolchain.values import UNKNOWN, secret
from toolchain.versions import PLUGINS

SPECIALS = "!@#$%&*()-_=+[]{}<>:?"
CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)


def password(length: int, special: bool) -> str:
    """Each character drawn from the whole alphabet: nothing about its composition is promised, so nothing lowers its entropy."""
    alphabet = "".join(CLASSES) + (SPECIALS if special else "")
    return "".join(secrets.choice(alphabet) for _ in range(length))


def input_faults(inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(input, what is wrong with it) for each input of a RandomPassword that is not as it must be."""
    length = inputs.get("length")
    if length != UNKNOWN and not (isinstance(length, int | float) and length == int(length) and length >= 1):
        yield "length", "length must be a whole number of at least 1"
    if inputs.get("special", True) not in (True, False, UNKNOWN):
        yield "special", "special must be true or false"
    keepers = inputs.get("keepers", {})
    if keepers != UNKNOWN and not isinstance(keepers, dict):
        yield "keepers", "keepers must be a map of texts"


class RandomProvider(Provider):
    """random:index/randomPassword:RandomPassword; any changed input replaces it, as with the official plugin."""

    TOKEN = "random:index/randomPassword:RandomPassword"
    VERSION = PLUGINS["random"]
    INPUTS = frozenset({"length", "special", "keepers"})
    OUTPUTS = ("result",)
    REPLACES = True

    def faults(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """See input_faults."""
        return input_faults(inputs)

    async def create(self, urn: str, name: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Draw a password. The id is the constant "none": ids are kept in plain text."""
        return "none", {"result": secret(password(int(inputs["length"]), bool(inputs.get("special", True))))}


def main() -> int:
    """Serve it."""
    return serve_provider(RandomProvider)
