"""Shapes before there is data: the batch is N, whatever its size, and the widths are those that layers declare."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, is_floating, kind, label, no_tuple, require_tuple
from minigrad.checks import require_shape as require_shape
from minigrad.typing import Shape, Shapes


class Batch(int):
    """The size of a batch of which nothing is known: it prints as N, and equals itself alone."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = int.__hash__

    def __repr__(self) -> str:
        return "N"

    __str__ = __repr__


N = Batch(2)


def with_batch(who: object, row: Any) -> Shapes:
    """The shape of a batch of rows of shape `row`; of several inputs, a tuple of such (TypeError, ValueError)."""
    if isinstance(row, np.ndarray):
        return row.shape
    if isinstance(row, tuple) and all(isinstance(size, int | np.integer) for size in row):
        if any(size < 1 or isinstance(size, bool) for size in row):
            raise ValueError(f"{label(who)} expects a shape of positive sizes, got {row}: leave the batch out")
        return (N, *map(int, row))
    if isinstance(row, tuple) and all(isinstance(part, tuple | np.ndarray) for part in row):
        return tuple(with_batch(who, part) for part in row)
    fix = f"({row},) is a row of {row} numbers" if isinstance(row, int | np.integer) else "a tuple of positive integers"
    got = repr(row) if isinstance(row, tuple | list | int | float) else kind(row)
    raise TypeError(
        f"{label(who)} expects the shape of one row, such as (784,) or (1, 28, 28), or a batch, got {got}: {fix}"
    )


def is_shape(shapes: Shapes) -> bool:
    """`shapes` is that of one array, and not a tuple of such."""
    return all(isinstance(size, int) for size in shapes)


def batch_of(who: object, row: Any, count: int = 1, dtype: Any = np.float64) -> Any:
    """A batch of `count` rows of zeros of shape `row`; what is given as an array is the batch itself."""
    if isinstance(row, np.ndarray):
        return row
    shapes = with_batch(who, row)
    if is_shape(shapes):
        return np.zeros((count, *shapes[1:]), dtype)
    return tuple(batch_of(who, part, count, dtype) for part in row)


def require_shapes(who: object, shapes: Any, count: int | None, what: str = "z") -> None:
    """`shapes` are those of a tuple of `count` arrays, or of any number: in the words of `require_tuple`."""
    if shapes and not isinstance(shapes[0], tuple):
        raise no_tuple(who, f"one array of shape {shapes}", count, what)
    require_tuple(who, shapes, count, what)


def axis_of(who: object, shape: Shape, axis: int) -> int:
    """`axis` of an array of `shape`, counted from 0; not the batch (ValueError)."""
    require_shape(who, shape)
    if not -len(shape) < axis < len(shape):
        raise ShapeError(f"{label(who)} expects z with an axis {axis} beside the batch, got shape {shape}")
    return axis % len(shape)


def shapes_of(z: Any) -> Shapes:
    """The shape of an array, or those of a tuple of arrays."""
    return tuple(shapes_of(part) for part in z) if type(z) is tuple else np.shape(z)


def zeros(shapes: Shapes, dtype: Any = np.float64) -> Any:
    """An array of zeros of a shape, or a tuple of them."""
    return np.zeros(shapes, dtype) if is_shape(shapes) else tuple(zeros(part, dtype) for part in shapes)


def shape_by_running(layer: Any, shapes: Shapes) -> Shapes:
    """The shape of what a layer gives, found by running rule 1 of a copy on zeros, as at inference.

    None of a layer that takes more than z, as a loss takes a target.
    """
    if _takes_more(layer):
        return None
    twin = copy.deepcopy(layer)
    with np.errstate(all="ignore"):  # zeros need not be in the domain of every layer
        found = shapes_of(twin(zeros(shapes, dtype_of(twin))))
    known = shapes if is_shape(shapes) else shapes[0]
    return _with_n(found) if known and known[0] is N else found


def _takes_more(layer: Any) -> bool:
    import inspect  # on use: it is slow to import

    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(layer.forward).parameters.values()
    return sum(p.kind in positional and p.default is p.empty for p in parameters) > 1


def dtype_of(layer: Any) -> Any:
    """The floating type of the parameters of a layer; float64 where it has none."""
    held = [value for value in vars(layer).values() if is_floating(value)]
    return np.result_type(*held) if held else np.float64


def _with_n(shapes: Shapes) -> Shapes:
    if not is_shape(shapes):
        return tuple(map(_with_n, shapes))
    return (N, *shapes[1:]) if shapes and shapes[0] == int(N) else shapes
