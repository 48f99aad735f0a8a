"""The stand-in for the language host, whichever toolchain is in use: its own words, and what the engine asks besides running programs."""

import json

import pytest
from stacks import StackFactory, told_to_end, wait_for


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import pulumi\nraise pulumi.RunError('make one')\n", "error: make one"),
        ("raise ValueError('no such thing')\n", "Program failed with an unhandled exception"),
        ("import sys\nsys.exit(7)\n", "Program exited with non-zero exit code: 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "Program was ended by SIGKILL"),
    ],
)
def test_how_a_program_ended_is_told_once_and_without_our_own_frames(stand_in_factory: StackFactory, program: str, told: str) -> None:
    said = stand_in_factory(program).up(fails=True)
    assert told in said
    assert "run_program.py" not in said
    # What happened on the way stands above it, once more.
    diagnostics = said.rpartition("Diagnostics:")[2]
    assert diagnostics.count("exit code") == told.count("exit code")


def test_a_virtual_environment_that_is_not_there_is_named_with_its_remedy(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory("")
    project = stack.folder / "Pulumi.yaml"
    project.write_text(project.read_text().replace(json.loads(project.read_text().split("virtualenv: ")[1].splitlines()[0]), "nowhere"))
    said = stack.up(fails=True)
    assert "nowhere" in said
    assert "pulumi install" in said


def test_install_makes_the_virtual_environment_and_runs_pip(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory("")
    project = stack.folder / "Pulumi.yaml"
    project.write_text("name: engine-test\nruntime:\n  name: python\n  options:\n    virtualenv: fresh\n")
    (stack.folder / "requirements.txt").write_text("# nothing to install\n")
    stack.pulumi("install")
    assert (stack.folder / "fresh" / "bin" / "python").exists()


def test_about_names_the_programs_python(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory("")
    about = json.loads(stack.pulumi("about", "--json"))
    assert about["runtime"]["language"] == "python"
    assert about["runtime"]["version"].startswith("3.")
    assert any(entry["name"].lower() == "asyncssh" for entry in about["dependencies"])


def test_no_warning_is_given_about_the_plugins(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory("import pulumi_random\npulumi_random.RandomPassword('p', length=8)\n")
    assert "warning" not in stack.up()


def test_a_missing_program_is_named(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory()
    (stack.folder / "__main__.py").unlink()
    assert "unable to find main python program" in stack.up(fails=True)


def test_an_interrupt_ends_a_program_without_a_traceback(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory("import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(600)\n")
    process = stack.start("up", "--yes", "--skip-preview")
    wait_for(stack.folder / "started", process)
    assert "Traceback" not in told_to_end(process, stack.folder)
