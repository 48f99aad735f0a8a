"""A network made by hand with the article's own commands, on real hosts with real wg-quick: adopted while e's ping of d goes on.

From the first `up` on it is ours, at each host's next boot networkd's, and with `destroy` wg-quick's again. In the order of this file.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from deployment import CLONE, TUNNEL_HOSTS, B, D, Deployment, disconnect, fresh, job_stack, looks
from pings import lost, pinging
from test_main_job import difference
from test_status import asked, findings

from lab import Lab
from wg_office.hosts import keys

SECRETS = {name: name.ljust(keys.SECRET_LENGTH, "x") for name in ("z", "a", "c", "e")}
PRIVATE = {name: keys.private_key(secret) for name, secret in SECRETS.items()}
PUBLIC = {name: keys.public_key(private) for name, private in PRIVATE.items()}
PSK = keys.preshared_key(SECRETS["e"])

OPEN = "iptables -{} FORWARD -i wg0 -j ACCEPT; iptables -{} FORWARD -o wg0 -j ACCEPT"
MASQUERADE = "iptables -t nat -{} POSTROUTING -o eth0 -j MASQUERADE"


def wg_quick(name: str, address: str, hooks: str, *peers: str) -> str:
    """An interface as the article types it."""
    lines = ["[Interface]", f"Address = {address}", f"PrivateKey = {PRIVATE[name]}", "MTU = 1380"]
    lines += [f"PostUp = {hooks.replace('{}', 'A')}", f"PostDown = {hooks.replace('{}', 'D')}"] if hooks else []
    return "\n".join(lines + (["ListenPort = 51820"] if name == "z" else []) + list(peers)) + "\n"


def peer(name: str, allowed: str, *more: str) -> str:
    return "\n".join(["", f"# {name}", "[Peer]", f"PublicKey = {PUBLIC[name]}", f"AllowedIPs = {allowed}", *more])


HUB = peer("z", "10.70.0.0/16", "Endpoint = 203.0.113.10:51820", "PersistentKeepalive = 15")
HUB_OF_E = peer(
    "z",
    "10.70.0.0/16, 192.168.201.0/24, 192.168.200.0/24",
    f"PresharedKey = {PSK}",
    "Endpoint = 203.0.113.10:51820",
    "PersistentKeepalive = 15",
)
FILES = {
    "z": wg_quick(
        *("z", "10.70.0.1/16", OPEN),
        *(peer("a", "10.70.0.2/32, 192.168.201.0/24"), peer("c", "10.70.0.3/32, 192.168.200.0/24")),
        peer("e", "10.70.0.4/32", f"PresharedKey = {PSK}"),
    ),
    "a": wg_quick("a", "10.70.0.2/32", f"{OPEN}; {MASQUERADE}", HUB),
    "c": wg_quick("c", "10.70.0.3/32", f"{OPEN}; {MASQUERADE}", HUB),
    "e": wg_quick("e", "10.70.0.4/32", "", HUB_OF_E),
}
BY_HAND = """
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/99-wireguard.conf && sysctl -q -p /etc/sysctl.d/99-wireguard.conf
systemctl -q enable --now wg-quick@wg0
"""


@dataclass
class Made:
    """The network as it was made, and then as a deployment."""

    job: Deployment
    interfaces: dict[str, str]


def interface(lab: Lab, host: str) -> str:
    """Its number: another one is another interface, whose sessions are new."""
    return lab.get(host, "/sys/class/net/wg0/ifindex").strip()


@pytest.fixture(scope="module")
def by_hand(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    fresh(lab)
    for host in TUNNEL_HOSTS:
        lab.put(host, "/etc/wireguard/wg0.conf", FILES[host], mode=0o600)
        lab.exec(host, ["sh", "-c", BY_HAND])
    lab.put("e", "/etc/wireguard/office.conf", FILES["e"], mode=0o600)
    lab.exec("e", ["wg-quick", "up", "office"])
    stack, environment_file = job_stack(tmp_path_factory.mktemp("adopt") / "job", lab)
    job = Deployment(lab, stack, environment_file)
    assert job.comes_to_reach("e", D)
    assert job.comes_to_reach("e", B)
    job.before = looks(lab)
    yield Made(job, {host: interface(lab, host) for host in TUNNEL_HOSTS})
    disconnect(lab, "e")
    lab.reset_nodes(TUNNEL_HOSTS)


@pytest.fixture(scope="module")
def adopted(by_hand: Made) -> Made:
    """`adopt`, the commands that it prints, and the first `up`, all while e pings d."""
    job = by_hand.job
    lab, out = job.lab, job.stack.folder / "job.yaml"
    ways = [
        word for name, site in (("a", "shenzhen"), ("c", "beijing")) for word in ("--gateway", f"{site}=root@127.0.0.1:{lab.port(name)}")
    ]
    command = [sys.executable, "-m", "wg_office", "adopt", "--hub", f"root@127.0.0.1:{lab.port('z')}", *ways, "-o", str(out)]
    command += ["--known-hosts", str(lab.known_hosts), "--key", str(lab.key), "--json"]
    with pinging(lab, "e", D) as answered:
        done = subprocess.run(command, cwd=CLONE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        # Emulated hosts take longer over a change than real ones are given to confirm it.
        out.write_text(out.read_text().replace("network: {", "network: {rollback_after: 600, ", 1))
        for line in json.loads(done.stdout)["commands"]:
            if line == "pulumi up":
                job.up()
            else:
                typed = subprocess.run(
                    ["bash", "-c", line], cwd=job.stack.folder, env=job.stack.environment, capture_output=True, text=True, check=False
                )
                assert typed.returncode == 0, (line, typed.stdout, typed.stderr)
    assert lost(answered) == []
    job.environment_file = out
    return by_hand


def test_the_network_is_ours_and_no_packet_was_lost(adopted: Made) -> None:
    lab = adopted.job.lab
    assert {host: interface(lab, host) for host in TUNNEL_HOSTS} == adopted.interfaces
    assert not any(findings(asked(adopted.job)).values())
    adopted.job.stack.pulumi("preview", "--expect-no-changes")


def test_nobody_gets_another_key(adopted: Made) -> None:
    listed = dict(line.split() for line in adopted.job.outputs["public_keys"].splitlines())
    assert sorted(listed.values()) == sorted(PUBLIC.values())


def test_access_is_enforced_from_now_on(adopted: Made) -> None:
    file = adopted.job.environment_file
    was = file.read_text()
    with pinging(adopted.job.lab, "e", D) as answered:
        file.write_text(was.replace("access: [shenzhen, beijing]", "access: [beijing]"))
        assert file.read_text() != was
        adopted.job.up()
        assert not adopted.job.reaches("e", B)
    assert lost(answered) == []
    file.write_text(was)
    adopted.job.up()
    assert adopted.job.reaches("e", B)


def test_after_a_boot_networkd_makes_the_tunnel_with_the_same_keys(adopted: Made) -> None:
    lab = adopted.job.lab
    lab.reboot("c")
    assert adopted.job.comes_to_reach("e", D)
    assert "configured" in lab.exec("c", ["networkctl", "list", "wg0"]).stdout
    assert not any(findings(asked(adopted.job)).values())


def test_destroy_gives_all_of_it_back_to_wg_quick(adopted: Made) -> None:
    job = adopted.job
    job.stack.destroy()
    assert job.comes_to_reach("e", D)
    assert job.comes_to_reach("e", B)
    now = looks(job.lab)
    assert {host: difference(job.before[host], now[host]) for host in now} == {host: [] for host in now}
    for host in TUNNEL_HOSTS:
        assert job.lab.exec(host, ["systemctl", "is-enabled", "wg-quick@wg0"]).stdout == "enabled\n"
        assert job.lab.exec(host, ["systemctl", "is-active", "wg-quick@wg0"]).stdout == "active\n"
