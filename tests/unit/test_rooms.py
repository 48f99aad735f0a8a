"""The rooms of the house stay rooms: what may import what (CONTRIBUTING.md, "Rooms")."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CLONE = Path(__file__).parents[2]


def modules(room: str) -> list[Path]:
    return sorted((CLONE / room).rglob("*.py"))


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def of(package: str, names: Iterator[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == package}


@pytest.mark.parametrize("file", modules("wg_office"), ids=lambda file: str(file.relative_to(CLONE)))
def test_the_core_knows_neither_pulumi_nor_the_other_rooms(file: Path) -> None:
    names = set(imports(file))
    assert {name for name in names if name.startswith("pulumi")} == set()
    assert {name for name in names if name.split(".")[0] in {"components", "lab", "toolchain", "bench", "tests"}} == set()


@pytest.mark.parametrize("file", modules("components"), ids=lambda file: str(file.relative_to(CLONE)))
def test_components_know_each_other_without_the_name_of_their_room(file: Path) -> None:
    assert of("components", imports(file)) == set(), "in the package it has another name: from .host import Host"


FLOORS = ("text", "environment", "network", "hosts", "people", "reading", "asking", "adopt", "review", "commands")
"""The rooms of the core, from the ground up: what a room imports lies in it or below it."""


def room_of(name: str) -> str | None:
    """The room of a module of the core, by the name that others import."""
    words = name.split(".")
    return words[1] if words[0] == "wg_office" and len(words) > 1 else None


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_of_the_core_imports_nothing_from_above(room: str) -> None:
    below = {*FLOORS[: FLOORS.index(room) + 1], None}
    assert {name for file in modules(f"wg_office/{room}") for name in imports(file) if room_of(name) not in below} == set()


def test_every_module_of_the_core_has_its_room() -> None:
    folders = {path.name for path in (CLONE / "wg_office").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(FLOORS)
    assert {path.name for path in (CLONE / "wg_office").glob("*.py")} == {"__init__.py", "__main__.py"}


HOSTS_OWN = (
    "networkctl",
    "systemctl",
    "conntrack",
    "ct state",
    "oifname",
    "iifname",
    "meta mark",
    "[WireGuardPeer]",
    "[NetDev]",
    "sysctl.d",
)
"""What only hosts have a word for; a room below theirs speaks of peers, permissions and routes."""


@pytest.mark.parametrize("file", [*modules("wg_office/text"), *modules("wg_office/environment"), *modules("wg_office/network")], ids=str)
def test_what_a_network_means_is_not_said_in_the_words_of_hosts(file: Path) -> None:
    assert {word for word in HOSTS_OWN for text in words(file) if word in text} == set()


def test_the_words_of_hosts_are_found_where_they_belong() -> None:
    said = {text for file in modules("wg_office/hosts") for text in words(file)}
    assert {word for word in HOSTS_OWN if any(word in text for text in said)} >= {"oifname", "meta mark", "[WireGuardPeer]"}


PHRASES = ("exited with", "exit status", "dial tcp", "dial unix", "handshake failed", "unable to authenticate", "ssh: ", "rpc error")
"""What the plugins say; in components/command.py alone it means something."""

INPUTS = frozenset(
    {"connection", "stdin", "stdout", "stderr", "proxy", "host_key", "hostKey", "private_key", "privateKey"}
    | {"dial_error_limit", "dialErrorLimit", "per_dial_timeout", "perDialTimeout", "add_previous_output_in_env", "triggers"}
)
"""What its resource is given and gives."""


def words(file: Path) -> Iterator[str]:
    """Every text of a file that is no documentation, and every name by which it gives an argument."""
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


def knows_pulumi_command(file: Path) -> set[str]:
    said = set(words(file))
    phrases = {phrase for phrase in PHRASES if any(phrase in word for word in said)}
    return of("pulumi_command", imports(file)) | phrases | (said & INPUTS)


@pytest.mark.parametrize("file", [*modules("components"), CLONE / "__main__.py"], ids=lambda file: str(file.relative_to(CLONE)))
def test_only_command_knows_pulumi_command_its_inputs_and_its_words(file: Path) -> None:
    if file.name != "command.py":
        # How the operator logs in is said in its words to our own Operator.
        assert knows_pulumi_command(file) <= {"private_key"} & own_fields("Operator", "PeerKeysArgs")


def own_fields(*names: str) -> set[str]:
    """The fields of dataclasses in components, which may be called as an input is."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in modules("components")]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name in names]
    return {line.target.id for one in classes for line in one.body if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)}


def test_the_search_for_its_words_finds_them_where_they_belong() -> None:
    found = knows_pulumi_command(CLONE / "components" / "command.py")
    assert {"pulumi_command", "connection", "stdin", "dial tcp", "exited with", "per_dial_timeout"} <= found


@pytest.mark.parametrize("file", [*modules("components"), CLONE / "__main__.py"], ids=lambda file: str(file.relative_to(CLONE)))
def test_what_deploys_does_not_know_the_lab(file: Path) -> None:
    assert {name for name in imports(file) if name.split(".")[0] in {"lab", "toolchain", "tests", "bench"}} == set()


PURE = [*modules("wg_office/environment"), *modules("wg_office/network"), CLONE / "wg_office" / "reading" / "checks.py"]


@pytest.mark.parametrize("file", PURE, ids=lambda file: str(file.relative_to(CLONE)))
def test_model_network_and_checks_read_and_say_nothing(file: Path) -> None:
    forbidden = {"os", "pathlib", "socket", "subprocess", "urllib", "http", "io", "shutil", "tempfile"}
    assert {name for name in imports(file) if name.split(".")[0] in forbidden} == set()
    calls = {
        node.func.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "exec", "eval", "print", "input"}


def test_there_is_something_to_look_at() -> None:
    assert len(modules("wg_office")) > 10
    assert any(of("pulumi_command", imports(file)) for file in modules("components"))
