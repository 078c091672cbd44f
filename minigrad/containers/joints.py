"""Joints: several arrays become one, and one becomes several."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import (
    ShapeError,
    require_axis,
    require_count,
    require_delta,
    require_floating,
    require_tuple,
)
from minigrad.layer import Layer
from minigrad.shapes import axis_of, require_shape, require_shapes, shapes_of
from minigrad.typing import Array, Delta, Formulas, Shape, Shapes


class Add(Layer):
    """z_0 + z_1 + ... of a tuple of arrays of one shape.

    dz_i  =  delta
    """

    formulas = Formulas(r"\sum_i \z_i", r"(\d, \d, \dots)", where="z is a tuple of arrays z_i")

    def output_shape(self, shape: Shapes) -> Shape:
        _require_shapes(self, shape)
        for i, part in enumerate(shape):
            if part != shape[0]:
                raise ShapeError(
                    f"{self!r} expects arrays of one shape, got {shape[0]} in z[0] and {part} in z[{i}]: "
                    "bring the branches to one width, or take Concatenate"
                )
        return shape[0]

    def forward(self, z: Any) -> tuple[Array, Any]:
        _require_arrays(self, z)
        total = z[0]
        for part in z[1:]:
            if part.shape != total.shape:
                self.output_shape(shapes_of(z))  # it says what does not fit
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

    formulas = Formulas(
        r"\operatorname{concatenate}(\z)",
        r"\operatorname{split}(\d)",
        where="z is a tuple of arrays, one after the other in z_next, and delta is cut as they are",
    )

    def __init__(self, axis: int = -1) -> None:
        self.axis = require_axis(Concatenate, axis)

    def output_shape(self, shape: Shapes) -> Shape:
        _require_shapes(self, shape)
        axis = axis_of(self, shape[0], self.axis)
        for i, part in enumerate(shape):
            if len(part) != len(shape[0]) or _without(part, axis) != _without(shape[0], axis):
                raise ShapeError(
                    f"{self!r} expects arrays whose shapes agree but for axis {self.axis}, got {shape[0]} in z[0] "
                    f"and {part} in z[{i}]: Flatten or Reshape a branch first"
                )
        return (*shape[0][:axis], sum(part[axis] for part in shape), *shape[0][axis + 1 :])

    def forward(self, z: Any) -> tuple[Array, Any]:
        _require_arrays(self, z)
        axis = axis_of(self, z[0].shape, self.axis)
        try:
            z_next = np.concatenate(z, axis=axis)
        except ValueError:
            self.output_shape(shapes_of(z))  # it says what does not fit
            raise
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

    formulas = Formulas(
        r"\operatorname{split}(\z)",
        r"\operatorname{concatenate}(\d)",
        where="z_next is a tuple of equal parts of z, and delta one of their deltas",
    )

    def __init__(self, parts: int, axis: int = -1) -> None:
        self.parts = require_count(Split, "parts", parts)
        self.axis = require_axis(Split, axis)

    def output_shape(self, shape: Shape) -> Shapes:
        require_shape(self, shape)
        axis = axis_of(self, shape, self.axis)
        if shape[axis] % self.parts:
            raise self._uneven(shape, axis)
        return ((*shape[:axis], shape[axis] // self.parts, *shape[axis + 1 :]),) * self.parts

    def forward(self, z: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        shape = z.shape
        axis = axis_of(self, shape, self.axis)
        if shape[axis] % self.parts:
            raise self._uneven(shape, axis)
        parts = tuple(np.split(z, self.parts, axis=axis))
        return parts, (parts[0].shape, axis)

    def backward(self, delta: Any, cache: Any) -> Array:
        shape, axis = cache
        require_tuple(self, delta, self.parts, "delta")
        for part in delta:
            require_delta(self, part, shape)
        return np.concatenate(delta, axis=axis)

    def _uneven(self, shape: Shape, axis: int) -> ShapeError:
        size = shape[axis]
        fits = ", ".join(str(i) for i in range(2, size + 1) if size % i == 0) or "1 alone"
        return ShapeError(
            f"{self!r} expects axis {self.axis} to divide into {self.parts} equal parts, got {size} entries "
            f"in z of shape {shape}: {size} divides by {fits}; Slice takes uneven parts"
        )

    def __repr__(self) -> str:
        return f"Split({self.parts}, axis={self.axis})"


def _require_arrays(layer: Layer, z: Any) -> None:
    require_tuple(layer, z, None)
    for i, part in enumerate(z):
        require_floating(layer, part, f"z[{i}]")


def _require_shapes(layer: Layer, shape: Shapes) -> None:
    require_shapes(layer, shape, None)
    for i, part in enumerate(shape):
        require_shape(layer, part, f"z[{i}]")


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
