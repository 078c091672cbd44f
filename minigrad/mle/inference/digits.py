"""Digits: how many of a standard error are left, by the kind of its covariance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.identification import complement
from minigrad.mle.inference.roots import observed
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

EPS = float(np.finfo(float).eps)
OF_ROOTS = 32 * EPS  # what decompositions lose, by the condition


def of_sandwich(result: Result, half: Array) -> float:
    """The relative error of the standard errors |T^T a|, a = B^T m, of the sandwich B T T^T B^T, `half` = B T.

    With an error F of the bread, B (I + F) B^T, it is |T^T F a| / |T^T a|: more as |T^T a| is less than |T| |a|.
    """
    bread = observed(result)
    meat = np.linalg.lstsq(bread, half, rcond=None)[0]  # T
    size = np.linalg.norm(result.listing.matrix @ bread, axis=1) * np.linalg.norm(meat, 2)
    spread = np.linalg.norm(result.listing.matrix @ half, axis=1)
    counted = spread > 0
    return float(10.0**-result.maximum.digits * (size[counted] / spread[counted]).max(initial=1.0))


def of_scores(result: Result, squares: Array, w: Array | None, wrong: Array | float = 0.0) -> float:
    """The relative error of the inverse of `squares`, sum_n w_n^2 v_n v_n^T of v_n = B^T s_n.

    |v| counts, the rounding of a sum over |B| |s|, and what of the columns of v is `wrong` (k,) from the start; the
    inverse does not depend on B itself.
    """
    size = np.sqrt(np.diag(squares))
    if not (size > 0).all():
        return math.inf
    scaled = squares / size[:, np.newaxis] / size
    values = np.linalg.eigvalsh(scaled)
    if not values[0] > 0:
        return math.inf
    parts = np.abs(observed(result)).T @ np.sqrt(np.diag(result.likelihood.score_square(result.maximum.u, w)))
    condition = float(values[-1] / values[0])
    return float(((2 * EPS * parts + wrong) / size).max()) * math.sqrt(condition) + OF_ROOTS * condition


def of_expected(result: Result) -> float:
    """The relative error of the inverse of the expected information, by its condition."""
    basis = complement(result.null)
    matrix = result.likelihood.expected(result.maximum.u) + result.likelihood.penalty(result.maximum.u).hessian
    inner = basis.T @ matrix @ basis
    d = np.sqrt(np.diag(inner))
    return OF_ROOTS * float(np.linalg.cond(inner / d[:, np.newaxis] / d))
