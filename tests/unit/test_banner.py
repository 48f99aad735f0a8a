"""Who is taken for an SSH server that works before anybody logs in."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from wg_office.asking.banner import silent
from wg_office.environment.model import Ssh

LOOPBACK = "127.0.0.1"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def speaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await to_its_end(reader, writer)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await to_its_end(reader, writer)


async def to_its_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(("handler", "found"), [(speaks, False), (hangs_up, False), (says_nothing, True)])
def test_only_what_takes_a_connection_and_keeps_it_without_a_word_is_silent(handler: Handler, found: bool) -> None:
    async def ask() -> bool:
        async with await asyncio.start_server(handler, LOOPBACK, 0) as server:
            return await silent(Ssh(host=LOOPBACK, port=server.sockets[0].getsockname()[1]), 0.5 if found else 60)

    assert asyncio.run(ask()) is found


def test_where_nobody_listens_nobody_is_silent() -> None:
    async def ask() -> bool:
        async with await asyncio.start_server(says_nothing, LOOPBACK, 0) as server:
            port = server.sockets[0].getsockname()[1]
        return await silent(Ssh(host=LOOPBACK, port=port), 60)

    assert asyncio.run(ask()) is False
