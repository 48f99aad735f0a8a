"""What takes more than one value to be wrong: each check is a pure function from the environment to findings.

The checks also run on an environment of which parts could not be read, so that all faults are reported at once. Such
parts lack the attributes that were wrong; `_has` asks before a check looks. That is why nothing here uses the
environment's own properties.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from itertools import chain, combinations, permutations

from netaddr import IPAddress, IPNetwork

from wg_office.environment.faults import Path
from wg_office.environment.fields import is_address
from wg_office.environment.grants import EVERYTHING, DeveloperGrant, Grant, GroupGrant, HostGrant, Record, SiteGrant
from wg_office.environment.model import HUB, Environment, Gateway, Hub, Lan, Network, Router, Site, Ssh, derived_address6
from wg_office.network.plan import router_name
from wg_office.network.widen import conflicts, is_private, parent
from wg_office.people.profiles import AT, EVERYDAY, EXACT, MAX_TUNNEL_NAME, tunnel_name

_MTU_OVER_IPV6 = 1420
"""1500 less the 80 bytes that WireGuard over IPv6 adds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a path, the other place that it concerns, and what would be right."""

    path: Path
    message: str
    remedy: str
    see: Path | None = None


def check(environment: Environment, free: Iterator[IPAddress] | None = None) -> list[Finding]:
    """Everything that keeps this environment from being deployed, also when parts of it could not be read.

    `free` are the addresses that may be proposed, for a caller who has proposed others of them.
    """
    addresses = _addresses(environment, free_addresses(environment) if free is None else free)
    return [*addresses, *(finding for each in _CHECKS for finding in each(environment))]


def free_addresses(environment: Environment) -> Iterator[IPAddress]:
    """The VPN addresses that nobody has, in order."""
    if not _has(environment, "network") or not _has(environment.network, "cidr"):
        return
    cidr = environment.network.cidr
    taken = {peer.address for peer in _peers(environment)}
    # The first one is the hub's, where nothing of it could be read.
    first = cidr.first + (1 if _has(environment, "hub") and environment.hub.model_fields_set else 2)
    for value in range(first, cidr.last):
        if (address := IPAddress(value, 4)) not in taken:
            yield address


def ssh_endpoints(environment: Environment) -> Iterator[tuple[Path, Ssh]]:
    """Every machine that is to be reached by SSH, and where the file says so: the hosts, then those on the way to them."""
    for here, host in hosts(environment):
        ssh = getattr(host, "ssh", None)
        if ssh is not None:
            yield (*here, "ssh"), ssh
        if host.router_ssh is not None:
            yield (*here, "router", "ssh"), host.router_ssh
        for number, device in enumerate(host.devices):
            yield (*here, "devices", number, "ssh"), device.ssh
    for name, jump in environment.jumps.items():
        if _has(jump, "host"):
            yield ("jumps", name), jump


def on_the_way(environment: Environment, ssh: Ssh) -> Ssh | None:
    """The machine that the operator goes through, as far as it could be read."""
    if ssh.via == HUB:
        return environment.hub.ssh if _has(environment, "hub") and _has(environment.hub, "ssh") else None
    jump = environment.jumps.get(ssh.via) if ssh.via is not None else None
    return jump if jump is not None and _has(jump, "host") else None


# --- walking -----------------------------------------------------------------------------------------------------------------------------


def _has(record: Record, *names: str) -> bool:
    return all(name in record.__dict__ for name in names)


@dataclass(frozen=True, slots=True)
class _Peer:
    """A peer as far as it could be read, and where it stands."""

    path: Path
    kind: str
    name: str | None
    address: IPAddress | None
    address6: IPAddress | None
    public_key: str | None

    @property
    def called(self) -> str:
        return self.kind if self.name is None else f"{self.kind} {self.name}"


def _peers(environment: Environment) -> Iterator[_Peer]:
    if _has(environment, "hub"):
        yield _peer(("hub",), "hub", environment.hub)
    for index, gateway in enumerate(environment.gateways):
        yield _peer(("gateways", index), "gateway", gateway)
    for index, developer in enumerate(environment.developers):
        here: Path = ("developers", index)
        if not developer.devices:
            yield _peer(here, "developer", developer)
        for number, device in enumerate(developer.devices):
            yield _peer((*here, "devices", number), "device", device, developer)


def _peer(path: Path, kind: str, record: Record, owner: Record | None = None) -> _Peer:
    names = [getattr(each, "name", None) for each in (owner, record) if each is not None]
    name = None if None in names else "-".join(map(str, names))
    address, address6, public_key = (getattr(record, field, None) for field in ("address", "address6", "public_key"))
    return _Peer(path, kind, name, address, address6, public_key)


def hosts(environment: Environment) -> Iterator[tuple[Path, Site]]:
    """The hub and the gateways: whoever may have networks of its own."""
    if _has(environment, "hub"):
        yield ("hub",), environment.hub
    yield from ((("gateways", index), gateway) for index, gateway in enumerate(environment.gateways))


def lans(environment: Environment) -> Iterator[tuple[Path, Site, Lan]]:
    """Each network that could be read, the host of its site, and where it stands in the file."""
    for path, host in hosts(environment):
        yield from ((place, host, lan) for place, lan in lans_of(path, host))


def _apart_from_everything(environment: Environment) -> Iterator[tuple[Path, Site, Lan]]:
    """The networks but for those that are much of the internet: that one mistake would overlap all else."""
    return (each for each in lans(environment) if not _is_much_of_the_internet(each[2]))


def _is_much_of_the_internet(lan: Lan) -> bool:
    return (lan.outside or not is_private(lan.cidr)) and lan.cidr.prefixlen < (8 if lan.cidr.version == 4 else 32)


def lans_of(path: Path, host: Site) -> Iterator[tuple[Path, Lan]]:
    """The networks of one site, and where they stand."""
    if host.lan is not None:
        yield (*path, "lan"), host.lan
    yield from (((*path, "lans", number), lan) for number, lan in enumerate(host.lans))


def _called(record: object, kind: str) -> str:
    name = getattr(record, "name", None)
    return kind if name is None else f"{kind} {name}"


def overlap(one: IPNetwork, other: IPNetwork) -> bool:
    """Whether two prefixes share an address."""
    return one.version == other.version and one.first <= other.last and other.first <= one.last


def inside(address: IPAddress, network: IPNetwork) -> bool:
    """Whether an address is in a prefix of its kind."""
    return address.version == network.version and network.first <= int(address) <= network.last


def _is_end(address: IPAddress, network: IPNetwork) -> bool:
    """The network or broadcast address of an IPv4 prefix, which no host can have."""
    return network.version == 4 and network.prefixlen < 31 and int(address) in (network.first, network.last)


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


def _kind(host: Site) -> str:
    return "hub" if isinstance(host, Hub) else "gateway"


# --- names and addresses -----------------------------------------------------------------------------------------------------------------


def _unique_names(environment: Environment) -> Iterator[Finding]:
    named: list[tuple[Path, str, str]] = [
        ((*peer.path, "name"), peer.kind, peer.name) for peer in _peers(environment) if peer.name is not None
    ]
    people = [(("developers", index, "name"), each) for index, each in enumerate(environment.developers) if each.devices]
    named += [(path, "developer", each.name) for path, each in people if _has(each, "name")]
    for here, host in hosts(environment):
        if _has(host, "name") and host.router_ssh is not None:
            named.append(((*here, "router"), f"router (of {_kind(host)} {host.name})", router_name(host)))
        named += [((*here, "devices", number, "name"), "device", each.name) for number, each in enumerate(host.devices)]
    seen: dict[str, tuple[Path, str]] = {}
    for path, kind, name in named:
        if name in seen:
            first, first_kind = seen[name]
            yield Finding(path, f"{name} is already the name of a {first_kind}", "every name is used once", first)
        else:
            seen[name] = path, kind


def _device_names(environment: Environment) -> Iterator[Finding]:
    """Both names together must do for a tunnel."""
    for index, developer in enumerate(environment.developers):
        for number, device in enumerate(developer.devices):
            if _has(developer, "name") and _has(device, "name"):
                yield from _too_long_together(developer.name, device.name, ("developers", index, "devices", number, "name"))


def _too_long_together(developer: str, device: str, here: Path) -> Iterator[Finding]:
    both, room = f"{developer}-{device}", MAX_TUNNEL_NAME - len(developer) - 1
    if len(both) > MAX_TUNNEL_NAME:
        message = f"{both} has {len(both)} characters, and a tunnel's name {MAX_TUNNEL_NAME} at most"
        shorter = "" if room > _TOO_FEW else f", or give {developer} a shorter name, which makes new keys for whoever is deployed"
        yield Finding(here, message, f"call the device something with at most {room}, such as {device[:room].rstrip('-')}{shorter}")


_TOO_FEW = 3
"""Letters that hardly tell one device from another."""


def _unique_sites(environment: Environment) -> Iterator[Finding]:
    for name, ((first, other), *later) in _named_sites(environment).items():
        for path, host in later:
            message = f"{name} is already the site of {_called(other, _kind(other))}"
            yield Finding((*path, "site"), message, _one_gateway_each(host, other), (*first, "site"))


def _named_sites(environment: Environment) -> dict[str, list[tuple[Path, Site]]]:
    """The hosts of each site. Of one that is there twice nobody knows which is meant."""
    found: dict[str, list[tuple[Path, Site]]] = {}
    for path, host in hosts(environment):
        if _has(host, "site") and host.site is not None:
            found.setdefault(host.site, []).append((path, host))
    return found


def _one_gateway_each(host: Site, other: Site) -> str:
    if host.prefixes and other.prefixes and not any(overlap(one, two) for one in host.prefixes for two in other.prefixes):
        name = host.site_name[:30]
        return f"a site has one gateway: give the other LAN a site of its own, such as {name}-2, or write one machine's LANs as its lans"
    return "a LAN has one gateway: keep one of them; a spare machine can take its place under the same name, by its ssh"


def _networks_given(environment: Environment) -> Iterator[Finding]:
    """What a site has to say of itself, in one of the two ways."""
    for path, host in hosts(environment):
        if host.lan is not None and host.lans:
            yield Finding((*path, "lans"), "is given beside lan", "write all networks in lans, that of lan too", (*path, "lan"))
        # Of whom nothing could be read, nothing is missing.
        if isinstance(host, Gateway) and host.model_fields_set and not host.networks:
            example = "lan: {cidr: 192.168.200.0/24, address: 192.168.200.248}"
            yield Finding((*path, "lan"), "is missing: the office network behind it", f"write it like {example}")
        if isinstance(host, Hub):
            yield from _hub_as_a_site(host)


def _hub_as_a_site(hub: Hub) -> Iterator[Finding]:
    if hub.networks and hub.site is None:
        yield Finding(("hub", "site"), "is missing: the name of the hub's own networks, as grants use it", "write it like site: cloud")
    if not hub.networks:
        of_a_site = {"site": hub.site, "router": hub.router, "devices": hub.devices, "wifi": hub.wifi}
        for field, given in of_a_site.items():
            if given:
                message = "is given, but the hub has no networks of its own"
                yield Finding(("hub", field), message, "add lans: [{cidr: ..., address: ...}], or remove it")


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


def _addresses(environment: Environment, free: Iterator[IPAddress]) -> Iterator[Finding]:
    if not _has(environment, "network") or not _has(environment.network, "cidr"):
        return
    cidr = environment.network.cidr
    if not _usable(cidr):
        return  # every address would be a fault, and none of them the cause
    seen: dict[IPAddress, tuple[Path, str]] = {}
    for peer in _peers(environment):
        if peer.address is None:
            continue
        here, address, owner = (*peer.path, "address"), peer.address, peer.called
        if not inside(address, cidr):
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
    for peer in _peers(environment):
        here = (*peer.path, "address6")
        if peer.address6 is not None and cidr6 is None:
            yield Finding(here, "is given, but the VPN has no IPv6 prefix", "set network.cidr6, or remove it", ("network",))
            continue
        if cidr6 is None or peer.address is None:
            continue
        address = peer.address6 if peer.address6 is not None else derived_address6(cidr, cidr6, peer.address)
        if not inside(address, cidr6):
            yield Finding(here, f"{address} is outside the VPN {cidr6}", "leave it out, and it follows from address", ("network", "cidr6"))
        elif int(address) == cidr6.first and peer.address6 is not None:
            yield Finding(here, f"{address} is the anycast address of the VPN {cidr6}", "leave it out, and it follows from address")
        if address in seen and peer.address6 is None and seen[address][0][-1] == "address":
            continue  # the two IPv4 addresses are the same, which is reported there
        if address in seen:
            first, owner = seen[address]
            yield Finding(here, f"{address} is already the address of {owner}", "leave it out, and it follows from address", first)
        seen.setdefault(address, ((*peer.path, "address6" if peer.address6 is not None else "address"), peer.called))


# --- LANs and the endpoint ---------------------------------------------------------------------------------------------------------------


def _lan_prefixes(environment: Environment) -> Iterator[Finding]:
    listed = list(_apart_from_everything(environment))
    for path, _, lan in listed:
        here, cidr = (*path, "cidr"), lan.cidr
        if special := _special(cidr):
            by = "DHCP server gives out" if cidr.version == 4 else "router advertises, such as 2001:db8:5::/64; these are on every link"
            yield Finding(here, f"{cidr} holds {special} addresses", f"write the prefix that the LAN's {by}")
        for name, vpn in _vpns(environment):
            if overlap(cidr, vpn):
                remedy = f"choose another VPN prefix{free_vpn(environment) if vpn.version == 4 else ''}, with addresses in it: "
                yield Finding(here, f"{cidr} overlaps the VPN {vpn}", f"{remedy}the VPN lies in no LAN", ("network", name))
        if cidr.version == 6 and _has(environment, "network") and getattr(environment.network, "cidr6", cidr) is None:
            remedy = "set network.cidr6, such as fd70::/64, from which every peer gets an address; or take the LAN away"
            yield Finding(here, f"{cidr} is IPv6, and the VPN has no IPv6 prefix", remedy, ("network",))
    proposed = _proposed_once(environment)
    said: set[tuple[Path, IPNetwork]] = set()  # of many LANs alike, each is told of the first alone
    for (first, one, lan), (path, other, later) in combinations(listed, 2):
        if _in_each_others_way(one, lan, other, later) and not _same_site(one, other) and (path, lan.cidr) not in said:
            said.add((path, lan.cidr))
            remedy = _apart(proposed, (first, one, lan), (path, other, later))
            remedy += _and_the_other(environment, proposed, (first, one, lan), (path, other, later))
            yield Finding((*path, "cidr"), f"{later.cidr} overlaps {_whose(one, other)}", remedy, (*first, "cidr"))


def _in_each_others_way(one: Site, lan: Lan, other: Site, later: Lan) -> bool:
    """Whether two networks may not have their prefixes: an alias takes one of them out of the others' way, but not of its own host's."""
    if one is other or not (lan.alias or later.alias):
        return overlap(lan.cidr, later.cidr)
    # The hub meets all that the tunnel carries, and what is on-link there is never led into it. Gateways: see _linked_with_their_likes.
    return isinstance(one, Hub) and later.alias is None and overlap(lan.cidr, later.cidr)


def _vpns(environment: Environment) -> Iterator[tuple[str, IPNetwork]]:
    """The VPN's prefixes that could be read, by the field in which they stand."""
    for name in ("cidr", "cidr6"):
        prefix = getattr(environment.network, name, None) if _has(environment, "network") else None
        if prefix is not None:
            yield name, prefix


def _whose(one: Site, other: Site) -> str:
    return "another LAN of the same site" if one is other else f"the LAN of {_called(one, _kind(one))}"


def free_vpn(environment: Environment) -> str:
    """How a remedy goes on with a usual VPN prefix that no LAN overlaps."""
    taken = [prefix for _, _, lan in lans(environment) for prefix in (lan.cidr, lan.known_as)] + [environment.network.cidr]
    tens = (f"10.{number}.0.0/16" for number in range(70, 200))
    prefixes = map(IPNetwork, chain(tens, ("172.16.0.0/16", "192.168.240.0/20")))  # for whose LAN is all of 10.0.0.0/8
    free = next((prefix for prefix in prefixes if not any(overlap(prefix, other) for other in taken)), None)
    return "" if free is None else f", such as {free}"


def _same_site(one: Site, other: Site) -> bool:
    """Two gateways of one site, which is said where the second one's site stands."""
    return one is not other and _has(one, "site") and _has(other, "site") and one.site == other.site


_Placed = tuple[Path, Site, Lan]
"""A network, where it stands and the host of its site."""

_Proposed = Callable[[], Mapping[Path, IPNetwork]]
"""What proposed_aliases says, worked out where it is first needed."""


def _apart(proposed: _Proposed, first: _Placed, second: _Placed) -> str:
    """What to do about two LANs with the same addresses: the same one twice, two alike, or one inside the other."""
    (_, one, lan), (_, other, later) = first, second
    if lan.cidr == later.cidr and one is other:
        return "keep one of them"
    if lan.outside and later.outside and one is not other:
        return "a partner is reached through one office: keep it at one of them"
    gone = next((_called(each, _kind(each)) for each in (one, other) if not each.is_active), None)
    if lan.cidr == later.cidr and gone is not None:
        return f"{gone} is retired: delete it after the `pulumi up` that takes it down; or keep it, and give it the new machine's ssh"
    two = f"renumber one{_or_an_alias(proposed, first, second)}"
    if lan.cidr == later.cidr and isinstance(one, Hub):
        return f"if this is the hub's own network, take it away here: the hub serves it; if these are two networks, {two}"
    if lan.cidr == later.cidr:
        return f"if this is one LAN with two gateways, keep one of them; if these are two LANs, {two}"
    return _inside_another(proposed, first, second)


def _or_an_alias(proposed: _Proposed, first: _Placed, second: _Placed) -> str:
    """The way out for whoever cannot renumber: the smaller of two networks, or that which is not the hub's own, by another prefix."""
    free = proposed()
    able = [second] if isinstance(first[1], Hub) else sorted((second, first), key=lambda each: -each[2].cidr.prefixlen)
    path, host, lan = next((each for each in able if each[0] in free), second)
    if first[1] is second[1]:
        return ""
    if path not in free and lan.cidr.prefixlen < 16 and lan.has_a_cable:
        return ", or write only the parts of it that people need, each with an as: of its own"
    whose = "this cidr" if path == second[0] else f"{lan.cidr} of {_called(host, _kind(host))}"
    return or_an_alias(free.get(path), whose)


def _and_the_other(environment: Environment, proposed: _Proposed, first: _Placed, second: _Placed) -> str:
    """How the remedy goes on for two networks alike of sites that are linked: one alias is not enough, see _linked_with_their_likes."""
    ends = {getattr(host, "site", None) for _, host, _ in (first, second)}
    linked = any({getattr(link, "from_", None), getattr(link, "to", None)} == ends for link in environment.links)
    (path, host, lan), free = first, proposed()
    both = host.is_active and second[1].is_active and not isinstance(host, Hub)
    if not (linked and both) or lan.cidr != second[2].cidr or not {path, second[0]} <= free.keys():
        return ""
    return f"; as the two are linked, as: {free[path]} beside that of {_called(host, _kind(host))}, too"


def or_an_alias(alias: IPNetwork | None, beside: str) -> str:
    """How a remedy goes on where an alias is proposed."""
    return "" if alias is None else f", or write as: {alias} beside {beside}, by which all others then know it"


def _inside_another(proposed: _Proposed, first: _Placed, second: _Placed) -> str:
    (_, one, lan), (_, other, later) = first, second
    (host, outer), (_, inner) = sorted(((one, lan), (other, later)), key=lambda each: each[1].cidr.prefixlen)
    if outer.outside:
        return f"write the partner's networks one by one, without {inner.cidr}" if not inner.outside else f"take {inner.cidr} away"
    part = _part_without(outer, inner.cidr)
    narrower = f"write for {_called(host, _kind(host))} only a part that leaves it out, such as {part}" if part is not None else ""
    if one is other:
        return narrower or _inside_its_own(outer, inner)
    return f"renumber {inner.cidr}{f', or {narrower}' if narrower else ''}{_or_an_alias(proposed, first, second)}"


def _inside_its_own(outer: Lan, inner: Lan) -> str:
    """What to do about a network in another one of the same site: a subnet of a cloud in which the host stands, or a needless line."""
    if inner.address is None or outer.router is None:
        return f"{outer.cidr} holds it already: take {inner.cidr} away"
    # Of a single address: clouds give out no more of their network, and lead the rest to their router.
    if inside(outer.router, inner.cidr) or inner.cidr.size == 1:
        return f"write both as one, with the host's address: {{cidr: {outer.cidr}, address: {inner.address}}}"
    return f"write in place of {outer.cidr} the parts that lie behind {outer.router}, without {inner.cidr}"


def _part_without(outer: Lan, inner: IPNetwork) -> IPNetwork | None:
    """The widest part of a LAN that holds its gateway and nothing of the other LAN."""
    if outer.address is None:
        return None
    width = outer.cidr.version == 4
    lengths = range(outer.cidr.prefixlen + 1, 31 if width else 65)
    parts = (IPNetwork((int(outer.address), length), version=outer.cidr.version).cidr for length in lengths)
    return next((part for part in parts if not overlap(part, inner)), None)


# --- aliases -----------------------------------------------------------------------------------------------------------------------------


def proposed_aliases(environment: Environment) -> dict[Path, IPNetwork]:
    """For each network that could have one a prefix that nobody has or is told to take: narrow ones and later ones choose first."""
    taken = list(_taken(environment))
    found: dict[Path, IPNetwork] = {}
    for path, _, lan in sorted(reversed(list(lans(environment))), key=lambda each: -each[2].cidr.prefixlen):
        free = _free_like(lan.cidr, taken) if lan.has_a_cable else None
        if free is not None:
            found[path] = free
            taken.append(free)
    return found


def _proposed_once(environment: Environment) -> _Proposed:
    return cache(lambda: proposed_aliases(environment))


def _taken(environment: Environment) -> Iterator[IPNetwork]:
    yield from (prefix for _, prefix in _vpns(environment))
    yield from (prefix for _, _, lan in lans(environment) for prefix in (lan.cidr, lan.known_as))
    yield from (each.home for each in environment.developers if each.home is not None)
    yield from (IPNetwork(address) for address in _dialled(environment))


def _free_like(lan: IPNetwork, taken: Collection[IPNetwork]) -> IPNetwork | None:
    """A private prefix of the same length that ends in the same numbers: 10.99.1.0/24 for 192.168.1.0/24."""
    return next((prefix for prefix in _likenesses(lan) if not any(overlap(prefix, other) for other in taken)), None)


def _likenesses(lan: IPNetwork) -> Iterator[IPNetwork]:
    """In the order in which they are proposed."""
    size = 1 << (96 if lan.version == 6 else max(16, 32 - lan.prefixlen))
    for start in _private_blocks(lan.version, size) if lan.size <= size else ():
        yield IPNetwork((start + lan.first % size, lan.prefixlen), version=lan.version)


def _private_blocks(version: int, size: int) -> Iterator[int]:
    """Where blocks of that size begin: of IPv4 in 10.0.0.0/8 from 10.99 on, then in 172.16.0.0/12; 192.168.0.0/16 is homes'."""
    if version == 6:
        yield from range(0xFD99 << 112, (0xFD99 << 112) + (size << 8), size)
        return
    ten, twelve = 10 << 24, (172 << 24) + (16 << 16)
    proposed = (ten + (99 << 16)) // size * size
    for first, end in ((proposed, ten + (1 << 24)), (ten, proposed), (twelve, twelve + (1 << 20))):
        yield from range(first, end, size) if end - first >= size else ()


def _aliases(environment: Environment) -> Iterator[Finding]:
    """What others know a network by: of its length, and nobody else's."""
    for path, _, lan in lans(environment):
        if lan.alias is not None:
            here, message = (*path, "as"), _no_alias(lan, lan.alias)
            if message is not None:
                yield Finding(here, *message)
            else:
                yield from _alias_of_others(environment, here, lan, lan.alias)


def _no_alias(lan: Lan, alias: IPNetwork) -> tuple[str, str] | None:
    """What is wrong with it by itself, and what would be right."""
    if lan.outside:
        return "is given, but what lies in the internet has addresses of its own", "remove it"
    if alias == lan.cidr:
        return f"{alias} is the LAN's own prefix", "write one that is used nowhere, or leave it out"
    if (alias.version, alias.prefixlen) != (lan.cidr.version, lan.cidr.prefixlen):
        what = "length" if alias.version == lan.cidr.version else "family"
        return f"{alias} is of another {what} than {lan.cidr}, and each address has its counterpart", f"write {_like(lan, alias)}"
    if special := _special(alias):
        return f"{alias} holds {special} addresses", f"write {_like(lan, None)}"
    return None


def _like(lan: Lan, wrong: IPNetwork | None) -> str:
    """A prefix that would do: around, or in, the one that was written."""
    if wrong is not None and wrong.version == lan.cidr.version:
        return f"one like {IPNetwork((wrong.first, lan.cidr.prefixlen), version=wrong.version).cidr}"
    return f"one like {_free_like(lan.cidr, ()) or 'a private prefix of that length'}"


def _alias_of_others(environment: Environment, here: Path, lan: Lan, alias: IPNetwork) -> Iterator[Finding]:
    for whose, prefix, see in _others(environment, here):
        if overlap(alias, prefix):
            yield Finding(here, f"{alias} overlaps {whose}", another_alias(environment, lan), see)
            return


def another_alias(environment: Environment, lan: Lan) -> str:
    """What to write in place of an alias that is in somebody's way."""
    free = _free_like(lan.cidr, list(_taken(environment)))
    return "write one that is used nowhere" if free is None else f"{free} is free"


def _others(environment: Environment, here: Path) -> Iterator[tuple[str, IPNetwork, Path]]:
    """Whatever an alias may not overlap, by whose it is: of two aliases the first has it."""
    yield from ((f"the VPN {prefix}", prefix, ("network", name)) for name, prefix in _vpns(environment))
    listed = list(_apart_from_everything(environment))
    for path, host, lan in listed:
        whose = "its own prefix" if here[:-1] == path else f"{lan.cidr}, the LAN of {_called(host, _kind(host))}"
        yield whose, lan.cidr, (*path, "cidr")
    for path, host, lan in listed:
        if here[:-1] == path:
            break
        if lan.alias is not None:
            yield f"{lan.alias}, which is the LAN of {_called(host, _kind(host))} to all others", lan.alias, (*path, "as")
    yield from ((f"{address}, by which a host is reached", IPNetwork(address), place) for address, place in _dialled(environment).items())


def _linked_with_their_likes(environment: Environment) -> Iterator[Finding]:
    """Two sites that are linked, where one knows the other by addresses of its own: its machines would look for them beside them."""
    named = {name: here[0] for name, here in _named_sites(environment).items() if len(here) == 1}
    proposed = _proposed_once(environment)
    for index, link in enumerate(environment.links):
        pair = [named.get(getattr(link, end, "")) for end in ("from_", "to")]
        ends = [each for each in pair if each is not None]
        for (_, here), (path, there) in permutations(ends, 2) if len(ends) == 2 and ends[0] != ends[1] else ():
            yield from _likes(proposed, ("links", index), here, path, there)


def _likes(proposed: _Proposed, link: Path, here: Site, path: Path, there: Site) -> Iterator[Finding]:
    for place, lan in lans_of(path, there):
        own = next((each for each in here.aliased if lan.alias is None and overlap(each.cidr, lan.cidr)), None)
        if own is not None:
            free = proposed().get(place)
            remedy = "take the link away" if free is None else f"write as: {free} beside that too, or take the link away"
            message = f"site {here.site} has {own.cidr} itself, and would not find {lan.cidr} of site {there.site}"
            yield Finding(link, message, remedy, (*place, "cidr"))


def _interfaces(environment: Environment) -> Iterator[Finding]:
    """That no LAN is looked for in the tunnel itself, where the rules would take its packets for a stranger's."""
    if not _has(environment, "network"):
        return
    for path, host, lan in lans(environment):
        if lan.interface is not None and lan.interface == environment.network.interface and host.is_managed and not lan.outside:
            message = f"{lan.interface} is the tunnel's own interface"
            remedy = f"write the {_kind(host)}'s interface in the LAN, such as eth0, or leave it out: the address tells"
            yield Finding((*path, "interface"), message, remedy, ("network", "interface"))


def _lan_addresses(environment: Environment) -> Iterator[Finding]:
    for path, host in hosts(environment):
        taken: dict[IPAddress, tuple[Path, str]] = {}
        for here, owner, address, lan in _addresses_in_lans(path, host):
            if lan is None:
                yield _in_no_lan(here, owner, address, host, path)
            elif not inside(address, lan.cidr) or _is_end(address, lan.cidr):
                what = "is outside" if not inside(address, lan.cidr) else "is no host's address in"
                see = next(place for place, each in lans_of(path, host) if each is lan)
                yield Finding(here, f"{address} {what} the LAN {lan.cidr}", f"write the address of {owner} in the LAN", (*see, "cidr"))
            elif address in taken:
                first, first_owner = taken[address]
                yield Finding(here, f"{address} is already the address of {first_owner}", f"write the address of {owner}", first)
            taken.setdefault(address, (here, owner))


def _addresses_in_lans(path: Path, host: Site) -> Iterator[tuple[Path, str, IPAddress, Lan | None]]:
    """What stands in the site's LANs, and in which of them; with one LAN it is that one."""
    for here, lan in lans_of(path, host):
        if lan.address is not None:
            yield (*here, "address"), _called(host, _kind(host)), lan.address, lan
    standing = [lan for lan in host.networks if lan.address is not None]
    if not standing:
        return
    others = [((*path, "router", "address"), "the router", host.router_address)] if host.router_address and not host.is_router else []
    others += [((*path, "devices", n, "address"), f"device {each.name}", each.address) for n, each in enumerate(host.devices)]
    for place, owner, address in others:
        yield place, owner, address, host.around(address) or (standing[0] if len(host.networks) == 1 else None)


def _in_no_lan(here: Path, owner: str, address: IPAddress, host: Site, path: Path) -> Finding:
    listed = ", ".join(str(lan.cidr) for lan in host.networks if lan.address is not None)
    message = f"{address} is in no LAN in which {_called(host, _kind(host))} stands ({listed})"
    return Finding(here, message, f"write the address of {owner} in one of them", (*path, "lans"))


def _ways_to_lans(environment: Environment) -> Iterator[Finding]:
    """That each network says how it is reached, in one way."""
    for path, host, lan in lans(environment):
        if lan.address is None and lan.via is None:
            alone = "" if path[-1] == "lan" else "; or, where it does not stand there, via: ROUTER or via: internet"
            message = f"is missing: the {_kind(host)}'s address in the LAN"
            example = "2001:db8:5::2" if lan.cidr.version == 6 else "192.168.200.248"
            yield Finding((*path, "address"), message, f"write it like address: {example}{alone}")
        elif lan.address is not None and lan.via is not None:
            remedy = "remove via where the host stands in that LAN, else address"
            yield Finding((*path, "via"), "is given beside address", remedy, (*path, "address"))
        elif lan.router is not None:
            yield from _behind(path, host, lan, lan.router)
        if _is_much_of_the_internet(lan):
            whose = "the partner's" if lan.outside else "the site's own"
            remedy = f"name {whose} networks: {_NO_EXIT}"
            yield Finding((*path, "cidr"), f"{lan.cidr} is much of the internet", remedy)
        if lan.outside:
            yield from _out_in_the_internet(environment, path, host, lan)


def _behind(path: Path, host: Site, lan: Lan, router: IPAddress) -> Iterator[Finding]:
    standing = [each.cidr for each in host.networks if each.address is not None and each.cidr.version == lan.cidr.version]
    if router in host.own_addresses:
        remedy = "write the address of the router behind which the LAN lies; of a network on this very host write its address there"
        yield Finding((*path, "via"), f"{router} is the host's own address", remedy)
    elif router.version != lan.cidr.version:
        yield Finding((*path, "via"), f"{router} is of another family than {lan.cidr}", "write the router's address of that family")
    elif any(cidr.size == 1 and overlap(cidr, lan.cidr) for cidr in standing):
        return  # found where the two are to be written as one
    elif not any(inside(router, cidr) for cidr in standing):
        listed = f" ({', '.join(map(str, standing))})" if standing else ""
        message = f"{router} is in no LAN in which {_called(host, _kind(host))} stands{listed}"
        yield Finding((*path, "via"), message, _other_side(lan, router, standing) or _first_router(host, router))


def _other_side(lan: Lan, router: IPAddress, standing: Collection[IPNetwork]) -> str | None:
    """What to write for a router by the address that it has in the network behind it, as the machines there know it, or on every link."""
    if standing and router.is_link_local():
        return f"write the address that this router has in {' or '.join(map(str, standing))}"
    if not standing or not inside(router, lan.cidr):
        return None
    return f"write the address that this router has in {' or '.join(map(str, standing))}, and not the one behind it"


def _first_router(host: Site, router: IPAddress) -> str:
    """What to write for a router where the host does not stand: perhaps it lies behind another one of the site."""
    before = next((each.router for each in host.networks if each.router is not None and inside(router, each.cidr)), None)
    if before is not None and any(inside(before, each.cidr) for each in host.networks if each.address is not None):
        return f"write the first router on the way: via: {before}"
    return "write the router's address there, and that LAN with the host's address beside this one"


_NO_EXIT = "there is no exit to the internet through an office"


def _out_in_the_internet(environment: Environment, path: Path, host: Site, lan: Lan) -> Iterator[Finding]:
    if lan.return_path == "static-route":
        remedy = "remove it: what goes out there always bears the office's address"
        yield Finding((*path, "return_path"), "the internet knows no way back to the VPN", remedy)
    if lan.interface is not None:
        yield Finding((*path, "interface"), "is given, but the host does not stand in that network", "remove it")
    for address, place in _dialled(environment).items() if not _is_much_of_the_internet(lan) else ():
        if inside(address, lan.cidr):
            remedy = "packets between the hosts themselves would go into the tunnel: write a narrower prefix"
            yield Finding((*path, "cidr"), f"{lan.cidr} holds {address}, by which a host is reached", remedy, place)


def _dialled(environment: Environment) -> dict[IPAddress, Path]:
    """The addresses by which hosts are reached, and where they stand."""
    found: dict[IPAddress, Path] = {}
    for place, ssh in ssh_endpoints(environment):
        address = ip_of(ssh.host)
        if address is not None and ssh.via is None:
            found.setdefault(address, (*place, "host"))
    if _has(environment, "hub") and _has(environment.hub, "endpoint") and environment.hub.endpoint.address is not None:
        found.setdefault(environment.hub.endpoint.address, ("hub", "endpoint"))
    return found


def _endpoint(environment: Environment) -> Iterator[Finding]:
    if not _has(environment, "hub") or not _has(environment.hub, "endpoint"):
        return
    endpoint, here = environment.hub.endpoint, ("hub", "endpoint")
    address = endpoint.address
    if address is None:
        if str(endpoint.host).lower().rstrip(".").endswith(_LOCAL_NAMES):
            remedy = "write a name that is looked up from anywhere, or the hub's public address"
            yield Finding(here, f"{endpoint.host} is a name that only its own network knows", remedy)
        return  # what a name leads to the file does not know
    if address.is_loopback() or address.is_multicast() or address.is_link_local() or int(address) == 0:
        yield Finding(here, f"{address} cannot be reached from outside", "write the hub's public address")
    yield from _endpoint_and_lans(environment, address)
    for name, prefix in _vpns(environment):
        if inside(address, prefix):
            yield Finding(here, f"{address} lies in the VPN {prefix}", _INTO_ITSELF, ("network", name))
    if address.version == 6 and _has(environment, "network") and environment.network.mtu > _MTU_OVER_IPV6:
        message = f"{environment.network.mtu} does not fit with an IPv6 endpoint"
        yield Finding(("network", "mtu"), message, f"use {_MTU_OVER_IPV6} or less, such as 1280", here)


_LOCAL_NAMES = (".local", ".localhost", ".localdomain", ".lan", ".home", ".home.arpa")
"""What names end in that no public name server answers for."""

_INTO_ITSELF = "packets to the hub would go into the tunnel itself: write the hub's public address"


def _without_the_hub(host: Site, lan: Lan, address: IPAddress, alias: IPNetwork | None) -> str:
    """What to do about the hub's endpoint in a LAN: a private one is not where it is dialled, a public one is a neighbour of that host."""
    if is_private(IPNetwork(address)):
        return _INTO_ITSELF
    if address == lan.address:
        return f"packets to the hub would go into the tunnel itself: leave this LAN out{or_an_alias(alias, 'its cidr')}"
    part = _part_without(lan, IPNetwork(address))
    such = f", such as {part}," if part is not None else ""
    return f"packets to the hub would go into the tunnel itself: write for {_called(host, _kind(host))} only parts{such} that leave it out"


def _endpoint_and_lans(environment: Environment, address: IPAddress) -> Iterator[Finding]:
    proposed = _proposed_once(environment)
    for path, host, lan in lans(environment):
        if lan.outside or _is_much_of_the_internet(lan):
            continue  # found where the prefix stands, which is to be narrower
        if lan.alias is None and inside(address, lan.cidr):
            message = f"{address} lies in the LAN {lan.cidr} of {_called(host, _kind(host))}"
            yield Finding(("hub", "endpoint"), message, _without_the_hub(host, lan, address, proposed().get(path)), (*path, "cidr"))
        elif _dials_from(address, host, lan):
            message = f"{lan.cidr} holds the public address from which {_called(host, _kind(host))} dials {address}"
            instead = "the hub's answers would go into the tunnel: write the hub's IPv4 address as its endpoint, or take the LAN away"
            yield Finding((*path, "cidr"), message, instead, ("hub", "endpoint"))


def _hub_ports(environment: Environment) -> Iterator[Finding]:
    """Ports that lead to the hub twice, or cannot be led there."""
    if not _has(environment, "hub") or not _has(environment.hub, "endpoint"):
        return
    hub = environment.hub
    known: dict[int, tuple[str, Path]] = {hub.endpoint.port: ("the endpoint's", ("hub", "endpoint"))}
    known.setdefault(hub.port, ("the listen_port", ("hub", "listen_port")))
    for number, port in enumerate(hub.also_on):
        here: Path = ("hub", "also_on", number)
        if port in known:
            whose, first = known[port]
            yield Finding(here, f"{port} is {whose} already", _another_port(hub.also_on, known), first)
        known.setdefault(port, ("named", here))


_SELDOM_BLOCKED = (443, 53, 123, 500, 4500, 3478)
"""UDP ports that are open where others are not: of QUIC, DNS, NTP, IPsec and STUN."""


def _another_port(also_on: Collection[int], known: Collection[int]) -> str:
    free = next(port for port in (*_SELDOM_BLOCKED, *range(1024, 2048)) if port not in {*also_on, *known})
    return f"take it out{'' if len(also_on) > 1 else ', with also_on'}, or write another in its place, such as {free}"


def _own_endpoints(environment: Environment) -> Iterator[Finding]:
    """A machine's own endpoint inside what the tunnel carries: its packets would go into the tunnel itself."""
    networks = _apart_from_everything(environment)
    listed = [(f"the LAN of {_called(host, _kind(host))}, {lan.known_as},", host, lan) for _, host, lan in networks]
    carried = [(f"the VPN, {prefix},", prefix) for _, prefix in _vpns(environment)]
    carried += [(called, lan.known_as) for called, _, lan in listed]
    widened = [(called, parent(lan.cidr)) for called, host, lan in listed if host.is_active and lan.has_a_cable]
    carried += [(f"{prefix}, to which files widen {called}", prefix) for called, prefix in widened]
    for path, endpoint in _endpoints_of_machines(environment):
        remedy = "name an address on the machine itself, such as 127.0.0.1:51820"
        what = next((called for called, prefix in carried if inside(endpoint, prefix)), None)
        if what is not None:
            message = f"{endpoint} lies in {what} and what is sent there goes into the tunnel itself"
            yield Finding((*path, "endpoint"), message, remedy)
        elif int(endpoint) == 0 or endpoint.is_multicast():
            yield Finding((*path, "endpoint"), f"{endpoint} is no machine's address", remedy)


def _endpoints_of_machines(environment: Environment) -> Iterator[tuple[Path, IPAddress]]:
    for index, developer in enumerate(environment.developers):
        here: Path = ("developers", index)
        devices = [((*here, "devices", number), each) for number, each in enumerate(developer.devices)]
        for path, record in (*devices, (here, developer)):
            endpoint = getattr(record, "endpoint", None)
            if endpoint is not None and endpoint.address is not None:
                yield path, endpoint.address


def _dials_from(endpoint: IPAddress, host: Site, lan: Lan) -> bool:
    """Whether a gateway meets the hub under its address in this LAN: of IPv6, which nobody translates on the way."""
    public = lan.cidr.version == endpoint.version == 6 and not is_private(lan.cidr) and lan.alias is None
    return public and lan.address is not None and isinstance(host, Gateway)


def _widenings(environment: Environment) -> Iterator[Finding]:
    """LANs that hold the hub's endpoint or the VPN only when developers' files widen them; those that do by themselves are found above."""
    endpoint = environment.hub.endpoint.address if _has(environment, "hub") and _has(environment.hub, "endpoint") else None
    vpn = [prefix for _, prefix in _vpns(environment)]
    listed = list(_apart_from_everything(environment))
    if endpoint is not None and any(inside(endpoint, lan.cidr) for _, _, lan in listed):
        endpoint = None
    for path, host, lan in listed:
        if not host.is_active or not lan.has_a_cable:
            continue
        for conflict in conflicts([lan.cidr], endpoint, vpn):
            if conflict.by_widening:
                yield Finding((*path, "cidr"), conflict.message, conflict.remedy)


def _profile_names(environment: Environment) -> Iterator[Finding]:
    """Two sites whose files would share a name, because long ones are cut; each name by itself is valid, since its parts are."""
    if not _has(environment, "environment"):
        return
    seen: dict[str, tuple[str, Path]] = {tunnel_name(environment.environment, kind): (kind, ("environment",)) for kind in (EVERYDAY, EXACT)}
    for path, host in hosts(environment):
        if not _has(host, "site") or host.site is None:
            continue
        here: Path = (*path, "site")
        kind = AT + host.site
        name = tunnel_name(environment.environment, kind)
        other, first = seen.setdefault(name, (kind, here))
        if other != kind:
            yield Finding(here, f"the {kind} file would be called {name}, as the {other} file is", "choose another name", first)


def _return_paths(environment: Environment) -> Iterator[Finding]:
    for here, host in hosts(environment):
        if isinstance(host.router, Router) and host.router_address is None and host.router_ssh is None:
            yield Finding((*here, "router"), "says nothing", "give the router's address, its ssh, or both, or leave it out")
        if host.networks and host.is_router:
            yield from _beside_itself(host, here)
        elif host.networks and host.masquerades_all and not _opens(environment, host):
            yield from _beside_masquerade(host, here)


def _beside_itself(gateway: Site, here: Path) -> Iterator[Finding]:
    """What makes no sense where the gateway is the LAN's router, which every answer passes."""
    itself = "the gateway is the LAN's own router, which every answer passes anyway"
    if gateway.router_ssh is not None:
        yield Finding((*here, "router", "ssh"), f"is given, but {itself}", "write router: self")
    if gateway.devices:
        yield Finding((*here, "devices"), f"is given, but {itself}", "remove it", (*here, "router"))
    if gateway.return_path == "masquerade":
        yield Finding(
            (*here, "return_path"), f"is masquerade, but {itself}", "remove it, and devices see the developers", (*here, "router")
        )


def _beside_masquerade(gateway: Site, here: Path) -> Iterator[Finding]:
    for field, given in (("router", gateway.router is not None), ("devices", bool(gateway.devices))):
        if given:
            yield Finding(
                (*here, field),
                "is given, but masquerading needs no route where the LAN opens nothing itself",
                "remove it, or set return_path: static-route",
                (*here, "return_path"),
            )


def _opens(environment: Environment, gateway: Site) -> bool:
    """Whether a site opens connections itself, for which its machines need a route even where answers do not."""
    if any(_has(link, "from_") and _has(gateway, "site") and link.from_ == gateway.site for link in environment.links):
        return True
    return isinstance(gateway, Gateway) and any(
        not (isinstance(grant, HostGrant) and grant.host == getattr(gateway, "name", None)) for grant in gateway.access
    )


def _unmanaged(environment: Environment) -> Iterator[Finding]:
    """What makes no sense of a gateway that nobody logs in to."""
    for index, gateway in enumerate(environment.gateways):
        here: Path = ("gateways", index)
        if gateway.managed is not None:
            yield from _done_by_nobody(gateway, here)


def _done_by_nobody(gateway: Gateway, here: Path) -> Iterator[Finding]:
    """What only the program does, on hosts that it logs in to."""
    why = f"is given beside managed: {gateway.managed}, and nobody logs in there"
    by_hand = "remove it: `by_hand` asks a person for the routes"
    given: tuple[tuple[str, bool, str], ...] = (
        ("ssh", gateway.ssh is not None, "remove it, or managed where the program is to set this host up"),
        ("firewall", "firewall" in gateway.model_fields_set, "remove it: the hub alone judges what enters this site and leaves it"),
        ("adopt_key", gateway.adopt_key, "write its public_key in place of it: the private key stays on the device"),
        ("takes_over", gateway.takes_over is not None, "remove it: what runs there stays, and is changed by whoever pastes"),
        ("devices", bool(gateway.devices), by_hand),
    )
    yield from (Finding((*here, field), why, remedy, (*here, "managed")) for field, is_given, remedy in given if is_given)
    if gateway.router_ssh is not None:
        remedy = "remove it: `by_hand` asks for the route at the router's address, or write router: self where it is the router itself"
        yield Finding((*here, "router", "ssh"), why, remedy, (*here, "managed"))
    for path, lan in lans_of(here, gateway):
        if lan.interface is not None:
            yield Finding((*path, "interface"), why, "remove it: what is pasted there goes by addresses", (*here, "managed"))


def _ways(environment: Environment) -> Iterator[Finding]:
    """One machine on the way, and one that can be there: the provider's connection has one proxy."""
    for name in environment.jumps:
        if name == HUB:
            yield Finding(("jumps", name), "hub is what `via` calls the hub itself", "give this machine another name")
    hub = getattr(getattr(environment, "hub", None), "ssh", None)
    for path, ssh in ssh_endpoints(environment):
        if path[0] == "jumps" and hub is not None and (ssh.host.lower(), ssh.port) == (hub.host.lower(), hub.port) and hub.via is None:
            yield Finding((*path, "host"), f"{ssh.host} port {ssh.port} is the hub", "take it out, and write via: hub", ("hub", "ssh"))
        if path[0] == "jumps" and ssh.via is not None:
            remedy = "remove it, and name a machine that you reach straight from where you work"
            yield Finding((*path, "via"), f"{_ONE_HOP}: {path[1]} itself is reached through {ssh.via}", remedy)
        elif ssh.via == HUB:
            yield from _through_the_hub(environment, path, ssh)
        elif ssh.via is not None and ssh.via not in environment.jumps:
            remedy = _which_way(environment, path, ssh.via)
            yield Finding((*path, "via"), f"{ssh.via} is no machine that the operator goes through", remedy)


_ONE_HOP = "leads through two machines, and a connection goes through one at most"


_SSHD = 22
"""The port that an ssh has unless it says so."""


def _which_way(environment: Environment, path: Path, name: str) -> str:
    through_the_hub = path[0] == "gateways" and path[2:] == ("ssh",)
    known = [*(each for each in environment.jumps if each != HUB), *([HUB] if through_the_hub else [])]
    if name == getattr(getattr(environment, "hub", None), "name", None):
        return "for the hub write via: hub" if through_the_hub else "remove it: the hub is not on the way there"
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    entry = f"{name}: {_as_a_jump(environment, name)}"
    where = f"under jumps, as {entry}" if environment.jumps else f"at the top, as jumps: {{{entry}}}"
    others = f", or name {'one of ' if len(known) > 1 else ''}{', '.join(known)}" if known else ""
    return f"write it {where}{others}"


def _as_a_jump(environment: Environment, name: str) -> str:
    """How a machine on the way is written: a host of the file as it is reached itself."""
    named = next((host.ssh for _, host in hosts(environment) if getattr(host, "name", None) == name and getattr(host, "ssh", None)), None)
    if named is None or named.via is not None:
        return "{host: 198.51.100.9, user: ops}"
    host = f'"{named.host}"' if ":" in named.host else named.host
    port = "" if named.port == _SSHD else f", port: {named.port}"
    return f"{{host: {host}{port}, user: {named.user}}}"


def _through_the_hub(environment: Environment, path: Path, ssh: Ssh) -> Iterator[Finding]:
    hub = on_the_way(environment, ssh)
    if path == ("hub", "ssh"):
        yield Finding((*path, "via"), "the hub cannot be reached through itself", "remove it")
    elif path[0] == "gateways" and path[2:] != ("ssh",):
        yield Finding((*path, "via"), _whom_the_hub_reaches(ssh), "reach it without via: hub")
    elif hub is not None and hub.via is not None:
        remedy = f"reach the gateway by a forwarded port or through {hub.via}, or the hub without via"
        yield Finding((*path, "via"), f"{_ONE_HOP}: the hub itself is reached through {hub.via}", remedy, ("hub", "ssh", "via"))
    elif hub is not None and ssh.calls_in and ssh.port == hub.port:
        message = f"{ssh.host} port {ssh.port}, seen from the hub, is the hub's own sshd"
        yield Finding((*path, "port"), message, _instead_of_its_own(environment, path))
    elif path[0] == "gateways":
        yield from _not_its_address(environment, environment.gateways[int(path[1])], path, ssh)


def _instead_of_its_own(environment: Environment, path: Path) -> str:
    """The port at which a gateway waits that calls in; machines beside the hub have addresses there."""
    if path[0] != "gateways":
        return "write in host the address that the machine has there"
    name = getattr(environment.gateways[int(path[1])], "name", "NAME")
    return f"write a port that is free there, such as 2201: `wg-office bootstrap {name}` has the gateway call in and wait at it"


def _whom_the_hub_reaches(ssh: Ssh) -> str:
    if ssh.calls_in:
        return "only a gateway is reached by a call of its own to the hub"
    return "a LAN's machine answers the hub only when it knows the way back"


def _not_its_address(environment: Environment, gateway: Gateway, path: Path, ssh: Ssh) -> Iterator[Finding]:
    """`via: hub` to an address behind the tunnel that is not the gateway's: another machine's, or one that the rules do not open."""
    address, network = ip_of(ssh.host), getattr(environment, "network", None)
    if address is None or network is None or not _has(gateway, "address") or not gateway.own_addresses:
        return
    behind = [*(prefix for _, prefix in _vpns(environment)), *gateway.prefixes, *gateway.own_prefixes]
    # In a LAN with an alias, the hub knows it by an address that it does not have.
    in_lans = [lan.address for lan in gateway.networks if lan.address is not None and lan.alias is None]
    own = (gateway.address, *in_lans, *_six(network, gateway))
    if address not in own and any(inside(address, prefix) for prefix in behind):
        remedy = f"write {gateway.address}, its address in the VPN{f', or {in_lans[0]}, the one in the LAN' if in_lans else ''}"
        yield Finding((*path, "host"), f"{address} is no address of this gateway that the hub may reach", remedy)


def _six(network: Network, gateway: Gateway) -> Iterator[IPAddress]:
    if _has(network, "cidr", "cidr6") and network.cidr6 is not None:
        yield gateway.address6 if gateway.address6 is not None else derived_address6(network.cidr, network.cidr6, gateway.address)


def ip_of(text: str) -> IPAddress | None:
    """The address that a text is, or None for a name."""
    return IPAddress(text) if is_address(text) else None


def _one_machine_each(environment: Environment) -> Iterator[Finding]:
    seen: dict[tuple[str, int, str | None], Path] = {}
    for path, ssh in ssh_endpoints(environment):
        if path[0] == "jumps":
            continue  # a host may be on the way to others, and one machine may be called by two names
        host = "localhost" if ssh.on_loopback else ssh.host.lower()
        first = seen.setdefault((host, ssh.port, ssh.via), path)
        if first != path:
            remedy = f"{_one_role(environment, first, path)}; if these are two machines, forward another port to one of them"
            yield Finding((*path, "host"), f"{ssh.host} port {ssh.port} is already the way to another host", remedy, first)


def _one_role(environment: Environment, first: Path, second: Path) -> str:
    """Why somebody names one machine twice, and how that is written."""
    if first[0] == "hub" and second[0] != "hub":
        return "the hub's own networks stand at the hub: hub: {site: ..., lans: [...]}"
    if first[:2] != second[:2] and (len(first), len(second)) == (3, 3):
        both = [environment.gateways[int(path[1])] for path in (first, second)]
        listed = ", ".join(_as_entry(lan) for each in both for lan in each.networks)
        return f"a machine is one gateway, with several networks where it has them: lans: [{listed}]"
    role = second[1 if second[0] == "hub" else 2]
    if role == "router":
        return "where the gateway is the LAN's router itself, write router: self"
    if role == "devices" and first[-1] == "ssh" and len(first) < 4:
        return "the gateway needs no route of its own: take the device out"
    return "a machine has one role"


def _as_entry(lan: Lan) -> str:
    way = f"via: {lan.via}" if lan.address is None else f"address: {lan.address}"
    return f"{{cidr: {lan.cidr}, {way}{'' if lan.alias is None else f', as: {lan.alias}'}}}"


def _public_keys(environment: Environment) -> Iterator[Finding]:
    seen: dict[str, tuple[Path, str]] = {}
    for peer in _peers(environment):
        if peer.public_key is None:
            continue
        here = (*peer.path, "public_key")
        first, owner = seen.setdefault(peer.public_key, (here, peer.called))
        if first != here:
            remedy = "WireGuard tells peers apart by their keys: let each make one of their own"
            yield Finding(here, f"is already the key of {owner}", remedy, first)


def _own_keys(environment: Environment) -> Iterator[Finding]:
    for path, host in hosts(environment):
        if host.public_key is not None and host.adopt_key and host.is_managed:
            remedy = "leave one out: with public_key the host alone has its private key, with adopt_key the stack has it"
            yield Finding((*path, "adopt_key"), "stands beside public_key", remedy, (*path, "public_key"))


def _dns(environment: Environment) -> Iterator[Finding]:
    if not _has(environment, "network") or environment.network.dns is None:
        return
    prefixes = [*(prefix for _, prefix in _vpns(environment)), *(lan.known_as for _, _, lan in lans(environment))]
    if not all(gateway.networks for gateway in environment.gateways):
        return  # a LAN that could not be read may be the one
    for index, server in enumerate(environment.network.dns.servers):
        if not any(inside(server, prefix) for prefix in prefixes):
            aliases = (host.as_known(IPNetwork(server)).ip for _, host in hosts(environment))
            known_as = next((f"in the tunnel this one is {each}: write that" for each in aliases if each != server), None)
            message = f"{server} is in no LAN and not in the VPN" if known_as is None else f"{server} is in a LAN that has an alias"
            yield Finding(("network", "dns", "servers", index), message, known_as or "name a server that the tunnel reaches")


# --- grants ------------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """What a grant may refer to, by name; None where a part of the file could not be read, so that nothing is called unknown for it."""

    sites: dict[str, list[Site]] | None
    developers: set[str] | None
    hosts: set[str] | None
    groups: set[str]

    @classmethod
    def of(cls, environment: Environment) -> "_Known":
        developers = environment.developers
        named = [host for _, host in hosts(environment)]
        complete = _has(environment, "hub") and all(_has(each, "site") and not (each.networks and each.site is None) for each in named)
        return cls(
            {name: [host for _, host in each] for name, each in _named_sites(environment).items()} if complete else None,
            {each.name for each in developers} if all(_has(each, "name") for each in developers) else None,
            {each.name for each in named} if _has(environment, "hub") and all(_has(each, "name") for each in named) else None,
            set(environment.groups),
        )

    def site_of(self, host: str) -> str | None:
        """The site of the host that is called so."""
        return next((site for site, each in (self.sites or {}).items() if host in (getattr(one, "name", None) for one in each)), None)

    def instead_of_a_site(self, name: str) -> str | None:
        """The grant that somebody meant who wrote another name in a site's place."""
        if (site := self.site_of(name)) is not None:
            return f"its site is {site}, and the machine itself {{host: {name}}}"
        kinds = (("host", self.hosts or ()), ("developer", self.developers or ()), ("group", self.groups))
        kind = next((kind for kind, names in kinds if name in names), None)
        if name == HUB and kind is None:
            return "the hub itself is {host: NAME}, by its name"
        return self.no_site(name) if kind is None else f"it is a {kind}: write {{{kind}: {name}}}"

    def no_site(self, name: str) -> str | None:
        """The answer to a word that stands for what has no name."""
        named = _names(self.sites or ())
        return f"{_EACH_SITE}{named}" if name in EVERYTHING else _NO_EXITS if name in _EXITS else None


_EXITS = frozenset({"internet", "world", "wan", "exit"})
"""What people write in a site's place for what no site is."""

_NO_EXITS = "only sites are reached, and there is no exit to the internet: take it out"
_EACH_SITE = "name each site that is to be reached"
_MOST_NAMES = 12


def every_site(environment: Environment) -> str:
    """How a remedy goes on with the names of all sites, as far as they could be read."""
    return _names(_named_sites(environment))


def _names(sites: Collection[str]) -> str:
    named = [*sorted(sites)[:_MOST_NAMES], *(["..."] if len(sites) > _MOST_NAMES else [])]
    return f": [{', '.join(named)}]" if named else ""


def grants(environment: Environment) -> Iterator[tuple[Path, str | None, Grant]]:
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
    for path, owner, grant in grants(environment):
        if path[0] == "gateways" and isinstance(grant, SiteGrant | GroupGrant):
            meant = known.instead_of_a_site(grant.site) if isinstance(grant, SiteGrant) and grant.site not in (known.sites or {}) else None
            remedy = meant or "use links: to let one LAN reach another"
            yield Finding(path, "a LAN's own access can only name developers and hosts", remedy)
            continue
        match grant:
            case SiteGrant():
                yield from _name(known.sites, (*path, "site"), "site", grant.site, instead=known.instead_of_a_site(grant.site))
                yield from _hosts(known, path, grant.site, grant.hosts)
            case DeveloperGrant():
                yield from _developer(environment, known, (*path, "developer"), grant.developer)
                if owner is not None and grant.developer == owner and not _several_devices(environment, path):
                    yield Finding((*path, "developer"), f"{owner} needs no grant to reach itself", "remove it")
            case HostGrant():
                whose = environment.hub.name if grant.host == HUB and known.hosts is not None else None
                instead = f"the hub is called {whose}" if whose is not None else None
                yield from _name(known.hosts, (*path, "host"), "host", grant.host, "the hub or a gateway", instead=instead)
            case GroupGrant():
                yield from _name(known.groups, (*path, "group"), "group", grant.group)


def _developer(environment: Environment, known: _Known, path: Path, name: str) -> Iterator[Finding]:
    if (person := person_of(environment, name)) is not None:
        yield Finding(path, f"{name} is a device of {person}", f"{ALL_DEVICES}: write {person}")
    else:
        yield from _name(known.developers, path, "developer", name)


ALL_DEVICES = "access is the person's, and one to a person holds for all devices"


def person_of(environment: Environment, device: str) -> str | None:
    """Whose device a peer of this name is."""
    people = (each for each in environment.developers if _has(each, "name"))
    return next((each.name for each in people for own in each.devices if device == f"{each.name}-{getattr(own, 'name', '')}"), None)


def _several_devices(environment: Environment, grant: Path) -> bool:
    """Whether the person whose grant this is has devices that could reach each other."""
    return len(environment.developers[int(grant[1])].devices) > 1


def _name(
    known: Collection[str] | None, path: Path, kind: str, name: str, meaning: str = "", *, instead: str | None = None
) -> Iterator[Finding]:
    if known is None or name in known:
        return
    if instead is not None:
        yield Finding(path, f"{name} is not {meaning or f'a {kind}'} of this file", instead)
        return
    close = get_close_matches(name, known, n=1)
    others = sorted(known)
    listed = ", ".join(others) if len(others) <= 12 else f"{', '.join(others[:12])} and {len(others) - 12} more"
    remedy = (
        f"did you mean {close[0]}?" if close else f"there {'is' if len(others) == 1 else 'are'} {listed}" if others else "there is none"
    )
    gone = f"{' Where' if close else '; where'} {name} is gone, take this line away"
    if kind == "site" and not others:
        remedy, gone = "a site stands with its gateway, under gateways, and there is none", ""
    yield Finding(path, f"{name} is not {meaning or f'a {kind}'} of this file", f"{remedy}{gone}")


def _hosts(known: _Known, path: Path, site: str, hosts: tuple[IPNetwork, ...]) -> Iterator[Finding]:
    named = (known.sites or {}).get(site, [])
    if len(named) == 1 and named[0].networks:
        yield from outside_the_lan(named[0], path, hosts)


def outside_the_lan(site: Site, path: Path, hosts: tuple[IPNetwork, ...]) -> Iterator[Finding]:
    """Hosts that somebody names in a site, and that are in none of its LANs."""
    called = f"the LAN{'s' if len(site.own_prefixes) > 1 else ''} {', '.join(map(str, site.own_prefixes))}"
    for number, host in enumerate(hosts):
        if not any(host.version == cidr.version and cidr.first <= host.first and host.last <= cidr.last for cidr in site.own_prefixes):
            shown, own = (each.ip if each.size == 1 else each for each in (host, site.as_here(host)))
            really = f"write the address that it has in its LAN: {own}" if own != shown else None
            remedy = really or f"name hosts inside {' or '.join(map(str, site.own_prefixes))}"
            yield Finding((*path, "hosts", number), f"{shown} is outside {called} of site {site.site_name}", remedy)


def _links(environment: Environment) -> Iterator[Finding]:
    known = _Known.of(environment)
    for index, link in enumerate(environment.links):
        path: Path = ("links", index)
        if _has(link, "from_"):
            yield from _name(
                known.sites,
                (*path, "from"),
                "site",
                link.from_,
                instead=_only_sites(known, link.from_, f"what {link.from_} may reach stands in its access"),
            )
        if not _has(link, "to"):
            continue
        yield from _name(
            known.sites, (*path, "to"), "site", link.to, instead=_only_sites(known, link.to, f"who may reach {link.to} says so in access")
        )
        yield from _hosts(known, path, link.to, link.hosts)
        if _has(link, "from_") and link.from_ == link.to:
            yield Finding((*path, "to"), f"{link.to} is linked with itself", "inside a LAN nothing is filtered: remove the link")


def _only_sites(known: _Known, name: str, otherwise: str) -> str | None:
    """What to write for somebody else in a site's place, where only sites can stand."""
    if (site := known.site_of(name)) is not None:
        return f"write its site: {site}"
    if name in {*(known.hosts or ()), *(known.developers or ())}:
        return f"a link leads from one site to another; {otherwise}"
    return known.no_site(name)


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


_CHECKS = (
    _unique_names,
    _device_names,
    _unique_sites,
    _networks_given,
    _vpn_prefixes,
    _addresses6,
    _lan_prefixes,
    _ways_to_lans,
    _aliases,
    _linked_with_their_likes,
    _interfaces,
    _lan_addresses,
    _endpoint,
    _hub_ports,
    _own_endpoints,
    _widenings,
    _profile_names,
    _return_paths,
    _unmanaged,
    _ways,
    _one_machine_each,
    _public_keys,
    _own_keys,
    _dns,
    _references,
    _group_cycles,
    _links,
)
