"""Asks hosts how they are, or to refuse a peer: one SSH connection each, all at once, each within its time.

Nobody is dialled whose key is not pinned.

Here is the boundary to hosts: what comes in is counted, and ends in time, whatever a host does. What it means is report.py's.

Room: asking, the one place that opens connections. What is asked is hostscript.py's, what comes of it status.py's.
"""

import asyncio
import base64
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from wg_office.asking.advice import Failure
from wg_office.asking.operator_key import UnusableKey, read_key
from wg_office.asking.status import NOT_UNDERSTOOD, Reading, pings
from wg_office.environment.model import HUB, Environment, Ssh
from wg_office.hosts import hostscript
from wg_office.network.plan import HostPlan
from wg_office.text.printable import one_line

_KEY_OF_STATUS = "the key of --key, or, where it is not given, of the stack's sshKeyFile, or, without that, of your SSH agent"
_WHICH_KEY = "--key takes the file of a private key; without it the stack's sshKeyFile counts, and without both the SSH agent"


LONGEST_ANSWER = 8 << 20
"""Bytes that a host may say, on stdout and stderr together. A hub with 1,000 developers says one eighth of it."""

_LONGEST_COMPLAINT = 300
_SECONDS_TO_CLOSE = 5.0


class NoLogin(Exception):
    """The operator has no key to come with; the message is one sentence with a remedy."""


class _Failed(Exception):
    """A connection failed; the message is a sentence on the machine."""


@dataclass(frozen=True)
class Question:
    """Who is asked what: the command that is run there, its stdin, what is said where it fails. `through` is on the way."""

    name: str
    ssh: Ssh
    through: Ssh | None
    command: str
    lines: str
    failed: str = "could not say how it is"


def read_hosts(env: Environment, plans: tuple[HostPlan, ...], key: Path | None, seconds: float) -> dict[str, Reading]:
    """How each host says that it is, or why it says nothing, by its name. Raises NoLogin before anybody is dialled."""

    def question(host: HostPlan) -> Question:
        lines = hostscript.status_lines(ping.address for ping in pings(env, host))
        return Question(host.name, host.ssh, host.through, hostscript.status_command(host.ssh.user), lines)

    return ask_hosts([question(host) for host in plans], key, seconds)


def ask_hosts(questions: Sequence[Question], key: Path | None, seconds: float) -> dict[str, Reading]:
    """What each host answers, or why it does not, by its name. Raises NoLogin before anybody is dialled."""
    return asyncio.run(_ask_hosts(questions, key, seconds))


async def _ask_hosts(questions: Sequence[Question], key: Path | None, seconds: float) -> dict[str, Reading]:
    async with _Operator(key, seconds) as operator:
        dialler = _Dialler(operator.keys, seconds, Counter(each.through for each in questions))
        try:
            readings = await asyncio.gather(*(dialler.read(each) for each in questions))
        finally:
            await dialler.close()
    return dict(zip((each.name for each in questions), readings, strict=True))


def public_keys(key: Path | None, seconds: float) -> tuple[str, ...]:
    """The public halves of the keys that the operator comes with, as they stand in authorized_keys. Raises NoLogin."""
    return asyncio.run(_public_keys(key, seconds))


async def _public_keys(key: Path | None, seconds: float) -> tuple[str, ...]:
    async with _Operator(key, seconds) as operator:
        listed = [(_kind(each.public_data), base64.b64encode(each.public_data).decode()) for each in operator.keys]
    # A certificate stands for a key whose plain form the agent has as well.
    return tuple(f"{kind} {blob}" for kind, blob in listed if "-cert-" not in kind)


def _kind(public: bytes) -> str:
    """What a public key says that it is: its first string, behind four bytes of length."""
    return public[4 : 4 + int.from_bytes(public[:4])].decode("ascii", errors="replace")


class _Operator:
    """The keys to log in with: from a file, or those of the agent for as long as this lasts."""

    def __init__(self, key: Path | None, seconds: float) -> None:
        self._file = key
        self._seconds = seconds
        self._agent: asyncssh.SSHAgentClient | None = None
        self.keys: list[asyncssh.SSHKey | asyncssh.SSHKeyPair] = []

    async def __aenter__(self) -> "_Operator":
        if self._file is not None:
            self.keys = [_key_in(self._file)]
            return self
        try:
            async with asyncio.timeout(self._seconds):
                self._agent = await asyncssh.connect_agent()
                self.keys = list(await self._agent.get_keys())
        except (OSError, ValueError):
            await self._hang_up()
            raise NoLogin(
                "there is no SSH agent that answers: start one and `ssh-add` the operator's key, or give its file with --key FILE"
            ) from None
        if not self.keys:
            await self._hang_up()
            raise NoLogin("the SSH agent holds no key: `ssh-add` one, or give --key FILE")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._hang_up()

    async def _hang_up(self) -> None:
        if self._agent is not None:
            self._agent.close()
            await self._agent.wait_closed()


def _key_in(file: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(read_key(file))
    except UnusableKey as unusable:
        raise NoLogin(f"{file}: {unusable}; {_WHICH_KEY}") from None
    except asyncssh.KeyImportError:
        raise NoLogin(f"{file}: is of a kind that only an SSH agent can use: `ssh-add` it; {_WHICH_KEY}") from None


@dataclass
class _Dialler:
    """Connections to hosts. One to a machine that others are reached through is shared by them; `behind` says how many there are."""

    keys: list[asyncssh.SSHKey | asyncssh.SSHKeyPair]
    seconds: float
    behind: Counter[Ssh | None]
    _opened: list[asyncssh.SSHClientConnection] = field(default_factory=list)
    _shared: "dict[Ssh, asyncio.Task[asyncssh.SSHClientConnection]]" = field(default_factory=dict)

    async def read(self, host: Question) -> Reading:
        """What a host says within the time. Whatever it does instead is its own failure, and nobody else's."""
        try:
            async with asyncio.timeout(self.seconds):
                connection = await self._connection(host)
                return await _ask(connection, host)
        except TimeoutError:
            return Reading(
                failure=f"{host.ssh.address} gave no answer in {self.seconds:g} s; give it longer with --timeout, or look at the host"
            )
        except _Failed as failed:
            return Reading(failure=str(failed))
        except Exception:
            # An SSH library has exceptions of all kinds for nonsense of all kinds, and one host's must not end the status of the others.
            return Reading(failure=f"{host.ssh.address} {NOT_UNDERSTOOD}")

    async def close(self) -> None:
        """End all connections."""
        for dialling in self._shared.values():
            dialling.cancel()
        for connection in self._opened:
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS_TO_CLOSE):
                await asyncio.gather(*(connection.wait_closed() for connection in self._opened), return_exceptions=True)

    async def _connection(self, host: Question) -> asyncssh.SSHClientConnection:
        if host.through is None:
            return await (self._to_share(host.ssh) if self.behind[host.ssh] else self._dial(host.ssh))
        try:
            tunnel = await self._to_share(host.through)
        except _Failed as failed:
            way = "the hub" if host.ssh.via == HUB else host.ssh.via
            raise _Failed(f"{host.ssh.address} is reached through {way}, and {failed}") from None
        return await self._dial(host.ssh, host.through, tunnel)

    async def _to_share(self, ssh: Ssh) -> asyncssh.SSHClientConnection:
        if ssh not in self._shared:
            self._shared[ssh] = asyncio.create_task(self._dial(ssh))
        # Whoever runs out of time first must not end it for the others.
        return await asyncio.shield(self._shared[ssh])

    async def _dial(
        self, ssh: Ssh, through: Ssh | None = None, tunnel: asyncssh.SSHClientConnection | None = None
    ) -> asyncssh.SSHClientConnection:
        if ssh.host_key is None:
            raise _failed(ssh, Failure.NOT_PINNED, through)
        try:
            connection = await asyncssh.connect(
                ssh.host,
                ssh.port,
                username=ssh.user,
                tunnel=tunnel if tunnel is not None else (),
                client_factory=lambda: _Metered(2 * LONGEST_ANSWER * (1 + self.behind[ssh])),
                compression_algs=["none"],
                known_hosts=([asyncssh.import_public_key(ssh.host_key)], [], []),
                server_host_key_algs=["ssh-ed25519"],
                client_keys=self.keys,
                preferred_auth="publickey",
                agent_path=None,
                config=None,
                login_timeout=self.seconds,
            )
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
            raise _failed(ssh, Failure.HOST_KEY, through) from None
        except asyncssh.PermissionDenied:
            raise _failed(ssh, Failure.LOGIN, through) from None
        except asyncssh.ChannelOpenError:
            raise _failed(ssh, Failure.BEYOND, through) from None
        except (asyncssh.Error, ConnectionResetError):
            raise _failed(ssh, Failure.HANDSHAKE, through) from None
        except OSError:
            raise _failed(ssh, Failure.UNREACHABLE, through) from None
        self._opened.append(connection)
        return connection


def _failed(ssh: Ssh, failure: Failure, through: Ssh | None) -> _Failed:
    return _Failed(f"{ssh.address} {failure.told(ssh, _KEY_OF_STATUS, through)}")


class _Metered(asyncssh.SSHClient):
    """Ends a connection on which more comes in than all answers together may take: the library itself waits for a packet of any length."""

    def __init__(self, most: int) -> None:
        self._left = most

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Count what comes in before the library has it."""
        take: Callable[..., None] = conn.data_received

        def counted(data: bytes, *more: object) -> None:
            self._left -= len(data)
            if self._left < 0:
                conn.abort()
            else:
                take(data, *more)

        conn.data_received = counted  # type: ignore[method-assign, assignment]


class _Answer:
    """What one session says on both its streams, up to LONGEST_ANSWER."""

    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh
        self._left = LONGEST_ANSWER
        self.began = 0.0
        """When the first of it came."""

    async def read(self, stream: "asyncssh.SSHReader[bytes]") -> str:
        """A stream to its end. What is no UTF-8 stays recognizable as such, for the grammar to refuse."""
        taken: list[bytes] = []
        while chunk := await stream.read(1 << 15):
            self.began = self.began or time.time()
            self._left -= len(chunk)
            if self._left < 0:
                raise _Failed(f"{self._ssh.address} said more than {LONGEST_ANSWER >> 20} MiB, which no status is; look at the host")
            taken.append(chunk)
        return b"".join(taken).decode(errors="surrogateescape")


async def _ask(connection: asyncssh.SSHClientConnection, host: Question) -> Reading:
    ssh = host.ssh
    answer = _Answer(ssh)
    try:
        process: asyncssh.SSHClientProcess[bytes] = await connection.create_process(host.command, encoding=None)
        process.stdin.write(host.lines.encode())
        process.stdin.write_eof()
        asked = time.time()
        said, complaint = await asyncio.gather(answer.read(process.stdout), answer.read(process.stderr))
        await process.wait_closed()
    except (asyncssh.Error, OSError):
        raise _Failed(f"{ssh.address} ended the session before its answer was complete; ask again, or look at the host") from None
    if process.exit_status != 0:
        raise _Failed(f"{ssh.address} {host.failed}: {_last_line(complaint)}{_remedy(ssh)}")
    return Reading(said=said, asked=asked, answered=answer.began)


def _last_line(text: str) -> str:
    lines = [line for line in map(one_line, text[-_LONGEST_COMPLAINT * 4 :].splitlines()) if line]
    return one_line(lines[-1], _LONGEST_COMPLAINT) if lines else "it gave no reason"


def _remedy(ssh: Ssh) -> str:
    return "" if ssh.user == "root" else f"; {ssh.user} must be allowed `sudo -n`"
