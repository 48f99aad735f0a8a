"""The environment in which plain `pulumi` commands work in this clone."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from toolchain.choose import Source
from toolchain.install import Selection
from toolchain.places import Places

# The lab's stack holds keys of a throw-away network; a real deployment has a passphrase or a secrets provider of its own.
LAB_PASSPHRASE = "wg-office-lab"


def variables(places: Places, selection: Selection, environment: Mapping[str, str]) -> dict[str, str]:
    """What to set, PATH included."""
    ours = [places.clone / ".venv" / "bin"]
    values = {
        "PULUMI_BACKEND_URL": f"file://{places.backend}",
        "PULUMI_CONFIG_PASSPHRASE": LAB_PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if selection.source != Source.SYSTEM.value:
        ours.insert(0, places.bin)
        values["PULUMI_HOME"] = str(places.pulumi_home)
    if selection.source == Source.BUILD.value:
        # Nothing can be downloaded where this is used, so a missing plugin is an error at once instead of a time-out,
        # and a plugin that happens to be on PATH does not take the place of the ones that were tested.
        values["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        values["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    return {"PATH": _path(ours, environment), **values}


def apart(places: Places, selection: Selection, environment: Mapping[str, str]) -> dict[str, str]:
    """A whole environment for a stack of its own: nothing of the user's reaches it but, where `pulumi` is theirs, its plugins."""
    inherited = {name: value for name, value in environment.items() if not name.startswith(("PULUMI_", "SSH_"))}
    home = environment.get("PULUMI_HOME", "")
    theirs = selection.source == Source.SYSTEM.value and home not in ("", str(places.pulumi_home))
    return {**inherited, **({"PULUMI_HOME": home} if theirs else {}), **variables(places, selection, inherited)}


def _path(first: list[Path], environment: Mapping[str, str]) -> str:
    front = [str(entry) for entry in first]
    rest = [entry for entry in environment.get("PATH", "").split(os.pathsep) if entry and entry not in front]
    return os.pathsep.join([*front, *rest])


def exports(values: Mapping[str, str]) -> str:
    """The variables as lines for a shell's `eval`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
