"""Puts the chosen toolchain in place for this clone."""

import fcntl
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toolchain.build import build, build_key, built_cli
from toolchain.choose import Choice, Facts, Source, SystemPulumi, choose
from toolchain.errors import ToolchainError
from toolchain.places import Places
from toolchain.progress import say
from toolchain.release import Vendor, install_release, published_checksum, release_home, release_ready
from toolchain.sums import changed
from toolchain.versions import PLUGINS, PULUMI

STAND_INS = {"pulumi-language-python": "language_host"} | {f"pulumi-resource-{name}": f"plugin_{name}" for name in PLUGINS}


@dataclass(frozen=True)
class Selection:
    """What is in place."""

    source: str
    version: str
    cli: str
    why: str
    key: str = ""

    def line(self) -> str:
        """One line about it, for every test run's head."""
        kinds = {
            Source.SYSTEM.value: "the one on PATH, with its own plugins",
            Source.RELEASE.value: "the official release, with the official plugins",
            Source.BUILD.value: "built from its Go module, with our Python stand-ins for host and plugins",
        }
        return f"pulumi {self.version} at {self.cli}: {kinds[self.source]}"


def read_selection(places: Places) -> Selection | None:
    """What is in place, if it still is."""
    try:
        selection = Selection(**json.loads(places.selection.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    stale = selection.source == Source.BUILD.value and selection.key != build_key()
    return selection if Path(selection.cli).exists() and not stale else None


def outside_path(places: Places, environment: Mapping[str, str]) -> str:
    """PATH without our own folder: what we put there ourselves is no system Pulumi."""
    entries = environment.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if entry and Path(entry) != places.bin)


def find_system(places: Places, environment: Mapping[str, str]) -> SystemPulumi | None:
    """The `pulumi` on PATH, and what it has."""
    path = outside_path(places, environment)
    cli = shutil.which("pulumi", path=path)
    if cli is None:
        return None
    quiet = {**environment, "PATH": path, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    if quiet.get("PULUMI_HOME") == str(places.pulumi_home):
        del quiet["PULUMI_HOME"]
    version = _answer([cli, "version"], quiet)
    host = Path(cli).resolve().with_name("pulumi-language-python").exists() or shutil.which("pulumi-language-python", path=path)
    return SystemPulumi(cli, version.removeprefix("v"), bool(host), _plugins(_answer([cli, "plugin", "ls", "--json"], quiet)))


def _answer(command: list[str], environment: Mapping[str, str]) -> str:
    quietly: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "timeout": 30, "stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(command, env=dict(environment), **quietly)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return str(done.stdout).strip()


def _plugins(listing: str) -> dict[str, tuple[str, ...]]:
    try:
        entries = json.loads(listing)
    except ValueError:
        return {}
    names = {entry["name"] for entry in entries}
    return {name: tuple(entry["version"] for entry in entries if entry["name"] == name and entry.get("version")) for name in names}


@contextmanager
def locked(places: Places) -> Iterator[None]:
    """One installation at a time, over all clones that share the cache."""
    places.cache.mkdir(parents=True, exist_ok=True)
    with (places.cache / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another installation is under way; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def wanted_source(environment: Mapping[str, str]) -> Source | None:
    """What WG_OFFICE_TOOLCHAIN asks for."""
    named = environment.get("WG_OFFICE_TOOLCHAIN", "")
    if not named:
        return None
    try:
        return Source(named)
    except ValueError:
        raise ToolchainError(f"WG_OFFICE_TOOLCHAIN={named}: must be system, release or build, or not be set") from None


def install(places: Places, environment: Mapping[str, str], vendor: Vendor | None = None) -> Selection:
    """Pick a toolchain and put it in place; where it is in place already, only look."""
    vendor = vendor or Vendor()
    if not places.python.exists():
        raise ToolchainError(f"{places.python} is missing: `python3 -m venv .venv && .venv/bin/pip install -r requirements-dev.txt`")
    with locked(places):
        choice, checksum = decide(places, environment, vendor)
        if choice.source is None:
            raise ToolchainError(f"no toolchain: {choice.why}")
        selection = _put_in_place(choice, places, environment, vendor, checksum)
        places.backend.mkdir(parents=True, exist_ok=True)
        _write(places.selection, json.dumps(asdict(selection), indent=2) + "\n")
    return selection


def decide(places: Places, environment: Mapping[str, str], vendor: Vendor) -> tuple[Choice, str | None]:
    """The choice, and the release's checksum where the vendor had to be asked for it."""
    facts = Facts(
        system=find_system(places, environment),
        release_cached=release_ready(places),
        build_cached=built_cli(places).exists(),
        wanted=wanted_source(environment),
    )
    choice = choose(facts)
    if facts.wanted is Source.SYSTEM or choice.source in (Source.SYSTEM, Source.BUILD) or (choice.source and facts.release_cached):
        return choice, None
    say("asking the vendor for the official release")
    checksum = published_checksum(vendor)
    if checksum is None:
        say("the official release is not reachable from here")
        if facts.wanted is Source.RELEASE:
            return Choice(None, "WG_OFFICE_TOOLCHAIN=release, but the official release is not reachable from here"), None
    reachable = Facts(facts.system, facts.release_cached, facts.build_cached, checksum is not None, facts.wanted)
    return choose(reachable), checksum


def _put_in_place(choice: Choice, places: Places, environment: Mapping[str, str], vendor: Vendor, checksum: str | None) -> Selection:
    if choice.source is Source.SYSTEM:
        system = find_system(places, environment)
        assert system is not None
        shutil.rmtree(places.bin, ignore_errors=True)
        return Selection(choice.source.value, system.version, system.path, choice.why)
    if choice.source is Source.RELEASE:
        home = _as_it_came(install_release(places, vendor, checksum or ""))
        _place_release(places, home)
        return Selection(choice.source.value, PULUMI, str(places.bin / "pulumi"), choice.why)
    cli = build(places)
    _as_it_came(cli.parent)
    place_stand_ins(places, cli)
    return Selection(Source.BUILD.value, PULUMI, str(places.bin / "pulumi"), choice.why, build_key())


def _as_it_came(folder: Path) -> Path:
    """A folder of the cache, if what is in it is still what was put there."""
    file = changed(folder)
    if file is not None:
        raise ToolchainError(f"{folder / file} is not what was put there; remove {folder}, and run it again to have it made anew")
    return folder


def _place_release(places: Places, home: Path) -> None:
    _fresh_folder(places.bin)
    for program in sorted(home.glob("pulumi*")):
        if program.is_file():
            (places.bin / program.name).symlink_to(program)
    plugins = places.pulumi_home / "plugins"
    _remove(plugins)
    places.pulumi_home.mkdir(parents=True, exist_ok=True)
    plugins.symlink_to(release_home(places) / "home" / "plugins")


def place_stand_ins(places: Places, cli: Path) -> None:
    """The CLI with our language host and plugins, whatever else is on PATH."""
    places.bin.mkdir(parents=True, exist_ok=True)
    _link(cli, places.bin / "pulumi")
    for name, module in STAND_INS.items():
        _write(places.bin / name, wrapper(places, module), executable=True)
    plugins = places.pulumi_home / "plugins"
    if plugins.is_symlink():
        plugins.unlink()
    # The engine warns of every plugin that it finds on PATH; in its own folder they are as good as installed.
    for name, version in PLUGINS.items():
        _write(plugins / f"resource-{name}-v{version}" / f"pulumi-resource-{name}", wrapper(places, f"plugin_{name}"), executable=True)


def wrapper(places: Places, module: str) -> str:
    """A tiny program that starts a stand-in with this clone's Python."""
    command = shlex.join([str(places.python), "-I", str(places.clone / "toolchain" / "launch.py"), module])
    return f'#!/bin/sh\nexec {command} "$@"\n'


def _link(source: Path, target: Path) -> None:
    # Not a symbolic link: the CLI looks for its language host beside the file that it really is.
    if target.exists() and target.samefile(source):
        return
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
    except OSError:
        shutil.copy2(source, partial)
    partial.replace(target)


def _write(path: Path, text: str, executable: bool = False) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.chmod(0o755 if executable else 0o644)
    partial.replace(path)


def _fresh_folder(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def clean(places: Places) -> None:
    """Take away the cache, and what this clone has of a toolchain; the stacks' states stay."""
    shutil.rmtree(places.cache, ignore_errors=True)
    shutil.rmtree(places.bin.parent, ignore_errors=True)
    _remove(places.pulumi_home / "plugins")
