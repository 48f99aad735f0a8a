"""What our plugins share: a gRPC server that tells its port on stdout and ends cleanly, the engine's values, a provider's plumbing."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]
from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from toolchain.callers import OwnUserOnly
from toolchain.values import UNKNOWN, changed_keys, plain

# As the engine's own limit: a state with a thousand peers' texts is far over gRPC's default of 4 MiB.
GRPC_OPTIONS = [("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20)]


def to_dict(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A protobuf struct as a dict."""
    return dict(json_format.MessageToDict(struct))


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """A dict as a protobuf struct."""
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


class EngineLog:
    """The engine's log: status lines below a resource while it is being worked on, and messages that stay."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=GRPC_OPTIONS)
        self._engine = engine_pb2_grpc.EngineStub(self._channel)

    async def status(self, urn: str, message: str) -> None:
        """One line that is shown while the resource is being worked on, and not afterwards."""
        request = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=message, urn=urn, ephemeral=True)
        try:
            await self._engine.Log(request)
        except grpc.aio.AioRpcError:
            return  # the engine is going away; a progress line is no reason to fail


class ResourceError(Exception):
    """Why an operation on a resource failed, as one text for the person at the terminal."""


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The plumbing of a provider with one resource type; the subclass says what its resource does.

    Secrets come in marked and go out as they came. Nothing here writes to stdout or stderr: the engine shows those in its debug log.
    """

    TOKEN = ""
    VERSION = ""
    INPUTS: frozenset[str] = frozenset()
    OUTPUTS: tuple[str, ...] = ()
    REPLACES = False

    def __init__(self, engine_address: str | None) -> None:
        self.log = EngineLog(engine_address) if engine_address else None

    # What a subclass fills in.

    def faults(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """(input, what is wrong with it) for each input that this resource cannot take."""
        raise NotImplementedError

    async def create(self, urn: str, name: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make it: its id and its outputs, inputs not included."""
        raise NotImplementedError

    async def update(self, urn: str, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
        """Change it to the new inputs: its outputs, inputs not included. `old` is the recorded state."""
        raise NotImplementedError

    async def delete(self, urn: str, state: Mapping[str, Any]) -> None:
        """Take it away, by what the state recorded."""

    def cancel(self) -> None:
        """Start nothing new; what is under way may finish."""

    # The protocol.

    async def Handshake(self, request: Any, context: Any) -> Any:
        """The engine's address, where it was not the argument."""
        if self.log is None and request.engine_address:
            self.log = EngineLog(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The version of the official plugin that this one stands in for."""
        return plugin_pb2.PluginInfo(version=self.VERSION)

    async def CheckConfig(self, request: Any, context: Any) -> Any:
        """These providers have no configuration of their own."""
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:
        """No configuration, no difference."""
        return provider_pb2.DiffResponse()

    async def Configure(self, request: Any, context: Any) -> Any:
        """What this provider understands."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    async def Check(self, request: Any, context: Any) -> Any:
        """Refuse, before anything is done, whatever is not implemented."""
        token = request.urn.split("::")[2].split("$")[-1]
        if token != self.TOKEN:
            reason = f"this stand-in for the provider implements {self.TOKEN} only, not {token}; install the official Pulumi for it"
            return provider_pb2.CheckResponse(inputs=request.news, failures=[provider_pb2.CheckFailure(reason=reason)])
        inputs = plain(to_dict(request.news))
        faults = [*self._unknown_inputs(inputs), *self.faults(inputs)]
        failures = [provider_pb2.CheckFailure(property=name, reason=reason) for name, reason in faults]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def _unknown_inputs(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        for name in sorted(set(inputs) - self.INPUTS):
            yield name, f"{name} is not implemented by this stand-in for {self.TOKEN}: leave it out, or install the official Pulumi"

    async def Diff(self, request: Any, context: Any) -> Any:
        """Any changed input is a change: an update, or a replacement where the resource cannot be updated."""
        keys = changed_keys(to_dict(request.old_inputs), to_dict(request.news))
        if not keys:
            return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)
        kinds = provider_pb2.PropertyDiff
        kind = kinds.UPDATE_REPLACE if self.REPLACES else kinds.UPDATE
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            diffs=keys,
            replaces=keys if self.REPLACES else [],
            detailedDiff={key: provider_pb2.PropertyDiff(kind=kind, inputDiff=True) for key in keys},
            hasDetailedDiff=True,
        )

    async def Create(self, request: Any, context: Any) -> Any:
        """Create, or in a preview only say what is not known yet."""
        inputs = to_dict(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(id="", properties=to_struct(self._previewed(inputs)))
        name = request.name or request.urn.split("::")[-1]
        try:
            identity, outputs = await self.create(request.urn, name, plain(inputs))
        except ResourceError as error:
            await refuse(context, error)
        return provider_pb2.CreateResponse(id=identity, properties=to_struct({**inputs, **outputs}))

    async def Update(self, request: Any, context: Any) -> Any:
        """Update, or in a preview only say what is not known yet."""
        inputs = to_dict(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct(self._previewed(inputs)))
        try:
            outputs = await self.update(request.urn, plain(inputs), plain(to_dict(request.olds)))
        except ResourceError as error:
            await refuse(context, error)
        return provider_pb2.UpdateResponse(properties=to_struct({**inputs, **outputs}))

    async def Delete(self, request: Any, context: Any) -> Any:
        """Delete by the recorded state."""
        try:
            await self.delete(request.urn, plain(to_dict(request.properties)))
        except ResourceError as error:
            await refuse(context, error)
        return empty_pb2.Empty()

    async def Read(self, request: Any, context: Any) -> Any:
        """The state as it is recorded: like the official plugins, these cannot see drift."""
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Cancel(self, request: Any, context: Any) -> Any:
        """The user pressed Ctrl-C."""
        self.cancel()
        return empty_pb2.Empty()

    def _previewed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {**inputs, **dict.fromkeys(self.OUTPUTS, UNKNOWN)}


async def refuse(context: Any, error: Exception) -> NoReturn:
    """End the call with the error's text, which the engine shows as it is."""
    await context.abort(grpc.StatusCode.UNKNOWN, str(error))
    raise AssertionError("abort returned")


async def _serve(register: Callable[[grpc.aio.Server], Callable[[], None]]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    callers = OwnUserOnly()
    server = grpc.aio.server(options=GRPC_OPTIONS, interceptors=[callers])
    close = register(server)
    port = callers.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await stopped.wait()
    close()
    await server.stop(grace=None)


def serve(register: Callable[[grpc.aio.Server], Callable[[], None]]) -> int:
    """Serve until SIGINT or SIGTERM. `register` adds the servicer and returns what is to be called at the end."""
    # gRPC prints a traceback for every call that the engine cancels, and the language host's stderr is the user's terminal.
    # No fault is hidden by this: one in a call is the call's answer, and programs that we start have the real stderr.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        asyncio.run(_serve(register))
    return 0


def serve_provider(provider: type[Provider]) -> int:
    """Serve a provider; the engine's address is the last argument, as for every plugin."""

    def register(server: grpc.aio.Server) -> Callable[[], None]:
        servicer = provider(engine_address())
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
        return servicer.cancel

    return serve(register)


def engine_address() -> str | None:
    """The engine's address, if the engine gave it as the last argument."""
    return sys.argv[-1] if len(sys.argv) > 1 and not sys.argv[-1].startswith("-") else None
