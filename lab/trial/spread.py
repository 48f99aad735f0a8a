"""So many of a longer list, spread evenly. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(items: Sequence[Item], at_most: int) -> tuple[Item, ...]:
    """At most so many, in their order: the first one, and the others at equal distances from it."""
    if len(items) <= at_most:
        return tuple(items)
    return tuple(items[number * len(items) // at_most] for number in range(at_most))
