"""The two ways to bring hosts to a network: each with state of its own, made when it is entered and taken away when it is left."""

import contextlib
import os
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self

from bench.office import Office
from lab import Lab, LabError

ROOT = Path(__file__).resolve().parent.parent


class Tool(AbstractContextManager["Tool"], Protocol):
    """What is measured."""

    name: str

    def apply(self, office: Office) -> None:
        """Bring the hosts to this network."""


def run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Raises LabError with the end of what the command said, where it fails."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise LabError(f"`{' '.join(command[:3])}` ended with status {done.returncode}:\n{said}")


class Pulumi:
    """This clone's program with a stack `bench`, in the backend that `eval "$(make -s env)"` names."""

    name = "wg-office"

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.file = lab, folder / "bench.yaml"

    def __enter__(self) -> Self:
        self._forget()
        self._pulumi("stack", "init", "bench")
        for key, value in {"environment": self.file, "sshKeyFile": self.lab.key}.items():
            self._pulumi("config", "set", "--stack", "bench", key, str(value))
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    def apply(self, office: Office) -> None:
        """`pulumi up`."""
        self.file.write_text(office.yaml())
        self._pulumi("up", "--stack", "bench", "--yes", "--skip-preview")

    def _forget(self) -> None:
        with contextlib.suppress(LabError):
            self._pulumi("stack", "rm", "bench", "--yes", "--force")

    def _pulumi(self, *arguments: str) -> None:
        run(["pulumi", *arguments, "--non-interactive"], ROOT)


class Ansible:
    """`ansible-playbook` with the playbook beside this file."""

    name = "Ansible"

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.inventory, self.control = lab, folder / "inventory.json", folder / "control"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self.control.glob("*"):
            subprocess.run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "any"], capture_output=True, check=False)

    def apply(self, office: Office) -> None:
        """`ansible-playbook site.yml`."""
        self.inventory.touch(0o600)
        self.inventory.write_text(office.inventory())
        environment = {
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.lab.key),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.control),
            "ANSIBLE_SSH_ARGS": f"-o ControlMaster=auto -o ControlPersist=600 -o UserKnownHostsFile={self.lab.known_hosts}",
        }
        run(["ansible-playbook", "-i", str(self.inventory), "site.yml"], ROOT / "bench" / "ansible", environment)
