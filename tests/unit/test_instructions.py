"""What a person is told to do by hand: exactly the sites that nothing else serves, with commands that can be typed as they stand."""

import re
from pathlib import Path

import pytest
from test_render import environment

from wg_office.instructions import by_hand, route_commands
from wg_office.load import load
from wg_office.model import Developer, Environment

CONFIGS = Path(__file__).parents[2] / "configs"


def with_gateway_c(**changes: object) -> Environment:
    env = environment("article")
    return env.model_copy(update={"gateways": (env.gateways[0], env.gateways[1].model_copy(update=changes))})


def test_the_site_without_ssh_to_its_router_gets_an_instruction_and_the_other_does_not() -> None:
    assert by_hand(environment("article")) == (
        "site beijing: on the router 192.168.200.1 add the static route 10.70.0.0/16 via 192.168.200.248. "
        "On Linux: ip route replace 10.70.0.0/16 via 192.168.200.248",
    )


def test_a_router_that_the_file_does_not_name_is_the_lans_default_gateway() -> None:
    (instruction,) = by_hand(with_gateway_c(router=None))
    assert instruction.startswith("site beijing: on the default gateway of 192.168.200.0/24 add the static route ")


@pytest.mark.parametrize("changes", [{"return_path": "masquerade", "router": None}, {"retired": True}])
def test_nobody_is_asked_where_no_route_is_needed(changes: dict[str, object]) -> None:
    assert by_hand(with_gateway_c(**changes)) == ()


def with_device(access: object) -> Environment:
    """The example whose site's way back the program sets on single machines, with one developer's access changed."""
    env = load(CONFIGS / "example-firewalld.yaml")
    zhou = Developer.model_validate({"name": "zhou", "address": "10.72.0.10", "access": access})
    return env.model_copy(update={"developers": (zhou,)})


@pytest.mark.parametrize("hosts", [["192.168.30.40"], ["192.168.30.40", "192.168.30.53", "192.168.30.2"]])
def test_nobody_is_asked_where_only_machines_with_a_route_of_their_own_are_reached(hosts: list[str]) -> None:
    assert by_hand(with_device([{"site": "nanjing", "hosts": hosts}])) == ()


@pytest.mark.parametrize("access", [["nanjing"], [{"site": "nanjing", "hosts": ["192.168.30.40", "192.168.30.41"]}]])
def test_a_person_is_asked_where_others_are_reached_too(access: list[object]) -> None:
    assert by_hand(with_device(access)) == (
        "site nanjing: on the default gateway of 192.168.30.0/24 add the static route 10.72.0.0/20 via 192.168.30.2 "
        "(the program sets it on build, names alone). On Linux: ip route replace 10.72.0.0/20 via 192.168.30.2",
    )


def test_linked_lans_are_in_the_instruction_and_the_commands() -> None:
    env = environment("firewalls")
    assert route_commands(env, env.gateway_of("chengdu")) == (
        "ip route replace 10.75.0.0/16 via 192.168.60.2",
        "ip route replace 192.168.50.0/24 via 192.168.60.2",
    )
    plain = env.model_copy(update={"gateways": tuple(each.model_copy(update={"devices": ()}) for each in env.gateways)})
    (instruction,) = by_hand(plain)
    assert "10.75.0.0/16 via 192.168.60.2 and 192.168.50.0/24 via 192.168.60.2. On Linux: " in instruction
    assert instruction.endswith("; ".join(route_commands(plain, plain.gateway_of("chengdu"))))


@pytest.mark.parametrize("case", ["article", "one-gateway", "no-gateway", "firewalls"])
def test_commands_are_words_that_no_shell_changes(case: str) -> None:
    env = environment(case)
    for gateway in env.gateways:
        for command in route_commands(env, gateway):
            assert re.fullmatch(r"ip route replace [0-9./]+ via [0-9.]+", command)
