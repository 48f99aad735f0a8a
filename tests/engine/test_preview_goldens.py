"""What a reviewer sees in `pulumi preview --diff`: goldens in tests/golden/preview. Among few people each change has one; among many all
changes are made at once, in one preview, and what is shown of each is what was shown of it among few.

What is different in each run (keys, ports, digests) is replaced by a word; UPDATE_GOLDEN=1 writes the goldens anew.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

import pytest
from landings import CLONE, PASSWORD, project
from sshd import LOOPBACK, Sshd, free_port, running_sshd
from stacks import Stack, StackFactory

GOLDEN = CLONE / "tests" / "golden" / "preview"
Environment = dict[str, Any]
FEW, MANY = 5, 300


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all hosts, on a port each, which takes every description and does nothing."""
    listening = "".join(f"ListenAddress {LOOPBACK}:{free_port()}\n" for _ in range(5))
    yield from running_sshd(tmp_path_factory.mktemp("hosts"), f"{listening}ForceCommand cat >/dev/null\n")


def ports(hosts: Sshd) -> list[int]:
    """Of the hub, four gateways, and the machine that is the hub after it."""
    return [hosts.port, *map(int, re.findall(rf"{LOOPBACK}:(\d+)", hosts.extra))]


def gateway(hosts: Sshd, number: int, site: str) -> Environment:
    lan = {"cidr": f"192.168.{number}.0/24", "address": f"192.168.{number}.2"}
    way = {"return_path": "static-route", "ssh": ssh(hosts, number - 199)}
    return {"name": f"g{number}", "site": site, "address": f"10.70.0.{number}", "lan": lan, **way}


def ssh(hosts: Sshd, number: int) -> Environment:
    return {"host": LOOPBACK, "port": ports(hosts)[number], "user": hosts.user, "host_key": hosts.host_key}


def developer(number: int) -> Environment:
    access = ["beijing", "shenzhen", *(["nanjing"] if number == 0 else [])]
    return {"name": f"d{number:03}", "address": f"10.70.{1 + number // 200}.{1 + number % 200}", "access": access}


def environment(hosts: Sshd, people: int) -> Environment:
    sites = ("beijing", "shenzhen", "nanjing")
    return {
        "environment": "test",
        "network": {"cidr": "10.70.0.0/16"},
        "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": ssh(hosts, 0)},
        "gateways": [gateway(hosts, number, site) for number, site in enumerate(sites, 200)],
        "developers": [developer(number) for number in range(people)],
    }


def write(stack: Stack, env: Environment) -> None:
    (stack.folder / "office.yaml").write_text(json.dumps(env))


def deployed_with(people: int, made: Stack, hosts: Sshd) -> Stack:
    laid = project(made, hosts.folder / "client", json.dumps(environment(hosts, people)))
    stack = Stack(laid.folder, laid.environment | {"PULUMI_SKIP_CHECKPOINTS": "true"}, laid.name)
    stack.up()
    return stack


@pytest.fixture(scope="module")
def few(module_stack_factory: StackFactory, hosts: Sshd) -> Stack:
    return deployed_with(FEW, module_stack_factory(name="few"), hosts)


@pytest.fixture(scope="module")
def many(module_stack_factory: StackFactory, hosts: Sshd) -> Stack:
    return deployed_with(MANY, module_stack_factory(name="many"), hosts)


# --- the changes -----------------------------------------------------------------------------------------------------------------------

Change = Callable[[Environment, Sshd], None]


def person(env: Environment, name: str) -> Environment:
    found: Environment = next(each for each in env["developers"] if each["name"] == name)
    return found


def comes(env: Environment, hosts: Sshd) -> None:
    env["developers"].insert(3, {**developer(399), "name": "newcomer"})


def goes(env: Environment, hosts: Sshd) -> None:
    env["developers"].remove(person(env, "d003"))


def moves(env: Environment, hosts: Sshd) -> None:
    person(env, "d001")["address"] = "10.70.9.9"


def keys_renewed(env: Environment, hosts: Sshd) -> None:
    person(env, "d002")["rotation"] = 2


def all_keys_renewed(env: Environment, hosts: Sshd) -> None:
    env["network"]["rotation"] = 2


def access_regranted(env: Environment, hosts: Sshd) -> None:
    person(env, "d004")["access"] = [{"site": "beijing", "hosts": ["192.168.200.244"], "ports": ["22/tcp"]}]


def site_comes(env: Environment, hosts: Sshd) -> None:
    env["gateways"].append(gateway(hosts, 203, "chengdu"))
    person(env, "d000")["access"].append("chengdu")


def gateway_retires(env: Environment, hosts: Sshd) -> None:
    env["gateways"][2]["retired"] = True
    person(env, "d000")["access"].remove("nanjing")


def hub_is_another_machine(env: Environment, hosts: Sshd) -> None:
    env["hub"]["ssh"] = ssh(hosts, 5)


CHANGES: dict[str, Change] = {
    "a-developer-comes": comes,
    "a-developer-goes": goes,
    "a-developer-moves": moves,
    "keys-are-renewed": keys_renewed,
    "access-is-granted-anew": access_regranted,
    "a-site-comes": site_comes,
    "a-gateway-retires": gateway_retires,
}
ALONE: dict[str, Change] = {"the-hub-is-another-machine": hub_is_another_machine, "everybodys-keys-are-renewed": all_keys_renewed}
"""Nobody does this together with other changes."""
AT_ONCE = "all-at-once-among-300"


@pytest.fixture(params=[*CHANGES, *ALONE, AT_ONCE])
def previewed(request: pytest.FixtureRequest, hosts: Sshd) -> tuple[str, str]:
    """The name of a change, and its preview."""
    name: str = request.param
    people, changes = (MANY, [*CHANGES.values()]) if name == AT_ONCE else (FEW, [(CHANGES | ALONE)[name]])
    stack: Stack = request.getfixturevalue("many" if name == AT_ONCE else "few")
    env = deepcopy(environment(hosts, people))
    for change in changes:
        change(env, hosts)
    write(stack, env)
    return name, normalised(stack.preview("--suppress-progress"), hosts)


_WORDS = (
    (r"(?<![0-9A-Za-z+/])[0-9A-Za-z+/]{43}=", "KEY"),
    (r"SHA256:[0-9A-Za-z+/]{43}", "SHA256:FINGERPRINT"),
    (r"\b(private|preshared)-[0-9a-f]{8,}", r"\1-DIGEST"),
    (r"(?<=deployment )[0-9a-f]{8,}", "DEPLOYMENT"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\b[0-9a-f]{16,64}\b", "DIGEST"),
    (r"(?<=\[id=)([\w-]+-(?:keys|state))[0-9a-f]+", r"\1"),
    (r"(?<=attempt )[0-9a-f]{8}\b", "ATTEMPT"),
    (r"pulumi:providers:(\w+)::default_[0-9_]+::[^\]]+", r"pulumi:providers:\1::default::ID"),
)


def normalised(said: str, hosts: Sshd) -> str:
    for pattern, word in _WORDS:
        said = re.sub(pattern, word, said)
    said = said.replace(f"{hosts.user}@{LOOPBACK}", f"USER@{LOOPBACK}")
    for number, port in enumerate(ports(hosts)):
        said = said.replace(f":{port}", f":PORT{number}")
    lines = [line.rstrip() for line in said.splitlines() if not line.startswith(("Duration", "View ")) and " from $PATH at " not in line]
    return "\n".join(_in_order(lines)) + "\n"


_RESOURCE = re.compile(r" *[-+~]{1,2} ?\S+: \(\w+\)")


def _in_order(said: list[str]) -> list[str]:
    """The engine shows resources as it comes to them, several at once, and some inside others: here they stand by their names.

    Warnings come in between; here they stand at the end.
    """
    lines = [line for line in said if not line.startswith("warning: ")]
    starts = [number for number, line in enumerate(lines) if _RESOURCE.fullmatch(line)]
    end = next(number for number, line in enumerate(lines) if line.startswith(("    --outputs:--", "Resources:")) and number > starts[-1])
    blocks = [_moved_left(lines[first:last]) for first, last in pairwise([*starts, end])]
    blocks.sort(key=lambda block: next(line for line in block if "[urn=" in line))
    warnings = sorted(line for line in said if line.startswith("warning: "))
    return [*lines[: starts[0]], *(line for block in blocks for line in block), *lines[end:], *warnings]


def _moved_left(block: list[str]) -> list[str]:
    indent = len(block[0]) - len(block[0].lstrip())
    moved = [line[indent:] for line in block]
    return list(_without_what_stays(moved)) if moved[0].endswith(f"{PASSWORD}: (replace)") else moved


def _without_what_stays(block: list[str]) -> Iterator[str]:
    """The official plugin also shows all that a password has and keeps, its secret result, and that the id is known afterwards."""
    for line in block:
        if not re.match(r'    \w+ *: (\w+|\[secret\])$|  ~ id +: "none" => \[unknown\]$', line):
            yield re.sub(r"(?<=\w) +: \{$", ": {", line)


def test_the_reviewer_sees_this_and_nothing_else(previewed: tuple[str, str]) -> None:
    name, said = previewed
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(said)
    assert said == file.read_text()
    assert list(unknown_texts(said)) == []


def unknown_texts(said: str) -> Iterator[str]:
    """Lines that leave a whole text in the dark. A host's keys and a file with one are secret, and would not be shown anyway."""
    urn = ""
    for line in said.splitlines():
        urn = line if "[urn=" in line else urn
        secret = re.match(r" *[+~] dev_\w+_confs? *:", line) or (line.lstrip(" ~").startswith("stdin") and urn.endswith("-keys]"))
        if "[unknown]" in line and not secret:
            yield line


def test_goldens_are_those_of_the_changes() -> None:
    assert {file.stem for file in GOLDEN.glob("*.txt")} == {*CHANGES, *ALONE, AT_ONCE}


def test_one_developer_more_is_read_in_a_minute() -> None:
    assert len(golden("a-developer-comes")) <= 150


def test_among_three_hundred_each_change_shows_what_it_shows_among_five_and_nothing_else() -> None:
    assert changed_lines(AT_ONCE) == {line for name in CHANGES for line in changed_lines(name)}
    assert len(golden(AT_ONCE)) < sum(len(golden(name)) for name in CHANGES)


def changed_lines(name: str) -> set[tuple[str, str]]:
    """Each resource that changes, and each line that comes or goes, with the resource or output that it belongs to.

    Not `by_hand`, a list whose items have numbers (docs/adr/0010), and not what stands in every section: where one goes and another comes
    in its place these lines stay.
    """
    found, where, heading = set(), "", ""
    for line in map(_squeezed, golden(name)[: golden(name).index("Resources:")]):
        if _RESOURCE.fullmatch(line):
            heading = line.strip()
        elif "[urn=" in line:
            where = re.sub(r"urn:pulumi:\w+::|(?<=wg-office-)\w+\]", "", line.strip())
            found.add((where, heading))
        elif output := re.match(r"  [-+~] (by_hand|access|public_keys|dev_\w+):", line):
            where = output[1]
            found.add((where, line.strip()))
        elif line.lstrip().startswith(("+ ", "- ")) and line.lstrip()[2:] not in ("[Route]", "[WireGuardPeer]", "Scope=link"):
            found.add((where, line.strip()))
    return {each for each in found if each[0] != "by_hand"}


def _squeezed(line: str) -> str:
    """Without the room that is left for longer names beside it."""
    indent = len(line) - len(line.lstrip())
    return line[:indent] + re.sub(r" +", " ", line[indent:]).replace(" :", ":")


def golden(name: str) -> list[str]:
    return (GOLDEN / f"{name}.txt").read_text().splitlines()
