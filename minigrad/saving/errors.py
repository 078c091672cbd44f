"""FileError: what is wrong with a file, and where in it."""

from __future__ import annotations

from collections.abc import Collection

DAMAGED = "the file is damaged, so nothing was loaded: take another copy of it"
FITS = "to fit into memory"
SMALLER = "take a machine with more memory, or a smaller file"


class FileError(ValueError):
    """A file does not hold what was asked of it: which file, which field of it, expected, got, and what to do.

    Nothing has been loaded where it is raised.  `path` and `field` are what the message names.
    """

    def __init__(self, path: str, field: str, expected: str, got: object, fix: str = DAMAGED) -> None:
        super().__init__(path, field, expected, got, fix)
        self.path = path
        self.field = field

    def __str__(self) -> str:
        path, field, expected, got, fix = self.args
        return f"{path}: expected {field} {expected}, got {got}: {fix}"


def shown(value: object) -> str:
    """A value from a file, short enough for a message, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists in lists
        text = f"a {type(value).__name__} that is too long to print"
    return cut(text, 80)


def cut(text: str, most: int) -> str:
    """A text of at most about `most` characters."""
    return text if len(text) <= most else f"{text[: most - 20]}... ({len(text)} characters)"


def listed(names: Collection[str]) -> str:
    """Names from a file, few and short enough for a message."""
    first = [cut(name, 80) for name, _ in zip(names, range(8), strict=False)]
    return ", ".join(first) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"
