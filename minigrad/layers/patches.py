"""The one bilinear form that convolutions are made of, of windows that slide over images.

    y[n, o, r, s] = sum_{c, i, j} weight[o, c, i, j] z[n, c, r stride + i dilation - before, s ...]

with z = 0 outside of the image, and o and c of the same group.  `correlate` is y, `spread` what it does to a delta on
the way to z, and `outer` on the way to the weight.  A convolution is correlate, spread and outer as rules 1, 2 and 3;
a transposed convolution is spread, correlate and outer.  Each is a product of matrices with the columns

    columns[(c, i, j), (r, s, n)] = z[n, c, r stride + i dilation - before, s ...]

How they are made fast:

- Arrays have the shape (N, C, H, W), but what is made here lies in memory as (C, H, W, N), batch innermost.  A shifted
  window is then a row of long runs, copied as fast as memory allows; layers that go entry by entry keep the order.
- The columns are kh kw times as large as z.  They are made for one tile of (r, s, n) at a time, which stays in the
  processor's cache, and made again for rule 3 rather than kept.

Measured by `python -m benchmarks W7`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.layers.spatial import letters
from minigrad.layers.windows import Window
from minigrad.typing import Array

SMALL = 10**6  # multiplications in one product, up to which OpenBLAS has a faster way
ROOM = 2**18  # numbers in a tile, so that it stays in the processor's cache
POSITIONS = 1024  # columns in a tile, at least: fewer cost more in calls than they save


Windows: TypeAlias = tuple[Window, ...]
"""One for each spatial axis."""


def correlate(z: Array, weight: Array, windows: Windows, groups: int, counts: tuple[int, ...] | None = None) -> Array:
    """y (N, O, R, S) of z (N, C, H, W) and weight (O, C / groups, kh, kw); of as many windows as fit, or `counts`."""
    if z.ndim == 3:
        counts = None if counts is None else (1, *counts)
        return _row(correlate(_image(z), _image(weight), _of_image(windows), groups, counts))
    dtype = np.result_type(z, weight)
    counts = counts or tuple(w.count(length) for w, length in zip(windows, z.shape[2:], strict=True))
    patches = _patches(_padded(z, windows, dtype), windows, counts)
    kernel = weight.reshape(groups, len(weight) // groups, -1)
    y = np.empty((*kernel.shape[:2], math.prod(patches.shape[3:])), dtype)
    for tile, places, columns in _tiles(patches, weight.shape):
        np.copyto(columns, patches[:, :, :, *tile])
        np.matmul(kernel, columns.reshape(groups, kernel.shape[2], -1), out=y[:, :, places])
    return y.reshape(len(weight), *patches.shape[3:]).transpose(3, 0, 1, 2)


def spread(delta: Array, weight: Array, windows: Windows, groups: int, shape: tuple[int, ...]) -> Array:
    """dz of `shape` (N, C, H, W), of delta (N, O, R, S) and weight (O, C / groups, kh, kw)."""
    if delta.ndim == 3:
        return _row(spread(_image(delta), _image(weight), _of_image(windows), groups, (*shape[:2], 1, shape[2])))
    dtype = np.result_type(delta, weight)
    padded = np.zeros((shape[1], *_padded_lengths(shape, windows), shape[0]), dtype)
    patches = _patches(padded, windows, delta.shape[2:])
    kernel = weight.reshape(groups, len(weight) // groups, -1).transpose(0, 2, 1)
    flat = _batch_last(delta, dtype).reshape(groups, kernel.shape[2], math.prod(patches.shape[3:]))
    # Of one output channel in a group the product is a table of products, for which matmul is slow.
    multiply = np.multiply if kernel.shape[2] == 1 else np.matmul
    for tile, places, columns in _tiles(patches, weight.shape):
        multiply(kernel, flat[:, :, places], out=columns.reshape(groups, kernel.shape[1], -1))
        for i, j in product(*map(range, weight.shape[2:])):
            reached = patches[:, i, j][(slice(None), *tile)]
            np.add(reached, columns[:, i, j], out=reached)
    return padded[:, *_inside(shape, windows)].transpose(3, 0, 1, 2)


def outer(delta: Array, z: Array, windows: Windows, groups: int, shape: tuple[int, ...]) -> Array:
    """dweight of `shape` (O, C / groups, kh, kw), of delta (N, O, R, S) and z (N, C, H, W)."""
    if z.ndim == 3:
        of_image = (*shape[:2], 1, shape[2])
        return _row(outer(_image(delta), _image(z), _of_image(windows), groups, of_image))
    dtype = np.result_type(delta, z)
    patches = _patches(_padded(z, windows, dtype), windows, delta.shape[2:])
    flat = _batch_last(delta, dtype).reshape(groups, shape[0] // groups, math.prod(patches.shape[3:]))
    total = np.zeros((groups, math.prod(shape[1:]), shape[0] // groups), dtype)
    for tile, places, columns in _tiles(patches, shape):
        np.copyto(columns, patches[:, :, :, *tile])
        # Columns on the left: the other way round OpenBLAS takes half as long again.
        total += np.matmul(columns.reshape(groups, total.shape[1], -1), flat[:, :, places].transpose(0, 2, 1))
    return total.transpose(0, 2, 1).reshape(shape)


class WrittenForm(NamedTuple):
    """`correlate`, `spread` and `outer` in LaTeX."""

    correlate: str
    spread: str
    outer: str


def written(windows: Windows, groups: int, channels: str, of_windows: str, of_images: str) -> WrittenForm:
    """The form in LaTeX, for a weight with two letters of `channels`: those of what lies on windows, and on images."""
    at, o, c = letters(windows), channels[0], channels[1]
    seen, here, summed = c, at.here, o
    if groups > 1:
        seen, here, summed = f"g_{o} + {c}", f"[m = g_{o} + {c}] {at.here}", f"{o}, {c}"
    weight = f"W_{{{', '.join(channels)}, {at.entries}}}"
    window, image = f"{of_windows}_{{n, {o}, {at.windows}}}", f"{of_images}_{{n, {seen}, {at.seen}}}"
    return WrittenForm(
        rf"\sum_{{{c}, {at.entries}}} {weight} {image}",
        rf"\sum_{{{summed}, {at.entries}, {at.windows}}} {weight} {window} {here}",
        rf"\sum_{{n, {at.windows}}} {window} {image}",
    )


def _image(z: Array) -> Array:
    """A sequence (N, C, L) as an image of one row, and so a weight (O, C, k)."""
    return z[:, :, np.newaxis]


def _row(image: Array) -> Array:
    return image[:, :, 0]


def _of_image(windows: Windows) -> Windows:
    return (Window(1), *windows)


def _tiles(patches: Array, shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, ...], slice, Array]]:
    """Tiles of (r, s, n), for a weight of `shape`: slices, places in the flattened axis, and room for the columns.

    Rows are divided first, down to one, then columns, then the batch, so that the places of a tile are one run.
    """
    features, sizes = patches.shape[:3], patches.shape[3:]
    limit = ROOM // math.prod(features)
    # The multiplications for one position in one group, of which there are C / (C / groups).
    small = SMALL // (math.prod(shape) * shape[1] // features[0])
    if small >= POSITIONS:
        limit = min(limit, small)
    limit = max(limit, POSITIONS)
    largest: list[int] = []
    for size in reversed(sizes):
        largest.insert(0, max(1, min(size, limit // math.prod(largest))))
    room = np.empty(math.prod(features) * math.prod(largest), patches.dtype)
    for corner in product(*map(range, (0, 0, 0), sizes, largest)):
        tile = tuple(slice(a, min(a + most, size)) for a, most, size in zip(corner, largest, sizes, strict=True))
        lengths = [part.stop - part.start for part in tile]
        start = (corner[0] * sizes[1] + corner[1]) * sizes[2] + corner[2]
        columns = room[: math.prod(features) * math.prod(lengths)].reshape(*features, *lengths)
        yield tile, slice(start, start + math.prod(lengths)), columns


def _patches(padded: Array, windows: Windows, counts: tuple[int, ...]) -> Array:
    """(C, kh, kw, *counts, N): a view of `padded` (C, H, W, N), where entries stand once for each of their windows."""
    by_channel, by_row, by_column, by_n = padded.strides
    rows, columns = windows
    return as_strided(
        padded,
        (len(padded), rows.size, columns.size, *counts, padded.shape[3]),
        (
            by_channel,
            by_row * rows.dilation,
            by_column * columns.dilation,
            by_row * rows.stride,
            by_column * columns.stride,
            by_n,
        ),
    )


def _padded(z: Array, windows: Windows, dtype: np.dtype[Any]) -> Array:
    """z (N, C, H, W) as (C, H, W, N) in memory, with zeros around it; z itself where it is that."""
    if not any(w.before or w.after for w in windows):
        return _batch_last(z, dtype)
    padded = np.zeros((z.shape[1], *_padded_lengths(z.shape, windows), len(z)), dtype)
    padded[:, *_inside(z.shape, windows)] = z.transpose(1, 2, 3, 0)
    return padded


def _padded_lengths(shape: tuple[int, ...], windows: Windows) -> list[int]:
    return [w.before + length + w.after for w, length in zip(windows, shape[2:], strict=True)]


def _inside(shape: tuple[int, ...], windows: Windows) -> list[slice]:
    """Where z of `shape` stands among the padding."""
    return [slice(w.before, w.before + length) for w, length in zip(windows, shape[2:], strict=True)]


def _batch_last(z: Array, dtype: np.dtype[Any]) -> Array:
    """z (N, C, H, W) as a contiguous array (C, H, W, N); a view where z lies so in memory."""
    return np.ascontiguousarray(z.transpose(1, 2, 3, 0), dtype)
