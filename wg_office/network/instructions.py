"""What a person must do by hand, exactly, per site. Pure. Room: network.

Pulumi cuts an item of a list after 150 characters where it shows outputs. So an item is shorter than that, and each command is an item
of its own, to be copied whole; what stands before it begins with the site.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wg_office.environment.model import Environment, Gateway, Hub, Lan, Managed, Site
from wg_office.network.access import FirewallPolicy, Reach, may_open, reach_of
from wg_office.network.plan import Route, inner_routes, router_routes, way_back_routes

LONGEST = 140
"""Characters of an item."""


def by_hand(env: Environment, reach: Reach | None = None) -> tuple[str, ...]:
    """What to do at each site for which neither the program nor masquerading provides, in the order of the file: what is to be pasted on
    gateways that nobody logs in to, then routes.

    Where a gateway is retired, also what was set by hand and has nothing to lead to any more. `reach` is what the environment's grants
    come to, for a caller who has worked it out.
    """
    earlier = _before_retirement(env)
    now = _by_hand(env, reach or reach_of(env))
    before = now if earlier is env else _by_hand(earlier, reach_of(earlier))
    routes = (item for site, was in before.items() for item in (*_to_set(now.get(site)), *_to_take_away(was, now.get(site))))
    return (
        *(item for gateway in env.gateways for item in _to_paste(gateway)),
        *(item for gateway in env.active_gateways for item in _to_call_in(env, gateway)),
        *routes,
    )


_PASTED: Mapping[Managed, str] = {
    "routeros": "paste into a terminal of {name}",
    "openwrt": "paste into a shell of {name}",
    "opnsense": "do in the web pages of {name}",
    "wg-quick": "save and start on {name}",
    "no": "set on {name}",
}


def _to_paste(gateway: Gateway) -> Iterator[str]:
    """Where nobody logs in: where it stands what a person sets there. Keys are part of it, so that the text itself is a secret output."""
    if gateway.managed is None:
        return
    site = f"site {gateway.site}"
    if gateway.retired:
        yield f"{site} is retired: take away on {gateway.name} what was set there by hand"
        return
    yield f"{site}: {_PASTED[gateway.managed].format(name=gateway.name)} what this shows, a secret"
    yield f"pulumi stack output {gateway.output} --show-secrets"


CALL_IN_PORT = 2201
"""Where the hub listens for the operator if the file names no port; any that is free will do."""


def call_in(name: str) -> str:
    """What has a gateway dial the hub, where nobody can dial the gateway."""
    return f"python -m wg_office bootstrap {name} --file FILE"


def looks_like_a_router(site: Site) -> bool:
    """Whether the host has a LAN's first or last address, as routers do, and the file does not say who the router is.

    A route by way of the very machine on which it is typed would cut that office off, so that nobody is told to type one there.
    """
    return site.router is None and any(has_a_routers_address(lan) for lan in site.networks)


def has_a_routers_address(lan: Lan) -> bool:
    """Whether the host's address in this LAN is its first or last."""
    return lan.address is not None and int(lan.address) in (lan.cidr.first + 1, lan.cidr.last - 1)


def whose_router(site: Site) -> tuple[str, str]:
    """What `router: self` would claim of such a host, and whose router is meant otherwise: it may be the router of one LAN alone."""
    several = not all(has_a_routers_address(lan) for lan in site.networks if lan.address is not None)
    return ("the router of all its LANs", "the router of the others") if several else ("the LAN's router", "the LAN's router")


@dataclass(frozen=True, slots=True)
class _Task:
    """Routes that a person sets on one machine."""

    machine: str
    routes: tuple[Route, ...]

    @property
    def is_ipv6(self) -> bool:
        return any(route.destination.version == 6 for route in self.routes)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a person does for one site: routes there, and those by which its host itself reaches what lies behind routers."""

    site: Site
    tasks: tuple[_Task, ...]
    behind: tuple[Route, ...]
    in_a_cloud: bool


def _before_retirement(env: Environment) -> Environment:
    if len(env.active_gateways) == len(env.gateways):
        return env
    return env.model_copy(update={"gateways": tuple(each.model_copy(update={"retired": False}) for each in env.gateways)})


def _by_hand(env: Environment, reach: Reach) -> Mapping[str, _Work]:
    """What a person does, by site; those for which there is nothing to do are not in it."""
    listed = (_work(site, reach.policies[site.name]) for site in env.active_sites)
    return {work.site.site_name: work for work in listed if work.tasks or work.behind or work.in_a_cloud}


def _work(site: Site, policy: FirewallPolicy) -> _Work:
    tasks = () if _devices_are_all(site, policy) else tuple(task for task in _tasks(site, policy) if task.routes)
    return _Work(site, tasks, inner_routes(site), isinstance(site, Hub) and any(router_routes(site, policy)))


def _to_call_in(env: Environment, gateway: Gateway) -> Iterator[str]:
    """Where a gateway is reached by its own call: what must run there, and how it is reached without, once the tunnel stands."""
    if gateway.ssh is None or not gateway.ssh.calls_in:
        return
    name = f"site {gateway.site}"
    yield f"{name}: {gateway.name} is reached by its own call, for an hour; it calls again by"
    yield call_in(gateway.name)
    if may_open(env, env.hub.access, gateway.address, "tcp", 22):
        yield f"{name}: once the tunnel stands, give {gateway.name} this way, and pin its key under that"
    else:
        yield f"{name}: to do without it, first write into the hub's access"
        yield f"- {{host: {gateway.name}, ports: [22/tcp]}}"
        yield f"{name}: then `pulumi up`, give {gateway.name} this way, and pin its key under that"
    yield f"ssh: {{host: {gateway.address}, via: hub}}"


def _tasks(site: Site, policy: FirewallPolicy) -> Iterator[_Task]:
    """By machine: routers behind which something lies, then the site's router, or else each LAN's."""
    inner = {lan.router: lan for lan in site.networks if lan.router not in (None, site.router_address)}
    for router in inner:
        by = site.around(router) if router is not None else None
        routes = [route for lan in site.networks if lan.router == router for route in way_back_routes(site, lan, policy, by)]
        yield _Task(f"the router {router}", tuple(dict.fromkeys(routes)))
    if site.router_ssh is not None:
        return
    if site.router_address is not None:
        yield _Task(f"the router {site.router_address}", router_routes(site, policy))
        return
    for lan in site.networks:
        if lan.address is not None:
            other = ", if that is another," if any(router in lan.cidr for router in inner if router is not None) else ""
            yield _Task(f"the default gateway of {lan.cidr}{other}", way_back_routes(site, lan, policy))


def _devices_are_all(site: Site, policy: FirewallPolicy) -> bool:
    """Whether only machines whose route the program sets are reached in these LANs, or reach something from them."""
    used = {network for rule in policy.from_tunnel for network in rule.destinations if any(network in lan for lan in site.own_inner)}
    used |= {network for rule in policy.to_tunnel for network in rule.sources}
    knowing = {*site.own_addresses, *(device.address for device in site.devices)}
    return bool(site.devices) and all(network.size == 1 and network.ip in knowing for network in used)


def _to_set(work: _Work | None) -> Iterator[str]:
    if work is None:
        return
    site, name = work.site, f"site {work.site.site_name}"
    if work.behind:
        yield f"{name}: {site.name} itself needs this, where that router is not its default gateway"
        yield from (_ip(route, "replace") for route in work.behind)
    if work.tasks and looks_like_a_router(site):
        of_all, other = whose_router(site)
        yield f"{name}: is {site.name} {of_all}? Then write router: self"
        ask = f"{name}: if it is not, write router: {{address: ...}}"
        yield _fitting(f"{ask}, {other}; then this says what to set there", f"{ask}, {other}")
        return
    yield from _about_routes(work, name)
    for task in work.tasks:
        yield from _route_by_route(task, name)
    if work.in_a_cloud:
        yield f"{name}: in a cloud, set this in its route table too"
        yield f"{name}: and switch off the source/destination check of {site.name} there"


def _about_routes(work: _Work, name: str) -> Iterator[str]:
    site = work.site
    if work.tasks and site.masquerades_all:
        yield f"{name}: masquerading serves answers alone; for what its machines open themselves they need a route"
    if work.tasks and site.devices:
        yield f"{name}: the program sets it on {_devices(site)} alone, and other machines take part too"
    if work.tasks and site.router is None:
        yield f"{name}: where {site.name} is its LAN's router itself, set nothing; write router: self"


def _route_by_route(task: _Task, name: str) -> Iterator[str]:
    routes, add = task.routes, f"{name}: on {task.machine} add"
    what = f"the route {routes[0].destination}" if len(routes) == 1 else f"these {len(routes)} routes"
    vias = {route.via for route in routes}
    yield _fitting(f"{add} {what}{f' via {routes[0].via}' if len(vias) == 1 else ''}", add)
    if task.is_ipv6:
        yield f"{name}: machines take their IPv6 router from its advertisements; it is the one that needs the route"
    yield from (_ip(route, "replace") for route in routes)


def _ip(route: Route, verb: str) -> str:
    return f"{'ip -6' if route.destination.version == 6 else 'ip'} route {verb} {route.destination} via {route.via}"


def _fitting(item: str, short: str) -> str:
    """The item, or where names and addresses are too long for it, the shorter one."""
    return item if len(item) <= LONGEST else short


def _to_take_away(was: _Work, now: _Work | None) -> Iterator[str]:
    if looks_like_a_router(was.site):
        return
    left = {(task.machine, route) for task in now.tasks for route in task.routes} if now is not None else set()
    why = "is retired" if now is None else "leads to a site that is retired"
    for task in was.tasks:
        gone = [route for route in task.routes if (task.machine, route) not in left]
        if gone:
            name = f"site {was.site.site_name}"
            yield _fitting(f"{name} {why}: on {task.machine} take away", f"{name}: on {task.machine} take away")
            yield from (_ip(route, "del") for route in gone)


def _devices(site: Site) -> str:
    names = ", ".join(device.name for device in site.devices)
    return names if len(names) <= 40 else f"{len(site.devices)} devices"
