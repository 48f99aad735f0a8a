"""One machine, brought to its description over SSH. Room: the only place that knows pulumi-command."""

import hashlib
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_random as random
from pulumi_command import remote

from components.confirm import Confirmation
from components.outputs import shown
from wg_office import hostscript
from wg_office.keys import GENERATED_ON_APPLY, SECRET_LENGTH, attempt_id
from wg_office.model import Ssh
from wg_office.render import with_attempt

DIALS = 3
"""Attempts to connect after the first one. With the time-out all stay under half of the roll-back delay: no late retry re-applies."""


@dataclass(frozen=True)
class Operator:
    """How the operator logs in everywhere: a private key (secret), or the SSH agent where there is none."""

    private_key: pulumi.Output[str] | None = None


@dataclass(frozen=True)
class Hooks:
    """What the engine calls around a host's commands: `confirmation` (confirm.py), and before a description `foresee` (foresee.py)."""

    confirmation: Confirmation
    foresee: pulumi.ResourceHook


@dataclass(frozen=True)
class HostArgs:
    """What a host is given.

    `description` is not secret and shows in previews. `key_lines` are the host's keys (secret), or None. `through` is the hub, for a
    gateway that is reached over the tunnel. `rollback_after` is in seconds. `hooks` are None in mock tests.
    """

    ssh: Ssh
    operator: Operator
    rollback_after: int
    description: pulumi.Output[str]
    key_lines: pulumi.Output[str] | None = None
    through: Ssh | None = None
    hooks: Hooks | None = None


class Host(pulumi.ComponentResource):
    """A machine and its desired state: first its keys, in files that nothing refers to yet, then its description."""

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:Host", name, None, opts)
        user, keys = args.ssh.user, []
        if args.key_lines is not None:
            put, forget = hostscript.keys_command(user, "keys"), hostscript.keys_command(user, "forget-keys")
            keys = [self._command(f"{name}-keys", args, args.key_lines, put, forget, [], _hooks(args))]
        described = pulumi.Output.all(args.description, self._attempt(name, args.description)).apply(lambda both: with_attempt(*both))
        apply, remove = hostscript.apply_command(user), hostscript.remove_command(user)
        self._command(f"{name}-state", args, described, apply, remove, keys, _hooks(args, described=True))
        self.register_outputs({})

    def _attempt(self, name: str, description: pulumi.Output[str]) -> pulumi.Output[str]:
        """Another one for each changed description, and in the state before the host is dialled.

        After a failed update the state has the old description. If the file were then reverted, nothing would differ for Pulumi, whatever
        the host holds by now. The attempt does differ, so that the next `up` dials the host and settles it.
        """
        secret = random.RandomPassword(
            f"{name}-attempt",
            length=SECRET_LENGTH,
            special=False,
            keepers={"description": description.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:16])},
            opts=pulumi.ResourceOptions(parent=self),
        ).result
        return shown(pulumi.Output.unsecret(secret.apply(attempt_id)), GENERATED_ON_APPLY)

    def _command(
        self,
        name: str,
        args: HostArgs,
        stdin: pulumi.Output[str],
        put: str,
        take_away: str,
        after: list[remote.Command],
        hooks: pulumi.ResourceHookBinding | None,
    ) -> remote.Command:
        return remote.Command(
            name,
            connection=_connection(args),
            create=put,
            update=put,
            delete=take_away,
            stdin=stdin,
            logging=remote.Logging.NONE,
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after, hooks=hooks, additional_secret_outputs=["stdout", "stderr"]),
        )


def _hooks(args: HostArgs, described: bool = False) -> pulumi.ResourceHookBinding | None:
    if args.hooks is None:
        return None
    began, ended, failed = args.hooks.confirmation.began, args.hooks.confirmation.ended, args.hooks.confirmation.failed
    if not described:
        return pulumi.ResourceHookBinding(before_create=[began], before_update=[began], on_error=[failed])
    foresee = args.hooks.foresee
    return pulumi.ResourceHookBinding(
        before_create=[foresee, began], before_update=[foresee, began], after_create=[ended], after_update=[ended], on_error=[failed]
    )


def _connection(args: HostArgs) -> remote.ConnectionArgs:
    proxy = remote.ProxyConnectionArgs(**_dialling(args.through, args)) if args.through is not None else None
    return remote.ConnectionArgs(**_dialling(args.ssh, args), proxy=proxy)


def _dialling(ssh: Ssh, args: HostArgs) -> dict[str, Any]:
    return {
        "host": ssh.host,
        "port": float(ssh.port),
        "user": ssh.user,
        "host_key": ssh.host_key,
        "private_key": args.operator.private_key,
        "dial_error_limit": DIALS,
        "per_dial_timeout": max(2, args.rollback_after // 8),
    }
