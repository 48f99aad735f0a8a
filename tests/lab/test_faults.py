"""The fault table, as far as it needs no Pulumi: what a host holds after each fault, and that the next `up` settles it.

Each row changes a host to its other state (peers, addresses, mtu, routes, settings, rules, links), and meets a fault on the way. Meanwhile
developer e, whom the change does not concern, pings d through z and c, and no packet may be lost. `make test` does so at the telling
steps, most on z, some on a and c, which the lab runs with other releases; `make test-matrix` runs all rows, on each release.
"""

import time
from collections.abc import Iterator, Sequence

import pytest
from _pytest.mark import ParameterSet
from faultlab import (
    BY_NAME,
    HANG,
    KILL_PROCESS,
    KILL_SESSION,
    LOST,
    STALL_SESSION,
    STEPS,
    TELLING,
    Bench,
    D,
    Machine,
    Step,
    row,
    stopped_at,
)
from pings import lost, pinging

from lab import Lab
from lab.nodes import VM
from wg_office.hosts import hostscript
from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED as UNCONFIRMED
from wg_office.hosts.hostscript import BUSY, REJECTED, ROLLED_BACK


@pytest.fixture
def undisturbed(table: Bench) -> Iterator[None]:
    """e's ping of d goes on during the row and loses nothing."""
    table.await_e()
    with pinging(table.lab, "e", D) as answered:
        yield
    assert lost(answered) == []


def rows(*telling: str, besides: Sequence[str]) -> list[ParameterSet]:
    """Every step on z, of which `telling` are run each time; and on a and c some `besides`."""
    on_others = [row(host, BY_NAME[name], telling=False) for host in ("a", "c") for name in besides]
    return [row("z", step, telling=step.name in telling) for step in STEPS] + on_others


def named(value: object) -> str:
    return value.name if isinstance(value, Step) else str(value)


def assert_old_or_new(machine: Machine, step: Step, why: object) -> None:
    """What the step says, wholly; and the next `up` brings what is wanted."""
    wanted = machine.other
    machine.assert_holds(wanted if step.holds == "new" else machine.state, why)
    machine.assert_settles(wanted)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(("host", "step"), rows(*TELLING, besides=("tunnel", "pending", "renamed")), ids=named)
def test_the_process_is_killed(table: Bench, host: str, step: Step) -> None:
    machine = table.machines[host]
    runs = machine.strike(step, KILL_PROCESS)
    assert runs[-1].status in (137, REJECTED)
    assert runs[-1].status == 137 or "the host holds its old state" in runs[-1].said
    machine.let_the_timer_end()
    assert_old_or_new(machine, step, runs)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(("host", "step"), rows("renamed", besides=("tunnel", "linked")), ids=named)
def test_the_session_is_killed(table: Bench, host: str, step: Step) -> None:
    """The change goes on without its session; that nobody hears of it, the host cannot know."""
    machine = table.machines[host]
    runs = machine.strike(step, KILL_SESSION)
    assert runs[-1].status == LOST
    machine.await_idle()
    confirmed = len(runs) == 2
    machine.let_the_timer_end()
    machine.assert_holds(machine.other if confirmed else machine.state, runs)
    machine.assert_settles(machine.other)


# ---- what hangs -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize(("host", "step"), [row("z", BY_NAME[name], telling=name == "linked") for name in ("tunnel", "linked")], ids=named)
def test_the_timer_ends_a_run_that_hangs(table: Bench, host: str, step: Step) -> None:
    machine = table.machines[host]
    process = machine.start_and_stop_at(step, HANG)
    machine.let_the_timer_end()
    said = process.communicate(timeout=120)
    assert_old_or_new(machine, step, said)


@pytest.mark.usefixtures("undisturbed")
def test_a_session_that_stalls_is_not_waited_for(table: Bench) -> None:
    machine = table.machines["z"]
    process = machine.start_and_stop_at(BY_NAME["pending"], STALL_SESSION)
    machine.await_idle()
    assert process.poll() is None, "the operator's side waits"
    machine.let_the_timer_end()
    machine.assert_holds(machine.state)
    machine.shell("kill -KILL $(cat /run/fault-session)")
    assert process.wait(60) == LOST
    machine.assert_settles(machine.other)


# ---- disks ----------------------------------------------------------------------------------------------------------

FULL = """
set -e
mkdir -p /mnt/small
mount -t tmpfs -o size=2m,mode=755 small /mnt/small
cp -a /etc/wg-office/. /mnt/small/
mount --bind /mnt/small /etc/wg-office
"""
FILL = "head -c 3m /dev/zero >/etc/wg-office/filler 2>/dev/null || true"
READ_ONLY = "mount --bind /etc /etc; mount -o remount,ro,bind /etc"
WRITABLE = "umount /etc"


@pytest.fixture
def small_disk(table: Bench) -> Iterator[Machine]:
    """c, whose /etc/wg-office is a disk that can be filled."""
    machine = table.machines["c"]
    machine.shell(FULL)
    yield machine
    machine.shell("rm -f /etc/wg-office/filler; umount /etc/wg-office; cp -a /mnt/small/. /etc/wg-office/; umount /mnt/small")


@pytest.mark.usefixtures("undisturbed")
def test_a_full_disk_changes_nothing(small_disk: Machine) -> None:
    machine = small_disk
    machine.shell(FILL)
    [run] = machine.up(machine.description(machine.other))
    assert run.status == REJECTED
    assert "No space left on device" in run.said
    assert "before anything was changed" in run.said
    machine.assert_holds(machine.state)
    machine.shell("rm /etc/wg-office/filler")
    machine.assert_settles(machine.other)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("step", [*(pytest.param(name, marks=pytest.mark.matrix) for name in ("armed", "pending")), "linked"])
def test_a_disk_that_fills_up_meanwhile_leaves_old_or_new(small_disk: Machine, step: str) -> None:
    machine = small_disk
    wanted = machine.other
    runs = machine.strike(BY_NAME[step], FILL)
    assert runs[-1].status in (0, REJECTED), runs
    machine.assert_holds(wanted if runs[-1].status == 0 else machine.state, runs)
    machine.shell("rm /etc/wg-office/filler")
    machine.assert_settles(wanted)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("step", [pytest.param("staged", marks=pytest.mark.matrix), "pending"])
def test_a_read_only_etc_leaves_the_old_state(table: Bench, step: str) -> None:
    machine = table.machines["c"]
    try:
        runs = machine.strike(BY_NAME[step], READ_ONLY)
        assert runs[-1].status == REJECTED
        assert "Read-only file system" in runs[-1].said
        machine.assert_holds(machine.state, runs)
    finally:
        machine.shell(WRITABLE)
    machine.assert_settles(machine.other)


# ---- a change that cuts SSH off -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("host", [pytest.param("z", marks=pytest.mark.matrix), "a"])
def test_a_change_that_cuts_ssh_off_is_taken_back(table: Bench, host: str) -> None:
    machine = table.machines[host]
    jump = 'iifname "wg0" jump to-host\n'
    description = machine.description(machine.other)
    assert description.count(jump) == 1
    process = machine.start(description.replace(jump, f"tcp dport 22 drop\n\t\t{jump}"))
    machine.await_shell("ls /run/wg-office/pending")
    assert machine.run("true", "", seconds=10).status == LOST, "nobody can log in"
    machine.let_the_timer_end()
    machine.assert_holds(machine.state)
    assert process.wait(120) == UNCONFIRMED, "what the host had to say arrives after the roll-back"
    machine.assert_settles(machine.other)


# ---- two at once ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undisturbed")
def test_a_roll_back_that_comes_during_the_confirmation_finds_it_done(table: Bench) -> None:
    machine = table.machines["z"]
    wanted = machine.other
    process = machine.start_and_stop_at(BY_NAME["linked"], "sleep 5")
    machine.let_the_timer_end()
    assert process.wait(120) == 0
    machine.assert_holds(wanted)
    machine.assert_settles(wanted)


@pytest.mark.usefixtures("undisturbed")
def test_a_confirmation_that_comes_during_the_roll_back_is_told_so(table: Bench) -> None:
    machine = table.machines["z"]
    description = stopped_at(Step("going back", "go_back", before=True), "sleep 5", machine.description(machine.other))
    assert machine.apply(description, fault=True).status == UNCONFIRMED
    with machine.lab.popen(machine.name, ["sh", "-c", "systemctl start $(cut -d' ' -f2 /run/wg-office/armed).service"]):
        machine.await_shell("ls /run/fault-struck")
        late = machine.apply(description)
    assert late.status == ROLLED_BACK
    assert "this change was undone" in late.said
    machine.assert_holds(machine.state)
    machine.assert_settles(machine.other)


@pytest.mark.usefixtures("undisturbed")
def test_a_second_operator_waits_and_is_told(table: Bench) -> None:
    machine = table.machines["z"]
    wanted = machine.other
    first = machine.start_and_stop_at(BY_NAME["checked"], "sleep 5")
    second = machine.apply(machine.description(machine.state))
    assert second.status == BUSY
    assert "awaits its confirmation" in second.said
    assert first.wait(120) == UNCONFIRMED
    machine.let_the_timer_end()
    machine.assert_settles(wanted)


# ---- what others do meanwhile ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [pytest.param("z", marks=pytest.mark.matrix), "a", pytest.param("c", marks=pytest.mark.matrix)])
def test_networkd_is_restarted_before_the_confirmation(table: Bench, host: str) -> None:
    """That restart drops every session by itself; the change is applied again where it took something back, and then confirmed."""
    machine = table.machines[host]
    wanted = machine.other
    assert machine.apply(machine.description(wanted)).status == UNCONFIRMED
    machine.shell("systemctl restart systemd-networkd")
    machine.become(wanted)
    machine.assert_holds(wanted)
    assert machine.left == ""


@pytest.mark.usefixtures("undisturbed")
def test_a_tunnel_that_was_edited_by_hand_is_put_right(table: Bench) -> None:
    machine = table.machines["z"]
    f = machine.names["f"].public_key
    machine.shell(
        f"wg set wg0 peer {f} remove; ip address add 10.98.0.1/24 dev wg0; ip link set wg0 mtu 1290; ip route del 192.168.201.0/24"
    )
    assert machine.look() != machine.looks[machine.state]
    machine.assert_settles(machine.state)


@pytest.mark.usefixtures("undisturbed")
def test_a_repair_that_is_killed_never_leaves_a_host_without_its_files(table: Bench) -> None:
    machine = table.machines["z"]
    machine.shell("ip link set wg0 mtu 1290; echo '# by hand' >>/etc/wg-office/current/files/run/systemd/network/50-wg0.network")
    generation = machine.shell("readlink -f /etc/wg-office/current")
    again = machine.shell("cat /etc/wg-office/current/description")
    machine.run("cat >/run/again && echo 'mv() { kill -KILL $$; }' >/run/mv", again + "\n")
    killed = machine.shell(f"BASH_ENV=/run/mv bash {generation}/wg-office apply /run/again; echo $?")
    assert killed == "137"
    assert machine.shell("ls /run/systemd/network/50-wg0.network && cat /run/systemd/network/50-wg0.netdev | grep -c PrivateKeyFile")
    machine.assert_settles(machine.state)


@pytest.mark.usefixtures("undisturbed")
def test_a_preshared_key_that_is_missing_takes_no_peer_away(table: Bench) -> None:
    machine = table.machines["z"]
    lost = f"/etc/wg-office/keys/{machine.names['a'].preshared_name}"
    description = machine.description(machine.other)
    machine.shell(f"cp -a /etc/wg-office/keys /run/kept; cp -a /root/keys/. /etc/wg-office/keys/; rm {lost}")
    run = machine.run(hostscript.apply_command("root"), description)
    machine.shell("cp -a /run/kept/. /etc/wg-office/keys/; rm -r /run/kept")
    assert run.status == REJECTED
    assert f"key file {lost} is missing; nothing was changed" in run.said
    machine.assert_holds(machine.state)


# ---- peers beside those who are changed ------------------------------------------------------------------------------

COMES_AND_GOES = r"""
everybody=$(config_of wg0)
without=$(awk -v key="$1" '$0 == "[Peer]" { show() } { block = block $0 "\n" } END { show() }
  function show() { if (!index(block, key)) printf "%s", block; block = "" }' <<<"$everybody")
for time in {1..150}; do
  for config in "$without" "$everybody"; do printf '%s\n' "$config" | put_peers wg0; done
done
"""


@pytest.mark.matrix
def test_a_peer_that_comes_and_goes_300_times_costs_the_others_no_packet(table: Bench, lab: Lab) -> None:
    """Of 500 a second. `wg syncconf` loses one in about 300 runs: it writes each peer anew, for a moment without its addresses."""
    machine = table.machines["z"]
    table.await_e()
    text, _, nothing = hostscript.scripts().host.rpartition('main "$@"; exec true\n')
    assert not nothing
    with lab.popen("e", ["sh", "-c", f"exec ping -n -i0.002 {D} >/root/pings 2>&1"]) as pings:
        done = machine.run(f"bash -s {machine.names['f'].public_key}", text + COMES_AND_GOES)
        pings.stop()
    said = lab.get("e", "/root/pings")
    assert done.status == 0, done
    assert said.count("ttl=") > 1000
    assert [line for line in said.splitlines() if "ttl=" not in line and "icmp_seq" in line] == []
    machine.assert_holds(machine.state)


# ---- the first installation -----------------------------------------------------------------------------------------

FIRST = {("c", "linked")}


@pytest.mark.parametrize(
    ("host", "step"),
    [row(host, BY_NAME[name], telling=(host, name) in FIRST) for host in ("a", "c") for name in ("routes", "linked")],
    ids=named,
)
def test_a_first_installation_that_is_killed_leaves_nothing(table: Bench, host: str, step: Step) -> None:
    machine = table.machines[host]
    removed = machine.run(hostscript.remove_command("root"), machine.description(machine.state))
    assert removed.status == 0, removed
    machine.looks["nothing"] = machine.look()
    assert "/etc/wg-office" not in machine.looks["nothing"]
    machine.shell("mkdir -p /etc/wg-office; cp -a /root/keys /etc/wg-office/")
    runs = machine.strike(step, KILL_PROCESS)
    machine.let_the_timer_end()
    machine.assert_holds("nothing", runs)
    machine.assert_settles(machine.other)


# ---- the clock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_years_back(lab: Lab) -> Iterator[None]:
    """All nodes have the virtual machine's clock."""
    ahead = float(lab.exec(VM, ["date", "+%s"]).stdout) - time.time()
    lab.exec(VM, ["date", "-s", f"@{time.time() + ahead - 2 * 365 * 86400:.0f}"])
    yield
    lab.exec(VM, ["date", "-s", f"@{time.time() + ahead:.0f}"])


@pytest.mark.usefixtures("two_years_back")
def test_with_a_wrong_clock_a_change_is_confirmed_or_taken_back_in_time(table: Bench, lab: Lab) -> None:
    machine = table.machines["c"]
    assert machine.apply(machine.description(machine.other, rollback_after=60)).status == UNCONFIRMED
    lab.exec(VM, ["date", "-s", "+1 day"])
    assert machine.shell("ls /run/wg-office/pending"), "the timer counts seconds, not dates"
    machine.await_shell("! ls /run/wg-office/armed")
    machine.assert_holds(machine.state)
    assert "rolled back" in machine.shell("journalctl -t wg-office -n 1 -o cat")
    machine.assert_settles(machine.other)
