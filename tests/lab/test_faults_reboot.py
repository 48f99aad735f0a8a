"""The rows of the fault table in which a host, or all of them, start again: what they hold then, and that the next `up` settles it.

`make test` does two steps, on two of the three releases that the lab then runs; `make test-matrix` runs all steps, on each
release.
"""

import pytest
from faultlab import BY_NAME, HANG, REBOOT, STEPS, Bench, D, Machine, Step, row

HOSTS = ("z", "a", "c")
TELLING = ("linked", "renamed")
"""What a start finds: a change half-way to the disk, and the new state."""


def assert_comes_to_hold(machine: Machine, state: str) -> None:
    """After a start networkd takes a moment."""
    machine.await_shell("networkctl --no-legend list wg0 | grep -q configured")
    machine.assert_holds(state)


def named(value: object) -> str:
    return value.name if isinstance(value, Step) else str(value)


@pytest.mark.parametrize(
    ("host", "step"), [row(HOSTS[n % 3], step, telling=step.name in TELLING) for n, step in enumerate(STEPS)], ids=named
)
def test_a_host_reboots(table: Bench, host: str, step: Step) -> None:
    machine, wanted = table.machines[host], table.machines[host].other
    before = table.lab.leader(host)
    process = machine.start_to_meet(step, REBOOT)
    table.lab.wait(host, other_than=before)
    process.kill()
    process.wait()
    assert_comes_to_hold(machine, wanted if step.holds == "new" else machine.state)
    machine.assert_settles(wanted)


def test_rules_that_do_not_load_at_boot_leave_nothing_open(table: Bench) -> None:
    machine = table.machines["c"]
    table.await_e()
    machine.shell("echo nonsense >/etc/wg-office/current/files/nftables.nft")
    table.lab.reboot("c")
    machine.await_shell("systemctl is-active -q systemd-networkd && systemctl is-failed -q wg-office")
    assert not reaches_d(table)
    assert machine.shell("ls /sys/class/net/wg0 2>/dev/null; true") == ""
    machine.assert_settles(machine.state)
    table.await_e()


def reaches_d(table: Bench) -> bool:
    return table.lab.exec("e", ["ping", "-n", "-c5", "-W3", D], check=False).returncode == 0


def test_a_power_cut_during_the_commit_leaves_old_or_new(table: Bench) -> None:
    """z had all on disk, a had renamed and not yet said so to the disk, c had not renamed yet."""
    steps = {"z": BY_NAME["for-good"], "a": BY_NAME["renamed"], "c": BY_NAME["on-disk"]}
    was = {name: table.machines[name].state for name in steps}
    wanted = {name: table.machines[name].other for name in steps}
    hanging = [table.machines[name].start_and_stop_at(step, HANG) for name, step in steps.items()]
    table.lab.cut()
    for process in hanging:
        process.kill()
        process.wait()
    table.lab.up()
    assert_comes_to_hold(table.machines["z"], wanted["z"])
    assert_comes_to_hold(table.machines["c"], was["c"])
    a = table.machines["a"]
    renamed = a.shell("readlink /etc/wg-office/current") not in ("", a.generation)
    assert_comes_to_hold(a, wanted["a"] if renamed else was["a"])
    for name, machine in table.machines.items():
        machine.assert_settles(wanted[name])
