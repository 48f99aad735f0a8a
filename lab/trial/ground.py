"""The lab that an environment needs, from its model: who is plugged in where, and which machine has which of its addresses. Pure.

inet, flat -+- hub -- lan0a ... (its own networks)        with d0a: the machines of that LAN, r0: its router
            +- r1 --- lan1a --- g1 (gateway), d1a          a LAN behind another router: v1b --- lan1b --- d1b
            |         lan1b ...
            +- o1c (a partner in the internet)
            +- w1 --- home1 --- p1a, p1b (a person's machines)

Every LAN is a bridge of its own, so that two of the same prefix do not meet. One namespace holds the addresses of all machines of a LAN
that are tried: what passes between them meets no host of ours, and each namespace is time at boot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase

from netaddr import IPAddress, IPNetwork

from lab.nodes import Forward, Kind, Link, Node, Topology
from lab.trial.spread import spread
from wg_office.environment.model import Client, Developer, Environment, Hub, Lan, Site
from wg_office.network.access import Reach
from wg_office.network.plan import Route, inner_routes, router_name, router_routes
from wg_office.reading.expect import claims

INTERNET = "inet"
PER_LAN = 12
"""Addresses of a LAN that are tried at most."""
_FIRST_OFFSET = 10
_ROUND_ABOUT = 4096
"""Addresses that are looked at, at most, for a free one."""
_OUTER = ("198.18.0.0/16", "198.19.0.0/16", "203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "100.127.0.0/16", "172.31.0.0/16")
_OUTER6 = ("2001:db8:fff0::/64", "2001:db8:fff1::/64")
_INNER6 = ("fd0f:6c61:6200::/48", "fd0f:6c61:6201::/48")
"""Behind routers that translate IPv6 as well: the lab's internet has no provider to ask for a prefix."""
_BETWEEN = ("10.213.8.0/30", "172.31.252.0/30", "100.126.2.0/30")
_HOMES = ("192.168.1.0/24", "192.168.178.0/24", "192.168.0.0/24", "172.31.251.0/24", "10.213.7.0/24", "192.0.2.0/24", "100.126.1.0/24")


@dataclass(frozen=True, slots=True)
class Machine:
    """An address of the environment, and where in the lab it is."""

    node: str
    address: IPAddress
    """As the tunnel knows it."""
    real: IPAddress
    """As the machine has it."""
    kind: str
    """developer, site or host, as the access table says."""
    name: str
    """The person's, the site's or the host's."""
    home: str = ""
    """Of a host its site, of which it is no machine."""
    outside: bool = False
    """Whether it is in the internet, and there for everybody."""

    @property
    def called(self) -> str:
        """For people."""
        return f"{self.kind} {self.name} ({self.address})"


@dataclass(frozen=True)
class Ground:
    """A lab for one environment."""

    topology: Topology
    machines: tuple[Machine, ...]
    hosts: Mapping[str, str]
    """Nodes of the hosts that the program logs in to, by their names in the environment's plan."""
    laptops: Mapping[str, str]
    """Nodes of people's machines, by peer."""
    typed: Mapping[str, tuple[Route, ...]]
    """Routes that a person sets, by node."""
    left_out: tuple[str, ...]
    """What cannot be tried, and why, each in a sentence."""


@dataclass
class _Draft:
    """A node on which links are still being plugged in."""

    name: str
    kind: Kind
    purpose: str
    links: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    gateways: dict[int, str] = field(default_factory=dict)
    flat: bool = False
    routes_for: str | None = None
    forwards: tuple[Forward, ...] = ()

    def plug(self, link: str, bridge: str, *addresses: str) -> None:
        """Plug a cable in, or give it more addresses."""
        self.links.setdefault(link, (bridge, []))[1].extend(addresses)

    def node(self, offset: int | None) -> Node:
        """As it is then."""
        links = [Link(name, bridge, addresses[0], tuple(addresses[1:])) for name, (bridge, addresses) in self.links.items()]
        # A host's way out is its last link.
        links.sort(key=lambda link: self._leads_out(link))
        return Node(
            self.name,
            self.kind,
            tuple(links),
            self.gateways.get(4),
            self.purpose,
            ssh_offset=offset,
            routes_for=self.routes_for,
            gateway6=self.gateways.get(6),
            forwards=self.forwards,
            flat=self.flat,
        )

    def _leads_out(self, link: Link) -> bool:
        if self.flat:
            return link.bridge == INTERNET
        nets = [IPNetwork(address) for address in link.addresses]
        return any(IPAddress(gateway) in net for gateway in self.gateways.values() for net in nets)


def ground(env: Environment, reach: Reach) -> Ground:
    """The lab for all that the environment names; cut down a file that names more than the machine can hold before (cut.py)."""
    return _Surveyor(env, reach).ground()


class _Surveyor:
    """Draws the ground up, site by site and person by person, in the order of the file."""

    def __init__(self, env: Environment, reach: Reach) -> None:
        self.env, self.reach = env, reach
        self.drafts: dict[str, _Draft] = {}
        self.machines: list[Machine] = []
        self.hosts: dict[str, str] = {}
        self.laptops: dict[str, str] = {}
        self.typed: dict[str, tuple[Route, ...]] = {}
        self.left_out: list[str] = []
        self.stated = [network for claim in claims(env) for network in (*claim.sources, *claim.networks)]
        endpoint = env.hub.endpoint.address
        self.outer = _addresses(self._spare(_OUTER), avoiding={endpoint})
        self.dialled_by_six = endpoint is not None and endpoint.version == 6
        self.outer6 = _addresses(self._spare(_OUTER6), avoiding={endpoint})
        self.inner6 = iter(self._spare(_INNER6).subnet(64))

    def ground(self) -> Ground:
        """All of it."""
        self._hub()
        for number, gateway in enumerate(self.env.gateways, start=1):
            if gateway.ssh is None:
                self.left_out.append(f"site {gateway.site}: nobody logs in to {gateway.name}")
            else:
                self._gateway(number, gateway)
        for number, developer in enumerate(self.env.developers, start=1):
            self._person(number, developer.clients)
        offsets = iter(range(_FIRST_OFFSET, 1000))
        nodes = tuple(draft.node(next(offsets) if draft.kind is Kind.HOST else None) for draft in self.drafts.values())
        return Ground(Topology(nodes, {}, self._names()), tuple(self.machines), self.hosts, self.laptops, self.typed, tuple(self.left_out))

    # --- hosts and their sites ------------------------------------------------------------------------------------------------------------

    def _hub(self) -> None:
        hub = self.env.hub
        draft = self._draft("hub", Kind.HOST, f"{hub.name}, the hub")
        self.hosts[hub.name] = draft.name
        self._vpn_addresses(draft, hub)
        self._site(0, hub, draft)
        if hub.port == hub.endpoint.port:
            self._uplink(draft, hub.endpoint.address)
        else:
            self._front(draft, hub)

    def _front(self, draft: _Draft, hub: Hub) -> None:
        """The router before a hub that listens on another port than is dialled: it has the address, and forwards the ports."""
        front = self._draft("front", Kind.ROUTER, f"the router before {hub.name}")
        network = self._spare(_BETWEEN)
        front.routes_for = "lan0"
        for each, link, address in ((front, "lan0", network[1]), (draft, "up0", network[2])):
            each.plug(link, "front", f"{address}/{network.prefixlen}")
        draft.gateways[4] = str(network[1])
        self._uplink(front, hub.endpoint.address)
        standard = Forward(hub.endpoint.port, str(network[2]), hub.port)
        front.forwards = (standard, *(Forward(port, str(network[2]), port) for port in hub.also_on))

    def _gateway(self, number: int, gateway: Site) -> None:
        draft = self._draft(f"g{number}", Kind.HOST, f"{gateway.name}, gateway of {gateway.site}")
        self.hosts[gateway.name] = draft.name
        self._vpn_addresses(draft, gateway)
        self._site(number, gateway, draft)
        if gateway.is_router or 4 not in draft.gateways:
            self._uplink(draft)
        elif 6 not in draft.gateways:
            self._six_by(self.drafts[f"r{number}"], draft)

    def _vpn_addresses(self, draft: _Draft, host: Site) -> None:
        for address in (host.address, self.env.address6_of(host)):
            if address is not None:
                self.machines.append(Machine(draft.name, address, address, "host", host.name, host.site_name))

    def _uplink(self, draft: _Draft, address: IPAddress | None = None) -> None:
        """A way to all of the internet, at this address or a free one; in IPv6 as well where the hub is dialled by that."""
        free = {4: self.outer, **({6: self.outer6} if self.dialled_by_six else {})}
        found = {version: address if address is not None and address.version == version else next(each) for version, each in free.items()}
        draft.plug("wan0", INTERNET, *(str(IPNetwork(each)) for each in found.values()))
        draft.flat = True
        for version in found:
            draft.gateways.pop(version, None)

    def _six_by(self, router: _Draft, draft: _Draft) -> None:
        """Through its router a machine dials the hub by IPv6, where that is asked for: with a network for the two of them."""
        if self.dialled_by_six:
            network = next(self.inner6)
            there = {bridge: link for link, (bridge, _) in router.links.items()}
            link, bridge = next((link, bridge) for link, (bridge, _) in draft.links.items() if bridge in there)
            for each, name, address in ((router, there[bridge], network[1]), (draft, link, network[2])):
                each.plug(name, bridge, f"{address}/{network.prefixlen}")
            draft.gateways[6] = str(network[1])

    def _site(self, number: int, site: Site, host: _Draft) -> None:
        """The site's LANs: those in which the host stands first, since others lie behind routers there."""
        plots = [_Plot(f"{number}{letter}", lan) for letter, lan in zip(ascii_lowercase, site.networks, strict=False)]
        standing = [plot for plot in plots if plot.lan.address is not None]
        behind = [plot for plot in plots if plot.lan.router is not None]
        for plot in standing:
            plot.taken |= {lan.address for lan in site.networks if lan.address is not None} | {lan.router for lan in site.networks}
            plot.taken |= {site.router_address, *(device.address for device in site.devices)}
            self._around(number, site, host, plot)
        for plot in behind:
            self._behind(number, site, host, plot, standing)
        for plot in plots:
            if plot.lan.outside:
                self._partner(site, plot)
        self._type_routes(number, site, host)

    def _around(self, number: int, site: Site, host: _Draft, plot: _Plot) -> None:
        """A LAN in which the host stands: it is plugged in, and so are the router and the machines."""
        lan = plot.lan
        link = lan.interface or f"lan{len(host.links)}"
        plot.bridge = host.links[link][0] if link in host.links else f"lan{plot.key}"
        host.plug(link, plot.bridge, f"{lan.address}/{lan.cidr.prefixlen}")
        self.machines += self._own_address(site, host, lan)
        plot.way_out = lan.address if site.is_router else self._router(number, site, host, plot)
        self._devices(number, site, plot)
        self._inhabitants(site, plot)

    def _own_address(self, site: Site, host: _Draft, lan: Lan) -> Iterator[Machine]:
        if lan.address is not None:
            known = site.as_known(IPNetwork(lan.address)).ip
            yield Machine(host.name, known, lan.address, "host", site.name, site.site_name)

    def _router(self, number: int, site: Site, host: _Draft, plot: _Plot) -> IPAddress | None:
        """The site's router, plugged into this LAN too; its address there, by which the LAN's machines get out.

        In a LAN of the host alone there is room for no router.
        """
        named = site.router_address
        address = named if named is not None and named in plot.lan.cidr else _free(plot.lan.cidr, plot.taken, from_the_end=True)
        if address is None:
            return plot.lan.address
        plot.taken.add(address)
        router = self.drafts.get(f"r{number}") or self._new_router(number, site)
        router.plug(f"lan{plot.key[-1]}", plot.bridge, f"{address}/{plot.lan.cidr.prefixlen}")
        if not isinstance(site, Hub) or plot.lan.cidr.version == 6:
            host.gateways.setdefault(plot.lan.cidr.version, str(address))
        return address

    def _new_router(self, number: int, site: Site) -> _Draft:
        kind = Kind.ROUTER if site.router_ssh is None else Kind.HOST
        router = self._draft(f"r{number}", kind, f"router of {site.site_name}")
        router.routes_for = "lana"
        if kind is Kind.HOST:
            self.hosts[router_name(site)] = router.name
        self._uplink(router)
        return router

    def _behind(self, number: int, site: Site, host: _Draft, plot: _Plot, standing: Sequence[_Plot]) -> None:
        """A LAN behind a router that stands beside the host."""
        via = plot.lan.router
        around = next((each for each in standing if via is not None and via in each.lan.cidr), None)
        if via is None or around is None:
            return
        plot.bridge = f"lan{plot.key}"
        plot.way_out = _free(plot.lan.cidr, plot.taken, from_the_end=True)
        plot.taken.add(plot.way_out)
        between = next((draft for draft in self.drafts.values() if _has(draft, around.bridge, via)), None)
        if between is None or between is host:
            between = self._draft(f"v{plot.key}", Kind.ROUTER, f"the router {via} in {site.site_name}")
            between.routes_for = "lana"
            between.plug("lana", around.bridge, f"{via}/{around.lan.cidr.prefixlen}")
            between.gateways[around.lan.cidr.version] = str(around.way_out)
        between.plug(f"lan{plot.key[-1]}x", plot.bridge, f"{plot.way_out}/{plot.lan.cidr.prefixlen}")
        self._inhabitants(site, plot)

    def _partner(self, site: Site, plot: _Plot) -> None:
        """A network in the internet, whose machines are neighbours of all routers there."""
        draft = self._draft(f"o{plot.key}", Kind.DEVICE, f"{plot.lan.cidr}, in the internet")
        draft.flat = True
        for address in self._tried(site, plot):
            draft.plug("eth0", INTERNET, f"{address}/32")
            self._machine(site, draft.name, address, outside=True)

    def _inhabitants(self, site: Site, plot: _Plot) -> None:
        draft = self._draft(f"d{plot.key}", Kind.DEVICE, f"machines in {plot.lan.called} of {site.site_name}")
        draft.gateways[plot.lan.cidr.version] = str(plot.way_out)
        for address in self._tried(site, plot):
            owner = next((each for each in self.drafts.values() if _has(each, plot.bridge, address)), None)
            if owner is None:
                draft.plug("eth0", plot.bridge, f"{address}/{plot.lan.cidr.prefixlen}")
                self._machine(site, draft.name, address)
            elif address not in site.own_addresses:
                self._machine(site, owner.name, address)
        if not draft.links:
            del self.drafts[draft.name]

    def _tried(self, site: Site, plot: _Plot) -> tuple[IPAddress, ...]:
        """Of this LAN: each single address that is named, the first free one of each part that is, and one beside each."""
        chosen: dict[IPAddress, None] = {}
        for part in self._named_parts(site, plot.lan) or [plot.lan.cidr]:
            address = part.ip if part.size == 1 else _free(part, {*plot.taken, *chosen}, within=plot.lan.cidr)
            if address is not None:
                chosen.setdefault(address)
        for address in tuple(chosen):
            beside = _beside(plot.lan.cidr, address, {*plot.taken, *chosen})
            if beside is not None:
                chosen.setdefault(beside)
        return spread(tuple(chosen), PER_LAN)

    def _named_parts(self, site: Site, lan: Lan) -> list[IPNetwork]:
        """By the access table and by `expect:`."""
        reached = [item.destination for item in self.reach.permissions]
        granted = [network for place in reached if (place.kind, place.name) == ("site", site.site_name) for network in place.networks]
        known = (network for network in (*granted, *self.stated) if any(network in prefix or prefix in network for prefix in site.prefixes))
        parts = dict.fromkeys(map(site.as_here, known))
        return list(dict.fromkeys(lan.cidr if lan.cidr in part else part for part in parts if part in lan.cidr or lan.cidr in part))

    def _machine(self, site: Site, node: str, address: IPAddress, *, outside: bool = False) -> None:
        # Into a retired site nobody grants anything, and no host refuses it any more.
        if site.is_active:
            known = site.as_known(IPNetwork(address)).ip
            self.machines.append(Machine(node, known, address, "site", site.site_name, outside=outside))

    def _devices(self, number: int, site: Site, plot: _Plot) -> None:
        """The machines of this LAN whose route the program sets."""
        for letter, device in zip(ascii_lowercase, site.devices, strict=False):
            if device.address in plot.lan.cidr:
                draft = self._draft(f"m{number}{letter}", Kind.HOST, f"{device.name}, a device of {site.site_name}")
                draft.plug("eth0", plot.bridge, f"{device.address}/{plot.lan.cidr.prefixlen}")
                draft.gateways[plot.lan.cidr.version] = str(plot.way_out)
                self.hosts[device.name] = draft.name

    def _type_routes(self, number: int, site: Site, host: _Draft) -> None:
        """What the instructions ask of a person; the program does the same at a router where it logs in."""
        asked = site.is_active and site.router_ssh is None
        at_the_router = router_routes(site, self.reach.policies[site.name]) if asked else ()
        for node, routes in ((f"r{number}", at_the_router), (host.name, inner_routes(site))):
            if node in self.drafts and routes:
                self.typed[node] = routes

    # --- people ---------------------------------------------------------------------------------------------------------------------------

    def _person(self, number: int, clients: tuple[Client, ...]) -> None:
        reason = next(filter(None, map(_why_not, clients)), None)
        tried = [client for client in clients if _why_not(client) is None]
        if reason is not None:
            left = ", ".join(client.name for client in clients if client not in tried)
            self.left_out.append(f"{left}: {reason}")
        if not tried:
            return
        home = self._home(clients[0].developer)
        addresses = _addresses(home)
        inside = next(addresses)
        router = self._draft(f"w{number}", Kind.ROUTER, f"router at {clients[0].developer.name}'s home")
        router.routes_for = "lan0"
        router.plug("lan0", f"home{number}", f"{inside}/{home.prefixlen}")
        self._uplink(router)
        for letter, client in zip(ascii_lowercase, tried, strict=False):
            draft = self._draft(f"p{number}{letter}", Kind.DEVICE, f"{client.name}, a machine at home")
            draft.plug("eth0", f"home{number}", f"{next(addresses)}/{home.prefixlen}")
            draft.gateways[4] = str(inside)
            self._six_by(router, draft)
            self.laptops[client.name] = draft.name
            for address in (client.address, self.env.address6_of(client)):
                if address is not None:
                    self.machines.append(Machine(draft.name, address, address, "developer", client.developer.name))

    def _home(self, person: Developer) -> IPNetwork:
        """The network at home, or another one where it is like what the tunnel carries: of the two nobody reaches both."""
        home = person.home
        if home is not None and any(home in each or each in home for each in self.env.routed):
            self.left_out.append(f"{person.name}'s home {home}: the tunnel carries these addresses, so that another network stands for it")
            home = None
        return home or self._spare(_HOMES)

    # --- names and numbers ----------------------------------------------------------------------------------------------------------------

    def _draft(self, name: str, kind: Kind, purpose: str) -> _Draft:
        return self.drafts.setdefault(name, _Draft(name, kind, purpose))

    def _names(self) -> dict[str, str]:
        """The hub's name, where it is dialled by one."""
        if self.env.hub.endpoint.address is not None:
            return {}
        outer = self.drafts.get("front", self.drafts["hub"]).links["wan0"][1][0]
        return {str(self.env.hub.endpoint.host): outer.partition("/")[0]}

    def _spare(self, candidates: Iterable[str]) -> IPNetwork:
        """A prefix that the environment does not use."""
        used = [*self.env.routed, *(prefix for site in self.env.sites for prefix in site.own_prefixes)]
        free = (IPNetwork(each) for each in candidates)
        return next(each for each in free if not any(each in other or other in each for other in used))


@dataclass
class _Plot:
    """A LAN while it is laid out: its letter, its bridge, and who is in it."""

    key: str
    lan: Lan
    bridge: str = ""
    way_out: IPAddress | None = None
    taken: set[IPAddress | None] = field(default_factory=set)


def _why_not(client: Client) -> str | None:
    """Why a machine cannot be tried."""
    if client.public_key is not None:
        return "the key was brought, and its private half is nobody else's"
    if client.endpoint is not None:
        return "a program of their own carries the tunnel"
    return None


def _has(draft: _Draft, bridge: str, address: IPAddress) -> bool:
    return any(plugged == bridge and IPNetwork(each).ip == address for plugged, each in _plugged(draft))


def _plugged(draft: _Draft) -> Iterator[tuple[str, str]]:
    return ((bridge, address) for bridge, addresses in draft.links.values() for address in addresses)


def _usable(network: IPNetwork) -> tuple[int, int]:
    """Its first and last address that a machine can have."""
    bits = network.size
    if bits <= 2:
        return network.first, network.last
    return network.first + 1, network.last - (1 if network.version == 4 else 0)


def _free(
    part: IPNetwork, taken: Iterable[IPAddress | None], *, within: IPNetwork | None = None, from_the_end: bool = False
) -> IPAddress | None:
    """An address of this part of a LAN that nobody has, if it is found soon."""
    used = set(taken)
    low, high = _usable(within or part)
    first, last = max(part.first, low), min(part.last, high)
    numbers = range(last, first - 1, -1) if from_the_end else range(first, last + 1)
    candidates = (IPAddress(number, part.version) for number in numbers[:_ROUND_ABOUT])
    return next((each for each in candidates if each not in used), None)


def _beside(lan: IPNetwork, address: IPAddress, taken: Iterable[IPAddress | None]) -> IPAddress | None:
    """The next address of the LAN that is free, or the one before."""
    used = set(taken)
    low, high = _usable(lan)
    around = (int(address) + step for step in (1, -1, 2, -2, 3, -3))
    candidates = (IPAddress(number, lan.version) for number in around if low <= number <= high)
    return next((each for each in candidates if each not in used), None)


def _addresses(network: IPNetwork, avoiding: Iterable[IPAddress | None] = ()) -> Iterator[IPAddress]:
    avoided = set(avoiding)
    low, high = _usable(network)
    return (each for number in range(low, high + 1) if (each := IPAddress(number, network.version)) not in avoided)
