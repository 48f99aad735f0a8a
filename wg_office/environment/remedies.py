"""What people write into an environment file that cannot be said there, and what they can do today. Pure; one line each.

Room: environment. The fields are those that were tried, or that other programs of this kind have.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wg_office.environment.fields import show
from wg_office.environment.grants import DeveloperGrant, GroupGrant, HostGrant, Record, SiteGrant
from wg_office.environment.model import Developer, Device, Dns, Environment, Gateway, Group, Hub, Lan, Link, Network, OwnDevice, Router, Ssh
from wg_office.environment.statements import Expectation, Policy, Protected, Removals


@dataclass(frozen=True, slots=True)
class _NotSaid:
    """Fields that do not exist, the records in which people look for them (none: everywhere), and the answer."""

    names: str
    answer: str
    records: tuple[type[Record], ...] = ()

    def means(self, record: type[Record] | None, name: str) -> bool:
        return name in map(squeezed, self.names.split()) and (not self.records or record in self.records)


def squeezed(name: str) -> str:
    """A field's name without what other programs write otherwise: listen_port is ListenPort, too."""
    return re.sub(r"[-_ ]", "", name.lower())


UNMANAGED = frozenset({"unmanaged", "vendor", "model", "firmware"})
"""With one of these somebody describes a gateway that the program cannot set up; that its `ssh` is missing says nothing more."""

INSTEAD_OF_JUMPS = ("jump", "bastion", "bastions", "proxy", "proxies", "proxyjump", "jump_host", "jump_hosts", "jumphosts", "via")
"""What people call the machines on the way, at the top of the file."""

_LAN_WORDS = "cidr cidrs subnet subnets network networks routes allowed_ips allowedips"
NETWORKS = frozenset(f"{_LAN_WORDS} also extra sites vlans".split())
"""With one of these a gateway's networks are written in other words; that `lan` is missing says nothing more."""

_IP = frozenset({"ip", "ip_address", "ipv4", "addr", "vpn_ip", "vpn_address"})
_PREFIX = frozenset({"network", "subnet", "prefix", "range", "net"})
_ENDS, _FROM, _TO = "sites between ends", "source src", "destination dest dst target"
"""With one of these the ends of a link are written in other words; that `from` and `to` are missing says nothing more."""
_SEVERAL = "each network is an entry of lans: [{cidr: ..., address: ...}, {cidr: ..., via: ROUTER}], in place of lan"
_A_LINUX_HOST = "a host is a Linux machine with systemd, and the program sees which"
_WITH_WIREGUARD = (
    "a host is a Linux machine whose kernel has WireGuard (in a container, that of the machine around it), and the program sees which"
)
_OR_MANAGED = "a device that nobody logs in to says in place of ssh managed: routeros, openwrt, opnsense, wg-quick or no"
_SECRET = "is a secret, and secrets never stand in this file"

_NOT_KNOWN = (
    _NotSaid(
        f"{_LAN_WORDS} sites",
        "the hub's own networks are a site like any other: site: cloud, lans: [{cidr: ..., address: ...}]",
        (Hub,),
    ),
    _NotSaid("port", "the hub's UDP port is the one in its endpoint, or its listen_port where another is forwarded to it", (Hub, Network)),
    _NotSaid("listen_port also_on", "it stands with the hub", (Network, Environment)),
    _NotSaid("also_on", "only the hub has it: everybody dials the hub, and nobody dials them", (Gateway, Developer, OwnDevice)),
    _NotSaid("listen_port port", "people's machines dial the hub, from any port", (Developer, OwnDevice)),
    _NotSaid("port", "the UDP port of its WireGuard is its listen_port, that of its sshd is the port in ssh", (Gateway,)),
    _NotSaid(" ".join(_IP), "the address in the VPN is called address", (Gateway, Developer, OwnDevice)),
    _NotSaid(" ".join(_IP), "the address in the LAN is called address", (Device, Router, Lan)),
    _NotSaid(
        "os type system operating_system kind device_type",
        "the machine's operating system is its platform: linux, macos, windows, ios or android",
        (Developer, OwnDevice),
    ),
    _NotSaid("hostname host mac serial model", "the device is known by its name alone; write the rest as a comment", (OwnDevice,)),
    _NotSaid("platform os distribution distro init release", _A_LINUX_HOST, (Hub,)),
    _NotSaid("platform os distribution distro init release", f"{_A_LINUX_HOST}; {_OR_MANAGED}", (Gateway,)),
    _NotSaid("masquerade snat", "write return_path: masquerade", (Hub, Gateway, Lan)),
    _NotSaid("sudo become become_user", "who is not root there must be allowed sudo -n: name the user in ssh", (Ssh, Hub, Gateway)),
    _NotSaid(
        "security_group security_groups open_ports",
        "the provider's filter is set there, and must let in SSH and the endpoint's UDP port; take it out",
        (Hub, Gateway),
    ),
    _NotSaid(
        "endpoint6 endpoints endpoint_v6 endpoint_ipv6",
        "everybody dials one endpoint: write a name that has the IPv4 and the IPv6 address",
        (Hub, Network),
    ),
    _NotSaid(
        "backup failover standby secondary spare priority",
        "a site has one gateway; a spare machine takes its place under the same name, by its ssh",
        (Gateway,),
    ),
    _NotSaid(
        "hubs backup_hub hub2 second_hub", "there is one hub; a new machine takes its place under the same name, by its ssh", (Environment,)
    ),
    _NotSaid("server servers", "the server that everybody dials is the hub", (Environment,)),
    _NotSaid(
        "transport protocol proto tcp obfuscation wstunnel udp2raw stunnel websocket",
        "WireGuard is UDP alone: where that is blocked, the hub's also_on names further ports, and a developer's endpoint a program on "
        "the machine that carries it",
        (Hub, Gateway, Network, Developer, OwnDevice),
    ),
    _NotSaid("ports also also_ports extra_ports listen_ports more_ports", "further UDP ports of the hub are also_on: [443]", (Hub,)),
    _NotSaid(
        "hostname ddns dyndns public_ip public_address ip fqdn",
        "where the hub is dialled is its endpoint: a name or an address, with the port, such as vpn.example.org:51820",
        (Hub, Network),
    ),
    _NotSaid("endpoint", "only the hub has one: everybody dials the hub, and nobody dials them", (Gateway,)),
    _NotSaid(
        " ".join(UNMANAGED),
        "a gateway is a Linux host that the program sets up over SSH; one that nobody logs in to says in place of ssh managed: routeros, "
        "openwrt, opnsense, wg-quick or no, and what a person sets there is a secret output",
        (Gateway,),
    ),
    _NotSaid(" ".join(NETWORKS), _SEVERAL, (Gateway,)),
    _NotSaid(" ".join(_PREFIX), "a network's prefix is its cidr, such as cidr: 192.168.200.0/24", (Lan,)),
    _NotSaid(
        "vlan vlan_id vid",
        "a VLAN is a network like any other, and its interface on the gateway says which: interface: eth0.50, or leave it out",
        (Lan,),
    ),
    _NotSaid("cidrs also prefixes subnets networks extra additional vlans routes", _SEVERAL, (Lan,)),
    _NotSaid(
        "cidr6 address6 ipv6",
        "an IPv6 network is an entry of its own, of lans in place of lan: {cidr: 2001:db8:5::/64, address: 2001:db8:5::2}",
        (Lan,),
    ),
    _NotSaid(
        "as alias aliases seen_as known_as nat netmap map_to mapped translate translated",
        "where a LAN's prefix is in use elsewhere, as: 10.99.1.0/24 beside its cidr, of the same length, is what all others know it by",
        (Lan, Gateway, Hub),
    ),
    _NotSaid(
        "router gateway default_gateway gw nexthop next_hop",
        "the LAN's router stands beside lan, as router: {address: ...}; a network behind a router has via: ADDRESS in place of address",
        (Lan,),
    ),
    _NotSaid("enabled disabled active", "to close a site write retired: true", (Gateway,)),
    _NotSaid(
        "full_tunnel exit exit_node exit_nodes default_route redirect_gateway route_all all_traffic use_as_exit",
        "only the VPN and the sites go into the tunnel, and there is no exit to the internet; take it out",
    ),
    _NotSaid(
        "allowed_ips allowedips",
        "what goes into somebody's tunnel follows from access, such as access: [beijing]; a network behind a machine needs a gateway "
        "in it, under gateways",
        (Developer, OwnDevice),
    ),
    _NotSaid("type kind", f"{_WITH_WIREGUARD}; {_OR_MANAGED}", (Gateway,)),
    _NotSaid(
        "type kind container lxc virtualization userspace implementation wireguard_go boringtun kernel",
        _WITH_WIREGUARD,
        (Hub, Gateway),
    ),
    _NotSaid(
        f"lan lans {_LAN_WORDS} site sites",
        "nothing behind a developer's machine is reached; a network needs a gateway in it, under gateways: a Linux host, or a device "
        "that speaks WireGuard, with managed: in place of ssh",
        (Developer, OwnDevice),
    ),
    _NotSaid(
        "expires expire expiry valid_until valid_to end ends end_date",
        "what ends by itself says until: 2027-01-31, which is the end of that day in UTC",
        (Developer, OwnDevice, SiteGrant, DeveloperGrant, HostGrant, GroupGrant, Link),
    ),
    _NotSaid(
        "expires expire expiry until valid_until valid_to end ends end_date",
        "a group has no end; until: 2027-01-31 stands on a grant in it, on the grant of it, or on the person",
        (Group,),
    ),
    _NotSaid(
        "managed",
        "only a gateway may be one that nobody logs in to: the hub is a Linux host that the program sets up over SSH; take it out",
        (Hub,),
    ),
    _NotSaid("until", "a host has no end; until: 2027-01-31 stands with a person, a device, a grant or a link", (Hub,)),
    _NotSaid(
        "until",
        "a gateway has no end: to close a site write retired: true; until: 2027-01-31 stands with a person, a device, a grant or a link",
        (Gateway,),
    ),
    _NotSaid(
        "takes_over",
        "only on the hub and gateways a tunnel is taken over; a person's machine goes on with its own key, as public_key",
        (Developer, OwnDevice),
    ),
    _NotSaid("adopt_key", "only the hub and gateways adopt a private key; developers keep theirs with public_key", (Developer, OwnDevice)),
    _NotSaid(
        "enabled disabled active blocked suspended retired", "take the line away (or put # before it): that is all", (Developer, OwnDevice)
    ),
    _NotSaid("ssh", "nobody logs in to developers' machines; they get files", (Developer, OwnDevice)),
    _NotSaid(
        "addresses ips machines clients peers phones laptops computers",
        "who has several machines writes them as devices: [{name: laptop, address: ...}, {name: phone, address: ...}]",
        (Developer,),
    ),
    _NotSaid("access groups group home title", "it is the person's, for all devices alike; write it beside devices", (OwnDevice,)),
    _NotSaid("note notes comment description full_name fullname label", "free text about a person is the title: title: ...", (Developer,)),
    _NotSaid(
        "members member developers users people",
        "a group is granted to each of its members: access: [{group: NAME}] with the developer",
        (Group,),
    ),
    _NotSaid(
        "start starts begin begins from valid_from not_before since",
        "nothing begins by itself: write the line when it is to begin",
        (Developer, OwnDevice, SiteGrant, DeveloperGrant, HostGrant, GroupGrant, Group),
    ),
    _NotSaid(
        "schedule time times hours weekdays days",
        "access has an end (until), and no hours of the day; take it out",
        (Developer, OwnDevice, SiteGrant, DeveloperGrant, HostGrant, GroupGrant, Group, Link),
    ),
    _NotSaid(
        "bandwidth quota rate rate_limit limit", "a grant limits neither rate nor volume; take it out", (Developer, OwnDevice, SiteGrant)
    ),
    _NotSaid("device devices machine machines address ip", "machines in a LAN are hosts, by their addresses", (SiteGrant,)),
    _NotSaid(
        "strict strict_host_key_checking insecure accept_new",
        "each host is known by its key, in known_hosts or as host_key, and no connection is made without; take it out",
        (Ssh,),
    ),
    _NotSaid(_ENDS, "a link leads from one site to another: from: SITE, to: SITE", (Link,)),
    _NotSaid("both bidirectional two_way mutual bothways", "a link leads one way; write a second one with from and to exchanged", (Link,)),
    _NotSaid(_FROM, "the site that opens connections is its from", (Link,)),
    _NotSaid(_TO, "the site that is reached is its to", (Link,)),
    _NotSaid("search search_domains search_domain", "the domains that these servers answer for are its domains", (Dns,)),
    _NotSaid(
        "domain domains search search_domains nameserver nameservers dns_server dns_servers",
        "name servers and the domains for which they are asked stand in dns: {servers: [...], domains: [...]}",
        (Network,),
    ),
    _NotSaid("persistent_keepalive", "it is called keepalive here", (Network,)),
    _NotSaid("mss mss_clamp mssfix", "the MSS of TCP connections follows from network.mtu by itself; take it out"),
    _NotSaid(
        "pre_up post_up pre_down post_down table save_config fwmark",
        "it belongs into wg-quick's files; here routes and rules follow from the rest: take it out",
    ),
    _NotSaid("group groups", "a group is granted: access: [{group: NAME}]", (Developer,)),
    _NotSaid(
        "mtu keepalive persistent_keepalive interface dns rollback_after",
        "it is one for all, and stands in network",
        (Hub, Gateway, Developer, OwnDevice, Environment, Lan),
    ),
    _NotSaid("protocol proto", "the protocol is part of a port, such as ports: [53/udp]", (SiteGrant, DeveloperGrant, HostGrant, Link)),
    _NotSaid("deny except exclude not", "grants only add; name what may be reached", (SiteGrant, DeveloperGrant, HostGrant, Link, Group)),
    _NotSaid("hosts", "the machine itself is meant; leave it out", (DeveloperGrant, HostGrant)),
    _NotSaid("device devices", "a grant to a person holds for all of the person's devices; leave it out", (DeveloperGrant,)),
    _NotSaid("address6 ipv6 cidr6", "a machine has one address here, of the LAN's family: address", (Device, Router)),
    _NotSaid(
        "jump jumps proxy proxyjump proxy_jump proxycommand proxy_command bastion through gateway",
        "a machine on the way stands under jumps, at the top: NAME: {host: 198.51.100.9, user: ops}; say via: NAME here",
        (Ssh,),
    ),
    _NotSaid(
        " ".join(INSTEAD_OF_JUMPS),
        "machines on the way to hosts stand in jumps: {NAME: {host: 198.51.100.9, user: ops}}; an ssh says via: NAME",
        (Environment,),
    ),
    _NotSaid(
        "identity identity_file identityfile keyfile key_file ssh_key ssh_key_file sshkeyfile",
        "the operator's key comes from the SSH agent, or the stack: pulumi config set sshKeyFile FILE",
        (Ssh,),
    ),
    _NotSaid("users user clients people peers machines laptops", "people's machines are developers", (Environment,)),
    _NotSaid("sites offices lans", "each site stands with its gateway, under gateways", (Environment,)),
    _NotSaid("devices routers", "they stand with the gateway of their LAN", (Environment,)),
    _NotSaid("access rules acl acls policies grants", "access stands with whom it is granted to, or in groups", (Environment,)),
    _NotSaid(
        "preshared psk_enabled preshared_keys", "each gateway and developer has one with the hub: preshared stands with those", (Hub,)
    ),
    _NotSaid("psk_enabled preshared_keys", "every peer has a preshared key of its own; where there is to be none: preshared: none"),
    _NotSaid("title note notes comment description full_name fullname email owner tags label", "write it as a comment: # ..."),
)

_SECRETS = (
    _NotSaid(
        "preshared_key presharedkey psk",
        f"{_SECRET}; leave it out and one is generated, or write preshared: adopted and give the key to the stack as a secret",
        (Gateway, Developer, OwnDevice),
    ),
    _NotSaid("preshared_key presharedkey psk", f"{_SECRET}; preshared keys are always generated: their owners get a new file"),
    _NotSaid(
        "key password passphrase private_key privatekey",
        f"{_SECRET}; the operator's key comes from the SSH agent, or the stack: pulumi config set sshKeyFile FILE",
        (Ssh,),
    ),
    _NotSaid(
        "key private_key privatekey",
        f"{_SECRET}; leave it out and a key is generated, or write the public_key that belongs to it",
        (Developer, OwnDevice),
    ),
    _NotSaid(
        "key private_key privatekey",
        f"{_SECRET}; leave it out and a key is generated, write adopt_key: true and give the key to the stack as a secret, "
        "or write the public_key that belongs to it, and the host keeps it to itself",
        (Hub, Gateway),
    ),
    _NotSaid("key private_key privatekey password passphrase", f"{_SECRET}; leave it out"),
)


_OF_CHOICES: dict[str, dict[str, str]] = {
    "managed": {
        "routeros": "mikrotik",
        "openwrt": "gl-inet glinet lede",
        "wg-quick": "linux wireguard wgquick debian ubuntu raspberry",
        "no": "pfsense unifi ubiquiti edgerouter edgeos vyos fritzbox fritz-box synology qnap windows by-hand manual none off other self",
    },
    "firewall": {
        "nftables": "nft none off false no nothing",
        "iptables": "iptables-persistent netfilter-persistent iptables-nft iptables-legacy shorewall csf proxmox pve pve-firewall",
    },
    "return_path": {
        "masquerade": "nat snat masq masquerading source-nat",
        "static-route": "route routes routed static static-routes none no false off",
    },
    "platform": {
        "linux": "debian ubuntu fedora arch mint suse raspberry raspberrypi raspbian server",
        "macos": "mac osx os-x mac-os macosx darwin macbook apple",
        "windows": "win win10 win11 windows10 windows11 windows-10 windows-11 pc",
        "ios": "iphone ipad ipados",
        "android": "chromeos chromebook pixel samsung",
    },
}
"""What people call the choices of a field."""


def meant_choice(name: str, value: object) -> str | None:
    """The choice that somebody meant by another word."""
    words = show(value, quoted=False).lower().replace("_", "-").replace(" ", "-").replace("!", "").strip("-")
    return next((choice for choice, others in _OF_CHOICES.get(name, {}).items() if words in (choice, *others.split())), None)


BESIDE_CHOICES = {
    "managed": " (for any other device no)",
    "platform": ", or leave it out",
    "firewall": ", or leave it out where nobody does",
    "takes_over": ", or leave it out where something else has made the tunnel",
}
"""What else there is, beside a field's choices."""


def not_said(record: type[Record] | None, name: str) -> str | None:
    """The whole answer to a field that does not exist, where more is known than its neighbours' names."""
    wanted = squeezed(name)
    secret = next((each.answer for each in _SECRETS if each.means(record, wanted)), None)
    found = next((each.answer for each in _NOT_KNOWN if each.means(record, wanted)), None)
    return secret or (f"is not a field here: {found}" if found else None)


_PLACES: dict[type[Record], str] = {
    Environment: "the top of the file",
    Network: "network",
    Dns: "network.dns",
    Hub: "the hub",
    Gateway: "a gateway",
    Developer: "a developer",
    OwnDevice: "one of a developer's devices",
    Lan: "lan",
    Router: "router",
    Device: "a device in a LAN",
    Ssh: "ssh",
    Group: "a group",
    Link: "a link",
    SiteGrant: "a grant of a site",
    DeveloperGrant: "a grant of a developer",
    HostGrant: "a grant of a host",
    GroupGrant: "a grant of a group",
    Policy: "policy",
    Protected: "policy.protected",
    Removals: "policy.removals",
    Expectation: "an entry of expect",
}
"""Where the fields of records stand, in the words of the file."""

_FEW_PLACES = 3
"""In more places a field may stand that this says nothing to whoever wrote it in another."""


def elsewhere(name: str) -> str | None:
    """The answer to a field that another record has."""
    places = [place for record, place in _PLACES.items() if name in {field.alias or key for key, field in record.model_fields.items()}]
    *others, last = places or [""]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"is not a field here: it belongs to {listed}" if 0 < len(places) <= _FEW_PLACES else None


def _instead_of_ends(name: str) -> bool:
    return squeezed(name) in f"{_ENDS} {_FROM} {_TO}".split()


def without_space(name: str) -> str | None:
    """The field that somebody meant who wrote no space behind its colon, or the colon of another keyboard."""
    found = re.match(r"([^:：]+)[:：]", name)
    return found[1] if found is not None else None


def beside_the_point(places: Iterable[tuple[str | int, ...]]) -> Iterator[tuple[str | int, ...]]:
    """Of the places of faults, those that say nothing more: the missing `ssh` of a gateway that cannot be set up at all, the
    missing `cidr` of a network that calls it otherwise, the ends of a link by other
    words, the missing `address` of a peer, or what has no space behind its colon."""
    for place in places:
        if place[:1] == ("gateways",) and len(place) == 3 and place[-1] in UNMANAGED:
            yield (*place[:2], "ssh")
        if place[:1] == ("links",) and _instead_of_ends(str(place[-1])):
            yield from ((*place[:-1], "from"), (*place[:-1], "to"))
        if {"lan", "lans"} & set(place[:-1]) and place[-1] in _PREFIX:
            yield (*place[:-1], "cidr")
        if place[:1] in (("gateways",), ("developers",)) and place[-1] in _IP:
            yield (*place[:-1], "address")
        if place and (field := without_space(str(place[-1]))) is not None:
            yield (*place[:-1], field)
