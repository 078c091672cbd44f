"""Flat parameters, SGD, L-BFGS and mini-batches."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import (
    SGD,
    FlatParameters,
    Linear,
    LogSoftmax,
    NLLLoss,
    Scale,
    Sequential,
    Tanh,
    minibatches,
    minimize_lbfgs,
    value_and_gradients,
)


def cost(rng=0):
    rng = np.random.default_rng(rng)
    return Sequential(Linear(3, 4, rng=rng), Tanh(), Linear(4, 2, rng=rng), LogSoftmax(), NLLLoss())


X = np.random.default_rng(1).normal(size=(9, 3))
T = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])


def test_the_vector_is_the_parameters():
    stack = cost()
    before = {name: array.copy() for name, array in stack.parameters().items()}
    value = stack(X, T)
    theta = FlatParameters(stack)
    assert len(theta) == 3 * 4 + 4 + 4 * 2 + 2
    assert theta.vector.flags.c_contiguous
    np.testing.assert_array_equal(theta.vector, np.concatenate([array.ravel() for array in before.values()]))
    assert stack(X, T) == value
    for name, array in stack.parameters().items():
        np.testing.assert_array_equal(array, before[name])
        assert np.shares_memory(array, theta.vector)
    theta.vector[:] = 0
    assert not any(array.any() for array in stack.parameters().values())
    stack[0].weight[0, 0] = 7
    assert theta.vector[0] == 7
    theta.vector -= 1
    assert stack[0].weight[0, 0] == 6


def test_gradients_in_the_order_of_the_vector():
    stack = cost()
    theta = FlatParameters(stack)
    _, gradients = value_and_gradients(stack, X, T)
    flat = theta.flatten(gradients)
    direction = np.random.default_rng(2).normal(size=len(theta))
    start, h = theta.vector.copy(), 1e-5
    theta.vector = start + h * direction
    above = stack(X, T)
    theta.vector = start - h * direction
    assert (above - stack(X, T)) / (2 * h) == pytest.approx(flat @ direction, rel=1e-8)
    for name, array in theta.split(flat).items():
        np.testing.assert_array_equal(array, gradients[name])


def test_a_shared_parameter_appears_once_and_stays_shared():
    a, b = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    b.weight = a.weight
    stack = Sequential(a, Tanh(), Sequential(b, a))
    theta = FlatParameters(stack)
    assert theta.shapes == {"0.weight": (3, 3), "0.bias": (3,), "2.0.bias": (3,)}
    assert a.weight is b.weight
    theta.vector[:9] = 5
    assert (b.weight == 5).all()


def test_replaced_parameters_are_noticed():
    stack = cost()
    theta = FlatParameters(stack)
    stack[2].weight = stack[2].weight.copy()
    _, gradients = value_and_gradients(stack, X, T)
    for use in (lambda: theta.vector, lambda: theta.flatten(gradients), lambda: setattr(theta, "vector", np.zeros(26))):
        with pytest.raises(RuntimeError, match=r"2\.weight of Sequential is no longer part of this vector"):
            use()
    FlatParameters(stack)
    again = FlatParameters(stack)
    assert again.vector.size == 26


@pytest.mark.parametrize("view", [lambda w: w.T, lambda w: w[:], lambda w: w[::-1]])
def test_overlapping_parameters_are_refused(view):
    a, b = Linear(3, 3, rng=0), Linear(3, 3, rng=1)
    b.weight = view(a.weight)
    for use in (FlatParameters, lambda stack: stack.with_parameters({"0.bias": np.zeros(3)})):
        with pytest.raises(ValueError, match=r"parameters 0\.weight and 1\.weight that overlap in memory"):
            use(Sequential(a, b))


def test_a_vector_of_the_wrong_shape_or_not_finite_is_refused():
    theta = FlatParameters(cost())
    before = theta.vector.copy()
    with pytest.raises(ValueError, match=r"expects a vector of shape \(26,\), got \(25,\)"):
        theta.vector = np.zeros(25)
    with pytest.raises(ValueError, match=r"got nan in vector\[0\]"):
        theta.vector = np.full(26, np.nan)
    np.testing.assert_array_equal(theta.vector, before)


def test_sgd_is_its_formula_in_place():
    stack = cost()
    before = {name: array.copy() for name, array in stack.parameters().items()}
    sgd = SGD(stack, learning_rate=0.25)
    arrays = stack.parameters()
    _, gradients = value_and_gradients(stack, X, T)
    sgd.step(gradients)
    for name, array in stack.parameters().items():
        assert array is arrays[name]
        assert np.shares_memory(array, sgd.theta.vector)
        np.testing.assert_array_equal(array, before[name] - 0.25 * gradients[name])


def test_sgd_and_flat_parameters_may_be_made_in_either_order():
    stack = cost()
    sgd = SGD(stack, 0.5)
    theta = FlatParameters(stack)
    before = theta.vector.copy()
    _, gradients = value_and_gradients(stack, X, T)
    sgd.step(gradients)
    np.testing.assert_array_equal(theta.vector, before - 0.5 * theta.flatten(gradients))


def test_a_vector_made_again_is_the_same_vector():
    stack = cost()
    theta = FlatParameters(stack)
    arrays = stack.parameters()
    again, model, top = FlatParameters(stack), FlatParameters(stack[:-1]), FlatParameters(stack[2:])
    assert all(array is arrays[name] for name, array in stack.parameters().items())
    theta.vector[:] = np.arange(26)
    np.testing.assert_array_equal(again.vector, np.arange(26))
    np.testing.assert_array_equal(model.vector, np.arange(26))
    np.testing.assert_array_equal(top.vector, np.arange(16, 26))
    top.vector = np.zeros(10)
    np.testing.assert_array_equal(theta.vector[15:], [15] + 10 * [0])
    assert len(FlatParameters(stack[0])) == 16
    theta.vector[:] = 1  # is still that of all
    assert (stack[2].bias == 1).all()


def test_arrays_that_only_look_joined_are_joined_anew():
    base = np.arange(12.0)
    pieces = {
        "a gap": (base[:4], base[5:9]),
        "another order": (base[4:8], base[:4]),
        "a stride": (base[:8:2], base[8:]),
        "read-only": (base[:4], base[4:8]),
        "two owners": (base[:4], base[4:8].copy()),
        "of two axes": tuple(base.reshape(2, 6).copy()),
    }
    pieces["read-only"][1].flags.writeable = False
    for case, (a, b) in pieces.items():
        layer = Sequential(Scale(len(a)), Scale(len(b)))
        layer[0].scale, layer[1].scale = a, b
        theta = FlatParameters(layer)
        assert not np.shares_memory(theta.vector, base), case
        np.testing.assert_array_equal(theta.vector, np.concatenate([a, b]), err_msg=case)
        theta.vector += 1
        np.testing.assert_array_equal(layer[1].scale, theta.vector[len(a) :])
        np.testing.assert_array_equal(base, np.arange(12.0), err_msg=case)


def test_nothing_is_shared_with_copies_of_layers():
    stack = cost()
    theta = FlatParameters(stack)
    start = theta.vector.copy()
    other_weight = stack.with_parameters({"0.weight": np.ones((4, 3))})
    copies = [copy.deepcopy(stack), pickle.loads(pickle.dumps(stack)), stack.astype(np.float32), other_weight]
    for twin in copies:
        other = FlatParameters(twin)
        assert not np.shares_memory(other.vector, theta.vector)
        other.vector = np.full(26, 7.0)
        np.testing.assert_array_equal(theta.vector, start)
        np.testing.assert_array_equal(stack[0].weight.ravel(), start[:12])
    theta.vector[:] = 3
    assert all((twin[0].weight == 7).all() for twin in copies)


def test_a_parameter_of_no_axes_and_one_of_no_numbers():
    stack = Sequential(Scale(()), Scale(2), Scale(2))
    stack[1].scale = np.zeros(0)
    theta = FlatParameters(stack)
    again = FlatParameters(stack)
    assert theta.shapes == {"0.scale": (), "1.scale": (0,), "2.scale": (2,)}
    theta.vector[0] = 5
    assert (stack[0].scale, again.vector[0]) == (5, 5)


def test_lbfgs_solves_a_quadratic_exactly():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(8, 8))
    matrix, right = root @ root.T + 0.1 * np.eye(8), rng.normal(size=8)
    minimum = minimize_lbfgs(
        lambda x: (x @ matrix @ x / 2 - right @ x, matrix @ x - right), np.zeros(8), tolerance=1e-9
    )
    assert minimum.converged
    assert "converged" in minimum.message
    np.testing.assert_allclose(minimum.x, np.linalg.solve(matrix, right), rtol=1e-7)
    assert minimum.gradient_norm <= 1e-9


def rosenbrock(x):
    value = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    return value, np.array(
        [-400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)],
    )


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_lbfgs_descends_rosenbrocks_valley_from_anywhere(a, b):
    values = []
    start = np.array([a, b])
    minimum = minimize_lbfgs(rosenbrock, start, callback=lambda i, value, norm: values.append(value))
    assert minimum.converged
    np.testing.assert_allclose(minimum.x, [1, 1], rtol=1e-5)
    assert all(later <= earlier * (1 + 1e-14) for earlier, later in pairwise(values))
    assert len(values) == minimum.iterations + 1
    np.testing.assert_array_equal(start, [a, b])


def test_lbfgs_says_when_it_did_not_converge():
    short = minimize_lbfgs(rosenbrock, np.array([-1.0, 1.0]), max_iterations=2)
    assert not short.converged
    assert short.message.startswith("stopped after 2 iterations: largest gradient entry")
    uphill = minimize_lbfgs(lambda x: (x @ x, -2 * x), np.ones(3))
    assert not uphill.converged
    assert uphill.message.startswith("stopped: no step lowers the value any more")


def test_lbfgs_says_when_there_is_no_minimum():
    falling = minimize_lbfgs(lambda x: (-x.sum(), -np.ones(2)), np.zeros(2))
    assert not falling.converged
    assert "falls without end" in falling.message
    assert np.isfinite(falling.x).all()
    with np.errstate(divide="ignore"):
        pole = minimize_lbfgs(lambda x: (np.log(x[0] ** 2), 2 / x), np.array([1.0]))
    assert not pole.converged
    assert np.isfinite(pole.value)


def test_lbfgs_never_walks_into_nan():
    def trap(x):
        return x @ x, np.where(np.abs(x) > 1, 2 * x, np.nan)

    minimum = minimize_lbfgs(trap, np.array([3.0, 4.0]))
    assert not minimum.converged
    assert np.isfinite(minimum.gradient_norm)


def test_lbfgs_takes_a_function_that_reuses_its_gradient():
    buffer = np.empty(4)

    def quadratic(x):
        np.multiply(np.arange(1, 5), x, out=buffer)
        return x @ buffer / 2, buffer

    minimum = minimize_lbfgs(quadratic, np.ones(4))
    assert minimum.converged
    assert minimum.evaluations < 30


def test_lbfgs_counts_what_it_does():
    calls = []

    def counted(x):
        calls.append(x)
        return rosenbrock(x)

    minimum = minimize_lbfgs(counted, np.array([-1.0, 2.0]))
    assert minimum.evaluations == len(calls)
    # Curvature is learnt: steepest descent needs thousands of iterations in this valley.
    assert 10 < minimum.iterations < 60


def test_a_copy_of_flat_parameters_belongs_to_a_copy_of_the_model():
    theta = FlatParameters(cost())
    for other in (copy.deepcopy(theta), pickle.loads(pickle.dumps(theta))):
        other.vector = np.full(26, 7.0)
        assert (other.layer[0].weight == 7).all()
        assert not (theta.vector == 7).any()


def test_a_complex_or_overflowing_vector_is_refused():
    theta = FlatParameters(cost().astype(np.float32))
    before = theta.vector.copy()
    with pytest.raises(TypeError, match="holds float32, got complex128: with_parameters takes any type"):
        theta.vector = np.full(26, 1j)
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=r"got inf in vector\[0\]"):
        theta.vector = np.full(26, 1e300)
    np.testing.assert_array_equal(theta.vector, before)


def test_lbfgs_steps_back_from_where_the_function_is_infinite():
    def barrier(x):
        if x[0] <= 0:
            raise FloatingPointError("outside")
        return x[0] - np.log(x[0]), 1 - 1 / x

    minimum = minimize_lbfgs(barrier, np.array([1e-3]))
    assert minimum.converged
    assert minimum.x[0] == pytest.approx(1, rel=1e-5)


@given(st.integers(0, 30), st.integers(1, 12), st.integers(0, 100))
def test_an_epoch_holds_every_row_once_with_its_targets(n, size, seed):
    x, t = np.arange(2.0 * n).reshape(n, 2), np.arange(n)
    batches = list(minibatches(x, t, t * 10.0, batch_size=size, rng=seed))
    assert [len(batch[0]) for batch in batches] == [size] * (n // size) + [n % size] * (n % size > 0)
    rows = np.concatenate([batch[1] for batch in batches]) if batches else np.zeros(0, int)
    assert sorted(rows) == list(range(n))
    for xs, ts, tens in batches:
        np.testing.assert_array_equal(xs, x[ts])
        np.testing.assert_array_equal(tens, ts * 10)
    again = [batch[1].tolist() for batch in minibatches(x, t, batch_size=size, rng=seed)]
    assert again == [batch[1].tolist() for batch in batches]


def test_one_generator_gives_epochs_of_different_order():
    rng = np.random.default_rng(0)
    x, t = np.zeros((50, 1)), np.arange(50)
    first, second = (next(minibatches(x, t, batch_size=50, rng=rng))[1] for _ in range(2))
    assert first.tolist() != second.tolist()


def test_parameters_in_fortran_order_keep_their_values():
    layer = Linear(3, 2, rng=0)
    values = layer.weight.copy()
    layer.weight = np.asfortranarray(layer.weight)
    theta = FlatParameters(layer)
    np.testing.assert_array_equal(layer.weight, values)
    np.testing.assert_array_equal(theta.vector[:6], values.ravel())


def test_gradients_in_any_order_become_the_same_vector():
    stack = cost()
    theta = FlatParameters(stack)
    _, gradients = value_and_gradients(stack, X, T)
    np.testing.assert_array_equal(theta.flatten(dict(reversed(gradients.items()))), theta.flatten(gradients))


def test_a_vector_is_not_broadcast():
    theta = FlatParameters(cost())
    with pytest.raises(ValueError, match=r"got \(1, 26\)"):
        theta.vector = np.zeros((1, 26))


def test_lbfgs_steps_back_when_it_has_left_the_domain():
    left = []

    def barrier(x):
        if x[0] <= 0:
            left.append(x[0])
            raise FloatingPointError("outside")
        return x[0] - np.log(x[0]), 1 - 1 / x

    minimum = minimize_lbfgs(barrier, np.array([30.0]))
    assert left, "the test is to step out of the domain"
    assert minimum.converged
    assert minimum.x[0] == pytest.approx(1, rel=1e-5)


def test_more_memory_needs_fewer_iterations():
    scales = np.logspace(0, 4, 20)

    def quadratic(x):
        return float(x @ (scales * x)) / 2, scales * x

    long, short = (minimize_lbfgs(quadratic, np.ones(20), memory=memory) for memory in (20, 1))
    assert long.converged
    assert long.iterations < short.iterations
    assert long.evaluations <= 1.3 * long.iterations + 5


def test_sgd_in_float32_does_not_overflow_unseen():
    layer = Linear(2, 2, rng=0, dtype=np.float32)
    before = layer.weight.copy()
    gradients = {"weight": np.full((2, 2), 1e39), "bias": np.zeros(2)}
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="would make weight NaN or infinite"):
        SGD(layer, 1.0).step(gradients)
    np.testing.assert_array_equal(layer.weight, before)
