"""The one exception of this package."""


class ToolchainError(Exception):
    """What went wrong and what to do, in one sentence for the person at the terminal."""
