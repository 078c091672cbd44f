"""The regressions of minigrad.mle and the search of their maxima, against closed forms, exact sums and invariances."""

import math
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest

from minigrad import (
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    L1Penalty,
    L2Penalty,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    ReLU,
    Sequential,
    mle,
)
from minigrad.derivatives import hessian, value_and_gradients
from minigrad.mle.entry.data import Data
from minigrad.mle.regressions import designs
from minigrad.mle.regressions.error_free import Total, exact_products, slices, two_product, two_sum
from minigrad.mle.regressions.regression import regression
from minigrad.mle.regressions.rows import leverages
from minigrad.mle.search.maximize import maximize, search

HEADS = ("sigmoid", "bernoulli", "poisson", "softmax", "cross entropy", "multi-label", "counts")


def data_of(x, target, weights=None, offset=None):
    x = np.asarray(x, dtype=float)
    names = [f"x{j + 1}" for j in range(x.shape[1])]
    count = float(len(x) if weights is None else np.sum(weights))
    return Data(x, target, names, None, weights, "frequency", offset, count)


def cost_of(head, features, bias=True, reduction="sum", classes=3):
    units = {"softmax": classes, "cross entropy": classes, "multi-label": 2, "counts": 2}.get(head, 1)
    top = {
        "sigmoid": [BCEWithLogitsLoss(reduction)],
        "bernoulli": [BernoulliNLLLoss(reduction)],
        "poisson": [PoissonNLLLoss(reduction)],
        "softmax": [LogSoftmax(), NLLLoss(reduction)],
        "cross entropy": [CrossEntropyLoss(reduction)],
        "multi-label": [BCEWithLogitsLoss(reduction)],
        "counts": [PoissonNLLLoss(reduction)],
    }[head]
    return Sequential(Linear(features, units, bias=bias, rng=0), *top)


def target_of(head, rows, rng, classes=3):
    if head in ("softmax", "cross entropy"):
        return rng.permutation(np.arange(rows) % classes)
    if head == "bernoulli":
        return rng.permutation(np.arange(rows) % 2)
    shape = (rows, 2 if head in ("multi-label", "counts") else 1)
    if head in ("poisson", "counts"):
        return rng.poisson(2.0, size=shape).astype(float)
    return rng.permutation(np.arange(shape[0] * shape[1]) % 2).reshape(shape).astype(float)


def problem(head, rows=60, features=3, seed=0, bias=True, **options):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)) * [1.0, 3.0, 0.2][:features] + [0.0, 10.0, 0.1][:features]
    return regression(cost_of(head, features, bias), data_of(x, target_of(head, rows, rng), **options))


def fitted(likelihood, identification="reference"):
    found = maximize(likelihood)
    assert found.reason == "converged"
    listing = likelihood.listing(identification)
    covariance = np.linalg.inv(found.objective.hessian) if found.covariance is None else found.covariance
    return found, listing.values(found.u), listing.errors(covariance)


def logit_of(x, t, **options):
    return fitted(regression(cost_of("sigmoid", np.shape(x)[1]), data_of(x, np.reshape(t, (-1, 1)), **options)))


# Closed forms.


def test_a_binary_column_has_the_log_odds_ratio():
    counts = {(0, 0): 30, (0, 1): 12, (1, 0): 7, (1, 1): 21}
    x = np.repeat([[float(a)] for a, _ in counts], list(counts.values()), axis=0)
    t = np.repeat([float(b) for _, b in counts], list(counts.values()))
    found, params, se = logit_of(x, t)
    np.testing.assert_allclose(params, [math.log(30 * 21 / (12 * 7)), math.log(12 / 30)], rtol=1e-14)
    np.testing.assert_allclose(se, [math.sqrt(sum(1 / n for n in counts.values())), math.sqrt(1 / 30 + 1 / 12)], 1e-14)
    value = 30 * math.log(30 / 42) + 12 * math.log(12 / 42) + 7 * math.log(7 / 28) + 21 * math.log(21 / 28)
    assert -found.local.value == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("head", HEADS)
def test_without_inputs_the_means_are_those_of_the_data(head):
    whole = problem(head)
    null = whole.without_inputs()
    found, params, se = fitted(null)
    t = np.asarray(whole.data.target)
    if head in ("softmax", "cross entropy"):
        n = np.bincount(t)
        expected, errors = np.log(n[1:] / n[0]), np.sqrt(1 / n[1:] + 1 / n[0])
        value = n @ np.log(n / n.sum())
    elif head in ("poisson", "counts"):
        total = t.sum(axis=0)
        expected, errors = np.log(total / len(t)), 1 / np.sqrt(total)
        value = sum((t * np.log(total / len(t)) - total / len(t)).ravel()) - sum(math.lgamma(c + 1) for c in t.ravel())
    else:
        p = t.reshape(len(t), -1).mean(axis=0)
        expected, errors = np.log(p / (1 - p)), 1 / np.sqrt(len(t) * p * (1 - p))
        value = len(t) * sum(p * np.log(p) + (1 - p) * np.log(1 - p))
    np.testing.assert_allclose(params, expected, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(se, errors, rtol=1e-13)
    assert -found.local.value == pytest.approx(value, rel=1e-13)
    assert found.local.value >= maximize(whole).local.value


@pytest.mark.parametrize("count", [3.0, 15.0, 16.0, 1e3, 1e8, 1e12, 2.5])
def test_log_likelihoods_of_counts_keep_their_digits(count):
    found, params, se = fitted(regression(cost_of("poisson", 1), data_of([[1.0]], [[count]])).without_inputs())
    # log p = t log t - t - log t!; Stirling's series has 16 digits from 1e3 on
    exact = (
        -0.5 * math.log(2 * math.pi * count) - 1 / (12 * count) + 1 / (360 * count**3)
        if count >= 1e3
        else count * math.log(count) - count - math.lgamma(count + 1)
    )
    assert -found.local.value == pytest.approx(exact, rel=1e-13)
    assert params[0] == pytest.approx(math.log(count), rel=1e-13)
    assert se[0] == pytest.approx(count**-0.5, rel=1e-13)


def test_fractions_are_shares_of_rows():
    x, t = np.array([[0.0], [1.0]]), np.array([0.25, 0.625])
    _, params, se = logit_of(x, t, weights=np.array([8.0, 16.0]))
    np.testing.assert_allclose(params, [math.log(5 / 3) + math.log(3), -math.log(3)], rtol=1e-14)
    np.testing.assert_allclose(se[1], math.sqrt(1 / (8 * 3 / 16)), rtol=1e-14)


# Derivatives, against those of the cost itself.


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("head", HEADS)
def test_value_gradient_and_hessian_are_those_of_the_cost(head, bias, monkeypatch):
    monkeypatch.setattr(designs, "NUMBERS", 64)  # several blocks of rows
    likelihood = problem(head, rows=150, bias=bias)
    assert len(list(likelihood.design.slices())) > 1
    u = np.random.default_rng(1).normal(size=likelihood.size) / 4
    units = np.eye(likelihood.size)
    flat = lambda v: np.concatenate([np.ravel(a) for a in likelihood.arrays(v).values()])  # noqa: E731
    by_u = np.array([flat(unit) for unit in units]).T
    cost = likelihood.trained(u)
    x, t = likelihood.data.x, likelihood.data.target
    _, gradients = value_and_gradients(cost, x, t)
    gradient = by_u.T @ np.concatenate([np.ravel(g) for g in gradients.values()])
    local = likelihood.evaluate(u)
    np.testing.assert_allclose(local.gradient, gradient, rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(local.hessian, by_u.T @ hessian(cost, x, t) @ by_u, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(likelihood.precise_gradient(u), gradient, rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(likelihood.slope(u)[1], gradient, rtol=1e-11, atol=1e-10)
    root = likelihood.root(u, np.zeros(len(u)))
    np.testing.assert_allclose(root.T @ root, local.hessian, rtol=1e-10, atol=1e-10)
    zero = np.zeros(len(u))  # constants of the likelihood that the cost leaves out
    left_out = likelihood.value(zero) - likelihood.trained(zero)(x, t)
    assert local.value == pytest.approx(float(cost(x, t)) + left_out, rel=1e-12)
    assert -likelihood.terms(u).sum() == pytest.approx(local.value, rel=1e-12)
    np.testing.assert_allclose(-likelihood.scores(u).sum(axis=0), local.gradient, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(likelihood.logits(u), Sequential(cost[0])(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("head", HEADS)
def test_penalties_are_part_of_the_objective(head):
    likelihood = problem(head, rows=40)
    cost = Penalized(likelihood.cost, L2Penalty(2.0, "*weight"), L2Penalty(0.5))
    map_estimate = regression(cost, likelihood.data)
    assert map_estimate.penalized
    assert not likelihood.penalized
    found = maximize(map_estimate)
    assert found.reason == "converged"
    trained, x, t = map_estimate.trained(found.u), likelihood.data.x, likelihood.data.target
    _, gradients = value_and_gradients(trained, x, t)
    assert max(np.abs(g).max() for g in gradients.values()) < 1e-10
    units = np.eye(map_estimate.size)
    by_u = np.array([np.concatenate([np.ravel(a) for a in map_estimate.arrays(e).values()]) for e in units]).T
    np.testing.assert_allclose(found.objective.hessian, by_u.T @ hessian(trained, x, t) @ by_u, rtol=1e-9, atol=1e-9)
    penalty = map_estimate.penalty(found.u)
    assert penalty.value == pytest.approx(
        1.25 * np.sum(trained[0].weight ** 2) + 0.25 * np.sum(trained[0].bias ** 2), rel=1e-12
    )
    root = map_estimate.root(found.u, np.zeros(map_estimate.size))
    np.testing.assert_allclose(root.T @ root, found.objective.hessian, rtol=1e-9, atol=1e-9)


def test_a_penalty_of_a_column_of_any_scale():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(50, 1)), rng.integers(0, 2, size=(50, 1)).astype(float)
    for size in (1e-150, 1.0, 1e150):
        cost = Penalized(cost_of("sigmoid", 1), L2Penalty(1.0, "*weight"))
        found, params, se = fitted(regression(cost, data_of(x * size, t)))
        assert np.isfinite(params).all()
        assert np.isfinite(se).all()
        assert found.digits > 10
        if size == 1e-150:  # the data say nothing of a weight of about 1: W = -gradient, standard error 1
            p = t.mean()
            assert params[0] == pytest.approx(float((x * size * (t - p)).sum()), rel=1e-10)
            assert se[0] == pytest.approx(1.0, rel=1e-12)
        if size == 1e150:  # the penalty says nothing
            np.testing.assert_allclose(params * [size, 1], logit_of(x, t)[1], rtol=1e-12)


# Invariances.


def test_powers_of_two_in_columns_change_no_digit():
    likelihood = problem("softmax")
    scales = np.array([2.0**400, 1.0, 2.0**-300])
    other = regression(likelihood.cost, data_of(likelihood.data.x * scales, likelihood.data.target))
    (one, params, se), (two, params_2, se_2) = fitted(likelihood), fitted(other)
    by_column = np.tile(np.append(scales, 1.0), 2)
    np.testing.assert_array_equal(params, params_2 * by_column)
    np.testing.assert_array_equal(se, se_2 * by_column)
    assert one.local.value == two.local.value
    assert one.digits == two.digits


@pytest.mark.parametrize("head", HEADS)
def test_the_order_of_rows_changes_nothing_but_rounding(head):
    likelihood = problem(head)
    order = np.random.default_rng(3).permutation(likelihood.rows)
    data = data_of(likelihood.data.x[order], np.asarray(likelihood.data.target)[order])
    (_, params, se), (_, params_2, se_2) = fitted(likelihood), fitted(regression(likelihood.cost, data))
    np.testing.assert_allclose(params, params_2, rtol=1e-12)
    np.testing.assert_allclose(se, se_2, rtol=1e-12)


@pytest.mark.parametrize("head", HEADS)
def test_weights_are_repeated_rows(head):
    weights = np.random.default_rng(4).integers(1, 4, size=60)
    likelihood = problem(head, weights=weights.astype(float))
    x, t = (np.repeat(a, weights, axis=0) for a in (likelihood.data.x, np.asarray(likelihood.data.target)))
    (one, params, se), (two, params_2, se_2) = fitted(likelihood), fitted(regression(likelihood.cost, data_of(x, t)))
    np.testing.assert_allclose(params, params_2, rtol=1e-12)
    np.testing.assert_allclose(se, se_2, rtol=1e-12)
    assert one.local.value == pytest.approx(two.local.value, rel=1e-13)


def test_two_classes_of_a_softmax_are_a_sigmoid():
    binary = problem("sigmoid")
    labels = binary.data.target[:, 0].astype(int)
    of_two = regression(cost_of("softmax", 3, classes=2), data_of(binary.data.x, labels))
    (one, params, se), (two, params_2, se_2) = fitted(binary), fitted(of_two)
    np.testing.assert_allclose(params, params_2, rtol=1e-12)
    np.testing.assert_allclose(se, se_2, rtol=1e-12)
    assert one.local.value == pytest.approx(two.local.value, rel=1e-13)


def test_names_of_classes_change_nothing():
    likelihood = problem("softmax")
    renamed = np.array([2, 0, 1])
    other = regression(likelihood.cost, data_of(likelihood.data.x, renamed[likelihood.data.target]))
    (_, params, se), (_, params_2, se_2) = (fitted(each, "sum_to_zero") for each in (likelihood, other))
    np.testing.assert_allclose(params.reshape(3, 4), params_2.reshape(3, 4)[renamed], rtol=1e-11)
    np.testing.assert_allclose(se.reshape(3, 4), se_2.reshape(3, 4)[renamed], rtol=1e-12)


def test_a_reference_class_is_a_difference_of_classes():
    likelihood = problem("softmax")
    found, all_classes, _ = fitted(likelihood, "sum_to_zero")
    by_class = all_classes.reshape(3, 4)
    assert np.abs(by_class.sum(axis=0)).max() < 1e-12
    listing = likelihood.listing("reference", 1)
    np.testing.assert_allclose(listing.values(found.u).reshape(2, 4), (by_class - by_class[1])[[0, 2]], rtol=1e-12)
    assert listing.names[0] == "0:x1"
    assert listing.names[-1] == "2:const"


@pytest.mark.parametrize("shift", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("head", ["sigmoid", "poisson"])
def test_what_an_offset_shares_goes_into_the_constant(head, shift):
    rng = np.random.default_rng(5)
    offset = np.round(rng.normal(size=(60, 1)) * 64) / 64
    (_, params, se), (found, params_2, se_2) = (fitted(problem(head, offset=offset + more)) for more in (0.0, shift))
    np.testing.assert_allclose(params_2[:-1], params[:-1], rtol=1e-10)
    np.testing.assert_allclose(se_2, se, rtol=1e-10)
    assert params_2[-1] == pytest.approx(params[-1] - shift, rel=1e-13)
    assert found.digits > 10


# Ill-conditioned columns, whose estimates follow from those of others.


@pytest.mark.parametrize("power", [4, 8, 12, 16, 20])
def test_columns_that_are_nearly_the_same(power):
    rng = np.random.default_rng(6)
    u, v = np.round(rng.normal(size=(2, 80)) * 2**10) / 2**10
    t = (u + v + 2 * rng.normal(size=80) > 0).astype(float)
    _, params, se = logit_of(np.column_stack([u, v]), t)
    found, close, close_se = logit_of(np.column_stack([u, u + v / 2**power]), t)
    by_v = 2**power * params[1]
    exact, exact_se = np.array([params[0] - by_v, by_v, params[2]]), np.array([2**power * se[1], se[2]])
    worst = max(np.abs(close / exact - 1).max(), np.abs(close_se[1:] / exact_se - 1).max(), 1e-16)
    assert -math.log10(worst) >= found.digits - 0.01
    assert found.digits >= max(10.0 if found.condition < 1e6 else 0.0, 16 - math.log10(found.condition) - 2)
    assert 1 < found.condition / 4**power < 10


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_rows_that_decide_among_rows_that_are_far_out(width):
    near = np.array([-1.0, -1, -1, -1, 1, 1, 1]) * width
    x = np.concatenate([near, [-1.0, -0.5, 0.5, 1.0]])
    t = np.array([0.0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1])
    found, params, _ = logit_of(x[:, np.newaxis], t)
    if width < 1e-3:  # the far rows have no part
        slope, level = (math.log(2) + math.log(3)) / 2, (math.log(2) - math.log(3)) / 2
        np.testing.assert_allclose(params, [slope / width, level], rtol=1e-13)
    assert found.digits > 10


# The search.


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_separated_classes_end_calmly(head):
    x = np.linspace(-1, 1, 30)[:, np.newaxis]
    labels = (x[:, 0] > 0.1).astype(int)
    target = labels if head == "softmax" else labels[:, np.newaxis].astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = maximize(regression(cost_of(head, 1, classes=2), data_of(x, target)))
    assert found.reason == "diverges"
    assert found.iterations < 70
    assert found.digits == 0
    assert np.isfinite(found.u).all()


@pytest.mark.parametrize("size", [10.0, 1e3, 1e6])
@pytest.mark.parametrize("head", ["sigmoid", "poisson", "softmax", "multi-label"])
def test_every_start_gets_there(head, size):
    likelihood = problem(head)
    best = maximize(likelihood).u
    start = size * np.random.default_rng(7).normal(size=likelihood.size)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = maximize(likelihood, start)
    assert found.reason == "converged"
    np.testing.assert_allclose(found.u, best, rtol=1e-10, atol=1e-11)


def test_rates_that_overflow_at_zero():
    x, t = np.arange(1.0, 9.0)[:, np.newaxis], np.array([[3.0], [1], [4], [1], [5], [9], [2], [6]])
    likelihood = regression(cost_of("poisson", 1, bias=False), data_of(x, t, offset=np.full((8, 1), 900.0) * x))
    _, params, _ = fitted(likelihood)
    _, plain, _ = fitted(regression(cost_of("poisson", 1, bias=False), data_of(x, t)))
    assert params[0] == pytest.approx(plain[0] - 900, rel=1e-13)


def test_many_rows_begin_with_the_maximum_of_some(monkeypatch):
    rng = np.random.default_rng(8)
    x = rng.normal(size=(40_000, 4)) + 1
    t = (rng.random(40_000) < 1 / (1 + np.exp(0.3 - x @ [0.5, -0.2, 0.1, 0.0]))).astype(float)[:, np.newaxis]
    likelihood = regression(cost_of("sigmoid", 4), data_of(x, t))
    from minigrad.mle.regressions.starts import base_rates

    usual, steps, _ = search(likelihood, base_rates(likelihood), 50)
    quick, fewer, _ = search(likelihood, likelihood.start, 50)
    assert fewer < steps
    np.testing.assert_allclose(quick.u, usual.u, rtol=1e-11)


def test_memory_beside_the_data_is_small():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(50_000, 20))
    t = (rng.random((50_000, 1)) < 0.4).astype(float)
    tracemalloc.start()
    maximize(regression(cost_of("sigmoid", 20), data_of(x, t)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes  # in blocks, not in copies


# Sums of squares of scores.


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("groups", [None, "few", "many"])
def test_squares_of_scores_by_group(head, groups, monkeypatch):
    monkeypatch.setattr(designs, "NUMBERS", 64)
    rng = np.random.default_rng(10)
    likelihood = problem(head, rows=200)
    u, w = rng.normal(size=likelihood.size) / 4, rng.random(200)
    codes = None if groups is None else rng.integers(0, 3 if groups == "few" else 150, size=200)
    expected = np.zeros((likelihood.size, likelihood.size))
    s = w[:, np.newaxis] * likelihood.scores(u)
    for code in np.arange(200) if codes is None else np.unique(codes):
        total = s[code] if codes is None else s[codes == code].sum(axis=0)
        expected += np.outer(total, total)
    np.testing.assert_allclose(likelihood.score_square(u, w, codes), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("head", [*HEADS, "two classes"])
def test_leverages_are_those_of_the_weighted_design(head, bias):
    rng = np.random.default_rng(13)
    w = rng.random(60) + 0.5
    if head == "two classes":
        data = data_of(rng.normal(size=(60, 3)), np.arange(60) % 2, weights=w)
        likelihood = regression(cost_of("softmax", 3, bias, classes=2), data)
    else:
        likelihood = problem(head, bias=bias, weights=w)
    found = maximize(likelihood)
    covariance = np.linalg.inv(found.objective.hessian)
    leverage = leverages(likelihood, found.u, covariance)
    assert leverage.sum() == pytest.approx(likelihood.size, rel=1e-9)  # the trace of a projection
    curved = hessian(likelihood.trained(found.u), likelihood.data.x[7:8], likelihood.data.target[7:8]) * w[7]
    units = np.eye(likelihood.size)
    by_u = np.array([np.concatenate([np.ravel(a) for a in likelihood.arrays(e).values()]) for e in units]).T
    assert leverage[7] == pytest.approx(np.trace(by_u.T @ curved @ by_u @ covariance), rel=1e-8)


# Sums without loss.


def test_sums_and_products_lose_nothing():
    rng = np.random.default_rng(11)
    a, b = rng.normal(size=50) * 10.0 ** rng.integers(-8, 8, size=50), rng.normal(size=50)
    for found, exact in ((two_sum(a, b), lambda p, q: p + q), (two_product(a, b), lambda p, q: p * q)):
        for high, low, p, q in zip(*found, a, b, strict=True):
            assert Fraction(high) + Fraction(low) == exact(Fraction(p), Fraction(q))


def test_products_of_matrices_to_twice_the_digits():
    rng = np.random.default_rng(12)
    a, b = rng.uniform(-1, 1, size=(2, 300)), rng.uniform(-1, 1, size=(300, 3)) ** 15
    total = Total((2, 3))
    total.add(*exact_products(slices(a, 300), slices(b, 300)))
    for i in range(2):
        for j in range(3):
            exact = sum(Fraction(p) * Fraction(q) for p, q in zip(a[i], b[:, j], strict=True))
            off = abs(Fraction(total.high[i, j]) + Fraction(total.low[i, j]) - exact)
            assert off < Fraction(2) ** -68 * 300


# What is one of these regressions.


def test_other_costs_are_left_to_others():
    x, t = np.ones((4, 2)), np.array([0, 1, 2, 1])
    data, binary = data_of(x, t), data_of(x, np.array([[0.0], [1], [1], [0]]))

    class Own(Linear):
        pass

    others = [
        Sequential(Linear(2, 3), ReLU(), CrossEntropyLoss()),
        Sequential(Own(2, 3), CrossEntropyLoss()),
        Sequential(Linear(2, 3), CrossEntropyLoss(class_weights=[1.0, 2.0, 1.0])),
        Sequential(Linear(2, 3), CrossEntropyLoss(label_smoothing=0.1)),
        Sequential(Linear(2, 3), CrossEntropyLoss(ignore_index=1)),
        Penalized(Sequential(Linear(2, 3), CrossEntropyLoss()), L1Penalty(1.0)),
    ]
    assert all(regression(cost, data) is None for cost in others)
    for loss in (MSELoss(), PoissonNLLLoss(log_input=False), BCEWithLogitsLoss(pos_weight=[2.0])):
        assert regression(Sequential(Linear(2, 1), loss), binary) is None
    assert regression(Sequential(Linear(2, 3), CrossEntropyLoss(ignore_index=7)), data) is not None


def test_parameters_have_the_type_of_the_cost():
    likelihood = problem("softmax")
    single = regression(likelihood.cost.astype(np.float32), likelihood.data)
    found = maximize(single)
    assert {a.dtype for a in single.arrays(found.u).values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found.u, maximize(likelihood).u, rtol=1e-13)
    narrow = regression(
        likelihood.cost, data_of(likelihood.data.x, likelihood.data.target)
    )  # x of single precision is taken as the doubles that it is
    narrow_x = likelihood.data.x.astype(np.float32)
    of_narrow = regression(likelihood.cost, Data(narrow_x, *list(narrow.data.__dict__.values())[1:]))
    of_wide = regression(likelihood.cost, data_of(narrow_x.astype(float), likelihood.data.target))
    np.testing.assert_allclose(fitted(of_narrow)[1], fitted(of_wide)[1], rtol=1e-12)


# A second opinion.


def test_statsmodels_agrees():
    sm = pytest.importorskip("statsmodels.api")
    for head in ("sigmoid", "poisson", "softmax"):
        likelihood = problem(head, rows=300)
        x = sm.add_constant(likelihood.data.x)[:, [1, 2, 3, 0]]
        model = {"sigmoid": sm.Logit, "poisson": sm.Poisson, "softmax": sm.MNLogit}[head]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = model(np.ravel(likelihood.data.target), x).fit(disp=0, method="newton", tol=1e-12)
        found, params, se = fitted(likelihood)
        np.testing.assert_allclose(params, np.ravel(theirs.params, order="F"), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(se, np.ravel(theirs.bse, order="F"), rtol=1e-6)
        assert -found.local.value == pytest.approx(theirs.llf, rel=1e-10)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e3, 1e4])
@pytest.mark.parametrize("head", ["sigmoid", "poisson"])
def test_offsets_of_any_size_that_columns_undo_change_only_their_coefficients(head, size):
    """An offset s x_1 is s less in the coefficient of x_1: the same maximum, reached from further away."""
    rng = np.random.default_rng(4)
    x = np.round(rng.normal(size=(60, 2)), 3)
    z = x @ [0.6, -0.4]
    y = rng.poisson(np.exp(z)) if head == "poisson" else (z + rng.logistic(size=60) > 0)
    target = y.astype(float)[:, np.newaxis]
    plain, moved = (
        maximize(regression(cost_of(head, 2), data_of(x, target, offset=offset))) for offset in (None, size * x[:, :1])
    )
    assert plain.reason == moved.reason == "converged"
    assert moved.iterations < 30
    assert moved.local.value == pytest.approx(plain.local.value, rel=1e-12)
    assert moved.digits > 9


def test_a_maximum_that_hangs_on_few_rows_is_found_where_offsets_are_far_apart():
    """Poisson, offset 100 x: the gradient in fractions of 50 digits is 0 at the end."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(150, 3))
    y = rng.poisson(np.exp(0.5 * x[:, 0] + 0.25 * x[:, 1])).astype(float)[:, np.newaxis]
    for size in (-60.0, 100.0):
        likelihood = regression(cost_of("poisson", 2), data_of(x[:, 1:], y, offset=size * x[:, :1]))
        found = maximize(likelihood)
        assert found.reason == "converged"
        assert found.condition < 1e4
        weight, bias = likelihood.coefficients(found.u)
        rate = np.exp(size * x[:, 0] + x[:, 1:] @ weight[0] + bias[0])
        design = np.column_stack([x[:, 1:], np.ones(150)])
        error = np.sqrt(np.linalg.inv(design.T @ (rate[:, np.newaxis] * design)).diagonal())
        assert np.abs((y[:, 0] - rate) @ design * error).max() < 1e-8  # standard errors, about


@pytest.mark.parametrize("seed", [0, 16, 26, 27])
def test_offsets_at_random_leave_few_rows_that_count(seed):
    """Where hardly a row has any curvature, the way to the maximum goes along directions that have none."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 3))
    y = rng.poisson(np.exp(0.5 * x[:, 0])).astype(float)[:, np.newaxis]
    likelihood = regression(cost_of("poisson", 3), data_of(x, y, offset=300 * rng.normal(size=(40, 1))))
    found = maximize(likelihood)
    assert found.reason == "converged"
    assert found.digits > 8
    gradient = likelihood.precise_gradient(found.u)
    assert math.sqrt(gradient @ np.linalg.solve(found.local.hessian, gradient)) < 1e-9


def test_steps_with_the_hessian_of_some_rows_end_where_newtons_do():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40_000, 4))
    y = (x[:, 0] + rng.logistic(size=40_000) > 0.5).astype(float)[:, np.newaxis]
    likelihood = regression(cost_of("sigmoid", 4), data_of(x, y))
    assert likelihood.hessian_at_start is not None
    here = likelihood.evaluate(likelihood.start).hessian
    assert np.abs(likelihood.hessian_at_start / here - 1)[np.diag_indices(5)].max() < 0.1
    first, second = maximize(likelihood), maximize(likelihood, np.zeros(5))
    np.testing.assert_allclose(first.u, second.u, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(first.local.hessian, second.local.hessian, rtol=1e-11, atol=1e-8)


def test_a_parameter_that_rows_of_tiny_residuals_know_has_its_digits():
    """A column that one row has, which others all but decide: its MAP estimate is e / penalty, for a tiny e = 1 - p."""
    rng = np.random.default_rng(1)
    x = np.zeros((40, 2))
    x[:, 0] = 3 * rng.normal(size=40)
    x[3] = 25, 1
    y = (rng.logistic(size=40) + x[:, 0] > 0).astype(float)
    y[3] = 1
    likelihood = regression(Penalized(cost_of("sigmoid", 2), L2Penalty(1.0, "*weight")), data_of(x, y[:, np.newaxis]))
    found = maximize(likelihood)
    weight, bias = likelihood.coefficients(found.u)
    z = x[3] @ weight[0] + bias[0]
    assert weight[0, 1] < 1e-5
    assert weight[0, 1] == pytest.approx(1 / (1 + math.exp(z)), rel=1e-12)
    assert found.digits > 10


def nearly_twins(seed, apart, count=40):
    """A column and one that differs by `apart`, and classes that neither knows of."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=count)
    return np.column_stack([a, a + apart * rng.normal(size=count)]), rng.integers(0, 2, count).astype(float)


def fitted_by_hand(x, y, start):
    """Estimates and standard errors of a sigmoid by Newton's method with 60 digits, columns and then the constant."""
    mp = pytest.importorskip("mpmath").mp
    with mp.workdps(60):
        rows = mp.matrix([[*map(mp.mpf, map(float, row)), mp.mpf(1)] for row in x])
        v = mp.matrix([mp.mpf(float(each)) for each in start])
        for _ in range(12):
            p = [1 / (1 + mp.exp(-z)) for z in rows * v]
            pull = rows.T * mp.matrix([mp.mpf(float(t)) - each for t, each in zip(y, p, strict=True)])
            inverse = (rows.T * mp.diag([each * (1 - each) for each in p]) * rows) ** -1
            v += inverse * pull
        return np.array([float(e) for e in v]), np.array([float(mp.sqrt(inverse[i, i])) for i in range(len(v))])


@pytest.mark.parametrize("apart", [1e-7, 3e-8, 1e-8, 1e-9])
def test_columns_apart_by_little_more_than_rounding_have_the_digits_that_are_said(apart):
    """The condition is about 1 / apart^2, beyond what a Hessian in doubles can tell from infinity."""
    for seed in range(4):
        x, y = nearly_twins(seed, apart)
        found = mle.fit(Sequential(Linear(2, 1), BernoulliNLLLoss("sum")), x, y)
        assert found.verdict.status == "regular"
        params, errors = fitted_by_hand(x, y, found.params)
        wrong = max(np.abs(found.params / params - 1).max(), np.abs(found.se / errors - 1).max())
        assert -np.log10(wrong) >= found.digits >= 15 - np.log10(found.condition) / 2 - 3
        assert found.maximum.iterations < 30


@pytest.mark.parametrize("apart", [3e-8, 1e-9, 1e-12])
def test_the_order_of_rows_and_columns_changes_no_verdict_on_columns_nearly_the_same(apart):
    for seed in range(6):
        x, y = nearly_twins(seed, apart)
        order = np.random.default_rng(seed).permutation(len(x))
        kinds = {
            mle.fit(Sequential(Linear(2, 1), BernoulliNLLLoss("sum")), *each).verdict.status
            for each in ((x, y), (x[order], y[order]), (x[:, ::-1], y))
        }
        assert len(kinds) == 1


@pytest.mark.parametrize("places", [9, 10, 11, 13])
def test_no_estimate_is_regular_below_the_null_model(places):
    for seed in range(6):
        a, y = nearly_twins(seed, 0.0)
        x = np.column_stack([a[:, 0], np.round(a[:, 0], places)])
        found = mle.fit(Sequential(Linear(2, 1), BernoulliNLLLoss("sum")), x, y)
        if found.verdict.exists:
            assert np.isfinite(found.condition)
            assert np.isfinite(found.se).all()
            assert found.loglik >= found.loglik_null
            assert found.maximum.decrement < 1e-3


@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_estimates_that_are_0_beside_their_errors_do_not_take_digits_of_the_others(ridge):
    x = np.random.default_rng(0).normal(size=(40, 3))
    x[:, 2] = 0
    x[0, 2], x[1, 2] = 1, -1  # two rows that nearly undo each other
    x[1, :2] = x[0, :2] + 1e-10
    y = np.random.default_rng(1).integers(0, 2, 40).astype(float)
    y[:2] = 1
    assert mle.fit(Sequential(Linear(3, 1), BernoulliNLLLoss("sum")), x, y, penalty=ridge).digits > 8


def test_rows_that_lost_their_curvature_are_found_again():
    """Offsets of thousands at random: at base rates no row has a curvature, and a step by it goes anywhere."""
    rng = np.random.default_rng(99)
    n, d = int(rng.integers(20, 60)), int(rng.integers(1, 4))
    rng.random()
    x = rng.normal(size=(n, d)) + rng.choice([0, 5.0])
    size = 10 ** rng.uniform(0, 4)
    mean = x @ rng.normal(size=d) * 0.5
    y = (rng.logistic(size=n) + mean > 0).astype(float)
    found = mle.fit(Sequential(Linear(d, 1), BernoulliNLLLoss("sum")), x, y, offset=size * rng.normal(size=n))
    assert found.verdict.status == "regular"
    assert found.maximum.iterations < 30


def test_rates_far_above_all_counts_have_a_maximum_until_they_overflow():
    x = np.random.default_rng(0).normal(size=(40, 1))
    y = np.ones(40)
    cost = Sequential(Linear(1, 1, bias=False), PoissonNLLLoss("sum"))
    found = mle.fit(cost, x, y, offset=np.full(40, 100.0))
    # y counts for nothing beside e^100: sum_n x_n e^(w x_n) is 0
    w = found.params[0]
    assert abs((x[:, 0] * np.exp(w * x[:, 0])).sum()) < 1e-11
    assert found.digits > 10
    assert mle.fit(cost, x, y, offset=np.full(40, 1000.0)).maximum.reason == "overflow"
