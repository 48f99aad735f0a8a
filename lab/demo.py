"""`make demo`: from the deployed stack to a developer's ping of a device in the office. Room: the lab's own show, and nobody else's code.

Deploys stack `dev` with plain Pulumi commands, does by hand what the outputs ask a person to do, connects the laptops e and f with
their files, and shows who reaches what.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lab import Lab, LabError
from lab.settings import DEFAULT_PORT_BASE

ROOT = Path(__file__).parent.parent
ROUTER_OF_BEIJING = "r2"
TARGETS = {
    "z, the hub": "10.70.0.1",
    "d, device in Beijing": "192.168.200.244",
    "b, device in Shenzhen": "192.168.201.50",
    "e": "10.70.0.4",
    "f": "10.70.0.5",
}
LAPTOPS = ("e", "f")
GOAL = ("e", "d, device in Beijing")

console = Console(stderr=True, highlight=False)


def pulumi(*arguments: str) -> None:
    """Run a Pulumi command and show it. Raises LabError when it fails; its own output says why."""
    console.print(f"[bold]$ pulumi {' '.join(arguments)}[/bold]")
    done = subprocess.run(["pulumi", *arguments], cwd=ROOT, check=False)
    if done.returncode:
        raise LabError(f"pulumi {arguments[0]} failed; its message is above")


def outputs() -> dict[str, object]:
    """The stack's outputs, the secret ones too."""
    shown = subprocess.run(["pulumi", "stack", "output", "--json", "--show-secrets"], cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(shown.stdout)
    assert isinstance(found, dict)
    return found


def forget_a_lab_that_is_gone(lab: Lab) -> None:
    """Remove a stack that believes in a deployment which the hosts no longer have: the tests give them back their first state."""
    stacks = subprocess.run(["pulumi", "stack", "ls", "--json"], cwd=ROOT, check=True, capture_output=True, text=True)
    deployed = any(stack["name"] == "dev" and stack.get("resourceCount", 0) for stack in json.loads(stacks.stdout))
    if deployed and lab.exec("z", ["test", "-e", "/etc/wg-office/deployment"], check=False).returncode:
        console.print("the lab's hosts are new, and the stack still describes the old ones: it is made anew")
        pulumi("stack", "rm", "dev", "--yes", "--force", "--preserve-config")


def refuse_other_ports(lab: Lab) -> None:
    """The demo's environment file is a file like any other: what it says of ports must be true."""
    if lab.settings.port_base != DEFAULT_PORT_BASE:
        raise LabError(
            f"configs/dev.yaml has the lab at port {DEFAULT_PORT_BASE} and those after it, and this one is at {lab.settings.port_base}: "
            f"`python -m lab down && LAB_PORT_BASE={DEFAULT_PORT_BASE} make demo`"
        )


def deploy(lab: Lab) -> dict[str, object]:
    """Bring the lab's hosts to what configs/dev.yaml says."""
    forget_a_lab_that_is_gone(lab)
    pulumi("stack", "select", "dev", "--create", "--non-interactive")
    pulumi("up", "--yes", "--skip-preview", "--non-interactive", "--stack", "dev")
    return outputs()


def follow_instructions(lab: Lab, instructions: object) -> None:
    """Do what a person is asked to do: Beijing's router has no SSH, so its static route is typed in."""
    assert isinstance(instructions, list)
    for instruction in instructions:
        console.print(f"[bold]by hand:[/bold] {instruction}")
        if str(instruction).startswith("ip route "):
            lab.exec(ROUTER_OF_BEIJING, str(instruction).split())


def connect(lab: Lab, laptop: str, conf: str) -> None:
    """Give a laptop its file and bring the tunnel up, or, where it is up with this very file, leave it."""
    path = f"/etc/wireguard/{laptop}.conf"
    unchanged = lab.exec(laptop, ["sh", "-c", f"cmp -s - {path} && ip link show {laptop} >/dev/null 2>&1"], check=False, stdin=conf)
    if unchanged.returncode == 0:
        return
    lab.exec(laptop, ["sh", "-c", f"wg-quick down {laptop} 2>/dev/null; true"], check=False)
    lab.put(laptop, path, conf, mode=0o600)
    lab.exec(laptop, ["wg-quick", "up", laptop])


def ping(lab: Lab, laptop: str, address: str) -> str | None:
    """The best round trip of a few in milliseconds, or None where nothing comes back."""
    done = lab.exec(laptop, ["ping", "-n", "-c", "3", "-i", "0.3", "-W", "3", address], check=False)
    times = re.findall(r"time=([0-9.]+)", done.stdout)
    return min(times, key=float) if times else None


def reach(lab: Lab) -> bool:
    """Show who reaches what. Whether the goal of the demo was among it."""
    table = Table(title="who reaches what (round trip in ms)")
    table.add_column("from")
    for target in TARGETS:
        table.add_column(target, justify="right")
    reached = False
    for laptop in LAPTOPS:
        times = [None if target == laptop else ping(lab, laptop, address) for target, address in TARGETS.items()]
        reached |= laptop == GOAL[0] and times[list(TARGETS).index(GOAL[1])] is not None
        cells = ["" if target == laptop else time or "not allowed" for target, time in zip(TARGETS, times, strict=True)]
        table.add_row(laptop, *cells)
    Console().print(table)
    return reached


def main() -> int:
    """Run the demo; 0 when e reached d."""
    lab = Lab(ROOT)
    try:
        refuse_other_ports(lab)
        found = deploy(lab)
        follow_instructions(lab, found["by_hand"])
        for laptop in LAPTOPS:
            console.print(f"connecting {laptop} with the stack output dev_{laptop}_conf")
            connect(lab, laptop, str(found[f"dev_{laptop}_conf"]))
        reached = reach(lab)
    except LabError as error:
        console.print(f"demo: {error}", style="red")
        return 1
    console.print(
        "developer e, at home behind NAT, reaches device d in the office behind NAT"
        if reached
        else "e does not reach d: python -m lab status",
        style="green" if reached else "red",
    )
    return 0 if reached else 1


if __name__ == "__main__":
    os.environ.setdefault("PULUMI_SKIP_UPDATE_CHECK", "true")
    sys.exit(main())
