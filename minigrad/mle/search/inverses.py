"""Inverses: those of positive definite matrices, scaled to a diagonal of ones so that only the condition counts."""

from __future__ import annotations

import numpy as np

from minigrad.typing import Array

ROUNDING = 1e-8  # of the least pivot of a matrix with a diagonal of ones: its square is rounding


def inverse(matrix: Array, basis: Array, what: str) -> Array:
    """The inverse of a positive definite matrix on the span of `basis`, (k, k); ValueError where it has none.

    Scaled to a diagonal of ones before, since only the condition of what is left then counts.
    """
    half = inverse_root(matrix, basis, what)
    return half @ half.T


def inverse_root(matrix: Array, basis: Array, what: str) -> Array:
    """B (k, r) with B B^T the inverse of a positive definite matrix on the span of `basis` (k, r).

    ValueError where it has none.  Scaled to a diagonal of ones before, since only the condition of what is left counts.
    """
    inner = basis.T @ matrix @ basis
    d = np.sqrt(np.maximum(np.diag(inner), 0.0))
    try:
        if not (np.isfinite(d).all() and (d > 0).all()):
            raise np.linalg.LinAlgError
        lower = np.linalg.cholesky(inner / d[:, np.newaxis] / d)
        if lower.size and np.diag(lower).min() < ROUNDING:
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise ValueError(
            f"{what} has no inverse here, it is singular to rounding: there are too few independent rows for so many "
            "parameters; cov(kind='observed') or fewer columns"
        ) from None
    return np.asarray((inverse_of_triangle(lower) @ (basis.T / d[:, np.newaxis])).T)


def inverse_of_triangle(lower: Array) -> Array:
    """L^-1, by halves: all but the smallest are products."""
    n = len(lower)
    if n <= 64:
        return np.asarray(np.tril(np.linalg.inv(lower)))
    m = n // 2
    found = np.zeros((n, n))
    found[:m, :m], found[m:, m:] = inverse_of_triangle(lower[:m, :m]), inverse_of_triangle(lower[m:, m:])
    found[m:, :m] = -found[m:, m:] @ (lower[m:, :m] @ found[:m, :m])
    return found
