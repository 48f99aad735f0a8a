"""The network as Pulumi components. Room: everything that knows Pulumi, and no file format; command.py alone knows pulumi-command."""

from .host import Operator
from .office import Office, OfficeArgs

__all__ = ["Office", "OfficeArgs", "Operator"]
