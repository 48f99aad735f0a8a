"""A developer's ping in the lab, and which of its packets were lost."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from lab import Lab

ENOUGH = "until [ $(wc -l </root/pings) -gt 25 ]; do sleep 0.2; done"


@contextmanager
def pinging(lab: Lab, laptop: str, address: str) -> Iterator[list[int]]:
    """Ping five times a second, for five seconds at least; afterwards the list has the sequence numbers of the answers."""
    answered: list[int] = []
    # A file of its own: the ping of a run that was killed may still write to the last one.
    with lab.popen(laptop, ["sh", "-c", f"rm -f /root/pings; exec ping -n -i0.2 {address} >/root/pings"]) as pings:
        yield answered
        lab.exec(laptop, ["timeout", "60", "sh", "-c", ENOUGH], check=False)
        pings.stop()
    answered += map(int, re.findall(r"icmp_seq=(\d+) ttl", lab.get(laptop, "/root/pings")))
    assert len(answered) > 20, f"{laptop}'s ping of {address}: {len(answered)} answers"


def lost(answered: list[int]) -> list[int]:
    """The sequence numbers between the first ping and the last answer that were not answered."""
    return sorted(set(range(1, answered[-1] + 1)) - set(answered))
