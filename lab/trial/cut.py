"""A copy of an environment file: with other ways to its hosts, and cut down where it names more than the machine can hold. Pure.

The copy is made of the file's own data, and of its model to know whom a name means: so it says what the file says, in the file's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.trial.spread import spread
from wg_office.environment.grants import Access, DeveloperGrant, HostGrant, SiteGrant
from wg_office.environment.model import Developer, Environment, Gateway, Site
from wg_office.environment.statements import Target, Who
from wg_office.network.plan import router_name

Data = Mapping[str, Any]
PATIENCE = 600
"""Seconds: emulated hosts take longer over a change than real ones are given to confirm it."""
SITES, PEOPLE = 5, 8
"""What an emulated machine of the lab's size brings up in minutes."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a file, and what is said about it: nothing where all of it is left."""

    data: dict[str, Any]
    said: str | None = None


def cut_down(data: Data, env: Environment, sites: int = SITES, people: int = PEOPLE) -> Cut:
    """At most so many gateways and people: of people first one for each way of access, then as evenly over the file as sites are.

    A gateway that nobody logs in to is no machine here, and stays.
    """
    machines = spread([each for each in env.gateways if each.ssh is not None], sites)
    gateways = tuple(each for each in env.gateways if each.ssh is None or each in machines)
    developers = _people(env, people)
    if len(gateways) == len(env.gateways) and len(developers) == len(env.developers):
        return Cut(dict(data))
    left = _Left(frozenset({env.hub.name, *(each.name for each in gateways)}), frozenset(each.name for each in developers), env)
    said = f"cut down to {_of(gateways, env.gateways, 'sites')} and {_of(developers, env.developers, 'people')}"
    return Cut(left.data(data), f"{said}; --sites and --people say how many")


def _of(left: Sequence[Gateway | Developer], all_of_them: Sequence[object], what: str) -> str:
    names = (each.site if isinstance(each, Gateway) else each.name for each in left)
    return f"{len(left)} of {len(all_of_them)} {what} ({', '.join(names)})"


def _people(env: Environment, at_most: int) -> tuple[Developer, ...]:
    kinds = {each.access: each for each in reversed(env.developers)}
    firsts = spread(sorted(kinds.values(), key=env.developers.index), at_most)
    others = spread([each for each in env.developers if each not in firsts], at_most - len(firsts))
    return tuple(each for each in env.developers if each in firsts or each in others)


@dataclass(frozen=True)
class _Left:
    """Who is left, by name: what else the file says of others goes with them."""

    hosts: frozenset[str]
    people: frozenset[str]
    env: Environment

    def data(self, data: Data) -> dict[str, Any]:
        """The file's data without the others. What is for the whole file (`policy:`) is for `check`."""
        env = self.env
        kept = {key: value for key, value in data.items() if key != "policy"}
        statements = zip(data.get("expect") or (), env.expect, strict=True)
        kept["expect"] = [raw for raw, statement in statements if self._knows(statement.who) and self._knows(statement.target)]
        kept["network"] = self._network(data["network"])
        kept["hub"] = self._with_access(data["hub"], env.hub.access)
        kept["gateways"] = self._those(data.get("gateways"), env.gateways, self.hosts)
        kept["developers"] = self._those(data.get("developers"), env.developers, self.people)
        groups = data.get("groups") or {}
        kept["groups"] = {name: self._with_access(raw, env.groups[name].access) for name, raw in groups.items()}
        links = zip(data.get("links") or (), env.links, strict=True)
        kept["links"] = [raw for raw, link in links if self._has(link.from_) and self._has(link.to)]
        return kept

    def _those(self, raws: Sequence[Data] | None, records: Sequence[Gateway | Developer], names: frozenset[str]) -> list[dict[str, Any]]:
        pairs = zip(raws or (), records, strict=True)
        return [self._with_access(raw, record.access) for raw, record in pairs if record.name in names]

    def _with_access(self, raw: Data, access: Access) -> dict[str, Any]:
        if "access" not in raw:
            return dict(raw)
        return dict(raw) | {"access": [grant for grant, meant in zip(raw["access"], access, strict=True) if self._stays(meant)]}

    def _stays(self, grant: object) -> bool:
        match grant:
            case SiteGrant(site=name):
                return self._has(name)
            case HostGrant(host=name):
                return name in self.hosts
            case DeveloperGrant(developer=name):
                return name in self.people
        return True

    def _knows(self, end: Who | Target) -> bool:
        """Whether a statement names somebody who is left; an address may be anybody's."""
        site, host, developer = end.site, end.host, end.developer
        gone = (site and not self._has(site)) or (host and host not in self.hosts) or (developer and developer not in self.people)
        return not gone and end.address is None

    def _has(self, site: str) -> bool:
        return self.env.gateway_of(site).name in self.hosts

    def _network(self, raw: Data) -> dict[str, Any]:
        """Name servers in a site that is not there answer nobody."""
        dns = self.env.network.dns
        gone = [prefix for site in self.env.sites if site.name not in self.hosts for prefix in site.prefixes]
        unanswered = dns is not None and any(server in prefix for server in dns.servers for prefix in gone)
        return {key: value for key, value in raw.items() if not (unanswered and key == "dns")}


# --- the ways to its hosts ---------------------------------------------------------------------------------------------------------------


def with_ways(data: Data, env: Environment, known_hosts: str, port: Callable[[str], int]) -> dict[str, Any]:
    """The data with each `ssh` at a port of this machine, by the host's name, and with the lab's host keys; nobody is gone through.

    And with more patience, on which nothing that is tried depends.
    """

    def way(name: str) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": port(name)}

    copy = {key: value for key, value in data.items() if key != "jumps"} | {"known_hosts": known_hosts}
    copy["network"] = dict(data["network"]) | {"rollback_after": max(env.network.rollback_after, PATIENCE)}
    copy["hub"] = _site_with_ways(data["hub"], env.hub, way)
    gateways = zip(data.get("gateways") or (), env.gateways, strict=True)
    return copy | {"gateways": [_site_with_ways(raw, gateway, way) for raw, gateway in gateways]}


def _site_with_ways(raw: Data, site: Site, way: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    copy = dict(raw)
    if site.ssh is not None:
        copy["ssh"] = way(site.name)
    if site.router_ssh is not None:
        copy["router"] = dict(raw["router"]) | {"ssh": way(router_name(site))}
    if site.devices:
        copy["devices"] = [dict(each) | {"ssh": way(device.name)} for each, device in zip(raw["devices"], site.devices, strict=True)]
    return copy
