"""Penalties: values, gradients, names, sharing, fusion, training."""

import copy

import numpy as np
import pytest

from minigrad import SGD, FlatParameters, Layer, Linear, LogSoftmax, NLLLoss, Sequential, Tanh, minimize_lbfgs
from minigrad import value_and_gradients as derive
from minigrad.fusions import LogSoftmaxNLLLoss, plan
from minigrad.losses import L1Penalty, L2Penalty, MSELoss, Penalized

rng = np.random.default_rng(0)
X, T = rng.normal(size=(6, 3)), np.array([0, 1, 1, 0, 2, 2])


def classifier(reduction="mean", dtype=np.float64):
    return Sequential(
        Linear(3, 4, rng=0, dtype=dtype), Tanh(), Linear(4, 3, rng=1, dtype=dtype), LogSoftmax(), NLLLoss(reduction)
    )


def test_values_and_gradients_by_their_definitions():
    cost = classifier()
    penalized = Penalized(cost, L2Penalty(0.5, "*.weight"), L1Penalty(0.25, "0.*"))
    value, gradients = derive(penalized, X, T)
    plain, of_plain = derive(cost, X, T)
    p = cost.parameters()
    expected = plain
    for name in ("0.weight", "2.weight"):
        expected += 0.5 / 2 * sum(float(theta) ** 2 for theta in p[name].flat)
    for name in ("0.weight", "0.bias"):
        expected += 0.25 * sum(abs(float(theta)) for theta in p[name].flat)
    assert value == pytest.approx(expected, rel=1e-14)
    assert penalized(X, T) == pytest.approx(expected, rel=1e-14)
    added = {
        "0.weight": 0.5 * p["0.weight"] + 0.25 * np.sign(p["0.weight"]),
        "0.bias": 0.25 * np.sign(p["0.bias"]),
        "2.weight": 0.5 * p["2.weight"],
        "2.bias": 0 * p["2.bias"],
    }
    assert list(gradients) == list(of_plain)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient - of_plain[name], added[name], rtol=0, atol=1e-15)


def test_names_are_those_of_the_cost():
    cost = classifier()
    penalized = Penalized(cost, L2Penalty(1))
    assert list(penalized.parameters()) == list(cost.parameters())
    assert [name for name, _, _ in penalized.parameter_places()] == list(cost.parameters())
    assert all(penalized.parameters()[name] is array for name, array in cost.parameters().items())
    assert penalized.cost is cost
    assert penalized.with_parameters(cost.parameters()).cost[0].weight is cost[0].weight


def test_the_cost_inside_is_fused():
    penalized = Penalized(classifier(), L2Penalty(0.5))
    assert type(plan(penalized).parts[-1].layer) is LogSoftmaxNLLLoss
    assert plan(penalized) is plan(penalized)
    value, gradients = derive(penalized, X, T)
    plain, cache = penalized.forward(X, T)
    assert value == pytest.approx(plain, rel=1e-14)
    for name, gradient in penalized.parameter_gradients(1.0, cache).items():
        np.testing.assert_allclose(gradients[name], gradient, rtol=0, atol=1e-14)
    assert plan(Penalized(Sequential(Linear(3, 1, rng=0), MSELoss()), L2Penalty(1))) is None


def test_penalties_around_penalties():
    cost = classifier()
    twice = Penalized(Penalized(cost, L2Penalty(1)), L2Penalty(2))
    assert type(plan(twice).parts[-1].layer) is LogSoftmaxNLLLoss
    once = Penalized(cost, L2Penalty(3))
    assert derive(twice, X, T)[0] == pytest.approx(derive(once, X, T)[0], rel=1e-14)


def test_delta_scales_the_penalty_too():
    cost = Penalized(classifier(), L2Penalty(0.5), L1Penalty(0.25))
    _, cache = cost.forward(X, T)
    once, thrice = (cost.parameter_gradients(delta, cache) for delta in (1.0, 3.0))
    for name, gradient in once.items():
        np.testing.assert_allclose(thrice[name], 3 * gradient, rtol=1e-14)
    dz, gradients = cost.backpropagate(3.0, cache)
    assert all(np.array_equal(gradients[name], gradient) for name, gradient in thrice.items())
    np.testing.assert_allclose(dz, 3 * cost.backward(1.0, cache), rtol=1e-14)


def test_a_shared_array_counts_once():
    square = Linear(3, 3, bias=False, rng=0)
    cost = Penalized(Sequential(square, square, MSELoss("sum")), L2Penalty(2))
    value, gradients = derive(cost, np.zeros((1, 3)), np.zeros((1, 3)))
    assert value == pytest.approx((square.weight**2).sum(), rel=1e-14)
    np.testing.assert_allclose(gradients["0.weight"], 2 * square.weight, rtol=1e-15)


def test_no_penalty_at_zero_and_no_slope_at_the_kink():
    cost = Penalized(Sequential(Linear(3, 2, rng=0), MSELoss("sum")), L1Penalty(1))
    cost = cost.with_parameters({name: 0 * a for name, a in cost.parameters().items()})
    value, gradients = derive(cost, np.zeros((2, 3)), np.zeros((2, 2)))
    assert value == 0
    assert not any(gradient.any() for gradient in gradients.values())


def test_float32_stays_float32():
    value, gradients = derive(Penalized(classifier(dtype=np.float32), L2Penalty(1), L1Penalty(1)), X.astype("f"), T)
    assert value.dtype == np.float32
    assert {gradient.dtype for gradient in gradients.values()} == {np.dtype(np.float32)}


def test_ridge_regression_has_its_closed_form():
    x, t = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    cost = Penalized(Sequential(Linear(3, 1, bias=False, rng=0), MSELoss("sum")), L2Penalty(4.0, "0.weight"))
    theta = FlatParameters(cost)

    def function(vector):
        theta.vector = vector
        value, gradients = derive(cost, x, t)
        return float(value), theta.flatten(gradients)

    minimum = minimize_lbfgs(function, theta.vector.copy(), tolerance=1e-10)
    assert minimum.converged
    # sum (x w - t)^2 + 2 w^2 is least where (X^T X + 2 I) w = X^T t.
    np.testing.assert_allclose(minimum.x, np.linalg.solve(x.T @ x + 2 * np.eye(3), x.T @ t)[:, 0], rtol=1e-9)


def test_sgd_steps_down_the_penalised_cost():
    cost = Penalized(classifier(), L2Penalty(0.1, "*.weight"))
    sgd = SGD(cost, 0.1)
    before = derive(cost, X, T)[0]
    for _ in range(20):
        sgd.step(derive(cost, X, T)[1])
    assert derive(cost, X, T)[0] < 0.9 * before


def test_a_copy_penalises_its_own_arrays():
    cost = Penalized(classifier(), L2Penalty(1))
    twin = copy.deepcopy(cost)
    twin.cost[0].weight[:] = 100
    assert twin(X, T) > cost(X, T) + 1000


def test_widths_left_out_are_looked_at_with_the_first_batch():
    cost = Penalized(Sequential(Linear(None, 2), LogSoftmax(), NLLLoss()), L2Penalty(1, "1.*"))
    with pytest.raises(ValueError, match="matches no parameter"):
        cost.forward(X, T % 2)
    right = Penalized(Sequential(Linear(None, 2), LogSoftmax(), NLLLoss()), L2Penalty(1, "0.weight"))
    value, gradients = derive(right, X, T % 2)
    assert np.isfinite(value)
    assert list(gradients) == ["0.weight", "0.bias"]


MESSAGES = [
    (
        lambda: Penalized(classifier(), L2Penalty(1, "*.wieght")),
        ValueError,
        r"L2Penalty\(1, '\*\.wieght'\) matches no parameter of Penalized\(Sequential\): "
        r"it has 0\.weight, 0\.bias, 2\.weight, 2\.bias",
    ),
    (lambda: Penalized(MSELoss(), L2Penalty(1)), ValueError, "it has none"),
    (lambda: Penalized(classifier(), 0.1), TypeError, r"expects penalties after the cost, got float: L2Penalty\(0.1\)"),
    (lambda: Penalized(NLLLoss, L2Penalty(1)), TypeError, r"expects layers, got the class NLLLoss .*make one"),
    (lambda: L2Penalty(-1), ValueError, "L2Penalty expects strength to be a finite number of 0 or more, got -1"),
    (lambda: L1Penalty(np.inf), ValueError, "L1Penalty expects strength to be a finite number of 0 or more, got inf"),
    (lambda: L1Penalty(1, 0), TypeError, r"expects a pattern of names such as '\*\.weight', got int"),
    (
        lambda: Penalized(classifier("none"), L2Penalty(1))(X, T),
        ValueError,
        r"Penalized\(Sequential\) expects a cost that is one number, got \(6,\): end the stack with a loss of",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), MESSAGES)
def test_messages(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_a_wrong_rule_3_below_a_penalty_does_not_broadcast():
    class OneForAll(Layer):
        """One gradient where there are three."""

        parameter_names = ("a",)

        def __init__(self):
            self.a = np.ones(3)

        def forward(self, z):
            return (self.a * z).sum(), z

        def backward(self, delta, z):
            return delta * self.a * np.ones_like(z)

        def parameter_gradients(self, delta, z):
            return {"a": np.array([(delta * z).sum()])}

    with pytest.raises(ValueError, match=r"expects the gradient of a to have its shape \(3,\), got \(1,\)"):
        derive(Penalized(OneForAll(), L2Penalty(1.0)), np.ones((4, 3)))


def test_cost_and_penalties_are_fixed():
    penalized = Penalized(Linear(3, 2, rng=0) >> LogSoftmax() >> NLLLoss(), L2Penalty(0.1))
    for name in ("cost", "penalties"):
        with pytest.raises(AttributeError, match="no setter"):
            setattr(penalized, name, None)
    assert len(penalized[:-1]) == 2
