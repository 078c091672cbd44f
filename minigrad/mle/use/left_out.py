"""Left out: what one row of a regression adds to the likelihood, and the estimate without it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from minigrad.derivatives.likelihoods import SIGMOID
from minigrad.mle.identification import complement
from minigrad.mle.likelihood import Likelihood, Local, Restricted
from minigrad.mle.regressions.firth import Firth
from minigrad.mle.regressions.links import Look, look
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.regressions.separation import questions
from minigrad.mle.search.maximize import maximize
from minigrad.mle.use.units import blocks, units_of
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.entry.data import Data
    from minigrad.mle.result import Result

LOST = 1e-9  # of the information along some direction, what is left by rounding when a row takes all of it


class Rows:
    """Each row by its units z_n = Z_n u: residual r = t - p, curvature P = -d2 log p/dz2, and V = Z C Z^T = cov(z).

    a_n is what is left out with a row: an observation of the w_n that it stands for, where the weights are frequencies,
    else all of it.  Without it the score at the estimate is -a Z^T r and the Hessian H - a Z^T P Z, so that Newton's
    step to the estimate without it is

        delta  =  -a C Z^T q,    q = (I - a P V)^-1 r,    z + Z delta  =  z - a V q

    Pregibon, Annals of Statistics 9 (1981) 705-724, with more than one unit.
    """

    def __init__(self, likelihood: Regression, u: Array, c: Array, data: Data) -> None:
        self.likelihood, self.u, self.c, self.data = likelihood, u, c, data
        target = np.asarray(data.target)
        coupled = likelihood.mean.coupled
        n, k = len(target), likelihood.classes
        self.target = target.reshape(n).astype(np.intp) if coupled else target.astype(float).reshape(n, k).T
        w = likelihood.weights
        self.weights = np.ones(n) if w is None else w
        self.left = np.minimum(self.weights, 1.0) if data.kind == "frequency" else self.weights  # a
        self.z, self.v = np.empty((n, k)), np.empty((n, k, k))
        for rows in blocks(n, k * likelihood.size):
            self.z[rows], by_u = self.units(rows)
            self.v[rows] = (by_u @ c) @ by_u.transpose(0, 2, 1)
        self.seen = self.look(self.z)
        self.residual = -self.seen.residual.T  # t - p

    def units(self, rows: slice | Array) -> tuple[Array, Array]:
        """z (M, K) and Z (M, K, k)."""
        offset = None if self.data.offset is None else self.data.offset[rows]
        return units_of(self.likelihood, self.u, self.data.x[rows], offset)

    def look(self, z: Array, rows: slice | Array = slice(None)) -> Look:
        """What rows say at z (M, K); the arrays of a Look are by class."""
        with np.errstate(over="ignore"):
            return look(self.likelihood.mean, z.T, self.target[..., rows])

    @cached_property
    def gap(self) -> Array:
        """log p(y | y) - log p(y | x), (N,): half the deviance."""
        if self.likelihood.mean is SIGMOID:
            t = self.target
            with np.errstate(divide="ignore", invalid="ignore"):
                best = np.where(t > 0, t * np.log(t), 0.0) + np.where(t < 1, (1 - t) * np.log1p(-t), 0.0)
            return np.asarray(np.maximum(best.sum(axis=0) - self.seen.terms, 0.0))
        return np.asarray(-self.seen.terms)

    @cached_property
    def curvature(self) -> Array:
        """P, (N, K, K)."""
        unit = np.eye(self.z.shape[1])
        curvature = self.seen.slope.T[:, :, np.newaxis] * unit
        if self.likelihood.mean.coupled:
            p = self.seen.p.T
            curvature -= p[:, :, np.newaxis] * p[:, np.newaxis] * (1 - unit)
        return np.asarray(curvature)

    @cached_property
    def taken(self) -> Array:
        """a P V, (N, K, K): what share of the information on z a row holds itself."""
        return np.asarray(self.left[:, np.newaxis, np.newaxis] * (self.curvature @ self.v))

    @cached_property
    def leverage(self) -> Array:
        """tr(a P V), (N,)."""
        return np.asarray(np.trace(self.taken, axis1=1, axis2=2))

    @cached_property
    def alone(self) -> Array:
        """Rows that hold all the information along some direction: without them it is not identified."""
        full = np.flatnonzero(self.leverage > 1 - LOST)
        largest = [float(np.abs(np.linalg.eigvals(self.taken[n])).max()) for n in full]
        return full[np.array(largest) > 1 - LOST] if full.size else full

    @cached_property
    def pull(self) -> Array:
        """q, (N, K); NaN where a row holds all the information along some direction."""
        left = np.eye(self.z.shape[1]) - self.taken
        left[self.alone] = np.eye(self.z.shape[1])
        q = np.linalg.solve(left, self.residual[:, :, np.newaxis])[:, :, 0]
        q[self.alone] = np.nan
        return np.asarray(q)

    @cached_property
    def distance(self) -> Array:
        """delta^T C^-1 delta, (N,)."""
        return np.asarray(self.left**2 * np.einsum("ni,nij,nj->n", self.pull, self.v, self.pull))

    def steps(self, rows: Array) -> Array:
        """delta (M, k): the variables without each row, one Newton step from the estimate, less the estimate."""
        by_u = self.units(rows)[1]
        pulled = np.einsum("nku,nk->nu", by_u, self.pull[rows]) @ self.c
        return np.asarray(-self.left[rows, np.newaxis] * pulled)

    def loglik(self) -> Array:
        """log p(y_n | x_n) at the estimate without row n, by one step, (N,)."""
        moved = self.z - self.left[:, np.newaxis] * np.einsum("nij,nj->ni", self.v, self.pull)
        return np.asarray(self.likelihood.terms(self.u) + self.look(moved).terms - self.seen.terms)

    def refitted(self, n: int, result: Result) -> Array | None:
        """The variables at the maximum without row n; None where there is none."""
        if isinstance(result.likelihood, Firth):
            raise ValueError(
                "leaving one out by kind 'exact' expects a likelihood that is a sum over rows, which Firth's penalty "
                "is not: fit the other rows, or take kind='one-step', in which the penalty stays"
            )
        null = result.null
        if n in self.alone or not self.exists(n):
            return None
        without: Likelihood = Without(self, n)
        start = np.zeros(self.u.size) if null.shape[1] else self.u
        if null.shape[1]:
            without = Restricted(without, self.u, complement(null))
            start = without.start
        found = maximize(without, start)
        if found.reason != "converged":
            return None
        return without.at(found.u) if isinstance(without, Restricted) else found.u

    def exists(self, n: int) -> bool:
        """There is a maximum without row n."""
        weights = self.weights.copy()
        weights[n] -= self.left[n]
        asked = questions(self.likelihood)
        return not any(each.answer(self.u, weights).kind in ("complete", "quasi") for each in asked)

    def change(self, n: int, u: Array) -> float:
        """log p(y_n | x_n) at u, less that at the estimate."""
        row = slice(n, n + 1)
        z, by_u = self.units(row)
        return float(self.look(z + by_u @ (u - self.u), row).terms[0] - self.look(z, row).terms[0])


class Without(Likelihood):
    """A regression without row n, or without one observation of those it stands for: J(u) + a log p(y_n | x_n)."""

    def __init__(self, rows: Rows, n: int) -> None:
        whole = rows.likelihood
        self.whole, self.left = whole, float(rows.left[n])
        self.size, self.rows, self.count, self.start = whole.size, whole.rows, whole.count, rows.u
        self.at = rows.u
        self.of, self.row = rows, slice(n, n + 1)
        z, by_u = rows.units(self.row)
        self.z, self.by_u = z, by_u[0]

    def evaluate(self, u: Array) -> Local:
        value, gradient, hessian = self.whole.evaluate(u)
        terms, residual, p, slope = (
            each[..., 0] for each in self.of.look(self.z + self.by_u @ (u - self.at), self.row)
        )
        curved = slope[:, np.newaxis] * self.by_u
        if self.whole.mean.coupled:
            curved = p[:, np.newaxis] * (self.by_u - p @ self.by_u)
        return Local(
            value + self.left * float(terms),
            gradient - self.left * (residual @ self.by_u),
            hessian - self.left * (self.by_u.T @ curved),
        )

    def penalty(self, u: Array) -> Local:
        return self.whole.penalty(u)

    @property
    def penalized(self) -> bool:
        return self.whole.penalized
