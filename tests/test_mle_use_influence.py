"""Influence: refits without each row, statsmodels, and what must not matter."""

import json
import math

import numpy as np
import pytest

from minigrad import BCEWithLogitsLoss, L2Penalty, Linear, LogSoftmax, NLLLoss, Penalized, PoissonNLLLoss, Sequential
from minigrad.mle import fit
from minigrad.mle.use import units as units_module

NAMES = ["a", "d", "c"]


def data(n=60, seed=0):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n) + 2, rng.integers(0, 2, n), rng.integers(0, 6, n)]).astype(float)
    z = np.column_stack([np.zeros(n), 0.5 * x[:, 0] - x[:, 1], 0.4 - 0.3 * x[:, 2]])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    labels = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return x, labels, rng.poisson(np.exp(0.3 * x[:, 0] - 0.5 * x[:, 1])).astype(float)


X, LABELS, COUNTS = data()
TARGETS = {"softmax": LABELS, "logit": (LABELS > 0) * 1.0, "poisson": COUNTS, "penalized": (LABELS > 0) * 1.0}


def cost(family, features=3):
    if family == "softmax":
        return Sequential(Linear(features, 3, rng=0), LogSoftmax(), NLLLoss())
    loss = PoissonNLLLoss("sum") if family == "poisson" else BCEWithLogitsLoss("sum")
    stack = Sequential(Linear(features, 1, rng=0), loss)
    return Penalized(stack, L2Penalty(0.5, "*weight")) if family == "penalized" else stack


def fitted(family, x=X, y=None, **options):
    return fit(cost(family, x.shape[1]), x, TARGETS[family] if y is None else y, **options)


def log_p(result, x, y):
    """log p(y | x) of one row, by its predictions."""
    p = np.atleast_1d(result.predict(x)[0])
    if len(p) > 1:
        return math.log(p[int(y)])
    if isinstance(cost_top(result), PoissonNLLLoss):
        return y * math.log(p[0]) - p[0] - math.lgamma(y + 1)
    return math.log(p[0]) if y else math.log1p(-p[0])


def cost_top(result):
    return result.cost[-1] if isinstance(result.cost, Sequential) else result.cost.cost[-1]


@pytest.mark.parametrize("family", TARGETS)
def test_leaving_one_out_is_fitting_the_others(family):
    result, y = fitted(family), TARGETS[family]
    others = [fitted(family, np.delete(X, n, 0), np.delete(y, n)) for n in range(len(X))]
    brute = np.array([other.params for other in others])
    found = result.influence()
    exact = found.leave_one_out("exact")
    np.testing.assert_allclose(exact, brute, rtol=1e-9, atol=1e-10)
    terms = [log_p(other, X[n : n + 1], y[n]) for n, other in enumerate(others)]
    np.testing.assert_allclose(found.loglik("exact"), terms, rtol=1e-9)
    score = found.log_score("exact")
    assert score.mean == pytest.approx(np.mean(terms), rel=1e-9)
    assert score.total == pytest.approx(np.sum(terms), rel=1e-9)
    own = [log_p(result, X[n : n + 1], y[n]) for n in range(len(X))]
    assert score.fitted == pytest.approx(np.mean(own), rel=1e-9)
    # One step comes most of the way, and what is left is of second order.
    moved, left = np.abs(brute - result.params), np.abs(found.leave_one_out() - brute)
    assert np.median(left / moved) < 0.1
    assert left.max() < 0.25 * moved.max()
    assert np.abs(found.loglik() - terms).max() < 0.25
    rows = [3, 17]
    np.testing.assert_allclose(found.leave_one_out("exact", rows), exact[rows])


@pytest.mark.parametrize("family", ["softmax", "logit", "poisson"])
def test_one_step_is_newtons_step_of_the_others(family):
    """From the derivatives of the likelihood of the other rows, at the estimate."""
    result, y = fitted(family), TARGETS[family]
    steps = result.influence().leave_one_out()
    from minigrad.mle.use.left_out import Without

    rows = result.influence().rows
    for n in (0, 7, 31):
        without = Without(rows, n)
        local = without.evaluate(result.u)
        u = result.u - np.linalg.solve(local.hessian, local.gradient)
        np.testing.assert_allclose(steps[n], result.listing.values(u), rtol=1e-9, atol=1e-12)
        # And these derivatives are those of its own value.
        h = 1e-5
        for j, e in enumerate(np.eye(u.size)):
            high, low = (without.evaluate(u + side * h * e) for side in (1, -1))
            here = without.evaluate(u)
            assert here.gradient[j] == pytest.approx((high.value - low.value) / (2 * h), rel=1e-5, abs=1e-6)
            np.testing.assert_allclose(here.hessian[j], (high.gradient - low.gradient) / (2 * h), rtol=1e-6, atol=1e-6)
    assert len(y) == len(steps)


@pytest.mark.parametrize("family", ["logit", "poisson"])
def test_influence_agrees_with_statsmodels(family):
    sm = pytest.importorskip("statsmodels.api")
    of = sm.families.Poisson() if family == "poisson" else sm.families.Binomial()
    theirs = sm.GLM(TARGETS[family], sm.add_constant(X), family=of).fit(tol=1e-15)
    other, own = theirs.get_influence(), fitted(family).influence()
    for ours, value in (
        (own.leverage, other.hat_matrix_diag),
        (own.cooks_distance, other.cooks_distance[0]),
        (own.dfbetas, other.dfbetas[:, [1, 2, 3, 0]]),
        (own.residuals(), theirs.resid_response),
        (own.residuals("pearson"), theirs.resid_pearson),
        (own.residuals("standardised"), other.resid_studentized),
        (own.residuals("deviance"), theirs.resid_deviance),
    ):
        np.testing.assert_allclose(ours, value, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("family", ["softmax", "logit", "poisson"])
def test_leverages_sum_to_the_number_of_parameters(family):
    result = fitted(family)
    leverage = result.influence().leverage
    assert leverage.sum() == pytest.approx(result.k, rel=1e-10)
    assert (leverage > 0).all()
    double = fitted(family, np.column_stack([X, X[:, 0] + X[:, 2]]))
    np.testing.assert_allclose(double.influence().leverage, leverage, rtol=1e-8)
    assert double.influence().leverage.sum() == pytest.approx(double.k, rel=1e-8)


def test_a_penalty_takes_part_of_the_leverage():
    """Sum over rows of tr((H + S)^-1 H_n) = tr((H + S)^-1 H), the effective number of parameters."""
    result = fitted("penalized")
    local, penalty = result.maximum.local, result.likelihood.penalty(result.u)
    effective = np.trace(np.linalg.solve(local.hessian + penalty.hessian, local.hessian))
    assert result.influence().leverage.sum() == pytest.approx(effective, rel=1e-10)
    assert effective < 3.99


@pytest.mark.parametrize("family", ["softmax", "logit", "poisson"])
def test_frequencies_are_repeated_rows(family):
    """A row of weight w is w observations: each has its leverage and its step, and one of them is left out."""
    times = np.random.default_rng(2).integers(1, 4, len(X))
    once = fitted(family, weights=times).influence()
    often = fitted(family, X.repeat(times, axis=0), TARGETS[family].repeat(times)).influence()
    first = np.cumsum(times) - times
    np.testing.assert_allclose(once.leverage, often.leverage[first], rtol=1e-9)
    np.testing.assert_allclose(once.dfbetas, often.dfbetas[first], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(once.cooks_distance, often.cooks_distance[first], rtol=1e-8)
    np.testing.assert_allclose(once.loglik(), often.loglik()[first], rtol=1e-9)
    np.testing.assert_allclose(once.residuals("standardised"), often.residuals("standardised")[first], rtol=1e-8)
    assert once.log_score().mean == pytest.approx(often.log_score().mean, rel=1e-9)
    rows = [0, 5]
    exact = often.leave_one_out("exact", first[rows])
    np.testing.assert_allclose(once.leave_one_out("exact", rows), exact, rtol=1e-8)


def test_sampling_weights_leave_with_their_row():
    w = np.linspace(0.2, 3.0, len(X))
    result = fitted("logit", weights=w, kind="sampling")
    found = result.influence().leave_one_out("exact", [4])
    rest = np.arange(len(X)) != 4
    other = fitted("logit", X[rest], TARGETS["logit"][rest], weights=w[rest], kind="sampling")
    np.testing.assert_allclose(found[0], other.params, rtol=1e-9)
    assert result.influence().leverage.sum() == pytest.approx(result.k, rel=1e-10)


@pytest.mark.parametrize("family", ["softmax", "poisson"])
def test_units_of_columns_do_not_matter(family):
    factors = np.array([1e120, 1e-130, 3.0])
    plain, scaled = fitted(family).influence(), fitted(family, X * factors).influence()
    np.testing.assert_allclose(scaled.cooks_distance, plain.cooks_distance, rtol=1e-8)
    np.testing.assert_allclose(scaled.dfbetas, plain.dfbetas, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(scaled.loglik("exact", [1, 2]), plain.loglik("exact", [1, 2]), rtol=1e-9)


def test_blocks_change_nothing(monkeypatch):
    whole = fitted("softmax").influence().dfbetas
    monkeypatch.setattr(units_module, "ENTRIES", 100)
    np.testing.assert_allclose(fitted("softmax").influence().dfbetas, whole, rtol=1e-10)


def test_offsets_stay_with_their_rows():
    offset = np.linspace(-1, 1, len(X))
    found = fitted("poisson", offset=offset).influence()
    rest = np.arange(len(X)) != 9
    other = fitted("poisson", X[rest], COUNTS[rest], offset=offset[rest])
    np.testing.assert_allclose(found.leave_one_out("exact", [9])[0], other.params, rtol=1e-9)
    mean = other.predict(X[9:10], offset=offset[9:10])[0]
    term = COUNTS[9] * math.log(mean) - mean - math.lgamma(COUNTS[9] + 1)
    assert found.loglik("exact", [9])[0] == pytest.approx(term, rel=1e-9)


def test_a_row_that_alone_holds_a_parameter_is_said():
    """A column that is 1 in one row: its count is fitted exactly, and without it the column says nothing."""
    x, y = np.zeros((8, 1)), np.array([3.0, 1, 2, 2, 4, 1, 0, 7])
    x[7] = 1.0
    found = fit(cost("poisson", 1), x, y, names=["only"]).influence()
    assert found.leverage[7] == pytest.approx(1, abs=1e-12)
    assert found.essential == [7]
    assert np.isnan(found.leave_one_out()[7]).all()
    assert np.isnan(found.leave_one_out("exact")[7]).all()
    assert np.isfinite(np.delete(found.leave_one_out("exact"), 7, 0)).all()
    score = found.log_score()
    assert score.lacking == [7]
    assert math.isfinite(score.mean)
    assert "without any of these rows no estimate exists: 7" in str(found)
    assert "no estimate without it" in found.table(1)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_row_without_which_the_classes_are_separated_is_said():
    x = np.array([0.0, 1, 2, 3, 4, 5, 6, 7])[:, np.newaxis]
    y = np.array([0.0, 0, 1, 0, 1, 1, 1, 1])
    found = fit(cost("logit", 1), x, y).influence()
    exact = found.leave_one_out("exact")
    lacking = np.flatnonzero(np.isnan(exact).any(axis=1)).tolist()
    separated = []
    for n in range(8):
        one, zero = (np.delete(x, n)[np.delete(y, n) == k] for k in (1, 0))
        separated += [n] * bool(zero.max() <= one.min())
    assert lacking == separated == [2, 3]
    assert found.essential == [2, 3]
    assert found.log_score("exact").lacking == [2, 3]


def test_rows_are_named():
    pd = pytest.importorskip("pandas")
    people = [f"person {n}" for n in range(len(X))]
    found = fitted("logit", pd.DataFrame(X, columns=NAMES, index=people)).influence()
    first = int(np.argmax(found.cooks_distance))
    assert f"{first} (person {first})" in found.table(3)
    assert found.to_dict(2)["rows"][0]["name"] == f"{first} (person {first})"


def test_the_table_lists_the_largest_first():
    result = fitted("logit", names=NAMES)
    found = result.influence()
    lines = found.table(5).splitlines()[4:9]
    order = np.argsort(-found.cooks_distance)[:5]
    assert [int(line.split()[0]) for line in lines] == order.tolist()
    j = np.argmax(np.abs(found.dfbetas[order[0]]))
    assert f"{result.names[j]} {found.dfbetas[order[0], j]:+.3f}" in lines[0]
    assert f"log score {found.log_score().mean:.6g} of an observation left out" in str(found)


def test_residuals_of_classes_are_standardised_by_class():
    """Of a saturated model of groups, v_p = v: each row of n in its group keeps (n - 1) / n of its variance."""
    counts = np.array([[10, 6, 4], [3, 9, 18]])
    x = np.repeat([[0.0], [1.0]], counts.sum(axis=1), axis=0)
    y = np.concatenate([np.repeat([0, 1, 2], row) for row in counts])
    found = fit(cost("softmax", 1), x, y).influence()
    p = (counts / counts.sum(axis=1, keepdims=True))[x[:, 0].astype(int)]
    n = counts.sum(axis=1)[x[:, 0].astype(int), np.newaxis]
    r = np.eye(3)[y] - p
    np.testing.assert_allclose(found.residuals("pearson"), r / np.sqrt(p * (1 - p)), rtol=1e-9)
    np.testing.assert_allclose(found.residuals("standardised"), r / np.sqrt(p * (1 - p) * (n - 1) / n), rtol=1e-9)
    np.testing.assert_allclose(found.residuals("deviance") ** 2, -2 * np.log(p[np.arange(len(y)), y]), rtol=1e-9)
    np.testing.assert_allclose(found.leverage, 2 / n[:, 0], rtol=1e-9)


def test_deviances_of_fractions_are_of_the_fraction():
    """2 (t log t/p + (1 - t) log (1 - t)/(1 - p))."""
    t = np.linspace(0.1, 0.9, len(X))
    result = fitted("logit", y=t)
    p = result.predict()
    expected = 2 * (t * np.log(t / p) + (1 - t) * np.log((1 - t) / (1 - p)))
    np.testing.assert_allclose(result.influence().residuals("deviance") ** 2, expected, rtol=1e-9, atol=1e-14)


def test_wrong_requests_are_refused():
    found = fitted("logit").influence()
    with pytest.raises(ValueError, match=r"kind in \('one-step', 'exact'\), got 'two-step'"):
        found.leave_one_out("two-step")
    with pytest.raises(ValueError, match=r"rows as places from 0 to 59, got \[60\]"):
        found.loglik("exact", [60])
    with pytest.raises(ValueError, match=r"'deviance'\), got 'anscombe'"):
        found.residuals("anscombe")
    firth = fitted("logit", penalty="firth").influence()
    with pytest.raises(ValueError, match="which Firth's penalty is not"):
        firth.leave_one_out("exact", [0])
