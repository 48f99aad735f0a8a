"""What a person sets on a gateway that nobody logs in to: one text for each kind of device, with its keys. Pure; the text is a secret.

Room: people. No text has been tried on a device; each is after its vendor's manual, which its module names. Those of Linux are tried.
"""

from collections.abc import Callable, Mapping

from wg_office.environment.model import Managed
from wg_office.people.pasted import openwrt, opnsense, routeros, wgquick
from wg_office.people.pasted.standing import Standing, fingerprint, held, standing
from wg_office.people.pasted.values import Pasted, pasted
from wg_office.people.profiles import ClientKeys

__all__ = ["Pasted", "Standing", "fingerprint", "held", "pasted", "render_pasted", "standing", "to_be_pasted"]

_FORMS: Mapping[Managed, Callable[[Pasted, ClientKeys], str]] = {
    "routeros": routeros.render,
    "openwrt": openwrt.render,
    "opnsense": opnsense.render,
    "wg-quick": wgquick.render_for_linux,
    "no": wgquick.render_plain,
}


def render_pasted(made: Pasted, keys: ClientKeys) -> str:
    """The text for the gateway's kind."""
    return _FORMS[made.kind](made, keys)


def to_be_pasted(made: Pasted, now: Standing, before: Standing | None) -> str | None:
    """What a person has to paste, and what does not work before; None where the text is what it was."""
    how = f"pulumi stack output {made.output} --show-secrets"
    if before is None or not before.bears(now):
        return f"{made.gateway}: site {made.site} is down until what {made.output} says is set there: {how}"
    if before.text == now.text:
        return None
    return f"{made.gateway}: {made.output} says something else now; paste it there again, for what is new to work: {how}"
