"""Whose an address was until lately, from git: logs and people's habits outlive an entry. Room: review; git is asked by revisions.py."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path as FilePath
from typing import Any

from wg_office.environment.document import parse
from wg_office.environment.faults import Path
from wg_office.environment.model import Environment, Peer
from wg_office.reading.checks import Finding
from wg_office.review.revisions import NoRevision, run_git

RESTING_DAYS = 90
"""An address that went should rest as long before somebody else has it: logs and firewalls elsewhere are kept about so long."""

_MOST = 200
"""Commits that are looked at."""


def former_owners(env: Environment, file: FilePath) -> Iterator[Finding]:
    """Addresses that were somebody else's within RESTING_DAYS. Nothing where the file is in no repository."""
    try:
        run_git("ls-files", "--error-unmatch", "--", file.name, folder=file.parent)
        versions = list(_versions(file))
        shallow = run_git("rev-parse", "--is-shallow-repository", folder=file.parent).strip() == b"true"
    except NoRevision:
        return
    told = set[str]()
    for (changed, _), (_, owners) in pairwise(versions):
        for path, address, now in _addresses(env):
            owner = owners.get(address, now)
            if owner != now and address not in told:
                told.add(address)
                message = f"{address} was {owner}'s until {changed}"
                yield Finding(path, message, f"choose another one: what is kept of {owner} would speak of two")
    if shallow:
        message = "this clone is shallow, so whose an address was cannot be seen here"
        yield Finding(("environment",), message, "in CI, fetch the whole history (`fetch-depth: 0`, `GIT_DEPTH: 0`)")


def _addresses(env: Environment) -> Iterator[tuple[Path, str, str]]:
    """Each address in the VPN that is written down, where it stands, and whose it is."""
    for place, peer, owner in _peers(env):
        for field in _FIELDS:
            if (address := getattr(peer, field)) is not None:
                yield (*place, field), str(address), owner


def _peers(env: Environment) -> Iterator[tuple[Path, Peer, str]]:
    yield ("hub",), env.hub, _HUB
    for index, gateway in enumerate(env.gateways):
        yield ("gateways", index), gateway, _gateway_of(gateway.site)
    for index, developer in enumerate(env.developers):
        for number, client in enumerate(developer.clients):
            device: Path = () if client.device is None else ("devices", number)
            yield ("developers", index, *device), client, developer.name


_FIELDS = ("address", "address6")
_HUB = "the hub"


def _gateway_of(site: object) -> str:
    """A gateway that takes another's place at a site takes its address too, and is no somebody else."""
    return f"the gateway of {site}"


def _versions(file: FilePath) -> Iterator[tuple[str, dict[str, str]]]:
    """Who had which address, newest first, with the day of the commit; first the file as it is on the disk."""
    yield "today", _owners(file.read_text(encoding="utf-8-sig"))
    listed = run_git("log", f"--since={RESTING_DAYS}.days", f"-{_MOST}", "--format=%H %cs", "--", file.name, folder=file.parent)
    for line in listed.decode().splitlines():
        commit, day = line.split()
        yield day, _owners(run_git("show", f"{commit}:./{file.name}", folder=file.parent).decode(errors="replace"))
    yield from _before_that(file)


def _before_that(file: FilePath) -> Iterator[tuple[str, dict[str, str]]]:
    """The state with which that time began: what the oldest of its commits took away stands there alone."""
    earlier = run_git("log", f"--until={RESTING_DAYS}.days", "-1", "--format=%H %cs", "--", file.name, folder=file.parent).decode().split()
    if earlier:
        yield earlier[1], _owners(run_git("show", f"{earlier[0]}:./{file.name}", folder=file.parent).decode(errors="replace"))


def _owners(text: str) -> dict[str, str]:
    """Owners by address, as far as the text can be read: an old version may have had faults."""
    data: Any = parse(text).data
    if not isinstance(data, dict):
        return {}
    owned = [(_HUB, data.get("hub"))]
    owned += [(_gateway_of(entry.get("site")), entry) for entry in _mappings(data.get("gateways"))]
    owned += [(str(entry.get("name")), machine) for entry in _mappings(data.get("developers")) for machine in _machines(entry)]
    return {str(machine[field]): owner for owner, machine in owned if isinstance(machine, dict) for field in _FIELDS if field in machine}


def _machines(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return _mappings(entry.get("devices")) or [entry]


def _mappings(entries: Any) -> list[dict[str, Any]]:
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
