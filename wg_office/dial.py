"""Asks hosts how they are: one SSH connection each, all at once, each within its time. Nobody is dialled whose key is not pinned.

Room: the core's one place that opens connections. What is asked is hostscript.py's, what comes of it status.py's.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from wg_office import hostscript
from wg_office.advice import Failure
from wg_office.model import Environment, Ssh
from wg_office.plan import HostPlan
from wg_office.status import Reading, pings

_KEY_OF_STATUS = "the key of --key, or, where it is not given, of your SSH agent"


class NoLogin(Exception):
    """The operator has no key to come with; the message is one sentence with a remedy."""


class _Failed(Exception):
    """A connection failed; the message is a sentence on the machine."""


def read_hosts(env: Environment, plans: tuple[HostPlan, ...], key: Path | None, seconds: float) -> dict[str, Reading]:
    """What each host says, or why it says nothing, by its name. Raises NoLogin before anybody is dialled."""
    return asyncio.run(_read_hosts(env, plans, key, seconds))


async def _read_hosts(env: Environment, plans: tuple[HostPlan, ...], key: Path | None, seconds: float) -> dict[str, Reading]:
    async with _Operator(key) as operator:
        dialler = _Dialler(env.hub.ssh, operator.keys, seconds)
        try:
            readings = await asyncio.gather(*(dialler.read(env, host) for host in plans))
        finally:
            await dialler.close()
    return dict(zip((host.name for host in plans), readings, strict=True))


class _Operator:
    """The keys to log in with: from a file, or those of the agent for as long as this lasts."""

    def __init__(self, key: Path | None) -> None:
        self._file = key
        self._agent: asyncssh.SSHAgentClient | None = None
        self.keys: list[asyncssh.SSHKey | asyncssh.SSHKeyPair] = []

    async def __aenter__(self) -> "_Operator":
        if self._file is not None:
            self.keys = [_key_in(self._file)]
            return self
        try:
            self._agent = await asyncssh.connect_agent()
            self.keys = list(await self._agent.get_keys())
        except (OSError, ValueError):
            raise NoLogin("there is no SSH agent that answers: give the operator's key with --key FILE, or start an agent") from None
        if not self.keys:
            raise NoLogin("the SSH agent holds no key: `ssh-add` one, or give --key FILE")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._agent is not None:
            self._agent.close()
            await self._agent.wait_closed()


def _key_in(file: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(file.expanduser())
    except OSError as error:
        raise NoLogin(f"{file}: {error.strerror or 'cannot be read'}; --key takes the file of a private key") from None
    except asyncssh.KeyEncryptionError:
        raise NoLogin(f"{file}: has a passphrase; `ssh-add` it and leave --key out, so that the agent is used") from None
    except asyncssh.KeyImportError:
        raise NoLogin(f"{file}: is no private key; --key takes the file of one") from None


@dataclass
class _Dialler:
    """Connections to hosts. That to the hub is shared by the hosts that are reached through it."""

    hub: Ssh
    keys: list[asyncssh.SSHKey | asyncssh.SSHKeyPair]
    seconds: float
    _opened: list[asyncssh.SSHClientConnection] = field(default_factory=list)
    _to_hub: "asyncio.Task[asyncssh.SSHClientConnection] | None" = None

    async def read(self, env: Environment, host: HostPlan) -> Reading:
        """What a host says within the time."""
        try:
            async with asyncio.timeout(self.seconds):
                connection = await self._connection(host.ssh)
                return await _ask(connection, host.ssh, hostscript.status_lines(ping.address for ping in pings(env, host)))
        except TimeoutError:
            return Reading(
                failure=f"{host.ssh.address} gave no answer in {self.seconds:g} s; give it longer with --timeout, or look at the host"
            )
        except _Failed as failed:
            return Reading(failure=str(failed))

    async def close(self) -> None:
        """End all connections."""
        if self._to_hub is not None and not self._to_hub.done():
            self._to_hub.cancel()
        for connection in self._opened:
            connection.abort()
            await connection.wait_closed()

    async def _connection(self, ssh: Ssh) -> asyncssh.SSHClientConnection:
        if ssh == self.hub:
            return await self._shared()
        if ssh.via is None:
            return await self._dial(ssh)
        try:
            hub = await self._shared()
        except _Failed as failed:
            raise _Failed(f"{ssh.address} is reached through the hub, and {failed}") from None
        return await self._dial(ssh, through=hub)

    async def _shared(self) -> asyncssh.SSHClientConnection:
        if self._to_hub is None:
            self._to_hub = asyncio.create_task(self._dial(self.hub))
        # Whoever runs out of time first must not end it for the others.
        return await asyncio.shield(self._to_hub)

    async def _dial(self, ssh: Ssh, through: asyncssh.SSHClientConnection | None = None) -> asyncssh.SSHClientConnection:
        if ssh.host_key is None:
            raise _failed(ssh, Failure.NOT_PINNED)
        try:
            connection = await asyncssh.connect(
                ssh.host,
                ssh.port,
                username=ssh.user,
                tunnel=through if through is not None else (),
                known_hosts=([asyncssh.import_public_key(ssh.host_key)], [], []),
                server_host_key_algs=["ssh-ed25519"],
                client_keys=self.keys,
                preferred_auth="publickey",
                agent_path=None,
                config=None,
                login_timeout=self.seconds,
            )
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
            raise _failed(ssh, Failure.HOST_KEY) from None
        except asyncssh.PermissionDenied:
            raise _failed(ssh, Failure.LOGIN) from None
        except asyncssh.ChannelOpenError:
            raise _failed(ssh, Failure.FROM_HUB) from None
        except (asyncssh.Error, ConnectionResetError):
            raise _failed(ssh, Failure.HANDSHAKE) from None
        except OSError:
            raise _failed(ssh, Failure.UNREACHABLE) from None
        self._opened.append(connection)
        return connection


def _failed(ssh: Ssh, failure: Failure) -> _Failed:
    return _Failed(f"{ssh.address} {failure.told(ssh, _KEY_OF_STATUS)}")


async def _ask(connection: asyncssh.SSHClientConnection, ssh: Ssh, lines: str) -> Reading:
    try:
        async with connection.create_process(hostscript.status_command(ssh.user), encoding="utf-8", errors="replace") as process:
            process.stdin.write(lines)
            process.stdin.write_eof()
            asked = time.time()
            first = await process.stdout.readline()
            answered = time.time()
            rest, complaint = await asyncio.gather(process.stdout.read(), process.stderr.read())
            done = await process.wait()
    except (asyncssh.Error, OSError):
        raise _Failed(f"{ssh.address} ended the session before its answer was complete; ask again, or look at the host") from None
    if done.exit_status != 0:
        raise _Failed(f"{ssh.address} could not say how it is: {_last_line(str(complaint))}{_remedy(ssh)}")
    return Reading(said=f"{first}{rest}", asked=asked, answered=answered)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"


def _remedy(ssh: Ssh) -> str:
    return "" if ssh.user == "root" else f"; {ssh.user} must be allowed `sudo -n`"
