"""Networks that others use as well: prefixes that home routers, clouds and container tools choose by themselves, and the other environments
of a folder. Pure; what it finds is a warning, since it may be meant so.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from netaddr import IPNetwork

from wg_office.environment.faults import Path
from wg_office.environment.model import HUB, Environment, Ssh
from wg_office.reading.checks import Finding, another_alias, free_vpn, inside, lans, or_an_alias, proposed_aliases


@dataclass(frozen=True, slots=True)
class Known:
    """A prefix that somebody else chooses by himself."""

    prefix: IPNetwork
    whose: str
    remedy: str


_HOME = "whoever has it at home reaches one of the two"
_HOST = "if it runs on a gateway or the hub, move its pool there (`default-address-pools`, `virsh net-edit`), or renumber"
_CLOUD = "a hub or gateway in that cloud could not tell the two apart: choose another prefix if you have machines there"
_CLOUD_OF_A_GATEWAY = "a hub in that cloud could not tell the two apart: renumber one of them if yours stands there"
_CARRIER = "providers and Tailscale give these addresses out: choose one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
_CLUSTER = "where such a cluster runs in the office, its nodes keep this traffic: choose another prefix, or move the cluster's"

# Read off the vendors' manuals; each is what the product gives out unless told otherwise.
KNOWN = tuple(
    Known(IPNetwork(prefix), whose, remedy)
    for prefix, whose, remedy in (
        ("192.168.0.0/24", "the home network of many routers (TP-Link, D-Link, Netgear)", _HOME),
        ("192.168.1.0/24", "the home network of many routers (ASUS, Linksys, ZTE, Huawei)", _HOME),
        ("192.168.2.0/24", "the home network of many routers (Speedport, Belkin)", _HOME),
        ("192.168.3.0/24", "the home network of Huawei's routers", _HOME),
        ("192.168.8.0/24", "the home network of Huawei's and GL.iNet's mobile routers", _HOME),
        ("192.168.31.0/24", "the home network of Xiaomi's routers", _HOME),
        ("192.168.50.0/24", "the home network of ASUS' newer routers", _HOME),
        ("192.168.68.0/22", "the home network of TP-Link Deco", _HOME),
        ("192.168.86.0/24", "the home network of Google's and Nest's routers", _HOME),
        ("192.168.88.0/24", "the network of a MikroTik as it is delivered", _HOME),
        ("192.168.178.0/24", "the home network of every FRITZ!Box", _HOME),
        ("10.0.0.0/24", "the home network of Xfinity's routers, and the first subnet of many clouds", _HOME),
        ("172.17.0.0/16", "Docker's first network on every host that runs it", _HOST),
        ("172.18.0.0/15", "the pool of Docker's further networks", _HOST),
        ("172.20.0.0/14", "the pool of Docker's further networks", _HOST),
        ("172.24.0.0/14", "the pool of Docker's further networks", _HOST),
        ("192.168.122.0/24", "libvirt's default network", _HOST),
        ("10.88.0.0/16", "Podman's default network", _HOST),
        ("10.244.0.0/16", "the pods of many Kubernetes clusters (flannel, kind)", _CLUSTER),
        ("10.96.0.0/12", "the services of a kubeadm cluster", _CLUSTER),
        ("10.42.0.0/15", "the pods and services of a k3s cluster", _CLUSTER),
        ("172.31.0.0/16", "the default VPC of AWS", _CLOUD),
        ("10.128.0.0/9", "the default subnets of Google Cloud", _CLOUD),
        ("100.64.0.0/10", "carrier NAT's own range", _CARRIER),
    )
)


def known_ranges(env: Environment) -> Iterator[Finding]:
    """LANs and the VPN itself where somebody else will use the same addresses."""
    proposed = proposed_aliases(env)
    for path, what, prefix, no_matter in _prefixes(env):
        for known in KNOWN:
            remedy = _remedy(env, path, known)
            if _clash(prefix, known.prefix) and remedy is not None and known.remedy not in no_matter:
                where = "is" if prefix == known.prefix else f"overlaps {known.prefix},"
                elsewhere = f": {_elsewhere(env, path, proposed.get(path[:-1]))}" if known.remedy == _HOME else ""
                yield Finding(path, f"{what} {prefix} {where} {known.whose}", f"{remedy}{elsewhere}")
                break


def _elsewhere(env: Environment, path: Path, alias: IPNetwork | None) -> str:
    """What to move out of the homes' way: the VPN and an alias are the file's own choice, and a LAN is there already."""
    if path == ("network", "cidr"):
        own = _part_of_the_vpn(env)
        return f"write another network.cidr{free_vpn(env) if own is None else f', such as {own}, which holds all addresses too'}"
    if path[-1] == "as":
        return next(another_alias(env, lan) for place, _, lan in lans(env) if place == path[:-1])
    return f"renumber the LAN{or_an_alias(alias, 'it')}"


_USUAL = 16
"""The prefix length that a VPN has where nobody chose another."""


def _part_of_the_vpn(env: Environment) -> IPNetwork | None:
    """The widest part of the VPN that holds the addresses of all peers, and that nobody else uses."""
    vpn, addresses = env.network.cidr, [peer.address for peer in env.peers]
    parts = (IPNetwork((int(env.hub.address), length)).cidr for length in range(max(_USUAL, vpn.prefixlen + 1), 30))
    others = [known.prefix for known in KNOWN]
    whole = (part for part in parts if all(inside(address, part) for address in addresses))
    return next((part for part in whole if not any(_clash(part, other) for other in others)), None)


def _remedy(env: Environment, path: Path, known: Known) -> str | None:
    """What to do about it, if anything. In a cloud a host cannot mistake its own network for another's: they are the same. And of a hub
    that says which networks it has, it is known that they are others."""
    if known.remedy != _CLOUD or path[0] == "network":
        return known.remedy
    return None if path[0] == "hub" or env.hub.networks else _CLOUD_OF_A_GATEWAY


_MADE_BY_SOFTWARE = re.compile(r"docker|br-[0-9a-f]{12}$|virbr|cni|flannel|podman|lxdbr|incusbr|lxcbr|kube")
"""Interfaces of containers and virtual machines: whoever names one as a LAN's means that very network."""


def _prefixes(env: Environment) -> Iterator[tuple[Path, str, IPNetwork, tuple[str, ...]]]:
    """With what is no matter there."""
    yield ("network", "cidr"), "the VPN", env.network.cidr, ()
    for path, _, lan in lans(env):
        if not lan.outside:
            translated = (_HOME, _CARRIER) if lan.alias is not None else ()
            meant = (_HOST, _CLUSTER) if _MADE_BY_SOFTWARE.match(lan.interface or "") else ()
            yield (*path, "cidr"), "the LAN", lan.cidr, (*translated, *meant)
        if lan.alias is not None:
            # No machine of a cluster in that office has to do with it.
            yield (*path, "as"), "the alias", lan.alias, (_CLUSTER,)


def _clash(prefix: IPNetwork, other: IPNetwork) -> bool:
    return bool(prefix.version == other.version and (prefix in other or other in prefix))


@dataclass(frozen=True, slots=True)
class _Shared:
    """What two environments have in common and must not: as a finding of its own, and in a few words beside others."""

    finding: Finding
    what: str


_A_COPY = "a copy belongs outside of this folder; two networks have names, hubs, machines and addresses of their own"


def between(env: Environment, others: Mapping[str, Environment]) -> Iterator[Finding]:
    """What this environment shares with others of its folder (by file name) that two must not share: one finding for each of them."""
    for file, other in others.items():
        match list(_shared(env, file, other)):
            case []:
                continue
            case [only]:
                yield only.finding
            case [first, *_] as several:
                message = f"{file} has the same {', '.join(each.what for each in several)}"
                yield Finding(first.finding.path, message, _A_COPY)


def _shared(env: Environment, file: str, other: Environment) -> Iterator[_Shared]:
    if other.environment == env.environment:
        finding = Finding(("environment",), f"{env.environment} is also the environment of {file}", "give each a name of its own")
        yield _Shared(finding, f"environment {env.environment}")
    at_home = _is_a_lab(env) or _is_a_lab(other)
    if env.hub.endpoint == other.hub.endpoint and not at_home:
        message = f"{env.hub.endpoint} is also the endpoint in {file}"
        yield _Shared(Finding(("hub", "endpoint"), message, "give each hub its own port"), f"endpoint {env.hub.endpoint}")
    yield from _shared_hosts(env, file, other)
    if _clash(env.network.cidr, other.network.cidr) and not at_home:
        message = f"{env.network.cidr} overlaps {other.network.cidr}, the VPN of {file}"
        finding = Finding(("network", "cidr"), message, "whoever has both tunnels reaches one of them: choose another prefix")
        yield _Shared(finding, f"addresses {env.network.cidr}")


def _is_a_lab(env: Environment) -> bool:
    """Whether the hub is on this very machine, as the demo's: nobody has its tunnel beside another."""
    return env.hub.ssh.host == "localhost" or env.hub.ssh.host.startswith("127.")


def _shared_hosts(env: Environment, file: str, other: Environment) -> Iterator[_Shared]:
    """Hosts that both deploy to: one program's state would take the other's for its own."""
    theirs = {machine: name for _, name, machine in _own_ways(other)}
    for path, name, machine in _own_ways(env):
        if machine in theirs:
            message = f"{name} is the machine that {file} calls {theirs[machine]}"
            remedy = "a host belongs to one environment: the second `pulumi up` would be refused there"
            yield _Shared(Finding(path, message, remedy), f"machine {name}")


_Where = tuple[tuple[str, int], ...]
"""A machine by its address, and the one that it is reached through: behind that, private addresses are its own."""


def _own_ways(env: Environment) -> Iterator[tuple[Path, str, _Where]]:
    yield ("hub", "ssh", "host"), env.hub.name, _where(env, env.hub.ssh)
    for index, gateway in enumerate(env.gateways):
        if gateway.ssh is not None and gateway.ssh.via != HUB:
            yield ("gateways", index, "ssh", "host"), gateway.name, _where(env, gateway.ssh)


def _where(env: Environment, ssh: Ssh) -> _Where:
    return tuple((each.host.lower(), each.port) for each in (ssh, env.through(ssh)) if each is not None)
