"""Who calls a plugin: only the user who started it may.

The engine finds its plugins at a port of the loopback address, which every local user may connect to; and a plugin logs in to hosts
with the operator's agent, or runs programs as the operator. The kernel says whose the socket at the other end of a connection is
(proc(5), /proc/net/tcp).
"""

import inspect
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOOPBACK = socket.inet_pton(socket.AF_INET, "127.0.0.1")
_MAPPED = socket.inet_pton(socket.AF_INET6, "::ffff:127.0.0.1")
_REMEMBERED = 0.9
"""Seconds. A kernel gives the two ports of a closed connection to another one after a second at the earliest."""

_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def owner(caller_port: int, port: int) -> int | None:
    """The user id of the socket on the loopback address that is connected from one port to the other; None where there is none."""
    wanted = [f" {_end(address, caller_port)} {_end(address, port)} " for address in (_LOOPBACK, _MAPPED)]
    for table in TABLES:
        rows = table.read_text().splitlines()
        found = next((row for row in rows if any(ends in row for ends in wanted)), None)
        if found is not None:
            return int(found.split()[7])
    return None


def _end(address: bytes, port: int) -> str:
    """An end of a connection as the kernel writes it: words of four bytes in the machine's own order."""
    words = (int.from_bytes(address[start : start + 4], sys.byteorder) for start in range(0, len(address), 4))
    return f"{''.join(f'{word:08X}' for word in words)}:{port:04X}"


class OwnUserOnly(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses every call over a connection that is not this user's. Where the kernel does not say (not Linux), nobody is refused."""

    def __init__(self, user: int | None = None) -> None:
        self.port = 0
        self._user = os.getuid() if user is None else user
        self._known: dict[str, float] = {}

    def allows(self, peer: str) -> bool:
        """Whether this is our own user: `ipv4:127.0.0.1:54321`, as gRPC names the other end."""
        if not TABLES[0].exists():
            return True
        if time.monotonic() - self._known.get(peer, float("-inf")) < _REMEMBERED:
            return True
        caller_port = unquote(peer).rpartition(":")[2]
        if not caller_port.isdigit() or owner(int(caller_port), self.port) != self._user:
            return False
        self._known[peer] = time.monotonic()
        return True

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Put the question before each method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        kind = (handler.request_streaming, handler.response_streaming)
        method = next(one for one in (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream) if one)
        guarded = self._guarded_stream(method) if handler.response_streaming else self._guarded(method)
        return _HANDLERS[kind](guarded, handler.request_deserializer, handler.response_serializer)

    def _guarded(self, method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(request: Any, context: Any) -> Any:
            await self._refuse_others(context)
            answered = method(request, context)
            return await answered if inspect.isawaitable(answered) else answered

        return answer

    def _guarded_stream(self, method: Callable[[Any, Any], AsyncIterator[Any]]) -> Callable[[Any, Any], AsyncIterator[Any]]:
        async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._refuse_others(context)
            async for part in method(request, context):
                yield part

        return answer

    async def _refuse_others(self, context: Any) -> None:
        if not self.allows(context.peer()):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "this plugin serves the user who started it, and nobody else")
