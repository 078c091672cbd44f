"""Columns: tables and arrays as users have them, read as numbers, with names for what is wrong in them."""

from __future__ import annotations

import decimal
import numbers
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.checks import all_finite, kind
from minigrad.mle.entry.sources import Source, is_missing, require_one_order, row_names
from minigrad.typing import Array

EXACT = 2**53  # whole numbers up to here are floats


@dataclass(frozen=True)
class Table:
    """Columns of numbers (N, D) and their names, or another array, whose columns have none."""

    values: Array
    columns: list[str] | None
    rows: Any


def is_frame(given: Any) -> bool:
    """`given` has columns with names: a DataFrame of pandas or polars, a table of pyarrow, a dictionary of columns."""
    return isinstance(given, Mapping) or (hasattr(given, "columns") and hasattr(given, "__getitem__"))


def column_keys(given: Any) -> list[Any]:
    """What the columns of a frame are looked up by."""
    return list(given) if isinstance(given, Mapping) else list(getattr(given, "column_names", given.columns))


def column_names(source: Source, given: Any) -> list[str]:
    """The names of the columns of a frame, each once (ValueError)."""
    names = [str(key) for key in column_keys(given)]
    require_distinct(source, names)
    return names


def only_column(source: Source, given: Any) -> tuple[Any, Any]:
    """The column of a frame of one, and its name; what is none, and the name that it has, if any."""
    if not is_frame(given):
        return given, getattr(given, "name", None)
    names = column_names(source, given)
    return (given[column_keys(given)[0]], names[0]) if len(names) == 1 else (given, None)


def require_distinct(source: Source, names: list[str]) -> None:
    """No two columns have one name (ValueError)."""
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(
            f"{source.who} expects each column of {source.what} to have a name of its own, got {twice[0]!r} "
            f"{names.count(twice[0])} times: leave copies out, or rename them"
        )


def table(source: Source, given: Any, chosen: list[str] | None = None) -> Table:
    """A frame, or an array of any shape, as float64 (TypeError, ValueError); `chosen` columns of a frame."""
    rows = row_names(given)
    if not is_frame(given):
        name = getattr(given, "name", None)  # of a series
        columns = [name] if isinstance(name, str) else None
        array = as_array(source, given)
        shown = numbered(array.shape[1]) if array.ndim == 2 and source.columns is None else source.columns
        named = Source(source.who, source.what, shown if columns is None else columns, rows)
        return Table(as_floats(named, array), columns, rows)
    names = column_names(source, given)
    at = dict(zip(names, column_keys(given), strict=True))
    wanted = names if chosen is None else chosen
    if not wanted:
        raise ValueError(f"{source.who} expects {source.what} to have columns, got none")
    if isinstance(given, Mapping):  # a frame has one index
        parts = {f"{source.what}[{name!r}]": given[at[name]] for name in wanted}
        require_one_order(source.who, parts, f"pandas.DataFrame({source.what}) pairs rows by name")
    read = []
    for name in wanted:
        own = Source(source.who, f"column {name!r} of {source.what}", None, rows)
        if str(getattr(given[at[name]], "dtype", "")) == "category":
            raise _no_numbers(own, "categories", "column")
        read.append(np.atleast_1d(as_floats(own, as_array(own, given[at[name]]))))
        if read[-1].ndim != 1 or len(read[-1]) != len(read[0]):
            raise ValueError(
                f"{source.who} expects columns of one length, got {len(read[0])} rows in {wanted[0]!r} and "
                f"shape {read[-1].shape} in {name!r}"
            )
    return Table(np.column_stack(read), wanted, rows)


def numbered(count: int) -> list[str]:
    """Names for columns that have none."""
    return [f"x{j + 1}" for j in range(count)]


def as_array(source: Source, given: Any) -> Array:
    """`given` as an array of whatever it holds (TypeError, ValueError for what NumPy would change or lose)."""
    if "numpy.ma" in sys.modules and isinstance(given, np.ma.MaskedArray):  # NumPy loads it where it is named
        raise TypeError(
            f"{source.who} expects {source.what} without a mask, got {kind(given)}: leave masked rows out, "
            f"{source.what}.data[~mask]"
        )
    if isinstance(given, np.matrix):
        raise TypeError(f"{source.who} expects {source.what} as an array, got np.matrix: np.asarray({source.what})")
    if given is None or isinstance(given, str | bytes | set):
        raise TypeError(f"{source.who} expects {source.what} as an array, a table or a list, got {kind(given)}")
    if hasattr(given, "toarray") and not hasattr(given, "__array__"):
        raise TypeError(f"{source.who} expects {source.what} to be dense, got {kind(given)}: {source.what}.toarray()")
    try:
        array = np.asarray(given)
    except Exception as error:  # of whatever library it comes from
        raise TypeError(
            f"{source.who} expects {source.what} as an array, a table or a list, got {kind(given)}, of which NumPy "
            f"says: {error}"
        ) from error
    if array.dtype.kind == "O" and not array.ndim:
        raise TypeError(f"{source.who} expects {source.what} as an array, a table or a list, got {kind(given)}")
    return array


def as_floats(source: Source, array: Array) -> Array:
    """`array` as float64, no digit lost but in the last place of fractions (TypeError, ValueError)."""
    if array.dtype == np.float64:
        return np.asarray(array)
    if array.dtype.kind == "O":
        return _of_objects(source, array)
    if array.dtype.kind not in "fiub":
        found = {"c": "complex numbers", "U": "text", "S": "text", "M": "dates", "m": "spans of time", "V": "records"}
        what = found.get(array.dtype.kind, str(array.dtype))
        raise _no_numbers(source, what, "column" if array.ndim == 1 else "array", array)
    floats = array.astype(np.float64)
    if array.dtype.kind in "iu" and array.size and max(abs(int(array.min())), abs(int(array.max()))) > EXACT:
        lost = np.array([int(f) != int(a) for f, a in zip(floats.ravel(), array.ravel(), strict=True)])
        if lost.any():
            raise _too_long(source, array, np.unravel_index(int(np.argmax(lost)), array.shape))
    return floats


def _of_objects(source: Source, array: Array) -> Array:
    """Python numbers as floats, what is missing as NaN."""
    floats = np.empty(array.shape)
    for place, entry in np.ndenumerate(array):
        if is_missing(entry):
            floats[place] = np.nan
        elif not isinstance(entry, numbers.Real | decimal.Decimal | np.bool):
            raise TypeError(
                f"{source.who} expects numbers, got {entry!r} in {source.place(place)}: code it as a number, or as "
                "columns of 0 and 1, one for each value but one"
            )
        else:
            if (
                isinstance(entry, int)
                and abs(entry) > EXACT
                and (entry.bit_length() > 1000 or int(float(entry)) != entry)
            ):
                raise _too_long(source, array, place)
            floats[place] = float(entry)
    return floats


def require_finite(source: Source, array: Array, fix: str = "") -> None:
    """No NaN and no infinity (ValueError: the first, by row and column, and how many in all)."""
    if all_finite(array):
        return
    wrong = ~np.isfinite(array)
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    count, entries = int(np.count_nonzero(wrong)), f"{wrong.size:,} entries"
    if wrong.ndim == 1:
        counted = f"{count} of {entries} {'is' if count == 1 else 'are'} not finite"
    else:
        by_column = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=0))
        rows = int(np.count_nonzero(wrong.reshape(len(wrong), -1).any(axis=1)))
        columns = f" and {len(by_column)} columns" if wrong.ndim == 2 and len(by_column) > 1 else ""
        counted = f"{count} of {entries} not finite, in {rows} row{'s' * (rows > 1)}{columns}"
    raise ValueError(
        f"{source.who} expects finite numbers, got {array[first]} in {source.place(first)} ({counted}): "
        f"{fix or 'leave such rows out of X and y, or put a number in its place'}"
    )


def _no_numbers(source: Source, what: str, of: str, array: Array | None = None) -> TypeError:
    fixes = {
        "complex numbers": "take .real, or both parts as columns",
        "dates": "count days from a first one, (t - t.min()) / np.timedelta64(1, 'D')",
        "spans of time": "divide by a unit, t / np.timedelta64(1, 'D')",
        "records": f"np.column_stack([{source.what}[name] for name in {source.what}.dtype.names])",
    }
    code = "code it as numbers, or as columns of 0 and 1, one for each value but one (pandas.get_dummies, drop_first)"
    example = ""
    if what == "text" and array is not None and array.size:
        place = tuple(int(i) for i in np.unravel_index(_first_text(array), array.shape))
        example = (
            f", such as {str(array[place])!r} in {source.row(place[0]) if len(place) == 1 else source.place(place)}"
        )
    return TypeError(f"{source.who} expects numbers in {source.what}, got {what}{example}: {fixes.get(what, code)}")


def _first_text(array: Array) -> int:
    """The first entry that is no number written as text."""
    for i, entry in enumerate(array.ravel()):
        try:
            float(entry)
        except ValueError:
            return i
    return 0


def _too_long(source: Source, array: Array, place: Any) -> ValueError:
    index = tuple(int(i) for i in place)
    return ValueError(
        f"{source.who} expects numbers that float64 holds, got {array[index]} in {source.place(index)}, which has more "
        "than 53 bits: subtract an origin, or .astype(float) if the last digits do not matter"
    )
