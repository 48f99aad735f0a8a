"""The rooms of the house stay rooms: what may import what (docs: the design, "The house")."""

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
def test_only_host_knows_pulumi_command(file: Path) -> None:
    if file.name != "host.py":
        assert of("pulumi_command", imports(file)) == set()


@pytest.mark.parametrize("file", [*modules("components"), CLONE / "__main__.py"], ids=lambda file: str(file.relative_to(CLONE)))
def test_what_deploys_does_not_know_the_lab(file: Path) -> None:
    assert {name for name in imports(file) if name.split(".")[0] in {"lab", "toolchain", "tests", "bench"}} == set()


@pytest.mark.parametrize(
    "file", [path for path in modules("wg_office") if path.name in {"model.py", "checks.py", "fields.py", "grants.py", "document.py"}]
)
def test_model_and_checks_read_nothing(file: Path) -> None:
    forbidden = {"os", "pathlib", "socket", "subprocess", "urllib", "http", "io", "shutil", "tempfile"}
    assert {name for name in imports(file) if name.split(".")[0] in forbidden} == set()
    calls = {
        node.func.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "exec", "eval", "print"}


def test_there_is_something_to_look_at() -> None:
    assert len(modules("wg_office")) > 10
    assert any(of("pulumi_command", imports(file)) for file in modules("components"))
