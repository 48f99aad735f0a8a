"""Hosts of networks that were made by hand, as they answer `wg-office adopt`; for tests."""

import json
from collections.abc import Iterable, Mapping

from wg_office.adopt.network import Asked
from wg_office.asking.said import parse_said
from wg_office.environment.model import Ssh
from wg_office.hosts.keys import preshared_key, private_key, public_key

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMRnXKvBJD5VnAZGIBBW8XtDS1jw9oT7uEJZFNlsaNhf"


def private(name: str) -> str:
    return private_key(f"the secret of {name}")


def public(name: str) -> str:
    return public_key(private(name))


def shared(name: str) -> str:
    return preshared_key(f"the secret of {name}")


def part(kind: str, text: str, name: str = "") -> str:
    return f"== {kind} {name}\n" + "".join(f"|{line}\n" for line in text.splitlines()) + "\n"


def said(
    files: Mapping[str, str] | None = None,
    links: Mapping[str, Iterable[str]] | None = None,
    ways: Mapping[str, str] | None = None,
    *,
    wg: str = "",
    iptables: str = "",
    nft: str = "",
    active: str = "",
    mtu: int = 1420,
) -> str:
    """What a host says."""
    addr = [
        {"ifname": name, "mtu": mtu if name.startswith("wg") else 1500, "addr_info": [_address(each) for each in addresses]}
        for name, addresses in (links or {}).items()
    ]
    route = [{"dst": destination, **({"gateway": via} if via else {})} for destination, via in (ways or {}).items()]
    return "".join(
        [
            *(part("file", text, name) for name, text in (files or {}).items()),
            part("wg", wg),
            part("addr", json.dumps(addr)),
            part("route", json.dumps(route), "4"),
            part("iptables", iptables),
            part("nft", nft),
            part("active", active),
            "== end\n",
        ]
    )


def _address(each: str) -> dict[str, object]:
    address, _, length = each.partition("/")
    return {"local": address, "prefixlen": int(length), "scope": "global"}


def asked(name: str, text: str, host: str = "203.0.113.10") -> Asked:
    return Asked(name, Ssh(host=host, host_key=HOST_KEY), parse_said(text))


# --- the article's network, typed in as its commands have it ------------------------------------------------------------------------------

HUB_CONF = f"""\
[Interface]
Address = 10.70.0.1/16
ListenPort = 51820
PrivateKey = {private("z")}

# a, Shenzhen
[Peer]
PublicKey = {public("a")}
PresharedKey = {shared("a")}
AllowedIPs = 10.70.0.2/32, 192.168.201.0/24

# c, Beijing
[Peer]
PublicKey = {public("c")}
PresharedKey = {shared("c")}
AllowedIPs = 10.70.0.3/32, 192.168.200.0/24

# e
[Peer]
PublicKey = {public("e")}
PresharedKey = {shared("e")}
AllowedIPs = 10.70.0.4/32

[Peer]
# Jürgen Groß
PublicKey = {public("j")}
AllowedIPs = 10.70.0.5/32
"""


def gateway_conf(name: str, address: str, more: str = "") -> str:
    return f"""\
[Interface]
Address = {address}/16
PrivateKey = {private(name)}
{more}
[Peer]
PublicKey = {public("z")}
PresharedKey = {shared(name)}
Endpoint = 203.0.113.10:51820
AllowedIPs = 10.70.0.0/16
PersistentKeepalive = 25
"""


MASQUERADE = """\
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.70.0.0/16 -o eth0 -j MASQUERADE
COMMIT
"""


def article() -> tuple[Asked, Asked, Asked]:
    """Hub z, gateway a with a route on its LAN's router, gateway c that masquerades."""
    hub = said({"/etc/wireguard/wg0.conf": HUB_CONF}, {"wg0": ["10.70.0.1/16"], "eth0": ["203.0.113.10/24"]})
    a = said(
        {"/etc/wireguard/wg0.conf": gateway_conf("a", "10.70.0.2")}, {"wg0": ["10.70.0.2/16"], "eth0": ["192.168.201.247/24"]}, mtu=1420
    )
    c = said(
        {"/etc/wireguard/wg0.conf": gateway_conf("c", "10.70.0.3", "ListenPort = 51821")},
        {"wg0": ["10.70.0.3/16"], "eth0": ["192.168.200.248/24"]},
        iptables=MASQUERADE,
    )
    return asked("z", hub), asked("a", a, "198.51.100.7"), asked("c", c, "198.51.100.8")
