"""Observations: how much each row counts, what is added to its linear units, and which rows belong together."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.mle.entry.columns import as_array, as_floats, only_column, require_finite
from minigrad.mle.entry.heads import Head
from minigrad.mle.entry.sources import Source, is_missing, require_rows, row_names
from minigrad.typing import Array


def observed(
    source: Source, rows: int, weights: Any, kind: str, offset: Any, head: Head
) -> tuple[Array | None, float, Array | None]:
    """Weights (N,), the number of observations, and offsets (N, K) (TypeError, ValueError)."""
    if weights is None and kind != "frequency":
        raise ValueError(f"fit expects weights with kind={kind!r}, which says what they stand for, got none")
    w = None if weights is None else _weights(source, weights, rows, kind)
    count = float(rows)
    if w is not None and kind == "frequency":
        count = float(w.sum())
    elif w is not None and kind == "analytic":
        w = w / w.max()
        w = w * (rows / w.sum())
    return w, count, None if offset is None else _offset(source, offset, rows, head)


def groups_of(groups: Any, rows: int, names: Any = None, who: str = "fit") -> tuple[Array, int]:
    """The group of each row as 0 .. G - 1, (N,), and G; `names` of the rows of X (TypeError, ValueError)."""
    groups, _ = only_column(Source(who, "groups"), groups)
    own = row_names(groups)
    source = Source(who, "groups", None, names if own is None else own)
    array = as_array(source, groups)
    if array.ndim != 1:
        raise ValueError(f"{who} expects groups of shape ({rows},), one for each row of X, got {array.shape}")
    require_rows(Source(who, "X", None, names), rows, Source(who, "groups", None, own), len(array))
    gaps: Any = np.isnan(array) if array.dtype.kind in "fcmM" else []
    if array.dtype.kind == "O":
        gaps = [is_missing(entry) for entry in array]
    if np.any(gaps):
        place = source.place((int(np.argmax(gaps)),))
        raise ValueError(f"{who} expects a group for each row, got none in {place}: leave it out, or give it one")
    if array.dtype.kind == "O":
        at: dict[Any, int] = {}
        index = np.array([at.setdefault(entry, len(at)) for entry in array.tolist()], dtype=np.intp)
        count = len(at)
    else:
        unique, index = np.unique(array, return_inverse=True)
        count = len(unique)
    if count < 2:
        raise ValueError(f"{who} expects groups to be two or more, got {count}: errors within one group tell nothing")
    return index, count


def _weights(source: Source, given: Any, rows: int, kind: str) -> Array:
    own, w = _read(source, given, "weights", rows)
    w = w[:, 0] if w.ndim == 2 and w.shape[1] == 1 else w
    if w.ndim != 1:
        raise ValueError(f"fit expects weights of shape ({rows},), one for each row of X, got {w.shape}")
    require_finite(own, w, "leave such rows out of X, y and weights")
    if not (w > 0).all():
        n = int(np.argmax(w <= 0))
        count = int(np.count_nonzero(w <= 0))
        zero = "a row that does not count is left out: X[w > 0], y[w > 0], w[w > 0]"
        fix = zero if w[n] == 0 else "a row cannot count less than not at all"
        raise ValueError(
            f"fit expects weights above 0, got {w[n]:g} in {own.place((n,))} ({count} of {rows} rows): {fix}"
        )
    with np.errstate(over="ignore"):
        total = w.sum()
    if kind != "analytic" and not np.isfinite(total):
        raise ValueError("fit expects weights with a finite sum, got inf: divide them by their mean")
    return w


def _offset(source: Source, given: Any, rows: int, head: Head) -> Array:
    own, offset = _read(source, given, "offset", rows)
    units = head.outputs
    if head.kind == "softmax" and (offset.ndim == 1 or offset.shape[1] == 1):
        raise ValueError(
            f"fit expects offset of shape ({rows}, {units or 'K'}), a column for each class, got {offset.shape}: added "
            "to the units of all classes alike it changes no probability"
        )
    offset = offset[:, np.newaxis] if offset.ndim == 1 else offset
    if units is not None and offset.ndim == 2 and offset.shape[1] != units:
        raise ValueError(
            f"fit expects offset of shape ({rows}, {units}), got {offset.shape}: one column for each output"
        )
    require_finite(own, offset)
    return offset


def _read(source: Source, given: Any, what: str, rows: int) -> tuple[Source, Array]:
    """Numbers of rows, and the names of those rows."""
    names = row_names(given)
    own = Source(source.who, what, None, source.rows if names is None else names)
    array = as_floats(own, as_array(own, given))
    if not array.ndim:
        raise ValueError(f"fit expects {what} of shape ({rows},), one for each row of X, got one number")
    require_rows(source, rows, Source(source.who, what, None, names), len(array))
    return own, array
