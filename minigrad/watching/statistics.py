"""What numbers are like: mean, spread, extremes, norm and zeros of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minigrad.shapes import shapes_of
from minigrad.typing import Array

BLOCK = 2**16  # entries that are looked at at once: they stay in the cache, and no copy of a large array is made
LEAST = 1e-100  # of numbers above it, and below its inverse, squares and their sums are within the range of float64


class Statistics(NamedTuple):
    """Of all numbers of an array, or of a tuple of arrays; NaN where there is one, and 0 of none.

    `mean` is that of the real part, `std` the root of the mean of |z - mean|^2, `norm` the root of the sum of |z|^2,
    `zeros` a share.  Of complex numbers `min` and `max` are those of |z|.  `saturated` is the share of entries that
    hardly respond, of what a layer gives that works entry by entry (`Response` says when), else None.
    """

    shape: Any
    mean: float
    std: float
    min: float
    max: float
    norm: float
    zeros: float
    saturated: float | None = None

    @property
    def largest(self) -> float:
        """Of |z|."""
        return max(abs(self.min), abs(self.max))


def statistics(value: Any) -> Statistics | None:
    """Those of an array, a number, or a tuple of them; None of what holds no numbers."""
    parts = arrays_of(value)
    if not parts:
        return None
    shape, count = shapes_of(value), sum(part.size for part in parts)
    if not count:
        return Statistics(shape, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        low, high = _ends(parts)
        unit = _unit(max(abs(low), abs(high)))
        mean = sum((block / unit).sum() for block in _blocks(parts)) / count
        spread = sum(_squares(block / unit - mean) for block in _blocks(parts))
        zeros = count - sum(int(np.count_nonzero(part)) for part in parts)
    std = unit * math.sqrt(spread / count)
    return Statistics(shape, float(unit * mean.real), std, low, high, norm(value), zeros / count)


def norm(value: Any) -> float:
    """The root of the sum of |z|^2, over all parts of a tuple."""
    parts = [part for part in arrays_of(value) if part.size]
    if not parts:
        return 0.0
    with np.errstate(all="ignore"):
        largest = float(np.abs(_ends(parts)).max())
        # Scaled, so that squares neither overflow nor vanish.
        if not largest or not math.isfinite(largest):
            return largest
        return largest * math.sqrt(sum(_squares(block / largest) for block in _blocks(parts)))


def arrays_of(value: Any) -> list[Array]:
    """The arrays of numbers in a value, or in a tuple of them, nested or not."""
    if type(value) is tuple:
        return [array for part in value for array in arrays_of(part)]
    if not isinstance(value, np.ndarray | np.generic | int | float | complex):
        return []
    array = np.asarray(value)
    return [array] if array.dtype.kind in "biufc" else []


def _blocks(parts: list[Array]) -> Iterator[Array]:
    """All entries in order of nothing, as float64 or wider."""
    for part in parts:
        wide = np.result_type(part.dtype, np.float64)
        for piece in _pieces(part):
            yield piece.ravel(order="K").astype(wide, copy=False)


def _pieces(part: Array) -> Iterator[Array]:
    """Views of at most BLOCK entries: ravel copies one that is not contiguous, and no more than that."""
    if part.flags.forc:
        part = part.ravel(order="K")
    row = math.prod(part.shape[1:])
    if part.size <= BLOCK:
        yield part
    elif row <= BLOCK:
        step = BLOCK // row
        for start in range(0, len(part), step):
            yield part[start : start + step]
    else:
        for inner in part:
            yield from _pieces(inner)


def _unit(largest: float) -> float:
    """1, or for numbers whose sums or squares would overflow or vanish, their own size."""
    return largest if math.isfinite(largest) and largest and not LEAST < largest < 1 / LEAST else 1.0


def _ends(parts: list[Array]) -> tuple[float, float]:
    """The least and the greatest; of complex numbers, of their sizes."""
    ends = [(part.min(), part.max()) for part in parts if part.size and part.dtype.kind != "c"]
    sizes = (np.abs(block) for block in _blocks([part for part in parts if part.dtype.kind == "c"]))
    low, high = zip(*ends, *((size.min(), size.max()) for size in sizes), strict=True)
    # Of Python's min and max a NaN may be lost, and not of NumPy's.
    return float(np.min(low)), float(np.max(high))


def _squares(block: Array) -> float:
    return float(np.vdot(block, block).real)
