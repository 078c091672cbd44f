"""Values in float64 against 400-digit arithmetic: large numbers, tiny costs, tiny gradients."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from precise import (
    absolute_error,
    exact_bernoulli_nll,
    exact_log_softmax,
    exact_sigmoid,
    exact_softmax,
    relative_error,
)

from minigrad import (
    BernoulliNLLLoss,
    Linear,
    LogSigmoid,
    LogSoftmax,
    NLLLoss,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    value_and_gradients,
)
from minigrad.fusions import LogSoftmaxNLLLoss

EPS = np.finfo(float).eps
MODERATE = hnp.arrays(float, st.tuples(st.just(1), st.integers(1, 6)), elements=st.floats(-100, 100))
EXTREME = st.sampled_from([0.0, 1e4, -1e4, 1e300, -1e300, 1e4 + 1, 5e-324, -5e-324, 2.0, 40.0])


def softmax_cost(z, label):
    """The cost of one row by the plain layers and by the fused one."""
    plain = float(Sequential(LogSoftmax(), NLLLoss())(z, np.array([label])))
    fused = float(LogSoftmaxNLLLoss(LogSoftmax(), NLLLoss())(z, np.array([label])))
    return plain, fused


def test_a_tiny_cost_is_not_zero():
    z = np.array([[0.0, -40.0, -80.0]])
    exact = -exact_log_softmax(z[0])[0]
    assert absolute_error(4.2483542552915890e-18, exact) < 1e-33
    for cost in softmax_cost(z, 0):
        assert cost == pytest.approx(4.2483542552915890e-18, rel=1e-15)


@given(MODERATE, st.integers(0, 5))
@example(np.array([[0.0, 0.0, 0.0]]), 1)
@example(np.array([[30.0, 30.0, -30.0]]), 2)
@example(np.array([[0.0, -700.0]]), 0)
def test_the_softmax_cost_is_accurate_to_rounding(z, label):
    label %= z.shape[1]
    exact = -exact_log_softmax(z[0])[label]
    # A difference of two logits d rounds by eps d / 2, which moves e^d by as much relatively; it also enters the cost
    # itself where the label is not the largest.
    for cost in softmax_cost(z, label):
        assert absolute_error(cost, exact) <= EPS * ((8 + np.ptp(z)) * float(exact) + (z.max() - z[0, label]))


@given(MODERATE)
def test_softmax_and_log_softmax_are_accurate_to_rounding(z):
    for found, exact in zip(Softmax()(z)[0], exact_softmax(z[0]), strict=True):
        assert relative_error(found, exact) <= 400 * EPS  # exponents of up to 200 round at 200 eps
    log_p = LogSoftmax()(z)[0]
    for found, exact in zip(log_p, exact_log_softmax(z[0]), strict=True):
        assert absolute_error(found, exact) <= 4 * EPS * (abs(float(exact)) + np.ptp(z) / 2)


@given(hnp.arrays(float, st.tuples(st.integers(1, 3), st.integers(1, 4)), elements=EXTREME))
def test_extreme_logits_give_right_values(z):
    log_p, p = LogSoftmax()(z), Softmax()(z)
    for row, row_log_p, row_p in zip(z, log_p, p, strict=True):
        for found, exact in zip(row_log_p, exact_log_softmax(row), strict=True):
            assert relative_error(found, exact) <= 8 * EPS or abs(exact) < Decimal("1e-300")
        for found, exact in zip(row_p, exact_softmax(row), strict=True):
            assert absolute_error(found, exact) <= 8 * EPS
    for layer in (LogSoftmax(), Softmax()):
        z_next, cache = layer.forward(z)
        assert np.isfinite(z_next).all()
        assert np.isfinite(layer.backward(np.ones_like(z) * 1.5, cache)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_extreme_logits_in_both_precisions(dtype, size):
    z = np.array([[size, 0, -size], [size, size, -size], [-size, -size, -size]], dtype)
    log_p = LogSoftmax()(z)
    expected = np.array(
        [[0, -size, -2 * size], [-np.log(2), -np.log(2), -2 * size - np.log(2)], [-np.log(3)] * 3], dtype
    )
    np.testing.assert_allclose(log_p, expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("logit", [0.0, 1.0, -1.0, 40.0, -40.0, 700.0, -700.0, 1e4, -1e4, 1e300, -1e300, 5e-324])
def test_the_bernoulli_cost_is_accurate_to_rounding(logit, label):
    loss = BernoulliNLLLoss()
    value, cache = loss.forward(np.array([[logit]]), [label])
    exact = exact_bernoulli_nll(logit, label) if abs(logit) < 1e5 else Decimal(max(-logit if label else logit, 0.0))
    assert relative_error(value, exact) <= 4 * EPS or exact < Decimal("1e-300")
    # y - t to full relative accuracy, also where y rounds to t
    if abs(logit) < 700:
        residual = -exact_sigmoid(-logit) if label else exact_sigmoid(logit)
        assert relative_error(loss.backward(1.0, cache)[0, 0], residual) <= 8 * EPS
    assert np.isfinite(loss.backward(1.0, cache)).all()


@given(st.floats(-700, 700))
def test_sigmoids_are_accurate_to_rounding(a):
    z = np.array([[a]])
    assert relative_error(Sigmoid()(z)[0, 0], exact_sigmoid(a)) <= 8 * EPS
    assert relative_error(LogSigmoid()(z)[0, 0], -exact_bernoulli_nll(a, 1)) <= 8 * EPS


@pytest.mark.parametrize("size", [1e4, 1e300])
def test_activations_saturate_without_a_warning(size):
    z = np.array([[size, -size]])
    np.testing.assert_array_equal(Sigmoid()(z), [[1, 0]])
    np.testing.assert_array_equal(LogSigmoid()(z), [[0, -size]])
    np.testing.assert_array_equal(Tanh()(z), [[1, -1]])
    for layer in (Sigmoid(), LogSigmoid(), Tanh()):
        _, cache = layer.forward(z)
        assert np.isfinite(layer.backward(np.ones_like(z), cache)).all()
        assert layer.backward(np.ones_like(z), cache)[0, 0] == 0


def test_the_gradient_of_a_confident_right_prediction_is_not_zero():
    """p_t - 1 = -4.2e-18 is lost as a difference; the fused rule keeps it."""
    cost = Sequential(Linear(1, 3, bias=False), LogSoftmax(), NLLLoss())
    cost = cost.with_parameters({"0.weight": np.array([[0.0], [-40.0], [-80.0]])})
    _, gradients = value_and_gradients(cost, np.array([[1.0]]), np.array([0]))
    exact = exact_softmax([0.0, -40.0, -80.0])
    found = gradients["0.weight"][:, 0]
    assert relative_error(found[0], -(exact[1] + exact[2])) <= 8 * EPS
    assert relative_error(found[1], exact[1]) <= 100 * EPS
    assert relative_error(found[2], exact[2]) <= 200 * EPS
