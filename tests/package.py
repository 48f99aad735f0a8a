"""The package (pyproject.toml), built of what is in the clone, without a network."""

import shutil
import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
PACKAGED = {"wg_office": "wg_office", "hostside": "wg_office/hostside", "components": "wg_office_pulumi"}
"""The rooms that are in it, and where."""

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
OFFLINE = ("--no-index", "--no-deps")


def tracked(room: str) -> list[str]:
    """What git has of a room, and what is new in it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", room]
    names = subprocess.run(listed, cwd=CLONE, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (CLONE / name).is_file()]


def wheel(folder: Path) -> Path:
    """Built of a copy, in a folder: a build leaves files behind."""
    for name in ("pyproject.toml", "setup.py", "requirements.in", *(name for room in PACKAGED for name in tracked(room))):
        (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLONE / name, folder / "clone" / name)
    build = [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "clone")]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.glob("*.whl")
    return made
