"""`python -m toolchain install|env|which|clean`."""

import argparse
import os
import sys

from toolchain.environment import exports, variables
from toolchain.errors import ToolchainError
from toolchain.install import Selection, clean, install, read_selection
from toolchain.places import Places, here

COMMANDS = {
    "install": "pick a toolchain and put it in place (WG_OFFICE_TOOLCHAIN=system|release|build asks for one)",
    "env": "print the environment in which plain pulumi commands work, for a shell's eval",
    "which": "print in one line which toolchain is in place",
    "clean": "remove the toolchain and its cache",
}


def in_place(places: Places) -> Selection:
    """What is in place, or an error that says how to get it."""
    selection = read_selection(places)
    if selection is None:
        raise ToolchainError("no toolchain is in place yet: run `python -m toolchain install` (or `make toolchain`)")
    return selection


def carry_out(command: str) -> None:
    """One of the commands."""
    places = here()
    if command == "install":
        print(install(places, os.environ).line())
    elif command == "env":
        print(exports(variables(places, in_place(places), os.environ)), end="")
    elif command == "which":
        print(in_place(places).line())
    else:
        clean(places)


def main() -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m toolchain", description="Where `pulumi` comes from.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose, description=purpose)
    try:
        carry_out(parser.parse_args().command)
    except ToolchainError as error:
        print(f"toolchain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ntoolchain: interrupted; run it again to go on where it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
