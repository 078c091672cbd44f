"""Data and target of linear units, as observations of classes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from minigrad.checks import kind, require_count, require_finite, require_flag, shape_of
from minigrad.existence.cone import Cone, Observations
from minigrad.existence.null import Columns, NullSpace, Table
from minigrad.typing import Array

LIKELIHOODS = ("softmax", "sigmoid", "poisson")


class Problem:
    """The cone of the columns that are kept, and the way between its directions and those of all columns."""

    def __init__(self, table: Table, free: Array, null: NullSpace, cone: Cone, likelihood: str) -> None:
        self.table, self.free, self.null, self.cone, self.likelihood = table, free, null, cone, likelihood

    @classmethod
    def of(
        cls,
        x: Any,
        target: Any,
        likelihood: str,
        classes: int | None,
        bias: bool,
        weights: Any,
        free: Any,
        columns: Columns | None = None,
    ) -> Problem:
        """As `existence` takes them (TypeError, ValueError)."""
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"existence expects likelihood to be one of {', '.join(LIKELIHOODS)}, got {likelihood!r}")
        if not isinstance(x, np.ndarray) or x.ndim != 2 or x.dtype.kind not in "fiub":
            raise ValueError(f"existence expects x of shape (N, D), real, got {kind(x)}: pass np.asarray(x, float)")
        bias = require_flag("existence", "bias", bias)
        x = x if x.dtype.kind == "f" else x.astype(float)
        counted = _weights(weights, len(x))
        width = x.shape[1] + bias
        mask = np.ones(width, bool) if free is None else np.asarray(free)
        if mask.dtype.kind != "b" or mask.shape != (width,):
            raise ValueError(
                f"existence expects free to be True or False for each column{' and the bias' * bias}, "
                f"({width},), got {kind(mask)}"
            )
        if columns is None or not _same(columns, x, bias, counted, mask):
            require_finite("existence", x, "x")
            columns = Columns.of(Table(x, bias, counted), mask)
        table, null = columns.table, columns.null
        observations, count = observed(np.asarray(target), likelihood, classes, len(x))
        if counted is not None:
            observations = observations.taken(np.flatnonzero(counted[observations.row] > 0))
        return cls(table, mask, null, Cone(table, null.kept, observations, count), likelihood)

    def inner(self, start: Any) -> Array | None:
        """Parameters of all columns as a direction of the cone; None where they are none, or not finite."""
        if start is None:
            return None
        units = 1 if self.likelihood != "softmax" else self.cone.classes
        start = np.asarray(start, dtype=float)
        if start.size != units * self.table.width:
            raise ValueError(
                f"existence expects start of shape ({units}, {self.table.width}), got {shape_of(start)}: "
                "the weights of each unit, and its bias last"
            )
        v = np.where(self.free, start.reshape(units, self.table.width), 0.0)
        for vector in self.null.vectors.T:
            dropped = np.setdiff1d(np.flatnonzero(vector), self.null.kept)[0]
            v = v - np.outer(v[:, dropped] / vector[dropped], vector)
        v = v[1:] - v[0] if self.likelihood == "softmax" else v
        with np.errstate(over="ignore"):
            v = np.ldexp(v[:, self.null.kept], self.table.exact[self.null.kept])
        return np.asarray(v) if np.isfinite(v).all() else None

    def outer(self, direction: list[int]) -> Array:
        """A direction of the cone as one of all columns: (K, D + 1) fractions, scaled so that it can be read."""
        units, q = self.cone.shape
        v = np.full((units + 1, self.table.width), Fraction(0), dtype=object)
        for k in range(units):
            for place, column in enumerate(self.null.kept.tolist()):
                v[k + 1, column] = direction[k * q + place] * Fraction(2) ** -int(self.table.exact[column])
        if self.likelihood != "softmax":
            v = v[1:]
        elif units > 1:  # one vector may be added to all classes: most are to be 0
            v = v - np.sort(v, axis=0)[(len(v) - 1) // 2]
        sizes = sorted({abs(c) for c in v.ravel() if c})
        if all((c / sizes[0]).denominator == 1 and c / sizes[0] < 1000 for c in sizes):
            return np.asarray(v / sizes[0])
        largest = sizes[-1].numerator.bit_length() - sizes[-1].denominator.bit_length()
        return np.asarray(v / Fraction(2) ** largest)


def _same(columns: Columns, x: Array, bias: bool, weights: Array | None, free: Array) -> bool:
    """The columns known are these, on all rows."""
    table = columns.table
    same = table.x is x and table.bias == bias and np.array_equal(columns.free, free)
    return same and table.rows is None and (weights is None or bool((weights > 0).all()))


def _weights(weights: Any, count: int) -> Array | None:
    if weights is None:
        return None
    weights = np.asarray(weights)
    if weights.shape != (count,) or weights.dtype.kind not in "fiub":
        raise ValueError(f"existence expects weights of shape ({count},), got {kind(weights)}")
    require_finite("existence", weights.astype(float), "weights")
    if (weights < 0).any():
        raise ValueError(f"existence expects weights of 0 or more, got {weights.min()}")
    return weights


def observed(target: Array, likelihood: str, classes: int | None, count: int) -> tuple[Observations, int]:
    """Which row was seen in which class, and how many classes there are (ValueError)."""
    if len(target.shape) < 1 or len(target) != count or target.dtype.kind not in "fiub":
        raise ValueError(f"existence expects a target for each of {count} rows, got {kind(target)}")
    require_finite("existence", target.astype(float), "target")
    if likelihood == "softmax":
        return _of_softmax(target, classes)
    if target.size != count:
        raise ValueError(f"existence expects a target of one unit, ({count},), got {kind(target)}: one unit at a time")
    t = target.reshape(count)
    if (t < 0).any() or (likelihood == "sigmoid" and (t > 1).any()):
        limit = "between 0 and 1" if likelihood == "sigmoid" else "of 0 or more"
        raise ValueError(f"existence expects targets {limit}, got {t.min()} to {t.max()}")
    if likelihood == "sigmoid" and ((t == 0) | (t == 1)).all():
        return Observations(np.arange(count), t.astype(int)), 2
    seen = np.column_stack([t < 1 if likelihood == "sigmoid" else t >= 0, t > 0])
    row, label = np.nonzero(seen)
    return Observations(row, label), 2


def _of_softmax(target: Array, classes: int | None) -> tuple[Observations, int]:
    if target.ndim == 2:
        if (target < 0).any():
            raise ValueError(f"existence expects shares of 0 or more, got {target.min()}")
        row, label = np.nonzero(target)
        return Observations(row, label), target.shape[1]
    if target.ndim != 1 or target.dtype.kind not in "iub":
        raise ValueError(f"existence expects labels (N,) of integers, or shares (N, K), got {kind(target)}")
    highest = int(target.max(initial=0)) + 1
    classes = max(highest, 2) if classes is None else require_count("existence", "classes", classes)
    if target.min(initial=0) < 0 or highest > classes:
        raise ValueError(f"existence expects labels 0 to {classes - 1}, got {target.min()} to {target.max()}")
    return Observations(np.arange(len(target)), target.astype(int)), classes
