"""The status for people and for programs: a table with a line for each thing that is the matter, and JSON. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from wg_office.asking.status import EXIT_STATUS, UNMANAGED, HostStatus, Kind, ago, gravest
from wg_office.environment.model import Environment

HEADINGS = ("Host", "State", "Handshakes", "Pings", "Clock", "Versions")
PEER_HEADINGS = ("At", "Peer", "Handshake", "Endpoint", "Received", "Sent")

_MOST = 100
"""Lines of one host, and peers in one cell: a host that names a hundred thousand must not bury the others."""

_COLOURS = {Kind.WELL: "green", Kind.UP_DUE: "yellow", Kind.TROUBLE: "red", Kind.DRIFT: "red", Kind.UNREACHABLE: "red"}


def state(hosts: Iterable[HostStatus]) -> Kind:
    """The gravest of all hosts' states; EXIT_STATUS has its number."""
    return gravest(host.state for host in hosts)


# --- for people --------------------------------------------------------------------------------------------------------------------------


def table(env: Environment, hosts: Iterable[HostStatus]) -> Table:
    """A row per host."""
    made = Table(title=f"The hosts of {env.environment}")
    for heading in HEADINGS:
        made.add_column(heading, overflow="fold")
    for host in hosts:
        # Text throughout: rich would take a `[/x]` in a plain cell for markup.
        made.add_row(
            Text(f"{host.name}, {host.role}"),
            Text(host.state, _COLOURS[host.state]),
            *map(Text, (_handshakes(env, host), _pings(env, host), _clock(host), _versions(host))),
        )
    return made


def peer_table(env: Environment, hosts: Iterable[HostStatus]) -> Table:
    """A row per peer of each host."""
    called = {client.name: client.called for client in env.clients}
    made = Table(title="Their peers")
    for heading in PEER_HEADINGS:
        made.add_column(heading, overflow="fold")
    for host in hosts:
        # What the hub sees of such a gateway stands among the hub's.
        for peer in host.peers if host.role != UNMANAGED else ():
            name = peer.name or f"unknown ({peer.public_key})"
            name = called.get(name, name)
            cells = (host.name, name, ago(peer.handshake_age), peer.endpoint, _bytes(peer.received), _bytes(peer.sent))
            made.add_row(*map(Text, cells))
    return made


def lines(hosts: Iterable[HostStatus]) -> Iterator[str]:
    """A line for each finding: the host, and what is the matter. Of one host no more than anybody reads."""
    for host in hosts:
        yield from (f"{host.name}: {finding.kind}: {finding.text}" for finding in host.findings[:_MOST])
        if len(host.findings) > _MOST:
            yield f"{host.name}: and {len(host.findings) - _MOST} more of these; --json has them all"


def summary(env: Environment, hosts: tuple[HostStatus, ...]) -> str:
    """`dev: 4 hosts: 3 well, 1 drift`."""
    counted = Counter(host.state for host in hosts)
    return f"{env.environment}: {len(hosts)} hosts: {', '.join(f'{counted[kind]} {kind}' for kind in Kind if counted[kind])}"


def _handshakes(env: Environment, host: HostStatus) -> str:
    """Hosts by name; developers, who come and go, by their number."""
    if host.role == UNMANAGED:
        return ", ".join(f"{env.hub.name} {ago(peer.handshake_age)}" for peer in host.peers)
    developers = {client.name for client in env.clients}
    what = "developers" if len(developers) == len(env.developers) else "developers' devices"
    others = [peer for peer in host.peers if peer.name not in developers]
    parts = [f"{peer.name or 'unknown'} {ago(peer.handshake_age)}" for peer in others[:_MOST]]
    if len(others) > _MOST:
        parts.append(f"{len(others) - _MOST} more")
    seen = [peer for peer in host.peers if peer.name in developers]
    if seen:
        parts.append(f"{sum(peer.is_awake for peer in seen)} of {len(seen)} {what} connected")
    return ", ".join(parts)


def _pings(env: Environment, host: HostStatus) -> str:
    if host.role == UNMANAGED:
        return ", ".join(f"from {env.hub.name}: {ping.answer}" for ping in host.pings)
    return ", ".join(f"{ping.to} {ping.answer}" for ping in host.pings)


def _clock(host: HostStatus) -> str:
    return "" if host.clock is None else f"{host.clock[0]:+.1f} s (±{host.clock[1]:.1f})"


def _versions(host: HostStatus) -> str:
    if host.report is None:
        return ""
    held = host.report.description
    described = {"description": held.version} if held is not None else {}
    return ", ".join(f"{name} {version}" for name, version in {**host.report.versions, **described}.items())


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


# --- for programs ------------------------------------------------------------------------------------------------------------------------


def as_data(env: Environment, hosts: tuple[HostStatus, ...], ends: Iterable[str] = ()) -> dict[str, Any]:
    """All of it for JSON, with a line for each end of the file; docs/drift.md describes the fields."""
    return {
        "environment": env.environment,
        "state": state(hosts),
        "exit_status": EXIT_STATUS[state(hosts)],
        "ends": list(ends),
        "hosts": [_host_data(host) for host in hosts],
    }


def _host_data(host: HostStatus) -> dict[str, Any]:
    report = host.report
    return {
        "name": host.name,
        "role": host.role,
        "address": host.address,
        "state": host.state,
        "findings": [asdict(finding) for finding in host.findings],
        "generation": report.generation if report else None,
        "deployment": report.deployment if report else None,
        "pending": report.pending if report else None,
        "rolled_back": report.rolled_back[0] if report and report.rolled_back else None,
        "versions": dict(report.versions) if report else {},
        "description": report.description.version if report and report.description else None,
        "clock": {"ahead": round(host.clock[0], 3), "uncertain": round(host.clock[1], 3)} if host.clock else None,
        "public_key": report.public_key if report else None,
        "peers": [asdict(peer) for peer in host.peers],
        "pings": [{"to": ping.to, "address": str(ping.address), "answer": ping.answer} for ping in host.pings],
    }
