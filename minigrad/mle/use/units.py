"""Units: the linear units of a regression row by row, and how they follow from the variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL, SIGMOID, SOFTMAX
from minigrad.mle.entry.data import Data
from minigrad.mle.regressions.regression import Regression
from minigrad.typing import Array

ENTRIES = 2**20  # of the arrays that are made at a time: 8 MB


class Units(NamedTuple):
    """z (M, K), exact however far out, and dz/du (M, K, k), which does not depend on u."""

    z: Array
    by_u: Array


def units_of(likelihood: Regression, u: Array, x: Any, offset: Array | None = None) -> Units:
    """The units of a regression at rows x.  They are linear in u, so that the derivative at u = 0 gives them.

    There all units are 0, and dp/dz is 1/K on contrasts for the softmax, 1/4 for the sigmoid, 1 for the exponential.
    """
    factor = {SOFTMAX: likelihood.classes, SIGMOID: 4, EXPONENTIAL: 1}[likelihood.mean]
    by_u = factor * likelihood.response_jacobian(np.zeros(likelihood.size), x)
    z = by_u @ u
    return Units(z if offset is None else z + offset, by_u)


def log_odds(likelihood: Regression, units: Units) -> Units:
    """log p / (1 - p) of each probability, and its derivative.

    For one unit this is z itself, for a softmax

        z_k - log sum_{j != k} e^z_j,    dz_k - sum_{j != k} q_kj dz_j,    q_kj = p_j / (1 - p_k)
    """
    if likelihood.mean is not SOFTMAX or likelihood.classes == 1:
        return units
    z = units.z
    odds, by_u = np.empty_like(z), np.empty_like(units.by_u)
    for k in range(z.shape[1]):
        others = np.delete(z, k, axis=1)
        top = others.max(axis=1, keepdims=True)
        parts = np.exp(others - top)
        total = parts.sum(axis=1, keepdims=True)
        odds[:, k] = z[:, k] - (top + np.log(total))[:, 0]
        by_u[:, k] = units.by_u[:, k] - np.einsum("mj,mju->mu", parts / total, np.delete(units.by_u, k, axis=1))
    return Units(odds, by_u)


def log_probabilities(z: Array) -> Array:
    """log p (M, K) of a softmax."""
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def expected_of(likelihood: Regression, z: Array) -> Array:
    """p(z), where far out exp may overflow to infinity."""
    with np.errstate(over="ignore"):
        return np.asarray(likelihood.mean.of(z))


def outputs(data: Data, count: int) -> list[str]:
    """The names of K outputs: of classes; of the second of two classes, whose probability one binary output is."""
    if data.classes is not None and len(data.classes) == count:
        return list(data.classes)
    if count == 1:
        return [data.labels[1] if data.labels is not None else data.y_name]
    return [str(k) for k in range(count)]


def blocks(rows: int, entries: int) -> Iterator[slice]:
    """Slices of `rows` rows, few enough that an array of `entries` a row stays small."""
    step = max(1, ENTRIES // max(entries, 1))
    for start in range(0, max(rows, 1), step):
        yield slice(start, min(start + step, rows))


def part(x: Any, rows: slice) -> Any:
    """Rows of an array, or of each of a tuple of arrays."""
    return tuple(each[rows] for each in x) if isinstance(x, tuple) else x[rows]


def length(x: Any) -> int:
    """The number of rows."""
    return len(x[0]) if isinstance(x, tuple) else len(x)
