"""An installation of an earlier version on real hosts, taken over by this one, while e pings d.

What stands where an installation is recorded is tests/engine/test_takeover.py.
"""

import re
from pathlib import Path

import pytest
from deployment import (
    CLONE,
    ENVIRONMENT,
    HOSTS,
    TUNNEL_HOSTS,
    VPN,
    B,
    D,
    Deployment,
    disconnect,
    fresh,
    job_stack,
    looks,
)
from landings import LANDINGS, lay, losses, pinned, program_of
from pings import lost, pinging

from lab import Lab

FIREWALLS = ["nftables", *(pytest.param(name, marks=pytest.mark.matrix) for name in ("iptables", "firewalld"))]
"""Of hub and gateways. Earlier versions had iptables and firewalld judge, and this one has neither."""
FIREWALLD = "systemctl enable --now firewalld && until firewall-cmd -q --state; do sleep 0.5; done"
WIREGUARD_IN = "firewall-cmd -q --add-port=51820/udp && firewall-cmd -q --permanent --add-port=51820/udp"
"""What its administrator says at the hub."""


@pytest.fixture(params=LANDINGS)
def earlier(request: pytest.FixtureRequest) -> str:
    """The commit of an earlier version."""
    return str(request.param)


@pytest.fixture(params=FIREWALLS)
def before(lab: Lab, tmp_path: Path, earlier: str, request: pytest.FixtureRequest) -> Deployment:
    """What an earlier version made of the lab's hosts, from fresh ones, and e connected."""
    fresh(lab)
    if request.param == "firewalld":
        for host in TUNNEL_HOSTS:
            lab.exec(host, ["timeout", "120", "sh", "-c", FIREWALLD])
        lab.exec("z", ["sh", "-c", WIREGUARD_IN])
    untouched = looks(lab)
    stack, environment_file = job_stack(tmp_path / "job", lab)
    (stack.folder / "__main__.py").unlink()
    project = (stack.folder / "Pulumi.yaml").read_text()
    lay(program_of(earlier, tmp_path / "before"), stack.folder)
    (stack.folder / "Pulumi.yaml").write_text(project)
    stack.environment["PYTHONPATH"] = str(stack.folder)
    job = Deployment(lab, stack, environment_file, untouched)
    job.write(filtered_by(request.param))
    job.up()
    # Typed here: what an earlier version asks for, it says in its own words.
    lab.exec("r2", ["ip", "route", "replace", VPN, "via", "192.168.200.248"])
    job.connect("e")
    assert job.comes_to_reach("e", D)
    return job


def filtered_by(firewall: str) -> str:
    """The environment with this word for hub and gateways."""
    gateways = re.sub(r"^  - name: ([ac])\n", rf"  - name: \1\n    firewall: {firewall}\n", ENVIRONMENT, flags=re.MULTILINE)
    return gateways.replace("  endpoint: ", f"  firewall: {firewall}\n  endpoint: ")


def test_an_earlier_installation_is_taken_over_without_losing_a_packet(before: Deployment) -> None:
    kept = pinned(before.stack)
    project = (before.stack.folder / "Pulumi.yaml").read_text()
    lay(CLONE, before.stack.folder)
    (before.stack.folder / "Pulumi.yaml").write_text(project)
    assert losses(before.stack) == []
    with pinging(before.lab, "e", D) as answered:
        before.up()
    assert lost(answered) == []
    assert pinned(before.stack) == kept
    before.stack.pulumi("preview", "--expect-no-changes")
    assert before.reaches("e", B)

    disconnect(before.lab, "e")
    before.lab.exec("r2", ["ip", "route", "flush", "exact", VPN])
    before.stack.destroy()
    now = looks(before.lab)
    assert {host: now[host] for host in HOSTS} == {host: before.before[host] for host in HOSTS}
