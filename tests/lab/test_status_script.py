"""The host script's `status` on a host of namespaces: each thing that may go wrong is one precise line, and a repair ends it.

The tests of one class break one thing after another on the same host, in the order of this file; its last test repairs all of them at once.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import Office, Sandbox

from wg_office.hosts import hostscript
from wg_office.network.plan import plan
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
STRANGER = "c3RyYW5nZXJzdHJhbmdlcnN0cmFuZ2Vyc3RyYW5nZTE="
CURRENT, DUMP = "/etc/wg-office/current", "/run/stand-in/wg/wg0"


@pytest.fixture(scope="module")
def host() -> Iterator[Office]:
    environment = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, environment, plan(environment)[0])
        office.install()
        yield office


@pytest.fixture(scope="module")
def generation(host: Office) -> str:
    return host.sandbox.shell(f"readlink -f {CURRENT}").strip()


def breaks(host: Office, command: str) -> list[str]:
    """The lines that a command adds to the drift."""
    before = host.drift()
    host.sandbox.shell(command)
    return [line for line in host.drift() if line not in before]


def test_a_host_without_an_installation_says_so() -> None:
    with Sandbox("203.0.113.10/24") as sandbox:
        said = sandbox.run(hostscript.status_command("root"), hostscript.scripts().host).stdout.splitlines()
    assert "generation none" in said
    assert not [line for line in said if line.startswith(("drift ", "peer ", "deployment ", "description"))]


class TestFilesAndSettings:
    def test_a_healthy_host_has_no_drift(self, host: Office) -> None:
        assert host.drift() == []

    def test_versions_clock_owner_and_peers_are_said(self, host: Office) -> None:
        said = host.status()
        assert "\nversion systemd 252\n" in said
        assert "\nversion wireguard-tools 1.0.20210914\n" in said
        assert "\ndeployment 00000000000000aa\n" in said
        assert said.startswith("time ")
        for name in "acef":
            assert f"\npeer {host.public(name)} 0 0 0 " in said
        assert said.endswith(f"\ndescription\n{host.description()}")

    def test_a_changed_file_is_named(self, host: Office, generation: str) -> None:
        file = f"{generation}/files/run/sysctl.d/50-wg-office.conf"
        assert breaks(host, f"echo '# mine' >>{file}") == [f"file {file} was changed"]

    def test_a_changed_script_is_named(self, host: Office, generation: str) -> None:
        assert breaks(host, f"echo '# mine' >>{generation}/wg-office") == [f"file {generation}/wg-office was changed"]

    def test_a_mode_that_lets_others_write_is_named(self, host: Office, generation: str) -> None:
        file = f"{generation}/files/etc/systemd/system/wg-office.service"
        assert breaks(host, f"chmod 0666 {file}") == [f"file {file} has mode 0666, not 0644"]

    @pytest.mark.parametrize("path", ["wg-office", "files/nftables.nft", "description"])
    def test_whose_a_file_is_counts(self, host: Office, generation: str, path: str) -> None:
        lines = breaks(host, f"chown 65534:65534 {generation}/{path}")
        host.sandbox.shell(f"chown root:root {generation}/{path}")
        assert lines == [f"file {generation}/{path} belongs to nobody:nogroup, not root:root"]

    def test_a_program_that_others_may_write_is_named(self, host: Office, generation: str) -> None:
        lines = breaks(host, f"chmod 0666 {generation}/wg-office")
        host.sandbox.shell(f"chmod 0644 {generation}/wg-office")
        assert lines == [f"file {generation}/wg-office has mode 0666: others may write to it"]

    def test_a_later_file_that_takes_a_setting_back_is_seen_before_the_next_start(self, host: Office) -> None:
        (line,) = breaks(host, "echo 'net.ipv4.ip_forward=0' >/etc/sysctl.d/99-mine.conf")
        host.sandbox.shell("rm /etc/sysctl.d/99-mine.conf")
        assert line.startswith("sysctl net.ipv4.ip_forward will be 0, not as we need it, when all settings are read again")
        assert " /etc/sysctl.d/99-mine.conf says so " in line

    def test_a_link_that_became_a_file_is_named(self, host: Office) -> None:
        name = "/run/systemd/network/50-wg0.network"
        assert breaks(host, f"rm {name} && echo '[Match]' >{name}") == [f"file {name} was replaced"]

    def test_a_file_that_networkd_would_prefer_is_named(self, host: Office) -> None:
        name = "/etc/systemd/network/50-wg0.netdev"
        assert breaks(host, f"echo '[NetDev]' >{name}") == [f"file {name} comes before ours"]
        host.sandbox.shell(f"rm {name}")

    def test_a_link_that_is_gone_is_named(self, host: Office) -> None:
        name = "/etc/systemd/networkd.conf.d/50-wg-office.conf"
        assert breaks(host, f"rm {name}") == [f"file {name} is missing"]

    def test_a_host_that_forgot_its_owner_is_told(self, host: Office) -> None:
        assert breaks(host, "rm /etc/wg-office/deployment") == ["file /etc/wg-office/deployment does not name the owner"]

    def test_a_changed_setting_is_told_with_both_values(self, host: Office) -> None:
        assert breaks(host, "sysctl -qw net.ipv4.ip_forward=0") == ["sysctl net.ipv4.ip_forward is 0, not 1"]

    def test_a_lost_route_is_named(self, host: Office) -> None:
        assert breaks(host, "ip route del 192.168.200.0/24") == ["route 192.168.200.0/24 dev wg0 is missing"]

    def test_a_route_that_only_begins_like_ours_is_none(self, host: Office) -> None:
        far = "ip link add wg01 type veth peer name far-wg01 && ip link set wg01 up && ip route replace 192.168.201.0/24 dev wg01"
        assert breaks(host, far) == ["route 192.168.201.0/24 dev wg0 is missing"]

    def test_a_disabled_unit_is_named(self, host: Office) -> None:
        assert breaks(host, "systemctl disable wg-office.service") == ["unit wg-office.service is not enabled"]

    def test_a_tunnel_that_networkd_let_go_is_told(self, host: Office) -> None:
        assert breaks(host, "touch /run/stand-in/unmanaged") == ["systemd-networkd does not manage wg0"]

    def test_a_tunnel_in_a_vrf_is_named(self, host: Office) -> None:
        # the kernel here has no VRF; a bridge shows the same in /sys
        taken = "ip link add vrf0 type bridge; ip link set wg0 master vrf0"
        assert breaks(host, taken) == ["interface wg0 is in another one (a VRF?), under whose name the rules do not judge it"]

    def test_a_missing_prohibition_is_named(self, host: Office) -> None:
        line = "routing rule iif wg0 fwmark 0/0x40000000 prohibit is missing (IPv6)"
        assert breaks(host, "ip -6 rule del priority 10") == [line]

    def test_rules_that_only_the_host_knows_are_compared_too(self, host: Office, generation: str) -> None:
        file = f"{generation}/files/host.nft"
        lines = breaks(host, f"sed -i 's/ drop$/ accept/' {file}")
        host.sandbox.shell(f"sed -i 's/ accept$/ drop/' {file}")
        assert lines[0] == f"file {file} was changed"
        assert lines[1].startswith("firewall rules differ (2 missing, 2 more): meta nfproto ipv4 iifname")

    def test_a_rule_that_is_gone_is_shown(self, host: Office) -> None:
        (line,) = breaks(host, "nft flush chain inet wg_office clamp")
        assert line.startswith('firewall rules differ (4 missing, 0 more): iifname "wg0" meta nfproto ipv4 tcp flags')

    def test_a_rule_that_is_not_ours_is_shown(self, host: Office) -> None:
        (line,) = breaks(host, "nft insert rule inet wg_office to-host accept")
        assert line == "firewall rules differ (4 missing, 1 more): accept is not ours"

    def test_all_of_it_is_repaired_by_one_apply(self, host: Office) -> None:
        assert len(host.drift()) == 14
        host.install(repair="1")
        assert host.drift() == []

    def test_what_stood_in_a_links_place_does_not_come_back_at_the_removal(self, host: Office) -> None:
        assert host.sandbox.run("find /etc/wg-office/before/files -type f").stdout == ""


class TestTunnel:
    def test_a_peer_that_was_taken_away_is_named(self, host: Office) -> None:
        key = host.public("e")
        assert breaks(host, f"sed -i '\\|^{key}|d' {DUMP}") == [f"peer {key} is missing on wg0"]

    def test_a_peer_that_nobody_knows_is_named(self, host: Office) -> None:
        command = rf"printf '{STRANGER}\t(none)\t(none)\t10.70.9.9/32\t0\t0\t0\toff\n' >>{DUMP}"
        assert breaks(host, command) == [f"peer {STRANGER} on wg0 is unknown"]

    def test_another_preshared_key_is_told_and_neither_is_shown(self, host: Office) -> None:
        theirs, key = host.secret_keys["f:preshared"], host.public("f")
        assert breaks(host, f"sed -i 's|{theirs}|{STRANGER}|' {DUMP}") == [f"preshared key of peer {key} is another one"]

    def test_other_allowed_addresses_are_told_with_both(self, host: Office) -> None:
        line = f"allowed addresses of peer {host.public('f')} is 10.70.0.0/24, not 10.70.0.5/32"
        assert breaks(host, f"sed -i 's|10.70.0.5/32|10.70.0.0/24|' {DUMP}") == [line]

    def test_another_port_is_told(self, host: Office) -> None:
        assert breaks(host, f"sed -i '1s/51820/51821/' {DUMP}") == ["port of wg0 is 51821, not 51820"]

    def test_another_private_key_is_told_and_neither_is_shown(self, host: Office) -> None:
        assert breaks(host, f"sed -i '1s|^[^\t]*|{STRANGER}|' {DUMP}") == ["private key of wg0 is another one"]

    def test_another_mtu_is_told(self, host: Office) -> None:
        assert breaks(host, "ip link set wg0 mtu 1400") == ["mtu of wg0 is 1400, not 1280"]

    def test_an_address_that_is_not_ours_is_named(self, host: Office) -> None:
        assert breaks(host, "ip address add 10.99.0.1/24 dev wg0") == ["address 10.99.0.1/24 on wg0 is not ours"]

    def test_an_open_key_file_is_named(self, host: Office) -> None:
        file = f"/etc/wg-office/keys/{host.names['z'].private_name}"
        assert breaks(host, f"chmod 0644 {file}") == [f"key file {file} is open to others"]

    def test_no_key_is_shown_whatever_differs(self, host: Office) -> None:
        said = host.status()
        assert [name for name, key in host.secret_keys.items() if key in said] == []
        dump = host.sandbox.shell(f"cat {DUMP}")
        assert [name for name, key in host.secret_keys.items() if key in dump] != [], "the search would have found one"

    def test_nothing_has_to_be_written_to_look(self, host: Office) -> None:
        before = host.drift()
        frozen = "; ".join(f"mount --bind {place} {place} && mount -o remount,bind,ro {place}" for place in ("/etc", "/run", "/tmp"))
        command = (
            f"unshare --mount sh -c '{frozen}; touch /run/x 2>/dev/null && echo drift not frozen; {hostscript.status_command('root')}'"
        )
        said = host.sandbox.run(command, hostscript.scripts().host)
        assert (said.returncode, said.stderr) == (0, "")
        assert [line.removeprefix("drift ") for line in said.stdout.splitlines() if line.startswith("drift ")] == before

    def test_all_of_it_is_repaired_by_one_apply(self, host: Office) -> None:
        assert len(host.drift()) == 9
        host.install(repair="2")
        assert host.drift() == []


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        ("ip link del wg0; nft delete table inet wg_office", {"interface wg0 is missing", "firewall table inet wg_office is missing"}),
        ("ip link set wg0 down", {"interface wg0 is down"}),
        ("ip address del 10.70.0.1/16 dev wg0", {"address 10.70.0.1/16 is missing on wg0"}),
        ("rm -r /etc/wg-office/keys", {"key file /etc/wg-office/keys/"}),
        (f"rm $(readlink -f {CURRENT}/files/run/systemd/network/50-wg0.netdev)", {"/50-wg0.netdev is missing"}),
        (f"rm {CURRENT}/description", {"/description is missing"}),
        (f"rm -r $(readlink -f {CURRENT})", set()),
        ("rm -r /etc/wg-office", set()),
    ],
)
def test_what_takes_more_with_it_is_told_and_repaired(host: Office, command: str, lines: set[str]) -> None:
    host.sandbox.shell(command)
    said = host.status()
    assert all(line in said for line in lines)
    assert lines or "\ngeneration none\n" in said
    host.install(repair=json.dumps(command).translate({ord(char): "-" for char in '" $;/()'}))
    assert host.drift() == []


def test_a_change_that_awaits_its_confirmation_is_told_and_is_no_drift(host: Office) -> None:
    description = host.description(repair="pending")
    assert host.sandbox.run(hostscript.apply_command("root"), description).returncode == 75
    host.sandbox.shell("sysctl -qw net.ipv4.ip_forward=0")
    said = host.status()
    assert "\npending " in said
    assert "drift sysctl" not in said
    done = host.sandbox.run(f"bash {CURRENT}/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")
    assert done.returncode == 0, done.stderr
    assert "\nrolled-back " in host.status()


def test_pings_are_answered_for_and_a_refusal_counts_from_the_address_itself_alone(host: Office) -> None:
    said = host.status("".join(f"ping 192.0.2.{last}\n" for last in (1, 2, 3, 4)))
    answers = {line for line in said.splitlines() if line.startswith("ping ")}
    assert answers == {"ping 192.0.2.1 answered", "ping 192.0.2.2 refused", "ping 192.0.2.3 silent", "ping 192.0.2.4 silent"}


def test_by_hand_it_ends_without_input_and_without_the_description(host: Office) -> None:
    done = host.sandbox.run(f"bash {CURRENT}/wg-office status </dev/zero")
    assert done.returncode == 0
    assert "\ndescription" not in done.stdout
    assert "\ngeneration " in done.stdout
