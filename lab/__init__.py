"""The virtual office: hub, gateways, routers, devices and developers in one virtual machine.

from lab import Lab
lab = Lab(Path("."))
lab.up()
lab.exec("e", ["ping", "-c1", "203.0.113.10"])
"""

from __future__ import annotations

from .core import CommandFailedError, Lab, NodeState
from .errors import LabError
from .remote import Background

__all__ = ["Background", "CommandFailedError", "Lab", "LabError", "NodeState"]
