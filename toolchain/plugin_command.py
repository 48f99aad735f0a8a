"""A stand-in for pulumi-command: remote.Command, over real SSH connections to servers with a pinned host key."""

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from toolchain.remote_shell import CommandError, DialError, Job, Retries, run
from toolchain.serving import Provider, ResourceError, serve_provider
from toolchain.values import UNKNOWN, plain
from toolchain.versions import PLUGINS

TEXTS = ("create", "update", "delete", "stdin")
SHOWN = {
    "stdout": frozenset({"stdout"}),
    "stderr": frozenset({"stderr"}),
    "stdoutAndStderr": frozenset({"stdout", "stderr"}),
    "none": frozenset[str](),
}
CONNECTION = frozenset({"host", "port", "user", "privateKey", "hostKey", "agentSocketPath", "dialErrorLimit", "perDialTimeout"})
PASSWORDS = frozenset({"password", "privateKeyPassword"})


def input_faults(inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(input, what is wrong with it) for each input of a remote.Command that cannot be carried out here."""
    for name in TEXTS:
        if not isinstance(inputs.get(name, ""), str):
            yield name, f"{name} must be a text"
    if inputs.get("addPreviousOutputInEnv") is not False:
        yield (
            "addPreviousOutputInEnv",
            "addPreviousOutputInEnv must be false: most servers refuse the variables, and this stand-in sends none",
        )
    if inputs.get("logging", UNKNOWN) not in (*SHOWN, UNKNOWN):
        yield "logging", f"logging must be one of {', '.join(SHOWN)}"
    yield from connection_faults("connection", inputs.get("connection"))


def connection_faults(path: str, connection: Any) -> Iterable[tuple[str, str]]:
    """The same for a connection, and for the proxy in it; a connection that is not known yet has none."""
    if connection == UNKNOWN:
        return
    if not isinstance(connection, dict):
        yield path, f"{path} must say which host to connect to"
        return
    allowed = CONNECTION | ({"proxy"} if path == "connection" else set())
    for name in sorted(set(connection) - allowed):
        use = "use privateKey or an agent" if name in PASSWORDS else "leave it out"
        yield path, f"{path}.{name} is not implemented by this stand-in: {use}"
    yield from _missing(path, connection)
    yield from _numbers(path, connection)
    if connection.get("proxy") is not None and path == "connection":
        yield from connection_faults("connection.proxy", connection["proxy"])


def _missing(path: str, connection: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if not connection.get("host"):
        yield path, f"{path}.host is missing"
    if not connection.get("hostKey"):
        yield path, f"{path}.hostKey is missing: this stand-in connects to no server whose key is not pinned"


def _numbers(path: str, connection: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, least, most in (("port", 1, 65535), ("dialErrorLimit", -1, 1000), ("perDialTimeout", 0, 3600)):
        value = connection.get(name, UNKNOWN)
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        if value != UNKNOWN and not (whole and least <= value <= most):
            yield path, f"{path}.{name} must be a whole number from {least} to {most}"


class CommandProvider(Provider):
    """command:remote:Command. Each operation dials anew; a preview never does."""

    TOKEN = "command:remote:Command"
    VERSION = PLUGINS["command"]
    INPUTS = frozenset({*TEXTS, "logging", "connection", "addPreviousOutputInEnv"})
    OUTPUTS = ("stdout", "stderr")

    def __init__(self, engine_address: str | None) -> None:
        super().__init__(engine_address)
        self.retries = Retries()

    def faults(self, inputs: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """See input_faults."""
        return input_faults(inputs)

    def cancel(self) -> None:
        """Dial no more, and wait for what runs only a little longer. On the host it goes on, as with the official plugin."""
        self.retries.cancelled.set()

    async def create(self, urn: str, name: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Run `create`."""
        return f"{name}{secrets.token_hex(4)}", await self._run(urn, inputs, inputs.get("create"))

    async def update(self, urn: str, inputs: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
        """Run `update`, or `create` where there is none."""
        command = inputs.get("update", inputs.get("create"))
        if command is None:
            return {name: old[name] for name in self.OUTPUTS if name in old}
        return await self._run(urn, inputs, command)

    async def delete(self, urn: str, state: Mapping[str, Any]) -> None:
        """Run `delete` with the recorded connection and stdin; without one there is nothing to do."""
        await self._run(urn, state, state.get("delete"))

    async def _run(self, urn: str, inputs: Mapping[str, Any], command: str | None) -> dict[str, Any]:
        if command is None:
            return {"stdout": "", "stderr": ""}
        shown = SHOWN[inputs.get("logging", "stdoutAndStderr")]
        job = Job(plain(inputs["connection"]), command, inputs.get("stdin", ""), shown)

        async def say(line: str) -> None:
            if self.log is not None:
                await self.log.status(urn, line)

        try:
            finished = await run(job, self.retries, say)
        except (DialError, CommandError) as error:
            raise ResourceError(str(error)) from error
        return {"stdout": finished.stdout, "stderr": finished.stderr}


def main() -> int:
    """Serve it."""
    return serve_provider(CommandProvider)
