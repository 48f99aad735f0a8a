"""One command over one new SSH connection, with the waiting, the limits and the error texts of the official command plugin.

The texts are an interface: the program's error hook and its users read them, whichever plugin runs.
"""

import asyncio
import errno
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncssh

FIRST_DELAY = 0.1
BACKOFF = 1.5
LONGEST_DELAY = 5.0
DIAL_ERRORS_BY_DEFAULT = 10
SECONDS_PER_DIAL_BY_DEFAULT = 15
SECONDS_OF_SILENCE, TIMES_ASKED = 15, 3
"""How long a connection may be silent before the other end is asked whether it is there, and how often before it counts as lost.

Asked is the server itself. The kernel's keepalives, which the official plugin relies on, are answered by whatever carries the connection.
"""
SECONDS_AFTER_CANCEL = 20
"""What has begun may end by itself; a host finishes it, or undoes it, also where nobody waits."""
LOST_SESSION = "wait: remote command exited without exit status or exit signal"
LONGEST_OUTPUT = 16 << 20
"""Bytes on one stream; a host that never ends must not fill this machine's memory."""
SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "SEGV": 11, "PIPE": 13, "ALRM": 14, "TERM": 15}

Result = TypeVar("Result")
Say = Callable[[str], Awaitable[None]]


class DialError(Exception):
    """No connection, with the text that the official plugin has for it."""


class CommandError(Exception):
    """The command did not end with status 0, or its end was not seen."""


@dataclass(frozen=True)
class Endpoint:
    """One server, how to prove who we are, and who it must be."""

    host: str
    port: int
    user: str
    host_key: str
    private_key: str | None
    agent: str | None
    dial_errors: int
    dial_seconds: float

    @classmethod
    def of(cls, connection: Mapping[str, Any]) -> "Endpoint":
        """From the resource's `connection` input, or from its `proxy`."""
        return cls(
            host=str(connection["host"]),
            port=int(connection.get("port") or 22),
            user=str(connection.get("user") or "root"),
            host_key=str(connection["hostKey"]),
            private_key=connection.get("privateKey"),
            agent=connection.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK") or None,
            dial_errors=int(connection.get("dialErrorLimit", DIAL_ERRORS_BY_DEFAULT)),
            dial_seconds=float(connection.get("perDialTimeout", SECONDS_PER_DIAL_BY_DEFAULT)),
        )

    @property
    def address(self) -> str:
        """host:port, the way Go writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Finished:
    """What a command that ended with status 0 has said."""

    stdout: str
    stderr: str


class Retries:
    """Dials again, ever more slowly, until the limit; `cancelled` ends it early."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def dial(self, what: str, limit: int, attempt: Callable[[], Awaitable[Result]], say: Say) -> Result:
        """The first success of `attempt`, or its last error. A limit of -1 is none."""
        failed, delay = 0, FIRST_DELAY
        while True:
            try:
                return await attempt()
            except DialError as error:
                failed += 1
                if limit > -1 and failed > limit:
                    raise DialError(f"after {failed - 1} failed attempts: {error}") from error
            await say(f"{what} {failed}/{'inf' if limit == -1 else limit} failed: retrying")
            if await self._cancelled_within(min(delay, LONGEST_DELAY)):
                raise DialError("context canceled")
            delay *= BACKOFF

    async def _cancelled_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.cancelled.wait()
        except TimeoutError:
            return False
        return True


def go_reason(error: OSError) -> str:
    """What Go says for an operating system's error."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return "i/o timeout"
    return "connect: " + os.strerror(error.errno).lower() if error.errno else str(error)


def dial_text(endpoint: Endpoint, error: OSError) -> str:
    """What the official plugin says when a TCP connection cannot be made."""
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {endpoint.host}: no such host"
    return f"dial tcp {endpoint.address}: {go_reason(error)}"


def handshake_text(error: Exception) -> str:
    """What the official plugin says when there is a TCP connection, but no SSH session on it."""
    import asyncssh

    if isinstance(error, TimeoutError):
        reason = "i/o timeout"
    elif isinstance(error, asyncssh.HostKeyNotVerifiable):
        reason = "ssh: host key mismatch"
    elif isinstance(error, asyncssh.PermissionDenied):
        reason = "ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain"
    elif isinstance(error, asyncssh.KeyExchangeFailed):
        reason = f"ssh: no common algorithm: {error.reason}"
    elif isinstance(error, asyncssh.ConnectionLost):
        reason = "EOF"
    elif isinstance(error, OSError) and error.errno in (errno.ECONNRESET, errno.EPIPE):
        reason = "read: connection reset by peer"
    else:
        reason = f"ssh: {error}"
    return f"ssh: handshake failed: {reason}"


class Dialler:
    """Makes one new connection, through a proxy where there is one. What it opens, the stack given to it closes."""

    def __init__(self, retries: Retries, say: Say, stack: AsyncExitStack) -> None:
        self._retries = retries
        self._say = say
        self._stack = stack

    async def connect(self, connection: Mapping[str, Any]) -> "asyncssh.SSHClientConnection":
        """A connection that is ready for a command."""
        target = Endpoint.of(connection)
        options = await ssh_options(target, self._stack)
        if not connection.get("proxy"):
            return await self._retries.dial("Dial", target.dial_errors, lambda: self._dial(target, options, None), self._say)
        try:
            proxy = Endpoint.of(connection["proxy"])
            proxy_options = await ssh_options(proxy, self._stack)
            tunnel = await self._retries.dial("Dial proxy", proxy.dial_errors, lambda: self._dial(proxy, proxy_options, None), self._say)
            return await self._retries.dial("Dial from proxy", target.dial_errors, lambda: self._dial(target, options, tunnel), self._say)
        except DialError as error:
            raise DialError(f"proxy: {error}") from error

    async def _dial(
        self, endpoint: Endpoint, options: Mapping[str, Any], tunnel: "asyncssh.SSHClientConnection | None"
    ) -> "asyncssh.SSHClientConnection":
        import asyncssh

        opened = None if tunnel else await open_tcp(endpoint)
        try:
            via = {"tunnel": tunnel} if tunnel else {"sock": opened}
            # The official plugin has no limit here. This one's is that of a TCP connection.
            async with asyncio.timeout(endpoint.dial_seconds or None):
                made = await asyncssh.connect(endpoint.host, endpoint.port, **via, **options)
        except asyncssh.ChannelOpenError as error:
            raise DialError(f"ssh: rejected: connect failed ({error.reason})") from error
        except (OSError, asyncssh.Error) as error:
            if opened:
                opened.close()
            raise DialError(handshake_text(error)) from error
        self._stack.push_async_callback(made.wait_closed)
        self._stack.callback(made.close)
        return made


async def open_tcp(endpoint: Endpoint) -> socket.socket:
    """A TCP connection, within the time that one attempt has; 0 is no limit."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(endpoint.dial_seconds or None):
            found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
            return await _first_that_answers(found)
    except OSError as error:
        raise DialError(dial_text(endpoint, error)) from error


async def _first_that_answers(found: list[Any]) -> socket.socket:
    loop = asyncio.get_running_loop()
    last: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for family, kind, protocol, _, address in found:
        tcp = socket.socket(family, kind, protocol)
        tcp.setblocking(False)
        try:
            await loop.sock_connect(tcp, address)
        except OSError as error:
            tcp.close()
            last = error
        except BaseException:
            tcp.close()
            raise
        else:
            return tcp
    raise last


async def ssh_options(endpoint: Endpoint, stack: AsyncExitStack) -> dict[str, Any]:
    """The options for asyncssh: only the pinned key is trusted, only what the resource names is used, no file of the user's is read."""
    import asyncssh

    keys: list[Any] = await agent_keys(endpoint.agent, stack) if endpoint.agent else []
    try:
        host_key = asyncssh.import_public_key(endpoint.host_key)
        if endpoint.private_key:
            # As in the official plugin: where there is a private key, the agent's keys are not tried.
            keys = [asyncssh.import_private_key(endpoint.private_key)]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        locked = isinstance(error, asyncssh.KeyEncryptionError) or "passphrase" in str(error).lower()
        raise DialError(f"ssh: {'this private key is passphrase protected' if locked else 'no key found'}") from error
    return {
        "username": endpoint.user,
        "known_hosts": ([host_key], [], []),
        "server_host_key_algs": [host_key.get_algorithm()],
        "client_keys": keys or None,
        "agent_path": None,
        "preferred_auth": "publickey",
        "config": None,
        "login_timeout": 0,
        "keepalive_interval": SECONDS_OF_SILENCE,
        "keepalive_count_max": TIMES_ASKED,
    }


async def agent_keys(path: str, stack: AsyncExitStack) -> list["asyncssh.SSHKeyPair"]:
    """The agent's keys. One that does not answer is an error, as in the official plugin, even where it is not needed."""
    import asyncssh

    try:
        agent = await asyncssh.connect_agent(path)
    except OSError as error:
        raise DialError(f"dial unix {path}: {go_reason(error)}") from error
    stack.push_async_callback(agent.wait_closed)
    stack.callback(agent.close)
    return list(await agent.get_keys())


@dataclass(frozen=True)
class Job:
    """What to run, what to feed it, and which of its lines to show while it runs."""

    connection: Mapping[str, Any]
    command: str
    stdin: str
    shown: frozenset[str]


async def run(job: Job, retries: Retries, say: Say) -> Finished:
    """Dial anew, run, and hang up."""
    async with AsyncExitStack() as stack:
        connection = await Dialler(retries, say, stack).connect(job.connection)
        running = asyncio.ensure_future(_run_on(connection, job, say))
        await _ended_or_cancelled(running, retries.cancelled)
        if not running.done():
            # It ends as a session that broke.
            connection.abort()
        return await running


async def _ended_or_cancelled(running: "asyncio.Future[Finished]", cancelled: asyncio.Event) -> None:
    waiting = asyncio.ensure_future(cancelled.wait())
    both: set[asyncio.Future[Any]] = {running, waiting}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not running.done():
        await asyncio.wait({running}, timeout=SECONDS_AFTER_CANCEL)


async def _run_on(connection: "asyncssh.SSHClientConnection", job: Job, say: Say) -> Finished:
    import asyncssh

    gathered: dict[str, list[bytes]] = {"stdout": [], "stderr": [], "both": []}
    outcome = LOST_SESSION
    try:
        process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(job.command, encoding=None)
        streams = {"stdout": process.stdout, "stderr": process.stderr}
        readers = [_read(stream, gathered[name], gathered["both"], say if name in job.shown else None) for name, stream in streams.items()]
        await asyncio.gather(_feed(process, job.stdin.encode()), *readers)
        await process.wait_closed()
        outcome = ending(process.exit_status, process.exit_signal)
    except (OSError, asyncssh.Error):
        # The connection broke: whether the command was carried out is unknown, and the text says so.
        pass
    if outcome:
        both = "\n".join(map(printable, b"".join(gathered["both"]).split(b"\n")))
        raise CommandError(f"{outcome}: running {json.dumps(job.command, ensure_ascii=False)}:\n{both}")
    return Finished(*(b"".join(gathered[name]).decode(errors="replace").removesuffix("\n") for name in ("stdout", "stderr")))


def ending(status: int | None, signal: tuple[str, bool, str, str] | None) -> str:
    """What the official plugin says about how a command ended; nothing where it ended well."""
    if signal is not None:
        name, _, message, _ = signal
        reason = f". Reason was: {message}" if message else ""
        return f"Process exited with status {128 + SIGNALS.get(name, 0)} from signal {name}{reason}"
    if status is None or status < 0:
        return LOST_SESSION
    return f"Process exited with status {status}" if status else ""


async def _feed(process: "asyncssh.SSHClientProcess[bytes]", data: bytes) -> None:
    import asyncssh

    try:
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.write_eof()
    except (BrokenPipeError, ConnectionResetError, asyncssh.ConnectionLost):
        return  # it ended without reading everything: how it ended is what counts


async def _read(stream: "asyncssh.SSHReader[bytes]", one: list[bytes], both: list[bytes], say: Say | None) -> None:
    rest, taken = b"", 0
    while chunk := await stream.read(32768):
        taken += len(chunk)
        if taken > LONGEST_OUTPUT:
            raise CommandError(f"{LOST_SESSION}: it was ended here, since it said more than {LONGEST_OUTPUT >> 20} MiB")
        one.append(chunk)
        both.append(chunk)
        if say is not None:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                await say(printable(line))
    if say is not None and rest:
        await say(printable(rest))


def printable(line: bytes) -> str:
    """A line for a terminal, its control characters taken out."""
    return "".join(each for each in line.decode(errors="replace") if each.isprintable() or each == "\t")
