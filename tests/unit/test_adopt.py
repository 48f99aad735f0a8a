"""`wg-office adopt`, without the dialling: from what hosts say to an environment file that keeps every key."""

import re
from pathlib import Path

import pytest
import yaml
from found_hosts import (
    HUB_CONF,
    article,
    asked,
    gateway_conf,
    part,
    private,
    public,
    said,
    shared,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from wg_office.adopt.network import Asked, Misfits, network_of
from wg_office.adopt.written import Written, secret_lines, written
from wg_office.asking.said import NotUnderstood, parse_said
from wg_office.environment.model import Environment, Lan
from wg_office.network.plan import HostPlan, plan
from wg_office.reading.load import load


def adopted(hub: Asked, *gateways: Asked) -> Written:
    return written(network_of(hub, gateways), "office")


def accepted(folder: Path, made: Written) -> Environment:
    """The environment of what was written; `check` has no fault to tell."""
    (folder / "office.yaml").write_text(made.text)
    return load(folder / "office.yaml")


def refused(hub: Asked, *gateways: Asked) -> list[str]:
    with pytest.raises(Misfits) as caught:
        network_of(hub, gateways)
    return list(caught.value.lines)


def test_the_articles_network_is_taken_over_with_every_key(tmp_path: Path) -> None:
    made = adopted(*article())
    env = accepted(tmp_path, made)
    assert (str(env.network.cidr), env.network.interface, env.network.mtu, env.network.keepalive) == ("10.70.0.0/16", "wg0", 1420, 25)
    assert (str(env.hub.endpoint), env.hub.adopt_key) == ("203.0.113.10:51820", True)
    assert [(each.name, str(each.address), each.listen_port) for each in env.gateways] == [
        ("a", "10.70.0.2", 51820),
        ("c", "10.70.0.3", 51821),
    ]
    assert [each.return_path for each in env.gateways] == ["static-route", "masquerade"]
    assert [str(each.own_addresses[0]) for each in env.gateways] == ["192.168.201.247", "192.168.200.248"]
    assert [(each.name, each.title, each.preshared) for each in env.developers] == [
        ("e", None, "adopted"),
        ("jurgen-gross", "Jürgen Groß", "none"),
    ]
    assert [each.public_key for each in env.developers] == [public("e"), public("j")]
    assert made.secrets == {
        **{f"privateKeys.{name}": private(name) for name in "zac"},
        **{f"presharedKeys.{name}": shared(name) for name in "ace"},
    }


def test_no_secret_stands_in_the_file_nor_in_what_is_shown() -> None:
    made = adopted(*article())
    secrets = {*(private(name) for name in "zacej"), *(shared(name) for name in "acej")}
    shown = (
        made.text,
        repr(made),
        "".join(made.remarks),
        *(repr(each) for each in article()),
        repr(network_of(*article()[:1], article()[1:])),
    )
    assert not [secret for secret in secrets if any(secret in text for text in shown)]
    assert secret_lines(made).count("\n") == 6


PIVPN = f"""\
[Interface]
PrivateKey = {private("hub")}
Address = 10.199.163.1/24,fd11:5ee:bad:c0de::1/64
MTU = 1420
ListenPort = 51820
### begin alice ###
[Peer]
PublicKey = {public("alice")}
PresharedKey = {shared("alice")}
AllowedIPs = 10.199.163.2/32,fd11:5ee:bad:c0de::2/128
### end alice ###
### begin Bob.Smith_Phone-2024 ###
[Peer]
PublicKey = {public("bob")}
PresharedKey = {shared("bob")}
AllowedIPs = 10.199.163.3/32,fd11:5ee:bad:c0de::a/128
### end Bob.Smith_Phone-2024 ###
"""


def test_a_pivpn_server_keeps_its_clients_by_their_names(tmp_path: Path) -> None:
    links = {"wg0": ["10.199.163.1/24", "fd11:5ee:bad:c0de::1/64"]}
    env = accepted(tmp_path, adopted(asked("hub", said({"/etc/wireguard/wg0.conf": PIVPN}, links))))
    assert [(each.name, each.title) for each in env.developers] == [("alice", None), ("bob-smith-ph", "Bob.Smith_Phone-2024")]
    assert [str(env.address6_of(client)) for client in env.clients] == ["fd11:5ee:bad:c0de::2", "fd11:5ee:bad:c0de::a"]
    assert str(env.network.cidr6) == "fd11:5ee:bad:c0de::/64"
    assert env.gateways == ()


@pytest.mark.parametrize(
    ("above", "name"),
    [
        ("# Client: Carol (0c6e2f5e-7c1f-4a2b-9d8e-1f2a3b4c5d6e)", "carol"),
        ("### Client dave", "dave"),
        ("# ID:           cd1\n# Name:         erin\n# Email:        e@x.example", "erin"),
        ("# friendly_name = frank", "frank"),
        ("# f, developer", "f"),
        ("#PublicKey = nothing", "peer1"),
        ("# 李雷", "peer1"),
        ("# con", "peer1"),
        ("# \x1b[31mred", "peer1"),
        ("", "peer1"),
        ("# hub", "hub-2"),
    ],
)
def test_a_peer_is_called_what_the_comment_above_it_says_if_that_is_a_name(tmp_path: Path, above: str, name: str) -> None:
    interface = f"[Interface]\nPrivateKey = {private('hub')}\nAddress = 10.8.0.1/24\n"
    text = f"{interface}\n{above}\n[Peer]\nPublicKey = {public('x')}\nAllowedIPs = 10.8.0.2/32\n"
    made = adopted(asked("hub", said({"/etc/wireguard/wg0.conf": text})))
    assert [each.name for each in accepted(tmp_path, made).developers] == [name]
    assert "\x1b" not in made.text


def test_two_peers_of_one_name_are_told_apart(tmp_path: Path) -> None:
    text = HUB_CONF.replace("# e\n", "# a\n")
    hub = asked("z", said({"/etc/wireguard/wg0.conf": text}, {"wg0": ["10.70.0.1/16"]}))
    assert [each.name for each in accepted(tmp_path, adopted(hub, *article()[1:])).developers] == ["a-2", "jurgen-gross"]


def dump(name: str, port: int, *peers: str) -> str:
    return "\n".join([f"wg0\t{private(name)}\t{public(name)}\t{port}\toff", *peers]) + "\n"


def seen(name: str, allowed: str, psk: str = "(none)") -> str:
    return f"wg0\t{public(name)}\t{psk}\t198.51.100.7:40000\t{allowed}\t1700000000\t12\t34\toff"


def test_what_runs_counts_and_what_differs_from_the_file_is_told(tmp_path: Path) -> None:
    running = dump("z", 51820, seen("e", "10.70.0.4/32", shared("other")), seen("new", "10.70.0.9/32"))
    made = adopted(asked("z", said({"/etc/wireguard/wg0.conf": PIVPN_LESS}, wg=running)))
    env = accepted(tmp_path, made)
    assert {each.name: str(each.address) for each in env.developers} == {"e": "10.70.0.4", "peer2": "10.70.0.9", "gone": "10.70.0.5"}
    assert made.secrets["presharedKeys.e"] == shared("other")
    told = "\n".join(made.remarks)
    assert f"peer {public('new')} runs and is not in /etc/wireguard/wg0.conf" in told
    assert f"peer {public('gone')} is in the file and does not run" in told


PIVPN_LESS = f"""\
[Interface]
PrivateKey = {private("z")}
Address = 10.70.0.1/16
# e
[Peer]
PublicKey = {public("e")}
PresharedKey = {shared("e")}
AllowedIPs = 10.70.0.4/32
# gone
[Peer]
PublicKey = {public("gone")}
AllowedIPs = 10.70.0.5/32
"""


def test_a_tunnel_that_runs_without_any_file_is_read_from_what_runs(tmp_path: Path) -> None:
    hub = asked("z", said(links={"wg0": ["10.70.0.1/16"]}, wg=dump("z", 51821, seen("e", "10.70.0.4/32"))))
    env = accepted(tmp_path, adopted(hub))
    assert (str(env.hub.endpoint), [each.name for each in env.developers]) == ("203.0.113.10:51821", ["peer1"])


NETDEV = f"""\
[NetDev]
Name=wg0
Kind=wireguard

[WireGuard]
PrivateKeyFile=/etc/systemd/network/wg0.key
ListenPort=51820
RouteTable=off

# alice
[WireGuardPeer]
PublicKey={public("alice")}
PresharedKeyFile=/etc/systemd/network/alice.psk
AllowedIPs=10.70.0.4/32
"""


def test_networkd_units_are_read_with_the_keys_that_they_name(tmp_path: Path) -> None:
    files = {
        "/etc/systemd/network/50-wg0.netdev": NETDEV,
        "/etc/systemd/network/50-wg0.network": "[Match]\nName=wg0\n\n[Network]\nAddress=10.70.0.1/16\n",
        "/etc/systemd/network/20-lan.network": "[Match]\nName=eth0\n\n[Network]\nAddress=192.0.2.1/24\n",
        "/etc/systemd/network/wg0.key": f"{private('z')}\n",
        "/etc/systemd/network/alice.psk": f"{shared('alice')}\n",
    }
    made = adopted(asked("z", said(files)))
    env = accepted(tmp_path, made)
    assert (str(env.hub.address), [each.name for each in env.developers]) == ("10.70.0.1", ["alice"])
    assert made.secrets == {"privateKeys.z": private("z"), "presharedKeys.alice": shared("alice")}
    assert made.remarks[0] == "z: /etc/systemd/network/50-wg0.netdev:8: RouteTable = off"


# --- rules -------------------------------------------------------------------------------------------------------------------------------

# What bench/ansible puts on hub and gateways.
PLAYBOOK = """\
table inet office {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		iifname "wg0" ip saddr { 10.70.0.4, 10.70.0.6 } ip daddr { 192.168.200.0/24, 192.168.201.0/24 } accept
		iifname "wg0" drop
	}
}
"""


def with_rules(*, iptables: str = "", nft: str = "") -> tuple[Asked, Asked, Asked]:
    """The article's network with these rules on its hub."""
    hub = said({"/etc/wireguard/wg0.conf": HUB_CONF}, {"wg0": ["10.70.0.1/16"]}, iptables=iptables, nft=nft)
    return asked("z", hub), *article()[1:]


def grants(made: Written) -> dict[str, object]:
    return {each["name"]: each.get("access") for each in yaml.safe_load(made.text)["developers"]}


def test_where_no_rule_closes_the_tunnel_everybody_reaches_all_sites() -> None:
    assert grants(adopted(*article())) == {"e": ["a", "c"], "jurgen-gross": ["a", "c"]}


def test_the_playbooks_rules_become_grants() -> None:
    made = adopted(*with_rules(nft=PLAYBOOK))
    assert grants(made) == {"e": ["a", "c"], "jurgen-gross": None}
    assert any("rules of the host's own close the tunnel; they stay in force" in line for line in made.remarks)


@pytest.mark.parametrize(
    ("rules", "e"),
    [
        ("-A FORWARD -i wg0 -j ACCEPT", ["a", "c"]),
        ("-A FORWARD -s 10.70.0.4/32 -i wg0 -j ACCEPT", ["a", "c"]),
        ("-A FORWARD -s 10.70.0.5/32 -i wg0 -j ACCEPT", None),
        ("-A FORWARD -s 10.70.0.0/16 -d 192.168.201.0/24 -i wg0 -j ACCEPT", ["a"]),
        ("-A FORWARD -s 10.70.0.4/32 -d 192.168.200.244/32 -i wg0 -j ACCEPT", [{"site": "c", "hosts": ["192.168.200.244"]}]),
        (
            "-A FORWARD -s 10.70.0.4/32 -d 192.168.200.244/32 -i wg0 -p tcp -m tcp --dport 22 -j ACCEPT",
            [{"site": "c", "hosts": ["192.168.200.244"], "ports": ["22/tcp"]}],
        ),
        (
            "-A FORWARD -d 192.168.201.0/24 -i wg0 -p tcp -m multiport --dports 80,8000:8100 -m comment --comment 'the web' -j ACCEPT",
            [{"site": "a", "ports": ["80/tcp", "8000-8100/tcp"]}],
        ),
        ("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", None),
    ],
)
def test_iptables_rules_that_people_write_become_grants(rules: str, e: object) -> None:
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n{rules}\nCOMMIT\n"
    made = adopted(*with_rules(iptables=text))
    assert grants(made)["e"] == e
    assert not [line for line in made.remarks if "iptables" in line]


@pytest.mark.parametrize(
    ("host", "rule", "everything"),
    [
        ("z", "-A FORWARD -i wg0 -o wg0 -j ACCEPT", True),
        ("z", "-A FORWARD -o wg0 -j ACCEPT", True),
        ("z", "-A FORWARD -i wg0 -o eth0 -j ACCEPT", False),
        ("a", "-A FORWARD -i wg0 -o wg0 -j ACCEPT", False),
        ("a", "-A FORWARD -i wg0 -o eth0 -j ACCEPT", True),
        ("a", "-A FORWARD -i eth0 -o wg0 -j ACCEPT", False),
    ],
)
def test_a_rule_counts_for_the_way_that_packets_take_on_that_host(host: str, rule: str, everything: bool) -> None:
    z, a, c = article()
    rules = f"*filter\n:FORWARD DROP [0:0]\n{rule}\nCOMMIT\n"
    files = {"/etc/wireguard/wg0.conf": HUB_CONF if host == "z" else gateway_conf("a", "10.70.0.2")}
    links = {"wg0": ["10.70.0.1/16" if host == "z" else "10.70.0.2/16"], "eth0": ["192.168.201.247/24"]}
    changed = asked(host, said(files, links, iptables=rules))
    made = adopted(changed, a, c) if host == "z" else adopted(z, changed, c)
    reached = grants(made)["e"] or []
    assert isinstance(reached, list)
    assert ("a" in reached) is everything


def test_what_a_pivpn_server_lets_through_to_its_own_networks_is_told() -> None:
    nat = "*nat\n-A POSTROUTING -s 10.199.163.0/24 -o eth0 -m comment --comment wireguard-nat-rule -j MASQUERADE\nCOMMIT\n"
    made = adopted(asked("hub", said({"/etc/wireguard/wg0.conf": PIVPN}, {"wg0": ["10.199.163.1/24"]}, iptables=nat)))
    assert any(
        line.startswith("hub masquerades what comes from the tunnel: the way to the internet through it ends") for line in made.remarks
    )
    assert not any("masquerades" in line for line in adopted(*article()).remarks)


def test_a_site_is_granted_as_far_as_hub_and_gateway_let_through() -> None:
    z, a, c = article()
    rules = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -d 192.168.200.10/32 -i wg0 -j ACCEPT\nCOMMIT\n"
    files = {"/etc/wireguard/wg0.conf": gateway_conf("c", "10.70.0.3")}
    c = asked("c", said(files, {"wg0": ["10.70.0.3/16"], "eth0": ["192.168.200.248/24"]}, iptables=rules))
    assert grants(adopted(z, a, c))["e"] == ["a", {"site": "c", "hosts": ["192.168.200.10"]}]


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("iptables", "-A FORWARD -i wg0 -m time --timestart 08:00 -j ACCEPT"),
        ("iptables", "-A FORWARD ! -s 10.70.0.4/32 -i wg0 -j DROP"),
        ("iptables", "-A FORWARD -j DOCKER-USER"),
        ("iptables", "-A FORWARD -d 192.168.201.1/32 -i wg0 -j DROP"),
        ("iptables", "-A FORWARD -s 'unended -j ACCEPT"),
        ("nft", 'iifname "wg0" limit rate 10/second accept'),
        ("nft", 'iifname "wg0" ip saddr @staff accept'),
        ("nft", 'iifname "wg0" ip daddr 192.168.201.1 drop'),
        ("nft", "jump office"),
    ],
)
def test_a_rule_that_no_grant_says_is_listed_with_where_it_stands(source: str, rule: str) -> None:
    texts = {
        "iptables": f"*filter\n:FORWARD ACCEPT [0:0]\n{rule}\nCOMMIT\n",
        "nft": PLAYBOOK.replace("\t\tct state established,related accept\n", f"\t\t{rule}\n"),
    }
    place = {"iptables": "z: iptables filter FORWARD: ", "nft": "z: nft inet office forward: "}[source]
    made = adopted(*with_rules(**{source: texts[source]}))
    assert f"{place}{rule}" in made.remarks
    assert f"# - {place}{rule}\n" in made.text


def test_rules_that_iptables_and_nft_both_say_are_told_once() -> None:
    rule = "-A FORWARD -j DOCKER-USER"
    base = "type filter hook forward priority filter; policy accept;"
    nft = f"table ip filter {{\n\tchain FORWARD {{\n\t\t{base}\n\t\tcounter jump DOCKER-USER\n\t}}\n}}\n"
    made = adopted(*with_rules(iptables=f"*filter\n:FORWARD ACCEPT [0:0]\n{rule}\nCOMMIT\n", nft=nft))
    assert [line for line in made.remarks if "DOCKER" in line] == [f"z: iptables filter FORWARD: {rule}"]


def test_hooks_and_settings_that_the_file_cannot_say_are_listed_without_keys() -> None:
    more = (
        "DNS = 192.0.2.53\nTable = off\n"
        "PostUp = iptables -A FORWARD -i %i -j ACCEPT; sysctl -w net.ipv4.ip_forward=1; /usr/local/bin/notify up\n"
        f"PostUp = wg set %i peer {public('e')} preshared-key <(echo {shared('e')})\n"
    )
    text = HUB_CONF.replace("ListenPort = 51820\n", f"ListenPort = 51820\n{more}")
    made = adopted(asked("z", said({"/etc/wireguard/wg0.conf": text}, {"wg0": ["10.70.0.1/16"]})), *article()[1:])
    assert made.remarks[:4] == (
        "z: /etc/wireguard/wg0.conf:4: DNS = 192.0.2.53",
        "z: /etc/wireguard/wg0.conf:5: Table = off",
        "z: hook: /usr/local/bin/notify up",
        "z: hook: wg set wg0 peer (key) preshared-key <(echo (key))",
    )


NAT_HOOK = "PostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE"


def gateway_with(more: str, *, runs: bool) -> Asked:
    """Gateway a with these lines under [Interface]."""
    files = {"/etc/wireguard/wg0.conf": gateway_conf("a", "10.70.0.2", more)}
    psk, endpoint = shared("a"), "203.0.113.10:51820"
    running = f"wg0\t{private('a')}\t{public('a')}\t40000\toff\nwg0\t{public('z')}\t{psk}\t{endpoint}\t10.70.0.0/16\t0\t0\t0\t25\n"
    return asked("a", said(files, {"eth0": ["192.168.201.247/24"]}, wg=running if runs else ""), "198.51.100.7")


def test_the_hooks_of_a_tunnel_that_is_down_count_as_the_rules_that_they_make() -> None:
    z, _, c = article()
    for runs, way_back in ((False, "masquerade"), (True, "static-route")):
        made = adopted(z, gateway_with(NAT_HOOK, runs=runs), c)
        assert yaml.safe_load(made.text)["gateways"][0]["return_path"] == way_back
        assert not [line for line in made.remarks if "hook" in line]


def test_nft_hooks_of_a_tunnel_that_is_down_are_listed() -> None:
    z, _, c = article()
    hook = "PostUp = nft add rule inet x postrouting masquerade"
    told = [[line for line in adopted(z, gateway_with(hook, runs=runs), c).remarks if "hook" in line] for runs in (False, True)]
    assert told == [["a: hook: nft add rule inet x postrouting masquerade"], []], "those of one that runs are in the listing"


def test_an_exit_to_the_internet_and_an_mtu_that_fits_nowhere_are_told(tmp_path: Path) -> None:
    text = HUB_CONF.replace("192.168.201.0/24", "192.168.201.0/24, 0.0.0.0/0")
    made = adopted(asked("z", said({"/etc/wireguard/wg0.conf": text}, {"wg0": ["10.70.0.1/16"]}, mtu=1500)), *article()[1:])
    assert accepted(tmp_path, made).network.mtu == 1440
    assert "z sends everything to a, as an exit to the internet; that ends: only networks are routed" in made.remarks
    assert any("its MTU 1500 is none that fits" in line for line in made.remarks)


# --- hosts that do not fit, or say nonsense ----------------------------------------------------------------------------------------------


def test_two_networks_that_do_not_fit_together_are_told_apart_in_one_line() -> None:
    z, a, c = article()
    other = gateway_conf("a", "10.70.0.2").replace(public("z"), public("y"))
    [line] = refused(z, asked("a", said({"/etc/wireguard/wg0.conf": other})), c)
    assert line.startswith("a (root@203.0.113.10:22) does not know z: no WireGuard interface there has a peer with its key ")
    stranger = gateway_conf("x", "10.70.0.2")
    [line] = refused(z, asked("x", said({"/etc/wireguard/wg0.conf": stranger})), a, c)
    assert line.startswith("z does not know x (root@203.0.113.10:22): none of its peers has the key ")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("10.70.0.2/16", "10.70.0.9/16"), r"z routes 10\.70\.0\.2/32, 192\.168\.201\.0/24 to a \(.*\), which has 10\.70\.0\.9"),
        (("10.70.0.2/16", "10.71.0.2/16"), r"a \(.*\) has 10\.71\.0\.2, which is not in 10\.70\.0\.0/16, the network of z"),
        ((shared("a"), shared("b")), r"a \(.*\) and z have different preshared keys with each other"),
        ((private("a"), "none"), r"a \(.*\): /etc/wireguard/wg0\.conf:3: PrivateKey is not what WireGuard takes"),
        (("[Peer]", "[Pear]"), r"a \(.*\): /etc/wireguard/wg0\.conf:5: wg-quick knows no \[Pear\]"),
        (("AllowedIPs = 10.70.0.0/16", "AllowedIPs = everything"), r"a \(.*\): /etc/wireguard/wg0\.conf:9: everything is no address"),
        (("Address = 10.70.0.2/16", "Address = 10.70.0.2/16, 10.70.0.12/16"), r"a \(.*\): wg0 needs one IPv4 address, and has "),
    ],
)
def test_what_two_hosts_say_differently_is_one_line_and_shows_no_key(change: tuple[str, str], line: str) -> None:
    z, _, c = article()
    text = gateway_conf("a", "10.70.0.2").replace(*change)
    [found] = refused(z, asked("a", said({"/etc/wireguard/wg0.conf": text}, {"eth0": ["192.168.201.247/24"]})), c)
    assert re.match(line, found), found
    assert private("a") not in found
    assert shared("a") not in found


def test_a_lan_that_its_gateway_does_not_reach_and_a_gateway_that_nobody_names_are_told() -> None:
    z, _, c = article()
    files = {"/etc/wireguard/wg0.conf": gateway_conf("a", "10.70.0.2")}
    [line] = refused(z, asked("a", said(files, {"eth0": ["192.168.1.2/24"]})), c)
    assert "z routes 192.168.201.0/24 to a (" in line
    [line] = refused(z, c)
    assert line == (
        "z routes 192.168.201.0/24 to its peer a, Shenzhen: name that machine with --gateway NAME=USER@HOST, "
        "or take the network from its AllowedIPs"
    )


def test_an_address_beyond_the_network_is_told_as_one() -> None:
    text = HUB_CONF.replace("10.70.0.5/32", "10.71.0.5/32")
    [line] = refused(asked("z", said({"/etc/wireguard/wg0.conf": text}, {"wg0": ["10.70.0.1/16"]})), *article()[1:])
    assert line == "z routes 10.71.0.5/32 to its peer Jürgen Groß, which is not in 10.70.0.0/16; give it an address there"


def test_a_lan_behind_a_router_is_known_by_the_route_to_it(tmp_path: Path) -> None:
    hub_conf = HUB_CONF.replace("192.168.201.0/24", "192.168.201.0/24, 172.20.5.0/24")
    z = asked("z", said({"/etc/wireguard/wg0.conf": hub_conf}, {"wg0": ["10.70.0.1/16"]}))
    links = {"wg0": ["10.70.0.2/16"], "eth0": ["192.168.201.247/24"]}
    a = asked(
        "a", said({"/etc/wireguard/wg0.conf": gateway_conf("a", "10.70.0.2")}, links, {"172.20.5.0/24": "192.168.201.1"}), "198.51.100.7"
    )
    env = accepted(tmp_path, adopted(z, a, article()[2]))
    assert [(str(lan.cidr), str(lan.router)) for lan in env.gateways[0].networks] == [
        ("192.168.201.0/24", "None"),
        ("172.20.5.0/24", "192.168.201.1"),
    ]


def test_of_several_tunnels_one_has_to_be_named() -> None:
    files = {"/etc/wireguard/wg0.conf": HUB_CONF, "/etc/wireguard/home.conf": PIVPN_LESS}
    z = asked("z", said(files, {"wg0": ["10.70.0.1/16"]}))
    [line] = refused(z)
    assert line.endswith("has several WireGuard interfaces (wg0, home): name one with --interface")
    assert network_of(z, (), "home").hub.tunnel.name == "home"
    [line] = refused(asked("z", said()))
    assert line.endswith("has no WireGuard interface; it has none")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "did not say all"),
        (said().removesuffix("== end\n"), "did not say all"),
        (said().replace("== nft", "rm -rf\n== nft"), "no part of the answer: rm -rf"),
        (said().replace("|[]", "|[{}]"), "what no `ip` says"),
        (said(links={"eth0": ["192.0.2.1/99"]}), "what no `ip` says"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(NotUnderstood, match=words):
        parse_said(text)


def test_a_wg_that_says_nonsense_is_refused() -> None:
    [line] = refused(asked("z", said(wg="wg0\tkey\n")))
    assert line.endswith("`wg show all dump` says what no `wg` says")


def test_no_line_of_a_file_passes_for_a_part() -> None:
    text = part("file", f"# == wg \n== end\n{HUB_CONF}", "/etc/wireguard/wg0.conf")
    assert parse_said(text + said()).files == {"/etc/wireguard/wg0.conf": f"# == wg \n== end\n{HUB_CONF}"}


@given(st.text(), st.sampled_from(["file", "wg", "addr", "route", "iptables", "nft", "active"]))
def test_whatever_a_host_says_is_refused_or_taken_and_leads_no_terminal(text: str, kind: str) -> None:
    name = "/etc/wireguard/wg0.conf" if kind == "file" else ""
    z, a, c = article()
    try:
        spoilt = parse_said(said({"/etc/wireguard/wg1.conf": HUB_CONF}) + part(kind, text, name) + "== end\n")
        made = written(network_of(Asked("z", z.ssh, spoilt), (a, c), "wg1"), "office")
        told = [made.text, *made.remarks]
    except NotUnderstood as wrong:
        told = [str(wrong)]
    except Misfits as wrong:
        told = list(wrong.lines)
    assert all(each.replace("\n", "").isprintable() for each in told)


# --- there and back ----------------------------------------------------------------------------------------------------------------------


def quick(host: HostPlan) -> str:
    """A host's tunnel as a wg-quick file, by the template of bench/ansible."""
    assert host.tunnel
    address, port, mtu = host.tunnel.addresses[0], host.tunnel.listen_port, host.tunnel.mtu
    lines = ["[Interface]", f"Address = {address}", f"PrivateKey = {private(host.name)}", f"ListenPort = {port}", f"MTU = {mtu}"]
    for peer in host.tunnel.peers:
        lines += ["", f"# {peer.name}", "[Peer]", f"PublicKey = {public(peer.name)}"]
        lines += [f"PresharedKey = {shared(peer.psk_of)}"] if peer.psk_of else []
        lines += [f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}"]
        lines += [f"Endpoint = {peer.endpoint}", f"PersistentKeepalive = {peer.keepalive}"] if peer.endpoint else []
    return "\n".join(lines) + "\n"


def by_hand(env: Environment, host: HostPlan) -> Asked:
    assert host.tunnel
    lans = {f"lan{number}": [f"{lan.address}/{lan.cidr.prefixlen}"] for number, lan in enumerate(_lans(env, host))}
    links = {"wg0": [str(host.tunnel.addresses[0])], **lans}
    nat = "".join(f"-A POSTROUTING -s {env.network.cidr} -o {name} -j MASQUERADE\n" for name in lans if _masquerades(env, host))
    rules = f"*nat\n:POSTROUTING ACCEPT [0:0]\n{nat}COMMIT\n"
    files = {"/etc/wireguard/wg0.conf": quick(host)}
    return Asked(host.name, host.ssh, parse_said(said(files, links, iptables=rules, mtu=host.tunnel.mtu)))


def _lans(env: Environment, host: HostPlan) -> list[Lan]:
    return [lan for site in env.gateways if site.name == host.name for lan in site.networks]


def _masquerades(env: Environment, host: HostPlan) -> bool:
    return any(site.name == host.name and site.masquerades_all for site in env.gateways)


@st.composite
def environments(draw: st.DrawFn) -> Environment:
    """Networks as people make them by hand: some gateways with a LAN or two, some people, everything open."""
    ssh = article()[0].ssh
    sites = draw(st.integers(0, 3))
    ports = st.integers(1024, 65535)
    gateways = []
    for number in range(sites):
        lans = [
            {"cidr": f"192.168.{10 * number + each + 1}.0/24", "address": f"192.168.{10 * number + each + 1}.2"}
            for each in range(draw(st.integers(1, 2)))
        ]
        gateways.append(
            {
                "name": f"gw{number}",
                "site": f"gw{number}",
                "address": f"10.70.0.{2 + number}",
                **({"lan": lans[0]} if len(lans) == 1 else {"lans": lans}),
                "return_path": draw(st.sampled_from(["static-route", "masquerade"])),
                "listen_port": draw(ports),
                "adopt_key": True,
                "preshared": draw(st.sampled_from(["adopted", "none"])),
                "ssh": ssh,
            }
        )
    people = draw(st.lists(st.from_regex(r"[a-f][a-z0-9]{0,7}", fullmatch=True), unique=True, max_size=4))
    developers = [
        {
            "name": name,
            "address": f"10.70.1.{number + 1}",
            "public_key": public(name),
            "preshared": draw(st.sampled_from(["adopted", "none"])),
            "access": [each["site"] for each in gateways],
        }
        for number, name in enumerate(people)
    ]
    endpoint = draw(st.sampled_from(["203.0.113.10", "vpn.example.org"])) if gateways else "203.0.113.10"
    return Environment.model_validate(
        {
            "environment": "office",
            "network": {
                "cidr": "10.70.0.0/16",
                "mtu": draw(st.integers(1280, 1440)),
                "keepalive": draw(st.integers(1, 60)) if gateways else 15,
            },
            "hub": {
                "name": "z",
                "address": "10.70.0.1",
                "endpoint": f"{endpoint}:{draw(ports)}",
                "adopt_key": True,
                "ssh": ssh,
                "firewall": "nftables",
            },
            "gateways": gateways,
            "developers": developers,
        }
    )


@given(environments())
@settings(max_examples=40)
def test_a_network_that_is_set_up_by_hand_as_the_file_says_is_found_as_the_file_says(env: Environment) -> None:
    hub, *gateways = (by_hand(env, host) for host in plan(env))
    made = adopted(hub, *gateways)
    found = Environment.model_validate(yaml.safe_load(made.text))
    assert plain(found) == plain(env)
    assert {place.partition(".")[2] for place in made.secrets if place.startswith("presharedKeys.")} == {
        *(gateway.name for gateway in env.gateways if gateway.preshared == "adopted"),
        *(client.name for client in env.clients if client.preshared == "adopted"),
    }


def plain(env: Environment) -> dict[str, object]:
    """An environment without what a host's own rules program says: which one it is makes no difference by hand."""
    data = env.model_dump(mode="json")
    for host in (data["hub"], *data["gateways"]):
        host["firewall"] = "any"
        host["networks"] = [host.pop("lan"), *host.pop("lans")]
    return data
