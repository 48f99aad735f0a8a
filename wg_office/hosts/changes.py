"""What a change of a host would do to those who are connected, from its description before and after. Pure. Room: hosts.

Most changes cost nobody a packet. The few that cannot be gentle are named in the preview; those that would cut the very path by which
a host is reached are refused.
"""

from collections.abc import Iterator

from netaddr import IPAddress, IPNetwork, valid_ipv4

from wg_office.environment.model import Ssh
from wg_office.hosts.description import Description, NamedPeer
from wg_office.hosts.keys import GENERATED_ON_APPLY
from wg_office.hosts.render import CARRIES
from wg_office.network.instructions import call_in

_OWN = {"PrivateKeyFile": "its key", "ListenPort": "its port", "Name": "the name of its interface"}
_PEERS = {"PublicKey": "key", "PresharedKeyFile": "preshared key", "Endpoint": "endpoint"}


def disruptions(before: Description, after: Description) -> tuple[str, ...]:
    """What the change interrupts, a clause each; nothing for a change that keeps everybody connected who may stay.

    Both describe one host. A changed preshared key is not among them: sessions outlive it.
    """
    return tuple(_disruptions(before, after)) if _interface(before) and _interface(after) else ()


def _disruptions(before: Description, after: Description) -> Iterator[str]:
    for what in _changed_own(before, after):
        yield f"{what} changes, and everybody's session ends until the other side knows"
    for address in _lost_addresses(before, after):
        yield f"its address {address} goes"
    for peer, now in _kept(before, after):
        for what in ("key", "endpoint"):
            if what in _changed_ends(peer, now):
                yield f"the {what} of {peer.title} changes, and its session ends until both sides know"
        if _address(peer) != _address(now):
            yield f"the address of {peer.title} changes from {_address(peer)} to {_address(now)}"
    lans = _lans(after)
    for prefix, name in _lans(before).items():
        if lans.get(prefix, name) != name:
            yield f"{prefix} moves from {name} to {lans[prefix]}, and is out of reach until both have changed"


def what_developers_lose(before: Description, after: Description) -> tuple[str, ...]:
    """What the change of the hub costs developers beyond their session, a clause each: keys that go for good, files that no longer fit."""
    return tuple(_developers_lose(before, after))


def _developers_lose(before: Description, after: Description) -> Iterator[str]:
    was, left = (_developers(each) for each in (before, after))
    keys = {peer.public_key for peer in left.values()} - {GENERATED_ON_APPLY}
    # One machine of a person may become a device of theirs: another name, and the same keys.
    gone = [name for name, peer in was.items() if name not in left and peer.public_key not in keys]
    if len(gone) > 1 or (gone and not left):
        yield f"{len(gone)} developers go ({_some(gone)}), and their keys with them for good: who comes back needs a new file"
    kept = [name for name in was if name in left]
    renewed = [what for what in _changed_own(before, after) if what != _OWN["Name"]]
    if kept and renewed:
        yield f"{' and '.join(renewed)} changes, and every developer needs a new file: {_HANDOUT}"
    elif need := [name for name in kept if {"key", "preshared key"} & {*_changed_ends(was[name], left[name])}]:
        yield f"{_some(need)} {'needs' if len(need) == 1 else 'need'} a new file: {_HANDOUT}"


def addresses(description: Description) -> dict[str, IPAddress]:
    """The developers' addresses in the VPN, by name; nothing in a description of another host than the hub."""
    return {name: IPNetwork(_address(peer)).ip for name, peer in _developers(description).items() if _address(peer)}


def _developers(description: Description) -> dict[str, NamedPeer]:
    return {peer.name: peer for peer in description.peers() if peer.is_developer}


def _some(names: list[str]) -> str:
    """The first few."""
    return ", ".join([*names[:_NAMED], *(["..."] if len(names) > _NAMED else [])])


_NAMED = 5
_HANDOUT = "`python -m wg_office handout`, after this `pulumi up`"


def _interface(description: Description) -> dict[str, str]:
    return dict([*description.settings("[NetDev]"), *description.settings("[WireGuard]")])


def _lost_addresses(before: Description, after: Description) -> list[str]:
    kept = after.settings("[Network]")
    return [setting[1] for setting in before.settings("[Network]") if setting[0] == "Address" and setting not in kept]


def _address(peer: NamedPeer) -> str:
    """Its own address, which comes before the LAN behind it."""
    return peer.get("AllowedIPs") or ""


def _lans(description: Description) -> dict[str, str]:
    return {prefix: peer.name for peer in description.peers() for prefix in peer.values("AllowedIPs")[1:]}


def _changed_own(before: Description, after: Description) -> list[str]:
    was, now = _interface(before), _interface(after)
    return [what for key, what in _OWN.items() if was.get(key) != now.get(key)]


def _changed_ends(before: NamedPeer, after: NamedPeer) -> list[str]:
    # An endpoint that becomes a name stays what it is until somebody has looked the name up: nothing ends by that.
    return [what for key, what in _PEERS.items() if before.get(key) != after.get(key) and (key != "Endpoint" or after.get(key))]


def admits(description: Description, source: IPAddress, destination: IPAddress, port: int) -> bool:
    """Whether a host with this description lets a TCP connection through to the destination, which may be the host itself."""
    for line in description.parts.get("flows", "").splitlines():
        match line.split():
            case ["allow", senders, receivers, *ports] if source in IPNetwork(senders) and destination in IPNetwork(receivers):
                if ports == ["any"] or (ports[0] == "tcp" and _within(port, ports[1])):
                    return True
    return False


def _within(port: int, ports: str) -> bool:
    first, last = map(int, ports.split("-"))
    return first <= port <= last


def _kept(before: Description, after: Description) -> Iterator[tuple[NamedPeer, NamedPeer]]:
    now = {peer.name: peer for peer in after.peers()}
    return ((peer, now[peer.name]) for peer in before.peers() if peer.name in now)


def severs(before: Description, after: Description, through_hub: bool) -> tuple[str, ...]:
    """Why the change would cut a path by which a host is reached, a clause each with its remedy; nothing where it does not.

    `through_hub` says that the host itself is reached over the tunnel. On the hub it is the gateways behind it that count.
    """
    return tuple(_on_gateway(before, after) if through_hub else _on_hub(before, after))


def _on_gateway(before: Description, after: Description) -> Iterator[str]:
    changed = _changed_own(before, after)
    changed += [f"its address {address}" for address in _lost_addresses(before, after)]
    for peer, now in _kept(before, after):
        changed += [f"the hub's {what}" for what in _changed_ends(peer, now)]
    for what in changed:
        yield f"{what} changes, over which it is reached; {_ANOTHER_WAY}"


def _on_hub(before: Description, after: Description) -> Iterator[str]:
    was_known, is_known = ({peer.name: peer for peer in each.peers()} for each in (before, after))
    for name in sorted(before.headers(CARRIES)):
        was, now = was_known.get(name), is_known.get(name)
        if now is None:
            yield f"{name} is reached through the hub and could not be taken down any more; set retired: true for it first, and `pulumi up`"
        elif was is not None and name in after.headers(CARRIES):
            changed = [f"{name}'s {what}" for what in _changed_ends(was, now)]
            changed += [f"{name}'s address"] if _address(was) != _address(now) else []
            changed += _changed_own(before, after)
            for what in changed:
                yield f"{what} changes, over which {name} is reached; {_ANOTHER_WAY}"


def first_over_tunnel(host: str, *, adopted: bool) -> tuple[str, ...]:
    """Why a host that is installed for the first time cannot be reached over the tunnel: only one that was taken over has it already."""
    return () if adopted else (_NO_TUNNEL_YET.format(command=call_in(host)),)


def now_over_tunnel(host: str, before: Description, hub: IPAddress, ssh: Ssh) -> tuple[str, ...]:
    """Why a host that was reached otherwise cannot be reached over the tunnel from now on: as it is, it does not answer the hub there.

    What a name leads to, that is no address, the file cannot know.
    """
    if not valid_ipv4(ssh.host) or admits(before, hub, IPAddress(ssh.host), ssh.port):
        return ()
    return (_HUB_NOT_ADMITTED.format(name=host, port=ssh.port),)


def way(description: Description, hub: IPAddress) -> str:
    """What severs and admits look at, as a description of its own: it travels with the keys, which are refused for the same reasons.

    Of peers only those that may carry somebody, and of what the host lets in only what comes from the hub: who else may is no matter of the
    way, and a host's keys need not travel anew for it.
    """
    looked_at = {"[NetDev]": _OWN, "[WireGuard]": _OWN, "[Network]": {"Address"}}
    sections = [(name, [each for each in description.settings(name) if each[0] in keys]) for name, keys in looked_at.items()]
    sections += [(f"# {peer.title}\n[WireGuardPeer]", list(peer.settings)) for peer in description.peers() if not peer.is_developer]
    lines = [f"{CARRIES} {name}" for name in description.headers(CARRIES)]
    lines.append("---- file way.netdev 0644")
    for section, settings in sections:
        lines += [section, *(f"{key}={value}" for key, value in settings)]
    flows = [
        line for line in description.parts.get("flows", "").splitlines() if line.startswith("allow ") and hub in IPNetwork(line.split()[1])
    ]
    return "\n".join([*lines, "---- file flows 0644", *flows, ""])


_NO_TUNNEL_YET = (
    "is reached over a tunnel that does not stand yet; give it an ssh without `via: hub` for its first `pulumi up`, or, where nobody can "
    "dial it, have it dial the hub: `{command}`"
)
_HUB_NOT_ADMITTED = "does not let the hub in yet; first put {{host: {name}, ports: [{port}/tcp]}} into the hub's access, and `pulumi up`"
_ANOTHER_WAY = "give it an ssh without `via: hub` for this change"
