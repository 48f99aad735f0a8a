"""The command line. argparse, because `exec` is called often and typer's import alone takes longer than the command."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .aptsources import RELEASES
from .core import Lab, NodeState
from .errors import LabError
from .nodes import BY_NAME, OFFICE, VM, Kind

EPILOG = """\
a first walk:
  python -m lab up                                   builds the image once (a minute or two), then boots (a minute)
  python -m lab status                               who runs, and how to log in
  python -m lab exec e -- ping -c1 203.0.113.10      developer e reaches the hub's public address
  python -m lab exec z -- networkctl                 any command in any node; its exit status is ours
  python -m lab reboot z                             and wait until it is back
  python -m lab move e beijing                       e's laptop into LAN2; `move e home` takes it back
  python -m lab down                                 nodes keep what they wrote for the next up
  python -m lab try FILE                             your own environment file on machines made for it, tried with packets
  python -m lab clean                                forget that too, and the lab's keys

environment:
  LAB_NAME        another lab of the same clone, beside the first; it needs a LAB_PORT_BASE of its own. `try` adds "try" to it
  LAB_PORT_BASE   first of the forwarded ports on 127.0.0.1 (22000): vm +0, z +10, a +11, c +12, r1 +21; those of `try` +300
  LAB_MEMORY      megabytes for the virtual machine (3072)
  LAB_ACCEL       tcg (works everywhere) or kvm
  WG_OFFICE_CACHE where images are kept (~/.cache/wg-office)
"""


def parser() -> argparse.ArgumentParser:
    """All verbs and their help."""
    top = argparse.ArgumentParser(
        prog="python -m lab",
        description="The virtual office in one virtual machine: hub z, gateways a c, routers r1 r2 re rf, devices d b, developers e f.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    up = verbs.add_parser("up", help="bring the lab up; quick and without effect if it is up")
    up.add_argument(
        "--release", action="append", default=None, metavar="NODE=RELEASE", help=f"run a node with another Debian ({', '.join(RELEASES)})"
    )
    verbs.add_parser("down", help="shut it down; nodes keep what they wrote")
    status = verbs.add_parser("status", help="what runs, and how to log in; exit status 0 if everything is up, else 3")
    status.add_argument("--json", action="store_true", help="for programs")
    run = verbs.add_parser("exec", help="run a command in a node; its exit status is ours", usage="python -m lab exec NODE -- COMMAND...")
    run.add_argument("node", metavar="NODE", help=f"one of {VM}, {', '.join(BY_NAME)}")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    for verb, text in (
        ("reboot", "reboot a node from inside and wait until it is back"),
        ("crash", "kill everything in a node at once; it starts again"),
        ("reset", "give a node back its first state"),
    ):
        verbs.add_parser(verb, help=text).add_argument("node", metavar="NODE", choices=list(BY_NAME))
    move = verbs.add_parser("move", help="carry a laptop into an office, where it gets its address by DHCP, or back home")
    move.add_argument("node", metavar="NODE", help="e, f or a device")
    move.add_argument("place", metavar="PLACE", help=f"one of {', '.join(OFFICE.places)}")
    _add_try(verbs.add_parser("try", help="deploy an environment file to machines made for it, and try with packets who reaches what"))
    verbs.add_parser("cut", help="a power cut for the whole virtual machine (SIGKILL)")
    verbs.add_parser("clean", help="down, and remove keys, disks and logs of this lab; the image cache stays")
    return top


def _add_try(attempt: argparse.ArgumentParser) -> None:
    attempt.description = """Exit status: 0 when packets say what the file says, 3 when they differ, 2 when it could not be tried: the file
        has faults, the lab's machines cannot be what it asks for, or they did not come to what it says. Progress and what is left out are
        on stderr, the verdict on stdout. Only its own machines are touched, which are new each time and end with it."""
    attempt.add_argument("file", metavar="FILE", type=Path, help="in a copy of it, the ways to its hosts are the lab's")
    attempt.add_argument("--json", action="store_true", help="for programs")
    attempt.add_argument("--release", choices=RELEASES, help="the Debian of all hosts")
    for what, text in (
        ("attempts", "at most so many (240) of the access table, spread evenly; those of `expect:` come on top"),
        ("sites", "at most so many gateways (5)"),
        ("people", "at most so many people (8)"),
    ):
        attempt.add_argument(f"--{what}", type=_some, default=argparse.SUPPRESS, metavar="N", help=text)


def _some(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; errors are one sentence on stderr."""
    options = parser().parse_args(arguments)
    try:
        root = Path(__file__).parent.parent
        return _try(root, options) if options.verb == "try" else _dispatch(Lab(root), options)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return {"exec": 255, "try": 2}.get(options.verb, 1)
    except KeyboardInterrupt:
        left = "its machines are gone" if options.verb == "try" else "`python -m lab status` says what runs"
        print(f"lab: interrupted; {left}, and every verb can be run again.", file=sys.stderr)
        return 130


def _dispatch(lab: Lab, options: argparse.Namespace) -> int:
    match options.verb:
        case "up":
            return _print_status(lab, lab.up(_releases(options.release)), as_json=False)
        case "status":
            return _print_status(lab, lab.status(), as_json=options.json)
        case "exec":
            argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
            return lab.run(options.node, argv)
        case "reboot":
            lab.reboot(options.node)
        case "crash":
            lab.crash(options.node)
        case "move":
            lab.move(options.node, options.place)
        case "reset":
            lab.reset_node(options.node)
        case "down" | "clean" | "cut" as verb:
            getattr(lab, verb)()
    return 0


def _try(root: Path, options: argparse.Namespace) -> int:
    # Here, because every other verb needs nothing of the program, and waits for each import.
    from wg_office.environment.faults import Faults

    from .trial.case import Options
    from .trial.run import try_file

    limits = {name: getattr(options, name) for name in ("attempts", "sites", "people") if hasattr(options, name)}
    try:
        return try_file(root, options.file, Options(**limits), options.release, options.json)
    except Faults as faults:
        print(*faults.faults, sep="\n", file=sys.stderr)
        return 2


def _releases(choices: list[str] | None) -> dict[str, str] | None:
    """`NODE=RELEASE` choices as a table."""
    if choices is None:
        return None
    releases = {}
    for choice in choices:
        node, _, release = choice.partition("=")
        if node not in BY_NAME or release not in RELEASES:
            raise LabError(
                f"--release {choice}: give NODE=RELEASE with a node of {', '.join(BY_NAME)} and a release of {', '.join(RELEASES)}."
            )
        releases[node] = release
    return releases


def _print_status(lab: Lab, states: Sequence[NodeState], as_json: bool) -> int:
    everything = lab.running and all(state.state == "active" for state in states)
    answers = lab.running and all(state.state != "unknown" for state in states)
    if as_json:
        document = {
            "running": lab.running,
            "answers": answers,
            "up": everything,
            "port_base": lab.settings.port_base,
            "nodes": [asdict(state) for state in states],
        }
        print(json.dumps(document, indent=2))
        return 0 if everything else 3
    pid = lab.machine.pid()
    print(f"virtual machine: {f'running, process {pid}, console {lab.machine.console}' if pid else 'down (python -m lab up)'}")
    if pid and not answers:
        print("it does not answer: it is starting, hangs, or this computer has too much to do. `python -m lab down` ends it in any case.")
    for state in states:
        way = f"port {state.port}" if state.port else ""
        addresses = ", ".join(link.address for link in BY_NAME[state.name].links)
        print(f"  {state.name:3} {state.state:12} {way:11} {addresses:36} {state.purpose}")
    if pid:
        print(
            f"log in to {', '.join(s.name for s in states if s.port)} by ssh, with the node's port:\n  {shlex.join(lab.ssh_command('z'))}"
        )
        print(f"any command in any node, {Kind.HOST} or not:\n  python -m lab exec NODE -- COMMAND...")
    return 0 if everything else 3
