"""Firth: the likelihood penalised by the information, whose maximum always exists and has less bias."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL, SOFTMAX
from minigrad.mle.identification import complement
from minigrad.mle.inference.covariance import inverse
from minigrad.mle.likelihood import Likelihood, Local, Restricted
from minigrad.mle.regressions.links import Look
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.search.objective import Point, point_at
from minigrad.typing import Array

LEAST = 1e-14  # standard errors from the maximum: no nearer can be told
NEAR = 1e-7  # the same, from which on rounding alone may keep the search from coming nearer
PATIENCE, MEMORY = 3, 12  # steps that come no nearer; steps that are remembered
SUFFICIENT = 1e-4  # of the descent that the gradient promises
NOISE = 4 * float(np.finfo(float).eps)  # of a value, relative to itself


class Firth(Regression):
    """log L(u) + log det I(u) / 2, for the information I(u) of a regression: Jeffreys' prior.

    Where the columns of x are collinear, the determinant is that on the complement of `null` (k, M).  The Hessian of
    the penalty is left out: standard errors are those of the information at the estimate, as in logistf and brglm2.
    Firth, Biometrika 80 (1993) 27-38; Kosmidis and Firth, ibid. 96 (2009) 793-804 and, that it is finite, 108 (2021)
    71-82.
    """

    def __init__(self, regression: Regression, null: Array | None = None) -> None:
        if regression.penalized:
            raise ValueError("Firth's penalty cannot stand beside another: fit a cost without a penalty")
        self.__dict__.update(vars(regression))
        self.basis = np.eye(self.size) if null is None else complement(null)
        self._last: tuple[Array, Local] | None = None

    @property
    def penalized(self) -> bool:
        return True

    def evaluate(self, u: Array) -> Local:
        """As of the regression; kept, since the penalty is made of it."""
        last = self._last
        if last is None or not np.array_equal(last[0], u):
            self._last = last = (u.copy(), super().evaluate(u))
        return last[1]

    def penalty(self, u: Array) -> Local:
        """-log det I / 2, and -tr(I^-1 dI/du) / 2."""
        nothing = np.zeros((self.size, self.size))
        information = self.evaluate(u).hessian
        inner = self.basis.T @ information @ self.basis
        try:
            d = np.sqrt(np.diag(inner))
            lower = np.linalg.cholesky(inner / d[:, np.newaxis] / d)
        except np.linalg.LinAlgError:
            return Local(math.inf, np.zeros(self.size), nothing)
        value = -float(np.log(np.diag(lower)).sum() + np.log(d).sum())
        half = np.linalg.solve(lower, self.basis.T / d[:, np.newaxis])
        return Local(value, -self._pull(u, half.T @ half), nothing)

    def _pull(self, u: Array, covariance: Array) -> Array:
        """The gradient of log det I / 2: sum_n w_n Q^T r_n (x) x_n.

        r_n (K,) is half the third derivative by z of -log L in row n, times the covariance G_n (K, K) of z_n:
            softmax      r = p (q - p.q) / 2,  q_k = G_kk - 2 (G p)_k
            sigmoid      r = p (1 - p) (1 - 2 p) G_kk / 2
            exponential  r = p G_kk / 2
        """
        blocks = covariance.reshape(self.units, self.width, self.units, self.width)
        pull = np.zeros((self.units, self.width))
        for _, design, seen, w in self._looks(u, self.units):
            r = (
                self._softmax_pull(seen.p, design, blocks)
                if self.mean is SOFTMAX
                else self._own_pull(seen, design, blocks)
            )
            pull += self.contrast.T @ (r if w is None else r * w) @ design
        return pull.ravel()

    def _softmax_pull(self, p: Array, design: Array, blocks: Array) -> Array:
        rows, units = len(design), self.units
        inner = np.empty((rows, units, units))
        for i in range(units):
            half = (design @ blocks[i].reshape(self.width, -1)).reshape(rows, units, self.width)
            inner[:, i] = np.einsum("njd,nd->nj", half, design)
        g = np.einsum("ci,nij,dj->cdn", self.contrast, inner, self.contrast, optimize=True)
        gp = np.einsum("cdn,dn->cn", g, p)
        q = np.einsum("ccn->cn", g) - 2 * gp
        return np.asarray(p * (q - (p * q).sum(axis=0)) / 2)

    def _own_pull(self, seen: Look, design: Array, blocks: Array) -> Array:
        g = np.stack([((design @ blocks[k, :, k]) * design).sum(axis=1) for k in range(self.units)])
        return np.asarray((seen.p if self.mean is EXPONENTIAL else seen.slope * (1 - 2 * seen.p)) * g / 2)


def firth(likelihood: Likelihood, start: Array | None = None, max_iterations: int = 500) -> Maximum:
    """The maximum of log L + log det I / 2 of a regression, whole or restricted to a plane; ValueError for others.

    Fisher's scoring, u' = u - I^-1 g for the gradient g of the penalised -log L, with the last steps taken in as by
    L-BFGS (Nocedal and Wright, Numerical Optimization, section 7.2): for few rows the penalty bends as much as they do.
    """
    likelihood, basis = _penalized(likelihood)
    at = _look(likelihood, basis, likelihood.start if start is None else start)
    if at is None:
        raise ValueError("Firth's likelihood is not finite where the search begins: bring offset and x to usual sizes")
    pairs: list[tuple[Array, Array]] = []
    best, since, iterations, reason = at, 0, 0, "no_progress"
    while best.decrement > LEAST and (best.decrement > NEAR or since < PATIENCE):
        if iterations == max_iterations:
            reason = "max_iterations"
            break
        found = _searched(likelihood, basis, at, _direction(at, pairs))
        if found is None and pairs:
            found = _searched(likelihood, basis, at, _direction(at, []))
            pairs = []
        if found is None:
            break
        moved, bent = found.point.u - at.point.u, found.point.objective.gradient - at.point.objective.gradient
        if moved @ bent > 0:
            pairs = [*pairs[1 - MEMORY :], (moved, bent)]
        at, iterations = found, iterations + 1
        best, since = (at, 0) if at.decrement < best.decrement else (best, since + 1)
    u, local, objective = best.point
    condition = _condition(local.hessian, basis)
    digits = max(0.0, min(16 - math.log10(condition) - 2, -math.log10(max(best.decrement, 1e-16))))
    reason = "converged" if best.decrement <= NEAR else reason
    return Maximum(u, local, objective, iterations, reason, best.decrement, condition, digits)


class _Look(NamedTuple):
    """The penalised likelihood at u, the inverse of the information, and sqrt(g^T I^-1 g) of its gradient."""

    point: Point
    covariance: Array
    decrement: float


def _look(likelihood: Likelihood, basis: Array, u: Array) -> _Look | None:
    """None where the penalised likelihood is 0 in double precision."""
    point = point_at(likelihood, u)
    g = point.objective.gradient
    if not (math.isfinite(point.objective.value) and np.isfinite(g).all()):
        return None
    covariance = inverse(point.local.hessian, basis, "the information")
    return _Look(point, covariance, math.sqrt(max(0.0, float(g @ covariance @ g))))


def _direction(at: _Look, pairs: list[tuple[Array, Array]]) -> Array:
    """-B g, for the inverse B of the Hessian that fits the last steps, near I^-1 else: the two loops of L-BFGS."""
    g, shares = at.point.objective.gradient, []
    for moved, bent in reversed(pairs):
        shares.append(float(moved @ g / (moved @ bent)))
        g = g - shares[-1] * bent
    step = at.covariance @ g
    for (moved, bent), share in zip(pairs, reversed(shares), strict=True):
        step = step + moved * (share - float(bent @ step / (moved @ bent)))
    return -step


def _searched(likelihood: Likelihood, basis: Array, at: _Look, step: Array) -> _Look | None:
    """The first of u + step, u + step / 2, ... that is lower by enough; None where there is none."""
    u, _, objective = at.point
    descent, noise, length = -float(objective.gradient @ step), NOISE * abs(objective.value), 1.0
    while descent > 0 and length > 1e-10:
        found = _look(likelihood, basis, u + length * step)
        if found and found.point.objective.value <= objective.value - SUFFICIENT * length * descent + noise:
            return found
        length /= 2
    return None


def _penalized(likelihood: Likelihood) -> tuple[Likelihood, Array]:
    """The likelihood with Firth's penalty, and a basis of what identifies it."""
    if isinstance(likelihood, Firth):
        return likelihood, likelihood.basis
    if isinstance(likelihood, Regression):
        return Firth(likelihood), np.eye(likelihood.size)
    if isinstance(likelihood, Restricted) and isinstance(likelihood.whole, Regression):
        whole = likelihood.whole
        if not isinstance(whole, Firth):
            whole = Firth(whole, complement(np.linalg.qr(likelihood.basis)[0]))
        return Restricted(whole, likelihood.origin, likelihood.basis), np.eye(likelihood.size)
    raise ValueError(
        "Firth's penalty is there for linear units under a softmax, a sigmoid or an exponential mean alone: "
        "take another penalty, such as penalty=1.0"
    )


def _condition(matrix: Array, basis: Array) -> float:
    inner = basis.T @ matrix @ basis
    d = np.sqrt(np.diag(inner))
    return float(np.linalg.cond(inner / d[:, np.newaxis] / d)) if len(d) else 1.0
