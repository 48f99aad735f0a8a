"""What a reviewer should know of an environment that can be deployed, though it may be meant so: each a pure function to findings.

Unlike the checks, these are asked only of a file without faults.
"""

from collections.abc import Iterator

from netaddr import IPAddress, IPNetwork

from wg_office.environment.faults import Path
from wg_office.environment.grants import Grant, GroupGrant, HostGrant, SiteGrant
from wg_office.environment.model import Client, Developer, Environment, Gateway, Hub, Peer
from wg_office.network.access import Protocol, destinations, may_open, opens, permissions
from wg_office.network.instructions import has_a_routers_address, whose_router
from wg_office.network.widen import can_be_widened, is_private
from wg_office.reading.checks import Finding, grants, hosts, inside, ip_of, lans, or_an_alias, overlap, proposed_aliases, ssh_endpoints


def warn(environment: Environment) -> list[Finding]:
    """What a reviewer should know, though it may be meant so."""
    return [finding for each in _WARNINGS for finding in each(environment)]


def _homes(environment: Environment) -> Iterator[Finding]:
    proposed = proposed_aliases(environment) if any(each.home is not None for each in environment.developers) else {}
    for index, developer in enumerate(environment.developers):
        home = developer.home
        if home is None:
            continue
        here: Path = ("developers", index, "home")
        for path, host, lan in lans(environment):
            if overlap(home, lan.known_as):
                relation = "is the same as" if home == lan.known_as else "overlaps"
                also = or_an_alias(proposed.get(path), "that LAN")
                yield Finding(
                    here,
                    f"{home} {relation} the LAN of site {host.site}",
                    f"{developer.name} cannot reach both from home: renumber the home network{also}",
                    (*path, "cidr"),
                )
        if overlap(home, environment.network.cidr):
            yield Finding(here, f"{home} overlaps the VPN {environment.network.cidr}", "renumber the home network", ("network", "cidr"))


def _private_endpoint(environment: Environment) -> Iterator[Finding]:
    """A cloud shows a machine the address behind its translation, and people dial the one before it."""
    address = environment.hub.endpoint.address
    if address is not None and is_private(IPNetwork(address)):
        message = f"{address} is private, and nobody outside its own network reaches the hub there"
        remedy = "write the public address that leads to it, as the provider or the router shows it, unless all peers are in that network"
        yield Finding(("hub", "endpoint"), message, remedy)


def _public_aliases(environment: Environment) -> Iterator[Finding]:
    for path, _, lan in lans(environment):
        if lan.alias is not None and not is_private(lan.alias):
            message = f"{lan.alias} holds other people's public addresses, which people's files then lead into the tunnel"
            yield Finding((*path, "as"), message, "use private addresses, such as 10.99.1.0/24, unless these are yours")


def _rotations(environment: Environment) -> Iterator[Finding]:
    for index, developer in enumerate(environment.developers):
        for number, client in enumerate(developer.clients):
            if client.public_key is not None and client.rotation > 1:
                here: Path = ("developers", index, *(("devices", number) if client.device else ()))
                yield Finding((*here, "rotation"), _renewed(client), "a new key pair is the developer's to make")
    for path, host in hosts(environment):
        if host.public_key is not None and host.rotation > 1:
            yield Finding((*path, "rotation"), _renewed(host), "a new key pair is made on the machine itself")
        if host.adopt_key and host.rotation > 1:
            yield Finding((*path, "rotation"), "does not renew an adopted private key", "change it in the stack's secret configuration")


def _rotation_of_all(environment: Environment) -> Iterator[Finding]:
    kept = [peer.name for peer in environment.peers if peer.public_key is not None or (not isinstance(peer, Client) and peer.adopt_key)]
    if environment.network.rotation > 1 and kept:
        message = f"renews no private key that was brought or adopted: {', '.join(kept)}"
        yield Finding(("network", "rotation"), message, "whoever has such a key makes another")


def _renewed(peer: Peer) -> str:
    """What another rotation comes to for a peer that keeps its private key."""
    if isinstance(peer, Hub):
        return f"renews nothing, because {peer.name} brings a public key, and preshared keys are its peers'"
    if peer.preshared is None:
        return f"renews the preshared key only, because {peer.name} brings a public key"
    return f"renews nothing, because {peer.name} brings a public key, and preshared is {peer.preshared}"


def _keepalive(environment: Environment) -> Iterator[Finding]:
    if environment.network.keepalive == 0 and environment.gateways:
        yield Finding(("network", "keepalive"), "0 lets the NAT in front of a gateway forget the tunnel", "use 15 to 25")


def _unused_groups(environment: Environment) -> Iterator[Finding]:
    used = {grant.group for _, _, grant in grants(environment) if isinstance(grant, GroupGrant)}
    for name in environment.groups:
        if name not in used:
            yield Finding(("groups", name), "no developer has this group", "grant it, or remove it")


def _unused_jumps(environment: Environment) -> Iterator[Finding]:
    used = {ssh.via for _, ssh in ssh_endpoints(environment)}
    for name in environment.jumps:
        if name not in used:
            yield Finding(("jumps", name), "no host is reached through it", f"say via: {name} in the ssh of those that are, or remove it")


def _not_widened(environment: Environment) -> Iterator[Finding]:
    for path, host, each in lans(environment):
        lan = each.cidr
        if host.is_active and each.has_a_cable and not can_be_widened(lan):
            site = host.site
            message = f"{lan} is not widened in the everyday files, because one bit more holds other people's public addresses"
            yield Finding((*path, "cidr"), message, f"inside that office developers use the at-{site} file (docs/at-the-office.md)")


def _private_in_the_internet(environment: Environment) -> Iterator[Finding]:
    for path, _, lan in lans(environment):
        if lan.outside and is_private(lan.cidr):
            message = f"{lan.cidr} is private, and no network of the internet"
            remedy = "where it lies behind a router of the office, write that in place of internet: via: ADDRESS"
            yield Finding((*path, "cidr"), message, remedy)


def _vpn_of_others(environment: Environment) -> Iterator[Finding]:
    cidr = environment.network.cidr
    if not is_private(cidr):
        message = f"{cidr} holds other people's public addresses, which every developer's file leads into the tunnel"
        yield Finding(("network", "cidr"), message, "use private addresses, such as 10.70.0.0/16, unless these are yours")


def _retired(environment: Environment) -> Iterator[Finding]:
    for index, gateway in enumerate(environment.gateways):
        if gateway.retired:
            yield Finding(
                ("gateways", index, "retired"),
                f"{gateway.name} is taken down, and nobody reaches site {gateway.site}",
                "after this `pulumi up` delete the gateway, and with it the lines that name it or its site",
            )


def _granting_nothing(environment: Environment) -> Iterator[Finding]:
    """Grants and links that open nothing, since what they name is retired, or is whoever they are for."""
    used = {path for item in permissions(environment) for path in (item.because, *item.through)}
    given = {grant.group for _, _, grant in grants(environment) if isinstance(grant, GroupGrant)}
    lines: list[tuple[Path, str | None]] = [(path, _why_nothing(environment, grant, path)) for path, _, grant in grants(environment)]
    lines += [(("links", index), _retired_one(environment, {link.from_, link.to})) for index, link in enumerate(environment.links)]
    for path, why in lines:
        if path not in used and not (path[0] == "groups" and path[1] not in given):
            yield Finding(path, f"grants nothing{f', because {why}' if why else ''}", "take the line away")


def _why_nothing(environment: Environment, grant: Grant, path: Path) -> str | None:
    if path[0] == "gateways" and environment.gateways[int(path[1])].retired:
        return f"{environment.gateways[int(path[1])].name} is retired"
    match grant:
        case SiteGrant():
            own = f"{grant.site} is the hub's own network" if path[0] == "hub" and grant.site == environment.hub.site else None
            return _retired_one(environment, {grant.site}) or own
        case HostGrant():
            return _retired_one(environment, {grant.host}) or f"{grant.host} is reached from there without the tunnel"
        case GroupGrant():
            return f"nothing in {grant.group} does"
    return None


def _retired_one(environment: Environment, names: set[str]) -> str | None:
    """A retired gateway that is called so, or whose site is."""
    gone = next((each for each in environment.gateways if each.retired and names & {each.name, each.site}), None)
    return None if gone is None else f"{gone.name}, the gateway of {gone.site}, is retired"


# --- settings that imply access ----------------------------------------------------------------------------------------------------------

_DNS: tuple[Protocol, ...] = ("udp", "tcp")
"""Queries come by UDP, and by TCP where the answer is long."""

_FEW = 3
"""Developers with the same warning are named on their own lines up to here, and in one line beyond it."""


def _name_servers(environment: Environment) -> Iterator[Finding]:
    """People who are to ask a name server that no line lets them reach."""
    dns = environment.network.dns
    if dns is None:
        return
    concerned: dict[tuple[IPAddress, str], list[int]] = {}
    for index, developer in enumerate(environment.developers):
        closed = [(server, _closed_ports(environment, developer, server)) for server in dns.servers]
        if all(ports for _, ports in closed) and _reaches_an_office(environment, developer):
            concerned.setdefault(min(closed, key=lambda each: len(each[1])), []).append(index)
    for (server, ports), indexes in concerned.items():
        yield from _cannot_ask(environment, server, ports, indexes)


def _closed_ports(environment: Environment, developer: Developer, server: IPAddress) -> str:
    """The ports of a name server that the developer may not reach, as a grant has them; on the machine that asks all are open."""
    if all(server in (client.address, environment.address6_of(client)) for client in developer.clients):
        return ""
    closed = [protocol for protocol in _DNS if not may_open(environment, developer.access, server, protocol, 53)]
    return ", ".join(f"53/{protocol}" for protocol in closed)


def _reaches_an_office(environment: Environment, developer: Developer) -> bool:
    return any(place.kind != "developer" for place in destinations(environment, developer.access))


def _cannot_ask(environment: Environment, server: IPAddress, ports: str, indexes: list[int]) -> Iterator[Finding]:
    domains = ", ".join(environment.network.dns.domains) if environment.network.dns is not None else ""
    remedy = _grant_to_ask(environment, server, ports)
    names = [environment.developers[index].name for index in indexes]
    if len(indexes) <= _FEW:
        for index, name in zip(indexes, names, strict=True):
            message = f"{name} is to ask {server} for {domains}, and may not reach its {ports}"
            yield Finding(("developers", index), message, remedy, ("network", "dns"))
        return
    listed = f"{', '.join(names[:7])} and {len(names) - 7} more" if len(names) > 8 else ", ".join(names)
    message = f"{len(names)} developers are to ask {server} for {domains}, and may not reach its {ports}: {listed}"
    yield Finding(("network", "dns", "servers"), message, f"{remedy}, to each or through a group")


def _grant_to_ask(environment: Environment, server: IPAddress, ports: str) -> str:
    for peer in environment.peers:
        if server in (peer.address, environment.address6_of(peer)):
            if isinstance(peer, Gateway) and peer.retired:
                return f"{peer.name} is retired: name another server"
            whom = f"developer: {peer.developer.name}" if isinstance(peer, Client) else f"host: {peer.name}"
            return f"grant {{{whom}, ports: [{ports}]}}"
    site = next((each for each in environment.sites if any(inside(server, prefix) for prefix in each.prefixes)), None)
    if site is None:
        return "nobody has that address in the VPN: name another server"
    if not site.is_active:
        return f"site {site.site} is retired: name another server"
    return f"grant {{site: {site.site}, hosts: [{site.as_here(IPNetwork(server)).ip}], ports: [{ports}]}}"


def _openers_behind_masquerade(environment: Environment) -> Iterator[Finding]:
    """Sites whose answers are masqueraded, and whose machines need a route all the same, for what they open themselves."""
    granted = permissions(environment)
    for path, host in hosts(environment):
        first = next((item for item in granted if (item.source.kind, item.source.name) == ("site", host.site)), None)
        if host.masquerades_some and host.router_ssh is None and not host.is_router and first is not None:
            by_program = ", `router:` with ssh or `devices:` let the program set it" if host.is_managed else ""
            yield Finding(
                (*path, "return_path"),
                f"masquerading serves answers, and site {host.site} opens connections itself",
                f"its machines need a route for that: `by_hand` says which{by_program}",
                first.because,
            )


def _perhaps_the_router(environment: Environment) -> Iterator[Finding]:
    for path, host, lan in lans(environment):
        if host.is_active and not host.masquerades(lan) and host.router is None and has_a_routers_address(lan):
            of_all, other = whose_router(host)
            itself = "it is this gateway" if of_all == other else f"this gateway is {of_all}"
            message = f"{lan.address} is often the LAN's router, and the file does not say who that is"
            remedy = f"write router: self if {itself}, else router: {{address: ...}}{'' if of_all == other else f', {other}'}"
            yield Finding((*path, "address"), message, remedy)


def _ssh_in_the_vpn(environment: Environment) -> Iterator[Finding]:
    """Hosts that are to be reached at their VPN address, where no line lets anybody do that."""
    granted = permissions(environment)
    for path, host in hosts(environment):
        if host.ssh is None:
            continue
        address = ip_of(host.ssh.host)
        own = address is not None and address in (host.address, environment.address6_of(host))
        if address is None or not own or host.ssh.over_tunnel:
            continue
        if not any(item.destination.holds(address) and opens(item.ports, "tcp", host.ssh.port) for item in granted):
            yield Finding(
                (*path, "ssh", "host"),
                f"{address} is its address in the VPN, and no line lets anybody reach it there",
                f"write an address outside the VPN, or grant yourself {{host: {host.name}, ports: [{host.ssh.port}/tcp]}}",
            )


def _clients_of_a_hub_by_hand(environment: Environment) -> Iterator[Finding]:
    """A network that was made by hand, taken over with its keys: the files that people have do not go on working."""
    if environment.hub.adopt_key and any(client.public_key is not None and client.preshared is None for client in environment.clients):
        yield Finding(
            ("hub", "adopt_key"),
            "keeps the hub's key, but not the files of those with a public_key: every peer gets a preshared key",
            "write preshared: none with who has none today, preshared: adopted where the stack is given the one of today; "
            "or hand out the new files: private keys stay where they are",
        )


def _taken_over_without_its_key(environment: Environment) -> Iterator[Finding]:
    """No fault: a host whose tunnel was taken over by an earlier `up` may have a key that is made here by now."""
    for path, host in hosts(environment):
        if host.takes_over is not None and host.is_managed and host.is_active and not host.adopt_key and host.public_key is None:
            yield Finding(
                (*path, "takes_over"),
                "the tunnel that runs there has another key than the one that is made here, and the first `up` would be refused",
                f"write adopt_key: true and give the stack its private key as the secret privateKeys.{host.name}, or public_key: ... and "
                "the host keeps it to itself; once the tunnel is taken over, take this line away",
            )


_WARNINGS = (
    _private_endpoint,
    _homes,
    _rotations,
    _rotation_of_all,
    _keepalive,
    _unused_groups,
    _unused_jumps,
    _not_widened,
    _private_in_the_internet,
    _vpn_of_others,
    _public_aliases,
    _retired,
    _granting_nothing,
    _name_servers,
    _openers_behind_masquerade,
    _perhaps_the_router,
    _ssh_in_the_vpn,
    _clients_of_a_hub_by_hand,
    _taken_over_without_its_key,
)
