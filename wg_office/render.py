"""From a host's plan to the text of its files, and to the one description that reaches the host. Pure.

Room: the core. Every file written to a host is written here (and in firewall/), and has a golden test.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from wg_office import firewall
from wg_office.keys import PublicNames
from wg_office.plan import HostPlan, PeerPlan, Tunnel

KEY_DIRECTORY = "/etc/wg-office/keys"
SCRIPT_MARK = "---- script wg-office"
CARRIES = "carries-ssh-of"
"""The header of the gateways that are reached through this host."""

_BEFORE_US = ("nftables", "netfilter-persistent", "iptables", "ip6tables", "ufw")
FLUSHING_SERVICES = (*_BEFORE_US, "firewalld", "docker")
"""Services of a host that flush rules of others when they start, reload or stop, or (Docker) put their own before ours."""

WATCH_UNIT = "wg-office-firewalld.service"

GENERATED = "# Written by wg-office from the environment file. Changes made here are lost at the next deployment.\n"

Keys = Mapping[str, PublicNames]
"""The public side of each peer's keys, by the peer's name."""


@dataclass(frozen=True)
class File:
    """A file on a host. A relative path stays inside the generation, an absolute one is linked to where it says."""

    path: str
    text: str


@dataclass(frozen=True)
class Scripts:
    """The texts of hostside/ that travel with a description: the host script, and its judge of connections."""

    host: str
    flows: str


def render_files(host: HostPlan, keys: Keys) -> tuple[File, ...]:
    """All files of a host, in the order in which its description lists them."""
    files: list[File] = []
    if host.tunnel is not None:
        network = f"/etc/systemd/network/50-{host.tunnel.interface}"
        files += [
            File(f"{network}.netdev", render_netdev(host.name, host.tunnel, keys)),
            File(f"{network}.network", render_network(host.tunnel)),
            File("/etc/systemd/networkd.conf.d/50-wg-office.conf", render_networkd_conf()),
            File("/etc/sysctl.d/50-wg-office.conf", render_sysctl(host.tunnel)),
        ]
    if host.policy is not None and host.firewall is not None:
        files += [File(path, text) for path, text in firewall.files(host.policy, host.firewall).items()]
        files += [File(f"/etc/systemd/system/{service}.service.d/50-wg-office.conf", render_drop_in()) for service in FLUSHING_SERVICES]
        if host.firewall == "firewalld":
            files.append(File("/etc/systemd/system/firewalld.service.d/51-wg-office-watch.conf", render_watch_drop_in()))
            files.append(File(f"/etc/systemd/system/{WATCH_UNIT}", render_watch_unit()))
    if host.routes:
        files.append(File("routes", "".join(f"{route.destination} via {route.via}\n" for route in host.routes)))
    files.append(File("/etc/systemd/system/wg-office.service", render_unit(host)))
    return tuple(files)


def render_netdev(name: str, tunnel: Tunnel, keys: Keys) -> str:
    """The .netdev: the interface and its peers. Keys are named, never held, so the text needs no secrecy."""
    head = f"""{GENERATED}[NetDev]
Name={tunnel.interface}
Kind=wireguard
MTUBytes={tunnel.mtu}

[WireGuard]
PrivateKeyFile={KEY_DIRECTORY}/{keys[name].private_name}
ListenPort={tunnel.listen_port}
"""
    return head + "".join(_render_peer(peer, keys) for peer in tunnel.peers)


def _render_peer(peer: PeerPlan, keys: Keys) -> str:
    lines = [
        "",
        f"# {peer.title}",
        "[WireGuardPeer]",
        f"PublicKey={keys[peer.name].public_key}",
        f"PresharedKeyFile={KEY_DIRECTORY}/{keys[peer.psk_of].preshared_name}",
        *(f"AllowedIPs={prefix}" for prefix in peer.allowed_ips),
    ]
    if peer.endpoint is not None:
        lines.append(f"Endpoint={peer.endpoint}")
    if peer.keepalive:
        lines.append(f"PersistentKeepalive={peer.keepalive}")
    return "\n".join(lines) + "\n"


def render_network(tunnel: Tunnel) -> str:
    """The .network: addresses, and a [Route] per LAN beyond the tunnel."""
    addresses = "".join(f"Address={address}\n" for address in tunnel.addresses)
    # The scope is what `ip route` gives such a route; networkd 247 gives it another, and at its next start adds a second route.
    routes = "".join(f"\n[Route]\nDestination={route}\nScope=link\n" for route in tunnel.routes)
    return f"""{GENERATED}[Match]
Name={tunnel.interface}

[Link]
MTUBytes={tunnel.mtu}
# Nothing at boot waits for the tunnel.
RequiredForOnline=no

[Network]
{addresses}IPv6AcceptRA=no
LinkLocalAddressing=no
{routes}"""


def render_networkd_conf() -> str:
    """Keeps networkd from dropping routes and rules of others when it configures the tunnel (facts/hosts.md)."""
    return f"""{GENERATED}[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
"""


def render_sysctl(tunnel: Tunnel) -> str:
    """Forwarding, in the families that the tunnel carries; and no redirects, which would lead peers past the hub.

    WireGuard switches redirects off itself, for the whole host. Said here, the old value is remembered and comes back with a removal.
    """
    six = "net.ipv6.conf.all.forwarding = 1\n" if any(address.version == 6 for address in tunnel.addresses) else ""
    return f"{GENERATED}net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.send_redirects = 0\n{six}"


def render_unit(host: HostPlan) -> str:
    """The boot unit: a host's rules before its network, so that nothing is ever open; a router's routes once it is up."""
    order = (
        f"DefaultDependencies=no\nAfter=local-fs.target systemd-sysctl.service {' '.join(f'{name}.service' for name in _BEFORE_US)}\n"
        "Before=network-pre.target systemd-networkd.service firewalld.service\nWants=network-pre.target\nConflicts=shutdown.target\n"
        if host.tunnel is not None
        else "After=network-online.target\nWants=network-online.target\n"
    )
    return f"""{GENERATED}[Unit]
Description=Rules and routes of wg-office
ConditionPathExists=/etc/wg-office/current
{order}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/bash /etc/wg-office/current/wg-office boot

[Install]
WantedBy=multi-user.target
"""


def render_drop_in() -> str:
    """For a service that may take rules along: they are loaded again before it counts as started, reloaded or stopped."""
    load = "-+/bin/bash /etc/wg-office/current/wg-office boot"
    return f"""{GENERATED}[Service]
ExecStartPost={load}
ExecReload={load}
ExecStopPost={load}
"""


def render_watch_unit() -> str:
    """Beside firewalld: a reload of it takes the hand-over's iptables rules along, and tells the bus alone (facts/hosts.md, Firewalls)."""
    return f"""{GENERATED}[Unit]
Description=Rules of wg-office after each reload of firewalld
BindsTo=firewalld.service
After=firewalld.service dbus.service

[Service]
ExecStart=/bin/bash /etc/wg-office/current/wg-office watch
Restart=always
"""


def render_watch_drop_in() -> str:
    """firewalld brings its watch along."""
    return f"{GENERATED}[Unit]\nWants={WATCH_UNIT}\n"


def render_description(host: HostPlan, keys: Keys, deployment: str, scripts: Scripts, repair: str | None = None) -> str:
    """The one text that a host is given: who it is, its files, and last the script that brings it there.

    It holds no secret. The operator's connection stands in it as a comment, because Pulumi shows the connection itself as a secret.
    `repair` is a stamp: a new one makes the text differ, so that the host is dialled and all of it applied again.
    Raises ValueError where a file's line would be taken for a section mark.
    """
    header = [
        "# wg-office description 1",
        f"# {host.name}, {host.role} of {host.environment}; reached as {host.ssh.address}, host key {host.ssh.host_key_fingerprint}",
        f"deployment {deployment}",
        f"host {host.name}",
        f"role {host.role}",
        f"rollback-after {host.rollback_after}",
    ]
    if host.tunnel is not None:
        header.append(f"interface {host.tunnel.interface}")
    header += [f"{CARRIES} {name}" for name in host.carries]
    if repair is not None:
        header.append(f"repair {repair}")
    files = [*render_files(host, keys), *([File("flows.awk", scripts.flows)] if host.policy is not None else [])]
    return "\n".join(header) + "\n" + "".join(_section(file) for file in files) + f"{SCRIPT_MARK}\n{scripts.host}"


def with_attempt(description: str, attempt: str) -> str:
    """The description, with a line in its header that says which attempt to bring it to the host this is."""
    header, mark, rest = description.partition("\n---- ")
    return f"{header}\nattempt {attempt}{mark}{rest}"


def _section(file: File) -> str:
    if any(line.startswith("---- ") for line in file.text.splitlines()):
        raise ValueError(f"{file.path} has a line that starts like a section mark")
    return f"---- file {file.path} 0644\n{file.text}"
