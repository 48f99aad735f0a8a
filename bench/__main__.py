"""`make bench`: `pulumi up` and `ansible-playbook`, for the same network on the same hosts, in one run and in the same lab.

The playbook is the smallest that leads to a network of that shape: a wg-quick file, a sysctl file, one nftables file and a route. It has no
roll-back, no removal, and keys that lie on the operator's disk. It runs at its best: pipelining, kept connections, all hosts at once,
no gathering of facts.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench.office import HOSTS, Office
from bench.tools import Ansible, Pulumi, Tool
from lab import Lab, LabError

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("first time", "nothing to do", "a developer more, or one less")
Seconds = dict[str, float]

console = Console(stderr=True, highlight=False)


def timed(tool: Tool, office: Office, step: str) -> float:
    """The seconds that the tool took. Raises LabError where it failed, or where the hub does not have these peers afterwards."""
    before = time.monotonic()
    tool.apply(office)
    took = time.monotonic() - before
    found = len(office.lab.exec("z", ["wg", "show", "wg0", "peers"]).stdout.splitlines())
    if found != office.peers_of_hub:
        raise LabError(f"{tool.name} left {found} peers on the hub, not {office.peers_of_hub}")
    console.print(f"{tool.name}, {office.developers} developers, {step}: {took:.1f} s")
    return took


def measure(lab: Lab, tool: Tool, developers: int, rounds: int) -> Seconds:
    """Seconds by step; the median where a step was repeated."""
    lab.reset_nodes(HOSTS)
    office, larger = Office(lab, developers), Office(lab, developers + 1)
    with tool:
        first = timed(tool, office, STEPS[0])
        nothing = [timed(tool, office, STEPS[1]) for _ in range(rounds)]
        changes = [timed(tool, one, STEPS[2]) for _ in range(rounds) for one in (larger, office)]
    return dict(zip(STEPS, (first, statistics.median(nothing), statistics.median(changes)), strict=True))


def show(results: dict[int, dict[str, Seconds]]) -> None:
    """Seconds and their ratio."""
    table = Table(title="hub, two gateways and a router, in the emulated lab; seconds")
    for column in ("developers", "", "wg-office", "Ansible", "Ansible / wg-office"):
        table.add_column(column, justify="right" if column else "left")
    for developers, by_tool in results.items():
        for step in STEPS:
            ours, theirs = by_tool[Pulumi.name][step], by_tool[Ansible.name][step]
            table.add_row(str(developers), step, f"{ours:.1f}", f"{theirs:.1f}", f"{theirs / ours:.1f}")
    Console().print(table)


def main() -> int:
    """0 when all was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--developers", type=int, nargs="+", default=[5, 300], metavar="N", help="sizes of the network (5 300)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="how often a step is repeated; the median counts (1)")
    parser.add_argument("--json", action="store_true", help="for programs: seconds by developers, tool and step")
    chosen = parser.parse_args()
    lab = Lab(ROOT)
    results: dict[int, dict[str, Seconds]] = {}
    try:
        lab.up()
        with TemporaryDirectory(prefix="wg-office-bench-") as folder:
            tools: tuple[Tool, ...] = (Pulumi(lab, Path(folder)), Ansible(Path(folder)))
            for developers in chosen.developers:
                results[developers] = {tool.name: measure(lab, tool, developers, chosen.rounds) for tool in tools}
    except LabError as error:
        console.print(f"bench: {error}", style="red")
        return 1
    if chosen.json:
        print(json.dumps(results, indent=2))
    else:
        show(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
