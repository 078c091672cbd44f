"""Tests of hypotheses and intervals, against closed forms for tables, refitted models, and bisection."""

import math

import numpy as np
import pytest

from minigrad import (
    BCEWithLogitsLoss,
    HomoscedasticGaussianNLLLoss,
    Linear,
    LogSoftmax,
    NLLLoss,
    PoissonNLLLoss,
    Sequential,
    mle,
)
from minigrad.mle.inference.distributions import chi_squared_tail, two_sided_quantile
from minigrad.mle.inference.hypotheses import hauck_donner
from minigrad.mle.inference.intervals import _followed

TESTS = ("wald_test", "lr_test", "score_test")


def binary(x, y, bias=True, **options):
    return mle.fit(Sequential(Linear(x.shape[1], 1, bias=bias), BCEWithLogitsLoss()), x, y, **options)


def softmax(x, y, classes=3, **options):
    return mle.fit(Sequential(Linear(x.shape[1], classes), LogSoftmax(), NLLLoss()), x, y, **options)


def poisson(x, y, **options):
    return mle.fit(Sequential(Linear(x.shape[1], 1), PoissonNLLLoss()), x, y, **options)


def table(counts):
    """Rows of a table (groups, classes): group 0 has x = 0, group g a one in column g - 1."""
    groups, classes = np.shape(counts)
    group = np.repeat(np.arange(groups), np.sum(counts, axis=1))
    y = np.concatenate([np.repeat(np.arange(classes), row) for row in counts])
    return np.eye(groups)[group][:, 1:], y


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(150, 3))
    z = x[:, 0] + 0.5 * x[:, 1]
    return {
        "x": x,
        "binary": (z + rng.logistic(size=150) > 0).astype(float),
        "softmax": np.argmax(np.column_stack([0 * z, z, -z / 2]) + rng.gumbel(size=(150, 3)), axis=1),
        "poisson": rng.poisson(np.exp(0.5 * z)).astype(float),
    }


FITS = {"binary": binary, "softmax": softmax, "poisson": poisson}


# Tests.


@pytest.mark.parametrize("counts", [[[9, 4], [3, 7]], [[9, 4, 5], [3, 7, 6], [2, 2, 8]]])
def test_of_a_table_they_are_g_squared_and_pearsons_chi_squared(counts):
    x, y = table(counts)
    observed = np.array(counts, dtype=float)
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    result = softmax(x, y, observed.shape[1])
    slopes = [f"{name} = 0" for name in result.names if not name.endswith("const")]
    df = (observed.shape[0] - 1) * (observed.shape[1] - 1)
    lr, score = result.lr_test(slopes), result.score_test(slopes)
    assert lr.statistic == pytest.approx(2 * np.sum(observed * np.log(observed / expected)), rel=1e-11)
    assert score.statistic == pytest.approx(np.sum((observed - expected) ** 2 / expected), rel=1e-11)
    assert lr.df == score.df == df
    assert score.p == chi_squared_tail(score.statistic, df)


def test_walds_statistic_of_one_parameter_is_z_squared(data):
    for model, fit in FITS.items():
        result = fit(data["x"], data[model])
        for name, z, p in zip(result.names, result.z, result.p, strict=True):
            test = result.wald_test(f"`{name}` = 0")
            assert (test.statistic, test.p, test.df) == pytest.approx((z * z, p, 1), rel=1e-10)


@pytest.mark.parametrize("cov", ["observed", "HC0"])
def test_walds_statistic_is_its_formula(data, cov):
    result = binary(data["x"], data["binary"], cov=cov)
    matrix, value = np.array([[1.0, -1, 0, 0], [0, 2, 1, 0.5]]), np.array([0.3, -1.0])
    off = matrix @ result.params - value
    exact = off @ np.linalg.solve(matrix @ result.cov(cov) @ matrix.T, off)
    assert result.wald_test((matrix, value)).statistic == pytest.approx(exact, rel=1e-10)
    assert result.wald_test("x1 - x2 = 0.3, 2*x2 + x3 + const/2 = -1").statistic == pytest.approx(exact, rel=1e-10)


def test_statsmodels_agrees_on_wald_tests(data):
    api = pytest.importorskip("statsmodels.api")
    theirs = api.Logit(data["binary"], np.column_stack([data["x"], np.ones(150)])).fit(disp=0, tol=1e-12)
    for text in ["x1 = x2", "x1 = x2 = 0", "2*x1 + x2 = 3, x3 = 0"]:
        test = theirs.wald_test(text.replace("x1 = x2 = 0", "x1 = 0, x2 = 0"), scalar=True)
        ours = binary(data["x"], data["binary"]).wald_test(text)
        assert (ours.statistic, ours.p) == pytest.approx((test.statistic, test.pvalue), rel=1e-7)


@pytest.mark.parametrize("model", FITS)
def test_constraints_are_the_model_refitted_under_them(data, model):
    x, y, fit = data["x"], data[model], FITS[model]
    result = fit(x, y)
    labels = [name.split(":")[0] + ":" for name in result.names if name.endswith("x1")] if model == "softmax" else [""]
    equal = [f"{label}x1 = {label}x2" for label in labels]
    merged = fit(np.column_stack([x[:, 0] + x[:, 1], x[:, 2]]), y)
    test = result.lr_test(equal)
    assert test.statistic == pytest.approx(2 * (result.loglik - merged.loglik), rel=1e-9)
    assert test.df == len(labels)
    gone = [f"{label}x3 = 0" for label in labels]
    left = fit(x[:, :2], y)
    by_model, by_text = result.lr_test(left), result.lr_test(gone)
    assert (by_model.statistic, by_model.df, by_model.p) == pytest.approx(tuple(by_text)[1:4], rel=1e-8)
    assert by_model.hypothesis == ", ".join(text.removesuffix(" = 0") for text in gone) + " = 0"


def test_fixed_values_are_offsets(data):
    x, y = data["x"], data["binary"]
    result = binary(x, y)
    fixed = binary(x[:, 1:], y, offset=1.5 * x[:, 0])
    assert result.lr_test("x1 = 1.5").statistic == pytest.approx(2 * (result.loglik - fixed.loglik), rel=1e-10)
    assert result.lr_test(fixed).statistic == pytest.approx(2 * (result.loglik - fixed.loglik), rel=1e-13)
    s = np.column_stack([x, np.ones(150)]).T @ (y - fixed.predict().reshape(-1))
    p = fixed.predict().reshape(-1)
    design = np.column_stack([x, np.ones(150)])
    exact = s @ np.linalg.solve((design.T * (p * (1 - p))) @ design, s)
    assert result.score_test("x1 = 1.5").statistic == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("unit", [1e-150, 1e-3, 1e150])
def test_tests_do_not_depend_on_units(data, unit):
    x, y = data["x"], data["binary"]
    plain, scaled = binary(x, y), binary(x * [1, unit, 1], y)
    for test in TESTS:
        for text in ("x2 = 0", "x1 = 1, x2 = 0, const = 0"):
            found, expected = getattr(scaled, test)(text), getattr(plain, test)(text)
            assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
        found = getattr(scaled, test)(([[0, 1, 0, 0]], [0.5 / unit]))
        assert found.statistic == pytest.approx(getattr(plain, test)("x2 = 0.5").statistic, rel=1e-9)


def test_all_parameters_may_be_fixed(data):
    result = binary(data["x"], data["binary"])
    test = result.lr_test("x1 = x2 = x3 = const = 0")
    assert test.statistic == pytest.approx(2 * (result.loglik + 150 * math.log(2)), rel=1e-12)
    assert test.df == 4


def test_far_hypotheses_are_reached(data):
    x, y = data["x"], data["poisson"]
    result = poisson(x, y)
    fixed = poisson(x[:, 1:], y, offset=-20 * x[:, 0])
    assert result.lr_test("x1 = -20").statistic == pytest.approx(2 * (result.loglik - fixed.loglik), rel=1e-9)


@pytest.mark.parametrize("slope", [-5, 300, 2000, 1e5])
def test_hypotheses_at_which_rates_overflow_on_the_way(data, slope):
    """Under a slope b the bias is log sum y - log sum e^(b x)."""
    x, y = data["x"][:60, :1], data["poisson"][:60]
    result = poisson(x, y)
    z = slope * x[:, 0]
    z += math.log(y.sum()) - z.max() - math.log(np.exp(z - z.max()).sum())
    log_l = math.fsum(y * z - np.exp(z) - [math.lgamma(each + 1) for each in y])
    assert result.lr_test(f"x1 = {slope}").statistic == pytest.approx(2 * (result.loglik - log_l), rel=1e-12)


def test_hypotheses_absurdly_far_are_reached(data):
    """Rates from e^-200 to e^200; solved by Newton's method in 60 digits."""
    mp = pytest.importorskip("mpmath")
    x, y = data["x"], data["poisson"]
    result = poisson(x, y)
    with mp.workdps(60):
        rows = [mp.matrix([*map(mp.mpf, row), 1]) for row in x[:, 1:]]
        offset = [100 * mp.mpf(value) for value in x[:, 0]]
        theta = mp.matrix([59.9, 86.4, -310.3])
        for _ in range(10):
            value, gradient, hessian = mp.mpf(0), mp.zeros(3, 1), mp.zeros(3)
            for row, moved, t in zip(rows, offset, y, strict=True):
                rate = mp.exp((row.T * theta)[0] + moved)
                value += t * mp.log(rate) - rate - mp.loggamma(t + 1)
                gradient += (t - rate) * row
                hessian += rate * row * row.T
            step = mp.lu_solve(hessian, gradient)
            theta += step
        assert mp.norm(step) < mp.mpf("1e-40")
    assert result.lr_test("x1 = 100").statistic == pytest.approx(2 * (result.loglik - float(value)), rel=1e-9)


def test_a_stack_is_tested_by_its_own_search():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(50, 2))
    y = (x @ [1.0, 0.2] + rng.normal(size=50))[:, np.newaxis]
    result = mle.fit(Sequential(Linear(2, 1), HomoscedasticGaussianNLLLoss(1, "sum", full=True)), x, y)

    def left(design):
        residual = y[:, 0] - design @ np.linalg.lstsq(design, y[:, 0], rcond=None)[0]
        return residual @ residual

    design = np.column_stack([x, np.ones(50)])
    whole, small = left(design), left(design[:, [0, 2]])
    assert result.lr_test("x2 = 0").statistic == pytest.approx(50 * math.log(small / whole), rel=1e-8)
    assert result.score_test("x2 = 0").statistic == pytest.approx(50 * (1 - whole / small), rel=1e-7)
    # The profile of a mean is that of Student's t without its degrees of freedom.
    z = two_sided_quantile(0.95)
    reach = result.se[1] * math.sqrt(50 * math.expm1(z * z / 50))
    assert result.ci(kind="profile")[1] == pytest.approx([result.params[1] - reach, result.params[1] + reach], rel=1e-7)


def test_the_score_test_needs_no_estimate():
    x, y = table([[8, 2], [0, 9]])
    result = binary(x, y.astype(float), names=["x"])
    assert result.verdict.status == "separated"
    observed = np.array([[8, 2], [0, 9]], dtype=float)
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / observed.sum()
    exact = np.sum((observed - expected) ** 2 / expected)
    assert result.score_test("x = 0").statistic == pytest.approx(exact, rel=1e-11)
    for test in ("wald_test", "lr_test"):
        with pytest.raises(mle.EstimateError, match="no tests"):
            getattr(result, test)("x = 0")


def test_a_test_has_the_usual_name_of_p(data):
    test = binary(data["x"], data["binary"]).wald_test("x1 = 0")
    assert test.pvalue == test.p


def test_a_test_is_printed(data):
    result = binary(data["x"], data["binary"])
    text = str(result.wald_test("x1 = x2"))
    assert text.startswith("Wald test of x1 = x2: chi2(1) = ")
    far = binary(np.repeat([[0.0], [1.0]], 2, axis=0), np.tile([0.0, 1.0], 2), weights=[1e5, 1, 1, 1e5])
    test = far.lr_test("x1 = 0")
    assert test.p == 0
    assert test.log_p == pytest.approx(-test.statistic / 2, rel=1e-3)
    assert "log10 p = -" in str(test)


@pytest.mark.parametrize("test", ["lr_test", "score_test"])
def test_where_the_likelihood_is_none_walds_test_is_the_way(data, test):
    x, y = data["x"], data["binary"]
    with pytest.raises(
        ValueError, match="test of a MAP estimate: with a penalty, 2 log L is not chi-squared; wald_test"
    ):
        getattr(binary(x, y, penalty=1.0), test)("x1 = 0")
    sampled = binary(x, y, weights=np.linspace(1, 2, 150), kind="sampling")
    with pytest.raises(ValueError, match=r"test with sampling weights: .*wald_test takes the sandwich covariance"):
        getattr(sampled, test)("x1 = 0")
    assert sampled.wald_test("x1 = 0").statistic == pytest.approx(sampled.z[0] ** 2, rel=1e-12)


def test_fits_that_are_not_nested_are_refused(data):
    x, y = data["x"], data["binary"]
    result, rng = binary(x, y), np.random.default_rng(0)
    for other, message in [
        (binary(x[:, :2], 1 - y), "two fits of the same y"),
        (binary(x[:-1, :2], y[:-1]), "two fits of the same rows"),
        (binary(x[:, :2], y, weights=np.full(150, 2.0)), "two fits of the same weights"),
        (poisson(x[:, :2], y), "two fits of the same likelihood"),
        (binary(x[:, :2], y, penalty="firth"), "two fits of the same penalty"),
        (binary(rng.normal(size=(150, 2)), y), "expects a model within this one"),
        (binary(x[:, :2], y, offset=rng.normal(size=150)), "expects a model within this one"),
        (result, "a smaller fit, of fewer than 4 parameters, got one of 4: call it on the larger"),
        (binary(x[:, :2], y, penalty=1.0), "test of a MAP estimate"),
    ]:
        with pytest.raises(ValueError, match=message):
            result.lr_test(other)
    with pytest.raises(ValueError, match="call it on the larger"):
        binary(x[:, :1], y).lr_test(result)
    with pytest.raises(TypeError, match="expects a smaller fit, or constraints such as 'x1 = 0', got None"):
        result.lr_test(None)


@pytest.mark.filterwarnings("ignore:standard errors from 3 clusters")
def test_few_clusters_do_not_test_many_constraints(data):
    result = binary(data["x"], data["binary"], groups=np.arange(150) % 3)
    assert result.wald_test("x1 = 0, x2 = 0").df == 2
    with pytest.raises(ValueError, match=r"covariance \(cluster\) of the 3 constraints .* is singular.*G - 1 at most"):
        result.wald_test("x1 = 0, x2 = 0, x3 = 0")


# Where the Wald test is not to be trusted.


def test_hauck_and_donner_in_tables():
    """The data change in what they say of x alone when a success moves from one group to the other."""

    def z(moved, counts):
        (a, b), (c, d) = counts
        a, b, c, d = a + moved, b - moved, c - moved, d + moved
        return math.log(a * d / (b * c)) / math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)

    flags = set()
    for a in (100, 500, 850, 930, 980, 995):
        for c in (20, 300, 500, 940):
            counts = (a, 1000 - a), (c, 1000 - c)
            x = np.array([[1.0], [1.0], [0.0], [0.0]])
            result = binary(x, np.array([1.0, 0, 1, 0]), weights=np.array(counts, dtype=float).ravel())
            sign = np.sign(z(0, counts))
            falls = (z(1e-3 * sign, counts) - z(-1e-3 * sign, counts)) * sign < 0
            if abs(result.z[0]) > 1e-6:
                assert hauck_donner(result)[0] == falls, counts
                flags.add(bool(falls))
    assert flags == {True, False}


def test_hauck_and_donner_of_one_proportion():
    """W = logit(p) sqrt(n p q) falls where logit(p) (2 p - 1) > 2."""
    for p in (0.5, 0.9, 0.915, 0.918, 0.95, 0.05):
        result = binary(np.ones((2, 1)), np.array([0.0, 1.0]), bias=False, weights=[1 - p, p])
        assert hauck_donner(result)[0] == (math.log(p / (1 - p)) * (2 * p - 1) > 2), p


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (-3, 100), (1e6, 1)])
def test_hauck_and_donner_do_not_depend_on_how_columns_are_coded(scale, shift):
    x, y = table([[10, 10], [1, 399]])
    assert hauck_donner(binary(x * scale + shift, y.astype(float)))[0]
    assert hauck_donner(softmax(x * scale + shift, y, 2))[0]


# Intervals.


def test_walds_interval_is_its_formula(data):
    result = binary(data["x"], data["binary"], cov="HC0")
    ends = result.ci(0.9)
    assert ends.mean(axis=1) == pytest.approx(result.params)
    assert (ends[:, 1] - ends[:, 0]) / 2 == pytest.approx(1.6448536269514722 * result.se, rel=1e-12)


def bisected(function, inside, outside):
    """Where `function` is 0, between a place where it is negative and one where it is positive."""
    for _ in range(200):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if function(middle) < 0 else (inside, middle)
    return inside


@pytest.mark.parametrize(("successes", "n"), [(1, 10), (7, 12), (999, 1000)])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999999])
def test_the_profile_of_one_proportion(successes, n, level):
    z = two_sided_quantile(level)
    result = binary(np.ones((2, 1)), np.array([1.0, 0.0]), bias=False, weights=[successes, n - successes])
    log_l = lambda t: -successes * math.log1p(math.exp(-t)) - (n - successes) * math.log1p(math.exp(t))  # noqa: E731
    best = math.log(successes / (n - successes))
    beyond = lambda t: 2 * (log_l(best) - log_l(t)) - z * z  # noqa: E731
    exact = [bisected(beyond, best, best - 60), bisected(beyond, best, best + 60)]
    assert result.ci(level, "profile")[0] == pytest.approx(exact, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("overlap", [1e-1, 1e-4, 1e-9])
def test_profiles_of_classes_that_hardly_overlap(overlap):
    x = np.array([-3, -2, -1, -overlap, overlap, 1, 2, 3.0])
    y = np.array([0.0, 0, 0, 1, 0, 1, 1, 1])
    result = binary(x[:, np.newaxis], y, bias=False)
    z = two_sided_quantile(0.95)
    side = np.where(y == 1, x, -x)
    cost = lambda t: np.logaddexp(0, -t * side).sum()  # noqa: E731
    best = result.params[0]
    exact = [bisected(lambda t: 2 * (cost(t) - cost(best)) - z * z, best, end) for end in (-100.0, 100 / overlap)]
    assert result.ci(kind="profile")[0] == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("model", FITS)
@pytest.mark.parametrize("unit", [1.0, 2.0**-400, 2.0**400])
def test_at_the_ends_of_a_profile_the_likelihood_has_fallen(data, model, unit):
    x, y = data["x"].copy(), data[model]
    x[:, 1] *= unit
    result = FITS[model](x, y)
    ends = result.ci(0.9, "profile")
    assert (ends[:, 0] < result.params).all()
    assert (result.params < ends[:, 1]).all()
    z = two_sided_quantile(0.9)
    for j in range(len(result.names)):
        for end in ends[j]:
            test = result.lr_test((np.eye(len(result.names))[j : j + 1], [end]))
            assert test.statistic == pytest.approx(z * z, rel=1e-9)


@pytest.mark.parametrize("model", FITS)
def test_both_ways_to_an_end_lead_there(data, model):
    """Newton's method for all variables at once, and along the profile between bounds."""
    result = FITS[model](data["x"], data[model])
    z, ends = two_sided_quantile(0.95), result.ci(kind="profile")
    covariance = np.linalg.inv(result.maximum.objective.hessian)
    for j, row in enumerate(result.listing.matrix):
        size = np.linalg.norm(row)
        a = row / size
        error = math.sqrt(a @ covariance @ a)
        for end, sign in zip(ends[j], (-1, 1), strict=True):
            found = result.listing.scale[j] * size * _followed(result, a, sign * error, z, covariance)
            assert found == pytest.approx(end, rel=1e-8, abs=1e-9)


def test_profiles_of_what_is_estimable(data):
    x, y = data["x"], data["binary"]
    small = binary(x[:, :2], y)
    result = binary(np.column_stack([x[:, 0], 2 * x[:, 0], x[:, 1]]), y)
    assert np.isnan(result.ci(kind="profile")[:2]).all()
    assert result.ci(kind="profile")[2:] == pytest.approx(small.ci(kind="profile")[1:], rel=1e-8)


def test_an_end_may_be_infinite():
    """The mean is exp(-e^a): as a falls it tends to 1, and the likelihood to a limit, which is not far down."""

    class Fading(Linear):
        def forward(self, z):
            rate, cache = super().forward(z)
            return -np.exp(rate), (cache, rate)

        def backward(self, delta, cache):
            return super().backward(-delta * np.exp(cache[1]), cache[0])

        def parameter_gradients(self, delta, cache):
            return super().parameter_gradients(-delta * np.exp(cache[1]), cache[0])

    y = np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0])[:, np.newaxis]
    cost = Sequential(Fading(1, 1, bias=False), PoissonNLLLoss("sum"))
    result = mle.fit(cost, np.ones((7, 1)), y)
    assert result.params[0] == pytest.approx(math.log(-math.log(6 / 7)), rel=1e-8)
    low, high = result.ci(kind="profile")[0]
    assert low == -math.inf
    rate = lambda t: 7 * math.exp(-math.exp(t)) + 6 * math.exp(t)  # noqa: E731
    z = two_sided_quantile(0.95)
    best = result.params[0]
    assert high == pytest.approx(bisected(lambda t: 2 * (rate(t) - rate(best)) - z * z, best, 3.0), rel=1e-8)


def test_intervals_that_are_none_are_refused(data):
    x, y = data["x"], data["binary"]
    result = binary(x, y)
    with pytest.raises(ValueError, match="ci expects a kind of wald, profile, got 'exact'"):
        result.ci(kind="exact")
    with pytest.raises(ValueError, match=r"ci expects a level between 0 and 1, such as 0\.95, got 95"):
        result.ci(95)
    with pytest.raises(ValueError, match="expects level to be a finite number above 0"):
        result.ci(0.0)
    with pytest.raises(ValueError, match=r"profile likelihood test of a MAP|no profile likelihood"):
        binary(x, y, penalty=1.0).ci(kind="profile")
