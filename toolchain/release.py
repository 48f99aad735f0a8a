"""The official release of the CLI and its plugins, from the vendor's own hosts, checked against the checksums the vendor publishes."""

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
from dataclasses import dataclass
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.places import Places
from toolchain.progress import Progress
from toolchain.versions import PLUGINS, PULUMI

PROBE_SECONDS = 5.0
ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Vendor:
    """Where the vendor publishes. The checksums come from another host than the archive, so that one changed host is noticed."""

    archives: str = "https://get.pulumi.com/releases/sdk"
    checksums: str = f"https://github.com/pulumi/pulumi/releases/download/v{PULUMI}"


def archive_name() -> str:
    """The release's archive for this machine."""
    architecture = ARCHITECTURES.get(platform.machine().lower(), platform.machine().lower())
    return f"pulumi-v{PULUMI}-{platform.system().lower()}-{architecture}.tar.gz"


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
    """The archive's SHA-256 as published; None where the vendor cannot be reached. Asking for it is also the test of reachability."""
    try:
        lines = fetch(f"{vendor.checksums}/pulumi-{PULUMI}-checksums.txt", seconds).decode().splitlines()
    except (OSError, ValueError):
        return None
    found = [line.split()[0] for line in lines if line.split()[1:] == [archive_name()]]
    return found[0] if found else None


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
        install_plugins(folder / "pulumi", folder / "home")
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    return target


def download(url: str, checksum: str) -> bytes:
    """The archive, only if it is the one that was published."""
    try:
        archive = fetch(url, 120.0)
    except (OSError, ValueError) as error:
        raise ToolchainError(f"could not download {url} ({error}); try again, or set WG_OFFICE_TOOLCHAIN=build") from error
    found = hashlib.sha256(archive).hexdigest()
    if found != checksum:
        raise ToolchainError(f"{url} has SHA-256 {found}, not the published {checksum}: try again, or set WG_OFFICE_TOOLCHAIN=build")
    return archive


def unpack(archive: bytes, folder: Path) -> None:
    """The archive's one folder, as `folder`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar, tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        tar.extractall(temporary, filter="data")
        Path(temporary, "pulumi").rename(folder)


def install_plugins(cli: Path, home: Path) -> None:
    """The official plugins, by the CLI's own installer, which checks what it downloads."""
    environment = {**os.environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    for name, version in PLUGINS.items():
        with Progress(f"installing the official plugin {name} {version}"):
            command = [str(cli), "plugin", "install", "resource", name, version]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise ToolchainError(f"plugin {name} {version}: {' '.join(reason)}; try again, or set WG_OFFICE_TOOLCHAIN=build")
