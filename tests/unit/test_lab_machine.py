"""Settings and QEMU's command line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cli import _releases, main, parser
from lab.core import Lab
from lab.emulator import Emulator
from lab.errors import LabError
from lab.image import Image
from lab.remote import Connection
from lab.settings import DEFAULT_PORT_BASE, Settings
from lab.vm import VirtualMachine, disk_devices, wait_gone


def settings(root: Path, **environ: str) -> Settings:
    return Settings.read(root, {"HOME": "/nowhere", "WG_OFFICE_CACHE": str(root / "cache"), "XDG_RUNTIME_DIR": str(root), **environ})


def command(root: Path, **environ: str) -> list[str]:
    images = {name: Image(name, root / name) for name in ("bookworm", "trixie")}
    return VirtualMachine(settings(root, **environ)).arguments(images)


def test_forwarded_ports_listen_on_the_loopback_address_alone_and_nothing_leads_out(tmp_path: Path) -> None:
    network = next(word for word in command(tmp_path) if word.startswith("user,"))
    parts = network.split(",")
    forwards = [part for part in parts if part.startswith("hostfwd=")]
    assert "restrict=on" in parts
    assert [part.split("-")[0] for part in forwards] == [f"hostfwd=tcp:127.0.0.1:{port}" for port in (22000, 22010, 22011, 22012, 22021)]


def test_the_base_image_is_never_written(tmp_path: Path) -> None:
    drives = [word for word in command(tmp_path) if word.startswith("file=")]
    for drive in drives:
        assert ("root.ext4" not in drive) or "snapshot=on" in drive or "readonly=on" in drive


def test_disks_have_the_device_names_that_the_guest_is_told(tmp_path: Path) -> None:
    drives = [word for word in command(tmp_path) if word.startswith("file=") and "if=virtio" in word]
    letters = {f"/dev/vd{letter}": drive for letter, drive in zip("abcdefgh", drives, strict=False)}
    assert "seed.tar" in letters["/dev/vdb"]
    assert "state.ext4" in letters["/dev/vdc"]
    for release, device in disk_devices(["bookworm", "trixie"]).items():
        assert f"/{release}/root.ext4" in letters[device]


def test_emulation_is_the_default_and_kvm_only_on_request(tmp_path: Path) -> None:
    assert any(word.startswith("tcg") for word in command(tmp_path))
    assert "kvm" in command(tmp_path, LAB_ACCEL="kvm")


def test_the_emulator_runs_with_its_own_loader_libraries_and_data(tmp_path: Path) -> None:
    for name in ("usr/lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/libc.so.6", "usr/bin/qemu-system-x86_64"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    loader, _, libraries, qemu, *data = Emulator(tmp_path).command()
    assert loader == f"{tmp_path}/usr/lib64/ld-linux-x86-64.so.2"
    assert libraries.split(":")[0] == f"{tmp_path}/usr/lib/x86_64-linux-gnu"
    assert qemu == f"{tmp_path}/usr/bin/qemu-system-x86_64"
    assert data == ["-L", f"{tmp_path}/usr/share/qemu", "-L", f"{tmp_path}/usr/share/seabios"]


def test_the_port_base_moves_all_ports(tmp_path: Path) -> None:
    assert set(VirtualMachine(settings(tmp_path, LAB_PORT_BASE="23000")).forwards()) == {23000, 23010, 23011, 23012, 23021}


def test_a_lab_remembers_its_port_base(tmp_path: Path) -> None:
    assert settings(tmp_path).port_base == DEFAULT_PORT_BASE
    (tmp_path / ".state" / "lab").mkdir(parents=True)
    (tmp_path / ".state" / "lab" / "lab.json").write_text('{"port_base": 24000, "releases": {}}')
    assert settings(tmp_path).port_base == 24000
    assert settings(tmp_path, LAB_PORT_BASE="25000").port_base == 25000


def test_labs_of_two_names_share_nothing(tmp_path: Path) -> None:
    one, other = settings(tmp_path), settings(tmp_path, LAB_NAME="mixed")
    assert one.state != other.state
    assert one.runtime != other.runtime
    assert one.cache == other.cache


def test_a_machine_is_gone_when_its_ports_are_free_and_not_before() -> None:
    listens = "import socket, sys; one = socket.create_server(('127.0.0.1', 0)); print(one.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", listens], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert not wait_gone(process.pid, 0.1)
        process.kill()
        assert wait_gone(process.pid, 60), "also where nobody has asked for its exit status yet"
        socket.create_server(("127.0.0.1", port)).close()


def test_one_emulated_processor_without_avx(tmp_path: Path) -> None:
    words = command(tmp_path)
    assert words[words.index("-smp") + 1] == "1"
    assert words[words.index("-cpu") + 1] == "Nehalem"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LAB_PORT_BASE", "80", "not a number from 1024"),
        ("LAB_PORT_BASE", "65500", "not a number from 1024"),
        ("LAB_PORT_BASE", "many", "not a number"),
        ("LAB_MEMORY", "1", "not a number from 1024"),
        ("LAB_ACCEL", "xen", "use tcg"),
        ("LAB_NAME", "../other", "small letters"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(tmp_path: Path, name: str, value: str, says: str) -> None:
    with pytest.raises(LabError, match=says):
        settings(tmp_path, **{name: value})


def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=f"port {port} is in use .*LAB_PORT_BASE=23000"):
            VirtualMachine(settings(tmp_path, LAB_PORT_BASE=str(port)))._refuse_taken_ports()


def test_the_control_socket_fits_a_unix_socket_path_wherever_the_clone_lies(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    connection = Connection(Settings.read(deep, {"XDG_RUNTIME_DIR": "/run/user/4294967294"}))
    # ssh appends a dot and sixteen characters while it makes the socket.
    assert len(str(connection.socket)) + 17 < 108


def test_a_state_that_is_linked_from_another_clone_is_the_same_lab(tmp_path: Path) -> None:
    here, copy = tmp_path / "here", tmp_path / "copy"
    (here / ".state" / "lab").mkdir(parents=True)
    (copy / ".state").mkdir(parents=True)
    (copy / ".state" / "lab").symlink_to(here / ".state" / "lab")
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    ours, linked = (Settings.read(root, environment) for root in (here, copy))
    assert (linked.state, linked.runtime) == (ours.state, ours.runtime)


def test_a_runtime_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    chosen.runtime.mkdir(mode=0o755)
    with pytest.raises(LabError, match="open to others"):
        Connection(chosen).command("z", ["true"], "tag")


def test_a_foreign_process_id_in_the_pid_file_is_not_ours(tmp_path: Path) -> None:
    machine = VirtualMachine(settings(tmp_path))
    machine.pid_file.parent.mkdir(parents=True)
    machine.pid_file.write_text("1\n")
    assert machine.pid() is None


def test_commands_on_a_lab_that_is_down_say_how_to_bring_it_up(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="python -m lab up"):
        Lab(tmp_path, quiet=True).exec("z", ["true"])


def test_a_node_without_sshd_has_no_port(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Node d has no sshd: use `python -m lab exec d"):
        Lab(tmp_path).port("d")


def test_down_of_a_lab_that_never_was_leaves_nothing(tmp_path: Path) -> None:
    Lab(tmp_path, quiet=True).down()
    assert not (tmp_path / ".state").exists()


def test_options_after_the_node_belong_to_the_command() -> None:
    assert parser().parse_args(["exec", "z", "--", "ls", "--help", "-l"]).argv[-3:] == ["ls", "--help", "-l"]


def test_a_bad_release_is_refused_with_the_choices() -> None:
    assert _releases(["a=bullseye", "c=trixie"]) == {"a": "bullseye", "c": "trixie"}
    with pytest.raises(LabError, match="bullseye, bookworm, trixie"):
        _releases(["a=sarge"])


def test_an_error_is_one_line_and_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LAB_ACCEL", "xen")
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "lab: LAB_ACCEL=xen is not known: use tcg (works everywhere) or kvm.\n"
