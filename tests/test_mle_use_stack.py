"""Predictions, effects, influence and calibration of stacks that are no regression: probit, least squares, others."""

import numpy as np
import pytest

from minigrad import (
    BCELoss,
    BCEWithLogitsLoss,
    HomoscedasticGaussianNLLLoss,
    Linear,
    LogSoftmax,
    NLLLoss,
    PoissonNLLLoss,
    Sequential,
    Tanh,
)
from minigrad.kernels import normal_cdf, normal_pdf
from minigrad.layers import Elementwise
from minigrad.mle import fit
from minigrad.mle.regressions.regression import Regression


class Phi(Elementwise):
    """The normal distribution's cumulative probability."""

    complex_safe, keeps = True, "input"

    def f(self, z):
        return normal_cdf(z)

    def df(self, z):
        return normal_pdf(z)


class Units(Linear):
    """A Linear that is not taken for one: its regressions are stacks."""


def data(n=80, seed=3):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n) + 2, rng.integers(0, 2, n), rng.integers(0, 6, n)]).astype(float)
    y = (x[:, 0] - x[:, 1] + rng.normal(size=n) > 1.5) * 1.0
    return x, y, (y + (x[:, 2] + rng.normal(size=n) > 3)).astype(int), x[:, 0] * 2 - x[:, 2] + rng.normal(size=n)


X, Y, LABELS, MEASURED = data()
DESIGN = np.column_stack([X, np.ones(len(X))])


def probit():
    return fit(Sequential(Linear(3, 1, rng=0), Phi(), BCELoss("sum")), X, Y)


def least_squares(x=X, y=MEASURED, **options):
    cost = Sequential(Linear(3, 1, rng=0), HomoscedasticGaussianNLLLoss(1, "sum", full=True))
    return fit(cost, x, y[:, np.newaxis], **options)


def test_probit_agrees_with_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    theirs, ours = sm.Probit(Y, sm.add_constant(X)).fit(disp=0, tol=1e-14), probit()
    for at in ("overall", "mean", "median", "zero"):
        for method in ("dydx", "eyex", "dyex", "eydx"):
            own, other = ours.marginal_effects(at, method), theirs.get_margeff(at=at, method=method)
            np.testing.assert_allclose(own.effects, other.margeff, rtol=1e-8, atol=1e-12)
            np.testing.assert_allclose(own.se, other.margeff_se, rtol=1e-8, atol=1e-12)
    own = ours.marginal_effects(dummy=True, count=True)
    other = theirs.get_margeff(dummy=True, count=True)
    np.testing.assert_allclose(own.se, other.margeff_se, rtol=1e-8)
    found, frame = ours.predict(ci=True), theirs.get_prediction().summary_frame()
    np.testing.assert_allclose(found.mean, frame["predicted"], rtol=1e-9)
    np.testing.assert_allclose(found.se, frame["se"], rtol=1e-9)
    # On the logit scale, as elsewhere: log p / (1 - p) plus and minus z se / (p (1 - p)).
    p = found.mean
    reach = 1.959963984540054 * found.se / (p * (1 - p))
    np.testing.assert_allclose(found.upper, 1 / (1 + (1 - p) / p * np.exp(-reach)), rtol=1e-10)


def test_least_squares_in_closed_form():
    """Predictions x b with s^2 x (X'X)^-1 x', s^2 = r'r / N; leaving out, b_n = b - (X'X)^-1 x_n r_n / (1 - h_n)."""
    result = least_squares()
    inverse = np.linalg.inv(DESIGN.T @ DESIGN)
    b = inverse @ DESIGN.T @ MEASURED
    r, h = MEASURED - DESIGN @ b, np.einsum("ni,ij,nj->n", DESIGN, inverse, DESIGN)
    found = result.predict(ci=True)
    se = np.sqrt(r @ r / len(X) * h)
    np.testing.assert_allclose(found.mean, DESIGN @ b, rtol=1e-10)
    np.testing.assert_allclose(found.se, se, rtol=1e-9)
    np.testing.assert_allclose(found.upper, DESIGN @ b + 1.959963984540054 * se, rtol=1e-9)
    assert found.scale == "identity"
    effects = result.marginal_effects()
    np.testing.assert_allclose(effects.effects, b[:3], rtol=1e-9)
    np.testing.assert_allclose(effects.se, result.se[:3], rtol=1e-9)
    influence = result.influence()
    assert influence.leverage.sum() == pytest.approx(result.k, rel=1e-8)
    np.testing.assert_allclose(influence.residuals(), r, rtol=1e-8)
    rows = [0, 11, 40]
    exact = influence.leave_one_out("exact", rows)
    without = b - (inverse @ DESIGN.T * (r / (1 - h))).T
    np.testing.assert_allclose(exact[:, :4], without[rows], rtol=1e-9)
    left = np.array([np.sum((np.delete(MEASURED, n) - np.delete(DESIGN, n, 0) @ without[n]) ** 2) for n in rows])
    np.testing.assert_allclose(np.exp(exact[:, 4]), left / (len(X) - 1), rtol=1e-9)
    variance = left / (len(X) - 1)
    ahead = (r / (1 - h))[rows]
    terms = -0.5 * np.log(2 * np.pi * variance) - 0.5 * ahead**2 / variance
    np.testing.assert_allclose(influence.loglik("exact", rows), terms, rtol=1e-8)
    np.testing.assert_allclose(influence.loglik()[rows], terms, atol=0.05)


@pytest.mark.parametrize("family", ["logit", "poisson", "softmax"])
def test_a_stack_that_is_a_regression_says_the_same(family):
    def cost(linear):
        if family == "softmax":
            return Sequential(linear(3, 3, rng=0), LogSoftmax(), NLLLoss())
        return Sequential(linear(3, 1, rng=0), BCEWithLogitsLoss("sum") if family == "logit" else PoissonNLLLoss("sum"))

    y = Y if family == "logit" else LABELS if family == "softmax" else LABELS.astype(float)
    w = np.linspace(0.5, 2, len(X))
    own, other = (fit(cost(linear), X, y, weights=w, kind="sampling") for linear in (Units, Linear))
    assert isinstance(other.likelihood, Regression)
    assert not isinstance(own.likelihood, Regression)
    for a, b in zip(own.predict(ci=True)[:4], other.predict(ci=True)[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7)
    for method in ("dydx", "eyex"):
        a, b = own.marginal_effects(method=method), other.marginal_effects(method=method)
        np.testing.assert_allclose(a.effects, b.effects, rtol=1e-7, atol=1e-10)
        np.testing.assert_allclose(a.se, b.se, rtol=1e-7, atol=1e-10)
    a, b = own.influence(), other.influence()
    # Of the softmax the stack has 12 parameters, of which 8 are identified: it ends where rounding lets it.
    np.testing.assert_allclose(a.leverage, b.leverage, rtol=1e-5 if family == "softmax" else 1e-6)
    np.testing.assert_allclose(a.loglik("exact", [2, 9]), b.loglik("exact", [2, 9]), rtol=1e-8)
    np.testing.assert_allclose(a.residuals(), b.residuals(), rtol=1e-7, atol=1e-9)
    if family != "softmax":  # where a row enters by one number, so does its step; and parameters are identified
        np.testing.assert_allclose(a.leave_one_out("exact", [2]), b.leave_one_out("exact", [2]), rtol=1e-7)
        np.testing.assert_allclose(a.dfbetas, b.dfbetas, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(a.cooks_distance, b.cooks_distance, rtol=1e-5)
        # log p to the second order of what the step does to the unit z: l + r d - p' d^2 / 2.
        p, d = other.predict(), (DESIGN * (b.leave_one_out() - other.params)).sum(axis=1)
        slope = p * (1 - p) if family == "logit" else p
        expected = other.likelihood.terms(other.u) + (y - p) * d - slope * d**2 / 2
        np.testing.assert_allclose(a.loglik(), expected, rtol=1e-6)
    if family != "poisson":
        a, b = own.calibration(), other.calibration()
        np.testing.assert_allclose(a.temperature[:2], b.temperature[:2], rtol=1e-7)
        np.testing.assert_allclose(a.lines[0][:4], b.lines[0][:4], rtol=1e-6, atol=1e-9)


def test_effects_of_a_deeper_stack_are_derivatives():
    """Of predictions by x, and their errors of the effects by u."""
    cost = Sequential(Linear(3, 2, rng=1), Tanh(), Linear(2, 1, rng=2), HomoscedasticGaussianNLLLoss(1, "sum"))
    result = fit(cost, X, (np.tanh(X[:, :1] - 2) + 0.1 * MEASURED[:, np.newaxis]) * 3)
    found, h = result.marginal_effects(), 1e-5
    for j in range(3):
        step = h * np.eye(3)[j]
        numeric = (result.predict(X + step) - result.predict(X - step)).mean() / (2 * h)
        assert found.effects[j] == pytest.approx(numeric, rel=1e-7)


def test_residuals_of_a_stack_need_the_variance_of_y():
    found = probit().influence()
    np.testing.assert_allclose(found.residuals(), Y - probit().predict(), rtol=1e-12)
    with pytest.raises(ValueError, match="kind 'response' for a stack that is no regression, got 'pearson'"):
        found.residuals("pearson")
