"""Symmetric matrices that are known by their products with vectors: trace and diagonal, exact or estimated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.checks import require_count
from minigrad.typing import Array, Seed


class Estimate(NamedTuple):
    """`value` and its standard error, from `samples` random vectors."""

    value: Array
    standard_error: Array
    samples: int


class Symmetric:
    """H, (size, size).  A subclass gives `product`, and what it can say better than here."""

    size: int

    def product(self, vector: Array) -> Array:
        """H v."""
        raise NotImplementedError(f"{type(self).__name__} lacks product(self, vector)")

    def verified_product(self, vector: Array) -> Array:
        """H v, by whatever tells that it is right."""
        return self.product(vector)

    def matrix(self) -> Array:
        """H itself: one product for each column."""
        columns = np.array([self.product(unit) for unit in np.eye(self.size)]).reshape(self.size, self.size)
        return columns / 2 + columns.T / 2

    def diagonal(self) -> Array:
        """The diagonal of H: as many products."""
        return np.array([self.product(unit) @ unit for unit in np.eye(self.size)])

    def trace(self) -> float:
        """The sum of the diagonal."""
        return float(self.diagonal().sum())

    def trace_estimate(self, samples: int = 30, rng: Seed = None) -> Estimate:
        """The mean of v^T H v over random signs v, whose expectation is the trace.

        Hutchinson, Communications in Statistics - Simulation and Computation 19 (1990) 433-450.
        """
        return _mean(np.array([v @ hv for v, hv in self._signs(Symmetric.trace_estimate, samples, rng)]))

    def diagonal_estimate(self, samples: int = 30, rng: Seed = None) -> Estimate:
        """The mean of v * H v over random signs v, whose expectation is the diagonal.

        Bekas, Kokiopoulou and Saad, Applied Numerical Mathematics 57 (2007) 1214-1229.
        """
        return _mean(np.array([v * hv for v, hv in self._signs(Symmetric.diagonal_estimate, samples, rng)]))

    def _signs(self, who: object, samples: int, rng: Seed) -> list[tuple[Array, Array]]:
        if require_count(who, "samples", samples) < 2:
            raise ValueError(f"{getattr(who, '__name__', who)} expects 2 samples or more, for a standard error, got 1")
        generator = np.random.default_rng(rng)
        signs = [generator.choice([-1.0, 1.0], self.size) for _ in range(samples)]
        return [(v, self.product(v)) for v in signs]


def _mean(samples: Array) -> Estimate:
    count = len(samples)
    return Estimate(samples.mean(axis=0), samples.std(axis=0, ddof=1) / count**0.5, count)
