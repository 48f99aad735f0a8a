"""Programs that are deployed somewhere: earlier commits of this repository, and what of a deployment must outlive them."""

import io
import json
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks import Stack

CLONE = Path(__file__).resolve().parent.parent.parent
PARTS = ("components", "wg_office", "hostside")
FILES = ("__main__.py", "Pulumi.yaml")

LANDINGS = ("3369bfad5c290bbcd8e7ac37ceb5693bfa283a9f", "d7028cfff88df2e6f8025430f837f2486a6fd6b1")
"""Commits that users may have deployed, oldest first. Each change takes over all of them: add one here when it has landed."""

COMMAND = "command:remote:Command"
PASSWORD = "random:index/randomPassword:RandomPassword"


def program_of(commit: str, folder: Path) -> Path:
    """The program as it was at a commit, in a folder of its own."""
    archived = subprocess.run(["git", "archive", commit, *PARTS, *FILES], cwd=CLONE, capture_output=True, check=False)
    assert archived.returncode == 0, (
        f"commit {commit[:7]}, whose deployments must be taken over, is not in this clone's history "
        f"({archived.stderr.decode().strip()}); clone it whole: git fetch --unshallow"
    )
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def lay(program: Path, project: Path) -> None:
    """Put a program's files into a project's folder, in the place of those that were there; its settings stay."""
    for part in PARTS:
        shutil.rmtree(project / part, ignore_errors=True)
        shutil.copytree(program / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(program / file, project / file)


def project(made: Stack, operator_key: Path, environment: str | None) -> Stack:
    """This clone's program as a project of its own, in the folder of a stack that was made: with its settings, and nothing deployed yet."""
    (made.folder / ".venv").symlink_to(CLONE / ".venv")
    lay(CLONE, made.folder)
    for settings in made.folder.glob("Pulumi.*.yaml"):
        settings.unlink()
    stack = Stack(made.folder, {name: value for name, value in made.environment.items() if name != "PYTHONPATH"}, made.name)
    stack.pulumi("stack", "init", stack.name)
    settings_of = {"sshKeyFile": str(operator_key)}
    if environment is not None:
        (stack.folder / "office.yaml").write_text(environment)
        settings_of["environment"] = "office.yaml"
    stack.pulumi("config", "set-all", *(word for name, value in settings_of.items() for word in ("--plaintext", f"{name}={value}")))
    return stack


@dataclass(frozen=True)
class Pinned:
    """What nobody may lose when another version of the program takes over.

    `secrets` are the generated passwords by name, of which every key is made; `hosts` what each host's description says of keys and of
    its deployment, `given` the keys that hosts are given; `files` what stands in each developer's files but for what is routed by them.
    """

    secrets: dict[str, str]
    hosts: dict[str, list[str]]
    given: dict[str, list[str]]
    files: dict[str, list[str]]


def pinned(stack: Stack) -> Pinned:
    """The same of a stack, as its state has it."""
    state = json.loads(stack.pulumi("stack", "export", "--show-secrets"))["deployment"]["resources"]
    stdins = {_name(one): _plain(one["inputs"]["stdin"]) for one in state if one["type"] == COMMAND}
    named = r"PublicKey=|PrivateKeyFile=|PresharedKeyFile=|deployment |# .*, (?:hub|gateway|developer)|ListenPort="
    outputs = {name: str(text) for name, text in stack.outputs().items() if name.endswith("_conf")}
    return Pinned(
        secrets={_name(one): _plain(one["outputs"]["result"]) for one in state if one["type"] == PASSWORD and not _is_attempt(one["urn"])},
        hosts={name: re.findall(rf"^(?:{named}).*", text, re.MULTILINE) for name, text in stdins.items() if name.endswith("-state")},
        given={name: re.findall(r"^(?:private|preshared)-.*", text, re.MULTILINE) for name, text in stdins.items() if "-keys" in name},
        files={name: re.findall(r"^(?:P\w+Key|Address|Endpoint) = .*", text, re.MULTILINE) for name, text in outputs.items()},
    )


def losses(stack: Stack) -> list[str]:
    """The commands and passwords that the next `up` would replace or delete: `delete z-state`. Attempts are meant to go."""
    steps = json.loads(stack.pulumi("preview", "--json"))["steps"]
    lost = [(step["op"], step["urn"]) for step in steps if step["op"] not in ("same", "create", "update")]
    return [
        f"{op} {urn.rpartition('::')[2]}" for op, urn in lost if urn.split("::")[2].endswith((COMMAND, PASSWORD)) and not _is_attempt(urn)
    ]


def _is_attempt(urn: str) -> bool:
    return urn.endswith("-attempt")


def _name(resource: dict[str, Any]) -> str:
    return str(resource["urn"]).rpartition("::")[2]


def _plain(value: Any) -> str:
    """A text of the state, whether it is secret or not."""
    return str(json.loads(value["plaintext"])) if isinstance(value, dict) else str(value)
