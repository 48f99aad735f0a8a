"""The network as Pulumi components. Room: everything that knows Pulumi, and no file format; host.py alone knows pulumi-command."""

from components.office import Office, OfficeArgs

__all__ = ["Office", "OfficeArgs"]
