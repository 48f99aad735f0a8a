"""From another Pulumi program, with the real engine: the example of docs/deploy.md, which has two offices, and the package installed."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from landings import CLONE
from sshd import LOOPBACK, Sshd, free_port, running_sshd
from stacks import Stack, StackFactory

OFFICES = ("north", "south")
COMMAND = "command:remote:Command"

# Both have a hub of one name, and a gateway too.
ENVIRONMENT = """\
environment: {name}
network: {{cidr: 10.70.0.0/16}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  ssh: {{host: {host}, port: {port}, user: {user}, host_key: {key}}}
gateways:
  - name: a
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    managed: routeros
    router: self
developers:
  - {{name: e, address: 10.70.0.4, access: [shenzhen]}}
"""

# The first description that a host gets asks to be confirmed, as hosts do.
ASKS = """\
#!/bin/sh
cat >/dev/null
port=${SSH_CONNECTION##* }
case $SSH_ORIGINAL_COMMAND in *" apply "*) mkdir "{folder}/asked-$port" 2>/dev/null && exit 75 ;; esac
exit 0
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Sshd, dict[str, int]]]:
    """One server that stands for both hubs, on a port each."""
    (tmp_path / "hosts").mkdir()
    asks = tmp_path / "hosts" / "asks"
    asks.write_text(ASKS.replace("{folder}", str(tmp_path)))
    asks.chmod(0o755)
    ports = {name: free_port() for name in OFFICES}
    listening = "".join(f"ListenAddress {LOOPBACK}:{port}\n" for port in ports.values())
    for server in running_sshd(tmp_path / "hosts", f"{listening}ForceCommand {asks}\n"):
        yield server, ports


@pytest.fixture
def program(stack_factory: StackFactory, hosts: tuple[Sshd, dict[str, int]], wheel: Path, tmp_path: Path) -> Stack:
    """The example in a project of its own, to which nothing of the clone is known but the package."""
    server, ports = hosts
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    found = re.search(r"```python\n(.*?)```", (CLONE / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert found is not None
    stack = stack_factory(found[1])
    stack.environment["PYTHONPATH"] = str(tmp_path / "installed")
    for name, port in ports.items():
        text = ENVIRONMENT.format(name=name, host=LOOPBACK, port=port, user=server.user, key=server.host_key)
        (stack.folder / f"{name}.yaml").write_text(text)
    stack.pulumi("config", "set", "sshKeyFile", str(server.folder / "client"))
    return stack


def test_two_offices_in_one_program_have_names_of_their_own_and_confirm_their_changes(program: Stack, tmp_path: Path) -> None:
    said = program.preview()
    assert all(f"{name}-z-state" in said for name in OFFICES)
    assert "Traceback" not in said
    program.up()
    assert len(list(tmp_path.glob("asked-*"))) == len(OFFICES), "each hub asked to be confirmed, and was"
    names = {one["urn"].rpartition("::")[2] for one in program.resources(COMMAND)}
    assert names == {f"{name}-z-{what}" for name in OFFICES for what in ("keys", "state")}
    outputs = program.outputs()
    assert outputs["north_dev_e_conf"] != outputs["south_dev_e_conf"], "each has keys of its own"
    program.pulumi("preview", "--expect-no-changes")
