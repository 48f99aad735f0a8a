"""What the lab's machines do as people's laptops and devices would: answer, connect, keep connections open. Python, sent to the nodes."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from lab import Lab

SERVER = r"""
import socket, sys, threading, time

def talk(connection):
    # Goes on sending until the connection is over, whatever the other end does.
    try:
        while True:
            connection.sendall(b".")
            time.sleep(0.2)
    except OSError:
        connection.close()

def serve(listener):
    while True:
        threading.Thread(target=talk, args=[listener.accept()[0]], daemon=True).start()

for port in sys.argv[1:]:
    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve, args=[listener], daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""

PROBE = r"""
import errno, json, socket, subprocess, sys, threading

def connect(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(6)
        if family == socket.AF_INET6:
            client.setsockopt(socket.IPPROTO_IPV6, 25, 1)  # IPV6_RECVERR: an ICMP error ends the attempt at once
        try:
            client.connect((address, int(port)))
            return "open"
        except socket.timeout:  # Debian 11: another one than TimeoutError
            return "silence"
        except OSError as error:
            return {errno.EHOSTUNREACH: "prohibited", errno.EACCES: "prohibited"}.get(error.errno, error.strerror)

def ping(address):
    done = subprocess.run(["ping", "-n", "-c3", "-i0.3", "-W6", address], capture_output=True, text=True)
    return "open" if done.returncode == 0 else "prohibited" if "filtered" in done.stdout else "silence"

def probe(target):
    address, _, port = target.rpartition(" ")
    found[target] = ping(address) if port == "icmp" else connect(address, port)

found = {}
threads = [threading.Thread(target=probe, args=[target]) for target in sys.argv[1:]]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(found))
"""

STREAM = r"""
import socket, sys

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60)
connection.settimeout(5)
silences = 0
try:
    while silences < 12:
        try:
            if not connection.recv(1):
                print("closed")
                break
            print(".", end="", flush=True)
            silences = 0
        except socket.timeout:  # Debian 11: another one than TimeoutError
            # The server sends all the time. Whoever hears nothing asks, and so learns that the connection is over.
            silences += 1
            connection.sendall(b"?")
    else:
        print("silence")
except (ConnectionResetError, BrokenPipeError):
    print("reset")
"""

HAMMER = r"""
import itertools, socket, sys

opened = 0
for number in itertools.count(1):
    for target in sys.argv[1:]:
        address, _, port = target.rpartition(" ")
        try:
            socket.create_connection((address, int(port)), timeout=0.3).close()
            opened += 1
        except OSError:
            pass
    print(number, opened, flush=True)
"""


@contextmanager
def serving(lab: Lab, ports: Mapping[str, list[int]]) -> Iterator[None]:
    """On each node, TCP servers that keep sending to whoever connects."""
    with ExitStack() as servers:
        for node, numbers in ports.items():
            server = servers.enter_context(lab.popen(node, ["python3", "-c", SERVER, *map(str, numbers)]))
            assert server.process.stdout is not None
            assert server.process.stdout.readline() == "ready\n"
        yield


def probe(lab: Lab, targets: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """What becomes of new connections: by node, then by "ADDRESS PORT" or "ADDRESS icmp". All at the same time."""

    def of(node: str) -> dict[str, str]:
        return dict(json.loads(lab.exec(node, ["python3", "-c", PROBE, *targets[node]]).stdout))

    with ThreadPoolExecutor(len(targets)) as pool:
        return dict(zip(targets, pool.map(of, targets), strict=True))


class Stream:
    """One open connection whose server keeps sending, and how it ended."""

    def __init__(self, lab: Lab, node: str, address: str, port: int) -> None:
        self.background = lab.popen(node, ["python3", "-c", STREAM, address, str(port)])
        self.received = 0
        self.end = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.background.process.stdout is not None
        while (said := self.background.process.stdout.read(1)) == ".":
            self.received += 1
        self.end = said + self.background.process.stdout.readline().strip()

    def goes_on(self, seconds: float = 60) -> bool:
        """Whether something more arrives on this very connection."""
        had, deadline = self.received, time.monotonic() + seconds
        while self.received == had and self._reader.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.received > had

    def ended(self, seconds: float = 60) -> bool:
        """Whether it comes to its end."""
        self._reader.join(seconds)
        return not self._reader.is_alive()

    def __enter__(self) -> "Stream":
        assert self.goes_on(), f"the connection was not made: {self.background.process.poll()}"
        return self

    def __exit__(self, *_: object) -> None:
        self.background.signal("KILL")
        self._reader.join()
        self.background.__exit__()


@contextmanager
def hammering(lab: Lab, node: str, targets: list[str]) -> Iterator[list[int]]:
    """Tries to connect again and again. Afterwards the list holds the number of rounds, and of connections that were made."""
    counts: list[int] = []
    with lab.popen(node, ["python3", "-c", HAMMER, *targets]) as background:
        yield counts
        said = background.stop("TERM").stdout.splitlines()
        counts += map(int, said[-1].split())


@contextmanager
def watching_packets(lab: Lab, node: str, interface: str, expression: str) -> Iterator[list[str]]:
    """tcpdump; afterwards the list holds its lines."""
    lines: list[str] = []
    with lab.popen(node, ["tcpdump", "-n", "-l", "-i", interface, expression]) as background:
        assert background.process.stderr is not None
        while "listening on" not in (said := background.process.stderr.readline()):
            assert said, "tcpdump ended"
        yield lines
        lines += filter(None, background.stop("INT").stdout.splitlines())
