"""Reading a stack's outputs: every way it can go wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from wg_office.stack import StackError, developer_confs, parse_outputs, stack_outputs


@pytest.fixture
def fake_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "pulumi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def test_the_outputs_are_read_with_their_secrets_from_the_named_stack(fake_pulumi: Path) -> None:
    script(fake_pulumi, """printf '{"args": "%s"}' "$*" """)
    assert stack_outputs("dev") == {"args": "stack output --json --show-secrets --non-interactive --stack dev"}
    assert stack_outputs() == {"args": "stack output --json --show-secrets --non-interactive"}


def test_without_pulumi_the_remedy_is_named(fake_pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake_pulumi.parent))
    with pytest.raises(StackError, match="no `pulumi` on the PATH"):
        stack_outputs()


def test_pulumis_own_last_word_is_passed_on(fake_pulumi: Path) -> None:
    script(fake_pulumi, "echo 'error: no stack named prod found' >&2; exit 255")
    with pytest.raises(StackError, match="failed: no stack named prod found; check the stack"):
        stack_outputs("prod")


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "null"])
def test_text_that_is_no_object_of_outputs_is_refused(text: str) -> None:
    with pytest.raises(StackError, match="no JSON object"):
        parse_outputs(text)


def test_a_developers_files_are_found_by_name() -> None:
    assert developer_confs({"dev_e_confs": {"everyday": "text"}}, "e") == {"everyday": "text"}


@pytest.mark.parametrize(("outputs", "reason"), [({}, "run `pulumi up`"), ({"dev_e_confs": "[secret]"}, "--show-secrets")])
def test_missing_or_hidden_files_are_a_clear_error(outputs: dict[str, object], reason: str) -> None:
    with pytest.raises(StackError, match=reason):
        developer_confs(outputs, "e")
