"""The host script and the firewall that a host has: refused before anything changes, tried, undone, changed, removed. On a real host."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_host_script import Host

from lab import Lab
from wg_office.environment.model import Firewall
from wg_office.hosts import hostscript
from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED as UNCONFIRMED
from wg_office.hosts.hostscript import UNFIT
from wg_office.network.plan import HostPlan
from wg_office.network.plan import plan as plans
from wg_office.reading.load import load

# How a host's own firewall is handed over depends on its release more than on a change of ours, and firewalld is slow on an emulated host.
pytestmark = pytest.mark.matrix
ROOT = Path(__file__).resolve().parents[2]
POLICIES = "wg-office-host wg-office-in wg-office-out"
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)


def plan(firewall: Firewall, *, f_may: bool = True) -> HostPlan:
    """The hub with that firewall, where f may do what the file says, or nothing."""
    e, f = ENVIRONMENT.developers
    env = ENVIRONMENT.model_copy(
        update={
            "hub": ENVIRONMENT.hub.model_copy(update={"firewall": firewall}),
            "developers": (e, f if f_may else f.model_copy(update={"access": ()})),
        }
    )
    return replace(plans(env)[0], rollback_after=300)


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    lab.up()
    lab.reset_node("z")
    made = Host(lab, ENVIRONMENT)
    assert made.put_keys().returncode == 0
    return made


def refused(host: Host, firewall: Firewall) -> str:
    """The one line with which the host refuses; it is as it was."""
    before = host.shell("nft -s list ruleset; ls -R /etc/firewalld /etc/wg-office")
    done = host.apply(host.description(plan(firewall)))
    assert done.returncode == UNFIT
    assert host.shell("nft -s list ruleset; ls -R /etc/firewalld /etc/wg-office") == before
    assert not host.shell("ls -d /sys/class/net/wg0 2>/dev/null")
    (line,) = done.stderr.splitlines()
    return line


def policies(host: Host) -> str:
    return host.shell("firewall-cmd --get-policies | tr ' ' '\\n' | grep wg-office | sort | xargs")


def files(host: Host) -> str:
    return host.shell("find /etc/firewalld -printf '%y %P %l\\n' | sort")


@pytest.mark.parametrize(("firewall", "tool", "package"), [("iptables", "iptables-restore", "iptables"), ("nftables", "nft", "nftables")])
def test_a_firewall_that_is_not_there_is_named(host: Host, firewall: Firewall, tool: str, package: str) -> None:
    host.shell(f"mv /usr/sbin/{tool} /root/")
    try:
        done = host.apply(host.description(plan(firewall)))
    finally:
        host.shell(f"mv /root/{tool} /usr/sbin/")
    assert (done.returncode, done.stderr) == (UNFIT, f"wg-office: this host lacks: {tool}; install with: apt-get install {package}\n")


def test_firewalld_that_does_not_run_is_refused(host: Host) -> None:
    assert "firewalld, but it does not run on this host: run 'systemctl enable --now firewalld'" in refused(host, "firewalld")


def await_firewalld(host: Host) -> None:
    """It counts as started before its rules are loaded. Until Debian 12 these chains end in `_pre` and `_post`."""
    loaded = "firewall-cmd --state && nft list table inet firewalld | grep -q 'chain filter_FORWARD_POLICIES'"
    host.lab.exec("z", ["sh", "-c", f"until {loaded}; do sleep 0.2; done"], timeout=120)


@pytest.fixture(scope="module")
def with_firewalld(host: Host) -> Host:
    host.lab.exec("z", ["systemctl", "enable", "--now", "firewalld"])
    await_firewalld(host)
    return host


@pytest.mark.parametrize("firewall", ["nftables", "iptables"])
def test_beside_a_running_firewalld_no_other_firewall_is_taken(with_firewalld: Host, firewall: Firewall) -> None:
    assert "firewalld runs on this host, and would not let the tunnel's packets pass: set firewall: firewalld" in refused(
        with_firewalld, firewall
    )


def test_settings_that_a_reload_would_lose_are_not_lost(with_firewalld: Host) -> None:
    with_firewalld.shell("firewall-cmd -q --zone=work --add-port=4321/tcp")
    assert "keep them with 'firewall-cmd --runtime-to-permanent'" in refused(with_firewalld, "firewalld")
    with_firewalld.shell("firewall-cmd -q --zone=work --remove-port=4321/tcp")


def test_policies_that_nobody_confirms_go_again(with_firewalld: Host) -> None:
    host, before = with_firewalld, files(with_firewalld)
    assert host.apply(host.description(plan("firewalld"))).returncode == UNCONFIRMED
    assert policies(host) == POLICIES
    host.lab.exec("z", ["sh", "-c", "systemctl start --wait $(cut -d' ' -f2 /run/wg-office/armed).service"])
    assert host.mtu == ""
    assert policies(host) == ""
    assert files(host) == before


def test_a_reboot_forgets_policies_that_were_not_confirmed(with_firewalld: Host) -> None:
    host = with_firewalld
    assert host.apply(host.description(plan("firewalld", f_may=False))).returncode == UNCONFIRMED
    host.lab.reboot("z")
    await_firewalld(host)
    assert policies(host) == ""


@pytest.fixture(scope="module")
def installed(with_firewalld: Host) -> Host:
    with_firewalld.install(with_firewalld.description(plan("firewalld")))
    return with_firewalld


def test_a_change_of_grants_leaves_firewalld_alone(installed: Host) -> None:
    installed.shell("firewall-cmd -q --zone=work --add-port=4321/tcp")
    installed.install(installed.description(plan("firewalld", f_may=False)))
    assert "10.70.0.5 : jump" not in installed.shell("nft list chain inet wg_office from-tunnel")
    assert installed.shell("firewall-cmd --zone=work --list-ports") == "4321/tcp"
    assert installed.shell("firewall-cmd --policy=wg-office-in --list-rich-rules") == ""


def test_a_reload_of_firewalld_leaves_the_tunnel_its_way_past_the_iptables_of_others(installed: Host) -> None:
    handed_over = "iptables-save | grep WG-OFFICE"
    before = installed.shell(handed_over)
    assert before
    installed.shell("firewall-cmd -q --reload")
    end = time.monotonic() + 60
    while installed.shell(handed_over) != before:
        assert time.monotonic() < end


def test_removal_takes_the_policies_away_and_nothing_of_others(installed: Host) -> None:
    installed.shell("firewall-cmd -q --permanent --zone=work --add-port=4322/tcp; firewall-cmd -q --zone=work --add-port=4323/tcp")
    description = installed.description(plan("firewalld"))
    unsaved = installed.run(hostscript.remove_command("root"), description)
    assert unsaved.returncode == UNFIT
    assert policies(installed) == POLICIES
    installed.shell("firewall-cmd -q --reload")
    assert installed.run(hostscript.remove_command("root"), description).returncode == 0
    assert (policies(installed), installed.shell("systemctl list-units --plain --no-legend 'wg-office*'")) == ("", "")
    assert "wg-office" not in files(installed)
    assert installed.shell("firewall-cmd --zone=work --list-ports") == "4322/tcp"
