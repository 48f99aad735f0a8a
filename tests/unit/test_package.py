"""The package: what is in it, and that its command does what the clone's does. It is built and installed without a network."""

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.package import OFFLINE, PACKAGED, PIP, tracked

CLONE = Path(__file__).resolve().parents[2]
OFFICE = str(CLONE / "configs" / "example-groups.yaml")


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The `bin` of an environment of its own, which has the package, and of the clone's environment its requirements."""
    home = wheel.parent / "environment"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    subprocess.run([*PIP, "--python", str(python), "install", *OFFLINE, str(wheel)], check=True)
    (site,) = (home / "lib").glob("python*/site-packages")
    requirements = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "requirements.pth").write_text(f"{requirements}\n")
    return home / "bin"


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    apart = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=apart, capture_output=True, text=True, check=False)


def test_every_file_of_its_rooms_is_in_the_package_and_nothing_else(wheel: Path) -> None:
    placed = [f"{place}/{Path(name).relative_to(room)}" for room, place in PACKAGED.items() for name in tracked(room)]
    with zipfile.ZipFile(wheel) as archive:
        assert sorted(name for name in archive.namelist() if ".dist-info/" not in name) == sorted(placed)


@pytest.mark.parametrize("command", [("check", OFFICE), ("render", OFFICE), ("schema",)], ids=["check", "render", "schema"])
def test_the_command_says_elsewhere_what_the_clone_says(installed: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    of_clone = run(sys.executable, "-m", "wg_office", *command, folder=CLONE)
    assert of_clone.returncode == 0, of_clone.stderr
    assert of_clone.stdout
    of_package = run(installed / "wg-office", *command, folder=tmp_path)
    assert (of_package.returncode, of_package.stdout, of_package.stderr) == (0, of_clone.stdout, of_clone.stderr)


def test_python_finds_the_package_under_its_own_name_too(installed: Path, tmp_path: Path) -> None:
    imported = (
        "import wg_office_pulumi, wg_office.hosts.hostscript as it; it.scripts(); print(wg_office_pulumi.Office.__module__, it.HOSTSIDE)"
    )
    said = run(installed / "python", "-c", imported, folder=tmp_path)
    assert re.fullmatch(r"wg_office_pulumi\.office /\S*/site-packages/wg_office/hostside\n", said.stdout), said.stderr


def test_the_command_goes_by_its_own_name(installed: Path, tmp_path: Path) -> None:
    assert "Usage: wg-office " in run(installed / "wg-office", "--help", folder=tmp_path).stdout


def test_it_asks_for_what_the_program_needs(wheel: Path) -> None:
    asked = {line for line in (CLONE / "requirements.in").read_text().splitlines() if line and not line.startswith("#")}
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    named = {name_of(line.removeprefix("Requires-Dist: ")) for line in lines if line.startswith("Requires-Dist: ")}
    assert named == {name_of(line) for line in asked}


def name_of(requirement: str) -> str:
    return re.split(r"[=<>]", requirement)[0].lower()


def test_what_builds_it_is_locked() -> None:
    needed = tomllib.loads((CLONE / "pyproject.toml").read_text())["build-system"]["requires"]
    lines = (CLONE / "requirements-dev.in").read_text().splitlines()
    assert all(any(line.startswith(need) for line in lines) for need in needed)
