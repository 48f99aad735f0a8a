"""docs/operations.md, its last section: the state or the passphrase is lost, and comes back by the commands as printed, with every key."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from landings import CLONE, pinned, project
from sshd import LOOPBACK, Sshd, running_sshd
from stacks import Stack, StackFactory

SECTION = (CLONE / "docs" / "operations.md").read_text().partition("\n## When the state or its passphrase is lost\n")[2]
COMMANDS = [line.removeprefix("    $ ") for line in SECTION.splitlines() if line.startswith("    $ ")]
BACK_UP, STATE_LOST, PASSPHRASE_LOST = COMMANDS[:2], COMMANDS[2:5], COMMANDS[5:]
NOTHING = re.compile(r"^Resources:\n +\d+ unchanged$", re.MULTILINE)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """It takes every description and does nothing."""
    yield from running_sshd(tmp_path_factory.mktemp("host"), "ForceCommand cat >/dev/null\n")


@pytest.fixture(scope="module")
def deployed(module_stack_factory: StackFactory, host: Sshd) -> Stack:
    """Stack `office` with hub and developer e; the operator's key is a secret of the stack."""
    stack = project(module_stack_factory(name="office"), host.folder / "client", environment(host, "e"))
    stack.pulumi("config", "rm", "sshKeyFile")
    login = stack.folder / ".ssh" / "wg-office"
    login.parent.mkdir()
    shutil.copy(host.folder / "client", login)
    typed(stack, "pulumi config set --secret sshKey < ~/.ssh/wg-office")
    stack.up()
    return stack


@pytest.fixture
def office(deployed: Stack, host: Sshd) -> Stack:
    """The same, backed up, and with no changes that wait."""
    (deployed.folder / "office.yaml").write_text(environment(host, "e"))
    typed(deployed, *BACK_UP)
    return deployed


def environment(host: Sshd, *developers: str) -> str:
    login = {"host": LOOPBACK, "port": host.port, "user": host.user, "host_key": host.host_key}
    people = [{"name": name, "address": f"10.70.1.{number}"} for number, name in enumerate(developers, 1)]
    hub = {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": login}
    made: dict[str, Any] = {"environment": "office", "network": {"cidr": "10.70.0.0/16"}, "hub": hub, "developers": people}
    return json.dumps(made)


def typed(stack: Stack, *commands: str) -> str:
    """What commands print that are typed into one shell, in the project's folder, which is the operator's home too."""
    variables = {**stack.environment, "HOME": str(stack.folder)}
    script = "set -eo pipefail\n" + "\n".join(commands)
    done = subprocess.run(["bash", "-c", script], cwd=stack.folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def lose_the_state(stack: Stack) -> None:
    backend = stack.folder / "backend"
    shutil.rmtree(backend)
    backend.mkdir()


def test_a_lost_state_comes_back_from_its_backup_and_what_was_changed_since_is_done_again(office: Stack, host: Sshd) -> None:
    before = pinned(office)
    text = (office.folder / "office.state.json").read_text()
    assert not [secret for secret in before.secrets.values() if secret in text]
    lose_the_state(office)
    (office.folder / "office.yaml").write_text(environment(host, "e", "f"))
    shown = typed(office, *STATE_LOST)
    assert re.findall(r"RandomPassword: \((.*)\)\n.*::(.*)\]", shown) == [("create", "f-secret")]
    assert pinned(office) == before


def test_a_lost_passphrase_costs_nobody_a_key_and_no_host_is_dialled(office: Stack, host: Sshd) -> None:
    before, dials = pinned(office), host.dials
    assert (office.folder / "office.plain.json").stat().st_mode & 0o077 == 0
    new = Stack(office.folder, office.environment | {"PULUMI_CONFIG_PASSPHRASE": "another"}, office.name)
    assert "incorrect passphrase" in new.preview(fails=True)
    assert NOTHING.search(typed(new, *PASSPHRASE_LOST))
    assert (pinned(new), host.dials) == (before, dials)
    files = (file for file in (office.folder / "backend").rglob("*") if file.is_file())
    assert not [file for file in files if before.secrets["e-secret"] in file.read_text(errors="replace")]


def test_git_ignores_the_file_that_holds_every_key() -> None:
    assert subprocess.run(["git", "check-ignore", "-q", "office.plain.json"], cwd=CLONE, check=False).returncode == 0


def test_every_command_of_the_section_is_typed_here() -> None:
    assert [len(each) for each in (BACK_UP, STATE_LOST, PASSPHRASE_LOST)] == [2, 3, 7]
