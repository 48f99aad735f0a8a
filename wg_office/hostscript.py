"""The script that runs on hosts (hostside/wg-office), and the constant command lines that start it there.

Room: the core's one place that reads a file of the project itself. The lines never change with the configuration: a failing command
prints its own text, so what varies goes through stdin.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from netaddr import IPAddress

from wg_office.render import Scripts

HOSTSIDE = Path(__file__).parent.parent / "hostside"

APPLIED_UNCONFIRMED = 75
"""The exit status by which the script asks to be run again over a new connection."""

BUSY = 81
"""The exit status by which the script says that another run holds the host."""

UNCHANGED = range(81, 86)
"""The exit statuses by which the script says, in a sentence of its own, that the host holds the state it had."""


def scripts() -> Scripts:
    """The texts that travel to hosts."""
    return Scripts(host=(HOSTSIDE / "wg-office").read_text(encoding="utf-8"), flows=(HOSTSIDE / "flows.awk").read_text(encoding="utf-8"))


def apply_command(user: str) -> str:
    """Brings the host to the description in stdin."""
    return _as_root(user, _described("apply"))


def remove_command(user: str) -> str:
    """Takes away what the description in stdin put there."""
    return _as_root(user, _described("remove"))


def keys_command(user: str, verb: Literal["keys", "forget-keys"]) -> str:
    """Puts or forgets the keys in stdin, which never touch a temporary file: bash reads the script, the script the lines behind it."""
    return _as_root(user, f"timeout -k 5 100 bash --norc -s -- {verb}")


def status_command(user: str) -> str:
    """Says how the host is. stdin: status_lines."""
    return _as_root(user, "timeout -k 5 100 bash --norc -s -- status full")


def _described(verb: str) -> str:
    # The script stands behind the description. `timeout`, because nothing ends a remote command from this side.
    unpack = 'd=$(mktemp -d /run/wg-office.XXXXXX) && trap "rm -rf $d" EXIT && cat >$d/in && sed "1,/^---- script/d" $d/in >$d/sh'
    return f"bash --norc -c '{unpack} && timeout -k 5 200 bash $d/sh {verb} $d/in'"


def _as_root(user: str, command: str) -> str:
    return command if user == "root" else f"sudo -n {command}"


def key_lines(deployment: str, keys: dict[str, str], repair: str | None = None) -> str:
    """The stdin of keys_command: the script, the deployment, then a line per key. A secret. `repair` as in render_description."""
    stamp = "" if repair is None else f"# repair {repair}\n"
    lines = "".join(f"{name} {value}\n" for name, value in sorted(keys.items()))
    return f"{scripts().host}deployment {deployment}\n{stamp}{lines}"


def status_lines(addresses: Iterable[IPAddress]) -> str:
    """The stdin of status_command: the script, and what the host is to ping."""
    return scripts().host + "".join(f"ping {address}\n" for address in addresses)
