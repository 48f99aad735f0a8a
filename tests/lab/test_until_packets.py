"""What ends at a moment ends at it, in the kernel: with packets of open and of new connections, in network namespaces. Needs root.

The moments are seconds away, and every test waits for what should happen, never for a time.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from firewalls import Loader, loader
from netns import DEVICE, DEVICE6, OTHER_DEVICE, Net
from test_firewall_packets import host_rules, office

from wg_office.environment.fields import Moment
from wg_office.environment.model import Environment
from wg_office.network.access import FirewallPolicy

LONGEST = 60
LANS = [
    {"cidr": "192.168.200.0/24", "address": "192.168.200.248", "interface": "lan0"},
    {"cidr": "fd71::/64", "address": "fd71::1", "interface": "lan0"},
]


def ending(env: Environment, until: Moment) -> Environment:
    """All of f ends."""
    people = [each.model_copy(update={"until": until}) if each.name == "f" else each for each in env.developers]
    return env.model_copy(update={"developers": tuple(people)})


def passes(client: socket.socket, server: socket.socket) -> bool:
    """Whether a server that keeps sending is still heard."""
    with suppress(OSError):
        server.sendall(b"more")
        return client.recv(4) == b"more"
    return False


def until_it_ends(client: socket.socket, server: socket.socket) -> float:
    """The time at which a download ended."""
    given_up = time.monotonic() + LONGEST
    while passes(client, server):
        assert time.monotonic() < given_up, "it never ended"
    return time.time()


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Loader]:
    with Net("10.70.0.3", "fd70::3") as net:
        net.listen("d", 443, 5432, 8005)
        net.listen("host", 444)
        net.listen("f", 9000)
        with loader(net, "nftables", tmp_path) as made:
            yield made


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Loader]:
    with Net("10.70.0.1", "fd70::1") as net:
        net.listen("e", 9000)
        net.listen("f", 9001)
        with loader(net, "nftables", tmp_path) as made:
            yield made


Stream = tuple[socket.socket, socket.socket]
Whom = tuple[str, str, int]
"""From whom a download is opened, to which address and port."""


@contextmanager
def downloads(at: Loader, ending_at: Callable[[Moment], FirewallPolicy], *whom: Whom) -> Iterator[tuple[Moment, list[Stream]]]:
    """Open downloads under rules that end soon: late enough that all could be opened, which takes longer on a busy machine."""
    for seconds in (3, 10, 30):
        until = Moment(int(time.time()) + seconds)
        with ExitStack() as around:
            at.load(ending_at(until))
            try:
                streams = [opened(around, at.net, *each) for each in whom]
            except OSError:
                assert time.time() >= until.epoch, "it was refused before its time"
                continue
            yield until, streams
            return
    raise AssertionError("this machine is too busy")


def opened(around: ExitStack, net: Net, peer: str, to: str, port: int) -> Stream:
    client, server = net.stream(peer, to, port)
    for end in (client, server):
        around.enter_context(end)
    server.sendall(b"more")
    if client.recv(4) != b"more":
        raise ConnectionError
    return client, server


def test_open_downloads_end_at_the_moment_and_anothers_goes_on(gateway: Loader) -> None:
    def rules(until: Moment) -> FirewallPolicy:
        env = office(f=[{"site": "beijing", "until": until}])
        link = env.links[0].model_copy(update={"until": until})
        return host_rules(env.model_copy(update={"links": (link,)}), "c")

    net = gateway.net
    whom = (("f", DEVICE, 443), ("s", DEVICE, 5432), ("e", DEVICE, 8005))
    with downloads(gateway, rules, *whom) as (until, (of_f, of_a_site, of_e)):
        assert until_it_ends(*of_f) >= until.epoch, "not before its time"
        assert until_it_ends(*of_a_site) >= until.epoch
        assert net.tcp("f", DEVICE, 443) == "silence"
        assert net.tcp("s", DEVICE, 5432) == "silence"
        assert net.tcp("e", DEVICE, 443) == "open"
        assert passes(*of_e)
        assert not passes(*of_f)
        net.run("host", ["sh", str(gateway.files / "after-load")])
        tracked = net.run("host", ["conntrack", "-L"])
        assert "src=10.70.0.5" not in tracked, "what follows a load takes them out of the kernel's tracking"
        assert "src=10.70.0.4" in tracked


def test_what_another_line_allows_for_longer_goes_on(gateway: Loader) -> None:
    def rules(until: Moment) -> FirewallPolicy:
        longer = {"site": "beijing", "hosts": [DEVICE], "ports": ["8005/tcp"]}
        return host_rules(office(f=[{"site": "beijing", "until": until}, longer], return_path="masquerade"), "c")

    with downloads(gateway, rules, ("f", DEVICE, 443), ("f", DEVICE, 8005)) as (_, (ends, stays)):
        until_it_ends(*ends)
        assert passes(*stays)
        assert gateway.net.tcp("f", DEVICE, 8005) == "open"
        assert gateway.net.tcp("f", OTHER_DEVICE, 8005) == "silence"


def test_a_person_ends_everywhere_by_ipv6_too_and_as_one_who_is_reached(gateway: Loader) -> None:
    env = office(f=["beijing", {"host": "c", "ports": ["444/tcp"]}], lan=None, lans=LANS)
    net = gateway.net
    whom = (("e", DEVICE6, 443), ("f", DEVICE6, 443), ("f", "fd70::3", 444), ("d", "10.70.0.5", 9000))
    with downloads(gateway, lambda until: host_rules(ending(env, until), "c"), *whom) as (until, (of_e, *of_f)):
        for each in of_f:
            assert until_it_ends(*each) >= until.epoch
        tried: dict[str, Callable[[], str]] = {
            "f to d": lambda: net.tcp("f", DEVICE, 443),
            "f to d, IPv6": lambda: net.tcp("f", DEVICE6, 443),
            "f to the gateway, IPv6": lambda: net.tcp("f", "fd70::3", 444),
            "d to f": lambda: net.tcp("d", "10.70.0.5", 9000),
            "f pings d, IPv6": lambda: net.ping("f", DEVICE6),
        }
        assert net.probe(tried) == dict.fromkeys(tried, "silence")
        assert passes(*of_e)


def test_the_hub_ends_what_goes_from_peer_to_peer(hub: Loader) -> None:
    env = office(e=[{"developer": "f"}], f=[{"developer": "e"}])
    whom = (("f", "fd70::4", 9000), ("e", "10.70.0.5", 9001))
    with downloads(hub, lambda until: host_rules(ending(env, until), "z"), *whom) as (until, (there, back)):
        assert until_it_ends(*there) >= until.epoch
        until_it_ends(*back)
        assert hub.net.tcp("f", "fd70::4", 9000) == "prohibited"
        assert hub.net.tcp("e", "10.70.0.5", 9001) == "prohibited"
