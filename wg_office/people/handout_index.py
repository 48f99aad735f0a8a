"""Beside the hand-outs of all: who has had which key, a line each. It holds no secret, and only ever grows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

from wg_office.environment.model import Client, Environment
from wg_office.people.handout_page import HandoutError

INDEX_NAME = "index.csv"


class Entry(NamedTuple):
    """A machine's public key, by which `wg show`, `status` and the preview know it, and when it was first handed out."""

    developer: str
    device: str
    rotation: str
    public_key: str
    handed_out: str

    @property
    def holder(self) -> tuple[str, str, str]:
        """Who had it: all but what a later hand-out of the same would say otherwise."""
        return self.developer, self.device, self.public_key


def continued(env: Environment, keys: Mapping[str, str], folder: Path, today: date) -> bytes:
    """The index of a folder with whatever is new in it; `keys` are the public ones by machine."""
    had = _read(folder / INDEX_NAME)
    known = {entry.holder for entry in had}
    new = [_entry(each, env.rotation_of(each), keys, today) for each in env.clients]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Entry._fields, *had, *(entry for entry in new if entry.holder not in known)])
    return text.getvalue().encode()


def _entry(client: Client, rotation: str, keys: Mapping[str, str], today: date) -> Entry:
    if client.name not in keys:
        raise HandoutError(f"the stack has no public key of {client.name}; run `pulumi up` first")
    return Entry(client.developer.name, client.device or "", rotation, keys[client.name], today.isoformat())


def _read(file: Path) -> list[Entry]:
    try:
        heads, *rows = csv.reader(io.StringIO(file.read_text(encoding="utf-8")))
        if tuple(heads) == Entry._fields:
            return [Entry(*row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error):
        pass
    raise HandoutError(f"{file} is no index of hand-outs; move it away, or choose another folder with --out")
