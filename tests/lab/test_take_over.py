"""A host that was installed before the one judge is taken over: nothing is left behind, and a roll-back gives it its own rules again."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbox import OWNER, UNCONFIRMED, Office, Sandbox, planned

from wg_office.hosts import hostscript
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "3369bfa"
RENDER = """
import json, sys
from pathlib import Path
from wg_office import hostscript, keys
from wg_office.load import load
from wg_office.plan import hub_plan
from wg_office.render import render_description
environment = load(Path("configs/dev.yaml"), require_host_keys=False)
hub = environment.hub.model_copy(update={"firewall": sys.argv[1]})
plan = hub_plan(environment.model_copy(update={"hub": hub}))
secrets = {peer.name: peer.name.ljust(keys.SECRET_LENGTH, "x") for peer in environment.peers}
names = {name: keys.names(secret, keys.private_key(secret)) for name, secret in secrets.items()}
print(render_description(plan, names, sys.argv[2], hostscript.scripts()), end="")
"""
RULES = (
    "{ nft -s list ruleset | grep -v '^$'; iptables-save | grep WG; ip rule; ip -6 rule; }"
    " | sed 's/counter packets.*bytes [0-9]*/counter/' | sort"
)
LINKS = "find /etc /run/systemd/network /run/sysctl.d -lname '*wg-office*' 2>/dev/null | sort"


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as it was."""
    folder = tmp_path_factory.mktemp("before")
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", BEFORE], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


@pytest.fixture(params=["nftables", "iptables"])
def host(request: pytest.FixtureRequest, old_tree: Path) -> Iterator[Office]:
    environment = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
    rendered = subprocess.run(
        [sys.executable, "-c", RENDER, request.param, OWNER], cwd=old_tree, capture_output=True, text=True, check=True
    ).stdout
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, environment, planned(environment, "hub"))
        old = OldOffice(sandbox, environment, planned(environment, "hub"))
        old.text = rendered
        old.install()
        assert "-A WG_OFFICE_INPUT" in sandbox.run("iptables-save").stdout
        yield office


class OldOffice(Office):
    """The same host, as the program before brought it up."""

    text = ""

    def description(self, repair: str | None = None, edit: Callable[[str], str] = str) -> str:
        return edit(self.text)


def test_nothing_of_the_old_rules_is_left_behind(host: Office) -> None:
    host.install()
    assert "WG_OFFICE" not in host.sandbox.run("iptables-save; ip6tables-save").stdout
    assert "jump from-tunnel" in host.sandbox.shell("nft list table inet wg_office")
    assert [name for name in ("/etc/systemd/network/", "/etc/sysctl.d/") if name in host.sandbox.shell(LINKS)] == []
    assert host.drift() == []
    removed = host.sandbox.run(hostscript.remove_command("root"), host.description())
    assert removed.returncode == 0, removed.stderr
    assert [word for word in ("wg_office", "WG", "prohibit") if word in host.sandbox.run(RULES).stdout] == []
    assert host.sandbox.shell(LINKS) == ""


def test_a_take_over_that_nobody_confirms_gives_the_old_rules_back(host: Office) -> None:
    before = host.sandbox.shell(RULES)
    done = host.sandbox.run(hostscript.apply_command("root"), host.description())
    assert done.returncode == UNCONFIRMED, done.stderr
    assert host.sandbox.shell(RULES) != before
    host.sandbox.shell(
        "bash /etc/wg-office/gen/$(cut -d' ' -f1 /run/wg-office/armed)/wg-office rollback $(cut -d' ' -f2 /run/wg-office/armed)"
    )
    assert host.sandbox.shell(RULES) == before
    assert "/run/" not in host.sandbox.shell(LINKS)
