"""What a command imports: the heavy packages only where they are used, since each command pays for its imports at every start."""

import subprocess
import sys
from pathlib import Path

import pytest

CLONE = Path(__file__).parents[2]
DEV = "configs/dev.yaml"
USED = {
    ("check", DEV): set[str](),
    ("schema",): set[str](),
    ("render", DEV): {"cryptography"},
    ("access", DEV): {"rich"},
    ("diff", DEV, DEV): {"cryptography", "rich"},
    ("diagram", DEV): {"cryptography"},
    ("status", "--help"): {"rich"},
    ("adopt", "--help"): {"rich"},
    ("bootstrap", "--help"): {"rich"},
    ("handout", "--help"): {"rich"},
}
HEAVY = {"asyncio", "asyncssh", "cryptography", "pulumi", "rich", "segno"}


@pytest.mark.parametrize(("command", "used"), USED.items(), ids=" ".join)
def test_a_command_imports_no_heavy_package_that_it_does_not_use(command: tuple[str, ...], used: set[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "wg_office", *command], cwd=CLONE, capture_output=True, text=True, check=False
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "wg_office.commands.cli" in imported, done.stderr[-500:]
    assert imported & HEAVY == used


def test_the_pulumi_program_imports_nothing_that_only_commands_use() -> None:
    program = "import sys, components.settings, components.deployed, components.guard; print(*sys.modules)"
    imported = set(subprocess.run([sys.executable, "-c", program], cwd=CLONE, capture_output=True, text=True, check=True).stdout.split())
    assert {"components.office", "wg_office.reading.load", "cryptography"} <= imported
    assert not imported & {
        "asyncssh",
        "rich",
        "segno",
        "typer",
        "wg_office.commands.cli",
        "wg_office.people.handout",
        "wg_office.asking.dial",
        "wg_office.asking.status",
    }
