"""The operator's key: each kind of file that is none, or that nobody can log in with, is told for what it is."""

import os
import subprocess
from pathlib import Path

import pytest

from wg_office.asking.operator_key import UnusableKey, read_key

PUTTY = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: mine\n"


def made(path: Path, *options: str, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-N", passphrase, "-f", path, *options], check=True)
    return path


KINDS = [("-t", "ed25519"), ("-t", "ecdsa"), ("-t", "rsa"), ("-t", "rsa", "-m", "PEM"), ("-t", "rsa", "-m", "PKCS8")]


@pytest.mark.parametrize("options", KINDS, ids=" ".join)
def test_a_private_key_is_read_in_every_format_that_ssh_keygen_writes(tmp_path: Path, options: tuple[str, ...]) -> None:
    file = made(tmp_path / "key", *options)
    assert read_key(file) == file.read_text()


@pytest.mark.parametrize("options", KINDS, ids=" ".join)
def test_a_key_with_a_passphrase_is_told_to_go_to_the_agent(tmp_path: Path, options: tuple[str, ...]) -> None:
    with pytest.raises(UnusableKey, match=r"has a passphrase.*ssh-add.*agent"):
        read_key(made(tmp_path / "key", *options, passphrase="secret"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no private key"),
        ("ssh-ed25519 AAAA me\n", "no private key"),
        (PUTTY, r"PuTTY's format.*puttygen"),
        ("\xff\xfe", "is not text"),
    ],
    ids=["empty", "a public key", "PuTTY's", "binary"],
)
def test_what_is_no_private_key_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "key").write_bytes(text.encode("latin-1"))
    with pytest.raises(UnusableKey, match=told):
        read_key(tmp_path / "key")


def test_a_damaged_key_is_told(tmp_path: Path) -> None:
    file = made(tmp_path / "key", "-t", "ed25519")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], lines[-1]]) + "\n")
    with pytest.raises(UnusableKey, match="is no private key"):
        read_key(file)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableKey, match="No such file or directory"):
        read_key(tmp_path / "nowhere")
    with pytest.raises(UnusableKey, match="Is a directory"):
        read_key(tmp_path)
    with pytest.raises(UnusableKey, match="home of a user that is not known here"):
        read_key(Path("~nobody-of-this-name/key"))


def test_a_tilde_is_the_home_of_whoever_runs_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    file = made(tmp_path / "key", "-t", "ed25519")
    assert read_key(Path("~/key")) == file.read_text()
