"""`revoke` without hosts: whom it means, what hosts are told, what their answers come to. With hosts: tests/lab/test_status_client.py."""

from collections.abc import Mapping

import pytest
from test_render import GOLDEN, environment
from typer.testing import CliRunner

from wg_office.asking.revoke import EXIT_STATUS, HostAnswer, Outcome, advice, lift, revoke, worst
from wg_office.asking.status import Reading
from wg_office.commands.cli import app
from wg_office.environment.model import Environment
from wg_office.network.plan import HostPlan, plan

ARTICLE = str(GOLDEN / "article" / "environment.yaml")
ENV: Environment = environment("article")
PLANS = tuple(host for host in plan(ENV) if host.tunnel is not None)
E = [client for client in ENV.clients if client.name == "e"]
HUB, *GATEWAYS = (host.name for host in PLANS)
WELL = "revoked e 10.70.0.4\n"


class Hosts:
    """Answers by host; what was asked of each, in order."""

    def __init__(self, **said: str | None) -> None:
        self.said = said
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, hosts: tuple[HostPlan, ...], lines: tuple[str, ...]) -> Mapping[str, Reading]:
        self.asked += [(host.name, lines) for host in hosts]
        answers = {host.name: self.said.get(host.name, WELL) for host in hosts}
        return {name: Reading(failure="cannot be reached") if said is None else Reading(said=said) for name, said in answers.items()}


def outcomes(answers: tuple[HostAnswer, ...]) -> dict[str, Outcome]:
    return {answer.host: answer.outcome for answer in answers}


def test_the_hub_is_first_and_its_addresses_are_what_gateways_are_told() -> None:
    hosts = Hosts(**{HUB: "revoked e 10.70.0.44 fd70::44\n"})
    answers = revoke(ENV, PLANS, E, hosts)
    assert hosts.asked == [
        (HUB, ("revoke e 10.70.0.4",)),
        *((name, ("revoke e 10.70.0.44 fd70::44",)) for name in GATEWAYS),
    ]
    assert set(outcomes(answers).values()) == {Outcome.REFUSED}
    assert EXIT_STATUS[worst(answers)] == 0


def test_without_the_hub_gateways_are_told_the_addresses_of_the_file() -> None:
    hosts = Hosts(**{HUB: None})
    answers = revoke(ENV, PLANS, E, hosts)
    assert [lines for name, lines in hosts.asked if name != HUB] == [("revoke e 10.70.0.4",)] * len(GATEWAYS)
    assert (answers[0].outcome, answers[0].text) == (Outcome.FAILED, "cannot be reached")
    assert EXIT_STATUS[worst(answers)] == 5
    assert "may still let e in" in advice(ENV, "dev.yaml", "e", answers)[0]


def test_whom_the_hub_does_not_know_no_gateway_is_told_about() -> None:
    """The address in the file may be somebody else's on the hosts."""
    hosts = Hosts(**{HUB: "unknown e\n"})
    answers = revoke(ENV, PLANS, E, hosts)
    assert outcomes(answers) == {HUB: Outcome.UNKNOWN}
    assert EXIT_STATUS[worst(answers)] == 4
    assert [name for name, _ in hosts.asked] == [HUB]


@pytest.mark.parametrize("said", ["", "revoked f 10.70.0.5\n", "revoked e 10.70.0.4; reboot\n", "revoked e\x1b[2J\n", "sudo: no\n"])
def test_an_answer_that_does_not_speak_of_whom_was_meant_is_a_failure(said: str) -> None:
    answers = revoke(ENV, PLANS, E, Hosts(**{GATEWAYS[0]: said}))
    assert outcomes(answers)[GATEWAYS[0]] is Outcome.FAILED
    assert answers[1].text.isprintable()


def test_a_login_shell_that_greets_is_no_failure() -> None:
    assert outcomes(revoke(ENV, PLANS, E, Hosts(**{HUB: f"Welcome!\n{WELL}"})))[HUB] is Outcome.REFUSED


def test_nothing_is_lifted_at_gateways_unless_the_hub_has_agreed() -> None:
    refusing = Hosts(**{HUB: None})
    assert outcomes(lift(PLANS, E, refusing)) == {HUB: Outcome.FAILED}
    assert [name for name, _ in refusing.asked] == [HUB]
    agreeing = Hosts(**dict.fromkeys((HUB, *GATEWAYS), "lifted e\n"))
    assert set(outcomes(lift(PLANS, E, agreeing)).values()) == {Outcome.LIFTED}
    assert {lines for _, lines in agreeing.asked} == {("lift e",)}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["revoke", *arguments, "--file", ARTICLE])
    return result.exit_code, result.stderr


def test_a_name_that_is_no_developers_is_told_with_those_that_are_near() -> None:
    assert run("ee") == (2, f"{ARTICLE}: dev has no developer ee; did you mean e?\n")
    assert run("q") == (2, f"{ARTICLE}: dev has no developer q; it has e, f\n")
    assert run(GATEWAYS[0]) == (2, f"{ARTICLE}: dev has no developer {GATEWAYS[0]}; {GATEWAYS[0]} is a gateway\n")


def test_a_device_that_nobody_has_is_told() -> None:
    assert run("e", "--device", "phone") == (2, f"{ARTICLE}: e has no device phone; e has one machine alone: leave it out\n")
