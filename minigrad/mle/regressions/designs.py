"""Designs: the columns of x in units of their own, and a last column of ones, a block of rows at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np

from minigrad.existence.null import column_ends
from minigrad.typing import Array

NUMBERS = 2**17  # in one block, which then stays in the processor's cache
SAMPLE = 2**13  # rows that are enough to centre and scale by
RANGE = 1e3  # spreads between the mean and the furthest of a column, beyond which all rows are looked at
NEAR = 4.0  # spreads from 0 to the mean, up to which sums over x itself lose no more than a digit or so
USUAL = 100  # powers of two to either side, between which squares cannot overflow


class Design:
    """(x - centre) factor, and ones where there is a bias: (N, width).

    `factor` is a power of two near 1 / spread, so that the parameters of the columns follow exactly: W = V factor.
    Where there is no bias, `centre` is 0.
    """

    def __init__(
        self, x: Array, has_bias: bool, weights: Array | None = None, ends: tuple[Array, Array] | None = None
    ) -> None:
        self.x, self.has_bias = x, has_bias
        self.features = x.shape[1]
        self.width = self.features + has_bias
        self.centre, self.factor = np.zeros(self.features), np.ones(self.features)
        self.lowest, self.highest = column_ends(x) if ends is None else ends
        if x.size:
            self._measure(weights)

    @property
    def near(self) -> bool:
        """Sums over x itself are as good as sums over the design."""
        return (
            self.x.dtype == np.float64
            and bool(((self.highest > self.lowest) | (self.centre == 0)).all())
            and bool((np.abs(self.centre) * self.factor <= NEAR).all())
            and bool((np.abs(np.frexp(self.factor)[1]) < USUAL).all())
            and bool((np.maximum(self.highest, -self.lowest) < 2.0**USUAL).all())
        )

    @property
    def change(self) -> Array:
        """C (width, width): the design is (x, 1) C."""
        change = np.diag(np.append(self.factor, [1.0] * self.has_bias))
        if self.has_bias:
            change[-1, :-1] = -self.centre * self.factor
        return change

    @property
    def ends(self) -> Array:
        """No |entry| of a column of the design is larger, (width,)."""
        ends = np.maximum(np.abs(self.highest - self.centre), np.abs(self.centre - self.lowest)) * self.factor
        return np.append(ends, [1.0] * self.has_bias)

    def on(self, x: Array) -> Design:
        """The same units for other rows."""
        twin = copy.copy(self)
        twin.x = x
        return twin

    def of(self, x: Array, out: Array | None = None) -> Array:
        """The design (M, width) of rows x."""
        if out is None:
            out = np.ones((len(x), self.width))
        columns = out[:, : self.features]
        np.subtract(x, self.centre, out=columns)
        columns *= self.factor
        return out

    def rows(self, units: int = 1) -> int:
        """Of a block, where `units` arrays of its shape are held at a time."""
        return int(np.clip(NUMBERS // max(self.width * units, 1), 64, 4096))

    def slices(self, units: int = 1, stop: int | None = None) -> Iterator[slice]:
        """The rows, a block at a time."""
        stop, step = len(self.x) if stop is None else stop, self.rows(units)
        for start in range(0, stop, step):
            yield slice(start, min(start + step, stop))

    def blocks(self, units: int = 1) -> Iterator[tuple[slice, Array]]:
        """Slices of rows and their designs, which the next block overwrites."""
        buffer = np.ones((min(self.rows(units), len(self.x)), self.width))
        for rows in self.slices(units):
            yield rows, self.of(self.x[rows], buffer[: rows.stop - rows.start])

    def shorten(self, penalty: Array) -> None:
        """Take smaller units of the columns for which a ridge, `penalty` (D,) by row, counts for more than the data."""
        with np.errstate(over="ignore"):
            ratio = np.sqrt(penalty) * self.factor
            power = np.where(np.isfinite(ratio), np.frexp(np.hypot(1.0, ratio))[1] - 1, 1000)
        self.factor = np.ldexp(self.factor, -power)

    def _measure(self, weights: Array | None) -> None:
        stride = max(1, len(self.x) // SAMPLE)
        centre, spread = self._moments(slice(None, None, stride), weights)
        furthest = np.maximum(self.highest - centre, centre - self.lowest)
        if stride > 1 and not (furthest <= RANGE * spread).all():
            centre, spread = self._moments(slice(None), weights)
        power = np.frexp(np.where(spread > 0, spread, 1.0) * 2**0.5)[1] - 1
        self.factor = np.ldexp(1.0, -np.clip(power, -1020, 1020))
        # Multiples of the unit, so that x - centre is exact as a rule; none where 0 is near, so that b is a variable.
        whole = np.rint(centre * self.factor)
        self.centre = np.where(spread == 0, centre, np.where(np.abs(whole) > 1, whole / self.factor, 0.0))

    def _moments(self, rows: slice, weights: Array | None) -> tuple[Array, Array]:
        x = self.x[rows]
        unit = np.ldexp(1.0, np.minimum(np.frexp(np.maximum(self.highest, -self.lowest))[1], 1022))
        w = np.ones(len(x)) if weights is None else weights[rows]
        w = w / w.sum()
        centre, squares = np.zeros(self.features), np.zeros(self.features)
        blocks = list(self.slices(stop=len(x)))
        if self.has_bias:
            for block in blocks:
                centre += w[block] @ (x[block] / unit)
            # Of a constant column the mean is off by its rounding, which would then be taken for its spread.
            centre = np.clip(centre * unit, self.lowest, self.highest)
        for block in blocks:
            scaled = (x[block] - centre) / unit
            squares += w[block] @ (scaled * scaled)
        return centre, np.sqrt(squares) * unit
