"""The official release of the CLI and its plugins, from the vendor's own hosts, each archive checked against what the vendor publishes."""

import hashlib
import io
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.places import Places
from toolchain.progress import Progress
from toolchain.sums import write_sums
from toolchain.versions import PLUGINS, PULUMI

PROBE_SECONDS = 5.0
HASHES = {40: "sha1", 64: "sha256"}
"""By the length of a published checksum: the plugins' come from `shasum`, whose default is SHA-1."""

PLUGIN_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Vendor:
    """Where the vendor publishes. The checksums come from another host than the archives, so that one changed host is noticed."""

    archives: str = "https://get.pulumi.com/releases/sdk"
    checksums: str = f"https://github.com/pulumi/pulumi/releases/download/v{PULUMI}"
    plugins: str = "https://get.pulumi.com/releases/plugins"
    plugin_checksums: str = "https://github.com/pulumi/pulumi-{name}/releases/download/v{version}"


def archive_name() -> str:
    """The release's archive for this machine."""
    return f"pulumi-v{PULUMI}-{_machine(ARCHITECTURES)}.tar.gz"


def plugin_archive_name(name: str, version: str) -> str:
    """A plugin's archive for this machine, whose kind has another name there."""
    return f"pulumi-resource-{name}-v{version}-{_machine(PLUGIN_ARCHITECTURES)}.tar.gz"


def _machine(architectures: Mapping[str, str]) -> str:
    kind = platform.machine().lower()
    return f"{platform.system().lower()}-{architectures.get(kind, kind)}"


def release_home(places: Places) -> Path:
    """Where the unpacked release is, or will be: the CLI and its language hosts."""
    return places.cache / f"release-{PULUMI}-{platform.system().lower()}-{platform.machine()}"


def release_ready(places: Places) -> bool:
    """Whether the cache has it, plugins included."""
    home = release_home(places)
    plugins = (home / "home" / "plugins" / f"resource-{name}-v{version}" for name, version in PLUGINS.items())
    return (home / "pulumi").exists() and all(plugin.is_dir() for plugin in plugins)


def fetch(url: str, seconds: float) -> bytes:
    """What is there; OSError where it cannot be had in time."""
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return bytes(answer.read())


def published_checksum(vendor: Vendor, seconds: float = PROBE_SECONDS) -> str | None:
    """The CLI's checksum as published; None where the vendor cannot be reached. Asking for it is also the test of reachability."""
    return _published(f"{vendor.checksums}/pulumi-{PULUMI}-checksums.txt", archive_name(), seconds)


def _published(url: str, archive: str, seconds: float) -> str | None:
    try:
        lines = [line.split() for line in fetch(url, seconds).decode().splitlines()]
    except (OSError, ValueError):
        return None
    return next((words[0] for words in lines if [word.removeprefix("./") for word in words[1:]] == [archive]), None)


def install_release(places: Places, vendor: Vendor, checksum: str) -> Path:
    """Download, check, unpack and complete with the plugins, in a folder that gets its name only at the end."""
    target = release_home(places)
    if release_ready(places):
        return target
    places.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=places.cache, prefix="release-partial-") as temporary:
        folder = Path(temporary) / "release"
        with Progress(f"downloading pulumi {PULUMI}"):
            unpack(download(f"{vendor.archives}/{archive_name()}", checksum), folder)
        install_plugins(folder / "pulumi", folder / "home", vendor)
        write_sums(folder)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    return target


def download(url: str, checksum: str) -> bytes:
    """The archive, only if it is the one that was published."""
    try:
        archive = fetch(url, 120.0)
    except (OSError, ValueError) as error:
        raise ToolchainError(f"could not download {url} ({error}); try again, or set WG_OFFICE_TOOLCHAIN=build") from error
    kind = HASHES.get(len(checksum), "sha256")
    found = hashlib.new(kind, archive).hexdigest()
    if found != checksum.lower():
        raise ToolchainError(f"{url} has {kind.upper()} {found}, not the published {checksum}: try again, or set WG_OFFICE_TOOLCHAIN=build")
    return archive


def unpack(archive: bytes, folder: Path) -> None:
    """The archive's one folder, as `folder`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar, tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        tar.extractall(temporary, filter="data")
        Path(temporary, "pulumi").rename(folder)


def install_plugins(cli: Path, home: Path, vendor: Vendor) -> None:
    """The official plugins. Left alone the CLI's installer takes what it is sent, so it is given archives that were checked."""
    for name, version in PLUGINS.items():
        with Progress(f"installing the official plugin {name} {version}"), tempfile.TemporaryDirectory(dir=cli.parent) as temporary:
            archive = Path(temporary) / plugin_archive_name(name, version)
            archive.write_bytes(_plugin(vendor, name, version))
            _install_plugin(cli, home, name, version, archive)


def _plugin(vendor: Vendor, name: str, version: str) -> bytes:
    archive = plugin_archive_name(name, version)
    sums = f"{vendor.plugin_checksums.format(name=name, version=version)}/pulumi-{name}_{version}_checksums.txt"
    checksum = _published(sums, archive, 30.0)
    if checksum is None:
        raise ToolchainError(f"{sums} names no checksum of {archive}, which is not used without: set WG_OFFICE_TOOLCHAIN=build")
    return download(f"{vendor.plugins}/{archive}", checksum)


def _install_plugin(cli: Path, home: Path, name: str, version: str, archive: Path) -> None:
    environment = {**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = [str(cli), "plugin", "install", "resource", name, version, "--file", str(archive)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise ToolchainError(f"plugin {name} {version}: {' '.join(reason)}; try again, or set WG_OFFICE_TOOLCHAIN=build")
