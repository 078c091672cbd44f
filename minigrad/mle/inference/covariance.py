"""The covariance of the estimates: from the curvature, from the scores, and from both."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.mle.entry.observations import groups_of
from minigrad.mle.identification import BESIDE, complement
from minigrad.mle.inference.digits import of_expected, of_sandwich, of_scores
from minigrad.mle.inference.once import once
from minigrad.mle.inference.roots import observed, root_of
from minigrad.mle.inference.rounding import rounding_of_scores
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.search.inverses import inverse_root
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

KINDS = ("observed", "expected", "opg", "HC0", "HC1", "cluster")
HARDLY = 0.05  # relative, of a covariance of which no digit is left
FEW = 20  # so few clusters make standard errors too small


def of_variables(result: Result, kind: str | None = None, groups: Any = None) -> Array:
    """The covariance of the variables u, (k, k), 0 along the directions that change nothing: see `root`."""
    half = root(result, kind, groups)
    return half @ half.T


def root(result: Result, kind: str | None = None, groups: Any = None) -> Array:
    """B (k, r) with B B^T the covariance of the variables u, (k, k), 0 along the directions that change nothing.

    With the Hessian H of -log L (and of the penalty, where the estimate is MAP: Laplace's approximation), the expected
    information F, scores s_n and weights w_n:

        observed  H^-1        expected  F^-1        opg  S^-1        HC0  H^-1 S H^-1        HC1  HC0 N / (N - k)
        cluster   H^-1 (sum_g s_g s_g^T) H^-1  G / (G - 1)  (N - 1) / (N - k),    s_g = sum_(n in g) w_n s_n

    S = sum_n w_n s_n s_n^T for frequency weights, else sum_n w_n^2 s_n s_n^T.  `kind` is `result.cov_type` if None.
    The factor of clusters is that of statsmodels, and of Stata for a regression; Stata's logit has G / (G - 1) alone.
    HC0: White, Econometrica 50 (1982) 1-25.  Clusters: Liang and Zeger, Biometrika 73 (1986) 13-22.  OPG: Berndt, Hall,
    Hall and Hausman, Annals of Economic and Social Measurement 3 (1974) 653-665.
    """
    result.require_estimate("standard errors")
    kind = result.cov_type if kind is None else kind
    if kind not in KINDS:
        raise ValueError(f"cov expects a kind of {', '.join(KINDS)}, got {kind!r}")
    if groups is not None and kind != "cluster":
        raise ValueError(f"cov expects groups with the kind 'cluster', got them with {kind!r}")
    if groups is None and kind == result.cov_type:
        return _own(result)
    return _root(result, kind, result.groups if groups is None else groups)


@once
def _own(result: Result) -> Array:
    """Of the covariance on which standard errors rest."""
    return _root(result, result.cov_type, result.groups)


def _root(result: Result, kind: str, groups: Any) -> Array:
    likelihood, u, of_bread = result.likelihood, result.maximum.u, observed(result)
    if _is_observed(result, kind):
        return of_bread
    if kind == "expected":
        matrix = likelihood.expected(u) + likelihood.penalty(u).hessian
        return inverse_root(matrix, complement(result.null), "the expected information")
    if kind == "opg":
        matrix = _squares(result) + of_bread.T @ likelihood.penalty(u).hessian @ of_bread
        wrong = rounding_of_scores(result, of_bread, _by_row(result))
        _require_scores(kind, np.sqrt(np.diag(matrix)), wrong)
        if not of_scores(result, matrix, _by_row(result), wrong) < HARDLY:
            matrix = np.zeros_like(matrix)
        return of_bread @ inverse_root(matrix, np.eye(len(matrix)), "the outer product of the scores")
    if kind == "cluster":
        codes, count = _clusters(result, groups)
        meat = likelihood.score_square(u, likelihood.weights, codes, of_bread)
        half, factor = of_bread @ root_of(meat), count / (count - 1) * _residual_factor(result, 1.0)
    else:
        codes, half = None, of_bread @ root_of(_squares(result))
        factor = 1.0 if kind == "HC0" else _residual_factor(result, 0.0)
    _require_scores(kind, *_spreads(result, kind, half, codes))
    return half * math.sqrt(factor)


def covariance(result: Result, kind: str | None = None, groups: Any = None) -> Array:
    """The covariance of the parameters listed, (m, m), of a `kind` of `of_variables`; NaN where not estimable."""
    listing = result.listing
    half = listing.matrix @ root(result, kind, groups)
    inner = half @ half.T
    inner = np.where(np.outer(result.estimable, result.estimable), inner, np.nan)
    # 1e200 (c 1e-200) has a value where (1e200 c) 1e-200 has none: mantissas and exponents apart.
    mantissa, exponent = np.frexp(listing.scale)
    return np.ldexp(mantissa[:, np.newaxis] * inner * mantissa, exponent[:, np.newaxis] + exponent)


@once
def digits(result: Result) -> float:
    """Decimal digits of the estimates and of their standard errors by `cov_type`."""
    known, kind = result.maximum.digits, result.cov_type
    if not result.verdict.exists or not known > 0 or _is_observed(result, kind):
        return known
    if kind == "expected":
        error = of_expected(result)
    elif kind == "opg":
        squares = _squares(result)
        wrong = rounding_of_scores(result, observed(result), _by_row(result))
        error = of_scores(result, squares, _by_row(result), wrong)
    else:
        half = root(result)
        codes = None if kind != "cluster" else _clusters(result, result.groups, quiet=True)[0]
        spread, wrong = _spreads(result, kind, half, codes)
        error = of_sandwich(result, half) + float((wrong[spread > 0] / spread[spread > 0]).max(initial=0.0))
    return min(known, max(0.0, -math.log10(error))) if error > 0 else known


def scores(result: Result) -> Array:
    """The derivative of each row's log-likelihood by each parameter listed, (N, m), unweighted.

    From those by u, params = S M u:  s M^+ S^-1, which for a listing of all classes is the derivative by each class.
    """
    return result.likelihood.scores(result.u) @ _back(result) / result.listing.scale


def information(result: Result) -> Array:
    """The observed information of the parameters listed, (m, m): the Hessian of -log L and of the penalty by them."""
    back, hessian = _back(result), result.maximum.objective.hessian
    result.require_estimate("information")
    mantissa, exponent = np.frexp(result.listing.scale)
    inner = back.T @ hessian @ back / mantissa[:, np.newaxis] / mantissa
    return np.ldexp(inner, -(exponent[:, np.newaxis] + exponent))


def _is_observed(result: Result, kind: str) -> bool:
    return kind == "observed" or (kind == "expected" and isinstance(result.likelihood, Regression))  # canonical links


def _squares(result: Result) -> Array:
    """B^T S B, which is S in the variables of which the bread is the identity."""
    return result.likelihood.score_square(result.maximum.u, _by_row(result), change=observed(result))


def _spreads(result: Result, kind: str, half: Array, codes: Array | None) -> tuple[Array, Array]:
    """The standard errors of the estimable parameters, but for their units, by `half`, and what of them is rounding."""
    bread, listed = observed(result), result.listing.matrix[result.estimable]
    w = result.likelihood.weights if kind == "cluster" else _by_row(result)
    return np.linalg.norm(listed @ half, axis=1), rounding_of_scores(result, bread @ (bread.T @ listed.T), w, codes)


def _require_scores(kind: str, size: Array, wrong: Array) -> None:
    """Scores are more than their rounding (ValueError)."""
    known = (wrong < HARDLY * size) | (wrong == 0)  # 0 of a parameter that is 0 itself
    if not known.all():
        what = "the scores are" if not known.any() else "combinations of the scores are"
        raise ValueError(
            f"there is no covariance of kind {kind!r} here: {what} 0, to rounding, since the model fits rows perfectly "
            "or nearly so, and what it leaves of y tells nothing of errors; take cov(kind='observed'), or fewer columns"
        )


def _by_row(result: Result) -> Array | None:
    w = result.likelihood.weights
    return np.sqrt(w) if w is not None and result.data.kind == "frequency" else w


def _residual_factor(result: Result, less: float) -> float:
    n = result.likelihood.count
    if n <= result.k:
        raise ValueError(f"the factor of N - k degrees of freedom needs N > k, got N = {n:g} and k = {result.k}")
    return (n - less) / (n - result.k)


def _clusters(result: Result, groups: Any, quiet: bool = False) -> tuple[Array, int]:
    rows = result.likelihood.rows
    if groups is None:
        raise ValueError(f"cov expects groups, one for each of {rows} rows, with the kind 'cluster', got None")
    codes, count = groups_of(groups, rows, result.data.rows, "cov")
    if count <= max(FEW, result.k) and not quiet:
        rank = f", and their covariance has rank {count - 1} at most" if count <= result.k else ""
        warnings.warn(
            f"standard errors from {count} clusters are too small as a rule{rank}: see Cameron and Miller, "
            "Journal of Human Resources 50 (2015) 317-372",
            stacklevel=6,
        )
    return codes, count


def _back(result: Result) -> Array:
    """M^+ (k, m), for params = S M u.  By QR: M holds means by spreads, beside which what is small is no rounding."""
    matrix, null = result.listing.matrix, result.null
    basis = np.eye(len(null))
    if np.linalg.norm(matrix @ null) <= BESIDE * np.linalg.norm(matrix):  # the listing keeps to what is identified
        basis = complement(null)
    q, r = np.linalg.qr(matrix @ basis)
    return np.asarray(basis @ np.linalg.solve(r, q.T))
