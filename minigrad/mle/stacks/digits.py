"""How many digits of estimates and standard errors rounding leaves, found by rounding differently."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.search.maximize import Maximum
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.stacks.stack import Stack

EPS = float(np.finfo(float).eps)
MOST = 15.0
TRIALS, HESSIANS = 6, 2
SAFETY = 5.0


def digits_of(stack: Stack, found: Maximum) -> tuple[float, Array | None, float]:
    """(digits, the covariance H^-1, the noise of decrements), of a maximum; no digits where H is singular.

    Newton's step from u + e, off by rounding alone, leads to another estimate that is as good: how far it is off, and
    its standard errors, is what rounding makes of them.
    """
    h = found.objective.hessian
    covariance = inverse(h)
    if covariance is None:
        return 0.0, None, 0.0
    listing = stack.listing("reference")
    values, errors = listing.values(found.u), listing.errors(covariance)
    with np.errstate(all="ignore"):
        rng = np.random.default_rng(0)
        off = np.full(len(values), found.decrement) * errors if math.isfinite(found.decrement) else errors
        of_errors = np.zeros(len(values))
        noise = 0.0
        for trial in range(TRIALS):
            e = EPS * rng.choice([-2.0, -1.0, 1.0, 2.0], found.u.size)
            near = found.u + e * np.maximum(np.abs(found.u), 1e-3)
            gradient = stack.value_and_gradient(near)[1] + stack.penalty(near).gradient
            other = near - covariance @ gradient
            step = other - found.u
            apart = step + covariance @ found.objective.gradient  # from Newton's step at u itself
            noise = max(noise, math.sqrt(max(0.0, float(apart @ h @ apart))))
            off = np.maximum(off, np.abs(listing.scale * (listing.matrix @ step)))
            if trial < HESSIANS:
                again = inverse(stack.evaluate(other).hessian + stack.penalty(other).hessian)
                if again is None:
                    return 0.0, covariance, noise
                of_errors = np.maximum(of_errors, np.abs(listing.errors(again) / errors - 1))
        # An estimate that is 0, but for rounding, has no digits, and needs none.
        relative = off / np.maximum(np.abs(values), 1e-3 * errors)
        cancelled = EPS * (np.abs(listing.matrix) @ np.abs(found.u)) * listing.scale
        relative = np.maximum(relative, cancelled / np.maximum(np.abs(values), 1e-3 * errors))
        worst = max(float(relative.max()), float(of_errors.max()), stack.slopes.error, EPS)
    digits = min(MOST, -math.log10(SAFETY * worst)) if math.isfinite(worst) else 0.0
    return max(0.0, digits), covariance, noise


def inverse(hessian: Array) -> Array | None:
    """H^-1 by Cholesky's factors of H scaled to a diagonal of ones; None where it is not positive definite."""
    diagonal = np.diagonal(hessian)
    if not (np.isfinite(hessian).all() and (diagonal > 0).all()):
        return None
    units = np.sqrt(diagonal)
    try:
        root = np.linalg.inv(np.linalg.cholesky(hessian / units[:, np.newaxis] / units))
    except np.linalg.LinAlgError:
        return None
    return np.asarray((root.T @ root) / units[:, np.newaxis] / units)
