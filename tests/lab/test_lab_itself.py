"""The lab is what the other lab tests take it for: reachable, isolated, restartable."""

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import CommandFailedError, Lab, LabError
from lab.nodes import BRIDGES, BY_NAME, HOSTS, NODES, VM

CLONE = Path(__file__).resolve().parent.parent.parent


def reaches(lab: Lab, source: str, target: str, count: int = 1) -> bool:
    return lab.exec(source, ["ping", "-n", f"-c{count}", "-W2", target], check=False).returncode == 0


def ssh(lab: Lab, node: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [*lab.ssh_command(node), shlex.join(argv)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)


def runs_for(process: Path, state: str) -> bool:
    try:
        return state.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False  # it ended meanwhile


# ---- commands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [VM, "z", "r2", "e"])
def test_the_exit_status_is_the_commands(lab: Lab, node: str) -> None:
    assert lab.exec(node, ["sh", "-c", "exit 42"], check=False).returncode == 42


def test_a_failing_command_says_where_what_and_why(lab: Lab) -> None:
    with pytest.raises(CommandFailedError, match=r"On e, `ls /nowhere` ended with status 2: .*No such file") as caught:
        lab.exec("e", ["ls", "/nowhere"])
    assert caught.value.returncode == 2


def test_arguments_input_and_output_pass_unchanged(lab: Lab) -> None:
    odd = ["it's", 'a "b"', "$HOME `x` \\", "", "*", "two\nlines", "ü"]
    assert lab.exec("z", ["printf", "%s|", *odd]).stdout == "".join(f"{word}|" for word in odd)
    assert lab.exec("z", ["cat"], stdin="a\n\nb").stdout == "a\n\nb"


def test_a_command_sees_its_own_node(lab: Lab) -> None:
    for node in ("z", "e"):
        assert lab.exec(node, ["hostname"]).stdout == f"{node}\n"
        assert lab.exec(node, ["pwd"]).stdout == "/root\n"
    assert "203.0.113.10/24" in lab.exec("z", ["ip", "-br", "address"]).stdout
    assert "192.168.1.20/24" in lab.exec("e", ["ip", "-br", "address"]).stdout


@pytest.mark.matrix
def test_a_command_that_takes_too_long_is_ended_in_the_node_as_well(lab: Lab) -> None:
    long = f"3451.{secrets.randbelow(10**9)}"
    with pytest.raises(subprocess.TimeoutExpired):
        lab.exec("e", ["sleep", long], timeout=5)
    deadline = time.monotonic() + 60
    while lab.exec("e", ["pgrep", "-f", f"^sleep {long}$"], check=False).returncode == 0:
        assert time.monotonic() < deadline


def test_a_command_in_the_background_is_stopped_and_prints_its_summary(lab: Lab) -> None:
    with lab.popen("e", ["ping", "-n", "-i0.2", "203.0.113.10"]) as ping:
        assert ping.process.stdout is not None
        assert "203.0.113.10" in ping.process.stdout.readline()
        assert "bytes from" in ping.process.stdout.readline()
        done = ping.stop()
    assert done.returncode == 0
    assert "packets transmitted" in done.stdout


def test_files_are_written_and_read_with_their_mode(lab: Lab) -> None:
    lab.put("f", "/root/new/secret", "one\n", mode=0o600)
    assert lab.get("f", "/root/new/secret") == "one\n"
    assert lab.exec("f", ["stat", "-c%a", "/root/new/secret"]).stdout == "600\n"
    lab.exec("f", ["rm", "-r", "/root/new"])


def test_files_of_laptops_do_not_mix(lab: Lab) -> None:
    lab.put("e", "/etc/wireguard/only-e.conf", "x")
    try:
        assert lab.exec("f", ["ls", "/etc/wireguard/only-e.conf"], check=False).returncode == 2
    finally:
        lab.exec("e", ["rm", "/etc/wireguard/only-e.conf"])


def test_the_command_line_gives_the_commands_status_and_streams(lab: Lab) -> None:
    assert lab.running
    command = [sys.executable, "-m", "lab", "exec", "z", "--", "sh", "-c", "cat; echo err >&2; exit 9"]
    done = subprocess.run(command, cwd=CLONE, input="in", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, "in", "err\n")


def test_the_machines_clock_does_not_run_ahead_of_ours(lab: Lab) -> None:
    """Where it does, every timeout in the lab is too short, and machines are given up that only start slowly."""
    before = time.monotonic()
    lab.exec(VM, ["sleep", "2"])
    assert time.monotonic() - before > 1.8


# ---- the topology ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", ["a", "c", "d", "b", "e", "f"])
def test_everybody_behind_a_router_reaches_the_hubs_public_address(lab: Lab, node: str) -> None:
    assert reaches(lab, node, "203.0.113.10")


def test_a_gateway_reaches_the_devices_of_its_lan(lab: Lab) -> None:
    assert reaches(lab, "a", "192.168.201.50")
    assert reaches(lab, "c", "192.168.200.244")


@pytest.mark.parametrize(
    ("router", "lan", "inside"),
    [
        ("203.0.113.21", "192.168.201.0/24", "192.168.201.50"),
        ("203.0.113.22", "192.168.200.0/24", "192.168.200.244"),
        ("203.0.113.31", "192.168.1.0/24", "192.168.1.20"),
        ("203.0.113.32", "192.168.1.0/24", "192.168.1.21"),
    ],
)
def test_a_router_lets_nothing_new_in_even_from_somebody_who_has_a_route(lab: Lab, router: str, lan: str, inside: str) -> None:
    lab.exec("z", ["ip", "route", "add", lan, "via", router])
    try:
        assert not reaches(lab, "z", inside)
        assert not reaches(lab, "z", router)
    finally:
        lab.exec("z", ["ip", "route", "delete", lan, "via", router])


def test_developers_reach_no_office_by_themselves(lab: Lab) -> None:
    assert not reaches(lab, "e", "192.168.200.244")
    assert not reaches(lab, "f", "192.168.201.50")
    assert not reaches(lab, "e", "192.168.1.21")


@pytest.mark.matrix
def test_what_goes_out_of_a_lan_comes_from_its_routers_address(lab: Lab) -> None:
    with lab.popen("z", ["tcpdump", "-nlc1", "-ieth0", "icmp[icmptype] == icmp-echo"]) as capture:
        deadline = time.monotonic() + 60
        while capture.process.poll() is None and time.monotonic() < deadline:
            reaches(lab, "d", "203.0.113.10")
        assert " 203.0.113.22 > 203.0.113.10" in capture.stop().stdout


def test_hosts_do_not_meet_on_the_management_network(lab: Lab) -> None:
    assert not reaches(lab, "z", BY_NAME["a"].management_address)


# ---- isolation ------------------------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on this machine that would answer anybody who got out of the lab."""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        yield server.getsockname()[1]


def test_nothing_outside_the_virtual_machine_can_be_reached_from_it(lab: Lab, listener: int) -> None:
    with socket.create_connection(("127.0.0.1", listener), timeout=10):
        pass  # the listener would have answered
    # 10.0.2.2 is this machine's loopback address, as QEMU shows it to a guest that is not restricted.
    attempt = ["curl", "-sS", "--max-time", "5", f"http://10.0.2.2:{listener}/"]
    assert lab.exec(VM, attempt, check=False).returncode in (7, 28)
    assert lab.exec("z", attempt, check=False).returncode in (7, 28)


def test_the_virtual_machine_has_no_way_out_and_forwards_nothing(lab: Lab) -> None:
    assert "default" not in lab.exec(VM, ["ip", "route"]).stdout
    assert lab.exec(VM, ["cat", "/proc/sys/net/ipv4/ip_forward"]).stdout == "0\n"
    addresses = lab.exec(VM, ["ip", "-br", "-4", "address"]).stdout.splitlines()
    with_address = {line.split()[0] for line in addresses}
    assert with_address == {"lo", "mgmt"}


def test_forwarded_ports_listen_on_the_loopback_address_alone(lab: Lab) -> None:
    ports = {lab.port(VM), *(lab.port(node.name) for node in HOSTS)}
    listening = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    bound = {(address, int(port, 16)) for words in listening if words[3] == "0A" for address, _, port in [words[1].partition(":")]}
    assert {(address, port) for address, port in bound if port in ports} == {("0100007F", port) for port in ports}


# ---- login ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [node.name for node in HOSTS])
def test_each_host_is_reached_by_ssh_with_its_own_pinned_key(lab: Lab, node: str) -> None:
    done = ssh(lab, node, "hostname")
    assert (done.returncode, done.stdout) == (0, f"{node}\n")


def test_no_password_opens_a_host(lab: Lab) -> None:
    command = ["ssh", "-F/dev/null", "-oStrictHostKeyChecking=yes", f"-oUserKnownHostsFile={lab.known_hosts}", "-oIdentityAgent=none"]
    command += ["-oIdentityFile=/dev/null", "-oBatchMode=yes", f"-p{lab.port('z')}", "root@127.0.0.1", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


# ---- life -----------------------------------------------------------------------------------------------------------


def test_a_second_up_changes_nothing(lab: Lab) -> None:
    files = {
        path: path.stat().st_mtime_ns for path in lab.settings.state.rglob("*") if path.suffix in ("", ".pub", ".json", ".tar", ".pid")
    }
    before = lab.machine.pid(), lab.status()
    Lab(CLONE).up()
    assert (lab.machine.pid(), lab.status()) == before
    files.pop(lab.settings.state / "lock")
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_status_names_every_node(lab: Lab) -> None:
    assert [(state.name, state.state) for state in lab.status()] == [(node.name, "active") for node in NODES]


def test_up_with_another_shape_is_refused_while_the_lab_runs(lab: Lab) -> None:
    with pytest.raises(LabError, match="runs with other releases"):
        lab.up({"b": "trixie"})


def test_a_rebooted_host_keeps_its_files_forgets_its_running_state_and_answers_by_ssh(lab: Lab) -> None:
    lab.put("a", "/etc/kept-by-the-disk", "yes\n")
    lab.put("a", "/run/lost-with-the-power", "no\n")
    lab.exec("a", ["ip", "link", "add", "wg9", "type", "wireguard"])
    before = lab.leader("a")
    lab.reboot("a")
    assert lab.leader("a") not in (0, before)
    assert ssh(lab, "a", "cat", "/etc/kept-by-the-disk").stdout == "yes\n"
    assert lab.exec("a", ["ls", "/run/lost-with-the-power"], check=False).returncode == 2
    assert lab.exec("a", ["ip", "link", "show", "wg9"], check=False).returncode == 1
    assert reaches(lab, "a", "203.0.113.10")
    lab.exec("a", ["rm", "/etc/kept-by-the-disk"])


@pytest.mark.matrix
def test_a_killed_node_comes_back(lab: Lab) -> None:
    lab.crash("b")
    assert reaches(lab, "b", "203.0.113.10")


@pytest.mark.matrix
def test_a_node_starts_also_where_its_cable_is_still_there(lab: Lab) -> None:
    """A process elsewhere that keeps the network namespace of the node keeps its cable too, as a busy kernel does for a while."""
    holds = ". /run/lab/bin/leader.sh; leader b; exec nsenter --target $child --net sh -c 'echo holds; exec sleep 600'"
    for again in (lab.crash, lab.reset_node):
        with lab.popen(VM, ["sh", "-c", holds]) as holder:
            assert holder.process.stdout is not None
            assert holder.process.stdout.readline() == "holds\n"
            again("b")
            assert reaches(lab, "b", "203.0.113.10")


@pytest.mark.matrix
def test_a_node_that_cannot_start_says_why(lab: Lab) -> None:
    settings = lab.get(VM, "/run/lab/nodes/b")
    lab.put(VM, "/run/lab/nodes/b", settings.replace("RELEASE=", "RELEASE=no-such-"))
    try:
        with pytest.raises(CommandFailedError, match=r"what it said last:\n(.*\n)*mount: "):
            lab.reset_node("b")
    finally:
        lab.put(VM, "/run/lab/nodes/b", settings)
    lab.reset_node("b")
    assert reaches(lab, "b", "203.0.113.10")


@pytest.mark.matrix
def test_a_reset_node_is_as_it_was_at_first(lab: Lab) -> None:
    lab.put("b", "/etc/written", "x")
    lab.exec("b", ["rm", "/etc/hosts"])
    lab.reset_node("b")
    assert lab.exec("b", ["ls", "/etc/written"], check=False).returncode == 2
    assert "127.0.1.1 b" in lab.get("b", "/etc/hosts")


@pytest.mark.matrix
def test_a_laptop_in_the_office_has_an_address_of_the_lan_and_reaches_it_directly(lab: Lab) -> None:
    lab.move("f", "beijing")
    try:
        addresses = lab.exec("f", ["ip", "-br", "-4", "address", "show", "eth0"]).stdout
        assert " 192.168.200.1" in addresses
        assert "192.168.1.21" not in addresses
        assert "192.168.200.244 dev eth0" in lab.exec("f", ["ip", "route", "get", "192.168.200.244"]).stdout
        assert reaches(lab, "f", "192.168.200.244")
        assert reaches(lab, "f", "203.0.113.10")
        lab.reboot("f")
        assert reaches(lab, "f", "192.168.200.244"), "a laptop that restarts in the office is still there"
    finally:
        lab.move("f", "home")
    assert "192.168.1.21/24" in lab.exec("f", ["ip", "-br", "-4", "address", "show", "eth0"]).stdout
    assert reaches(lab, "f", "203.0.113.10")
    assert not reaches(lab, "f", "192.168.200.244")


def test_a_host_cannot_be_carried_away(lab: Lab) -> None:
    with pytest.raises(LabError, match="Cannot move z"):
        lab.move("z", "beijing")


def test_every_bridge_is_there(lab: Lab) -> None:
    assert set(BRIDGES) <= {line.split()[0] for line in lab.exec(VM, ["ip", "-br", "link", "show", "type", "bridge"]).stdout.splitlines()}


@pytest.mark.matrix
def test_a_machine_that_hangs_is_ended_by_down_and_comes_up_again(lab: Lab) -> None:
    """It is a power cut for the nodes: what was not written out is lost."""
    lab.exec("b", ["sh", "-c", "echo kept >/etc/written-out; sync; echo lost >/etc/not-written-out"])
    pid = lab.machine.pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    status = subprocess.run([sys.executable, "-m", "lab", "status"], cwd=CLONE, capture_output=True, text=True, check=False)
    assert (status.returncode, status.stderr) == (3, "")
    assert "it does not answer" in status.stdout
    down = subprocess.run([sys.executable, "-m", "lab", "down"], cwd=CLONE, capture_output=True, text=True, check=False)
    assert down.returncode == 0
    assert "Traceback" not in down.stderr
    assert not lab.running
    lab.up()
    assert lab.get("b", "/etc/written-out") == "kept\n"
    assert lab.exec("b", ["ls", "/etc/not-written-out"], check=False).returncode == 2


@pytest.mark.matrix
def test_down_leaves_no_process_port_or_socket_and_up_finds_what_the_nodes_wrote(lab: Lab) -> None:
    lab.put("b", "/etc/kept-over-down", "yes\n")
    state = f"{lab.settings.state}/"  # not those of another lab of this clone, .state/lab-NAME
    lab.down()
    assert not [path for path in Path("/proc").glob("[0-9]*") if runs_for(path, state)]
    assert not lab.settings.runtime.exists()
    assert state not in Path("/proc/mounts").read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", lab.port("z")), timeout=5)
    lab.up()
    assert lab.get("b", "/etc/kept-over-down") == "yes\n"
    assert ssh(lab, "z", "true").returncode == 0, "the pinned host key is still the right one"
    lab.exec("b", ["rm", "-f", "/etc/kept-over-down", "/etc/written-out"])
