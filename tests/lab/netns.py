"""A hub or a gateway, its peers and a LAN, as network namespaces of this machine: real packets in milliseconds, as root.

    e 10.70.0.4 fd70::4 --.                                  .-- d 192.168.200.244 fd71::2
    f 10.70.0.5 fd70::5 --+-- (bridge) -- wg0 [host] lan0 ---+
    s 192.168.201.50 -----+              10.70.0.3           '-- d's second address .245
    z 10.70.0.1 ----------'              fd70::3, 192.168.200.248

`wg0` is a veth here: what the firewall judges is an interface of that name, not WireGuard. Unlike WireGuard it needs its neighbours' link
addresses, which are given by hand, because the rules rightly let no neighbour discovery in.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

_CLONE_NEWNET = 0x40000000
_IPV6_RECVERR = 25
_libc = ctypes.CDLL(None, use_errno=True)

PEERS = {"e": ("10.70.0.4", "fd70::4"), "f": ("10.70.0.5", "fd70::5"), "s": ("192.168.201.50", None), "z": ("10.70.0.1", "fd70::1")}
DEVICE, OTHER_DEVICE, DEVICE6 = "192.168.200.244", "192.168.200.245", "fd71::2"
PATIENCE = 0.5
"""Seconds without an answer after which a packet counts as dropped. Only waited for where dropping is what should happen."""


class Namespaces:
    """Namespaces of this machine, until they are left: `names`, each behind `prefix`."""

    prefix: str
    names: list[str]

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", self._namespace(name)], capture_output=True, check=False)

    def _build(self) -> None:
        raise NotImplementedError

    def _mac(self, name: str, interface: str) -> str:
        link = json.loads(run_command(["ip", "-n", self._namespace(name), "-j", "link", "show", "dev", interface]))[0]
        return str(link["address"])

    def _namespace(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def ip(self, name: str, *commands: str) -> None:
        """`ip` commands in a namespace."""
        for command in commands:
            run_command(["ip", *(["-6"] if _is_six(command) else []), "-n", self._namespace(name), *command.split()])

    def run(self, name: str, argv: list[str], stdin: str | None = None, *, check: bool = True, env: dict[str, str] | None = None) -> str:
        """Any command in a namespace."""
        return run_command(["ip", "netns", "exec", self._namespace(name), *argv], stdin, check=check, env=env)


def _is_six(command: str) -> bool:
    return "::" in command or ("address" not in command and ":" in command.split(" lladdr ")[0])


class Net(Namespaces):
    """The namespaces, and probes between them."""

    def __init__(self, host_address: str, host_address6: str) -> None:
        self.prefix = f"wgo{os.getpid()}"
        self.host_address, self.host_address6 = host_address, host_address6
        self.names = [*(peer for peer in PEERS if PEERS[peer][0] != host_address), "bridge", "host", "d"]
        self.listeners: list[socket.socket] = []

    # --- building -----------------------------------------------------------------------------------------------------------------------

    def __exit__(self, *_: object) -> None:
        for listener in self.listeners:
            listener.close()
        super().__exit__()

    def _build(self) -> None:
        for name in self.names:
            run_command(["ip", "netns", "add", self._namespace(name)])
            # A link of a second's age would not ask for its neighbours yet: its own address could be somebody else's.
            self.run(name, ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])
        self.ip("bridge", "link add br0 type bridge", "link set br0 up")
        for peer in self.names[:-3]:
            address, address6 = PEERS[peer]
            self._cable("bridge", peer, peer, "wg")
            self.ip("bridge", f"link set {peer} master br0 up")
            # Everything goes through the host under test, as it does through a tunnel, even to a neighbour on the bridge.
            self.ip(peer, "link set lo up", "link set wg up", f"addr add {address}/32 dev wg")
            self.ip(peer, f"route add {self.host_address} dev wg", f"route add default via {self.host_address} dev wg src {address}")
            if address6:
                self.ip(peer, f"addr add {address6}/128 dev wg nodad", f"route add {self.host_address6} dev wg")
                self.ip(peer, f"route add default via {self.host_address6} dev wg src {address6}")
        self._cable("bridge", "to-host", "host", "wg0")
        self.ip("bridge", "link set to-host master br0 up")
        self._cable("d", "eth0", "host", "lan0")
        self.ip(
            "host",
            "link set lo up",
            "link set wg0 up",
            f"addr add {self.host_address}/32 dev wg0",
            f"addr add {self.host_address6}/128 dev wg0 nodad",
        )
        self.ip("host", "route add 10.70.0.0/16 dev wg0", "route add fd70::/64 dev wg0", "route add 192.168.201.0/24 dev wg0")
        self.ip("host", "link set lan0 up", "addr add 192.168.200.248/24 dev lan0", "addr add fd71::1/64 dev lan0 nodad")
        self.ip("d", "link set lo up", "link set eth0 up", f"addr add {DEVICE}/24 dev eth0", f"addr add {OTHER_DEVICE}/24 dev eth0")
        self.ip("d", f"addr add {DEVICE6}/64 dev eth0 nodad", "route add default via 192.168.200.248", "route add default via fd71::1")
        for peer in self.names[:-3]:
            # A WireGuard interface sends nobody to his neighbour.
            self.run(peer, ["sysctl", "-qw", "net.ipv6.conf.wg.accept_redirects=0"])
            if PEERS[peer][1]:
                self.ip("host", f"neigh replace {PEERS[peer][1]} lladdr {self._mac(peer, 'wg')} dev wg0 nud permanent")
                self.ip(peer, f"neigh replace {self.host_address6} lladdr {self._mac('host', 'wg0')} dev wg nud permanent")
        for key in (
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.send_redirects=0",
            "net.ipv4.conf.wg0.send_redirects=0",
        ):
            self.run("host", ["sysctl", "-qw", key])
        self.run("host", ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=2", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"])

    def _cable(self, one: str, one_name: str, other: str, other_name: str) -> None:
        ends = ["name", one_name, "netns", self._namespace(one)], ["name", other_name, "netns", self._namespace(other)]
        run_command(["ip", "link", "add", *ends[0], "type", "veth", "peer", *ends[1]])

    # --- probing ------------------------------------------------------------------------------------------------------------------------

    def probe(self, probes: Mapping[str, Callable[[], str]]) -> dict[str, str]:
        """What each comes to, all at the same time: a namespace belongs to a thread."""
        with ThreadPoolExecutor(len(probes)) as pool:
            running = {name: pool.submit(probe) for name, probe in probes.items()}
        return {name: future.result() for name, future in running.items()}

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """A socket made in here belongs to that namespace for good."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(Path("/run/netns") / self._namespace(name), os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(here)
            os.close(here)
            os.close(there)

    def listen(self, name: str, *ports: int) -> dict[int, socket.socket]:
        """TCP on every address of that namespace."""
        made = {}
        with self.inside(name):
            for port in ports:
                listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
                listener.settimeout(5)
                self.listeners.append(listener)
                made[port] = listener
        return made

    def connect(self, name: str, to: str, port: int, source: str | None = None, timeout: float = PATIENCE) -> socket.socket:
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        with self.inside(name):
            client = socket.socket(family, socket.SOCK_STREAM)
        client.settimeout(timeout)
        if family == socket.AF_INET6:
            # An ICMPv6 error that comes back while connect() is still sending is lost otherwise, and here it comes back at once.
            client.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        try:
            if source:
                client.bind((source, 0))
            client.connect((to, port))
        except BaseException:
            client.close()
            raise
        return client

    def stream(self, peer: str, to: str, port: int) -> tuple[socket.socket, socket.socket]:
        """An open connection from that peer, both ends."""
        listener = next(item for item in self.listeners if item.getsockname()[1] == port)
        client = self.connect(peer, to, port)
        server, _ = listener.accept()
        for end in (client, server):
            end.settimeout(1)
        return client, server

    def tcp(self, name: str, to: str, port: int, source: str | None = None) -> str:
        """What becomes of a new TCP connection: open, prohibited (ICMP), reset, or silence."""
        try:
            self.connect(name, to, port, source).close()
        except TimeoutError:
            return "silence"
        except OSError as error:
            return _told(error)
        return "open"

    def udp(self, name: str, to: str, port: int, at: str) -> str:
        """What becomes of a datagram, by whether it arrives at a socket in namespace `at`."""
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        with self.inside(at):
            server = socket.socket(family, socket.SOCK_DGRAM)
        with self.inside(name):
            client = socket.socket(family, socket.SOCK_DGRAM)
        with server, client:
            server.bind((to, port))
            client.connect((to, port))
            client.send(b"?")
            readable, _, _ = select.select([server, client], [], [], PATIENCE)
            if server in readable:
                return "open"
            return "silence" if not readable else _told(OSError(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), ""))

    def ping(self, name: str, to: str) -> str:
        """What becomes of an echo request."""
        version6 = ":" in to
        with self.inside(name):
            protocol = socket.IPPROTO_ICMPV6 if version6 else socket.IPPROTO_ICMP
            sender = socket.socket(socket.AF_INET6 if version6 else socket.AF_INET, socket.SOCK_RAW, protocol)
        with sender:
            sender.connect((to, 0))
            kind, answer = (128, 129) if version6 else (8, 0)
            body = bytes([kind, 0, 0, 0, 0, 7, 0, 1])
            checksum = 0xFFFF - sum(int.from_bytes(body[i : i + 2], "big") for i in range(0, 8, 2)) % 0xFFFF
            sender.send(body[:2] + (b"\0\0" if version6 else checksum.to_bytes(2, "big")) + body[4:])
            while select.select([sender], [], [], PATIENCE)[0]:
                packet, origin = sender.recvfrom(2048)
                if origin[0] == to and (packet if version6 else packet[20:])[0] == answer:
                    return "open"
            return "silence"


def _told(error: OSError) -> str:
    if error.errno in (errno.EHOSTUNREACH, errno.EACCES):
        return "prohibited"
    return "reset" if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET) else errno.errorcode.get(error.errno or 0, str(error))


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def run_command(argv: list[str], stdin: str | None = None, *, check: bool = True, env: dict[str, str] | None = None) -> str:
    """What a command says; RuntimeError where it fails and is not to."""
    result = subprocess.run(argv, input=stdin, text=True, capture_output=True, check=False, env=env)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {result.stderr.strip()}")
    return result.stdout
