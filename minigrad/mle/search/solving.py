"""Solving: systems of a Hessian, scaled to a diagonal of ones so that only the condition of what is left counts."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from minigrad.typing import Array

LEAST = 8 * float(np.finfo(float).eps)  # of an eigenvalue, by parameter, beside the largest: below it is rounding


class Scaled:
    """H = d A d for a symmetric H, with d > 0 and 1 or -1 on the diagonal of A.

    `root` is R with R R^T = |A|^-1, of the eigenvalues without their signs, so that along -R R^T g the function falls;
    `dropped` are the eigenvectors that it leaves out, of values that are 0 to rounding.
    """

    def __init__(self, hessian: Array) -> None:
        diagonal = np.abs(np.diag(hessian))
        self.d = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        self.matrix = hessian / self.d[:, np.newaxis] / self.d
        self.root, self.dropped = _root(self.matrix)

    @classmethod
    def of_root(cls, root: Array) -> Scaled:
        """That of R^T R from R (n, k), n >= k, alone: with errors of cond(R), the root of the condition."""
        scaled = cls.__new__(cls)
        d = np.sqrt(np.einsum("ij,ij->j", root, root))
        scaled.d = np.where(d > 0, d, 1.0)
        parts = root / scaled.d
        scaled.matrix = parts.T @ parts
        if not np.isfinite(parts).all():
            scaled.root, scaled.dropped = np.full(scaled.matrix.shape, np.nan), np.zeros((len(d), 0))
            scaled.values = np.full(len(d), np.nan)
            return scaled
        _, sizes, right = np.linalg.svd(parts)
        sizes = np.append(sizes, np.zeros(len(d) - len(sizes)))
        counted = sizes > LEAST * len(d) * sizes.max(initial=0.0)
        scaled.root, scaled.dropped = np.asarray(right[counted].T / sizes[counted]), np.asarray(right[~counted].T)
        scaled.values = np.where(counted, np.square(sizes), 0.0)[::-1]
        return scaled

    @cached_property
    def values(self) -> Array:
        """The eigenvalues of A, smallest first."""
        return np.linalg.eigvalsh(self.matrix)

    @property
    def condition(self) -> float:
        """The condition number of A; infinite where H is not positive definite."""
        if not self.d.size:
            return 1.0
        return float(self.values[-1] / self.values[0]) if self.values[0] > 0 else np.inf

    @property
    def inverse(self) -> Array:
        """H^-1, 0 along the directions in which A is 0 to rounding."""
        half = self.root / self.d[:, np.newaxis]
        return np.asarray(half @ half.T)

    def solve(self, gradient: Array) -> Array:
        """H^-1 g."""
        return np.asarray((self.root @ (self.root.T @ (gradient / self.d))) / self.d)


def _root(matrix: Array) -> tuple[Array, Array]:
    none = np.zeros((len(matrix), 0))
    try:
        lower = np.linalg.cholesky(matrix)
        if not lower.size or np.diag(lower).min() ** 2 >= LEAST * len(lower):
            return np.asarray(np.linalg.inv(lower).T), none
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(matrix)
    counted = np.abs(values) > LEAST * len(values) * np.abs(values).max(initial=0.0)
    return np.asarray(vectors[:, counted] / np.sqrt(np.abs(values[counted]))), vectors[:, ~counted]
