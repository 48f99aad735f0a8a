"""docs/operations.md: its commands as printed, in their order, over real SSH to hosts of namespaces.

`pulumi up` alone is not the real one: here it gives each host the description of the file as it is then, by the same commands and the real
script.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sandbox import UNCONFIRMED, Office
from test_status_client import Net, agent, serving

from wg_office.hosts import keys
from wg_office.network.plan import plan
from wg_office.reading.load import load

CLONE = Path(__file__).resolve().parents[2]
DOCUMENT = CLONE / "docs" / "operations.md"
# What follows is typed by tests/lab/test_host_own_key.py and tests/engine/test_drill.py.
HERE = DOCUMENT.read_text().partition("\n## Own keys\n")[0]
COMMANDS = [line.removeprefix("    $ ") for line in HERE.splitlines() if line.startswith("    $ ")]
REVOKE, REVOKED, UP, ALL, UP_AGAIN, AT_GATEWAYS, LIFT, ALL_AGAIN = COMMANDS
E = "developers:\n  - {name: e, address: 192.0.2.4, access: [shenzhen]}\n"
WELL = "office: 2 hosts: 2 well\n"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    folder = tmp_path_factory.mktemp("net")
    with serving(folder) as made:
        (folder / "configs").mkdir()
        python = folder / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        yield replace(made, file=made.file.rename(folder / "configs" / "office.yaml"))


def typed(net: Net, command: str) -> str:
    """What a command prints, beside configs/, with the operator's key in the agent."""
    if command == "pulumi up":
        return up(net)
    folder = net.file.parent.parent
    with agent(net.key) as path:
        variables = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(CLONE), "SSH_AUTH_SOCK": path}
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **variables}
        )
    assert done.stderr == ""
    return done.stdout


def up(net: Net) -> str:
    environment = load(net.file)
    for host in plan(environment):
        office = Office(net.hosts[host.name].sandbox, environment, host)
        for client in environment.clients:
            if client.rotation > 1:
                secret = f"{client.name}{client.rotation}".ljust(keys.SECRET_LENGTH, "x")
                office.secrets[client.name] = secret
                office.names = {**office.names, client.name: keys.names(secret, keys.private_key(secret))}
        office.put_keys()
        while (done := office.apply(office.description())).returncode == UNCONFIRMED:
            pass
        assert done.returncode == 0, done.stderr
        net.hosts[host.name] = office
    return ""


def test_a_lost_laptop_without_a_replacement(net: Net) -> None:
    said = typed(net, REVOKE)
    assert said.startswith("z: refused: refuses e (192.0.2.4)\na: refused: refuses e (192.0.2.4)\nnext: take e out of configs/office.yaml")
    assert typed(net, REVOKED).count("e is revoked, and still in the file") == 2
    text = net.file.read_text()
    net.file.write_text(text.replace(E, ""))
    typed(net, UP)
    assert typed(net, ALL) == WELL
    net.file.write_text(text)
    typed(net, UP)
    assert typed(net, ALL) == WELL


def test_a_lost_laptop_with_a_replacement(net: Net) -> None:
    typed(net, REVOKE)
    old = net.hosts["z"].public("e")
    net.file.write_text(net.file.read_text().replace("{name: e,", "{name: e, rotation: 2,"))
    typed(net, UP_AGAIN)
    running = net.hosts["z"].sandbox.shell("wg show wg0 dump")
    assert net.hosts["z"].public("e") in running
    assert old not in running
    assert typed(net, AT_GATEWAYS).splitlines() == [
        "a: trouble: e is revoked here and not at hub z: if its key was renewed since, python -m wg_office revoke e --lift --file FILE; "
        "if not, revoke it again"
    ]
    assert typed(net, LIFT) == "z: lifted: no longer refuses e\na: lifted: no longer refuses e\n"
    assert typed(net, ALL_AGAIN) == WELL


def test_every_command_of_the_document_is_typed_here() -> None:
    assert set(COMMANDS) == {REVOKE, REVOKED, UP, ALL, LIFT}
    others = [line for line in HERE.splitlines() if line.startswith("    ") and not line.startswith("    $ ")]
    assert others == []
