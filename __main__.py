"""wg-office as a Pulumi program: load the environment, build it, export what comes out of it."""

import signal

import pulumi

from components import Hooks, Office, OfficeArgs, settings
from components.confirm import confirmation
from components.foresee import foresight_hook

# A failing `up` interrupts the program; Python would answer with a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

environment = settings.environment()
hooks = Hooks(confirmation(environment.network.rollback_after), foresight_hook(environment))
office = Office(
    environment.environment,
    OfficeArgs(environment, settings.operator(), settings.adopted_keys(), settings.repairs(), hooks),
)
for name, value in office.outputs.items():
    pulumi.export(name, value)
