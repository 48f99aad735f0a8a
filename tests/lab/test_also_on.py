"""`also_on` with packets: a client in a network that blocks the hub's port reaches it by another, and is answered from there.

client 203.0.113.2 --- 203.0.113.10 [hub] 10.9.0.1 --- inner 10.9.0.2        network namespaces of this machine, as root
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wg_office.hosts.firewall import nftables
from wg_office.network.access import reach_of
from wg_office.reading.load import load

ENVIRONMENT = Path(__file__).resolve().parents[1] / "golden" / "hosts" / "by-name" / "environment.yaml"
ECHO = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", int(sys.argv[1])))
print("ready", flush=True)
while True:
    data, peer = server.recvfrom(100)
    server.sendto(sys.argv[1].encode(), peer)
"""
ASK = """
import socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(10)
asking.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
data, peer = asking.recvfrom(100)
print(data.decode(), *peer)
"""


def inside(node: str) -> list[str]:
    return ["ip", "netns", "exec", f"also{os.getpid()}-{node}"]


def run(*command: str, stdin: str | None = None) -> str:
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def network() -> Iterator[None]:
    """The three nodes, the hub with its rules, and who listens on which port."""
    names = [inside(node)[-1] for node in ("client", "hub", "inner")]
    client, hub, inner = names
    listeners: list[subprocess.Popen[str]] = []
    try:
        for name in names:
            run("ip", "netns", "add", name)
        for other, ours, theirs in ((client, "203.0.113.10", "203.0.113.2"), (inner, "10.9.0.1", "10.9.0.2")):
            run("ip", "-n", hub, "link", "add", other[-5:], "type", "veth", "peer", "name", "eth0", "netns", other)
            for name, link, address in ((hub, other[-5:], ours), (other, "eth0", theirs)):
                run("ip", "-n", name, "address", "add", f"{address}/24", "dev", link)
                run("ip", "-n", name, "link", "set", link, "up")
            run("ip", "-n", other, "route", "add", "default", "via", ours)
        run(*inside("hub"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        env = load(ENVIRONMENT)
        run(*inside("hub"), "nft", "-f", "-", stdin=nftables.render(reach_of(env).policies[env.hub.name]))
        for node, port in (("hub", 51821), ("inner", 443)):
            command = [*inside(node), "python3", "-c", ECHO, str(port)]
            listener = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            listeners.append(listener)
            assert listener.stdout is not None
            assert listener.stdout.readline() == "ready\n"
        yield
    finally:
        for listener in listeners:
            listener.kill()
            listener.communicate()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.mark.parametrize("port", [443, 53, 51821])
def test_each_of_its_ports_leads_to_the_hub_and_answers_from_there(network: None, port: int) -> None:
    assert run(*inside("client"), "python3", "-c", ASK, "203.0.113.10", str(port)) == f"51821 203.0.113.10 {port}\n"


def test_what_the_hub_forwards_for_others_goes_where_it_is_meant_to(network: None) -> None:
    assert run(*inside("client"), "python3", "-c", ASK, "10.9.0.2", "443") == "443 10.9.0.2 443\n"
