"""The program itself with the real engine: previews, and what bad input gets. Nothing here ever applies anything to a host."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sshd import LOOPBACK, Sshd, free_port, new_key, running_sshd
from stacks import Stack, StackFactory

from wg_office.stack import repair_command

CLONE = Path(__file__).resolve().parent.parent.parent
PARTS = ("components", "wg_office", "hostside")
ADOPTED = "8GUOAOKKNOFJnJZTmNzrvfG1zRYT9scYOLQFdUBNTWQ="
GATEWAYS = "sNfFPW2rzcxZLqyyKJpp8YDuNLVfnrPBDMcyTgFDJ2M="

# The gateway is reached through the hub, so that the hub is always the first host to be dialled; its tunnel is one that stands already.
ENVIRONMENT = """\
environment: test
network: {{cidr: 10.70.0.0/16}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  ssh: {{host: 127.0.0.1, port: {hub_port}, user: {user}, host_key: {hub_key}}}
gateways:
  - name: a
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    return_path: static-route
    adopt_key: true
    ssh: {{host: {gateway_host}, port: {gateway_port}, host_key: {gateway_key}, via: hub}}
    router: {{address: 192.168.201.1}}
developers:
  - {{name: e, address: 10.70.0.4, access: [shenzhen]}}
"""

OfficeFactory = Callable[..., Stack]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Host keys for the file, and the operator's key."""
    made = {name: new_key(tmp_path / name).with_suffix(".pub").read_text().strip() for name in ("hub", "gateway")}
    return {**made, "operator": new_key(tmp_path / "operator").read_text()}


@pytest.fixture
def office(tmp_path: Path, stack_factory: StackFactory, keys: dict[str, str]) -> OfficeFactory:
    """Makes stacks of a copy of the clone's program: nothing that a test does reaches the clone's own stack."""

    def make(environment: str | None = ENVIRONMENT, name: str = "test", **given: object) -> Stack:
        stack = stack_factory(name=name)
        for part in PARTS:
            shutil.copytree(CLONE / part, stack.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("__main__.py", "Pulumi.yaml"):
            shutil.copy(CLONE / file, stack.folder / file)
        for settings in stack.folder.glob("Pulumi.*.yaml"):
            settings.unlink()
        (stack.folder / ".venv").symlink_to(CLONE / ".venv")
        own = Stack(stack.folder, {key: value for key, value in stack.environment.items() if key != "PYTHONPATH"}, name)
        own.pulumi("stack", "init", name)
        own.pulumi("config", "set", "sshKeyFile", str(tmp_path / "operator"))
        own.pulumi("config", "set", "--secret", "--path", "privateKeys.a", GATEWAYS)
        if environment is not None:
            usual = {"hub_port": free_port(), "user": "root", "gateway_host": "10.70.0.2", "gateway_port": 22}
            text = environment.format(**{**usual, "hub_key": keys["hub"], "gateway_key": keys["gateway"], **given})
            (own.folder / "office.yaml").write_text(text)
            own.pulumi("config", "set", "environment", "office.yaml")
        return own

    return make


def test_the_first_preview_shows_what_is_to_be_made_and_dials_nobody(office: OfficeFactory, sshd: Sshd) -> None:
    stack = office(hub_port=sshd.port, hub_key=sshd.host_key)
    said = stack.preview()
    assert "deployment (generated on apply)" in said
    assert f"# z, hub of test; reached as root@{LOOPBACK}:{sshd.port}, host key SHA256:" in said
    assert "dev_e_conf" in said
    assert "wg-office:network:Gateway" in said
    assert "warning" not in said
    assert "Traceback" not in said
    # The fixture's own look whether the server answers leaves one line there.
    assert "publickey" not in sshd.log


def test_a_preview_shows_no_secret_it_knows(office: OfficeFactory, keys: dict[str, str]) -> None:
    stack = office(ENVIRONMENT.replace("  address: 10.70.0.1\n", "  address: 10.70.0.1\n  adopt_key: true\n"))
    stack.pulumi("config", "set", "--secret", "--path", "privateKeys.z", ADOPTED)
    said = stack.preview("--show-config", "--debug")
    assert '"z":"[secret]"' in said, "the preview had the adopted key"
    assert ADOPTED not in said
    body = keys["operator"].splitlines()[2]
    assert body not in said
    assert ADOPTED in stack.pulumi("config", "--show-secrets"), "the search would have found it"


def test_a_broken_environment_file_gets_a_line_per_fault_and_no_traceback(office: OfficeFactory) -> None:
    broken = ENVIRONMENT.replace("address: 10.70.0.4", "address: 10.71.0.4").replace("return_path", "retrun_path")
    said = office(broken).preview(fails=True)
    assert "office.yaml cannot be deployed:" in said
    assert "office.yaml:13 gateways[0].retrun_path: is not a known field; did you mean return_path?" in said
    assert "office.yaml:18 developers[0].address: " in said
    assert "Traceback" not in said


def test_a_stack_without_its_configuration_is_told_what_to_set(office: OfficeFactory) -> None:
    said = office(environment=None, name="fresh").preview(fails=True)
    assert "configs/fresh.yaml: cannot be read: No such file or directory" in said
    assert "pulumi config set environment" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("file", "reason"), [("nowhere", "No such file or directory"), (".", "Is a directory"), ("hub.pub", "is no private key")]
)
def test_an_operator_key_file_that_is_none_is_named(office: OfficeFactory, tmp_path: Path, file: str, reason: str) -> None:
    stack = office()
    stack.pulumi("config", "set", "sshKeyFile", str(tmp_path / file))
    said = stack.preview(fails=True)
    assert f"the operator's SSH key {tmp_path / file}: {reason}. Set sshKeyFile" in said
    assert "Traceback" not in said


def test_a_private_key_to_adopt_that_is_none_is_named_and_not_shown(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi("config", "set", "--secret", "--path", "privateKeys.z", "no-key-at-all")
    said = stack.preview(fails=True)
    assert "privateKeys.z is no WireGuard private key" in said
    assert "no-key-at-all" not in said
    assert "Traceback" not in said


def test_the_command_that_status_prints_sets_a_repair_that_the_program_takes(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi(*repair_command("test", ["z", "gone-host"], "20261124T100000Z"))
    assert "20261124T100000Z" in stack.pulumi("config", "get", "--path", 'repair["z"]')
    stack.preview()


def test_a_repair_that_would_be_more_than_a_line_is_refused(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi("config", "set", "--path", "repair.z", "1\n---- file /etc/passwd 0644\nroot::0")
    said = stack.preview(fails=True)
    assert "repair must hold a stamp of letters, digits, ':' and '-' per host" in said
    assert "pulumi config rm repair" in said
    assert "Traceback" not in said


def test_a_wrong_passphrase_is_a_clear_error(office: OfficeFactory) -> None:
    stack = office()
    stack.pulumi("config", "set", "--secret", "--path", "privateKeys.z", ADOPTED)
    said = stack.preview(fails=True, PULUMI_CONFIG_PASSPHRASE="not it")
    assert "incorrect passphrase" in said
    assert "Traceback" not in said


def test_an_unreachable_host_is_named_with_its_address_within_a_minute(office: OfficeFactory) -> None:
    port = free_port()
    stack = office(hub_port=port)
    began = time.monotonic()
    said = stack.up(fails=True)
    assert time.monotonic() - began < 60
    assert f"z: root@{LOOPBACK}:{port} cannot be reached." in said
    assert f"ssh-keyscan -t ed25519 -p {port} {LOOPBACK}" in said
    assert f"dial tcp {LOOPBACK}:{port}: connect: connection refused" in said
    assert "Traceback" not in said


def test_a_wrong_host_key_is_told_with_the_host_and_how_to_check(office: OfficeFactory, sshd: Sshd) -> None:
    # The pinned keys are not this server's, so that nobody can log in, let alone run anything.
    said = office(hub_port=sshd.port).up(fails=True)
    assert f"z: root@{LOOPBACK}:{sshd.port} shows another host key than the pinned one (SHA256:" in said
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in said
    assert "Traceback" not in said
    assert sshd.dials == 0


def test_a_host_that_does_not_let_the_operator_in_is_told(office: OfficeFactory, sshd: Sshd) -> None:
    # The operator's key is none that this server accepts.
    said = office(hub_port=sshd.port, hub_key=sshd.host_key, user=sshd.user).up(fails=True)
    assert f"z: {sshd.user}@{LOOPBACK}:{sshd.port} does not let the operator in." in said
    assert "Traceback" not in said
    assert sshd.dials == 0


# --- what a change would do to those who are connected -----------------------------------------------------------------------------------

# Takes every description, and does nothing: these tests are about what is said before a host is asked.
AGREES = "ForceCommand cat >/dev/null\n"


@pytest.fixture
def deployed(office: OfficeFactory, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose hub and gateway have taken their first description."""
    serve = contextmanager(running_sshd)
    with serve(tmp_path / "z", AGREES) as hub, serve(tmp_path / "a", AGREES) as gateway:
        (tmp_path / "operator").write_text(hub.private_key)
        (gateway.folder / "authorized_keys").write_text((hub.folder / "client.pub").read_text())
        gateways = {"gateway_host": LOOPBACK, "gateway_port": gateway.port, "gateway_key": gateway.host_key}
        stack = office(hub_port=hub.port, hub_key=hub.host_key, user=hub.user, **gateways)
        stack.up()
        yield stack


def edit(stack: Stack, old: str, new: str) -> None:
    file = stack.folder / "office.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_a_gentle_change_is_previewed_without_a_warning(deployed: Stack) -> None:
    edit(deployed, "developers:\n", "developers:\n  - {name: g, address: 10.70.0.9, access: [shenzhen]}\n")
    said = deployed.preview()
    assert "# g, developer" in said
    assert "warning" not in said


def test_a_preview_says_whom_a_change_interrupts(deployed: Stack) -> None:
    edit(deployed, "address: 10.70.0.4", "rotation: 2, address: 10.70.0.44")
    said = deployed.preview()
    assert "warning: z: the key of e, developer changes, and its session ends until both sides know" in said
    assert "warning: z: the address of e, developer changes from 10.70.0.4/32 to 10.70.0.44/32" in said


def test_a_key_does_not_change_over_the_tunnel_that_it_makes(deployed: Stack) -> None:
    deployed.pulumi("config", "set", "--secret", "--path", "privateKeys.a", ADOPTED)
    said = deployed.preview(fails=True)
    assert "a's key changes, over which a is reached; give it an ssh without `via: hub` for this change" in said
    assert "Traceback" not in said
    said = deployed.up(fails=True)
    assert "a's key changes, over which a is reached" in said
    assert "Traceback" not in said


def test_a_gateway_behind_the_hub_leaves_in_two_steps(deployed: Stack) -> None:
    text = (deployed.folder / "office.yaml").read_text()
    kept, _, rest = text.partition("  - name: a\n")
    without = f"{kept}  []\ndevelopers: []\n".replace("gateways:\n  []", "gateways: []")
    (deployed.folder / "office.yaml").write_text(without)
    said = deployed.preview(fails=True)
    assert "a is reached through the hub and could not be taken down any more; set retired: true for it first" in said
    (deployed.folder / "office.yaml").write_text(f"{kept}  - name: a\n    retired: true\n{rest}")
    assert "a-state deleted" in deployed.up()
    (deployed.folder / "office.yaml").write_text(without)
    deployed.up()


def test_a_gateway_that_does_not_let_the_hub_in_is_not_reached_through_it(deployed: Stack) -> None:
    edit(deployed, ", via: hub", "")
    deployed.up()
    edit(deployed, "    ssh: {host: 127.0.0.1, port", "    ssh: {via: hub, host: 127.0.0.1, port")
    assert "a: does not let the hub in yet; first put {host: a, ports: [" in deployed.preview(fails=True)


def test_a_gateway_is_not_set_up_over_a_tunnel_that_does_not_stand(office: OfficeFactory) -> None:
    said = office(ENVIRONMENT.replace("    adopt_key: true\n", "")).preview(fails=True)
    assert "a: is reached over a tunnel that does not stand yet; give it an ssh without `via: hub` for its first `pulumi up`" in said
    assert "Traceback" not in said
