"""The rows of the fault table that are about Pulumi: the program of this clone, the real engine, and an `up` that does not end well.

The change is developer g, who touches z and c; e, whom it does not concern, pings d meanwhile. After each fault the hosts hold the old
state or the new one, the operator is told what is known, and the next `up` settles it.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from deployment import ENVIRONMENT, HOSTS, D, Deployment, do_by_hand, fresh, job_stack
from pings import lost, pinging

from lab import Lab

G = "10.70.0.6"
ROLLBACK_AFTER = 300
"""Shorter than in the usual deployment: a part of it is waited for where a host says nothing."""

FILE = ENVIRONMENT.replace("rollback_after: 600", f"rollback_after: {ROLLBACK_AFTER}")


@pytest.fixture(scope="module")
def job(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A deployment without g, and e connected."""
    stack, environment_file = job_stack(tmp_path_factory.mktemp("job"), lab)
    fresh(lab)
    job = Deployment(lab, stack, environment_file)
    job.write(FILE)
    job.up()
    do_by_hand(job)
    job.connect("e")
    assert job.comes_to_reach("e", D)
    return job


@pytest.fixture
def undisturbed(job: Deployment) -> Iterator[None]:
    """e's ping of d goes on during the row and loses nothing."""
    with pinging(job.lab, "e", D) as answered:
        yield
    assert lost(answered) == []


def await_on(job: Deployment, node: str, script: str, seconds: float = 300) -> None:
    """Poll until a command on a node succeeds."""
    end = time.monotonic() + seconds
    while job.lab.exec(node, ["sh", "-c", script], check=False).returncode:
        assert time.monotonic() < end, f"{node}: waited {seconds:.0f} s for: {script}"
        time.sleep(0.5)


def has_g(job: Deployment, node: str = "z") -> dict[str, bool]:
    """Whether g is in each of the places where a state shows: what runs, what is loaded, what stands in the files."""
    look = {
        "wireguard": "wg show wg0 allowed-ips",
        "firewall": "nft list table inet wg_office",
        "files": "cat /run/systemd/network/50-wg0.netdev /etc/wg-office/current/files/nftables.nft",
    }
    return {what: G in job.lab.exec(node, ["sh", "-c", command]).stdout for what, command in look.items()}


def assert_settled(job: Deployment, *, with_g: bool) -> None:
    """The next `up`, with this file, brings z there, and the one after it has nothing to do."""
    job.write(FILE, with_g=with_g)
    job.up()
    assert set(has_g(job).values()) == {with_g}
    job.stack.pulumi("preview", "--expect-no-changes")


def start(job: Deployment) -> "subprocess.Popen[str]":
    return job.stack.start("up", "--yes", "--skip-preview")


def end(process: "subprocess.Popen[str]") -> str:
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0, said
    return said


PENDING = "ls /run/wg-office/pending"


@contextmanager
def without_sshd(job: Deployment, node: str) -> Iterator[None]:
    job.lab.exec(node, ["systemctl", "stop", "ssh.socket", "ssh.service"], check=False)
    try:
        yield
    finally:
        job.lab.exec(node, ["systemctl", "start", "ssh.service"])
        job.lab.wait(node)


@pytest.mark.usefixtures("undisturbed")
def test_an_unreachable_gateway_does_not_keep_the_hub_from_its_change(job: Deployment) -> None:
    job.write(FILE, with_g=True)
    with without_sshd(job, "c"):
        said = job.stack.up(fails=True)
    assert f"c: root@127.0.0.1:{job.lab.port('c')} " in said
    assert "c was not reached, and holds the state it had. The next `pulumi up` settles it" in said
    assert set(has_g(job, "z").values()) == {True}
    assert G not in job.lab.exec("c", ["nft", "list", "table", "inet", "wg_office"]).stdout
    assert_settled(job, with_g=True)
    assert G in job.lab.exec("c", ["nft", "list", "table", "inet", "wg_office"]).stdout


@pytest.mark.usefixtures("undisturbed")
def test_a_lost_acknowledgement_is_settled_also_when_the_file_is_reverted(job: Deployment) -> None:
    assert_settled(job, with_g=False)
    job.write(FILE, with_g=True)
    # The moment it is committed on z, z's sshd is gone, and its sessions with it.
    was = job.lab.exec("z", ["readlink", "/etc/wg-office/current"]).stdout.strip()
    waits = f"until [ $(readlink /etc/wg-office/current) != {was} ]; do sleep 0.2; done"
    deaf = f"{waits}; systemctl stop ssh.socket ssh.service; pkill -KILL sshd"
    try:
        with job.lab.popen("z", ["sh", "-c", deaf]):
            said = job.stack.up(fails=True)
    finally:
        job.lab.exec("z", ["systemctl", "start", "ssh.service"])
        job.lab.wait("z")
    assert re.search(
        r"z holds the state it had or the new one, whole.* The next `pulumi up` settles it, whatever the environment file says", said
    )
    await_on(job, "z", "! ls /run/wg-office/armed")
    assert set(has_g(job).values()) == {True}, "z had made it last"
    job.write(FILE, with_g=False)
    preview = job.stack.preview()
    assert "z-state" in preview
    assert "~ update (hidden)" in preview, "what is run differs by its attempt alone"
    assert_settled(job, with_g=False)


MOMENTS = {
    "its keys have arrived": 'test -n "$(find /etc/wg-office/keys -type f -newer /run/before)"',
    "it is armed": "ls /run/wg-office/armed",
    "it is applied": PENDING,
    "it is committed": "test /etc/wg-office/current/description -nt /run/before",
}
TELLING = ("it is applied",)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("moment", [pytest.param(name, marks=() if name in TELLING else pytest.mark.matrix) for name in MOMENTS])
def test_an_up_that_is_killed_is_settled_by_the_next(job: Deployment, moment: str) -> None:
    with_g = not has_g(job)["files"]
    job.write(FILE, with_g=with_g)
    job.lab.exec("z", ["touch", "/run/before"])
    process = start(job)
    await_on(job, "z", MOMENTS[moment])
    if moment == "it is applied":
        assert "locked" in job.stack.up(fails=True), "a second operator with the same state is turned away"
    process.kill()
    process.communicate(timeout=60)
    job.stack.pulumi("cancel", "--yes")
    assert_settled(job, with_g=with_g)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.matrix)])
def test_an_interrupted_up_is_taken_back_or_settled_by_the_next(job: Deployment, times: int) -> None:
    with_g = not has_g(job)["files"]
    job.write(FILE, with_g=with_g)
    process = start(job)
    await_on(job, "z", "ls /run/wg-office/armed")
    for _ in range(times):
        os.kill(process.pid, signal.SIGINT)
        time.sleep(1)
    said = end(process)
    assert "Traceback" not in said
    assert_settled(job, with_g=with_g)


STALLED = """table inet stalled {
  chain from { type filter hook input priority -300; tcp dport 22 drop; }
  chain to { type filter hook output priority -300; tcp sport 22 drop; }
}"""


@contextmanager
def without_a_packet_of_ssh(job: Deployment, node: str, since: str) -> Iterator[None]:
    """From the moment that a command on the node succeeds."""
    drop = f"until {since}; do sleep 0.1; done; echo '{STALLED}' | nft -f -"
    try:
        with job.lab.popen(node, ["sh", "-c", drop]):
            yield
    finally:
        job.lab.exec(node, ["nft", "delete", "table", "inet", "stalled"])
        job.lab.wait(node)


@pytest.mark.matrix
@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("moment", ["it is armed", "it is applied"])
def test_an_up_whose_session_stalls_ends_by_itself_and_says_what_is_known(job: Deployment, moment: str) -> None:
    with_g = not has_g(job)["files"]
    job.write(FILE, with_g=with_g)
    with without_a_packet_of_ssh(job, "z", MOMENTS[moment]):
        process = start(job)
        said, _ = process.communicate(timeout=ROLLBACK_AFTER + 60)
    assert process.returncode != 0, said
    assert re.search(r"z (holds the state it had or the new one, whole|has applied a change that nobody confirms)", said)
    assert "The next `pulumi up` settles it" in said
    assert_settled(job, with_g=with_g)


def test_every_host_is_as_it_was_after_destroy(job: Deployment) -> None:
    job.stack.destroy()
    for node in HOSTS:
        assert job.lab.exec(node, ["ls", "/etc/wg-office"], check=False).returncode == 2
