"""What a loss does, seen by trying it on some rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.typing import Array, Input

FEW = 5  # rows, on which a loss is tried
AGREE = 1e-9  # of the loss of some rows, relative to that of their parts


def first(z: Input) -> Any:
    """z, or the first of its parts."""
    return z[0] if type(z) is tuple else z


def rows_of(value: Any, index: Any) -> Any:
    """Some rows of an array, or of each of a tuple of them."""
    if type(value) is tuple:
        return tuple(rows_of(part, index) for part in value)
    return np.asarray(value)[index]


def not_finite(loss: Layer, z: Input, target: Any) -> ValueError:
    """The error that names the first row whose loss is not finite."""
    start, stop = 0, len(first(z))
    value = _value(loss, z, target, slice(start, stop))
    while stop - start > 1:
        middle = (start + stop) // 2
        for ends in ((start, middle), (middle, stop)):
            if not math.isfinite(here := _value(loss, z, target, slice(*ends))):
                (start, stop), value = ends, here
                break
        else:
            break  # all rows together overflow
    which = (
        f"at row {start}, whose y is {_shown(target, start)}," if stop - start == 1 else f"of all {len(first(z))} rows"
    )
    return ValueError(
        f"{label(loss)} is {value} {which} at the parameters that the cost is passed with: where y is within the range "
        "of the distribution, set them nearer to what the data say"
    )


def _value(loss: Layer, z: Input, target: Any, rows: slice) -> float:
    with np.errstate(all="ignore"):
        return float(np.real(np.sum(loss.forward(rows_of(z, rows), rows_of(target, rows))[0])))


def _shown(target: Any, row: int) -> str:
    return ", ".join(f"{each:.6g}" for each in np.ravel(rows_of(first(target), row)))


def does_as_told(loss: Any, z: Input, target: Any) -> bool:
    """Reduction "sum" gives the sum over rows, weighted as told, and "none" its terms: seen on a few rows."""
    if type(loss).__module__.partition(".")[0] == "minigrad":
        return True
    count = min(FEW, len(first(z)))
    few = slice(0, count)
    w = np.where(np.arange(count) > 0, 1.0 + np.arange(count), 0.0 if count > 1 else 2.0)
    kept = loss.reduction

    def told(reduction: str, rows: slice, *weights: Array) -> Array:
        loss.reduction = reduction
        return np.asarray(loss.forward(rows_of(z, rows), rows_of(target, rows), *weights)[0])

    try:
        with np.errstate(all="ignore"):
            whole = told("sum", few)
            terms = np.array([told("sum", slice(n, n + 1)) for n in range(count)])
            by_row = np.sum(told("none", few).reshape(count, -1), axis=1)
            pairs = [(whole, terms.sum()), (by_row, terms), (told("sum", few, w), w @ terms)]
            pairs.append((told("sum", few, np.full(count, 2.0)), 2 * whole))
            error = AGREE * w.max() * float(np.abs(terms).sum())
            return all(np.shape(a) == np.shape(b) and bool((np.abs(a - b) <= error).all()) for a, b in pairs)
    except (TypeError, ValueError, IndexError):
        return False
    finally:
        loss.reduction = kept
