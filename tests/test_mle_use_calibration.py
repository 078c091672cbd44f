"""Calibration: laws of the estimate, statsmodels, closed forms, and sets for which a number does not exist."""

import builtins
import functools
import json

import numpy as np
import pytest

from minigrad import BCEWithLogitsLoss, BernoulliNLLLoss, Linear, LogSoftmax, NLLLoss, PoissonNLLLoss, Sequential
from minigrad.mle import fit
from minigrad.mle.use.reliability import Bins, curve, wilson
from minigrad.mle.use.temperature import line, maximum, temperature


def data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n) + 2, rng.integers(0, 2, n), rng.integers(0, 6, n)]).astype(float)
    z = np.column_stack([np.zeros(n), 0.5 * x[:, 0] - x[:, 1], 0.4 - 0.3 * x[:, 2]])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return x, (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)


X, LABELS = data()
OLD, NEW = slice(0, 100), slice(100, 400)


@functools.cache
def trained():
    """A softmax and its calibration on other rows."""
    result = softmax()
    return result, result.calibration(X[NEW], LABELS[NEW])


def softmax(x=X[OLD], y=LABELS[OLD], **options):
    return fit(Sequential(Linear(3, 3, rng=0), LogSoftmax(), NLLLoss()), x, y, **options)


def logit(x=X[OLD], y=LABELS[OLD] > 0, **options):
    return fit(Sequential(Linear(3, 1, rng=0), BCEWithLogitsLoss("sum")), x, np.asarray(y, float), **options)


def outputs(x=X[OLD], **options):
    y = np.column_stack([LABELS > 0, LABELS > 1])[: len(x)].astype(float)
    return fit(Sequential(Linear(3, 2, rng=0), BCEWithLogitsLoss("sum")), x, y, **options)


def log_score(logits, labels):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float((shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))).sum())


@pytest.mark.parametrize("family", [softmax, logit, outputs])
def test_the_temperature_of_an_estimate_on_its_own_rows_is_one(family):
    """The score along the estimate itself is 0; for one output so are those of the bias and of the logit."""
    found = family().calibration()
    assert found.in_sample
    assert found.temperature.value == pytest.approx(1, rel=1e-9)
    assert found.temperature.se > 0
    if family is not softmax:
        for each in found.lines:
            assert each.intercept == pytest.approx(0, abs=1e-9)
            assert each.slope == pytest.approx(1, rel=1e-9)
    weighted = family(weights=np.linspace(0.5, 2, 100), kind="sampling").calibration()
    assert weighted.temperature.value == pytest.approx(1, rel=1e-9)


def test_a_penalised_estimate_is_too_unsure_of_itself():
    assert logit(penalty=3.0).calibration().temperature.value < 0.98


@pytest.mark.parametrize("cov", ["observed", "HC0"])
def test_held_out_rows_agree_with_statsmodels(cov):
    """Cox's line is a logistic regression on the logit, and 1/T one without a constant."""
    sm = pytest.importorskip("statsmodels.api")
    result, y = logit(), (LABELS[NEW] > 0).astype(float)
    found = result.calibration(X[NEW], y, cov=cov)
    assert not found.in_sample
    p = result.predict(X[NEW])
    z, options = np.log(p / (1 - p)), {"disp": 0, "tol": 1e-14, "cov_type": "HC0" if cov == "HC0" else "nonrobust"}
    theirs = sm.Logit(y, sm.add_constant(z)).fit(**options)
    own = found.lines[0]
    np.testing.assert_allclose((own.intercept, own.slope), theirs.params, rtol=1e-8)
    np.testing.assert_allclose((own.intercept_se, own.slope_se), theirs.bse, rtol=1e-7)
    alone = sm.Logit(y, z[:, np.newaxis]).fit(**options)
    assert found.temperature.value == pytest.approx(1 / alone.params[0], rel=1e-8)
    assert found.temperature.se == pytest.approx(alone.bse[0] / alone.params[0] ** 2, rel=1e-7)


def test_the_temperature_of_several_classes_is_a_maximum():
    """Of log L(z / T), whose second difference gives the error."""
    result, found = trained()[0], trained()[1].temperature
    z = np.log(result.predict(X[NEW]))
    best, h = log_score(z / found.value, LABELS[NEW]), 1e-3
    high, low = (log_score(z / (found.value + side * h), LABELS[NEW]) for side in (1, -1))
    assert best > max(high, low)
    assert (high - low) / (2 * h) == pytest.approx(0, abs=1e-3)
    assert found.se == pytest.approx(((2 * best - high - low) / h**2) ** -0.5, rel=1e-4)


def test_scores_and_curves_are_what_they_are_called():
    result = softmax(classes=["red", "green", "blue"])
    found = result.calibration(X[NEW], LABELS[NEW], bins=5, strategy="uniform")
    p, y = result.predict(X[NEW]), LABELS[NEW]
    t = np.eye(3)[y]
    assert found.brier == pytest.approx(((p - t) ** 2).sum() / 300, rel=1e-12)
    assert found.log_score == pytest.approx(np.log(p[np.arange(300), y]).mean(), rel=1e-12)
    for k, each in enumerate(found.curves):
        assert each.name == ("red", "green", "blue")[k]
        error, b = 0.0, 0
        for low in (0.0, 0.2, 0.4, 0.6, 0.8):
            inside = (p[:, k] >= low) & (p[:, k] < low + 0.2)
            if inside.any():
                assert each.count[b] == inside.sum()
                assert each.predicted[b] == pytest.approx(p[inside, k].mean(), rel=1e-12)
                assert each.observed[b] == pytest.approx(t[inside, k].mean(), rel=1e-12)
                error += inside.sum() * abs(p[inside, k].mean() - t[inside, k].mean()) / 300
                b += 1
        assert b == len(each.count)
        assert each.error == pytest.approx(error, rel=1e-10)
    right = p.argmax(axis=1) == y
    assert found.top.count.sum() == 300
    assert found.top.observed @ found.top.count == pytest.approx(right.sum(), rel=1e-12)
    assert found.top.predicted @ found.top.count == pytest.approx(p.max(axis=1).sum(), rel=1e-12)
    assert found.error == found.top.error


def test_bins_of_equal_weight_keep_equal_probabilities_together():
    p = np.array([0.1] * 30 + [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] + [0.95] * 2)
    found = curve("p", p, (p > 0.5) * 1.0, np.ones(40), Bins(4, "quantile", 0.95, True))
    assert found.count.tolist() == [30, 10]
    spread = curve("p", np.arange(40) / 40, np.ones(40), np.ones(40), Bins(4, "quantile", 0.95, True))
    assert spread.count.tolist() == [10] * 4


def test_wilsons_interval_solves_its_equation():
    """|share - q| = z sqrt(q (1 - q) / n) at both ends; and the textbook's 0 of 10."""
    z = 1.959963984540054
    share, n = np.array([0.3, 0.5, 0.99]), np.array([10.0, 31.0, 100.0])
    for end in wilson(share, n, 0.95):
        np.testing.assert_allclose(np.abs(share - end), z * np.sqrt(end * (1 - end) / n), rtol=1e-12)
    low, high = wilson(np.array([0.0, 1.0]), np.array([10.0, 10.0]), 0.95)
    assert low[0] == 0
    assert high[1] == 1
    assert high[0] == pytest.approx(z * z / (10 + z * z), rel=1e-12)


def test_frequencies_are_repeated_rows_and_sampling_weights_are_fewer():
    times = np.random.default_rng(2).integers(1, 4, 300)
    result, y = logit(), LABELS[NEW] > 0
    once = result.calibration(X[NEW], y, weights=times)
    often = result.calibration(X[NEW].repeat(times, axis=0), y.repeat(times))
    np.testing.assert_allclose(once.curves[0].observed, often.curves[0].observed, rtol=1e-12)
    np.testing.assert_allclose(once.curves[0].lower, often.curves[0].lower, rtol=1e-12)
    np.testing.assert_allclose(once.lines[0][:4], often.lines[0][:4], rtol=1e-9)
    np.testing.assert_allclose(once.temperature[:2], often.temperature[:2], rtol=1e-9)
    assert (once.brier, once.log_score) == pytest.approx((often.brier, often.log_score), rel=1e-12)
    sampled = logit(weights=np.ones(100), kind="sampling").calibration(X[NEW], y, weights=times)
    each = sampled.curves[0]
    assert (each.upper - each.lower > once.curves[0].upper - once.curves[0].lower).all()


def test_labels_go_by_the_classes_fitted():
    words = np.array(["red", "green", "blue"])
    result = softmax(y=words[LABELS[OLD]], classes=["red", "green", "blue"])
    plain = trained()[1]
    named = result.calibration(X[NEW], words[LABELS[NEW]])
    assert named.temperature == plain.temperature
    assert named.names == ["red", "green", "blue"]


def test_several_outputs_have_a_line_each():
    y = np.column_stack([LABELS > 0, LABELS > 1]).astype(float)
    found = outputs().calibration(X[NEW], y[NEW])
    for k in range(2):
        one = logit(y=y[OLD, k]).calibration(X[NEW], y[NEW, k])
        np.testing.assert_allclose(found.lines[k][:4], one.lines[0][:4], rtol=1e-7)
        np.testing.assert_allclose(found.curves[k].observed, one.curves[0].observed)
    assert found.top is None
    assert found.error == found.curves[0].error


def test_units_of_columns_do_not_matter():
    factors = np.array([1e120, 1e-130, 3.0])
    plain = trained()[1]
    scaled = softmax(X[OLD] * factors).calibration(X[NEW] * factors, LABELS[NEW])
    np.testing.assert_allclose(scaled.temperature[:2], plain.temperature[:2], rtol=1e-9)


# What does not exist.


def test_held_out_rows_without_an_error_have_no_temperature():
    result = logit()
    p = result.predict(X[NEW])
    found = result.calibration(X[NEW], p > 0.5)
    assert np.isnan(found.temperature.value)
    assert "every row is of its most probable class" in found.temperature.note
    assert np.isnan(found.lines[0].slope)
    assert "without an error: no finite slope" in found.lines[0].note
    assert "temperature none: every row" in str(found)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["temperature"]["value"] is None
    wrong = result.calibration(X[NEW], p < 0.5)
    assert "equal probabilities foretell y better" in wrong.temperature.note
    assert "no finite slope" in wrong.lines[0].note


def test_one_class_and_equal_probabilities_have_no_line():
    z, w = np.linspace(-1, 2, 9), np.ones(9)
    assert "every row is in the class" in line(z, np.ones(9), w).note
    assert "every row is outside the class" in line(z, np.zeros(9), w).note
    assert "all probabilities are alike" in line(np.ones(9), np.arange(9) % 2, w).note
    same = temperature(np.ones((9, 3)), np.eye(3)[np.arange(9) % 3], w)
    assert "all probabilities are alike" in same.note


@pytest.mark.parametrize("overlap", [0, 1e-12, 1e-3])
def test_the_least_overlap_is_told_from_none(overlap):
    """With an overlap the slope is finite, however small it is."""
    z = np.array([-2.0, -1, overlap, 0, 1, 2])
    y = np.array([0.0, 0, 0, 1, 1, 1])
    assert bool(line(z, y, np.ones(6)).note) == (overlap == 0)


def test_the_maximum_is_one_of_extreme_logits_too():
    """Scores vanish to rounding for logits of any size."""
    rng = np.random.default_rng(4)
    for size in (1e-8, 1.0, 1e8):
        z, t = size * rng.normal(size=(50, 3)), np.eye(3)[rng.integers(0, 3, 50)]
        t[:30] = np.eye(3)[z[:30].argmax(axis=1)]
        found = temperature(z, t, np.ones(50))
        p = np.exp(z / found.value - (z / found.value).max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        assert ((t - p) * z).sum() == pytest.approx(0, abs=1e-9 * np.abs(z).sum())


def test_a_search_that_does_not_arrive_is_said(monkeypatch):
    monkeypatch.setattr("minigrad.mle.use.temperature.ITERATIONS", 1)
    with pytest.raises(FloatingPointError, match="Newton's method arrives, got none in 1 steps"):
        trained()[0].calibration(X[NEW], LABELS[NEW])


def test_a_maximum_of_two_features_has_the_covariance_of_its_curvature():
    rng = np.random.default_rng(5)
    features, target, w = rng.normal(size=(80, 3, 2)), np.eye(3)[rng.integers(0, 3, 80)], rng.random(80) + 0.5

    def value(b):
        z = features @ b
        return float(w @ (target * (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))).sum(axis=1))

    b, cov = maximum(features, target, w)
    h = 1e-3
    steps = h * np.eye(2)
    second = [[value(b + s + t) - value(b + s - t) - value(b - s + t) + value(b - s - t) for s in steps] for t in steps]
    np.testing.assert_allclose(np.linalg.inv(-np.array(second) / (4 * h * h)), cov, rtol=1e-5)
    assert all(value(b) > value(b + side * s) for s in steps for side in (1, -1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 0}, "bins to be a positive integer, got 0"),
        ({"strategy": "kmeans"}, r"strategy in \('quantile', 'uniform'\), got 'kmeans'"),
        ({"level": 1.0}, "calibration expects level below 1, got 1"),
        ({"cov": "HC9"}, "cov to be 'observed' or 'HC0', got 'HC9'"),
        ({"X": X[NEW]}, "X and y, or neither for the rows fitted, got X alone"),
        ({"y": LABELS[NEW]}, "got y alone"),
        ({"X": X[NEW], "y": LABELS[:5] > 0}, "y for each of 300 rows of X, got 5"),
        ({"X": X[NEW], "y": LABELS[NEW] > 0, "weights": np.zeros(300)}, "weights above 0, one for each of 300 rows"),
    ],
)
def test_wrong_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        logit().calibration(**options)


def test_rates_have_no_calibration():
    counts = fit(Sequential(Linear(3, 1, rng=0), PoissonNLLLoss("sum")), X[OLD], LABELS[OLD].astype(float))
    with pytest.raises(ValueError, match="a model of probabilities, got one of means"):
        counts.calibration()


def test_rows_outside_the_space_of_those_fitted_are_refused():
    double = np.column_stack([X, 2 * X[:, 0]])
    result = fit(Sequential(Linear(4, 3, rng=0), LogSoftmax(), NLLLoss()), double[OLD], LABELS[OLD])
    plain = trained()[1]
    assert result.calibration(double[NEW], LABELS[NEW]).brier == pytest.approx(plain.brier, rel=1e-8)
    with pytest.raises(ValueError, match="got 300 outside the space of the rows fitted, the first of them row 0"):
        result.calibration(double[NEW] + np.eye(4)[3], LABELS[NEW])


# Pictures.


def test_calibration_prints_and_is_plain():
    found = softmax(classes=["red", "green", "blue"]).calibration(X[NEW], LABELS[NEW])
    text = str(found)
    for part in ("Calibration of 300 observations, other rows", "temperature 1.", "green", "most probable class"):
        assert part in text
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["temperature"]["value"] == found.temperature.value
    assert plain["curves"][1]["observed"] == found.curves[1].observed.tolist()


def test_curves_are_plotted():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    found = trained()[1]
    ax = found.plot()
    drawn = [container[0].get_xydata() for container in ax.containers]
    for each, points in zip(found.curves, drawn, strict=True):
        np.testing.assert_array_equal(points, np.column_stack([each.predicted, each.observed]))
    assert found.plot(ax) is ax
    plt.close("all")


def test_plots_need_matplotlib(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'minigrad\[plot\]'"):
        logit().calibration().plot()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y + 1, r"calibration expects labels 0 and 1, got 2 in row \d+ of y: y - 1"),
        (lambda y: 2 * y - 1, r"labels 0 and 1, got -1 in row \d+ of y: \(y \+ 1\) / 2"),
        (lambda y: y * 0.5, r"labels 0 and 1, got 0.5 in row \d+ of y"),
        (lambda y: np.where(y, "b", "a"), "y to hold labels 0, 1, got '[ab]' in row 0 of y"),
        (lambda y: 1, r"y of shape \(N,\), one for each row of X, got int"),
    ],
)
def test_labels_that_were_not_fitted_are_refused(change, message):
    y = (LABELS > 0).astype(int)
    result = fit(Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss()), X[OLD], y[OLD])
    with pytest.raises(ValueError, match=message):
        result.calibration(X[NEW], change(y[NEW]))
    assert result.calibration(X[NEW], y[NEW] > 0).log_score == result.calibration(X[NEW], y[NEW]).log_score


def test_labels_are_those_fitted():
    y = (LABELS > 0).astype(int)
    text = np.where(y, "yes", "no")
    named = fit(Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss()), X[OLD], text[OLD])
    plain = fit(Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss()), X[OLD], y[OLD])
    assert named.calibration(X[NEW], text[NEW]).log_score == plain.calibration(X[NEW], y[NEW]).log_score
    with pytest.raises(ValueError, match=r"y to hold the classes no, yes, got [01] in row 0 of y"):
        named.calibration(X[NEW], y[NEW])
    with pytest.raises(ValueError, match=r"y to hold labels 0, 1, 2, got 0.5 in row"):
        softmax().calibration(X[NEW], LABELS[NEW] * 0.5)
    with pytest.raises(ValueError, match="or fractions between them, got 2 in row"):
        logit().calibration(X[NEW], y[NEW] + 1)
    with pytest.raises(ValueError, match=r"got 2 in row \d+, column 0 of y|got 2 in row"):
        outputs().calibration(X[NEW], np.column_stack([y, y])[NEW] + 1)
    assert np.isfinite(logit().calibration(X[NEW], y[NEW] * 0.5).log_score)


def test_rows_of_another_order_are_refused():
    pandas = pytest.importorskip("pandas")
    x, y = pandas.DataFrame(X[NEW]), pandas.Series(LABELS[NEW])
    result, found = trained()
    assert result.calibration(x, y).log_score == pytest.approx(found.log_score, rel=1e-12)
    with pytest.raises(ValueError, match="calibration expects the rows of X and y in one order, got row 0 as 0 in X"):
        result.calibration(x, y.sample(frac=1, random_state=0))
    turned = pandas.Series(np.ones(300)).sample(frac=1, random_state=0)
    with pytest.raises(ValueError, match="the rows of X and weights in one order"):
        result.calibration(x, y, weights=turned)
    with pytest.raises(ValueError, match="the rows of y and weights in one order"):
        result.calibration(X[NEW], y, weights=turned)
    by_frame = fit(Sequential(Linear(3, 3, rng=0), LogSoftmax(), NLLLoss()), pandas.DataFrame(X[OLD]), LABELS[OLD])
    with pytest.raises(ValueError, match="the rows of X and weights in one order"):
        by_frame.calibration(weights=pandas.Series(np.ones(100)).sample(frac=1, random_state=0))
