"""Skewness: the third derivative of a log-likelihood along lines."""

from __future__ import annotations

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL, SOFTMAX, Mean
from minigrad.mle.likelihood import Likelihood
from minigrad.mle.regressions.links import Look
from minigrad.mle.regressions.regression import Regression
from minigrad.typing import Array

STEP = 1e-3  # of a direction, for the difference of two Hessians


def third_derivatives(likelihood: Likelihood, u: Array, directions: Array) -> Array:
    """D3J(u)[d, d, d] for the columns d of `directions` (k, m), each about as long as one standard error: (m,).

    For a regression in one pass over the rows, sum_n w_n k3(dz_n); else (d^T H(u + h d) d - d^T H(u - h d) d) / 2 h.
    """
    if isinstance(likelihood, Regression):
        return _of_regression(likelihood, u, directions)
    found = np.empty(directions.shape[1])
    for j, d in enumerate(directions.T):
        ahead, behind = (float(d @ likelihood.evaluate(u + step * d).hessian @ d) for step in (STEP, -STEP))
        found[j] = (ahead - behind) / (2 * STEP)
    return found


def _of_regression(regression: Regression, u: Array, directions: Array) -> Array:
    found = np.zeros(directions.shape[1])
    for _, design, seen, w in regression._looks(u, regression.units):
        for j, d in enumerate(directions.T):
            dz = (regression.contrast @ d.reshape(regression.units, -1)) @ design.T  # (K, n)
            each = third_cumulants(regression.mean, seen, dz)
            found[j] += float(each.sum() if w is None else each @ w)
    return found


def third_cumulants(mean: Mean, seen: Look, dz: Array) -> Array:
    """The third cumulant of sum_k y_k dz_k for each row (n,).

    sum_k p_k (dz_k - p.dz)^3 for the softmax, p (1 - p) (1 - 2 p) dz^3 for the sigmoid, p dz^3 for the exponential.
    """
    if mean is SOFTMAX:
        return np.asarray((seen.p * (dz - (seen.p * dz).sum(axis=0)) ** 3).sum(axis=0))
    if mean is EXPONENTIAL:
        return np.asarray((seen.p * dz**3).sum(axis=0))
    return np.asarray((seen.slope * (1 - 2 * seen.p) * dz**3).sum(axis=0))
