"""The covariance of the estimates: from the curvature, from the scores, and from both."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.mle.identification import BESIDE, complement
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

KINDS = ("observed", "expected", "opg", "HC0", "HC1", "cluster")
FEW = 20  # so few clusters make standard errors too small


def of_variables(result: Result, kind: str | None = None, groups: Any = None) -> Array:
    """The covariance of the variables u, (k, k), 0 along the directions that change nothing.

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
    if groups is None and kind == "cluster":
        groups = result.groups
    elif groups is not None and kind != "cluster":
        raise ValueError(f"cov expects groups with the kind 'cluster', got them with {kind!r}")
    likelihood, u, basis = result.likelihood, result.maximum.u, complement(result.null)
    if kind == "expected":
        return inverse(likelihood.expected(u) + likelihood.penalty(u).hessian, basis, "the expected information")
    if kind == "opg":
        return inverse(_squares(result) + likelihood.penalty(u).hessian, basis, "the outer product of the scores")
    bread = _bread(result, basis)
    if kind == "observed":
        return bread
    if kind == "cluster":
        codes, count = _clusters(result, groups)
        meat = score_squares(result, None if likelihood.weights is None else likelihood.weights, codes)
        return bread @ meat @ bread * (count / (count - 1) * _residual_factor(result, 1.0))
    return bread @ _squares(result) @ bread * (1.0 if kind == "HC0" else _residual_factor(result, 0.0))


def covariance(result: Result, kind: str | None = None, groups: Any = None) -> Array:
    """The covariance of the parameters listed, (m, m), of a `kind` of `of_variables`; NaN where not estimable."""
    listing = result.listing
    inner = listing.matrix @ of_variables(result, kind, groups) @ listing.matrix.T
    inner = np.where(np.outer(result.estimable, result.estimable), inner, np.nan)
    # 1e200 (c 1e-200) has a value where (1e200 c) 1e-200 has none: mantissas and exponents apart.
    mantissa, exponent = np.frexp(listing.scale)
    return np.ldexp(mantissa[:, np.newaxis] * inner * mantissa, exponent[:, np.newaxis] + exponent)


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


def score_squares(result: Result, row_weights: Array | None, groups: Array | None = None) -> Array:
    """sum_g (sum_(n in g) w_n s_n) (...)^T, (k, k); every row is a group of its own unless `groups` (N,) says which."""
    likelihood, u = result.likelihood, result.maximum.u
    if hasattr(likelihood, "score_square"):
        return np.asarray(likelihood.score_square(u, row_weights, groups))
    s = likelihood.scores(u)
    s = s if row_weights is None else row_weights[:, np.newaxis] * s
    if groups is not None:
        sums = np.zeros((int(groups.max()) + 1, s.shape[1]))
        np.add.at(sums, groups, s)
        s = sums
    return s.T @ s


def inverse(matrix: Array, basis: Array, what: str) -> Array:
    """The inverse of a positive definite matrix on the span of `basis`, (k, k); ValueError where it has none.

    Scaled to a diagonal of ones before, since only the condition of what is left then counts.
    """
    inner = basis.T @ matrix @ basis
    d = np.sqrt(np.maximum(np.diag(inner), 0.0))
    try:
        if not (np.isfinite(d).all() and (d > 0).all()):
            raise np.linalg.LinAlgError
        lower = np.linalg.cholesky(inner / d[:, np.newaxis] / d)
        if lower.size and np.diag(lower).min() < 1e-8:  # its square is rounding
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise ValueError(
            f"{what} has no inverse here: there are too few independent rows for so many parameters; "
            "cov(kind='observed') or fewer columns"
        ) from None
    half = np.linalg.solve(lower, basis.T / d[:, np.newaxis])
    return half.T @ half


def _bread(result: Result, basis: Array) -> Array:
    given = result.maximum.covariance
    if given is not None:
        return given
    return inverse(result.maximum.objective.hessian, basis, "the observed information")


def _squares(result: Result) -> Array:
    w = result.likelihood.weights
    return score_squares(result, np.sqrt(w) if w is not None and result.data.kind == "frequency" else w)


def _residual_factor(result: Result, less: float) -> float:
    n = result.likelihood.count
    if n <= result.k:
        raise ValueError(f"the factor of N - k degrees of freedom needs N > k, got N = {n:g} and k = {result.k}")
    return (n - less) / (n - result.k)


def _clusters(result: Result, groups: Any) -> tuple[Array, int]:
    rows = result.likelihood.rows
    if groups is None:
        raise ValueError(f"cov expects groups, one for each of {rows} rows, with the kind 'cluster', got None")
    given = np.asarray(groups)
    if given.shape != (rows,):
        raise ValueError(f"cov expects groups of shape ({rows},), one for each row, got {given.shape}")
    if any(each is None or each != each for each in given.tolist()):
        raise ValueError("cov expects a group for each row, got NaN or None: leave these rows out, or give them one")
    labels, codes = np.unique(given, return_inverse=True)
    count = len(labels)
    if count < 2:
        raise ValueError("cov expects two groups or more, got one: the scores of all rows sum to 0")
    if count <= max(FEW, result.k):
        rank = f", and their covariance has rank {count - 1} at most" if count <= result.k else ""
        warnings.warn(
            f"standard errors from {count} clusters are too small as a rule{rank}: see Cameron and Miller, "
            "Journal of Human Resources 50 (2015) 317-372",
            stacklevel=4,
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
