"""A tunnel that wg-quick has made, on a host whose line says `takes_over: wg-quick`: taken over as it runs, and given back.

The real script in namespaces (sandbox.py). That no session ends is seen with real WireGuard, in test_adopt_on_hosts.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from bootunit import POWER_OFF, boot
from sandbox import UNCONFIRMED, Office, Sandbox, planned

from wg_office.hosts import hostscript, keys
from wg_office.reading.load import load

ENVIRONMENT = load(Path(__file__).resolve().parents[2] / "configs" / "dev.yaml", require_host_keys=False)
PLAN = planned(ENVIRONMENT, "gateway", "c")
UNIT = "wg-quick@wg0"
LINKS = "ls /run/systemd/network 2>/dev/null || true"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("192.168.200.248/24") as sandbox:
        sandbox.shell("touch /run/stand-in/unmanaged")
        yield sandbox


@pytest.fixture
def host(sandbox: Sandbox) -> Office:
    """With a tunnel made by hand: the keys and the address that it will have, an MTU and a route of its own."""
    office = Office(sandbox, ENVIRONMENT, replace(PLAN, takes_over="wg-quick"))
    by_hand(office)
    return office


def by_hand(host: Office) -> None:
    private, preshared = keys.private_key(host.secrets["c"]), keys.preshared_key(host.secrets["c"])
    lines = ["[Interface]", f"PrivateKey = {private}", "ListenPort = 51820", "[Peer]", f"PublicKey = {host.public('z')}"]
    lines += [f"PresharedKey = {preshared}", "AllowedIPs = 10.70.0.0/16", "Endpoint = 203.0.113.10:51820", "PersistentKeepalive = 25"]
    config = "\n".join(lines)
    host.sandbox.shell(
        f"""
        echo {host.public("c")} >/run/stand-in/public
        mkdir -p /etc/wireguard && printf '%s\\n' '{config}' >/etc/wireguard/wg0.conf
        ip link add wg0 type wireguard && wg setconf wg0 /etc/wireguard/wg0.conf
        ip address add 10.70.0.3/32 dev wg0 && ip address add 10.99.0.3/32 dev wg0 && ip link set wg0 mtu 1380 up
        ip route add 10.70.0.0/16 dev wg0 && ip route add 192.168.201.0/24 dev wg0
        systemctl enable {UNIT} && systemctl start {UNIT}
        """
    )


def looking_real(host: Office) -> Office:
    """Here wg0 is a veth, and the kernel says so."""
    host.sandbox.shell("echo DEVTYPE=wireguard >/run/uevent && mount --bind /run/uevent /sys/devices/virtual/net/wg0/uevent")
    return host


def seen(host: Office) -> str:
    """The tunnel as it is, and whether wg-quick makes it at a boot."""
    return host.sandbox.shell(
        f"""
        cat /sys/class/net/wg0/ifindex /sys/class/net/wg0/mtu; wg showconf wg0; ip -o -4 address show dev wg0 | cut -d' ' -f7 | sort
        ip route show dev wg0 | sort; systemctl -q is-enabled {UNIT} && echo enabled || echo disabled; {LINKS}
        """
    )


def index(host: Office) -> str:
    return host.sandbox.shell("cat /sys/class/net/wg0/ifindex")


def test_it_is_configured_as_it_runs_and_networkd_does_not_hear_of_it(host: Office) -> None:
    was = index(host)
    host.install()
    assert host.drift() == []
    assert (index(host), host.sandbox.shell(LINKS)) == (was, "")
    assert "unmanaged" in host.sandbox.shell("networkctl --no-legend list wg0")
    assert host.sandbox.run(f"systemctl -q is-enabled {UNIT}").returncode != 0


def test_its_old_configuration_is_readable_for_root_alone(host: Office) -> None:
    host.install()
    assert set(host.sandbox.shell("stat -c %a:%U /etc/wg-office/before/tunnel/*").split()) == {"600:root"}


def test_a_second_change_and_a_repair_find_it_the_same(host: Office) -> None:
    host.install()
    was = index(host)
    host.install(repair="2026-11-29T09:00:00Z")
    assert (index(host), host.drift(), host.sandbox.shell(LINKS)) == (was, [], "")


def test_a_change_that_nobody_confirms_leaves_it_as_it_was(host: Office) -> None:
    was = seen(host)
    host.put_keys()
    assert host.apply(host.description()).returncode == UNCONFIRMED
    assert seen(host) != was
    unit = host.sandbox.shell("cut -d' ' -f2 /run/wg-office/armed").strip()
    done = host.sandbox.run(f"bash /etc/wg-office/gen/*/wg-office rollback {unit}")
    assert done.returncode == 0, done.stderr
    assert seen(host) == was
    assert host.sandbox.run("ls /etc/wg-office/before /run/wg-office/found-tunnel").returncode != 0


def test_the_removal_gives_it_back_as_it_was(host: Office) -> None:
    was = seen(host)
    host.install()
    host.remove()
    assert seen(host) == was
    assert host.sandbox.run("ls /etc/wg-office").returncode != 0


def test_after_a_boot_it_is_networkds_and_the_removal_has_wg_quick_make_it_again(host: Office) -> None:
    host.install()
    host.sandbox.shell(f"rm -r /run/wg-office; rm /run/stand-in/units/{UNIT}.active; ip link del wg0; ip link add wg0 type wireguard")
    boot(host.sandbox)
    assert host.sandbox.shell(LINKS) == "50-wg0.netdev\n50-wg0.network\n"
    host.install(repair="2026-11-29T09:00:00Z")
    assert host.drift() == []
    host.remove()
    said = host.sandbox.shell(f"{LINKS}; systemctl is-active {UNIT} && systemctl is-enabled {UNIT} && echo wg-quicks")
    assert said == "wg-quicks\n"


def test_one_that_somebody_deletes_is_made_by_networkd(host: Office) -> None:
    host.install()
    host.sandbox.shell("ip link del wg0")
    assert "interface wg0 is missing" in host.drift()
    host.install(repair="2026-11-29T09:00:00Z")
    assert host.drift() == []
    assert host.sandbox.shell(LINKS) == "50-wg0.netdev\n50-wg0.network\n"


def test_a_file_that_wg_quick_writes_itself_is_given_back(host: Office) -> None:
    file = "/etc/wireguard/wg0.conf"
    host.sandbox.shell(f"echo 'SaveConfig = true' >>{file}")
    was = host.sandbox.shell(f"cat {file}")
    host.install()
    host.sandbox.shell(f"echo ours >{file}")
    host.remove()
    assert host.sandbox.shell(f"cat {file}") == was


def test_who_does_not_ask_for_it_is_told_that_it_can_be(sandbox: Sandbox) -> None:
    host = Office(sandbox, ENVIRONMENT, PLAN)
    by_hand(host)
    host.put_keys()
    said = looking_real(host).refused(host.description())
    assert "wg0 is there already (wg-quick@wg0?): have it taken over as it runs (takes_over: wg-quick on this host)" in said


def test_one_that_runs_with_another_key_is_refused_since_all_sessions_would_end(host: Office) -> None:
    host.put_keys()
    host.sandbox.shell(f"sed -i '1s#^[^\\t]*#{keys.private_key(host.secrets['a'])}#' /run/stand-in/wg/wg0")
    said = host.refused(host.description())
    assert "wg0 runs with another key than the file gives this host: keep it (adopt_key: true" in said
    assert keys.private_key(host.secrets["a"]) not in said


def test_peers_that_the_file_lacks_are_named(host: Office) -> None:
    stranger = keys.public_key(keys.private_key("stranger".ljust(keys.SECRET_LENGTH, "x")))
    host.sandbox.shell(f"printf '{stranger}\\t(none)\\t(none)\\t10.70.0.77/32\\t0\\t0\\t0\\toff\\n' >>/run/stand-in/wg/wg0")
    host.put_keys()
    done = host.apply(host.description())
    assert done.returncode == UNCONFIRMED
    assert f"wg0 has peers that are not in the file, and they are cut off: {stranger}\n" in done.stderr


ALL_TRAFFIC = "sed -i '1s/off$/0xca6c/' /run/stand-in/wg/wg0"


@pytest.mark.parametrize("change", ["rm /etc/wireguard/wg0.conf", "rm /run/stand-in/unmanaged", ALL_TRAFFIC])
def test_what_is_not_wg_quicks_or_carries_all_traffic_is_refused(host: Office, change: str) -> None:
    host.sandbox.shell(change)
    host.put_keys()
    assert "wg0 is there already, and not wg-quick's, which takes_over asks for" in looking_real(host).refused(host.description())


def killed_before(line: str, when: str = "true") -> Callable[[str], str]:
    """The program, killed where that line of it would be next."""

    def edit(description: str) -> str:
        assert f"\n  {line}\n" in description
        return description.replace(f"\n  {line}\n", f"\n  if {when}; then kill -KILL $$; fi\n  {line}\n")

    return edit


FORWARD = '[ -n "$1" ]'
STEPS = ["remember_tables", 'remember_routes "$1" "$2"', 'put_sysctl "$1" "$2"', 'put_tunnel "$1" "$2"', 'put_routes "$1" "$2"']


@pytest.mark.parametrize("step", STEPS)
def test_a_change_that_is_killed_leaves_it_as_it_was(host: Office, step: str) -> None:
    was = seen(host)
    host.put_keys()
    done = host.apply(host.description(edit=killed_before(step, FORWARD)))
    assert "the host holds its old state" in done.stderr
    assert seen(host) == was


def starts_again(host: Office) -> None:
    """Without a generation in force: wg-quick, if it is enabled, makes the tunnel anew."""
    host.sandbox.shell(POWER_OFF)
    host.sandbox.shell(f"rm /run/stand-in/wg/wg0 /run/stand-in/units/{UNIT}.active; touch /run/stand-in/unmanaged")
    by_hand(host)


def test_a_boot_amid_a_change_makes_no_difference_for_the_next_one(host: Office) -> None:
    host.put_keys()
    assert host.apply(host.description()).returncode == UNCONFIRMED
    starts_again(host)
    was = seen(host)
    host.install()
    assert (index(host), host.drift(), host.sandbox.shell(LINKS)) == (was.splitlines()[0] + "\n", [], "")
    assert host.sandbox.run(f"systemctl -q is-enabled {UNIT}").returncode != 0
    host.remove()
    assert seen(host) == was


def test_until_a_change_is_in_force_a_boot_finds_wg_quick_enabled(host: Office) -> None:
    host.put_keys()
    cut = host.description(edit=killed_before('make_current "$1"'))
    assert host.apply(cut).returncode == UNCONFIRMED
    assert host.apply(cut).returncode not in (0, UNCONFIRMED)
    assert host.sandbox.run("ls /etc/wg-office/current").returncode != 0
    host.sandbox.shell(f"systemctl -q is-enabled {UNIT}")


def test_a_removal_that_is_cut_short_leaves_something_that_makes_it_at_a_boot(host: Office) -> None:
    host.install()
    host.sandbox.run(hostscript.remove_command("root"), host.description(edit=killed_before('activate "" "$gen"')))
    host.sandbox.shell(f"systemctl -q is-enabled {UNIT}")


WG_FAILS = "mount --bind /run/stand-in/wg/wg0 /run/stand-in/wg/wg0"
NOT_GIVEN_BACK = [(WG_FAILS, "interface wg0 is not as it was found"), ("ip link del wg0", "interface wg0 is missing")]


@pytest.mark.parametrize(("damage", "said"), NOT_GIVEN_BACK)
def test_what_a_roll_back_could_not_give_back_is_said(host: Office, damage: str, said: str) -> None:
    host.put_keys()
    assert host.apply(host.description()).returncode == UNCONFIRMED
    host.sandbox.shell(damage)
    unit = host.sandbox.shell("cut -d' ' -f2 /run/wg-office/armed").strip()
    done = host.sandbox.run(f"bash /etc/wg-office/gen/*/wg-office rollback {unit}")
    assert said in done.stderr, done


def test_a_removal_does_without_the_directory_and_the_unit_of_wg_quick(host: Office) -> None:
    host.sandbox.shell("echo 'SaveConfig = true' >>/etc/wireguard/wg0.conf")
    host.install()
    drop_ins = f"/etc/systemd/system/{UNIT}.service.d"
    host.sandbox.shell(f"rm -r /etc/wireguard; mkdir -p {drop_ins}; ln -s /nowhere {drop_ins}/x")
    host.remove()
    assert host.sandbox.run("ls /etc/wg-office").returncode != 0
    assert host.sandbox.shell("stat -c %a /etc/wireguard") == "700\n"


def test_another_address_of_the_same_network_comes_and_goes(host: Office) -> None:
    host.sandbox.shell(
        """
        echo 0 >/proc/sys/net/ipv4/conf/wg0/promote_secondaries
        ip address flush dev wg0 scope global; ip address add 10.70.0.99/24 dev wg0; ip address add 10.70.0.98/24 dev wg0
        ip route replace 10.70.0.0/16 dev wg0; ip route replace 192.168.201.0/24 dev wg0
        """
    )
    was = seen(host)
    host.install(edit=lambda text: text.replace("\nAddress=10.70.0.3/32\n", "\nAddress=10.70.0.3/24\n"))
    assert host.drift() == []
    host.remove()
    assert seen(host) == was


def test_a_repair_before_the_boot_finds_it_ours_where_the_file_does_not_say_so_any_more(host: Office) -> None:
    host.install()
    was = index(host)
    host.sandbox.shell("rm /etc/wg-office/current")
    host.plan = PLAN
    looking_real(host).install(repair="2026-11-29T09:00:00Z")
    assert (index(host), host.drift(), host.sandbox.shell(LINKS)) == (was, [], "")


BY_ANOTHER_NAME = [("interface wg0\n", "interface wg1\n"), ("50-wg0.", "50-wg1."), ("Name=wg0", "Name=wg1"), ("Port=51820", "Port=51829")]


def by_another_name(text: str) -> str:
    for old, new in BY_ANOTHER_NAME:
        text = text.replace(old, new)
    return text


def test_beside_a_tunnel_of_ours_by_another_name_none_is_taken_over(host: Office) -> None:
    host.sandbox.shell("ip route del 10.70.0.0/16; ip address del 10.70.0.3/32 dev wg0; rm /run/stand-in/unmanaged")
    host.install(edit=by_another_name)
    host.sandbox.shell("touch /run/stand-in/unmanaged")
    assert "wg0 is there already" in looking_real(host).refused(host.description())


def test_in_a_vrf_it_is_not_taken_over(host: Office) -> None:
    host.sandbox.shell("ip link add over0 type bridge && ip link set wg0 master over0")
    host.put_keys()
    assert "wg0 is there already" in looking_real(host).refused(host.description())


def test_a_file_of_wg_quick_that_is_a_persons_is_no_difference(host: Office) -> None:
    host.sandbox.shell("echo 'SaveConfig = true' >>/etc/wireguard/wg0.conf; chown 1000:1000 /etc/wireguard/wg0.conf")
    host.install()
    assert host.drift() == []
    host.remove()
    assert host.sandbox.shell("stat -c %u:%a /etc/wireguard/wg0.conf") == "1000:644\n"


def test_what_it_had_not_is_written_out_for_older_tools(host: Office) -> None:
    host.sandbox.shell(r"sed -i '2s/^\([^\t]*\)\t[^\t]*/\1\t(none)/; 2s/25$/off/' /run/stand-in/wg/wg0")
    host.install()
    remembered = host.sandbox.shell("cat /etc/wg-office/before/tunnel/config").splitlines()
    assert {"PresharedKey = " + "A" * 43 + "=", "PersistentKeepalive = 0"} < set(remembered)


def test_the_removal_leaves_a_peer_where_it_has_gone_since_and_a_roll_back_does_not(host: Office) -> None:
    was = seen(host)
    elsewhere = f"wg set wg0 peer {host.public('z')} endpoint 203.0.113.99:51820"
    host.put_keys()
    assert host.apply(host.description()).returncode == UNCONFIRMED
    host.sandbox.shell(elsewhere)
    unit = host.sandbox.shell("cut -d' ' -f2 /run/wg-office/armed").strip()
    assert host.sandbox.run(f"bash /etc/wg-office/gen/*/wg-office rollback {unit}").returncode == 0
    assert seen(host) == was
    host.sandbox.shell("rm -f /run/wg-office/rolled-back; touch /run/stand-in/unmanaged")
    host.install()
    host.sandbox.shell(elsewhere)
    host.remove()
    assert seen(host) == was.replace("203.0.113.10:", "203.0.113.99:")


def test_under_another_name_later_the_removal_has_wg_quick_make_the_first(host: Office) -> None:
    host.install()
    host.install(edit=by_another_name)
    assert host.drift() == []
    assert host.sandbox.run(f"systemctl -q is-enabled {UNIT}").returncode != 0
    host.remove()
    host.sandbox.shell(f"systemctl -q is-enabled {UNIT} && systemctl is-active {UNIT}")
    assert host.sandbox.run("ls /sys/class/net/wg0 /sys/class/net/wg1 /etc/wg-office 2>/dev/null").stdout == ""


@pytest.mark.parametrize("booted", [False, True])
def test_the_line_may_go(host: Office, booted: bool) -> None:
    was = seen(host)
    host.install()
    if booted:
        boot(host.sandbox)
        host.sandbox.shell("ip link add wg0 type wireguard")
    host.plan = PLAN
    host.install()
    if booted:
        host.install(repair="2026-11-29T09:00:00Z")
    assert host.drift() == []
    assert bool(host.sandbox.shell(LINKS)) is booted
    host.remove()
    host.remove()
    host.sandbox.shell(f"systemctl -q is-enabled {UNIT}")
    assert booted or seen(host) == was
