"""hostside/wg-office, where a fact can be seen without a host."""

import re
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "hostside" / "wg-office"


def test_a_match_is_found_while_the_command_before_it_still_writes() -> None:
    functions = SCRIPT.read_text().rpartition('main "$@"')[0]
    done = subprocess.run(["bash", "-c", f"{functions}\nseq 100000 | has -x 1"], check=False)
    assert done.returncode == 0


def test_no_pipe_ends_in_a_command_that_stops_reading_early() -> None:
    assert re.findall(r".*[^|]\| grep -\w*q.*", SCRIPT.read_text()) == []
