import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wg_office.commands.cli import app
from wg_office.environment.schema import schema_text

CLONE = Path(__file__).parents[2]
FAULTS = Path(__file__).parent / "faults"
GOOD = CLONE / "configs" / "example-groups.yaml"
BAD = FAULTS / "lan-overlaps-lan.yaml"

run = CliRunner().invoke


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """The example by itself: with no others beside it, and no past."""
    return Path(shutil.copy(GOOD, tmp_path))


def test_a_right_file_gets_what_it_holds_and_where_its_private_keys_are_and_status_0(good: Path) -> None:
    result = run(app, ["check", str(good)])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"{good}: product is fine: hub hub, 2 gateways (north at beijing, south at shenzhen), 4 developers (ops1, dev1, dev2, guest)\n"
        f"{good}: private keys in the state: 7 of 7 (hub, north, south, ops1, dev1, dev2, guest)\n"
    )


def test_a_wrong_file_gets_a_line_for_each_fault_on_stderr_and_status_1() -> None:
    result = run(app, ["check", str(BAD)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{BAD}:18 gateways[1].lan.cidr: 192.168.200.0/23 overlaps the LAN of gateway a (line 13); ")
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_gets_status_2(tmp_path: Path) -> None:
    result = run(app, ["check", str(tmp_path / "no.yaml")])
    assert result.exit_code == 2
    assert (
        result.stderr
        == f"{tmp_path}/no.yaml: cannot be read: No such file or directory; name an environment file, such as configs/dev.yaml\n"
    )


def test_several_files_are_all_checked(tmp_path: Path) -> None:
    result = run(app, ["check", str(BAD), str(GOOD)])
    assert (result.exit_code, result.stdout.count("is fine"), result.stderr.count("overlaps the LAN")) == (1, 1, 1)
    assert run(app, ["check", str(tmp_path / "no.yaml"), str(BAD)]).exit_code == 2


def test_warnings_do_not_change_the_status(tmp_path: Path) -> None:
    file = tmp_path / "product.yaml"
    file.write_text(GOOD.read_text().replace("{name: guest,", "{name: guest, home: 192.168.40.0/24,"))
    result = run(app, ["check", str(file)])
    assert result.exit_code == 0
    assert result.stderr.startswith(
        f"warning: {file}:49 developers[3].home: 192.168.40.0/24 is the same as the LAN of site beijing (line 19)"
    )


def test_json_has_every_fault_with_its_place(good: Path) -> None:
    result = run(app, ["check", "--json", str(BAD), str(good)])
    bad, right = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (1, "")
    assert [(fault["line"], fault["path"]) for fault in bad["faults"]] == [(18, "gateways[1].lan.cidr")]
    held = ["hub", "north", "south", "ops1", "dev1", "dev2", "guest"]
    assert right == {"file": str(good), "environment": "product", "private_keys_in_state": held, "faults": [], "warnings": []}


@pytest.mark.parametrize("arguments", [["check"], ["check", "--no-such-option"], ["no-such-command"], []])
def test_wrong_usage_gets_status_2(arguments: list[str]) -> None:
    assert run(app, arguments).exit_code == 2


def test_the_schema_is_printed() -> None:
    assert run(app, ["schema"]).stdout == schema_text()


def test_it_works_without_pulumi_and_prints_no_colour_into_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "pulumi.py").write_text("raise ImportError('the core must not need pulumi')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{CLONE}"}
    command = [sys.executable, "-m", "wg_office", "check", str(GOOD), str(BAD)]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
