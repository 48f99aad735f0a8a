"""What differs between two states of an environment, as a reviewer would say it: for people, for hosts, and for whoever works by hand.

Pure: two environments go in. No key is known here, so a key stands as the words that decide it: whose it is, and its rotation.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from netaddr import IPAddress, IPNetwork

from wg_office.environment.fields import Moment
from wg_office.environment.grants import Record
from wg_office.environment.model import HUB, Client, Developer, Environment, Hub, OwnDevice, Peer, Site, Ssh
from wg_office.hosts import description, hostscript
from wg_office.hosts.changes import disruptions, first_over_tunnel, now_over_tunnel, severs
from wg_office.hosts.description import HEADER, Description
from wg_office.hosts.keys import PublicNames
from wg_office.hosts.render import Keys, render_description
from wg_office.network.access import Permission, permissions, reach_of
from wg_office.network.extent import Extent, Stretch, both, extent, less, shown, stretches, together
from wg_office.network.instructions import by_hand
from wg_office.network.plan import HostPlan, plan
from wg_office.people.pasted import Pasted, Standing, fingerprint, pasted, render_pasted, standing, to_be_pasted
from wg_office.people.profiles import ClientKeys, profiles

T = TypeVar("T")

Section = Literal["people", "access", "new files", "sites", "network", "guards", "routes", "by hand"]
Sign = Literal["+", "-", "~"]

_WORDS: dict[Sign, tuple[str, str]] = {"+": ("comes", "come"), "-": ("goes", "go"), "~": ("changes", "change")}
_ACCESS_WORDS: dict[Sign, tuple[str, str]] = {"+": ("gains", "gain"), "-": ("loses", "lose"), "~": ("changes", "change")}
_ANYWHERE = IPNetwork("0.0.0.0/32")
"""Stands for a peer's own address: who moves to another one is still the same person."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that comes, goes or changes."""

    section: Section
    sign: Sign
    who: tuple[str, ...]
    """Whom or what it is about; several where the same happens to all of them."""
    text: str

    @property
    def word(self) -> str:
        """`comes`, `goes` or `changes`; of access `gains` or `loses`."""
        one, more = _WORDS[self.sign] if self.section != "access" else _ACCESS_WORDS[self.sign]
        return one if len(self.who) == 1 else more


@dataclass(frozen=True, slots=True)
class HostChange:
    """What a change does to one host."""

    host: str
    role: str
    state: Literal["new", "gone", "stays"]
    touched: tuple[str, ...] = ()
    """What of it is written anew: peers, rules, routes, ..."""
    interruptions: tuple[str, ...] = ()
    """What of it ends sessions, and whose."""
    refused: tuple[str, ...] = ()
    """Why `pulumi up` would refuse it."""

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.refused:
            return "refused"
        if self.state != "stays":
            return "new: installed for the first time" if self.state == "new" else "gone: all of it is taken away"
        if self.interruptions:
            return "interruption"
        if not self.touched:
            return "not touched"
        return "peers only" if self.touched == ("peers",) else ", ".join(self.touched)


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs; `hosts` are those of both sides, in the order of the file."""

    before: str
    after: str
    changes: tuple[Change, ...]
    hosts: tuple[HostChange, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing changes for anybody, and no host is dialled."""
        return not self.changes and all(host.verdict == "not touched" for host in self.hosts)


def difference(before: Environment | None, after: Environment | None) -> Difference:
    """What differs; None stands for an environment that is not there yet, or no longer."""
    listed = (
        *_people(before, after),
        *_access(before, after),
        *_new_files(before, after),
        *_sites(before, after),
        *_network(before, after),
        *_guards(before, after),
        *_routes(before, after),
        *_hands(before, after),
    )
    return Difference(_called(before), _called(after), tuple(listed), tuple(_hosts(before, after)))


def _called(env: Environment | None) -> str:
    return "nothing" if env is None else env.environment


def _pairs(before: Iterable[T], after: Iterable[T], name: Callable[[T], str]) -> Iterator[tuple[str, T | None, T | None]]:
    """By name: as the file has them now, and then those that go."""
    was, now = ({name(each): each for each in side} for side in (before, after))
    for key in [*now, *(key for key in was if key not in now)]:
        yield key, was.get(key), now.get(key)


# --- people and sites ------------------------------------------------------------------------------------------------------------------

_ELSEWHERE = {"name", "access", "site"}
"""Fields that are compared by another section, or by which two entries are known to be the same."""

_OF_A_MACHINE = tuple(name for name in OwnDevice.model_fields if name != "name")


def _people(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    """People, and the devices of those who have several; whose one machine becomes a device is told so, and not that it goes."""
    heirs = {} if before is None or after is None else after.heirs({each.name: each.address for each in before.clients})
    for name, was, now in _pairs(_developers(before), _developers(after), lambda each: each.name):
        heir = heirs.get(name)
        if was is None or now is None or not (was.devices or now.devices):
            yield from _entry("people", name, was, now, _introduced)
        elif heir is None:
            yield from _machines(was, now)
        else:
            yield Change("people", "~", (name,), f"the machine {heir.address} is now the device {heir.device}")
            yield from _machines(_as_device(was, heir), now)


def _as_device(developer: Developer, heir: Client) -> Developer:
    """Who had one machine, as if it had been that device already."""
    fields = {"name": heir.device} | {each: getattr(developer, each) for each in _OF_A_MACHINE}
    return developer.model_copy(update={"address": None, "devices": (OwnDevice.model_construct(**fields),)})


def _machines(was: Developer, now: Developer) -> Iterator[Change]:
    """What changes about the person, and about each machine by its name."""
    nothing = dict.fromkeys(("devices", *_OF_A_MACHINE))
    for text in _fields(was.model_copy(update=nothing), now.model_copy(update=nothing)):
        yield Change("people", "~", (now.name,), text)
    for name, old, new in _pairs(was.clients, now.clients, lambda each: each.name):
        yield from _machine(name, old, new)


def _machine(name: str, was: Client | None, now: Client | None) -> Iterator[Change]:
    if was is None or now is None:
        yield from (Change("people", "+" if was is None else "-", (name,), _client(each)) for each in (was, now) if each is not None)
        return
    for field in _OF_A_MACHINE:
        old, new = getattr(was, field), getattr(now, field)
        if old != new:
            yield Change("people", "~", (name,), f"{field}: {_value(old)} -> {_value(new)}")


def _developers(env: Environment | None) -> tuple[Developer, ...]:
    return () if env is None else env.developers


def _introduced(developer: Developer) -> str:
    machines = [(f"{each.device} " if each.device is not None else "") + _client(each) for each in developer.clients]
    return "; ".join([*machines, *([developer.title] if developer.title is not None else [])])


def _client(client: Client) -> str:
    words = [str(client.address), *([client.platform] if client.platform else [])]
    words += ["brings a public key"] if client.public_key else []
    return ", ".join([*words, *([f"until {client.until}"] if client.until is not None else [])])


def _new_files(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    """Whose file no longer works or no longer fits: they need the new one."""
    if before is None or after is None:
        return
    outdated = tuple(
        name
        for name, was, now in _pairs(before.clients, after.clients, lambda each: each.name)
        if was is not None and now is not None and _file(before, was) != _file(after, now)
    )
    if outdated:
        yield Change("new files", "~", outdated, "their WireGuard file says something else now; hand out the new one")


def _file(env: Environment, client: Client) -> object:
    """What a machine's files say, and the words for the keys in them; notes and the network's name are not in the tunnel's way."""
    keys = _as_keys(env)
    return (
        [replace(each, name="", environment="", notes=()) for each in profiles(env, client)],
        keys[client.name],
        keys[env.hub.name].public_key,
    )


def _sites(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    was, now = (() if env is None else env.gateways for env in (before, after))
    for name, old, new in _pairs(was, now, lambda each: each.name):
        yield from _entry("sites", name, old, new, lambda each: f"gateway of {each.site}, {', '.join(lan.called for lan in each.networks)}")
    if before is not None and after is not None:
        yield from _entry("sites", after.hub.name, before.hub, after.hub, lambda each: f"the hub, {each.endpoint}")


def _network(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    if before is not None and after is not None:
        if before.environment != after.environment:
            yield Change("network", "~", (after.environment,), f"environment: {before.environment} -> {after.environment}")
        yield from _entry("network", after.environment, before.network, after.network, str)


def _guards(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    """What the file refuses and promises: who loosens a guard in one change could do anything in the next."""
    if before is not None and after is not None:
        yield from _entry("guards", after.environment, before.policy, after.policy, str)
        yield from (Change("guards", "-", ("statement",), str(each)) for each in before.expect if each not in after.expect)
        yield from (Change("guards", "+", ("statement",), str(each)) for each in after.expect if each not in before.expect)


RecordT = TypeVar("RecordT", bound=Record)


def _entry(section: Section, name: str, was: RecordT | None, now: RecordT | None, introduced: Callable[[RecordT], str]) -> Iterator[Change]:
    if was is None or now is None:
        present = now if was is None else was
        if present is not None:
            yield Change(section, "+" if was is None else "-", (name,), introduced(present))
        return
    for text in _fields(was, now):
        yield Change(section, "~", (name,), text)


def _fields(was: Record, now: Record, inside: str = "") -> Iterator[str]:
    """`mtu: 1280 -> 1420` for each field that differs, inner ones by their path."""
    for name, field in type(now).model_fields.items():
        if not inside and name in _ELSEWHERE:
            continue
        old, new, path = getattr(was, name), getattr(now, name), f"{inside}{field.alias or name}"
        if isinstance(old, Record) and isinstance(new, Record):
            yield from _fields(old, new, f"{path}.")
        elif old != new and not (name == "host_key" and None in (old, new)):
            yield f"{path}: {_value(old)} -> {_value(new)}"


def _value(value: object) -> str:
    if value is None or value == ():
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Record):
        return (
            "{"
            + ", ".join(
                f"{field.alias or name}: {_value(getattr(value, name))}"
                for name, field in type(value).model_fields.items()
                if name in value.model_fields_set
            )
            + "}"
        )
    return f"[{', '.join(map(_value, value))}]" if isinstance(value, tuple) else str(value)


# --- access ----------------------------------------------------------------------------------------------------------------------------

Ways = dict[tuple[str, str], Extent]
"""From whom (`e`, `site shenzhen`) to where (`site beijing`), and what is open there."""

ByEnd = dict[Moment | None, Extent]
"""What is open until when; None: for good."""


def _access(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    """Gains and losses; those who gain or lose the same stand in one line."""
    was, now = _ending_ways(before), _ending_ways(after)
    whole = _whole(before) | _whole(after)
    told: dict[tuple[str, Sign, str], list[str]] = {}
    for way in [*now, *(way for way in was if way not in now)]:
        source, destination = way
        for sign, changed, ends in _sides(was.get(way, {}), now.get(way, {})):
            for stretch in stretches(changed):
                spoken = _spoken(destination, stretch, whole.get(destination, _Whole())) + ends
                told.setdefault((destination, sign, spoken), []).append(source)
    for (_, sign, text), sources in told.items():
        yield Change("access", sign, tuple(sources), text)


def _sides(was: ByEnd, now: ByEnd) -> Iterator[tuple[Sign, Extent, str]]:
    """What is lost, what is gained and until when, and what stays and ends at another time."""
    old, new = _all_of(was), _all_of(now)
    yield "-", less(old, new), ""
    for until, opened in now.items():
        yield "+", less(opened, old), "" if until is None else f", until {until}"
    for before, kept in was.items():
        for until, opened in now.items():
            if before != until:
                yield "~", both(kept, opened), f", {_ends(until)} (before: {_ends(before)})"


def _ends(until: Moment | None) -> str:
    return "for good" if until is None else f"until {until}"


def _all_of(parts: ByEnd) -> Extent:
    return frozenset(box for part in parts.values() for box in part)


def ways(env: Environment | None) -> Ways:
    """All that the file grants, as sets, for however long."""
    return {way: _all_of(parts) for way, parts in _ending_ways(env).items()}


def _ending_ways(env: Environment | None) -> dict[tuple[str, str], ByEnd]:
    found: dict[tuple[str, str], ByEnd] = {}
    sites = {site.site_name: site for site in env.sites} if env is not None else {}
    for item in permissions(env) if env is not None else ():
        # A person is known by the name alone.
        sender = item.source.name if item.source.kind == "developer" else str(item.source)
        parts = found.setdefault((sender, str(item.destination)), {})
        parts[item.until] = parts.get(item.until, frozenset()) | _opened(sites.get(item.destination.name), item)
    return {way: _at_the_last_end(parts) if len(parts) > 1 else parts for way, parts in found.items()}


def _at_the_last_end(parts: ByEnd) -> ByEnd:
    """What several lines open ends with the last of them."""
    covered: Extent = frozenset()
    made: ByEnd = {}
    for until in sorted(parts, key=lambda each: (each is not None, -each.epoch if each is not None else 0)):
        made[until] = less(parts[until], covered)
        covered |= parts[until]
    return made


def _opened(site: Site | None, item: Permission) -> Extent:
    """Of a site by the addresses that its machines have: who reaches the same machine by another prefix gains and loses nothing."""
    place = item.destination
    if place.kind != "site" or site is None:
        return extent([_ANYWHERE], item.ports)
    return extent(map(site.as_here, place.networks), item.ports, map(site.as_here, place.apart_from))


@dataclass(frozen=True, slots=True)
class _Whole:
    """The LANs of a site, and the host's own addresses in them, which a grant to the LANs leaves out."""

    lans: tuple[IPNetwork, ...] = ()
    own: tuple[IPAddress, ...] = ()


def _whole(env: Environment | None) -> dict[str, _Whole]:
    return {} if env is None else {f"site {site.site}": _Whole(site.own_prefixes, site.own_addresses) for site in env.sites}


def _spoken(destination: str, stretch: Stretch, whole: _Whole) -> str:
    if stretch.networks == (_ANYWHERE,):
        return f"{destination} on {stretch.opened}"
    networks = together(stretch.networks, whole.lans, whole.own) if whole.lans else ", ".join(map(shown, stretch.networks))
    return f"{destination} ({networks}) on {stretch.opened}"


# --- hosts, routes, and what a person does ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Side:
    """A host's plan with the keys of its environment."""

    host: HostPlan
    keys: Keys

    def interface(self) -> object:
        tunnel = self.host.tunnel
        return tunnel and (tunnel.interface, tunnel.addresses, tunnel.mtu, tunnel.listen_port)

    def peers(self) -> object:
        return self.host.tunnel and [(peer, self.keys[peer.name], self.keys[peer.psk_of or peer.name]) for peer in self.host.tunnel.peers]

    def routes(self) -> object:
        return self.host.routes, self.host.tunnel and self.host.tunnel.routes


_ASPECTS: tuple[tuple[str, Callable[[_Side], object]], ...] = (
    ("its key", lambda side: side.host.tunnel and side.keys[side.host.name].private_name),
    ("interface", _Side.interface),
    ("peers", _Side.peers),
    ("routes", _Side.routes),
    ("rules", lambda side: (side.host.firewall, side.host.policy)),
    ("roll-back", lambda side: side.host.rollback_after),
    ("whom it carries", lambda side: side.host.carries),
    ("the network's name", lambda side: side.host.environment),
)


def _hosts(before: Environment | None, after: Environment | None) -> Iterator[HostChange]:
    was, now = (() if env is None else plan(env) for env in (before, after))
    for name, old, new in _pairs(was, now, lambda each: each.name):
        if old is not None and new is not None and before is not None and after is not None:
            yield _host(_Side(old, _as_keys(before)), _Side(new, _as_keys(after)), after.hub.address)
        elif new is not None and after is not None:
            refused = first_over_tunnel(name, adopted=name in after.adopted_gateways) if new.ssh.over_tunnel else ()
            yield HostChange(name, new.role, "new", refused=refused)
        elif old is not None:
            yield HostChange(name, old.role, "gone")


def _host(was: _Side, now: _Side, hub: IPAddress) -> HostChange:
    before, after = _described(was), _described(now)
    touched = tuple(aspect for aspect, of in _ASPECTS if of(was) != of(now))
    if not touched and any(path != HEADER for path in description.changed_parts(before, after)):
        touched = ("other files",)
    return HostChange(
        now.host.name,
        now.host.role,
        "stays",
        (*touched, *(["the way to it"] if _moved(was.host, now.host) else [])),
        disruptions(before, after),
        (*severs(before, after, now.host.ssh.over_tunnel), *_not_let_in(was.host, now.host, before, hub)),
    )


def _not_let_in(was: HostPlan, now: HostPlan, before: Description, hub: IPAddress) -> tuple[str, ...]:
    """Why the way to it cannot change: asked of the file as it was, as components/foresee.py asks of what is deployed."""
    comes = now.ssh.over_tunnel and not was.ssh.over_tunnel
    return now_over_tunnel(now.name, before, hub, now.ssh) if comes else ()


def _moved(was: HostPlan, now: HostPlan) -> bool:
    if was.ssh.via == now.ssh.via and was.through is not None and now.through is not None and was.ssh.via != HUB:
        return _elsewhere(was.ssh, now.ssh) or _elsewhere(was.through, now.through)
    return was.ssh.via != now.ssh.via or _elsewhere(was.ssh, now.ssh)


def _elsewhere(was: Ssh, now: Ssh) -> bool:
    """A host key that one side does not know is no change: known_hosts need not be in git."""
    return was.address != now.address or (None not in (was.host_key, now.host_key) and was.host_key != now.host_key)


def _described(side: _Side) -> Description:
    return description.read(render_description(side.host, side.keys, "-", hostscript.scripts()))


def _as_keys(env: Environment) -> Keys:
    return {peer.name: _key_words(peer, env.rotation_of(peer)) for peer in env.peers}


def _key_words(peer: Peer, rotation: str) -> PublicNames:
    """Names that are equal where the keys will be."""
    kept = not isinstance(peer, Hub) and peer.preshared == "adopted"
    preshared = f"preshared-{peer.name}-{'adopted' if kept else rotation}"
    own = f"{peer.name}-adopted" if not isinstance(peer, Client) and peer.adopt_key else f"{peer.name}-{rotation}"
    return PublicNames(peer.public_key or own, f"private-{peer.public_key or own}", preshared)


def _routes(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    was, now = _routes_of(before), _routes_of(after)
    for host in [*now, *(host for host in was if host not in now)]:
        old, new = was.get(host, ()), now.get(host, ())
        yield from (Change("routes", "-", (host,), route) for route in old if route not in new)
        yield from (Change("routes", "+", (host,), route) for route in new if route not in old)


def _routes_of(env: Environment | None) -> Mapping[str, tuple[str, ...]]:
    return {} if env is None else {host.name: tuple(_routes_on(host)) for host in plan(env)}


def _routes_on(host: HostPlan) -> Iterator[str]:
    if host.tunnel is not None:
        yield from (f"{prefix} into the tunnel" for prefix in host.tunnel.routes)
    yield from (f"{route.destination} via {route.via}" for route in host.routes)


def _to_paste_again(before: Environment, after: Environment) -> Iterator[str]:
    """Gateways that nobody logs in to, and that need another text than they had. Of new ones `by_hand` says so."""
    kept = {gateway.name for gateway in before.pasted_gateways} & {gateway.name for gateway in after.pasted_gateways}
    was, now = (_pasted(env, kept) for env in (before, after))
    for name, (made, stands) in now.items():
        what = to_be_pasted(made, stands, was[name][1])
        if what is not None:
            yield what


def _pasted(env: Environment, names: Collection[str]) -> dict[str, tuple[Pasted, Standing]]:
    """What is pasted on these, and what their tunnels stand on, with words for the keys."""
    keys, policies = _as_keys(env), reach_of(env).policies if names else {}
    made = {each.name: pasted(env, each, policies[each.name]) for each in env.pasted_gateways if each.name in names}
    return {name: (one, _stands(one, keys[env.hub.name], keys[name])) for name, one in made.items()}


def _stands(made: Pasted, hub: PublicNames, own: PublicNames) -> Standing:
    shared = own.preshared_name if made.hub.psk_of is not None else None
    text = render_pasted(made, ClientKeys(hub.public_key, shared, own.private_name))
    return standing(made, hub, own, fingerprint(text))


def _hands(before: Environment | None, after: Environment | None) -> Iterator[Change]:
    was, now = (() if env is None else by_hand(env) for env in (before, after))
    yield from (Change("by hand", "-", ("no longer",), item) for item in was if item not in now)
    yield from (Change("by hand", "+", ("a person",), item) for item in now if item not in was)
    if before is not None and after is not None:
        yield from (Change("by hand", "+", ("a person",), item) for item in _to_paste_again(before, after))
    if before is not None and after is not None and before.environment != after.environment:
        # `handout`, `status` and `repair` take the network's name for the stack's; developers' files are called after it.
        rename = f"if the stack is called {before.environment}: pulumi stack rename {after.environment} (or name it: --stack)"
        yield Change("by hand", "+", ("a person",), rename)
