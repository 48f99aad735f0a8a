"""What the lab says when it cannot go on."""

from __future__ import annotations


class LabError(Exception):
    """One sentence with a remedy; the command line prints it without a traceback."""
