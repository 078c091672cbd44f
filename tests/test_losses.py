"""Losses against their definitions written as loops."""

import math

import numpy as np
import pytest

from minigrad import BernoulliNLLLoss, Linear, LogSoftmax, NLLLoss, Sequential, value_and_gradients

rng = np.random.default_rng(0)
LOG_P = LogSoftmax()(rng.normal(size=(6, 3)))
LABELS = np.array([0, 2, 1, 1, 0, 2])
WEIGHTS = rng.uniform(0.5, 2, 6)
CLASS_WEIGHTS = np.array([1.0, 0.5, 3.0])


@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_nll_by_a_loop(weights, class_weights):
    w = [
        (1 if weights is None else weights[n]) * (1 if class_weights is None else class_weights[LABELS[n]])
        for n in range(6)
    ]
    terms = [-w[n] * LOG_P[n, LABELS[n]] for n in range(6)]
    arguments = () if weights is None else (weights,)
    np.testing.assert_allclose(NLLLoss("none", class_weights)(LOG_P, LABELS, *arguments), terms, rtol=1e-14)
    assert NLLLoss("sum", class_weights)(LOG_P, LABELS, *arguments) == pytest.approx(sum(terms), rel=1e-14)
    assert NLLLoss("mean", class_weights)(LOG_P, LABELS, *arguments) == pytest.approx(sum(terms) / sum(w), rel=1e-14)


def test_bernoulli_nll_by_its_definition():
    a, t = rng.normal(size=(6, 1)), np.array([0, 1, 1, 0, 1, 0])
    terms = []
    for n in range(6):
        y = 1 / (1 + math.exp(-a[n, 0]))
        terms.append(-(t[n] * math.log(y) + (1 - t[n]) * math.log(1 - y)))
    np.testing.assert_allclose(BernoulliNLLLoss("none")(a, t), terms, rtol=1e-13)
    assert BernoulliNLLLoss()(a, t) == pytest.approx(sum(terms) / 6, rel=1e-14)
    w = np.where(t == 1, 3.0, 1.0) * WEIGHTS
    weighted = BernoulliNLLLoss("mean", [1, 3])(a, t, WEIGHTS)
    assert weighted == pytest.approx((w @ terms) / w.sum(), rel=1e-14)


def test_repeating_a_row_equals_a_weight_of_two():
    cost = Sequential(Linear(3, 3, rng=0), LogSoftmax(), NLLLoss())
    x = rng.normal(size=(6, 3))
    twice = np.repeat(np.arange(6), [2, 1, 1, 2, 1, 1])
    value, gradients = value_and_gradients(cost, x, LABELS, [2, 1, 1, 2, 1, 1])
    repeated_value, repeated_gradients = value_and_gradients(cost, x[twice], LABELS[twice])
    assert value == pytest.approx(repeated_value, rel=1e-14)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, repeated_gradients[name], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "labels", [LABELS.tolist(), *(LABELS.astype(dtype) for dtype in (np.uint8, np.int32, np.uint64, ">i4"))]
)
def test_labels_of_any_integer_type(labels):
    assert NLLLoss()(LOG_P, labels) == NLLLoss()(LOG_P, LABELS)


@pytest.mark.parametrize("dtype", [bool, np.int8, float, np.float32])
def test_binary_labels_of_many_types(dtype):
    a, t = rng.normal(size=(4, 1)), np.array([0, 1, 1, 0])
    assert BernoulliNLLLoss()(a, t.astype(dtype)) == BernoulliNLLLoss()(a, t)


def test_the_two_class_softmax_is_the_sigmoid():
    a = rng.normal(size=(5, 1))
    t = np.array([0, 1, 1, 0, 1])
    scores = np.hstack([np.zeros_like(a), a])
    two = Sequential(LogSoftmax(), NLLLoss())(scores, t)
    assert BernoulliNLLLoss()(a, t) == pytest.approx(two, rel=1e-14)


def test_an_empty_batch_sums_to_zero():
    assert NLLLoss("sum")(np.zeros((0, 3)), np.zeros(0, int)) == 0
    assert BernoulliNLLLoss("sum")(np.zeros((0, 1)), np.zeros(0, int)) == 0
    assert NLLLoss("none")(np.zeros((0, 3)), np.zeros(0, int)).shape == (0,)


def test_a_weight_of_zero_takes_a_row_out():
    weights = np.array([1, 1, 0, 1, 1, 1])
    kept = weights == 1
    assert NLLLoss()(LOG_P, LABELS, weights) == pytest.approx(NLLLoss()(LOG_P[kept], LABELS[kept]), rel=1e-14)


def test_a_weight_of_zero_takes_out_a_row_that_is_impossible():
    log_p = LOG_P.copy()
    log_p[2, LABELS[2]] = -np.inf
    weights = np.array([1, 1, 0, 1, 1, 1])
    assert NLLLoss("sum")(log_p, LABELS, weights) == pytest.approx(NLLLoss("sum")(LOG_P, LABELS, weights), rel=1e-14)


@pytest.mark.parametrize("size", [1e38, 1e-50, 1e308])
def test_large_and_small_weights_of_float32_data(size):
    log_p = LOG_P.astype(np.float32)
    assert NLLLoss()(log_p, LABELS, np.full(6, size)) == pytest.approx(NLLLoss()(log_p, LABELS), rel=1e-6)


def test_class_weights_are_the_losss_own():
    weights = np.ones(3)
    loss = NLLLoss("sum", weights)
    before = loss(LOG_P, LABELS)
    weights[:] = -1
    assert loss(LOG_P, LABELS) == before


def test_a_complex_delta_goes_through_a_real_cache():
    for loss, z, t in ((NLLLoss(), LOG_P, LABELS), (BernoulliNLLLoss(), LOG_P[:, :1], LABELS > 0)):
        _, cache = loss.forward(z, t)
        np.testing.assert_array_equal(loss.backward(1j, cache), 1j * loss.backward(1.0, cache))


def test_boolean_labels_and_memory_maps(tmp_path):
    two = LOG_P[:, :2]
    assert NLLLoss()(two, LABELS > 0) == NLLLoss()(two, (LABELS > 0).astype(int))
    mapped = np.memmap(tmp_path / "log_p", dtype=float, mode="w+", shape=LOG_P.shape)
    mapped[:] = LOG_P
    assert NLLLoss()(mapped, LABELS) == NLLLoss()(LOG_P, LABELS)


@pytest.mark.parametrize("label", [256, -256, 2**32])
def test_labels_are_not_reduced_to_bytes(label):
    with pytest.raises(ValueError, match=r"expects labels 0 \.\. 2"):
        NLLLoss()(LOG_P, np.array([0, 1, label, 0, 1, 2]))
