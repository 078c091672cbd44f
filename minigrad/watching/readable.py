"""Counts, bytes and seconds in a few letters."""

from __future__ import annotations

from collections.abc import Sequence


class Figure(str):
    """A number as it is to be read: a cell of a table that stands to the right."""


def count(number: int) -> Figure:
    """All digits of a count below a million.

    >>> print(count(235_146), count(1_234_567), sep=", ")
    235,146, 1.23 M
    """
    return Figure(f"{number:,}") if number < 1e6 else _scaled(number / 1e6, ("M", "G", "T", "P"))


def size(number: int) -> Figure:
    """So many bytes.

    >>> print(size(840), size(6272), size(999_999), sep=", ")
    840 B, 6.27 kB, 1 MB
    """
    return _scaled(number, ("B", "kB", "MB", "GB", "TB", "PB"))


def duration(seconds: float) -> Figure:
    """A time, us for microseconds.

    >>> print(duration(2.5e-6), duration(0.0123), sep=", ")
    2.5 us, 12.3 ms
    """
    return _scaled(seconds * 1e6, ("us", "ms", "s"))


def _scaled(number: float, units: Sequence[str]) -> Figure:
    """Three digits, in the first unit in which they are enough."""
    for unit in units[:-1]:
        if float(f"{number:.3g}") < 1000:
            return Figure(f"{number:.3g} {unit}")
        number /= 1000
    return Figure(f"{number:.3g} {units[-1]}")
