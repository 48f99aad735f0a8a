"""What the wg-quick file for a Linux gateway does beside the tunnel, with real packets: forwarding, masquerading, segments that fit, and a
LAN by another prefix; that too of the file which OpenWrt's firewall includes.

The host of netns.py, whose wg0 is a veth; what brings the tunnel itself up is wg-quick's business.
"""

import re
import socket
from collections.abc import Iterable, Iterator

import pytest
from netns import DEVICE, DEVICE6, Net

from wg_office.environment.model import Environment
from wg_office.network.access import reach_of
from wg_office.people.pasted import pasted, render_pasted
from wg_office.people.profiles import ClientKeys

ALIASES, ALIAS, ALIAS6 = ("10.99.7.0/24", "fd99:7::/64"), "10.99.7.244", "fd99:7::2"


def environment(managed: str = "wg-quick", aliases: Iterable[str | None] = (None, None)) -> Environment:
    """One gateway, whose LANs all others know by their own prefixes, or by these."""
    lans = [{"cidr": "192.168.200.0/24", "address": "192.168.200.248"}, {"cidr": "fd71::/64", "address": "fd71::1"}]
    known = [lan if alias is None else lan | {"as": alias} for lan, alias in zip(lans, aliases, strict=True)]
    gateway = {"name": "nas", "site": "studio", "address": "10.70.0.3", "managed": managed, "lans": known, "return_path": "masquerade"}
    return Environment.model_validate(
        {
            "environment": "branches",
            "network": {"cidr": "10.70.0.0/16", "cidr6": "fd70::/64"},
            "hub": {"name": "z", "address": "10.70.0.1", "endpoint": "203.0.113.10:51820", "ssh": {"host": "203.0.113.10"}},
            "gateways": [gateway],
            "developers": [{"name": "e", "address": "10.70.0.4", "access": ["studio"]}],
        }
    )


PLAIN, ALIASED = environment(), environment(aliases=ALIASES)
FITS = 1280 - 40
"""Bytes of a TCP segment in a tunnel of MTU 1280."""


def text(env: Environment) -> str:
    gateway = env.gateways[0]
    return render_pasted(pasted(env, gateway, reach_of(env).policies[gateway.name]), ClientKeys("hub", "preshared", "private"))


def hooks(kind: str, env: Environment) -> list[str]:
    """The file's commands, as wg-quick runs them."""
    return [command.replace("%i", "wg0") for command in re.findall(rf"^{kind} = (.*)$", text(env), re.MULTILINE)]


def run(net: Net, kind: str, env: Environment = PLAIN) -> None:
    for command in hooks(kind, env):
        net.run("host", ["bash", "-c", command])


def include(net: Net) -> None:
    """What OpenWrt's firewall4 does with the file: it stands in its table."""
    included = re.search(r"<<'END'\n(.*?)^END$", text(environment("openwrt", ALIASES)), re.MULTILINE | re.DOTALL)
    assert included is not None
    net.run("host", ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
    net.run("host", ["nft", "-f", "-"], stdin=f"table inet fw4 {{\n{included[1].replace('branches_vpn', 'wg0')}}}\n")


@pytest.fixture
def net() -> Iterator[Net]:
    """A gateway as it is delivered: nothing is forwarded, and the LAN knows no way back."""
    with Net("10.70.0.3", "fd70::3") as made:
        made.ip("host", "link set wg0 mtu 1280")
        made.run("host", ["sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"])
        made.ip("d", "route del default", "route del default via fd71::1")
        yield made


def seen(net: Net, receiver: str, sender: str, to: str) -> str:
    """The address under which the sender arrives there."""
    port = net.listen(receiver, 8080)[8080]
    net.connect(sender, to, 8080, timeout=5).close()
    accepted, origin = port.accept()
    accepted.close()
    port.close()
    return str(origin[0]).removeprefix("::ffff:")


def test_the_lan_is_reached_under_the_gateways_own_address_for_as_long_as_the_tunnel_is_up(net: Net) -> None:
    assert {net.ping("e", DEVICE), net.ping("e", DEVICE6)} == {"silence"}
    run(net, "PostUp")
    assert (seen(net, "d", "e", DEVICE), seen(net, "d", "e", DEVICE6)) == ("192.168.200.248", "fd71::1")
    run(net, "PostDown")
    assert net.run("host", ["nft", "list", "ruleset"]) == ""
    assert {net.ping("e", DEVICE), net.ping("e", DEVICE6)} == {"silence"}


def test_a_second_start_after_a_crash_leaves_each_rule_once(net: Net) -> None:
    run(net, "PostUp")
    once = net.run("host", ["nft", "list", "ruleset"])
    run(net, "PostUp")
    assert net.run("host", ["nft", "list", "ruleset"]) == once
    assert once.count("masquerade") == 2


@pytest.mark.parametrize("up", [False, True])
def test_a_device_is_told_segments_that_fit_into_the_tunnel(net: Net, up: bool) -> None:
    net.run("host", ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    net.ip("d", "route add default via 192.168.200.248")
    if up:
        run(net, "PostUp")
    port = net.listen("e", 8080)[8080]
    net.connect("d", "10.70.0.4", 8080, timeout=5).close()
    accepted, _ = port.accept()
    with accepted:
        assert (accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= FITS) is up


@pytest.mark.parametrize("form", ["wg-quick", "openwrt"])
def test_the_lan_is_known_by_its_alias_in_both_directions_and_not_by_its_own_prefix(net: Net, form: str) -> None:
    net.ip("d", "route add default via 192.168.200.248", "route add default via fd71::1")
    run(net, "PostUp", ALIASED) if form == "wg-quick" else include(net)
    net.listen("d", 443)
    assert {to: net.tcp("e", to, 443) for to in (ALIAS, ALIAS6)} == {ALIAS: "open", ALIAS6: "open"}
    assert {to: net.tcp("e", to, 443) for to in (DEVICE, DEVICE6)} == {DEVICE: "silence", DEVICE6: "silence"}
    assert (seen(net, "e", "d", "10.70.0.4"), seen(net, "e", "d", "fd70::4")) == (ALIAS, ALIAS6)


def test_what_is_masqueraded_into_a_lan_with_an_alias_bears_the_gateways_address(net: Net) -> None:
    run(net, "PostUp", ALIASED)
    assert (seen(net, "d", "e", ALIAS), seen(net, "d", "e", ALIAS6)) == ("192.168.200.248", "fd71::1")
    run(net, "PostDown", ALIASED)
    assert net.run("host", ["nft", "list", "ruleset"]) == ""
