"""The stand-in for pulumi-command, whichever toolchain is in use: what it refuses, and that it words things as the official plugin does."""

from pathlib import Path
from typing import Any

import pytest
from remote_host import HostFactory, hosts_on
from sshd import Sshd, free_port
from stacks import StackFactory, told_to_end


@pytest.fixture
def host(stand_in_factory: StackFactory, sshd: Sshd) -> HostFactory:
    return hosts_on(stand_in_factory, sshd)


def test_it_really_runs_a_command(host: HostFactory) -> None:
    one = host(create="cat; echo said", stdin="fed\n")
    assert "warning" not in one.stack.up()
    assert one.stack.outputs()["stdout"] == "fed\nsaid"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"triggers": ["1"]}, "triggers is not implemented"),
        ({"environment": {"A": "b"}}, "environment is not implemented"),
        ({"add_previous_output_in_env": True}, "addPreviousOutputInEnv must be false"),
    ],
)
def test_what_is_not_implemented_is_refused_before_anyone_is_dialled(host: HostFactory, arguments: dict[str, Any], reason: str) -> None:
    one = host(create="true", **arguments)
    assert reason in one.stack.up(fails=True)
    assert one.server.dials == 0


def test_a_server_without_a_pinned_key_is_refused_before_anyone_is_dialled(host: HostFactory) -> None:
    one = host(create="true")
    one.reconnect(host_key=None)
    assert "hostKey" in one.stack.up(fails=True)
    assert one.server.dials == 0


def test_a_failing_command_reads_as_with_the_official_plugin(host: HostFactory) -> None:
    one = host(create="echo out; echo 'it is broken' >&2; exit 3", stdin="")
    said = one.stack.up(fails=True)
    assert "Process exited with status 3: running \"echo out; echo 'it is broken' >&2; exit 3\":" in said
    assert "Traceback" not in said


def test_a_connection_that_fails_reads_as_with_the_official_plugin(host: HostFactory, second_sshd: Sshd, tmp_path: Path) -> None:
    one = host(create="true")
    one.reconnect(host_key=second_sshd.host_key, dial_error_limit=0)
    assert "after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch" in one.stack.up(fails=True)
    one.reconnect(private_key=second_sshd.private_key, dial_error_limit=0)
    assert "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]" in one.stack.up(fails=True)
    one.reconnect(proxy={**second_sshd.connection(), "host_key": one.server.host_key, "dial_error_limit": 0})
    assert "proxy: after 0 failed attempts: ssh: handshake failed: ssh: host key mismatch" in one.stack.up(fails=True)
    port = free_port()
    one.reconnect(port=port, dial_error_limit=1)
    assert f"after 1 failed attempts: dial tcp 127.0.0.1:{port}: connect: connection refused" in one.stack.up(fails=True)
    agent = f"{tmp_path}/nobody"
    assert f"dial unix {agent}: connect: no such file or directory" in one.stack.up(fails=True, SSH_AUTH_SOCK=agent)


def test_an_interrupt_while_it_dials_ends_it_without_a_traceback(host: HostFactory) -> None:
    one = host(create="true")
    said = told_to_end(one.start_dialling_nobody(), one.stack.folder)
    assert "Traceback" not in said
