"""Regression: the likelihood of linear units under a softmax, a sigmoid or an exponential mean, by its formulas."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.containers import Sequential
from minigrad.derivatives.likelihoods import EXPONENTIAL, SIGMOID, SOFTMAX, Mean
from minigrad.existence import Columns, Table
from minigrad.layer import Layer
from minigrad.layers import Linear
from minigrad.losses import Penalized
from minigrad.mle.entry.data import Data
from minigrad.mle.likelihood import Likelihood, Listing, Local
from minigrad.mle.regressions.designs import Design
from minigrad.mle.regressions.links import Look, look, saturated
from minigrad.mle.regressions.links import contrasts as contrasts
from minigrad.mle.regressions.offsets import centred
from minigrad.mle.regressions.parameters import arrays_of, coefficients_of, listing_of
from minigrad.mle.regressions.precision import precise_gradient, root
from minigrad.mle.regressions.recognition import recognized
from minigrad.mle.regressions.ridges import ridge_at, root_of_ridge
from minigrad.mle.regressions.rows import furthest, grouped_square, noise, reached, rounding_along, weighted_sum
from minigrad.mle.regressions.starts import Start, start_of
from minigrad.mle.regressions.sums import Sums
from minigrad.typing import Array

FAMILIES = {id(SOFTMAX): "softmax", id(SIGMOID): "sigmoid", id(EXPONENTIAL): "poisson"}


class Regression(Likelihood):
    """z = x W^T + b + offset, in variables V (units, D + 1): columns of x centred and of unit spread, the bias last.

    softmax   z = (x, 1) V^T Q^T, the columns of Q (K, K - 1) orthonormal and of sum 0: no shift is left free
    others    z = (x, 1) V^T

    dJ/dV  =  sum_n w_n Q^T (p_n - t_n) (x_n, 1)^T,    d2J/dV2  =  sum_n w_n Q^T P_n Q (x) (x_n, 1)(x_n, 1)^T
    P_n    =  diag(p_n) - p_n p_n^T for the softmax, diag(p'_n) for the others

    A ridge weighs |W|^2 and |b|^2.  Under a softmax it is that of all classes alike, so that at the minimum they sum
    to 0 without being told, and the contrasts lose nothing.
    """

    def __init__(
        self,
        cost: Layer,
        linear: Linear,
        mean: Mean,
        data: Data,
        ridge: tuple[float, float] = (0.0, 0.0),
        design: Design | None = None,
    ) -> None:
        self.cost, self.linear, self.mean, self.data, self.ridge = cost, linear, mean, data, ridge
        self.classes, self.features = linear.weight.shape
        self.has_bias = linear.bias is not None
        self.rows, self.count = len(data.x), data.count
        shorten = design is None
        self._table = Table(data.x, self.has_bias) if shorten and data.x.dtype.kind == "f" else None
        self.units = self.classes - 1 if mean.coupled else self.classes
        self.contrast, self.from_classes = np.eye(self.classes), np.eye(self.classes)
        if design is None:
            ends = None if self._table is None else (self._table.lowest, self._table.highest)
            design = Design(data.x, self.has_bias, data.weights, ends)
        self.design = design
        if ridge[0] and shorten:
            total = float(self.rows if data.weights is None else data.weights.sum())
            self.design.shorten(np.full(self.features, ridge[0] / max(total, 1e-300)))
        self.width = self.design.width
        self.size = self.units * self.width
        self.target: Array
        if mean.coupled:
            self.target = np.asarray(data.target).reshape(self.rows).astype(np.intp, copy=False)
            order = np.argsort(-np.bincount(self.target, data.weights, self.classes), kind="stable")
            self.contrast = np.empty((self.classes, self.units))
            self.contrast[order] = contrasts(self.classes)
            # Derivatives by class sum to 0: that by the largest class is left out, the rounding of which is largest.
            self.from_classes = self.contrast - self.contrast[order[0]]
        else:
            self.target = np.asarray(data.target, dtype=float).reshape(self.rows, self.classes).T
        self.offset, self.shift = centred(data.offset, (self.rows, self.classes), mean.coupled, self.has_bias)

    @property
    def family(self) -> str:
        """One of "softmax", "sigmoid", "poisson"."""
        return FAMILIES[id(self.mean)]

    @property
    def free(self) -> Array:
        """Which columns, the bias last, no penalty holds, (D + 1,) or without a bias (D,)."""
        return np.array([self.ridge[0] == 0] * self.features + [self.ridge[1] == 0] * self.has_bias, bool)

    @cached_property
    def columns(self) -> Columns:
        """What is known of the columns of x: which are sums of others."""
        x = self.data.x if self.data.x.dtype.kind == "f" else self.data.x.astype(float)
        return Columns.of(self._table or Table(x, self.has_bias), self.free)

    @cached_property
    def start(self) -> Array:  # type: ignore[override]
        """Near the maximum already where there are many rows: see starts.py."""
        return self._start.u

    @property
    def hessian_at_start(self) -> Array | None:
        return self._start.hessian

    @cached_property
    def _start(self) -> Start:
        return start_of(self)

    # The likelihood.

    def evaluate(self, u: Array) -> Local:
        sums = Sums(self, u)
        return Local(sums.value, sums.gradient, sums.hessian)

    def slope(self, u: Array) -> tuple[float, Array]:
        sums = Sums(self, u, curved=False)
        return sums.value, sums.gradient

    def value(self, u: Array) -> float:
        return Sums(self, u, curved=False).value

    def terms(self, u: Array) -> Array:
        terms = np.empty(self.rows)
        for rows, _, seen, _ in self.looks(u):
            terms[rows] = seen.terms + saturated(self.mean, self.target[..., rows])
        return terms

    def scores(self, u: Array) -> Array:
        scores = np.empty((self.rows, self.size))
        for rows, design, seen, _ in self.looks(u):
            scores[rows] = self._scores(seen, design)
        return scores

    def scores_of(self, u: Array, rows: Any) -> Array:
        """Those of some rows, by a slice or their numbers, (n, k)."""
        design = self.design.of(self.data.x[rows])
        with np.errstate(over="ignore", under="ignore"):
            seen = look(self.mean, self.units_of(self.by_class(u), design, rows), self.target[..., rows])
        return self._scores(seen, design)

    def precise_gradient(self, u: Array) -> Array:
        return precise_gradient(self, u)

    def root(self, u: Array, beside: Array) -> Array | None:
        return root(self, u, beside)

    def noise(self, u: Array, covariance: Array | None = None) -> tuple[float, float]:
        return noise(self, u, covariance)

    def expected(self, u: Array) -> Array:
        return self.evaluate(u).hessian  # the links are canonical: no y in the Hessian

    @property
    def weights(self) -> Array | None:
        return self.data.weights

    @cached_property
    def saturated(self) -> float:
        """sum_n w_n log p(y_n | mean y_n), which no u changes."""
        if self.mean is not EXPONENTIAL:
            return 0.0
        w = self.weights
        parts = [
            weighted_sum(saturated(self.mean, self.target[:, rows]), None if w is None else w[rows])
            for rows in self.design.slices()
        ]
        return math.fsum(parts)

    # The penalty: L2 of the weights, of the biases, or of none.

    @property
    def penalized(self) -> bool:
        return isinstance(self.cost, Penalized)

    def penalty(self, u: Array) -> Local:
        return ridge_at(self, u) if any(self.ridge) else super().penalty(u)

    @cached_property
    def penalty_root(self) -> Array:
        """M (width, width) with |M v|^2 / 2 the penalty of one unit."""
        return root_of_ridge(self)

    # Predictions.

    def logits(self, u: Array) -> Array:
        """z of the rows of the data, (N, K), with their offset."""
        z = np.empty((self.rows, self.classes))
        coefficients = self.by_class(u)
        for rows, design in self.design.blocks():
            z[rows] = self.units_of(coefficients, design, rows).T
        return z

    def reach(self, step: Array) -> float:
        """The furthest that a step moves a logit, beside those of other classes where they are coupled."""
        return reached(self, step)

    def noise_along(self, u: Array, along: Array) -> Array | None:
        return rounding_along(self, u, along)

    def response(self, u: Array, x: Any, offset: Any = None) -> Array:
        return self.mean.of(self._at(u, np.asarray(x, dtype=float), offset))

    def response_jacobian(self, u: Array, x: Any, offset: Any = None) -> Array:
        x = np.asarray(x, dtype=float)
        p = self.mean.of(self._at(u, x, offset))
        slope = self.mean.slope(p)
        by_logit = slope[:, :, np.newaxis] * np.eye(self.classes)
        if self.mean.coupled:
            by_logit = by_logit - p[:, :, np.newaxis] * p[:, np.newaxis, :]
        by_unit = by_logit @ self.contrast
        return np.einsum("nku,nd->nkud", by_unit, self.design.of(x)).reshape(len(x), self.classes, self.size)

    def score_square(
        self, u: Array, row_weights: Array | None = None, groups: Any = None, change: Array | None = None
    ) -> Array:
        return grouped_square(self, u, row_weights, groups, change)

    # Parameters.

    @property
    def labels(self) -> list[str]:
        """Of the outputs."""
        return self.data.classes or [str(k) for k in range(self.classes)]

    def listing(self, identification: str, reference: int = 0) -> Listing:
        return listing_of(self, identification, reference)

    def coefficients(self, u: Array) -> tuple[Array, Array | None]:
        """W (K, D) and b (K,)."""
        return coefficients_of(self, u)

    def arrays(self, u: Array) -> Mapping[str, Array]:
        return arrays_of(self, u)

    def trained(self, u: Array) -> Layer:
        return self.cost.with_parameters(self.arrays(u))

    def on(self, data: Data) -> Regression:
        """The same of other rows, in the same variables."""
        design = self.design.on(data.x)
        return Regression(self.cost, self.linear, self.mean, data, self.ridge, design)

    def without_inputs(self) -> Likelihood:
        linear = Linear(1, self.classes, bias=self.has_bias, rng=0)
        linear.weight = np.zeros((self.classes, 0))
        names: dict[str, Any] = {"x": np.zeros((self.rows, 0)), "names": []}
        return Regression(Sequential(linear), linear, self.mean, dataclasses.replace(self.data, **names))

    # One pass over the rows.

    def looks(self, u: Array, arrays: int = 1) -> Iterator[tuple[slice, Array, Look, Array | None]]:
        """Rows, their design, what they say at u, and their weights."""
        coefficients, w = self.by_class(u), self.weights
        for rows, design in self.design.blocks(arrays):
            z = self.units_of(coefficients, design, rows)
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                seen = look(self.mean, z, self.target[..., rows])
            yield rows, design, seen, None if w is None else w[rows]

    def by_class(self, u: Array) -> Array:
        """Of the design, by class, with the part of the offset that all rows share."""
        v = self.contrast @ u.reshape(self.units, self.width)
        if self.has_bias:
            v[:, -1] += self.shift
        return v

    def units_of(self, coefficients: Array, design: Array, rows: slice) -> Array:
        z = coefficients @ design.T
        return z if self.offset is None else z + self.offset[:, rows]

    def _at(self, u: Array, x: Array, offset: Any) -> Array:
        z = self.design.of(x) @ u.reshape(self.units, self.width).T @ self.contrast.T
        return z if offset is None else z + offset

    def furthest(self, u: Array) -> float:
        """The largest sum of the sizes of the parts of a linear unit that there can be."""
        offset = 0.0 if self.offset is None else float(np.abs(self.offset).max(initial=0.0))
        return furthest(self.design, self.by_class(u)) + offset

    def _scores(self, seen: Look, design: Array) -> Array:
        residual = -(self.contrast.T @ seen.residual).T
        return (residual[:, :, np.newaxis] * design[:, np.newaxis, :]).reshape(len(design), self.size)


def regression(cost: Layer, data: Data) -> Regression | None:
    """The regression that `cost` is on these data; None where it is none: see recognition.py."""
    found = recognized(cost, data)
    return None if found is None else Regression(cost, found.linear, found.mean, data, found.ridge)
