"""docs/review.md shows what the commands print: its blocks are typed into a shell, in their order. UPDATE_GOLDEN=1 writes what came."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wg_office.environment.statements import Policy

CLONE = Path(__file__).parents[2]
DOCUMENT = CLONE / "docs" / "review.md"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA5++BQ3Q6b1xTXftLLYGzq6JmeQEQXrv3TMUitrytwl"
MORE = """\
expect:
  - {who: alice, reaches: {site: beijing, hosts: [192.168.200.244], ports: [22/tcp]}}
  - {who: {site: beijing}, never_reaches: {developer: alice}} # nothing in the office opens a connection to her laptop
policy:
  protected: {developers: [alice], sites: [beijing]}
"""
ALICE = "  - {name: alice, address: 10.70.0.10, platform: macos, access: [beijing]}\n"
BOB = "  - {name: bob, address: 10.70.0.11, access: [{site: beijing, hosts: [192.168.200.10], ports: [443/tcp]}]}\n"


def commands() -> Iterator[str]:
    return (line[6:] for line in DOCUMENT.read_text().splitlines() if line.startswith("    $ "))


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with nothing in configs/, and the files that the document copies."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("GIT_AUTHOR", "t"), ("GIT_COMMITTER", "t")):
        monkeypatch.setenv(f"{name}_NAME", value)
        monkeypatch.setenv(f"{name}_EMAIL", "t@example.net")
    monkeypatch.setenv("PYTHONPATH", str(CLONE))
    monkeypatch.setenv("PATH", f"{CLONE / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "configs").mkdir()
    (tmp_path / "more.yaml").write_text(MORE)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    return tmp_path


def typed(folder: Path, command: str) -> str:
    done = subprocess.run(["bash", "-c", command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


def prepare(folder: Path) -> None:
    """The changed files, once there is something to change: bob comes and alice's access is narrowed; or alice goes."""
    text = (folder / "configs" / "office.yaml").read_text()
    assert ALICE in text
    narrowed = ALICE.replace("[beijing]", "[{site: beijing, hosts: [192.168.200.244]}]")
    (folder / "changed.yaml").write_text(text.replace(ALICE, narrowed + BOB))
    (folder / "without.yaml").write_text(text.replace(ALICE, BOB).replace(MORE, ""))
    known = "".join(f"{host} {KEY}\n" for host in ("203.0.113.10", "[198.51.100.7]:2222"))
    (folder / "configs" / "office.known_hosts").write_text(known)


def rewritten(text: str, said: Iterator[str]) -> str:
    """The document with what came in the place of what it shows."""
    kept: list[str] = []
    showing = False
    for line in text.splitlines():
        showing = (showing and (not line or line.startswith("    "))) or line.startswith("    $ ")
        if line.startswith("    $ "):
            kept += [line, *(f"    {each}".rstrip() for each in next(said).splitlines())]
        elif not showing:
            kept += ["", line] if kept and kept[-1].startswith("    ") and line and not line.startswith("    ") else [line]
    return "\n".join(kept) + "\n"


def test_the_document_shows_what_the_commands_print(session: Path) -> None:
    text = DOCUMENT.read_text()
    made = rewritten(text, session_of(session))
    if os.environ.get("UPDATE_GOLDEN"):
        DOCUMENT.write_text(made)
    assert made == DOCUMENT.read_text()


def session_of(folder: Path) -> Iterator[str]:
    for command in commands():
        if command.startswith("git add"):
            prepare(folder)
        yield typed(folder, command)


def test_there_is_something_to_type() -> None:
    asked = {command.split()[3] for command in commands() if command.startswith("python -m wg_office")}
    assert asked == {"new", "diff", "check", "diagram"}


def test_every_guard_stands_in_the_document() -> None:
    guards = {line.split("`")[1].partition(":")[0] for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")}
    assert guards == set(Policy.model_fields)
