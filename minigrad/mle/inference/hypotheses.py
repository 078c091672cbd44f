"""Tests of hypotheses: likelihood ratio, Wald, score; and where the Wald test is not to be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.checks import kind
from minigrad.mle.identification import complement
from minigrad.mle.inference.covariance import of_variables, root
from minigrad.mle.inference.distributions import chi_squared_log_tail, chi_squared_tail, two_sided
from minigrad.mle.inference.nested import require_nested
from minigrad.mle.inference.once import once
from minigrad.mle.inference.planes import best_on, plane_of
from minigrad.mle.inference.roots import square_over
from minigrad.mle.inference.skewness import largest_thirds, third_derivatives
from minigrad.mle.regressions.firth import Firth
from minigrad.mle.search.inverses import inverse
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

__all__ = [
    "Test",
    "hauck_donner",
    "lr_test",
    "ratio",
    "require_likelihood",
    "score_test",
    "two_sided",
    "wald_test",
]
ROUNDING = 1e-9  # of a log-likelihood, relative, that may come from where two searches ended


class Test(NamedTuple):
    """A statistic that is chi-squared with `df` degrees of freedom where the hypothesis holds.

    >>> print(Test("Wald", 3.84, 1, 0.05004352, "x1 = x2"))
    Wald test of x1 = x2: chi2(1) = 3.84, p = 0.05004
    """

    name: str
    statistic: float
    df: int
    p: float
    hypothesis: str

    @property
    def pvalue(self) -> float:
        """p, by the name that scipy and statsmodels give it."""
        return self.p

    @property
    def log_p(self) -> float:
        """log p, where p itself is too small for a number too."""
        return chi_squared_log_tail(self.statistic, self.df)

    def __str__(self) -> str:
        p = f"p = {self.p:.4g}" if self.p > 0 else f"log10 p = {self.log_p / math.log(10):.4g}"
        return f"{self.name} test of {self.hypothesis}: chi2({self.df}) = {self.statistic:.4g}, {p}"


def wald_test(result: Result, constraints: Any) -> Test:
    """(R params - r)^T (R V R^T)^-1 (R params - r), with the covariance V of `result.cov_type`.

    `constraints`: "x1 = x2", "x1 = x2 = 0", "2*x1 + x2 = 3, x3 = 0", a matrix R, or (R, r).
    """
    result.require_estimate("tests")
    plane = plane_of(result, constraints)
    off = plane.matrix @ result.maximum.u - plane.value
    statistic = square_over(plane.matrix @ root(result), off)
    if statistic is None:
        raise ValueError(
            f"the covariance ({result.cov_type}) of the {len(off)} constraints {plane.hypothesis} is singular: "
            "test fewer at a time; from G clusters, G - 1 at most"
        )
    return _test("Wald", statistic, len(off), plane.hypothesis)


def lr_test(result: Result, other: Result | str | Sequence[str] | Any) -> Test:
    """2 (log L - log L of the smaller model), for a fit of that on the same rows, or constraints as in `wald_test`.

    Penalised log-likelihoods for Firth's.  ValueError where it is not chi-squared: another penalty, sampling weights.
    """
    require_likelihood(result, "likelihood ratio", "wald_test")
    result.require_estimate("tests")
    if hasattr(other, "likelihood") and hasattr(other, "maximum"):
        return _against(result, other)  # type: ignore[arg-type]
    if other is None:
        raise TypeError(f"lr_test expects a smaller fit, or constraints such as 'x1 = 0', got {kind(other)}")
    plane = plane_of(result, other)
    found = best_on(result, plane.matrix, plane.value, result.maximum.u, _curvature(result))
    statistic = 2 * (found.objective.value - result.maximum.objective.value)
    return ratio(result, statistic, len(plane.value), plane.hypothesis)


def score_test(result: Result, constraints: Any) -> Test:
    """g^T F^-1 g, for the gradient g of log L and the expected information F at the maximum under the constraints.

    The observed information where the expected is not known.  It needs no estimate but that under the constraints, and
    so holds for separated classes too.  Rao, Proc. Cambridge Philos. Soc. 44 (1948) 50-57.
    """
    require_likelihood(result, "score", "wald_test")
    if isinstance(result.likelihood, Firth):
        raise ValueError("the score test is one of maximum likelihood, not of Firth's: lr_test takes its penalty in")
    plane = plane_of(result, constraints)
    basis, start = complement(result.null), result.maximum.u
    if not result.verdict.exists:
        start = result.likelihood.start
    curvature = inverse(result.likelihood.evaluate(start).hessian, basis, "the information")
    found = best_on(result, plane.matrix, plane.value, start, curvature)
    try:
        matrix = result.likelihood.expected(found.u)
    except (NotImplementedError, ValueError):
        matrix = found.local.hessian
    g = found.local.gradient
    statistic = float(g @ inverse(matrix, basis, "the information under the constraints") @ g)
    return _test("score", statistic, len(plane.value), plane.hypothesis)


def hauck_donner(result: Result) -> Array:
    """Whether the Wald statistic of params = 0 falls while the estimate moves away from 0, (m,): no test to be trusted.

    Along the profile of theta, u' = d, the variance v = 1 / d^T H d changes by -v^2 D3J[d, d, d], so that
        d(theta / sqrt(v)) / d theta  =  (1 + theta v D3J[d, d, d] / 2) / sqrt(v)  <  0
    That is where the estimate goes when the data change in what they say of this parameter alone; it does not depend on
    how others are coded.  Hauck and Donner, J. Amer. Statist. Assoc. 72 (1977) 851-853; Yee, ibid. 117 (2022)
    1763-1774.
    """
    result.require_estimate("tests")
    return _past_the_peak(result).copy()


@once
def _past_the_peak(result: Result) -> Array:
    matrix, u, half = result.listing.matrix, result.maximum.u, root(result, "observed")
    by_half = matrix @ half
    error = np.linalg.norm(by_half, axis=1)
    counted = result.estimable & (error > 0)
    z = np.divide(matrix @ u, error, out=np.zeros(len(error)), where=counted)
    directions = half @ np.divide(by_half.T, error, out=np.zeros(by_half.T.shape), where=counted)  # standard errors
    found = np.zeros(len(z), bool)
    largest = np.where(z != 0, largest_thirds(result.likelihood, directions), 0.0)  # which may be infinite
    asked = np.flatnonzero(np.abs(z) * largest > 2 * (1 - ROUNDING))
    if len(asked):
        third = third_derivatives(result.likelihood, u, directions[:, asked])
        found[asked] = 1 + z[asked] * third / 2 < 0
    return found


def _curvature(result: Result) -> Array:
    """The inverse of the Hessian, (k, k), whatever errors `result.cov_type` has."""
    return of_variables(result, "observed")


def require_likelihood(result: Result, name: str, instead: str) -> None:
    """`result` has a likelihood of which 2 log L is chi-squared (ValueError)."""
    if result.likelihood.penalized and not isinstance(result.likelihood, Firth):
        raise ValueError(
            f"there is no {name} test of a MAP estimate: with a penalty, 2 log L is not chi-squared; "
            f"{instead} takes its Laplace covariance, or fit without the penalty"
        )
    if result.data.kind == "sampling" and result.likelihood.weights is not None:
        raise ValueError(
            f"there is no {name} test with sampling weights: the weighted log-likelihood is none of the rows drawn; "
            f"{instead} takes the sandwich covariance"
        )


def _against(result: Result, other: Result) -> Test:
    require_likelihood(other, "likelihood ratio", "wald_test")
    other.require_estimate("tests")
    require_nested(result, other)
    lost = [name for name in result.names if name not in other.names]
    names = f"{', '.join(lost)} = 0" if len(lost) == result.k - other.k else f"{other.k} of {result.k} parameters"
    statistic = 2 * (other.maximum.objective.value - result.maximum.objective.value)
    return ratio(result, statistic, result.k - other.k, names)


def ratio(result: Result, statistic: float, df: int, hypothesis: str) -> Test:
    """The test by 2 (log L - log L of a smaller model), which is `statistic` (ValueError where that is negative)."""
    if statistic < -ROUNDING * (1 + abs(result.maximum.objective.value)):
        raise ValueError(
            f"the smaller model is likelier, by {-statistic / 2:.4g} in log L, so it is not nested in this one, or "
            "one of the two was not found at its maximum"
        )
    return _test("likelihood ratio", max(statistic, 0.0), df, hypothesis)


def _test(name: str, statistic: float, df: int, hypothesis: str) -> Test:
    return Test(name, statistic, df, chi_squared_tail(statistic, df), hypothesis)
