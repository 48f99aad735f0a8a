"""A plugin serves the user who started it, and nobody else who can reach its port."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
import pytest
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, provider_pb2, provider_pb2_grpc

from toolchain.callers import OwnUserOnly, owner

CLONE = Path(__file__).resolve().parents[2]
NOBODY = 65534


@contextmanager
def plugin(module: str) -> Iterator[str]:
    """A stand-in as the engine starts it; its address."""
    command = [sys.executable, "-I", str(CLONE / "toolchain" / "launch.py"), module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


@contextmanager
def as_user(user: int) -> Iterator[None]:
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


def information(address: str) -> str:
    # Without this gRPC may go on using a connection that an earlier channel opened, as another user.
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        return str(provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty(), timeout=30).version)


@pytest.mark.parametrize("module", ["plugin_command", "plugin_random"])
def test_who_started_it_is_answered_and_another_user_is_not(module: str) -> None:
    with plugin(module) as address:
        assert information(address)
        if os.getuid() != 0:
            pytest.skip("only root can connect as somebody else; the other tests here have a server that takes us for another")
        with pytest.raises(grpc.RpcError) as refused, as_user(NOBODY):
            information(address)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert information(address), "it goes on serving its own user"


class Everything(language_pb2_grpc.LanguageRuntimeServicer):
    """A method of each kind that the plugins have."""

    async def About(self, request: object, context: object) -> object:
        return language_pb2.AboutResponse(version="1")

    async def InstallDependencies(self, request: object, context: object) -> AsyncIterator[object]:
        yield language_pb2.InstallDependenciesResponse(stdout=b"1")


async def _called(user: int | None) -> list[grpc.StatusCode | bytes]:
    guard = OwnUserOnly(user)
    server = grpc.aio.server(interceptors=[guard])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Everything(), server)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider_pb2_grpc.ResourceProviderServicer(), server)
    guard.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    came: list[grpc.StatusCode | bytes] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{guard.port}") as channel:
        host, provider = language_pb2_grpc.LanguageRuntimeStub(channel), provider_pb2_grpc.ResourceProviderStub(channel)
        for _ in range(2):
            try:
                came.append((await host.About(language_pb2.AboutRequest())).version.encode())
                came += [part.stdout async for part in host.InstallDependencies(language_pb2.InstallDependenciesRequest())]
            except grpc.aio.AioRpcError as error:
                came.append(error.code())
        try:
            await provider.Read(provider_pb2.ReadRequest())
        except grpc.aio.AioRpcError as error:
            came.append(error.code())
    await server.stop(None)
    return came


def test_every_kind_of_method_is_guarded_and_what_is_not_implemented_still_says_so() -> None:
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert asyncio.run(_called(None)) == [b"1", b"1", b"1", b"1", grpc.StatusCode.UNIMPLEMENTED]
    assert asyncio.run(_called(os.getuid() + 1)) == [denied, denied, denied]


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")])
def test_the_kernel_knows_whose_a_connection_is(family: socket.AddressFamily, address: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(family) as client:
        port = server.getsockname()[1]
        client.connect((address, port))
        assert owner(client.getsockname()[1], port) == os.getuid()
        assert owner(client.getsockname()[1], port + 1) is None


@pytest.mark.parametrize("peer", ["unix:", "ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:x", ""])
def test_who_cannot_be_found_is_refused(peer: str) -> None:
    assert not OwnUserOnly().allows(peer)
