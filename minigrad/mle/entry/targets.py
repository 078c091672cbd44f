"""Targets: y as the loss on top takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.mle.entry.columns import as_floats, require_finite
from minigrad.mle.entry.heads import Head
from minigrad.mle.entry.labels import Coded, code, listed, some
from minigrad.mle.entry.sources import Source
from minigrad.typing import Array


def of_classes(source: Source, y: Array, classes: Any, head: Head, may_be_empty: bool) -> Coded:
    """Labels of K classes as 0 .. K - 1, (N,)."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"{source.who} expects y of shape (N,), one label for each row, got {y.shape}: if it is one-hot, "
            "y.argmax(axis=1) gives the labels"
        )
    found = code(source, y.reshape(-1), classes, head.outputs)
    if not may_be_empty:
        _require_rows_of_each(source, found)
    return found


def of_two(source: Source, y: Array, classes: Any, head: Head, may_be_empty: bool) -> Coded:
    """Two classes as 0 and 1, or fractions where the loss takes them: (N,) or (N, K)."""
    y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    several = head.outputs is not None and head.outputs > 1
    if not several and (classes is not None or y.dtype.kind not in "fiub"):
        found = code(source, y, classes, 2)
        if not may_be_empty:
            _require_rows_of_each(source, found)
        return found._replace(target=_shaped(source, found.target, head), classes=None)
    numbers = as_floats(source, y)
    require_finite(source, numbers)
    wrong = (numbers < 0) | (numbers > 1) if head.fractions else (numbers != 0) & (numbers != 1)
    if wrong.any():
        place = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
        ends = (float(numbers.min()), float(numbers.max()))
        fixes = {
            (1.0, 2.0): "y - 1, or classes=[1, 2]",
            (-1.0, 1.0): "(y + 1) / 2, or classes=[-1, 1]",
        }
        fix = fixes.get(ends, "a stack that ends in Linear(..., K), LogSoftmax() and NLLLoss() takes K classes")
        if (ends[0] >= 0 and ends[1] <= 1) and not head.fractions:
            fix = "BCEWithLogitsLoss takes fractions of successes, with weights= the numbers of trials"
        allowed = "labels 0 and 1, or fractions between them" if head.fractions else "labels 0 and 1"
        raise ValueError(f"{source.who} expects {allowed}, got {numbers[place]:g} in {source.place(place)}: {fix}")
    target = _shaped(source, numbers, head)
    if not may_be_empty:
        _require_both(source, numbers)
    names = _output_names(source, classes, head.outputs) if several else None
    plain = ["0", "1"] if y.dtype.kind != "b" else ["False", "True"]
    return Coded(target, names, None if several else plain, None if several else [0, 1])


def of_numbers(source: Source, y: Array, classes: Any, head: Head, may_be_empty: bool) -> Coded:
    """Counts or measurements, (N, K)."""
    numbers = as_floats(source, y)
    require_finite(source, numbers)
    if classes is not None and head.outputs == 1:
        what = "counts" if head.kind == "counts" else "measurements"
        raise ValueError(f"{source.who} expects no classes for {what}, which have none, got classes={classes!r}")
    if head.kind == "counts":
        wrong = (numbers < 0) | (numbers != np.floor(numbers))
        if wrong.any():
            place = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
            rate = "a rate is a count with offset=np.log(exposure)" if numbers[place] >= 0 else "leave such rows out"
            raise ValueError(
                f"{source.who} expects counts 0, 1, 2, ..., got {numbers[place]:g} in {source.place(place)}: {rate}"
            )
    rows = numbers.reshape(len(numbers), -1)
    for j in np.flatnonzero((rows == rows[:1]).all(axis=0)) if len(rows) and not may_be_empty else ():
        if head.kind == "numbers" or rows[0, j] == 0:
            raise ValueError(
                f"{source.who} expects y to vary, got {rows[0, j]:g} in every row"
                f"{'' if rows.shape[1] == 1 else ' of ' + source.column(int(j))}: "
                f"{'its rate' if head.kind == 'counts' else 'its variance'} would go to 0"
            )
    target = _shaped(source, numbers, head)
    return Coded(target, _output_names(source, classes, head.outputs) if (head.outputs or 1) > 1 else None)


def of_own(source: Source, y: Array, classes: Any) -> Coded:
    """What a loss takes that minigrad does not know: numbers as they are, text as its place in `classes`."""
    names = None if classes is None else listed(source, classes)
    if _is_text(y):
        if names is None or len(names) < 2:
            raise TypeError(
                f"{source.who} expects numbers in y for a loss of your own, got text such as {_first(y)!r}: "
                "classes=[...], two or more in order, codes them as 0, 1, ..."
            )
        found = code(source, y.reshape(-1), names, None)
        return found._replace(target=found.target.reshape(y.shape), labels=None)
    shown = None if names is None else [str(each) for each in names]
    if y.dtype.kind in "iu":
        return Coded(y, shown)
    numbers = as_floats(source, y)
    require_finite(source, numbers)
    return Coded(numbers, shown)


def _is_text(y: Array) -> bool:
    return y.dtype.kind in "US" or (y.dtype.kind == "O" and any(isinstance(each, str) for each in y.ravel()))


def _first(y: Array) -> str:
    return str(next(each for each in y.ravel() if isinstance(each, str | bytes)))


def _require_rows_of_each(source: Source, found: Coded) -> None:
    """Each class has rows (ValueError): without any its probability goes to 0, and its parameters to infinity."""
    labels = found.labels or []
    counts = np.bincount(found.target, minlength=len(labels))
    empty = [labels[k] for k in np.flatnonzero(counts == 0)]
    if len(empty) == len(labels) - 1:
        only = labels[int(np.argmax(counts))]
        raise ValueError(f"{source.who} expects y to vary, got class {only!r} in every row: nothing to tell apart")
    if empty:
        left = [(found.values or [])[k] for k in np.flatnonzero(counts)]
        raise ValueError(
            f"{source.who} expects rows of each class, got none of class {some(empty, quoted=True)}, whose parameters "
            f"would go to infinity: classes={left} and a stack that ends in Linear(..., {len(left)}) leave it out"
        )


def _require_both(source: Source, numbers: Array) -> None:
    rows = numbers.reshape(len(numbers), -1)
    for j in np.flatnonzero((rows == rows[:1]).all(axis=0)) if len(rows) else ():
        if rows[0, j] in (0, 1):
            where = "" if rows.shape[1] == 1 else f" of {source.column(int(j))}"
            raise ValueError(
                f"{source.who} expects y to vary, got {rows[0, j]:g} in every row{where}: nothing to tell apart"
            )


def _shaped(source: Source, target: Array, head: Head) -> Array:
    """`target` in the shape that the loss compares (ValueError): (N,) for labels, (N, K) for terms of each output."""
    if head.outputs is not None and head.rank == 1 and target.size != len(target) * head.outputs:
        raise ValueError(
            f"{source.who} expects y of shape (N, {head.outputs}), a column for each output, got {target.shape}: "
            "end the stack with as many outputs as y has columns"
        )
    if type(head.loss).__name__ == "BernoulliNLLLoss":
        return target.reshape(-1).astype(np.intp)
    floats = target.astype(float)
    return floats[:, np.newaxis] if floats.ndim == 1 and head.rank in (1, None) else floats


def _output_names(source: Source, classes: Any, outputs: int | None) -> list[str] | None:
    """Names of several outputs: those given, or of the columns of y."""
    given: Sequence[Any] | None = source.columns if classes is None else listed(source, classes)
    if given is not None and outputs is not None and len(given) != outputs:
        raise ValueError(
            f"{source.who} expects a name for each of {outputs} outputs, got {len(given)}, {some(list(given))}"
        )
    return None if given is None else [str(name) for name in given]
