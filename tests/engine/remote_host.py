"""A program with one remote.Command, whose arguments a test can change between two runs."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

from sshd import Sshd, free_port
from stacks import Stack, StackFactory

COMMAND = "command:remote:Command"

PROGRAM = """
import json, pathlib
import pulumi
from pulumi_command import remote

given = json.loads(pathlib.Path("arguments.json").read_text())
if given.pop("secret_stdin", False):
    given["stdin"] = pulumi.Output.secret(given["stdin"])
hooks = None
if given.pop("confirm", False):
    @pulumi.error_hook("confirm")
    def confirm(args: pulumi.ErrorHookArgs) -> bool:
        return len(args.errors) == 1 and "exited with status 75" in args.errors[0]
    hooks = pulumi.ResourceHookBinding(on_error=[confirm])
given["connection"] = remote.ConnectionArgs(**given["connection"])
made = remote.Command("host", **given, opts=pulumi.ResourceOptions(hooks=hooks))
pulumi.export("stdout", made.stdout)
pulumi.export("stderr", made.stderr)
"""


class Host:
    """One remote.Command in one stack, on one server."""

    def __init__(self, stack: Stack, server: Sshd, **arguments: Any) -> None:
        self.stack = stack
        self.server = server
        self.arguments = {"connection": server.connection(), "add_previous_output_in_env": False, **arguments}
        stack.program(PROGRAM)
        self.change()

    def change(self, **arguments: Any) -> None:
        """Change arguments; the next run sees them."""
        self.arguments.update(arguments)
        (self.stack.folder / "arguments.json").write_text(json.dumps(self.arguments))

    def reconnect(self, **changed: Any) -> None:
        """Change the connection."""
        self.change(connection=self.server.connection(**changed))

    def start_dialling_nobody(self) -> subprocess.Popen[str]:
        """Start an `up` at a port where nobody answers; it has dialled once and goes on."""
        self.reconnect(port=free_port(), dial_error_limit=-1)
        process = self.stack.start("up", "--yes", "--skip-preview")
        assert process.stdout is not None
        for line in process.stdout:
            if "failed: retrying" in line:
                break
        return process

    def recorded(self) -> dict[str, Any]:
        """What the state has of it."""
        [command] = self.stack.resources(COMMAND)
        return command


HostFactory = Callable[..., Host]


def hosts_on(stack_factory: StackFactory, server: Sshd) -> HostFactory:
    """What makes such hosts, each in a stack of its own from this factory."""

    def make(**arguments: Any) -> Host:
        return Host(stack_factory(), server, **arguments)

    return make
