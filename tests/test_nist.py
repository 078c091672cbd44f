"""NIST's certified nonlinear regressions, fitted as custom layers under a Gaussian likelihood with a trained variance.

The maximum likelihood estimate of the curve is that of least squares, RSS = n e^log_variance, and a certified deviation
is the standard error of the expected information times sqrt(n / (n - p)).
"""

import math

import numpy as np
import pytest
from nist_models import MODELS, certified

from minigrad import HomoscedasticGaussianNLLLoss, Sequential
from minigrad.testing import check_layer

# Digits of the deviations and of RSS that can be there, of the 11 that are certified, where the condition of the
# information is beyond 1e6: 1e7 for MGH10, 1e8 for Lanczos2 and 3, 3e9 for Bennett5.  Lanczos1 is without noise: its
# residuals are 1e-13, of which doubles hold 3 digits.  All others, and all parameters, have 10.
FEWER = {"MGH10": 7, "Lanczos1": 2, "Lanczos2": 6, "Lanczos3": 6, "Bennett5": 4.5}


def digits(found, exact):
    """How many decimal digits agree, of those that agree in fewest."""
    error = np.max(np.abs(np.asarray(found) - exact) / np.abs(exact))
    return math.inf if error == 0 else -math.log10(error)


@pytest.mark.parametrize("name", MODELS)
def test_the_rules_of_the_curves_are_right(name):
    problem = certified(name)
    x = problem.x[:: max(1, len(problem.x) // 10)]
    # x^b2 has no slope by b2 at x = 0, which no temperature is.
    assert check_layer(problem.model(0), x, cases="given" if name == "DanWood" else "all").ok


@pytest.mark.parametrize("name", MODELS)
def test_the_certified_values_are_those_of_these_curves(name):
    """RSS and deviations from the slopes at the certified parameters: a wrong curve or a misread file is seen."""
    problem = certified(name)
    y, (_, slopes) = problem.model(0).forward(problem.x)
    residuals = y - problem.y
    if name == "Lanczos1":  # 11 digits of parameters do not give the residuals of 1e-13
        assert np.abs(residuals).max() < 1e-10
        return
    assert digits(np.vdot(residuals, residuals), problem.rss) > 9.5
    assert digits(math.sqrt(problem.rss / problem.freedom), problem.deviation) > 9.5
    jacobian = np.hstack([np.broadcast_to(slope, y.shape) for slope in slopes])
    sizes = np.sqrt((jacobian**2).sum(axis=0))
    inverse = np.linalg.inv(np.linalg.qr(jacobian / sizes).R)
    deviations = problem.deviation * np.sqrt((inverse**2).sum(axis=1)) / sizes
    assert digits(deviations, problem.deviations) > 9


def fitted(problem, start):
    from minigrad import mle

    cost = Sequential(problem.model(start), HomoscedasticGaussianNLLLoss(1, "sum", full=True))
    return mle.fit(cost, problem.x, problem.y)


def require_certified(result, problem):
    p, n = len(problem.parameters), len(problem.y)
    errors = np.sqrt(np.diag(result.cov("expected")))
    of_errors = digits(errors[:p] * math.sqrt(n / problem.freedom), problem.deviations)
    of_rss = digits(n * math.exp(result.params[p]), problem.rss)
    assert result.verdict.status == "regular", result.verdict
    assert result.names == [*(f"b{j + 1}" for j in range(p)), "log_variance"]
    assert digits(result.params[:p], problem.parameters) > 10
    assert min(of_errors, of_rss) > FEWER.get(problem.name, 10)
    assert min(of_errors, of_rss) > min(result.digits, 10)
    assert errors[p] == pytest.approx(math.sqrt(2 / n), rel=1e-8)
    loglik = -n / 2 * (math.log(2 * math.pi * problem.rss / n) + 1)
    assert result.loglik == pytest.approx(loglik, rel=1e-4 if problem.name == "Lanczos1" else 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_fits_from_the_near_start_are_the_certified(name):
    problem = certified(name)
    require_certified(fitted(problem, 2), problem)


@pytest.mark.parametrize("name", MODELS)
def test_fits_from_the_far_start_are_the_certified(name):
    problem = certified(name)
    require_certified(fitted(problem, 1), problem)
