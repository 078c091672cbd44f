"""Points: the rows at which marginal effects are taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.checks import require_number
from minigrad.mle.use.prediction import inputs
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

AT = ("overall", "mean", "median", "zero")


class Points(NamedTuple):
    """The rows at which effects are averaged, and how much each counts; the shares sum to 1."""

    x: Array  # (M, D)
    offset: Array | None
    share: Array  # (M,)

    def rows(self, rows: slice) -> Points:
        """Some of them."""
        return Points(self.x[rows], None if self.offset is None else self.offset[rows], self.share[rows])

    def moved(self, column: int, value: Any) -> Points:
        """With other values in one column."""
        x = self.x.copy()
        x[:, column] = value
        return self._replace(x=x)


def points_of(result: Result, at: Any, varying: list[int], offset: Any) -> tuple[Points, str]:
    """The rows at which effects are taken, and what they are in words."""
    data = result.data
    weights = result.likelihood.weights
    w = np.ones(len(data.x)) if weights is None else weights
    share = w / w.sum()
    if isinstance(at, str):
        if at not in AT:
            raise ValueError(f"marginal_effects expects at in {AT}, {{name: value}} or rows of X, got {at!r}")
        x, own = inputs(result, "marginal_effects", None, offset)
        if at == "overall":
            return Points(x, own, share), "the mean over the rows"
        of = {"mean": _mean, "median": _median, "zero": _zero}[at]
        row = np.where(np.isin(np.arange(x.shape[1]), varying), of(x, share), x[:1])  # constant columns stay
        words = {"mean": "at the mean of the columns", "median": "at their median", "zero": "at zero"}[at]
        return Points(row, None if own is None else of(own, share), np.ones(1)), words
    if isinstance(at, Mapping):
        x, own = inputs(result, "marginal_effects", None, offset)
        x = x.copy()
        for name, value in at.items():
            x[:, column("at", name, data.names)] = require_number("marginal_effects", f"at[{name!r}]", value)
        words = ", ".join(f"{name} = {value:g}" for name, value in at.items())
        return Points(x, own, share), f"the mean over the rows with {words}"
    rows = at if np.ndim(at) != 1 or hasattr(at, "columns") else np.asarray(at, dtype=float)[np.newaxis]
    x, own = inputs(result, "marginal_effects", rows, offset)
    return Points(x, own, np.full(len(x), 1 / len(x))), "at the row given" if len(
        x
    ) == 1 else "the mean over the rows given"


def _mean(array: Array, share: Array) -> Array:
    return (share @ array)[np.newaxis]


def _zero(array: Array, share: Array) -> Array:
    return np.zeros((1, array.shape[1]))


def _median(array: Array, share: Array) -> Array:
    """The median of each column, in which a row counts as its weight says: of repeated rows it is the usual one."""
    order = np.argsort(array, axis=0, kind="stable")
    below = np.cumsum(share[order], axis=0)
    ordered = np.take_along_axis(array, order, axis=0)
    reached = [np.searchsorted(column, 0.5 + side * 1e-12) for column in below.T for side in (-1, 1)]
    last = len(array) - 1
    ends = ordered[np.minimum(np.reshape(reached, (-1, 2)).T, last), np.arange(array.shape[1])]
    return np.asarray(ends.mean(axis=0))[np.newaxis]


def column(what: str, name: Any, names: list[str] | None) -> int:
    """The place of a column by its name (ValueError)."""
    if names is None or name not in names:
        there = ", ".join(names or [])
        raise ValueError(f"marginal_effects expects names of columns for {what}, got {name!r}: there are {there}")
    return names.index(name)
