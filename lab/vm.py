"""The virtual machine: one QEMU process, its disks and its forwarded ports."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import hostpackages
from .emulator import Emulator
from .errors import LabError
from .image import MAIN_RELEASE, Image
from .nodes import OFFICE, VM_ADDRESS, Topology
from .settings import Settings

STATE_DISK_SIZE = "8G"
KERNEL_ARGUMENTS = (
    "console=ttyS0 tsc=reliable clocksource=tsc selinux=0 net.ifnames=0 "
    # what a distribution's kernel does for safety with each page and each new process: a tenth to a fifth of their cost, emulated
    "init_on_alloc=0 hardened_usercopy=off lsm=capability cgroup_disable=memory transparent_hugepage=never "
    "mitigations=off audit=0 nokaslr no_timer_check nowatchdog random.trust_cpu=on loglevel=4 "
    "systemd.show_status=error systemd.journald.forward_to_console=0"
)
# What nodes have and the machine around them does without: it plugs its few links itself (guest/plug).
MASKED = (
    *("systemd-networkd.service", "systemd-networkd.socket", "systemd-udev-trigger.service"),
    *("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
)
# Emulated, one that has AVX runs a fifth slower: the C library then prefers it, and each change of a process saves more.
# And one alone, which is no slower than two: where one patches the kernel's code while the other runs it (static keys: each rule that is
# loaded), QEMU 7.2 leaves the other in an endless loop of breakpoints, once in some hours.
EMULATED = "Nehalem"
DISK_LETTERS = "defgh"  # after vda (root), vdb (seed) and vdc (state)


@dataclass(frozen=True)
class VirtualMachine:
    """The QEMU process of one lab."""

    settings: Settings
    topology: Topology = OFFICE

    @property
    def pid_file(self) -> Path:
        """Written by QEMU; its path on the command line is also how we know our own process."""
        return self.settings.state / "qemu.pid"

    @property
    def console(self) -> Path:
        """The serial console's log."""
        return self.settings.state / "console.log"

    @property
    def state_disk(self) -> Path:
        """What the nodes wrote; kept until `clean`."""
        return self.settings.state / "state.ext4"

    @property
    def seed_disk(self) -> Path:
        """The tar that the guest unpacks at boot."""
        return self.settings.state / "seed.tar"

    def pid(self) -> int | None:
        """The process id of our QEMU, if it runs."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self.pid_file.read_text())
            return pid if self._is_ours(pid) else None
        # Somebody removed .state under a running machine: find it all the same, so that `down` ends it.
        return next((int(path.name) for path in Path("/proc").glob("[0-9]*") if self._is_ours(int(path.name))), None)

    def _is_ours(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return str(self.pid_file).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return False

    def start(self, seed: bytes, qemu: Emulator, images: Mapping[str, Image]) -> None:
        """Boot from the images with this seed."""
        self._refuse_taken_ports()
        self.seed_disk.touch(mode=0o600)
        # A block device has whole sectors.
        self.seed_disk.write_bytes(seed + bytes(-len(seed) % 512))
        self._make_state_disk()
        self.console.unlink(missing_ok=True)
        done = subprocess.run(
            [*qemu.command(), *self.arguments(images)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LabError(
                f"QEMU did not start ({reason}): see `python -m lab status`, or free what it names and run `python -m lab up` again."
            )

    def arguments(self, images: Mapping[str, Image]) -> list[str]:
        """QEMU's arguments."""
        main = images[MAIN_RELEASE]
        accel = "kvm" if self.settings.accel == "kvm" else "tcg,tb-size=512"
        processor = "max,la57=off" if self.settings.accel == "kvm" else EMULATED
        arguments = [
            *("-name", "wg-office-lab", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-machine", "q35,usb=off,vmport=off", "-accel", accel, "-cpu", processor, "-smp", "1", "-m", str(self.settings.memory)),
            *(
                "-kernel",
                str(main.kernel),
                "-initrd",
                str(main.initrd),
                "-append",
                " ".join([KERNEL_ARGUMENTS, *(f"systemd.mask={unit}" for unit in MASKED)]),
            ),
            *("-serial", f"file:{self.console}", "-daemonize", "-pidfile", str(self.pid_file)),
            *("-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"),
            *("-netdev", f"user,id=net,{self._network()}", "-device", "virtio-net-pci,netdev=net,romfile="),
            # The root's changes go with the machine; what nodes write is on the state disk.
            *_disk(main.disk, "snapshot=on,cache=unsafe"),
            *_disk(self.seed_disk, "readonly=on"),
            *_disk(self.state_disk, "cache=unsafe"),
        ]
        for image in images.values():
            arguments += _disk(image.disk, "readonly=on")
        return arguments

    def _network(self) -> str:
        ports = [f"hostfwd=tcp:127.0.0.1:{port}-{address}:22" for port, address in self.forwards().items()]
        return ",".join(["net=10.0.2.0/24", "restrict=on", "ipv6=off", *ports])

    def forwards(self) -> dict[int, str]:
        """Forwarded port on the loopback address -> address in the management network."""
        base, hosts = self.settings.port_base, self.topology.hosts
        return {base: VM_ADDRESS} | {base + self.topology.offset(node.name): node.management_address for node in hosts}

    def _refuse_taken_ports(self) -> None:
        taken = [port for port in self.forwards() if not _is_free(port)]
        if taken:
            ports = ", ".join(map(str, taken))
            raise LabError(
                f"127.0.0.1 port {ports} is in use by something else: "
                "choose another range, for example `LAB_PORT_BASE=23000 python -m lab up`."
            )

    def _make_state_disk(self) -> None:
        if self.state_disk.exists():
            return
        new = self.state_disk.with_suffix(".new")
        new.unlink(missing_ok=True)
        mke2fs = hostpackages.which("mke2fs") or "mke2fs"
        subprocess.run(
            [mke2fs, "-q", "-t", "ext4", "-E", "lazy_itable_init=1", "-m", "0", str(new), STATE_DISK_SIZE], check=True, capture_output=True
        )
        new.rename(self.state_disk)

    def kill(self) -> None:
        """End the process, as a power cut would, also where it is stopped; QEMU holds nothing back that it would have to write first."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_gone(pid, 10)
        self.pid_file.unlink(missing_ok=True)


def wait_gone(pid: int, seconds: float) -> bool:
    """Whether a process ended within that time."""
    deadline = time.monotonic() + seconds
    while _lives(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _lives(pid: int) -> bool:
    """Whether a process holds its ports and files still; it does for a while after its memory, and so its command line, has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _disk(path: Path, options: str) -> list[str]:
    # QEMU reads a comma in a path as the end of it, unless it is doubled.
    return ["-drive", f"file={str(path).replace(',', ',,')},if=virtio,format=raw,{options}"]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def disk_devices(images: Iterable[str]) -> dict[str, str]:
    """Release -> the block device that holds its image in the guest."""
    return {release: f"/dev/vd{letter}" for release, letter in zip(images, DISK_LETTERS, strict=False)}
