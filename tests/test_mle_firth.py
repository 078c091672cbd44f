"""Firth's penalised likelihood, against closed forms and extended precision."""

import math
from pathlib import Path

import numpy as np
import pytest

from minigrad import (
    BCEWithLogitsLoss,
    HomoscedasticGaussianNLLLoss,
    L2Penalty,
    Linear,
    LogSoftmax,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    Sequential,
    mle,
)
from minigrad.mle.inference.distributions import two_sided_quantile
from minigrad.mle.likelihood import Restricted
from minigrad.mle.regressions.firth import Firth, firth


def binary(x, y, bias=True, **options):
    cost = Sequential(Linear(x.shape[1], 1, bias=bias), BCEWithLogitsLoss())
    return mle.fit(cost, x, y, **{"penalty": "firth", **options})


def softmax(x, y, classes, **options):
    cost = Sequential(Linear(x.shape[1], classes), LogSoftmax(), NLLLoss())
    return mle.fit(cost, x, y, **{"penalty": "firth", **options})


def poisson(x, y, **options):
    cost = Sequential(Linear(x.shape[1], 1), PoissonNLLLoss())
    return mle.fit(cost, x, y, **{"penalty": "firth", **options})


def table(counts):
    """Rows of a table (groups, classes): group 0 has x = 0, group g a one in column g - 1."""
    groups, classes = np.shape(counts)
    group = np.repeat(np.arange(groups), np.sum(counts, axis=1))
    y = np.concatenate([np.repeat(np.arange(classes), row) for row in counts])
    return np.eye(groups)[group][:, 1:], y


FITS = {"binary": binary, "softmax": lambda x, y, **o: softmax(x, y, 3, **o), "poisson": poisson}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(25, 2)) * [1.0, 30.0] + [0.0, 100.0]
    z = x[:, 0] + (x[:, 1] - 100) / 30
    return {
        "x": x,
        "binary": (z + rng.logistic(size=25) > 0).astype(float),
        "softmax": np.arange(25) % 3,
        "poisson": rng.poisson(np.exp(0.5 * z)).astype(float),
        "w": rng.integers(1, 4, 25).astype(float),
    }


# Closed forms.


@pytest.mark.parametrize("counts", [[[7, 3], [4, 9]], [[0, 5], [6, 0]], [[1, 0], [0, 1]], [[0, 1000], [30, 1]]])
def test_of_a_table_each_cell_has_a_half_more(counts):
    x, y = table(counts)
    result = binary(x, y.astype(float))
    (a, b), (c, d) = np.array(counts) + 0.5
    assert result.verdict.exists
    assert result.params == pytest.approx([math.log(d / c) - math.log(b / a), math.log(b / a)], rel=1e-12, abs=1e-12)
    # Errors are those of the information at the estimate, of n p (1 - p) in a group.
    size = np.sum(counts, axis=1)
    p = np.array([b / (a + b), d / (c + d)])
    inverse = 1 / (size * p * (1 - p))
    assert result.se == pytest.approx([math.sqrt(inverse.sum()), math.sqrt(inverse[0])], rel=1e-11)


@pytest.mark.parametrize("successes", [1, 3])
def test_of_one_proportion_it_is_half_a_success_more(successes):
    y = (np.arange(6) < successes).astype(float)
    result = binary(np.ones((6, 1)), y, bias=False)
    assert result.predict()[0] == pytest.approx((successes + 0.5) / 7, rel=1e-13)


@pytest.mark.parametrize("counts", [[[2, 2, 0], [0, 0, 5], [0, 1, 0]], [[3, 2, 7], [1, 1, 4]]])
@pytest.mark.parametrize("identification", ["reference", "sum_to_zero"])
def test_of_classes_each_cell_has_a_half_more(counts, identification):
    x, y = table(counts)
    result = softmax(x, y, 3, identification=identification)
    cells = np.log(np.array(counts) + 0.5)
    by_class = np.column_stack([cells[g] - cells[0] for g in range(1, len(counts))] + [cells[0]])
    exact = by_class[1:] - by_class[0] if identification == "reference" else by_class - by_class.mean(axis=0)
    assert result.params == pytest.approx(exact.ravel(), rel=1e-11, abs=1e-12)


def test_of_counts_each_total_has_a_half_more():
    x, _ = table([[4, 0], [5, 0], [1, 0]])
    y = np.array([0.0] * 4 + [3, 1, 0, 2, 0] + [0])
    rates = np.array([0.5 / 4, 6.5 / 5, 0.5])
    exact = [*np.log(rates[1:] / rates[0]), math.log(rates[0])]
    assert poisson(x, y).params == pytest.approx(exact, rel=1e-12)


def test_weights_are_repeated_rows(data):
    for model, fit in FITS.items():
        x, y, w = data["x"], data[model], data["w"]
        weighted = fit(x, y, weights=w)
        repeated = fit(np.repeat(x, w.astype(int), axis=0), np.repeat(y, w.astype(int)))
        assert weighted.params == pytest.approx(repeated.params, rel=1e-10)
        assert weighted.se == pytest.approx(repeated.se, rel=1e-10)


# Extended precision.


def penalised(mp, model, x, y, theta, offset):
    """log L + log det I / 2 in full, by the parameters of all classes but the first."""
    rows = [[mp.mpf(v) for v in row] + [mp.mpf(1)] for row in x]
    units = len(theta) // len(rows[0])
    size = len(rows[0])
    information, value = mp.zeros(len(theta)), mp.mpf(0)
    for row, target, moved in zip(rows, y, offset, strict=True):
        z = [moved + mp.fsum(theta[k * size + j] * row[j] for j in range(size)) for k in range(units)]
        if model == "poisson":
            p = [mp.exp(z[0])]
            value += target * z[0] - p[0]
            bend = [[p[0]]]
        else:
            total = 1 + mp.fsum(mp.exp(each) for each in z)
            p = [mp.exp(each) / total for each in z]
            value += (z[int(target) - 1] if target else 0) - mp.log(total)
            bend = [[p[i] * ((i == j) - p[j]) for j in range(units)] for i in range(units)]
        for i in range(units):
            for j in range(units):
                for a in range(size):
                    for b in range(size):
                        information[i * size + a, j * size + b] += bend[i][j] * row[a] * row[b]
    return value + mp.log(mp.det(information)) / 2


@pytest.mark.parametrize("model", FITS)
def test_extended_precision_agrees(data, model):
    mp = pytest.importorskip("mpmath")
    x, y = data["x"][:12], data[model][:12]
    offset = np.linspace(-0.5, 0.5, 12) if model != "softmax" else np.zeros(12)
    result = FITS[model](x, y, **({} if model == "softmax" else {"offset": offset}))
    assert result.maximum.reason == "converged"
    with mp.workdps(40):
        theta = [mp.mpf(float(v)) for v in result.params]
        h = mp.mpf("1e-12")
        for j in range(len(theta)):
            # Newton's step of each parameter on its own, from central differences of 40 digits.
            unit = h * mp.mpf(float(result.se[j]))
            up, down = list(theta), list(theta)
            up[j] += unit
            down[j] -= unit
            ahead, here, behind = (penalised(mp, model, x, y, each, offset) for each in (up, theta, down))
            slope = (ahead - behind) / (2 * unit)
            bend = (ahead - 2 * here + behind) / unit**2
            assert abs(slope / bend) < 1e-11 * float(result.se[j])


@pytest.mark.parametrize("model", FITS)
def test_the_penalty_is_half_the_log_determinant(data, model):
    result = FITS[model](data["x"], data[model], weights=data["w"])
    likelihood = result.likelihood
    assert isinstance(likelihood, Firth)
    u = likelihood.start + np.linspace(-0.3, 0.4, likelihood.size)
    here = likelihood.penalty(u)
    assert here.value == pytest.approx(-0.5 * np.linalg.slogdet(likelihood.evaluate(u).hessian)[1], rel=1e-12)
    h = 1e-5
    differences = [
        (likelihood.penalty(u + h * e).value - likelihood.penalty(u - h * e).value) / (2 * h)
        for e in np.eye(likelihood.size)
    ]
    assert here.gradient == pytest.approx(differences, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("counts", [[[7, 3], [4, 9]], [[2, 2, 1], [3, 1, 5]], [[1, 4, 2, 2], [3, 1, 5, 1]]])
def test_of_a_table_the_curvature_is_exact(counts):
    """As many parameters as cells: the leverages do not change, at the maximum."""
    x, y = table(counts)
    result = binary(x, y.astype(float)) if len(counts[0]) == 2 else softmax(x, y, len(counts[0]))
    likelihood, u, h = result.likelihood, result.maximum.u, 1e-5
    slope = lambda u: likelihood.evaluate(u).gradient + likelihood.penalty(u).gradient  # noqa: E731
    exact = np.array([(slope(u + h * e) - slope(u - h * e)) / (2 * h) for e in np.eye(likelihood.size)])
    np.testing.assert_allclose(likelihood.bend(u), exact, rtol=1e-6, atol=1e-8)
    assert result.maximum.iterations <= 10


def test_many_parameters_and_few_rows():
    """Each class alone on its side; scoring by the information alone stands still here."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 12))
    y = np.argmax(x @ rng.normal(size=(12, 6)), axis=1)
    result = softmax(x, y, 6)
    assert result.maximum.reason == "converged"
    assert result.maximum.decrement < 1e-9
    assert result.maximum.iterations < 250


# What is said of it.


def test_several_maxima_have_no_profile():
    """0 and 1 of the digits by two pixels: the penalised likelihood rises again far out, on rows that tie."""
    held = np.load(Path(__file__).parents[1] / "examples" / "data" / "digits.npz")
    result = binary(*two_pixels(held))
    assert result.verdict.exists
    with pytest.raises(mle.EstimateError, match=r"it rises above what it is there, .* one of several maxima"):
        result.ci(kind="profile")


def two_pixels(held):
    images, labels = (held[name] for name in held.files[:2])
    images = images.reshape(len(labels), -1)
    two = labels < 2
    return images[two][:, [36, 44]].astype(float), labels[two].astype(float)


def test_sampling_weights_are_refused(data):
    with pytest.raises(
        ValueError, match="Firth's penalty is not there for sampling weights: it weighs the information"
    ):
        binary(data["x"], data["binary"], weights=data["w"], kind="sampling")


@pytest.mark.parametrize("seed", range(6))
def test_there_is_always_an_estimate(seed):
    rng = np.random.default_rng(seed)
    n, d, classes = rng.integers(12, 40), rng.integers(1, 4), rng.integers(2, 5)
    x = rng.normal(size=(n, d))
    y = np.argmax(x @ rng.normal(size=(d, classes)), axis=1)  # separated, completely
    y[:classes] = np.arange(classes)
    result = softmax(x, y, int(classes))
    assert result.maximum.reason == "converged"
    assert result.maximum.decrement < 1e-10
    assert np.isfinite(result.se).all()
    assert np.abs(result.z).max() < 20


@pytest.mark.parametrize("unit", [1e-150, 1e150])
def test_it_does_not_depend_on_units(data, unit):
    x, y = data["x"], data["binary"]
    plain, scaled = binary(x, y), binary(x * [1, unit], y)
    back = [1, unit, 1]
    assert scaled.params * back == pytest.approx(plain.params, rel=1e-10)
    assert scaled.se * back == pytest.approx(plain.se, rel=1e-10)
    assert scaled.ci(kind="profile")[0] == pytest.approx(plain.ci(kind="profile")[0], rel=1e-8)
    assert scaled.lr_test("x2 = 0").statistic == pytest.approx(plain.lr_test("x2 = 0").statistic, rel=1e-9)


def test_collinear_columns_leave_the_rest_as_it_is(data):
    x, y = data["x"], data["binary"]
    small = binary(x, y)
    result = binary(np.column_stack([x[:, 0], 3 * x[:, 0], x[:, 1]]), y)
    assert result.params[2:] == pytest.approx(small.params[1:], rel=1e-9)
    assert result.se[2:] == pytest.approx(small.se[1:], rel=1e-9)
    assert result.predict() == pytest.approx(small.predict(), rel=1e-10)
    assert result.lr_test("x3 = 0").statistic == pytest.approx(small.lr_test("x2 = 0").statistic, rel=1e-8)
    assert result.ci(kind="profile")[2] == pytest.approx(small.ci(kind="profile")[1], rel=1e-8)


def test_classes_and_signs_are_two_names_of_one_fit(data):
    x, y = data["x"], data["binary"]
    one, two = binary(x, y), softmax(x, y.astype(int), 2)
    assert one.params == pytest.approx(two.params, rel=1e-10)
    assert one.se == pytest.approx(two.se, rel=1e-10)


@pytest.mark.parametrize(("successes", "n"), [(0, 8), (3, 9), (8, 8)])
def test_the_profile_of_one_proportion(successes, n):
    result = binary(
        np.ones((2, 1)), np.array([1.0, 0.0]), bias=False, weights=[successes or 1e-300, n - successes or 1e-300]
    )
    z = two_sided_quantile(0.95)

    def log_l(t):  # log L + log(p q) / 2
        return -(successes + 0.5) * math.log1p(math.exp(-t)) - (n - successes + 0.5) * math.log1p(math.exp(t))

    best = math.log((successes + 0.5) / (n - successes + 0.5))
    exact = []
    for outside in (best - 100, best + 100):
        inside = best
        for _ in range(200):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if 2 * (log_l(best) - log_l(middle)) < z * z else (inside, middle)
        exact.append(inside)
    assert result.ci(kind="profile")[0] == pytest.approx(exact, rel=1e-9)
    assert result.lr_test("x1 = 0.3").statistic == pytest.approx(2 * (log_l(best) - log_l(0.3)), rel=1e-9)


def test_what_is_no_firth_is_refused(data):
    x, y = data["x"], data["binary"]
    cost = Penalized(Sequential(Linear(2, 1), BCEWithLogitsLoss()), L2Penalty(1.0))
    with pytest.raises(ValueError, match="Firth's penalty cannot stand beside another: fit a cost without a penalty"):
        mle.fit(cost, x, y, penalty="firth")
    stack = mle.fit(Sequential(Linear(2, 1), HomoscedasticGaussianNLLLoss(1, "sum", full=True)), x, y[:, np.newaxis])
    with pytest.raises(ValueError, match="for linear units under a softmax, a sigmoid or an exponential mean alone"):
        firth(stack.likelihood)
    result = binary(x, y)
    with pytest.raises(ValueError, match="the score test is one of maximum likelihood, not of Firth's"):
        result.score_test("x1 = 0")
    with pytest.raises(ValueError, match="Firth's penalty differs between two fits: give lr_test constraints"):
        result.lr_test(binary(x[:, :1], y))


def test_firth_of_a_regression_and_of_a_plane(data):
    """`firth` takes the likelihood as it is, and the penalty is that of what the plane leaves."""
    x, y = data["x"], data["binary"]
    plain = mle.fit(Sequential(Linear(2, 1), BCEWithLogitsLoss()), x, y)
    found = firth(plain.likelihood)
    assert plain.listing.values(found.u) == pytest.approx(binary(x, y).params, rel=1e-12)
    turned = np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2 + np.eye(3))[0]
    inner = Restricted(plain.likelihood, plain.likelihood.start, turned)
    assert inner.at(firth(inner).u) == pytest.approx(found.u, rel=1e-10)


@pytest.mark.parametrize(
    "counts", [(50, 51, 100, 102), (0, 5, 5, 0), (1, 0, 3, 800), (500, 500, 500, 501), (1000, 1001, 2000, 2003)]
)
def test_the_stated_digits_of_a_table_are_there(counts):
    """Each cell counts half an observation more; errors are those of the information at these shares."""
    mp = pytest.importorskip("mpmath")
    x, y = np.repeat([1.0, 1.0, 0.0, 0.0], counts)[:, np.newaxis], np.repeat([1.0, 0.0, 1.0, 0.0], counts)
    result = binary(x, y)
    with mp.workdps(40):
        a, b, c, d = (n + mp.mpf(1) / 2 for n in counts)
        own, other = (a + b) ** 2 / (a * b * (a + b - 1)), (c + d) ** 2 / (c * d * (c + d - 1))
        exact = [mp.log(a * d / (b * c)), mp.log(c / d), mp.sqrt(own + other), mp.sqrt(other)]
        pairs = [(mp.mpf(float(v)), e) for v, e in zip([*result.params, *result.se], exact, strict=True) if e]
        there = min(float(-mp.log10(abs(v / e - 1) + mp.mpf("1e-17"))) for v, e in pairs)
    assert there >= result.digits >= 9


def test_a_search_that_is_cut_short_says_so(data):
    found = firth(binary(data["x"], data["binary"]).likelihood, max_iterations=1)
    assert (found.reason, found.iterations) == ("max_iterations", 1)
    assert found.digits < 3
