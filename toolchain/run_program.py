"""Runs one Pulumi program in a process of its own, with the project's Python; language_host.py tells it by stdin what to run.

It imports nothing of this package: the project's virtual environment holds the SDK, not necessarily this clone.
Exit status: 0 done; 32 failed, and the reason is in the engine's log already; anything else is the program's own.
"""

import asyncio
import json
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

REASON_IS_SHOWN = 32


def read_request() -> dict[str, Any]:
    """What to run. By stdin, because arguments and environments can be read by others while the configuration holds secrets."""
    request: dict[str, Any] = json.load(sys.stdin)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return request


def configure(request: dict[str, Any]) -> None:
    """Hand the SDK its connection to the engine, and the stack's configuration."""
    from pulumi import runtime

    runtime.set_all_config(request["config"], request["config_secret_keys"])
    runtime.configure(runtime.Settings(**request["settings"]))


def own_frames(error: BaseException, program: Path) -> str:
    """The traceback from the program's own first frame on: what came before is ours and tells the user nothing."""
    frames = traceback.extract_tb(error.__traceback__)
    home = program if program.is_dir() else program.parent
    for index, frame in enumerate(frames):
        if Path(frame.filename).resolve().is_relative_to(home):
            return "".join(traceback.format_exception(error, limit=index - len(frames)))
    return "".join(traceback.format_exception(error))


def missing_main(program: Path) -> str | None:
    """What to say where there is no program to run."""
    if program.is_dir() and not (program / "__main__.py").is_file():
        return f"unable to find main python program `__main__.py` in `{program}`"
    return None


def execute(program: Path) -> None:
    """The program itself: a file, or a folder with a __main__.py."""
    runpy.run_path(str(program), run_name="__main__")


def run(request: dict[str, Any]) -> int:
    """Run the program inside its stack; the exit status."""
    import pulumi
    from pulumi.runtime.stack import ResourceRegistrationFailed

    program = Path(request["program"]).resolve()
    fault = missing_main(program)
    if fault is not None:
        pulumi.log.error(fault)
        return REASON_IS_SHOWN
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    threads = max(request["settings"]["parallel"] or 1, 1) * 4
    with ThreadPoolExecutor(max_workers=threads) as executor:
        loop.set_default_executor(executor)
        try:
            loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: execute(program)))
        except ResourceRegistrationFailed:
            # With --continue-on-error; the engine has said of each resource why it failed.
            return REASON_IS_SHOWN
        except pulumi.RunError as error:
            pulumi.log.error(str(error))
            return REASON_IS_SHOWN
        except Exception as error:
            pulumi.log.error("Program failed with an unhandled exception:\n" + own_frames(error, program))
            return REASON_IS_SHOWN
    loop.close()
    return 0


def main() -> int:
    """Read the request from stdin, and run it."""
    # The engine interrupts the whole process group when an update fails: that is no event to print a KeyboardInterrupt's traceback for.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A program that fails leaves futures nobody waited for, and asyncio would complain about each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    request = read_request()
    sys.argv = [request["program"], *request["arguments"]]
    sys.path[0] = request["directory"]
    try:
        configure(request)
    except ImportError as error:
        print(f"{error}: the Pulumi SDK is not installed in {sys.prefix}; run `pulumi install` in the project's folder", file=sys.stderr)
        return 1
    status = run(request)
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())
