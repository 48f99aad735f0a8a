"""Random offices by number: the same number is the same office, as long as the strategy stays what it is."""

import json
import sys
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, seed, settings

CLONE = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(CLONE / "tests" / "unit"))

from test_aliases import translating  # noqa: E402

from lab.trial.case import Case, case_of, write  # noqa: E402
from wg_office.environment.faults import Faults  # noqa: E402
from wg_office.environment.grants import Icmp, PortRange  # noqa: E402
from wg_office.environment.model import Environment  # noqa: E402

EXAMPLES = 30
"""Of these one is taken: many random offices say what `check` refuses, or let nobody reach anything."""
ENOUGH = 30
"""Attempts."""


@cache
def office(number: int) -> Case:
    """Of some random offices that `check` accepts and in which there is something to try the richest."""
    for again in count():
        found = [case for env in drawn(number + again * 1000) if (case := worth_it(env)) is not None]
        if found:
            return max(found, key=lambda case: sum(features(case).values()))
    raise AssertionError("count() has no end")


def drawn(number: int) -> list[Environment]:
    """So many random offices."""
    found: list[Environment] = []

    @seed(number)
    @settings(max_examples=EXAMPLES, database=None, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck))
    @given(translating())
    def draw(env: Environment) -> None:
        found.append(env)

    draw()
    return found


def worth_it(env: Environment) -> Case | None:
    """Where it can be deployed, and shows something."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "environment.yaml"
        write(file, json.loads(env.model_dump_json(by_alias=True, exclude_unset=True)))
        try:
            case = case_of(file)
        except Faults:
            return None
    return case if len(case.plan.attempts) >= ENOUGH else None


def features(case: Case) -> dict[str, bool]:
    """Whether each feature of an office's networks and rules occurs in this one."""
    env = case.env
    lans = [lan for site in env.active_sites for lan in site.networks]
    ports = [port for item in case.granted for port in item.ports]
    return {
        "IPv6": env.network.cidr6 is not None,
        "a LAN with IPv6": any(lan.cidr.version == 6 for lan in lans),
        "several LANs": any(len(site.networks) > 1 for site in env.active_sites),
        "a LAN behind a router": any(lan.router is not None for lan in lans),
        "a partner in the internet": any(lan.outside for lan in lans),
        "an alias": any(site.aliased for site in env.active_sites),
        "networks of the hub": bool(env.hub.networks),
        "two machines of one person": any(len(each.clients) > 1 for each in env.developers),
        "an end": any(item.until is not None for item in case.granted),
        "a group": any(item.through for item in case.granted),
        "masquerading": any(policy.masquerade for policy in case.reach.policies.values()),
        "static routes": bool(case.ground.typed),
        "a link": bool(env.links),
        "ping": any(isinstance(port, Icmp) for port in ports),
        "a port range": any(isinstance(port, PortRange) and port.first < port.last for port in ports),
        **{f"to a {kind}": any(item.destination.kind == kind for item in case.granted) for kind in ("site", "developer", "host")},
    }
