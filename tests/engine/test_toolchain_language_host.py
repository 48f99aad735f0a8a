"""The language host: programs that end well and badly, what the engine asks besides running them, and what stays behind."""

import json
import signal

from stacks import StackFactory, running_in, wait_for


def test_a_program_gets_its_configuration_and_a_secret_stays_one(stack_factory: StackFactory) -> None:
    stack = stack_factory(
        "import pulumi\nconfig = pulumi.Config()\n"
        "pulumi.export('plain', config.require('plain'))\npulumi.export('hidden', config.require_secret('hidden'))\n"
        "pulumi.export('where', [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])\n"
    )
    stack.pulumi("config", "set", "plain", "seen")
    stack.pulumi("config", "set", "--secret", "hidden", "not-to-be-seen")
    said = stack.up()
    assert "not-to-be-seen" not in said
    assert stack.outputs() == {"plain": "seen", "hidden": "not-to-be-seen", "where": ["engine-test", "test", "organization"]}
    assert "not-to-be-seen" not in stack.state()


def test_a_run_error_shows_its_message_and_nothing_else(stack_factory: StackFactory) -> None:
    stack = stack_factory("import pulumi\nraise pulumi.RunError('the file office.yaml is not there: make one')\n")
    said = stack.up(fails=True)
    assert "error: the file office.yaml is not there: make one" in said
    assert "Traceback" not in said
    assert "exit code" not in said
    assert "unhandled" not in said


def test_an_exception_shows_the_programs_own_lines(stack_factory: StackFactory) -> None:
    stack = stack_factory("def deep():\n    raise ValueError('no such thing')\n\ndeep()\n")
    said = stack.up(fails=True)
    assert "Program failed with an unhandled exception" in said
    assert "ValueError: no such thing" in said
    assert '__main__.py", line 2, in deep' in said
    assert "run_program.py" not in said
    assert "exit code" not in said


def test_an_exit_status_is_told(stack_factory: StackFactory) -> None:
    assert "Program exited with non-zero exit code: 7" in stack_factory("import sys\nsys.exit(7)\n").up(fails=True)


def test_a_program_that_is_killed_does_not_take_the_host_down(stack_factory: StackFactory) -> None:
    stack = stack_factory("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert "Program was ended by SIGKILL" in stack.up(fails=True)
    stack.program("import pulumi\npulumi.export('well', True)\n")
    stack.up()
    assert stack.outputs() == {"well": True}


def test_what_a_program_prints_is_shown(stack_factory: StackFactory) -> None:
    stack = stack_factory("import sys\nprint('a note')\nprint('a complaint', file=sys.stderr)\n")
    said = stack.up()
    assert "a note" in said
    assert "a complaint" in said


def test_a_program_imports_its_own_modules(stack_factory: StackFactory) -> None:
    stack = stack_factory("import pulumi, beside\npulumi.export('answer', beside.ANSWER)\n")
    (stack.folder / "beside.py").write_text("ANSWER = 42\n")
    stack.up()
    assert stack.outputs() == {"answer": 42}


def test_a_missing_program_is_named(stack_factory: StackFactory) -> None:
    stack = stack_factory()
    (stack.folder / "__main__.py").unlink()
    assert "unable to find main python program" in stack.up(fails=True)


def test_a_virtual_environment_that_is_not_there_is_named_with_its_remedy(stack_factory: StackFactory) -> None:
    stack = stack_factory("")
    project = stack.folder / "Pulumi.yaml"
    project.write_text(project.read_text().replace(json.loads(project.read_text().split("virtualenv: ")[1].splitlines()[0]), "nowhere"))
    said = stack.up(fails=True)
    assert "nowhere" in said
    assert "pulumi install" in said


def test_refresh_destroy_and_outputs_work(stack_factory: StackFactory) -> None:
    stack = stack_factory("import pulumi, pulumi_random\npulumi_random.RandomPassword('p', length=8)\npulumi.export('a', [1, 'b'])\n")
    stack.up()
    assert "2 unchanged" in stack.pulumi("refresh", "--yes", "--skip-preview")
    assert stack.outputs() == {"a": [1, "b"]}
    stack.destroy()
    assert json.loads(stack.state())["deployment"].get("resources", []) == []


def test_install_makes_the_virtual_environment_and_runs_pip(stack_factory: StackFactory) -> None:
    stack = stack_factory("")
    project = stack.folder / "Pulumi.yaml"
    project.write_text("name: engine-test\nruntime:\n  name: python\n  options:\n    virtualenv: fresh\n")
    (stack.folder / "requirements.txt").write_text("# nothing to install\n")
    stack.pulumi("install")
    assert (stack.folder / "fresh" / "bin" / "python").exists()


def test_about_names_the_programs_python(stack_factory: StackFactory) -> None:
    stack = stack_factory("")
    about = json.loads(stack.pulumi("about", "--json"))
    assert about["runtime"]["language"] == "python"
    assert about["runtime"]["version"].startswith("3.")
    assert any(entry["name"].lower() == "asyncssh" for entry in about["dependencies"])


def test_an_interrupt_ends_a_program_that_hangs(stack_factory: StackFactory) -> None:
    stack = stack_factory("import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(600)\n")
    process = stack.start("up", "--yes", "--skip-preview")
    wait_for(stack.folder / "started", process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert not running_in(stack.folder)


def test_no_warning_is_given_about_the_plugins(stack_factory: StackFactory) -> None:
    stack = stack_factory("import pulumi_random\npulumi_random.RandomPassword('p', length=8)\n")
    assert "warning" not in stack.up()
