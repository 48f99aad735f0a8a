"""A gateway's first minute on real machines: behind its office's router and its carrier's, from a machine that knows nothing to a `status`
that has nothing to say, with sshd and systemd of the oldest and the newest release on both sides.

    z .10 ---+--- 203.0.113.0/24 --- carrier --- 100.64.0.0/24 --- r2 --- 192.168.200.0/24 ---+--- c .248
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import CLONE, job_stack
from first_minute import until
from sshd import new_key

from lab import Lab
from lab.nodes import OFFICE, Kind, Link, Node, Topology
from lab.settings import Settings

pytestmark = [pytest.mark.vm, pytest.mark.matrix]

CARRIER = Node(
    "carrier",
    Kind.ROUTER,
    (Link("lan0", "cgn", "100.64.0.1/24"), Link("wan0", "inet", "203.0.113.22/24")),
    purpose="the carrier's NAT",
    routes_for="lan0",
)
R2 = Node(
    "r2",
    Kind.ROUTER,
    (Link("lan0", "lan2", "192.168.200.1/24"), Link("wan0", "cgn", "100.64.0.2/24")),
    "100.64.0.1",
    purpose="the office's router",
    routes_for="lan0",
)
TWO_NATS = Topology((OFFICE.by_name["z"], CARRIER, R2, OFFICE.by_name["c"]))

ENVIRONMENT = """\
environment: job
known_hosts: known_hosts
network: {{cidr: 10.70.0.0/16, keepalive: 15, rollback_after: 600}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  ssh: {{host: 127.0.0.1, port: {z}}}
  access: [{{host: c, ports: [22/tcp]}}]
gateways:
  - name: c
    site: beijing
    address: 10.70.0.3
    lan: {{cidr: 192.168.200.0/24, address: 192.168.200.248}}
    return_path: masquerade
    ssh: {way}
"""
CALLS, OVER_THE_TUNNEL = "{host: 127.0.0.1, port: 2201, via: hub}", "{host: 10.70.0.3, via: hub}"
AUTHORIZED = "cat /root/.ssh/authorized_keys"
UNIT = "wg-office-bootstrap.service"


@pytest.fixture(params=[{"z": "bullseye", "c": "trixie"}, {"z": "trixie", "c": "bullseye"}], ids=lambda releases: releases["z"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The machines, in a lab beside the clone's."""
    own = Settings.read(CLONE)
    made = Lab(CLONE, topology=TWO_NATS, environ={**os.environ, "LAB_NAME": f"{own.name}nats", "LAB_PORT_BASE": str(own.port_base + 300)})
    made.clean()
    made.up(request.param)
    yield made
    made.clean()


def wg_office(*arguments: str | Path, folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "wg_office", *map(str, arguments)]
    variables = {**os.environ, "PYTHONPATH": str(CLONE)}
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_from_a_machine_that_knows_nothing_to_a_status_that_has_nothing_to_say(lab: Lab, tmp_path: Path) -> None:
    stack, file = job_stack(tmp_path / "job", lab)
    key = new_key(tmp_path / "operator")
    stack.pulumi("config", "set", "sshKeyFile", str(key))
    lab.exec("z", ["tee", "-a", "/root/.ssh/authorized_keys"], stdin=key.with_suffix(".pub").read_text())
    at_hub, on_site = lab.exec("z", ["sh", "-c", AUTHORIZED]).stdout, lab.exec("c", ["sh", "-c", AUTHORIZED]).stdout
    pinned = next(line for line in lab.known_hosts.read_text().splitlines() if line.startswith(f"[127.0.0.1]:{lab.port('z')} "))
    file.with_name("known_hosts").write_text(f"{pinned}\n")
    file.write_text(ENVIRONMENT.format(z=lab.port("z"), way=CALLS))

    script = tmp_path / "first-minute.sh"
    asked = ("bootstrap", "c", "--file", file, "--key", key, "--hub", "203.0.113.10", "--out", script, "--timeout", "200")
    with wg_office(*asked, folder=tmp_path) as operator:
        until(lambda: (script.exists() and script.read_text().endswith(")\n")) or operator.poll() is not None)
        assert operator.poll() is None, operator.communicate()
        lab.put("c", "/root/first-minute.sh", script.read_text(), 0o600)
        said = lab.exec("c", ["sh", "/root/first-minute.sh"], check=False)
        if said.returncode != 0:
            operator.kill()
        assert said.returncode == 0, said
        told = operator.communicate()
    assert operator.returncode == 0, (told, lab.exec("c", ["journalctl", "-n", "40"]).stdout)

    stack.up()
    until(lambda: lab.exec("c", ["systemctl", "is-active", UNIT], check=False).stdout.strip() != "active", 600)
    assert lab.exec("c", ["sh", "-c", "ls -d /run/wg-office-bootstrap* || true"]).stdout == ""
    assert lab.exec("z", ["ss", "-Hltn", "sport = :2201"]).stdout == ""
    file.write_text(file.read_text().replace(CALLS, OVER_THE_TUNNEL))
    stack.up()
    with wg_office("status", file, "--key", key, "--timeout", "200", folder=tmp_path) as asking:
        told = asking.communicate()
    assert (asking.returncode, told[0].splitlines()[-1]) == (0, "job: 2 hosts: 2 well"), told

    assert "wg-office-bootstrap-c.timer" in lab.exec("z", ["systemctl", "list-timers", "--no-pager"]).stdout
    lab.exec("z", ["systemctl", "start", "wg-office-bootstrap-c.service"])
    until(lambda: lab.exec("z", ["sh", "-c", AUTHORIZED]).stdout == at_hub)
    until(lambda: lab.exec("z", ["ls", "/run/wg-office-bootstrap"]).stdout == "lock\n")
    added = lab.exec("c", ["sh", "-c", AUTHORIZED]).stdout.removeprefix(on_site)
    assert added == f"restrict {' '.join(key.with_suffix('.pub').read_text().split()[:2])} wg-office-job\n"
