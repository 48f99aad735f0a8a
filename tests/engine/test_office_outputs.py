"""What a preview shows of one more developer, with few and with many: what changes, and nothing else."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from landings import CLONE, lay
from sshd import LOOPBACK, Sshd, free_port, running_sshd
from stacks import Stack, StackFactory

SITES = {"beijing": 200, "shenzhen": 201}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Sshd]:
    """One server on three ports, which takes every description and does nothing."""
    (tmp_path / "hosts").mkdir()
    more = "".join(f"ListenAddress {LOOPBACK}:{free_port()}\n" for _ in SITES)
    yield from running_sshd(tmp_path / "hosts", f"{more}ForceCommand cat >/dev/null\n")


@pytest.fixture
def office(stack_factory: StackFactory, hosts: Sshd) -> Stack:
    """The clone's program, without an environment file."""
    made = stack_factory()
    (made.folder / ".venv").symlink_to(CLONE / ".venv")
    lay(CLONE, made.folder)
    environment = {name: value for name, value in made.environment.items() if name != "PYTHONPATH"}
    stack = Stack(made.folder, environment | {"PULUMI_SKIP_CHECKPOINTS": "true"}, made.name)
    stack.pulumi("stack", "init", stack.name)
    stack.pulumi("config", "set", "environment", "office.yaml")
    stack.pulumi("config", "set", "sshKeyFile", str(hosts.folder / "client"))
    return stack


def write(stack: Stack, hosts: Sshd, developers: list[str]) -> None:
    ports = re.findall(rf"{LOOPBACK}:(\d+)", hosts.extra)
    login = {"host": LOOPBACK, "user": hosts.user, "host_key": hosts.host_key}
    gateways = [
        {
            "name": f"g{number}",
            "site": site,
            "address": f"10.70.0.{number}",
            "lan": {"cidr": f"192.168.{number}.0/24", "address": f"192.168.{number}.2"},
            "return_path": "static-route",
            "ssh": {**login, "port": int(port)},
        }
        for (site, number), port in zip(SITES.items(), ports, strict=True)
    ]
    hub = {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": {**login, "port": hosts.port}}
    people = [
        {"name": name, "address": f"10.70.{1 + int(name[1:]) // 250}.{1 + int(name[1:]) % 250}", "access": list(SITES)}
        for name in developers
    ]
    environment = {"environment": "test", "network": {"cidr": "10.70.0.0/16"}, "hub": hub, "gateways": gateways, "developers": people}
    (stack.folder / "office.yaml").write_text(json.dumps(environment))


@pytest.mark.parametrize("developers", [5, 100])
def test_one_more_developer_takes_as_few_lines_among_many_as_among_few(office: Stack, hosts: Sshd, developers: int) -> None:
    names = [f"d{number:04}" for number in range(developers)]
    write(office, hosts, names)
    office.up()
    # In the middle: whoever stands below is not to be shown again.
    write(office, hosts, [*names[: developers // 2], "d2000", *names[developers // 2 :]])
    said = office.preview("--suppress-progress")
    assert len(said.splitlines()) <= 150
    assert len(re.findall(r"^ *\+ .*# d2000, developer", said, re.MULTILINE)) == 1
    assert set(re.findall(r"(\S+): \((?:replace|delete)\)", said)) == {"+-pulumi:index:Stash"}
    shown = set(re.findall(r"\bd\d{4}\b", said)) - {"d2000"}
    assert len(shown) < 10, "neighbours of the new lines at most"


def test_outputs_are_texts_that_pulumi_compares_by_lines(office: Stack, hosts: Sshd) -> None:
    write(office, hosts, ["d0000", "d0001"])
    office.up()
    outputs = office.outputs(secrets=False)
    assert re.fullmatch(r"(\S+ +[A-Za-z0-9+/]{43}=\n){5}", outputs["public_keys"])
    assert [line.split()[0] for line in outputs["public_keys"].splitlines()] == ["z", *(f"g{n}" for n in SITES.values()), "d0000", "d0001"]
    lines = [re.split(r" {2,}", line) for line in outputs["access"].splitlines()]
    assert lines[0] == ["Who", "May reach", "On", "Enforced at", "By"]
    assert ["developer d0001", "site beijing (192.168.200.0/24)", "everything", "z, g200"] in lines
    assert isinstance(outputs["by_hand"], list)
    assert {outputs[f"dev_d0001_{kind}"] for kind in ("conf", "confs")} == {"[secret]"}
