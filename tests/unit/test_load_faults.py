"""Each file in faults/ is an environment with one mistake (or, in many-at-once, several), and begins with the faults that it must get."""

from pathlib import Path

import pytest

from wg_office.environment.faults import Faults
from wg_office.reading.load import inspect, load

FIXTURES = sorted((Path(__file__).parent / "faults").glob("*.yaml"))


def expected(file: Path) -> list[str]:
    return [line.removeprefix("#= ") for line in file.read_text().splitlines() if line.startswith("#= ")]


@pytest.mark.parametrize("file", FIXTURES, ids=lambda file: file.stem)
def test_the_file_gets_exactly_these_faults(file: Path) -> None:
    found = [str(fault).removeprefix(f"{file}:").strip() for fault in inspect(file).faults]
    assert found == expected(file)
    assert found, "a fixture without a fault proves nothing"


def test_load_raises_all_of_them_together() -> None:
    file = Path(__file__).parent / "faults" / "many-at-once.yaml"
    with pytest.raises(Faults) as raised:
        load(file)
    assert [str(fault) for fault in raised.value.faults] == str(raised.value).splitlines()
    assert len(raised.value.faults) == len(expected(file)) > 8
