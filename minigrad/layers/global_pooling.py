"""Pooling over all spatial axes: one number for each channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import require_delta, require_floating
from minigrad.layer import Layer
from minigrad.layers.spatial import require_entries
from minigrad.typing import Array


class GlobalAveragePool(Layer):
    """The mean over all axes after the second: (N, C, ...) -> (N, C).

    dz  =  delta / (H W), to every entry
    """

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        _require_spatial(self, z)
        return np.add.reduce(z, axis=tuple(range(2, z.ndim))) * (1 / math.prod(z.shape[2:])), z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        require_delta(self, delta, shape[:2])
        dz = batch_innermost(np.empty, shape, delta.dtype)
        dz[...] = (delta * (1 / math.prod(shape[2:]))).reshape(*shape[:2], *(1,) * (len(shape) - 2))
        return dz


class GlobalMaxPool(Layer):
    """The largest entry over all axes after the second: (N, C, ...) -> (N, C).

        dz  =  delta at the first largest entry of each channel, else 0

    NaN counts as largest.
    """

    def forward(self, z: Array) -> tuple[Array, Any]:
        _require_spatial(self, z)
        first = z.reshape(*z.shape[:2], math.prod(z.shape[2:])).real.argmax(axis=2)
        n, channels = np.ogrid[: z.shape[0], : z.shape[1]]
        place = (n, channels, *np.unravel_index(first, z.shape[2:]))
        return z[place], (z.shape, place)

    def backward(self, delta: Array, cache: Any) -> Array:
        shape, place = cache
        require_delta(self, delta, shape[:2])
        dz = batch_innermost(np.zeros, shape, delta.dtype)
        dz[place] = delta
        return dz


def batch_innermost(make: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """A new array, in memory as convolutions like it: see layers/patches.py."""
    return np.moveaxis(make((*shape[1:], shape[0]), dtype), -1, 0)


def _require_spatial(layer: Layer, z: Array) -> None:
    require_floating(layer, z)
    if z.ndim < 3:
        raise ValueError(
            f"{layer!r} expects z of shape (batch, channels, ...) with one axis or more to pool over, got {z.shape}: "
            "Flatten comes after it, not before"
        )
    require_entries(layer, z)
