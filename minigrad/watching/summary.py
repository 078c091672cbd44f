"""What a model is made of: shapes, parameters, multiply-adds and the memory of its caches, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import label, require_count, require_layer
from minigrad.layer import Layer
from minigrad.shapes import with_batch
from minigrad.typing import Array
from minigrad.watching.declared import declared, misdeclared
from minigrad.watching.readable import Figure, count, size
from minigrad.watching.rows import SummaryRow, arrays_of, rows_of, total_multiply_adds
from minigrad.watching.tables import Table, as_html, as_text
from minigrad.watching.zeros import Rehearsal, needs_target, rehearse, without_rows


class Summary(NamedTuple):
    """What `summary` found.  Numbers of entries, bytes, and multiply-adds; of the arrays each once.

    `parameters` = `trained` + `frozen`, and `state` are running statistics.  `multiply_adds` and `cache_bytes` are for
    one row, `batch_cache_bytes` for a batch of `batch`.  Where they are not known of a layer, `all_counted` or
    `all_measured` is False, they are of the others, and `notes` say why.
    """

    title: str
    rows: tuple[SummaryRow, ...]
    parameters: int
    trained: int
    frozen: int
    state: int
    parameter_bytes: int
    state_bytes: int
    multiply_adds: int
    cache_bytes: int
    batch: int
    batch_cache_bytes: int
    all_counted: bool
    all_measured: bool
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return as_text(self._table(), self._said())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return as_html(self._table(), self._said())

    def _table(self) -> Table:
        heads = ("place", "layer", "output", "parameters", "multiply-adds", "cache")
        return Table(self.title, [heads, *map(_cells, self.rows)], 46)

    def _said(self) -> list[str]:
        frozen = f", {self.frozen:,} frozen" if self.frozen else ""
        state = f"; state: {self.state:,} numbers, {size(self.state_bytes)}" if self.state else ""
        least, least_cache = ("" if known else "at least " for known in (self.all_counted, self.all_measured))
        batch = f", {least_cache}{size(self.batch_cache_bytes)} for a batch of {self.batch:,}" if self.batch > 1 else ""
        return [
            f"Parameters: {self.trained:,} trained{frozen}, {size(self.parameter_bytes)}{state}",
            f"Multiply-adds: {least}{self.multiply_adds:,} for a row, in the matrix products of rule 1",
            f"Cache: {least_cache}{size(self.cache_bytes)} for a row{batch}",
            *self.notes,
        ]


def summary(model: Layer, input_shape: Any, batch: int = 1) -> Summary:
    """A table of the layers of a model, for rows of `input_shape`; print it.

        place          as in the names of parameters; layers inside others are indented
        output         the shape of z_next, as the layers declare it; N is the batch
        parameters     entries of arrays, where an array stands first: "as 0" are those of place 0
        multiply-adds  of the matrix products and convolutions of rule 1, for one row: rules 2 and 3 take as many each
        cache          bytes that rule 1 keeps for rules 2 and 3, for one row: what several layers keep, and it may be
                       the input, counts at the first of them; what a batch of `batch` rows keeps stands below

    `input_shape` is that of one row, such as (784,); a tuple of such for several inputs; or a batch, where its numbers
    matter, as indices do.  Caches are measured: rule 1 of a copy, in training, on a few rows of zeros in the type of
    the parameters, or of the batch.  So are shapes, and where a layer declares another than it gives, a note says so.
    A loss on top needs no target: its cache is not known.  Widths that were left out are found on the copy.  Where
    layers do not fit, the error is that of `check`.

    >>> from minigrad import Linear, LogSoftmax, Sequential, Tanh
    >>> print(summary(Sequential(Linear(784, 100), Tanh(), Linear(100, 10), LogSoftmax()), (784,), batch=128))
    Sequential(Linear, Tanh, Linear, LogSoftmax) for z (N, 784)
    place  layer               output    parameters  multiply-adds    cache
    0      Linear(784 -> 100)  (N, 100)      78,500         78,400  6.27 kB
    1      Tanh()              (N, 100)           0              0    800 B
    2      Linear(100 -> 10)   (N, 10)        1,010          1,000      0 B
    3      LogSoftmax()        (N, 10)            0              0     80 B
    <BLANKLINE>
    Parameters: 79,510 trained, 636 kB
    Multiply-adds: 79,400 for a row, in the matrix products of rule 1
    Cache: 7.15 kB for a row, 915 kB for a batch of 128
    """
    require_layer(summary, model)
    batch = require_count(summary, "batch", batch)
    shape = with_batch(model, input_shape)
    if not all(array.shape[:1] > (0,) for array in _arrays(input_shape)):
        raise ValueError(f"summary expects a batch of one row or more, got shape {shape}")
    shape = without_rows(shape)
    is_data = any(True for _ in _arrays(input_shape))
    shapes = {} if is_data else declared(model, shape, {})
    rehearsed = rehearse(model, input_shape)
    if is_data:  # a layer may take them, and refuse zeros
        runs = rehearsed.failure is None or needs_target(rehearsed.failure)
        shapes = declared(model, shape, rehearsed.shapes, runs)
    rows = rows_of(rehearsed, shapes | rehearsed.shapes)
    parameters, state = arrays_of(rehearsed.model)
    trained = [array for array, is_trained in parameters if is_trained]
    adds = total_multiply_adds(rows)
    return Summary(
        f"{_short(label(model))} for z {shape}",
        rows,
        sum(array.size for array, _ in parameters),
        sum(array.size for array in trained),
        sum(array.size for array, is_trained in parameters if not is_trained),
        sum(array.size for array in state),
        sum(array.nbytes for array, _ in parameters),
        sum(array.nbytes for array in state),
        sum(filter(None, adds)),
        rehearsed.total_bytes(1),
        batch,
        rehearsed.total_bytes(batch),
        None not in adds,
        rehearsed.failure is None and not rehearsed.unmeasured,
        tuple(_notes(rows, rehearsed, is_data)),
    )


def _arrays(input_shape: Any) -> Iterator[Array]:
    if isinstance(input_shape, np.ndarray):
        yield input_shape
    elif isinstance(input_shape, tuple):
        for part in input_shape:
            yield from _arrays(part)


def _cells(row: SummaryRow) -> tuple[Any, ...]:
    shared = [f"as {place}" for place in row.shared]
    own = [] if shared and not row.parameters else ["?" if row.parameters is None else count(row.parameters)]
    parameters = " + ".join(own + shared) + (" frozen" if row.frozen else "")
    adds = "?" if row.multiply_adds is None else count(row.multiply_adds)
    cache = "-" if row.cache_bytes is None else size(row.cache_bytes)
    if row.is_container:  # what is inside has rows of its own
        parameters, cache = parameters if row.parameters or shared else "", cache if row.cache_bytes else ""
        adds = adds if row.multiply_adds is not None else ""
    depth = min(row.depth, 12)  # deeper ones stand no further in, that names have room
    name = "  " * depth + _short(row.name, 44 - 2 * depth)
    return (row.place, name, "" if row.shape is None else row.shape, *map(Figure, (parameters, adds, cache)))


def _notes(rows: tuple[SummaryRow, ...], rehearsed: Rehearsal, is_data: bool) -> Iterator[str]:
    unknown = [row for row in rows if row.multiply_adds is None and not row.is_container]
    silent = [row for row in unknown if getattr(row.layer, "multiply_adds", None) is None]
    if silent:
        yield f"?: multiply_adds(shape) would say it of {_whom(silent)}"
    if len(silent) < len(unknown):
        others = [row for row in unknown if getattr(row.layer, "multiply_adds", None) is not None]
        yield f"?: not known, since the shape of z is not, of {_whom(others)}"
    wrong = dict(misdeclared(rehearsed.model, rehearsed.shapes))
    yield from wrong.values()
    of_places = [row for row in rows if row.place in rehearsed.unmeasured]
    if of_places:
        yield f"-: not measured, since it grows neither with the rows nor with their pairs, of {_whom(of_places)}"
    if rehearsed.failure is None:
        return
    layer, error = rehearsed.failure.layer, rehearsed.failure.error
    if needs_target(rehearsed.failure):
        yield f"-: {label(layer)} runs on a target, so that what it keeps is not measured"
        return
    fix = "" if is_data or wrong else ": give a batch of data for input_shape"
    numbers = "this batch" if is_data else rehearsed.fill
    yield f"-: not measured, since rule 1 of {label(layer)} raised {type(error).__name__} on {numbers}, {error}{fix}"


def _whom(rows: list[SummaryRow]) -> str:
    return ", ".join(map(_who, rows))


def _who(row: SummaryRow) -> str:
    return f"layer {row.place}, {row.name}" if row.place else row.name


def _short(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
