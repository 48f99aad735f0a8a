"""The operating system's packages that the lab needs on the machine it runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from .errors import LabError
from .progress import Progress

VM_TOOLS = {"ssh": "openssh-client", "ssh-keygen": "openssh-client", "mke2fs": "e2fsprogs"}
BUILD_TOOLS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "tar": "tar"}
# An ordinary user builds in a user namespace, and needs a range of ids for it.
UNPRIVILEGED_TOOLS = {"newuidmap": "uidmap", "unshare": "util-linux"}
_SBIN = ":/usr/local/sbin:/usr/sbin:/sbin"


def which(tool: str) -> str | None:
    """The path of a tool; sbin counts even where an ordinary user's PATH lacks it."""
    return shutil.which(tool, path=os.environ.get("PATH", os.defpath) + _SBIN)


def missing_packages(tools: dict[str, str]) -> list[str]:
    """The Debian packages that hold the tools this machine lacks."""
    return sorted({package for tool, package in tools.items() if which(tool) is None})


def ensure(tools: dict[str, str], progress: Progress) -> None:
    """Install what is missing when we may, or say in one line what to install."""
    packages = missing_packages(tools)
    if not packages:
        return
    if os.geteuid() != 0 or which("apt-get") is None:
        raise LabError(
            f"The lab needs {', '.join(packages)}: install with `sudo apt-get install --no-install-recommends {' '.join(packages)}`."
        )
    progress(f"installing {' '.join(packages)}")
    _apt_get(["update", "-q"])
    _apt_get(["install", "-y", "-q", "--no-install-recommends", *packages])


def _apt_get(arguments: Iterable[str]) -> None:
    command = ["apt-get", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LabError(f"`{' '.join(command)}` failed ({last}): run it by hand, then try again.")
