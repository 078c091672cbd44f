"""Separation: whether the maximum of a regression's likelihood exists, and what holds it."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.existence import Existence, existence
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.regressions.rows import leverages
from minigrad.typing import Array

HARDLY = 1e-3  # so small beside the furthest logit, what the classes overlap by is hardly there
HOLDS = 0.1  # of a row without which the estimate may not exist: see `_far`, for rows of no more than 9 times its logit
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
            likelihood.data.x,
            self.target,
            start=start,
            **self.options(),
            weights=weights,
            likelihood=likelihood.family,
            columns=likelihood.columns,
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
    they would be separated, among the ten that are most likely to hold the estimate.
    """
    overlap = overlapping(likelihood, u)
    if overlap is not None:
        return "the classes overlap by next to nothing", overlap
    far = _far(likelihood, u, covariance)
    for row in far[:CANDIDATES]:
        others = np.arange(likelihood.rows) != row
        if any(each.answer(u, others.astype(float)).kind in ("complete", "quasi") for each in questions(likelihood)):
            return "one observation alone keeps the classes from being separated", [int(row)]
    return None


def _far(likelihood: Regression, u: Array, covariance: Array) -> Array:
    """Rows, the furthest first, whose leverage h_n and w_n s_n^T C s_n / e_n, e_n = |p - t|, sum to HOLDS or more.

    If the others are separated along d without row n, its score alone holds them: e_n |U_n| = sum_m e_m |U_m|, so that
    d^T H d <= (1 - e_n) e_n U_n^2 + M |U_n| e_n |U_n|, where M |U_n| is the largest |U|; and for q = x_n^T C x_n

        h_n + s_n^T C s_n / e_n  =  e_n q  >=  e_n U_n^2 / d^T H d  >=  1 / (1 - e_n + M)
    """
    w = likelihood.weights
    if not _longest(likelihood, covariance) * (1.0 if w is None else float(w.max())) >= HOLDS:
        return np.zeros(0, int)
    root = _root(covariance)
    holds = leverages(likelihood, u, covariance)
    for rows, _, seen, own in likelihood.looks(u, likelihood.units):
        moved = likelihood.scores_of(u, rows) @ root
        error = np.abs(seen.residual).max(axis=0)
        square = np.einsum("nj,nj->n", moved, moved) * (1.0 if own is None else own)
        holds[rows] += np.divide(square, error, out=np.zeros_like(square), where=error > 0)
    single = np.full(len(holds), True) if w is None or likelihood.data.kind != "frequency" else w <= 1
    far = np.flatnonzero((holds >= HOLDS) & single)
    return far[np.argsort(-holds[far], kind="stable")]


def _longest(likelihood: Regression, covariance: Array) -> float:
    """No h + s^T C s / e is larger, with columns between their ends; infinite for counts."""
    if likelihood.family == "poisson":
        return float("inf")
    design, units = likelihood.design, likelihood.units
    ends = design.ends
    blocks = np.abs(covariance.reshape(units, design.width, units, design.width))
    by_unit = np.einsum("j,ijkl,l->ik", ends, blocks, ends)
    return float(by_unit.sum()) * 2.5  # e + p' <= 5/4 for a sigmoid; under a softmax s is no longer than sqrt(2) e |x|


def overlapping(likelihood: Regression, u: Array) -> list[int] | None:
    """The rows on the wrong side, if all are so by next to nothing."""
    if likelihood.family == "poisson":
        return None
    coefficients, clearly = likelihood.by_class(u), HARDLY * 2 * likelihood.furthest(u)
    margins, furthest = np.empty(likelihood.rows), 0.0
    for rows, design in likelihood.design.blocks():
        z = likelihood.units_of(coefficients, design, rows)
        target = likelihood.target[..., rows]
        if likelihood.family == "softmax":
            places = np.arange(z.shape[1])
            own = z[target, places]
            furthest = max(furthest, float((z.max(axis=0) - z.min(axis=0)).max(initial=0.0)))
            z[target, places] = -np.inf
            margin = own - z.max(axis=0)
        else:
            furthest = max(furthest, float(np.abs(z).max(initial=0.0)))
            margin = (np.sign(2 * target - 1) * z).min(axis=0)
        if -margin.min(initial=0.0) >= clearly:  # and no row can be so far that this is little
            return None
        margins[rows] = margin
    wrong = np.flatnonzero(margins < 0)
    return wrong.tolist() if len(wrong) and -margins.min() < HARDLY * furthest else None


def _root(covariance: Array) -> Array:
    """R with R R^T = C."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
