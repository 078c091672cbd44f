"""Structure: layers that move numbers about, and change none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_axis, require_delta, require_floating, require_shape
from minigrad.layer import Layer
from minigrad.shapes import axis_of
from minigrad.typing import Array, Formulas, Shape

RESHAPED = Formulas(
    forward=r"\operatorname{reshape}(\z)",
    backward=r"\operatorname{reshape}(\d)",
    where="the same numbers stand in another shape, and delta goes back to that of z",
)


class Flatten(Layer):
    """The axes from `start_axis` to `end_axis` as one: (N, C, H, W) becomes (N, C H W).  The batch stays an axis.

    dz  =  delta, in the shape of z
    """

    formulas = RESHAPED

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis = require_axis(Flatten, start_axis)
        self.end_axis = require_axis(Flatten, end_axis)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        return self._shape_next(shape)

    def _shape_next(self, shape: Shape) -> Shape:
        first, last = axis_of(self, shape, self.start_axis), axis_of(self, shape, self.end_axis)
        if first > last:
            raise ShapeError(
                f"{self!r} expects start_axis to stand before end_axis, got axes {first} and {last} "
                f"of z of shape {shape}: swap them"
            )
        return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])

    def forward(self, z: Array) -> tuple[Array, tuple[Shape, Shape]]:
        require_floating(self, z)
        shape = self._shape_next(z.shape)
        return z.reshape(shape), (z.shape, shape)

    def backward(self, delta: Array, cache: tuple[Shape, Shape]) -> Array:
        shape, of_delta = cache
        require_delta(self, delta, of_delta)
        return delta.reshape(shape)

    def __repr__(self) -> str:
        default = (self.start_axis, self.end_axis) == (1, -1)
        return "Flatten()" if default else f"Flatten({self.start_axis}, {self.end_axis})"


class Reshape(Layer):
    """Every row in another shape, `Reshape(3, 8, 8)`; one entry may be -1, for what is left over.

        dz  =  delta, in the shape of z

    ValueError unless a row of z has as many numbers as the shape.
    """

    formulas = RESHAPED

    def __init__(self, *shape: int) -> None:
        given: Any = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        if not all(
            type(size) is not bool and isinstance(size, int | np.integer) and (size > 0 or size == -1) for size in given
        ):
            raise ValueError(f"Reshape expects positive integers, and -1 for what is left over, got {tuple(given)}")
        self.shape = tuple(int(size) for size in given)
        if self.shape.count(-1) > 1:
            raise ValueError(f"Reshape expects at most one -1, got {self.shape}: give all sizes but one")

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        return self._shape_next(shape)

    def _shape_next(self, shape: Shape) -> Shape:
        if not shape:
            raise ShapeError(f"{self!r} expects z of shape (batch, ...), got (): the first axis is the batch")
        # Not left to numpy: it cannot tell what -1 is in a batch of no rows.
        size, known = math.prod(shape[1:]), math.prod(size for size in self.shape if size != -1)
        if size % known if -1 in self.shape else size != known:
            times = "a multiple of " if -1 in self.shape else ""
            raise ShapeError(f"{self!r} expects {times}{known} numbers in each row, got {size} in z of shape {shape}")
        return (shape[0], *(size // known if entry == -1 else entry for entry in self.shape))

    def forward(self, z: Array) -> tuple[Array, tuple[Shape, Shape]]:
        require_floating(self, z)
        shape = self._shape_next(z.shape)
        return z.reshape(shape), (z.shape, shape)

    def backward(self, delta: Array, cache: tuple[Shape, Shape]) -> Array:
        shape, of_delta = cache
        require_delta(self, delta, of_delta)
        return delta.reshape(shape)

    def __repr__(self) -> str:
        return f"Reshape({', '.join(map(str, self.shape))})"


class Transpose(Layer):
    """Two axes swapped, neither of them the batch: `Transpose(1, 2)` turns (N, T, D) into (N, D, T).

    dz  =  delta, with the same axes swapped
    """

    def __init__(self, axis1: int, axis2: int) -> None:
        self.axis1, self.axis2 = require_axis(Transpose, axis1), require_axis(Transpose, axis2)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the axes named."""
        swap = rf"\operatorname{{swap}}_{{{self.axis1}, {self.axis2}}}"
        return Formulas(f"{swap}(\\z)", f"{swap}(\\d)", where=f"axes {self.axis1} and {self.axis2} are swapped")

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        swapped, first, second = list(shape), axis_of(self, shape, self.axis1), axis_of(self, shape, self.axis2)
        swapped[first], swapped[second] = shape[second], shape[first]
        return tuple(swapped)

    def forward(self, z: Array) -> tuple[Array, Shape]:
        require_floating(self, z)
        z_next = z.swapaxes(axis_of(self, z.shape, self.axis1), axis_of(self, z.shape, self.axis2))
        return z_next, z_next.shape

    def backward(self, delta: Array, shape: Shape) -> Array:
        require_delta(self, delta, shape)
        return delta.swapaxes(self.axis1, self.axis2)

    def __repr__(self) -> str:
        return f"Transpose({self.axis1}, {self.axis2})"


class Slice(Layer):
    """z[start:stop:step] along one `axis`, which is not the batch, with Python's meaning of None and of less than 0.

        dz  =  delta where z was taken from, 0 elsewhere

    The axis stays, so that `Slice(-1, None, axis=1)`, the last step of a sequence, gives (N, 1, D).  ValueError where
    nothing would be left of an axis.
    """

    formulas = Formulas(
        forward=r"\operatorname{slice}(\z)",
        backward=r"\operatorname{place}(\d)",
        where="delta is placed where z was taken from, among zeros",
    )

    def __init__(self, start: int | None, stop: int | None, step: int | None = None, axis: int = -1) -> None:
        for name, value in (("start", start), ("stop", stop), ("step", step)):
            if value is not None and (not isinstance(value, int | np.integer) or isinstance(value, bool)):
                raise ValueError(f"Slice expects {name} to be an integer or None, got {value!r}")
        if step == 0:
            raise ValueError("Slice expects a step other than 0: -1 goes backwards")
        self.slice = slice(start, stop, step)
        self.axis = require_axis(Slice, axis)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        axis = axis_of(self, shape, self.axis)
        left = len(range(*self.slice.indices(shape[axis])))
        if shape[axis] and not left:
            raise self._nothing(shape, axis)
        return (*shape[:axis], left, *shape[axis + 1 :])

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        shape = z.shape
        axis = axis_of(self, shape, self.axis)
        index = (slice(None),) * axis + (self.slice,)
        z_next = z[index]
        shape_next = z_next.shape
        if shape[axis] and not shape_next[axis]:
            raise self._nothing(shape, axis)
        return z_next, (shape, shape_next, index)

    def backward(self, delta: Array, cache: Any) -> Array:
        shape, of_delta, index = cache
        require_delta(self, delta, of_delta)
        dz = np.zeros(shape, delta.dtype)
        dz[index] = delta
        return dz

    def _nothing(self, shape: Shape, axis: int) -> ShapeError:
        return ShapeError(f"{self!r} leaves nothing of axis {axis} of z of shape {shape}: start lies before stop")

    def __repr__(self) -> str:
        step = "" if self.slice.step is None else f", {self.slice.step}"
        return f"Slice({self.slice.start}, {self.slice.stop}{step}, axis={self.axis})"


class Pad(Layer):
    """`value` before and after z along its last axes: `Pad(((1, 1), (2, 2)))` takes (N, C, H, W) to (N, C, H+2, W+4).

        dz  =  delta, without the border

    `padding` holds a pair (before, after) for each of the last axes, in the order of the axes as in numpy.pad.  (The
    flat tuple of torch.nn.ConstantPad2d starts with the last axis.)  ValueError where a number is negative: Slice
    crops.
    """

    formulas = Formulas(
        forward=r"\operatorname{pad}(\z)",
        backward=r"\operatorname{crop}(\d)",
        where="z gets a border, and delta loses it",
    )

    def __init__(self, padding: Sequence[tuple[int, int]], value: float = 0.0) -> None:
        pairs = padding if isinstance(padding, tuple | list) else ()
        if not pairs or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            raise ValueError(f"Pad expects a pair for each of the last axes, ((1, 1), (2, 2)), got {padding!r}")
        for size in (size for pair in pairs for size in pair):
            if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 0:
                raise ValueError(f"Pad expects integers of 0 or more, got {size!r} in {padding!r}: Slice crops")
        if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
            raise TypeError(f"Pad expects value to be a number, got {value!r}")
        self.padding = tuple((int(before), int(after)) for before, after in pairs)
        self.value = float(value)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        kept = len(shape) - len(self.padding)
        if kept < 1:
            raise ShapeError(
                f"{self!r} expects z with {len(self.padding)} axes after the batch, or more, got shape {shape}: "
                "one pair for each axis to pad"
            )
        return shape[:kept] + tuple(b + size + a for (b, a), size in zip(self.padding, shape[kept:], strict=True))

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        shape = self.output_shape(z.shape)
        sizes = z.shape[-len(self.padding) :]
        inside: Any = (..., *(slice(b, b + size) for (b, _), size in zip(self.padding, sizes, strict=True)))
        z_next = np.full(shape, self.value, z.dtype)
        z_next[inside] = z
        return z_next, (shape, inside)

    def backward(self, delta: Array, cache: Any) -> Array:
        shape, inside = cache
        require_delta(self, delta, shape)
        return delta[inside]

    def __repr__(self) -> str:
        return f"Pad({self.padding}{f', value={self.value:g}' if self.value else ''})"
