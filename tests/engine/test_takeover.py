"""Every change takes over what is deployed: an earlier version's program is deployed first, then this one on the same state.

The hosts take every description and do nothing: what a host makes of the new one is tests/lab/test_takeover.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import landings
import pytest
from landings import CLONE, LANDINGS, lay, losses, pinned, program_of
from sshd import BEHIND, LOOPBACK, Sshd, free_port, running_sshd
from stacks import Stack, StackFactory

HOSTS = ("z", "a", "c", "r", "d")
ADOPTED = "8GUOAOKKNOFJnJZTmNzrvfG1zRYT9scYOLQFdUBNTWQ="
BROUGHT = "WmPHJ+Zl7RFpw6+Vr4L4IkzSR+Kpty1lcrSNFDlSsxY="

# All that has keys or is dialled: a gateway behind the hub with a key it keeps, a router, a device, a developer with a key of his own.
ENVIRONMENT = """\
environment: test
network: {{cidr: 10.70.0.0/16}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  ssh: {{port: {z}, {login}}}
gateways:
  - name: a
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    return_path: static-route
    adopt_key: true
    ssh: {{port: {a}, {behind}, via: hub}}
    router: {{ssh: {{port: {r}, {login}}}}}
  - name: c
    site: beijing
    address: 10.70.0.3
    lan: {{cidr: 192.168.200.0/24, address: 192.168.200.248}}
    return_path: static-route
    ssh: {{port: {c}, {login}}}
    devices: [{{name: d, address: 192.168.200.244, ssh: {{port: {d}, {login}}}}}]
groups:
  everywhere: {{access: [shenzhen, beijing]}}
developers:
  - {{name: e, address: 10.70.0.4, access: [{{group: everywhere}}, {{developer: f}}]}}
  - {{name: f, address: 10.70.0.5, rotation: 3, access: [{{site: beijing, hosts: [192.168.200.244], ports: [22/tcp]}}]}}
  - {{name: g, address: 10.70.0.6, public_key: {brought}, access: [beijing]}}
links:
  - {{from: beijing, to: shenzhen, ports: [443/tcp]}}
"""


@pytest.fixture
def ports() -> dict[str, int]:
    return {host: free_port() for host in HOSTS}


@pytest.fixture
def hosts(tmp_path: Path, ports: dict[str, int]) -> Iterator[Sshd]:
    """One server that stands for all of them, on a port each."""
    (tmp_path / "hosts").mkdir()
    listening = "".join(f"ListenAddress {address}:{port}\n" for port in ports.values() for address in (LOOPBACK, BEHIND))
    yield from running_sshd(tmp_path / "hosts", f"{listening}ForceCommand cat >/dev/null\n")


@pytest.fixture
def project(stack_factory: StackFactory, hosts: Sshd, ports: dict[str, int]) -> Stack:
    """A project with its settings and its environment file, and nothing deployed yet."""
    login = f"host: {LOOPBACK}, user: {hosts.user}, host_key: {hosts.host_key}"
    behind = login.replace(LOOPBACK, BEHIND)
    text = ENVIRONMENT.format(login=login, behind=behind, brought=BROUGHT, **ports)
    stack = landings.project(stack_factory(), hosts.folder / "client", text)
    stack.pulumi("config", "set", "--secret", "--path", "privateKeys.a", ADOPTED)
    return stack


@pytest.mark.parametrize("commit", LANDINGS)
def test_what_an_earlier_version_deployed_is_taken_over(project: Stack, tmp_path: Path, commit: str) -> None:
    lay(program_of(commit, tmp_path / "before"), project.folder)
    project.up()
    before = pinned(project)
    assert len(before.secrets) == 7, "a password for each peer, and one for the deployment"
    assert set(before.hosts) == {f"{name}-state" for name in ("z", "a", "c", "a-router", "d")}
    assert len(before.given["z-keys"]) == 6
    assert ADOPTED in str(before.given)
    assert BROUGHT in str(before.hosts)
    assert all(len(lines) > 4 for lines in before.files.values())

    lay(CLONE, project.folder)
    assert losses(project) == []
    project.up()
    assert pinned(project) == before
    project.pulumi("preview", "--expect-no-changes")


def test_a_key_that_would_be_lost_is_noticed(project: Stack, tmp_path: Path) -> None:
    project.up()
    before = pinned(project)
    keys = project.folder / "components" / "keys.py"
    written, renamed = keys.read_text(), 'f"{name}{_SECRET}".replace("e-", "e-other-")'
    assert 'f"{name}{_SECRET}"' in written
    keys.write_text(written.replace('f"{name}{_SECRET}"', renamed))
    assert "delete e-secret" in losses(project)
    project.up()
    assert pinned(project) != before


ONE = "{name: e, address: 10.70.0.4, "
DEVICES = (
    "{{name: e, title: {title}, "
    "devices: [{{name: phone, address: 10.70.0.40, rotation: {rotation}}}, {{name: laptop, address: 10.70.0.4}}], "
)


def rewritten(project: Stack, before: str, after: str) -> None:
    """The environment file says something else."""
    file = project.folder / "office.yaml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def touched(project: Stack) -> set[str]:
    """What the next `up` would do something to, but for the stack itself, whose outputs may differ."""
    steps = json.loads(project.pulumi("preview", "--json"))["steps"]
    return {step["urn"].rpartition("::")[2] for step in steps if step["op"] != "same"} - {f"engine-test-{project.name}"}


@pytest.mark.parametrize("commit", [*LANDINGS, None], ids=[*(landed[:7] for landed in LANDINGS), "now"])
def test_one_machine_that_becomes_a_device_keeps_its_keys_and_its_file(project: Stack, tmp_path: Path, commit: str | None) -> None:
    """The phone stands first: the keys are with the address, and not with the place in the list."""
    if commit is not None:
        lay(program_of(commit, tmp_path / "before"), project.folder)
    project.up()
    before = pinned(project)
    lay(CLONE, project.folder)
    rewritten(project, ONE, DEVICES.format(title="Développement", rotation=1))
    assert losses(project) == []
    project.up()
    after = pinned(project)
    assert after.secrets["e-laptop-secret"] == before.secrets["e-secret"]
    assert set(after.secrets) ^ set(before.secrets) == {"e-secret", "e-laptop-secret", "e-phone-secret"}
    assert after.files["dev_e_laptop_conf"] == before.files["dev_e_conf"]
    assert set(after.files) ^ set(before.files) == {"dev_e_conf", "dev_e_laptop_conf", "dev_e_phone_conf"}
    others = {name: texts for name, texts in after.files.items() if not name.startswith("dev_e")}
    assert others == {name: texts for name, texts in before.files.items() if not name.startswith("dev_e")}
    project.pulumi("preview", "--expect-no-changes")


def test_each_device_is_renewed_and_taken_away_by_itself_and_a_titles_spelling_dials_nobody(project: Stack) -> None:
    rewritten(project, ONE, DEVICES.format(title="Developpement", rotation=1))
    project.up()
    before = pinned(project)
    rewritten(project, "Developpement", '"Développement, 研发 3"')
    assert touched(project) == set()
    rewritten(project, "rotation: 1}", "rotation: 2}")
    project.up()
    renewed = pinned(project)
    assert {name for name, text in renewed.secrets.items() if before.secrets[name] != text} == {"e-phone-secret"}
    assert {name for name, texts in renewed.files.items() if before.files[name] != texts} == {"dev_e_phone_conf"}
    rewritten(project, "{name: phone, address: 10.70.0.40, rotation: 2}, ", "")
    assert losses(project) == ["delete e-phone-secret"]
    project.up()
    assert pinned(project).files["dev_e_laptop_conf"] == before.files["dev_e_laptop_conf"]
    assert "Développement, 研发 3" in str(project.outputs()["access"])
