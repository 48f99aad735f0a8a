"""What a revocation does to open connections and to new ones, with packets through the rules of the real script.

e 10.70.0.4, f 10.70.0.5 -- wg0 [c] lan0 -- d 192.168.200.244          network namespaces of this machine, as root
"""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from netns import DEVICE, Net
from sandbox import Office, Sandbox, planned
from test_revoked import ENVIRONMENT, revoked

E, F = "10.70.0.4", "10.70.0.5"
CABLE = "link add lan0 type veth peer name eth0 netns"


class Gateway(Net):
    """The sandbox with a machine in its LAN, and both developers at the far end of its tunnel."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__("", "")
        self.names, self.sandbox = ["host", "peers", "d"], sandbox
        self.open = ExitStack()
        self.office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "gateway", "c"))

    def _build(self) -> None:
        subprocess.run(["ip", "netns", "attach", f"{self.prefix}-host", self.sandbox.enter.split()[2]], check=True)
        for name in self.names[1:]:
            subprocess.run(["ip", "netns", "add", f"{self.prefix}-{name}"], check=True)
        self.ip("host", "link del lan0", f"{CABLE} {self.prefix}-d", "link set lan0 up", "address add 192.168.200.248/24 dev lan0")
        self.ip("d", "link set eth0 up", f"address add {DEVICE}/24 dev eth0", "route add default via 192.168.200.248")
        self.office.install()
        self.ip("host", f"link set far-wg0 netns {self.prefix}-peers")
        self.ip("peers", "link set far-wg0 up", *(f"address add {address}/32 dev far-wg0" for address in (E, F)))
        self.ip("peers", "route add 10.70.0.3 dev far-wg0", "route add default via 10.70.0.3 dev far-wg0")

    def stream_of(self, address: str) -> tuple[socket.socket, socket.socket]:
        """An open connection from there to d, both ends."""
        client = self.connect("peers", DEVICE, 22, address, timeout=10)
        server, _ = self.listeners[0].accept()
        for end in (client, server):
            self.open.enter_context(end)
            end.settimeout(1)
        return client, server


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Sandbox("192.168.200.248/24") as sandbox, Gateway(sandbox) as net, net.open:
        net.listen("d", 22)
        yield net


def test_open_connections_end_at_both_ends_new_ones_do_not_begin_and_those_of_others_go_on(gateway: Gateway) -> None:
    lost, at_d = gateway.stream_of(F)
    kept, others_at_d = gateway.stream_of(E)
    revoked(gateway.office)
    at_d.send(b"more")
    with pytest.raises(ConnectionResetError):
        at_d.recv(1)
    lost.send(b"more")
    with pytest.raises((ConnectionResetError, TimeoutError)):
        lost.recv(1)
    assert gateway.tcp("peers", DEVICE, 22, F) == "silence"
    kept.send(b"e")
    assert others_at_d.recv(1) == b"e"
    assert gateway.tcp("peers", DEVICE, 22, E) == "open"
