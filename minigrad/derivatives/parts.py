"""Data in parts: a few rows of each array, or batches as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import kind, require_count
from minigrad.derivatives.mapped import release


class Part(NamedTuple):
    """What the cost is called with for some rows, and which they are."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    rows: int
    place: str


def chunks(who: str, arguments: tuple[Any, ...], options: dict[str, Any], chunk_size: int) -> Iterator[Part]:
    """The data in parts of `chunk_size` rows; the pages of mapped arrays are given back after each."""
    size = require_count(who, "chunk_size", chunk_size)
    x = arguments[0]
    count = _rows_of(who, x)
    named = {f"argument {i} after x": value for i, value in enumerate(arguments[1:])} | options
    for name, value in {"x": x, **named}.items():
        for part in value if _is_tuple_of_arrays(value) else (value,):
            if _has_rows(part) and len(part) != count:
                raise ValueError(f"{who} expects {name} with one entry for each of {count} rows, got {len(part)}")

    def parts() -> Iterator[Part]:  # of its own, so that the checks above run at the call
        for start in range(0, max(count, 1), size):
            stop = min(start + size, count)
            of_arguments = [cut(value, start, stop) for value in arguments]
            of_options = {name: cut(value, start, stop) for name, value in options.items()}
            place = f"rows {start} .. {stop - 1}" if count else "no rows"
            yield Part(tuple(of_arguments), of_options, stop - start, place)
            for value in (*arguments, *options.values()):
                release(value)

    return parts()


def given(who: str, batches: Iterable[Any]) -> Iterator[Part]:
    """Batches as parts."""
    if isinstance(batches, tuple | np.ndarray | dict) or not hasattr(batches, "__iter__"):
        raise TypeError(
            f"{who} expects an iterable of batches (x, target), got {kind(batches)}: data that is one array goes to "
            "value_and_gradients_in_chunks or value_in_chunks, one batch into a list"
        )
    start = 0
    for i, batch in enumerate(batches):
        arguments = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
        rows = _rows_of(who, arguments[0] if arguments else None)
        yield Part(arguments, {}, rows, f"batch {i}, rows {start} .. {start + rows - 1} of all,")
        start += rows
        for value in arguments:
            release(value)


def _rows_of(who: str, x: Any) -> int:
    first = x[0] if type(x) is tuple and x else x
    if not _has_rows(first) or isinstance(first, list):
        raise TypeError(f"{who} expects x to be an array or a tuple of arrays, got {kind(x)}: np.asarray(x) makes one")
    return len(first)


def _is_tuple_of_arrays(value: Any) -> bool:
    return type(value) is tuple and bool(value) and all(getattr(part, "shape", ()) for part in value)


def _has_rows(value: Any) -> bool:
    """`value` is an array or a sequence, with an entry for each row."""
    return isinstance(value, list | tuple) or (bool(getattr(value, "shape", ())) and hasattr(value, "__getitem__"))


def cut(value: Any, start: int, stop: int) -> Any:
    """Rows `start` .. `stop` - 1 of arrays and sequences; anything else as it is."""
    if _is_tuple_of_arrays(value):
        return tuple(cut(part, start, stop) for part in value)
    if not _has_rows(value):
        return value
    return np.asarray(value[start:stop]) if isinstance(value, np.memmap) else value[start:stop]
