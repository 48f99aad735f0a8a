"""How an environment is: what its hosts say of themselves, against the file and against each other. Pure; dialling is dial.py.

Three questions are kept apart. Does a host hold what it was last given (drift)? Was it last given what the file says now (an `up` is due)?
Does the network work (health)?

Room: the core. The host's side is `verb_status` in hostside/wg-office.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from netaddr import IPAddress

from wg_office import description
from wg_office.description import Description
from wg_office.model import Environment
from wg_office.plan import HostPlan
from wg_office.render import Scripts, render_description, with_attempt

NO_SESSION = 180
"""Seconds after which WireGuard gives a session up; with keepalive there is a handshake every two minutes."""

CLOCK_OFF = 30
"""Seconds by which a host's clock may differ from ours before it is worth a word."""


class Kind(StrEnum):
    """What is the matter, from the least to the gravest."""

    WELL = "well"
    UP_DUE = "up due"
    TROUBLE = "trouble"
    DRIFT = "drift"
    UNREACHABLE = "unreachable"


EXIT_STATUS = {Kind.WELL: 0, Kind.UP_DUE: 3, Kind.TROUBLE: 4, Kind.DRIFT: 4, Kind.UNREACHABLE: 5}
_GRAVITY = list(Kind)


def gravest(kinds: Iterable[Kind]) -> Kind:
    """The gravest of them; WELL where there is none."""
    return max(kinds, key=_GRAVITY.index, default=Kind.WELL)


@dataclass(frozen=True)
class Finding:
    """One line on one host."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Reading:
    """What came of asking one host: its words, or why there are none. Clocks of this machine around the host's first word."""

    said: str | None = None
    failure: str | None = None
    asked: float = 0
    answered: float = 0


@dataclass(frozen=True)
class PeerSeen:
    """A peer of the running interface."""

    public_key: str
    handshake_age: int | None
    received: int
    sent: int
    endpoint: str
    name: str | None = None


@dataclass(frozen=True)
class HostReport:
    """What a host said."""

    time: float
    versions: Mapping[str, str]
    generation: str | None
    deployment: str | None = None
    pending: str | None = None
    rolled_back: tuple[str, int] | None = None
    leaving: bool = False
    drift: tuple[str, ...] = ()
    public_key: str | None = None
    peers: tuple[PeerSeen, ...] = ()
    pings: Mapping[str, str] = field(default_factory=dict)
    description: Description | None = None


@dataclass(frozen=True)
class Ping:
    """Who is pinged from a host, and what came back: answered, refused (which is as good), silent or unknown."""

    to: str
    address: IPAddress
    answer: str = "unknown"


@dataclass(frozen=True)
class HostStatus:
    """A host and what is to be said of it."""

    plan: HostPlan
    report: HostReport | None
    findings: tuple[Finding, ...]
    peers: tuple[PeerSeen, ...] = ()
    pings: tuple[Ping, ...] = ()
    clock: tuple[float, float] | None = None
    """Seconds by which the host's clock is ahead, and how far off that may be."""

    @property
    def state(self) -> Kind:
        """The gravest of the findings."""
        return gravest(finding.kind for finding in self.findings)

    @property
    def needs_repair(self) -> bool:
        """Whether applying its description again would end something.

        Where the file has changed, the next `up` does so anyway; unless the change was taken back since, and the host alone still has it.
        """
        return any(finding.kind in (Kind.DRIFT, Kind.UP_DUE) for finding in self.findings)


# --- what a host says --------------------------------------------------------------------------------------------------------------------


def parse_report(said: str) -> HostReport:
    """The words of `wg-office status full`. Raises ValueError where they are not to be understood."""
    lines, mark, text = said.partition("\ndescription\n")
    values: dict[str, list[list[str]]] = {}
    for line in lines.splitlines():
        key, _, rest = line.partition(" ")
        values.setdefault(key, []).append([rest] if key == "drift" else rest.split())

    def one(key: str) -> list[str] | None:
        return values[key][-1] if key in values else None

    def word(key: str) -> str | None:
        words = one(key)
        return words[0] if words else None

    time, generation, undone = word("time"), word("generation"), one("rolled-back")
    if time is None or generation is None:
        raise ValueError("neither the time nor the generation is said")
    return HostReport(
        time=float(time),
        versions={name: version for name, version in values.get("version", [])},
        generation=None if generation == "none" else generation,
        deployment=word("deployment"),
        pending=word("pending"),
        rolled_back=(undone[0], int(undone[1])) if undone else None,
        leaving="leaving" in values,
        drift=tuple(text for (text,) in values.get("drift", [])),
        public_key=word("key"),
        peers=tuple(_peer(*words) for words in values.get("peer", [])),
        pings={address: answer for address, answer in values.get("ping", [])},
        description=description.read(text) if mark else None,
    )


def _peer(key: str, age: str, received: str, sent: str, endpoint: str) -> PeerSeen:
    return PeerSeen(key, None if age == "never" else int(age), int(received), int(sent), endpoint)


# --- what is to be pinged ----------------------------------------------------------------------------------------------------------------


def pings(env: Environment, host: HostPlan) -> tuple[Ping, ...]:
    """A gateway pings the hub, a router or device the gateway that its routes lead to.

    The hub's firewall may refuse, which shows the way there and back just as well. Gateways drop in silence what they do not know,
    so that a ping from the hub would say nothing: there the handshake speaks.
    """
    if host.role == "gateway":
        return (Ping(env.hub.name, env.hub.address),)
    by_address = {gateway.lan.address: gateway.name for gateway in env.gateways}
    return tuple(Ping(by_address[address], address) for address in dict.fromkeys(route.via for route in host.routes))


# --- judging -----------------------------------------------------------------------------------------------------------------------------


def judge(env: Environment, plans: Iterable[HostPlan], readings: Mapping[str, Reading], scripts: Scripts) -> tuple[HostStatus, ...]:
    """The status of each host, in the order of the plans."""
    hosts = [_host_status(env, host, readings[host.name], scripts) for host in plans]
    reports = {host.plan.name: host.report for host in hosts if host.report is not None}
    return tuple(_against_the_hub(env, host, reports.get(env.hub.name)) for host in hosts)


def _host_status(env: Environment, host: HostPlan, reading: Reading, scripts: Scripts) -> HostStatus:
    if reading.said is None:
        return HostStatus(host, None, (Finding(Kind.UNREACHABLE, reading.failure or "did not answer"),))
    try:
        report = parse_report(reading.said)
    except (ValueError, TypeError):
        return HostStatus(host, None, (Finding(Kind.UNREACHABLE, "said what cannot be understood; ask again"),))
    names = _names(env, report)
    peers = tuple(replace(peer, name=names.get(peer.public_key)) for peer in report.peers)
    pinged = tuple(Ping(ping.to, ping.address, report.pings.get(str(ping.address), "unknown")) for ping in pings(env, host))
    clock = (report.time - (reading.asked + reading.answered) / 2, (reading.answered - reading.asked) / 2)
    findings = (
        *_of_changes(report),
        *_of_drift(report, names),
        *_of_health(env, host, peers, pinged, clock),
        *_of_the_file(env, host, report, scripts),
    )
    return HostStatus(host, report, findings, peers, pinged, clock)


def _names(env: Environment, report: HostReport) -> dict[str, str]:
    """Peers by public key."""
    held = report.description.peers() if report.description is not None else ()
    return {key: name for name, key in _brought(env).items()} | {peer.public_key: peer.name for peer in held}


def _brought(env: Environment) -> dict[str, str]:
    """The public keys that developers brought themselves, by name."""
    return {developer.name: developer.public_key for developer in env.developers if developer.public_key}


def _of_changes(report: HostReport) -> Iterator[Finding]:
    if report.pending is not None:
        yield Finding(
            Kind.TROUBLE, f"a change ({report.pending}) awaits its confirmation, and is undone if none comes; look again in two minutes"
        )
    if report.rolled_back is not None:
        change, ago = report.rolled_back
        yield Finding(
            Kind.TROUBLE, f"a change ({change}) was undone {age(ago)} ago, since nothing confirmed it: pulumi up applies it again"
        )
    if report.leaving:
        yield Finding(Kind.TROUBLE, "its removal is under way; look again in a minute")
    if report.generation is None:
        yield Finding(Kind.DRIFT, "nothing of wg-office is installed")


def _of_drift(report: HostReport, names: Mapping[str, str]) -> Iterator[Finding]:
    for line in report.drift:
        words = (f"{names[word]} ({word})" if word in names else word for word in line.split(" "))
        yield Finding(Kind.DRIFT, " ".join(words))


def _of_health(
    env: Environment, host: HostPlan, peers: Iterable[PeerSeen], pinged: Iterable[Ping], clock: tuple[float, float]
) -> Iterator[Finding]:
    for ping in pinged:
        if ping.answer == "silent":
            yield Finding(Kind.TROUBLE, f"{ping.to} ({ping.address}) does not answer a ping")
    gateways = {gateway.name for gateway in env.gateways}
    for peer in peers:
        silent = peer.handshake_age is None or peer.handshake_age > NO_SESSION
        if host.role == "hub" and peer.name in gateways and env.network.keepalive and silent:
            yield Finding(Kind.TROUBLE, f"gateway {peer.name} is silent: last handshake {ago(peer.handshake_age)}")
    offset, uncertain = clock
    if abs(offset) - uncertain > CLOCK_OFF:
        yield Finding(Kind.TROUBLE, f"its clock is {age(abs(offset))} {'ahead' if offset > 0 else 'behind'} of ours")


def _of_the_file(env: Environment, host: HostPlan, report: HostReport, scripts: Scripts) -> Iterator[Finding]:
    held = report.description
    if held is None:
        return
    named = {peer.name for peer in held.peers()}
    planned = {peer.name for peer in host.tunnel.peers} if host.tunnel is not None else set()
    for gone in sorted(named - planned):
        yield Finding(Kind.UP_DUE, f"peer {gone} is no longer in the file and still let in: pulumi up")
    for new in sorted(planned - named):
        yield Finding(Kind.UP_DUE, f"peer {new} is in the file and not let in yet: pulumi up")
    wanted = render_description(
        host,
        description.public_names(host, held, _brought(env)),
        held.header("deployment") or "",
        scripts,
        held.header("repair"),
    )
    attempt = held.header("attempt")
    changed = description.changed_parts(held, description.read(with_attempt(wanted, attempt) if attempt else wanted))
    if changed:
        yield Finding(Kind.UP_DUE, f"differs from the file in {', '.join(changed)}: pulumi up")


def _against_the_hub(env: Environment, host: HostStatus, hub: HostReport | None) -> HostStatus:
    """What only shows when two hosts are compared: whose they are, and whether they know each other's keys."""
    report, findings = host.report, list(host.findings)
    if report is None or hub is None or report is hub:
        return host
    if report.deployment and hub.deployment and report.deployment != hub.deployment:
        text = f"belongs to deployment {report.deployment}, and hub {env.hub.name} to {hub.deployment}"
        findings.append(Finding(Kind.TROUBLE, text))
    held = {peer.name: peer.public_key for peer in (hub.description.peers() if hub.description else ())}
    if report.public_key and held.get(host.plan.name, report.public_key) != report.public_key:
        text = f"hub {env.hub.name} knows it by another public key than it has ({report.public_key}): pulumi up"
        findings.append(Finding(Kind.DRIFT, text))
    return replace(host, findings=tuple(findings))


# --- in words ----------------------------------------------------------------------------------------------------------------------------

_UNITS: tuple[tuple[int, Literal["d", "h", "min", "s"]], ...] = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def age(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h`, `2 d`: the largest unit of which there are two."""
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds // size:.0f} {unit}"


def ago(seconds: int | None) -> str:
    """`12 s ago`, or `never`."""
    return "never" if seconds is None else f"{age(seconds)} ago"
