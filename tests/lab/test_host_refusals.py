"""The host script refuses, before anything is changed, what would take from others or cannot work. On a host of namespaces."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from netaddr import IPNetwork
from sandbox import Office, Sandbox, planned

from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED
from wg_office.network.plan import HostPlan
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
PORT_IN_USE = """
python3 -c 'import socket, time
s = socket.socket(socket.{family}, socket.SOCK_DGRAM); s.bind(("{address}", 51820)); print("bound", flush=True); time.sleep(600)' \
    >/run/bound 2>&1 & echo $! >/run/bound.pid
until grep -q bound /run/bound; do sleep 0.05; done
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("192.168.200.248/24") as made:
        yield made


def office(sandbox: Sandbox, plan: HostPlan) -> Office:
    made = Office(sandbox, ENVIRONMENT, plan)
    made.put_keys()
    return made


@pytest.fixture
def gateway(sandbox: Sandbox) -> Office:
    return office(sandbox, planned(ENVIRONMENT, "gateway", ENVIRONMENT.gateway_of("beijing").name))


@pytest.fixture
def hub(sandbox: Sandbox) -> Office:
    """Its routes: both LANs and the VPN."""
    sandbox.shell("ip address flush dev lan0 scope global; ip address add 203.0.113.10/24 dev lan0")
    return office(sandbox, planned(ENVIRONMENT, "hub"))


def renamed(plan: HostPlan, interface: str) -> HostPlan:
    assert plan.tunnel is not None
    return replace(plan, tunnel=replace(plan.tunnel, interface=interface))


class TestInterface:
    @pytest.mark.parametrize(("name", "kind"), [("wg0", "veth"), ("br0", "bridge"), ("bond7", "bond"), ("dummy0", "dummy")])
    def test_one_that_is_there_already_is_left_alone_whatever_it_is(self, gateway: Office, name: str, kind: str) -> None:
        added = gateway.sandbox.run(f"/usr/sbin/ip link add {name} type {kind}")
        if added.returncode and kind != "veth":
            gateway.sandbox.shell(f"/usr/sbin/ip link add {name} type veth peer name far-other")
        gateway.plan = renamed(gateway.plan, name)
        assert f"{name} is there already" in gateway.refused(gateway.description())
        gateway.sandbox.shell(f"ip link del {name}")
        gateway.install()

    def test_our_own_is_no_other_neither_after_its_files_are_gone(self, gateway: Office) -> None:
        gateway.install()
        gateway.install(repair="1")
        gateway.sandbox.shell("rm -r /etc/wg-office")
        gateway.install(repair="2")

    def test_a_second_name_that_is_taken_is_refused_beside_the_one_in_force(self, gateway: Office) -> None:
        gateway.install()
        gateway.sandbox.shell("ip link add wg7 type veth peer name far-wg7")
        gateway.plan = renamed(gateway.plan, "wg7")
        assert "wg7 is there already" in gateway.refused(gateway.description())

    def test_another_name_takes_the_place_of_the_first(self, gateway: Office) -> None:
        gateway.install()
        gateway.plan = renamed(gateway.plan, "wg7")
        gateway.install()
        assert gateway.drift() == []
        assert gateway.sandbox.run("ip link show wg0").returncode != 0
        # and back, by the timer
        gateway.plan = renamed(gateway.plan, "wg8")
        assert gateway.apply(gateway.description()).returncode == APPLIED_UNCONFIRMED
        gateway.sandbox.shell("bash /etc/wg-office/current/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)")
        assert gateway.drift() == []
        assert gateway.sandbox.run("ip link show wg8").returncode != 0


class TestPort:
    @pytest.mark.parametrize(("family", "address"), [("AF_INET", "0.0.0.0"), ("AF_INET", "192.168.200.248"), ("AF_INET6", "::")])
    def test_one_that_another_process_has_is_refused_with_its_name_and_the_setting(
        self, gateway: Office, family: str, address: str
    ) -> None:
        gateway.sandbox.shell(PORT_IN_USE.format(family=family, address=address))
        said = gateway.refused(gateway.description())
        gateway.sandbox.shell("kill $(cat /run/bound.pid)")
        assert "UDP port 51820 is in use by python3: stop that, or give the gateway another one (listen_port)" in said
        gateway.install()

    def test_the_hub_is_told_of_its_endpoint(self, sandbox: Sandbox) -> None:
        hub = office(sandbox, planned(ENVIRONMENT, "hub"))
        sandbox.shell(PORT_IN_USE.format(family="AF_INET", address="0.0.0.0"))
        said = hub.refused(hub.description())
        sandbox.shell("kill $(cat /run/bound.pid)")
        assert "give the hub another one (hub.endpoint, hub.listen_port)" in said

    def test_our_own_is_no_others(self, gateway: Office) -> None:
        gateway.install()
        gateway.sandbox.shell(PORT_IN_USE.format(family="AF_INET", address="0.0.0.0"))  # as the kernel's own socket is seen
        gateway.install(repair="1")
        gateway.sandbox.shell("kill $(cat /run/bound.pid)")


class TestOwnNetworks:
    @pytest.mark.parametrize(
        ("address", "link", "ours"),
        [
            ("192.168.200.5/24", "lan0", "192.168.200.0/24"),
            ("192.168.201.1/22", "lan0", "192.168.201.0/24"),
            ("192.168.200.1/24", "docker0", "192.168.200.0/24"),
            ("192.168.200.1/24", "virbr0", "192.168.200.0/24"),
            ("10.70.0.9/16", "lan0", "10.70.0.1/16"),
            ("10.64.0.1/10", "lan0", "10.70.0.1/16"),
        ],
    )
    def test_one_that_a_route_of_ours_would_replace_is_refused_with_its_interface(
        self, hub: Office, address: str, link: str, ours: str
    ) -> None:
        hub.sandbox.shell(f"[ -e /sys/class/net/{link} ] || ip link add {link} type veth peer name far-{link}; ip link set {link} up")
        hub.sandbox.shell(f"ip address add {address} dev {link}")
        said = hub.refused(hub.description())
        assert f"is this host's own network ({link}), and {ours} (dev wg0) would take its place" in said
        hub.sandbox.shell(f"ip address del {address} dev {link}")
        hub.install()

    @pytest.mark.parametrize("command", ["ip address add 192.168.200.129/25 dev lan0", "ip address add 10.70.9.1/24 dev lan0"])
    def test_one_inside_a_wider_prefix_of_ours_stays_reachable_and_is_no_fault(self, hub: Office, command: str) -> None:
        hub.sandbox.shell(command)
        hub.install()

    def test_a_route_that_somebody_has_set_by_hand_is_no_network_of_the_hosts(self, hub: Office) -> None:
        hub.sandbox.shell("ip route add 192.168.200.0/24 via 203.0.113.1; ip route add 192.168.201.0/24 dev lan0")
        hub.install()

    def test_what_is_in_force_already_is_no_reason_to_refuse_the_next_change(self, hub: Office) -> None:
        hub.install()
        hub.sandbox.shell("ip address add 192.168.200.129/23 dev lan0")
        hub.install(repair="1")

    def test_a_router_is_asked_too(self, sandbox: Sandbox) -> None:
        router = office(sandbox, planned(ENVIRONMENT, "router"))
        sandbox.shell("ip address add 10.70.3.1/16 dev lan0")
        assert "10.70.0.0/16 is this host's own network (lan0), and 10.70.0.0/16 (via 192.168.201.247)" in router.refused(
            router.description()
        )


class TestAdvertisedRoutes:
    ADVERTISED = "sysctl -qw net.ipv6.conf.lan0.accept_ra={}; ip -6 route add default via fe80::2 dev lan0 proto ra expires 1800"

    @pytest.fixture
    def six(self, sandbox: Sandbox) -> Office:
        environment = ENVIRONMENT.model_copy(update={"network": ENVIRONMENT.network.model_copy(update={"cidr6": IPNetwork("fd70::/64")})})
        sandbox.shell("ip address flush dev lan0 scope global; ip address add 203.0.113.10/24 dev lan0")
        return office(sandbox, planned(environment, "hub"))

    def test_a_default_route_that_forwarding_would_take_away_is_refused_with_the_setting_that_keeps_it(self, six: Office) -> None:
        six.sandbox.shell(self.ADVERTISED.format(1))
        assert "lan0 has its IPv6 route by router advertisement" in six.refused(six.description())
        six.sandbox.shell("sysctl -qw net/ipv6/conf/lan0/accept_ra=2")
        six.install()
        assert "proto ra" in six.sandbox.shell("ip -6 route show default")

    def test_without_ipv6_in_the_vpn_nothing_is_asked(self, gateway: Office) -> None:
        gateway.sandbox.shell(self.ADVERTISED.format(1))
        gateway.install()


class TestKeys:
    def test_a_key_that_two_peers_have_is_refused_with_both_names(self, hub: Office) -> None:
        said = hub.refused(hub.description(edit=lambda text: text.replace(hub.public("f"), hub.public("a"))))
        assert f"a, gateway of shenzhen and f, developer have the same public key ({hub.public('a')})" in said

    def test_a_peer_with_the_hosts_own_key_is_refused(self, hub: Office) -> None:
        said = hub.refused(hub.description(edit=lambda text: text.replace(hub.public("f"), hub.public("z"))))
        assert f"f, developer has the public key of this host ({hub.public('z')})" in said


class TestFilesOfOthers:
    @pytest.mark.parametrize("kind", ["netdev", "network"])
    def test_one_that_networkd_would_read_in_place_of_ours_is_named_and_nothing_is_changed(self, gateway: Office, kind: str) -> None:
        file = f"/etc/systemd/network/50-wg0.{kind}"
        gateway.sandbox.shell(f"mkdir -p /etc/systemd/network && echo theirs >{file}")
        assert f"{file} is somebody else's, and would be taken instead of ours: move it away" in gateway.refused(gateway.description())
        gateway.sandbox.shell(f"rm {file}")
        gateway.install()
