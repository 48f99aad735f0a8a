"""The documents: what they point at is there, and what they have people write into the clone is not committed by accident."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CLONE = Path(__file__).parents[2]
DOCUMENTS = sorted([*CLONE.glob("*.md"), *(CLONE / "docs").rglob("*.md"), *(CLONE / "toolchain").glob("*.md")])
TOPS = {"bench", "components", "configs", "docs", "hostside", "lab", "tests", "toolchain", "wg_office"}

# Written by whoever follows the README.
WRITTEN = {"configs/office.yaml", "configs/office.known_hosts", "configs/other.yaml"}


def tracked(*patterns: str) -> list[str]:
    return subprocess.run(["git", "ls-files", "--", *patterns], cwd=CLONE, check=True, capture_output=True, text=True).stdout.splitlines()


def named(file: Path) -> str:
    return str(file.relative_to(CLONE))


# ---- links and paths -------------------------------------------------------------------------------------------------


def links(text: str) -> Iterator[str]:
    """The targets of links and pictures that are not somewhere else in the world."""
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return (target for target in found if "://" not in target)


def anchors(file: Path) -> set[str]:
    """The headings of a document as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", DOCUMENTS, ids=named)
def test_every_link_leads_somewhere(file: Path) -> None:
    for target in links(file.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        there = file.parent / path if path else file
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def paths(text: str) -> set[str]:
    """Words in backticks, and in comments after a colon or in brackets, that are paths of this repository by their first folder."""
    words = (word for span in re.findall(r"`([^`\n]+)`", text) for word in span.split())
    return {word.rstrip(".,;:") for word in words if word.split("/")[0] in TOPS and "/" in word}


@pytest.mark.parametrize("file", DOCUMENTS, ids=named)
def test_every_path_in_backticks_exists(file: Path) -> None:
    for path in paths(file.read_text(encoding="utf-8")) - WRITTEN:
        assert list(CLONE.glob(path)), path


def test_code_refers_only_to_documents_that_are_here() -> None:
    sources = [CLONE / name for name in tracked("*.py", "*.yaml", "*.toml", "*.awk", "Makefile", "hostside/*", "lab/guest/*", ".ci/*")]
    for source in sources:
        for path in re.findall(r"(?<![\w/.-])((?:[\w-]+/)*[\w-]+\.md)\b", source.read_text(encoding="utf-8")):
            found = [folder / path for folder in (CLONE, CLONE / "docs", source.parent) if (folder / path).exists()]
            assert found, f"{named(source)} refers to {path}"


def test_there_is_something_to_look_at() -> None:
    assert len(DOCUMENTS) > 10
    assert sum(len(list(links(file.read_text(encoding="utf-8")))) for file in DOCUMENTS) > 20
    assert sum(len(paths(file.read_text(encoding="utf-8"))) for file in DOCUMENTS) > 20


# ---- what git leaves out ---------------------------------------------------------------------------------------------

SECRET = [
    "office.conf",
    "configs/dev-vpn.conf",
    "handout-office-alice.html",
    "handout-office-alice.zip",
    "files.zip",
    "handout-office/x.html",
]


def ignored(names: list[str]) -> list[str]:
    command = ["git", "check-ignore", "--no-index", "--", *names]
    return subprocess.run(command, cwd=CLONE, capture_output=True, text=True, check=False).stdout.splitlines()


def test_files_with_a_developers_keys_are_not_committed_by_accident() -> None:
    assert ignored(SECRET) == SECRET


def test_nothing_that_belongs_here_is_left_out() -> None:
    ours = tracked()
    assert len(ours) > 200
    assert ignored(ours) == []
    assert (
        ignored(["tests/golden/profiles/new/g/new-vpn.conf", "Pulumi.office.yaml", "configs/office.yaml", "configs/office.known_hosts"])
        == []
    )


# ---- CI examples -----------------------------------------------------------------------------------------------------


def test_actionlint_has_seen_the_github_example_as_it_is() -> None:
    digest = hashlib.sha256((CLONE / "docs" / "ci" / "github.yml").read_bytes()).hexdigest()
    assert f"SHA-256 `{digest}`" in (CLONE / "docs" / "ci" / "README.md").read_text(), (
        "run actionlint as it says there, and write the digest"
    )
