"""Inputs: X as the stack takes it, with the names of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.layer import Layer
from minigrad.layers import Embedding, Linear
from minigrad.mle.entry.columns import as_array, as_floats, column_names, is_frame, numbered, require_finite, table
from minigrad.mle.entry.heads import layers_of
from minigrad.mle.entry.sources import Source, require_one_order, row_names
from minigrad.typing import Array


def inputs_of(cost: Layer, given: Any, names: Any) -> tuple[Any, list[str] | None, Any, bool]:
    """X as the stack takes it, the names of its columns, the names of its rows, and whether columns had names."""
    bottom = layers_of(cost)[0]
    if isinstance(given, tuple) or not (type(bottom) is Linear or is_frame(given) or names is not None):
        bare = arrays_of(Source("fit", "X", None, row_names(given)), given, None, bottom)
        flat = isinstance(bare, np.ndarray) and bare.ndim == 2 and bare.dtype.kind == "f"
        return bare, numbered(bare.shape[1]) if flat else None, row_names(given), False
    source = Source("fit", "X", _listed(names))
    if names is not None and is_frame(given) and source.columns != column_names(source, given):
        raise ValueError(
            f"fit expects no names for X whose columns have names, {', '.join(column_names(source, given))}, got names="
            f"{source.columns}: X[names] takes some of them, X.rename(columns=...) renames them"
        )
    read = table(source, given)
    x, width = read.values, getattr(bottom, "in_features", None)
    if x.ndim == 1 and type(bottom) is Linear:
        if width not in (1, None):
            raise ValueError(
                f"fit expects X of shape (rows, {width}) for {bottom!r}, got {x.shape}: X[:, np.newaxis] is one "
                "column, X[np.newaxis] one row"
            )
        x = x[:, np.newaxis]
    columns = source.columns if names is not None else read.columns
    if x.ndim == 2 and columns is None:
        columns = numbered(x.shape[1])
    if columns is not None and (x.ndim != 2 or len(columns) != x.shape[1]):
        raise ValueError(f"fit expects a name for each column of X, of shape {x.shape}, got {len(columns)}: {columns}")
    if type(bottom) is Linear and width is not None and x.ndim == 2 and x.shape[1] != width:
        raise ValueError(
            f"fit expects X of {width} column{'s' * (width > 1)} for {bottom!r}, got {x.shape[1]}, "
            f"{', '.join(columns or [])}: Linear({x.shape[1]}, {bottom.out_features})"
        )
    require_finite(Source("fit", "X", columns, read.rows), x)
    return x, columns, read.rows, names is not None or read.columns is not None


def arrays_of(source: Source, given: Any, like: Any, bottom: Layer | None = None) -> Any:
    """X that is no table: arrays of any shape, whole numbers kept where they may be indices."""
    if isinstance(given, tuple):
        if like is not None and (not isinstance(like, tuple) or len(like) != len(given)):
            raise ValueError(f"{source.who} expects X as it was fitted, got a tuple of {len(given)}")
        parts = zip(given, like or [None] * len(given), strict=True)
        arrays = tuple(
            arrays_of(Source(source.who, f"X[{i}]", None, source.rows), part, of) for i, (part, of) in enumerate(parts)
        )
        if len({len(array) for array in arrays}) != 1:
            raise ValueError(
                f"{source.who} expects the arrays of X to have rows alike, got {[len(array) for array in arrays]}"
            )
        require_one_order(source.who, {f"X[{i}]": part for i, part in enumerate(given)})
        return arrays
    array = as_array(source, given)
    if not array.ndim:
        raise ValueError(f"{source.who} expects {source.what} with an axis of rows, got one number")
    own = bottom is None or isinstance(bottom, Embedding) or not type(bottom).__module__.startswith("minigrad.layers.")
    if array.dtype.kind in "iu" and (own if like is None else like.dtype.kind in "iu"):
        return array
    floats = as_floats(source, array)
    require_finite(source, floats)
    return floats


def require_columns(cost: Layer, source: Source, x: Array) -> None:
    """Under a Linear no column is 0 throughout, and none is a second bias (ValueError)."""
    bottom = layers_of(cost)[0]
    if type(bottom) is not Linear or x.ndim != 2:
        return
    has_bias = "bias" in bottom.parameter_names
    constant = np.arange(x.shape[1])
    for block in (x[:64], x):  # few columns need a second look
        constant = constant[(block[:, constant] == x[0, constant]).all(axis=0)]
    for j in constant:
        if x[0, j] == 0:
            raise ValueError(f"fit expects columns that vary, got 0 in every row of {source.column(j)}: leave it out")
        if has_bias:
            raise ValueError(
                f"fit expects columns that vary, got {x[0, j]:g} in every row of {source.column(j)}: leave it out, the "
                f"bias of {bottom!r} is it"
            )
    if has_bias and "const" in (source.columns or []):
        raise ValueError("fit expects no column of the name 'const', under which it lists the bias: rename it")


def require_names_apart(columns: list[str], classes: list[str] | None) -> None:
    """The names of parameters, "class:column", do not clash (ValueError)."""
    names = [f"{label}:{column}" for label in classes or () for column in [*columns, "const"]]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"fit expects names of classes and columns that differ as class:column, got {twice!r} twice")


def _listed(names: Any) -> list[str] | None:
    """`names` of columns as a list, each once (TypeError, ValueError)."""
    if names is None:
        return None
    if isinstance(names, str) or not hasattr(names, "__iter__") or not all(isinstance(name, str) for name in names):
        raise TypeError(f"fit expects names as a list of strings, one for each column of X, got {names!r}")
    listed = [str(name) for name in names]
    twice = [name for i, name in enumerate(listed) if name in listed[:i]]
    if twice or "" in listed:
        raise ValueError(f"fit expects names that differ, got {(twice or [''])[0]!r}{' twice' if twice else ''}")
    return listed
