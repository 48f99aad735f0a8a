"""`python -m wg_office render`: every file of every host on stdout, nothing secret, and errors of one line."""

import re
from pathlib import Path

import pytest
from test_render import GOLDEN, environment
from typer.testing import CliRunner

from wg_office.commands.cli import app, placeholders
from wg_office.hosts.hostscript import scripts
from wg_office.hosts.render import render_files
from wg_office.network.instructions import by_hand
from wg_office.network.plan import plan

ARTICLE = str(GOLDEN / "article" / "environment.yaml")
CASES = ("article", "one-gateway", "no-gateway", "firewalls")

run = CliRunner().invoke


def headings(text: str) -> list[str]:
    return re.findall(r"^==> (.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("case", CASES)
def test_every_file_of_every_host_stands_under_its_heading(case: str) -> None:
    result = run(app, ["render", str(GOLDEN / case / "environment.yaml")])
    assert (result.exit_code, result.stderr) == (0, "")
    env = environment(case)
    files = [(host.name, file) for host in plan(env) for file in render_files(host, placeholders(env))]
    assert sorted(headings(result.stdout)) == sorted(f"{name}: {file.path}" for name, file in files)
    for name, file in files:
        assert re.search(re.escape(f"==> {name}: {file.path}\n") + r"(==> .*\n)*" + re.escape(file.text) + r"\n", result.stdout)


def test_a_text_that_a_host_gets_several_times_is_printed_once_under_all_its_paths() -> None:
    shown = run(app, ["render", ARTICLE, "--host", "c"]).stdout
    env = environment("article")
    files = render_files(next(host for host in plan(env) if host.name == "c"), placeholders(env))
    texts = [file.text for file in files]
    repeated = {text for text in texts if texts.count(text) > 1}
    assert repeated
    for text in texts:
        assert shown.count(text) == 1
    assert len(headings(shown)) == len(files)


def test_each_host_is_introduced_with_the_way_to_it() -> None:
    introduced = [line for line in run(app, ["render", ARTICLE]).stdout.splitlines() if line.startswith("# host ")]
    assert [line.split(", host key SHA256:")[0] for line in introduced] == [
        "# host z, hub of dev; reached as root@127.0.0.1:22010",
        "# host a, gateway of dev; reached as root@127.0.0.1:22011",
        "# host c, gateway of dev; reached as root@127.0.0.1:22012",
        "# host a-router, router of dev; reached as root@127.0.0.1:22021",
    ]
    branch = run(app, ["render", str(GOLDEN / "one-gateway" / "environment.yaml"), "--host", "gate"]).stdout
    assert branch.startswith("# host gate, gateway of branch; reached as root@10.71.0.2:22, through the hub, host key SHA256:")


def test_keys_are_placeholders_but_for_those_that_developers_brought() -> None:
    lines = run(app, ["render", str(GOLDEN / "one-gateway" / "environment.yaml")]).stdout.splitlines()
    keyed = {line for line in lines if re.match(r"(PublicKey|PrivateKeyFile|PresharedKeyFile)=", line)}
    assert keyed == {
        "PublicKey=(generated on apply)",
        "PublicKey=tZtWq0/4tFDUQcoHt9R/nrP9cXYVMsyHBh2KtaIeDkI=",
        "PrivateKeyFile=/etc/wg-office/keys/(generated on apply)",
        "PresharedKeyFile=/etc/wg-office/keys/(generated on apply)",
    }


def test_one_host_is_only_that_host() -> None:
    result = run(app, ["render", ARTICLE, "--host", "a-router"])
    assert headings(result.stdout) == ["a-router: routes", "a-router: /etc/systemd/system/wg-office.service"]
    assert "by hand" not in result.stdout


def test_what_a_person_does_stands_at_the_end() -> None:
    told = [f"# by hand: {instruction}" for instruction in by_hand(environment("article"))]
    last = [line for line in run(app, ["render", ARTICLE]).stdout.splitlines() if line][-len(told) :]
    assert last == told
    assert told


def test_the_scripts_are_left_out_unless_they_are_asked_for() -> None:
    without, with_them = run(app, ["render", ARTICLE]).stdout, run(app, ["render", ARTICLE, "--script"]).stdout
    assert scripts().host not in without
    assert with_them.startswith(without)
    follows = "every gateway that knows the hub by a name: follow-endpoint"
    assert headings(with_them)[-3:] == ["every host: wg-office", "the hub and every gateway: flows.awk", follows]
    assert scripts().host in with_them
    assert scripts().flows in with_them
    assert scripts().follow in with_them


def test_an_unknown_host_is_one_line_that_names_the_others() -> None:
    result = run(app, ["render", ARTICLE, "--host", "q"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"{ARTICLE}: dev has no host q; it has z, a, c, a-router\n"


def test_host_keys_may_still_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    file.write_text(re.sub(r", host_key: [^}]*}", "}", Path(ARTICLE).read_text()))
    result = run(app, ["render", str(file)])
    assert result.exit_code == 0
    assert "# host z, hub of dev; reached as root@127.0.0.1:22010, host key not known yet\n" in result.stdout


@pytest.mark.parametrize("command", [["render"], ["access"], ["handout", "e", "--file"]])
def test_faults_are_lines_as_check_prints_them(command: list[str], tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    file.write_text(Path(ARTICLE).read_text().replace("10.70.0.5", "10.70.0.4"))
    result = run(app, [*command, str(file)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == run(app, ["check", str(file)]).stderr
    assert result.stderr.count("\n") == 1
    assert run(app, [*command, str(tmp_path / "no.yaml")]).exit_code == 2


def test_help_lists_every_command_and_teaches_with_examples() -> None:
    text = run(app, ["--help"]).stdout
    for command in COMMANDS:
        assert re.search(rf"^\W*{command}  ", text, re.MULTILINE), command
    assert "python -m wg_office render configs/dev.yaml --host z" in text


@pytest.mark.parametrize("command", ["render", "access", "status", "repair", "handout"])
def test_help_of_a_command_has_an_example(command: str) -> None:
    assert f"Example: python -m wg_office {command} " in run(app, [command, "--help"]).stdout


COMMANDS = ("check", "schema", "render", "access", "diff", "diagram", "new", "status", "repair", "handout")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_usage_names_each_argument_once_and_plainly(command: str) -> None:
    (usage,) = re.findall(r"Usage: (.*)", run(app, [command, "--help"]).stdout)
    assert not re.search(r"\[\[|\.{6}", usage)


@pytest.mark.parametrize(("command", "numbers"), [("check", "012"), ("diff", "0124"), ("status", "012345"), ("repair", "015")])
def test_help_says_what_the_exit_status_means(command: str, numbers: str) -> None:
    text = run(app, [command, "--help"]).stdout.partition("Exit status:")[2].partition("Example:")[0]
    assert set(numbers) - {"2", "3"} <= set(re.findall(r"\b[0-5]\b", text))
