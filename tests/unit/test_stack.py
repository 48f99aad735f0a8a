"""What a stack is asked: every way it can go wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from wg_office.asking.stack import Stack, StackError, developer_confs, parse_outputs, stack_of
from wg_office.environment.model import Developer

(E,) = Developer.model_validate({"name": "e", "address": "10.70.0.4"}).clients


@pytest.fixture
def fake_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "pulumi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def test_the_outputs_are_read_with_their_secrets_from_the_named_stack_in_its_project(fake_pulumi: Path, tmp_path: Path) -> None:
    script(fake_pulumi, """printf '{"args": "%s", "folder": "%s"}' "$*" "$PWD" """)
    (tmp_path / "project").mkdir()
    asked = Stack("dev", tmp_path / "project").outputs()
    assert asked == {
        "args": "stack output --json --show-secrets --stack dev --non-interactive",
        "folder": str(tmp_path / "project"),
    }


def test_without_pulumi_the_remedy_is_named(fake_pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake_pulumi.parent))
    with pytest.raises(StackError, match="no `pulumi` on the PATH"):
        Stack("dev", None).outputs()


def test_pulumis_own_last_word_is_passed_on(fake_pulumi: Path) -> None:
    script(fake_pulumi, "echo 'error: no stack named prod found' >&2; exit 255")
    with pytest.raises(StackError, match=r"failed: no stack named prod found; check the stack.*PULUMI_CONFIG_PASSPHRASE"):
        Stack("prod", None).outputs()


def test_nothing_that_pulumi_says_moves_the_cursor_or_fills_the_screen(fake_pulumi: Path) -> None:
    script(fake_pulumi, r"printf 'error: \033]0;title\007\033[2Jno stack\r\n%02000d\033[1m\n' 7 >&2; exit 255")
    with pytest.raises(StackError) as refused:
        Stack("prod", None).outputs()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 800
    script(fake_pulumi, r"printf 'error: \033[2Jno stack\n' >&2; exit 255")
    with pytest.raises(StackError, match=r"failed: \\x1b\[2Jno stack; check"):
        Stack("prod", None).outputs()


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null"])
def test_text_that_is_no_object_of_outputs_is_refused(text: str) -> None:
    with pytest.raises(StackError, match="no JSON object"):
        parse_outputs(text)


def test_a_developers_files_are_found_by_name() -> None:
    assert developer_confs({"dev_e_confs": {"everyday": "text"}}, E) == {"everyday": "text"}


@pytest.mark.parametrize(("outputs", "reason"), [({}, "run `pulumi up`"), ({"dev_e_confs": "[secret]"}, "--show-secrets")])
def test_missing_or_hidden_files_are_a_clear_error(outputs: dict[str, object], reason: str) -> None:
    with pytest.raises(StackError, match=reason):
        developer_confs(outputs, E)


# ---- the project, and the operator's key in it -----------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a place for environment files; we are somewhere else."""
    folder = tmp_path / "project"
    (folder / "configs").mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: wg-office\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_the_project_is_the_one_around_the_file_or_else_around_where_we_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stack_of(project / "configs" / "office.yaml", "office").project == project
    assert stack_of(Path("../project/configs/office.yaml"), "office").project is not None
    assert stack_of(Path("office.yaml"), "office").project is None
    monkeypatch.chdir(project / "configs")
    assert stack_of(project.parent / "elsewhere" / "office.yaml", "office").project == project


def test_the_operators_key_is_the_one_that_the_stack_names(project: Path) -> None:
    settings = project / "Pulumi.office.yaml"
    stack = stack_of(project / "configs" / "office.yaml", "org/wg-office/office")
    assert stack.ssh_key_file() is None
    for text, found in {
        "": None,
        "config: {}": None,
        "config: {wg-office:sshKeyFile: ''}": None,
        "config: {other:sshKeyFile: /key}": None,
        "config: {wg-office:sshKeyFile: /srv/key}": Path("/srv/key"),
        "config: {sshKeyFile: /srv/key}": Path("/srv/key"),
        "config: {wg-office:sshKeyFile: .state/key}": project / ".state" / "key",
        "config: {wg-office:sshKeyFile: ~/.ssh/key}": Path("~/.ssh/key"),
    }.items():
        settings.write_text(text)
        assert stack.ssh_key_file() == found, text


@pytest.mark.parametrize("text", ["config: [", "\t", "config: {wg-office:sshKeyFile: {secure: AAAA}}"])
def test_a_stacks_file_that_does_not_tell_the_key_is_one_sentence(project: Path, text: str) -> None:
    (project / "Pulumi.office.yaml").write_text(text)
    with pytest.raises(StackError, match="--key FILE"):
        stack_of(project / "configs" / "office.yaml", "office").ssh_key_file()
