"""Sources: who asks for what, and the names that rows and columns have there, by which rows are paired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Source:
    """Who asks for what, and the names that rows and columns have there."""

    who: str  # "fit", "predict"
    what: str  # "X", "y", "weights", ...
    columns: list[str] | None = None
    rows: Any = None  # rows[n] is the name of row n, where rows have names

    def row(self, n: int) -> str:
        """Row n in words; rows count from 0, and names stand behind, unless they say no more."""
        return f"row {n}" if self.rows is None or str(self.rows[n]) == str(n) else f"row {n} ({self.rows[n]!s})"

    def column(self, j: int) -> str:
        """Column j in words."""
        return f"column {j}" if self.columns is None else f"column {self.columns[j]!r}"

    def place(self, index: tuple[int, ...]) -> str:
        """Where an entry stands, in words."""
        if len(index) == 1:
            return f"{self.row(index[0])} of {self.what}"
        if len(index) == 2:
            return f"{self.row(index[0])}, {self.column(index[1])} of {self.what}"
        return f"{self.what}[{', '.join(map(str, index))}]"


def row_names(given: Any) -> Any:
    """The index of a frame or series of pandas, or of the first of several columns or arrays that has one; or None."""
    if isinstance(given, Mapping | tuple):
        parts = given.values() if isinstance(given, Mapping) else given
        return next((index for index in map(row_names, parts) if index is not None), None)
    index = getattr(given, "index", None)
    return None if callable(index) or not hasattr(index, "__len__") else index


def require_rows(source: Source, rows: int, other: Source, found: int) -> None:
    """`other` has a row for each of `source`, in the same order as far as names of rows say (ValueError)."""
    if found != rows:
        raise ValueError(
            f"{source.who} expects {other.what} to have one entry for each row of X, got {rows} rows of X and {found} "
            f"of {other.what}"
        )
    require_order(source, other)


def require_one_order(who: str, parts: Mapping[str, Any], fix: str = "") -> None:
    """Those of `parts` whose rows have names have them in one order (ValueError)."""
    first = Source(who, "")
    for what, given in parts.items():
        own = Source(who, what, rows=row_names(given))
        require_order(first, own, fix)
        first = own if first.rows is None else first


def require_order(source: Source, other: Source, fix: str = "") -> None:
    """The rows of `other` have the names of those of `source`, as far as both have names (ValueError)."""
    if source.rows is None or other.rows is None or source.rows is other.rows:
        return
    if source.rows.equals(other.rows) if hasattr(source.rows, "equals") else np.array_equal(source.rows, other.rows):
        return
    pairs = enumerate(zip(source.rows, other.rows, strict=False))
    n = next((n for n, (one, another) in pairs if not _is_same(one, another)), None)
    if n is not None:
        usual = f"{other.what}.loc[{source.what}.index], or {other.what}.to_numpy() where rows are paired by place"
        raise ValueError(
            f"{source.who} expects the rows of {source.what} and {other.what} in one order, got row {n} as "
            f"{source.rows[n]} in {source.what} and as {other.rows[n]} in {other.what}: {fix or usual}"
        )


def _is_same(one: Any, other: Any) -> bool:
    """Two names of rows are one."""
    if is_missing(one) or is_missing(other):
        return is_missing(one) and is_missing(other)
    return bool(one == other)


def is_missing(entry: Any) -> bool:
    """None, NaN, and what pandas writes for them."""
    if entry is None or type(entry).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(entry, float | np.floating) and bool(entry != entry)
