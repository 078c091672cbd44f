"""What a loss takes beside its input, looked at once where it enters: labels, weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import kind, label, require_finite
from minigrad.typing import Array


def require_labels(who: object, target: Any, n: int, classes: int) -> Array:
    """`target` as n class indices 0 .. classes - 1 (TypeError, ValueError).  Scans the labels: -1 would wrap around."""
    labels = require_target_shape(who, target, n)
    if labels.dtype.kind not in "iub":
        whole = "pass target.astype(int) if they are whole numbers 0, 1, ..."
        fix = whole if labels.dtype.kind == "f" else "np.unique(target, return_inverse=True)[1] numbers them"
        raise TypeError(f"{label(who)} expects integer class labels, got target of {labels.dtype}: {fix}")
    index = labels.astype(np.intp, copy=False)
    # Read as unsigned numbers, negative labels are large: one pass finds both ends of the range.
    if n and np.maximum.reduce(index.view(np.uintp)) >= classes:
        wrong = int(np.argmax((labels < 0) | (labels >= classes)))
        shifted = labels.min() == 1 and labels.max() == classes
        fix = "target - 1 starts at 0" if shifted else "number the classes from 0"
        raise ValueError(
            f"{label(who)} expects labels 0 .. {classes - 1} for {classes} classes, "
            f"got {labels[wrong]} in target[{wrong}]: {fix}"
        )
    return index


def require_binary_labels(who: object, target: Any, n: int) -> Array:
    """`target` as n integers 0 or 1, from integers, booleans or floats (TypeError, ValueError).  Scans the labels."""
    labels = require_target_shape(who, target, n)
    if labels.dtype.kind not in "iubf":
        raise TypeError(f"{label(who)} expects labels 0 and 1, got target of {labels.dtype}")
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        index = int(np.argmax(wrong))
        fixes = {(-1, 1): "(target + 1) // 2 maps -1, 1 to them", (1, 2): "target - 1 maps 1, 2 to them"}
        fix = fixes.get((labels.min(), labels.max()), "LogSoftmax and NLLLoss take more classes than two")
        raise ValueError(f"{label(who)} expects labels 0 and 1, got {labels[index]} in target[{index}]: {fix}")
    return labels.astype(np.intp, copy=False)


def _unmasked(who: object, values: Any, name: str) -> Array:
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{label(who)} expects {name} without a mask: give masked observations a weight of 0")
    return np.asarray(values)


def require_target_shape(who: object, target: Any, n: int) -> Array:
    """`target` as an array of n entries along one axis (ValueError)."""
    labels = target if type(target) is np.ndarray else _unmasked(who, target, "target")
    if labels.shape == (n,):
        return labels
    if labels.shape == (n, 1):
        fix = "target.ravel() has that shape"
    elif labels.ndim == 2 and len(labels) == n:
        fix = "if it is one-hot, target.argmax(axis=1) gives the labels"
    else:
        fix = "one label for each row of the batch"
    raise ValueError(f"{label(who)} expects target of shape ({n},), got {labels.shape}: {fix}")


def require_weights(who: object, weights: Any, shape: tuple[int, ...], name: str) -> Array:
    """`weights` as finite numbers of `shape`, none negative (ValueError).  Scans them."""
    array = np.array(_unmasked(who, weights, name))
    if array.dtype.kind not in "iubf":
        raise TypeError(f"{label(who)} expects {name} to be real numbers, got {kind(weights)}")
    if array.shape != shape:
        raise ValueError(f"{label(who)} expects {name} of shape {shape}, got {array.shape}")
    require_finite(who, array, name)
    if array.size and array.min() < 0:
        raise ValueError(
            f"{label(who)} expects {name} of 0 or more, got {array.min()} in {name}[{int(array.argmin())}]"
        )
    return array
