"""Data: what a likelihood is fitted to, looked at once where it enters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.checks import kind as kind_of
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.mle.entry.columns import as_array, as_floats, column_names, is_frame, only_column, require_finite, table
from minigrad.mle.entry.heads import Head, head_of
from minigrad.mle.entry.inputs import arrays_of, inputs_of, require_columns, require_names_apart
from minigrad.mle.entry.labels import Coded, recode
from minigrad.mle.entry.observations import observed
from minigrad.mle.entry.sources import Source, require_order, require_rows, row_names
from minigrad.mle.entry.targets import of_classes, of_numbers, of_own, of_two
from minigrad.typing import Array

KINDS = ("frequency", "sampling", "analytic")


@dataclass(frozen=True)
class Data:
    """x and y as the cost takes them, with the names of what they hold.

    x is not copied: an array that was passed is not to be changed while the result is in use.
    """

    x: Any  # (N, D), or whatever the stack takes
    target: Any  # as the loss takes it
    names: list[str] | None  # of the columns of x
    classes: list[str] | None  # of the outputs: the classes of a softmax; None for one output
    weights: Array | None  # (N,): how much each row counts in the log-likelihood; analytic weights sum to N
    kind: str
    offset: Array | None  # (N, K): added to the linear units
    count: float  # of observations: N, or the sum of frequency weights
    labels: list[str] | None = (
        None  # of what y tells apart: the classes; 0 and 1, or their names, for one binary output
    )
    values: list[Any] | None = None  # what y holds for each of the labels
    rows: Any = None  # rows[n] is the name of row n, where rows have names
    y_name: str = "y"
    has_names: bool = False  # the columns had names, which are not x1, x2, ...
    head: Head | None = None  # what the loss on top takes as y

    def row(self, n: int) -> str:
        """Row n in words: its place, counted from 0, and its name."""
        return Source("", "", rows=self.rows).row(n)


def data_of(
    cost: Layer,
    x: Any,
    y: Any,
    names: Any = None,
    classes: Any = None,
    weights: Any = None,
    kind: str = "frequency",
    offset: Any = None,
    penalized: bool = False,
) -> Data:
    """The arguments of `fit` as data (TypeError, ValueError: by column and row name what is wrong).

    An empty class, or y that is the same in every row, is refused unless the estimate is `penalized`.
    """
    penalized = penalized or isinstance(cost, Penalized)
    if kind not in KINDS:
        raise ValueError(f"fit expects kind to be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    x, columns, rows, has_names = inputs_of(cost, x, names)
    source = Source("fit", "X", columns, rows)
    count = len(x[0] if isinstance(x, tuple) else x)
    if not count:
        raise ValueError("fit expects at least one row of X, got none")
    head = head_of(cost, x)
    found, y_rows, y_name = _outcome(head, y, classes, penalized)
    require_rows(source, count, Source("fit", "y", None, y_rows), len(found.target))
    source = Source("fit", "X", columns, y_rows if rows is None else rows)
    if columns is not None and isinstance(x, np.ndarray):
        require_columns(cost, source, x)
        require_names_apart(columns, found.classes)
    named = Source("fit", "X" if y_rows is None or rows is not None else "y", columns, source.rows)
    w, n, z = observed(named, count, weights, kind, offset, head)
    return Data(
        x=x,
        target=found.target,
        names=columns,
        classes=found.classes,
        weights=w,
        kind=kind,
        offset=z,
        count=n,
        labels=found.labels,
        values=found.values,
        rows=source.rows,
        y_name=y_name,
        has_names=has_names,
        head=head,
    )


def new_inputs(fitted: Any, given: Any, who: str = "predict") -> Any:
    """X of rows to predict, as the data of `fitted` (a Result or Data) had it.

    Columns by name in any order, or by place.  TypeError, ValueError by row and column name, as in `fit`.
    """
    data: Data = getattr(fitted, "data", fitted)
    if data.names is None or not isinstance(data.x, np.ndarray):
        return arrays_of(Source(who, "X"), given, data.x)
    source = Source(who, "X", data.names)
    if is_frame(given) and (data.has_names or isinstance(given, dict)):
        there = column_names(source, given)
        missing = [name for name in data.names if name not in there]
        if missing:
            raise ValueError(
                f"{who} expects the columns that were fitted, {', '.join(data.names)}, got {', '.join(there)}: "
                f"{missing[0]!r} is missing"
            )
        read = table(source, given, data.names)
    else:
        read = table(source, given)
    x = read.values
    if x.ndim == 1 and len(data.names) == 1:
        x = x[:, np.newaxis]
    if x.ndim != 2 or x.shape[1] != len(data.names):
        row = "; one row is X[np.newaxis]" if x.shape == (len(data.names),) else ""
        raise ValueError(
            f"{who} expects X of shape (rows, {len(data.names)}), columns {', '.join(data.names)}, got {x.shape}{row}"
        )
    require_finite(Source(who, "X", data.names, read.rows), x, "put a number in its place, or leave such rows out")
    return x


def new_target(fitted: Any, given: Any, who: str = "calibration") -> Array:
    """y of other rows, as the data of `fitted` (a Result or Data) had it: labels by the classes fitted."""
    data: Data = getattr(fitted, "data", fitted)
    given, _ = only_column(Source(who, "y"), given)
    source = Source(who, "y", None, row_names(given))
    y = table(source, given).values if is_frame(given) else as_array(source, given)
    if not y.ndim:
        raise ValueError(f"{who} expects y of shape (N,), one for each row of X, got {kind_of(given)}")
    shape = np.shape(data.target)[1:]
    numbers = y.dtype.kind in "fiub" and data.values in (None, [0, 1])
    if data.head is not None and data.head.kind == "binary" and numbers:
        y = of_two(source, y, None, data.head, may_be_empty=True).target  # fractions too, where the loss takes them
    elif data.values is not None:
        y = recode(source, y.reshape(-1), data.values)
    y = as_floats(source, y)
    require_finite(source, y)
    if y.size != len(y) * int(np.prod(shape)):
        raise ValueError(f"{who} expects y of shape {('N', *shape)}, got {y.shape}".replace("'", ""))
    return y.reshape(len(y), *shape).astype(data.target.dtype)


def require_paired(fitted: Any, who: str, x: Any, **others: Any) -> None:
    """Rows of X, or of those fitted, and of `others`, such as y=, are in one order by their names (ValueError)."""
    data: Data = getattr(fitted, "data", fitted)
    first = Source(who, "X", rows=data.rows if x is None else row_names(x))
    for what, given in others.items():
        own = Source(who, what, rows=row_names(given))
        require_order(first, own)
        first = own if first.rows is None else first


def _outcome(head: Head, given: Any, classes: Any, penalized: bool) -> tuple[Coded, Any, str]:
    """y as the loss takes it, the names of its rows, and its name."""
    given, name = only_column(Source("fit", "y"), given)
    rows, columns = row_names(given), None
    if is_frame(given):
        columns = column_names(Source("fit", "y"), given)
        array = table(Source("fit", "y"), given).values
    else:
        array = as_array(Source("fit", "y", None, rows), given)
        ordered = getattr(getattr(given, "dtype", None), "categories", None)  # of a categorical series of pandas
        if classes is None and ordered is not None and array.dtype.kind not in "iub":
            classes = list(ordered)
    source = Source("fit", "y", columns, rows)
    if not array.ndim:
        raise ValueError(f"fit expects y of shape (N,), one for each row of X, got {kind_of(given)}")
    if not len(array):
        raise ValueError("fit expects at least one row of y, got none")
    if head.kind == "own" or (head.kind == "softmax" and head.rank not in (1, None)):
        return of_own(source, array, classes), rows, str(name) if name else "y"
    take = {"softmax": of_classes, "binary": of_two, "counts": of_numbers, "numbers": of_numbers}[head.kind]
    found = take(source, array, classes, head, penalized)
    return found, rows, str(name) if name else "y"
