"""The operator's side alone, beside the engine's floor: the same resources without our logic, in the same run.

Hosts take everything and do nothing. The floor's resources are those that the deployment has in its state, so that their numbers and
kinds are the same by construction.
"""

import json
import resource
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.office import Office
from bench.sink import Sink
from bench.tools import ROOT, run

UP, PREVIEW = ("up", "--yes", "--skip-preview"), ("preview", "--diff")
FAST = {"PULUMI_SKIP_CHECKPOINTS": "true", "PYTHONDONTWRITEBYTECODE": ""}
"""No checkpoints; and Python keeps what it has compiled, which pip has done beforehand for all that the floor imports."""
PROJECT = f"name: NAME\nruntime:\n  name: python\n  options:\n    virtualenv: {ROOT / '.venv'}\n"


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, and of the processor: the second depends less on what else the machine does."""

    clock: float
    processor: float


class Program:
    """A Pulumi program in a folder and with a backend of its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder / name, name
        (self.folder / "backend").mkdir(parents=True)
        self.environment = FAST | {"PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}", "PULUMI_CONFIG_PASSPHRASE": "bench"}
        self.environment |= {"PYTHONPATH": str(ROOT)}
        (self.folder / "Pulumi.yaml").write_text(PROJECT.replace("NAME", name))

    def pulumi(self, *arguments: str) -> None:
        """Run it; LabError where it fails."""
        run(["pulumi", *arguments, "--stack", "bench", "--non-interactive"], self.folder, self.environment)


def floor(sink: Sink, folder: Path, developers: int) -> dict[str, dict[str, Taken]]:
    """What this clone's program and the floor take, by name and step. The two take turns, so that both meet what else the machine does."""
    ours, bare = Program(folder, "wg-office"), Program(folder, "floor")
    (ours.folder / "__main__.py").symlink_to(ROOT / "__main__.py")
    shutil.copy(ROOT / "bench" / "floor_program.py", bare.folder / "__main__.py")
    for program in (ours, bare):
        run(["pulumi", "stack", "init", "bench", "--non-interactive"], program.folder, program.environment)
    file = ours.folder / "office.yaml"
    for key, value in {"environment": file, "sshKeyFile": sink.key}.items():
        ours.pulumi("config", "set", key, str(value))
    by_us, by_bare = dict[str, Taken](), dict[str, Taken]()
    _write(file, Office(sink, developers).yaml())
    # It is ours that finds out which resources there are; and what imports it compiles the first time is not what is measured.
    ours.pulumi(*PREVIEW)
    by_us["first up"] = _taken(ours, UP)
    _deploy_the_same(ours, bare)
    by_bare["first up"] = _taken(bare, UP)
    for program, taken in ((ours, by_us), (bare, by_bare)):
        taken["nothing to do"] = _taken(program, UP)
    _write(file, Office(sink, developers + 1).yaml())
    by_us |= {"preview of one more": _taken(ours, PREVIEW), "one more": _taken(ours, UP)}
    _deploy_the_same(ours, bare)
    by_bare |= {"preview of one more": _taken(bare, PREVIEW), "one more": _taken(bare, UP)}
    return {ours.name: by_us, bare.name: by_bare}


def _deploy_the_same(ours: Program, bare: Program) -> None:
    _write(bare.folder / "resources.json", json.dumps(_resources(ours)))


def _write(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)


def _taken(program: Program, arguments: tuple[str, ...]) -> Taken:
    clock, processor = time.monotonic(), _processor()
    program.pulumi(*arguments)
    return Taken(time.monotonic() - clock, _processor() - processor)


def _processor() -> float:
    """Seconds of processor time of all that was run and has ended: engine, plugins and program. The hosts are in this process."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _resources(program: Program) -> list[dict[str, Any]]:
    """What the state has, parents first, each with what it was given."""
    exported = program.folder / "state.json"
    _write(exported, "")
    program.pulumi("stack", "export", "--show-secrets", "--file", str(exported))
    listed = json.loads(exported.read_text())["deployment"]["resources"]
    exported.unlink()
    kept = [one for one in listed if not one["type"].startswith(("pulumi:pulumi:", "pulumi:providers:"))]
    return [
        {
            "urn": one["urn"],
            "parent": one.get("parent"),
            "type": one["type"],
            "name": one["urn"].rpartition("::")[2],
            "inputs": opened(one.get("inputs", {})),
        }
        for one in _parents_first(kept)
    ]


def _parents_first(resources: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(resources, key=lambda one: one["urn"].split("::")[2].count("$"))


def opened(value: Any) -> Any:
    """A value with its secrets in plain text, one inside another too; the benchmark's are worth nothing."""
    if isinstance(value, dict):
        return opened(json.loads(value["plaintext"])) if "plaintext" in value else {key: opened(one) for key, one in value.items()}
    return value
