"""Hosts that answer oddly, over real SSH on the loopback address: each is a row, within its time, and no more is read than its share."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from surely import ssh_of

from wg_office.asking import dial, status
from wg_office.asking.dial import LONGEST_ANSWER, NoLogin, read_hosts
from wg_office.asking.status import Kind
from wg_office.commands import status_report
from wg_office.environment.model import Environment, Ssh
from wg_office.hosts.render import Scripts
from wg_office.network.plan import plan
from wg_office.reading.load import load

LOOPBACK = "127.0.0.1"
OPERATOR = asyncssh.generate_private_key("ssh-ed25519")
HOST = asyncssh.generate_private_key("ssh-ed25519")
WELL = b"time 1795000000.5\ngeneration none\n"
HOSTILE = b"\x1b]0;owned\x07\x1b[2J\x1b[31mall is well\x9b1A"

ENVIRONMENT = """\
environment: office
network: {{cidr: 192.0.2.0/24}}
hub: {{name: z, address: 192.0.2.1, endpoint: 203.0.113.10:51820, ssh: {{host: 127.0.0.1, port: {hub}, host_key: {key}}}}}
gateways:
  - name: a
    site: shenzhen
    address: 192.0.2.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    ssh: {{host: 127.0.0.1, port: {gateway}, host_key: {key}{via}}}
"""

Process = asyncssh.SSHServerProcess[bytes]
Behaviour = Callable[[Process], Awaitable[None]]


def says(stdout: bytes = b"", stderr: bytes = b"", status: int = 0) -> Behaviour:
    async def behave(process: Process) -> None:
        await process.stdin.read()
        process.stdout.write(stdout)
        process.stderr.write(stderr)
        process.exit(status)

    return behave


async def stays_silent(process: Process) -> None:
    await asyncio.Event().wait()


@dataclass
class Flood:
    """Says the same for ever, on one of its streams, and counts what it could send."""

    stream: str = "stdout"
    piece: bytes = b"x" * 65536
    sent: int = field(default=0)

    async def __call__(self, process: Process) -> None:
        to = getattr(process, self.stream)
        try:
            while True:
                to.write(self.piece)
                await to.drain()
                self.sent += len(self.piece)
        except (OSError, asyncssh.Error):
            return


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(end_all_tasks(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def end_all_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Starts an SSH server that behaves so; its port."""
    with ExitStack() as stack:
        loop = stack.enter_context(loop_in_a_thread())
        trusted = asyncssh.import_authorized_keys(OPERATOR.export_public_key().decode())
        servers: list[asyncssh.SSHAcceptor] = []
        connections: list[asyncssh.SSHServerConnection] = []

        async def listen(behave: Behaviour, forwarding: "type[Forwarding]") -> int:
            server = await asyncssh.listen(
                LOOPBACK,
                0,
                server_host_keys=[HOST],
                authorized_client_keys=trusted,
                process_factory=behave,
                encoding=None,
                server_factory=lambda: forwarding(connections),
            )
            servers.append(server)
            return int(server.get_port())

        async def close() -> None:
            for server in servers:
                server.close()
            for connection in connections:
                connection.abort()
            await asyncio.gather(*(server.wait_closed() for server in servers), *(each.wait_closed() for each in connections))

        def start(behave: Behaviour, forwarding: "type[Forwarding] | None" = None) -> int:
            return asyncio.run_coroutine_threadsafe(listen(behave, forwarding or Forwarding), loop).result(20)

        yield start
        asyncio.run_coroutine_threadsafe(close(), loop).result(20)


class Forwarding(asyncssh.SSHServer):
    """Notes its connection, to be closed after the test."""

    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self.connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.append(conn)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


@contextmanager
def raw_server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port that accepts, and then does this with each connection."""
    with socket.create_server((LOOPBACK, 0)) as server, ExitStack() as connections:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                talk = threading.Thread(target=behave, args=(connection,), daemon=True)
                connections.callback(end, connection, talk)
                talk.start()

        waits = threading.Thread(target=accept, daemon=True)
        waits.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            waits.join()


def end(connection: socket.socket, talk: threading.Thread) -> None:
    with connection:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        talk.join()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    OPERATOR.write_private_key(tmp_path / "operator")
    return tmp_path / "operator"


def office(folder: Path, hub: int, gateway: int, via: str = "") -> Environment:
    public = " ".join(HOST.export_public_key().decode().split()[:2])
    (folder / "office.yaml").write_text(ENVIRONMENT.format(hub=hub, gateway=gateway, key=public, via=via))
    return load(folder / "office.yaml")


def asked(env: Environment, key: Path | None, seconds: float = 30) -> dict[str, status.HostStatus]:
    plans = plan(env)
    hosts = status.judge(env, plans, read_hosts(env, plans, key, seconds), Scripts(host="#!/bin/bash\n", flows="\n", after_load="\n"))
    shown = "\n".join(status_report.lines(hosts)) + json.dumps(status_report.as_data(env, hosts), ensure_ascii=False)
    assert shown.replace("\n", "").isprintable()
    return {host.name: host for host in hosts}


def test_what_is_said_in_time_is_read(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    hosts = asked(office(tmp_path, serve(says(WELL)), serve(says(b"Welcome!\n" + WELL))), key)
    assert {name: host.report is not None for name, host in hosts.items()} == {"z": True, "a": True}


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        HOSTILE,
        WELL + HOSTILE,
        b"time 1\xff\ngeneration none\n",
        b"\0" * 100,
        WELL + b"peer k 1 1 1 [/x]\n",
        WELL + b"peer k 1 " + b"9" * 400 + b" 1 (none)\n",
        WELL + b"description\n---- file \n",
    ],
)
def test_odd_words_of_one_host_are_its_row_and_the_other_is_heard(
    tmp_path: Path, key: Path, serve: Callable[[Behaviour], int], odd: bytes
) -> None:
    hosts = asked(office(tmp_path, serve(says(odd)), serve(says(WELL))), key)
    assert [finding.text for finding in hosts["z"].findings] == [status.NOT_UNDERSTOOD]
    assert hosts["a"].report is not None


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_host_that_never_ends_is_read_up_to_its_share(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int], stream: str) -> None:
    flood = Flood(stream)
    hosts = asked(office(tmp_path, serve(flood), serve(says(WELL))), key)
    assert "said more than 8 MiB" in hosts["z"].findings[0].text
    assert hosts["a"].report is not None
    # What SSH's window and the sockets' buffers hold comes on top.
    assert flood.sent < 2 * LONGEST_ANSWER


def test_a_complaint_is_one_short_line_without_control_characters(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    hosts = asked(office(tmp_path, serve(says(stderr=b"first\n" + HOSTILE + b"z" * 5000 + b"\n", status=1)), serve(says(WELL))), key)
    (found,) = hosts["z"].findings
    assert found.kind is Kind.UNREACHABLE
    assert "could not say how it is: " in found.text
    assert len(found.text) < 500


def test_a_host_that_stays_silent_costs_its_time_and_no_more(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    hosts = asked(office(tmp_path, serve(stays_silent), serve(says(WELL))), key, seconds=3)
    assert "gave no answer in 3 s" in hosts["z"].findings[0].text
    assert hosts["a"].report is not None


def test_an_answer_after_its_time_is_none(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    late = threading.Event()

    async def answers_late(process: Process) -> None:
        await asyncio.get_running_loop().run_in_executor(None, late.wait)
        process.stdout.write(WELL)
        process.exit(0)

    try:
        hosts = asked(office(tmp_path, serve(answers_late), serve(says(WELL))), key, seconds=3)
    finally:
        late.set()
    assert "gave no answer in 3 s" in hosts["z"].findings[0].text


def test_a_port_that_accepts_and_stays_silent_is_a_row(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    with raw_server(lambda connection: None) as port:
        hosts = asked(office(tmp_path, port, serve(says(WELL))), key, seconds=3)
    assert "gave no answer in 3 s" in hosts["z"].findings[0].text
    assert hosts["a"].report is not None


def test_who_is_behind_a_silent_hub_is_a_row_too(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    with raw_server(lambda connection: None) as port:
        hosts = asked(office(tmp_path, port, serve(says(WELL)), via=", via: hub"), key, seconds=3)
    assert [host.state for host in hosts.values()] == [Kind.UNREACHABLE] * 2


def test_hub_and_gateway_are_reached_through_one_connection_to_a_jump(tmp_path: Path, key: Path, serve: Callable[..., int]) -> None:
    env = office(tmp_path, serve(says(WELL)), serve(says(WELL)))
    asks: list[str] = []

    class Counting(Forwarding):
        def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
            asks.append(f"{dest_host}:{dest_port}")
            return True

    jump = Ssh(host=LOOPBACK, port=serve(stays_silent, Counting), host_key=ssh_of(env.hub).host_key)
    hosts = asked(behind(env, jump), key)
    assert {name: host.report is not None for name, host in hosts.items()} == {"z": True, "a": True}
    assert sorted(asks) == sorted(f"{LOOPBACK}:{port}" for port in (ssh_of(env.hub).port, ssh_of(env.gateways[0]).port))


def test_a_jump_with_another_key_is_the_row_of_who_is_behind_it(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    env = office(tmp_path, serve(says(WELL)), serve(says(WELL)))
    other = " ".join(OPERATOR.export_public_key().decode().split()[:2])
    hosts = asked(behind(env, Ssh(host=LOOPBACK, port=serve(stays_silent), host_key=other)), key)
    assert [host.state for host in hosts.values()] == [Kind.UNREACHABLE] * 2
    assert "is reached through bastion, and root@127.0.0.1:" in hosts["a"].findings[0].text
    assert "shows another host key than the pinned one" in hosts["a"].findings[0].text


def behind(env: Environment, jump: Ssh) -> Environment:
    def through(host: Any) -> Any:
        return host.model_copy(update={"ssh": host.ssh.model_copy(update={"via": "bastion"})})

    update = {"jumps": {"bastion": jump}, "hub": through(env.hub), "gateways": tuple(map(through, env.gateways))}
    return env.model_copy(update=update)


def test_a_silent_host_behind_the_hub_does_not_hold_the_hub(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    hosts = asked(office(tmp_path, serve(says(WELL)), serve(stays_silent), via=", via: hub"), key, seconds=5)
    assert hosts["z"].report is not None
    assert "gave no answer in 5 s" in hosts["a"].findings[0].text


@pytest.mark.parametrize(
    "opening",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe" * 9000,
        b"SSH-2.0-\xff\xfe\r\n",
        b"SSH-2.0-x\r\n" + bytes(64),
        b"SSH-2.0-x\r\n\xff\xff\xff\xff",
        HOSTILE + b"\r\n" + b"SSH-2.0-x\r\n\0\0\0\x0c\x0a\x14" + b"a" * 30,
    ],
)
def test_what_is_no_ssh_server_is_a_row(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int], opening: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        connection.sendall(opening)
        connection.close()

    with raw_server(behave) as port:
        hosts = asked(office(tmp_path, port, serve(says(WELL))), key)
    assert hosts["z"].state is Kind.UNREACHABLE
    assert hosts["a"].report is not None


def test_a_packet_without_an_end_is_not_waited_for_before_the_login(tmp_path: Path, key: Path, serve: Callable[[Behaviour], int]) -> None:
    sent = []

    def behave(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-x\r\n\xff\xff\xff\xff")
        try:
            while True:
                sent.append(connection.send(b"x" * 65536))
        except OSError:
            return

    with raw_server(behave) as port:
        hosts = asked(office(tmp_path, port, serve(says(WELL))), key)
    assert hosts["z"].state is Kind.UNREACHABLE
    assert hosts["a"].report is not None
    # Buffers of both sockets come on top.
    assert sum(sent) < 4 * LONGEST_ANSWER


def test_an_agent_that_accepts_and_stays_silent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", path)
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen()
        with pytest.raises(NoLogin, match="no SSH agent that answers"):
            asked(office(tmp_path, 1, 2), None, seconds=2)


def test_a_failure_of_the_library_itself_is_a_row(
    tmp_path: Path, key: Path, serve: Callable[[Behaviour], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> status.Reading:
        raise KeyError(os.getpid())

    monkeypatch.setattr(dial, "_ask", fails)
    hosts = asked(office(tmp_path, serve(says(WELL)), serve(says(WELL))), key)
    assert [status.NOT_UNDERSTOOD in host.findings[0].text for host in hosts.values()] == [True, True]
