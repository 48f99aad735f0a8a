"""The engine's values: how it marks what is secret and what is not known yet, inside plain JSON."""

from collections.abc import Mapping
from typing import Any

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def plain(value: Any) -> Any:
    """The value without its secret marks, at any depth."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return plain(value.get("value"))
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def secret(value: Any) -> dict[str, Any]:
    """The value, marked for the engine to encrypt in the state and to mask in what it prints."""
    return {SIGNATURE: SECRET, "value": value}


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The top-level inputs that differ, in a stable order; only whether a value is secret is no difference."""
    return sorted(key for key in {*old, *new} if plain(old.get(key)) != plain(new.get(key)))
