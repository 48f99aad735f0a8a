from pathlib import Path
from typing import Any

import pytest
from netaddr import IPAddress, IPNetwork
from pydantic import TypeAdapter, ValidationError

from wg_office.environment.fields import (
    DeveloperName,
    Endpoint,
    HomePrefix,
    HostKey,
    HostOrPrefix,
    InterfaceName,
    IPv4Address,
    IPv4Prefix,
    LanAddress,
    LanPrefix,
    PublicKey,
    SshHost,
    Via,
)
from wg_office.environment.grants import ICMP, DeveloperGrant, Grant, GroupGrant, HostGrant, PortRange, SiteGrant, parse_ports
from wg_office.environment.model import Environment, Link, Ssh, derived_address6
from wg_office.reading.load import load

DEV = Path(__file__).parents[2] / "configs" / "dev.yaml"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFlOUZrkmTErKUM7fdipf/Bo3vy6l1W21dAOhMUk1nsG"


@pytest.fixture(scope="module")
def dev() -> Environment:
    return load(DEV, require_host_keys=False)


def read(kind: Any, value: object) -> Any:
    return TypeAdapter(kind).validate_python(value)


def refusal(kind: Any, value: object) -> str:
    with pytest.raises(ValidationError) as raised:
        read(kind, value)
    return raised.value.errors()[0]["msg"]


def test_the_lab_is_the_network_of_the_design(dev: Environment) -> None:
    assert [(peer.name, str(peer.address)) for peer in dev.peers] == [
        ("z", "10.70.0.1"),
        ("a", "10.70.0.2"),
        ("c", "10.70.0.3"),
        ("e", "10.70.0.4"),
        ("f", "10.70.0.5"),
    ]
    assert [str(prefix) for prefix in dev.routed] == ["10.70.0.0/16", "192.168.201.0/24", "192.168.200.0/24"]
    assert dev.gateway_of("beijing").name == "c"
    assert dev.peer("f").address == IPAddress("10.70.0.5")
    assert (dev.network.mtu, dev.network.keepalive, dev.network.interface, dev.network.rollback_after) == (1280, 15, "wg0", 90)


def test_a_retired_gateway_is_not_active(dev: Environment) -> None:
    a, c = dev.gateways
    environment = dev.model_copy(update={"gateways": (a, c.model_copy(update={"retired": True}))})
    assert environment.active_gateways == (a,)


def test_the_model_is_frozen(dev: Environment) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        dev.hub.name = "y"  # type: ignore[misc]  # mypy says so too


def test_an_environment_survives_json(dev: Environment) -> None:
    written = dev.model_dump_json(by_alias=True, exclude_unset=True)
    assert Environment.model_validate_json(written) == dev


# --- addresses ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["10.70.0", "010.070.0.1", "10.70.0.1 ", "1", "0x0a460001", "10.70.0.256", ""])
def test_only_four_decimal_numbers_are_an_ipv4_address(text: str) -> None:
    meant = {"010.070.0.1": "10.70.0.1", "10.70.0.1 ": "10.70.0.1"}.get(text, "it like 10.70.0.4")
    assert refusal(IPv4Address, text) == f"{text!r} is no IPv4 address; write {meant}"


@pytest.mark.parametrize(
    ("field", "text", "remedy"),
    [
        (IPv4Address, "fd70::1", "write the IPv4 one here, and this one as address6"),
        (IPv4Prefix, "fd70::/64", "write the IPv4 one here, and this one as cidr6"),
        (HomePrefix, "fd70::/64", "write the home network's IPv4 prefix, or leave it out"),
    ],
)
def test_ipv6_where_it_cannot_stand_is_called_so_with_where_it_can(field: Any, text: str, remedy: str) -> None:
    assert remedy in refusal(field, text)


def test_lans_and_what_is_in_them_may_be_ipv6() -> None:
    assert read(LanPrefix, "2001:db8:5::/64") == IPNetwork("2001:db8:5::/64")
    assert read(LanAddress, "2001:db8:5::2") == IPAddress("2001:db8:5::2")
    assert read(HostOrPrefix, "2001:db8:5::9") == IPNetwork("2001:db8:5::9/128")


@pytest.mark.parametrize("text", ["intranet", "192.168.200", "the router", ""])
def test_a_way_to_a_lan_is_a_router_or_the_internet(text: str) -> None:
    assert read(Via, "internet") == "internet"
    assert read(Via, "192.168.200.1") == IPAddress("192.168.200.1")
    assert "is neither a router's address in a LAN of the site" in refusal(Via, text)


@pytest.mark.parametrize("text", ["10.70.0.0", "10.70.0.0/33", "10.70/16", "10.70.0.0/-1", "/16", "10.70.0.0/"])
def test_a_prefix_needs_its_length(text: str) -> None:
    assert "is no IPv4 prefix" in refusal(IPv4Prefix, text)


def test_a_prefix_with_host_bits_names_the_prefix_that_was_meant() -> None:
    assert refusal(IPv4Prefix, "192.168.200.77/25") == "192.168.200.77/25 has host bits set; the prefix it lies in is 192.168.200.0/25"


def test_a_host_is_a_prefix_of_its_own() -> None:
    assert read(HostOrPrefix, "192.168.200.244") == IPNetwork("192.168.200.244/32")


def test_the_ipv6_address_follows_from_the_ipv4_address() -> None:
    cidr, cidr6 = IPNetwork("10.70.0.0/16"), IPNetwork("fd70::/64")
    assert derived_address6(cidr, cidr6, IPAddress("10.70.0.4")) == IPAddress("fd70::4")
    assert derived_address6(cidr, cidr6, IPAddress("10.70.1.4")) == IPAddress("fd70::104")


def test_a_written_ipv6_address_wins_over_the_derived_one(dev: Environment) -> None:
    e, _ = dev.clients
    (f,) = dev.developers[1].model_copy(update={"address6": IPAddress("fd70::beef")}).clients
    assert dev.address6_of(e) is None
    network = dev.network.model_copy(update={"cidr6": IPNetwork("fd70::/64")})
    six = dev.model_copy(update={"network": network})
    assert six.address6_of(e) == IPAddress("fd70::4")
    assert six.address6_of(f) == IPAddress("fd70::beef")
    assert six.routed[1] == IPNetwork("fd70::/64")


@pytest.mark.parametrize("text", ["203.0.113.10:51820", "[2001:db8::1]:1"])
def test_an_endpoint_is_written_as_it_is_read(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize("text", ["[203.0.113.10]:51820", "2001:db8::1:51820", "203.0.113.10:", ":51820", "203.0.113.10:+1", "", "1:2:3"])
def test_an_endpoint_that_could_be_read_in_two_ways_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no endpoint"):
        Endpoint.parse(text)


# --- names -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["e", "fang", "dev-1", "a1", "abcdefghijkl"])
def test_plain_names_are_names(name: str) -> None:
    assert read(DeveloperName, name) == name


@pytest.mark.parametrize(
    "name", ["", "E", "1a", "-a", "a-", "a.b", "a_b", "a b", "é", "a/b", "a\n", "nul", "lpt9", "all", "lo", "abcdefghijklm"]
)
def test_what_some_platform_would_refuse_is_no_name(name: str) -> None:
    assert refusal(DeveloperName, name)


@pytest.mark.parametrize("name", ["wg0", "wg-office", "WG_1", "abcdefghijklmno"])
def test_interface_names(name: str) -> None:
    assert read(InterfaceName, name) == name


@pytest.mark.parametrize("name", ["", "abcdefghijklmnop", "wg/0", "wg 0", "..", "0", "all", "default", "wg.0", "wg%i"])
def test_what_linux_or_sysctl_would_trip_over_is_no_interface(name: str) -> None:
    assert "is no valid interface name" in refusal(InterfaceName, name)


@pytest.mark.parametrize("host", ["198.51.100.7", "2001:db8::1", "gate.example.com", "gate"])
def test_ssh_hosts(host: str) -> None:
    assert read(SshHost, host) == host


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "root@gate", "gate:22", "[2001:db8::1]", "1.2.3", "a b", "a..b", "gate\n"])
def test_what_ssh_could_take_for_something_else_is_no_host(host: str) -> None:
    assert "is neither an IP address nor a host name" in refusal(SshHost, host)


# --- keys --------------------------------------------------------------------------------------------------------------------------------


def test_a_host_key_loses_its_comment_and_shows_openssh_s_fingerprint() -> None:
    ssh = Ssh(host="gate", host_key=f" {KEY}  root@gate ")
    assert ssh.host_key == KEY
    assert ssh.host_key_fingerprint is not None
    assert ssh.host_key_fingerprint.startswith("SHA256:")
    assert len(ssh.host_key_fingerprint) == len("SHA256:") + 43


def test_a_host_key_of_another_type_or_length_is_refused() -> None:
    assert "is of type ssh-rsa" in refusal(HostKey, "ssh-rsa AAAAB3NzaC1yc2E=")
    assert "is no ssh-ed25519 host key" in refusal(HostKey, KEY[:-4])
    assert "is no ssh-ed25519 host key" in refusal(HostKey, KEY.replace("AAAAC3", "AAAAC4"))
    assert "is no host key" in refusal(HostKey, "ssh-ed25519")


@pytest.mark.parametrize(
    "key", ["", "x", "A" * 44, "AAAA", "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8yk==", "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykx="]
)
def test_a_public_key_is_32_bytes_in_canonical_base64(key: str) -> None:
    assert refusal(PublicKey, key)


def test_ssh_is_shown_as_people_write_it() -> None:
    assert Ssh(host="198.51.100.7").address == "root@198.51.100.7:22"
    assert Ssh(host="2001:db8::1", port=2222, user="admin").address == "admin@[2001:db8::1]:2222"


# --- grants ------------------------------------------------------------------------------------------------------------------------------


def test_a_bare_site_is_a_grant_of_the_whole_lan() -> None:
    assert read(Grant, "beijing") == read(Grant, {"site": "beijing"}) == SiteGrant(site="beijing", hosts=(), ports=())


def test_each_kind_of_grant_has_its_class() -> None:
    kinds = [read(Grant, value) for value in ({"developer": "f"}, {"host": "z", "ports": ["22/tcp"]}, {"group": "staff"})]
    assert kinds == [DeveloperGrant(developer="f"), HostGrant(host="z", ports=(PortRange("tcp", 22, 22),)), GroupGrant(group="staff")]


@pytest.mark.parametrize("text", ["22/tcp", "8000-8100/tcp", "53/udp", "icmp", "1-65535/udp"])
def test_ports_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_ports(text)) == text


def test_icmp_is_one_value() -> None:
    assert parse_ports("icmp") is ICMP


@pytest.mark.parametrize(
    "text", ["22", "22/TCP", "22-/tcp", "-22/tcp", "22/tcp ", "ssh", "22/tcp,23/tcp", "0/tcp", "65536/tcp", "9-1/tcp", ""]
)
def test_other_ports_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (each has its own sentence, compared in faults/)
        parse_ports(text)


def test_a_link_reads_from_and_to() -> None:
    link = Link.model_validate({"from": "beijing", "to": "shenzhen"})
    assert (link.from_, link.to, link.hosts, link.ports) == ("beijing", "shenzhen", (), ())
