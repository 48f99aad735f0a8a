"""The host script, where files of the generation in force were lost: it concludes nothing from a file that is not there.

On a host of namespaces.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox import OWNER, Office, Sandbox, planned

from wg_office.hosts import hostscript
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
CURRENT = "/etc/wg-office/current"
LOST = {
    "the tunnel's file": f"rm {CURRENT}/files/run/systemd/network/50-wg0.netdev",
    "the hand-over": f"rm {CURRENT}/files/hand-over.rules",
    "all but the description": f"rm -r {CURRENT}/files",
    "the description": f": >{CURRENT}/description",
    "the description, cut": f"sed -i '/PresharedKeyFile/d' {CURRENT}/description",
}
LOST_WITH_IT = {
    "its link": f"rm {CURRENT}",
    "the generation": "rm -r /etc/wg-office/gen",
}


@pytest.fixture
def host() -> Iterator[Office]:
    with Sandbox("203.0.113.10/24") as sandbox:
        yield Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))


def keys(host: Office) -> list[str]:
    return host.sandbox.shell("ls /etc/wg-office/keys").split()


def forget_all_keys(host: Office) -> None:
    lines = "".join(f"{name} x\n" for name in keys(host))
    done = host.sandbox.run(hostscript.keys_command("root", "forget-keys"), hostscript.key_lines(OWNER, {}) + lines)
    assert done.returncode == 0, done.stderr


def tidy(host: Office) -> None:
    """As where a run was cut short after its commit: the timer ends it."""
    host.sandbox.shell(f"cp {CURRENT}/wg-office /run/program; echo $(basename $(readlink {CURRENT})) late >/run/wg-office/armed")
    host.sandbox.run("bash /run/program rollback late")


@pytest.mark.parametrize("what", LOST)
def test_no_key_in_use_is_taken_away(host: Office, what: str) -> None:
    host.install()
    links = host.sandbox.shell("find /etc /run -lname '/etc/wg-office/*' | sort")
    used = keys(host)
    host.sandbox.shell(LOST[what])
    tidy(host)
    forget_all_keys(host)
    assert keys(host) == used
    assert host.sandbox.shell("find /etc /run -lname '/etc/wg-office/*' | sort") == links


def test_nothing_in_use_is_taken_away_either_where_the_link_to_it_was_lost(host: Office) -> None:
    host.install()
    used = keys(host)
    host.sandbox.shell(f"rm {CURRENT}")
    forget_all_keys(host)
    assert keys(host) == used


def test_keys_that_are_not_used_are_taken_away_when_that_can_be_told_again(host: Office) -> None:
    host.install()
    used = keys(host)
    host.sandbox.shell(f"echo x >/etc/wg-office/keys/unused; rm {CURRENT}/description")
    tidy(host)
    assert "unused" in keys(host)
    host.install(repair="1")
    assert keys(host) == used


@pytest.mark.parametrize("what", ["the hand-over", "all but the description", "the description", *LOST_WITH_IT])
def test_the_removal_takes_away_all_of_it(host: Office, what: str) -> None:
    before = host.look()
    host.install()
    host.sandbox.shell({**LOST, **LOST_WITH_IT}[what])
    host.remove()
    assert host.look() == before


def test_the_removal_is_refused_where_only_another_description_could_tell(host: Office) -> None:
    host.install(repair="1")
    host.sandbox.shell(f"rm {CURRENT}/description")
    done = host.sandbox.run(hostscript.remove_command("root"), host.description())
    assert done.returncode == hostscript.UNFIT
    assert "files of what is installed here were lost, so that it is not known what to take away: have them put back first" in done.stderr
    assert "wg0" in host.sandbox.shell("ip link")
    host.install(repair="2")
    host.remove()
    assert "wg0" not in host.sandbox.shell("ip link")
