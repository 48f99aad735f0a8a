"""The parts of the host script (hostside/wg-office.d): each says what it is for, and together they are one program."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from wg_office.hosts import hostscript

PARTS = hostscript.parts()


def functions(text: str) -> list[str]:
    return re.findall(r"^([a-z_]+)\(\)", text, re.MULTILINE)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_says_in_two_lines_what_it_is_for_and_what_it_touches(part: Path) -> None:
    what, touches, empty = part.read_text().split("\n")[:3]
    assert re.fullmatch(r"# [A-Z].{,138}", what)
    assert re.fullmatch(r"# Touches: .{,129}", touches)
    assert empty == ""


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_is_short_and_whole(part: Path) -> None:
    assert len(part.read_text().splitlines()) <= 300
    assert subprocess.run(["bash", "-n", part], capture_output=True, text=True, check=True).stderr == ""


def test_what_travels_is_the_parts_in_order_without_their_signs() -> None:
    rest = re.sub(r"\A#!/bin/bash\n[a-z_=0-9 ]+\n", "", hostscript.scripts().host)
    for part in PARTS:
        text = part.read_text().split("\n\n", 1)[1]
        assert rest.startswith(text), part.name
        rest = rest[len(text) :].removeprefix("\n")
    assert rest == ""


def test_together_they_are_a_program_that_defines_each_function_once() -> None:
    program = hostscript.scripts().host
    assert subprocess.run(["bash", "-n"], input=program, capture_output=True, text=True, check=True).stderr == ""
    assert [name for name, count in Counter(functions(program)).items() if count > 1] == []
    assert len(functions(program)) > 200


def test_every_file_of_their_folder_is_one_of_them_in_the_order_of_names() -> None:
    assert sorted((hostscript.HOSTSIDE / "wg-office.d").iterdir()) == PARTS
    assert [part.name for part in PARTS if not re.fullmatch(r"\d\d-[a-z-]+\.sh", part.name)] == []
