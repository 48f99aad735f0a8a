"""A gateway in an office that the operator reaches through a machine there alone, `via: bastion`: on real hosts, with real packets."""

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
"""


@pytest.fixture
def job(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """r1, the office's router, is the bastion; a, which stands behind it, is dialled at its address in the LAN."""
    fresh(lab)
    stack, environment_file = job_stack(tmp_path_factory.mktemp("jump") / "job", lab)
    made = Deployment(lab, stack, environment_file)
    ports = {name: lab.port(name) for name in ("z", "r1")}
    text = (BASTION + OFFICE).format(known_hosts=lab.known_hosts, key=made.host_key("r1"), a=made.host_key("a"), **ports)
    environment_file.write_text(text)
    return made


def test_a_gateway_behind_a_bastion_is_set_up_asked_and_taken_down_through_it(job: Deployment) -> None:
    assert "192.168.201.247" not in job.lab.known_hosts.read_text()
    job.up()
    job.connect("e")
    assert job.comes_to_reach("e", B)
    assert not any(findings(asked(job)).values())
    with pinging(job.lab, "e", B) as answered:
        job.environment_file.write_text(job.environment_file.read_text().replace("[shenzhen]", "[shenzhen, {host: a}]"))
        job.up()
    assert lost(answered) == []
    assert not any(findings(asked(job)).values())
    disconnect(job.lab, "e")
    job.stack.destroy()
    assert job.lab.exec("a", ["ls", "/etc/wg-office"], check=False).returncode == 2
