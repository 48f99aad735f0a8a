"""`wg-office new`: what it writes is what `check` accepts, whatever forms the answers come in."""

from dataclasses import replace
from pathlib import Path

import pytest
from surely import ssh_of

from wg_office.reading.load import inspect, load
from wg_office.reading.new import Answers, free_vpn, new_environment

PLAIN = Answers("office", "203.0.113.10", "beijing", "192.168.200.0/24", "192.168.200.248", "198.51.100.7", "alice")


def written(folder: Path, answers: Answers) -> Path:
    file = folder / "office.yaml"
    file.write_text(new_environment(answers))
    return file


@pytest.mark.parametrize(
    "answers",
    [
        PLAIN,
        replace(PLAIN, gateway_ssh="ops@198.51.100.7:2222", hub_ssh="root@203.0.113.10:22", platform="windows", return_path="masquerade"),
        replace(PLAIN, endpoint="203.0.113.10:443"),
        replace(PLAIN, endpoint="2001:db8::1", gateway_ssh="root@[2001:db8::7]:2222"),
        replace(PLAIN, endpoint="[2001:db8::1]:443", gateway_ssh="2001:db8::7"),
        replace(PLAIN, lan="10.70.0.0/16", lan_address="10.70.0.2"),
    ],
    ids=lambda answers: f"{answers.endpoint} {answers.lan} {answers.gateway_ssh}",
)
def test_check_accepts_what_it_writes_without_a_word(tmp_path: Path, answers: Answers) -> None:
    report = inspect(written(tmp_path, answers), require_host_keys=False)
    assert [str(fault) for fault in (*report.faults, *report.warnings)] == []


@pytest.mark.parametrize(
    ("lan", "address"), [("10.0.0.0/9", "10.0.0.2"), ("172.16.0.0/13", "172.16.0.2"), ("192.168.1.0/24", "192.168.1.2")]
)
def test_a_lan_that_others_use_too_is_written_and_warned_of(tmp_path: Path, lan: str, address: str) -> None:
    report = inspect(written(tmp_path, replace(PLAIN, lan=lan, lan_address=address)), require_host_keys=False)
    assert report.faults == ()
    assert {warning.path for warning in report.warnings} == {"gateways[0].lan.cidr"}


def test_answers_arrive_where_they_belong(tmp_path: Path) -> None:
    env = load(
        written(tmp_path, replace(PLAIN, gateway_ssh="ops@[2001:db8::7]:2222", endpoint="203.0.113.10:443")), require_host_keys=False
    )
    assert (env.hub.endpoint.port, ssh_of(env.hub).host) == (443, "203.0.113.10")
    ssh = ssh_of(env.gateways[0])
    assert (ssh.host, ssh.port, ssh.user) == ("2001:db8::7", 2222, "ops")
    assert env.known_hosts == "office.known_hosts"


def test_a_wrong_answer_is_named_by_check_with_its_line(tmp_path: Path) -> None:
    faults = inspect(written(tmp_path, replace(PLAIN, lan_address="192.168.1.1", gateway_ssh="not a host")), require_host_keys=False).faults
    assert [fault.path for fault in faults] == ["gateways[0].lan.address", "gateways[0].ssh.host"]
    assert all(fault.line for fault in faults)


def test_vpn_keeps_clear_of_the_lan_and_of_everybodys_defaults() -> None:
    assert free_vpn("192.168.200.0/24") == "10.70.0.0/16"
    assert free_vpn("10.71.0.0/16") == "10.72.0.0/16"
    assert free_vpn("10.0.0.0/8") == "172.16.0.0/16"
