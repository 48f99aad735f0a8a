"""The hand-out of a developer's machine as a file: one page, or a zip with the page and the WireGuard files; or a folder with those of all.

What it holds is a secret, so that it is written readable for its owner only, and never over something else by accident.
"""

from __future__ import annotations

import io
import os
import secrets
import shlex
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from wg_office.environment.model import Client, Environment
from wg_office.people.apple import apple_files
from wg_office.people.handout_index import INDEX_NAME, continued
from wg_office.people.handout_page import HandoutError, QrTooLongError, handout_page, paired_files

__all__ = ["HandedOut", "HandoutError", "QrTooLongError", "handout_page", "handout_zip", "run_handout", "run_handouts", "write_secret"]

PAGE_NAME = "handout.html"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class HandedOut:
    """What the stack has for the hand-outs of all: files by machine and kind, public keys by machine; and the day."""

    confs: Mapping[str, Mapping[str, str]]
    public_keys: Mapping[str, str]
    today: date


def run_handout(
    env: Environment, client: Client, confs: Mapping[str, str], out_path: Path | None, *, as_zip: bool = False, force: bool = False
) -> Path:
    """Write the hand-out of a machine, with mode 0600, and return where it is. `confs` are the files' texts by kind of profile."""
    path = out_path or Path(_file_name(env, client, as_zip))
    write_secret(path, _data(env, client, confs, as_zip), force=force)
    return path


def run_handouts(env: Environment, made: HandedOut, folder: Path | None, *, as_zip: bool = False, force: bool = False) -> Path:
    """Write the hand-outs of all machines into a folder that only its owner can enter, with an index, and return it.

    All are made before the first is written: a stack that is older than the file must not give out half of them.
    """
    pages = {_file_name(env, each, as_zip): _data(env, each, made.confs[each.name], as_zip) for each in env.clients}
    folder = folder or Path(f"handout-{env.environment}")
    index = continued(env, made.public_keys, folder, made.today)
    _make_private(folder)
    there = [name for name in pages if (folder / name).exists()]
    if there and not force:
        raise HandoutError(f"{folder} holds {there[0]} already; give --force to replace it, or another folder with --out")
    for name, data in pages.items():
        write_secret(folder / name, data, force=force)
    write_secret(folder / INDEX_NAME, index, force=True)  # what it held is in it
    return folder


def _file_name(env: Environment, client: Client, as_zip: bool) -> str:
    return f"handout-{env.environment}-{client.name}.{'zip' if as_zip else 'html'}"


def _data(env: Environment, client: Client, confs: Mapping[str, str], as_zip: bool) -> bytes:
    return handout_zip(env, client, confs) if as_zip else handout_page(env, client, confs).encode()


# --- writing ---------------------------------------------------------------------------------------------------------------------------


def write_secret(path: Path, data: bytes, *, force: bool = False) -> None:
    """Write a file that only its owner can read, whole or not at all; an existing one is replaced only by force."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if force:
                part.replace(path)
            else:
                os.link(part, path)  # unlike a rename, this never replaces what is there
        finally:
            part.unlink(missing_ok=True)
    except FileExistsError:
        raise HandoutError(f"{path} is there already; give --force to replace it, or another name with --out") from None
    except OSError as error:
        raise HandoutError(f"{path} cannot be written: {error.strerror}; choose another place with --out") from None


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        open_to_others = folder.stat().st_mode & 0o077
    except OSError as error:
        raise HandoutError(f"{folder} cannot be made: {error.strerror}; choose another folder with --out") from None
    if open_to_others:
        raise HandoutError(f"{folder} is open to others; `chmod 700 {shlex.quote(str(folder))}`, or choose another folder with --out")


def handout_zip(env: Environment, client: Client, confs: Mapping[str, str]) -> bytes:
    """The files and the page in one archive, the same bytes each time. The WireGuard apps import it as it is."""
    paired = paired_files(env, client, confs)
    members = {profile.file_name: text.encode() for profile, text in paired}
    members |= apple_files(env, client, *paired[0])
    members[PAGE_NAME] = handout_page(env, client, confs).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.create_system = 3  # Unix, so that the mode below counts
            info.external_attr = 0o100600 << 16
            archive.writestr(info, data)
    return buffer.getvalue()
