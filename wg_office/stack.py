"""What a deployed stack knows: its outputs, read through the Pulumi command line; and the one thing that is told to it, what to repair.

Room: the core. This calls the `pulumi` program; it does not import Pulumi.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

_TIME_LIMIT = 120
"""Seconds. Either is a matter of seconds; a backend that does not answer at all must not hang the command."""


class StackError(Exception):
    """The stack's outputs cannot be had; the message is one sentence with a remedy."""


def stack_outputs(stack: str | None = None) -> dict[str, Any]:
    """All outputs of a stack, the secret ones in plain text; None means the selected stack."""
    command = ["stack", "output", "--json", "--show-secrets", "--non-interactive", *([] if stack is None else ["--stack", stack])]
    return parse_outputs(_pulumi("stack output", command))


def repair_command(stack: str, hosts: Iterable[str], stamp: str) -> list[str]:
    """What makes the next `up` apply everything on these hosts again: a new stamp for each in the stack's configuration."""
    settings = [word for host in hosts for word in ("--plaintext", f'repair["{host}"]={stamp}')]
    return ["config", "set-all", "--stack", stack, "--path", *settings]


def set_repair(stack: str, hosts: Iterable[str], stamp: str) -> None:
    """Run the repair_command."""
    _pulumi("config set-all", [*repair_command(stack, hosts, stamp), "--non-interactive"])


def _pulumi(name: str, arguments: list[str]) -> str:
    try:
        done = subprocess.run(
            ["pulumi", *arguments], capture_output=True, text=True, check=False, timeout=_TIME_LIMIT, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise StackError('there is no `pulumi` on the PATH; run `eval "$(make -s env)"` first, or install Pulumi') from None
    except subprocess.TimeoutExpired:
        raise StackError(
            f"`pulumi {name}` gave no answer in {_TIME_LIMIT} seconds; check the state backend with `pulumi whoami -v`"
        ) from None
    if done.returncode != 0:
        raise StackError(f"`pulumi {name}` failed: {_last_line(done.stderr)}; check the stack with `pulumi stack ls`, and its passphrase")
    return done.stdout


def parse_outputs(text: str) -> dict[str, Any]:
    """The outputs from the text that `pulumi stack output --json --show-secrets` prints."""
    try:
        outputs = json.loads(text)
    except json.JSONDecodeError:
        outputs = None
    if not isinstance(outputs, dict):
        raise StackError("this is no JSON object; give the output of `pulumi stack output --json --show-secrets`")
    return outputs


def developer_confs(outputs: Mapping[str, Any], developer: str) -> dict[str, str]:
    """A developer's files by kind of profile, from the output `dev_<name>_confs`."""
    name = f"dev_{developer}_confs"
    confs = outputs.get(name)
    if confs == "[secret]":
        raise StackError(f"the output {name} is not shown; read the outputs with --show-secrets")
    if not isinstance(confs, dict) or not all(isinstance(text, str) for text in confs.values()):
        raise StackError(f"the stack has no output {name}; run `pulumi up` with {developer} in the environment file first")
    return dict(confs)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"
