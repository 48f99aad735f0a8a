"""The network as Pulumi components. Room: everything that knows Pulumi, and no file format; host.py alone knows pulumi-command."""

from components.host import Hooks
from components.office import Office, OfficeArgs

__all__ = ["Hooks", "Office", "OfficeArgs"]
