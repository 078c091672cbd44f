"""Reliability: how often what is predicted with probability p comes true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels import normal_quantile
from minigrad.mle.tables import number, table
from minigrad.typing import Array

STRATEGIES = ("quantile", "uniform")


@dataclass(frozen=True)
class Curve:
    """Rows in B bins of their predicted probability: its mean, how often it came true, and an interval for that."""

    name: str
    predicted: Array  # (B,)
    observed: Array
    lower: Array
    upper: Array
    count: Array  # the weight of each bin
    error: float  # the expected calibration error, sum_b count_b |observed_b - predicted_b| / sum_b count_b

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them."""
        lists = {name: getattr(self, name).tolist() for name in ("predicted", "observed", "lower", "upper", "count")}
        return {"name": self.name, **lists, "error": self.error}

    def __str__(self) -> str:
        columns = (self.predicted, self.observed, self.lower, self.upper)
        rows = [
            [*(number(float(each[b])) for each in columns), f"{self.count[b]:g}"] for b in range(len(self.predicted))
        ]
        return table(["predicted", "observed", "lower", "upper", "count"], rows, f"Reliability, {self.name}")


class Bins(NamedTuple):
    """How curves are cut: into `number` by `strategy`, with intervals of `level`; what weights count."""

    number: int
    strategy: str
    level: float
    frequencies: bool  # weights count observations


def curve(name: str, p: Array, hit: Array, weights: Array, bins: Bins) -> Curve:
    """Of probabilities p (N,) and what came true, 0 or 1 (N,).

    "quantile": bins of about equal weight, equal probabilities in one bin; "uniform": of equal width; empty ones are
    left out.  The interval is Wilson's score interval, Journal of the American Statistical Association 22 (1927), of
    (sum w)^2 / sum w^2 observations where weights do not count them.
    """
    uniform = np.minimum((p * bins.number).astype(int), bins.number - 1)
    place = _quantiles(p, weights, bins.number) if bins.strategy == "quantile" else uniform
    _, place = np.unique(place, return_inverse=True)
    total = np.bincount(place, weights)
    predicted = np.bincount(place, weights * p) / total
    observed = np.bincount(place, weights * hit) / total
    return Curve(
        name,
        predicted,
        observed,
        *wilson(observed, total if bins.frequencies else total**2 / np.bincount(place, weights**2), bins.level),
        total,
        float(total @ np.abs(observed - predicted) / total.sum()),
    )


def wilson(share: Array, count: Array, level: float) -> tuple[Array, Array]:
    """The probabilities q with |share - q| <= z sqrt(q (1 - q) / count)."""
    z = float(normal_quantile(np.array(0.5 + level / 2)))
    middle = share + z * z / (2 * count)
    reach = z * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    size = 1 + z * z / count
    # Where the share is 0 or 1, it is an end itself.
    return np.clip((middle - reach) / size, 0.0, share), np.clip((middle + reach) / size, share, 1.0)


def _quantiles(p: Array, weights: Array, bins: int) -> Array:
    """The bin of each row, by the weight of all that is below it and half its own."""
    _, place = np.unique(p, return_inverse=True)
    own = np.bincount(place, weights)
    middle = (np.cumsum(own) - own / 2) / own.sum()
    return np.minimum((middle * bins).astype(int), bins - 1)[place]
