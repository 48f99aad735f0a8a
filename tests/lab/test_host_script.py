"""The host script by itself on a real host of the lab: what it does with a change that is confirmed, is not, or is wrong."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab import Lab
from wg_office.environment.model import Environment
from wg_office.hosts import hostscript, keys
from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED as UNCONFIRMED
from wg_office.hosts.hostscript import BUSY, FOREIGN, REJECTED, ROLLED_BACK
from wg_office.hosts.render import render_description
from wg_office.network.plan import HostPlan, plan
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
OWNER, STRANGER = "00000000000000aa", "00000000000000bb"
SECONDS = 120


class Host:
    """The lab's hub with its description, and a connection of its own for each run of the script."""

    def __init__(self, lab: Lab, environment: Environment) -> None:
        self.lab, self.plan = lab, replace(plan(environment)[0], rollback_after=30)
        self.secrets = {peer.name: peer.name.ljust(keys.SECRET_LENGTH, "x") for peer in environment.peers}
        self.names = {name: keys.names(secret, keys.private_key(secret)) for name, secret in self.secrets.items()}

    def description(self, plan: HostPlan | None = None, owner: str = OWNER, edit: Callable[[str], str] = str) -> str:
        return edit(render_description(plan or self.plan, self.names, owner, hostscript.scripts()))

    def with_mtu(self, mtu: int) -> str:
        assert self.plan.tunnel is not None
        return self.description(replace(self.plan, tunnel=replace(self.plan.tunnel, mtu=mtu)))

    def run(self, command: str, stdin: str) -> subprocess.CompletedProcess[str]:
        argv = [*self.lab.ssh_command("z"), command]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=SECONDS, check=False)

    def apply(self, description: str) -> subprocess.CompletedProcess[str]:
        return self.run(hostscript.apply_command("root"), description)

    def install(self, description: str) -> None:
        assert self.apply(description).returncode == UNCONFIRMED
        confirmed = self.apply(description)
        assert confirmed.returncode == 0, confirmed.stderr

    def put_keys(self, owner: str = OWNER) -> subprocess.CompletedProcess[str]:
        private = keys.private_key(self.secrets["z"])
        held = {keys.key_name("private", private): private}
        for name in self.secrets:
            shared = keys.preshared_key(self.secrets[name])
            held[keys.key_name("preshared", shared)] = shared
        return self.run(hostscript.keys_command("root", "keys"), hostscript.key_lines(owner, held))

    def shell(self, script: str) -> str:
        return self.lab.exec("z", ["sh", "-c", script], check=False).stdout.strip()

    @property
    def mtu(self) -> str:
        return self.shell("cat /sys/class/net/wg0/mtu 2>/dev/null")

    @property
    def generation(self) -> str:
        return self.shell("readlink /etc/wg-office/current")

    def await_mtu(self, mtu: str) -> None:
        end = time.monotonic() + SECONDS
        while self.mtu != mtu:
            assert time.monotonic() < end, f"the mtu is {self.mtu}, not {mtu}"
            time.sleep(1)


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    lab.reset_node("z")
    lab.wait("z")
    made = Host(lab, load(ROOT / "configs" / "dev.yaml", require_host_keys=False))
    done = made.put_keys()
    assert done.returncode == 0, done.stderr
    made.install(made.description())
    return made


def test_what_is_in_place_already_is_left_alone(host: Host) -> None:
    before = host.generation
    assert host.apply(host.description()).returncode == 0
    assert host.generation == before
    assert host.mtu == "1280"


def test_networkd_leaves_the_peers_of_a_later_change_alone(host: Host) -> None:
    tunnel = host.plan.tunnel
    assert tunnel is not None
    host.install(host.description(replace(host.plan, tunnel=replace(tunnel, peers=tunnel.peers[:-1]))))
    # Each new MTU is an event at which networkd looks at the link again.
    seen = host.shell("for mtu in 1281 1280 1281 1280; do ip link set wg0 mtu $mtu; sleep 1; wg show wg0 peers | wc -l; done")
    assert host.put_keys().returncode == 0, "the key of the peer that was gone is needed again"
    host.install(host.description())
    assert set(seen.split()) == {str(len(tunnel.peers) - 1)}


@pytest.mark.matrix
def test_a_change_without_a_second_connection_is_taken_back(host: Host) -> None:
    before = host.generation
    assert host.apply(host.with_mtu(1300)).returncode == UNCONFIRMED
    assert host.mtu == "1300"
    host.await_mtu("1280")
    assert host.generation == before
    assert host.apply(host.with_mtu(1300)).returncode == ROLLED_BACK, "a late retry must not apply it again"


@pytest.mark.matrix
def test_somebody_elses_unconfirmed_change_is_not_interrupted(host: Host) -> None:
    assert host.apply(host.with_mtu(1310)).returncode == UNCONFIRMED
    refused = host.apply(host.with_mtu(1320))
    assert refused.returncode == BUSY
    assert "awaits its confirmation" in refused.stderr
    host.await_mtu("1280")


def test_a_service_that_flushes_rules_meanwhile_gets_those_of_the_pending_change(host: Host) -> None:
    assert host.plan.policy is not None
    fewer = replace(host.plan, policy=replace(host.plan.policy, from_tunnel=host.plan.policy.from_tunnel[:-1]), rollback_after=300)
    assert host.apply(host.description(fewer)).returncode == UNCONFIRMED
    before = host.shell("nft -s list table inet wg_office")
    host.shell("systemctl restart nftables")
    assert host.shell("nft -s list table inet wg_office") == before
    assert host.apply(host.description(fewer)).returncode == 0, "and nothing is left to be applied again"
    host.install(host.description())
    # what the service has brought itself
    host.shell("nft delete table inet filter")


def test_rules_that_nft_refuses_change_nothing(host: Host) -> None:
    before = host.generation
    broken = host.description(edit=lambda text: text.replace("type filter hook forward", "type filter hook sideways", 1))
    refused = host.apply(broken)
    assert refused.returncode == REJECTED
    assert "nothing was changed" in refused.stderr
    assert (host.generation, host.mtu) == (before, "1280")
    assert host.shell("ls /etc/wg-office/gen | wc -l") == "1"


def test_a_key_that_is_missing_changes_nothing(host: Host) -> None:
    before = host.generation
    name = host.names["z"].private_name
    refused = host.apply(host.description(edit=lambda text: text.replace(name, "private-0000000000000000")))
    assert refused.returncode == REJECTED
    assert (host.generation, host.mtu) == (before, "1280")


def test_a_host_of_another_deployment_is_refused(host: Host) -> None:
    before = host.generation
    for refused in (host.apply(host.description(owner=STRANGER)), host.put_keys(owner=STRANGER)):
        assert refused.returncode == FOREIGN
        assert f"belongs to deployment {OWNER}" in refused.stderr
    assert host.generation == before


@pytest.mark.matrix
def test_a_reboot_before_the_confirmation_boots_the_old_state(host: Host) -> None:
    assert host.apply(host.with_mtu(1330)).returncode == UNCONFIRMED
    host.lab.reboot("z")
    host.await_mtu("1280")
    assert host.shell("nft list table inet wg_office | grep -c 'hook forward'") != "0"


def test_keys_are_for_root_and_networkd_alone(host: Host) -> None:
    modes = host.shell("stat -c '%a %U:%G' /etc/wg-office/keys/*")
    assert set(modes.splitlines()) == {"640 root:systemd-network"}


@pytest.mark.matrix
def test_rules_that_do_not_load_at_boot_leave_no_tunnel_until_they_do(host: Host) -> None:
    rules = "/etc/wg-office/current/files/nftables.nft"
    host.shell(f"cp {rules} /root/kept; truncate -s 300 {rules}")
    host.lab.reboot("z")
    assert host.shell("systemctl is-failed wg-office; systemctl is-active systemd-networkd; ls /sys/class/net/wg0 2>&1 | head -1") == (
        "failed\nactive\nls: cannot access '/sys/class/net/wg0': No such file or directory"
    )
    host.shell(f"cp /root/kept {rules}; systemctl restart wg-office")
    host.await_mtu("1280")
    assert "jump from-tunnel" in host.shell("nft list table inet wg_office")


def test_the_prohibition_stands_after_networkd_has_started_again_and_wg0_was_made_anew(host: Host) -> None:
    wanted = "iif wg0 prohibit"
    host.shell("systemctl restart systemd-networkd; ip link del wg0; networkctl reload")
    host.await_mtu("1280")
    assert host.shell(f"ip -4 rule | grep -c '{wanted}'; ip -6 rule | grep -c '{wanted}'") == "1\n1"
    host.install(host.description(replace(host.plan, rollback_after=31)))


def test_removal_takes_everything_away(host: Host) -> None:
    description = host.description()
    assert host.run(hostscript.remove_command("root"), description).returncode == 0
    left = host.shell(
        "ls -d /etc/wg-office /run/systemd/network/50-wg0.* /sys/class/net/wg0 2>/dev/null; nft list tables; sysctl -n net.ipv4.ip_forward"
    )
    assert left == "0"
