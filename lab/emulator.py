"""The emulator: QEMU of Debian's newest release, unpacked from its packages into the cache. What this machine has installed plays no part.

Each release of QEMU emulates faster: beside 7.2 of Debian 12, 10.0 starts a process in a third of the time (docs/adr/0007).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from .image import apt_options, cached, debian_sources, run
from .progress import Progress

RELEASE = "trixie"
PACKAGES = ["qemu-system-x86"]
RECIPE = 1  # raise it when the steps below change what is unpacked
_PARTS = ["./usr/bin/qemu-system-x86_64", "./usr/lib/*-linux-gnu/*", "./usr/lib*/ld-linux*", "./usr/share/qemu/*", "./usr/share/seabios/*"]


@dataclass(frozen=True)
class Emulator:
    """An unpacked QEMU, which runs with the C library it was built for."""

    directory: Path

    def command(self) -> list[str]:
        """The command line up to QEMU's own arguments."""
        usr = self.directory / "usr"
        loader = next(usr.glob("lib*/ld-linux*.so.*"))
        libraries = ":".join(str(path) for path in sorted(usr.glob("lib/*-linux-gnu")) for path in (path, path / "pulseaudio"))
        data = [word for name in ("qemu", "seabios") for word in ("-L", str(usr / "share" / name))]
        return [str(loader), "--library-path", libraries, str(usr / "bin" / "qemu-system-x86_64"), *data]


def ensure(cache: Path, progress: Progress) -> Emulator:
    """The emulator: from the cache, or unpacked now."""
    inputs = json.dumps([RECIPE, RELEASE, PACKAGES, _PARTS])
    directory = cache / f"qemu-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"
    cached(directory, "qemu", progress, lambda work: _unpack(work, progress))
    return Emulator(directory)


def _unpack(work: Path, progress: Progress) -> None:
    progress(f"unpacking QEMU of Debian {RELEASE} (once)")
    archive, log = work / "packages.tar", work / "build.log"
    lines = [source.line(RELEASE) for source in debian_sources()]
    run(["mmdebstrap", "--variant=extract", f"--include={','.join(PACKAGES)}", *apt_options(), RELEASE, str(archive), *lines], log, {})
    run(["tar", "-xf", str(archive), "-C", str(work), "--no-same-owner", "--wildcards", *_PARTS], log, {})
    archive.unlink()
