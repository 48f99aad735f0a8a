"""The script that runs on hosts (hostside/wg-office), and the constant command lines that start it there.

Room: the core's one place that reads a file of the project itself. The lines never change with the configuration: a failing command
prints its own text, so what varies goes through stdin.
"""

from pathlib import Path

SCRIPT_PATH = Path(__file__).parent.parent / "hostside" / "wg-office"

APPLIED_UNCONFIRMED = 75
"""The exit status by which the script asks to be run again over a new connection."""

_NO_ROOT = 'echo "wg-office: root is needed on this host: set ssh.user to root, or allow the user sudo without a password" >&2; exit 83'


def script() -> str:
    """The text of the host script."""
    return SCRIPT_PATH.read_text(encoding="utf-8")


def _as_root(inner: str) -> str:
    return f"""s='{inner}'; [ "$(id -u)" = 0 ] && exec bash -euc "$s"; sudo -n true || {{ {_NO_ROOT}; }}; exec sudo -n bash -euc "$s\""""


def _described(verb: str) -> str:
    # The description is in stdin, the script behind it. `timeout` because nothing ends a remote command from this side.
    unpack = 'umask 077; d=$(mktemp -d /run/wg-office.XXXXXX); trap "rm -rf $d" EXIT; cat >$d/in; sed "1,/^---- script/d" $d/in >$d/script'
    return _as_root(f"{unpack}; timeout -k 5 200 bash $d/script {verb} $d/in")


APPLY = _described("apply")
REMOVE = _described("remove")

# Keys never touch a temporary file: bash reads the script from stdin, the script the lines behind itself.
PUT_KEYS = _as_root("exec timeout -k 5 100 bash -s -- keys")
FORGET_KEYS = _as_root("exec timeout -k 5 100 bash -s -- forget-keys")


def key_lines(deployment: str, keys: dict[str, str]) -> str:
    """The stdin of PUT_KEYS and FORGET_KEYS: the script, the deployment, then a line per key. A secret."""
    lines = "".join(f"{name} {value}\n" for name, value in sorted(keys.items()))
    return f"{script()}deployment {deployment}\n{lines}"
