"""The main job, by the real engine on real systemd hosts: from an environment file to a developer's ping, and back to nothing.

One deployment is taken through its life, in the order of this file; each fixture is one change of it.
"""

import difflib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from deployment import (
    HOSTS,
    LAPTOPS,
    TUNNEL_HOSTS,
    VPN,
    B,
    D,
    Deployment,
    E,
    F,
    do_by_hand,
    found_in,
    fresh,
    job_stack,
    looks,
    watching,
)
from pings import lost, pinging

from lab import Lab
from lab.nodes import VM

PLANTED = "planted-4f1c9d70a2"


@pytest.fixture(scope="module")
def job(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The first `up` on fresh machines, watched; what a person does at Beijing's router; e and f connected."""
    fresh(lab)
    before = looks(lab)
    stack, environment_file = job_stack(tmp_path_factory.mktemp("job"), lab)
    job = Deployment(lab, stack, environment_file, before)
    job.write()
    with planted_processes(lab), watching(lab) as seen:
        job.up_said = job.up()
    job.seen = seen
    do_by_hand(job)
    for laptop in LAPTOPS:
        job.connect(laptop)
    return job


@contextmanager
def planted_processes(lab: Lab) -> Iterator[None]:
    """A process here and one on each host with a known text in its arguments: the search must find these."""
    with subprocess.Popen([sys.executable, "-c", "input()", PLANTED], stdin=subprocess.PIPE) as ours, ExitStack() as on_hosts:
        for name in HOSTS:
            on_hosts.enter_context(lab.popen(name, ["sh", "-c", "sleep 3601; true", f"{PLANTED}-{name}"]))
        yield
        ours.communicate(b"\n")


# ---- the first up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("laptop", "address"), [("e", D), ("f", D), ("e", B), ("e", F), ("f", E)])
def test_a_developer_reaches_what_the_file_grants(job: Deployment, laptop: str, address: str) -> None:
    assert job.comes_to_reach(laptop, address, seconds=60)


@pytest.mark.parametrize(("laptop", "address"), [("e", D), ("f", D), ("e", F)])
def test_the_first_hop_is_the_hub(job: Deployment, laptop: str, address: str) -> None:
    said = job.lab.exec(laptop, ["ping", "-n", "-c3", "-W3", "-t1", address], check=False).stdout
    assert re.search(r"From 10\.70\.0\.1 .*Time to live exceeded", said), said


def test_f_does_not_reach_b_even_with_routes_of_its_own(job: Deployment) -> None:
    assert not job.reaches("f", B)
    hub = job.public_key("z")
    try:
        job.lab.exec("f", ["wg", "set", "f", "peer", hub, "allowed-ips", f"{VPN},192.168.200.0/24,192.168.201.0/24"])
        job.lab.exec("f", ["ip", "route", "replace", "192.168.201.0/24", "dev", "f"])
        assert job.reaches("f", D)
        assert not job.reaches("f", B)
    finally:
        job.lab.exec("f", ["wg-quick", "down", "f"])
        job.connect("f")


def test_the_program_set_the_route_of_shenzhens_router(job: Deployment) -> None:
    assert "via 192.168.201.247" in job.lab.exec("r1", ["ip", "route", "show", "exact", VPN]).stdout


def test_beijings_router_is_the_only_one_left_to_a_person(job: Deployment) -> None:
    instruction, command = job.outputs["by_hand"]
    assert "192.168.200.1" in instruction
    assert command == f"ip route replace {VPN} via 192.168.200.248"


# ---- nothing to do --------------------------------------------------------------------------------------------------


def test_a_second_up_dials_nobody(job: Deployment) -> None:
    with no_sshd(job.lab):
        said = job.up()
        job.stack.pulumi("preview", "--expect-no-changes")
    assert re.search(r"\d+ unchanged", said)
    assert not re.search(r"\d+ (created|updated|deleted|replaced|to )", said), said


@contextmanager
def no_sshd(lab: Lab) -> Iterator[None]:
    """No host answers a login; whoever dials fails."""
    try:
        for name in HOSTS:
            lab.exec(name, ["systemctl", "stop", "ssh.socket", "ssh.service"], check=False)
            assert not greets(lab.port(name)), f"{name}'s sshd still answers"
        yield
    finally:
        for name in HOSTS:
            lab.exec(name, ["systemctl", "start", "ssh.service"])
            lab.wait(name)


def greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


# ---- developer g comes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """What a change showed beforehand, what it said, and the sequence numbers of e's pings that were answered meanwhile."""

    preview: str
    said: str
    answered: list[int]


def changed(job: Deployment, *, with_g: bool, through_the_hub: bool = False) -> Change:
    """Preview and carry out a change of the file while e pings d five times a second."""
    job.write(with_g=with_g, through_the_hub=through_the_hub)
    preview = job.stack.preview()
    with pinging(job.lab, "e", D) as answered:
        said = job.up()
    return Change(preview, said, answered)


@pytest.fixture(scope="module")
def g_added(job: Deployment) -> Change:
    assert job.comes_to_reach("e", D)
    return changed(job, with_g=True)


def changed_lines(preview: str) -> list[str]:
    return [line for line in preview.splitlines() if re.match(r"\s*[-+~]", line)]


def test_the_preview_shows_gs_peer_lines_and_no_other_peers(job: Deployment, g_added: Change) -> None:
    lines = changed_lines(g_added.preview)
    assert any("AllowedIPs=10.70.0.6/32" in line for line in lines)
    others = [line for line in lines for key in map(job.public_key, "zacef") if key in line]
    assert others == []
    assert not [line for line in lines if re.search(r"AllowedIPs=(?!10\.70\.0\.6/32)", line)]


def test_the_preview_changes_g_the_hub_and_the_gateway_g_may_pass(g_added: Change) -> None:
    touched = set(re.findall(r"urn:pulumi:job::wg-office::\S*?command:remote:Command::(\S+?)\]", g_added.preview))
    assert touched == {"z-keys", "z-state", "c-state"}


def test_adding_g_loses_no_packet_of_es_ping(g_added: Change) -> None:
    assert len(g_added.answered) > 20
    assert lost(g_added.answered) == []


@pytest.fixture(scope="module")
def g_connected(job: Deployment, g_added: Change) -> Iterator[str]:
    """On f's laptop, in place of f, g's file. (Its text, for later.)"""
    conf = job.conf("g")
    job.lab.exec("f", ["wg-quick", "down", "f"])
    job.lab.put("f", "/etc/wireguard/g.conf", conf, mode=0o600)
    job.lab.exec("f", ["wg-quick", "up", "g"])
    yield conf
    job.lab.exec("f", ["sh", "-c", "wg-quick down g; rm /etc/wireguard/g.conf"])
    job.connect("f")


def test_g_reaches_d_and_not_e(job: Deployment, g_connected: str) -> None:
    assert job.comes_to_reach("f", D, seconds=60)
    assert not job.reaches("f", E)


# ---- nobody sees a key ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(job: Deployment, g_added: Change) -> dict[str, str]:
    """All that nobody may see, by a name for messages."""
    secrets = job.secrets()
    assert {name.partition(":")[0] for name in secrets} >= {*TUNNEL_HOSTS, "e", "f", "g", "the operator's key"}
    return secrets


def test_no_key_shows_in_the_state_the_previews_or_what_pulumi_says(job: Deployment, g_added: Change, secrets: dict[str, str]) -> None:
    for text in (job.up_said, g_added.preview, g_added.said, job.stack.preview(), job.stack.state()):
        assert found_in(text, secrets) == []


def test_no_key_shows_in_the_process_lists_of_either_end(job: Deployment, secrets: dict[str, str]) -> None:
    here_text = "\n".join(job.seen.here)
    assert found_in(here_text, secrets) == []
    assert found_in(job.seen.there, secrets) == []
    assert PLANTED in here_text
    assert [name for name in HOSTS if f"{PLANTED}-{name}" not in job.seen.there] == []


def test_no_key_shows_in_the_journal_or_in_pulumis_logs(job: Deployment, secrets: dict[str, str]) -> None:
    for name in HOSTS:
        assert found_in(job.lab.exec(name, ["journalctl", "--no-pager", "-o", "cat"]).stdout, secrets) == []
    for path in (job.stack.folder / "home").rglob("*"):
        if path.is_file() and not path.is_relative_to(job.stack.folder / "home" / "plugins"):
            assert found_in(path.read_text(errors="replace"), secrets) == [], path


def test_the_search_finds_a_key_that_is_there(job: Deployment, secrets: dict[str, str]) -> None:
    shown = job.stack.pulumi("stack", "export", "--show-secrets")
    assert {name for name in secrets if name.endswith("-secret")} <= set(found_in(shown, secrets))
    assert "e:PrivateKey" in found_in(json.dumps(job.outputs), secrets)
    assert found_in(f"x{secrets['e:PrivateKey']}y", secrets) == ["e:PrivateKey"]


# ---- developer g goes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def g_removed(job: Deployment, g_connected: str) -> Change:
    assert job.comes_to_reach("f", D), "g must have access before it can lose it"
    return changed(job, with_g=False)


def test_removing_g_ends_gs_access(job: Deployment, g_removed: Change, g_connected: str) -> None:
    assert not job.reaches("f", D)
    job.lab.exec("f", ["sh", "-c", "wg-quick down g && wg-quick up g"])
    assert not job.reaches("f", D)
    assert "10.70.0.6" not in job.lab.exec("z", ["wg", "show", "wg0", "allowed-ips"]).stdout


def test_removing_g_loses_no_packet_of_es_ping(g_removed: Change) -> None:
    assert len(g_removed.answered) > 20
    assert lost(g_removed.answered) == []


# ---- reboots --------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_deployed(job: Deployment, request: pytest.FixtureRequest) -> Deployment:
    """Both laptops with their own files, whatever g did."""
    for laptop in LAPTOPS:
        job.lab.exec(laptop, ["sh", "-c", "wg-quick down g 2>/dev/null; true"])
        job.connect(laptop)
    return job


@pytest.mark.parametrize("node", ["z", pytest.param("a", marks=pytest.mark.matrix), "c"])
def test_after_a_reboot_everything_works_without_an_up(as_deployed: Deployment, node: str) -> None:
    as_deployed.lab.reboot(node)
    for laptop, address in (("e", D), ("e", B), ("f", D), ("e", F)):
        assert as_deployed.comes_to_reach(laptop, address), f"{laptop} does not reach {address} any more"
    assert not as_deployed.reaches("f", B)


# ---- a gateway behind the hub ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def behind_the_hub(job: Deployment) -> Change:
    """From now on c is reached over the tunnel that it makes itself; with that way, g comes again."""
    assert job.comes_to_reach("e", D)
    job.write(through_the_hub=True)
    assert "c-state updated" in job.up()
    return changed(job, with_g=True, through_the_hub=True)


def test_a_change_reaches_a_gateway_over_its_own_tunnel(job: Deployment, behind_the_hub: Change) -> None:
    assert "c-state updated" in behind_the_hub.said
    assert "10.70.0.6/32" in job.lab.exec("c", ["cat", "/etc/wg-office/current/files/flows"]).stdout


def test_a_change_over_the_tunnel_loses_no_packet_of_es_ping(behind_the_hub: Change) -> None:
    assert len(behind_the_hub.answered) > 20
    assert lost(behind_the_hub.answered) == []


# ---- and away -------------------------------------------------------------------------------------------------------


def test_destroy_leaves_each_host_as_it_was(job: Deployment, behind_the_hub: Change) -> None:
    job.stack.destroy()
    # Reached over its own tunnel, c leaves when nobody is connected any more.
    job.lab.exec("c", ["sh", "-c", "until [ ! -e /etc/wg-office ]; do sleep 1; done"], timeout=120)
    after = looks(job.lab)
    left = {name: difference(job.before[name], after[name]) for name in HOSTS}
    assert not any(left.values()), "\n".join(line for lines in left.values() for line in lines)


def difference(before: str, after: str) -> list[str]:
    return list(difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", n=0, lineterm=""))


def test_the_virtual_machine_holds_nothing_of_the_tests(lab: Lab) -> None:
    assert lab.exec(VM, ["ls", "/run/watching"], check=False).returncode == 2
