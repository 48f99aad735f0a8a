"""Packets as a forger makes them, and what is heard of them at the other ends, in the namespaces of netns.py."""

import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from netns import PATIENCE, Net

_IPV6_TRANSPARENT = 75
_IP_TRANSPARENT = 19


@contextmanager
def listening(net: Net, *places: tuple[str, str]) -> Iterator[list[bytes]]:
    """Every IP packet that arrives at these interfaces of namespaces; complete afterwards."""
    packets: list[bytes] = []
    with ExitStack() as around:
        taps = []
        for name, interface in places:
            with net.inside(name):
                tap = around.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)))
            tap.bind((interface, 3))
            taps.append(tap)
        yield packets
        while ready := select.select(taps, [], [], PATIENCE)[0]:
            for tap in ready:
                packet, origin = tap.recvfrom(2048)
                if origin[2] != socket.PACKET_OUTGOING:
                    packets.append(packet)


def datagrams(packets: list[bytes]) -> set[tuple[str, str]]:
    """Source and destination of those to port 53."""
    four = [each for each in packets if each[0] >> 4 == 4 and each[9] == 17 and each[22:24] == b"\0\x35"]
    six = [each for each in packets if each[0] >> 4 == 6 and each[6] == 17 and each[42:44] == b"\0\x35"]
    return {ends(each) for each in (*four, *six)}


def ends(packet: bytes) -> tuple[str, str]:
    """Source and destination."""
    family, start, size = (socket.AF_INET, 12, 4) if packet[0] >> 4 == 4 else (socket.AF_INET6, 8, 16)
    source, destination = (packet[at : at + size] for at in (start, start + size))
    return socket.inet_ntop(family, source), socket.inet_ntop(family, destination)


def redirects(packets: list[bytes]) -> set[tuple[str, str]]:
    """Source and destination of those that send somebody another way."""
    four = [each for each in packets if each[0] >> 4 == 4 and each[9] == 1 and each[20] == 5]
    six = [each for each in packets if each[0] >> 4 == 6 and each[6] == 58 and each[40] == 137]
    return {ends(each) for each in (*four, *six)}


def arriving(net: Net, places: list[tuple[str, str]], act: list[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """What is heard at (namespace, interface) of datagrams (from, source, to)."""
    with listening(net, *places) as packets:
        for sender, source, to in act:
            send(net, sender, source, to)
    return datagrams(packets)


def send(net: Net, sender: str, source: str, to: str) -> None:
    """A datagram with that source."""
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    with net.inside(sender):
        made = socket.socket(family, socket.SOCK_DGRAM)
    with made:
        level, option = (socket.SOL_IP, _IP_TRANSPARENT) if family == socket.AF_INET else (socket.IPPROTO_IPV6, _IPV6_TRANSPARENT)
        made.setsockopt(level, option, 1)
        made.bind((source, 0))
        with suppress(OSError):  # where the way there is gone, or forbidden
            made.sendto(b"?", (to, 53))


About = tuple[str, int, str, int]
"""The TCP connection that an ICMP message is about: from an address and port to another."""
TOO_BIG = (3, 4, struct.pack("!HH", 0, 600))
"""It needs smaller packets."""


def redirect(to: str) -> tuple[int, int, bytes]:
    """That there is a better way, by this router."""
    return 5, 1, socket.inet_aton(to)


def icmp(net: Net, sender: str, to: str, about: About, what: tuple[int, int, bytes] = TOO_BIG, source: str = "") -> None:
    """An ICMP message from one of `sender`'s addresses."""
    client, sport, server, dport = about
    inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, socket.inet_aton(client), socket.inet_aton(server))
    inner += struct.pack("!HHI", sport, dport, 0)
    kind, code, rest = what
    body = struct.pack("!BBH", kind, code, 0) + rest + inner
    with net.inside(sender):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with raw:
        raw.bind((source, 0))
        raw.sendto(body[:2] + checksum(body) + body[4:], (to, 0))


def checksum(body: bytes) -> bytes:
    """The Internet's."""
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
