"""`python -m wg_office handout`: from a stack's outputs to one file, and one line for whatever is in the way. Pulumi is a stand-in here."""

import csv
import json
import re
import stat
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_render import GOLDEN, environment
from typer.testing import CliRunner

from wg_office.commands.cli import app
from wg_office.commands.terminal import environment_of
from wg_office.hosts.keys import PublicNames, listed
from wg_office.people.profiles import ClientKeys, profiles, render_profile

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
    confs = {profile.kind: render_profile(profile, KEYS) for profile in profiles(env, env.clients[0])}
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
    assert (stack / "called").read_text().endswith("--show-secrets --stack dev --non-interactive\n")
    run(app, ["handout", "e", "--file", ARTICLE, "--stack", "org/office/dev", "--force"])
    assert (stack / "called").read_text().endswith("--stack org/office/dev --non-interactive\n")


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


# ---- all developers at once ------------------------------------------------------------------------------------------


@pytest.fixture
def everybody(stack: Path) -> Path:
    """The stack knows all developers of the file."""
    env = environment("article")
    confs = {each.name: {profile.kind: render_profile(profile, KEYS) for profile in profiles(env, each)} for each in env.clients}
    deploy(stack, {"e": "E" * 43 + "=", "f": "F" * 43 + "="}, confs)
    return stack


def deploy(stack: Path, public: dict[str, str], confs: dict[str, dict[str, str]]) -> None:
    """The stack says so from now on."""
    names = {name: PublicNames(key, "", "") for name, key in public.items()}
    outputs = {"public_keys": listed(names), **{f"dev_{name}_confs": texts for name, texts in confs.items()}}
    (stack / "outputs").write_text(json.dumps(outputs))


def index(stack: Path) -> list[list[str]]:
    with (stack / "here" / "handout-dev" / "index.csv").open() as file:
        return list(csv.reader(file))


def test_the_hand_outs_of_all_go_into_a_folder_that_only_the_owner_enters(everybody: Path) -> None:
    result = run(app, ["handout", "--all", "--file", ARTICLE])
    assert (result.exit_code, result.stderr) == (0, "")
    folder = everybody / "here" / "handout-dev"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert result.stdout.startswith("handout-dev: for e, f, a file each")
    assert sorted(path.name for path in folder.iterdir()) == ["handout-dev-e.html", "handout-dev-f.html", "index.csv"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert len((everybody / "called").read_text().splitlines()) == 1


def test_the_hand_outs_of_all_are_written_all_or_not_at_all(stack: Path) -> None:
    result = run(app, ["handout", "--all", "--file", ARTICLE])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "the stack has no output dev_f_confs" in result.stderr
    assert list((stack / "here").iterdir()) == []


def test_the_index_says_who_has_which_public_key_and_holds_no_secret(everybody: Path) -> None:
    run(app, ["handout", "--all", "--file", ARTICLE])
    today = datetime.now(UTC).date().isoformat()
    assert index(everybody) == [
        ["developer", "device", "rotation", "public_key", "handed_out"],
        ["e", "", "1", "E" * 43 + "=", today],
        ["f", "", "1", "F" * 43 + "=", today],
    ]
    text = (everybody / "here" / "handout-dev" / "index.csv").read_text()
    assert not [key for key in (KEYS.private_key, KEYS.preshared_key) if key is None or key in text]


def test_a_later_hand_out_continues_the_index_with_what_is_new(everybody: Path) -> None:
    run(app, ["handout", "--all", "--file", ARTICLE])
    file = everybody / "here" / "handout-dev" / "index.csv"
    earlier = file.read_text().replace(datetime.now(UTC).date().isoformat(), "2026-01-31")
    file.write_text(earlier)
    confs = {name: json.loads((everybody / "outputs").read_text())[f"dev_{name}_confs"] for name in "ef"}
    deploy(everybody, {"e": "G" * 43 + "=", "f": "F" * 43 + "="}, confs)
    renewed = everybody / "here" / "article.yaml"
    renewed.write_text(Path(ARTICLE).read_text().replace("- name: e\n", "- name: e\n    rotation: 2\n", 1))
    assert environment_of(renewed).clients[0].rotation == 2
    assert run(app, ["handout", "--all", "--file", str(renewed), "--force"]).exit_code == 0
    assert file.read_text() == earlier + f"e,,2,{'G' * 43}=,{datetime.now(UTC).date().isoformat()}\n"


def test_a_hand_out_after_everybodys_keys_were_renewed_says_so(everybody: Path) -> None:
    run(app, ["handout", "--all", "--file", ARTICLE])
    confs = {name: json.loads((everybody / "outputs").read_text())[f"dev_{name}_confs"] for name in "ef"}
    deploy(everybody, {"e": "G" * 43 + "=", "f": "H" * 43 + "="}, confs)
    renewed = everybody / "here" / "article.yaml"
    renewed.write_text(re.sub(r"(cidr: 10\.70\.0\.0/16)", r"\1, rotation: 2", Path(ARTICLE).read_text(), count=1))
    assert environment_of(renewed).network.rotation == 2
    assert run(app, ["handout", "--all", "--file", str(renewed), "--force"]).exit_code == 0
    assert [(row[0], row[2], row[3][0]) for row in index(everybody)[1:]] == [
        *(("e", "1", "E"), ("f", "1", "F")),
        *(("e", "2.1", "G"), ("f", "2.1", "H")),
    ]


@pytest.mark.parametrize("text", ["mine", "a,b\n", "developer,device,rotation,public_key,handed_out\ne,f\n", "", "\udcff"])
def test_what_is_no_index_is_not_written_over(everybody: Path, text: str) -> None:
    folder = everybody / "here" / "handout-dev"
    folder.mkdir(mode=0o700)
    (folder / "index.csv").write_text(text, errors="surrogateescape")
    result = run(app, ["handout", "--all", "--file", ARTICLE])
    assert (result.exit_code, result.stderr) == (
        1,
        "handout-dev/index.csv is no index of hand-outs; move it away, or choose another folder with --out\n",
    )
    assert [path.name for path in folder.iterdir()] == ["index.csv"]


def test_a_stack_without_somebodys_public_key_is_one_line_and_nothing_is_written(everybody: Path) -> None:
    confs = {name: json.loads((everybody / "outputs").read_text())[f"dev_{name}_confs"] for name in "ef"}
    deploy(everybody, {"e": "E" * 43 + "="}, confs)
    result = run(app, ["handout", "--all", "--file", ARTICLE])
    assert (result.exit_code, result.stderr) == (1, "the stack has no public key of f; run `pulumi up` first\n")
    assert list((everybody / "here").iterdir()) == []


def test_a_second_time_nothing_is_replaced_without_force(everybody: Path) -> None:
    assert run(app, ["handout", "--all", "--file", ARTICLE, "--out", "out"]).exit_code == 0
    (everybody / "here" / "out" / "handout-dev-e.html").unlink()
    again = run(app, ["handout", "--all", "--file", ARTICLE, "--out", "out"])
    assert (again.exit_code, again.stderr.count("\n")) == (1, 1)
    assert "--force" in again.stderr
    assert not (everybody / "here" / "out" / "handout-dev-e.html").exists()
    assert run(app, ["handout", "--all", "--file", ARTICLE, "--out", "out", "--force"]).exit_code == 0


def test_a_folder_that_others_can_read_takes_no_hand_outs(everybody: Path) -> None:
    (everybody / "here" / "out").mkdir(mode=0o755)
    result = run(app, ["handout", "--all", "--file", ARTICLE, "--out", "out"])
    assert (result.exit_code, result.stderr) == (1, "out is open to others; `chmod 700 out`, or choose another folder with --out\n")
    assert list((everybody / "here" / "out").iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["e", "--all"]])
def test_either_one_developer_or_all(stack: Path, arguments: list[str]) -> None:
    result = run(app, ["handout", *arguments, "--file", ARTICLE])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--all" in result.stderr
