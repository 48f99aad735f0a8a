"""A network that was found as the text of an environment file, and the keys that the stack is to be given. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netaddr import IPAddress

from wg_office.adopt.network import Found, GrantFound, HostFound, LanFound, Person, ends_at_hub
from wg_office.adopt.remarks import LARGEST_MTU, LEAST_MTU, remarks
from wg_office.environment.model import GATEWAY_PORT, Ssh, derived_address6
from wg_office.reading.new import scalar

_WG_QUICK_MTU = 1420


@dataclass(frozen=True)
class Written:
    """The environment file, what it does not say, and the secrets by their place in the stack's configuration."""

    text: str
    remarks: tuple[str, ...]
    secrets: dict[str, str] = field(repr=False)


def written(found: Found, environment: str) -> Written:
    """What comes of a network under this name."""
    said = remarks(found)
    return Written("\n".join(_lines(found, environment, said)) + "\n", said, dict(_secrets(found)))


def secret_lines(made: Written) -> str:
    """The text of the file that the stack's secrets are read from: a place and its value on each line."""
    return "".join(f"{place} {value}\n" for place, value in made.secrets.items())


def _secrets(found: Found) -> Iterator[tuple[str, str]]:
    for host in (found.hub, *found.gateways):
        yield f"privateKeys.{host.name}", host.tunnel.private_key or ""
    peers: tuple[HostFound | Person, ...] = (*found.gateways, *found.people)
    yield from ((f"presharedKeys.{peer.name}", peer.preshared_key) for peer in peers if peer.preshared_key is not None)


def _lines(found: Found, environment: str, said: tuple[str, ...]) -> Iterator[str]:
    yield "# yaml-language-server: $schema=environment.schema.json"
    yield "#"
    yield "# A network that was made by hand, as `wg-office adopt` found it. Everybody's keys stay, those of hosts in the stack's secrets."
    if said:
        yield "#"
        yield "# What this file does not say:"
        yield from (f"# - {line}" for line in said)
    yield f"environment: {scalar(environment)}"
    yield f"network: {{{', '.join(_network(found))}}}"
    yield ""
    yield "hub:"
    yield from (f"  {line}" for line in _hub(found))
    if found.gateways:
        yield ""
        yield "gateways:"
        for gateway in found.gateways:
            yield from _item(_gateway(found, gateway))
    yield ""
    yield "developers:" if found.people else "developers: []"
    yield from (f"  - {{{', '.join(_person(found, each))}}}" for each in found.people)
    if found.links:
        yield ""
        yield "links:"
        yield from (f"  - {{from: {one}, to: {other}}}" for one, other in found.links)


def _item(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"  {'  ' if number else '- '}{line}"


def _network(found: Found) -> Iterator[str]:
    yield f"cidr: {found.cidr}"
    if found.cidr6 is not None:
        yield f"cidr6: {scalar(str(found.cidr6))}"
    yield f"mtu: {min(max(found.hub.tunnel.mtu or _WG_QUICK_MTU, LEAST_MTU), LARGEST_MTU)}"
    keepalive = [peer.keepalive for peer in ends_at_hub(found.hub, found.gateways) if peer.keepalive]
    if keepalive:
        yield f"keepalive: {min(keepalive)}"
    yield f"interface: {scalar(found.hub.tunnel.name)}"


def _hub(found: Found) -> Iterator[str]:
    hub = found.hub
    yield f"name: {scalar(hub.name)}"
    yield from _addresses(found, hub.address, hub.address6)
    yield f"endpoint: {scalar(found.endpoint)}"
    if hub.tunnel.listen_port and found.endpoint.rpartition(":")[2] != str(hub.tunnel.listen_port):
        yield f"listen_port: {hub.tunnel.listen_port}"
    yield f"firewall: {hub.firewall}"
    yield from _keeps(hub)
    yield f"ssh: {{{', '.join(_ssh(hub.ssh))}}}"


def _gateway(found: Found, gateway: HostFound) -> Iterator[str]:
    yield f"name: {scalar(gateway.name)}"
    yield f"site: {scalar(gateway.name)}"
    yield from _addresses(found, gateway.address, gateway.address6)
    all_masquerade = all(lan.masquerades for lan in gateway.lans)
    lans = [f"{{{', '.join(_lan(lan, all_masquerade))}}}" for lan in gateway.lans]
    yield f"lan: {lans[0]}" if len(lans) == 1 else f"lans: [{', '.join(lans)}]"
    yield f"return_path: {'masquerade' if all_masquerade else 'static-route'}"
    if gateway.tunnel.listen_port not in (None, 0, GATEWAY_PORT):
        yield f"listen_port: {gateway.tunnel.listen_port}"
    yield f"firewall: {gateway.firewall}"
    yield from _keeps(gateway)
    yield f"preshared: {_preshared(gateway)}"
    yield f"ssh: {{{', '.join(_ssh(gateway.ssh))}}}"


def _keeps(host: HostFound) -> Iterator[str]:
    """Its key, and the tunnel itself where wg-quick has made it."""
    yield "adopt_key: true"
    if host.tunnel.is_wg_quicks:
        yield "takes_over: wg-quick"


def _lan(lan: LanFound, all_masquerade: bool) -> Iterator[str]:
    yield f"cidr: {scalar(str(lan.cidr))}"
    yield f"address: {scalar(str(lan.address))}" if lan.address is not None else f"via: {scalar(str(lan.via))}"
    if lan.masquerades and not all_masquerade:
        yield "return_path: masquerade"


def _person(found: Found, person: Person) -> Iterator[str]:
    yield f"name: {scalar(person.name)}"
    if person.title is not None:
        yield f"title: {scalar(person.title)}"
    yield from _addresses(found, person.address, person.address6)
    yield f"public_key: {person.public_key}"
    yield f"preshared: {_preshared(person)}"
    if person.grants:
        yield f"access: [{', '.join(map(_grant, person.grants))}]"


def _preshared(peer: HostFound | Person) -> str:
    return "none" if peer.preshared_key is None else "adopted"


def _grant(grant: GrantFound) -> str:
    if not (grant.hosts or grant.ports):
        return scalar(grant.site)
    hosts = f", hosts: [{', '.join(scalar(str(each.ip if each.size == 1 else each)) for each in grant.hosts)}]" if grant.hosts else ""
    return f"{{site: {scalar(grant.site)}{hosts}" + (f", ports: [{', '.join(grant.ports)}]" if grant.ports else "") + "}"


def _addresses(found: Found, address: IPAddress, address6: IPAddress | None) -> Iterator[str]:
    yield f"address: {address}"
    if address6 is not None and found.cidr6 is not None and address6 != derived_address6(found.cidr, found.cidr6, address):
        yield f"address6: {scalar(str(address6))}"


def _ssh(ssh: Ssh) -> Iterator[str]:
    yield f"host: {scalar(ssh.host)}"
    yield from [f"port: {ssh.port}"] if ssh.port != 22 else []
    yield from [f"user: {scalar(ssh.user)}"] if ssh.user != "root" else []
    yield from [f"via: {ssh.via}"] if ssh.via is not None else []
    yield from [f"host_key: {ssh.host_key}"] if ssh.host_key is not None else []
