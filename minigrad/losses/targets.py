"""What a loss takes beside its input, looked at once where it enters: labels, other targets, weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import kind, label, largest, require_finite
from minigrad.typing import Array


def require_labels(
    who: object, target: Any, shape: tuple[int, ...], classes: int, ignored: int | None = None
) -> tuple[Array, bool]:
    """`target` as class indices 0 .. classes - 1, or `ignored`, of `shape`; and whether all are 0 .. classes - 1.

    TypeError, ValueError.  Scans the labels: -1 would wrap around.
    """
    labels = require_target_shape(who, target, shape)
    if labels.dtype.kind not in "iub":
        whole = "pass target.astype(int) if they are whole numbers 0, 1, ..."
        fix = whole if labels.dtype.kind == "f" else "np.unique(target, return_inverse=True)[1] numbers them"
        raise TypeError(f"{label(who)} expects integer class labels, got target of {labels.dtype}: {fix}")
    index = labels.astype(np.intp, copy=False)
    # Read as unsigned numbers, negative labels are large: one pass finds both ends of the range.
    all_are_classes = not index.size or largest(index.view(np.uintp)) < classes
    if not all_are_classes:
        wrong = (labels < 0) | (labels >= classes)
        if ignored is not None:
            wrong &= labels != ignored
        if wrong.any():
            place = first_of(wrong)
            shifted = labels.min() == 1 and labels.max() == classes
            fix = "target - 1 starts at 0" if shifted else "number the classes from 0"
            raise ValueError(
                f"{label(who)} expects labels 0 .. {classes - 1} for {classes} classes, "
                f"got {labels[place]} in {named('target', place)}: {fix}"
            )
    return index, all_are_classes


def require_binary_labels(who: object, target: Any, shape: tuple[int, ...]) -> Array:
    """`target` as integers 0 or 1 of `shape`, from any numbers (TypeError, ValueError).  Scans the labels."""
    labels = require_target_shape(who, target, shape)
    if labels.dtype.kind not in "iubf":
        raise TypeError(f"{label(who)} expects labels 0 and 1, got target of {labels.dtype}")
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        place = first_of(wrong)
        fixes = {(-1, 1): "(target + 1) // 2 maps -1, 1 to them", (1, 2): "target - 1 maps 1, 2 to them"}
        fix = fixes.get((labels.min(), labels.max()), "LogSoftmax and NLLLoss take more classes than two")
        raise ValueError(f"{label(who)} expects labels 0 and 1, got {labels[place]} in {named('target', place)}: {fix}")
    return labels.astype(np.intp, copy=False)


def require_signs(who: object, target: Any, z: Array) -> Array:
    """`target` as numbers -1 and +1 of the shape and precision of z (TypeError, ValueError).  Scans them."""
    signs = require_target(who, target, z)
    wrong = (signs != 1) & (signs != -1)
    if wrong.any():
        place = first_of(wrong)
        fix = "2 * target - 1 maps 0, 1 to them" if set(np.unique(signs)) <= {0, 1} else "it tells two classes apart"
        raise ValueError(
            f"{label(who)} expects labels -1 and +1, got {signs[place]:g} in {named('target', place)}: {fix}"
        )
    return signs


def require_target(
    who: object,
    target: Any,
    z: Array,
    low: float = -math.inf,
    high: float = math.inf,
    shape: tuple[int, ...] | None = None,
    fix: str = "",
) -> Array:
    """`target` as finite numbers from `low` to `high`, of the shape and precision of z (TypeError, ValueError).

    Scans them.  Another shape is never broadcast: (N,) against (N, 1) would compare every pair of rows.
    """
    shape = z.shape if shape is None else shape
    array = unmasked(who, target, "target")
    if array.dtype.kind not in "iubf":
        raise TypeError(f"{label(who)} expects target to be real numbers, got {kind(target)}: target.astype(float)")
    if array.shape != shape:
        raise ValueError(f"{label(who)} expects target of shape {shape}, got {array.shape}: {_reshaping(array, shape)}")
    array = array.astype(z.real.dtype, copy=False)
    require_finite(who, array, "target")
    if array.size and (array.min() < low or array.max() > high):
        place = first_of((array < low) | (array > high))
        if not fix and (low, high) == (0, 1) and array.min() == -1:
            fix = "(target + 1) / 2 maps -1, 1 to 0, 1"
        limits = f"of {low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        raise ValueError(
            f"{label(who)} expects target {limits}, got {array[place]:g} in {named('target', place)}"
            f"{': ' if fix else ''}{fix}"
        )
    return array


def _reshaping(array: Array, shape: tuple[int, ...]) -> str:
    if math.prod(array.shape) != math.prod(shape):
        return "one number for each of z"
    if array.shape == shape[:-1]:
        return "target[..., np.newaxis] has that shape"
    if array.shape[:-1] == shape:
        return "target[..., 0] has that shape"
    return f"target.reshape{shape} has that shape, if the order is the same"


def unmasked(who: object, values: Any, name: str) -> Array:
    """`values` as an array (TypeError): a mask would be lost without a word."""
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{label(who)} expects {name} without a mask: give masked observations a weight of 0")
    return np.asarray(values)


def require_target_shape(who: object, target: Any, shape: tuple[int, ...]) -> Array:
    """`target` as an array of labels of `shape` (ValueError)."""
    labels = target if type(target) is np.ndarray else unmasked(who, target, "target")
    if labels.shape == shape:
        return labels
    if labels.shape == (*shape, 1):
        fix = "target.ravel() has that shape" if len(shape) == 1 else "target[..., 0] has that shape"
    elif labels.ndim == len(shape) + 1 and labels.shape[:-1] == shape:
        fix = f"if it is one-hot, target.argmax(axis={len(shape)}) gives the labels"
    else:
        fix = "one label for each row of the batch" + ("" if len(shape) == 1 else ", and each place in it")
    raise ValueError(f"{label(who)} expects target of shape {shape}, got {labels.shape}: {fix}")


def require_weights(who: object, weights: Any, shape: tuple[int, ...], name: str) -> Array:
    """`weights` as finite numbers of `shape`, none negative (ValueError).  Scans them."""
    array = np.array(unmasked(who, weights, name))
    if array.dtype.kind not in "iubf":
        raise TypeError(f"{label(who)} expects {name} to be real numbers, got {kind(weights)}")
    if array.shape != shape:
        raise ValueError(f"{label(who)} expects {name} of shape {shape}, got {array.shape}")
    require_finite(who, array, name)
    if array.size and array.min() < 0:
        place = first_of(array < 0)
        raise ValueError(f"{label(who)} expects {name} of 0 or more, got {array[place]} in {named(name, place)}")
    return array


def first_of(wrong: Array) -> tuple[int, ...]:
    """The index of the first True."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))


def named(name: str, place: tuple[int, ...]) -> str:
    """An entry of an array, as it is written: target[2, 0]."""
    return f"{name}[{', '.join(map(str, place))}]" if place else name
