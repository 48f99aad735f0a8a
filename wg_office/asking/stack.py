"""What a deployed stack knows: its outputs, read through the Pulumi command line; and the one thing that is told to it, what to repair.

Room: asking. This calls the `pulumi` program, in the folder of the project; it does not import Pulumi. The stack's own file, with what
was set by `pulumi config set`, is read as the YAML that it is.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wg_office.environment.model import Client
from wg_office.hosts.keys import read_listed
from wg_office.text.printable import one_line

_TIME_LIMIT = 120
"""Seconds. Either is a matter of seconds; a backend that does not answer at all must not hang the command."""

_LONGEST = 500
"""Characters of what `pulumi` said last: more is no sentence."""


class StackError(Exception):
    """The stack cannot be asked or told; the message is one sentence with a remedy."""


@dataclass(frozen=True)
class Stack:
    """A stack by its name, and the folder of its project: None where there is none, and then `pulumi` runs where we are."""

    name: str
    project: Path | None

    def outputs(self) -> dict[str, Any]:
        """All outputs, the secret ones in plain text."""
        return parse_outputs(self._pulumi("stack output", ["stack", "output", "--json", "--show-secrets", "--stack", self.name]))

    def repair_command(self, hosts: Iterable[str], stamp: str) -> list[str]:
        """What makes the next `up` apply everything on these hosts again: a new stamp for each in the stack's configuration."""
        settings = [word for host in hosts for word in ("--plaintext", f'repair["{host}"]={stamp}')]
        return ["config", "set-all", "--stack", self.name, "--path", *settings]

    def set_repair(self, hosts: Iterable[str], stamp: str) -> None:
        """Run the repair_command."""
        self._pulumi("config set-all", self.repair_command(hosts, stamp))

    def ssh_key_file(self) -> Path | None:
        """The operator's key as `pulumi config set sshKeyFile` named it, relative to the project's folder; None where none is set."""
        if self.project is None:
            return None
        file = self.project / f"Pulumi.{self.name.rpartition('/')[2]}.yaml"
        config = _mapping(file).get("config") or {}
        named = next((config[key] for key in _ssh_key_file_names(self.project) if config.get(key)), None)
        if named is None:
            return None
        if not isinstance(named, str):
            raise StackError(f"{file}: sshKeyFile is no plain text there; name the key with --key FILE")
        return Path(named) if named.startswith("~") else self.project / named

    def _pulumi(self, name: str, arguments: list[str]) -> str:
        command = ["pulumi", *arguments, "--non-interactive"]
        try:
            done = subprocess.run(
                command, cwd=self.project, capture_output=True, text=True, check=False, timeout=_TIME_LIMIT, stdin=subprocess.DEVNULL
            )
        except FileNotFoundError:
            raise StackError('there is no `pulumi` on the PATH; install it, or for the demo run `eval "$(make -s env)"` first') from None
        except subprocess.TimeoutExpired:
            raise StackError(
                f"`pulumi {name}` gave no answer in {_TIME_LIMIT} seconds; check the state backend with `pulumi whoami -v`"
            ) from None
        if done.returncode != 0:
            reason = _last_line(done.stderr)
            raise StackError(f"`pulumi {name}` failed: {reason}; check the stack with `pulumi stack ls`, and PULUMI_CONFIG_PASSPHRASE")
        return done.stdout


def stack_of(file: Path, name: str) -> Stack:
    """The stack of an environment file: its project is the nearest around the file, or else around where we are, as for `pulumi`."""
    around = [folder for start in (file.absolute().parent, Path.cwd()) for folder in (start, *start.parents)]
    return Stack(name, next((folder for folder in around if (folder / "Pulumi.yaml").is_file()), None))


def _ssh_key_file_names(project: Path) -> tuple[str, str]:
    return f"{_mapping(project / 'Pulumi.yaml').get('name')}:sshKeyFile", "sshKeyFile"


def _mapping(file: Path) -> dict[str, Any]:
    """A YAML file's mapping; an empty one where there is no such file, as before `pulumi stack init`."""
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError):
        raise StackError(f"{file} cannot be read as YAML; look at it, or name the operator's key with --key FILE") from None
    return found if isinstance(found, dict) else {}


def parse_outputs(text: str) -> dict[str, Any]:
    """The outputs from the text that `pulumi stack output --json --show-secrets` prints."""
    try:
        outputs = json.loads(text)
    except json.JSONDecodeError:
        outputs = None
    if not isinstance(outputs, dict):
        raise StackError("this is no JSON object; give the output of `pulumi stack output --json --show-secrets`")
    return outputs


def developer_confs(outputs: Mapping[str, Any], client: Client) -> dict[str, str]:
    """The files of a developer's machine by kind of profile, from the output `dev_<name>_confs`, or `dev_<name>_<device>_confs`."""
    name = f"{client.output}_confs"
    confs = outputs.get(name)
    if confs == "[secret]":
        raise StackError(f"the output {name} is not shown; read the outputs with --show-secrets")
    if not isinstance(confs, dict) or not all(isinstance(text, str) for text in confs.values()):
        raise StackError(f"the stack has no output {name}; run `pulumi up` with {client.name} in the environment file first")
    return dict(confs)


def public_keys(outputs: Mapping[str, Any]) -> dict[str, str]:
    """The public keys of all peers by name."""
    return read_listed(str(outputs.get("public_keys", "")))


def _last_line(text: str) -> str:
    """What another program said last, fit for a terminal: its plugins and backends put in words of their own."""
    lines = [line for line in text.splitlines() if line.strip()]
    return one_line(lines[-1], _LONGEST).removeprefix("error: ") if lines else "it said nothing"
