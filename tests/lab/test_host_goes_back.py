"""The host script, where a change fails and not all of it can be undone: the operator is told what is left. On a host of namespaces.

The change itself makes what it has set unchangeable, and then fails.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbox import Office, Sandbox, planned

from wg_office.hosts.hostscript import APPLIED_UNCONFIRMED, BUSY, REJECTED, WENT_BACK_BUT
from wg_office.reading.load import load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = load(ROOT / "configs" / "dev.yaml", require_host_keys=False)
MARTIANS = "net.ipv4.conf.all.log_martians"
FREEZE = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"
THAW = "umount /proc/sys"


@pytest.fixture
def host() -> Iterator[Office]:
    with Sandbox("203.0.113.10/24") as sandbox:
        office = Office(sandbox, ENVIRONMENT, planned(ENVIRONMENT, "hub"))
        office.put_keys()
        yield office


class Failing:
    """A description with a setting more, whose application ends with a command that fails."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __call__(self, description: str) -> str:
        return changed(description, f"mark_pending() {{ {self.how}; }}\n")


def changed(description: str, script: str) -> str:
    """With a setting more, and with more in the script."""
    text = description.replace("net.ipv4.ip_forward = 1\n", f"net.ipv4.ip_forward = 1\n{MARTIANS} = 1\n")
    text, end, nothing = text.rpartition('main "$@"; exec true\n')
    assert not nothing
    return f"{text}{script}{end}"


def timer(host: Office) -> str:
    """The unit that is to undo the change, or nothing."""
    return host.sandbox.run("cut -d' ' -f2 /run/wg-office/armed").stdout.strip()


def time_comes(host: Office) -> int:
    """What the timer runs, in its words."""
    return host.sandbox.run(f"bash /etc/wg-office/gen/$(cut -d' ' -f1 /run/wg-office/armed)/wg-office rollback {timer(host)}").returncode


def test_what_can_be_undone_is_and_the_host_holds_its_old_state(host: Office) -> None:
    host.install()
    before = host.look()
    done = host.apply(host.description(edit=Failing("return 1")))
    assert done.returncode == REJECTED
    assert "the host holds its old state" in done.stderr
    assert timer(host) == ""
    assert host.look() == before


def test_a_setting_that_could_not_be_given_back_is_told_and_tried_once_more_by_the_timer(host: Office) -> None:
    host.install()
    before = host.look()
    done = host.apply(host.description(edit=Failing(f"{FREEZE}; return 1")))
    assert done.returncode == WENT_BACK_BUT
    assert f"the host went back, but sysctl {MARTIANS} is 1, not 0. The timer tries once more" in done.stderr
    assert "holds its old state" not in done.stderr
    assert timer(host) != "", "nothing was disarmed"
    assert host.apply(host.description(repair="1")).returncode == BUSY
    host.sandbox.shell(THAW)
    assert time_comes(host) == 0
    assert host.sandbox.shell(f"sysctl -n {MARTIANS}") == "0\n"
    assert timer(host) == ""
    assert host.look() == before


def test_what_the_timer_cannot_undo_either_is_in_the_journal_and_the_next_up_settles_it(host: Office) -> None:
    host.install()
    change = host.description(edit=Failing(f"{FREEZE}; return 1"))
    host.apply(change)
    assert time_comes(host) == WENT_BACK_BUT
    assert f"was not confirmed; but sysctl {MARTIANS} is 1, not 0\n" in host.sandbox.shell("cat /run/stand-in/journal")
    late = host.apply(change)
    assert late.returncode == WENT_BACK_BUT, "a retry is told as much"
    assert f"but sysctl {MARTIANS} is 1, not 0" in late.stderr
    host.sandbox.shell(THAW)
    host.install(repair="1")
    assert host.drift() == []


def test_a_first_change_that_leaves_something_behind_says_so_and_status_too(host: Office) -> None:
    done = host.apply(host.description(edit=Failing(f"{FREEZE}; return 1")))
    assert done.returncode == WENT_BACK_BUT
    assert f"sysctl {MARTIANS} is 1, not 0" in done.stderr
    assert "sysctl net.ipv4.ip_forward is 1, not 0" in done.stderr
    (line,) = host.drift()
    assert line.startswith("after a change was undone, sysctl ")


def test_a_tunnel_that_stays_is_told(host: Office) -> None:
    stubborn = r'ip() { case "$*" in "link del "*) return 1 ;; *) command ip "$@" ;; esac; }'
    text, end, _ = host.description(edit=Failing("return 1")).rpartition('main "$@"; exec true\n')
    done = host.apply(f"{text}{stubborn}\n{end}")
    assert done.returncode == WENT_BACK_BUT
    assert "interface wg0 is still there" in done.stderr


def test_a_change_that_nobody_confirms_goes_back_as_before(host: Office) -> None:
    host.install()
    before = host.look()
    assert host.apply(host.description(edit=Failing("write /run/wg-office/pending $1"))).returncode == APPLIED_UNCONFIRMED
    assert time_comes(host) == 0
    assert timer(host) == ""
    assert host.look() == before


FULL = """
mkdir -p /run/small && mount -t tmpfs -o size=2m,mode=755 small /run/small && cp -a /etc/wg-office/. /run/small/
mount --bind /run/small /etc/wg-office; head -c 3m /dev/zero >/etc/wg-office/filler 2>/dev/null; true
"""
READ_ONLY = "mount --bind /etc /etc; mount -o remount,ro,bind /etc"


def after(function: str, command: str) -> Callable[[str], str]:
    """A description with a setting and a route more, of which one function of the script is followed by a command."""

    def edit(description: str) -> str:
        text = description.replace("[Route]\n", "[Route]\nDestination=198.51.100.0/24\nScope=link\n\n[Route]\n", 1)
        renamed = f'eval "$(declare -f {function} | sed "1s/^/real_/")"'
        return changed(text, f'{renamed}\n{function}() {{ real_{function} "$@"; {command}; }}\n')

    return edit


def test_a_full_disk_is_told_whichever_tool_finds_it(host: Office) -> None:
    host.install()
    before = host.look()
    host.sandbox.shell(FULL)
    done = host.apply(host.description(edit=after("stage", "true")))
    assert (done.returncode, host.look()) == (REJECTED, before), done.stderr
    assert "No space left on device" in done.stderr
    assert "before anything was changed" in done.stderr


@pytest.mark.parametrize("function", ["stage", "mark_pending"])
def test_a_disk_that_takes_nothing_any_more_leaves_the_old_state_and_says_so(host: Office, function: str) -> None:
    host.install()
    before = host.sandbox.shell(f"sysctl {MARTIANS}; nft -s list ruleset | sort; readlink /etc/wg-office/current")
    description = host.description(edit=after(function, READ_ONLY))
    done = host.apply(description)
    if done.returncode == APPLIED_UNCONFIRMED:
        done = host.apply(description)
    assert done.returncode == REJECTED, done.stderr
    assert "Read-only file system" in done.stderr
    assert "the host holds its old state" in done.stderr
    assert host.sandbox.shell(f"sysctl {MARTIANS}; nft -s list ruleset | sort; readlink /etc/wg-office/current") == before
