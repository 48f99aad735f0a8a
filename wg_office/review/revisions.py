"""Environment files as they stand in the working tree, or stood in a git revision. Room: review, the one place that asks git."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from wg_office.environment.document import parse
from wg_office.environment.faults import Fault, Faults, Unreadable
from wg_office.environment.faults import Path as FaultPath
from wg_office.environment.model import Environment
from wg_office.reading.load import as_far_as_it_goes, load
from wg_office.text.printable import one_line

WORKING_TREE = ""
"""The revision that stands for the files as they are on the disk."""


class NoRevision(Exception):
    """Git cannot say what was asked; the message is one sentence with a remedy."""


@dataclass(frozen=True, slots=True)
class State:
    """One side of a comparison: a file on the disk, or a git revision in which to look for the file."""

    revision: str = WORKING_TREE
    file: Path | None = None

    def called(self, file: Path) -> str:
        """The file as messages name it."""
        return f"{self.revision}:{file}" if self.revision != WORKING_TREE else str(file)


def state_of(word: str) -> State:
    """From what a person types: a file's path, `REVISION:PATH`, or a revision. Raises NoRevision where it is none of them."""
    if Path(word).suffix in (".yaml", ".yml") and Path(word).exists():
        return State(file=Path(word))
    revision, colon, path = word.partition(":")
    if not revision:
        raise NoRevision(f"{word!r} names no revision; name a file, a branch, a tag or a commit, or REVISION:PATH")
    return State(revision, Path(path) if colon else None)


def environment_files(state: State) -> tuple[Path, ...]:
    """The environment files of a state: the one it names, or all YAML files in configs/. A link that leads nowhere is none."""
    if state.file is not None:
        return (state.file,)
    if state.revision == WORKING_TREE:
        return tuple(sorted(file for file in Path("configs").glob("*.yaml") if file.is_file()))
    return tuple(sorted(Path("configs") / name for name in _beside(state.revision, Path("configs/any")) if name.endswith(".yaml")))


def environment(state: State, file: Path) -> Environment | None:
    """The environment of a file in that state, or None where there is no such file. Raises Faults, which name the revision too."""
    with _on_disk(state, file) as copy:
        return None if copy is None else _as_of(state.called(file), copy)


def readable(state: State, file: Path) -> tuple[Environment | None, tuple[Fault, ...]]:
    """What can be read of a file in that state, and the faults of the rest; neither where there is no such file."""
    with _on_disk(state, file) as copy:
        env, faults = (None, ()) if copy is None else as_far_as_it_goes(copy)
    return env, tuple(replace(fault, file=state.called(file)) for fault in faults)


@contextmanager
def _on_disk(state: State, file: Path) -> Iterator[Path | None]:
    """The file of that state, where it can be read; None where there is no such file, and NoRevision where it was asked for by name."""
    if state.revision == WORKING_TREE:
        yield file if file.exists() or state.file is not None else None
    elif _there(state.revision, file):
        with _checked_out(state.revision, file) as copy:
            yield copy
    elif state.file is not None:
        raise NoRevision(f"{state.revision} has no {file}; `git ls-tree -r --name-only {state.revision}` lists what it has")
    else:
        yield None


def _as_of(called: str, copy: Path) -> Environment:
    try:
        return load(copy, require_host_keys=False)
    except Faults as faults:
        kind = Unreadable if isinstance(faults, Unreadable) else Faults
        raise kind(replace(fault, file=called) for fault in faults.faults) from None


def line_of(state: State, file: Path, path: FaultPath) -> int:
    """The line of a value in that state."""
    text = file.read_bytes() if state.revision == WORKING_TREE else _content(state.revision, file)
    return parse(text.decode("utf-8-sig", errors="replace")).line(path)


@contextmanager
def _checked_out(revision: str, file: Path) -> Iterator[Path]:
    """The file, and what lies beside it (host keys), in a folder that goes away again."""
    with tempfile.TemporaryDirectory(prefix="wg-office-diff-") as folder:
        for name in _beside(revision, file):
            (Path(folder) / name).write_bytes(_content(revision, file.parent / name))
        yield Path(folder) / file.name


def _there(revision: str, file: Path) -> bool:
    return file.name in _beside(revision, file)


def _beside(revision: str, file: Path) -> tuple[str, ...]:
    """The names of the files in a file's folder, links to files among them."""
    where, folder = _from(file.parent / "any")
    listed = run_git("ls-tree", "-z", _known(revision, where), f"{Path(folder).parent}/", folder=where).decode().split("\0")
    entries = [(kind.split(), Path(name).name) for kind, _, name in (entry.partition("\t") for entry in listed if entry)]
    return tuple(
        name
        for (mode, kind, _), name in entries
        if kind == "blob" and (mode != _LINK or _followed(revision, file.parent / name) is not None)
    )


_LINK = "120000"
"""Git's mode of a symbolic link, whose own content is the path it leads to."""


def _content(revision: str, file: Path) -> bytes:
    found = _followed(revision, file)
    if found is None:
        raise NoRevision(f"{revision} has no {file}, or only a link that leads to no file of that revision")
    return found


def _followed(revision: str, file: Path) -> bytes | None:
    """What a file holds, links inside the repository followed; None where that leads to no file of the revision."""
    where, name = _from(file)
    asked = f"{_known(revision, where)}:./{name}\n".encode()
    head, _, rest = run_git("cat-file", "--batch", "--follow-symlinks", folder=where, typed=asked).partition(b"\n")
    words = head.split()
    return rest[: int(words[2])] if len(words) == 3 and words[1] == b"blob" else None


def _from(file: Path) -> tuple[Path, str]:
    """Where git is asked about a file, and what the file is called there. Its folder need not be there any more."""
    return (file.parent.absolute(), file.name) if file.parent.is_dir() else (Path.cwd(), str(file))


@cache
def _known(revision: str, folder: Path) -> str:
    """The revision, if git knows it. An option in its place would be taken for one."""
    if revision.startswith("-"):
        raise NoRevision(f"{revision} is no git revision; name a branch, a tag or a commit")
    shallow = run_git("rev-parse", "--is-shallow-repository", folder=folder).strip() == b"true"
    try:
        run_git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", folder=folder)
    except NoRevision:
        fetch = "this clone is shallow: `git fetch --unshallow`, or fetch that branch"
        remedy = fetch if shallow else "name a file, a branch, a tag or a commit"
        raise NoRevision(f"{revision} is neither a file nor a git revision; {remedy}") from None
    return revision


def run_git(*words: str, folder: Path | None = None, typed: bytes = b"") -> bytes:
    """What git prints, given this input. Raises NoRevision where it fails, or is not there."""
    try:
        return subprocess.run(
            ["git", *words], capture_output=True, check=True, input=typed, cwd=folder, env={**os.environ, "LC_ALL": "C"}
        ).stdout
    except FileNotFoundError:
        raise NoRevision("there is no `git` here; name two files instead") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        if said and "not a git repository" in said[-1]:
            raise NoRevision(f"{(folder or Path()).resolve()} is in no git repository; name two files instead") from None
        raise NoRevision(f"git {words[0]} failed: {one_line(said[-1]) if said else 'it gave no reason'}") from None
