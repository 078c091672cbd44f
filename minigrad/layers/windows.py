"""Windows that slide along an axis, and what is done to all of them at once.

Windows are taken by slabs: the first entries of all windows, the second entries of all windows, and so on.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.typing import Array

Parts: TypeAlias = list[tuple[slice, slice]]
"""Pairs: some windows, and an entry of each of them."""


class Window(NamedTuple):
    """`size` entries, `dilation` apart, moved by `stride`, on an axis with `before` and `after` entries put to it.

    Where stride does not divide, the last window that would stick out is left out, or with `ceil` kept, unless it
    would begin beyond the end.
    """

    size: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def span(self) -> int:
        """Entries from the first to the last of the window."""
        return self.dilation * (self.size - 1) + 1

    def count(self, length: int) -> int:
        """How many windows there are on an axis of `length` entries; less than 1 where none fits."""
        room = length + self.before + self.after - self.span
        if not self.ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - ((count - 1) * self.stride >= length + self.before)

    def place(self, window: str, entry: str) -> str:
        """Where entry `entry` of window `window` stands on the axis, in LaTeX: 2 r + i - 1."""
        first = window if self.stride == 1 else f"{self.stride} {window}"
        further = entry if self.dilation == 1 else f"{self.dilation} {entry}"
        return f"{first} + {further}" + (f" - {self.before}" if self.before else "")

    def parts(self, length: int) -> Parts:
        """For each entry of the window: the windows in which it is inside of the axis, and where it is there."""
        count, parts = self.count(length), []
        for i in range(self.size):
            shift = i * self.dilation - self.before
            first = max(0, -(shift // self.stride))
            stop = min(count, (length - 1 - shift) // self.stride + 1)
            if first < stop:
                start, end = first * self.stride + shift, (stop - 1) * self.stride + shift
                parts.append((slice(first, stop), slice(start, end + 1, self.stride)))
        return parts


def along(axis: int, parts: Parts) -> list[tuple[Any, Any]]:
    """The slices of `parts`, as indices of that axis."""
    whole = (slice(None),) * axis
    return [((*whole, of_windows), (*whole, of_entries)) for of_windows, of_entries in parts]


def over_windows(operation: Any, start: float, z: Array, axis: int, count: int, parts: Parts) -> Array:
    """start op z_1 op z_2 op ... over the entries of each of `count` windows along `axis`."""
    indices = along(axis, parts)
    if len(parts) > 1 and all(of_windows == slice(0, count) for of_windows, _ in parts):
        (_, first), (_, second), *others = indices
        total = operation(z[first], z[second])
        for _, of_entries in others:
            operation(total, z[of_entries], out=total)
        return total
    total = np.full_like(z, start, shape=(*z.shape[:axis], count, *z.shape[axis + 1 :]))
    for of_windows, of_entries in indices:
        operation(total[of_windows], z[of_entries], out=total[of_windows])
    return total


def larger(z: Array, other: Array, out: Array | None = None) -> Array:
    """The larger of two, entry by entry, by the real part; NaN is larger than all, and of equals it is the first."""
    if z.dtype.kind == "f":
        return np.maximum(z, other, out=out)
    result = np.where((other.real > z.real) | np.isnan(other.real), other, z)
    if out is not None:
        out[...] = result
    return result


def entries_inside(count: int, parts: Parts) -> Array:
    """How many entries each window has."""
    entries = np.zeros(count)
    for of_windows, _ in parts:
        entries[of_windows] += 1
    return entries
