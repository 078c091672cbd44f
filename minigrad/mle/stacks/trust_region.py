"""The step of a trust region: the least of a quadratic model within a distance."""

from __future__ import annotations

import math

import numpy as np

from minigrad.typing import Array


class Quadratic:
    """m(s) = g s + s^T B s / 2 for any symmetric B, in variables D s in which B has a diagonal of about 1.

        step(radius)    the s with |D s| <= radius at which m is least:  (B + mu D^2) s = -g,  mu >= 0

    More and Sorensen, "Computing a trust region step", SIAM J. Sci. Stat. Comput. 4 (1983) 553-572, by eigenvalues.
    """

    def __init__(self, gradient: Array, curvature: Array, units: Array) -> None:
        self.gradient, self.units = gradient, units  # D
        scaled = curvature / units[:, np.newaxis] / units
        self.values, self.vectors = np.linalg.eigh((scaled + scaled.T) / 2)
        self.parts = self.vectors.T @ (gradient / units)
        self.shift = 0.0  # mu of the last step
        self.floor = len(units) * np.finfo(float).eps * float(np.abs(self.values).max(initial=0.0))

    @property
    def bent_down(self) -> bool:
        """B has a negative eigenvalue, beyond rounding and what a gradient that is not 0 makes of one that is 0."""
        return bool(self.values[0] < -max(1e3 * self.floor, 3 * float(np.abs(self.parts).max(initial=0.0))))

    @property
    def condition(self) -> float:
        """The condition number of the scaled B; infinity where it is not positive definite."""
        return float(self.values[-1] / self.values[0]) if self.values[0] > 0 else math.inf

    def newton(self) -> tuple[Array, float]:
        """-|B|^+ g and sqrt(g |B|^+ g), of the directions in which B is not 0 to rounding."""
        curved = np.abs(self.values) > self.floor
        parts = np.where(curved, self.parts / np.where(curved, np.abs(self.values), 1.0), 0.0)
        square = float(parts @ self.parts)
        return -(self.vectors @ parts) / self.units, math.sqrt(square) if square > 0 else 0.0

    def step(self, radius: float) -> tuple[Array, float]:
        """(s, what m falls by)."""
        self.shift = 0.0
        least = float(self.values[0])
        if least > self.floor:
            inside = -self.parts / self.values
            if np.linalg.norm(inside) <= radius:
                return self._of(inside)
        low: float = max(0.0, -least)
        size = float(np.linalg.norm(self.parts))
        near = np.abs(self.values - least) <= 1e-10 * max(1.0, abs(least))
        if size == 0.0 or float(np.linalg.norm(self.parts[near])) <= 1e-12 * size:
            # The hard case: the gradient has no part along the least eigenvalue.
            shifted = self.values + low
            rest = np.where(near | (shifted <= self.floor), 0.0, -self.parts / np.where(shifted > 0, shifted, 1.0))
            short = float(np.linalg.norm(rest))
            if short < radius:
                if least < -self.floor:
                    rest[0] = math.sqrt(radius**2 - short**2)
                return self._of(rest)
        high: float = low + size / radius + self.floor + 1e-300
        for _ in range(200):  # |s| falls with mu
            middle: float = 0.5 * (low + high) if low == 0 or high / low < 4 else math.sqrt(low * high)
            if np.linalg.norm(self.parts / (self.values + middle)) > radius:
                low = float(middle)
            else:
                high = float(middle)
            if high - low <= 1e-6 * high:
                break
        self.shift = high
        return self._of(-self.parts / (self.values + high))

    def solve(self, vector: Array) -> Array:
        """(B + mu D^2)^-1 vector, for mu of the last step."""
        parts = (self.vectors.T @ (vector / self.units)) / np.maximum(self.values + self.shift, self.floor + 1e-300)
        return np.asarray((self.vectors @ parts) / self.units)

    def _of(self, inner: Array) -> tuple[Array, float]:
        fall = -float(inner @ self.parts + 0.5 * inner @ (self.values * inner))
        return (self.vectors @ inner) / self.units, fall


def equilibrated(hessian: Array) -> Array:
    """Units in which the Hessian has a diagonal of ones."""
    diagonal = np.sqrt(np.abs(np.diagonal(hessian)))
    return np.where(diagonal > 0, diagonal, diagonal.max(initial=0.0) or 1.0)
