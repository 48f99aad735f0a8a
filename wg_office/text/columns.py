"""Texts with a line per entry, for the stack's outputs.

Pulumi compares a text by its lines, and prints a list or a map whole. A text that reads as YAML counts as one: no line may have `: ` in
it, or end in a colon. And no line may depend on another, or a new entry would change them all: widths are given, not found.
"""

from collections.abc import Iterable


def in_columns(rows: Iterable[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    """A line for each row. The last column has no width; a cell that is too long for its own moves the rest of its line alone."""
    return "".join(f"{'  '.join(_cells(row, widths)).rstrip()}\n" for row in rows)


def no_mapping(text: str) -> str:
    """Free text without what would make its line a mapping: a colon keeps its place, and a space after it that is no space to YAML."""
    return text.replace(": ", ":\u00a0")


def _cells(row: tuple[str, ...], widths: tuple[int, ...]) -> Iterable[str]:
    return (*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])
