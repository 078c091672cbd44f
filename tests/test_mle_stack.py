"""The likelihood of any stack, from the three rules of its layers: against exact solutions, closed forms and peers."""

import math

import numpy as np
import pytest
from exact_problems import PROBLEMS, solution

from minigrad import (
    BatchNorm1d,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    GaussianNLLLoss,
    HomoscedasticGaussianNLLLoss,
    L1Penalty,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    ReLU,
    Sequential,
    Tanh,
    mle,
)
from minigrad.kernels import normal_cdf, normal_pdf
from minigrad.losses.base import Loss
from minigrad.losses.penalties import Penalty
from minigrad.mle.entry.data import Data
from minigrad.mle.identification import in_words
from minigrad.mle.likelihood import Local
from minigrad.mle.regressions.regression import regression
from minigrad.mle.search.maximize import Maximum, maximize
from minigrad.mle.stacks.far import rays
from minigrad.mle.stacks.search import search
from minigrad.mle.stacks.stack import stack
from minigrad.mle.stacks.verdict import unbounded

NORMAL_CONSTANT = 0.5 * math.log(2 * math.pi)


def data(x, target, weights=None, offset=None, names=None, classes=None):
    if names is None and isinstance(x, np.ndarray):
        names = [f"x{j + 1}" for j in range(x.shape[-1])]
    count = float(len(target) if weights is None else np.sum(weights))
    return Data(x, target, names, classes, weights, "frequency", offset, count)


def fitted(cost, of_data):
    likelihood = stack(cost, of_data)
    return likelihood, search(likelihood)


def estimates(likelihood, maximum, identification="reference"):
    listing = likelihood.listing(identification)
    return listing.names, listing.values(maximum.u), listing.errors(maximum.covariance)


def digits(found, exact):
    error = np.max(np.abs(np.asarray(found) / np.asarray(exact) - 1))
    return math.inf if error == 0 else -math.log10(error)


# Likelihoods of a few lines.


class ProbitLoss(Layer):
    """-log Phi(s z), s = +1 or -1 for labels 1 and 0: the sum over rows."""

    def forward(self, z, t):
        s = 2.0 * np.asarray(t)[:, np.newaxis] - 1
        p = normal_cdf(s * z)
        return -np.log(p).sum(), (s, z, p)

    def backward(self, delta, cache):
        s, z, p = cache
        return -delta * s * normal_pdf(s * z) / p


class Probit(Layer):
    """z -> (log Phi(-z), log Phi(z))."""

    def forward(self, z):
        p, q = normal_cdf(z), normal_cdf(-z)
        return np.hstack([np.log(q), np.log(p)]), (z, p, q)

    def backward(self, delta, cache):
        z, p, q = cache
        return normal_pdf(z) * (delta[:, 1:] / p - delta[:, :1] / q)


class WeibullLoss(Layer):
    """Times t of scale e^z and shape e^s, s trained: the mean over rows."""

    parameter_names = ("log_shape",)

    def __init__(self):
        self.log_shape = np.array(0.0)

    def forward(self, z, t):
        k = np.exp(self.log_shape)
        a = k * (np.log(t) - z)
        e = np.exp(a)
        return (e - a - self.log_shape + np.log(t)).mean(), (a, e, k, len(z))

    def backward(self, delta, cache):
        _, e, k, count = cache
        return delta * k * (1 - e) / count

    def parameter_gradients(self, delta, cache):
        a, e, _, count = cache
        return {"log_shape": np.asarray(delta * ((e - 1) * a - 1).sum() / count)}


class PoissonLoss(Layer):
    """One number for each row: e^z - t z + log t!."""

    def forward(self, z, t):
        t = np.asarray(t, dtype=float)
        return np.exp(z) - t * z + np.vectorize(math.lgamma)(t + 1), (z, t)

    def backward(self, delta, cache):
        z, t = cache
        return delta * (np.exp(z) - t)


class GaussianLoss(Loss):
    """A loss derived from Loss, with reductions and weights, and a trained standard deviation e^s."""

    parameter_names = ("log_sigma",)

    def __init__(self, reduction="mean"):
        super().__init__(reduction)
        self.log_sigma = np.array(0.0)

    def forward(self, z, t, weights=None):
        r = (z - t) * np.exp(-self.log_sigma)
        terms = 0.5 * r * r + self.log_sigma + NORMAL_CONSTANT
        scale = self.scale(terms, weights)
        return self.reduce(terms, scale), (r, scale)

    def backward(self, delta, cache):
        r, scale = cache
        return delta * scale * r * np.exp(-self.log_sigma)

    def parameter_gradients(self, delta, cache):
        r, scale = cache
        return {"log_sigma": np.asarray((delta * scale * (1 - r * r)).sum())}


class SoftmaxLoss(Layer):
    """A softmax written anew, the mean over rows."""

    def forward(self, z, t):
        e = np.exp(z - z.real.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        rows = np.arange(len(z))
        return -np.log(p[rows, t]).mean(), (p, rows, t)

    def backward(self, delta, cache):
        p, rows, t = cache
        residual = p.copy()
        residual[rows, t] -= 1
        return delta * residual / len(p)


EXACT = {
    "a loss that is a sum": ("probit", lambda: Sequential(Linear(2, 1, rng=0), ProbitLoss())),
    "a layer below a loss": ("probit", lambda: Sequential(Linear(2, 1, rng=0), Probit(), NLLLoss())),
    "a loss that is a mean, with a parameter": ("weibull", lambda: Sequential(Linear(2, 1, rng=0), WeibullLoss())),
    "a trained variance": ("gaussian", lambda: Sequential(Linear(2, 1, rng=0), HomoscedasticGaussianNLLLoss(1))),
    "one number for each row": ("exposures", lambda: Sequential(Linear(2, 1, rng=0), PoissonLoss())),
    "years that are not centred": ("years_poisson", lambda: Sequential(Linear(1, 1, rng=0), PoissonLoss())),
    "columns of 1e-150 to 1e150": ("scales", lambda: Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss())),
    "classes and weights": ("scales_of_classes", lambda: Sequential(Linear(2, 4, rng=0), SoftmaxLoss())),
    "three classes": ("wine", lambda: Sequential(Linear(2, 3, rng=0), LogSoftmax(), NLLLoss())),
    "weights": ("beetles_logit", lambda: Sequential(Linear(1, 1, rng=0), BernoulliNLLLoss())),
    "an offset": ("offset_logit", lambda: Sequential(Linear(2, 1, rng=0), BernoulliNLLLoss())),
}


@pytest.mark.parametrize("case", EXACT)
def test_the_exact_solution_to_ten_digits_and_those_stated(case):
    name, make = EXACT[case]
    problem, exact = PROBLEMS[name], solution(name)
    target = problem.target if problem.likelihood in ("poisson", "gaussian", "weibull") else problem.target.astype(int)
    target = target[:, np.newaxis] if case == "a trained variance" else target
    offset = None if problem.offset is None else problem.offset[:, np.newaxis]
    cost = make()
    before = {key: array.copy() for key, array in cost.parameters().items()}
    likelihood, maximum = fitted(cost, data(problem.x, target, problem.weights, offset))
    assert maximum.reason == "converged"
    assert unbounded(likelihood, maximum) is None
    _, params, errors = estimates(likelihood, maximum)
    achieved = min(digits(params, np.ravel(exact["parameters"])), digits(errors, np.ravel(exact["standard_errors"])))
    assert achieved > 10
    assert achieved >= maximum.digits > 10
    assert digits(-maximum.local.value, exact["loglik"]) > 12
    for key, array in cost.parameters().items():
        np.testing.assert_array_equal(array, before[key])  # the cost is not changed
    null = likelihood.without_inputs()
    assert digits(-search(null).local.value, exact["loglik_null"]) > 12


@pytest.mark.parametrize("name", ["probit", "gaussian", "exposures", "wine"])
def test_expected_information_and_scores_are_the_exact(name):
    case = {"probit": "a layer below a loss", "gaussian": "a trained variance", "wine": "three classes"}.get(name)
    problem, exact = PROBLEMS[name], solution(name)
    make = EXACT[case][1] if case else lambda: Sequential(Linear(2, 1, rng=0), PoissonNLLLoss())
    target = problem.target[:, np.newaxis] if name in ("gaussian", "exposures") else problem.target.astype(int)
    offset = None if problem.offset is None else problem.offset[:, np.newaxis]
    likelihood, maximum = fitted(make(), data(problem.x, target, None, offset))
    listing = likelihood.listing("reference")
    outward = listing.scale[:, np.newaxis] * listing.matrix

    def agrees(information, key):
        found = outward @ np.linalg.inv(information) @ outward.T
        sizes = np.sqrt(np.diag(exact[key]))
        np.testing.assert_allclose(found / np.outer(sizes, sizes), exact[key] / np.outer(sizes, sizes), atol=1e-11)

    agrees(likelihood.expected(maximum.u), "covariance_expected")
    scores = likelihood.scores(maximum.u)
    agrees(scores.T @ scores, "covariance_opg")
    assert likelihood.terms(maximum.u).sum() == pytest.approx(-maximum.local.value, rel=1e-14)


# A stack that is a regression.


def test_a_custom_softmax_gives_the_numbers_of_the_regression():
    problem = PROBLEMS["wine"]
    of_data = data(problem.x, problem.target.astype(int), classes=["a", "b", "c"])
    known = regression(Sequential(Linear(2, 3, rng=0), LogSoftmax(), NLLLoss()), of_data)
    at = maximize(known)
    likelihood, maximum = fitted(Sequential(Linear(2, 3, rng=0), SoftmaxLoss()), of_data)
    for identification in ("reference", "sum_to_zero", "minimum_norm"):
        names, params, errors = estimates(likelihood, maximum, identification)
        listing = known.listing(identification)
        assert names == listing.names
        np.testing.assert_allclose(params, listing.values(at.u), rtol=1e-10)
        np.testing.assert_allclose(errors, listing.errors(np.linalg.inv(at.local.hessian)), rtol=1e-10)
    assert likelihood.size == 6
    assert maximum.local.value == pytest.approx(at.local.value, rel=1e-13)
    new = problem.x[:7] * 1.1
    loss_output = Sequential(*likelihood.trained(maximum.u)[:-1], LogSoftmax())
    np.testing.assert_allclose(known.response(at.u, new), np.exp(loss_output(new)), rtol=1e-9)


def test_responses_and_their_derivatives():
    problem = PROBLEMS["wine"]
    of_data = data(problem.x, problem.target.astype(int))
    known = regression(Sequential(Linear(2, 3, rng=0), LogSoftmax(), NLLLoss()), of_data)
    likelihood = stack(Sequential(Linear(2, 3, rng=0), CrossEntropyLoss()), of_data)
    u, new = maximize(known).u, problem.x[:5]
    theta = known.listing("reference").values(u)
    own = likelihood.listing("reference")
    v = np.linalg.solve(own.scale[:, np.newaxis] * own.matrix, theta)
    np.testing.assert_allclose(likelihood.response(v, new), known.response(u, new), rtol=1e-10)
    by_v = likelihood.response_jacobian(v, new)
    assert by_v.shape == (5, 3, 6)
    direction = np.linspace(-1, 1, 6)
    h = 1e-6
    ahead, back = likelihood.response(v + h * direction, new), likelihood.response(v - h * direction, new)
    np.testing.assert_allclose(by_v @ direction, (ahead - back) / (2 * h), atol=1e-8)


# Names and parameters.


class Curve(Layer):
    """a e^(-b x) + c_0 + c_1 x."""

    parameter_names = ("a", "b", "c")

    def __init__(self):
        self.a, self.b, self.c = np.array(1.0), np.array(0.5), np.array([0.0, 0.1])

    def forward(self, x):
        e = np.exp(-self.b * x)
        return self.a * e + self.c[0] + self.c[1] * x, (x, e)

    def backward(self, delta, cache):
        _, e = cache
        return delta * (-self.a * self.b * e + self.c[1])

    def parameter_gradients(self, delta, cache):
        x, e = cache
        return {
            "a": np.asarray((delta * e).sum()),
            "b": np.asarray((-delta * self.a * x * e).sum()),
            "c": np.array([delta.sum(), (delta * x).sum()]),
        }


def decay():
    x = np.linspace(0, 4, 25)[:, np.newaxis]
    return x, 2 * np.exp(-1.5 * x) + 1 - 0.25 * x + 0.05 * np.sin(40 * x)


def test_names_of_scalars_vectors_and_losses():
    x, y = decay()
    likelihood, maximum = fitted(Sequential(Curve(), HomoscedasticGaussianNLLLoss(1)), data(x, y))
    names, params, _ = estimates(likelihood, maximum)
    assert names == ["a", "b", "c[0]", "c[1]", "log_variance"]
    trained = likelihood.trained(maximum.u)
    np.testing.assert_allclose([trained[0].a, trained[0].b, *trained[0].c, *trained[1].log_variance], params)
    assert trained[0].a.shape == ()
    r = trained[0](x) - y
    assert params[-1] == pytest.approx(math.log((r * r).mean()), rel=1e-12)  # the closed form
    z = trained[0](x)
    np.testing.assert_allclose(likelihood.response(maximum.u, x), z)
    assert likelihood.without_inputs() is None


def test_names_that_would_clash_have_their_place():
    x, y = decay()
    cost = Sequential(Curve(), Curve(), HomoscedasticGaussianNLLLoss(1))
    assert stack(cost, data(x, y)).listing("reference").names == [
        *["0.a", "0.b", "0.c[0]", "0.c[1]"],
        *["1.a", "1.b", "1.c[0]", "1.c[1]"],
        "log_variance",
    ]


def test_names_of_a_network():
    problem = PROBLEMS["wine"]
    cost = Sequential(Linear(2, 2, rng=0), Tanh(), Linear(2, 3, rng=1), LogSoftmax(), NLLLoss())
    likelihood = stack(
        cost, data(problem.x, problem.target.astype(int), names=["acid", "ash"], classes=["A", "B", "C"])
    )
    hidden = [
        "0.weight[0, acid]",
        "0.weight[0, ash]",
        "0.bias[0]",
        "0.weight[1, acid]",
        "0.weight[1, ash]",
        "0.bias[1]",
    ]
    outer = [f"2.{part}" for k in "BC" for part in (f"weight[{k}, 0]", f"weight[{k}, 1]", f"bias[{k}]")]
    assert likelihood.listing("reference").names == hidden + outer
    assert len(likelihood.listing("sum_to_zero").names) == len(hidden) + 9
    assert likelihood.size == 12
    assert len(set(likelihood.listing("sum_to_zero").names)) == 15


def test_a_column_named_like_a_parameter_keeps_its_name():
    x, y = decay()
    likelihood = stack(Sequential(Linear(1, 1, rng=0), GaussianLoss()), data(x, y, names=["log_sigma"]))
    assert likelihood.listing("reference").names == ["log_sigma", "const", "1.log_sigma"]


# Networks and other stacks.


def test_a_network_has_a_hessian_that_is_the_derivative_of_its_scores():
    problem = PROBLEMS["wine"]
    cost = Sequential(Linear(2, 3, rng=0), Tanh(), Linear(3, 3, rng=1), CrossEntropyLoss())
    likelihood = stack(cost, data(problem.x, problem.target.astype(int), problem.weights))
    u = likelihood.start + 0.1 * np.cos(np.arange(likelihood.size))
    local = likelihood.evaluate(u)
    np.testing.assert_allclose(-likelihood.scores(u).sum(axis=0), local.gradient, atol=1e-10)
    h = 1e-5
    for j in range(likelihood.size):
        e = h * np.eye(likelihood.size)[j]
        there, back = likelihood.value_and_gradient(u + e), likelihood.value_and_gradient(u - e)
        assert (there[0] - back[0]) / (2 * h) == pytest.approx(local.gradient[j], abs=1e-6)
        np.testing.assert_allclose((there[1] - back[1]) / (2 * h), local.hessian[j], atol=1e-6)
    np.testing.assert_allclose(
        likelihood.trained(u)[:-1](problem.x[:3]).argmax(axis=1), likelihood.response(u, problem.x[:3]).argmax(axis=1)
    )


def test_a_network_is_fitted_to_a_minimum():
    x = np.linspace(-2, 2, 60)[:, np.newaxis]
    y = np.tanh(2 * x - 1) + 0.1 * np.sin(30 * x)
    cost = Sequential(Linear(1, 1, rng=3), Tanh(), Linear(1, 1, rng=4), HomoscedasticGaussianNLLLoss(1))
    likelihood, maximum = fitted(cost, data(x, y))
    assert maximum.reason == "converged"
    assert unbounded(likelihood, maximum) is None
    assert np.linalg.eigvalsh(maximum.local.hessian).min() > 0
    assert maximum.digits > 10
    names, params, _ = estimates(likelihood, maximum)
    assert names == ["x1", "const", "2.weight[0, 0]", "2.bias[0]", "log_variance"]
    assert abs(params[0]) == pytest.approx(2, rel=0.1)


def test_an_embedding_gives_the_mean_of_each_group():
    groups = np.array([0, 0, 1, 1, 1, 2, 2])
    y = np.array([1.0, 3, 4, 5, 9, -1, 0])[:, np.newaxis]
    for x in (groups, groups.astype(float)):  # tables arrive as floats
        likelihood, maximum = fitted(
            Sequential(Embedding(3, 1, rng=0), HomoscedasticGaussianNLLLoss(1)), data(x, y, names=[])
        )
        names, params, errors = estimates(likelihood, maximum)
        assert names == ["0.weight[0, 0]", "0.weight[1, 0]", "0.weight[2, 0]", "log_variance"]
        np.testing.assert_allclose(params[:3], [2, 6, -0.5], rtol=1e-12)
        rss = 2 + 14 + 0.5
        assert params[3] == pytest.approx(math.log(rss / 7), rel=1e-12)
        np.testing.assert_allclose(errors[:3], np.sqrt(rss / 7 / np.array([2, 3, 2])), rtol=1e-12)
        assert errors[3] == pytest.approx(math.sqrt(2 / 7), rel=1e-12)


class Two(Layer):
    """x -> (mean, variance), each linear in x or its exponential."""

    parameter_names = ("m", "v")

    def __init__(self):
        self.m, self.v = np.array([0.0, 1.0]), np.array([0.0, 0.0])

    def forward(self, x):
        variance = np.exp(self.v[0] + self.v[1] * x)
        return (self.m[0] + self.m[1] * x, variance), (x, variance)

    def backward(self, delta, cache):
        _, variance = cache
        return delta[0] * self.m[1] + delta[1] * variance * self.v[1]

    def parameter_gradients(self, delta, cache):
        x, variance = cache
        by_v = delta[1] * variance
        return {
            "m": np.array([delta[0].sum(), (delta[0] * x).sum()]),
            "v": np.array([by_v.sum(), (by_v * x).sum()]),
        }


def test_a_mean_and_a_variance_from_below():
    x = np.repeat([[0.0], [1.0]], 4, axis=0)
    y = np.array([1.0, 2, 3, 6, -2, 0, 0, 10])[:, np.newaxis]
    likelihood, maximum = fitted(Sequential(Two(), GaussianNLLLoss("sum", eps=1e-12)), data(x, y))
    _, params, _ = estimates(likelihood, maximum)
    means, variances = [3.0, 2.0], [3.5, 22.0]
    exact = [means[0], means[1] - means[0], math.log(variances[0]), math.log(variances[1] / variances[0])]
    np.testing.assert_allclose(params, exact, rtol=1e-12)
    loglik = -2 * sum(math.log(2 * math.pi * v) + 1 for v in variances)
    assert -maximum.local.value == pytest.approx(loglik, rel=1e-14)
    np.testing.assert_allclose(likelihood.expected(maximum.u), maximum.local.hessian, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(likelihood.response(maximum.u, x), np.repeat([[3.0], [2.0]], 4, axis=0))


def test_statsmodels_has_the_same_probit():
    models = pytest.importorskip("statsmodels.api")
    problem = PROBLEMS["probit"]
    peer = models.Probit(problem.target, models.add_constant(problem.x, prepend=False)).fit(disp=0, tol=1e-12)
    likelihood, maximum = fitted(Sequential(Linear(2, 1, rng=0), ProbitLoss()), data(problem.x, problem.target))
    _, params, errors = estimates(likelihood, maximum)
    np.testing.assert_allclose(params, peer.params, rtol=1e-8)
    np.testing.assert_allclose(errors, peer.bse, rtol=1e-6)
    assert -maximum.local.value == pytest.approx(peer.llf, rel=1e-12)


# Reductions, weights, offsets.


@pytest.mark.parametrize("make", [ProbitLoss, PoissonLoss, WeibullLoss, GaussianLoss, lambda: GaussianLoss("sum")])
def test_weights_are_repeated_rows(make):
    x, y = decay()
    y = np.floor(np.abs(y) * 4) + 1 if make in (PoissonLoss, WeibullLoss) else y
    y = (np.arange(25) % 3 > 0).astype(float) if make is ProbitLoss else y
    w = 1.0 + np.arange(25) % 4
    at = np.repeat(np.arange(25), w.astype(int))
    one, other = (
        fitted(Sequential(Linear(1, 1, rng=0), make()), data(x[rows], y[rows], weights))
        for rows, weights in ((np.arange(25), w), (at, None))
    )
    assert one[1].local.value == pytest.approx(other[1].local.value, rel=1e-12)
    for a, b in zip(estimates(*one)[1:], estimates(*other)[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    expected = other[0].scores(other[1].u)
    own = one[0].scores(one[1].u)
    np.testing.assert_allclose((w[:, np.newaxis] * own).sum(axis=0), 0, atol=1e-9)
    assert own.shape == (25, expected.shape[1])


def test_a_loss_that_is_neither_sum_nor_mean_is_refused():
    class Root(Layer):
        def forward(self, z, t):
            return np.sqrt(((z - t) ** 2).sum()), z - t

        def backward(self, delta, r):
            return delta * r / np.sqrt((r * r).sum())

    x, y = decay()
    with pytest.raises(
        ValueError, match=r"Root\(\) expects to be .* the sum or the mean over rows.*derive it from Loss"
    ):
        stack(Sequential(Linear(1, 1, rng=0), Root()), data(x, y))


def test_a_mean_over_several_targets_is_refused():
    class Mean(Layer):
        def forward(self, z, t):
            return 0.5 * ((z - t) ** 2).mean(), z - t

        def backward(self, delta, r):
            return delta * r / r.size

    x, y = decay()
    with pytest.raises(ValueError, match=r"is a mean, over rows or over all 50 targets"):
        stack(Sequential(Linear(1, 2, rng=0), Mean()), data(x, np.hstack([y, y])))


def test_numbers_that_are_not_of_rows_are_refused():
    class Columns(Layer):
        def forward(self, z, t):
            return ((z - t) ** 2).sum(axis=0), z - t

        def backward(self, delta, r):
            return 2 * delta * r

    x, y = decay()
    with pytest.raises(ValueError, match=r"expects to give one number, or one for each of 25 rows, got \(1,\)"):
        stack(Sequential(Linear(1, 1, rng=0), Columns()), data(x, y))


def test_targets_are_never_broadcast():
    """(25, 1) - (25,) compares all pairs of rows; whichever shape a loss is written for, it gets."""
    x, y = decay()
    one, other = (fitted(Sequential(Linear(1, 1, rng=0), GaussianLoss()), data(x, each)) for each in (y, y[:, 0]))
    np.testing.assert_allclose(estimates(*one)[1], estimates(*other)[1], rtol=1e-12)

    class Plain(Layer):
        def forward(self, z, t):
            return 0.5 * ((z - t) ** 2).sum() + len(z) * NORMAL_CONSTANT, z - t

        def backward(self, delta, r):
            return delta * r

    zeros = Sequential(Linear(1, 1, rng=0), Plain())
    for array in zeros.parameters().values():
        array[...] = 0.0  # a constant output, for which a mean of pairs would look like a mean of rows
    likelihood, maximum = fitted(zeros, data(x, y[:, 0]))
    exact = np.linalg.lstsq(np.hstack([x, np.ones_like(x)]), y[:, 0], rcond=None)[0]
    np.testing.assert_allclose(estimates(likelihood, maximum)[1], exact, rtol=1e-12)


def test_an_offset_goes_to_the_last_linear():
    problem = PROBLEMS["offset_logit"]
    target, offset = problem.target.astype(int), problem.offset[:, np.newaxis]
    cost = Sequential(Linear(2, 2, rng=0), Tanh(), Linear(2, 1, rng=1), BernoulliNLLLoss())
    likelihood = stack(cost, data(problem.x, target, None, offset))
    z = cost[:-1](problem.x) + offset
    assert likelihood.value(likelihood.start) == pytest.approx(BernoulliNLLLoss("sum")(z, target), rel=1e-12)
    assert not np.allclose(
        likelihood.response(likelihood.start, problem.x), likelihood.response(likelihood.start, problem.x, offset)
    )
    two = Sequential(Curve(), Curve(), HomoscedasticGaussianNLLLoss(1))
    with pytest.raises(ValueError, match="expects an offset for a stack whose bottom layer is a Linear"):
        stack(two, data(*decay(), None, np.ones((25, 1))))
    with pytest.raises(ValueError, match=r"expects offset of the shape of the linear units, \(60, 1\), got \(60, 2\)"):
        stack(cost, data(problem.x, target, None, np.hstack([offset, offset])))


def test_constants_that_losses_leave_out_are_added():
    x, y = decay()
    full, short = (
        fitted(Sequential(Linear(1, 1, rng=0), HomoscedasticGaussianNLLLoss(1, "sum", full=full)), data(x, y))
        for full in (True, False)
    )
    assert full[1].local.value == pytest.approx(short[1].local.value, rel=1e-14)
    counts = np.floor(np.abs(y) * 9)
    exact = stack(Sequential(Linear(1, 1, rng=0), PoissonLoss()), data(x, counts))
    for stirling in (True, False):
        other = stack(Sequential(Linear(1, 1, rng=0), PoissonNLLLoss(full=stirling)), data(x, counts))
        assert other.value(other.start) == pytest.approx(exact.value(exact.start), rel=1e-14)
        np.testing.assert_allclose(other.terms(other.start), exact.terms(exact.start), rtol=1e-13)


# Penalties.


def test_a_penalised_stack_is_the_penalised_regression():
    problem = PROBLEMS["wine"]
    of_data = data(problem.x, problem.target.astype(int))
    likelihood, maximum = fitted(
        Penalized(Sequential(Linear(2, 3, rng=0), SoftmaxLoss()), L2Penalty(0.5, "*weight")), of_data
    )
    known = regression(
        Penalized(Sequential(Linear(2, 3, rng=0), CrossEntropyLoss()), L2Penalty(0.5, "*weight")), of_data
    )
    at = maximize(known)
    assert likelihood.penalized
    np.testing.assert_allclose(estimates(likelihood, maximum)[1], known.listing("reference").values(at.u), rtol=1e-9)
    assert maximum.objective.value == pytest.approx(at.objective.value, rel=1e-12)
    assert maximum.local.value == pytest.approx(at.local.value, rel=1e-10)


class Fourth(Penalty):
    """sum theta^4."""

    def of(self, theta):
        return np.sum(theta**4)

    def gradient(self, theta):
        return 4 * theta**3


def test_penalties_have_second_derivatives_or_are_refused():
    x, y = decay()
    cost = Penalized(Sequential(Curve(), HomoscedasticGaussianNLLLoss(1)), Fourth(0.5, "*.c"))
    likelihood = stack(cost, data(x, y))
    u = likelihood.start + 0.3
    theta = likelihood.listing("reference").values(u)
    value, gradient, hessian = likelihood.penalty(u)
    scale = likelihood.listing("reference").scale
    assert value == pytest.approx(0.5 * (theta[2:4] ** 4).sum())
    np.testing.assert_allclose(gradient, scale * [0, 0, *(2 * theta[2:4] ** 3), 0])
    np.testing.assert_allclose(hessian, np.diag(scale**2 * [0, 0, *(6 * theta[2:4] ** 2), 0]))
    with pytest.raises(ValueError, match=r"expects a penalty that has second derivatives, got L1Penalty"):
        stack(Penalized(Sequential(Curve(), HomoscedasticGaussianNLLLoss(1)), L1Penalty(0.5)), data(x, y))


# Layers that are not analytic, and rules that are wrong.


def real_probit(declared):
    class RealProbit(Layer):
        """-log Phi(s z) by the error function of the standard library, which takes real numbers alone."""

        complex_safe = not declared

        def forward(self, z, t):
            s = 2.0 * np.asarray(t)[:, np.newaxis] - 1
            p = 0.5 * np.vectorize(math.erfc)(-s * z / math.sqrt(2))
            return -np.log(p).sum(), (s, z, p)

        def backward(self, delta, cache):
            s, z, p = cache
            return -delta * s * np.exp(-z * z / 2) / math.sqrt(2 * math.pi) / p

    return RealProbit()


@pytest.mark.parametrize("declared", [True, False])
def test_layers_that_are_not_complex_safe_have_fewer_digits_and_say_so(declared):
    problem, exact = PROBLEMS["probit"], solution("probit")
    likelihood, maximum = fitted(
        Sequential(Linear(2, 1, rng=0), real_probit(declared)), data(problem.x, problem.target)
    )
    assert likelihood.slopes.method == "central differences"
    _, params, errors = estimates(likelihood, maximum)
    assert digits(params, exact["parameters"]) > 10
    assert digits(errors, exact["standard_errors"]) >= maximum.digits > 7


class Magnitude(Layer):
    """|z|^3, with abs, of which a complex step sees nothing, and which does not say so."""

    def forward(self, z):
        return np.abs(z) ** 3, z

    def backward(self, delta, z):
        return delta * 3 * np.abs(z) * z


def test_a_layer_that_is_not_analytic_and_does_not_say_so_is_found_out():
    x, y = decay()
    cost = Sequential(Linear(1, 1, rng=0), Magnitude(), GaussianLoss())
    likelihood, maximum = fitted(cost, data(x, y + 3))
    assert likelihood.slopes.method == "central differences"
    assert maximum.reason == "converged"
    local, h = likelihood.evaluate(maximum.u), 1e-5
    for j, e in enumerate(h * np.eye(3)):
        there, back = (likelihood.value_and_gradient(maximum.u + s * e)[1] for s in (1, -1))
        np.testing.assert_allclose(local.hessian[j], (there - back) / (2 * h), rtol=1e-5, atol=1e-4)


class Wrong(Curve):
    """A rule 3 that lacks a factor, in one entry."""

    def parameter_gradients(self, delta, cache):
        return super().parameter_gradients(delta, cache) | {"b": np.asarray((-delta * cache[0] * cache[1]).sum())}


class WrongBelow(Tanh):
    """A rule 2 that lacks a factor."""

    def backward(self, delta, cache):
        return 0.9 * super().backward(delta, cache)


@pytest.mark.parametrize(
    "cost",
    [
        Sequential(Wrong(), HomoscedasticGaussianNLLLoss(1)),
        Sequential(Linear(1, 2, rng=0), WrongBelow(), Linear(2, 1, rng=0), HomoscedasticGaussianNLLLoss(1)),
    ],
)
def test_a_wrong_rule_is_an_error_and_no_estimate(cost):
    x, y = decay()
    if isinstance(cost[0], Wrong):
        cost[0].a[...] = 2.5
    with pytest.raises(ValueError, match=r"the rules of Sequential\(.*disagree: .*check_layer\(cost, x, target\)"):
        search(stack(cost, data(x, y)))


class Slope(Layer):
    """a^power x, with a rule 3 that is `factor` times what it should be."""

    parameter_names = ("a",)

    def __init__(self, power=1, factor=1.0):
        self.a, self.power, self.factor = np.array(0.5), power, factor

    def forward(self, x):
        return self.a**self.power * x, x

    def backward(self, delta, x):
        return delta * self.a**self.power

    def parameter_gradients(self, delta, x):
        return {"a": np.asarray((self.factor * self.power * self.a ** (self.power - 1) * delta * x).sum())}


class UnitLoss(Layer):
    """-log of a normal density of variance 1."""

    def forward(self, z, t):
        return 0.5 * ((z - t) ** 2).sum() + len(z) * NORMAL_CONSTANT, z - t

    def backward(self, delta, r):
        return delta * r


def test_a_wrong_rule_is_seen_where_second_derivatives_are_symmetric():
    x, y = decay()
    with pytest.raises(ValueError, match=r"along one direction the cost rises by .*, but by its gradient it should by"):
        search(stack(Sequential(Slope(factor=2.0), UnitLoss()), data(x, y)))
    assert search(stack(Sequential(Slope(), UnitLoss()), data(x, y))).reason == "converged"


def test_what_is_no_likelihood_is_refused():
    x, y = decay()
    with pytest.raises(ValueError, match="expects a stack that ends in a negative log-likelihood, got MSELoss"):
        stack(Sequential(Linear(1, 1, rng=0), MSELoss()), data(x, y))
    with pytest.raises(ValueError, match="draws from its generator"):
        stack(Sequential(Linear(1, 1, rng=0), Dropout(0.5, rng=0), GaussianLoss()), data(x, y))
    with pytest.raises(ValueError, match="no row depends on another, got BatchNorm1d"):
        stack(Sequential(BatchNorm1d(1), Linear(1, 1, rng=0), GaussianLoss()), data(x, y))
    with pytest.raises(ValueError, match=r"with parameters, got .*: there is nothing to estimate"):
        stack(Sequential(Tanh(), PoissonLoss()), data(x, np.floor(np.abs(y))))
    likelihood = stack(Sequential(Linear(1, 1, rng=0), WeibullLoss()), data(x, np.abs(y) + 1))
    with pytest.raises(ValueError, match=r"got WeibullLoss\(\): write a method expected_curvature"):
        likelihood.expected(likelihood.start)


def test_a_loss_may_offer_its_expected_curvature_and_response():
    class Counts(PoissonLoss):
        def expected_curvature(self, z, u, target):
            return np.exp(z) * u

        def response(self, z):
            return np.exp(z)

    problem = PROBLEMS["years_poisson"]
    likelihood, maximum = fitted(Sequential(Linear(1, 1, rng=0), Counts()), data(problem.x, problem.target))
    np.testing.assert_allclose(likelihood.expected(maximum.u), maximum.local.hessian, rtol=1e-11, atol=1e-11)
    mean = likelihood.response(maximum.u, problem.x)
    assert mean.sum() == pytest.approx(problem.target.sum(), rel=1e-12)  # the score equation of the constant


# What has no maximum.


def test_a_separated_probit_says_along_what():
    x = np.array([[-2.0, 1], [-1, 0], [-0.5, 3], [0.5, 1], [1, 2], [2, 0]])
    likelihood, maximum = fitted(
        Sequential(Linear(2, 1, rng=0), Probit(), NLLLoss()), data(x, (x[:, 0] > 0).astype(int))
    )
    assert maximum.reason != "converged"
    found = unbounded(likelihood, maximum)
    assert found["status"] == "separated"
    d = found["direction"]
    assert set(d) <= {"x1", "x2", "const"}
    margins = (x @ [d.get("x1", 0), d.get("x2", 0)] + d.get("const", 0)) * np.sign(x[:, 0])
    assert (margins >= -1e-6 * np.abs(margins).max()).all()
    assert margins.max() > 0
    assert "no estimate exists" in found["message"]


def test_a_perfect_fit_is_at_the_boundary():
    x, _ = decay()
    likelihood, maximum = fitted(
        Sequential(Curve(), HomoscedasticGaussianNLLLoss(1)), data(x, 3 * np.exp(-x) + 0.5 * x)
    )
    found = unbounded(likelihood, maximum)
    assert found["status"] == "boundary"
    assert found["direction"] == {"log_variance": -1.0}
    assert "the fit is perfect" in found["message"]


class Product(Curve):
    """a c_0 e^(-b x) + c_1: of a and c_0 only the product counts."""

    def forward(self, x):
        e = np.exp(-self.b * x)
        return self.a * self.c[0] * e + self.c[1], (x, e)

    def backward(self, delta, cache):
        return -delta * self.a * self.b * self.c[0] * cache[1]

    def parameter_gradients(self, delta, cache):
        x, e = cache
        return {
            "a": np.asarray((delta * self.c[0] * e).sum()),
            "b": np.asarray((-delta * self.a * self.c[0] * x * e).sum()),
            "c": np.array([(delta * self.a * e).sum(), delta.sum()]),
        }


def test_what_is_not_identified_is_named():
    x, y = decay()
    layer = Product()
    layer.c[0] = 1.0
    likelihood, maximum = fitted(Sequential(layer, HomoscedasticGaussianNLLLoss(1)), data(x, y))
    assert maximum.reason == "converged"
    found = unbounded(likelihood, maximum)
    assert found["status"] == "not_identified"
    assert found["null"].shape == (likelihood.size, 1)
    assert set(found["null_vectors"][0]) == {"a", "c[0]"}
    assert found["estimable"] == {"a": False, "b": True, "c[0]": False, "c[1]": True, "log_variance": True}


def test_collinear_columns_are_not_identified():
    x, y = decay()
    both = np.hstack([x, x[::-1] ** 2, 2 * x + 1])
    likelihood, maximum = fitted(Sequential(Linear(3, 1, rng=0), GaussianLoss()), data(both, y))
    found = unbounded(likelihood, maximum)
    assert found["status"] == "not_identified"
    assert found["estimable"]["x2"]
    assert not found["estimable"]["x1"]
    null = likelihood.listing("reference").values(found["null"][:, 0])
    np.testing.assert_allclose(null[:4] / null[2], [-2, 0, 1, -1], atol=1e-8)


@pytest.mark.parametrize("name", ["overlap_1e-09", "cliff_1e-09"])
def test_an_estimate_very_far_out_is_told_from_none(name):
    problem, exact = PROBLEMS[name], solution(name)
    cost = Sequential(Linear(1, 1, rng=0), BernoulliNLLLoss())
    likelihood, maximum = fitted(cost, data(problem.x, problem.target.astype(int)))
    assert maximum.reason == "converged"
    said = unbounded(likelihood, maximum)
    assert said is None or (name == "overlap_1e-09" and said["status"] == "regular")
    assert said is None or "log L is far from a parabola" in said["message"]
    achieved = digits(estimates(likelihood, maximum)[1], exact["parameters"])
    assert achieved >= maximum.digits > 7


def test_a_network_that_saturates_is_at_the_boundary():
    """Two groups of equal rows, of which tanh makes a step: its weights go off."""
    x = np.repeat([[-1.0], [-0.5], [0.5], [1.0]], 5, axis=0)
    labels = (np.arange(20) % 5 < np.repeat([1, 1, 4, 4], 5)).astype(int)
    cost = Sequential(Linear(1, 1, bias=False, rng=1), Tanh(), Linear(1, 1, rng=2), BernoulliNLLLoss())
    likelihood, maximum = fitted(cost, data(x, labels))
    found = unbounded(likelihood, maximum)
    assert found["status"] == "boundary"
    assert set(found["direction"]) == {"x1"}
    assert -maximum.local.value == pytest.approx(20 * (0.2 * math.log(0.2) + 0.8 * math.log(0.8)), rel=1e-3)


def test_layers_in_a_row_that_are_linear_are_not_identified_and_corners_are_no_wrong_rules():
    x = np.array([math.sin(3 * i * i) for i in range(120)]).reshape(40, 3)
    y = x[:, :1] - 2 * np.abs(x[:, 1:2]) + 0.3 * np.cos(50 * x[:, 2:])
    likelihood, maximum = fitted(
        Sequential(Linear(3, 2, rng=1), Linear(2, 1, rng=2), HomoscedasticGaussianNLLLoss(1)), data(x, y)
    )
    found = unbounded(likelihood, maximum)
    assert found["status"] == "not_identified"
    assert found["null"].shape[1] == 12 - 5
    assert maximum.local.value == pytest.approx(
        fitted(Sequential(Linear(3, 1, rng=1), HomoscedasticGaussianNLLLoss(1)), data(x, y))[1].local.value
    )
    corners = Sequential(Linear(3, 2, rng=1), ReLU(), Linear(2, 1, rng=2), HomoscedasticGaussianNLLLoss(1))
    likelihood, maximum = fitted(corners, data(x, y))
    assert likelihood.slopes.method == "complex step"
    assert (
        maximum.local.value
        < fitted(Sequential(Linear(3, 1, rng=1), HomoscedasticGaussianNLLLoss(1)), data(x, y))[1].local.value
    )


def test_one_layer_in_two_places():
    x, y = decay()
    inner = Linear(1, 1, rng=3)
    likelihood, maximum = fitted(Sequential(inner, Tanh(), inner, GaussianLoss()), data(x, y))
    assert likelihood.listing("reference").names == ["0.weight", "0.bias", "log_sigma"]
    trained = likelihood.trained(maximum.u)
    assert trained[0].weight is trained[2].weight
    np.testing.assert_allclose(-likelihood.scores(maximum.u).sum(axis=0), maximum.local.gradient, atol=1e-9)


def test_a_minimum_flatter_than_a_parabola_has_no_standard_errors():
    x = np.array([[-1.0], [0.0], [1.0], [2.0]])
    y = np.array([[1.0], [1.0], [1.0], [0.0]])  # at right angles to x: J = a^4 sum x^2 / 2 + constant
    likelihood, maximum = fitted(Sequential(Slope(power=2), UnitLoss()), data(x, y))
    assert unbounded(likelihood, maximum)["status"] == "not_converged"
    assert "standard errors do not exist" in unbounded(likelihood, maximum)["message"]


def test_the_variance_is_profiled_to_its_best():
    x, y = decay()
    w = 1.0 + np.arange(25) % 3
    likelihood = stack(Sequential(Curve(), HomoscedasticGaussianNLLLoss(1)), data(x, y, w))
    u = likelihood.start + 0.1
    best, perfect = likelihood.profiled(u)
    assert not perfect
    np.testing.assert_allclose(best[:4], u[:4])
    assert likelihood.value_and_gradient(best)[1][4] == pytest.approx(0, abs=1e-10)


def test_rays_tell_a_valley_from_a_fall_without_end():
    one = np.array([1.0])

    def found(value, gradient, hessian):
        local = Local(value(one), gradient * one, np.array([[hessian]]))
        return Maximum(one, local, local, 0, "no_progress", 0.1)

    parabola = list(rays(lambda u: float((u - 3) ** 2 @ one), found(lambda u: 4.0, -4.0, 2.0)))
    assert not any(ray.for_ever(False) for ray in parabola)
    assert any(ray.gains and abs(ray.best[0] - 3) < 1.1 for ray in parabola)
    fall = list(rays(lambda u: math.exp(-u[0]), found(lambda u: math.exp(-1), -math.exp(-1), math.exp(-1))))
    assert fall[0].for_ever(False)


def test_a_rise_beside_a_huge_start_is_seen():
    """1e26 at the start hides nothing of what J does where it is 10."""
    one = np.array([1.0])
    local = Local(1e26, -1e26 * one, np.array([[1e26]]))
    steep = rays(
        lambda u: 1e26 * math.exp(-80 * float(u[0] - 1)) + 10 * float(u[0]),
        Maximum(one, local, local, 0, "diverges", 1.0),
    )
    assert not any(ray.for_ever(True) for ray in steep)


def test_flat_directions_away_from_a_maximum_identify_nothing():
    x, y = decay()
    both = np.hstack([x, x[::-1] ** 2, 2 * x + 1])
    likelihood, maximum = fitted(Sequential(Linear(3, 1, rng=0), GaussianLoss()), data(both, y))
    found = unbounded(likelihood, maximum)
    assert found["status"] == "not_identified"
    aside = maximum.u + 0.1 * np.linalg.qr(found["null"], mode="complete")[0][:, -1]
    local = likelihood.evaluate(aside)
    moved = maximum._replace(u=aside, local=local, objective=local)
    assert unbounded(likelihood, moved)["status"] == "not_converged"


def test_a_saddle_is_left():
    """sin^2(a) e^-x and a = 0: the gradient is 0 there, and the curvature negative."""

    class Saddle(Layer):
        parameter_names = ("a",)

        def __init__(self):
            self.a = np.array(0.0)

        def forward(self, x):
            return self.a * self.a * x, x

        def backward(self, delta, x):
            return delta * self.a * self.a

        def parameter_gradients(self, delta, x):
            return {"a": np.asarray((2 * delta * self.a * x).sum())}

    x, _ = decay()
    y = 2 * x + 0.1 * np.sin(20 * x)
    likelihood, maximum = fitted(Sequential(Saddle(), HomoscedasticGaussianNLLLoss(1)), data(x, y))
    assert estimates(likelihood, maximum)[1][0] ** 2 == pytest.approx(float((x * y).sum() / (x * x).sum()), rel=1e-10)


def test_failures_far_out_are_rejected_steps():
    """The rate must be positive, or the loss raises: the search goes round that."""
    x = np.array([[0.0], [1], [2], [3]])
    y = np.array([[3.0], [1], [0], [0]])
    cost = Sequential(Linear(1, 1, rng=0), PoissonNLLLoss("sum", log_input=False, eps=0.0))
    cost[0].weight[...], cost[0].bias[...] = 0.0, 1.0
    likelihood = stack(cost, data(x, y))
    assert likelihood.value(likelihood.start - 1e3) == math.inf
    assert likelihood.evaluate(likelihood.start - 1e3).value == math.inf
    assert math.isfinite(search(likelihood).local.value)


def test_columns_and_rows_in_other_units_and_order_give_the_same():
    problem = PROBLEMS["weibull"]
    one = fitted(Sequential(Linear(2, 1, rng=0), WeibullLoss()), data(problem.x, problem.target))
    order = np.argsort(np.sin(np.arange(50)))
    scale = np.array([2.0**300, 2.0**-300])
    other = fitted(
        Sequential(Linear(2, 1, rng=0), WeibullLoss()), data(problem.x[order] * scale, problem.target[order])
    )
    by_unit = np.append(scale, [1.0, 1.0])
    for a, b in zip(estimates(*one)[1:], estimates(*other)[1:], strict=True):
        np.testing.assert_allclose(a, b * by_unit, rtol=1e-11)


def test_float32_costs_are_fitted_in_double_precision():
    problem, exact = PROBLEMS["gaussian"], solution("gaussian")
    cost = Sequential(Linear(2, 1, rng=0), HomoscedasticGaussianNLLLoss(1)).astype(np.float32)
    likelihood, maximum = fitted(cost, data(problem.x, problem.target[:, np.newaxis]))
    assert digits(estimates(likelihood, maximum)[1], exact["parameters"]) > 10
    assert {array.dtype for array in likelihood.trained(maximum.u).parameters().values()} == {np.dtype(np.float32)}


# What is said far out, and where J has no curvature but rounding.


def never_rises(likelihood, maximum, direction):
    """J(u + t direction), as far as a thousand times the size of u, or as numbers go."""
    listing = likelihood.listing("reference")
    moved = np.array([direction.get(name, 0.0) for name in listing.names]) / listing.scale
    d = np.linalg.lstsq(listing.matrix, moved, rcond=None)[0]
    d *= max(1.0, np.abs(maximum.u).max()) / np.abs(d).max()
    values = np.array([likelihood.value(maximum.u + t * d) for t in (0.0, *2.0 ** np.arange(-5, 10))])
    values = values[np.isfinite(values)]
    return len(values) > 6 and bool((np.diff(values) <= 1e-10 * (1 + abs(values[0]))).all())


class NegativeBinomialLoss(Layer):
    """Counts of mean e^z and variance mu + alpha mu^2, alpha trained."""

    parameter_names = ("log_alpha",)

    def __init__(self):
        self.log_alpha = np.array(0.0)

    def forward(self, z, t):
        t = np.asarray(t).reshape(-1, 1)
        a, mu = np.exp(self.log_alpha), np.exp(z)
        rising = sum(np.where(t > j, np.log1p(a * j), 0) for j in range(int(t.max())))
        return -(rising - (t + 1 / a) * np.log1p(a * mu) + t * z).sum(), (t, a, mu)

    def backward(self, delta, cache):
        t, a, mu = cache
        return -delta * (t - (t * a + 1) * mu / (1 + a * mu))

    def parameter_gradients(self, delta, cache):
        t, a, mu = cache
        rising = sum(np.where(t > j, j * a / (1 + a * j), 0) for j in range(int(t.max())))
        by_a = rising + np.log1p(a * mu) / a - (t * a + 1) * mu / (1 + a * mu)
        return {"log_alpha": np.asarray(-(delta * by_a).sum())}


def test_a_curvature_that_is_rounding_is_no_standard_error():
    """Counts of less variance than Poisson's: alpha falls to 0, where J is level."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    mu = np.exp(0.5 + 0.3 * x[:, 0])
    counts = np.random.default_rng(0).binomial(4, mu / mu.max() * 0.8).astype(float)
    likelihood, maximum = fitted(Sequential(Linear(2, 1, rng=0), NegativeBinomialLoss()), data(x, counts))
    found = unbounded(likelihood, maximum)
    assert found["status"] == "boundary"
    assert found["direction"] == {"log_alpha": -1.0}
    assert never_rises(likelihood, maximum, found["direction"])
    over = np.random.default_rng(3).negative_binomial(2, 2 / (2 + mu)).astype(float)
    assert unbounded(*fitted(Sequential(Linear(2, 1, rng=0), NegativeBinomialLoss()), data(x, over))) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_saturated_network_has_no_standard_errors(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 2))
    y = (rng.random(60) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    cost = Sequential(Linear(2, 2, rng=0), Tanh(), Linear(2, 1, rng=1), BernoulliNLLLoss("sum"))
    likelihood, maximum = fitted(cost, data(x, y))
    found = unbounded(likelihood, maximum)
    if found is None:
        assert np.abs(estimates(likelihood, maximum)[2]).max() < 1e3
    elif found["status"] == "boundary":
        assert never_rises(likelihood, maximum, found["direction"])


@pytest.mark.parametrize("scale", [1.0, 1e5])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_quasi_separated_probit_points_the_right_way(sign, scale):
    rng = np.random.default_rng(0)
    d, a = (np.arange(200) < 20) * 1.0, rng.normal(size=200) * scale
    y = np.where(d > 0, 1, rng.random(200) < 0.5).astype(int)
    y = y if sign > 0 else 1 - y
    likelihood, maximum = fitted(
        Sequential(Linear(2, 1, rng=0), ProbitLoss()), data(np.column_stack([a, d]), y, names=["a", "d"])
    )
    found = unbounded(likelihood, maximum)
    assert found["status"] == "separated"
    assert found["direction"] == {"d": sign}
    assert never_rises(likelihood, maximum, found["direction"])


class Growth(Layer):
    """a (1 - e^(-b x))."""

    parameter_names = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = np.array(float(a)), np.array(float(b))

    def forward(self, x):
        e = np.exp(-self.b * x)
        return self.a * (1 - e), (x, e)

    def backward(self, delta, cache):
        return delta * self.a * self.b * cache[1]

    def parameter_gradients(self, delta, cache):
        x, e = cache
        return {"a": np.asarray((delta * (1 - e)).sum()), "b": np.asarray((delta * self.a * x * e).sum())}


@pytest.mark.parametrize("start", [(1, 1), (10, 10), (100, 10)])
def test_a_plateau_is_left_where_that_is_better(start):
    """NIST's BoxBOD: from (10, 10) a search goes far along b, where all is flat."""
    x = np.array([[1.0], [2], [3], [5], [7], [10]])
    y = np.array([[109.0], [149], [149], [191], [213], [224]])
    likelihood, maximum = fitted(Sequential(Growth(*start), HomoscedasticGaussianNLLLoss(1)), data(x, y))
    assert unbounded(likelihood, maximum) is None
    np.testing.assert_allclose(estimates(likelihood, maximum)[1][:2], [2.1380940889e2, 5.4723748542e-1], rtol=1e-10)


def test_a_fit_does_not_depend_on_how_weights_were_drawn():
    problem = PROBLEMS["weibull"]
    ends = [
        fitted(Sequential(Linear(2, 1, rng=seed), WeibullLoss()), data(problem.x, problem.target))[1]
        for seed in range(4)
    ]
    for end in ends[1:]:
        np.testing.assert_array_equal(end.u, ends[0].u)
        assert end.iterations == ends[0].iterations


def test_null_vectors_in_words_name_the_constant_and_begin_with_plus():
    x, y = decay()
    cost = Sequential(Linear(1, 1, rng=0), Linear(1, 1, rng=1), HomoscedasticGaussianNLLLoss(1))
    found = unbounded(*fitted(cost, data(x, y)))
    for vector in found["null_vectors"]:
        assert next(iter(vector.values())) > 0
    assert in_words({"const": 1.0, "m": -1.0}, parameters=True) == "const - m"
    assert in_words({"const": -0.5, "m": 1.0}) == "-0.5 + m"
    assert in_words({"a": -0.9999999999999986, "b": -1.0, "c": 1.0}, parameters=True) == "-a - b + c"


def test_a_cost_that_is_absurd_at_the_start_is_refused_rather_than_called_wrong():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 1))
    y = 0.5 + 0.7 * x + 0.3 * rng.normal(size=(60, 1))
    usual = mle.fit(Sequential(Linear(1, 1), OwnScale()), x, y)
    large = mle.fit(Sequential(Linear(1, 1), OwnScale()), x, 1e8 * y)
    assert large.verdict.status == "regular"
    np.testing.assert_allclose(large.params[:2], 1e8 * usual.params[:2], rtol=1e-9)
    with pytest.raises(
        ValueError, match=r"cost of usual size where the search begins, .* divide y by its standard dev"
    ):
        mle.fit(Sequential(Linear(1, 1), OwnScale()), x, 1e14 * y)


def test_the_summary_of_a_network_does_not_fit_it_anew():
    x = np.random.default_rng(9).normal(size=(200, 1))
    y = 2 * np.tanh(2 * x - 0.5) + 0.2 * np.random.default_rng(2).normal(size=(200, 1))
    cost = Sequential(Linear(1, 1, rng=0), Tanh(), Linear(1, 1, rng=1), HomoscedasticGaussianNLLLoss(1))
    result = mle.fit(cost, x, y)
    assert result.verdict.status == "regular"
    assert "std err" in result.summary()
    with pytest.raises(mle.EstimateError, match="no maximum under the constraints"):
        result.lr_test("x1 = 0")  # without x1 the other weight is not identified


class OwnScale(Layer):
    """The negative log-likelihood of a normal distribution with a trained log of its scale."""

    parameter_names = ("log_scale",)

    def __init__(self):
        self.log_scale = np.array(0.0)

    def forward(self, z, target):
        r = (z - target) * np.exp(-self.log_scale)
        return (self.log_scale + 0.5 * r * r).sum(), r

    def backward(self, delta, r):
        return delta * r * np.exp(-self.log_scale)

    def parameter_gradients(self, delta, r):
        return {"log_scale": delta * (1 - r * r).sum()}
