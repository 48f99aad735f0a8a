"""`make bench`: this program beside the engine's floor, and beside `ansible-playbook` on the same hosts of the same lab, in one run.

The floor is what the engine takes for the same resources without any logic of ours; hosts take everything there and do nothing.

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

from bench.floor import floor
from bench.office import HOSTS, Office
from bench.sink import sink
from bench.tools import Ansible, Pulumi, Tool
from lab import Lab, LabError

ROOT = Path(__file__).resolve().parent.parent
STEPS = ("first time", "nothing to do", "a developer more, or one less")
Seconds = dict[str, float]

console = Console(stderr=True, highlight=False)


def timed(lab: Lab, tool: Tool, office: Office, step: str) -> float:
    """The seconds that the tool took. Raises LabError where it failed, or where the hub does not have these peers afterwards."""
    before = time.monotonic()
    tool.apply(office)
    took = time.monotonic() - before
    found = len(lab.exec("z", ["wg", "show", "wg0", "peers"]).stdout.splitlines())
    if found != office.peers_of_hub:
        raise LabError(f"{tool.name} left {found} peers on the hub, not {office.peers_of_hub}")
    console.print(f"{tool.name}, {office.developers} developers, {step}: {took:.1f} s")
    return took


def measure(lab: Lab, tool: Tool, developers: int, rounds: int) -> Seconds:
    """Seconds by step; the median where a step was repeated."""
    lab.reset_nodes(HOSTS)
    office, larger = Office(lab, developers), Office(lab, developers + 1)
    with tool:
        first = timed(lab, tool, office, STEPS[0])
        nothing = [timed(lab, tool, office, STEPS[1]) for _ in range(rounds)]
        changes = [timed(lab, tool, one, STEPS[2]) for _ in range(rounds) for one in (larger, office)]
    return dict(zip(STEPS, (first, statistics.median(nothing), statistics.median(changes)), strict=True))


def show(title: str, of: str, to: str, results: dict[int, dict[str, Seconds]]) -> None:
    """Seconds of two, and their ratio."""
    table = Table(title=f"hub, two gateways and a router, {title}; seconds")
    for column in ("developers", "", of, to, f"{of} / {to}"):
        table.add_column(column, justify="right" if column else "left")
    for developers, by_name in results.items():
        for step, one in by_name[of].items():
            other = by_name[to][step]
            table.add_row(str(developers), step, f"{one:.1f}", f"{other:.1f}", f"{one / other:.2f}")
    Console().print(table)


def beside_the_floor(folder: Path, sizes: list[int]) -> dict[str, dict[int, dict[str, Seconds]]]:
    """Seconds by the way they are counted, and then by size, program and step."""
    with sink(folder, HOSTS) as hosts:
        found = {developers: floor(hosts, folder / str(developers), developers) for developers in sizes}
    return {
        way: {
            size: {name: {step: getattr(one, way) for step, one in steps.items()} for name, steps in by.items()}
            for size, by in found.items()
        }
        for way in ("clock", "processor")
    }


def beside_ansible(folder: Path, sizes: list[int], rounds: int) -> dict[int, dict[str, Seconds]]:
    """Seconds by size, tool and step, in the lab."""
    lab = Lab(ROOT)
    lab.up()
    tools: tuple[Tool, ...] = (Pulumi(lab, folder), Ansible(lab, folder))
    return {developers: {tool.name: measure(lab, tool, developers, rounds) for tool in tools} for developers in sizes}


def main() -> int:
    """0 when all was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--developers", type=int, nargs="+", default=[5, 300], metavar="N", help="sizes of the network (5 300)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="how often a step is repeated; the median counts (1)")
    parser.add_argument("--json", action="store_true", help="for programs: seconds by comparison, developers, tool and step")
    parser.add_argument("--only", choices=("floor", "ansible"), help="one of the two comparisons alone")
    chosen = parser.parse_args()
    results: dict[str, dict[int, dict[str, Seconds]]] = {}
    try:
        with TemporaryDirectory(prefix="wg-office-bench-") as folder:
            if chosen.only != "ansible":
                results |= {f"floor by {way}": found for way, found in beside_the_floor(Path(folder), chosen.developers).items()}
            if chosen.only != "floor":
                results["ansible"] = beside_ansible(Path(folder), chosen.developers, chosen.rounds)
    except LabError as error:
        console.print(f"bench: {error}", style="red")
        return 1
    if chosen.json:
        print(json.dumps(results, indent=2))
        return 0
    for counted in sorted(set(results) - {"ansible"}):
        show(f"whose hosts do nothing, beside the {counted}", Pulumi.name, "floor", results[counted])
    if "ansible" in results:
        show("in the emulated lab", Ansible.name, Pulumi.name, results["ansible"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
