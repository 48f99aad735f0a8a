"""What a change of a host would do to those who are connected, from its description before and after. Pure. Room: the core.

Most changes cost nobody a packet. The few that cannot be gentle are named in the preview; those that would cut the very path by which
a host is reached are refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from netaddr import IPAddress, IPNetwork

from wg_office.render import CARRIES, SCRIPT_MARK


@dataclass
class _Peer:
    title: str
    said: dict[str, str] = field(default_factory=dict)
    allowed_ips: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.allowed_ips[0] if self.allowed_ips else ""


@dataclass
class _Told:
    """What a description says of its tunnel."""

    carries: set[str] = field(default_factory=set)
    interface: dict[str, str] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    peers: dict[str, _Peer] = field(default_factory=dict)

    @property
    def lans(self) -> dict[str, str]:
        return {prefix: name for name, peer in self.peers.items() for prefix in peer.allowed_ips[1:]}


_OWN = {"PrivateKeyFile": "its key", "ListenPort": "its port", "Name": "the name of its interface"}
_PEERS = {"PublicKey": "key", "PresharedKeyFile": "preshared key", "Endpoint": "endpoint"}


def disruptions(old: str, new: str) -> tuple[str, ...]:
    """What the change interrupts, a clause each; nothing for a change that keeps everybody connected who may stay.

    `old` and `new` are descriptions of one host (render_description). A changed preshared key is not among them: sessions outlive it.
    """
    before, after = _read(old), _read(new)
    return tuple(_disruptions(before, after)) if before.interface and after.interface else ()


def _disruptions(before: _Told, after: _Told) -> Iterator[str]:
    for what in _changed_own(before, after):
        yield f"{what} changes, and everybody's session ends until the other side knows"
    for address in before.addresses:
        if address not in after.addresses:
            yield f"its address {address} goes"
    for peer, now in _kept(before, after):
        for what in ("key", "endpoint"):
            if what in _changed_ends(peer, now):
                yield f"the {what} of {peer.title} changes, and its session ends until both sides know"
        if peer.address != now.address:
            yield f"the address of {peer.title} changes from {peer.address} to {now.address}"
    for prefix, name in before.lans.items():
        if after.lans.get(prefix, name) != name:
            yield f"{prefix} moves from {name} to {after.lans[prefix]}, and is out of reach until both have changed"


def _changed_own(before: _Told, after: _Told) -> list[str]:
    return [what for key, what in _OWN.items() if before.interface.get(key) != after.interface.get(key)]


def _changed_ends(before: _Peer, after: _Peer) -> list[str]:
    return [what for key, what in _PEERS.items() if before.said.get(key) != after.said.get(key)]


def admits(description: str, source: IPAddress, destination: IPAddress, port: int) -> bool:
    """Whether a host with this description lets a TCP connection through to the destination, which may be the host itself."""
    for line in description.partition(f"\n{SCRIPT_MARK}\n")[0].splitlines():
        match line.split():
            case ["allow", senders, receivers, *ports] if source in IPNetwork(senders) and destination in IPNetwork(receivers):
                if ports == ["any"] or (ports[0] == "tcp" and _within(port, ports[1])):
                    return True
    return False


def _within(port: int, ports: str) -> bool:
    first, last = map(int, ports.split("-"))
    return first <= port <= last


def _kept(before: _Told, after: _Told) -> Iterator[tuple[_Peer, _Peer]]:
    return ((peer, after.peers[name]) for name, peer in before.peers.items() if name in after.peers)


def severs(old: str, new: str, through_hub: bool) -> tuple[str, ...]:
    """Why the change would cut a path by which a host is reached, a clause each with its remedy; nothing where it does not.

    `through_hub` says that the host itself is reached over the tunnel. On the hub it is the gateways behind it that count.
    """
    before, after = _read(old), _read(new)
    return tuple(_on_gateway(before, after) if through_hub else _on_hub(before, after))


def _on_gateway(before: _Told, after: _Told) -> Iterator[str]:
    changed = _changed_own(before, after)
    changed += [f"its address {address}" for address in before.addresses if address not in after.addresses]
    for peer, now in _kept(before, after):
        changed += [f"the hub's {what}" for what in _changed_ends(peer, now)]
    for what in changed:
        yield f"{what} changes, over which it is reached; {_ANOTHER_WAY}"


def _on_hub(before: _Told, after: _Told) -> Iterator[str]:
    for name in sorted(before.carries):
        was, now = before.peers.get(name), after.peers.get(name)
        if now is None:
            yield f"{name} is reached through the hub and could not be taken down any more; set retired: true for it first, and `pulumi up`"
        elif was is not None and name in after.carries:
            changed = [f"{name}'s {what}" for what in _changed_ends(was, now)]
            changed += [f"{name}'s address"] if was.address != now.address else []
            changed += _changed_own(before, after)
            for what in changed:
                yield f"{what} changes, over which {name} is reached; {_ANOTHER_WAY}"


_ANOTHER_WAY = "give it an ssh without `via: hub` for this change"


def _read(description: str) -> _Told:
    told, section, title, peer = _Told(), "", "", None
    for line in description.partition(f"\n{SCRIPT_MARK}\n")[0].splitlines():
        key, _, value = line.partition("=")
        if line.startswith(f"{CARRIES} "):
            told.carries.add(line.split()[1])
        elif line.startswith("# "):
            title = line[2:]
        elif line.startswith(("[", "---- ")):
            section, peer = line, None
            if line == "[WireGuardPeer]":
                peer = told.peers.setdefault(title.partition(",")[0], _Peer(title))
        elif peer is not None and key == "AllowedIPs":
            peer.allowed_ips.append(value)
        elif peer is not None:
            peer.said[key] = value
        elif section in ("[NetDev]", "[WireGuard]"):
            told.interface[key] = value
        elif section == "[Network]" and key == "Address":
            told.addresses.append(value)
    return told
