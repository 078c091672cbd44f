"""What a stack makes of rules that are wrong or not analytic, and of losses that are not what they say."""

import math
import warnings

import numpy as np
import pytest

from minigrad import ElementwiseLoss, HomoscedasticGaussianNLLLoss, Layer, Linear, Sequential
from minigrad.kernels import normal_cdf, normal_pdf
from minigrad.losses.base import Loss
from minigrad.mle import fit
from minigrad.mle.stacks.losses import hint_on
from minigrad.mle.stacks.rules import Slopes

pytestmark = pytest.mark.filterwarnings("error")


def line(rows=100, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    return x, x @ [[1.0], [2.0]] + rng.normal(size=(rows, 1))


class Half(ElementwiseLoss):
    """r^2 / 2 + c |r|^3, whose |r| is a function `size` of r."""

    def __init__(self, reduction="sum", c=0.0, size=np.abs, slope=1.0, shift=0.0):
        super().__init__(reduction)
        self.c, self.size, self.slope, self.shift = c, size, slope, shift

    def f(self, z, t):
        r = z - t
        return 0.5 * r * r + self.c * self.size(r) ** 3

    def df(self, z, t):
        r = z - t
        return self.slope * (r + 3 * self.c * self.size(r) * r) + self.shift


def analytic(r):
    return np.where(r.real < 0, -r, r)


def of(loss, x, y, **options):
    return fit(Sequential(Linear(2, 1, rng=0), loss), x, y, **options)


# Rules that are not analytic.


@pytest.mark.parametrize("c", [1e-1, 1e-3, 1e-6])
def test_a_small_part_that_is_not_analytic_is_found_out(c):
    x, y = line()
    found, exact = of(Half(c=c), x, y), of(Half(c=c, size=analytic), x, y)
    assert exact.likelihood.slopes.method == "complex step"
    assert found.likelihood.slopes.method == "central differences"
    error = float(np.abs(found.se / exact.se - 1).max())
    assert error < 1e-10
    assert 10 <= found.digits < -math.log10(error)


def test_a_part_too_small_to_be_sure_of_takes_digits():
    slopes, u, v = Slopes(True), np.array([0.3, -0.7]), np.array([1.0, 1.0])
    slopes.verify(lambda u: u**2 + 3e-9 * np.abs(u) ** 2, u, v)
    assert slopes.complex_safe
    slopes.along(lambda u: u**2, u, np.eye(2))
    assert 1e-9 < slopes.error < 1e-8
    slopes = Slopes(True)
    slopes.verify(lambda u: np.sin(u), u, v)
    slopes.along(np.sin, u, np.eye(2))
    assert slopes.error == 0


def test_terms_that_are_not_analytic_are_found_out_where_the_gradient_is():
    class Terms(Half):
        def df(self, z, t):
            r = z - t
            return r + 3 * self.c * analytic(r) * r

    x, y = line()
    found, exact = of(Terms(c=0.01), x, y), of(Half(c=0.01, size=analytic), x, y)
    np.testing.assert_allclose(found.cov("opg"), exact.cov("opg"), rtol=1e-9)


def test_differences_have_ten_digits_and_say_so():
    class Poisson(ElementwiseLoss):
        def f(self, z, t):
            return np.exp(z) - t * z

        def df(self, z, t):
            return np.exp(z) - t

    class Real(Poisson):
        complex_safe = False

    x, _ = line()
    y = np.floor(np.exp(x @ [[1.0], [0.5]]) + 0.5)
    for shift in (0.0, 100.0):
        found, exact = of(Real(), x + shift, y), of(Poisson(), x + shift, y)
        assert found.likelihood.slopes.method == "central differences"
        error = max(float(np.abs(a / b - 1).max()) for a, b in ((found.se, exact.se), (found.params, exact.params)))
        assert 10 <= found.digits < -math.log10(error)


# Rules that are wrong.


@pytest.mark.parametrize("rows", [100, 5000])
@pytest.mark.parametrize("wrong", [{"shift": 1e-3}, {"shift": 1e-5}, {"slope": 1.0001}, {"slope": 1 + 1e-6}])
def test_a_rule_that_is_a_little_wrong_is_an_error(wrong, rows):
    x, y = line(rows)
    with pytest.raises(ValueError, match=r"the rules of Sequential\(Linear, Half\) disagree: along one direction"):
        of(Half(**wrong), x, y)


def test_at_a_kink_a_slope_between_both_sides_is_right():
    """Least absolute deviations of one number: at the median J has a kink."""

    class Absolute(ElementwiseLoss):
        def f(self, z, t):
            return analytic(z - t)

        def df(self, z, t):
            return np.sign((z - t).real)

    from minigrad.mle.entry.data import Data
    from minigrad.mle.stacks.checks import _at_kink, require_agreement
    from minigrad.mle.stacks.stack import stack

    y = np.array([[0.0], [1.0], [3.0]])
    cost = Sequential(Linear(1, 1, rng=0), Absolute("sum"))
    cost[0].weight[...], cost[0].bias[...] = 0.0, 1.0
    likelihood = stack(cost, Data(np.array([[-1.0], [0.0], [1.0]]), y, ["x"], None, None, "frequency", None, 3.0))
    u = likelihood.variables.of_parameters(np.array([0.0, 1.0]))
    require_agreement(likelihood, u)
    v = np.ones(2)
    value, gradient = likelihood.value_and_gradient(u)
    assert _at_kink(likelihood, u, v, float(gradient @ v), value)
    assert not _at_kink(likelihood, u, v, float(gradient @ v) + 5.0, value)
    assert not _at_kink(likelihood, u + 0.1, v, 0.0, likelihood.value(u + 0.1))


# Losses that take weights.


class MeanAlways(Loss):
    """A mean, whatever its reduction and the weights."""

    def forward(self, z, t, weights=None):
        r = z - t
        return 0.5 * np.mean(r * r), r

    def backward(self, delta, r):
        return delta * r / r.size


class SumAlways(MeanAlways):
    """A sum, whatever the weights."""

    def forward(self, z, t, weights=None):
        r = z - t
        return 0.5 * np.sum(r * r), r

    def backward(self, delta, r):
        return delta * r


class RootWeights(Half):
    """Weights of which it takes the root."""

    def forward(self, z, target, weights=None):
        return super().forward(z, target, None if weights is None else np.sqrt(weights))


class EvenWeights(Half):
    """The mean of the weights for each row."""

    def forward(self, z, target, weights=None):
        return super().forward(z, target, None if weights is None else np.full(len(z), np.mean(weights)))


class NoTerms(Half):
    """Of no reduction a mean."""

    def forward(self, z, target, weights=None):
        value, cache = super().forward(z, target, weights)
        return (value + 1.0, cache) if self.reduction == "none" else (value, cache)


@pytest.mark.parametrize("loss", [MeanAlways, SumAlways, RootWeights, EvenWeights, NoTerms])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_is_not_believed_about_its_reduction_and_weights(loss, weighted):
    x, y = line()
    w = 1.0 + np.arange(100) % 3 if weighted else None
    found, exact = of(loss(), x, y, weights=w), of(Half(), x, y, weights=w)
    assert exact.likelihood.rules.total.reduction == "weighted"
    assert found.likelihood.rules.total.reduction != "weighted"
    for name in ("params", "se", "loglik"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-9)
    np.testing.assert_allclose(found.cov("HC0"), exact.cov("HC0"), rtol=1e-8)


def test_numbers_of_rows_that_depend_on_others_are_refused():
    class Centred(Layer):
        def forward(self, z, t):
            r = z - t
            return 0.5 * (r - r.mean()) ** 2, r

        def backward(self, delta, r):
            return delta * (r - r.mean())

    with pytest.raises(ValueError, match=r"Centred\(\) expects .* independent rows, .* depend on the others"):
        of(Centred(), *line())


# What a loss expects of y.


class Probit(ElementwiseLoss):
    def f(self, z, t):
        return -np.log(normal_cdf((2 * t - 1) * z))

    def df(self, z, t):
        s = 2 * t - 1
        return -s * normal_pdf(s * z) / normal_cdf(s * z)


class ProbitOfMean(Probit):
    response_scale = "logit"

    def response(self, z):
        return normal_cdf(z)


def labels():
    x, y = line(80)
    return x, (y > 0).astype(float)


def test_predictions_of_a_loss_without_response_say_that_they_are_of_the_linear_predictor():
    x, y = labels()
    plain, full = of(Probit(), x, y), of(ProbitOfMean(), x, y)
    of_z, of_p = plain.predict(ci=True), full.predict(ci=True)
    assert (of_z.of, of_z.scale) == ("linear predictor", "identity")
    assert (of_p.of, of_p.scale) == ("mean", "logit")
    assert "linear predictor" in str(of_z)
    assert "linear predictor" not in str(of_p)
    assert of_z.to_dict()["of"] == "linear predictor"
    np.testing.assert_allclose(of_p.mean, normal_cdf(of_z.mean), rtol=1e-9)
    np.testing.assert_allclose(of_p.se, normal_pdf(of_z.mean) * of_z.se, rtol=1e-7)
    assert ((of_p.lower > 0) & (of_p.upper < 1)).all()
    assert full.calibration().brier == pytest.approx(float(np.mean((of_p.mean - y[:, 0]) ** 2)))
    with pytest.raises(ValueError, match="calibration expects a model of probabilities"):
        plain.calibration()


def test_effects_of_a_loss_without_response_are_of_the_linear_predictor():
    x, y = labels()
    plain, full = of(Probit(), x, y), of(ProbitOfMean(), x, y)
    of_z, of_p = plain.marginal_effects(), full.marginal_effects()
    np.testing.assert_allclose(of_z.effects, plain.params[:2], rtol=1e-9)
    np.testing.assert_allclose(of_p.effects, plain.params[:2] * normal_pdf(plain.predict()).mean(), rtol=1e-8)
    assert "dz/dx" in of_z.summary()
    assert "dy/dx" not in of_z.summary()
    assert "dy/dx" in of_p.summary()
    assert (of_z.to_dict()["of"], of_p.to_dict()["of"]) == ("linear predictor", "mean")


def test_scales_of_response_are_three():
    class Odd(ProbitOfMean):
        response_scale = "probit"

    with pytest.raises(ValueError, match=r"Odd.* expects response_scale to be 'logit', 'log' or 'identity'"):
        of(Odd(), *labels()).predict(ci=True)


def test_a_response_that_is_not_analytic_is_found_out():
    class Fold(ProbitOfMean):
        response_scale = "identity"

        def response(self, z):
            return np.abs(z)

    x, y = labels()
    folded, plain = of(Fold(), x, y).predict(ci=True), of(Probit(), x, y).predict(ci=True)
    np.testing.assert_allclose(folded.se, plain.se, rtol=1e-7)


# Data that are very large, or no data of the loss.


class Decay(Layer):
    parameter_names = ("a", "b")

    def __init__(self, a):
        self.a, self.b = np.array(float(a)), np.array(1.0)

    def forward(self, x):
        return self.a * np.exp(-self.b * x), x

    def backward(self, delta, x):
        return -delta * self.a * self.b * np.exp(-self.b * x)

    def parameter_gradients(self, delta, x):
        e = np.exp(-self.b * x)
        return {"a": np.asarray((delta * e).sum()), "b": np.asarray((-delta * self.a * x * e).sum())}


@pytest.mark.parametrize("power", [-498, -60, 60, 498])
@pytest.mark.parametrize("layer", [lambda unit: Linear(1, 1, rng=0), Decay])
def test_y_of_any_size_gives_the_same_in_its_units(layer, power):
    x = np.linspace(0, 3, 40)[:, np.newaxis]
    y = 2 * np.exp(-0.7 * x) + 0.05 * np.sin(40 * x)
    unit = 2.0**power
    one, other = (fit(Sequential(layer(scale), HomoscedasticGaussianNLLLoss(1)), x, y * scale) for scale in (1.0, unit))
    units = [unit, unit if isinstance(one.likelihood.cost[0], Linear) else 1.0]
    np.testing.assert_allclose(other.params[:2] / units, one.params[:2], rtol=1e-8)
    np.testing.assert_allclose(other.se[:2] / units, one.se[:2], rtol=1e-8)
    assert other.params[2] == pytest.approx(one.params[2] + 2 * power * math.log(2))
    assert other.loglik == pytest.approx(one.loglik - 40 * power * math.log(2))


class Exponential(Layer):
    """z + y e^-z - 0 log y, of positive y."""

    def forward(self, z, t):
        return (z + t * np.exp(-z) - 0 * np.log(t)).sum(), (z, t)

    def backward(self, delta, cache):
        z, t = cache
        return delta * (1 - t * np.exp(-z))


class ExponentialTerms(ElementwiseLoss):
    def f(self, z, t):
        return z + t * np.exp(-z) - 0.5 * np.log(t)

    def df(self, z, t):
        return 1 - t * np.exp(-z)


@pytest.mark.parametrize("loss", [Exponential, ExponentialTerms])
def test_the_first_row_that_is_not_finite_is_named_without_warnings(loss):
    x, y = line()
    y = np.abs(y)
    assert of(loss(), x, y).verdict.status == "regular"
    y[[17, 30]] = 0.0
    with pytest.raises(ValueError, match=r"is (nan|inf) at row 17, whose y is 0, at the .* within the range"):
        of(loss(), x, y)


# What is said.


def test_an_expected_information_that_is_not_known_is_asked_for_by_its_kind():
    result = of(Probit(), *labels())
    with pytest.raises(ValueError, match=r'cov\(kind="expected"\) expects .* or take kind="observed"'):
        result.cov("expected")


def test_labels_of_one_and_two_have_a_hint():
    assert "y holds 1 and 2 alone" in hint_on(Probit(), np.array([1.0, 2.0, 2.0]))
    assert hint_on(Probit(), np.array([0.0, 1.0])) == ""
    assert hint_on(Probit(), np.array([1.0, 2.0, 3.0])) == ""
    assert hint_on(HomoscedasticGaussianNLLLoss(1), np.array([1.0, 2.0])) == ""


def test_nothing_warns_of_a_good_fit():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of(Half(), *line())
