"""Images: a Debian root in an ext4 file, built from packages and cached by what went into it.

An image holds no topology and no key. Those reach the virtual machine as a small seed disk at each `up` (see seed.py), so that
editing the topology rebuilds nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolchain.sums import changed, write_sums

from . import aptsources, hostpackages
from .errors import LabError
from .progress import Progress

MAIN_RELEASE = "bookworm"
ROOTFS = Path(__file__).parent / "rootfs"
RECIPE = 1  # raise it when build steps below change in a way that changes the image
IMAGE_SIZE = "3G"

NODE_PACKAGES = [
    *("systemd", "systemd-sysv", "dbus", "udev", "openssh-server", "iproute2", "procps", "kmod", "python3-minimal"),
    *("wireguard-tools", "nftables", "iptables", "firewalld", "conntrack"),
    *("iputils-ping", "tcpdump", "iperf3", "curl", "socat", "netcat-openbsd", "dnsmasq-base", "udhcpc", "busybox-static"),
]
VM_PACKAGES = ["systemd-container", "linux-image-cloud-amd64", "cpio"]


@dataclass(frozen=True)
class Image:
    """A built image in the cache."""

    release: str
    directory: Path

    @property
    def disk(self) -> Path:
        """The ext4 file."""
        return self.directory / "root.ext4"

    @property
    def kernel(self) -> Path:
        """The kernel of the virtual machine; only the main release has one."""
        return self.directory / "kernel"

    @property
    def initrd(self) -> Path:
        """The initrd that goes with the kernel."""
        return self.directory / "initrd"


def packages(release: str) -> list[str]:
    """What is installed: nodes need little, the main release also boots the virtual machine."""
    extra = VM_PACKAGES if release == MAIN_RELEASE else []
    return sorted([*NODE_PACKAGES, *extra])


def rootfs_archive(directory: Path = ROOTFS) -> bytes:
    """The files we add to the image, as a tar that depends on their content and mode only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                info = tarfile.TarInfo(str(path.relative_to(directory)))
                info.size, info.mode = path.stat().st_size, 0o755 if os.access(path, os.X_OK) else 0o644
                archive.addfile(info, io.BytesIO(path.read_bytes()))
    return buffer.getvalue()


def cache_key(release: str, archive: bytes) -> str:
    """The name of an image in the cache: equal inputs, equal name."""
    inputs = json.dumps([RECIPE, release, packages(release), IMAGE_SIZE, hashlib.sha256(archive).hexdigest()])
    return f"{release}-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"


def ensure(release: str, cache: Path, progress: Progress) -> Image:
    """The image of a release: from the cache, or built now. One build at a time; an interrupted build leaves nothing that counts."""
    archive = rootfs_archive()
    image = Image(release, cache / cache_key(release, archive))
    cached(image.directory, release, progress, lambda work: _build(image, work, archive, progress))
    return image


def cached(directory: Path, kind: str, progress: Progress, build: Callable[[Path], None]) -> None:
    """Have `build` fill a directory of the cache, unless it is there. It takes the place of others of its kind that are not in use."""
    if directory.is_dir():
        file = changed(directory)
        if file is not None:
            raise LabError(
                f"{directory / file} is not what was built: remove {directory}, then run `python -m lab up` again to build it anew."
            )
        return
    tools = hostpackages.BUILD_TOOLS | ({} if os.geteuid() == 0 else hostpackages.UNPRIVILEGED_TOOLS)
    hostpackages.ensure(tools, progress)
    cache = directory.parent
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{kind}.lock", progress):
        if not directory.is_dir():
            _sweep(cache, kind)
            work = Path(tempfile.mkdtemp(prefix=f".build-{kind}-", dir=cache))
            build(work)
            write_sums(work)
            work.chmod(0o755)
            work.rename(directory)
            progress(f"{directory.name} is ready")
            _sweep(cache, kind, keep=directory)


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another process builds this; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sweep(cache: Path, kind: str, keep: Path | None = None) -> None:
    """Remove what interrupted builds left, and with `keep` also what it supersedes."""
    for path in cache.glob(f".build-{kind}-*"):
        _remove(path)
    if keep is not None:
        for path in cache.glob(f"{kind}-*"):
            if path != keep and not _in_use(path):
                _remove(path)


def _in_use(directory: Path) -> bool:
    """Whether a running process (another clone's virtual machine) has a file there open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink().is_relative_to(directory):
                return True
        except OSError:
            continue
    return False


def _build(image: Image, work: Path, archive: bytes, progress: Progress) -> None:
    progress(f"building the Debian {image.release} image (once; about two minutes)")
    (work / "rootfs.tar").write_bytes(archive)
    log = work / "build.log"
    _bootstrap(image.release, work, log)
    progress(f"packages installed; writing the {image.release} file system")
    _make_file_system(work, log)
    for leftover in ("rootfs.tar", "root.tar"):
        (work / leftover).unlink()


def mmdebstrap_command(release: str, work: Path, sources: list[aptsources.Source]) -> list[str]:
    """The bootstrap of a release into `work`/root.tar, with kernel and initrd beside it."""
    hooks = [f"tar-in {work}/rootfs.tar /", 'chroot "$1" /usr/local/lib/lab/customise']
    if release == MAIN_RELEASE:
        hooks += [f"download /boot/kernel.lab {work}/kernel", f"download /boot/initrd.lab {work}/initrd", 'rm -rf "$1"/boot/*']
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(packages(release))}", "--dpkgopt=path-exclude=/usr/share/man/*"]
    command += apt_options()
    command += [f"--customize-hook={hook}" for hook in hooks]
    return [*command, release, f"{work}/root.tar", *[source.line(release) for source in sources]]


def apt_options() -> list[str]:
    """For mmdebstrap: with patience, and through this machine's proxy."""
    done = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False)
    lines = [line.rstrip(";") for line in done.stdout.splitlines() if "::Proxy" in line and not line.endswith('"";')]
    return [f"--aptopt={line}" for line in ('Acquire::Retries "3"', 'Acquire::Check-Valid-Until "false"', *lines)]


def debian_sources() -> list[aptsources.Source]:
    """Where packages come from; there is one, or this raises LabError."""
    sources = aptsources.configured()
    if not sources:
        raise LabError("No Debian package source in /etc/apt: the lab is built from Debian packages, so add one and try again.")
    return sources


def _bootstrap(release: str, work: Path, log: Path) -> None:
    # INITRD=No keeps the kernel package from building an initrd that nobody boots; customise makes ours.
    environment = {"INITRD": "No"}
    if os.geteuid() == 0:
        # So that what an interrupted build leaves lies where the next one sweeps. Other users' namespaces cannot reach into their homes.
        environment["TMPDIR"] = str(work)
    run(mmdebstrap_command(release, work, debian_sources()), log, environment)


_FILE_SYSTEM = """
set -eu
mkdir "$1/tree"
tar --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' -xf "$1/root.tar" -C "$1/tree"
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,nodiscard -m 0 -d "$1/tree" "$1/root.ext4" "$2"
rm -rf "$1/tree"
"""


def _make_file_system(work: Path, log: Path) -> None:
    # An ordinary user gets root's file ownership from a user namespace, though no device nodes; nobody needs those, /dev is mounted.
    prefix = [] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--map-auto"]
    run([*prefix, "sh", "-c", _FILE_SYSTEM, "sh", str(work), IMAGE_SIZE], log, {})


def run(command: list[str], log: Path, environment: dict[str, str]) -> None:
    """One step of a build, its output in a log; LabError names its first error."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PATH": path, **environment},
            start_new_session=True,
        )
        try:
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    if status != 0:
        errors = [
            line for line in log.read_text(errors="replace").splitlines() if line.startswith(("E:", "error", "mke2fs", "unshare", "tar:"))
        ]
        reason = errors[0] if errors else "no message"
        raise LabError(f"Building the lab failed in {command[0]} ({reason}): see {log}, then run `python -m lab up` again.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End an interrupted step with all its children; mmdebstrap clears up after itself when it is asked politely."""
    for number, patience in ((signal.SIGINT, 20), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def _remove(directory: Path) -> None:
    """Remove a build's directory, also when an ordinary user's interrupted build left files of other ids in it."""
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists() and os.geteuid() != 0:
        subprocess.run(["unshare", "--map-root-user", "--map-auto", "rm", "-rf", str(directory)], capture_output=True, check=False)
