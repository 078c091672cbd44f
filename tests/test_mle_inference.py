"""Covariances and criteria, against closed forms, formulas written out, and statsmodels."""

import math
import re
import warnings

import numpy as np
import pytest

from minigrad import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HomoscedasticGaussianNLLLoss,
    Layer,
    Linear,
    LogSoftmax,
    NLLLoss,
    PoissonNLLLoss,
    Sequential,
    mle,
)
from minigrad.mle.inference.covariance import KINDS
from minigrad.mle.inference.criteria import against_null, aicc
from minigrad.mle.inference.once import once
from minigrad.mle.inference.roots import root_of, square_over
from minigrad.mle.inference.rounding import rounding_of_scores
from minigrad.mle.inference.skewness import largest_thirds, third_derivatives
from minigrad.mle.likelihood import Listing
from minigrad.mle.search.inverses import inverse_of_triangle
from minigrad.mle.search.maximize import maximize

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
        ("cluster", [1, 2], "cov expects"),
        ("cluster", [1.0] * 119 + [math.nan], "cov expects a group for each row, got none in row 119"),
        ("cluster", ["a"] * 120, "cov expects groups to be two or more, got 1"),
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
        with pytest.raises(mle.EstimateError, match=r"^no "):
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
    likelier = 1 - math.exp(2 * (result.loglik_null - result.loglik) / 40)
    for unit in (1.0, 1e6, 1e12):  # both log-likelihoods are negative for the last
        scaled = mle.fit(Sequential(Linear(1, 1), HomoscedasticGaussianNLLLoss(1, "sum", full=True)), x, y * unit)
        for kind in ("mcfadden", "mcfadden_adjusted", "nagelkerke"):
            with pytest.raises(ValueError, match=r"compares probabilities, and this likelihood is a density, .* unit"):
                scaled.pseudo_r2(kind)
        assert scaled.pseudo_r2("cox_snell") == pytest.approx(likelier, rel=1e-6)
        assert re.search("Pseudo R-squ.: +-( |$)", scaled.summary(), re.MULTILINE)


class CountsLoss(Layer):
    """A loss of one's own, e^z - t z + log t!: of probabilities where t holds whole numbers."""

    def forward(self, z, t):
        t = np.asarray(t, dtype=float)
        return (np.exp(z) - t * z + np.vectorize(math.lgamma)(t + 1)).sum(), (z, t)

    def backward(self, delta, cache):
        return delta * (np.exp(cache[0]) - cache[1])


def test_a_loss_of_ones_own_is_of_probabilities_where_y_is_whole(data):
    x, y = data["x"][:, :1], data["poisson"][:, np.newaxis]
    own, known = mle.fit(Sequential(Linear(1, 1), CountsLoss()), x, y), poisson(x, y[:, 0])
    assert own.pseudo_r2() == pytest.approx(known.pseudo_r2(), rel=1e-9)
    with pytest.raises(ValueError, match="this likelihood is a density"):
        mle.fit(Sequential(Linear(1, 1), CountsLoss()), x, y + 0.25).pseudo_r2()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": 1.0}, "of a MAP estimate: k counts"),
        ({"penalty": "firth"}, "of Firth's estimate: k counts"),
        ({"kind": "sampling"}, "with sampling weights: the weighted log-likelihood is none of the rows drawn"),
    ],
)
def test_what_depends_on_a_penalty_or_on_units_of_weights_is_no_criterion(data, options, message):
    result = binary(data["x"], data["binary"], weights=data["w"], **options)
    asked = {name: lambda name=name: getattr(result, name) for name in ("aic", "bic", "aicc")}
    for kind in ("mcfadden_adjusted", "cox_snell", "nagelkerke"):
        asked[f"pseudo_r2 of kind '{kind}'"] = lambda kind=kind: result.pseudo_r2(kind)
    for name, ask in asked.items():
        with pytest.raises(ValueError, match=f"there is no {name} {message}"):
            ask()
    assert 0 < result.pseudo_r2() < 1
    assert re.search("AIC: +-$", result.summary(), re.MULTILINE)


class OrderedLoss(Layer):
    """An ordered logit: P(y <= j) = sigmoid(cut_j - z)."""

    parameter_names = ("cuts",)

    def __init__(self, classes):
        self.cuts = np.linspace(-1.0, 1.0, classes - 1)

    def forward(self, z, t):
        t = np.asarray(t).astype(int)
        ends = np.concatenate([[-40.0], self.cuts, [40.0]])
        high, low = (1 / (1 + np.exp(z[:, 0] - ends[t + j])) for j in (1, 0))
        return -np.log(high - low).sum(), (t, high, low)

    def backward(self, delta, cache):
        _, high, low = cache
        return (delta * (1 - high - low))[:, np.newaxis]

    def parameter_gradients(self, delta, cache):
        t, high, low = cache
        by_end = np.zeros(len(self.cuts) + 2, dtype=high.dtype)
        np.add.at(by_end, t + 1, -high * (1 - high) / (high - low))
        np.add.at(by_end, t, low * (1 - low) / (high - low))
        return {"cuts": delta * by_end[1:-1]}


@pytest.mark.parametrize("bias", [False, True])
def test_what_the_null_model_does_not_identify_is_not_counted(bias):
    """A bias beside cuts changes nothing: neither the model nor the null model has a parameter more for it."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(150, 2))
    y = np.digitize(x @ [1.0, -0.5] + rng.logistic(size=150), [-1.0, 0.5, 1.5])
    result = mle.fit(Sequential(Linear(2, 1, bias=bias, rng=0), OrderedLoss(4)), x, y)
    assert result.verdict.status == ("not_identified" if bias else "regular")
    assert against_null(result).df == 2
    assert re.search("Df Model: +2( |$)", result.summary(), re.MULTILINE)
    counts = np.bincount(y)
    assert result.loglik_null == pytest.approx(counts @ np.log(counts / 150), rel=1e-9)


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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", FITS)
def test_the_null_model_in_closed_form_is_where_the_search_ends(data, model, weighted):
    result = FITS[model](data["x"], data[model], weights=data["w"] * 0.7 if weighted else None)
    assert result.loglik_null == pytest.approx(-maximize(result.likelihood.without_inputs()).local.value, rel=1e-13)


def test_a_y_that_is_always_the_same_has_no_null_model():
    result = binary(np.arange(6.0)[:, np.newaxis], np.ones(6), penalty="firth")
    with pytest.raises(ValueError, match="the null model has no maximum: is y always the same"):
        _ = result.loglik_null
    with pytest.raises(ValueError, match="the null model has no maximum: is y always the same"):
        _ = poisson(np.arange(6.0)[:, np.newaxis], np.zeros(6), penalty="firth").loglik_null
    assert poisson(np.arange(6.0)[:, np.newaxis], np.ones(6)).loglik_null == pytest.approx(-6)


# Roots.


def test_what_a_root_holds_does_not_cancel():
    listing, root = Listing(["a"], np.array([[1.0, 1.0]]), np.array([2.0])), np.array([[1.0, 3e-12], [-1.0, 4e-12]])
    assert listing.spreads(root)[0] == pytest.approx(14e-12, rel=1e-12)
    assert listing.errors(root @ root.T)[0] != pytest.approx(14e-12, rel=1e-2)


def test_roots_of_matrices_and_triangles():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(6, 4)) * 10.0 ** np.arange(-4, 2)[:, np.newaxis]
    assert root_of(a @ a.T).shape == (6, 4)  # what is rounding is left out
    np.testing.assert_allclose(root_of(a @ a.T) @ root_of(a @ a.T).T, a @ a.T, rtol=1e-9, atol=1e-20)
    lower = np.tril(rng.normal(size=(150, 150))) / 20 + np.eye(150)
    np.testing.assert_allclose(inverse_of_triangle(lower) @ lower, np.eye(150), atol=1e-12)
    b, off = a[:3], np.array([1e-4, 2e-3, 0.1])
    assert square_over(b, off) == pytest.approx(off @ np.linalg.solve(b @ b.T, off), rel=1e-8)
    assert square_over(np.vstack([b, b[0] + b[1]]), np.append(off, 0.0)) is None
    assert square_over(a, np.zeros(6)) is None


def touching(gap):
    """Classes that overlap by so much, about 1/2."""
    return np.array([-1.5, -0.75, -0.5, 0.25, 0.5 + gap, 0.5, 0.75, 1.25, 1.5, 2.0]), np.repeat([0.0, 1.0], 5)


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("kind", ["HC0", "opg"])
def test_where_classes_touch_no_digit_is_promised_that_is_not_there(gap, kind):
    """Solved in 50 digits: the sandwich is smaller than the bread by 1 / gap."""
    mp = pytest.importorskip("mpmath")
    x, y = touching(gap)
    result = binary(x[:, np.newaxis], y, cov=kind)
    with mp.workdps(50):
        rows, t = [mp.matrix([mp.mpf(v), 1]) for v in x], [int(v) for v in y]
        theta = mp.matrix([mp.mpf(float(v)) for v in result.params])
        for _ in range(40):
            p = [1 / (1 + mp.exp(-(row.T * theta)[0])) for row in rows]
            scores = [(a - b) * row for a, b, row in zip(t, p, rows, strict=True)]
            h, s = mp.zeros(2), mp.zeros(2)
            for b, row, each in zip(p, rows, scores, strict=True):
                h += b * (1 - b) * row * row.T
                s += each * each.T
            step = h**-1 * sum(scores[1:], scores[0])
            theta += step
            if mp.norm(step) < mp.mpf(10) ** -40:
                break
        exact = h**-1 * s * h**-1 if kind == "HC0" else s**-1
        errors = np.array([float(mp.sqrt(exact[i, i])) for i in range(2)])
    found = result.cov()
    assert np.array_equal(found, found.T)
    there = -math.log10(np.max(np.abs(result.se / errors - 1)) + 1e-17)
    assert there >= result.digits >= 16 + 1.3 * math.log10(gap) - 4
    np.testing.assert_allclose(np.sqrt(np.diag(found)), result.se, rtol=1e-12)


def test_scores_of_lower_rank_have_no_outer_product():
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    result = mle.fit(Sequential(Linear(1, 1), PoissonNLLLoss()), x, np.array([2.0, 2.0, 5.0, 3.0]))
    x, y = touching(2e-15)
    hardly = binary(x[:, np.newaxis], y)
    assert hardly.verdict.exists
    for each in (result, hardly):
        with pytest.raises(ValueError, match=r"outer product of the scores has no inverse here|kind 'opg' here"):
            each.cov("opg")


class RatesLoss(CountsLoss):
    """The same, which is known to be no regression."""


PERFECT = {
    "counts": lambda y, **o: poisson(np.array([[0.0], [0.0], [1.0], [1.0]]), y, **o),
    "a stack": lambda y, **o: mle.fit(
        Sequential(Linear(1, 1, rng=0), RatesLoss()), np.array([[0.0], [0.0], [1.0], [1.0]]), y[:, np.newaxis], **o
    ),
    "shares": lambda y, **o: binary(np.array([[0.0], [0.0], [1.0], [1.0]]), y / 10, weights=np.full(4, 10.0), **o),
}


@pytest.mark.parametrize("model", PERFECT)
@pytest.mark.parametrize("size", [1.0, 11.0, 1e6])
@pytest.mark.parametrize("kind", ["opg", "HC0", "HC1", "cluster"])
def test_where_the_fit_is_perfect_scores_say_nothing(model, size, kind):
    """y = (3, 3, 7, 7): the residuals are rounding, and so is every number made of them."""
    y = np.array([3.0, 3.0, 7.0, 7.0]) * (1.0 if model == "shares" else size)
    result = PERFECT[model](y)
    assert result.verdict.status == "regular"
    groups = np.arange(4) if kind == "cluster" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=f"no covariance of kind '{kind}' here: the scores are 0, to rounding"):
            result.cov(kind, groups)
    step = 1e-3 if model == "shares" else 1.0
    near = PERFECT[model](y + np.array([0.0, step, 0.0, step]))
    assert np.isfinite(near.cov("HC0")).all()
    assert (np.diag(near.cov("HC0")) > 1e-10 * np.diag(near.cov("observed"))).all()


def test_what_the_search_left_of_the_way_is_no_residual():
    result = PERFECT["counts"](np.array([3.0, 3.0, 7.0, 7.0]))
    left = 1e-6
    beside = result.maximum.u + left * np.linalg.cholesky(result.cov("observed"))[:, 0]
    result.maximum = result.maximum._replace(u=beside, decrement=left)
    with pytest.raises(ValueError, match="no covariance of kind 'HC0' here: the scores are 0, to rounding"):
        result.cov("HC0")


def test_residuals_have_the_rounding_of_the_parts_of_their_units():
    """An offset that x takes back: of z = 1e6 - 1e6 + log y no more than ten digits are left."""
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    near = poisson(x, np.array([3.0, 4.0, 7.0, 9.0]), offset=1e6 * x / 3, cov="HC0")
    plain = poisson(x, np.array([3.0, 4.0, 7.0, 9.0]), cov="HC0")
    w = np.ones(4)
    for each in (near, plain):
        each.maximum = each.maximum._replace(decrement=0.0)
    far, usual = (rounding_of_scores(each, each.listing.matrix.T, w) for each in (near, plain))
    assert (far > 1e4 * usual).all()


def test_where_some_rows_are_fitted_perfectly_what_rests_on_them_is_refused():
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    result = poisson(x, np.array([3.0, 3.0, 7.0, 9.0]))  # the constant has a residual of 0 alone
    with pytest.raises(ValueError, match="of kind 'HC0' here: combinations of the scores are 0, to rounding"):
        result.cov("HC0")


@pytest.mark.parametrize("kind", ["HC0", "opg"])
@pytest.mark.parametrize("size", [1e2, 1e6, 1e12, 1e14])
def test_large_counts_have_residuals_of_fewer_digits(kind, size):
    """Solved in 60 digits: of y - mu, eps mu |z| is rounding."""
    mp = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    mean = size * np.exp(x @ [0.3, -0.2])
    y = np.rint(mean + np.sqrt(mean) * rng.normal(size=40))
    result = poisson(x, y, cov=kind)
    with mp.workdps(60):
        rows, t = [mp.matrix([*map(mp.mpf, map(float, row)), 1]) for row in x], [mp.mpf(float(v)) for v in y]
        theta = mp.matrix([mp.mpf(float(v)) for v in result.params])
        for _ in range(6):
            rates = [mp.exp((row.T * theta)[0]) for row in rows]
            h, s, g = mp.zeros(3), mp.zeros(3), mp.zeros(3, 1)
            for rate, row, each in zip(rates, rows, t, strict=True):
                h, s, g = h + rate * row * row.T, s + (each - rate) ** 2 * row * row.T, g + (each - rate) * row
            theta += h**-1 * g
        exact = h**-1 * s * h**-1 if kind == "HC0" else s**-1
        errors = np.array([float(mp.sqrt(exact[i, i])) for i in range(3)])
    there = -math.log10(np.max(np.abs(result.se / errors - 1)) + 1e-17)
    assert there >= result.digits >= 13.5 - math.log10(size) / 2 - 2.5


@pytest.mark.parametrize("kind", KINDS)
def test_digits_are_those_of_the_covariance(data, kind):
    groups = data["groups"] if kind == "cluster" else None
    for model in FITS:
        usual = FITS[model](data["x"], data[model])
        result = FITS[model](data["x"], data[model], cov=kind, groups=groups)
        assert usual.digits - 2 < result.digits <= usual.digits


def test_what_follows_is_computed_once():
    class Asked:
        count = 0

    @once
    def number(result):
        result.count += 1
        return result.count

    asked, other = Asked(), Asked()
    assert (number(asked), number(asked), number(other)) == (1, 1, 1)


# The third derivative.


@pytest.mark.parametrize("model", FITS)
def test_no_third_derivative_exceeds_its_bound(data, model):
    result = FITS[model](data["x"], data[model], weights=data["w"])
    root = np.linalg.inv(np.linalg.cholesky(result.maximum.local.hessian)).T
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(len(root),) * 2))[0]
    directions = np.hstack([root, root @ turned])  # d^T H d = 1
    third = np.abs(third_derivatives(result.likelihood, result.maximum.u, directions))
    bound = largest_thirds(result.likelihood, directions)
    assert (third <= bound).all()
    assert bound.max() < 100 * third.max()


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
