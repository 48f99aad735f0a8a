"""Refusing a developer's machines on the hosts at once, from the environment file alone: what hosts are asked, and what comes of it. Pure.

The hub goes first. It knows peers by name, and says by which addresses: a gateway, which knows addresses alone, is told those, since the
file may already have others. Where the hub cannot be asked, the file's count.

Room: asking. The words are those of `verb_revoke` in hostside/wg-office.d; dialling is dial.py's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wg_office.asking.status import NOT_UNDERSTOOD, Reading
from wg_office.environment.model import Client, Environment
from wg_office.network.plan import HostPlan

Ask = Callable[[tuple[HostPlan, ...], tuple[str, ...]], Mapping[str, Reading]]
"""Runs the lines on each of the hosts."""

_ANSWER = re.compile(r"^(revoked|unknown|lifted) ([a-z0-9-]{1,64})((?: [0-9a-f.:]{2,45}){0,8})$", re.MULTILINE)


class Outcome(StrEnum):
    """What a host did, from the best to the worst."""

    REFUSED = "refused"
    LIFTED = "lifted"
    UNKNOWN = "unknown"
    FAILED = "failed"


EXIT_STATUS = {Outcome.REFUSED: 0, Outcome.LIFTED: 0, Outcome.UNKNOWN: 4, Outcome.FAILED: 5}


@dataclass(frozen=True)
class HostAnswer:
    """A host, what it did, and what is to be said of it."""

    host: str
    outcome: Outcome
    text: str
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of the machines that it refuses now, by their names."""


def revoke(env: Environment, plans: tuple[HostPlan, ...], clients: list[Client], ask: Ask) -> tuple[HostAnswer, ...]:
    """Have the hub, then all gateways, refuse these machines."""
    addresses = {client.name: _addresses(env, client) for client in clients}
    hub = _told(plans[:1], addresses, ask)
    if hub[0].outcome is not Outcome.FAILED:
        addresses = dict(hub[0].addresses)
    return hub + (_told(plans[1:], addresses, ask) if addresses else ())


def lift(plans: tuple[HostPlan, ...], clients: list[Client], ask: Ask) -> tuple[HostAnswer, ...]:
    """Have the gateways let these machines pass again, if the hub has their revoked keys no more."""
    names = [client.name for client in clients]
    hub = _lifted(plans[:1], names, ask)
    return hub + (_lifted(plans[1:], names, ask) if hub[0].outcome is Outcome.LIFTED else ())


def worst(answers: tuple[HostAnswer, ...]) -> Outcome:
    """The gravest of all; EXIT_STATUS has its number."""
    return max((answer.outcome for answer in answers), key=list(Outcome).index)


def advice(env: Environment, file: str, names: str, answers: tuple[HostAnswer, ...]) -> tuple[str, ...]:
    """What is to be done next, a sentence each."""
    failed = [answer.host for answer in answers if answer.outcome is Outcome.FAILED]
    hub = answers[0]
    said = []
    if hub.outcome is Outcome.FAILED:
        said.append(
            f"hub {env.hub.name} may still let {names} in: run this again until it ends with 0. If the hub cannot be reached at all, stop "
            f"it at its provider's console, which cuts everybody off"
        )
    elif failed:
        said.append(f"hub {env.hub.name} stands between {names} and {', '.join(failed)}; run this again when they can be reached")
    if hub.outcome is Outcome.UNKNOWN:
        said.append(f"take {names} out of {file}, so that no later `pulumi up` lets it in")
    else:
        said.append(
            f"next: take {names} out of {file}, or give it a new key (rotation, public_key), and pulumi up; `status` says so until then"
        )
    return tuple(said)


def _addresses(env: Environment, client: Client) -> tuple[str, ...]:
    address6 = env.address6_of(client)
    return (str(client.address), *(() if address6 is None else (str(address6),)))


def _told(hosts: tuple[HostPlan, ...], addresses: Mapping[str, tuple[str, ...]], ask: Ask) -> tuple[HostAnswer, ...]:
    lines = tuple(f"revoke {name} {' '.join(of)}" for name, of in addresses.items())
    readings = ask(hosts, lines)
    return tuple(_refused(host.name, readings[host.name], set(addresses)) for host in hosts)


def _refused(host: str, reading: Reading, names: set[str]) -> HostAnswer:
    answers = _answers(reading, names)
    if answers is None:
        return HostAnswer(host, Outcome.FAILED, reading.failure or NOT_UNDERSTOOD)
    refused = {name: of for name, (what, of) in answers.items() if what == "revoked"}
    unknown = [name for name in answers if name not in refused]
    parts = [f"refuses {name} ({', '.join(of)})" for name, of in refused.items()]
    parts += [f"knows no {name}: it was not let in yet, or `pulumi up` has taken it out" for name in unknown]
    return HostAnswer(host, Outcome.UNKNOWN if unknown else Outcome.REFUSED, "; ".join(parts), refused)


def _lifted(hosts: tuple[HostPlan, ...], names: list[str], ask: Ask) -> tuple[HostAnswer, ...]:
    readings = ask(hosts, tuple(f"lift {name}" for name in names))
    return tuple(
        HostAnswer(host.name, Outcome.FAILED, readings[host.name].failure or NOT_UNDERSTOOD)
        if _answers(readings[host.name], set(names)) is None
        else HostAnswer(host.name, Outcome.LIFTED, f"no longer refuses {', '.join(names)}")
        for host in hosts
    )


def _answers(reading: Reading, names: set[str]) -> dict[str, tuple[str, tuple[str, ...]]] | None:
    """What a host said of each name; None where it did not speak of all of them. A login shell that greets is no fault."""
    found = {name: (what, tuple(more.split())) for what, name, more in _ANSWER.findall(reading.said or "")}
    return found if set(found) == names else None
