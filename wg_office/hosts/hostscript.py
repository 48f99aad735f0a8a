"""The script that runs on hosts, put together from its parts in hostside/wg-office.d, and the constant command lines that start it there.

Room: hosts, the one place that reads files of the project itself. The lines never change with the configuration: a failing command
prints its own text, so what varies goes through stdin. The attempt in front of an update says nothing of it.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from netaddr import IPAddress

from wg_office.hosts.render import Scripts

_PACKAGED = Path(__file__).parent.parent / "hostside"
HOSTSIDE = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parent.parent.parent / "hostside"
"""Where it is: in an installed package beside the rooms of the core, in a clone beside the rooms."""

NOTICE = "wg-office: note: "
"""How a line begins that the operator should read although nothing failed."""

APPLIED_UNCONFIRMED = 75
"""The exit status by which the script asks to be run again over a new connection."""

BUSY = 81
"""Another run holds the host."""

FOREIGN = 82
"""The host belongs to another deployment."""

UNFIT = 83
"""The host lacks something, or has something that ours would disturb."""

REJECTED = 84
"""The change is wrong, or failed."""

ROLLED_BACK = 85
"""Nobody confirmed the change in time, and it was undone."""

WENT_BACK_BUT = 86
"""The change failed, and not all of it could be undone: the script says in a sentence what is not as it was."""

UNCHANGED = frozenset({BUSY, FOREIGN, UNFIT, REJECTED, ROLLED_BACK})
"""The exit statuses by which the script says, in a sentence of its own, that the host holds the state it had."""

_STATUSES = {
    "unconfirmed": APPLIED_UNCONFIRMED,
    "busy": BUSY,
    "foreign": FOREIGN,
    "unfit": UNFIT,
    "rejected": REJECTED,
    "rolled_back": ROLLED_BACK,
    "went_back_but": WENT_BACK_BUT,
}
"""The names that the script has for them."""


def scripts() -> Scripts:
    """The texts that travel to hosts."""
    flows, after_load, follow = ((HOSTSIDE / name).read_text(encoding="utf-8") for name in ("flows.awk", "after-load", "follow-endpoint"))
    return Scripts(host=_host_script(), flows=flows, after_load=after_load, follow=follow)


_PARTS = """
    10-head 11-generation 20-settings 21-routes 22-tunnel 23-found-tunnel 30-firewall-load 31-host-rules 32-withdrawn 33-ended 34-revoked
    35-firewall 36-firewalld 37-foreign-rules 40-differences 50-lock 51-fit 52-stage 53-others 54-apply 55-files 56-rollback 60-keys
    61-remove 62-status 90-main
"""
"""Named, and not what the folder holds: a build takes files along that an earlier one has left, and an old part must not come to hosts."""


def parts() -> list[Path]:
    """Those of the host script, in the order in which they are one: that of their names."""
    return [HOSTSIDE / "wg-office.d" / f"{name}.sh" for name in _PARTS.split()]


def _host_script() -> str:
    numbers = " ".join(f"{name}={status}" for name, status in _STATUSES.items())
    return f"#!/bin/bash\n{numbers}\n" + "\n".join(_SIGN.sub("", part.read_text(encoding="utf-8")) for part in parts())


_SIGN = re.compile(r"\A(#.*\n)+\n")
"""A part begins with comments that say what it is for. They stay here, by their place alone: what stands above the first empty line."""


def apply_command(user: str) -> str:
    """Brings the host to the description in stdin."""
    return _as_root(user, _described("apply"))


def as_attempt(command: str, attempt: str) -> str:
    """The same command, as a text that is another one for each attempt (docs/adr/0008)."""
    return f": attempt {attempt}; {command}"


def remove_command(user: str) -> str:
    """Takes away what the description in stdin put there."""
    return _as_root(user, _described("remove"))


def keys_command(user: str, verb: Literal["keys", "forget-keys"]) -> str:
    """Puts or forgets the keys in stdin, which never touch a temporary file: bash reads the script, the script the lines behind it."""
    return _by_stdin(user, f" -- {verb}")


def status_command(user: str) -> str:
    """Says how the host is. stdin: status_lines."""
    return _by_stdin(user, " -- status full")


def revoke_command(user: str) -> str:
    """Refuses peers from now on. stdin: revoke_lines. It waits for a change that is under way."""
    return _by_stdin(user, " -- revoke", seconds=200)


def found_command(user: str) -> str:
    """Says what network a host has that was made by hand. stdin: found_script."""
    return _by_stdin(user)


def found_script() -> str:
    """What asks a host that wg-office never set up."""
    return (HOSTSIDE / "found").read_text(encoding="utf-8")


def hub_command(user: str, verb: Literal["prepare", "wait"]) -> str:
    """What `bootstrap` asks of the hub. stdin: hub_lines."""
    return _by_stdin(user, f" -- {verb}")


def hub_lines(words: str) -> str:
    """The stdin of hub_command: the script, and the words behind it."""
    return (HOSTSIDE / "bootstrap-hub").read_text(encoding="utf-8") + words


def site_script() -> str:
    """What a person pastes on a gateway of which nothing is known, without the values that go before it."""
    return (HOSTSIDE / "bootstrap-site").read_text(encoding="utf-8")


def answers_command(user: str) -> str:
    """Does nothing, as root: whoever answers can be set up."""
    return _as_root(user, "true")


def _described(verb: str) -> str:
    # The script stands behind the description. `timeout`, because nothing ends a remote command from this side.
    unpack = 'd=$(mktemp -d /run/wg-office.XXXXXX) && trap "rm -rf $d" EXIT && cat >$d/in && sed "1,/^---- script/d" $d/in >$d/sh'
    return f"bash --norc -c '{unpack} && timeout -k 5 200 bash $d/sh {verb} $d/in'"


def _by_stdin(user: str, arguments: str = "", seconds: int = 100) -> str:
    """bash reads the script, and the script the lines behind it."""
    return _as_root(user, f"timeout -k 5 {seconds} bash --norc -s{arguments}")


def _as_root(user: str, command: str) -> str:
    return command if user == "root" else f"sudo -n {command}"


def key_lines(deployment: str, keys: dict[str, str], repair: str | None = None, way: str = "") -> str:
    """The stdin of keys_command: the script, the deployment, then a line per key. A secret. `repair` as in render_description.

    `way` is what the host's description says of the way to it (changes.way). The host does not read it.
    """
    remarks = [*([] if repair is None else [f"repair {repair}"]), *way.splitlines()]
    lines = "".join(f"{name} {value}\n" for name, value in sorted(keys.items()))
    return f"{scripts().host}{_DEPLOYMENT}{deployment}\n" + "".join(f"# {remark}\n" for remark in remarks) + lines


_DEPLOYMENT = "deployment "


def way_in(key_lines: str) -> str:
    """The `way` that key_lines were given; nothing where they have none, as before it was invented."""
    lines = key_lines.rpartition(f"\n{_DEPLOYMENT}")[2].splitlines()
    return "".join(f"{line[2:]}\n" for line in lines if line.startswith("# ") and not line.startswith("# repair "))


def status_lines(addresses: Iterable[IPAddress]) -> str:
    """The stdin of status_command: the script, and what the host is to ping."""
    return scripts().host + "".join(f"ping {address}\n" for address in addresses)


def revoke_lines(lines: Iterable[str]) -> str:
    """The stdin of revoke_command: the script, and `revoke NAME ADDRESS...` or `lift NAME` lines."""
    return scripts().host + "".join(f"{line}\n" for line in lines)
