"""Temperature and slope: the few numbers by which predicted logits are off, by maximum likelihood."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.typing import Array

ITERATIONS = 200
ROUNDING = 1e-14  # of log L: what is left to gain is below it, and another step as small


class Temperature(NamedTuple):
    """T of softmax(z / T), 1 where the logits are right, above 1 where they are too sure of themselves.

    NaN where none exists: `note` says why.
    """

    value: float
    se: float
    note: str = ""


class Line(NamedTuple):
    """logit P(y) = intercept + slope logit p: 0 and 1 where p is right.  NaN where none exists: `note` says why."""

    intercept: float
    intercept_se: float
    slope: float
    slope_se: float
    note: str = ""


def temperature(z: Array, target: Array, weights: Array, squares: Array | None = None) -> Temperature:
    """The T at which sum_n w_n log p(y_n | z_n / T) is greatest, z (N, K), with the error se(1/T) T^2.

    In b = 1/T it is concave, with the slopes sum w (z_t - mean z) at 0 and sum w (z_t - max z) at infinity: a maximum
    at a positive b needs the first to rise and the second to fall.  `squares`: how scores are weighed in a sandwich,
    sum_n squares_n s_n^2.  Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    # Logits of one row count only beside each other.
    z = z - z.max(axis=1, keepdims=True)
    largest = float(np.abs(z).max(initial=0.0))
    own = (target * z).sum(axis=1)
    if not largest:
        return Temperature(np.nan, np.nan, "all probabilities are alike, at any temperature")
    if not (own < 0).any():
        return Temperature(np.nan, np.nan, "every row is of its most probable class: the lower, the better")
    if weights @ (own - z.mean(axis=1)) <= 0:
        return Temperature(np.nan, np.nan, "equal probabilities foretell y better, at no finite temperature")
    b, cov = maximum(z[:, :, np.newaxis] / largest, target, weights, squares)
    return Temperature(float(largest / b[0]), float(np.sqrt(cov[0, 0]) * largest / b[0] ** 2))


def line(logits: Array, target: Array, weights: Array, squares: Array | None = None) -> Line:
    """The logistic regression of y on the logit of its predicted probability (N,), with standard errors.

    Cox, "Two further applications of a model for binary regression", Biometrika 45 (1958) 562-565.
    """
    nothing = (np.nan,) * 4
    zeros, ones = logits[target < 1], logits[target > 0]
    if not len(zeros) or not len(ones):
        return Line(*nothing, f"every row is {'in' if len(ones) else 'outside'} the class")
    if logits.min() == logits.max():
        return Line(*nothing, "all probabilities are alike")
    if zeros.max() <= ones.min() or ones.max() <= zeros.min():
        return Line(*nothing, "the probabilities tell the class from the others without an error: no finite slope")
    # Centred and of unit size, so that intercept and slope are found to all digits.
    centre = float(weights @ logits / weights.sum())
    size = float(np.abs(logits - centre).max())
    features = np.zeros((len(logits), 2, 2))
    features[:, 1, 0], features[:, 1, 1] = 1.0, (logits - centre) / size
    both = np.column_stack([1 - target, target])
    b, cov = maximum(features, both, weights, squares)
    back = np.array([[1.0, -centre / size], [0.0, 1 / size]])
    b, cov = back @ b, back @ cov @ back.T
    return Line(float(b[0]), float(np.sqrt(cov[0, 0])), float(b[1]), float(np.sqrt(cov[1, 1])))


def maximum(features: Array, target: Array, weights: Array, squares: Array | None = None) -> tuple[Array, Array]:
    """b (Q,) at which sum_n w_n log softmax(F_n b)_t is greatest, F (N, K, Q), and its covariance (Q, Q).

    By Newton's method from 0, where nothing is saturated; the maximum is known to exist, and F is of size 1.  The
    covariance is the inverse of the observed information, or a sandwich around sum_n squares_n s_n s_n^T.
    """
    b = np.zeros(features.shape[2])
    at = _local(features, target, weights, b)
    for _ in range(ITERATIONS):
        step = np.linalg.solve(at.hessian, at.gradient)
        gain = float(at.gradient @ step)
        length, found = 1.0, _local(features, target, weights, b + step)
        while found.value < at.value + 1e-4 * length * gain and length * gain > ROUNDING * max(1.0, abs(at.value)):
            length /= 2
            found = _local(features, target, weights, b + length * step)
        b, at = b + length * step, found
        if gain <= ROUNDING * max(1.0, abs(at.value)):  # the value says no more; this step was to the second order
            inverse = np.linalg.inv(at.hessian)
            return b, inverse if squares is None else inverse @ (at.scores.T * squares) @ at.scores @ inverse
    raise FloatingPointError(
        f"calibration expects logits for which Newton's method arrives, got none in {ITERATIONS} steps: a few are "
        "far beyond all others, leave those rows out"
    )


class _At(NamedTuple):
    """log L at b, its gradient, minus its Hessian, and the scores (N, Q)."""

    value: float
    gradient: Array
    hessian: Array
    scores: Array


def _local(features: Array, target: Array, weights: Array, b: Array) -> _At:
    z = features @ b
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    p = e / total
    value = float(weights @ (target * (z - np.log(total))).sum(axis=1))
    scores = np.einsum("nk,nkq->nq", target - p, features)
    mean = np.einsum("nk,nkq->nq", p, features)
    beside = features - mean[:, np.newaxis]
    hessian = np.einsum("n,nk,nkq,nkr->qr", weights, p, beside, beside, optimize=True)
    return _At(value, weights @ scores, hessian, scores)
