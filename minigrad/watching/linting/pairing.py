"""Losses of one's own that pair each row with all others, by arrays that NumPy broadcasts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.typing import Array
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run
from minigrad.watching.linting.totals import ones_of
from minigrad.watching.watched import Event


def broadcast(run: Run) -> Places:
    """A loss of one's own that pairs each row with all others, since one array is (n, 1) and another (n,)."""
    for event in run.leaves:
        z = event.given[0]
        if event.error is not None or getattr(z, "ndim", 0) not in (1, 2):
            continue
        for i in range(1, len(event.given)):
            t = _numbers(event.given[i])
            fitting = None if t is None else _other_shape(z, t)
            if (
                t is not None
                and fitting is not None
                and _rows_meet(event, i, t)
                and _rows_meet(event, i, fitting) is False
            ):
                name = "the target" if i == 1 else f"argument {i} after it"
                yield (
                    run.where(event),
                    f"z has the shape {z.shape}, and {name} {t.shape}: NumPy pairs each of {len(z)} rows with all "
                    f"others, and the derivative of a row changes with what others have there. Pass it as "
                    f"{fitting.shape}.",
                )
                break


def _numbers(value: Any) -> Array | None:
    """An array or a list of real numbers with rows; None of anything else."""
    if not isinstance(value, np.ndarray | list | tuple):
        return None
    try:
        t = np.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    return t if t.ndim and len(t) >= 3 and t.dtype.kind in "iubf" else None


def _other_shape(z: Array, t: Array) -> Array | None:
    """(n,) for (n, 1), or the other way round, where t has not what goes with z."""
    n = len(z)
    if t.shape == (n,) and z.shape == (n, 1):
        return t[:, np.newaxis]
    of_classes = z.ndim == 2 and z.shape[1] > 1 and t.dtype.kind in "iu"
    return t[:, 0] if t.shape == (n, 1) and (z.ndim == 1 or of_classes) else None


def _rows_meet(event: Event, i: int, t: Array) -> bool | None:
    """The derivative of one row changes with what another has as argument i; None where that cannot be seen."""
    low, high = int(np.argmin(t)), int(np.argmax(t))
    other = t.copy()
    other[low] = t[high]
    try:
        first, second = (_derivative(event, i, array) for array in (t, other))
    except Exception:
        return None
    if low == high or first.shape != event.given[0].shape or not math.isfinite(float(np.abs(first).max())):
        return None
    change = np.delete(np.abs(second - first), low, axis=0)
    return bool(change.max() > 1e-6 * np.abs(first).max())


def _derivative(event: Event, i: int, t: Array) -> Array:
    kind, layer = type(event.layer), event.layer  # by the class: what stands in the object reports
    value, cache = kind.forward(layer, *event.given[:i], t, *event.given[i + 1 :])
    return np.asarray(kind.backward(layer, ones_of(value), cache))


RULES = (
    Rule(
        "target-broadcast",
        broadcast,
        "It trains, as if each row had the targets, or the weights, of all.",
        "Let the loss refuse other shapes.",
    ),
)
