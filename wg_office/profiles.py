"""What a developer's machine is given: one WireGuard file per way of working, each readable by every client.

- everyday: each LAN widened by one bit, so that inside an office the on-link route is the longer match and wins.
- exact: the LANs as they are; for Android, and for a home network that has an office's addresses.
- at-<site>: everything but that site's LAN; works at that office on every platform.

The VPN's own prefix is listed in full in each of them: who reaches whom inside the VPN is enforced by the hub, and a grant between
two developers then needs no new file on either side. LANs are listed as whole prefixes even where the grant names single hosts: a /32
would win over the on-link route at the office. Which LANs are listed follows the grants.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from netaddr import IPAddress, IPNetwork

from wg_office.access import destinations
from wg_office.model import Developer, Dns, Environment, Gateway, Platform
from wg_office.widen import swept_in, widen, without_contained

MAX_TUNNEL_NAME = 15
"""Linux interface names and Android's tunnel names end here; the other clients take more."""

MISSING_PRIVATE_KEY = "REPLACE-WITH-YOUR-PRIVATE-KEY"
"""What stands in the file of someone who brought a public key. No client accepts it, so that a forgotten line is noticed at the import."""

EVERYDAY, EXACT, AT = "everyday", "exact", "at-"
_ENDING = {EVERYDAY: "-vpn", EXACT: "-x"}


@dataclass(frozen=True)
class Note:
    """Something its reader should know about a profile, in both languages of the hand-out."""

    en: str
    zh: str


@dataclass(frozen=True)
class Profile:
    """Everything that one WireGuard file says, except the keys."""

    name: str
    kind: str
    developer: str
    environment: str
    addresses: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    endpoint: str
    mtu: int
    keepalive: int
    commands: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def file_name(self) -> str:
        """`dev-vpn.conf`; the clients take the tunnel's name from it."""
        return f"{self.name}.conf"

    @property
    def site(self) -> str | None:
        """The site whose LAN an at-<site> profile leaves out."""
        return self.kind.removeprefix(AT) if self.kind.startswith(AT) else None


@dataclass(frozen=True)
class ClientKeys:
    """The keys of one developer's file, as base64 text; without a private key the file has one line to fill in."""

    hub_public_key: str
    preshared_key: str = field(repr=False)
    private_key: str | None = field(default=None, repr=False)


# --- who reaches what ------------------------------------------------------------------------------------------------------------------


def reachable_gateways(env: Environment, developer: Developer) -> tuple[Gateway, ...]:
    """The gateways of the sites in which the developer may reach something, in the order of the file."""
    sites = {place.name for place in destinations(env, developer.access) if place.kind == "site"}
    return tuple(gateway for gateway in env.active_gateways if gateway.site in sites)


# --- the profiles ----------------------------------------------------------------------------------------------------------------------


def profiles(env: Environment, developer: Developer) -> tuple[Profile, ...]:
    """All profiles of a developer: everyday first, then exact, then one per reachable site. Without a LAN there is only one."""
    gateways = reachable_gateways(env, developer)
    lans = [gateway.lan.cidr for gateway in gateways]
    made = [_profile(env, developer, EVERYDAY, widen(lans), _everyday_notes(env, developer, gateways))]
    if gateways:
        made.append(_profile(env, developer, EXACT, tuple(lans), _exact_notes(developer, gateways)))
    for gateway in gateways:
        elsewhere = tuple(other.lan.cidr for other in gateways if other is not gateway)
        made.append(_profile(env, developer, AT + gateway.site, elsewhere, ()))
    return tuple(made)


def best_profile(env: Environment, developer: Developer) -> Profile:
    """The one to start with on the developer's platform.

    Android looks up the tunnel's routes before the local network's: widening gains nothing there, and would only catch more of
    the home network.
    """
    wanted = EXACT if developer.platform == "android" else EVERYDAY
    made = profiles(env, developer)
    return next((profile for profile in made if profile.kind == wanted), made[0])


def _profile(env: Environment, developer: Developer, kind: str, lans: tuple[IPNetwork, ...], notes: tuple[Note, ...]) -> Profile:
    network = env.network
    address6 = env.address6_of(developer)
    listed = (*env.vpn, *without_contained(lans))
    commands, dns_note = _split_dns(env, developer, kind, listed)
    return Profile(
        name=tunnel_name(env.environment, kind),
        kind=kind,
        developer=developer.name,
        environment=env.environment,
        addresses=(f"{developer.address}/32",) if address6 is None else (f"{developer.address}/32", f"{address6}/128"),
        allowed_ips=tuple(str(prefix) for prefix in listed),
        endpoint=str(env.hub.endpoint),
        mtu=network.mtu,
        keepalive=network.keepalive,
        commands=commands,
        notes=(*notes, *dns_note),
    )


# --- names -----------------------------------------------------------------------------------------------------------------------------


def tunnel_name(environment: str, kind: str) -> str:
    """`dev-vpn`, `dev-x`, `dev-at-beijing`: named by the network, for a person who has several, and never longer than 15 characters.

    Each has an ending, because a bare word may mean something else: `con` on Windows, `lo`, and `ip link add dev`, which is what
    `wg-quick up dev` runs (Debian 12), has no name in it. What is too long is cut and ends in four hex digits of its hash: the name
    depends on nothing else in the file, and stays the same.
    """
    if kind in _ENDING:
        ending = _ENDING[kind]
        return f"{_fit(environment, MAX_TUNNEL_NAME - len(ending))}{ending}"
    head = min(len(environment), 2)
    site = _fit(kind.removeprefix(AT), MAX_TUNNEL_NAME - len("-at-") - head)
    room = MAX_TUNNEL_NAME - len("-at-") - len(site)
    return f"{environment[:room].rstrip('-')}-at-{site}"


def _fit(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    return name[: room - 4].rstrip("-") + hashlib.sha256(name.encode()).hexdigest()[:4]


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return bool(one.first <= other.last and other.first <= one.last)


# --- notes -----------------------------------------------------------------------------------------------------------------------------


def _everyday_notes(env: Environment, developer: Developer, gateways: tuple[Gateway, ...]) -> tuple[Note, ...]:
    if not gateways:
        return (Note("No office network is listed, because access to none is granted yet.", "尚未授权访问任何办公室网络，因此未列出。"),)
    notes: list[Note] = []
    lans = [gateway.lan.cidr for gateway in gateways]
    for other in env.active_gateways:
        if swept_in(lans, [other.lan.cidr]):
            notes.append(
                Note(
                    f"The widened prefixes also cover {other.lan.cidr} ({other.site}), which you may not reach: "
                    "the hub rejects what you send there.",
                    f"放宽后的网段也包含 {other.lan.cidr}（{other.site}），您无权访问该网络，发往那里的数据会被中心服务器拒绝。",
                )
            )
    if developer.platform == "android":
        notes.append(
            Note(
                "Android sends these addresses through the tunnel at the office too: use the at-office profile there.",
                "在办公室内，Android 仍会让这些地址走隧道：请在办公室改用对应的办公室配置。",
            )
        )
    return (
        *notes,
        *_home_notes(
            developer, gateways, "While you are there, that office cannot be reached with this file.", "在家时无法用此配置访问该办公室。"
        ),
    )


def _exact_notes(developer: Developer, gateways: tuple[Gateway, ...]) -> tuple[Note, ...]:
    return _home_notes(
        developer,
        gateways,
        "While this tunnel is on, the devices at home (the router's DNS too) may be out of reach.",
        "启用此隧道时，家中的设备（包括路由器的 DNS）可能无法访问。",
    )


def _home_notes(developer: Developer, gateways: tuple[Gateway, ...], en: str, zh: str) -> tuple[Note, ...]:
    if developer.home is None:
        return ()
    return tuple(
        Note(
            f"Your home network {developer.home} has addresses of the office {gateway.site} ({gateway.lan.cidr}). {en}",
            f"您的家庭网络 {developer.home} 与办公室 {gateway.site}（{gateway.lan.cidr}）地址重叠。{zh}",
        )
        for gateway in gateways
        if _overlap(developer.home, gateway.lan.cidr)
    )


# --- split DNS -------------------------------------------------------------------------------------------------------------------------


def _split_dns(
    env: Environment, developer: Developer, kind: str, listed: tuple[IPNetwork, ...]
) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """The commands that give the offices' domains to their name servers, or the reason why the file has none.

    `DNS =` is never written: wg-quick hands it to `resolvconf -x`, and the apps of all other platforms send every query there.
    At an office its own name servers come with its DHCP lease, so that an at-<site> file says nothing of those it leaves out.
    """
    dns = env.network.dns
    if dns is None:
        return (), ()
    allowed = (*env.vpn, *(gateway.lan.cidr for gateway in reachable_gateways(env, developer)))
    servers = [str(server) for server in dns.servers if _in_any(server, allowed) and _in_any(server, listed)]
    if servers and developer.platform == "linux":
        return (_resolvectl(servers, dns.domains),), ()
    if kind.startswith(AT):
        return (), ()
    return (), (_dns_left_out(developer.platform, servers, dns.domains) if servers else _dns_out_of_reach(dns),)


def _in_any(address: IPAddress, prefixes: tuple[IPNetwork, ...]) -> bool:
    return any(address in prefix for prefix in prefixes)


def _resolvectl(servers: list[str], domains: tuple[str, ...]) -> str:
    routing = " ".join(f"'~{domain}'" for domain in domains)
    failed = "echo 'no systemd-resolved: names of the office stay unresolved' >&2"
    return f"PostUp = resolvectl dns %i {' '.join(servers)} && resolvectl domain %i {routing} || {failed}"


def _dns_out_of_reach(dns: Dns) -> Note:
    domains = ", ".join(dns.domains)
    return Note(
        f"Names in {domains} are not resolved through the tunnel: their name server is in a network that you may not reach.",
        f"{domains} 的域名不经隧道解析：其 DNS 服务器位于您无权访问的网络中。",
    )


_DNS_BY_HAND = {
    "macos": (
        "put `nameserver {server}` into the file /etc/resolver/{domain}",
        "在文件 /etc/resolver/{domain} 中写入 `nameserver {server}`",
    ),
    "windows": (
        "run `Add-DnsClientNrptRule -Namespace .{domain} -NameServers {server}` as an administrator",
        "以管理员身份运行 `Add-DnsClientNrptRule -Namespace .{domain} -NameServers {server}`",
    ),
}


_SYSTEMS = {
    "macos": ("macOS", " macOS "),
    "windows": ("Windows", " Windows "),
    "ios": ("iOS", " iOS "),
    "android": ("Android", " Android "),
    None: ("the environment file does not say what system you have, and most", "环境文件没有注明您的系统，而多数系统"),
}


def _dns_left_out(platform: Platform | None, servers: list[str], domains: tuple[str, ...]) -> Note:
    system, system_zh = _SYSTEMS[platform]
    reason = f"The office's name server is left out, because {system} would send it every query, not only those for {', '.join(domains)}"
    reason_zh = f"未写入办公室 DNS 服务器，因为{system_zh}会把所有查询（而不仅是 {'、'.join(domains)}）都发给它"
    if platform not in _DNS_BY_HAND:
        return Note(f"{reason}. Use addresses instead of names.", f"{reason_zh}。请直接使用 IP 地址。")
    by_hand = [tuple(text.format(server=servers[0], domain=domain) for text in _DNS_BY_HAND[platform]) for domain in domains]
    return Note(
        f"{reason}. To resolve these names, {', and '.join(en for en, _ in by_hand)}.",
        f"{reason_zh}。如需解析这些域名，请{'，并'.join(zh for _, zh in by_hand)}。",
    )


# --- rendering -------------------------------------------------------------------------------------------------------------------------

_USE = {
    EVERYDAY: "everyday use, away from the offices and in them",
    EXACT: "the exact prefixes: for Android, and where the home network has an office's addresses",
}


def render_profile(profile: Profile, keys: ClientKeys) -> str:
    """The file's text: only keys that every client takes, no empty values, and comments that all of them skip."""
    use = _USE.get(profile.kind) or f"for use inside the office {profile.site}"
    lines = [
        f"# {profile.name}: WireGuard file of {profile.developer} for the network {profile.environment}, {use}.",
        "# This file is a secret, like a password. Only one file of this network may be switched on at a time.",
        *(f"# Note: {note.en}" for note in profile.notes),
    ]
    if keys.private_key is None:
        lines.append("# Put the private key that belongs to your public key in place of the text after 'PrivateKey ='.")
    lines += [
        "[Interface]",
        f"PrivateKey = {keys.private_key or MISSING_PRIVATE_KEY}",
        f"Address = {', '.join(profile.addresses)}",
        f"MTU = {profile.mtu}",
        *profile.commands,
        "",
        "[Peer]",
        f"PublicKey = {keys.hub_public_key}",
        f"PresharedKey = {keys.preshared_key}",
        f"AllowedIPs = {', '.join(profile.allowed_ips)}",
        f"Endpoint = {profile.endpoint}",
    ]
    if profile.keepalive:
        lines.append(f"PersistentKeepalive = {profile.keepalive}")
    return "\n".join(lines) + "\n"
