"""Looks the hub's name up, where `check` is asked to; nothing else of the program ever does. Room: reading, the one place that asks DNS."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

from netaddr import IPAddress

from wg_office.environment.faults import Path
from wg_office.environment.fields import Endpoint
from wg_office.environment.model import Environment
from wg_office.reading.checks import Finding, check

_SECONDS = 10.0
_HERE: Path = ("hub", "endpoint")


def looked_up(environment: Environment) -> Iterator[Finding]:
    """What is to be said of the hub's name: that nobody answers for it, or what is wrong with an address that it has."""
    endpoint = environment.hub.endpoint
    if endpoint.address is not None:
        return
    found = addresses(str(endpoint.host))
    if not found:
        remedy = "give it an address in DNS, or correct the name; until then nobody finds the hub"
        yield Finding(_HERE, f"{endpoint.host} does not resolve, seen from here", remedy)
    for address in found:
        there = environment.hub.model_copy(update={"endpoint": Endpoint(address, endpoint.port)})
        for finding in check(environment.model_copy(update={"hub": there})):
            yield Finding(finding.path, f"{endpoint.host} has the address {address}: {finding.message}", finding.remedy, finding.see)


def addresses(name: str) -> tuple[IPAddress, ...]:
    """The addresses of a name; none where there are none, or nobody says so in time."""
    found: dict[IPAddress, None] = {}

    def ask() -> None:
        with suppress(OSError, UnicodeError):
            for *_, where in socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM):
                found.setdefault(IPAddress(str(where[0]).partition("%")[0]))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_SECONDS)
    return tuple(found)
