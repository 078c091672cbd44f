"""Skewness: the third derivative of a log-likelihood along lines."""

from __future__ import annotations

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL, SOFTMAX
from minigrad.mle.likelihood import Likelihood
from minigrad.mle.regressions.designs import NUMBERS
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


def largest_thirds(likelihood: Likelihood, directions: Array) -> Array:
    """What no |D3J[d, d, d]| exceeds for directions with d^T H d <= 1: (m,), infinite where that is not known.

    A third cumulant is no more than the variance times the furthest from the mean, and variances sum to 1 at most; no
    dz_n is larger than the ends of the columns make it.
    """
    if not isinstance(likelihood, Regression):
        return np.full(directions.shape[1], np.inf)
    design, m = likelihood.design, directions.shape[1]
    ends = np.maximum(np.abs(design.highest - design.centre), np.abs(design.centre - design.lowest)) * design.factor
    ends = np.append(ends, [1.0] * design.has_bias)
    by_class = np.tensordot(likelihood.contrast, directions.reshape(likelihood.units, likelihood.width, m), axes=1)
    furthest = np.einsum("kdm,d->km", np.abs(by_class), ends).max(axis=0, initial=0.0)
    return np.asarray(furthest * (2 if likelihood.mean.coupled else 1))


def _of_regression(regression: Regression, u: Array, directions: Array) -> Array:
    m = directions.shape[1]
    found = np.zeros(m)
    by_class = np.tensordot(regression.contrast, directions.reshape(regression.units, regression.width, m), axes=1)
    by_class = by_class.transpose(0, 2, 1).reshape(-1, regression.width)  # (K m, D)
    step = max(1, NUMBERS // (regression.classes * m))
    for _, design, seen, w in regression.looks(u, regression.units):
        for start in range(0, len(design), step):  # rows whose dz stay in the processor's cache
            rows = slice(start, start + step)
            dz = (by_class @ design[rows].T).reshape(regression.classes, m, -1)
            found += third_cumulants(regression, seen, dz, rows, w)
    return found


def third_cumulants(regression: Regression, seen: Look, dz: Array, rows: slice, w: Array | None) -> Array:
    """sum_n w_n times the third cumulant of sum_k y_k dz_k, for dz (K, m, n): (m,).

    sum_k p_k (dz_k - p.dz)^3 for the softmax, p (1 - p) (1 - 2 p) dz^3 for the sigmoid, p dz^3 for the exponential.
    """
    p, slope = seen.p[:, rows], seen.slope[:, rows]
    if regression.mean is SOFTMAX:
        dz = dz - np.einsum("kn,kmn->mn", p, dz)
        weights = p
    else:
        weights = p if regression.mean is EXPONENTIAL else slope * (1 - 2 * p)
    if w is not None:
        weights = weights * w[rows]
    cubes = dz * dz
    cubes *= dz  # powers are slow
    return np.asarray((cubes @ weights[:, :, np.newaxis])[:, :, 0].sum(axis=0))
