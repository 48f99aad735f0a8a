"""What the program relies on of the language host, whichever runs it: how it ends, what is shown, what stays behind."""

import json

from stacks import StackFactory, told_to_end, wait_for


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


def test_an_exception_shows_the_programs_own_lines(stack_factory: StackFactory) -> None:
    stack = stack_factory("def deep():\n    raise ValueError('no such thing')\n\ndeep()\n")
    said = stack.up(fails=True)
    assert "ValueError: no such thing" in said
    assert '__main__.py", line 2, in deep' in said


def test_an_exit_status_is_told(stack_factory: StackFactory) -> None:
    assert "exited with non-zero exit code: 7" in stack_factory("import sys\nsys.exit(7)\n").up(fails=True)


def test_a_program_that_is_killed_does_not_take_the_host_down(stack_factory: StackFactory) -> None:
    stack = stack_factory("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    stack.up(fails=True)
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


def test_refresh_destroy_and_outputs_work(stack_factory: StackFactory) -> None:
    stack = stack_factory("import pulumi, pulumi_random\npulumi_random.RandomPassword('p', length=8)\npulumi.export('a', [1, 'b'])\n")
    stack.up()
    assert "2 unchanged" in stack.pulumi("refresh", "--yes", "--skip-preview")
    assert stack.outputs() == {"a": [1, "b"]}
    stack.destroy()
    assert json.loads(stack.state())["deployment"].get("resources", []) == []


def test_an_interrupt_ends_a_program_that_hangs(stack_factory: StackFactory) -> None:
    stack = stack_factory("import pathlib, time\npathlib.Path('started').touch()\ntime.sleep(600)\n")
    process = stack.start("up", "--yes", "--skip-preview")
    wait_for(stack.folder / "started", process)
    told_to_end(process, stack.folder)
