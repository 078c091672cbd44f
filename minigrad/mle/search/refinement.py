"""Refinement: the last digits of a maximum, and how many there are.

Errors of rounding in the residuals of the rows act as noise of the data does, only smaller: an error d_n where the
model expects a standard deviation s_n moves every parameter by at most max |d_n / s_n| of its standard errors.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad.mle.likelihood import Likelihood, Restricted
from minigrad.mle.search.solving import Scaled
from minigrad.typing import Array

EPS = float(np.finfo(float).eps)
ENOUGH, OF_MANY, MANY = 12.0, 10.5, 2**14  # digits, of which nothing is refined; of so many rows, where that costs
MOST = 15.5  # digits that are ever promised
SAFETY = 2.0
PASSES = 6
FIXED = 1e-12  # of a parameter, that a unit of any variable changes no more: it is known
SMALL = 1e-6  # standard errors, below which an estimate is as good as 0
OF_SUMS = 64.0  # eps: what sums over rows in doubles lose, beside the root of what they sum the squares of
OF_ROOTS = 32.0  # eps: what decompositions lose


class Refined(NamedTuple):
    """A maximum to as many digits as there are."""

    u: Array
    gradient: Array | None  # of the objective, where it was summed without loss
    covariance: Array | None
    condition: float
    decrement: float
    digits: float


def refined(likelihood: Likelihood, u: Array, scaled: Scaled, gradient: Array) -> Refined:
    """u as it is where that is enough, else by sums without loss and a QR decomposition."""
    condition, covariance = scaled.condition, scaled.inverse
    of_residuals, of_units = likelihood.noise(u)
    step = -covariance @ gradient
    decrement = math.sqrt(max(0.0, -float(step @ gradient)))
    error = EPS * of_residuals * (OF_SUMS * math.sqrt(condition) + of_units)
    of_errors = EPS * (OF_ROOTS * condition + of_units) + likelihood.reach(step)
    digits = digits_of(likelihood, u, covariance, step, error, of_errors) if math.isfinite(condition) else 0.0
    if digits >= (ENOUGH if likelihood.rows < MANY else OF_MANY) or not u.size:
        return Refined(u, None, None, condition, decrement, digits)
    better = _by_root(likelihood, u, step)
    if better is None:
        return Refined(u, None, None, condition, decrement, digits)
    found, length, step = u, math.inf, np.zeros(len(u))
    for _ in range(PASSES):
        found = found + step
        gradient = likelihood.precise_gradient(found) + likelihood.penalty(found).gradient
        step = -better.solve(gradient)
        decrement = math.sqrt(max(0.0, -float(step @ gradient)))
        if (np.abs(step) <= 2 * EPS * np.abs(found)).all() or not decrement < length / 2:
            break
        length = decrement
    better = _by_root(likelihood, found, step)
    if better is None or not np.isfinite(found).all():  # rounding has the say
        return Refined(u, None, None, math.inf, decrement, 0.0)
    covariance, condition = better.inverse, better.condition
    of_residuals, of_units = likelihood.noise(found, covariance)
    error = EPS * of_residuals * 4
    of_errors = EPS * (OF_ROOTS * math.sqrt(condition) + of_units)
    digits = digits_of(likelihood, found, covariance, step, error, of_errors, precise=True)
    return Refined(found, gradient, covariance, condition, decrement, digits)


def _by_root(likelihood: Likelihood, u: Array, beside: Array) -> Scaled | None:
    """The Hessian by its root; None where there is none, or where rounding leaves a direction without curvature."""
    root = likelihood.root(u, beside)
    found = None if root is None else Scaled.of_root(root)
    return None if found is None or not math.isfinite(found.condition) else found


def digits_of(
    likelihood: Likelihood,
    u: Array,
    covariance: Array,
    left: Array,
    error: float,
    of_errors: float,
    precise: bool = False,
) -> float:
    """Of the parameters and their standard errors: what is left of the way, an `error` in standard errors, and eps.

    Of a `precise` gradient, row by row: a parameter that only rows of tiny residuals know has its digits too.  Digits
    are those of an estimate as it is, down to a millionth of its standard error: below, they are those of that.
    """
    matrix, whole, basis = _shown(likelihood, u)
    values, by_u = matrix @ whole, matrix @ basis
    variances = np.einsum("ij,jk,ik->i", by_u, covariance, by_u, optimize=True)
    counted = np.abs(by_u).max(axis=1, initial=0.0) > FIXED
    if not np.isfinite(variances).all() or not (variances[counted] > 0).all():
        return 0.0
    spread = np.sqrt(np.where(counted, variances, 0.0))
    moved = error * spread
    along = likelihood.noise_along(u, by_u @ covariance) if precise else None
    if along is not None:
        moved = np.minimum(moved, EPS * along)
    wrong = np.abs(by_u @ left) + moved + 2 * EPS * (np.abs(matrix) @ np.abs(whole))
    # What is no more than its error is 0, and has no digits of its own.
    size = np.where(np.abs(values) > 8 * wrong, np.maximum(np.abs(values), SMALL * spread), spread)
    # Of a parameter that is the difference of others, as a constant far from the data, the covariance cancels.
    lost = EPS * np.einsum("ij,jk,ik->i", np.abs(by_u), np.abs(covariance), np.abs(by_u), optimize=True)
    worst = max(
        float((wrong[counted] / size[counted]).max(initial=0.0)),
        float((lost[counted] / variances[counted]).max(initial=0.0)) + of_errors,
        10.0**-MOST,
    )
    return max(0.0, -math.log10(SAFETY * worst)) if math.isfinite(worst) else 0.0


def _shown(likelihood: Likelihood, u: Array) -> tuple[Array, Array, Array]:
    """(M, v, B): parameters as they are listed, but for their units, M v, with v = origin + B u."""
    if isinstance(likelihood, Restricted):
        matrix, whole, basis = _shown(likelihood.whole, likelihood.at(u))
        return matrix, whole, basis @ likelihood.basis
    try:
        matrix = likelihood.listing("reference").matrix
    except NotImplementedError:
        matrix = np.eye(len(u))
    return matrix, u, np.eye(len(u))
