"""A host that starts again has a tunnel, and forwards, only if its rules stand: whatever file is damaged, whatever tool fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from bootunit import UNIT, boot, forwards
from sandbox import Office, Sandbox

from wg_office.hosts.render import BOOTED, CURRENT, render_files
from wg_office.network.plan import plan
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
NETDEV = "/run/systemd/network/50-wg0.netdev"
RULES = "nft -s list table inet wg_office_host; nft -s list table inet wg_office; ip -4 rule; ip -6 rule"
GENERATED = ("wg-office", "description", "files/host.nft", "files/flows.awk", "files/after-load")
DAMAGES = {
    "missing": "rm {}",
    "empty": ": >{}",
    "truncated": "truncate -s -$(($(stat -c %s {}) / 3)) {}",
    "cut after its first lines": "sed -i 3q {}",
    "unreadable": "rm {} && mkdir {}",
}
TOOLS = ("nft", "ip", "grep", "sh", "ln", "mkdir", "sysctl")


@pytest.fixture(scope="module")
def host() -> Iterator[Office]:
    environment = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
    hub = plan(environment)[0]
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, environment, hub)
        office.install()
        sandbox.shell(f"cp -a $(readlink -f {CURRENT}) /dev/shm/kept")
        yield office


@pytest.fixture(scope="module")
def rules(host: Office) -> str:
    assert boot(host.sandbox)
    assert networkd_knows(host)
    return host.sandbox.shell(RULES)


def networkd_knows(host: Office) -> bool:
    return host.sandbox.run(f"test -e {NETDEV} || test -L {NETDEV}").returncode == 0


def opened(host: Office, rules: str) -> bool:
    """Whether there is a tunnel, or forwarding, without the rules."""
    return (networkd_knows(host) or bool(forwards(host.sandbox))) and host.sandbox.run(RULES).stdout != rules


def mended(host: Office) -> None:
    host.sandbox.shell(f"rm -rf $(readlink -f {CURRENT})/* && cp -a /dev/shm/kept/. $(readlink -f {CURRENT})/")


def files(host: Office) -> list[str]:
    """All but the drop-ins of other services, of which each is like the others."""
    named = [file.path.removeprefix("/") for file in render_files(host.plan, host.names) if ".service.d/" not in file.path]
    return [*GENERATED, *(f"files/{name}" for name in named)]


def test_a_healthy_host_comes_up_with_the_rules_that_were_applied(host: Office, rules: str) -> None:
    assert "jump from-tunnel" in rules
    assert forwards(host.sandbox) == {4}
    assert rules.count(" iif wg0 prohibit") == 2 or rules.count(" prohibit\n") == 2
    assert host.sandbox.run(f"readlink -f {NETDEV}").stdout.strip().endswith("files/run/systemd/network/50-wg0.netdev")


def test_whatever_file_is_damaged_there_is_neither_tunnel_nor_forwarding_without_the_rules(host: Office, rules: str) -> None:
    open_by: list[str] = []
    for file in files(host):
        for name, damage in DAMAGES.items():
            host.sandbox.shell(f"cd $(readlink -f {CURRENT}) && " + damage.replace("{}", file))
            boot(host.sandbox)
            if opened(host, rules):
                open_by.append(f"{file} {name}")
            mended(host)
    assert open_by == []


@pytest.mark.parametrize("file", ["files/nftables.nft", "files/host.nft"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_without_rules_there_is_neither_tunnel_nor_forwarding_at_all(host: Office, rules: str, file: str, damage: str) -> None:
    host.sandbox.shell(f"cd $(readlink -f {CURRENT}) && " + DAMAGES[damage].replace("{}", file))
    assert not boot(host.sandbox)
    assert not networkd_knows(host)
    assert not forwards(host.sandbox)
    mended(host)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("fails", ["exit 1", "exit 0"])
def test_whatever_tool_fails_there_is_neither_without_the_rules(host: Office, rules: str, tool: str, fails: str) -> None:
    host.sandbox.shell(
        f"mkdir -p /run/broken-{tool} && printf '#!/bin/bash\\n{fails}\\n' >/run/broken-{tool}/{tool} && chmod +x /run/broken-{tool}/{tool}"
    )
    boot(host.sandbox, path=f"/run/broken-{tool}")
    assert not opened(host, rules)


def test_no_generation_means_no_tunnel(host: Office, rules: str) -> None:
    host.sandbox.shell(f"mv {CURRENT} {CURRENT}.kept")
    assert not boot(host.sandbox)
    assert not networkd_knows(host)
    host.sandbox.shell(f"mv {CURRENT}.kept {CURRENT}")


def test_nothing_of_the_hosts_own_links_depends_on_the_unit_and_none_of_its_steps_on_our_program(host: Office) -> None:
    unit = host.sandbox.shell(f"cat {UNIT}")
    assert "Requires" not in unit
    assert "BindsTo" not in unit
    assert "TimeoutStartSec=60" in unit
    assert re.findall(r"^.*wg-office/current/wg-office.*$", unit, re.MULTILINE) == [f"ExecStartPost={BOOTED}"]
    assert BOOTED.startswith("-"), "what fails there fails nothing"


def test_what_an_unconfirmed_change_has_linked_goes_with_the_next_start_and_what_is_damaged_stays(host: Office, rules: str) -> None:
    foreign, ours = "/etc/sysctl.d/60-before.conf", "/etc/systemd/networkd.conf.d/50-wg-office.conf"
    host.sandbox.shell(f"mkdir -p /etc/wg-office/before/files/etc/sysctl.d && echo theirs >/etc/wg-office/before/files{foreign}")
    host.sandbox.shell(f"ln -s {CURRENT}/files{foreign} {foreign}; ln -s {CURRENT}/files/etc/sysctl.d/61.conf /etc/sysctl.d/61.conf")
    host.sandbox.shell(f"mv {CURRENT}/files{ours} /dev/shm/ours")
    assert boot(host.sandbox)
    assert host.sandbox.shell(f"cat {foreign}; ls /etc/sysctl.d/61.conf 2>&1 || true; readlink {ours}").splitlines()[::2] == [
        "theirs",
        f"{CURRENT}/files{ours}",
    ]
    host.sandbox.shell(f"mv /dev/shm/ours {CURRENT}/files{ours}; rm {foreign}")
