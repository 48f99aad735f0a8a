"""One machine, brought to its description over SSH. Room: Pulumi, no file formats."""

import hashlib
from dataclasses import dataclass

import pulumi

from wg_office.environment.model import Ssh
from wg_office.hosts import hostscript
from wg_office.hosts.keys import GENERATED_ON_APPLY

from .command import Operator, Way, Work, command
from .confirm import Confirmation
from .outputs import shown

__all__ = ["Hooks", "Host", "HostArgs", "Operator"]

_WHY = "one for each changed description: docs/adr/0008"


@dataclass(frozen=True)
class Hooks:
    """What the engine calls around a host's commands: `confirmation` (confirm.py), and before each of them `foresee` (foresee.py)."""

    confirmation: Confirmation
    foresee: pulumi.ResourceHook


@dataclass(frozen=True)
class HostArgs:
    """What a host is given.

    `description` is not secret and shows in previews. `key_lines` are the host's keys (secret), or None. `through` is the machine
    on the way to it, if there is one. `rollback_after` is in seconds.
    """

    ssh: Ssh
    operator: Operator
    rollback_after: int
    description: pulumi.Output[str]
    hooks: Hooks
    key_lines: pulumi.Output[str] | None = None
    through: Ssh | None = None


class Host(pulumi.ComponentResource):
    """A machine and its desired state: first its keys, in files that nothing refers to yet, then its description."""

    def __init__(self, name: str, args: HostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wg-office:network:Host", name, None, opts)
        user = args.ssh.user
        keys: list[pulumi.Resource] = []
        if args.key_lines is not None:
            work = Work(hostscript.keys_command(user, "keys"), hostscript.keys_command(user, "forget-keys"), args.key_lines)
            keys = [command(f"{name}-keys", _way(args), work, self._options(keys, args.hooks))]
        apply, remove = hostscript.apply_command(user), hostscript.remove_command(user)
        again = self._attempt(name, args.description).apply(lambda attempt: hostscript.as_attempt(apply, attempt))
        command(f"{name}-state", _way(args), Work(apply, remove, args.description, again), self._options(keys, args.hooks))
        self.register_outputs({})

    def _options(self, after: list[pulumi.Resource], hooks: Hooks) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=after, hooks=_bound(hooks))

    def _attempt(self, name: str, description: pulumi.Output[str]) -> pulumi.Output[str]:
        """Another one for each changed description, and in the state before the host is dialled.

        After a failed update the state has the old description. If the file were then reverted, nothing would differ for Pulumi, whatever
        the host holds by now. The attempt does differ, so that the next `up` dials the host and settles it.
        """
        digest = description.apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:16])
        # The engine's own resource, made anew for another digest, and then with another id. Deleted first, it shows in fewer lines.
        opts = pulumi.ResourceOptions(parent=self, replacement_trigger=digest, delete_before_replace=True)
        made = pulumi.Stash(f"{name}-attempt", opts, input=_WHY)
        return shown(made.id.apply(lambda identity: identity.partition("-")[0]), GENERATED_ON_APPLY)


def _bound(hooks: Hooks) -> pulumi.ResourceHookBinding:
    before: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] = [hooks.foresee, hooks.confirmation.began]
    after: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] = [hooks.confirmation.ended]
    return pulumi.ResourceHookBinding(
        before_create=before, before_update=before, after_create=after, after_update=after, on_error=[hooks.confirmation.failed]
    )


def _way(args: HostArgs) -> Way:
    return Way(args.ssh, args.through, args.operator, seconds=max(2, args.rollback_after // 8))
