"""Firth: the likelihood penalised by the information, whose maximum always exists and has less bias."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL, SOFTMAX
from minigrad.mle.identification import complement
from minigrad.mle.likelihood import Likelihood, Local, Restricted
from minigrad.mle.regressions.links import Look
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.regressions.rows import weighted_square
from minigrad.mle.regressions.sums import Sums
from minigrad.mle.search.inverses import inverse, inverse_of_triangle
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.search.objective import Point, point_at
from minigrad.mle.search.refinement import EPS, OF_ROOTS, OF_SUMS, digits_of
from minigrad.typing import Array

LEAST = 1e-14  # standard errors from the maximum: no nearer can be told
NEAR = 1e-7  # the same, from which on rounding alone may keep the search from coming nearer
UNTOLD = 1e-15  # the same, by the condition
CLOSE = 0.1  # the same, from which on the curvature hardly changes
PATIENCE, MEMORY, LONG = 3, 12, 40  # steps that come no nearer; that are remembered; of those that are close
SUFFICIENT = 1e-4  # of the descent that the gradient promises
HIDDEN = 1e-9  # of a value, relative, that the rounding of a determinant may hide
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
        if regression.data.kind == "sampling" and regression.weights is not None:
            raise ValueError(
                "Firth's penalty is not there for sampling weights: it weighs the information of the rows drawn, which "
                "such weights do not tell, so that the estimate would change with their unit. Fit kind='frequency' or "
                "'analytic' weights, or take penalty=1.0"
            )
        self.__dict__.update(vars(regression))
        self.basis = np.eye(self.size) if null is None else complement(null)
        self._last: tuple[Array, Local] | None = None
        self._seen: tuple[Array, Local, Array, Array] | None = None

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
        return self._penalty(u)[0]

    def covariance(self, u: Array) -> Array:
        """I^-1 at u, (k, k), 0 along the directions that change nothing."""
        return self._penalty(u)[1]

    def bend(self, u: Array) -> Array:
        """About the Hessian of J and of the penalty, (k, k): sum_n w_n (1 + c h_n) Q^T P_n Q (x) x_n x_n^T.

        The gradient is that of J with h_n / 2 more counts in each class of row n, of leverage h_n.  With these fixed it
        is the Hessian, exact where there are as many parameters as cells; by the information alone, steps of many
        parameters are too long.  c = K / (2 K - 2) for the softmax, 1 for the sigmoid, 0 for the exponential.
        """
        leverage = self._penalty(u)[2]
        if self.mean is EXPONENTIAL:
            return self.evaluate(u).hessian
        if self.mean is SOFTMAX:
            w = 1 + leverage[0] * (self.classes / (2 * self.classes - 2))
            w = w if self.weights is None else w * self.weights
            twin = copy.copy(self)
            twin.data = dataclasses.replace(self.data, weights=w)
            return Sums(twin, u).hessian
        blocks = np.zeros((self.units, self.width, self.units, self.width))
        for rows, design, seen, w in self.looks(u, self.units):
            each = seen.slope * (1 + leverage[:, rows])
            for k, own in enumerate(each if w is None else each * w):
                blocks[k, :, k] += weighted_square(design, own)
        return blocks.reshape(self.size, self.size)

    def _penalty(self, u: Array) -> tuple[Local, Array, Array]:
        """The penalty, I^-1 and the leverages; kept."""
        if self._seen is None or not np.array_equal(self._seen[0], u):
            self._seen = (u.copy(), *self._penalty_at(u))
        return self._seen[1:]

    def _penalty_at(self, u: Array) -> tuple[Local, Array, Array]:
        nothing = np.zeros((self.size, self.size))
        information, whole = self.evaluate(u).hessian, self.basis.shape[1] == self.size
        inner = information if whole else self.basis.T @ information @ self.basis
        try:
            d = np.sqrt(np.diag(inner))
            lower = np.linalg.cholesky(inner / d[:, np.newaxis] / d)
        except np.linalg.LinAlgError:
            return Local(math.inf, np.zeros(self.size), nothing), nothing, np.zeros((1, self.rows))
        value = -float(np.log(np.diag(lower)).sum() + np.log(d).sum())
        half = inverse_of_triangle(lower) / d
        half = half if whole else half @ self.basis.T
        covariance = half.T @ half
        pull, leverage = self._pull(u, covariance)
        return Local(value, -pull, nothing), covariance, leverage

    def _pull(self, u: Array, covariance: Array) -> tuple[Array, Array]:
        """The gradient of log det I / 2, sum_n w_n Q^T r_n (x) x_n, and leverages h (1 or K, N).

        r_n (K,) is half the third derivative by z of -log L in row n, times the covariance G_n (K, K) of z_n:
            softmax      r = p (q - p.q) / 2,  q_k = G_kk - 2 (G p)_k       h = sum_k p_k G_kk - p^T G p
            sigmoid      r = p (1 - p) (1 - 2 p) G_kk / 2                   h = p (1 - p) G_kk
            exponential  r = p G_kk / 2                                     h = p G_kk
        """
        blocks = covariance.reshape(self.units, self.width, self.units, self.width)
        pull = np.zeros((self.units, self.width))
        leverage = np.zeros((1 if self.mean is SOFTMAX else self.units, self.rows))
        for rows, design, seen, w in self.looks(u, self.units):
            each = _softmax_pull if self.mean is SOFTMAX else _own_pull
            r, h = each(self, seen, design, blocks)
            leverage[:, rows] = h if w is None else h * w
            pull += self.contrast.T @ (r if w is None else r * w) @ design
        return pull.ravel(), leverage


def _softmax_pull(regression: Regression, seen: Look, design: Array, blocks: Array) -> tuple[Array, Array]:
    rows, units, width, p = len(design), regression.units, regression.width, seen.p
    inner = np.empty((rows, units, units))
    for i in range(units):
        half = (design @ blocks[i, :, i:].reshape(width, -1)).reshape(rows, units - i, width)
        inner[:, i, i:] = inner[:, i:, i] = np.einsum("njd,nd->nj", half, design)
    g = np.einsum("ci,nij,dj->cdn", regression.contrast, inner, regression.contrast, optimize=True)
    gp = np.einsum("cdn,dn->cn", g, p)
    own = np.einsum("ccn->cn", g)
    q = own - 2 * gp
    leverage = (p * (own - gp)).sum(axis=0)
    return np.asarray(p * (q - (p * q).sum(axis=0)) / 2), leverage


def _own_pull(regression: Regression, seen: Look, design: Array, blocks: Array) -> tuple[Array, Array]:
    g = np.stack([((design @ blocks[k, :, k]) * design).sum(axis=1) for k in range(regression.units)])
    leverage = seen.slope * g
    return leverage / 2 if regression.mean is EXPONENTIAL else leverage * (1 - 2 * seen.p) / 2, leverage


def firth(likelihood: Likelihood, start: Array | None = None, max_iterations: int = 500) -> Maximum:
    """A maximum of log L + log det I / 2 of a regression, whole or restricted to a plane; ValueError for others.

    log det I is not concave, so that there may be several: it is the one that the search comes to from the base rates.

    u' = u - B g for the gradient g of the penalised -log L, where B is the inverse of `Firth.bend` with the last steps
    taken in as by L-BFGS (Nocedal and Wright, Numerical Optimization, section 7.2).
    """
    likelihood, basis = _penalized(likelihood)
    at = _look(likelihood, basis, likelihood.start if start is None else start)
    if at is None:
        raise ValueError("Firth's likelihood is not finite where the search begins: bring offset and x to usual sizes")
    pairs: list[tuple[Array, Array]] = []
    bend: Array | None = None
    best, since, iterations, reason = at, 0, 0, "no_progress"
    enough = LEAST
    while best.decrement > enough and (best.decrement > NEAR or since < PATIENCE):
        if iterations == max_iterations:
            reason = "max_iterations"
            break
        if at.decrement > CLOSE or bend is None:  # later it is nearly what it was
            bend = _inverse_bend(likelihood, basis, at)
        found = _searched(likelihood, basis, at, _direction(at, bend, pairs))
        if found is None and pairs:
            found = _searched(likelihood, basis, at, _direction(at, bend, []))
            pairs = []
        if found is None:
            break
        moved, bent = found.point.u - at.point.u, found.point.objective.gradient - at.point.objective.gradient
        if moved @ bent > 0:
            pairs = [*pairs[1 - (MEMORY if at.decrement > CLOSE else LONG) :], (moved, bent)]
        at, iterations = found, iterations + 1
        if at.decrement < NEAR and enough == LEAST:  # what no digit tells any more
            enough = max(LEAST, UNTOLD * _condition(at.point.local.hessian, basis))
        best, since = (at, 0) if at.decrement < best.decrement else (best, since + 1)
    u, local, objective = best.point
    condition = _condition(local.hessian, basis)
    digits = _digits_of(likelihood, best, condition)
    reason = "converged" if best.decrement <= NEAR else reason
    return Maximum(u, local, objective, iterations, reason, best.decrement, condition, digits)


def _digits_of(likelihood: Likelihood, best: _Look, condition: float) -> float:
    """As of other maxima; the penalty sums over the rows too, of terms as large as the condition."""
    u, covariance = best.point.u, best.covariance
    if not math.isfinite(condition):
        return 0.0
    of_residuals, of_units = likelihood.noise(u)
    step = -covariance @ best.point.objective.gradient
    error = EPS * of_residuals * (OF_SUMS * math.sqrt(condition) + of_units)
    of_errors = EPS * (OF_ROOTS * condition + of_units) + likelihood.reach(step)
    return digits_of(likelihood, u, covariance, step, error, of_errors)


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
    if isinstance(likelihood, Firth):
        covariance = likelihood.covariance(u)
    else:
        covariance = inverse(point.local.hessian, basis, "the information")
    return _Look(point, covariance, math.sqrt(max(0.0, float(g @ covariance @ g))))


def _inverse_bend(likelihood: Likelihood, basis: Array, at: _Look) -> Array:
    """About the inverse of the Hessian of the penalised likelihood."""
    u = at.point.u
    if isinstance(likelihood, Restricted) and isinstance(likelihood.whole, Firth):
        bend = likelihood.basis.T @ likelihood.whole.bend(likelihood.at(u)) @ likelihood.basis
    else:
        assert isinstance(likelihood, Firth)
        bend = likelihood.bend(u)
    try:
        return inverse(bend, basis, "the curvature")
    except ValueError:
        return at.covariance


def _direction(at: _Look, bend: Array, pairs: list[tuple[Array, Array]]) -> Array:
    """-B g, for the inverse B of the Hessian that fits the last steps, near `bend` else: the two loops of L-BFGS."""
    g, shares = at.point.objective.gradient, []
    for moved, bent in reversed(pairs):
        shares.append(float(moved @ g / (moved @ bent)))
        g = g - shares[-1] * bent
    step = bend @ g
    for (moved, bent), share in zip(pairs, reversed(shares), strict=True):
        step = step + moved * (share - float(bent @ step / (moved @ bent)))
    return -step


def _searched(likelihood: Likelihood, basis: Array, at: _Look, step: Array) -> _Look | None:
    """The first of u + step, u + step / 2, ... that is lower by enough; None where there is none."""
    u, _, objective = at.point
    descent, noise, length = -float(objective.gradient @ step), NOISE * abs(objective.value), 1.0
    while descent > 0 and length > 1e-10:
        found = _look(likelihood, basis, u + length * step)
        if found:
            fallen = objective.value - found.point.objective.value
            # Rounding of the determinant hides the last falls, of which the gradient tells.
            if fallen >= SUFFICIENT * length * descent - noise or (
                found.decrement < at.decrement / 2 and fallen >= -HIDDEN * (1 + abs(objective.value))
            ):
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
