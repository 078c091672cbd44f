"""Fits against solutions in 60 digits, which exact_fits.py computes and exact/ holds: what is asked, and what is said.

Ten digits of estimates, standard errors and log-likelihood where the information, scaled to a diagonal of ones, has a
condition below 1e6; 16 - log10(condition) - 2 otherwise; and never fewer than the result says.
"""

import math

import numpy as np
import pytest
from exact_problems import PROBLEMS, Problem, solution

from minigrad import (
    BernoulliNLLLoss,
    ElementwiseLoss,
    HomoscedasticGaussianNLLLoss,
    Layer,
    Linear,
    LogSoftmax,
    NLLLoss,
    PoissonNLLLoss,
    Sequential,
    mle,
)
from minigrad.kernels import normal_cdf, normal_pdf


class ProbitNLL(ElementwiseLoss):
    def f(self, z, t):
        return -np.log(normal_cdf((2 * t - 1) * z))

    def df(self, z, t):
        s = 2 * t - 1
        return -s * normal_pdf(z) / normal_cdf(s * z)


class WeibullNLL(Layer):
    parameter_names = ("log_shape",)

    def __init__(self):
        self.log_shape = np.array(0.0)

    def forward(self, z, t):
        u = np.exp(self.log_shape) * (np.log(t) - z)
        return (np.log(t) - self.log_shape - u + np.exp(u)).sum(), u

    def backward(self, delta, u):
        return delta * np.exp(self.log_shape) * (1 - np.exp(u))

    def parameter_gradients(self, delta, u):
        return {"log_shape": delta * (u * np.exp(u) - u - 1).sum()}


HEADS = {
    "logit": lambda: [BernoulliNLLLoss("sum")],
    "softmax": lambda: [LogSoftmax(), NLLLoss("sum")],
    "poisson": lambda: [PoissonNLLLoss("sum")],
    "probit": lambda: [ProbitNLL("sum")],
    "gaussian": lambda: [HomoscedasticGaussianNLLLoss(1, "sum", full=True)],
    "weibull": lambda: [WeibullNLL()],
}


def fitted(problem, **options):
    softmax = problem.likelihood == "softmax"
    below = Linear(problem.x.shape[1], problem.classes if softmax else 1, rng=0)
    target = problem.target.astype(int) if softmax else problem.target[:, np.newaxis]
    cost = Sequential(below, *HEADS[problem.likelihood]())
    if problem.weights is not None:
        options = {"weights": problem.weights, "kind": "frequency"} | options
    return mle.fit(cost, problem.x, target, offset=problem.offset, **options)


@pytest.fixture(scope="module")
def results():
    found = {}

    def result(name):
        if name not in found:
            found[name] = fitted(PROBLEMS[name])
        return found[name]

    return result


def digits(found, exact):
    """How many decimal digits agree, of those that agree in fewest."""
    error = np.max(np.abs(np.asarray(found) - exact) / np.abs(exact))
    return 17.0 if error == 0 else -math.log10(error)


def of_covariance(found, exact):
    """The same for a covariance, whose errors count in units of its standard errors."""
    unit = np.sqrt(np.diag(exact))
    error = np.max(np.abs((found - exact) / unit / unit[:, np.newaxis]))
    return 17.0 if error == 0 else -math.log10(error)


def asked_of(condition):
    return 10.0 if condition < 1e6 else 14.0 - math.log10(condition)


def asked_for(name):
    return asked_of(float(solution(name)["condition"]))


@pytest.mark.parametrize("name", PROBLEMS)
def test_estimates_errors_and_likelihood_have_their_digits(results, name):
    result, exact = results(name), solution(name)
    assert result.verdict.exists, result.verdict
    assert result.verdict.status in ("regular", "near_separated")
    assert digits(result.params, exact["parameters"]) >= asked_for(name)
    assert digits(result.se, exact["standard_errors"]) >= asked_for(name)
    assert digits(result.loglik, exact["loglik"]) >= 10
    assert digits(result.loglik_null, exact["loglik_null"]) >= 10


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_stated_digits_are_there(results, name):
    """Not more than there are, nor so few that they say nothing."""
    result, exact = results(name), solution(name)
    there = min(digits(result.params, exact["parameters"]), digits(result.se, exact["standard_errors"]))
    assert there >= result.digits >= min(9.0, asked_for(name) - 1)


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_covariance_is_the_exact_one(results, name):
    result, exact = results(name), solution(name)
    asked = asked_for(name) - 1
    assert of_covariance(result.cov("observed"), exact["covariance"]) >= asked
    # Where classes touch it is down to 1e-9 of the bread: rows of bread times score keep its digits, products do not.
    assert of_covariance(result.cov("HC0"), exact["covariance_HC0"]) >= asked
    if PROBLEMS[name].likelihood not in ("probit", "weibull"):  # whose expectations a loss of its own does not say
        assert of_covariance(result.cov("expected"), exact["covariance_expected"]) >= asked
    if exact["condition_opg"] < 1e16:
        assert of_covariance(result.cov("opg"), exact["covariance_opg"]) >= asked_of(exact["condition_opg"]) - 1
    else:  # summed of rows of bread times score, it keeps digits all the same
        assert of_covariance(result.cov("opg"), exact["covariance_opg"]) >= 5


@pytest.mark.parametrize("name", [name for name, problem in PROBLEMS.items() if problem.weights is not None])
def test_sampling_weights_have_the_sandwich_of_their_squares(name):
    result, exact = fitted(PROBLEMS[name], kind="sampling"), solution(name)
    assert digits(result.params, exact["parameters"]) >= 10
    assert of_covariance(result.cov("HC0"), exact["covariance_HC0_sampling"]) >= 9
    np.testing.assert_allclose(result.se, np.sqrt(np.diag(exact["covariance_HC0_sampling"])), rtol=1e-9)


@pytest.mark.parametrize("identification", ["sum_to_zero", "minimum_norm"])
@pytest.mark.parametrize("name", ["wine", "scales_of_classes"])
def test_classes_that_sum_to_zero_follow_from_contrasts(name, identification):
    """w_k - mean over classes, and the covariance by the same linear map; the least norm is that too."""
    result, exact, classes = (
        fitted(PROBLEMS[name], identification=identification),
        solution(name),
        PROBLEMS[name].classes,
    )
    width = len(exact["parameters"]) // (classes - 1)
    centring = np.eye(classes)[:, 1:] - 1 / classes
    there = np.kron(centring, np.eye(width))
    # In units of the standard errors, so that columns of 1e150 and 1e-150 do not meet in one sum.
    unit = exact["standard_errors"][:width]
    scale, units = np.tile(unit, classes), np.tile(unit, classes - 1)
    assert digits(result.params, scale * (there @ (exact["parameters"] / units))) >= 9.5
    scaled = exact["covariance"] / units / units[:, np.newaxis]
    assert digits(result.se, scale * np.sqrt(np.diag(there @ scaled @ there.T))) >= 9.5


def drawn(seed):
    """A problem at random: collinear columns, far from 0, of all sizes, with weights and offsets, or without."""
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(20, 50)), int(rng.integers(1, 4))
    likelihood = ["logit", "softmax", "poisson"][seed % 3]
    z = rng.normal(size=(rows, columns))
    unit = z @ rng.normal(scale=0.7, size=columns)
    x = z.copy()
    if columns > 1:
        x[:, 1] = z[:, 0] + z[:, 1] * 10 ** -rng.uniform(0, 3)
    x = (x + rng.choice([0.0, 10.0, 1000.0])) * 10 ** rng.choice([0.0, rng.uniform(-150, 150)])
    weights = 10 ** rng.uniform(-3, 3, rows) if rng.random() < 0.3 else None
    offset = rng.normal(size=rows) if likelihood != "softmax" and rng.random() < 0.3 else None
    if likelihood == "logit":
        target = (rng.logistic(scale=2, size=rows) + unit > 0).astype(float)
    elif likelihood == "poisson":
        target = rng.poisson(np.exp(np.clip(unit + 1, -5, 5))).astype(float)
    else:
        target = (np.column_stack([0 * unit, unit, -unit / 2]) + rng.gumbel(scale=2, size=(rows, 3))).argmax(axis=1)
    return Problem(f"drawn_{seed}", likelihood, x, target, weights, offset, classes=3 if likelihood == "softmax" else 2)


@pytest.mark.parametrize("seed", range(18))
def test_problems_at_random_have_the_digits_that_are_asked_and_stated(seed):
    pytest.importorskip("mpmath", reason="they are solved with mpmath")
    import exact_fits

    problem = drawn(seed)
    result, exact = fitted(problem), exact_fits.fit(problem)  # no maximum is an error of either
    parameters, errors = (np.array([float(b) for b in found]) for found in (exact.parameters, exact.standard_errors))
    asked = asked_of(float(exact_fits.condition(exact.observed)))
    # A parameter that happens to be near 0 counts in units of its error.
    wrong = np.max(np.abs(result.params - parameters) / np.maximum(np.abs(parameters), errors))
    there = min(16.0 if wrong == 0 else -math.log10(wrong), digits(result.se, errors))
    assert there >= asked
    assert there >= result.digits >= min(9.0, asked - 1)
    assert digits(result.loglik, float(exact.loglik)) >= 10
