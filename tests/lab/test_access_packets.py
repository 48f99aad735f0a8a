"""Who reaches what, by the real program with real WireGuard: the same office beside each other firewall in turn, on hub and gateway c.

Gateway a says iptables throughout. Each word is reached by an `up` that changes it under open connections. What one host decides in
each single case is in test_firewall_packets.py.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployment import HOSTS, LAPTOPS, VPN, D, Deployment, E, F, do_by_hand, fresh, job_stack
from endpoints import Stream, hammering, probe, serving, watching_packets

from lab import Lab

CLONE = Path(__file__).resolve().parent.parent.parent
# `make test` has the same rules meet packets beside the same firewalls in namespaces.
pytestmark = pytest.mark.matrix
BACKENDS = ("iptables", "nftables", "firewalld")
GATEWAY_LAN, LAN1 = "192.168.200.248", "192.168.201.0/24"
STATIC, MASQUERADE = "return_path: static-route\n    router: {address: 192.168.200.1}", "return_path: masquerade"
RETURN_PATHS = {"nftables": STATIC, "iptables": MASQUERADE, "firewalld": MASQUERADE}

ENVIRONMENT = """\
environment: job
known_hosts: {known_hosts}
# On a busy machine firewalld takes its time.
network: {{cidr: 10.70.0.0/16, cidr6: fd70::/64, rollback_after: 300}}
hub:
  name: z
  address: 10.70.0.1
  endpoint: 203.0.113.10:51820
  firewall: {backend}
  ssh: {{host: 127.0.0.1, port: {z}}}
gateways:
  - name: a
    site: shenzhen
    address: 10.70.0.2
    lan: {{cidr: 192.168.201.0/24, address: 192.168.201.247}}
    firewall: iptables
    ssh: {{host: 127.0.0.1, port: {a}}}
    router: {{address: 192.168.201.1, ssh: {{host: 127.0.0.1, port: {r1}}}}}
  - name: c
    site: beijing
    address: 10.70.0.3
    lan: {{cidr: 192.168.200.0/24, address: 192.168.200.248}}
    firewall: {backend}
    {return_path}
    ssh: {{host: 127.0.0.1, port: {c}}}
developers:
  - name: e
    address: 10.70.0.4
    access: [{of_e}{{developer: f}}]
  - name: f
    address: 10.70.0.5
    access:
      - {{site: beijing, hosts: [192.168.200.244], ports: [443/tcp, icmp]}}
      - {{developer: e, ports: [icmp]}}
links:
  - {{from: shenzhen, to: beijing, hosts: [192.168.200.244], ports: [5432/tcp]}}
"""

# Each attempt and what must become of it: the hub refuses aloud, the gateways are silent.
EXPECTED = {
    "e": {
        f"{D} 22": "open",
        f"{D} icmp": "open",
        f"{F} 9000": "open",
        "fd70::5 9000": "open",
        "192.168.201.50 22": "prohibited",
        "10.70.0.1 22": "prohibited",
        "10.70.0.3 22": "prohibited",
        f"{GATEWAY_LAN} 22": "silence",
        "fd70::1 22": "prohibited",
        "fd70::3 22": "prohibited",
    },
    "f": {
        f"{D} 443": "open",
        f"{D} icmp": "open",
        f"{E} icmp": "open",
        f"{D} 22": "prohibited",
        f"{E} 9000": "prohibited",
        "fd70::4 9000": "prohibited",
        "10.70.0.1 22": "prohibited",
    },
    # Nothing of ours filters what the hub sends; the gateway does.
    "z": dict.fromkeys([f"{D} 22", f"{D} icmp", "10.70.0.3 22", f"{GATEWAY_LAN} 22", "fd70::3 22"], "silence"),
    "d": dict.fromkeys([f"{E} 9000", f"{E} icmp", "10.70.0.1 22"], "silence"),
    "b": {f"{D} 5432": "open", f"{D} 22": "silence", f"{E} 9000": "silence"},
}
WITHOUT_E = {**EXPECTED, "e": {**EXPECTED["e"], f"{D} 22": "prohibited", f"{D} icmp": "prohibited", f"{GATEWAY_LAN} 22": "prohibited"}}

FOREIGN = """
iptables -P FORWARD DROP
iptables -S DOCKER-USER 2>/dev/null || { iptables -N DOCKER-USER; iptables -A DOCKER-USER -j RETURN; iptables -I FORWARD -j DOCKER-USER; }
nft list table inet foreign 2>/dev/null || nft add table inet foreign '{ chain c { type filter hook forward priority 5; counter; }; }'
"""
# netfilter-persistent as Debian ships it puts back what was saved, and with it takes away what was not.
RESTORER = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'printf "*filter\\n:FORWARD DROP\\nCOMMIT\\n*nat\\nCOMMIT\\n*mangle\\nCOMMIT\\n" | iptables-restore'
"""
DISTURBANCES = {
    "nftables": ["systemctl start nftables", "systemctl reload nftables", "systemctl restart nftables", "systemctl stop nftables"],
    "iptables": ["systemctl restart nftables", "systemctl restart netfilter-persistent"],
    "firewalld": ["firewall-cmd -q --reload", "systemctl restart firewalld"],
}


def write(job: Deployment, backend: str, *, with_e: bool = True) -> None:
    """The environment file with this backend on z and c; e may reach the LAN of Beijing, or not."""
    ports = {name: job.lab.port(name) for name in HOSTS}
    of_e = "beijing, " if with_e else ""
    text = ENVIRONMENT.format(known_hosts=job.lab.known_hosts, backend=backend, return_path=RETURN_PATHS[backend], of_e=of_e, **ports)
    job.environment_file.write_text(text)


@pytest.fixture(scope="module")
def job(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The first `up`, with nftables, on hosts that have rules of Docker's kind; servers and laptops in place."""
    fresh(lab)
    stack, environment_file = job_stack(tmp_path_factory.mktemp("access"), lab)
    job = Deployment(lab, stack, environment_file, before={})
    plant_foreign_rules(lab)
    write(job, "nftables")
    # What the program asks a person to do; it changes nothing where the gateway masquerades.
    lab.exec("r2", ["ip", "route", "replace", VPN, "via", GATEWAY_LAN])
    with serving(lab, {"d": [22, 443, 5432], "b": [22], "e": [9000], "f": [9000]}):
        job.up()
        for laptop in LAPTOPS:
            job.connect(laptop)
            assert job.comes_to_reach(laptop, D)
        yield job


@dataclass(frozen=True)
class Switched:
    """The backend that is in force, and what was seen while it took the place of the one before."""

    backend: str
    stream: str
    rounds: dict[str, int]
    opened: dict[str, int]
    leaked: list[str]


@pytest.fixture(scope="module", params=BACKENDS)
def switched(job: Deployment, request: pytest.FixtureRequest) -> Switched:
    """An `up` that changes the firewall of hub and gateway, while f's connection is open and others try what they may not."""
    backend = request.param
    if backend != "firewalld":
        plant_foreign_rules(job.lab)  # c has started again since
    write(job, backend)
    with ExitStack() as around:
        stream = around.enter_context(Stream(job.lab, "f", D, 443))
        if backend == "firewalld":
            start_firewalld(job.lab)  # which lets nothing new through the tunnel until our zone is there
        at_d = around.enter_context(watching_packets(job.lab, "d", "eth0", "src host 10.70.0.1"))
        at_e = around.enter_context(watching_packets(job.lab, "e", "e", "tcp dst port 9000"))
        by_f = around.enter_context(hammering(job.lab, "f", [f"{E} 9000"]))
        by_z = around.enter_context(hammering(job.lab, "z", [f"{D} 22", "10.70.0.3 22"]))
        job.up()
        state = "goes on" if stream.goes_on() else stream.end
        around.pop_all().close()
    do_by_hand(job)
    if backend == "firewalld":
        plant_foreign_rules(job.lab)
    return Switched(backend, state, {"f": by_f[0], "z": by_z[0]}, {"f": by_f[1], "z": by_z[1]}, at_d + at_e)


def plant_foreign_rules(lab: Lab) -> None:
    """What Docker does when it starts, and whenever firewalld was reloaded, which takes away all of iptables' rules."""
    for host in ("z", "c"):
        lab.exec(host, ["sh", "-ec", FOREIGN])


def start_firewalld(lab: Lab) -> None:
    """What its administrator does: start it, and let WireGuard in at the hub."""
    for host in ("z", "c"):
        lab.exec(host, ["systemctl", "enable", "--now", "firewalld"])
    lab.exec("z", ["firewall-cmd", "-q", "--add-port=51820/udp"])
    lab.exec("z", ["firewall-cmd", "-q", "--permanent", "--add-port=51820/udp"])


@contextmanager
def without_static_route(lab: Lab) -> Iterator[None]:
    """The LAN's router does not know the way back."""
    lab.exec("r2", ["ip", "route", "del", VPN])
    yield
    lab.exec("r2", ["ip", "route", "replace", VPN, "via", GATEWAY_LAN])


def otherwise(job: Deployment, expected: dict[str, dict[str, str]]) -> dict[str, str]:
    """The attempts that come to something else than they must."""
    found = probe(job.lab, {node: list(targets) for node, targets in expected.items()})
    return {f"{node} to {to}": found[node][to] for node in expected for to in expected[node] if found[node][to] != expected[node][to]}


def test_no_forbidden_packet_passes_and_no_allowed_flow_breaks_while_the_backend_changes(switched: Switched) -> None:
    assert switched.stream == "goes on"
    assert min(switched.rounds.values()) > 10
    assert (switched.opened, switched.leaked) == ({"f": 0, "z": 0}, [])


def test_what_is_granted_is_reached_and_nothing_else(job: Deployment, switched: Switched) -> None:
    assert otherwise(job, EXPECTED) == {}


def test_a_source_that_is_not_the_peers_own_is_dropped(job: Deployment, switched: Switched) -> None:
    ping = ["ping", "-n", "-c3", "-i0.3", "-W2", "-s", "333", D]
    job.lab.exec("e", ["ip", "address", "add", "10.70.0.99/32", "dev", "e"])
    job.lab.exec("e", ["ip", "address", "add", f"{F}/32", "dev", "e"])
    try:
        with watching_packets(job.lab, "c", "wg0", "icmp[icmptype] == icmp-echo and greater 350") as lines:
            assert job.lab.exec("e", ping, check=False).returncode == 0
            for forged in (F, "10.70.0.99"):
                assert job.lab.exec("e", [*ping, "-I", forged], check=False).returncode != 0
    finally:
        job.lab.exec("e", ["sh", "-c", f"ip address del 10.70.0.99/32 dev e; ip address del {F}/32 dev e"])
    assert {source(line) for line in lines} == {E}


def source(line: str) -> str:
    """The sender in a line of tcpdump."""
    return str(re.findall(r"IP (\d+\.\d+\.\d+\.\d+) > ", line)[0])


def test_devices_see_the_gateway_with_masquerade_and_the_developer_without(job: Deployment, switched: Switched) -> None:
    masquerades = RETURN_PATHS[switched.backend] == MASQUERADE
    job.lab.exec("c", ["ip", "address", "add", "192.168.77.2/32", "dev", "lo"])
    job.lab.exec("d", ["ip", "route", "replace", "192.168.77.2/32", "via", GATEWAY_LAN])
    with ExitStack() as around:
        if masquerades:
            around.enter_context(without_static_route(job.lab))
        with watching_packets(job.lab, "d", "eth0", "icmp[icmptype] == icmp-echo") as from_vpn:
            assert job.comes_to_reach("e", D)
        with watching_packets(job.lab, "d", "eth0", "icmp[icmptype] == icmp-echo") as from_elsewhere:
            job.lab.exec("c", ["ping", "-n", "-c2", "-i0.3", "-I", "192.168.77.2", D])
    assert {source(line) for line in from_vpn} == {GATEWAY_LAN if masquerades else E}
    assert {source(line) for line in from_elsewhere} == {"192.168.77.2"}


def test_foreign_rules_are_as_they_were(job: Deployment, switched: Switched) -> None:
    for host in ("z", "c"):
        rules = job.lab.exec(host, ["iptables-save", "-t", "filter"]).stdout.splitlines()
        foreign = [re.sub(r" \[.*", "", line) for line in rules if "DOCKER" in line or ":FORWARD" in line]
        assert foreign == [":FORWARD DROP", ":DOCKER-USER -", "-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"]
        assert "counter packets" in job.lab.exec(host, ["nft", "list", "table", "inet", "foreign"]).stdout


def test_strict_reverse_path_filtering_takes_nothing_away_that_is_granted(job: Deployment, switched: Switched) -> None:
    before = {host: job.lab.exec(host, ["sysctl", "-n", "net.ipv4.conf.all.rp_filter"]).stdout.strip() for host in ("z", "a", "c")}
    try:
        for host in before:
            job.lab.exec(host, ["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"])
        assert otherwise(job, EXPECTED) == {}
    finally:
        for host, value in before.items():
            job.lab.exec(host, ["sysctl", "-qw", f"net.ipv4.conf.all.rp_filter={value}"])


def test_rules_stand_whatever_is_done_to_the_firewalls_own_services(job: Deployment, switched: Switched) -> None:
    job.lab.put("c", "/etc/systemd/system/netfilter-persistent.service", RESTORER)
    job.lab.exec("c", ["systemctl", "daemon-reload"])
    forbidden = {"z": {f"{D} 22": "silence", "10.70.0.3 22": "silence"}}
    for command in DISTURBANCES[switched.backend]:
        job.lab.exec("c", command.split())
        assert otherwise(job, forbidden) == {}, command
        assert job.comes_to_reach("f", D), command


def test_rules_stand_after_a_reboot(job: Deployment, switched: Switched) -> None:
    job.lab.reboot("c")
    assert job.comes_to_reach("e", D)
    assert otherwise(job, EXPECTED) == {}


def test_an_open_connection_ends_when_its_permission_is_withdrawn_and_anothers_goes_on(job: Deployment, switched: Switched) -> None:
    write(job, switched.backend, with_e=False)
    with Stream(job.lab, "e", D, 22) as of_e, Stream(job.lab, "f", D, 443) as of_f:
        job.up()
        assert of_e.ended()
        assert of_e.end == "reset"
        assert of_f.goes_on()
    assert otherwise(job, WITHOUT_E) == {}


def test_who_reaches_what_is_a_stack_output(job: Deployment) -> None:
    rows = [re.split(" {2,}", line) for line in job.outputs["access"].splitlines()]
    assert ["developer f", f"site beijing ({D})", "443/tcp, icmp", "z, c"] in rows
