"""What takes more than one value to be wrong: each check is a pure function from the environment to findings.

The checks also run on an environment of which parts could not be read, so that all faults are reported at once. Such
parts lack the attributes that were wrong; `_has` asks before a check looks. That is why nothing here uses the
environment's own properties.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations

from netaddr import IPAddress, IPNetwork

from wg_office.faults import Path
from wg_office.grants import DeveloperGrant, Grant, GroupGrant, HostGrant, Record, SiteGrant
from wg_office.model import Environment, Gateway, Peer, Ssh, derived_address6
from wg_office.profiles import AT, EVERYDAY, EXACT, tunnel_name
from wg_office.widen import conflicts

_MTU_OVER_IPV6 = 1420
"""1500 less the 80 bytes that WireGuard over IPv6 adds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a path, the other place that it concerns, and what would be right."""

    path: Path
    message: str
    remedy: str
    see: Path | None = None


def check(environment: Environment) -> list[Finding]:
    """Everything that keeps this environment from being deployed, also when parts of it could not be read."""
    return [finding for each in _CHECKS for finding in each(environment)]


def warn(environment: Environment) -> list[Finding]:
    """What a reviewer should know, though it may be meant so."""
    return [finding for each in _WARNINGS for finding in each(environment)]


def free_addresses(environment: Environment) -> Iterator[IPAddress]:
    """The VPN addresses that nobody has, in order."""
    if not _has(environment, "network") or not _has(environment.network, "cidr"):
        return
    cidr = environment.network.cidr
    taken = {peer.address for _, _, peer in _peers(environment) if _has(peer, "address")}
    for value in range(cidr.first + 1, cidr.last):
        if (address := IPAddress(value, 4)) not in taken:
            yield address


def ssh_endpoints(environment: Environment) -> Iterator[tuple[Path, Ssh]]:
    """Every host that is to be reached by SSH, and where the file says so."""
    if _has(environment, "hub") and _has(environment.hub, "ssh"):
        yield ("hub", "ssh"), environment.hub.ssh
    for index, gateway in enumerate(environment.gateways):
        here: Path = ("gateways", index)
        if _has(gateway, "ssh"):
            yield (*here, "ssh"), gateway.ssh
        if gateway.router is not None and gateway.router.ssh is not None:
            yield (*here, "router", "ssh"), gateway.router.ssh
        for number, device in enumerate(gateway.devices):
            yield (*here, "devices", number, "ssh"), device.ssh


# --- walking -----------------------------------------------------------------------------------------------------------------------------


def _has(record: Record, *names: str) -> bool:
    return all(name in record.__dict__ for name in names)


def _peers(environment: Environment) -> Iterator[tuple[Path, str, Peer]]:
    if _has(environment, "hub"):
        yield ("hub",), "hub", environment.hub
    for index, gateway in enumerate(environment.gateways):
        yield ("gateways", index), "gateway", gateway
    for index, developer in enumerate(environment.developers):
        yield ("developers", index), "developer", developer


def _lans(environment: Environment) -> Iterator[tuple[Path, Gateway]]:
    for index, gateway in enumerate(environment.gateways):
        if _has(gateway, "lan") and _has(gateway.lan, "cidr", "address"):
            yield ("gateways", index, "lan"), gateway


def _called(record: object, kind: str) -> str:
    name = getattr(record, "name", None)
    return kind if name is None else f"{kind} {name}"


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.first <= other.last and other.first <= one.last


def _inside(address: IPAddress, network: IPNetwork) -> bool:
    return address.version == network.version and network.first <= int(address) <= network.last


def _is_end(address: IPAddress, network: IPNetwork) -> bool:
    """The network or broadcast address of an IPv4 prefix, which no host can have."""
    return network.prefixlen < 31 and int(address) in (network.first, network.last)


def _special(network: IPNetwork) -> str | None:
    first = IPAddress(network.first, network.version)
    last = IPAddress(network.last, network.version)
    for edge in (first, last):
        if edge.is_loopback():
            return "loopback"
        if edge.is_multicast():
            return "multicast"
        if edge.is_link_local():
            return "link-local"
    if first.version == 4 and (int(first) >> 24 == 0 or int(last) >> 28 == 15):
        return "reserved"
    return None


def router_name(gateway: Gateway) -> str:
    """What a site's router is called among the hosts that the program configures."""
    return f"{gateway.name}-router"


# --- names and addresses -----------------------------------------------------------------------------------------------------------------


def _unique_names(environment: Environment) -> Iterator[Finding]:
    named: list[tuple[Path, str, str]] = [
        ((*path, "name"), kind, peer.name) for path, kind, peer in _peers(environment) if _has(peer, "name")
    ]
    for index, gateway in enumerate(environment.gateways):
        here: Path = ("gateways", index)
        if _has(gateway, "name") and gateway.router is not None and gateway.router.ssh is not None:
            named.append(((*here, "router"), f"router (of gateway {gateway.name})", router_name(gateway)))
        named += [((*here, "devices", number, "name"), "device", each.name) for number, each in enumerate(gateway.devices)]
    seen: dict[str, tuple[Path, str]] = {}
    for path, kind, name in named:
        if name in seen:
            first, first_kind = seen[name]
            yield Finding(path, f"{name} is already the name of a {first_kind}", "every name is used once", first)
        else:
            seen[name] = path, kind


def _unique_sites(environment: Environment) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, gateway in enumerate(environment.gateways):
        if not _has(gateway, "site"):
            continue
        if gateway.site in seen:
            first = seen[gateway.site]
            owner = _called(environment.gateways[first], "gateway")
            yield Finding(
                ("gateways", index, "site"),
                f"{gateway.site} is already the site of {owner}",
                "a site has one gateway",
                ("gateways", first, "site"),
            )
        seen.setdefault(gateway.site, index)


def _usable(cidr: IPNetwork) -> bool:
    return 8 <= cidr.prefixlen <= 30 and _special(cidr) is None


def _vpn_prefixes(environment: Environment) -> Iterator[Finding]:
    if not _has(environment, "network") or not _has(environment.network, "cidr"):
        return
    network = environment.network
    if not 8 <= network.cidr.prefixlen <= 30:
        yield Finding(("network", "cidr"), f"{network.cidr} is no useful size", "use a prefix length from 8 to 30, such as 10.70.0.0/16")
    if special := _special(network.cidr):
        yield Finding(("network", "cidr"), f"{network.cidr} holds {special} addresses", "use private addresses, such as 10.70.0.0/16")
    if network.cidr6 is None:
        return
    if special := _special(network.cidr6):
        yield Finding(("network", "cidr6"), f"{network.cidr6} holds {special} addresses", "use a unique local prefix, such as fd70::/64")
    if not 16 <= network.cidr6.prefixlen <= 96 + network.cidr.prefixlen:
        longest = 96 + network.cidr.prefixlen
        yield Finding(
            ("network", "cidr6"),
            f"{network.cidr6} is no useful size beside {network.cidr}",
            f"use a prefix length from 16 to {longest}, so that each IPv4 address has its counterpart",
        )


def _addresses(environment: Environment) -> Iterator[Finding]:
    if not _has(environment, "network") or not _has(environment.network, "cidr"):
        return
    cidr = environment.network.cidr
    if not _usable(cidr):
        return  # every address would be a fault, and none of them the cause
    free = free_addresses(environment)
    seen: dict[IPAddress, tuple[Path, str]] = {}
    for path, kind, peer in _peers(environment):
        if not _has(peer, "address"):
            continue
        here, address, owner = (*path, "address"), peer.address, _called(peer, kind)
        if not _inside(address, cidr):
            yield Finding(here, f"{address} is outside the VPN {cidr}", _is_free(free), ("network", "cidr"))
        elif _is_end(address, cidr):
            which = "network" if int(address) == cidr.first else "broadcast"
            yield Finding(here, f"{address} is the {which} address of the VPN {cidr}", _is_free(free), ("network", "cidr"))
        if address in seen:
            first, first_owner = seen[address]
            yield Finding(here, f"{address} is already the address of {first_owner}", _is_free(free), first)
        seen.setdefault(address, (here, owner))


def _is_free(free: Iterator[IPAddress]) -> str:
    address = next(free, None)
    return "no address of the VPN is free: use a shorter prefix" if address is None else f"{address} is free"


def _addresses6(environment: Environment) -> Iterator[Finding]:
    if not _has(environment, "network") or not _has(environment.network, "cidr", "cidr6"):
        return
    cidr, cidr6 = environment.network.cidr, environment.network.cidr6
    seen: dict[IPAddress, tuple[Path, str]] = {}
    for path, kind, peer in _peers(environment):
        here = (*path, "address6")
        if peer.address6 is not None and cidr6 is None:
            yield Finding(here, "is given, but the VPN has no IPv6 prefix", "set network.cidr6, or remove it", ("network",))
            continue
        if cidr6 is None or not _has(peer, "address"):
            continue
        address = peer.address6 if peer.address6 is not None else derived_address6(cidr, cidr6, peer.address)
        if not _inside(address, cidr6):
            yield Finding(here, f"{address} is outside the VPN {cidr6}", "leave it out, and it follows from address", ("network", "cidr6"))
        elif int(address) == cidr6.first and peer.address6 is not None:
            yield Finding(here, f"{address} is the anycast address of the VPN {cidr6}", "leave it out, and it follows from address")
        if address in seen and peer.address6 is None and seen[address][0][-1] == "address":
            continue  # the two IPv4 addresses are the same, which is reported there
        if address in seen:
            first, owner = seen[address]
            yield Finding(here, f"{address} is already the address of {owner}", "leave it out, and it follows from address", first)
        seen.setdefault(address, ((*path, "address6" if peer.address6 is not None else "address"), _called(peer, kind)))


# --- LANs and the endpoint ---------------------------------------------------------------------------------------------------------------


def _lan_prefixes(environment: Environment) -> Iterator[Finding]:
    remedy = "every LAN needs a prefix of its own; where two offices use the same one, renumber one of them"
    lans = list(_lans(environment))
    for path, gateway in lans:
        here, cidr = (*path, "cidr"), gateway.lan.cidr
        if special := _special(cidr):
            yield Finding(here, f"{cidr} holds {special} addresses", "write the prefix that the LAN's DHCP server gives out")
        if _has(environment, "network") and _has(environment.network, "cidr") and _overlap(cidr, environment.network.cidr):
            yield Finding(here, f"{cidr} overlaps the VPN {environment.network.cidr}", "choose another VPN prefix", ("network", "cidr"))
    for (first, one), (path, other) in combinations(lans, 2):
        if _overlap(one.lan.cidr, other.lan.cidr):
            owner = _called(one, "gateway")
            yield Finding((*path, "cidr"), f"{other.lan.cidr} overlaps the LAN of {owner}", remedy, (*first, "cidr"))


def _lan_addresses(environment: Environment) -> Iterator[Finding]:
    for path, gateway in _lans(environment):
        lan, around = gateway.lan, path[:-1]
        taken: dict[IPAddress, tuple[Path, str]] = {}
        hosts: list[tuple[Path, str, IPAddress]] = [((*path, "address"), _called(gateway, "gateway"), lan.address)]
        if gateway.router is not None and gateway.router.address is not None:
            hosts.append(((*around, "router", "address"), "the router", gateway.router.address))
        hosts += [((*around, "devices", n, "address"), f"device {each.name}", each.address) for n, each in enumerate(gateway.devices)]
        for here, owner, address in hosts:
            if not _inside(address, lan.cidr) or _is_end(address, lan.cidr):
                what = "is outside" if not _inside(address, lan.cidr) else "is no host's address in"
                yield Finding(here, f"{address} {what} the LAN {lan.cidr}", f"write the address of {owner} in the LAN", (*path, "cidr"))
            elif address in taken:
                first, first_owner = taken[address]
                yield Finding(here, f"{address} is already the address of {first_owner}", f"write the address of {owner}", first)
            taken.setdefault(address, (here, owner))


def _endpoint(environment: Environment) -> Iterator[Finding]:
    if not _has(environment, "hub") or not _has(environment.hub, "endpoint"):
        return
    endpoint, here = environment.hub.endpoint, ("hub", "endpoint")
    if endpoint.host.is_loopback() or endpoint.host.is_multicast() or endpoint.host.is_link_local() or int(endpoint.host) == 0:
        yield Finding(here, f"{endpoint.host} cannot be reached from outside", "write the hub's public address")
    remedy = "packets to the hub would go into the tunnel itself: write the hub's public address"
    for path, gateway in _lans(environment):
        if _inside(endpoint.host, gateway.lan.cidr):
            yield Finding(
                here, f"{endpoint.host} lies in the LAN {gateway.lan.cidr} of {_called(gateway, 'gateway')}", remedy, (*path, "cidr")
            )
    if not _has(environment, "network"):
        return
    network = environment.network
    for name in ("cidr", "cidr6"):
        prefix: IPNetwork | None = getattr(network, name, None)
        if prefix is not None and _inside(endpoint.host, prefix):
            yield Finding(here, f"{endpoint.host} lies in the VPN {prefix}", remedy, ("network", name))
    if endpoint.host.version == 6 and network.mtu > _MTU_OVER_IPV6:
        yield Finding(
            ("network", "mtu"), f"{network.mtu} does not fit with an IPv6 endpoint", f"use {_MTU_OVER_IPV6} or less, such as 1280", here
        )


def _widenings(environment: Environment) -> Iterator[Finding]:
    """LANs that hold the hub's endpoint or the VPN only when developers' files widen them; those that do by themselves are found above."""
    endpoint = environment.hub.endpoint.host if _has(environment, "hub") and _has(environment.hub, "endpoint") else None
    vpn = [getattr(environment.network, name, None) for name in ("cidr", "cidr6")] if _has(environment, "network") else []
    lans = list(_lans(environment))
    if endpoint is not None and any(_inside(endpoint, gateway.lan.cidr) for _, gateway in lans):
        endpoint = None
    for path, gateway in lans:
        if gateway.retired:
            continue
        for conflict in conflicts([gateway.lan.cidr], endpoint, [prefix for prefix in vpn if prefix is not None]):
            if conflict.by_widening or conflict.kind == "no-parent":
                yield Finding((*path, "cidr"), conflict.message, conflict.remedy)


def _profile_names(environment: Environment) -> Iterator[Finding]:
    """Two sites whose files would share a name, because long ones are cut; each name by itself is valid, since its parts are."""
    if not _has(environment, "environment"):
        return
    seen: dict[str, tuple[str, Path]] = {tunnel_name(environment.environment, kind): (kind, ("environment",)) for kind in (EVERYDAY, EXACT)}
    for index, gateway in enumerate(environment.gateways):
        if not _has(gateway, "site"):
            continue
        here: Path = ("gateways", index, "site")
        kind = AT + gateway.site
        name = tunnel_name(environment.environment, kind)
        other, first = seen.setdefault(name, (kind, here))
        if other != kind:
            yield Finding(here, f"the {kind} file would be called {name}, as the {other} file is", "choose another name", first)


def _return_paths(environment: Environment) -> Iterator[Finding]:
    for index, gateway in enumerate(environment.gateways):
        here: Path = ("gateways", index)
        if gateway.router is not None and gateway.router.address is None and gateway.router.ssh is None:
            yield Finding((*here, "router"), "says nothing", "give the router's address, its ssh, or both, or leave it out")
        if gateway.return_path != "masquerade":
            continue
        for field, given in (("router", gateway.router is not None), ("devices", bool(gateway.devices))):
            if given:
                yield Finding(
                    (*here, field),
                    "is given, but masquerading needs no route",
                    "remove it, or set return_path: static-route",
                    (*here, "return_path"),
                )


def _via_hub(environment: Environment) -> Iterator[Finding]:
    for path, ssh in ssh_endpoints(environment):
        if path == ("hub", "ssh") and ssh.via is not None:
            yield Finding((*path, "via"), "the hub cannot be reached through itself", "remove it")
        elif ssh.via is not None and path[2:] != ("ssh",):
            yield Finding(
                (*path, "via"), "a LAN's machine answers the hub only when it knows the way back", "reach it by an ssh without via"
            )


def _one_machine_each(environment: Environment) -> Iterator[Finding]:
    seen: dict[tuple[str, int, str | None], Path] = {}
    for path, ssh in ssh_endpoints(environment):
        first = seen.setdefault((ssh.host.lower(), ssh.port, ssh.via), path)
        if first != path:
            yield Finding(
                (*path, "host"), f"{ssh.host} port {ssh.port} is already the way to another host", "a machine has one role", first
            )


def _public_keys(environment: Environment) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, developer in enumerate(environment.developers):
        if developer.public_key is None:
            continue
        first = seen.setdefault(developer.public_key, index)
        if first != index:
            owner = _called(environment.developers[first], "developer")
            remedy = "WireGuard tells peers apart by their keys: let each make one of their own"
            here: Path = ("developers", index, "public_key")
            yield Finding(here, f"is already the key of {owner}", remedy, ("developers", first, "public_key"))


def _dns(environment: Environment) -> Iterator[Finding]:
    if not _has(environment, "network") or environment.network.dns is None:
        return
    prefixes = [getattr(environment.network, name, None) for name in ("cidr", "cidr6")]
    prefixes += [gateway.lan.cidr for _, gateway in _lans(environment)]
    if len(list(_lans(environment))) < len(environment.gateways):
        return  # a LAN that could not be read may be the one
    for index, server in enumerate(environment.network.dns.servers):
        if not any(prefix is not None and _inside(server, prefix) for prefix in prefixes):
            yield Finding(
                ("network", "dns", "servers", index), f"{server} is in no LAN and not in the VPN", "name a server that the tunnel reaches"
            )


# --- grants ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """What a grant may refer to, by name; None where a part of the file could not be read, so that nothing is called unknown for it."""

    sites: dict[str, Gateway] | None
    developers: set[str] | None
    hosts: set[str] | None
    groups: set[str]

    @classmethod
    def of(cls, environment: Environment) -> "_Known":
        gateways, developers = environment.gateways, environment.developers
        hosts = [peer for _, kind, peer in _peers(environment) if kind != "developer"]
        return cls(
            {each.site: each for each in gateways} if all(_has(each, "site") for each in gateways) else None,
            {each.name for each in developers} if all(_has(each, "name") for each in developers) else None,
            {each.name for each in hosts} if _has(environment, "hub") and all(_has(each, "name") for each in hosts) else None,
            set(environment.groups),
        )


def _grants(environment: Environment) -> Iterator[tuple[Path, str | None, Grant]]:
    """Each grant, where it stands, and the developer it belongs to."""
    for number, grant in enumerate(environment.hub.access if _has(environment, "hub") else ()):
        yield ("hub", "access", number), None, grant
    for index, developer in enumerate(environment.developers):
        for number, grant in enumerate(developer.access):
            yield ("developers", index, "access", number), getattr(developer, "name", None), grant
    for name, group in environment.groups.items():
        for number, grant in enumerate(getattr(group, "access", ())):
            yield ("groups", name, "access", number), None, grant
    for index, gateway in enumerate(environment.gateways):
        for number, grant in enumerate(gateway.access):
            yield ("gateways", index, "access", number), None, grant


def _references(environment: Environment) -> Iterator[Finding]:
    known = _Known.of(environment)
    for path, owner, grant in _grants(environment):
        if path[0] == "gateways" and isinstance(grant, SiteGrant | GroupGrant):
            yield Finding(path, "a LAN's own access can only name developers and hosts", "use links: to let one LAN reach another")
            continue
        match grant:
            case SiteGrant():
                yield from _name(known.sites, (*path, "site"), "site", grant.site)
                yield from _hosts(known, path, grant.site, grant.hosts)
            case DeveloperGrant():
                yield from _name(known.developers, (*path, "developer"), "developer", grant.developer)
                if owner is not None and grant.developer == owner:
                    yield Finding((*path, "developer"), f"{owner} needs no grant to reach itself", "remove it")
            case HostGrant():
                yield from _name(known.hosts, (*path, "host"), "host", grant.host, "the hub or a gateway")
            case GroupGrant():
                yield from _name(known.groups, (*path, "group"), "group", grant.group)


def _name(known: Collection[str] | None, path: Path, kind: str, name: str, meaning: str = "") -> Iterator[Finding]:
    if known is None or name in known:
        return
    close = get_close_matches(name, known, n=1)
    others = sorted(known)
    listed = ", ".join(others) if len(others) <= 12 else f"{', '.join(others[:12])} and {len(others) - 12} more"
    remedy = (
        f"did you mean {close[0]}?" if close else f"there {'is' if len(others) == 1 else 'are'} {listed}" if others else "there is none"
    )
    yield Finding(path, f"{name} is not {meaning or f'a {kind}'} of this file", remedy)


def _hosts(known: _Known, path: Path, site: str, hosts: tuple[IPNetwork, ...]) -> Iterator[Finding]:
    gateway = (known.sites or {}).get(site)
    if gateway is None or not _has(gateway, "lan") or not _has(gateway.lan, "cidr"):
        return
    lan = gateway.lan.cidr
    for number, host in enumerate(hosts):
        if not (host.first >= lan.first and host.last <= lan.last):
            shown = host.ip if host.prefixlen == 32 else host
            yield Finding((*path, "hosts", number), f"{shown} is outside the LAN {lan} of site {site}", f"name hosts inside {lan}")


def _links(environment: Environment) -> Iterator[Finding]:
    known = _Known.of(environment)
    for index, link in enumerate(environment.links):
        path: Path = ("links", index)
        if _has(link, "from_"):
            yield from _name(known.sites, (*path, "from"), "site", link.from_)
        if not _has(link, "to"):
            continue
        yield from _name(known.sites, (*path, "to"), "site", link.to)
        yield from _hosts(known, path, link.to, link.hosts)
        if _has(link, "from_") and link.from_ == link.to:
            yield Finding((*path, "to"), f"{link.to} is linked with itself", "inside a LAN nothing is filtered: remove the link")


def _group_cycles(environment: Environment) -> Iterator[Finding]:
    members = {
        name: [(number, grant.group) for number, grant in enumerate(getattr(group, "access", ())) if isinstance(grant, GroupGrant)]
        for name, group in environment.groups.items()
    }
    done: set[str] = set()
    for start in members:
        trail = [] if start in done else [(start, iter(members[start]))]
        while trail:
            name, rest = trail[-1]
            number, member = next(rest, (0, ""))
            above = [each for each, _ in trail]
            if not member:
                done.add(trail.pop()[0])
            elif member in above:
                circle = " -> ".join([*above[above.index(member) :], member])
                yield Finding(
                    ("groups", name, "access", number, "group"), f"the groups contain each other: {circle}", "take one of them out"
                )
            elif member in members and member not in done:
                trail.append((member, iter(members[member])))


# --- warnings ----------------------------------------------------------------------------------------------------------------------------


def _homes(environment: Environment) -> Iterator[Finding]:
    for index, developer in enumerate(environment.developers):
        home = developer.home
        if home is None:
            continue
        here: Path = ("developers", index, "home")
        for path, gateway in _lans(environment):
            if _overlap(home, gateway.lan.cidr):
                relation = "is the same as" if home == gateway.lan.cidr else "overlaps"
                yield Finding(
                    here,
                    f"{home} {relation} the LAN of site {gateway.site}",
                    f"{developer.name} cannot reach both from home: renumber the home network",
                    (*path, "cidr"),
                )
        if _overlap(home, environment.network.cidr):
            yield Finding(here, f"{home} overlaps the VPN {environment.network.cidr}", "renumber the home network", ("network", "cidr"))


def _rotations(environment: Environment) -> Iterator[Finding]:
    for index, developer in enumerate(environment.developers):
        if developer.public_key is not None and developer.rotation > 1:
            yield Finding(
                ("developers", index, "rotation"),
                f"renews the preshared key only, because {developer.name} brings a public key",
                "a new key pair is the developer's to make",
            )
    for path, kind, peer in _peers(environment):
        if kind != "developer" and getattr(peer, "adopt_key", False) and peer.rotation > 1:
            yield Finding((*path, "rotation"), "does not renew an adopted private key", "change it in the stack's secret configuration")


def _keepalive(environment: Environment) -> Iterator[Finding]:
    if environment.network.keepalive == 0 and environment.gateways:
        yield Finding(("network", "keepalive"), "0 lets the NAT in front of a gateway forget the tunnel", "use 15 to 25")


def _unused_groups(environment: Environment) -> Iterator[Finding]:
    used = {grant.group for _, _, grant in _grants(environment) if isinstance(grant, GroupGrant)}
    for name in environment.groups:
        if name not in used:
            yield Finding(("groups", name), "no developer has this group", "grant it, or remove it")


_CHECKS = (
    _unique_names,
    _unique_sites,
    _vpn_prefixes,
    _addresses,
    _addresses6,
    _lan_prefixes,
    _lan_addresses,
    _endpoint,
    _widenings,
    _profile_names,
    _return_paths,
    _via_hub,
    _one_machine_each,
    _public_keys,
    _dns,
    _references,
    _group_cycles,
    _links,
)
_WARNINGS = (_homes, _rotations, _keepalive, _unused_groups)
