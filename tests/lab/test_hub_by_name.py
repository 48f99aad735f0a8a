"""A hub that is known by its name, on real systemd hosts with a real name server: its address changes, DNS is silent, and the hub dies.

One deployment, in the order of this file: its last part is the drill of docs/deploy.md, "The hub dies". Machine `a` has no office here: it
waits on the internet to be the new hub. tests/lab/test_follow_endpoint.py has every branch of the script that follows the name.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from deployment import B, D, Deployment, disconnect, do_by_hand, fresh, job_stack, looks
from names import Names, serving_names
from pings import lost, pinging
from test_main_job import difference
from test_status import asked, findings

from lab import Lab
from lab.nodes import VM

pytestmark = pytest.mark.matrix

NAME = "vpn.example.org"
FIRST, SECOND, THIRD = "203.0.113.10", "203.0.113.60", "203.0.113.80"
SECOND6, OF_R1 = "2001:db8:1::60", "2001:db8:1::21"
NOBODY = "(none)"
GATEWAYS = ("r1", "c")
LIVING = ("a", *GATEWAYS)  # in the end
NETWORK = "/etc/systemd/network/10-eth0.network"
FOLLOWS = "wg-office-endpoint"
SOON = 180  # seconds after DNS has said so

BY_NAME = """\
environment: job
known_hosts: {known_hosts}
network: {{cidr: 10.70.0.0/16, rollback_after: 600}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: vpn.example.org:51820
  access: [{{host: c, ports: [22/tcp]}}]
  ssh: {{host: 127.0.0.1, port: {z}}}
gateways:
  - name: r1
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.1}}
    router: self
    ssh: {{host: 127.0.0.1, port: {r1}}}
  - name: c
    site: beijing
    address: 10.70.0.3
    lan: {{cidr: 192.168.200.0/24, address: 192.168.200.248}}
    router: {{address: 192.168.200.1}}
    ssh: {c_ssh}
developers:
  - {{name: e, address: 10.70.0.4, access: [shenzhen, beijing]}}
"""
ON_THE_NEW_MACHINE = BY_NAME.replace("port: {z}", "port: {a}")


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[Lab]:
    """New machines, and `a` on the internet instead of in an office."""
    fresh(lab)
    cable(lab, "a", "inet")
    lab.exec("a", ["sed", "-i", "s/^Gateway=.*/Gateway=203.0.113.1/", NETWORK])
    at(lab, "a", "192.168.201.247", THIRD)
    yield lab
    cable(lab, "a", "lan1")


def cable(lab: Lab, node: str, bridge: str) -> None:
    """Plug a host in elsewhere, also when it starts anew."""
    lab.exec(VM, ["sh", "-c", f"echo {bridge} >/run/lab/ports/{node}-eth0; /run/lab/bin/plug {node}-eth0"])


def at(lab: Lab, node: str, old: str, new: str) -> None:
    """The machine has another address from now on."""
    change = f"sed -i 's/^Address={old}/Address={new}/' {NETWORK}; networkctl reload && networkctl reconfigure eth0"
    lab.exec(node, ["sh", "-c", f"{change}; until ip -4 address show eth0 | grep -qF {new}; do sleep 0.2; done"], timeout=60)


@pytest.fixture(scope="module")
def names(hosts: Lab) -> Iterator[Names]:
    with serving_names(hosts, NAME, FIRST, [*GATEWAYS, "e"]) as names:
        yield names


@pytest.fixture(scope="module")
def job(hosts: Lab, names: Names, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The first `up`; what a person does at Beijing's router; e connected."""
    before = looks(hosts, LIVING)
    stack, environment_file = job_stack(tmp_path_factory.mktemp("by-name"), hosts)
    job = Deployment(hosts, stack, environment_file, before)
    job.write(BY_NAME)
    job.up()
    do_by_hand(job)
    job.connect("e")
    return job


def dialled(lab: Lab, gateway: str) -> str:
    """Where a gateway dials the hub, its only peer."""
    return lab.exec(gateway, ["wg", "show", "wg0", "endpoints"]).stdout.split()[1]


def dials(lab: Lab, address: str, gateway: str) -> float:
    """After how many seconds the gateway dials the hub there. Too many are a failure."""
    began = time.monotonic()
    there = f"until wg show wg0 endpoints 2>/dev/null | grep -qF '{address}'; do sleep 1; done"
    done = lab.exec(gateway, ["timeout", str(SOON), "sh", "-c", there], check=False)
    assert done.returncode == 0, f"{gateway} dials {dialled(lab, gateway)}"
    return round(time.monotonic() - began)


def all_dial(lab: Lab, address: str) -> list[float]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda gateway: dials(lab, address, gateway), GATEWAYS))


def told(lab: Lab, gateway: str) -> list[str]:
    """What a gateway's journal has of addresses that changed, since its last boot."""
    journal = lab.exec(gateway, ["journalctl", "--no-pager", "-o", "cat", "-u", FOLLOWS]).stdout
    return [line for line in journal.splitlines() if line.startswith(NAME)]


def both_offices(job: Deployment) -> bool:
    return all(job.comes_to_reach("e", address, seconds=SOON) for address in (D, B))


# ---- a name ---------------------------------------------------------------------------------------------------------


def test_the_gateways_dial_what_the_name_server_says_and_e_reaches_both_offices(job: Deployment) -> None:
    print(f"first dialled after {all_dial(job.lab, f'{FIRST}:51820')} s")
    assert both_offices(job)


def test_the_hosts_are_as_the_file_says_though_their_wireguard_holds_an_address(job: Deployment) -> None:
    assert findings(asked(job)) == {"z": [], "r1": [], "c": []}
    job.stack.pulumi("preview", "--expect-no-changes")


@pytest.fixture(scope="module")
def moved(job: Deployment, names: Names) -> list[float]:
    """The hub has another address, and then DNS says so. (The seconds after which each gateway dialled it.)"""
    assert both_offices(job)
    at(job.lab, "z", FIRST, SECOND)
    assert not job.reaches("e", D)
    names.says(SECOND)
    seconds = all_dial(job.lab, SECOND)
    print(f"the gateways followed after {seconds} s")
    return seconds


def test_the_gateways_follow_a_changed_address_soon_and_say_so_once(job: Deployment, moved: list[float]) -> None:
    said = f"{NAME} is at {SECOND}:51820 now, and was at {FIRST}:51820"
    assert [told(job.lab, gateway)[-1:] for gateway in GATEWAYS] == [[said]] * 2
    assert FIRST not in job.lab.exec("z", ["ip", "-4", "address", "show", "eth0"]).stdout


def test_with_the_tunnel_off_and_on_e_reaches_both_offices_by_the_same_file(job: Deployment, moved: list[float]) -> None:
    off_and_on(job)
    assert both_offices(job)
    job.stack.pulumi("preview", "--expect-no-changes")


def off_and_on(job: Deployment) -> None:
    """What a person does who has no connection any more."""
    job.lab.exec("e", ["sh", "-c", "wg-quick down e; wg-quick up e"])


@pytest.fixture
def of_both_kinds(job: Deployment, moved: list[float], names: Names) -> Iterator[None]:
    """The hub and r1 have IPv6 on the internet as well, and c's office has none."""
    own = {"z": ("eth0", SECOND6), "r1": ("wan0", OF_R1)}
    was = {node: six_is_off(job.lab, node, link, "0") for node, (link, _) in own.items()}
    for node, (link, address) in own.items():
        job.lab.exec(node, ["ip", "address", "add", f"{address}/64", "dev", link, "nodad"])
    yield
    names.says(SECOND)
    all_dial(job.lab, SECOND)
    for node, (link, address) in own.items():
        job.lab.exec(node, ["ip", "address", "del", f"{address}/64", "dev", link])
        six_is_off(job.lab, node, link, was[node])


def six_is_off(lab: Lab, node: str, link: str, value: str) -> str:
    """What the setting was; it has this value from now on."""
    setting = f"net.ipv6.conf.{link}.disable_ipv6"
    was = lab.exec(node, ["sysctl", "-n", setting]).stdout.strip()
    lab.exec(node, ["sysctl", "-qw", f"{setting}={value}"])
    return was


def test_each_gateway_dials_the_kind_of_address_that_it_has_and_stays_where_both_work(
    job: Deployment, of_both_kinds: None, names: Names
) -> None:
    names.says(SECOND6)
    dials(job.lab, f"[{SECOND6}]", "r1")
    assert both_offices(job)
    names.says(SECOND, SECOND6)
    for gateway in GATEWAYS:
        job.lab.exec(gateway, ["systemctl", "start", "--wait", f"{FOLLOWS}.service"])
    assert [dialled(job.lab, gateway) for gateway in GATEWAYS] == [f"[{SECOND6}]:51820", f"{SECOND}:51820"]
    assert both_offices(job)


# ---- nobody answers for the name ------------------------------------------------------------------------------------


@pytest.fixture
def no_names(job: Deployment, moved: list[float], names: Names) -> Iterator[Names]:
    """The name server does not answer; until the end, or the test has it answer."""
    assert both_offices(job)
    names.is_silent()
    yield names
    names.is_silent()
    names.answers()


def test_an_up_waits_for_no_name_server_and_loses_no_packet_of_es_ping(job: Deployment, no_names: Names) -> None:
    job.write(BY_NAME, with_g=True)
    with pinging(job.lab, "e", D) as answered:
        said = job.up()
    assert "c-state updated" in said
    assert lost(answered) == []
    assert dialled(job.lab, "c") == f"{SECOND}:51820"


def test_a_gateway_whose_networkd_starts_anew_has_its_hub_again(job: Deployment, moved: list[float]) -> None:
    before = told(job.lab, "c")
    job.lab.exec("c", ["systemctl", "restart", "systemd-networkd"])
    end = time.monotonic() + SOON
    while (now := told(job.lab, "c")) == before:
        assert time.monotonic() < end
        time.sleep(1)
    assert now == [*before, f"{NAME} is at {SECOND}:51820 now, and was at {NOBODY}"]
    assert job.comes_to_reach("e", D, seconds=SOON)


def test_a_boot_waits_for_no_name_server_and_the_tunnel_comes_with_its_first_answer(job: Deployment, no_names: Names) -> None:
    job.lab.reboot("c")
    booted = job.lab.exec("c", ["timeout", "300", "systemctl", "is-system-running", "--wait"], check=False).stdout
    assert booted.strip() in ("running", "degraded")
    dials(job.lab, NOBODY, "c")
    assert not job.reaches("e", D)
    no_names.answers()
    dials(job.lab, SECOND, "c")
    assert job.comes_to_reach("e", D, seconds=SOON)


# ---- the hub dies: docs/deploy.md -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drill:
    """What was shown and said, and how many seconds had passed since the hub died at each step."""

    preview: str
    ups: list[str]
    keys: str
    conf: str
    passed: dict[str, float]


@pytest.fixture(scope="module")
def drill(job: Deployment, moved: list[float], names: Names) -> Drill:
    """c is reached through the hub, as most are in the end, and g is revoked. Then the hub is dead, and machine `a` takes its place."""
    job.write(BY_NAME, with_g=True, through_the_hub=True)
    job.up()
    assert revoked_by_hand(job) == 0
    assert both_offices(job)
    keys, conf = str(job.outputs["public_keys"]), job.conf("e")
    job.lab.exec(VM, ["systemctl", "stop", "node@z.service"])
    began = time.monotonic()
    passed: dict[str, float] = {}

    def done(step: str) -> None:
        passed[step] = round(time.monotonic() - began)

    names.says(THIRD)
    job.write(ON_THE_NEW_MACHINE, with_g=True, through_the_hub=True)
    preview = job.stack.preview()
    done("previewed")
    ups = [up(job)]
    done("the hub is up")
    all_dial(job.lab, THIRD)
    done("the gateways have followed")
    off_and_on(job)
    assert both_offices(job)
    done("e reaches both offices")
    ups.append(job.up())
    done("up again")
    print(passed)
    return Drill(preview, ups, keys, conf, passed)


def revoked_by_hand(job: Deployment) -> int:
    """The exit status of revoking g, as for a laptop that is lost."""
    command = [sys.executable, "-m", "wg_office", "revoke", "g", "--file", str(job.environment_file), "--key", str(job.lab.key)]
    return subprocess.run([*command, "--timeout", "100"], check=False, cwd=job.stack.folder, env=job.stack.environment).returncode


def up(job: Deployment) -> str:
    """An `up` that may fail at a gateway behind the hub."""
    return job.stack.start("up", "--yes", "--skip-preview").communicate(timeout=900)[0]


def test_the_preview_of_a_new_hub_shows_its_connection_and_no_key(job: Deployment, drill: Drill) -> None:
    touched = set(re.findall(r"\[urn=urn:pulumi:job::wg-office::\S*::(\S+)\]", drill.preview))
    # c is reached through the hub, and so over another connection.
    assert touched == {"wg-office-job", "z-keys", "z-state", "z-attempt", "c-keys", "c-state"}
    lines = [line.strip() for line in drill.preview.splitlines() if re.match(r"\s*[-+]\s", line)]
    reached = [re.match(r"([-+]) # z, hub of job; reached as root@127\.0\.0\.1:(\d+), host key SHA256:", line) for line in lines]
    assert [found and found.groups() for found in reached] == [("-", str(job.lab.port("z"))), ("+", str(job.lab.port("a")))], lines


def test_one_up_makes_the_new_machine_the_hub_and_the_second_is_done_with_whom_it_is_the_way_to(job: Deployment, drill: Drill) -> None:
    assert "z-state updated" in drill.ups[0]
    job.stack.pulumi("preview", "--expect-no-changes")


def test_whom_somebody_has_revoked_the_new_hub_does_not_know_and_status_says_so(job: Deployment, drill: Drill) -> None:
    told = findings(asked(job))
    assert told["z"] == []
    for gateway in GATEWAYS:
        assert [line.partition(": if ")[0] for line in told[gateway]] == ["trouble: g is revoked here and not at hub z"]
    assert revoked_by_hand(job) == 0
    assert set(findings(asked(job))["z"]) == {
        "trouble: g is revoked, and still in the file: take it out, or give it a new key (rotation, public_key), then pulumi up"
    }


def test_everybody_keeps_keys_and_files(job: Deployment, drill: Drill) -> None:
    assert job.outputs["public_keys"] == drill.keys
    assert job.conf("e") == drill.conf


def test_the_network_with_the_new_hub_survives_its_reboot(job: Deployment, drill: Drill) -> None:
    job.lab.reboot("a")
    assert both_offices(job)


def test_destroy_leaves_each_living_host_as_it_was(job: Deployment, drill: Drill) -> None:
    job.stack.destroy()
    job.lab.exec("c", ["sh", "-c", "until [ ! -e /etc/wg-office ]; do sleep 1; done"], timeout=120)
    disconnect(job.lab, "e")
    after = looks(job.lab, LIVING)
    left = {name: difference(job.before[name], after[name]) for name in LIVING}
    assert not any(left.values()), "\n".join(line for lines in left.values() for line in lines)
