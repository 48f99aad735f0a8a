"""What is installed and fetched is named by version and hash, and what lies in a cache is what was put there."""

import re
import subprocess
from pathlib import Path

import pytest

from toolchain.sums import LIST, changed, sha256, write_sums
from toolchain.versions import GO_WHEEL_SHA256, PLUGINS, PULUMI

CLONE = Path(__file__).resolve().parents[2]
LOCKS = ["requirements", "requirements-dev", "bench/requirements"]


def locked(lock: str) -> dict[str, tuple[str, int]]:
    """Each package of a lock file, its version, and how many hashes it has."""
    text = (CLONE / f"{lock}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = [re.fullmatch(r"([a-z0-9-]+)==(\S+)(?: ; [^;]*?)?((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if match is None]
    return {match[1]: (match[2], match[3].count("--hash")) for match in found if match is not None}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_that_pip_installs_has_a_version_and_hashes(lock: str) -> None:
    packages = locked(lock)
    assert packages
    assert all(hashes for _, hashes in packages.values())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_its_source_asks_for(lock: str) -> None:
    asked = [line for line in (CLONE / f"{lock}.in").read_text().splitlines() if line and not line.startswith(("#", "-r "))]
    names = {re.split(r"[\[=<>]", line)[0].lower() for line in asked}
    assert names <= locked(lock).keys()


def test_a_program_and_its_tests_have_the_same_versions() -> None:
    assert locked("requirements").items() <= locked("requirements-dev").items()


def test_the_plugins_are_those_of_the_python_packages() -> None:
    versions = {name: version for name, (version, _) in locked("requirements").items()}
    assert versions["pulumi"] == PULUMI
    assert {name: versions[f"pulumi-{name}"] for name in PLUGINS} == PLUGINS


def test_pip_is_never_run_without_hashes() -> None:
    lines = [line for line in (CLONE / "Makefile").read_text().splitlines() if "-m pip install" in line]
    assert lines
    assert all("$(PIP)" in line for line in lines)
    flags = subprocess.run(["make", "-pn", "help"], cwd=CLONE, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^PIP := .*--require-hashes.*--only-binary :all:", flags, re.MULTILINE)


def test_the_wheel_that_brings_go_has_hashes() -> None:
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in GO_WHEEL_SHA256)


# ---- the cache ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "disk").write_bytes(b"data")
    (tmp_path / "link").symlink_to("inner/disk")
    write_sums(tmp_path)
    return tmp_path


def test_what_is_as_it_came_is_said_to_be(folder: Path) -> None:
    assert changed(folder) is None


def test_a_changed_a_removed_and_a_redirected_file_are_named(folder: Path) -> None:
    (folder / "inner" / "disk").write_bytes(b"dato")
    assert changed(folder) == "inner/disk"
    (folder / "inner" / "disk").unlink()
    assert changed(folder) == "inner/disk"
    (folder / "inner" / "disk").write_bytes(b"data")
    (folder / "link").unlink()
    (folder / "link").symlink_to("/etc/passwd")
    assert changed(folder) == "link"


def test_what_nobody_wrote_down_is_written_down_at_its_first_use(folder: Path) -> None:
    (folder / LIST).unlink()
    assert changed(folder) is None
    (folder / "inner" / "disk").write_bytes(b"dato")
    assert changed(folder) == "inner/disk"


def test_a_hole_counts_and_what_is_behind_it_too(tmp_path: Path) -> None:
    def disk(size: int, at: int) -> str:
        with (tmp_path / "disk").open("wb") as file:
            file.truncate(size)
            file.seek(at)
            file.write(b"x")
        return sha256(tmp_path / "disk")

    assert len({disk(1 << 24, 1 << 20), disk(1 << 24, 1 << 21), disk(1 << 25, 1 << 20)}) == 3
    assert disk(1 << 24, 1 << 20) == disk(1 << 24, 1 << 20)
