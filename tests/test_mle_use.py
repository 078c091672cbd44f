"""Predictions and marginal effects: closed forms, statsmodels, numeric derivatives, and what must not matter."""

import itertools
import json
import math

import numpy as np
import pytest

from minigrad import BCEWithLogitsLoss, CrossEntropyLoss, Linear, LogSoftmax, NLLLoss, PoissonNLLLoss, Sequential
from minigrad.mle import EstimateError, fit
from minigrad.mle.inference.covariance import of_variables
from minigrad.mle.use import units as units_module
from minigrad.mle.use.points import Points
from minigrad.mle.use.prediction import classify, predict
from minigrad.mle.use.slopes import slopes

NAMES = ["a", "d", "c"]
Q = 1.959963984540054  # of the normal distribution, 0.975


def data(n=240, seed=0):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n) + 2, rng.integers(0, 2, n), rng.integers(0, 6, n)]).astype(float)
    z = np.column_stack([np.zeros(n), 0.5 * x[:, 0] - x[:, 1], 0.4 - 0.3 * x[:, 2]])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return x, labels, rng.poisson(np.exp(0.3 * x[:, 0] - 0.5 * x[:, 1])).astype(float)


X, LABELS, COUNTS = data()


def softmax(x=X, y=LABELS, **options):
    return fit(Sequential(Linear(x.shape[1], 3, rng=0), LogSoftmax(), NLLLoss()), x, y, **options)


def logit(x=X, y=LABELS > 0, **options):
    return fit(Sequential(Linear(x.shape[1], 1, rng=0), BCEWithLogitsLoss("sum")), x, np.asarray(y, float), **options)


def poisson(x=X, y=COUNTS, **options):
    return fit(Sequential(Linear(x.shape[1], 1, rng=0), PoissonNLLLoss("sum")), x, y, **options)


def outputs(x=X, **options):
    """Two binary outputs at once."""
    y = np.column_stack([LABELS > 0, COUNTS > 1]).astype(float)
    return fit(Sequential(Linear(x.shape[1], 2, rng=0), BCEWithLogitsLoss("sum")), x, y, **options)


FITS = {"softmax": softmax, "logit": logit, "poisson": poisson, "outputs": outputs}


# Predictions.


def test_groups_are_predicted_in_closed_form():
    """One column of 0 and 1: p = s/n of each group, se(logit p)^2 = 1/s + 1/(n - s)."""
    x, y = np.repeat([[0.0], [1.0]], (30, 20), axis=0), np.repeat([1, 0, 1, 0], (12, 18, 15, 5))
    found = predict(logit(x, y), [[0.0], [1.0]], ci=True, level=0.95)
    for k, (s, n) in enumerate([(12, 30), (15, 20)]):
        z, se = math.log(s / (n - s)), math.sqrt(1 / s + 1 / (n - s))
        assert found.mean[k] == pytest.approx(s / n, rel=1e-12)
        assert found.se[k] == pytest.approx(math.sqrt(s * (n - s) / n**3), rel=1e-12)
        assert found.lower[k] == pytest.approx(1 / (1 + math.exp(-z + Q * se)), rel=1e-12)
        assert found.upper[k] == pytest.approx(1 / (1 + math.exp(-z - Q * se)), rel=1e-12)


def test_groups_of_three_classes_are_predicted_in_closed_form():
    """Of each class p = s/n, and its logit has the error of s against n - s."""
    counts = np.array([[10, 6, 4], [3, 9, 18]])
    x = np.repeat([[0.0], [1.0]], counts.sum(axis=1), axis=0)
    y = np.concatenate([np.repeat([0, 1, 2], row) for row in counts])
    found = softmax(x, y).predict([[0.0], [1.0]], ci=True, level=0.9)
    n = counts.sum(axis=1, keepdims=True)
    z, se = np.log(counts / (n - counts)), np.sqrt(1 / counts + 1 / (n - counts))
    np.testing.assert_allclose(found.mean, counts / n, rtol=1e-11)
    np.testing.assert_allclose(found.se, np.sqrt(counts * (n - counts) / n**3), rtol=1e-11)
    np.testing.assert_allclose(found.upper, 1 / (1 + np.exp(-z - 1.6448536269514722 * se)), rtol=1e-11)
    assert found.scale == "logit"


def test_groups_of_counts_are_predicted_in_closed_form():
    """The mean of each group, with the error 1 / sqrt(sum) of its logarithm."""
    x, y = np.repeat([[0.0], [1.0]], 10, axis=0), np.concatenate([np.arange(10) % 3, np.arange(10) % 4 + 2.0])
    found = poisson(x, y).predict([[0.0], [1.0]], ci=True)
    total = np.array([y[:10].sum(), y[10:].sum()])
    np.testing.assert_allclose(found.mean, total / 10, rtol=1e-11)
    np.testing.assert_allclose(found.se, np.sqrt(total) / 10, rtol=1e-11)
    np.testing.assert_allclose(found.lower, total / 10 * np.exp(-Q / np.sqrt(total)), rtol=1e-11)
    assert found.scale == "log"


@pytest.mark.parametrize("robust", ["nonrobust", "HC0"])
def test_predictions_agree_with_statsmodels(robust):
    sm = pytest.importorskip("statsmodels.api")
    design = sm.add_constant(X)
    theirs = sm.Logit(LABELS > 0, design).fit(disp=0, tol=1e-14, cov_type=robust).get_prediction(design).summary_frame()
    ours = logit(cov="HC0" if robust == "HC0" else None).predict(ci=True)
    for own, column in zip(ours[:4], ("predicted", "se", "ci_lower", "ci_upper"), strict=True):
        np.testing.assert_allclose(own, theirs[column], rtol=1e-8)


@pytest.mark.parametrize("family", FITS)
def test_standard_errors_follow_from_numeric_derivatives(family):
    """se^2 = J C J^T, with J from differences of predictions in u."""
    result = FITS[family](cov="HC0")
    found, u, h = result.predict(X[:7], ci=True), result.u, 1e-5
    response = result.likelihood.response
    columns = [(response(u + h * e, X[:7]) - response(u - h * e, X[:7])) / (2 * h) for e in np.eye(u.size)]
    jacobian = np.stack(columns, axis=-1)
    expected = np.sqrt(np.einsum("mki,ij,mkj->mk", jacobian, of_variables(result), jacobian))
    np.testing.assert_allclose(found.se.reshape(7, -1), expected, rtol=1e-7)
    np.testing.assert_allclose(found.mean, result.predict(X[:7]), rtol=1e-14)


def test_intervals_stay_within_range_however_far_out():
    """Where p rounds to 1 the interval of 1 - p, by the mirrored labels, still has all its digits."""
    far = [[1e4, 0.0, 0.0], [-1e4, 1.0, 2.0], [30.0, 0.0, 0.0]]
    one, other = logit().predict(far, ci=True), logit(y=LABELS == 0).predict(far, ci=True)
    for each in (one, softmax().predict(far, ci=True)):
        assert (each.lower >= 0).all()
        assert (each.upper <= 1).all()
        assert (each.lower <= each.mean).all()
        assert (each.mean <= each.upper).all()
    np.testing.assert_allclose(one.lower, 1 - other.upper, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(one.upper, 1 - other.lower, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(one.se, other.se, rtol=1e-7)
    both = fit(Sequential(Linear(3, 2, rng=0), CrossEntropyLoss("sum")), X, LABELS == 0).predict(far, ci=True)
    np.testing.assert_allclose(both.lower[:, 0], one.lower, rtol=1e-6)
    rates = poisson().predict(far, ci=True)
    assert 0 < rates.lower[2] < rates.mean[2]
    assert rates.mean[0] == rates.upper[0] == np.inf  # e^3000


@pytest.mark.parametrize("family", FITS)
def test_units_of_columns_and_the_order_of_rows_do_not_matter(family):
    factors, order = np.array([1e120, 1e-130, 3.0]), np.random.default_rng(1).permutation(len(X))
    plain = FITS[family](X).predict(X[:9], ci=True)
    scaled = FITS[family](X * factors).predict(X[:9] * factors, ci=True)
    for a, b in zip(plain[:4], scaled[:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    if family in ("softmax", "logit"):
        y = LABELS[order] if family == "softmax" else LABELS[order] > 0
        shuffled = FITS[family](X[order], y).predict(X[:9], ci=True)
        np.testing.assert_allclose(shuffled.upper, plain.upper, rtol=1e-10)


def test_identifications_predict_the_same():
    found = [
        softmax(identification=each).predict(X[:5], ci=True) for each in ("reference", "sum_to_zero", "minimum_norm")
    ]
    for other in found[1:]:
        np.testing.assert_allclose(other.lower, found[0].lower, rtol=1e-10)


def test_blocks_change_nothing(monkeypatch):
    for family in FITS.values():
        result = family()
        whole, effects = result.predict(ci=True), result.marginal_effects(method="eyex")
        with monkeypatch.context() as patch:
            patch.setattr(units_module, "ENTRIES", 100)
            np.testing.assert_allclose(result.predict(ci=True).lower, whole.lower, rtol=1e-12)
            np.testing.assert_allclose(result.marginal_effects(method="eyex").se, effects.se, rtol=1e-10)


def test_columns_go_by_name_in_any_order():
    pd = pytest.importorskip("pandas")
    result = softmax(pd.DataFrame(X, columns=NAMES))
    new = pd.DataFrame({"c": X[:4, 2], "more": 0.0, "a": X[:4, 0], "d": X[:4, 1]})
    np.testing.assert_array_equal(result.predict(new), result.predict(X[:4]))
    with pytest.raises(ValueError, match="'d' is missing"):
        result.predict(new[["a", "c"]])


def test_offsets_are_asked_for_and_added():
    exposure = np.linspace(0.5, 3, len(X))
    result = poisson(offset=np.log(exposure))
    assert result.predict().sum() == pytest.approx(COUNTS.sum(), rel=1e-12)  # the score of the bias is 0
    twice = result.predict(X[:3], offset=np.log(2 * exposure[:3]))
    np.testing.assert_allclose(twice, 2 * result.predict()[:3], rtol=1e-12)
    with pytest.raises(ValueError, match="expects offset for the rows of X, since the fit had one, got None"):
        result.predict(X[:3])
    with pytest.raises(ValueError, match=r"an offset for each of 3 rows, got shape \(2,\)"):
        result.predict(X[:3], offset=[0.0, 1.0])
    with pytest.raises(ValueError, match="finite offsets, got nan"):
        result.predict(X[:3], offset=[0.0, 1.0, np.nan])


@pytest.mark.parametrize("family", ["softmax", "logit", "poisson"])
def test_rows_outside_the_space_of_those_fitted_have_no_prediction(family):
    double = np.column_stack([X, X[:, 0] - 2 * X[:, 2]])
    result = FITS[family](double)
    assert result.verdict.status == "not_identified"
    inside, outside = double[:2], double[:2] + np.eye(4)[3]
    plain = FITS[family]().predict(X[:2], ci=True)
    with pytest.warns(RuntimeWarning, match="the data say nothing of rows 2, 3, NaN"):
        found = result.predict(np.concatenate([inside, outside]), ci=True)
    for a, b in zip(found[:4], plain[:4], strict=True):
        np.testing.assert_allclose(a[:2], b, rtol=1e-8)
        assert np.isnan(a[2:]).all()
    with pytest.warns(RuntimeWarning, match="say nothing of row 0, NaN"):
        assert np.isnan(result.predict(outside[:1])).all()
    assert "the data say nothing of this" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["mean"][2] in (None, [None] * 3)


@pytest.mark.parametrize("family", FITS)
def test_no_rows_have_no_predictions(family):
    result = FITS[family]()
    assert result.predict(X[:0]).shape == result.predict(X[:0], ci=True).upper.shape == result.predict()[:0].shape


def test_what_is_asked_wrongly_is_refused():
    result = logit()
    for level in (0.0, 1.0, 95):
        with pytest.raises(ValueError, match="predict expects level"):
            result.predict(level=level)
    with pytest.raises(ValueError, match=r"predict expects X of shape \(rows, 3\)"):
        result.predict(X[:, :2])
    separated = logit(X, X[:, 0] > 2)
    for ask in ("predict", "marginal_effects", "influence", "calibration"):
        with pytest.raises(EstimateError, match=r"^no "):
            getattr(separated, ask)()


def test_predictions_print_as_a_table():
    text = str(softmax(classes=["red", "green", "blue"]).predict(ci=True))
    assert "lower 95%" in text
    assert "green" in text
    assert "and 220 rows more" in text
    assert len({len(line) for line in text.splitlines()[1:4:2]}) == 1


def test_rows_are_classified():
    words = np.array(["red", "green", "blue"])[LABELS]
    result = softmax(y=words, classes=["red", "green", "blue"])
    best = result.predict().argmax(axis=1)
    assert classify(result) == [["red", "green", "blue"][k] for k in best]
    binary = logit()
    assert classify(binary, X[:4]) == [int(p > 0.5) for p in binary.predict(X[:4])]
    with pytest.raises(ValueError, match="classify expects a model of probabilities"):
        classify(poisson())
    with pytest.raises(ValueError, match="one probability or those of a softmax, got 2 outputs"):
        classify(outputs())


# Marginal effects.


@pytest.mark.parametrize("family", ["Logit", "Poisson", "MNLogit"])
def test_marginal_effects_agree_with_statsmodels(family):
    sm = pytest.importorskip("statsmodels.api")
    y = {"Logit": LABELS > 0, "Poisson": COUNTS, "MNLogit": LABELS}[family].astype(float)
    options = {"method": "newton"} if family == "MNLogit" else {}
    theirs = getattr(sm, family)(y, sm.add_constant(X)).fit(disp=0, tol=1e-14, maxiter=100, **options)
    ours = {"Logit": logit, "Poisson": poisson, "MNLogit": softmax}[family]()
    compared = 0
    for at, method in itertools.product(("overall", "mean", "median", "zero"), ("dydx", "eydx", "dyex", "eyex")):
        for dummy, count in itertools.product((False, True), repeat=2):
            steps = dummy or count
            # Its MNLogit raises for elasticities and for steps, and it refuses other steps.
            if steps and (family == "MNLogit" or method.endswith("ex") or at in ("median", "zero")):
                continue
            if family == "MNLogit" and method.endswith("ex"):
                continue
            own = ours.get_margeff(at=at, method=method, dummy=dummy, count=count)
            other = theirs.get_margeff(at=at, method=method, dummy=dummy, count=count)
            np.testing.assert_allclose(own.margeff, other.margeff, rtol=1e-8, atol=1e-11)
            np.testing.assert_allclose(own.margeff_se, other.margeff_se, rtol=1e-7, atol=1e-11)
            if at != "zero" or method.endswith("dx"):
                np.testing.assert_allclose(own.conf_int(0.1), other.conf_int(0.1), rtol=1e-7, atol=1e-10)
            compared += 1
    assert compared == (8 if family == "MNLogit" else 28)


def test_errors_of_effects_are_of_the_covariance_asked_for():
    sm = pytest.importorskip("statsmodels.api")
    theirs = sm.Logit(LABELS > 0, sm.add_constant(X)).fit(disp=0, tol=1e-14, cov_type="HC0").get_margeff()
    np.testing.assert_allclose(logit(cov="HC0").marginal_effects().se, theirs.margeff_se, rtol=1e-7)


def test_closed_forms_of_marginal_effects():
    """Poisson: dlog p/dx = b; with a bias the mean of dp/dx is b mean y."""
    result = poisson(names=NAMES)
    half = result.marginal_effects(method="eydx")
    np.testing.assert_allclose(half.effects, result.params[:3], rtol=1e-12)
    np.testing.assert_allclose(half.se, result.se[:3], rtol=1e-10)
    whole = result.marginal_effects()
    np.testing.assert_allclose(whole.effects, result.params[:3] * COUNTS.mean(), rtol=1e-12)
    np.testing.assert_allclose(whole.z, whole.effects / whole.se)
    np.testing.assert_allclose(whole.ci()[:, 1], whole.effects + Q * whole.se, rtol=1e-12)


def test_a_step_of_a_dummy_in_closed_form():
    """One column of 0 and 1: p1 - p0, with the errors of both groups."""
    x, y = np.repeat([[0.0], [1.0]], (30, 20), axis=0), np.repeat([1, 0, 1, 0], (12, 18, 15, 5))
    found = logit(x, y, names=["t"]).marginal_effects(dummy=True)
    assert found.effects[0] == pytest.approx(15 / 20 - 12 / 30, rel=1e-12)
    assert found.se[0] == pytest.approx(math.sqrt(12 * 18 / 30**3 + 15 * 5 / 20**3), rel=1e-12)
    assert found.discrete == ["t"]
    assert "by a step of one, not a derivative: t" in str(found)
    relative = logit(x, y).marginal_effects(method="eydx", dummy=True)
    assert relative.effects[0] == pytest.approx(math.log(0.75 / 0.4), rel=1e-12)
    assert relative.se[0] == pytest.approx(math.sqrt(18 / (30 * 12) + 5 / (20 * 15)), rel=1e-12)


@pytest.mark.parametrize("family", FITS)
@pytest.mark.parametrize("method", ["dydx", "dyex", "eydx", "eyex"])
def test_effects_and_their_jacobians_are_derivatives(family, method):
    """Effects are differences of predictions in x, and their derivatives by u differences of effects."""
    result = FITS[family]()
    likelihood, u, h = result.likelihood, result.u, 1e-5
    points = Points(X[:20], None, np.linspace(1, 2, 20) / 30)
    spread = X.std(axis=0)
    found = slopes(likelihood, u, points, method, [0, 2], spread)
    for i, j in enumerate((0, 2)):
        step = h * np.eye(3)[j]
        high, low = (likelihood.response(u, points.x + side * step) for side in (1, -1))
        if method.startswith("ey"):
            high, low = np.log(high), np.log(low)
        slope = (high - low) / (2 * h)
        slope = slope * points.x[:, [j]] if method.endswith("ex") else slope
        np.testing.assert_allclose(found.value[:, i], points.share @ slope, rtol=1e-7, atol=1e-9)
    numeric = [
        sum(side * slopes(likelihood, u + side * h * e, points, method, [0, 2], spread).value for side in (1, -1))
        / (2 * h)
        for e in np.eye(u.size)
    ]
    np.testing.assert_allclose(found.by_u, np.stack(numeric, axis=-1), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("at", ["overall", "mean", "median", {"d": 1}])
@pytest.mark.parametrize("family", ["softmax", "logit"])
def test_frequencies_are_repeated_rows(family, at):
    times = np.random.default_rng(2).integers(1, 4, len(X))
    y = LABELS if family == "softmax" else LABELS > 0
    once = FITS[family](X, y, weights=times, names=NAMES).marginal_effects(at, "eyex" if at == "mean" else "dydx")
    often = FITS[family](X.repeat(times, axis=0), y.repeat(times), names=NAMES)
    repeated = often.marginal_effects(at, "eyex" if at == "mean" else "dydx")
    np.testing.assert_allclose(once.effects, repeated.effects, rtol=1e-9)
    np.testing.assert_allclose(once.se, repeated.se, rtol=1e-9)


def test_places_to_take_effects_at():
    result = softmax(names=NAMES)
    overall = result.marginal_effects()
    np.testing.assert_allclose(result.marginal_effects(X).effects, overall.effects, rtol=1e-12)
    fixed = X.copy()
    fixed[:, 0] = 1.5
    np.testing.assert_allclose(result.marginal_effects({"a": 1.5}).se, result.marginal_effects(fixed).se, rtol=1e-12)
    one = result.marginal_effects(X.mean(axis=0))
    np.testing.assert_allclose(one.effects, result.marginal_effects("mean").effects, rtol=1e-12)
    assert one.at == "at the row given"
    np.testing.assert_allclose(result.marginal_effects(columns=["c"]).se, overall.se[2:], rtol=1e-12)
    np.testing.assert_allclose(overall.effects.sum(axis=1), 0, atol=1e-12)  # probabilities sum to 1
    # cov lists the columns of output 0 first.
    np.testing.assert_allclose(np.sqrt(np.diagonal(overall.cov)).reshape(3, 3).T, overall.se, rtol=1e-12)


def test_effects_follow_the_units_of_columns():
    factors = np.array([1e150, 1.0, 1e-150])
    for family in FITS.values():
        plain, scaled = family(X).marginal_effects(), family(X * factors).marginal_effects()
        by = factors if plain.effects.ndim == 1 else factors[:, np.newaxis]
        np.testing.assert_allclose(scaled.effects * by, plain.effects, rtol=1e-8)
        np.testing.assert_allclose(scaled.se * by, plain.se, rtol=1e-8)
        plain, scaled = (family(x).marginal_effects(method="eyex") for x in (X, X * factors))
        np.testing.assert_allclose(scaled.se, plain.se, rtol=1e-8)


def test_offsets_count_in_effects():
    exposure = np.linspace(0.5, 3, len(X))
    result = poisson(offset=np.log(exposure))
    np.testing.assert_allclose(result.marginal_effects().effects, result.params[:3] * COUNTS.mean(), rtol=1e-10)
    at_mean = np.exp(X.mean(axis=0) @ result.params[:3] + result.params[3] + np.log(exposure).mean())
    np.testing.assert_allclose(result.marginal_effects("mean").effects, result.params[:3] * at_mean, rtol=1e-10)


def test_effects_that_are_not_identified_are_none():
    double = np.column_stack([X, 2 * X[:, 0]])
    found = softmax(double, names=[*NAMES, "twice"]).marginal_effects()
    assert np.isnan(found.effects[[0, 3]]).all()
    assert np.isnan(found.se[[0, 3]]).all()
    np.testing.assert_allclose(found.se[[1, 2]], softmax().marginal_effects().se[[1, 2]], rtol=1e-7)
    assert "the data do not identify this" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_columns_that_do_not_vary_have_no_effect_to_list():
    ones = np.column_stack([np.ones(len(X)), X])
    result = fit(Sequential(Linear(4, 1, bias=False, rng=0), BCEWithLogitsLoss("sum")), ones, (LABELS > 0) * 1.0)
    found = result.marginal_effects("zero")
    assert found.columns == ["x2", "x3", "x4"]
    np.testing.assert_allclose(found.se, logit().marginal_effects("zero").se, rtol=1e-9)


def test_effects_print_as_tables_and_as_plain_values():
    found = softmax(names=NAMES, classes=["red", "green", "blue"]).marginal_effects()
    text = found.summary()
    assert text == str(found)
    for part in ("dy/dx", "std err", "P>|z|", "[0.025", "0.975]", "y=green", "the mean over the rows"):
        assert part in text
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    entry = plain["effects"][5]
    assert (entry["output"], entry["column"]) == ("green", "c")
    assert entry["se"] == found.se[2, 1]
    assert entry["lower"] == found.ci()[2, 0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "dxdy"}, r"method in \('dydx', 'eyex', 'dyex', 'eydx'\), got 'dxdy'"),
        ({"at": "middle"}, r"at in \('overall', 'mean', 'median', 'zero'\), .* got 'middle'"),
        ({"at": {"e": 1.0}}, "names of columns for at, got 'e': there are a, d, c"),
        ({"dummy": ["a"]}, "other columns for dummy, got 'a': it holds other values than 0 and 1"),
        ({"dummy": True, "method": "eyex"}, "method 'dydx' or 'eydx' with dummy or count, got 'eyex'"),
        ({"columns": ["b"]}, "names of columns for columns, got 'b'"),
    ],
)
def test_wrong_requests_of_effects_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        softmax(names=NAMES).marginal_effects(**options)


def test_intervals_of_effects_have_a_level():
    with pytest.raises(ValueError, match=r"MarginalEffects.ci expects level below 1, got 95"):
        logit().marginal_effects().ci(95)
