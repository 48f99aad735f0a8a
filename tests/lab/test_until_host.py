"""What has ended stays so on a host, whatever its clock says later, and by a restart. The real script in namespaces (sandbox.py).

The clock is the whole machine's and is left alone: in its place the latest time that the host has seen is moved ahead of it, which comes to
the same as a clock that was set back. What the judge's rules do to packets is in test_until_packets.py.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bootunit import boot
from sandbox import Office, Sandbox, planned

from wg_office.environment.fields import Moment
from wg_office.environment.model import Environment
from wg_office.reading.load import load

ENVIRONMENT = load(Path(__file__).resolve().parents[2] / "configs" / "dev.yaml", require_host_keys=False)
F_TO_D = "ct direction original ip saddr 10.70.0.5 ip daddr 192.168.200.244 tcp dport 22"
E_TO_LAN = "ct direction original ip saddr 10.70.0.4 ip daddr 192.168.200.0/24"
TIMER = "/run/stand-in/units/wg-office-until.timer.active"


def ending(**ends: int) -> Environment:
    people = (each.model_copy(update={"until": Moment(ends[each.name])}) if each.name in ends else each for each in ENVIRONMENT.developers)
    return ENVIRONMENT.model_copy(update={"developers": tuple(people)})


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("203.0.113.10/24") as made:
        yield made


def hub(sandbox: Sandbox, environment: Environment) -> Office:
    return Office(sandbox, environment, planned(environment, "hub"))


def own_rules(sandbox: Sandbox) -> list[str]:
    """Of the table with what the host alone knows."""
    return [line.strip() for line in sandbox.shell("TZ=UTC nft list table inet wg_office_host").splitlines()]


def of_f(sandbox: Sandbox, start: str = F_TO_D) -> list[str]:
    """What becomes of f's packets to d, or of others', rule by rule."""
    return [line.removeprefix(start).strip() for line in own_rules(sandbox) if line.startswith(start)]


def test_what_has_ended_is_over_after_a_restart_too_and_without_an_end_nobody_is_bound(sandbox: Sandbox) -> None:
    until = int(time.time()) - 60
    office = hub(sandbox, ending(f=until))
    office.install()
    assert int(sandbox.shell("cat /etc/wg-office/seen")) > until
    sandbox.shell(f"test -e {TIMER}")
    assert of_f(sandbox) == ["drop"]
    assert office.drift() == []
    assert boot(sandbox)
    assert of_f(sandbox) == ["drop"]
    plain = hub(sandbox, ENVIRONMENT)
    plain.install()
    assert of_f(sandbox) == []
    assert sandbox.run(f"test -e {TIMER}").returncode != 0
    assert plain.drift() == []


def test_a_clock_that_was_set_back_opens_nothing(sandbox: Sandbox) -> None:
    people = ending(f=Moment.parse("2036-01-31").epoch, e=Moment.parse("2037-01-31").epoch)
    seen = Moment.parse("2036-06-30T12:00Z").epoch
    office = hub(sandbox, people)
    office.install()
    assert [rule.split()[0] for rule in of_f(sandbox)] == ["meta", "drop"], (
        "while it lasts: back to the judge, from the time that was seen on"
    )
    sandbox.shell(f"echo {seen} >/etc/wg-office/seen; bash /etc/wg-office/current/wg-office ended")
    assert of_f(sandbox) == ["drop"], "it ended before what the host has seen"
    waits = ['meta time >= "2036-06-30 11:00:00" return', "drop"]
    assert of_f(sandbox, E_TO_LAN) == waits, "what has not ended yet waits until that time has come again"
    office.install(repair="1")
    assert of_f(sandbox) == ["drop"], "nor does a later description open it"


def test_an_end_that_was_brought_forward_is_kept_by_going_back(sandbox: Sandbox) -> None:
    first, second = (int(time.time()) + later for later in (7200, 3600))
    hub(sandbox, ending(f=first)).install()
    change = hub(sandbox, ending(f=second))
    change.apply(change.description())
    sandbox.shell("bash /etc/wg-office/current/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")
    assert of_f(sandbox)[-2:] == [f'meta time < "{Moment(second).calendar.removesuffix(" UTC")}" return', "drop"]
