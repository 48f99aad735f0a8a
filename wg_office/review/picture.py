"""The network as a picture would show it: sites, people who reach the same taken together, and who reaches what. Pure.

With two environments it is the picture of a change: each cell holds what was and what is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from netaddr import IPNetwork, IPSet

from wg_office.environment.model import Environment, Lan, Networks
from wg_office.network.extent import Extent, Stretch, shown, stretches
from wg_office.review.difference import ways


@dataclass(frozen=True, slots=True)
class Change:
    """What was, and what is; equal where nothing changes, empty where there is nothing."""

    was: str
    now: str

    @property
    def changed(self) -> bool:
        """Whether there is anything to colour."""
        return self.was != self.now


@dataclass(frozen=True, slots=True)
class Site:
    """An office, and the gateway in it."""

    name: Change
    gateway: str
    address: str
    lan: str


@dataclass(frozen=True, slots=True)
class Row:
    """Senders who reach the same, and what that is by destination."""

    names: tuple[str, ...]
    cells: Mapping[str, Change]
    coming: bool = False
    going: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn."""

    title: str
    hub: str
    hub_address: str
    endpoint: str
    sites: tuple[Site, ...]
    rows: tuple[Row, ...]
    people: int

    @property
    def destinations(self) -> tuple[str, ...]:
        """The columns: sites in the order of the file, then machines and people."""
        named = dict.fromkeys(f"site {site.name.now or site.name.was}" for site in self.sites)
        return tuple(dict.fromkeys([*(name for name in named if self._used(name)), *(each for row in self.rows for each in row.cells)]))

    def _used(self, destination: str) -> bool:
        return any(destination in row.cells for row in self.rows)


def picture(env: Environment, before: Environment | None = None) -> Picture:
    """The picture of an environment, or of what becomes of `before`."""
    old = env if before is None else before
    people = dict.fromkeys([*(each.name for each in env.developers), *(each.name for each in old.developers)])
    return Picture(
        title=env.environment,
        hub=env.hub.name,
        hub_address=str(env.hub.address),
        endpoint=str(env.hub.endpoint),
        sites=_sites(env, old),
        rows=_titled(_rows(env, old, people), {each.name: each.called for each in (*old.developers, *env.developers)}),
        people=len(people),
    )


def _sites(env: Environment, old: Environment) -> tuple[Site, ...]:
    now = {host.site_name: host for host in env.active_sites}
    was = {host.site_name: host for host in old.active_sites}
    return tuple(
        Site(Change(site if site in was else "", site if site in now else ""), host.name, str(host.address), _lans(host.networks))
        for site, host in {**was, **now}.items()
    )


def _lans(lans: tuple[Lan, ...]) -> str:
    return f"{lans[0].called}{f' and {len(lans) - 1} more' if len(lans) > 1 else ''}"


def _rows(env: Environment, old: Environment, people: Iterable[str]) -> tuple[Row, ...]:
    was, now = _cells(old), _cells(env)
    known = ({each.name for each in old.developers}, {each.name for each in env.developers})
    together: dict[object, tuple[list[str], dict[str, Change], bool, bool]] = {}
    for sender in dict.fromkeys([*people, *now, *was]):
        cells = {
            where: Change(was.get(sender, {}).get(where, ""), now.get(sender, {}).get(where, ""))
            for where in dict.fromkeys([*now.get(sender, {}), *was.get(sender, {})])
        }
        coming, going = (sender in known[1] - known[0], sender in known[0] - known[1])
        key = (tuple(sorted(cells.items(), key=lambda cell: cell[0])), coming, going)
        together.setdefault(key, ([], cells, coming, going))[0].append(sender)
    return tuple(Row(tuple(names), cells, coming, going) for names, cells, coming, going in together.values())


def _titled(rows: Iterable[Row], called: Mapping[str, str]) -> tuple[Row, ...]:
    """People as people call them; who reaches what was told by their names."""
    return tuple(replace(row, names=tuple(called.get(name, name) for name in row.names)) for row in rows)


def _cells(env: Environment) -> dict[str, dict[str, str]]:
    """What each sender reaches, in words, by destination."""
    cells: dict[str, dict[str, str]] = {}
    for (sender, where), reached in ways(env).items():
        cells.setdefault(sender, {})[where] = _words(env, where, reached)
    return cells


def _words(env: Environment, where: str, reached: Extent) -> str:
    """`all`, or hosts and ports as short as can be said in a cell."""
    return "; ".join(_stretch(env, where, each) for each in stretches(reached))


def _stretch(env: Environment, where: str, each: Stretch) -> str:
    kind, _, name = where.partition(" ")
    site = env.gateway_of(name) if kind == "site" else None
    ports = "all" if each.opened == "everything" else each.opened
    if site is None or IPSet(site.own_prefixes) - IPSet(site.own_addresses) <= IPSet(each.networks):
        return ports
    hosts = _hosts(each.networks, site)
    return hosts if ports == "all" else f"{hosts}: {ports}"


def _hosts(networks: tuple[IPNetwork, ...], site: Networks) -> str:
    left_out = tuple((IPSet(site.own_prefixes) - IPSet(networks) - IPSet(site.own_addresses)).iter_cidrs())
    but = "all but " if len(left_out) < len(networks) else ""
    return but + ", ".join(_short(network, site.own_prefixes) for network in (left_out if but else networks))


def _short(network: IPNetwork, lans: tuple[IPNetwork, ...]) -> str:
    """`.244` where that can be one machine of the LAN only."""
    alone = network.version == 4 and network.size == 1 and len(lans) == 1 and lans[0].prefixlen >= 24
    return f".{network.ip.words[-1]}" if alone else shown(network)
