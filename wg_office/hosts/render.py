"""From a host's plan to the text of its files, and to the one description that reaches the host. Pure.

Room: hosts. Every file written to a host is written here (and in firewall/), and has a golden test.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wg_office.environment.fields import Moment
from wg_office.environment.model import HUB
from wg_office.hosts import firewall
from wg_office.hosts.firewall import nftables
from wg_office.hosts.keys import PublicNames, own_key_file
from wg_office.network.access import FirewallPolicy
from wg_office.network.plan import HostPlan, PeerPlan, Route, Tunnel

CURRENT = "/etc/wg-office/current"
RUN = "/run/wg-office"
RUNNING = f"{RUN}/running"
"""Leads to the generation whose rules run: the one in force, or the one that awaits its confirmation."""

RULES = ("host.nft", "nftables.nft")
"""What is loaded, in this order: what only the host itself knows (hostside/wg-office.d), and the judge."""

PROHIBITION = 10
"""The priority of the routing rule that forwards nothing of the tunnel without the judge's stamp. Before everybody else's."""

BOOTED = f"-/bin/bash {CURRENT}/wg-office booted"
"""After a start: what a change has left that nobody confirmed. Nothing depends on it."""

_RUN_NETWORK = "/run/systemd/network"
_RUN_SYSCTL = "/run/sysctl.d"
_SETTINGS = f"{_RUN_SYSCTL}/50-wg-office.conf"
"""Forwarding, as the tunnel, is something that the kernel is told once the rules stand: systemd-sysctl comes before them."""

_JUDGES = (("forward", "from-tunnel"), ("input", "to-host"))

KEY_DIRECTORY = "/etc/wg-office/keys"
SCRIPT_MARK = "---- script wg-office"
CARRIES = "carries-ssh-of"
"""The header of the gateways that are reached through this host."""

_BEFORE_US = ("nftables", "netfilter-persistent", "iptables", "ip6tables", "ufw")
FLUSHING_SERVICES = (*_BEFORE_US, "firewalld", "docker")
"""Services of a host that flush rules of others when they start, reload or stop, or (Docker) put their own before ours."""

WATCH_UNIT = "wg-office-firewalld.service"
FOLLOW_UNIT = "wg-office-endpoint"
"""The timer that looks the hub's name up, and its service."""

UNTIL_UNIT = "wg-office-until"
"""The timer of what ends by itself, and its service."""

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
    """The texts of hostside/ that travel: the host script, its judge of connections, what follows each load, and who follows a name."""

    host: str
    flows: str
    after_load: str
    follow: str = ""


def render_files(host: HostPlan, keys: Keys) -> tuple[File, ...]:
    """All files of a host, in the order in which its description lists them."""
    files: list[File] = []
    if host.tunnel is not None:
        files += [
            File(network_file(host.tunnel.interface, "netdev"), render_netdev(host.name, host.tunnel, keys)),
            File(network_file(host.tunnel.interface, "network"), render_network(host.tunnel)),
            File("/etc/systemd/networkd.conf.d/50-wg-office.conf", render_networkd_conf()),
            File(_SETTINGS, render_sysctl(host.tunnel)),
            *_follow(host.tunnel, keys),
        ]
    if host.policy is not None and host.firewall is not None:
        files += [File(path, text) for path, text in firewall.files(host.policy, host.firewall).items()]
        files += [
            File(f"/etc/systemd/system/{service}.service.d/50-wg-office.conf", render_drop_in(service)) for service in FLUSHING_SERVICES
        ]
        if host.firewall == "firewalld":
            files.append(File("/etc/systemd/system/firewalld.service.d/51-wg-office-watch.conf", render_watch_drop_in()))
            files.append(File(f"/etc/systemd/system/{WATCH_UNIT}", render_watch_unit()))
        files += [*_until(host.policy), *_lans(host.policy)]
    if host.routes:
        files.append(File("routes", "".join(f"{route.destination} via {route.via}\n" for route in host.routes)))
    files.append(File("/etc/systemd/system/wg-office.service", render_unit(host)))
    return tuple(files)


def _lans(policy: FirewallPolicy) -> Iterator[File]:
    """Where not all interfaces are named: by which of its addresses the host finds a LAN's, or that it lies behind others."""
    lans = [lan for lan in policy.lans if not lan.outside]
    if lans and not nftables.names_all(policy):
        yield File("lans", "".join(f"{lan.cidr} {lan.address or 'behind'}\n" for lan in lans))


def network_file(interface: str, kind: str) -> str:
    """Where networkd finds the tunnel: in /run, which a start of the host empties."""
    return f"{_RUN_NETWORK}/50-{interface}.{kind}"


def render_netdev(name: str, tunnel: Tunnel, keys: Keys) -> str:
    """The .netdev: the interface and its peers. Keys are named, never held, so the text needs no secrecy."""
    private = f"{KEY_DIRECTORY}/{keys[name].private_name}" if tunnel.own_key is None else own_key_file(tunnel.own_key)
    head = f"""{GENERATED}[NetDev]
Name={tunnel.interface}
Kind=wireguard
MTUBytes={tunnel.mtu}

[WireGuard]
PrivateKeyFile={private}
ListenPort={tunnel.listen_port}
"""
    return head + "".join(_render_peer(peer, keys) for peer in tunnel.peers)


def _render_peer(peer: PeerPlan, keys: Keys) -> str:
    lines = [
        "",
        f"# {peer.title}",
        "[WireGuardPeer]",
        f"PublicKey={keys[peer.name].public_key}",
        *([] if peer.psk_of is None else [f"PresharedKeyFile={KEY_DIRECTORY}/{keys[peer.psk_of].preshared_name}"]),
        *(f"AllowedIPs={prefix}" for prefix in peer.allowed_ips),
    ]
    # A name would hold networkd up, or be looked up once and never again.
    if peer.endpoint is not None and peer.endpoint.address is not None:
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
    """Keeps networkd from dropping routes and rules of others when it configures the tunnel."""
    return f"""{GENERATED}[Network]
ManageForeignRoutes=no
ManageForeignRoutingPolicyRules=no
"""


def render_sysctl(tunnel: Tunnel) -> str:
    """Forwarding, in the families that the tunnel carries; and no redirects, which would lead peers past the hub.

    WireGuard switches redirects off itself, for the whole host. Said here, the old value is remembered and comes back with a removal.
    Where `rp_filter` is on, the way back is asked for with the packet's mark, as the prohibition needs it.
    """
    six = "net.ipv6.conf.all.forwarding = 1\n" if any(address.version == 6 for address in tunnel.addresses) else ""
    return f"{GENERATED}net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.send_redirects = 0\nnet.ipv4.conf.all.src_valid_mark = 1\n{six}"


def render_unit(host: HostPlan) -> str:
    """The boot unit: of a host with a tunnel its rules, and then, if they stand, the tunnel; of a router or device its routes."""
    return _rules_unit(host.tunnel, host.policy) if host.tunnel is not None and host.policy is not None else _routes_unit(host.routes)


def _rules_unit(tunnel: Tunnel, policy: FirewallPolicy) -> str:
    """The kernel learns of forwarding, and networkd of the tunnel, by links in /run that are made last: whatever fails, there is neither.

    No `Requires=` anywhere: the host's own network never waits for us longer than the time-out, and not for our success.
    """
    after = (
        f"-/bin/sh {CURRENT}/files/after-load",
        f"-/bin/sh -c '[ -e /sys/class/net/{tunnel.interface} ] || ! systemctl -q is-active systemd-networkd || networkctl reload'",
        BOOTED,
    )
    lines = "".join([*(f"ExecStart={step}\n" for step in _rules_steps(tunnel, policy)), *(f"ExecStartPost={step}\n" for step in after)])
    return f"""{GENERATED}[Unit]
Description=Rules of wg-office, and then its tunnel
ConditionPathExists={CURRENT}
DefaultDependencies=no
After=local-fs.target systemd-sysctl.service {" ".join(f"{name}.service" for name in _BEFORE_US)}
Before=network-pre.target systemd-networkd.service firewalld.service
Wants=network-pre.target{f" {UNTIL_UNIT}.timer" if ends(policy) else ""}
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=60
{lines}
[Install]
WantedBy=multi-user.target
"""


def _rules_steps(tunnel: Tunnel, policy: FirewallPolicy) -> tuple[str, ...]:
    """What has to succeed, in this order."""
    return (
        f"mkdir -p {_RUN_NETWORK} {_RUN_SYSCTL} {RUN}",
        *(_load(f"{CURRENT}/files", name) for name in RULES),
        *(f"/bin/sh -c 'nft list chain inet {nftables.TABLE} {chain} | grep -q \"jump {judge}\"'" for chain, judge in _JUDGES),
        *(f"-ip {family} rule add {_prohibition(tunnel.interface, policy.mark)}" for family in ("-4", "-6")),
        *(_is_prohibited(family, proof, tunnel.interface) for family, proof in (("-4", "ipv4"), ("-6", "ipv6"))),
        f"ln -sfn {CURRENT} {RUNNING}",
        *(_link(path) for path in (_SETTINGS, *(network_file(tunnel.interface, kind) for kind in ("network", "netdev")))),
        f"-sysctl -q -p {_SETTINGS}",
    )


def _link(path: str) -> str:
    return f"ln -sfn {CURRENT}/files{path} {path}"


def _load(directory: str, name: str) -> str:
    """One of RULES, if it is whole: cut short, it could be a table without rules."""
    return f"/bin/sh -c 'grep -qxF \"{nftables.END}\" {directory}/{name} && exec nft -f {directory}/{name}'"


def _prohibition(interface: str, mark: int) -> str:
    """Said to be the kernel's own, because networkd drops other foreign rules whenever it configures a link."""
    return f"priority {PROHIBITION} iif {interface} fwmark 0/{mark:#x} prohibit protocol kernel"


def _is_prohibited(family: str, proof: str, interface: str) -> str:
    """Where the kernel has that family."""
    return f"/bin/sh -c '[ ! -e /proc/sys/net/{proof} ] || ip {family} rule | grep -q \"^{PROHIBITION}:.* iif {interface} .*prohibit\"'"


def _routes_unit(routes: tuple[Route, ...]) -> str:
    """One that cannot be set keeps none of the others from being set; then the unit fails."""
    steps = [f"ExecStart=-ip route replace {route.destination} via {route.via} proto static\n" for route in routes]
    steps += [f"ExecStart=/bin/sh -c 'ip route show exact {route.destination} | grep -q \"via {route.via} \"'\n" for route in routes]
    steps.append(f"ExecStartPost={BOOTED}\n")
    return f"""{GENERATED}[Unit]
Description=Routes of wg-office
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
{"".join(steps)}
[Install]
WantedBy=multi-user.target
"""


def render_drop_in(service: str) -> str:
    """For a service that may take rules along: those that run are loaded again before it counts as started, reloaded or stopped."""
    load, then = [f"-+{_load(f'{RUNNING}/files', name)}" for name in RULES], f"-+/bin/sh {RUNNING}/files/after-load"
    steps = {"ExecStartPost": [*load, *_WHEN_STARTED.get(service, ()), then], "ExecReload": [*load, then], "ExecStopPost": [*load, then]}
    return f"{GENERATED}[Service]\n" + "".join(f"{when}={step}\n" for when, each in steps.items() for step in each)


_WHEN_STARTED = {"firewalld": ("-+/bin/sh -c 'exec timeout 60 sh -c \"until firewall-cmd -q --state; do sleep 0.5; done\"'",)}
"""What is waited for besides. For systemd firewalld has started when it has its name on the bus; it answers once its rules are loaded, and
until 1.0 (Debian 11) it takes away those of iptables before that, our hand-over among them, and leaves their policies.
"""


def render_watch_unit() -> str:
    """Beside firewalld: a reload of it takes the hand-over's iptables rules along, and tells the bus alone."""
    signal = "type='signal',interface='org.fedoraproject.FirewallD1',member='Reloaded'"
    each = f'case "$$line" in *Member=Reloaded*) /bin/sh {RUNNING}/files/after-load ;; esac'
    watch = f'busctl monitor --match "{signal}" | while read -r line; do {each}; done'
    return f"""{GENERATED}[Unit]
Description=Rules of wg-office after each reload of firewalld
BindsTo=firewalld.service
After=firewalld.service dbus.service

[Service]
ExecStart=/bin/sh -c {_quoted(watch)}
Restart=always
"""


def _quoted(command: str) -> str:
    """One argument of a unit's command line."""
    escaped = command.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def render_watch_drop_in() -> str:
    """firewalld brings its watch along."""
    return f"{GENERATED}[Unit]\nWants={WATCH_UNIT}\n"


def _follow(tunnel: Tunnel, keys: Keys) -> Iterator[File]:
    """Where the hub is dialled at a name: what is looked up, and the units that do it beside everything else."""
    peer = tunnel.follows
    if peer is None or peer.endpoint is None:
        return
    looked_up = (tunnel.interface, peer.endpoint.host, peer.endpoint.port, peer.inside, keys[peer.name].public_key)
    yield File("endpoint", " ".join(map(str, looked_up)) + "\n")
    yield File(f"/etc/systemd/system/{FOLLOW_UNIT}.service", render_follow_service())
    yield File(f"/etc/systemd/system/{FOLLOW_UNIT}.timer", render_follow_timer())
    yield File("/etc/systemd/system/systemd-networkd.service.d/50-wg-office-endpoint.conf", render_follow_drop_in())


def render_follow_service() -> str:
    """One look-up. It counts as started at once, so that neither a boot nor a change ever waits for a name server."""
    return f"""{GENERATED}[Unit]
Description=Address of the hub, by its name
ConditionPathExists=/etc/wg-office/current/files/endpoint
After=systemd-networkd.service

[Service]
Type=simple
ExecStart=/bin/bash /etc/wg-office/current/files/follow-endpoint
LogLevelMax=notice
"""


def render_follow_timer() -> str:
    """A look-up each minute: with the time that it may take itself, and a packet unanswered, three minutes are never reached."""
    return f"""{GENERATED}[Unit]
Description=Address of the hub, by its name, each minute

[Timer]
OnActiveSec=0
OnUnitInactiveSec=60
AccuracySec=5
"""


def render_follow_drop_in() -> str:
    """networkd has just made the tunnel anew, and knows no address of the hub."""
    return f"{GENERATED}[Unit]\nWants={FOLLOW_UNIT}.timer {FOLLOW_UNIT}.service\n"


def ends(policy: FirewallPolicy) -> tuple[Moment, ...]:
    """When something of what a host enforces ends by itself, in order."""
    rules = (*policy.from_tunnel, *policy.to_tunnel, *policy.to_host)
    return tuple(sorted({rule.until for rule in rules if rule.until is not None}))


def _until(policy: FirewallPolicy) -> Iterator[File]:
    """The rules end by the clock. The units have the host remember it, and forget the connections that ended."""
    if ends(policy):
        yield File(f"/etc/systemd/system/{UNTIL_UNIT}.service", render_until_service())
        yield File(f"/etc/systemd/system/{UNTIL_UNIT}.timer", render_until_timer(ends(policy)))


def render_until_service() -> str:
    """What has ended stays so, whatever the clock says later."""
    return f"""{GENERATED}[Unit]
Description=What of wg-office has ended by itself
ConditionPathExists={CURRENT}
After=wg-office.service

[Service]
Type=oneshot
ExecStart=/bin/bash {CURRENT}/wg-office ended
"""


def render_until_timer(moments: tuple[Moment, ...]) -> str:
    """At each end, also at one that passed while the host was off."""
    elapses = "".join(f"OnCalendar={moment.calendar}\n" for moment in moments)
    return f"""{GENERATED}[Unit]
Description=What of wg-office ends by itself

[Timer]
{elapses}Persistent=true
AccuracySec=1s
"""


def render_description(host: HostPlan, keys: Keys, deployment: str, scripts: Scripts, repair: str | None = None) -> str:
    """The one text that a host is given: who it is, its files, and last the script that brings it there.

    It holds no secret. The operator's connection stands in it as a comment, because Pulumi shows the connection itself as a secret.
    `repair` is a stamp: a new one makes the text differ, so that the host is dialled and all of it applied again.
    Raises ValueError where a file's line would be taken for a section mark.
    """
    header = [
        "# wg-office description 1",
        f"# {host.name}, {host.role} of {host.environment}; reached as {host.ssh.address}{_jump(host)}, "
        f"host key {host.ssh.host_key_fingerprint}",
        f"deployment {deployment}",
        f"host {host.name}",
        f"role {host.role}",
        f"rollback-after {host.rollback_after}",
    ]
    if host.policy is not None:
        header += [f"firewall {host.firewall}", f"mark {host.policy.mark:#x}"]
    if host.tunnel is not None:
        header.append(f"interface {host.tunnel.interface}")
    if host.takes_over is not None:
        header.append(f"takes-over {host.takes_over}")
    header += [f"{CARRIES} {name}" for name in host.carries]
    if repair is not None:
        header.append(f"repair {repair}")
    beside = [File("flows.awk", scripts.flows), File("after-load", scripts.after_load)] if host.policy is not None else []
    if host.tunnel is not None and host.tunnel.follows is not None:
        beside.append(File("follow-endpoint", scripts.follow))
    files = [*render_files(host, keys), *beside]
    return "\n".join(header) + "\n" + "".join(_section(file) for file in files) + f"{SCRIPT_MARK}\n{scripts.host}"


def _jump(host: HostPlan) -> str:
    """The machine on the way, which the connection hides as well; the hub has a description of its own."""
    if host.through is None or host.ssh.via == HUB:
        return ""
    return f" through {host.through.address} (host key {host.through.host_key_fingerprint})"


def _section(file: File) -> str:
    if any(line.startswith("---- ") for line in file.text.splitlines()):
        raise ValueError(f"{file.path} has a line that starts like a section mark")
    return f"---- file {file.path} 0644\n{file.text}"
