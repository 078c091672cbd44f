"""Separation: whether the maximum of a regression's likelihood exists, and what holds it."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.existence import Existence, existence
from minigrad.mle.regressions.regression import Regression
from minigrad.typing import Array

HARDLY = 1e-3  # so small beside the furthest logit, what the classes overlap by is hardly there
MOVES = 0.1  # s^T C s of a row without which the estimate may not exist: the square of how far it moves the estimate
CANDIDATES = 10  # of these are looked at


class Question:
    """The existence of the maximum of one output, or of all outputs of a softmax together."""

    def __init__(self, likelihood: Regression, output: int | None) -> None:
        self.likelihood, self.output = likelihood, output
        target = np.asarray(likelihood.data.target)
        self.target = target if output is None else target.reshape(likelihood.rows, -1)[:, output]

    def answer(self, u: Array, weights: Array | None) -> Existence:
        """With a certificate; u, the best that is known, makes it come sooner."""
        likelihood = self.likelihood
        weight, bias = likelihood.coefficients(u)
        start = weight if bias is None else np.column_stack([weight, bias])
        if self.output is not None:
            start = start[self.output : self.output + 1]
        return existence(
            likelihood.data.x, self.target, start=start, **self.options(), weights=weights, likelihood=likelihood.family
        )

    def check(self, found: Existence) -> bool:
        """The certificate holds, in exact arithmetic."""
        data = self.likelihood.data
        return found.check(data.x, self.target, **self.options(), weights=data.weights)

    def options(self) -> dict[str, Any]:
        """What existence and its check both take."""
        likelihood = self.likelihood
        classes = likelihood.classes if self.output is None else None
        return {"classes": classes, "bias": likelihood.has_bias, "free": likelihood.free}


def questions(likelihood: Regression) -> list[Question]:
    """One for a softmax, else one for each output."""
    if likelihood.mean.coupled:
        return [Question(likelihood, None)]
    return [Question(likelihood, k) for k in range(likelihood.classes)]


def held_by(likelihood: Regression, u: Array, covariance: Array) -> tuple[str, list[int]] | None:
    """Why the maximum hardly exists, and the rows that hold it; None where it does well.

    The classes overlap by less than a thousandth of what the furthest row is apart; or without some one observation
    they would be separated.
    """
    overlap = overlapping(likelihood, u)
    if overlap is not None:
        return "the classes overlap by next to nothing", overlap
    moves = _moves(likelihood, u, covariance)
    w = likelihood.weights
    single = np.full(len(moves), True) if w is None or likelihood.data.kind != "frequency" else w <= 1
    far = np.flatnonzero((moves >= MOVES) & single)
    for row in far[np.argsort(-moves[far], kind="stable")][:CANDIDATES]:
        others = np.arange(likelihood.rows) != row
        if any(each.answer(u, others.astype(float)).kind in ("complete", "quasi") for each in questions(likelihood)):
            return "one observation alone keeps the classes from being separated", [int(row)]
    return None


def _moves(likelihood: Regression, u: Array, covariance: Array) -> Array:
    """w_n^2 s_n^T C s_n, (N,).

    If the others are separated along d without row n, its score alone holds them: e_n |U_n| = sum of theirs, so that
    s^T C s >= (s.d)^2 / d^T H d >= e_n |U_n| / ((1 - e_n) |U_n| + max |U|), for the sigmoid, with e = |p - t|.
    """
    moves = np.empty(likelihood.rows)
    for rows in likelihood.design.slices(2 * likelihood.units):
        s = likelihood.scores_of(u, rows)
        moves[rows] = ((s @ covariance) * s).sum(axis=1)
    return moves if likelihood.weights is None else moves * likelihood.weights**2


def overlapping(likelihood: Regression, u: Array) -> list[int] | None:
    """The rows on the wrong side, if all are so by next to nothing."""
    if likelihood.family == "poisson":
        return None
    z = likelihood.logits(u)
    if likelihood.family == "softmax":
        label = np.asarray(likelihood.data.target)
        own = z[np.arange(len(z)), label]
        others = z.copy()
        others[np.arange(len(z)), label] = -np.inf
        margin, furthest = own - others.max(axis=1), float(np.ptp(z, axis=1).max())
    else:
        target = np.asarray(likelihood.data.target, dtype=float).reshape(z.shape)
        margin, furthest = (np.sign(2 * target - 1) * z).min(axis=1), float(np.abs(z).max())
    wrong = np.flatnonzero(margin < 0)
    return wrong.tolist() if len(wrong) and -margin.min() < HARDLY * furthest else None
