"""What a change would do to those who are connected, said in the preview, or refused there. Room: Pulumi, no file formats.

The engine calls its hook before an update or a creation, in a preview as well, with the old description, which the program never sees.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi

from wg_office.environment.model import HUB, Environment
from wg_office.hosts.changes import disruptions, first_over_tunnel, now_over_tunnel, severs, what_developers_lose
from wg_office.hosts.description import Description, read
from wg_office.hosts.hostscript import way_in

from .command import Given, given
from .under_way import UnderWay, host_of, is_description


def foresight_hook(env: Environment, under_way: UnderWay, prefix: str) -> pulumi.ResourceHook:
    """The hook for the commands of one Office's hosts, before whose names its `prefix` stands.

    It warns of an interruption, and raises where a host could not be reached any more.
    """
    foresight = _Foresight(env)

    async def foresee(args: pulumi.ResourceHookArgs) -> None:
        new, old = await given(args.new_inputs), await given(args.old_inputs)
        if new is None:
            return
        host = host_of(args.name)
        if is_description(args.name) and old is not None:
            before, after = read(old.fed), read(new.fed)
            for clause in (*disruptions(before, after), *what_developers_lose(before, after)):
                pulumi.log.warn(f"{host}: {clause}")
        was = None if old is None else _way(args.name, old)
        refused = [f"{host}: {reason}" for reason in foresight.refusals(host.removeprefix(prefix), was, _way(args.name, new))]
        if refused:
            under_way.failed(args.name)
            await under_way.others()
            raise pulumi.RunError("\n".join(refused))

    return pulumi.ResourceHook(f"{prefix}foresee-interruptions", foresee, pulumi.ResourceHookOptions(on_dry_run=True))


@dataclass(frozen=True)
class _Way:
    """How a host is reached, or was, and what of its description that depends on; None where that was not recorded."""

    given: Given
    description: Description | None


def _way(name: str, given: Given) -> _Way:
    """A description says it itself; with the keys, which arrive before it, it travels in an excerpt."""
    text = given.fed if is_description(name) else way_in(given.fed)
    return _Way(given, read(text) if text else None)


@dataclass(frozen=True)
class _Foresight:
    env: Environment

    def refusals(self, host: str, old: _Way | None, new: _Way) -> Iterator[str]:
        """Why a host cannot be given what is new for it, a clause each with its remedy."""
        hub = self._over_tunnel(new.given)
        if old is None:
            if hub:
                yield from first_over_tunnel(host, adopted=host in self.env.adopted_gateways)
        elif old.description is not None:
            if new.description is not None:
                yield from severs(old.description, new.description, hub)
            if hub and not self._over_tunnel(old.given):
                yield from now_over_tunnel(host, old.description, self.env.hub.address, new.given.ssh)

    def _over_tunnel(self, to: Given) -> bool:
        """Whether the hub is on the way: what is, and is no jump. A machine that has dialled the hub itself is there without the tunnel."""
        jumps = {jump.address for jump in self.env.jumps.values()}
        on_the_way = to.through is not None and to.through.address not in jumps
        return on_the_way and to.ssh.model_copy(update={"via": HUB}).over_tunnel
