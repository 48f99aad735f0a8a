"""What every form of the text says: whose it is, the tunnel, and what the device lets through, masquerades and answers. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from netaddr import IPNetwork

from wg_office.environment.fields import Endpoint
from wg_office.environment.model import Environment, Gateway, Managed
from wg_office.network.access import Alias, FirewallPolicy, Masquerade, peer_addresses
from wg_office.network.plan import PeerPlan, gateway_tunnel
from wg_office.people.profiles import EVERYDAY, MISSING_PRIVATE_KEY, ClientKeys, tunnel_name


@dataclass(frozen=True)
class Pasted:
    """Everything that the text says, except the keys."""

    gateway: str
    output: str
    site: str
    environment: str
    kind: Managed
    name: str
    """Of the tunnel there: the network's, as in people's files, since the device may have a wg0 of its own."""
    addresses: tuple[IPNetwork, ...]
    mtu: int
    listen_port: int
    hub: PeerPlan
    endpoint: Endpoint
    pinged_by: tuple[IPNetwork, ...]
    """The hub's addresses in the VPN, from which `status` pings it."""
    lans: tuple[IPNetwork, ...]
    """What people reach behind it, by the addresses that the site's machines have: filters see those, whatever is translated."""
    inner: tuple[IPNetwork, ...]
    """Those of the site itself."""
    aliases: tuple[Alias, ...]
    """Those that all others know by another prefix: the device translates."""
    masquerade: tuple[Masquerade, ...]
    opens: bool
    """Whether the site opens connections itself."""
    answers: bool
    """Whether somebody may reach the device itself."""

    @property
    def ours(self) -> str:
        """The mark of everything that the text sets."""
        return f"wg-office {self.environment}"

    @property
    def routes(self) -> tuple[IPNetwork, ...]:
        """What leads into the tunnel beyond its own networks."""
        own = [address.cidr for address in self.addresses]
        return tuple(prefix for prefix in self.hub.allowed_ips if prefix not in own)

    @property
    def translations(self) -> Iterator[tuple[IPNetwork, IPNetwork]]:
        """From where and to where it masquerades."""
        return ((source, each.destination) for each in self.masquerade for source in each.sources)


def pasted(env: Environment, gateway: Gateway, policy: FirewallPolicy) -> Pasted:
    """What this gateway needs; `policy` is what the grants come to there (wg_office.network.access.reach_of)."""
    tunnel = gateway_tunnel(env, gateway, policy)
    return Pasted(
        gateway=gateway.name,
        output=gateway.output,
        site=gateway.site,
        environment=env.environment,
        kind=gateway.managed or "no",
        name=tunnel_name(env.environment, EVERYDAY),
        addresses=tunnel.addresses,
        mtu=tunnel.mtu,
        listen_port=tunnel.listen_port,
        hub=tunnel.peers[0],
        endpoint=env.hub.endpoint,
        pinged_by=peer_addresses(env, env.hub),
        lans=gateway.own_prefixes,
        inner=gateway.own_inner,
        aliases=policy.aliases,
        masquerade=policy.masquerade,
        opens=bool(policy.to_tunnel),
        answers=bool(policy.to_host),
    )


def private_key(keys: ClientKeys) -> str:
    """The key, or what its owner replaces by it."""
    return keys.private_key or MISSING_PRIVATE_KEY


def head(made: Pasted, what: str, *how: str, tried: bool = False) -> Iterator[str]:
    """The first lines of every text, as comments."""
    yield f"# {made.gateway}, the gateway of {made.site} in the network {made.environment}: {what}."
    yield "# This is a secret, like a password: it holds keys."
    if not tried:
        yield "# It was written after the vendor's manual and not tried on a device: look at what each line does before you use it."
    yield from (f"# {each.real} is known to all others as {each.known_as}" for each in made.aliases)
    yield from (f"# {line}" for line in how)


def to_fill_in(keys: ClientKeys) -> Iterator[str]:
    """For whoever brought a public key."""
    if keys.private_key is None:
        yield f"# Put the private key that belongs to the device's public key in place of {MISSING_PRIVATE_KEY}."
