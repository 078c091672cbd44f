"""Left out of a stack: what one row does to an estimate, by its scores alone."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from minigrad.checks import kind
from minigrad.mle.stacks.search import search
from minigrad.mle.stacks.stack import Stack, stack
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

STEP = 1e-4  # of differences of scores, in standard errors; of order 4, so that they err by about 1e-12
LOST = 1e-9  # see left_out.py


class StackRows:
    """Each row of a stack by its score s_n and its share h_n = tr(C H_n) of the information, H_n = -ds_n/du.

        delta  =  -a C s_n / (1 - h_n)      Newton's step where a row enters by one number, such as a mean

    h_n comes from differences of the scores along directions of length one, C = F F^T: tr(F^T H_n F).
    """

    def __init__(self, result: Result, c: Array) -> None:
        likelihood = result.likelihood
        if not isinstance(likelihood, Stack):
            raise TypeError(f"influence expects the likelihood of a regression or a stack, got {kind(likelihood)}")
        self.result, self.c, self.likelihood = result, c, likelihood
        w = likelihood.weights
        self.weights = np.ones(likelihood.rows) if w is None else w
        self.left = np.minimum(self.weights, 1.0) if result.data.kind == "frequency" else self.weights
        self.scores = likelihood.scores(result.u)

    @cached_property
    def leverage(self) -> Array:
        """a tr(C H_n), (N,)."""
        values, vectors = np.linalg.eigh(self.c)
        directions = vectors * np.sqrt(np.maximum(values, 0.0))
        total = np.zeros(len(self.scores))
        for f in directions.T:
            if f.any():
                total -= self._along(STEP * f) @ f / STEP
        return self.left * total

    def _along(self, step: Array) -> Array:
        """The change of the scores along a step, without its terms of order 2, 3 and 4."""
        at, scores = self.result.u, self.result.likelihood.scores
        near, far = (scores(at + i * step) - scores(at - i * step) for i in (1, 2))
        return np.asarray((8 * near - far) / 12)

    @cached_property
    def alone(self) -> Array:
        """Rows that hold all the information along some direction, as far as one number can tell."""
        return np.flatnonzero(self.leverage > 1 - LOST)

    @cached_property
    def _factor(self) -> Array:
        factor = np.full(len(self.leverage), np.nan)
        there = self.leverage <= 1 - LOST
        factor[there] = self.left[there] / (1 - self.leverage[there])
        return factor

    @cached_property
    def distance(self) -> Array:
        """delta^T C^-1 delta, (N,)."""
        return np.asarray(self._factor**2 * ((self.scores @ self.c) * self.scores).sum(axis=1))

    def steps(self, rows: Array) -> Array:
        """delta (M, k)."""
        return -self._factor[rows, np.newaxis] * (self.scores[rows] @ self.c)

    def loglik(self) -> Array:
        """log p(y_n | x_n) without row n, to the second order of the step."""
        steps = self.steps(np.arange(len(self.scores)))
        with np.errstate(divide="ignore", invalid="ignore"):
            bent = np.where(self.left > 0, self.leverage / self.left, 0.0)
            size = ((self.scores @ self.c) * self.scores).sum(axis=1)
            second = 0.5 * self._factor**2 * bent * size
        terms = self.result.likelihood.terms(self.result.u)
        return np.asarray(terms + (self.scores * steps).sum(axis=1) - second)

    def refitted(self, n: int, result: Result) -> Array | None:
        """The variables at the maximum without row n, from the estimate; None where none was found."""
        if n in self.alone:
            return None
        data, weights, keep = result.data, self.weights.copy(), np.ones(len(self.weights), bool)
        weights[n] -= self.left[n]
        keep[n] = weights[n] > 0
        without = dataclasses.replace(
            data,
            x=tuple(each[keep] for each in data.x) if isinstance(data.x, tuple) else data.x[keep],
            target=data.target[keep],
            weights=None if data.weights is None else weights[keep],
            offset=None if data.offset is None else data.offset[keep],
            count=data.count - (float(self.left[n]) if data.kind == "frequency" else 1.0),
            rows=None,
        )
        likelihood = stack(result.cost, without)
        found = search(likelihood)
        if found.reason != "converged":
            return None
        return self.likelihood.variables.of_parameters(likelihood.variables.parameters(found.u))

    def change(self, n: int, u: Array) -> float:
        """log p(y_n | x_n) at u, less that at the estimate."""
        terms = self.result.likelihood.terms
        return float(terms(u)[n] - terms(self.result.u)[n])

    def residuals(self, of: str) -> Array:
        """y - E y, where y is of the shape of what is expected (ValueError)."""
        data, likelihood = self.result.data, self.result.likelihood
        mean = likelihood.response(self.result.u, data.x, data.offset)
        target = np.asarray(data.target)
        if of != "response":
            raise ValueError(
                f"residuals expects kind 'response' for a stack that is no regression, got {of!r}: its loss does not "
                "say the variance of y"
            )
        if target.ndim == 1 and target.dtype.kind in "iu" and mean.shape[1] > 1:
            target = np.eye(mean.shape[1])[target]
        if target.size != mean.size:
            raise ValueError(f"residuals expects y of the shape of its mean, {mean.shape}, got {target.shape}")
        found = target.reshape(mean.shape) - mean
        return np.asarray(found[:, 0] if found.shape[1] == 1 else found)
