"""Sent to a node, and run there by its own Python: makes new connections from its addresses, and says what became of each.

On stdin [[source, target, protocol, port], ...]; on stdout one word for each, in their order: "arrives", "refused" or "silence". A closed
port answers too, by which we know that the machine was reached.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
import sys
import threading
import time

PATIENCE = 5.0
AT_ONCE = 24
IPV6_RECVERR = 25


def tcp(made: socket.socket, target: str, port: int) -> str:
    """Whether a connection is accepted, or reset by a machine where nothing listens."""
    made.settimeout(PATIENCE)
    made.connect((target, port))
    return "arrives"


def asked(made: socket.socket, target: str, port: int, question: bytes) -> str:
    """Ask once a second; any answer, or that nothing listens there, is one."""
    made.connect((target, port))
    made.settimeout(1)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        made.send(question)
        try:
            answer = made.recv(2048)
        except TimeoutError:
            continue
        except socket.timeout:  # noqa: UP041 -- another class in the Python of the oldest release
            continue
        if made.type != socket.SOCK_RAW or is_echo(question, answer, made.family == socket.AF_INET6):
            return "arrives"
    return "silence"


def is_echo(question: bytes, packet: bytes, six: bool) -> bool:
    """Whether it is the reply to this request.

    On a raw socket we hear our own questions too, where we ask ourselves, and until it is connected what all others are told.
    """
    message = packet if six else packet[(packet[0] & 15) * 4 :]
    return message[0] == (129 if six else 0) and message[4:] == question[4:]


def echo_request(six: bool) -> bytes:
    """Of ICMP or ICMPv6, whose checksum the kernel works out; no two are alike."""
    body = struct.pack("!BBH", 128 if six else 8, 0, 0) + os.urandom(12)
    if six:
        return body
    total = sum(struct.unpack("!8H", body))
    total = (total & 0xFFFF) + (total >> 16)
    return body[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + body[4:]


def tried(source: str, target: str, protocol: str, port: int) -> str:
    """What becomes of one."""
    six = ":" in target
    family = socket.AF_INET6 if six else socket.AF_INET
    kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "icmp": socket.SOCK_RAW}[protocol]
    number = 0 if protocol != "icmp" else socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    with socket.socket(family, kind, number) as made:
        if six:
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        made.bind((source, 0))
        if protocol == "tcp":
            return tcp(made, target, port)
        return asked(made, target, port, b"?" if protocol == "udp" else echo_request(six))


def outcome(source: str, target: str, protocol: str, port: int) -> str:
    """The same in a word."""
    try:
        return tried(source, target, protocol, port)
    except ConnectionRefusedError:
        return "arrives"
    except (TimeoutError, socket.timeout):  # noqa: UP041
        return "silence"
    except OSError as error:
        known = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL)
        if error.errno == errno.EADDRNOTAVAIL:
            return f"{source} is no address of this machine"
        return "refused" if error.errno in known else str(error)


def main() -> None:
    """So many at once."""
    attempts: list[tuple[str, str, str, int]] = json.load(sys.stdin)
    found = [""] * len(attempts)
    room = threading.Semaphore(AT_ONCE)

    def run(number: int) -> None:
        with room:
            found[number] = outcome(*attempts[number])

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(attempts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
