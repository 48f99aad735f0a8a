"""Ways that are not straight, on real hosts with real packets.

A gateway that the operator reaches through a machine in its office alone (`via: bastion`); and a laptop whose WireGuard speaks to a program
on the laptop itself, because UDP to the hub's port is blocked where it is.
"""

import pytest
from deployment import B, Deployment, disconnect, fresh, job_stack
from pings import lost, pinging
from test_status import asked, findings

from lab import Lab

BASTION = "jumps: {{bastion: {{host: 127.0.0.1, port: {r1}, host_key: {key}}}}}\n"
OFFICE = """\
environment: job
known_hosts: {known_hosts}
network: {{cidr: 10.70.0.0/16, rollback_after: 600}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  ssh: {{host: 127.0.0.1, port: {z}}}
gateways:
  - name: a
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    return_path: masquerade
    ssh: {{host: 192.168.201.247, via: bastion, host_key: {a}}}
developers:
  - {{name: e, address: 10.70.0.4, access: [shenzhen]}}
  - {{name: f, address: 10.70.0.5, access: [shenzhen], endpoint: "127.0.0.1:51820"}}
"""


BLOCKED = "nft add table ip blocked; nft add chain ip blocked out '{ type filter hook output priority 0; }'"
BLOCKED += "; nft add rule ip blocked out oifname != lo udp dport 51820 drop"
CARRIER = 4433
"""Here both ends are socat, and what they speak is UDP at another port. People have udp2raw, a QUIC or a websocket tunnel there."""


@pytest.fixture(scope="module")
def job(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """r1, the office's router, is the bastion; a, which stands behind it, is dialled at its address in the LAN."""
    fresh(lab)
    stack, environment_file = job_stack(tmp_path_factory.mktemp("jump") / "job", lab)
    made = Deployment(lab, stack, environment_file)
    ports = {name: lab.port(name) for name in ("z", "r1")}
    text = (BASTION + OFFICE).format(known_hosts=lab.known_hosts, key=made.host_key("r1"), a=made.host_key("a"), **ports)
    environment_file.write_text(text)
    return made


def test_a_gateway_behind_a_bastion_is_set_up_and_asked_through_it(job: Deployment) -> None:
    assert "192.168.201.247" not in job.lab.known_hosts.read_text()
    job.up()
    job.connect("e")
    assert job.comes_to_reach("e", B)
    assert not any(findings(asked(job)).values())
    with pinging(job.lab, "e", B) as answered:
        job.environment_file.write_text(job.environment_file.read_text().replace("[shenzhen]", "[shenzhen, {host: a}]", 1))
        job.up()
    assert lost(answered) == []
    assert not any(findings(asked(job)).values())


def test_a_laptop_without_udp_reaches_the_office_through_a_program_of_its_own(job: Deployment) -> None:
    lab = job.lab
    lab.exec("f", ["sh", "-c", BLOCKED])
    try:
        job.connect("f")
        assert not job.reaches("f", B)
        inside = ["socat", f"UDP4-LISTEN:{CARRIER},fork,reuseaddr", "UDP4:127.0.0.1:51820"]
        outside = ["socat", "UDP4-LISTEN:51820,bind=127.0.0.1,fork,reuseaddr", f"UDP4:203.0.113.10:{CARRIER}"]
        with lab.popen("z", inside), lab.popen("f", outside):
            assert job.comes_to_reach("f", B)
    finally:
        lab.exec("f", ["nft", "delete", "table", "ip", "blocked"])
        disconnect(lab, "f")


def test_what_was_set_up_through_the_bastion_is_taken_down_through_it(job: Deployment) -> None:
    disconnect(job.lab, "e")
    job.stack.destroy()
    assert job.lab.exec("a", ["ls", "/etc/wg-office"], check=False).returncode == 2
