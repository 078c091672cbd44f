"""Criteria: the null model, and how much better the fit is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.inference.hypotheses import Test, lr_test, ratio, require_likelihood
from minigrad.mle.likelihood import Likelihood
from minigrad.mle.regressions.firth import Firth
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.search.maximize import maximize
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

KINDS = ("mcfadden", "mcfadden_adjusted", "cox_snell", "nagelkerke", "efron", "tjur")


def loglik_null(result: Result) -> float:
    """log L of the model that is told nothing of x: biases alone, or all units 0 where there is no bias.

    Offsets and weights are those of the fit; a penalty has no part in it.
    """
    null = _null(result)
    if not null.size:
        return -null.evaluate(np.zeros(0)).value
    found = (maximize if isinstance(null, Regression) or result.search is None else result.search)(null)
    if found.reason != "converged":
        raise ValueError(f"the null model has no maximum, or it was not found ({found.reason}): is y always the same?")
    return -found.local.value


def pseudo_r2(result: Result, kind: str = "mcfadden") -> float:
    """How much better than the null model, of l_0 = `loglik_null`; N observations, k parameters, expected y p.

        mcfadden   1 - l / l_0                             mcfadden_adjusted   1 - (l - k) / l_0
        cox_snell  R = 1 - e^(2 (l_0 - l) / N)             nagelkerke          R / (1 - e^(2 l_0 / N))
        efron      1 - sum w (y - p)^2 / sum w (y - m)^2   tjur                mean p where y is 1, less that where 0

    The mean of y is m.  For one output or two classes: efron, tjur; for probabilities, not densities: the first four.
    """
    if kind not in KINDS:
        raise ValueError(f"pseudo_r2 expects a kind of {', '.join(KINDS)}, got {kind!r}")
    if kind in ("efron", "tjur"):
        y, p, w = _expected(result, kind)
        return _efron(y, p, w) if kind == "efron" else _tjur(y, p, w)
    l, l_0, n = result.loglik, result.loglik_null, result.likelihood.count
    if not l_0 < 0 or l > 0:
        raise ValueError(
            f"pseudo_r2 of kind {kind!r} compares probabilities, whose logarithms are negative, got log L of {l:g} and "
            f"of {l_0:g} for the null model: for densities, compare aic"
        )
    if kind.startswith("mcfadden"):
        return 1 - (l - (result.k if kind == "mcfadden_adjusted" else 0)) / l_0
    share = -math.expm1(2 * (l_0 - l) / n)
    return share if kind == "cox_snell" else share / -math.expm1(2 * l_0 / n)


def aicc(result: Result) -> float:
    """AIC + 2 k (k + 1) / (N - k - 1), for few observations: Hurvich and Tsai, Biometrika 76 (1989) 297-307."""
    k, n = result.k, result.likelihood.count
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
    df = result.k - _null(result).size
    if df <= 0:
        raise ValueError("the model is the null model: there is nothing to test")
    require_likelihood(result, "likelihood ratio", "wald_test")
    return ratio(result, 2 * (result.loglik - result.loglik_null), df, "all slopes = 0")


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
