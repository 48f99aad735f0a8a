"""What is in the cache, by SHA-256: written down where it comes in, looked at each time it is used. The lab's images are held to it too.

What is built here differs from machine to machine (the Go that is installed, the packages of the day), so no hash of it can stand in this
repository. What it is built from is pinned elsewhere: modules by go.sum, Debian's packages by the archive's signed index.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

LIST = "SHA256SUMS-by-blocks"
_CHUNK = 1 << 20


def write_sums(folder: Path) -> None:
    """Write down what is in a folder."""
    partial = folder / f"{LIST}.partial-{os.getpid()}"
    partial.write_text("".join(f"{digest}  {name}\n" for name, digest in _found(folder)), encoding="utf-8")
    partial.replace(folder / LIST)


def changed(folder: Path) -> str | None:
    """The first file that is not what was written down; None where all are. Where nothing was, it is now: a cache of an earlier version."""
    if not (folder / LIST).exists():
        write_sums(folder)
        return None
    listed = (folder / LIST).read_text(encoding="utf-8").splitlines()
    return next((name for digest, _, name in (line.partition("  ") for line in listed) if _digest(folder / name) != digest), None)


def _found(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        digest = _digest(path)
        if digest is not None and not path.name.startswith(LIST):
            yield str(path.relative_to(folder)), digest


def _digest(path: Path) -> str | None:
    if path.is_symlink():
        return hashlib.sha256(str(path.readlink()).encode()).hexdigest()
    return sha256(path) if path.is_file() else None


def sha256(path: Path) -> str:
    """A file's hash, by blocks: one of zeros counts by its length alone, whether the disk holds it or leaves a hole.

    An image has gigabytes of them. Which are holes is the file system's business, and changes when it writes them out.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = path.stat().st_size
        for position in range(0, size, _CHUNK):
            length = min(_CHUNK, size - position)
            block = b""
            if _next_data(file.fileno(), position, size) < position + length:
                file.seek(position)
                block = file.read(length)
            digest.update(block if block.strip(b"\0") else f"{length} zeros".encode())
    return digest.hexdigest()


def _next_data(descriptor: int, position: int, size: int) -> int:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError:
        return size
