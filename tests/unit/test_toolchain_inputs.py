"""What the stand-in plugins refuse, and that it is said before anything is done."""

from typing import Any

import pytest

from toolchain.plugin_command import input_faults as command_faults
from toolchain.plugin_random import input_faults as random_faults
from toolchain.plugin_random import password
from toolchain.values import UNKNOWN, changed_keys, plain, secret

CONNECTION = {
    "host": "203.0.113.10",
    "port": 22,
    "user": "root",
    "privateKey": "k",
    "hostKey": "ssh-ed25519 AAAA",
    "dialErrorLimit": 2,
    "perDialTimeout": 5,
}


def command(**changed: Any) -> dict[str, Any]:
    return {"create": "true", "stdin": "text", "logging": "none", "addPreviousOutputInEnv": False, "connection": CONNECTION, **changed}


def connection(**changed: Any) -> dict[str, Any]:
    return command(connection={name: value for name, value in {**CONNECTION, **changed}.items() if value is not None})


def reasons(inputs: dict[str, Any]) -> str:
    return "\n".join(reason for _, reason in command_faults(inputs))


def test_what_the_program_uses_is_accepted() -> None:
    assert reasons(command()) == ""
    assert reasons(connection(proxy=CONNECTION)) == ""
    assert reasons(connection(privateKey=None, agentSocketPath="/run/agent")) == ""


def test_what_is_not_known_yet_is_accepted() -> None:
    assert reasons(command(stdin=UNKNOWN, create=UNKNOWN, logging=UNKNOWN)) == ""
    assert reasons(command(connection=UNKNOWN)) == ""
    assert reasons(connection(host=UNKNOWN, port=UNKNOWN, hostKey=UNKNOWN)) == ""


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (command(addPreviousOutputInEnv=True), "addPreviousOutputInEnv must be false"),
        ({name: value for name, value in command().items() if name != "addPreviousOutputInEnv"}, "addPreviousOutputInEnv must be false"),
        (command(logging="loud"), "logging must be one of stdout, stderr, stdoutAndStderr, none"),
        (command(stdin=7), "stdin must be a text"),
        (command(connection=None), "connection must say which host to connect to"),
        (connection(host=None), "connection.host is missing"),
        (connection(hostKey=None), "connection.hostKey is missing"),
        (connection(password="p"), "connection.password is not implemented by this stand-in: use privateKey or an agent"),
        (connection(privateKeyPassword="p"), "connection.privateKeyPassword is not implemented"),
        (connection(colour="red"), "connection.colour is not implemented by this stand-in: leave it out"),
        (connection(port=0), "connection.port must be a whole number from 1 to 65535"),
        (connection(port=22.5), "connection.port must be a whole number"),
        (connection(dialErrorLimit=-2), "connection.dialErrorLimit must be a whole number from -1"),
        (connection(perDialTimeout=-1), "connection.perDialTimeout must be a whole number from 0"),
        (connection(proxy={"host": "198.51.100.1"}), "connection.proxy.hostKey is missing"),
        (connection(proxy={**CONNECTION, "proxy": CONNECTION}), "connection.proxy.proxy is not implemented"),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_refused_with_its_reason(inputs: dict[str, Any], reason: str) -> None:
    assert reason in reasons(inputs)


def test_a_reason_never_tells_a_value() -> None:
    told = reasons(connection(password="hunter2", privateKeyPassword="hunter2", port="hunter2"))
    assert told
    assert "hunter2" not in told


@pytest.mark.parametrize("length", [0, -1, 1.5, "8", None])
def test_a_length_must_be_a_whole_positive_number(length: Any) -> None:
    assert [name for name, _ in random_faults({"length": length})] == ["length"]


def test_keepers_must_be_a_map_and_special_a_truth_value() -> None:
    assert [name for name, _ in random_faults({"length": 8, "keepers": "x", "special": "no"})] == ["special", "keepers"]
    assert list(random_faults({"length": 8, "keepers": {"a": "1"}, "special": False})) == []


def test_passwords_have_their_length_and_alphabet_and_differ() -> None:
    drawn = {password(43, special=False) for _ in range(50)}
    assert len(drawn) == 50
    assert all(len(one) == 43 and one.isascii() and one.isalnum() for one in drawn)
    assert any(not character.isalnum() for character in password(1000, special=True))


def test_secret_marks_are_taken_off_at_any_depth() -> None:
    assert plain({"a": secret({"b": [secret("c")]}), "d": 1}) == {"a": {"b": ["c"]}, "d": 1}


def test_only_becoming_secret_is_no_change() -> None:
    assert changed_keys({"a": "x", "b": "y", "c": 1}, {"a": secret("x"), "b": "z", "d": 2}) == ["b", "c", "d"]
