"""`python -m wg_office handout`: from a stack's outputs to one file, and one line for whatever is in the way. Pulumi is a stand-in here."""

import json
import stat
import zipfile
from pathlib import Path

import pytest
from test_render import GOLDEN, environment
from typer.testing import CliRunner

from wg_office.cli import app
from wg_office.profiles import ClientKeys, profiles, render_profile

ARTICLE = str(GOLDEN / "article" / "environment.yaml")

# The example keys of the WireGuard documentation.
KEYS = ClientKeys(
    hub_public_key="HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
    preshared_key="FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=",
    private_key="yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
)

run = CliRunner().invoke


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, and a `pulumi` that knows developer e of stack dev and writes down how it was called."""
    env = environment("article")
    confs = {profile.kind: render_profile(profile, KEYS) for profile in profiles(env, env.developers[0])}
    (tmp_path / "outputs").write_text(json.dumps({"dev_e_confs": confs}))
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/called\nexec cat {tmp_path}/outputs\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_the_page_is_written_for_its_owner_only_and_the_key_is_not_printed(stack: Path) -> None:
    result = run(app, ["handout", "e", "--file", ARTICLE])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "handout-dev-e.html: for e only; hand it over in private, then remove it\n"
    page = stack / "here" / "handout-dev-e.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert KEYS.private_key is not None
    assert KEYS.private_key in page.read_text()


def test_the_stack_is_called_like_the_environment_unless_another_is_named(stack: Path) -> None:
    run(app, ["handout", "e", "--file", ARTICLE])
    assert (stack / "called").read_text().endswith("--show-secrets --non-interactive --stack dev\n")
    run(app, ["handout", "e", "--file", ARTICLE, "--stack", "org/office/dev", "--force"])
    assert (stack / "called").read_text().endswith("--stack org/office/dev\n")


def test_a_zip_goes_where_it_is_wanted(stack: Path) -> None:
    result = run(app, ["handout", "e", "--file", ARTICLE, "--zip", "--out", "e.zip"])
    assert result.exit_code == 0
    with zipfile.ZipFile(stack / "here" / "e.zip") as archive:
        assert {"handout.html", "dev-vpn.conf"} <= set(archive.namelist())


def test_a_file_that_is_there_is_replaced_only_by_force(stack: Path) -> None:
    page = stack / "here" / "e.html"
    page.write_text("mine")
    refused = run(app, ["handout", "e", "--file", ARTICLE, "--out", "e.html"])
    assert (refused.exit_code, page.read_text()) == (1, "mine")
    assert refused.stderr == "e.html is there already; give --force to replace it, or another name with --out\n"
    assert run(app, ["handout", "e", "--file", ARTICLE, "--out", "e.html", "--force"]).exit_code == 0
    assert page.read_text() != "mine"


def test_an_unknown_developer_is_one_line_and_the_stack_is_not_asked(stack: Path) -> None:
    result = run(app, ["handout", "q", "--file", ARTICLE])
    assert (result.exit_code, result.stderr) == (2, f"{ARTICLE}: dev has no developer q; it has e, f\n")
    assert not (stack / "called").exists()


@pytest.mark.parametrize(("arguments", "outputs"), [("f", None), ("e", "{}"), ("e", '{"dev_e_confs": "[secret]"}'), ("e", "nonsense")])
def test_a_stack_without_the_files_is_one_line_and_nothing_is_written(stack: Path, arguments: str, outputs: str | None) -> None:
    if outputs is not None:
        (stack / "outputs").write_text(outputs)
    result = run(app, ["handout", arguments, "--file", ARTICLE])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert list((stack / "here").iterdir()) == []


def test_without_pulumi_the_remedy_is_named(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(stack / "here"))
    result = run(app, ["handout", "e", "--file", ARTICLE])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "there is no `pulumi` on the PATH" in result.stderr
