"""Criteria: the null model, and how much better the fit is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.derivatives.likelihoods import SIGMOID, SOFTMAX
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HomoscedasticGaussianNLLLoss,
    NLLLoss,
    PoissonNLLLoss,
)
from minigrad.mle.inference.hypotheses import Test, lr_test, ratio, require_likelihood
from minigrad.mle.inference.once import once
from minigrad.mle.likelihood import Likelihood
from minigrad.mle.regressions.firth import Firth
from minigrad.mle.regressions.links import look
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.regressions.rows import weighted_sum
from minigrad.mle.search.maximize import Maximum, maximize
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

KINDS = ("mcfadden", "mcfadden_adjusted", "cox_snell", "nagelkerke", "efron", "tjur")
COUNTED = ("mcfadden_adjusted", "cox_snell", "nagelkerke")  # which rest on N or k, as aic does
PROBABILITIES = (NLLLoss, CrossEntropyLoss, BernoulliNLLLoss, BCEWithLogitsLoss, BCELoss, PoissonNLLLoss)
DENSITIES = (GaussianNLLLoss, HomoscedasticGaussianNLLLoss)
FLAT = 1e-9  # of an information with a diagonal of ones: its root is the rounding of differences


def loglik_null(result: Result) -> float:
    """log L of the model that is told nothing of x: biases alone, or all units 0 where there is no bias.

    Offsets and weights are those of the fit; a penalty has no part in it.
    """
    null = _null(result)
    if isinstance(null, Regression) and null.has_bias and result.data.offset is None:
        return of_shares(null)
    if not null.size:
        return -null.evaluate(np.zeros(0)).value
    found = _maximum_of_null(result)
    if found.reason != "converged":
        raise ValueError(f"the null model has no maximum, or it was not found ({found.reason}): is y always the same?")
    return -found.local.value


def pseudo_r2(result: Result, kind: str = "mcfadden") -> float:
    """How much better than the null model, of l_0 = `loglik_null`; N observations, k parameters, expected y p.

        mcfadden   1 - l / l_0                             mcfadden_adjusted   1 - (l - k) / l_0
        cox_snell  R = 1 - e^(2 (l_0 - l) / N)             nagelkerke          R / (1 - e^(2 l_0 / N))
        efron      1 - sum w (y - p)^2 / sum w (y - m)^2   tjur                mean p where y is 1, less that where 0

    The mean of y is m.  For one output or two classes: efron, tjur; for densities of the first four cox_snell alone;
    for sampling weights, MAP and Firth's estimates, mcfadden, efron and tjur (ValueError).
    """
    if kind not in KINDS:
        raise ValueError(f"pseudo_r2 expects a kind of {', '.join(KINDS)}, got {kind!r}")
    if kind in ("efron", "tjur"):
        y, p, w = _expected(result, kind)
        return _efron(y, p, w) if kind == "efron" else _tjur(y, p, w)
    result.require_estimate("maximum of the likelihood")
    if kind in COUNTED:
        _require_counts(result, f"pseudo_r2 of kind {kind!r}", "pseudo_r2('mcfadden')")
    if kind != "cox_snell" and not is_probability(result):
        raise ValueError(
            f"pseudo_r2 of kind {kind!r} compares probabilities, and this likelihood is a density, which changes with "
            "the unit of y: take pseudo_r2('cox_snell'), which does not, or compare aic"
        )
    l, l_0, n = result.loglik, result.loglik_null, result.likelihood.count
    if kind != "cox_snell" and (not l_0 < 0 or l > 0):
        raise ValueError(
            f"pseudo_r2 of kind {kind!r} compares probabilities, whose logarithms are negative, got log L of {l:g} and "
            f"of {l_0:g} for the null model: for densities, compare aic"
        )
    if kind.startswith("mcfadden"):
        return 1 - (l - (result.k if kind == "mcfadden_adjusted" else 0)) / l_0
    share = -math.expm1(2 * (l_0 - l) / n)
    return share if kind == "cox_snell" else share / -math.expm1(2 * l_0 / n)


def aic(result: Result) -> float:
    """-2 log L + 2 k; ValueError where log L is not that of a maximum, or of the rows: Akaike, IEEE Trans. AC 19 (1974)
    716-723.
    """
    result.require_estimate("maximum of the likelihood")
    _require_counts(result, "aic", INSTEAD)
    return -2 * result.loglik + 2 * result.k


def bic(result: Result) -> float:
    """-2 log L + k log N; ValueError as of `aic`: Schwarz, Annals of Statistics 6 (1978) 461-464."""
    result.require_estimate("maximum of the likelihood")
    _require_counts(result, "bic", INSTEAD)
    return -2 * result.loglik + result.k * math.log(result.likelihood.count)


def is_probability(result: Result) -> bool:
    """The likelihood is one of probabilities, not densities; that of a loss of one's own if y holds whole numbers."""
    loss = getattr(result.likelihood, "loss", None)
    if isinstance(result.likelihood, Regression) or isinstance(loss, PROBABILITIES):
        return True
    y = None if isinstance(loss, DENSITIES) else np.asarray(result.data.target)
    return y is not None and (y.dtype.kind in "iub" or (y.dtype.kind == "f" and bool((y == np.rint(y)).all())))


def aicc(result: Result) -> float:
    """AIC + 2 k (k + 1) / (N - k - 1), for few observations: Hurvich and Tsai, Biometrika 76 (1989) 297-307."""
    k, n = result.k, result.likelihood.count
    _require_counts(result, "aicc", INSTEAD)
    if n <= k + 1:
        raise ValueError(f"aicc needs N > k + 1 observations, got N = {n:g} and k = {k}")
    return result.aic + 2 * k * (k + 1) / (n - k - 1)


def against_null(result: Result) -> Test:
    """The likelihood ratio test of the whole model against the one that is told nothing of x.

    ValueError where it is not chi-squared (see `lr_test`), or where the two models are one.
    """
    if isinstance(result.likelihood, Firth):
        slopes = [f"`{name}` = 0" for name in result.names if name.split(":")[-1] != "const"]
        return lr_test(result, slopes)._replace(hypothesis="all slopes = 0")
    alone = constants(result)
    df = result.k - (_null(result).size if alone is None else alone)  # an error says why there is none
    if df <= 0:
        raise ValueError("the model is the null model: there is nothing to test")
    require_likelihood(result, "likelihood ratio", "wald_test")
    return ratio(result, 2 * (result.loglik - result.loglik_null), df, "all slopes = 0")


def of_shares(null: Regression) -> float:
    """log L of biases alone, in closed form: every mean is that of y."""
    w = np.ones(null.rows) if null.weights is None else null.weights
    if null.mean is SOFTMAX:
        counts = np.bincount(null.target, w, null.classes)
        _require_both(counts)
        return float(counts @ np.log(counts / counts.sum()))
    total, ones = float(w.sum()), null.target @ w
    if null.mean is SIGMOID:
        zeros = (1 - null.target) @ w
        _require_both(np.append(ones, zeros))
        return float(ones @ np.log(ones / total) + zeros @ np.log(zeros / total))
    _require_both(ones)
    log_rates = np.broadcast_to(np.log(ones / total)[:, np.newaxis], null.target.shape)
    return weighted_sum(look(null.mean, log_rates, null.target).terms, null.weights) + null.saturated


def _require_both(totals: Array) -> None:
    if not (totals > 0).all():
        raise ValueError("the null model has no maximum: is y always the same?")


@once
def constants(result: Result) -> int | None:
    """The number of identified parameters of the null model; None where there is none."""
    if isinstance(result.likelihood, Regression):
        return result.likelihood.units * result.likelihood.has_bias
    null = result.likelihood.without_inputs()
    if null is None or not null.size:
        return None if null is None else 0
    hessian = _maximum_of_null(result).local.hessian
    d = np.sqrt(np.maximum(np.diag(hessian), 0.0))
    d = np.where(d > 0, d, 1.0)
    scaled = hessian / d[:, np.newaxis] / d
    return int(np.sum(np.linalg.eigvalsh(scaled) > FLAT)) if np.isfinite(scaled).all() else null.size


INSTEAD = "wald_test compares parameters, loglik is there as it is"


def _require_counts(result: Result, what: str, instead: str) -> None:
    """log L is that of a maximum, and of N observations (ValueError)."""
    if result.likelihood.penalized:
        kind = "Firth's" if isinstance(result.likelihood, Firth) else "a MAP"
        raise ValueError(
            f"there is no {what} of {kind} estimate: k counts parameters that a maximum of log L sets free, and with a "
            f"penalty log L is not at its maximum; {instead}, or fit without the penalty"
        )
    if result.data.kind == "sampling" and result.likelihood.weights is not None:
        raise ValueError(
            f"there is no {what} with sampling weights: the weighted log-likelihood is none of the rows drawn, and its "
            f"size depends on the unit of the weights; {instead}, or fit kind='analytic' weights, which sum to N"
        )


@once
def _maximum_of_null(result: Result) -> Maximum:
    null = _null(result)
    return (maximize if isinstance(null, Regression) or result.search is None else result.search)(null)


def _null(result: Result) -> Likelihood:
    null = result.likelihood.without_inputs()
    if null is None:
        raise ValueError(
            "this stack has no null model: it is not known how to tell it nothing of x; "
            "fit the smaller stack, and compare by lr_test"
        )
    return null


def _expected(result: Result, kind: str) -> tuple[Array, Array, Array]:
    """y, p and w, (N,) each."""
    data, likelihood = result.data, result.likelihood
    p = likelihood.response(result.u, data.x, data.offset)
    y = np.asarray(data.target)
    if p.ndim == 2 and p.shape[1] == 2 and y.ndim == 1 and y.dtype.kind in "iub":
        p = p[:, 1]
    p, y = p.reshape(len(p), -1), y.reshape(len(y), -1).astype(float)
    two = p.shape[1] == 1 and y.shape[1] == 1
    if not two or (kind == "tjur" and not np.isin(y, (0.0, 1.0)).all()):
        what = "two classes" if kind == "tjur" else "one output, or two classes"
        raise ValueError(f"pseudo_r2 of kind {kind!r} is there for {what}, got y of shape {np.shape(data.target)}")
    w = np.ones(len(y)) if likelihood.weights is None else likelihood.weights
    return y[:, 0], p[:, 0], w


def _efron(y: Array, p: Array, w: Array) -> float:
    return 1 - float(w @ (y - p) ** 2) / float(w @ (y - w @ y / w.sum()) ** 2)


def _tjur(y: Array, p: Array, w: Array) -> float:
    return float((w * y) @ p / (w @ y) - (w * (1 - y)) @ p / (w @ (1 - y)))
