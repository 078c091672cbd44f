"""Pooling: windows of the spatial axes become one number each, their largest or their mean.

Input is (N, C, L) or (N, C, H, W).  Largest and mean of a window go axis by axis, and along an axis by whole slabs: the
first entries of all windows, the second entries of all windows, and so on.  The order in memory stays as it was.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TypeAlias

import numpy as np

from minigrad.checks import label, require_delta, require_flag, require_floating
from minigrad.layer import Layer
from minigrad.layers.spatial import (
    by,
    describe,
    letters,
    require_counts,
    require_entries,
    require_image_shape,
    require_sizes,
)
from minigrad.layers.windows import Parts, Window, along, entries_inside, larger, over_windows
from minigrad.typing import Array, Formulas, Shape

Sizes: TypeAlias = int | tuple[int, ...]


class _Pool(Layer):
    """What pools with a window have in common: their arguments.  Subclasses set `rank` and write the rules."""

    rank: int

    def __init__(self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes, ceil: bool) -> None:
        who, rank = type(self), self.rank
        self.kernel_size = require_sizes(who, "kernel_size", kernel_size, rank)
        self.stride = self.kernel_size if stride is None else require_sizes(who, "stride", stride, rank)
        self.padding = require_sizes(who, "padding", padding, rank, 0)
        self.dilation = require_sizes(who, "dilation", dilation, rank)
        self.ceil_mode = require_flag(who, "ceil_mode", ceil)
        axes = zip(self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        self.windows = tuple(Window(size, stride, p, p, dilation, self.ceil_mode) for size, stride, p, dilation in axes)
        if any(w.before > w.size // 2 for w in self.windows):
            raise ValueError(
                f"{label(who)} expects padding of at most half its kernel, {by(w.size // 2 for w in self.windows)}, "
                f"got {by(self.padding)}: else a window would hold nothing but padding"
            )

    def output_shape(self, shape: Shape) -> Shape:
        require_image_shape(self, shape, self.rank)
        require_entries(self, shape)
        return (*shape[:2], *require_counts(self, shape, self.windows))

    def _repr(self, *more: str) -> str:
        stride = "" if self.stride == self.kernel_size else describe(("stride", self.stride, 0))
        options = describe(("padding", self.padding, 0), ("dilation", self.dilation, 1))
        more = ("ceil_mode", *more) if self.ceil_mode else more
        return f"{type(self).__name__}({by(self.kernel_size)}{stride}{options}{''.join(f', {word}' for word in more)})"


class _MaxPool(_Pool):
    """The rules of MaxPool1d and MaxPool2d."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the places that these windows see."""
        at = letters(self.windows)
        place = at.axes if self.rank == 1 else f"({at.axes})"
        return Formulas(
            forward=rf"\max_{{{at.entries}}} \z_{{n, c, {at.seen}}}",
            backward=rf"\sum_{{{at.windows}}} [{place} = m_{{n, c, {at.windows}}}] \d_{{n, c, {at.windows}}}"
            rf", \quad m_{{n, c, {at.windows}}} = \text{{the place of the first largest entry of the window}}",
            where="what lies outside of z is left out",
        )

    def forward(self, z: Array) -> tuple[Array, tuple[Array, Array]]:
        require_floating(self, z)
        self.output_shape(z.shape)
        largest = z
        # The last axis first: then of equal numbers the first, row by row, stays.
        for axis in range(z.ndim - 1, 1, -1):
            window = self.windows[axis - 2]
            count, parts = window.count(z.shape[axis]), window.parts(z.shape[axis])
            largest = over_windows(larger, -math.inf, largest, axis, count, parts)
        return largest, (z, largest)

    def backward(self, delta: Array, cache: tuple[Array, Array]) -> Array:
        z, largest = cache
        require_delta(self, delta, largest.shape)
        delta = _laid_out_as(largest, delta)
        dz = np.zeros_like(z, delta.dtype)
        apart, with_nan = all(w.span <= w.stride for w in self.windows), bool(np.isnan(largest).any())
        waiting = np.ones_like(largest, bool)  # windows whose largest entry was not met yet
        for parts in product(*(w.parts(length) for w, length in zip(self.windows, z.shape[2:], strict=True))):
            of_windows, of_entries = ((..., *slices) for slices in zip(*parts, strict=True))
            entries = z[of_entries].real
            here = entries >= largest[of_windows].real
            if with_nan:
                here |= np.isnan(entries)
            here &= waiting[of_windows]
            waiting[of_windows] ^= here
            if apart:
                np.multiply(delta[of_windows], here, out=dz[of_entries])
            else:
                dz[of_entries] += delta[of_windows] * here
        return dz

    def __repr__(self) -> str:
        return self._repr()


class MaxPool2d(_MaxPool):
    """The largest entry of each window of images (N, C, H, W): (N, C, H', W').

        z_next[n, c, r, s]  =  max_{i, j} z[n, c, r stride + i dilation - padding, s ...]
        dz                  =  delta, added to the first largest entry of each window, row by row
        H'                  =  floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1, and so W'

    Sizes are numbers or pairs (height, width); stride is the kernel_size unless given.  Padding is never the largest.
    With ceil_mode the last window may stick out.  NaN counts as largest.  ValueError where no window fits.
    """

    rank = 2


class MaxPool1d(_MaxPool):
    """The largest entry of each window of sequences (N, C, L): (N, C, L').  All else is as in MaxPool2d."""

    rank = 1


class _Mean(Layer):
    """Means over windows, axis by axis; linear, so that rule 2 is the transpose.

    Subclasses give, for an axis: how many windows it has, their entries, and by what to divide their sums.
    """

    rank: int

    def bins(self, axis: int, length: int) -> tuple[int, Parts, Array]:
        """(number of windows, parts as of `Window.parts`, divisors) on an axis of `length` entries."""
        raise NotImplementedError(f"{type(self).__name__} lacks bins(self, axis, length)")

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        self.output_shape(z.shape)
        mean = z
        for axis in range(2, z.ndim):
            count, parts, divisors = self.bins(axis - 2, z.shape[axis])
            mean = over_windows(np.add, 0.0, mean, axis, count, parts) * _reciprocals(divisors, axis, z)
        return mean, z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        bins = [self.bins(i, length) for i, length in enumerate(shape[2:])]
        require_delta(self, delta, (*shape[:2], *(count for count, _, _ in bins)))
        dz = delta
        for axis, (_, parts, divisors) in enumerate(bins, 2):
            share = dz * _reciprocals(divisors, axis, delta)
            dz = np.zeros_like(share, shape=(*share.shape[:axis], shape[axis], *share.shape[axis + 1 :]))
            for of_windows, of_entries in along(axis, parts):
                dz[of_entries] += share[of_windows]
        return dz


class _AvgPool(_Pool, _Mean):
    """The windows of AvgPool1d and AvgPool2d."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = require_flag(type(self), "count_include_pad", count_include_pad)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the places that these windows see."""
        at, varies = letters(self.windows), self.ceil_mode or not self.count_include_pad
        share = rf"\frac{{1}}{{{f'm_{{{at.windows}}}' if varies else math.prod(self.kernel_size)}}}"
        counted = "zeros of the padding included" if self.count_include_pad else "those of z alone"
        return Formulas(
            forward=rf"{share} \sum_{{{at.entries}}} \z_{{n, c, {at.seen}}}",
            backward=rf"\sum_{{{at.entries}, {at.windows}}} {share} \d_{{n, c, {at.windows}}} {at.here}",
            where="what lies outside of z is 0" + f"; m counts the entries of a window, {counted}" * varies,
        )

    def bins(self, axis: int, length: int) -> tuple[int, Parts, Array]:
        window = self.windows[axis]
        count, parts = window.count(length), window.parts(length)
        if not self.count_include_pad:
            return count, parts, entries_inside(count, parts)
        starts = np.arange(count) * window.stride - window.before
        return count, parts, np.minimum(starts + window.size, length + window.after) - starts

    def __repr__(self) -> str:
        return self._repr(*[] if self.count_include_pad else ["count_include_pad=False"])


class AvgPool2d(_AvgPool):
    """The mean of each window of images (N, C, H, W): (N, C, H', W'), with H' as in MaxPool2d.

        z_next[n, c, r, s]  =  sum_{i, j} z[n, c, r stride + i - padding, s ...] / (kh kw)
        dz                  =  delta / (kh kw), added to every entry of its window

    Padding counts as zeros, or, with count_include_pad=False, not at all: the divisor is then what is inside of z.
    """

    rank = 2


class AvgPool1d(_AvgPool):
    """The mean of each window of sequences (N, C, L): (N, C, L').  All else is as in AvgPool2d."""

    rank = 1


class _AdaptiveAvgPool(_Mean):
    """The windows of AdaptiveAvgPool1d and AdaptiveAvgPool2d."""

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = require_sizes(type(self), "output_size", output_size, self.rank)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """B is one window."""
        h, r = ("h", "r") if self.rank == 1 else ("(h, w)", "r, s")
        window = f"B_{{{r}}}"
        return Formulas(
            forward=rf"\frac{{1}}{{|{window}|}} \sum_{{{h} \in {window}}} \z_{{n, c, {h.strip('()')}}}",
            backward=rf"\sum_{{{r}}} \frac{{1}}{{|{window}|}} [{h} \in {window}] \d_{{n, c, {r}}}",
            where=f"B is one of {by(self.output_size)} windows that cover z evenly, and |B| its number of entries",
        )

    def output_shape(self, shape: Shape) -> Shape:
        require_image_shape(self, shape, self.rank)
        require_entries(self, shape)
        return (*shape[:2], *self.output_size)

    def bins(self, axis: int, length: int) -> tuple[int, Parts, Array]:
        count = self.output_size[axis]
        if length % count == 0:
            parts = Window(length // count, length // count).parts(length)
        else:
            bins = [range(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
            parts = [(slice(i, i + 1), slice(entry, entry + 1)) for i, part in enumerate(bins) for entry in part]
        return count, parts, entries_inside(count, parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({by(self.output_size)})"


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Images (N, C, H, W) of any size to means (N, C, *output_size).

    z_next[n, c, r, s]  =  mean of z[n, c, floor(r H / H') : ceil((r + 1) H / H'), ...],   (H', W') = output_size
    dz                  =  delta / (entries of its window), added to every one of them
    """

    rank = 2


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Sequences (N, C, L) of any length to means (N, C, output_size).  All else is as in AdaptiveAvgPool2d."""

    rank = 1


def _reciprocals(divisors: Array, axis: int, z: Array) -> Array:
    """1 / divisors, along `axis` of z and in its precision."""
    return (1 / divisors).astype(z.real.dtype).reshape(-1, *(1,) * (z.ndim - axis - 1))


def _laid_out_as(z: Array, delta: Array) -> Array:
    """delta in the order in memory of z: arrays in different orders are slow to walk together."""
    if delta.strides == z.strides:
        return delta
    copy = np.empty_like(z, delta.dtype)
    copy[...] = delta
    return copy
