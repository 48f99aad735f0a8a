"""A laptop is carried into an office and home again: which way its packets take with each file, seen where they arrive.

Then the same network gets IPv6, in `make test-matrix`. One deployment is taken through it all, in the order of this file; each fixture is
one change of it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from deployment import (
    ENVIRONMENT,
    LAPTOPS,
    B,
    D,
    Deployment,
    disconnect,
    do_by_hand,
    fresh,
    job_stack,
)
from pings import lost, pinging

from lab import Lab
from wg_office.people.profiles import tunnel_name

DEV = ENVIRONMENT.replace("environment: job", "environment: dev").replace("      - {{developer: e}}\n", "")
WITH_IPV6 = DEV.replace("{{cidr: 10.70.0.0/16,", "{{cidr: 10.70.0.0/16, cidr6: fd70::/64,")
HUB6, E6, F6 = "fd70::1", "fd70::4", "fd70::5"
KINDS = ("everyday", "exact", "at-shenzhen", "at-beijing")

IN_THE_TUNNEL, IN_THE_LAN = "10.70.0.4", r"192\.168\.200\.1[0-4]\d"
"""e's address in the VPN, and those that Beijing's DHCP server gives out."""

AS_A_DESKTOP_DOES = "a=$(ip route show exact {0} dev eth0); ip route add $a dev eth0 metric 100; ip route del $a dev eth0 metric 0"
"""NetworkManager and systemd-networkd give the route of a LAN a metric; the lab's DHCP client leaves it to the kernel, which gives none."""


class Office(Deployment):
    """A deployment, laptops that use one file or another, and eyes at the devices."""

    def start(self, laptop: str, kind: str) -> str:
        """Put one of a developer's files on the laptop, in place of all others, and try to bring it up; what wg-quick complained of."""
        disconnect(self.lab, laptop)
        name = tunnel_name("dev", kind)
        self.lab.put(laptop, f"/etc/wireguard/{name}.conf", self.outputs[f"dev_{laptop}_confs"][kind], mode=0o600)
        started = self.lab.exec(laptop, ["wg-quick", "up", name], check=False)
        return "" if started.returncode == 0 else started.stderr

    def use(self, laptop: str, kind: str) -> None:
        """Bring one of a developer's files up."""
        assert self.start(laptop, kind) == ""

    def source_seen(self, device: str, address: str) -> str:
        """The source address of e's pings as they arrive at the device."""
        assert self.comes_to_reach("e", address)
        with self.lab.popen("e", ["ping", "-n", "-i0.3", address]):
            capture = ["timeout", "120", "tcpdump", "-lnq", "-c1", "-ieth0", f"icmp[icmptype] == icmp-echo and dst host {address}"]
            line = self.lab.exec(device, capture).stdout
        return line.partition("IP ")[2].partition(" > ")[0]

    def sources(self) -> tuple[str, str]:
        """What d and b see of e."""
        return self.source_seen("d", D), self.source_seen("b", B)

    def throughput(self) -> float:
        """Mbit/s from e to d."""
        with self.lab.popen("d", ["iperf3", "-s", "-1"]):
            self.lab.exec("d", ["sh", "-c", "until ss -ltn | grep -q :5201; do sleep 0.1; done"], timeout=60)
            result = json.loads(self.lab.exec("e", ["iperf3", "-J", "-t3", "-c", D], timeout=120).stdout)
        return float(result["end"]["sum_received"]["bits_per_second"]) / 1e6


@pytest.fixture(scope="module")
def office(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A deployment without IPv6, with e and f connected at home by their everyday files. In the end e is at home, whatever was run."""
    fresh(lab)
    stack, environment_file = job_stack(tmp_path_factory.mktemp("office"), lab)
    office = Office(lab, stack, environment_file)
    office.write(DEV)
    office.up()
    do_by_hand(office)
    for laptop in LAPTOPS:
        office.use(laptop, "everyday")
    yield office
    lab.move("e", "home")


# ---- to the office and home, and nobody touches the tunnel ------------------------------------------------------------


@dataclass(frozen=True)
class Trip:
    """What d and b saw of e at home, in the office and at home again, how fast d was there, and which tunnels e had meanwhile."""

    at_home: tuple[str, str]
    in_the_office: tuple[str, str]
    back: tuple[str, str]
    throughput: float
    tunnels: set[str]


@pytest.fixture(scope="module")
def trip(office: Office) -> Trip:
    lab = office.lab

    def tunnels() -> str:
        return lab.exec("e", ["ip", "-o", "link", "show", "type", "wireguard"]).stdout

    first, at_home = tunnels(), office.sources()
    lab.move("e", "beijing")
    in_the_office, throughput = office.sources(), office.throughput()
    lab.move("e", "home")
    return Trip(at_home, in_the_office, office.sources(), throughput, {first, tunnels()})


def test_at_home_the_offices_are_reached_through_the_tunnel(trip: Trip) -> None:
    assert trip.at_home == (IN_THE_TUNNEL, IN_THE_TUNNEL)


def test_in_the_office_its_lan_is_reached_directly_and_the_other_through_the_tunnel(trip: Trip) -> None:
    d_sees, b_sees = trip.in_the_office
    assert re.fullmatch(IN_THE_LAN, d_sees)
    assert b_sees == IN_THE_TUNNEL


def test_back_home_it_works_without_touching_anything(trip: Trip) -> None:
    assert trip.back == trip.at_home


def test_the_tunnel_was_up_all_the_time(trip: Trip) -> None:
    (line,) = trip.tunnels
    assert "dev-vpn" in line


# ---- the exact file, and what helps -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def arrived_with_the_exact_file(office: Office, trip: Trip) -> Office:
    office.use("e", "exact")
    office.lab.move("e", "beijing")
    return office


def test_the_exact_file_shows_the_problem(arrived_with_the_exact_file: Office, trip: Trip, capsys: pytest.CaptureFixture[str]) -> None:
    office = arrived_with_the_exact_file
    assert office.source_seen("d", D) == IN_THE_TUNNEL
    through_the_hub = office.throughput()
    ratio = trip.throughput / through_the_hub
    with capsys.disabled():
        print(f"\ne to d in the office: {trip.throughput:.0f} Mbit/s directly, {through_the_hub:.1f} through the hub, ratio {ratio:.0f}")


def test_where_the_lans_route_has_no_metric_the_exact_file_does_not_come_up(arrived_with_the_exact_file: Office) -> None:
    assert "File exists" in arrived_with_the_exact_file.start("e", "exact")


def test_where_the_lans_route_has_a_metric_the_exact_file_takes_the_tunnel(arrived_with_the_exact_file: Office) -> None:
    office = arrived_with_the_exact_file
    office.lab.exec("e", ["sh", "-c", AS_A_DESKTOP_DOES.format("192.168.200.0/24")])
    office.use("e", "exact")
    assert office.source_seen("d", D) == IN_THE_TUNNEL


@pytest.mark.parametrize("kind", ["at-beijing", "everyday"])
def test_a_file_that_suits_the_office_solves_it_when_it_is_brought_up_there(arrived_with_the_exact_file: Office, kind: str) -> None:
    office = arrived_with_the_exact_file
    office.use("e", kind)
    assert re.fullmatch(IN_THE_LAN, office.source_seen("d", D))
    assert office.source_seen("b", B) == IN_THE_TUNNEL


def test_what_the_widening_sweeps_in_is_refused_by_the_hub(office: Office) -> None:
    said = office.lab.exec("f", ["ping", "-n", "-c2", "-W3", B], check=False)
    assert said.returncode == 1
    assert "From 10.70.0.1 icmp_seq=1 Packet filtered" in said.stdout


# ---- IPv6 inside the VPN ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answered(office: Office, trip: Trip) -> list[int]:
    """The network gets IPv6 while e, at home with its old file, pings d."""
    office.lab.move("e", "home")
    office.use("e", "everyday")
    assert office.comes_to_reach("e", D)
    office.write(WITH_IPV6)
    with pinging(office.lab, "e", D) as answered:
        office.up()
    return answered


@pytest.fixture(scope="module")
def with_ipv6(office: Office, answered: list[int]) -> Office:
    """Both laptops with their new files."""
    for laptop in LAPTOPS:
        office.use(laptop, "everyday")
    return office


@pytest.mark.matrix
def test_switching_ipv6_on_loses_no_packet(answered: list[int]) -> None:
    assert len(answered) > 20
    assert lost(answered) == []


@pytest.mark.matrix
@pytest.mark.parametrize("kind", KINDS)
def test_wg_quick_brings_every_file_up_with_all_its_routes(with_ipv6: Office, kind: str) -> None:
    with_ipv6.use("e", kind)
    routes = with_ipv6.lab.exec("e", ["sh", "-c", f"for v in -4 -6; do ip $v route show dev {tunnel_name('dev', kind)}; done"]).stdout
    listed = re.search(r"AllowedIPs = (.*)", with_ipv6.outputs["dev_e_confs"][kind])
    assert listed is not None
    assert {line.split()[0] for line in routes.splitlines()} - {E6} == set(listed[1].split(", "))
    assert "fd70::/64" in listed[1]


@pytest.mark.matrix
def test_e_reaches_f_by_ipv6_through_the_hub(with_ipv6: Office) -> None:
    assert with_ipv6.comes_to_reach("e", F6)
    said = with_ipv6.lab.exec("e", ["ping", "-n", "-c3", "-W3", "-t1", F6], check=False).stdout
    assert re.search(rf"From {HUB6}\S* .*Time exceeded", said), said


@pytest.mark.matrix
@pytest.mark.parametrize("address", [E6, HUB6, "fd70::3"])
def test_what_f_was_not_granted_the_hub_refuses_by_ipv6_too(with_ipv6: Office, address: str) -> None:
    said = with_ipv6.lab.exec("f", ["ping", "-n", "-c2", "-W3", address], check=False)
    assert said.returncode == 1
    assert re.search(rf"From {HUB6}\S* .*Administratively prohibited", said.stdout), said.stdout


@pytest.mark.matrix
def test_ipv6_survives_a_reboot_of_the_hub(with_ipv6: Office) -> None:
    with_ipv6.use("e", "everyday")
    with_ipv6.lab.reboot("z")
    assert with_ipv6.comes_to_reach("e", F6)
    assert with_ipv6.comes_to_reach("e", D)
    assert not with_ipv6.reaches("f", E6)
