"""Mini-batches: the data in random parts, checked once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.checks import kind, label, require_finite, require_flag
from minigrad.derivatives.mapped import release
from minigrad.typing import Array, Input, Seed

PAGES = 1 << 26  # bytes of a memory map that may be in memory for one batch
AROUND = 1 << 16  # bytes that a system maps around one that is read


def minibatches(
    x: Input, *targets: Array, batch_size: int, rng: Seed = None, shuffle: bool = True
) -> Iterator[tuple[Any, ...]]:
    """One epoch: (x, *targets) in batches of `batch_size` rows, each row once, in an order drawn from `rng`.

    The last batch is smaller where the size does not divide.  x may be a tuple of arrays, of which every batch has the
    same rows; shuffle=False keeps the order.  The data are checked before the first batch: TypeError unless x is an
    array, ValueError where x or a target of a floating type holds NaN or infinity, or the lengths disagree.  Memory
    maps are checked batch by batch instead, and may be larger than memory.

    >>> x, labels = np.arange(10.0).reshape(5, 2), np.arange(5)
    >>> [batch.shape for batch, target in minibatches(x, labels, batch_size=2, rng=0)]
    [(2, 2), (2, 2), (1, 2)]
    """
    rows = Rows(minibatches, x, *targets)
    require_flag(minibatches, "shuffle", shuffle)
    require_batch_size(minibatches, batch_size)
    order = np.random.default_rng(rng).permutation(len(rows)) if shuffle else None
    # A generator of its own, so that the checks above run at the call and not at the first batch.
    return rows.in_batches(batch_size, order)


class Rows:
    """Arrays of as many rows, x and what the loss takes beside it, checked; `who` speaks where they are wrong."""

    def __init__(self, who: object, x: Input, *targets: Any) -> None:
        self.who = who
        self.several = type(x) is tuple
        inputs: tuple[Any, ...] = x if type(x) is tuple else (x,)
        if not inputs:
            raise ValueError(f"{label(who)} expects x to be an array or a tuple of arrays, got an empty tuple")
        for i, part in enumerate(inputs):
            if not (type(part) is np.ndarray or isinstance(part, np.memmap)):
                raise TypeError(
                    f"{label(who)} expects {self._name(i)} to be a NumPy array, got {kind(part)}: np.asarray makes one"
                )
        self.inputs = len(inputs)
        self.arrays: list[Array] = [*inputs, *(t if isinstance(t, np.ndarray) else np.asarray(t) for t in targets)]
        for i, array in enumerate(self.arrays):
            if not array.ndim or len(array) != len(inputs[0]):
                got = len(array) if array.ndim else "one number"
                expected = "one target for each of" if i >= self.inputs else "as many rows as in x[0],"
                raise ValueError(f"{label(who)} expects {expected} {len(inputs[0])} rows of x, got {got}")
            if not isinstance(array, np.memmap):
                self._require_finite(i, array)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def arguments(self) -> tuple[Any, ...]:
        """(x, *targets) of all rows."""
        x = tuple(self.arrays[: self.inputs]) if self.several else self.arrays[0]
        return (x, *self.arrays[self.inputs :])

    def in_batches(self, batch_size: int, order: Array | None = None, start: int = 0) -> Iterator[tuple[Any, ...]]:
        """(x, *targets) of the rows that `order` names, from batch `start` on."""
        for first in range(start * batch_size, len(self), batch_size):
            last = min(first + batch_size, len(self))
            parts = [_rows(array, slice(first, last) if order is None else order[first:last]) for array in self.arrays]
            self._require_finite_batch(parts)
            x = tuple(parts[: self.inputs]) if self.several else parts[0]
            yield (x, *parts[self.inputs :])

    def _require_finite_batch(self, parts: list[Array]) -> None:
        for i, part in enumerate(parts):
            if isinstance(self.arrays[i], np.memmap):
                self._require_finite(i, part)

    def _require_finite(self, i: int, array: Array) -> None:
        if array.dtype.kind in "fc":
            require_finite(self.who, array, self._name(i))

    def _name(self, i: int) -> str:
        if i >= getattr(self, "inputs", i + 1):
            return f"target {i - self.inputs}"
        return f"x[{i}]" if self.several else "x"


def _rows(array: Array, rows: Any) -> Array:
    """array[rows]; of a memory map a copy, whose pages are given back as they were read."""
    if not isinstance(array, np.memmap):
        return array[rows]
    if isinstance(rows, slice):
        copy = np.array(array[rows])
        release(array)
        return copy
    copy = np.empty((len(rows), *array.shape[1:]), array.dtype)
    at_once = max(1, PAGES // (AROUND + copy[:1].nbytes))
    for first in range(0, len(rows), at_once):
        copy[first : first + at_once] = array[rows[first : first + at_once]]
        release(array)
    return copy


def require_batch_size(who: object, batch_size: Any) -> None:
    """`batch_size` is a whole number of 1 or more (ValueError)."""
    if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"{label(who)} expects a positive integer batch_size, got {batch_size!r}")
