"""Sequential: composition, sharing, interleaving, threads, slices."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from minigrad import (
    SGD,
    Layer,
    Linear,
    LogSoftmax,
    NLLLoss,
    ReLU,
    Sequential,
    Softmax,
    Tanh,
    value_and_gradients,
)
from minigrad.testing import check_layer


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def cost_of(rng, *widths):
    layers = [layer for d, k in pairwise(widths) for layer in (Linear(d, k, rng=rng), Tanh())]
    return Sequential(*layers[:-1], LogSoftmax(), NLLLoss())


def test_the_layer_cake_by_the_formula_of_the_text(rng):
    x, t = rng.normal(size=(7, 3)), rng.integers(0, 4, 7)
    cost = cost_of(rng, 3, 4)
    value, gradients = value_and_gradients(cost, x, t)
    a = x @ cost[0].weight.T + cost[0].bias
    p = np.exp(a) / np.exp(a).sum(axis=1, keepdims=True)
    residual = (p - np.eye(4)[t]) / 7
    assert value == pytest.approx(-np.log(p[np.arange(7), t]).mean(), rel=1e-14)
    np.testing.assert_allclose(gradients["0.weight"], residual.T @ x, rtol=0, atol=1e-15)
    np.testing.assert_allclose(gradients["0.bias"], residual.sum(axis=0), rtol=0, atol=1e-15)


def test_it_iterates_and_slices_share_parameters(rng):
    cost = cost_of(rng, 3, 4, 5)
    assert len(cost) == 5
    assert list(cost) == [cost[i] for i in range(5)]
    assert cost[-1] is list(cost)[-1]
    model = cost[:-1]
    assert isinstance(model, Sequential)
    assert list(model) == list(cost)[:-1]
    assert all(array is cost.parameters()[name] for name, array in model.parameters().items())
    x, t = rng.normal(size=(6, 3)), rng.integers(0, 5, 6)
    before = model(x)
    SGD(cost, 0.1).step(value_and_gradients(cost, x, t)[1])
    assert not np.array_equal(model(x), before)
    assert [type(layer) for layer in cost[2:]] == [Linear, LogSoftmax, NLLLoss]
    assert list(cost[2:].parameters()) == ["0.weight", "0.bias"]


def test_nesting_changes_names_and_nothing_else(rng):
    flat = cost_of(rng, 3, 4, 5)
    nested = Sequential(flat[:1], Sequential(flat[1], flat[2:3]), flat[3:])
    x, t = rng.normal(size=(6, 3)), rng.integers(0, 5, 6)
    value, gradients = value_and_gradients(flat, x, t)
    nested_value, nested_gradients = value_and_gradients(nested, x, t)
    assert nested_value == pytest.approx(value, rel=1e-15)
    assert list(nested_gradients) == ["0.0.weight", "0.0.bias", "1.1.0.weight", "1.1.0.bias"]
    for plain, inner in zip(gradients.values(), nested_gradients.values(), strict=True):
        np.testing.assert_allclose(inner, plain, rtol=0, atol=1e-15)


def test_the_delta_of_the_bottom_input_is_not_computed(rng):
    class Bottom(Linear):
        def backward(self, delta, z):
            raise AssertionError("nobody reads this delta")

    class Unread(Tanh):
        def backward(self, delta, y):
            raise AssertionError("nothing below has parameters")

    inner = Sequential(Unread(), Sequential(Unread(), Bottom(3, 4, rng=rng)), Tanh())
    cost = Sequential(inner, Linear(4, 2, rng=rng), LogSoftmax(), NLLLoss())
    x, t = rng.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1])
    _, cache = cost.forward(x, t)
    with pytest.raises(AssertionError, match="nobody reads"):
        cost.backward(1.0, cache)
    # The container inside is the bottom layer of the outer one, so only its rule 3 runs.
    _, gradients = value_and_gradients(cost, x, t)
    assert list(gradients) == ["0.1.1.weight", "0.1.1.bias", "1.weight", "1.bias"]


def test_a_layer_used_twice_has_one_gradient_the_sum(rng):
    square = Linear(3, 3, rng=rng)
    stack = Sequential(square, Tanh(), square)
    assert list(stack.parameters()) == ["0.weight", "0.bias"]
    z = rng.normal(size=(5, 3))
    check_layer(stack, z)
    z_next, cache = stack.forward(z)
    delta = rng.normal(size=z_next.shape)
    apart = Sequential(square, Tanh(), copy.deepcopy(square))
    _, cache_apart = apart.forward(z)
    total, parts = stack.parameter_gradients(delta, cache), apart.parameter_gradients(delta, cache_apart)
    np.testing.assert_allclose(total["0.weight"], parts["0.weight"] + parts["2.weight"], rtol=1e-14)
    np.testing.assert_allclose(total["0.bias"], parts["0.bias"] + parts["2.bias"], rtol=1e-14)


def test_a_parameter_shared_across_nested_containers_has_one_gradient(rng):
    a, b = Linear(3, 3, rng=rng), Linear(3, 3, rng=rng)
    b.weight = a.weight
    stack = Sequential(Sequential(Tanh(), Sequential(a)), Tanh(), Sequential(b, Tanh()))
    assert list(stack.parameters()) == ["0.1.0.weight", "0.1.0.bias", "2.0.bias"]
    check_layer(stack, rng.normal(size=(4, 3)))
    moved = stack.with_parameters({"0.1.0.weight": np.eye(3)})
    assert moved[0][1][0].weight is moved[2][0].weight
    assert not np.array_equal(a.weight, np.eye(3))


def test_with_parameters_leaves_the_model_and_shares_the_rest(rng):
    cost = cost_of(rng, 3, 4)
    weight, bias = cost[0].weight, cost[0].bias
    moved = cost.with_parameters({"0.weight": np.zeros((4, 3))})
    assert cost[0].weight is weight
    assert moved[0].bias is bias
    assert not moved.parameters()["0.weight"].any()
    assert moved.with_parameters({"0.weight": weight + 1j}).parameters()["0.weight"].dtype == complex


def test_astype_gives_a_model_of_the_other_precision(rng):
    cost = cost_of(rng, 3, 4)
    single = cost.astype("float32")
    assert {array.dtype for array in single.parameters().values()} == {np.dtype("float32")}
    x, t = rng.normal(size=(5, 3)).astype(np.float32), rng.integers(0, 4, 5)
    value, gradients = value_and_gradients(single, x, t)
    assert value.dtype == np.float32
    assert {g.dtype for g in gradients.values()} == {np.dtype("float32")}
    assert cost[0].weight.dtype == np.float64


def test_passes_may_interleave(rng):
    cost = cost_of(rng, 3, 4, 5)
    batches = [(rng.normal(size=(n, 3)), rng.integers(0, 5, n)) for n in (1, 4, 7)]
    alone = [cost.parameter_gradients(1.0, cost.forward(x, t)[1]) for x, t in batches]
    caches = [cost.forward(x, t)[1] for x, t in batches]
    for i in (2, 0, 1, 0):
        for name, gradient in cost.parameter_gradients(1.0, caches[i]).items():
            np.testing.assert_array_equal(gradient, alone[i][name])


def test_threads_may_share_a_model(rng):
    cost = cost_of(rng, 3, 40, 5)
    batches = [(rng.normal(size=(n, 3)), rng.integers(0, 5, n)) for n in range(1, 60)]
    alone = [value_and_gradients(cost, x, t) for x, t in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda batch: value_and_gradients(cost, *batch), batches * 5))
    for (value, gradients), (expected, expected_gradients) in zip(together, alone * 5, strict=True):
        assert value == expected
        assert all(np.array_equal(gradients[name], g) for name, g in expected_gradients.items())


def test_inference_uses_call_and_keeps_nothing(rng):
    class Doubled(Layer):
        """Differs between training and inference, as dropout does."""

        def forward(self, z):
            return z, None

        def __call__(self, z):
            return 2 * z

    x = rng.normal(size=(2, 3))
    stack = Sequential(Doubled(), Sequential(Doubled()))
    np.testing.assert_array_equal(stack(x), 4 * x)
    np.testing.assert_array_equal(stack.forward(x)[0], x)


def test_weights_reach_the_loss_by_position_and_by_name(rng):
    cost = cost_of(rng, 3, 4)
    x, t, weights = rng.normal(size=(5, 3)), rng.integers(0, 4, 5), rng.uniform(size=5)
    by_position, by_name = cost(x, t, weights), cost(x, t, weights=weights)
    assert by_position == by_name == cost.forward(x, t, weights=weights)[0]
    assert value_and_gradients(cost, x, t, weights=weights)[0] == pytest.approx(by_name, rel=1e-14)


def test_models_can_be_copied_and_pickled(rng):
    cost = cost_of(rng, 3, 4)
    x, t = rng.normal(size=(5, 3)), rng.integers(0, 4, 5)
    for other in (copy.deepcopy(cost), pickle.loads(pickle.dumps(cost))):
        assert other(x, t) == cost(x, t)


def test_reprs_teach(rng):
    assert repr(Sequential()) == "Sequential()"
    assert repr(Sequential(Linear(64, 10), Sequential(Tanh(), Linear(10, 2, bias=False)), Softmax())) == (
        "Sequential(\n  0: Linear(64 -> 10)\n  1: Sequential(\n    0: Tanh()\n    1: Linear(10 -> 2, bias=False)\n  )\n"
        "  2: Softmax()\n)"
    )
    assert repr(NLLLoss("sum", [1, 2])) == "NLLLoss(sum, class_weights)"


def test_one_new_array_for_two_parameters_does_not_tie_them(rng):
    stack = Sequential(Linear(3, 3, rng=rng), Linear(3, 3, rng=rng))
    array = np.eye(3)
    moved = stack.with_parameters({"0.weight": array, "1.weight": array})
    assert moved[0].weight is not moved[1].weight
    np.testing.assert_array_equal(moved[1].weight, array)


def test_a_parameter_of_no_axes_can_be_replaced():
    class Scale(Layer):
        parameter_names = ("a",)

        def __init__(self):
            self.a = np.array(2.0)

    moved = Scale().with_parameters({"a": Scale().a + 1})
    assert moved.a == 3
    assert isinstance(moved.a, np.ndarray)


def test_layers_cannot_be_swapped_behind_the_names(rng):
    stack = Sequential(Linear(3, 3, rng=rng))
    with pytest.raises(AttributeError):
        stack.layers = ()


def test_the_slope_of_relu_at_its_kink_is_zero():
    y, cache = ReLU().forward(np.array([[-1.0, -0.0, 0.0, 1e-300]]))
    np.testing.assert_array_equal(y, [[0, 0, 0, 1e-300]])
    np.testing.assert_array_equal(ReLU().backward(np.ones((1, 4)), cache), [[0, 0, 0, 1]])


def test_containers_declare_what_their_layers_declare():
    class Absolute(Tanh):
        complex_safe = False
        rows_independent = False

    plain, mixed = Sequential(Tanh(), Sequential(Tanh())), Sequential(Tanh(), Sequential(Absolute()))
    assert (plain.complex_safe, plain.rows_independent) == (True, True)
    assert (mixed.complex_safe, mixed.rows_independent) == (False, False)
    assert not Sequential(Tanh(), NLLLoss()).rows_independent
