"""Joints: several arrays become one, and one becomes several."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import axis_of, require_axis, require_count, require_delta, require_floating, require_tuple
from minigrad.layer import Layer
from minigrad.typing import Array, Delta


class Add(Layer):
    """z_0 + z_1 + ... of a tuple of arrays of one shape.

    dz_i  =  delta
    """

    def forward(self, z: Any) -> tuple[Array, Any]:
        _require_arrays(self, z)
        for i, part in enumerate(z):
            if part.shape != z[0].shape:
                raise ValueError(
                    f"{self!r} expects arrays of one shape, got {z[0].shape} in z[0] and {part.shape} in z[{i}]: "
                    "bring the branches to one width, or take Concatenate"
                )
        total = z[0]
        for part in z[1:]:
            total = total + part
        return total, (total.shape, len(z))

    def backward(self, delta: Array, cache: Any) -> Delta:
        shape, count = cache
        require_delta(self, delta, shape)
        return (delta,) * count


class Concatenate(Layer):
    """A tuple of arrays one after the other along `axis`, which is not the batch; all other axes agree.

    dz_i  =  the part of delta that stands where z_i stands
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = require_axis(Concatenate, axis)

    def forward(self, z: Any) -> tuple[Array, Any]:
        _require_arrays(self, z)
        axis = axis_of(self, z[0], self.axis)
        for i, part in enumerate(z):
            if part.ndim != z[0].ndim or _without(part.shape, axis) != _without(z[0].shape, axis):
                raise ValueError(
                    f"{self!r} expects arrays whose shapes agree but for axis {self.axis}, got {z[0].shape} in z[0] "
                    f"and {part.shape} in z[{i}]: Flatten or Reshape a branch first"
                )
        z_next = np.concatenate(z, axis=axis)
        return z_next, (z_next.shape, axis, np.cumsum([part.shape[axis] for part in z[:-1]]))

    def backward(self, delta: Array, cache: Any) -> Delta:
        shape, axis, cuts = cache
        require_delta(self, delta, shape)
        return tuple(np.split(delta, cuts, axis=axis))

    def __repr__(self) -> str:
        return f"Concatenate(axis={self.axis})"


class Split(Layer):
    """One array cut into `parts` equal parts along `axis`, as a tuple; the way back of Concatenate.

        dz  =  the parts of delta, one after the other

    ValueError where the axis cannot be cut evenly.
    """

    def __init__(self, parts: int, axis: int = -1) -> None:
        self.parts = require_count(Split, "parts", parts)
        self.axis = require_axis(Split, axis)

    def forward(self, z: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        axis = axis_of(self, z, self.axis)
        size = z.shape[axis]
        if size % self.parts:
            fits = ", ".join(str(i) for i in range(2, size + 1) if size % i == 0) or "1 alone"
            raise ValueError(
                f"{self!r} expects axis {self.axis} to divide into {self.parts} equal parts, got {size} entries "
                f"in z of shape {z.shape}: {size} divides by {fits}; Slice takes uneven parts"
            )
        parts = tuple(np.split(z, self.parts, axis=axis))
        return parts, (parts[0].shape, axis)

    def backward(self, delta: Any, cache: Any) -> Array:
        shape, axis = cache
        require_tuple(self, delta, self.parts, "delta")
        for part in delta:
            require_delta(self, part, shape)
        return np.concatenate(delta, axis=axis)

    def __repr__(self) -> str:
        return f"Split({self.parts}, axis={self.axis})"


def _require_arrays(layer: Layer, z: Any) -> None:
    require_tuple(layer, z, None)
    for i, part in enumerate(z):
        require_floating(layer, part, f"z[{i}]")


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
