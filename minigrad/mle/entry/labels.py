"""Labels: classes of any names as places in their list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.mle.entry.columns import require_finite
from minigrad.mle.entry.sources import Source, is_missing
from minigrad.typing import Array


class Coded(NamedTuple):
    """y as the loss takes it, and what its classes are called."""

    target: Array
    classes: list[str] | None  # names of the outputs: of the classes of a softmax, of several binary outputs
    labels: list[str] | None = None  # names of what y may be: classes; two for one binary output
    values: list[Any] | None = None  # what y holds for each of them


def code(source: Source, y: Array, classes: Any, outputs: int | None) -> Coded:
    """y as places in the list of its classes (TypeError, ValueError)."""
    y = _without_gaps(source, y)
    names: list[str] | None = None
    if classes is not None:
        values = listed(source, classes)
        if _is_whole(y) and not any(isinstance(value, int | float) for value in values):
            names, values = [str(value) for value in values], list(range(len(values)))
    elif y.dtype.kind == "b":
        values = [False, True]
    elif _is_whole(y):
        values = list(range(outputs or int(y.max()) + 1))
    elif y.dtype.kind == "f":
        n = int(np.argmax(y != np.floor(y)))
        raise ValueError(
            f"{source.who} expects labels, got {y[n]:g} in {source.place((n,))}: labels are no measurements"
        )
    else:
        values = _distinct(source, y)
    if outputs is not None and len(values) != outputs:
        _refuse_count(source, values, names, outputs)
    index = _places(source, y, values)
    shown = names or [str(value) for value in values]
    if len(set(shown)) < len(shown):
        raise ValueError(f"{source.who} expects classes with names of their own, got {', '.join(shown)}")
    return Coded(index, shown, shown, values)


def recode(source: Source, y: Array, values: list[Any]) -> Array:
    """The place of each label among the `values` that were fitted (TypeError, ValueError)."""
    return _places(source, _without_gaps(source, y), values)


def _without_gaps(source: Source, y: Array) -> Array:
    """y, of which nothing is missing (ValueError), with Python's own numbers as an array of numbers."""
    if y.dtype.kind == "O":
        gap = next((n for n, entry in enumerate(y) if is_missing(entry)), None)
        if gap is not None:
            raise ValueError(
                f"{source.who} expects a label in each row, got none in {source.place((gap,))}: leave it out"
            )
        if all(isinstance(entry, int | float | np.number) for entry in y) and not any(isinstance(e, bool) for e in y):
            return np.array(y.tolist())
        if len(y) and all(isinstance(entry, bool | np.bool) for entry in y):
            return y.astype(bool)
    elif y.dtype.kind == "f":
        require_finite(source, y, "leave such rows out")
    elif y.dtype.kind not in "iubUS":
        raise TypeError(f"{source.who} expects labels in y, got an array of {y.dtype}: numbers, text or True and False")
    return y


def _is_whole(y: Array) -> bool:
    return y.dtype.kind in "iub" or (y.dtype.kind == "f" and bool((y == np.floor(y)).all()))


def listed(source: Source, classes: Any) -> list[Any]:
    """`classes` as a list of plain values, each once (TypeError, ValueError)."""
    if isinstance(classes, str | bytes) or not hasattr(classes, "__iter__"):
        raise TypeError(f"{source.who} expects classes as a list, one entry for each, got {classes!r}")
    values = [value.item() if isinstance(value, np.generic) else value for value in classes]
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise ValueError(f"{source.who} expects each of classes once, got {twice[0]!r} again")
    return values


def _distinct(source: Source, y: Array) -> list[Any]:
    """The values of y, sorted (TypeError where they have no order)."""
    try:
        return sorted(set(y.tolist()))
    except TypeError as error:
        raise TypeError(
            f"{source.who} expects labels of one type in y, or classes= that lists them, got {error}"
        ) from error


def _places(source: Source, y: Array, values: list[Any]) -> Array:
    """The place of each label in `values` (ValueError for one that is not there)."""
    if values == list(range(len(values))) and y.dtype.kind in "iubf":
        index = y.astype(np.intp)
        wrong = (y < 0) | (y >= len(values)) | (y != index)
    else:
        at = {value: k for k, value in enumerate(values)}
        unique, inverse = _unique(y)
        index = np.array([at.get(value, -1) for value in unique], dtype=np.intp)[inverse]
        wrong = index < 0
    if wrong.any():
        n = int(np.argmax(wrong))
        plain = values == list(range(len(values)))
        raise ValueError(
            f"{source.who} expects y to hold {'labels' if plain else 'the classes'} {some(values)}, got "
            f"{y[n : n + 1].tolist()[0]!r} in {source.place((n,))}: {_fix(y, values)}"
        )
    return index


def _unique(y: Array) -> tuple[list[Any], Array]:
    if y.dtype.kind != "O":
        unique, inverse = np.unique(y, return_inverse=True)
        return unique.tolist(), inverse.reshape(-1)
    at: dict[Any, int] = {}
    inverse = np.array([at.setdefault(entry, len(at)) for entry in y.tolist()], dtype=np.intp)
    return list(at), inverse


def _fix(y: Array, values: list[Any]) -> str:
    """What to do about labels that are none of `values`."""
    if y.dtype.kind in "iuf" and values == list(range(len(values))):
        if (y.min(), y.max()) == (1, len(values)):
            listed = list(range(1, len(values) + 1)) if len(values) <= 10 else f"range(1, {len(values) + 1})"
            return f"y - 1, or classes={listed}"
        seen = np.unique(y[:10_000]).tolist()
        if len(seen) == len(values) and len(seen) <= 10:
            return f"classes={[int(v) if v == int(v) else v for v in seen]}"
        if y.max() >= len(values):
            return f"labels up to {int(y.max())} need {int(y.max()) + 1} outputs, Linear(..., {int(y.max()) + 1})"
        if y.min() == -100:
            return "rows of the ignored label -100 are to be left out"
        return "number the classes from 0, or list them as classes="
    return "list all classes, or leave such rows out"


def _refuse_count(source: Source, values: list[Any], names: list[str] | None, outputs: int) -> None:
    count = len(values)
    fix = (
        f"end it in Linear(..., {count})"
        if outputs != 2 or count < 2
        else f"Linear(..., {count}), LogSoftmax() and NLLLoss() take {count}"
    )
    raise ValueError(
        f"{source.who} expects as many classes as the stack tells apart, {outputs}, got {count}, "
        f"{some(names or values)}: {fix}"
    )


def some(values: Sequence[Any], quoted: bool = False) -> str:
    """A list in a message, its middle left out where it is long."""
    shown = [repr(value) if quoted else str(value) for value in values]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:6], "...", shown[-1]])
