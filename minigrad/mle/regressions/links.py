"""Links: what a row says of its linear units z, for the softmax, the sigmoid and the exponential mean.

Arrays are by class, (K, n): few long vectors.  All are exact far out: 1 - p is a sum of other probabilities, and p - t
never the difference of two numbers that are nearly the same.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL, SOFTMAX, Mean
from minigrad.typing import Array

LARGE = 16  # counts from which on Stirling's series has all digits


class Look(NamedTuple):
    """What n rows say at z (K, n)."""

    terms: Array  # log p(y | x), (n,), without what does not depend on z: see `saturated`
    residual: Array  # p - t, (K, n)
    p: Array  # (K, n)
    slope: Array  # p' (K, n): p (1 - p), or the rate

    def turned(self, contrast: Array) -> Array:
        """Q_k - sum_j p_j Q_j for the rows Q_k of contrasts, (units, K, n): times sqrt(p_k), a root of Q^T P Q."""
        return np.asarray(contrast.T[:, :, np.newaxis] - (contrast.T @ self.p)[:, np.newaxis])


def look(mean: Mean, z: Array, target: Array) -> Look:
    """`target`: labels (n,) for the softmax, else numbers (K, n)."""
    if mean is SOFTMAX:
        return _softmax(z, target)
    return _exponential(z, target) if mean is EXPONENTIAL else _sigmoid(z, target)


def _softmax(z: Array, labels: Array) -> Look:
    """p = e / (1 + others), with e = e^(z - z_top) and `others` their sum without the top."""
    columns = np.arange(z.shape[1])
    top = z.argmax(axis=0)
    highest = z[top, columns]
    e = np.exp(z - highest)
    e[top, columns] = 0.0
    others = e.sum(axis=0)
    e[top, columns] = 1.0
    p = e / (1 + others)
    rest = 1 - p
    rest[top, columns] = others / (1 + others)
    residual = p.copy()
    residual[labels, columns] = -rest[labels, columns]
    return Look((z[labels, columns] - highest) - np.log1p(others), residual, p, p * rest)


def _sigmoid(z: Array, t: Array) -> Look:
    """p and q = 1 - p, each to all its digits;  p - t = (1 - t) p - t q."""
    positive = np.maximum(z, 0.0)
    below = z - positive  # min(z, 0)
    e = np.exp(below - positive)  # e^-|z|
    total = 1 + e
    on_top = z >= 0
    p, q = np.where(on_top, 1.0, e), np.where(on_top, e, 1.0)
    p /= total
    q /= total
    terms = t * z
    terms -= positive
    terms -= np.log1p(e)
    return Look(terms.sum(axis=0), (1 - t) * p - t * q, p, p * q)


def _exponential(z: Array, t: Array) -> Look:
    """log p(t | e^z) - log p(t | t)  =  -t (e^d - 1 - d),  d = z - log t:  no difference of large numbers."""
    rate = np.exp(z)
    some = t > 0
    d = z - np.log(np.where(some, t, 1.0))
    excess = np.where(some & (np.abs(d) < 1), t * (np.expm1(d) - d), rate - t - t * d)
    return Look(-excess.sum(axis=0), rate - t, rate, rate)


def saturated(mean: Mean, target: Array) -> Array:
    """log p(t | mean t) of each row (n,), for targets (K, n): t log t - t - log t! for counts, else 0.

    For large counts by Stirling's series, -log(2 pi t) / 2 - 1/(12 t) + ...: Loader, "Fast and accurate computation of
    binomial probabilities", 2000.
    """
    if mean is not EXPONENTIAL:
        return np.zeros(target.shape[-1])
    counts, where = np.unique(target, return_inverse=True)
    large = np.maximum(counts, LARGE)
    inverse = 1 / (large * large)
    series = (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - inverse / 1188) * inverse) * inverse) * inverse) / large
    stirling = -0.5 * np.log(2 * math.pi * large) - series
    small = [c * math.log(c) - c - math.lgamma(c + 1) if 0 < c < LARGE else 0.0 for c in counts]
    each = np.where(counts < LARGE, small, stirling)
    return np.asarray(each[where].reshape(target.shape).sum(axis=0))


def contrasts(classes: int) -> Array:
    """Q (K, K - 1): orthonormal columns, each of sum 0 (Helmert)."""
    q = np.zeros((classes, classes - 1))
    for j in range(classes - 1):
        q[: j + 1, j], q[j + 1, j] = 1.0, -(j + 1.0)
    return q / np.sqrt((q * q).sum(axis=0))
