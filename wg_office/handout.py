"""The hand-out of a developer as a file: one page, or a zip with the page and the WireGuard files.

What it holds is a secret, so that it is written readable for its owner only, and never over something else by accident.
"""

from __future__ import annotations

import io
import os
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path

from wg_office.handout_page import HandoutError, QrTooLongError, handout_page, paired_files
from wg_office.model import Developer, Environment

__all__ = ["HandoutError", "QrTooLongError", "handout_page", "handout_zip", "run_handout", "write_secret"]

PAGE_NAME = "handout.html"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def run_handout(
    env: Environment, developer_name: str, confs: Mapping[str, str], out_path: Path | None, *, as_zip: bool = False, force: bool = False
) -> Path:
    """Write the hand-out of a developer, with mode 0600, and return where it is. `confs` are the files' texts by kind of profile."""
    developer = next((each for each in env.developers if each.name == developer_name), None)
    if developer is None:
        names = ", ".join(each.name for each in env.developers) or "nobody yet"
        raise HandoutError(f"{env.environment} has no developer {developer_name!r}; it has {names}")
    path = out_path or Path(f"handout-{env.environment}-{developer.name}.{'zip' if as_zip else 'html'}")
    data = handout_zip(env, developer, confs) if as_zip else handout_page(env, developer, confs).encode()
    write_secret(path, data, force=force)
    return path


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


def handout_zip(env: Environment, developer: Developer, confs: Mapping[str, str]) -> bytes:
    """The files and the page in one archive, the same bytes each time. The WireGuard apps import it as it is."""
    members = {profile.file_name: text for profile, text in paired_files(env, developer, confs)}
    members[PAGE_NAME] = handout_page(env, developer, confs)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in members.items():
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.create_system = 3  # Unix, so that the mode below counts
            info.external_attr = 0o100600 << 16
            archive.writestr(info, text.encode())
    return buffer.getvalue()
