"""The benchmark compares like with like: both tools are told of one network."""

import json
from pathlib import Path

from bench.floor import opened
from bench.office import Office
from lab import Lab
from wg_office.reading.checks import check


def test_the_measured_network_is_one_that_the_program_takes(tmp_path: Path) -> None:
    office = Office(Lab(tmp_path, quiet=True), 300)
    assert check(office.environment) == []
    assert office.peers_of_hub == 302


def test_the_playbook_is_told_of_every_peer_and_developer(tmp_path: Path) -> None:
    office = Office(Lab(tmp_path, quiet=True), 3)
    told = json.loads(office.inventory())["all"]
    hub = told["children"]["tunnel"]["hosts"]["z"]
    assert [peer["allowed"] for peer in hub["peers"]] == [
        "10.70.0.2/32, 192.168.201.0/24",
        "10.70.0.3/32, 192.168.200.0/24",
        *(f"{address}/32" for address in told["vars"]["developers"]),
    ]
    assert told["children"]["routers"]["hosts"]["a-router"]["routes"] == ["10.70.0.0/16 via 192.168.201.247"]


def test_the_floor_is_given_what_is_in_a_secret_within_a_secret() -> None:
    """So the state has a connection's private key where the official plugin runs, which marks it itself."""
    mark = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
    connection = {"host": "127.0.0.1", "privateKey": {**mark, "plaintext": json.dumps("a key")}}
    inputs = {"create": "true", "connection": {**mark, "plaintext": json.dumps(connection)}}
    assert opened(inputs) == {"create": "true", "connection": {"host": "127.0.0.1", "privateKey": "a key"}}
