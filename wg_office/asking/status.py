"""How an environment is: what its hosts say of themselves, against the file and against each other. Pure; dialling is dial.py.

Three questions are kept apart. Does a host hold what it was last given (drift)? Was it last given what the file says now (an `up` is due)?
Does the network work (health)?

Room: asking. What a host's words must look like is report.py's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from netaddr import IPAddress

from wg_office.asking.report import HostReport, PeerSeen, parse_report
from wg_office.environment.model import Environment, Gateway
from wg_office.hosts import description
from wg_office.hosts.render import Scripts, render_description
from wg_office.network.plan import HostPlan

CLOCK_OFF = 30
"""Seconds by which a host's clock may differ from ours before it is worth a word."""

UNMANAGED = "unmanaged gateway"
"""The role of a gateway that nobody logs in to."""

NOT_UNDERSTOOD = "said what cannot be understood; look at it on its own console, then ask again"


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
class Ping:
    """Who is pinged from a host, and what came back: answered, refused (which is as good), silent or unknown."""

    to: str
    address: IPAddress
    answer: str = "unknown"


@dataclass(frozen=True)
class HostStatus:
    """A host and what is to be said of it; or a gateway that nobody logs in to, of which the hub alone knows anything."""

    name: str
    role: str
    address: str | None
    """Where it was asked; None where nobody logs in."""
    report: HostReport | None
    findings: tuple[Finding, ...]
    peers: tuple[PeerSeen, ...] = ()
    """Those that it sees; where nobody logs in, what the hub sees of it. The pings likewise."""
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
        return self.address is not None and any(finding.kind in (Kind.DRIFT, Kind.UP_DUE) for finding in self.findings)


# --- what is to be pinged ----------------------------------------------------------------------------------------------------------------


def pings(env: Environment, host: HostPlan) -> tuple[Ping, ...]:
    """A gateway pings the hub, a router or device the gateway that its routes lead to, and the hub those gateways that nobody logs in to.

    The hub's firewall may refuse, which shows the way there and back just as well. Gateways that we set up drop in silence what they do
    not know, so that a ping from the hub would say nothing: there the handshake speaks.
    """
    if host.role == "gateway":
        return (Ping(env.hub.name, env.hub.address),)
    if host.role == "hub":
        return tuple(Ping(gateway.name, gateway.address) for gateway in env.pasted_gateways)
    by_address = {address: site.name for site in env.sites for address in site.own_addresses}
    return tuple(Ping(by_address[address], address) for address in dict.fromkeys(route.via for route in host.routes))


# --- judging -----------------------------------------------------------------------------------------------------------------------------


def judge(env: Environment, plans: Iterable[HostPlan], readings: Mapping[str, Reading], scripts: Scripts) -> tuple[HostStatus, ...]:
    """The status of each host, in the order of the plans, and then of each gateway that nobody logs in to."""
    hosts = [_host_status(env, host, readings[host.name], scripts) for host in plans]
    (hub,) = (host for host in hosts if host.name == env.hub.name)
    return (
        *(_against_the_hub(env, host, hub.report) for host in hosts),
        *(_unmanaged_status(env, gateway, hub) for gateway in env.pasted_gateways),
    )


def _host_status(env: Environment, host: HostPlan, reading: Reading, scripts: Scripts) -> HostStatus:
    if reading.said is None:
        return _nothing_of(host, reading.failure or "did not answer")
    try:
        return _judged(env, host, reading, parse_report(reading.said), scripts)
    except ValueError:
        return _nothing_of(host, NOT_UNDERSTOOD)


def _nothing_of(host: HostPlan, why: str) -> HostStatus:
    return HostStatus(host.name, host.role, host.ssh.address, None, (Finding(Kind.UNREACHABLE, why),))


def _judged(env: Environment, host: HostPlan, reading: Reading, report: HostReport, scripts: Scripts) -> HostStatus:
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
    return HostStatus(host.name, host.role, host.ssh.address, report, findings, peers, pinged, clock)


def _names(env: Environment, report: HostReport) -> dict[str, str]:
    """Peers by public key."""
    held = report.description.peers() if report.description is not None else ()
    return {key: name for name, key in env.brought_keys.items()} | {peer.public_key: peer.name for peer in held}


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
    for what in report.withdrawn:
        yield Finding(Kind.TROUBLE, f"withdrawn by a change that was undone, and stays so until a later one is confirmed: {what}")
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
    # The hub pings those alone that nobody logs in to: they have a row of their own.
    for ping in pinged if host.role != "hub" else ():
        if ping.answer == "silent":
            yield Finding(Kind.TROUBLE, f"{ping.to} ({ping.address}) does not answer a ping")
    gateways = {gateway.name for gateway in env.gateways if gateway.is_managed}
    for peer in peers if host.role == "hub" and env.network.keepalive else ():
        if peer.name in gateways and not peer.is_awake:
            yield Finding(Kind.TROUBLE, f"gateway {peer.name} is silent: last handshake {ago(peer.handshake_age)}")
    offset, uncertain = clock
    if abs(offset) - uncertain > CLOCK_OFF:
        yield Finding(Kind.TROUBLE, f"its clock is {age(abs(offset))} {'ahead' if offset > 0 else 'behind'} of ours")


def _unmanaged_status(env: Environment, gateway: Gateway, hub: HostStatus) -> HostStatus:
    seen = tuple(peer for peer in hub.peers if peer.name == gateway.name)
    pinged = tuple(ping for ping in hub.pings if ping.to == gateway.name)
    return HostStatus(gateway.name, UNMANAGED, None, None, tuple(_of_unmanaged(env, gateway, hub.report, seen, pinged)), seen, pinged)


def _of_unmanaged(
    env: Environment, gateway: Gateway, hub: HostReport | None, seen: tuple[PeerSeen, ...], pinged: tuple[Ping, ...]
) -> Iterator[Finding]:
    """By the age of its handshake with the hub, and by the hub's ping; where there are no keepalives, by the ping alone."""
    name = f"hub {env.hub.name}"
    if hub is None:
        yield Finding(Kind.UNREACHABLE, f"nobody logs in there, and {name}, which could tell, did not answer")
        return
    held = {peer.name for peer in hub.description.peers()} if hub.description is not None else set()
    if not seen and gateway.name not in held:
        yield Finding(Kind.UP_DUE, f"{name} does not let it in yet: pulumi up")
    elif not seen:
        yield Finding(Kind.TROUBLE, f"{name} has lost it as a peer; see what is said of that")
    for peer in seen if env.network.keepalive else ():
        if not peer.is_awake:
            remedy = f"see that what {gateway.output} says is set there"
            yield Finding(Kind.TROUBLE, f"silent: last handshake with {name} {ago(peer.handshake_age)}; {remedy}")
    for ping in pinged if seen else ():
        if ping.answer == "silent":
            yield Finding(Kind.TROUBLE, f"does not answer a ping of {name} ({ping.address})")


def _of_the_file(env: Environment, host: HostPlan, report: HostReport, scripts: Scripts) -> Iterator[Finding]:
    held = report.description
    if held is None:
        return
    named = {peer.name for peer in held.peers()}
    planned = {peer.name for peer in host.tunnel.peers} if host.tunnel is not None else set()
    for gone in sorted(named - planned - set(report.revoked)):
        yield Finding(Kind.UP_DUE, f"peer {gone} is no longer in the file and still let in: pulumi up")
    for new in sorted(planned - named):
        yield Finding(Kind.UP_DUE, f"peer {new} is in the file and not let in yet: pulumi up")
    wanted = render_description(
        host,
        description.public_names(host, held, env.brought_keys),
        held.header("deployment") or "",
        scripts,
        held.header("repair"),
    )
    changed = description.changed_parts(held, description.read(wanted))
    if changed:
        yield Finding(Kind.UP_DUE, f"differs from the file in {', '.join(changed)}: pulumi up")


def _against_the_hub(env: Environment, host: HostStatus, hub: HostReport | None) -> HostStatus:
    """What only shows when two hosts are compared: whose they are, whether they know each other's keys, whom they refuse."""
    report, findings = host.report, list(host.findings)
    if report is not None:
        findings.extend(_of_revocations(env, report, hub))
    if report is None or hub is None or report is hub:
        return replace(host, findings=tuple(findings))
    if report.deployment and hub.deployment and report.deployment != hub.deployment:
        text = f"belongs to deployment {report.deployment}, and hub {env.hub.name} to {hub.deployment}"
        findings.append(Finding(Kind.TROUBLE, text))
    held = {peer.name: peer.public_key for peer in (hub.description.peers() if hub.description else ())}
    if report.public_key and held.get(host.name, report.public_key) != report.public_key:
        text = f"hub {env.hub.name} knows it by another public key than it has ({report.public_key}): pulumi up"
        findings.append(Finding(Kind.DRIFT, text))
    return replace(host, findings=tuple(findings))


def _of_revocations(env: Environment, report: HostReport, hub: HostReport | None) -> Iterator[Finding]:
    """A revocation is no drift: the host is as it should be, and the file is not yet."""
    in_file = {client.name for client in env.clients}
    for name in report.revoked:
        if hub is not None and name not in hub.revoked:
            text = (
                f"{name} is revoked here and not at hub {env.hub.name}: if its key was renewed since, "
                f"python -m wg_office revoke {name} --lift --file FILE; if not, revoke it again"
            )
            yield Finding(Kind.TROUBLE, text)
        elif name in in_file:
            yield Finding(
                Kind.TROUBLE,
                f"{name} is revoked, and still in the file: take it out, or give it a new key (rotation, public_key), then pulumi up",
            )
        else:
            yield Finding(Kind.UP_DUE, f"{name} is revoked, and no longer in the file: pulumi up, which ends the revocation")


# --- in words ----------------------------------------------------------------------------------------------------------------------------

_UNITS: tuple[tuple[int, Literal["d", "h", "min", "s"]], ...] = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def age(seconds: float) -> str:
    """`12 s`, `4 min`, `3 h`, `2 d`: the largest unit of which there are two."""
    size, unit = next((each for each in _UNITS if seconds >= 2 * each[0]), _UNITS[-1])
    return f"{seconds // size:.0f} {unit}"


def ago(seconds: int | None) -> str:
    """`12 s ago`, or `never`."""
    return "never" if seconds is None else f"{age(seconds)} ago"
