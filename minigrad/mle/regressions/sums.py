"""Sums: the value of a regression's likelihood, its gradient and its curvature, in one pass over the rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.regressions.error_free import Total
from minigrad.mle.regressions.links import Look, look
from minigrad.mle.regressions.rows import cross_square, weighted_square, weighted_sum
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression


class Sums:
    """sum_n w_n log p_n;  sum_n w_n (p_n - t_n) x_n^T;  sum_n w_n p'_n x_n x_n^T, and for a softmax between classes.

    Blocks of rows stay in the processor's cache; what one adds to another is summed without loss.  Where the columns
    are centred well enough as they are, it is x itself that is summed over, and the sums are transformed.
    """

    def __init__(self, regression: Regression, u: Array, curved: bool = True) -> None:
        self.regression, self.curved = regression, curved
        design, units = regression.design, regression.units
        self.values: list[float] = []
        self.pull = Total((regression.classes, design.width))
        self.own = np.zeros((units, design.width, design.width))
        self.first = 1 if regression.mean.coupled else 0  # class 0 of a softmax stands against all others
        self.between = np.zeros((units * design.width,) * 2) if self.first and units > 1 else None
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            if design.near and self.between is None:
                self._over_x(u)
            else:
                self._over_design(u)

    @property
    def value(self) -> float:
        """J, infinite where a row has no probability that floats hold."""
        finite = all(map(math.isfinite, self.values))
        return -(math.fsum(self.values) + self.regression.saturated) if finite else math.inf

    @property
    def gradient(self) -> Array:
        """dJ/du."""
        return np.asarray(self.regression.from_classes.T @ self.pull.rounded).ravel()

    @property
    def hessian(self) -> Array:
        """d2J/du2: of contrasts of the classes with class 0, and then of those of the variables."""
        regression = self.regression
        units, width = regression.units, regression.width
        hessian = np.zeros((units, width, units, width))
        if self.between is not None:
            hessian -= self.between.reshape(hessian.shape)
        for k in range(units):
            hessian[k, :, k] = self.own[k]  # sums of p (1 - p), which is exact, and not of p - p p
        if self.first:
            change = regression.contrast[1:] - regression.contrast[0]
            hessian = np.tensordot(change.T, hessian, axes=1)
            hessian = np.tensordot(hessian.transpose(0, 1, 3, 2), change, axes=1).transpose(0, 1, 3, 2)
        return hessian.reshape(regression.size, regression.size)

    def _over_design(self, u: Array) -> None:
        regression = self.regression
        coefficients = regression.by_class(u)
        for rows, design in regression.design.blocks(regression.units if self.between is not None else 1):
            seen, residual, slope, w = self._seen(coefficients @ design.T, rows)
            self.pull.add(residual @ design)
            if not self.curved:
                continue
            for k, own in enumerate(self.own):
                own += weighted_square(design, slope[k + self.first])
            if self.between is not None:
                self.between += cross_square(design, seen.p[1:] if w is None else seen.p[1:] * np.sqrt(w))

    def _over_x(self, u: Array) -> None:
        regression, design = self.regression, self.regression.design
        features, change = design.features, design.change
        coefficients = regression.by_class(u) @ change.T
        pull, buffer = np.empty(self.pull.high.shape), np.empty((design.rows(), features))
        for rows in design.slices():
            x = design.x[rows]
            z = coefficients[:, :features] @ x.T
            if design.has_bias:
                z += coefficients[:, features:]
            _, residual, slope, _ = self._seen(z, rows)
            pull[:, :features] = residual @ x
            pull[:, features:] = residual.sum(axis=1, keepdims=True)
            self.pull.add(pull)
            for k, own in enumerate(self.own if self.curved else ()):
                each = slope[k + self.first]
                a = np.einsum("nd,n->nd", x, np.sqrt(each), out=buffer[: len(x)])
                own[:features, :features] += a.T @ a
                if design.has_bias:
                    own[features, :features] += each @ x
                    own[features, features] += each.sum()
        if design.has_bias:
            self.own[:, :features, features] = self.own[:, features, :features]
        self.own = change.T @ self.own @ change
        self.pull.high, self.pull.low = self.pull.high @ change, self.pull.low @ change

    def _seen(self, z: Array, rows: slice) -> tuple[Look, Array, Array, Array | None]:
        """What rows say, w (p - t), w p', and w."""
        regression = self.regression
        if regression.offset is not None:
            z += regression.offset[:, rows]
        seen = look(regression.mean, z, regression.target[..., rows])
        w = None if regression.weights is None else regression.weights[rows]
        self.values.append(weighted_sum(seen.terms, w))
        if w is None:
            return seen, seen.residual, seen.slope, None
        return seen, seen.residual * w, seen.slope * w, w
