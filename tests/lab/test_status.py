"""`python -m wg_office status` on real hosts: all well, each kind of drift, and a repair that dials the drifted hosts alone.

One deployment, in the order of this file. tests/lab/test_status_script.py has every kind of drift, test_status_client.py every failure;
`make test` has drift found and repaired on real hosts in test_readme_walk.py.
"""

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from deployment import HOSTS, Deployment, found_in, fresh, job_stack

from lab import Lab

pytestmark = pytest.mark.matrix

NETWORK = "/run/systemd/network/50-wg0.network"


@pytest.fixture(scope="module")
def job(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """An environment that is deployed and left alone."""
    fresh(lab)
    stack, environment_file = job_stack(tmp_path_factory.mktemp("status"), lab)
    job = Deployment(lab, stack, environment_file, before={})
    job.write()
    job.up()
    await_sessions(job)
    return job


def await_sessions(job: Deployment, seconds: float = 120) -> None:
    """Until both gateways have shaken hands with the hub."""
    deadline = time.monotonic() + seconds
    while sum(line.split()[1] != "0" for line in job.lab.exec("z", ["wg", "show", "wg0", "latest-handshakes"]).stdout.splitlines()) < 2:
        assert time.monotonic() < deadline, "the gateways do not shake hands with the hub"
        time.sleep(1)


def status(job: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(job, "status", *arguments)


def run(job: Deployment, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wg_office", verb, str(job.environment_file), "--key", str(job.lab.key), "--timeout", "100"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, cwd=job.stack.folder, env=job.stack.environment
    )


def asked(job: Deployment) -> dict[str, Any]:
    done = status(job, "--json")
    data = json.loads(done.stdout)
    assert data["exit_status"] == done.returncode
    return dict(data)


def findings(data: dict[str, Any]) -> dict[str, list[str]]:
    return {host["name"]: [f"{finding['kind']}: {finding['text']}" for finding in host["findings"]] for host in data["hosts"]}


def logins(job: Deployment) -> dict[str, int]:
    """How often somebody has logged in to each host since it was made."""

    def count(host: str) -> int:
        return job.lab.exec(host, ["journalctl", "--no-pager", "-o", "cat", "-t", "sshd"]).stdout.count("Accepted publickey")

    with ThreadPoolExecutor() as pool:
        return dict(zip(HOSTS, pool.map(count, HOSTS), strict=True))


@pytest.fixture(scope="module")
def first(job: Deployment) -> tuple[dict[str, Any], dict[str, int]]:
    """The status of the network as it was deployed, and how often each host was dialled for it."""
    before = logins(job)
    data = asked(job)
    return data, {name: count - before[name] for name, count in logins(job).items()}


def test_a_network_as_deployed_is_well_and_each_host_was_dialled_once(first: tuple[dict[str, Any], dict[str, int]]) -> None:
    data, dialled = first
    assert findings(data) == {"z": [], "a": [], "c": [], "a-router": []}
    assert (data["state"], data["exit_status"]) == ("well", 0)
    assert dialled == dict.fromkeys(HOSTS, 1)


def test_gateways_reach_the_hub_though_it_refuses_and_the_router_its_gateway(first: tuple[dict[str, Any], dict[str, int]]) -> None:
    pings = {host["name"]: [(ping["to"], ping["answer"]) for ping in host["pings"]] for host in first[0]["hosts"]}
    assert pings == {"z": [], "a": [("z", "refused")], "c": [("z", "refused")], "a-router": [("a", "answered")]}


def test_sessions_clocks_and_versions_are_told(first: tuple[dict[str, Any], dict[str, int]]) -> None:
    hosts = first[0]["hosts"]
    for host in hosts:
        assert host["versions"]["systemd"].isdecimal()
        assert host["versions"]["kernel"]
        assert abs(host["clock"]["ahead"]) < 30
    z = next(host for host in hosts if host["name"] == "z")
    ages = {peer["name"]: peer["handshake_age"] for peer in z["peers"]}
    assert ages["a"] is not None
    assert ages["c"] is not None
    assert (ages["e"], ages["f"]) == (None, None)


@pytest.fixture(scope="module")
def drifted(job: Deployment) -> dict[str, list[str]]:
    """What somebody did by hand, and what is to be said of it."""
    key = job.public_key("e")
    generation = job.lab.exec("c", ["readlink", "-f", "/etc/wg-office/current"]).stdout.strip()
    rules = f"{generation}/files/nftables.nft"
    by_hand = {
        "z": f"wg set wg0 peer {key} remove; sysctl -qw net.ipv4.ip_forward=0; rm {NETWORK}; echo '[Match]' >{NETWORK}",
        "c": f"nft delete table inet wg_office; echo '# mine' >>{rules}; rm /etc/wg-office/keys/private-*",
        "r1": "ip route del 10.70.0.0/16",
    }
    for host, command in by_hand.items():
        job.lab.exec(host, ["sh", "-c", command])
    return {
        "z": [
            f"drift: file {NETWORK} was replaced",
            "drift: sysctl net.ipv4.ip_forward is 0, not 1",
            f"drift: peer e ({key}) is missing on wg0",
        ],
        "a": [],
        "c": [
            f"drift: file {rules} was changed",
            "drift: key file /etc/wg-office/keys/private-",
            "drift: firewall table inet wg_office is missing",
        ],
        "a-router": ["drift: route 10.70.0.0/16 via 192.168.201.247 is missing"],
    }


def test_each_thing_done_by_hand_is_one_precise_line(job: Deployment, drifted: dict[str, list[str]]) -> None:
    data = asked(job)
    said = {name: [re.sub(r"(private-)\w+ is missing$", r"\1", line) for line in lines] for name, lines in findings(data).items()}
    assert said == drifted
    assert (data["state"], data["exit_status"]) == ("drift", 4)


def test_no_key_of_the_deployment_is_shown(job: Deployment, drifted: dict[str, list[str]]) -> None:
    secrets = job.secrets()
    assert {name.partition(":")[0] for name in secrets} >= {"z", "a", "e", "f", "the operator's key"}
    for said in (status(job, "--json"), status(job, "--peers")):
        assert found_in(said.stdout + said.stderr, secrets) == []


@pytest.fixture(scope="module")
def repaired(job: Deployment, drifted: dict[str, list[str]]) -> tuple[str, dict[str, int]]:
    """The preview after `repair`, and how often each host was dialled by the `up` that followed."""
    done = run(job, "repair", "--stack", "job")
    assert done.returncode == 0
    assert "the next `pulumi up --stack job` repairs z, c, a-router" in done.stdout
    preview = job.stack.preview()
    before = logins(job)
    job.up()
    return preview, {name: count - before[name] for name, count in logins(job).items()}


def test_the_preview_shows_the_repair_of_the_drifted_hosts_and_nothing_else(repaired: tuple[str, dict[str, int]]) -> None:
    preview, _ = repaired
    touched = set(re.findall(r"urn:pulumi:job::wg-office::\S*?command:remote:Command::(\S+?)\]", preview))
    assert touched == {"z-keys", "z-state", "c-keys", "c-state", "a-router-state"}
    lines = [line.strip() for line in preview.splitlines() if re.match(r"\s*[-+]\s", line)]
    assert [line for line in lines if not re.search(r"repair \d{8}T\d{6}Z|^[-+] attempt |\[secret\]", line)] == []


def test_the_up_dials_the_drifted_hosts_alone(repaired: tuple[str, dict[str, int]]) -> None:
    _, dialled = repaired
    assert dialled == {"z": 3, "a": 0, "c": 3, "r1": 2}


def test_after_the_repair_all_is_well_again(job: Deployment, repaired: tuple[str, dict[str, int]]) -> None:
    data = asked(job)
    assert findings(data) == {"z": [], "a": [], "c": [], "a-router": []}
    assert data["exit_status"] == 0
    assert job.lab.exec("z", ["readlink", NETWORK]).stdout.strip() == f"/etc/wg-office/current/files{NETWORK}"
    job.stack.pulumi("preview", "--expect-no-changes")


def test_a_host_that_cannot_be_reached_is_a_row_and_the_others_are_told(job: Deployment, repaired: tuple[str, dict[str, int]]) -> None:
    job.lab.exec("a", ["systemctl", "stop", "ssh.socket", "ssh.service"], check=False)
    try:
        data = asked(job)
    finally:
        job.lab.exec("a", ["systemctl", "start", "ssh.service"])
        job.lab.wait("a")
    told = findings(data)
    assert (told["z"], told["c"], told["a-router"], data["exit_status"]) == ([], [], [], 5)
    (line,) = told["a"]
    assert line.startswith(f"unreachable: root@127.0.0.1:{job.lab.port('a')} ")


def test_a_changed_file_is_an_up_that_is_due(job: Deployment) -> None:
    job.write(with_g=True)
    told = findings(asked(job))
    assert "up due: peer g is in the file and not let in yet: pulumi up" in told["z"]
    assert told["c"] == ["up due: differs from the file in nftables.nft, flows: pulumi up"]
    assert (told["a"], told["a-router"]) == ([], [])
