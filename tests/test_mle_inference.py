"""Covariances and criteria, against closed forms, formulas written out, and statsmodels."""

import math

import numpy as np
import pytest

from minigrad import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HomoscedasticGaussianNLLLoss,
    Linear,
    LogSoftmax,
    NLLLoss,
    PoissonNLLLoss,
    Sequential,
    mle,
)
from minigrad.mle.inference.covariance import KINDS
from minigrad.mle.inference.criteria import against_null, aicc
from minigrad.mle.inference.skewness import third_derivatives

UNGROUPED = [kind for kind in KINDS if kind != "cluster"]


def binary(x, y, bias=True, **options):
    return mle.fit(Sequential(Linear(x.shape[1], 1, bias=bias), BCEWithLogitsLoss()), x, y, **options)


def softmax(x, y, classes=3, **options):
    return mle.fit(Sequential(Linear(x.shape[1], classes), LogSoftmax(), NLLLoss()), x, y, **options)


def poisson(x, y, **options):
    return mle.fit(Sequential(Linear(x.shape[1], 1), PoissonNLLLoss()), x, y, **options)


def table(a, b, c, d):
    """Rows of a 2 x 2 table: y = 1 in a of a + b rows of x = 1, and in c of c + d rows of x = 0."""
    x = np.repeat([1.0, 1.0, 0.0, 0.0], [a, b, c, d])[:, np.newaxis]
    return x, np.repeat([1.0, 0.0, 1.0, 0.0], [a, b, c, d])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(120, 3)) * [1.0, 20.0, 0.1] + [0, 100, 3]
    z = x[:, 0] + 0.05 * (x[:, 1] - 100)
    groups = rng.integers(0, 30, 120)
    return {
        "x": x,
        "binary": (z + rng.logistic(size=120) > 0).astype(float),
        "softmax": np.argmax(np.column_stack([0 * z, z, -z / 2]) + rng.gumbel(size=(120, 3)), axis=1),
        "poisson": rng.poisson(np.exp(0.5 * z - 0.3)).astype(float),
        "groups": groups,
        "w": rng.integers(1, 5, 120).astype(float),
    }


FITS = {"binary": binary, "softmax": softmax, "poisson": poisson}


# The covariance.


def test_of_a_table_it_is_the_sum_of_inverse_counts():
    a, b, c, d = 7, 3, 4, 9
    result = binary(*table(a, b, c, d))
    assert result.params == pytest.approx([math.log(a * d / (b * c)), math.log(c / d)], rel=1e-13)
    exact = np.array([[1 / a + 1 / b + 1 / c + 1 / d, -1 / c - 1 / d], [-1 / c - 1 / d, 1 / c + 1 / d]])
    # A saturated model holds, whatever the truth is: the sandwich and the scores say the same as the curvature.
    for kind in ("observed", "expected", "opg", "HC0"):
        assert result.cov(kind) == pytest.approx(exact, rel=1e-12), kind
    n = a + b + c + d
    assert result.cov("HC1") == pytest.approx(exact * n / (n - 2), rel=1e-12)
    assert result.se == pytest.approx(np.sqrt(np.diag(exact)), rel=1e-13)


def by_hand(x, y, p, w, meat_weights, groups):
    """Covariances of a logit, in full; the bias last."""
    design = np.column_stack([x, np.ones(len(x))])
    h = (design.T * (w * p * (1 - p))) @ design
    s = design * (y - p)[:, np.newaxis]
    bread, meat = np.linalg.inv(h), (s.T * meat_weights) @ s
    sums = np.array([(w[groups == g, np.newaxis] * s[groups == g]).sum(axis=0) for g in np.unique(groups)])
    return {
        "observed": bread,
        "expected": bread,
        "opg": np.linalg.inv(meat),
        "HC0": bread @ meat @ bread,
        "cluster": bread @ sums.T @ sums @ bread,
    }


@pytest.mark.parametrize("kind_of_weights", [None, "frequency", "sampling", "analytic"])
def test_each_kind_is_its_formula(data, kind_of_weights):
    x, y, groups, w = data["x"], data["binary"], data["groups"], data["w"]
    given = {} if kind_of_weights is None else {"weights": w, "kind": kind_of_weights}
    result = binary(x, y, **given)
    if kind_of_weights is None:
        w = np.ones(120)
    if kind_of_weights == "analytic":
        w = w / w.mean()
    n = w.sum() if kind_of_weights == "frequency" else 120
    expected = by_hand(x, y, result.predict().reshape(-1), w, w if kind_of_weights == "frequency" else w * w, groups)
    factors = {"HC1": n / (n - 4), "cluster": 30 / 29 * (n - 1) / (n - 4)}
    expected["HC1"] = expected["HC0"]
    for kind in KINDS:
        found = result.cov(kind, groups if kind == "cluster" else None)
        assert found == pytest.approx(expected[kind] * factors.get(kind, 1.0), rel=1e-9), kind
    assert result.cov_type == ("HC0" if kind_of_weights == "sampling" else "observed")
    assert result.cov() == pytest.approx(expected[result.cov_type], rel=1e-9)


@pytest.mark.parametrize("model", FITS)
@pytest.mark.parametrize("kind", UNGROUPED)
def test_frequency_weights_are_repeated_rows(data, model, kind):
    x, y, w = data["x"], data[model], data["w"]
    weighted = FITS[model](x, y, weights=w)
    repeated = FITS[model](np.repeat(x, w.astype(int), axis=0), np.repeat(y, w.astype(int)))
    assert weighted.cov(kind) == pytest.approx(repeated.cov(kind), rel=1e-9)
    assert (weighted.aic, weighted.bic) == pytest.approx((repeated.aic, repeated.bic), rel=1e-12)


def test_sampling_weights_count_only_beside_each_other(data):
    x, y, w = data["x"], data["binary"], data["w"]
    one, other = (binary(x, y, weights=w * unit, kind="sampling") for unit in (1.0, 1024.0))
    assert one.se == pytest.approx(other.se, rel=1e-11)


@pytest.mark.parametrize("model", FITS)
def test_rows_that_are_clusters_of_their_own_are_hc1(data, model):
    result = FITS[model](data["x"], data[model])
    rows = [f"row {n}" for n in range(120)]
    assert result.cov("cluster", rows) == pytest.approx(result.cov("HC1"), rel=1e-12)
    clustered = FITS[model](data["x"], data[model], groups=data["groups"])
    assert clustered.cov() == pytest.approx(result.cov("cluster", data["groups"]), rel=1e-12)
    assert clustered.cov_type == "cluster"


@pytest.mark.parametrize("model", FITS)
def test_a_table_repeated_in_clusters_has_the_errors_of_one(data, model):
    x, y = data["x"], data[model]
    once = FITS[model](x, y)
    thrice = FITS[model](np.tile(x, (3, 1)), np.tile(y, 3))
    found = thrice.cov("cluster", np.tile(np.arange(120), 3))
    factor = 120 / 119 * 359 / (360 - once.k)
    assert found == pytest.approx(once.cov("HC0") * factor, rel=1e-9)


@pytest.mark.parametrize("kind", ["observed", "HC0", "cluster"])  # what it calls HC1 of these is HC0
@pytest.mark.parametrize("model", FITS)
def test_statsmodels_agrees(data, model, kind):
    api = pytest.importorskip("statsmodels.api")
    x, y, groups = data["x"], data[model], data["groups"]
    of = {"binary": api.Logit, "softmax": api.MNLogit, "poisson": api.Poisson}[model]
    robust = {"HC0": {"cov_type": "HC0"}, "cluster": {"cov_type": "cluster", "cov_kwds": {"groups": groups}}}
    theirs = of(y, np.column_stack([x, np.ones(120)])).fit(disp=0, method="newton", tol=1e-9, **robust.get(kind, {}))
    ours = FITS[model](x, y, cov=kind, groups=groups if kind == "cluster" else None)
    assert ours.se == pytest.approx(np.asarray(theirs.bse).ravel(order="F"), rel=1e-6)
    assert ours.loglik == pytest.approx(theirs.llf, rel=1e-11)
    assert ours.loglik_null == pytest.approx(theirs.llnull, rel=1e-9)
    assert ours.pseudo_r2() == pytest.approx(theirs.prsquared, rel=1e-8)


def test_columns_of_any_unit(data):
    x, y = data["x"], data["binary"]
    unit = 2.0 ** np.array([-490, 498, 0])
    plain, scaled = binary(x, y), binary(x * unit, y)
    back = np.append(unit, 1.0)
    for kind in UNGROUPED:
        found = scaled.cov(kind)
        assert np.isfinite(found).all()
        assert back[:, np.newaxis] * (found * back) == pytest.approx(plain.cov(kind), rel=1e-12), kind
    assert scaled.information / back / back[:, np.newaxis] == pytest.approx(plain.information, rel=1e-12)
    assert scaled.scores / back == pytest.approx(plain.scores, rel=1e-12)


@pytest.mark.parametrize("identification", ["reference", "sum_to_zero", "minimum_norm"])
def test_scores_are_those_of_the_classes(data, identification):
    x, y = data["x"], data["softmax"]
    result = softmax(x, y, identification=identification)
    p = result.predict()
    each = ((np.eye(3)[y] - p)[:, :, np.newaxis] * np.column_stack([x, np.ones(120)])[:, np.newaxis]).reshape(120, 12)
    assert result.scores == pytest.approx(each[:, 4:] if identification == "reference" else each, rel=1e-9, abs=1e-10)
    assert np.abs(result.scores.sum(axis=0)).max() < 1e-9
    assert result.information @ result.cov() @ result.information == pytest.approx(result.information, rel=1e-7)
    if identification == "reference":
        assert result.information @ result.cov() == pytest.approx(np.eye(8), abs=1e-8)


def test_collinear_columns_leave_the_rest_as_it_is(data):
    x, y = data["x"], data["binary"]
    small = binary(x[:, :2], y)
    result = binary(np.column_stack([x[:, 0], 2 * x[:, 0], x[:, 1]]), y)
    for kind in UNGROUPED:
        assert result.cov(kind)[2:, 2:] == pytest.approx(small.cov(kind)[1:, 1:], rel=1e-9)
        assert np.isnan(result.cov(kind)[:2]).all()
        assert np.isnan(result.cov(kind)[:, :2]).all()


def test_map_estimates_have_laplace_errors(data):
    x, y = data["x"][:, :1], data["binary"]
    result = binary(x, y, penalty=2.5)
    p = result.predict().reshape(-1)
    design = np.column_stack([x, np.ones(120)])
    h = (design.T * (p * (1 - p))) @ design
    s = design * (y - p)[:, np.newaxis]
    bent = np.diag([2.5, 0.0])
    bread = np.linalg.inv(h + bent)
    expected = {
        "observed": bread,
        "expected": bread,
        "opg": np.linalg.inv(s.T @ s + bent),
        "HC0": bread @ s.T @ s @ bread,
    }
    for kind, matrix in expected.items():
        assert result.cov(kind) == pytest.approx(matrix, rel=1e-9), kind


def test_a_stack_has_the_covariance_of_least_squares():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 2))
    y = (x @ [1.0, -2.0] + 0.5 + rng.normal(size=40))[:, np.newaxis]
    result = mle.fit(Sequential(Linear(2, 1), HomoscedasticGaussianNLLLoss(1, "sum", full=True)), x, y)
    design = np.column_stack([x, np.ones(40)])
    left = y[:, 0] - design @ np.linalg.lstsq(design, y[:, 0], rcond=None)[0]
    variance = left @ left / 40
    assert result.cov("observed")[:3, :3] == pytest.approx(variance * np.linalg.inv(design.T @ design), rel=1e-8)
    assert result.cov("expected")[:3, :3] == pytest.approx(variance * np.linalg.inv(design.T @ design), rel=1e-8)
    assert result.se[3] == pytest.approx(math.sqrt(2 / 40), rel=1e-8)
    bread = np.linalg.inv(design.T @ design)
    assert result.cov("HC0")[:3, :3] == pytest.approx(bread @ (design.T * left**2) @ design @ bread, rel=1e-8)


@pytest.mark.parametrize(
    ("kind", "groups", "message"),
    [
        ("robust", None, "cov expects a kind of observed, expected, opg, HC0, HC1, cluster, got 'robust'"),
        ("cluster", None, r"expects groups, one for each of 120 rows, with the kind 'cluster', got None"),
        ("cluster", [1, 2], r"expects groups of shape \(120,\), one for each row, got \(2,\)"),
        ("cluster", [1.0] * 119 + [math.nan], "expects a group for each row, got NaN or None"),
        ("cluster", ["a"] * 120, "expects two groups or more, got one"),
        ("HC0", [1] * 120, "expects groups with the kind 'cluster', got them with 'HC0'"),
    ],
)
def test_what_is_no_covariance_is_refused(data, kind, groups, message):
    with pytest.raises(ValueError, match=message):
        binary(data["x"], data["binary"]).cov(kind, groups)


def test_few_rows_and_few_clusters_are_said(data):
    result = binary(data["x"], data["binary"])
    with pytest.warns(UserWarning, match="from 4 clusters are too small as a rule, and their covariance has rank 3"):
        result.cov("cluster", np.arange(120) % 4)
    with pytest.warns(UserWarning, match="from 10 clusters are too small as a rule: see"):
        result.cov("cluster", np.arange(120) % 10)
    x, y = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0.0, 1.0, 0.0, 1.0])
    few = binary(x, y, weights=np.full(4, 0.25))
    with pytest.raises(ValueError, match="needs N > k, got N = 1 and k = 2"):
        few.cov("HC1")


def test_there_are_no_errors_where_there_is_no_estimate():
    separated = binary(np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0.0, 0.0, 1.0, 1.0]))
    for ask in (separated.cov, separated.ci, lambda: separated.scores, lambda: separated.information):
        with pytest.raises(mle.EstimateError, match="there are no"):
            ask()
    assert separated.loglik_null == pytest.approx(-4 * math.log(2))


# Criteria.


def test_the_null_model_has_a_closed_form(data):
    x, w = data["x"], data["w"]
    y = data["binary"]
    share = w @ y / w.sum()
    exact = w.sum() * (share * math.log(share) + (1 - share) * math.log(1 - share))
    assert binary(x, y, weights=w).loglik_null == pytest.approx(exact, rel=1e-13)
    assert binary(x, y, bias=False).loglik_null == pytest.approx(-120 * math.log(2), rel=1e-14)
    counts = np.bincount(data["softmax"])
    assert softmax(x, data["softmax"]).loglik_null == pytest.approx(counts @ np.log(counts / 120), rel=1e-13)
    t = data["poisson"]
    exact = math.fsum(t * math.log(t.mean()) - t.mean() - [math.lgamma(each + 1) for each in t])
    assert poisson(x, t).loglik_null == pytest.approx(exact, rel=1e-13)
    exposure = np.exp(0.01 * x[:, 1])
    rate = t.sum() / exposure.sum()
    exact = math.fsum(t * np.log(rate * exposure) - rate * exposure - [math.lgamma(each + 1) for each in t])
    assert poisson(x, t, offset=np.log(exposure)).loglik_null == pytest.approx(exact, rel=1e-13)


def test_criteria_are_their_formulas(data):
    x, y, w = data["x"], data["binary"], data["w"]
    result = binary(x, y, weights=w)
    n, l, null, k = w.sum(), result.loglik, result.loglik_null, 4
    p = result.predict().reshape(-1)
    assert l == pytest.approx(w @ np.log(np.where(y == 1, p, 1 - p)), rel=1e-13)
    likelier = math.exp(null - l) ** (2 / n)
    exact = {
        "mcfadden": 1 - l / null,
        "mcfadden_adjusted": 1 - (l - k) / null,
        "cox_snell": 1 - likelier,
        "nagelkerke": (1 - likelier) / (1 - math.exp(null) ** (2 / n)),
        "efron": 1 - (w @ (y - p) ** 2) / (w @ (y - np.average(y, weights=w)) ** 2),
        "tjur": np.average(p[y == 1], weights=w[y == 1]) - np.average(p[y == 0], weights=w[y == 0]),
    }
    for kind, value in exact.items():
        assert result.pseudo_r2(kind) == pytest.approx(value, rel=1e-11), kind
    as_classes = mle.fit(Sequential(Linear(3, 2), CrossEntropyLoss()), x, y.astype(int), weights=w)
    for kind, value in exact.items():
        assert as_classes.pseudo_r2(kind) == pytest.approx(value, rel=1e-10), kind
    assert aicc(result) == pytest.approx(-2 * l + 2 * k * n / (n - k - 1), rel=1e-13)


def test_what_no_criterion_says_is_refused(data):
    result = softmax(data["x"], data["softmax"])
    with pytest.raises(ValueError, match=r"pseudo_r2 expects a kind of mcfadden, .*, got 'r2'"):
        result.pseudo_r2("r2")
    with pytest.raises(ValueError, match=r"kind 'tjur' is there for two classes, got y of shape \(120,\)"):
        result.pseudo_r2("tjur")
    counts = poisson(data["x"], data["poisson"])
    assert 0 < counts.pseudo_r2("efron") < 1
    with pytest.raises(ValueError, match="kind 'tjur' is there for two classes"):
        counts.pseudo_r2("tjur")
    with pytest.raises(ValueError, match=r"aicc needs N > k \+ 1 observations, got N = 3 and k = 2"):
        aicc(binary(np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0])))


def test_densities_have_no_pseudo_r2():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(40, 1))
    y = 1e-6 * (x + rng.normal(size=(40, 1)))
    result = mle.fit(Sequential(Linear(1, 1), HomoscedasticGaussianNLLLoss(1, "sum", full=True)), x, y)
    with pytest.raises(ValueError, match="compares probabilities, whose logarithms are negative, got log L of"):
        result.pseudo_r2()


def test_the_whole_model_against_the_null(data):
    for model in FITS:
        result = FITS[model](data["x"], data[model])
        slopes = [f"`{name}` = 0" for name in result.names if not name.endswith("const")]
        whole, constrained = against_null(result), result.lr_test(slopes)
        assert (whole.statistic, whole.p) == pytest.approx((constrained.statistic, constrained.p), rel=1e-9)
        assert whole.df == constrained.df == len(slopes)
    without = binary(data["x"], data["binary"], bias=False)
    assert against_null(without).df == 3
    assert against_null(without).statistic == pytest.approx(without.lr_test("x1 = x2 = x3 = 0").statistic, rel=1e-9)


# The third derivative.


@pytest.mark.parametrize("model", FITS)
def test_third_derivatives_are_differences_of_hessians(data, model):
    likelihood = FITS[model](data["x"], data[model], weights=data["w"]).likelihood
    rng = np.random.default_rng(0)
    u, directions = rng.normal(size=likelihood.size) * 0.2, rng.normal(size=(likelihood.size, 5))
    h = 1e-4
    differences = [
        d @ (likelihood.evaluate(u + h * d).hessian - likelihood.evaluate(u - h * d).hessian) @ d / (2 * h)
        for d in directions.T
    ]
    assert third_derivatives(likelihood, u, directions) == pytest.approx(differences, rel=1e-6)
