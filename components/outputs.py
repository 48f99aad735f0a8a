"""Small helpers for Outputs. Room: Pulumi, no file formats."""

import asyncio
from typing import Any, TypeVar

import pulumi

T = TypeVar("T")


def shown(value: pulumi.Output[T], placeholder: T) -> pulumi.Output[T]:
    """The value; or, in a preview that cannot know it yet, a placeholder.

    One unknown inside a long text would make all of the text `[unknown]` in the preview, and with it unreviewable. Only for values
    that are not secret: the result is not.
    """
    if not pulumi.runtime.is_dry_run():
        return value

    async def known_or_placeholder() -> T:
        if not await value.is_known():
            return placeholder
        result = await value.future()
        return placeholder if result is None else result

    async def answer(value: bool) -> bool:
        return value

    known, secret = asyncio.ensure_future(answer(True)), asyncio.ensure_future(answer(False))
    return pulumi.Output(value.resources(), asyncio.ensure_future(known_or_placeholder()), known, secret)


def once(value: pulumi.Output[T], checked: pulumi.Output[None]) -> pulumi.Output[T]:
    """The value, when something else has been found right; whatever needs the value fails where that was not.

    It depends on no more resources than before: in the state, each host would otherwise be said to depend on every developer.
    """

    async def waited() -> T | None:
        await checked.future()
        return await value.future()

    # The type of an Output's future admits None, which stands for a value that is not known.
    future: asyncio.Future[Any] = asyncio.ensure_future(waited())
    return pulumi.Output(value.resources(), future, asyncio.ensure_future(value.is_known()), asyncio.ensure_future(value.is_secret()))
