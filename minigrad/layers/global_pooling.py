"""Pooling over all spatial axes: one number for each channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_delta, require_floating
from minigrad.layer import Layer
from minigrad.layers.spatial import require_entries
from minigrad.shapes import require_shape
from minigrad.typing import Array, Formulas, Shape


class GlobalAveragePool(Layer):
    """The mean over all axes after the second: (N, C, ...) -> (N, C).

    dz  =  delta / (H W), to every entry
    """

    formulas = Formulas(
        forward=r"\frac{1}{P} \sum_p \z_{n, c, p}",
        backward=r"\frac{1}{P} \d_{n, c}",
        where="p runs over the P places of a channel",
    )

    def output_shape(self, shape: Shape) -> Shape:
        _require_spatial(self, shape)
        return shape[:2]

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        _require_spatial(self, z.shape)
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

    formulas = Formulas(
        forward=r"\max_p \z_{n, c, p}",
        backward=r"[p = m_{n, c}] \d_{n, c}",
        where="p runs over the places of a channel, and m is the first that holds the largest entry",
    )

    def output_shape(self, shape: Shape) -> Shape:
        _require_spatial(self, shape)
        return shape[:2]

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        _require_spatial(self, z.shape)
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


def _require_spatial(layer: Layer, shape: Shape) -> None:
    require_shape(layer, shape)
    if len(shape) < 3:
        raise ShapeError(
            f"{layer!r} expects z of shape (batch, channels, ...) with one axis or more to pool over, got {shape}: "
            "Flatten comes after it, not before"
        )
    require_entries(layer, shape)
