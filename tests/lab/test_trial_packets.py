"""`python -m lab try`: an environment file on machines made for it, in a lab beside the clone's own.

`make test` has the same attempts meet the same rules in namespaces (test_trial_namespaces.py).
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.aptsources import RELEASES
from lab.trial.case import Options, case_of
from lab.trial.run import Trial, environment, machines, try_file

CLONE = Path(__file__).resolve().parents[2]
CONFIGS = CLONE / "configs"
DEV = CONFIGS / "dev.yaml"
EXPECT = """
expect:
  - {who: f, reaches: {site: beijing, hosts: [192.168.200.244], ports: [22/tcp]}}
  - {who: f, never_reaches: {site: shenzhen, ports: [22/tcp]}}
"""
SITUATIONS = CLONE.parent / "shared" / "cases"
"""Beside the clone, where somebody has them. (tests/unit/test_cases.py has what the others are told.)"""
SERVED = (
    *("01-pi-behind-cgnat", "08-cloud-subnet-behind-hub", "09-hub-with-dynamic-name", "16-name-server-nobody-granted"),
    *("17-fifteen-hundred-peers", "18-windows-laptop-in-the-office", "19-gateway-is-the-lans-router", "21-pppoe-mtu"),
    *("22-pivpn-on-the-gateway", "23-docker-on-hub-and-gateway", "27-rocky-linux-host", "28-lost-laptop"),
)
REPORTED = [name for name in SERVED if (SITUATIONS / name).is_dir()]
pytestmark = [pytest.mark.vm, pytest.mark.matrix]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The demo's file with statements, deployed."""
    file = tmp_path_factory.mktemp("office") / "office.yaml"
    file.write_text(DEV.read_text(encoding="utf-8") + EXPECT, encoding="utf-8")
    made = Trial(CLONE, case_of(file))
    with machines(made):
        made.deploy()
        yield made


def test_an_interrupted_try_ends_its_machine() -> None:
    lab = Lab(CLONE, quiet=True, environ=environment(CLONE))
    command = [sys.executable, "-m", "lab", "try", str(DEV)]
    with subprocess.Popen(command, cwd=CLONE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not lab.running and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        assert lab.running
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
    assert (process.returncode, lab.running) == (128 + signal.SIGTERM, False), said


def test_packets_say_what_the_file_says(trial: Trial) -> None:
    verdict = trial.attempt()
    assert list(verdict.sentences()) == []
    assert (verdict.status, verdict.plan.untried, [bool(each.connections) for each in verdict.stated]) == (0, (), [True, True])


def test_a_rule_that_was_taken_away_by_hand_is_named_by_its_permission(trial: Trial) -> None:
    trial.lab.exec("g2", ["nft", "flush", "chain", "inet", "wg_office", "via-developer-f"])
    verdict = trial.attempt()
    lines = trial.case.document.line(("developers", 1, "access", 0)), trial.case.document.line(("expect", 0))
    assert verdict.status == 3
    assert {said.partition(", which ")[2].partition(":")[0] for said in verdict.sentences()} == {
        f"line {lines[0]}, developers[1].access[0] grants",
        f"line {lines[1]}, expect[0] says",
    }
    assert all(said.startswith("developer f (10.70.0.5) does not reach site beijing (192.168.200.244) on ") for said in verdict.sentences())


def assert_all_is_as_the_file_says(file: Path, capsys: pytest.CaptureFixture[str], release: str | None = None) -> None:
    status = try_file(CLONE, file, Options(), release, as_json=False)
    told = capsys.readouterr().out
    assert (status, told.splitlines()[-1].rpartition(": ")[2]) == (0, "all as the file says"), told


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_each_example_says_what_packets_say_on_each_release(file: Path, release: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Hosts differ by their nft, systemd and kernel's tools: Debian 11's nft took no end date on one port, where all others did."""
    assert_all_is_as_the_file_says(file, capsys, release)


@pytest.mark.parametrize("name", REPORTED)
def test_each_reported_situation_that_is_served_says_what_packets_say(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_all_is_as_the_file_says(SITUATIONS / name / "env.yaml", capsys)
