"""Roots: B with B B^T a covariance, and how it is reached without forming what cancels.

Where the information is nearly singular, a sandwich H^-1 S H^-1 may be small beside H^-1: the product of the three
cancels.  With H^-1 = B B^T, S is summed of rows B^T s_n, and the sandwich is B (sum_n B^T s_n s_n^T B) B^T.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.identification import complement
from minigrad.mle.inference.once import once
from minigrad.mle.likelihood import Restricted
from minigrad.mle.search.inverses import ROUNDING, inverse_root
from minigrad.mle.search.solving import LEAST
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

WELL = 1e3  # the condition of an information, up to which its inverse has a root as good as any


def root_of(matrix: Array) -> Array:
    """T with T T^T a matrix that is positive semidefinite but for rounding."""
    d = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    d = np.where(d > 0, d, 1.0)
    scaled = matrix / d[:, np.newaxis] / d
    try:
        lower = np.linalg.cholesky(scaled)
        if np.diag(lower).min(initial=1.0) > 10 * ROUNDING:
            return np.asarray(d[:, np.newaxis] * lower)
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh((scaled + scaled.T) / 2)
    counted = values > LEAST * len(values) * values[-1]
    return np.asarray(d[:, np.newaxis] * vectors[:, counted] * np.sqrt(values[counted]))


def square_over(half: Array, off: Array) -> float | None:
    """off^T (half half^T)^-1 off; None where half (q, r) has not q independent rows, to rounding."""
    d = np.linalg.norm(half, axis=1)
    if half.shape[0] > half.shape[1] or not (np.isfinite(d).all() and (d > 0).all()):
        return None
    left, sizes, _ = np.linalg.svd(half / d[:, np.newaxis], full_matrices=False)
    if not sizes[-1] > LEAST * len(d) * sizes[0]:
        return None
    return float(np.sum(((left.T @ (off / d)) / sizes) ** 2))


@once
def observed(result: Result) -> Array:
    """B (k, r) with B B^T the inverse of the Hessian of the objective, on the complement of `result.null`.

    By the root of the Hessian where the search took that for the last digits, else by Cholesky's.
    """
    maximum, basis = result.maximum, complement(result.null)
    if maximum.covariance is None:
        return inverse_root(maximum.objective.hessian, basis, "the observed information")
    if maximum.condition < WELL:
        return root_of(maximum.covariance)
    beside = -maximum.covariance @ maximum.objective.gradient
    plane = Restricted(result.likelihood, maximum.u, basis) if result.null.shape[1] else result.likelihood
    root = plane.root(np.zeros(basis.shape[1]) if plane is not result.likelihood else maximum.u, basis.T @ beside)
    if root is None:
        return root_of(maximum.covariance)
    d = np.linalg.norm(root, axis=0)
    if not (np.isfinite(d).all() and (d > 0).all()) or not len(d):
        return root_of(maximum.covariance)
    _, sizes, right = np.linalg.svd(root / d)
    if not sizes[-1] > LEAST * len(d) * sizes[0]:
        return root_of(maximum.covariance)
    return np.asarray(basis @ (right.T / sizes / d[:, np.newaxis]))
