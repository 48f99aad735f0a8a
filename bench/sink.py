"""Hosts that take whatever they are given and do nothing: with them only the operator's side is measured."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

LOOPBACK = "127.0.0.1"


class Sink:
    """One SSH server for all hosts, on a port each; the same to the benchmark as the lab."""

    def __init__(self, folder: Path, hosts: tuple[str, ...]) -> None:
        self.key, self.known_hosts = folder / "operator", folder / "known_hosts"
        self._hosts, self._ports = hosts, dict[str, int]()
        self._host_key, self._operator = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.key.touch(0o600)
        self.key.write_bytes(self._operator.export_private_key())

    def port(self, host: str) -> int:
        """Where it listens for this host."""
        return self._ports[host]

    async def listen(self) -> None:
        """Start, and write what known_hosts says of it."""
        trusted = asyncssh.import_authorized_keys(self._operator.export_public_key().decode())
        for host in self._hosts:
            server = await asyncssh.listen(
                LOOPBACK, 0, server_host_keys=[self._host_key], authorized_client_keys=trusted, process_factory=_take, encoding=None
            )
            self._ports[host] = server.get_port()
        public = self._host_key.export_public_key().decode()
        self.known_hosts.write_text("".join(f"[{LOOPBACK}]:{port} {public}" for port in self._ports.values()))


async def _take(process: "asyncssh.SSHServerProcess[bytes]") -> None:
    while await process.stdin.read(1 << 16):
        pass
    process.exit(0)


@contextmanager
def sink(folder: Path, hosts: tuple[str, ...]) -> Iterator[Sink]:
    """One that listens until it is left."""
    made, loop = Sink(folder, hosts), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(made.listen(), loop).result(timeout=30)
        yield made
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
