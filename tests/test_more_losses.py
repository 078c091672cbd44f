"""Losses of numbers, probabilities, counts and margins, against their definitions written as loops."""

import math

import numpy as np
import pytest
from precise import exact_bernoulli_nll, exact_sigmoid, relative_error

from minigrad import Linear, Sequential, value_and_gradients
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    ElementwiseLoss,
    GaussianNLLLoss,
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)

rng = np.random.default_rng(0)
Z, T = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
Y, SHARES, COUNTS = rng.uniform(size=(4, 3)), rng.uniform(size=(4, 3)), rng.integers(0, 6, (4, 3))
SIGNS = rng.choice([-1, 1], (4, 3))
WEIGHTS = np.array([1.0, 0.5, 0.0, 2.0])
SHARES[0, 0], SHARES[1, 1], Y[0, 0] = 0, 1, 0.7


def huber(z, t, d=1.0):
    r = abs(z - t)
    return r * r / 2 if r <= d else d * (r - d / 2)


def entropy(y, t):
    return -t * math.log(y) - (1 - t) * math.log(1 - y)


def of_logit(a, t):
    return entropy(1 / (1 + math.exp(-a)), t)


def stirling(t):
    return t * math.log(t) - t + math.log(2 * math.pi * t) / 2 if t > 1 else 0.0


DEFINITIONS = [
    (MSELoss, {}, Z, T, lambda z, t: (z - t) ** 2),
    (L1Loss, {}, Z, T, lambda z, t: abs(z - t)),
    (HuberLoss, {}, Z, T, huber),
    (HuberLoss, {"delta": 0.3}, Z, T, lambda z, t: huber(z, t, 0.3)),
    (SmoothL1Loss, {}, Z, T, huber),
    (SmoothL1Loss, {"beta": 0.3}, Z, T, lambda z, t: huber(z, t, 0.3) / 0.3),
    (SmoothL1Loss, {"beta": 0.0}, Z, T, lambda z, t: abs(z - t)),
    (QuantileLoss, {"q": 0.2}, Z, T, lambda z, t: 0.2 * (t - z) if t > z else 0.8 * (z - t)),
    (BCELoss, {}, Y, SHARES, entropy),
    (BCEWithLogitsLoss, {}, Z, SHARES, of_logit),
    (
        BCEWithLogitsLoss,
        {"pos_weight": 3.0},
        Z,
        SHARES,
        lambda a, t: -3 * t * math.log(1 / (1 + math.exp(-a))) + (1 - t) * math.log(1 + math.exp(a)),
    ),
    (HingeLoss, {}, Z, SIGNS, lambda z, t: max(0, 1 - t * z)),
    (HingeLoss, {"squared": True}, Z, SIGNS, lambda z, t: max(0, 1 - t * z) ** 2),
    (KLDivLoss, {}, Z, SHARES, lambda z, t: t * (math.log(t) - z) if t else 0.0),
    (KLDivLoss, {"log_target": True}, Z, T, lambda z, t: math.exp(t) * (t - z)),
    (PoissonNLLLoss, {}, Z, COUNTS, lambda z, t: math.exp(z) - t * z),
    (PoissonNLLLoss, {"full": True}, Z, COUNTS, lambda z, t: math.exp(z) - t * z + stirling(t)),
    (PoissonNLLLoss, {"log_input": False}, Y, COUNTS, lambda z, t: z - t * math.log(z + 1e-8)),
]


@pytest.mark.parametrize(("make", "options", "z", "t", "term"), DEFINITIONS)
def test_by_a_loop(make, options, z, t, term):
    terms = np.array([[term(float(z[n, j]), float(t[n, j])) for j in range(3)] for n in range(4)])
    np.testing.assert_allclose(make(reduction="none", **options)(z, t), terms, rtol=1e-13, atol=1e-15)
    assert make(**options)(z, t) == pytest.approx(terms.mean(), rel=1e-13)
    assert make(reduction="sum", **options)(z, t) == pytest.approx(terms.sum(), rel=1e-13)
    weighted = WEIGHTS[:, np.newaxis] * terms
    np.testing.assert_allclose(make(reduction="none", **options)(z, t, WEIGHTS), weighted, rtol=1e-13, atol=1e-15)
    assert make(**options)(z, t, WEIGHTS) == pytest.approx(weighted.sum() / (3 * WEIGHTS.sum()), rel=1e-13)
    of_entries = rng.uniform(size=(4, 3))
    mean = (of_entries * terms).sum() / of_entries.sum()
    assert make(**options)(z, t, of_entries) == pytest.approx(mean, rel=1e-13)


def test_the_batchmean_is_the_sum_over_the_batch():
    loss = KLDivLoss("batchmean")
    assert loss(Z, SHARES) == pytest.approx(KLDivLoss("sum")(Z, SHARES) / 4, rel=1e-14)
    rows = KLDivLoss("none")(Z, SHARES).sum(axis=1)
    assert loss(Z, SHARES, WEIGHTS) == pytest.approx(WEIGHTS @ rows / WEIGHTS.sum(), rel=1e-14)


@pytest.mark.parametrize("full", [False, True])
def test_gaussian_nll_by_a_loop(full):
    v = rng.uniform(0.5, 2, (4, 3))
    density = [
        [math.exp(-((Z[n, j] - T[n, j]) ** 2) / (2 * v[n, j])) / math.sqrt(v[n, j]) for j in range(3)] for n in range(4)
    ]
    terms = -np.log(density) + (0.5 * math.log(2 * math.pi) if full else 0)
    np.testing.assert_allclose(GaussianNLLLoss("none", full)((Z, v), T), terms, rtol=1e-13)
    assert GaussianNLLLoss(full=full)((Z, v), T) == pytest.approx(terms.mean(), rel=1e-13)
    of_rows = v[:, :1]
    spread = np.broadcast_to(of_rows, (4, 3)).copy()
    value, cache = GaussianNLLLoss(full=full).forward((Z, of_rows), T)
    expected, wide = GaussianNLLLoss(full=full).forward((Z, spread), T)
    assert value == pytest.approx(expected, rel=1e-15)
    dm, dv = GaussianNLLLoss().backward(1.0, cache)
    of_all = GaussianNLLLoss().backward(1.0, wide)
    np.testing.assert_array_equal(dm, of_all[0])
    np.testing.assert_allclose(dv, of_all[1].sum(axis=1, keepdims=True), rtol=1e-14)
    own = HomoscedasticGaussianNLLLoss(3, "none", full)
    own.log_variance[:] = np.log([0.5, 1.0, 2.0])
    same = GaussianNLLLoss("none", full)((Z, np.broadcast_to([0.5, 1.0, 2.0], (4, 3)).copy()), T)
    np.testing.assert_allclose(own(Z, T), same, rtol=1e-13)


def test_a_variance_that_has_collapsed_counts_as_eps():
    """Its derivative is that at eps, as in PyTorch."""
    mean, t = np.array([[1.0, 1.0]]), np.array([[0.0, 1.0]])
    value, cache = GaussianNLLLoss("none", eps=0.5).forward((mean, np.array([[0.0, 0.1]])), t)
    np.testing.assert_allclose(value, [[0.5 * math.log(0.5) + 1, 0.5 * math.log(0.5)]], rtol=1e-15)
    np.testing.assert_allclose(GaussianNLLLoss("none").backward(np.ones((1, 2)), cache)[1], [[-1, 1]], rtol=1e-15)


def test_the_trained_variance_is_the_mean_square_at_the_least():
    loss = HomoscedasticGaussianNLLLoss(3)
    loss.log_variance[:] = np.log(((Z - T) ** 2).mean(axis=0))
    _, cache = loss.forward(Z, T)
    np.testing.assert_allclose(loss.parameter_gradients(1.0, cache)["log_variance"], 0, atol=1e-16)
    loss.log_variance += 0.1
    assert (loss.parameter_gradients(1.0, loss.forward(Z, T)[1])["log_variance"] > 0).all()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("class_weights", [None, [1.0, 0.5, 3.0]])
def test_multi_margin_by_a_loop(p, class_weights):
    labels = np.array([0, 2, 1, 1])
    w = np.ones(3) if class_weights is None else class_weights
    terms = [
        w[t] * sum(max(0, 0.7 - Z[n, t] + Z[n, k]) ** p for k in range(3) if k != t) / 3 for n, t in enumerate(labels)
    ]
    options = {"class_weights": class_weights, "p": p, "margin": 0.7}
    np.testing.assert_allclose(MultiMarginLoss("none", **options)(Z, labels), terms, rtol=1e-14)
    # class weights do not count in what the mean divides by: so it is in PyTorch
    assert MultiMarginLoss(**options)(Z, labels) == pytest.approx(np.mean(terms), rel=1e-14)
    weighted = MultiMarginLoss(**options)(Z, labels, WEIGHTS)
    assert weighted == pytest.approx(WEIGHTS @ terms / WEIGHTS.sum(), rel=1e-14)


def test_several_quantiles_are_losses_of_one_each():
    q = (0.1, 0.5, 0.8)
    together = QuantileLoss(q, "none")(Z, T[:, 0])
    for j in range(3):
        np.testing.assert_allclose(together[:, j], QuantileLoss(q[j], "none")(Z[:, j], T[:, 0]), rtol=1e-15)
    np.testing.assert_allclose(QuantileLoss(0.5)(Z, T), L1Loss()(Z, T) / 2, rtol=1e-15)


def test_the_least_pinball_loss_is_at_the_quantile():
    t = np.arange(1.0, 10.0)[:, np.newaxis]
    losses = [QuantileLoss(0.3)(np.full_like(t, z), t) for z in range(1, 10)]
    assert np.argmin(losses) + 1 == 3


@pytest.mark.parametrize("make", [L1Loss, HuberLoss, SmoothL1Loss, QuantileLoss])
def test_no_slope_at_the_kink(make):
    loss = make(reduction="none")
    _, cache = loss.forward(T, T)
    assert not loss.backward(np.ones_like(T), cache).any()


def test_pytorchs_weight_is_not_counted_by_the_mean():
    w = np.array([1.0, 0.5, 3.0])
    for make, z in ((BCELoss, Y), (BCEWithLogitsLoss, Z)):
        terms = w * make("none")(z, SHARES)
        np.testing.assert_allclose(make("none", w)(z, SHARES), terms, rtol=1e-15)
        assert make(weight=w)(z, SHARES) == pytest.approx(terms.mean(), rel=1e-15)
        _, cache = make("none", w).forward(z, SHARES)
        _, plain = make("none").forward(z, SHARES)
        ones = np.ones((4, 3))
        np.testing.assert_allclose(make("none", w).backward(ones, cache), w * make("none").backward(ones, plain))


def test_probabilities_of_zero_and_one():
    loss = BCELoss("none")
    y, t = np.array([[0.0, 1.0, 0.0, 1.0]]), np.array([[0.0, 1.0, 1.0, 0.0]])
    value, cache = loss.forward(y, t)
    np.testing.assert_array_equal(value, [[0, 0, 100, 100]])
    np.testing.assert_allclose(loss.backward(np.ones((1, 4)), cache), [[0, 0, -1e12, 1e12]])


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("logit", [0.0, 1.0, -1.0, 40.0, -40.0, 700.0, -700.0])
def test_tiny_costs_of_logits_are_accurate(logit, label):
    loss = BCEWithLogitsLoss()
    value, cache = loss.forward(np.array([logit]), np.array([label]))
    assert relative_error(value, exact_bernoulli_nll(logit, label)) <= 1e-15
    residual = -exact_sigmoid(-logit) if label else exact_sigmoid(logit)
    assert relative_error(loss.backward(1.0, cache)[0], residual) <= 2e-15
    assert value == BernoulliNLLLoss()(np.array([[logit]]), [label])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits_are_finite(dtype):
    z = np.array([np.finfo(dtype).max / 4, -np.finfo(dtype).max / 4])
    value, cache = BCEWithLogitsLoss("none").forward(z.astype(dtype), np.array([1, 0]))
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(BCEWithLogitsLoss("none").backward(np.ones(2, dtype), cache), 0)


def test_a_small_complex_step_sees_tiny_probabilities():
    y = np.array([1e-20, 0.3, 1 - 1e-12]) + 1e-30j
    terms = BCELoss("none")(y, np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(terms.real, [1e-20, -math.log(0.7), -math.log(1 - 1e-12)], rtol=1e-4)
    np.testing.assert_allclose(terms.imag / 1e-30, [1, 1 / 0.7, -1], rtol=1e-10)


@pytest.mark.parametrize("make", [MSELoss, L1Loss, HuberLoss, KLDivLoss, PoissonNLLLoss, BCEWithLogitsLoss])
def test_a_weight_of_zero_takes_a_term_out(make):
    loss, weights = make(), np.array([1, 1, 0, 1])
    kept = weights == 1
    assert loss(Z, SHARES, weights) == pytest.approx(loss(Z[kept], SHARES[kept]), rel=1e-14)


def test_an_infinite_term_of_no_weight_counts_nothing():
    y, t = np.array([[0.0], [0.5]]), np.ones((2, 1))
    loss = PoissonNLLLoss(log_input=False, eps=0.0)
    with np.errstate(divide="ignore"):
        assert loss(y, t, [0, 1]) == pytest.approx(0.5 - math.log(0.5), rel=1e-15)


@pytest.mark.parametrize("make", [MSELoss, BCEWithLogitsLoss, HuberLoss, KLDivLoss, PoissonNLLLoss])
def test_empty_batches_sum_to_zero(make):
    empty = np.zeros((0, 3))
    assert make("sum")(empty, empty) == 0
    assert make("none")(empty, empty).shape == (0, 3)
    with pytest.raises(ValueError, match="expects a batch of some weight, but the batch is empty: reduction 'sum'"):
        make()(empty, empty)


def test_targets_of_integers_and_lists():
    assert MSELoss()(Z, np.zeros((4, 3), int)) == MSELoss()(Z, np.zeros((4, 3)))
    assert HingeLoss()(Z, SIGNS.tolist()) == HingeLoss()(Z, SIGNS)
    assert BCELoss()(Y, SIGNS > 0) == BCELoss()(Y, (SIGNS > 0).astype(float))
    assert MSELoss()(Z.astype(np.float32), T).dtype == np.float32


def test_regression_finds_the_line():
    x = rng.normal(size=(30, 2))
    t = x @ [[2.0], [-1.0]] + 0.5
    cost = Sequential(Linear(2, 1, rng=0), MSELoss())
    for _ in range(200):
        for name, gradient in value_and_gradients(cost, x, t)[1].items():
            cost.parameters()[name][...] -= 0.2 * gradient
    np.testing.assert_allclose(cost[0].weight, [[2, -1]], atol=1e-6)


def test_an_elementwise_loss_of_ones_own():
    class Quartic(ElementwiseLoss):
        def f(self, z, t):
            return (z - t) ** 4

        def df(self, z, t):
            return 4 * (z - t) ** 3

    _, cache = Quartic("sum").forward(Z, T)
    np.testing.assert_allclose(Quartic("sum").backward(2.0, cache), 8 * (Z - T) ** 3, rtol=1e-15)
    with pytest.raises(NotImplementedError, match=r"ElementwiseLoss lacks f\(self, z, t\)"):
        ElementwiseLoss()(Z, T)


def test_a_weight_of_0_takes_an_infinite_term_out_of_rule_2():
    loss = PoissonNLLLoss()
    with np.errstate(over="ignore"):
        value, cache = loss.forward(np.array([1000.0, 1.0]), np.ones(2), np.array([0.0, 1.0]))
        dz = loss.backward(1.0, cache)
    assert value == pytest.approx(np.e - 1, rel=1e-15)
    np.testing.assert_allclose(dz, [0, np.e - 1], rtol=1e-15)


def test_outliers_do_not_overflow_on_the_way():
    with np.errstate(over="raise", invalid="raise"):
        for loss in (HuberLoss("sum"), SmoothL1Loss("sum")):
            assert loss(np.array([1e200]), np.array([0.0])) == 1e200
        assert BCEWithLogitsLoss("sum")(np.array([1e308]), np.array([1.0])) == 0


def test_negative_rates_are_refused():
    with pytest.raises(ValueError, match=r"expects rates of 0 or more, got -1 in z\[1\]: an exponential below"):
        PoissonNLLLoss(log_input=False)(np.array([1.0, -1.0]), np.ones(2))


def test_class_weights_are_refused_before_the_loss_is_made():
    for kind in (CrossEntropyLoss, MultiMarginLoss, NLLLoss):
        with pytest.raises(ValueError, match=rf"{kind.__name__} expects class_weights of 0 or more, got -1"):
            kind(class_weights=[-1.0, 1.0])
    with pytest.raises(TypeError, match=r"MSELoss expects reduction first, in .*, got ndarray"):
        MSELoss(np.ones(3))
