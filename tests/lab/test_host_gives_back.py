"""The host script gives back what it took, once: what an administrator chooses afterwards is his. On a host of namespaces."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sandbox import Office, Sandbox, planned

from wg_office.hosts import hostscript
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
MARTIANS = "net.ipv4.conf.all.log_martians"


@pytest.fixture
def host() -> Iterator[Office]:
    with Sandbox("203.0.113.10/24") as sandbox:
        yield Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))


@pytest.fixture
def router() -> Iterator[Office]:
    """A LAN's router: no tunnel, one route."""
    with Sandbox("192.168.201.1/24") as sandbox:
        yield Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "router"))


def with_martians(description: str) -> str:
    return description.replace("net.ipv4.ip_forward = 1\n", f"net.ipv4.ip_forward = 1\n{MARTIANS} = 1\n")


def setting(host: Office) -> str:
    return host.sandbox.shell(f"sysctl -n {MARTIANS}").strip()


class TestSettings:
    def test_one_that_is_no_longer_ours_is_given_back_and_then_the_administrators(self, host: Office) -> None:
        host.install(edit=with_martians)
        assert setting(host) == "1"
        host.install()
        assert setting(host) == "0"
        host.sandbox.shell(f"sysctl -qw {MARTIANS}=1")
        host.install(repair="1")
        assert setting(host) == "1"
        host.remove()
        assert setting(host) == "1"

    def test_one_that_was_changed_while_it_was_ours_is_not_set_back_over_it(self, host: Office) -> None:
        host.install(edit=with_martians)
        host.sandbox.shell(f"sysctl -qw {MARTIANS}=2")
        host.install()
        assert setting(host) == "2"

    def test_one_that_an_earlier_version_of_ours_still_remembers_is_left_alone(self, host: Office) -> None:
        host.install()
        host.sandbox.shell(f"echo '{MARTIANS} 0' >>/etc/wg-office/before/sysctl; sysctl -qw {MARTIANS}=1")
        host.install(repair="1")
        host.remove()
        assert setting(host) == "1"

    def test_one_that_is_ours_again_is_remembered_anew(self, host: Office) -> None:
        host.install(edit=with_martians)
        host.install()
        host.sandbox.shell(f"sysctl -qw {MARTIANS}=2")
        host.install(edit=with_martians)
        host.remove()
        assert setting(host) == "2"

    def test_status_tells_of_those_alone_that_are_ours(self, host: Office) -> None:
        host.install(edit=with_martians)
        host.install()
        host.sandbox.shell(f"sysctl -qw {MARTIANS}=1")
        assert host.drift() == []


def test_a_route_of_a_change_that_never_came_into_force_is_remembered_anew(router: Office) -> None:
    other = "10.99.0.0/16"

    def with_other(description: str) -> str:
        return description.replace("10.70.0.0/16 via", f"{other} via 192.168.201.247\n10.70.0.0/16 via")

    router.install()
    assert router.apply(router.description(edit=with_other)).returncode == 75
    # The host starts again, and with it forgets what was not confirmed.
    router.sandbox.shell(f"ip route del {other}; rm -r /run/wg-office /run/stand-in/units/*.timer.active")
    router.sandbox.shell(f"ip route add {other} via 192.168.201.9")
    router.install(edit=with_other)
    router.remove()
    assert f"{other} via 192.168.201.9" in router.sandbox.shell("ip route show")


V4, V6 = "10.70.0.0/16", "fd70::/64"
NEXTHOPS = (
    "ip nexthop add id 5 via 192.168.201.2 dev lan0; ip nexthop add id 6 via 192.168.201.3 dev lan0; ip nexthop add id 7 group 5/6,2;"
    "ip nexthop add id 15 via fd00:1::2 dev lan0"
)
KINDS = ("unreachable", "blackhole", "prohibit", "throw")
ROUTES = {
    "-4": [
        *(f"{kind} PREFIX" for kind in KINDS),
        "unreachable PREFIX metric 50",
        "blackhole PREFIX proto static mtu 1300",
        "PREFIX via 192.168.201.9 dev lan0",
        "PREFIX via 192.168.201.9 dev lan0 metric 7",
        "PREFIX dev lan0 scope global",
        "PREFIX via inet6 fe80::5 dev lan0",
        "PREFIX via 192.168.201.9 src 192.168.201.1 mtu lock 1300 rto_min 5ms",
        "PREFIX nexthop via 192.168.201.9 weight 2 nexthop via 192.168.201.8",
        "PREFIX proto static mtu 1300 nexthop dev lan0 nexthop via 192.168.201.9 dev lan0 onlink",
        "PREFIX nhid 5",
        "PREFIX nhid 7",
        "PREFIX tos 0x10 via 192.168.201.9",
    ],
    "-6": [
        *(f"{kind} PREFIX" for kind in KINDS),
        "unreachable PREFIX proto static metric 50",
        "PREFIX via fd00:1::9",
        "PREFIX via fd00:1::9 metric 7 pref high",
        "PREFIX nexthop via fd00:1::9 weight 2 nexthop via fd00:1::8",
        "PREFIX nhid 15",
    ],
}
REFUSED = {
    f"ip route add {V4} via 192.168.201.9; ip route append {V4} via 192.168.201.8": f"ip -4 route del {V4}",
    f"ip -6 route add {V6} dev lan0; ip -6 route append {V6} dev far-lan0": f"ip -6 route del {V6} metric 1024",
    f"ip -6 route add {V6} via fd00:1::9 expires 1000": f"ip -6 route del {V6} metric 1024",
}


def with_ways(*ways: str) -> Callable[[str], str]:
    return lambda description: description.replace(f"{V4} via", "\n".join([*ways, f"{V4} via"]))


def routes(host: Office) -> str:
    return host.sandbox.shell("ip -o route; ip -o -6 route; ip route show table all | grep 'table [0-9]' || true")


class TestRoutes:
    def test_one_of_any_kind_is_given_back_as_it_was(self, router: Office) -> None:
        own = [("-4", f"10.{n}.0.0/16", route) for n, route in enumerate(ROUTES["-4"], 71)]
        own += [("-6", f"fd{n}::/64", route) for n, route in enumerate(ROUTES["-6"], 71)]
        commands = [f"ip {family} route add {route.replace('PREFIX', prefix)}" for family, prefix, route in own]
        router.sandbox.shell("\n".join([f"set -e; ip address add fd00:1::1/64 dev lan0 nodad; {NEXTHOPS}", *commands]))
        before = routes(router)
        ways = [f"{prefix} via {'fd00:1::247' if family == '-6' else '192.168.201.247'}" for family, prefix, _ in own]
        router.install(edit=with_ways(*ways))
        assert all(f"{way} dev lan0 proto static" in routes(router) for way in ways)
        router.remove()
        assert routes(router) == before

    def test_one_that_a_change_took_away_is_back_when_it_was_undone(self, router: Office) -> None:
        router.sandbox.shell(f"ip route add unreachable {V4}")
        before = routes(router)
        assert router.apply(router.description()).returncode == 75
        router.sandbox.shell("bash /etc/wg-office/gen/*/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")
        assert routes(router) == before

    def test_what_could_not_be_given_back_as_it_was_is_refused_with_the_way_out(self, router: Office) -> None:
        router.sandbox.shell("ip address add fd00:1::1/64 dev lan0 nodad")
        with_six = with_ways(f"{V6} via fd00:1::247")
        for own, remedy in REFUSED.items():
            router.sandbox.shell(own)
            said = router.refused(router.description(edit=with_six))
            assert f"could not be put back as it is when wg-office leaves: delete it ('{remedy}'); nothing was changed" in said
            while router.sandbox.run(remedy).returncode == 0:
                pass
        router.install(edit=with_six)

    def test_one_that_an_administrator_has_set_in_the_place_of_ours_stays(self, router: Office) -> None:
        router.sandbox.shell(f"ip route add {V4} via 192.168.201.9")
        router.install()
        router.sandbox.shell(f"ip route replace {V4} via 192.168.201.8")
        router.remove()
        assert f"{V4} via 192.168.201.8" in routes(router)

    @pytest.mark.parametrize(
        "remembered", [V4, "via 192.168.77.1 dev gone0"], ids=["by an older version of ours", "where its interface has gone"]
    )
    def test_one_that_cannot_be_given_back_is_told_and_all_else_is_taken_away(self, router: Office, remembered: str) -> None:
        router.install()
        router.sandbox.shell(f"echo '{V4} {remembered}' >/etc/wg-office/before/routes")
        done = router.sandbox.run(hostscript.remove_command("root"), router.description())
        assert done.returncode == 0, done.stderr
        assert f"wg-office: note: this host's own route to {V4} ('{remembered}') could not be put back: set it again" in done.stderr
        assert router.sandbox.run("ls -d /etc/wg-office /run/wg-office*").stdout == ""


class TestNetworkd:
    def test_it_is_switched_off_again_where_it_was_off(self, host: Office) -> None:
        host.sandbox.shell("systemctl disable systemd-networkd; systemctl stop systemd-networkd")
        host.install()
        host.remove()
        assert host.sandbox.run("systemctl is-enabled systemd-networkd || systemctl is-active systemd-networkd").returncode != 0

    def test_it_stays_where_somebody_else_has_come_to_need_it(self, host: Office) -> None:
        host.sandbox.shell("systemctl disable systemd-networkd; systemctl stop systemd-networkd")
        host.install()
        host.sandbox.shell("echo '     Network File: /etc/systemd/network/10-eth0.network' >/run/stand-in/networkctl-status")
        host.remove()
        host.sandbox.shell("systemctl is-enabled systemd-networkd && systemctl is-active systemd-networkd")

    def test_its_wait_for_the_network_is_enabled_again_where_it_was(self, host: Office) -> None:
        host.sandbox.shell("systemctl disable systemd-networkd; systemctl enable systemd-networkd-wait-online")
        host.install()
        host.sandbox.shell("! systemctl is-enabled systemd-networkd-wait-online")
        host.remove()
        host.sandbox.shell("systemctl is-enabled systemd-networkd-wait-online")


def test_after_the_removal_nothing_is_left_in_run_nor_in_etc(host: Office, router: Office) -> None:
    for each in (host, router):
        each.install()
        each.remove()
        assert each.sandbox.run("ls -d /etc/wg-office /run/wg-office* /etc/systemd/network/50-wg0.*").stdout == ""


class TestOthersTables:
    """Where iptables speaks through nft its first use of a chain makes it, in the tables of others too."""

    RULES = "iptables-nft -w -A FORWARD -i eth9 -j ACCEPT && iptables-nft -w -t nat -A POSTROUTING -o eth9 -j MASQUERADE"
    LOOK = "nft -s list ruleset | grep -v '^$'"

    def test_a_table_that_was_there_has_the_chains_that_it_had(self, host: Office) -> None:
        host.sandbox.shell(self.RULES)
        host.plan = replace(host.plan, firewall="iptables")
        was = host.sandbox.shell(self.LOOK)
        host.install()
        assert "chain INPUT" in host.sandbox.shell(self.LOOK)
        host.remove()
        assert host.sandbox.shell(self.LOOK) == was

    def test_a_chain_that_somebody_uses_or_closes_meanwhile_stays(self, host: Office) -> None:
        host.sandbox.shell(self.RULES)
        host.plan = replace(host.plan, firewall="iptables")
        host.install()
        host.sandbox.shell("iptables-nft -w -A INPUT -i eth9 -j ACCEPT && iptables-nft -w -P OUTPUT DROP")
        host.remove()
        assert {"-A INPUT -i eth9 -j ACCEPT", "-P OUTPUT DROP"} <= set(host.sandbox.shell("iptables-nft -w -S").splitlines())
