"""wg-office as a Pulumi program: load the environment, build it, export what comes out of it."""

import signal

import pulumi

from components import Office, OfficeArgs, settings
from components.deployed import deployed
from components.guard import refuse_many_removals

# A failing `up` interrupts the program; Python would answer with a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

environment = settings.environment()
before = deployed()
refuse_many_removals(environment, settings.environment_file(), before)
office = Office(
    environment.environment,
    OfficeArgs(
        environment,
        settings.operator(),
        settings.adopted_keys(),
        settings.repairs(),
        before.stood(environment),
        before.pasted,
        adopted_preshared=settings.adopted_preshared(),
        alone=True,
    ),
)
for name, value in office.outputs.items():
    pulumi.export(name, value)
