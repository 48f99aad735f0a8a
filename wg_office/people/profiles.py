"""What a developer's machine is given: one WireGuard file per way of working, each readable by every client.

- everyday: each LAN widened by one bit, so that inside an office the on-link route is the longer match and wins. Where that would leave
  private addresses the LAN stands as it is.
- exact: the LANs as they are; for Android, and for a home network that has an office's addresses.
- at-<site>: everything but that site's LAN; works at that office on every platform.

The VPN's own prefix is listed in full in each of them: who reaches whom inside the VPN is enforced by the hub, and a grant between
two developers then needs no new file on either side. LANs are listed as whole prefixes even where the grant names single hosts: a /32
would win over the on-link route at the office. Which LANs are listed follows the grants.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from netaddr import IPAddress, IPNetwork

from wg_office.environment.model import Client, Developer, Dns, Environment, Lan, Platform, Site
from wg_office.network.access import destinations, may_open
from wg_office.network.widen import can_be_widened, swept_in, widen, without_contained

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
    """The keys of one developer's file, as base64 text; without a private key the file has one line to fill in.

    Without a preshared key there is no line about it.
    """

    hub_public_key: str
    preshared_key: str | None = field(repr=False)
    private_key: str | None = field(default=None, repr=False)


# --- who reaches what ------------------------------------------------------------------------------------------------------------------


def reachable_sites(env: Environment, developer: Developer) -> tuple[Site, ...]:
    """The hosts of the sites in which the developer may reach something, in the order of the file."""
    sites = {place.name for place in destinations(env, developer.access) if place.kind == "site"}
    return tuple(site for site in env.active_sites if site.site in sites)


def name_servers(env: Environment, developer: Developer) -> tuple[IPAddress, ...]:
    """The name servers of `network.dns` that the developer may ask, in the order of the file."""
    servers = env.network.dns.servers if env.network.dns is not None else ()
    return tuple(server for server in servers if may_open(env, developer.access, server, "udp", 53))


# --- the profiles ----------------------------------------------------------------------------------------------------------------------


def profiles(env: Environment, client: Client) -> tuple[Profile, ...]:
    """All profiles of a machine: everyday first, then exact, then one per reachable site. Without a LAN there is only one."""
    sites, servers = reachable_sites(env, client.developer), name_servers(env, client.developer)
    known_as = _alias_notes(sites)
    made = [_profile(env, client, EVERYDAY, _widened(sites), (*_everyday_notes(env, client, sites), *known_as), servers)]
    if sites:
        made.append(_profile(env, client, EXACT, _prefixes(sites), (*_exact_notes(client.developer, sites), *known_as), servers))
    for site in sites:
        elsewhere = tuple(prefix for prefix in _prefixes(sites) if prefix not in site.prefixes and not _is_here(site, prefix))
        made.append(_profile(env, client, AT + site.site_name, elsewhere, (*_at_office_notes(site, sites), *known_as), servers))
    return tuple(made)


def _is_here(site: Site, prefix: IPNetwork) -> bool:
    """Whether these are addresses of the very office, for which machines there must not look in the tunnel."""
    return any(_overlap(prefix, lan.cidr) for lan in site.aliased)


def _prefixes(sites: Iterable[Site]) -> tuple[IPNetwork, ...]:
    return tuple(prefix for site in sites for prefix in site.prefixes)


def _widened(sites: Iterable[Site]) -> tuple[IPNetwork, ...]:
    """All that people reach; what nobody has a cable to, in the internet or by an alias, is listed as it is."""
    lans = [lan for site in sites for lan in site.networks]
    return (*widen(lan.cidr for lan in lans if lan.has_a_cable), *(lan.known_as for lan in lans if not lan.has_a_cable))


def best_of(client: Client, made: tuple[Profile, ...]) -> Profile:
    """The one of a machine's profiles to start with on its platform.

    Android looks up the tunnel's routes before the local network's: widening gains nothing there, and would only catch more of
    the home network.
    """
    wanted = EXACT if client.platform == "android" else EVERYDAY
    return next((profile for profile in made if profile.kind == wanted), made[0])


def _profile(
    env: Environment,
    client: Client,
    kind: str,
    lans: tuple[IPNetwork, ...],
    notes: tuple[Note, ...],
    servers: tuple[IPAddress, ...],
) -> Profile:
    network = env.network
    address6 = env.address6_of(client)
    listed = (*env.vpn, *without_contained(lans))
    asked = [str(server) for server in servers if _in_any(server, listed)]
    commands, dns_note = _split_dns(env.network.dns, client, kind, asked)
    return Profile(
        name=tunnel_name(env.environment, kind),
        kind=kind,
        developer=client.name,
        environment=env.environment,
        addresses=(f"{client.address}/32",) if address6 is None else (f"{client.address}/32", f"{address6}/128"),
        allowed_ips=tuple(str(prefix) for prefix in listed),
        endpoint=str(client.endpoint or env.hub.endpoint),
        mtu=network.mtu,
        keepalive=network.keepalive,
        commands=commands,
        notes=(*notes, *dns_note, *_carried(env, client)),
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
    return bool(one.version == other.version and one.first <= other.last and other.first <= one.last)


# --- notes -----------------------------------------------------------------------------------------------------------------------------


def _carried(env: Environment, client: Client) -> tuple[Note, ...]:
    """The tunnel does not go to the hub by itself: something on the machine has to carry it there."""
    if client.endpoint is None:
        return ()
    ours, hub = client.endpoint, env.hub.endpoint
    return (
        Note(
            f"This file sends to {ours}, and not to the hub: start the program that carries it from there to {hub} first.",
            f"此配置发往 {ours}，而不是中心服务器：请先启动将流量从该地址转发到 {hub} 的程序。",
        ),
    )


def _everyday_notes(env: Environment, client: Client, gateways: tuple[Site, ...]) -> tuple[Note, ...]:
    if not gateways:
        return (Note("No office network is listed, because access to none is granted yet.", "尚未授权访问任何办公室网络，因此未列出。"),)
    notes: list[Note] = []
    lans = [lan.cidr for site in gateways for lan in site.networks if lan.has_a_cable]
    swept = swept_in(lans, _prefixes(env.active_sites), _prefixes(gateways))
    for other in env.active_sites:
        notes += [_swept(lan, other.site_name) for lan in other.prefixes if lan in swept]
    notes += [_not_widened(lan, site) for site in gateways for lan in site.networks if lan.has_a_cable and not can_be_widened(lan.cidr)]
    if client.platform == "android":
        notes.append(
            Note(
                "Android sends these addresses through the tunnel at the office too: use the at-office profile there.",
                "在办公室内，Android 仍会让这些地址走隧道：请在办公室改用对应的办公室配置。",
            )
        )
    return (
        *notes,
        *_home_notes(
            client.developer,
            gateways,
            "While you are there, that office cannot be reached with this file.",
            "在家时无法用此配置访问该办公室。",
        ),
    )


def _swept(lan: IPNetwork, site: str) -> Note:
    return Note(
        f"The widened prefixes also cover {lan} ({site}), which you may not reach: the hub rejects what you send there.",
        f"放宽后的网段也包含 {lan}（{site}），您无权访问该网络，发往那里的数据会被中心服务器拒绝。",
    )


def _not_widened(of: Lan, at: Site) -> Note:
    lan, site = of.cidr, at.site
    return Note(
        f"{lan} ({site}) stands here as it is, because a wider prefix would hold other people's addresses: "
        "inside that office use its own file.",
        f"{lan}（{site}）未放宽，否则会包含他人的地址：在该办公室内请改用其对应的配置。",
    )


def _alias_notes(sites: Iterable[Site]) -> tuple[Note, ...]:
    return tuple(
        Note(
            f"{lan.known_as} stands for {lan.cidr} ({site.site}), whose addresses are in use elsewhere too: "
            f"inside that office {lan.cidr} is reached without the tunnel.",
            f"{lan.known_as} 对应 {lan.cidr}（{site.site}），因为后者的地址在别处也有使用：在该办公室内可不经隧道直接访问 {lan.cidr}。",
        )
        for site in sites
        for lan in site.aliased
    )


def _at_office_notes(here: Site, sites: Iterable[Site]) -> tuple[Note, ...]:
    """What else has this office's addresses, and is left out for that."""
    return tuple(
        Note(
            f"{prefix} ({other.site}) is left out, because the office {here.site} has these addresses itself.",
            f"未列出 {prefix}（{other.site}），因为办公室 {here.site} 自身使用这些地址。",
        )
        for other in sites
        for prefix in other.prefixes
        if other is not here and _is_here(here, prefix)
    )


def _exact_notes(developer: Developer, gateways: tuple[Site, ...]) -> tuple[Note, ...]:
    return _home_notes(
        developer,
        gateways,
        "While this tunnel is on, the devices at home (the router's DNS too) may be out of reach.",
        "启用此隧道时，家中的设备（包括路由器的 DNS）可能无法访问。",
    )


def _home_notes(developer: Developer, gateways: tuple[Site, ...], en: str, zh: str) -> tuple[Note, ...]:
    if developer.home is None:
        return ()
    return tuple(
        Note(
            f"Your home network {developer.home} has addresses of the office {gateway.site} ({lan}). {en}",
            f"您的家庭网络 {developer.home} 与办公室 {gateway.site}（{lan}）地址重叠。{zh}",
        )
        for gateway in gateways
        for lan in gateway.prefixes
        if _overlap(developer.home, lan)
    )


# --- split DNS -------------------------------------------------------------------------------------------------------------------------


def _split_dns(dns: Dns | None, client: Client, kind: str, servers: list[str]) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """The commands that give the offices' domains to their name servers, or the reason why the file has none.

    `DNS =` is never written: wg-quick hands it to `resolvconf -x`, and the apps of all other platforms send every query there.
    At an office its own name servers come with its DHCP lease, so that an at-<site> file says nothing of those it leaves out.
    """
    if dns is None:
        return (), ()
    if servers and client.platform == "linux":
        return (_resolvectl(servers, dns.domains),), ()
    if kind.startswith(AT):
        return (), ()
    return (), (_dns_left_out(client.platform, servers, dns.domains) if servers else _dns_out_of_reach(dns),)


def _in_any(address: IPAddress, prefixes: tuple[IPNetwork, ...]) -> bool:
    return any(address in prefix for prefix in prefixes)


def _resolvectl(servers: list[str], domains: tuple[str, ...]) -> str:
    routing = " ".join(f"'~{domain}'" for domain in domains)
    failed = "echo 'no systemd-resolved: names of the office stay unresolved' >&2"
    return f"PostUp = resolvectl dns %i {' '.join(servers)} && resolvectl domain %i {routing} || {failed}"


def _dns_out_of_reach(dns: Dns) -> Note:
    domains = ", ".join(dns.domains)
    return Note(
        f"Names in {domains} are not resolved through the tunnel: you may not reach their name server.",
        f"{domains} 的域名不经隧道解析：您无权访问其 DNS 服务器。",
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


def preshared_line(keys: ClientKeys) -> tuple[str, ...]:
    """The line about the preshared key, where there is one."""
    return () if keys.preshared_key is None else (f"PresharedKey = {keys.preshared_key}",)


def portable(text: str) -> str:
    """A file without the lines that only wg-quick on Linux takes."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("PostUp"))


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
        *preshared_line(keys),
        f"AllowedIPs = {', '.join(profile.allowed_ips)}",
        f"Endpoint = {profile.endpoint}",
    ]
    if profile.keepalive:
        lines.append(f"PersistentKeepalive = {profile.keepalive}")
    return "\n".join(lines) + "\n"
