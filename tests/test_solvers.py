"""Solvers: from every start down to a minimum, and an answer to whether it is one."""

from itertools import pairwise
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import (
    BatchNorm1d,
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    Dropout,
    L1Penalty,
    L2Penalty,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    ReLU,
    Scale,
    Sequential,
    Sigmoid,
    Tanh,
    minimize_lbfgs,
    value_and_gradients,
)
from minigrad.initializers import zeros
from minigrad.optim.columns import Columns
from minigrad.optim.gradient_descent import minimize_gradient_descent
from minigrad.optim.minimum import ADVICE, Point
from minigrad.optim.newton import WholeHessian, minimize_newton
from minigrad.optim.newton_cg import ConjugateGradients, minimize_newton_cg
from minigrad.optim.problem import Problem
from minigrad.optim.solvers import LBFGS, GradientDescent, Newton, NewtonCG

SOLVERS = [GradientDescent, LBFGS, Newton, NewtonCG]
OF_CURVATURE = [Newton, NewtonCG]
DIGITS = Path(__file__).parent.parent / "examples" / "data" / "digits.npz"


# Functions of a vector, with their gradients and Hessians.


def rosenbrock(x):
    a, b = x
    value = 100 * (b - a**2) ** 2 + (1 - a) ** 2
    return value, np.array([-400 * a * (b - a**2) - 2 * (1 - a), 200 * (b - a**2)])


def rosenbrock_hessian(x):
    a, b = x
    return np.array([[1200 * a**2 - 400 * b + 2, -400 * a], [-400 * a, 200.0]])


BEALE = np.array([1.5, 2.25, 2.625])
POWERS = np.arange(1, 4)


def beale(x):
    a, b = x
    r = BEALE - a * (1 - b**POWERS)
    by_a, by_b = b**POWERS - 1, a * POWERS * b ** (POWERS - 1)
    return r @ r, 2 * np.array([r @ by_a, r @ by_b])


def beale_hessian(x):
    a, b = x
    r = BEALE - a * (1 - b**POWERS)
    jacobian = np.array([b**POWERS - 1, a * POWERS * b ** (POWERS - 1)])
    mixed = r @ (POWERS * b ** (POWERS - 1))
    by_bb = a * (r @ (POWERS * (POWERS - 1) * b ** np.maximum(POWERS - 2, 0)))
    return 2 * (jacobian @ jacobian.T + np.array([[0, mixed], [mixed, by_bb]]))


def powell(x):
    a, b, c, d = x
    value = (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4
    p, q, r, s = 2 * (a + 10 * b), 10 * (c - d), 4 * (b - 2 * c) ** 3, 40 * (a - d) ** 3
    return value, np.array([p + s, 10 * p + r, q - 2 * r, -q - s])


def powell_hessian(x):
    a, b, c, d = x
    r, s = 12 * (b - 2 * c) ** 2, 120 * (a - d) ** 2
    return np.array(
        [[2 + s, 20, 0, -s], [20, 200 + r, -2 * r, 0], [0, -2 * r, 10 + 4 * r, -10], [-s, 0, -10, 10 + s]], dtype=float
    )


FUNCTIONS = {
    "rosenbrock": (rosenbrock, rosenbrock_hessian, 2),
    "beale": (beale, beale_hessian, 2),
    "powell": (powell, powell_hessian, 4),
}
METHODS = {
    "gradient descent": lambda f, h, x, **options: minimize_gradient_descent(f, x, **options),
    "lbfgs": lambda f, h, x, **options: minimize_lbfgs(f, x, **options),
    "newton": lambda f, h, x, **options: minimize_newton(f, x, h, **options),
    "newton-cg": lambda f, h, x, **options: minimize_newton_cg(f, x, lambda x: h(x).__matmul__, **options),
}
BY_CURVATURE = ["newton", "newton-cg"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", FUNCTIONS)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.1, 1.0, 5.0]))
def test_it_descends_from_everywhere(name, method, seed, scale):
    function, hessian, size = FUNCTIONS[name]
    start = scale * np.random.default_rng(seed).normal(size=size)
    values, calls = [], []

    def counted(x):
        calls.append(x.copy())
        return function(x)

    minimum = METHODS[method](
        counted,
        hessian,
        start,
        callback=lambda i, value, norm: values.append(value),
        max_iterations=3000 if method == "gradient descent" else 300,
    )
    assert all(later <= earlier * (1 + 1e-10) for earlier, later in pairwise(values))
    assert len(values) == minimum.iterations + 1
    assert len(calls) == minimum.evaluations
    assert minimum.value == values[-1] == function(minimum.x)[0]
    assert minimum.gradient_norm == np.abs(function(minimum.x)[1]).max()
    assert minimum.converged == (minimum.reason in ("gradient", "rounding"))
    if minimum.reason == "gradient":
        assert minimum.gradient_norm <= 1e-6
    if name == "beale":  # which also falls towards a bound for ever, along b -> 1, a -> oo, until all digits are lost
        assert minimum.reason in ADVICE
    elif method != "gradient descent":
        assert minimum.converged, minimum
    if method in BY_CURVATURE and minimum.converged:
        assert np.linalg.eigvalsh(hessian(minimum.x))[0] >= -1e-6
        assert minimum.iterations < 100 or name == "beale"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_functions_are_what_they_say(name):
    function, hessian, size = FUNCTIONS[name]
    x, v = np.random.default_rng(0).normal(size=(2, size))
    h = 1e-6
    slope = (function(x + h * v)[0] - function(x - h * v)[0]) / (2 * h)
    assert slope == pytest.approx(function(x)[1] @ v, rel=1e-6)
    np.testing.assert_allclose((function(x + h * v)[1] - function(x - h * v)[1]) / (2 * h), hessian(x) @ v, rtol=1e-6)


def quadratic(size=8, seed=0, condition=1e3):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(size, size)))
    matrix = q @ np.diag(np.logspace(0, -np.log10(condition), size)) @ q.T
    matrix = (matrix + matrix.T) / 2
    right = rng.normal(size=size)
    return (lambda x: (x @ matrix @ x / 2 - right @ x, matrix @ x - right)), matrix, right


@pytest.mark.parametrize("method", METHODS)
def test_a_quadratic_is_solved_as_by_linear_algebra(method):
    function, matrix, right = quadratic()
    start = np.arange(8.0)
    minimum = METHODS[method](function, lambda x: matrix, start, tolerance=1e-9)
    assert minimum.reason == "gradient"
    solution = np.linalg.solve(matrix, right)
    np.testing.assert_allclose(minimum.x, solution, rtol=1e-5)
    assert minimum.iterations == 1 or method != "newton"
    assert minimum.decrement_is_exact == (method in BY_CURVATURE)
    short = METHODS[method](function, lambda x: matrix, start, max_iterations=0)
    assert (short.reason, short.converged, short.iterations) == ("max_iterations", False, 0)
    np.testing.assert_array_equal(short.x, start)


def test_the_newton_decrement_of_a_quadratic_is_its_height():
    function, matrix, right = quadratic(condition=10)
    start = np.linalg.solve(matrix, right) + 1e-8 * np.arange(8.0)
    gradient = matrix @ start - right
    height = gradient @ np.linalg.solve(matrix, gradient) / 2
    for minimum in (
        minimize_newton(function, start, lambda x: matrix),
        minimize_newton_cg(function, start, lambda x: matrix.__matmul__),
    ):
        assert minimum.iterations == 0
        assert minimum.newton_decrement**2 / 2 == pytest.approx(height, rel=0.02)  # conjugate gradients stop early
    estimated = minimize_lbfgs(function, np.zeros(8), tolerance=1e-5)
    gradient = function(estimated.x)[1]
    height = gradient @ np.linalg.solve(matrix, gradient) / 2
    assert height / 5 < estimated.newton_decrement**2 / 2 < height * 5


def test_a_singular_hessian_does_no_harm():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 7))
    matrix, right = root.T @ root, root.T @ rng.normal(size=3)

    def function(x):
        return x @ matrix @ x / 2 - right @ x, matrix @ x - right

    for method in BY_CURVATURE:
        minimum = METHODS[method](function, lambda x: matrix, np.zeros(7), tolerance=1e-9)
        assert minimum.reason == "gradient"
        np.testing.assert_allclose(matrix @ minimum.x, right, atol=1e-8)
        assert np.abs(minimum.x).max() < 2
    unbounded = METHODS["newton"](lambda x: (-x[0], np.array([-1.0, 0.0])), lambda x: np.zeros((2, 2)), np.zeros(2))
    assert unbounded.reason == "no_minimum"


def double_well(x):
    a, b = x
    return (a**2 - 1) ** 2 + b**2, np.array([4 * a * (a**2 - 1), 2 * b])


def double_well_hessian(x):
    return np.diag([12 * x[0] ** 2 - 4, 2.0])


@pytest.mark.parametrize("method", BY_CURVATURE)
@pytest.mark.parametrize("start", [(0.0, 0.0), (0.0, 3.0), (1e-9, 1e-9)])
def test_a_saddle_point_is_left(method, start):
    minimum = METHODS[method](double_well, double_well_hessian, np.array(start))
    assert minimum.reason == "gradient"
    np.testing.assert_allclose(np.abs(minimum.x), [1, 0], atol=1e-6)


@given(st.integers(0, 10**6), st.integers(2, 6))
def test_whatever_the_hessian_the_direction_descends(seed, size):
    rng = np.random.default_rng(seed)
    root, gradient = rng.normal(size=(size, size)), rng.normal(size=size)
    h = root + root.T
    point = Point(np.zeros(size), 0.0, gradient)
    expected = np.linalg.eigvalsh(h)
    for method in (WholeHessian(lambda x: h), ConjugateGradients(lambda x: h.__matmul__)):
        step = method.step(point, False, lambda g: False)
        assert step.direction @ gradient < 0
        positive = expected[0] > 0
        if positive and isinstance(method, WholeHessian):
            np.testing.assert_allclose(h @ step.direction, -gradient, rtol=1e-6)
    # Negative curvature that conjugate gradients meet is gone down too: further than without it.
    method = ConjugateGradients(lambda x: np.diag([4.0, -1.0]).__matmul__)
    step = method.step(Point(np.zeros(2), 0.0, np.ones(2)), False, lambda g: False)
    assert step.direction.sum() < -1.5  # the first direction alone gives -4/3


def falls_for_ever(x):
    return np.exp(-x[0]) + x[1] ** 2, np.array([-np.exp(-x[0]), 2 * x[1]])


@pytest.mark.parametrize("method", BY_CURVATURE)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_vanishing_gradient_is_no_minimum_where_newtons_step_does_not_shrink(method, scale):
    def function(x):
        value, gradient = falls_for_ever(x / scale)
        return value, gradient / scale

    def hessian(x):
        return np.diag([np.exp(-x[0] / scale), 2.0]) / scale**2

    # Conjugate gradients see no curvature that is 1e-14 of the largest.
    for start in (0.0,) if method == "newton-cg" else (0.0, 20.0, 100.0):
        minimum = METHODS[method](function, hessian, scale * np.array([start, 1.0]), tolerance=1e-6 / scale)
        assert (minimum.reason, minimum.converged) == ("no_minimum", False)
        assert "has no minimum, as far as can be seen" in str(minimum)

    def hyperbola(x):
        return 1 / x[0], -1 / x**2

    minimum = METHODS[method](hyperbola, lambda x: np.array([[2 / x[0] ** 3]]), np.array([1.0]))
    assert minimum.reason == "no_minimum"


@pytest.mark.parametrize("method", BY_CURVATURE)
@pytest.mark.parametrize("power", [4, 6, 10])
def test_a_flat_minimum_is_one(method, power):
    def function(x):
        return float((x**power).sum()), power * x ** (power - 1)

    def hessian(x):
        return np.diag(power * (power - 1) * x ** (power - 2))

    minimum = METHODS[method](function, hessian, np.array([2.0, -3.0]))
    assert minimum.reason == "gradient"
    assert np.abs(minimum.x).max() < 0.5


@pytest.mark.parametrize("method", BY_CURVATURE)
def test_it_starts_again_where_it_ended(method):
    first = METHODS[method](rosenbrock, rosenbrock_hessian, np.array([-1.2, 1.0]))
    again = METHODS[method](rosenbrock, rosenbrock_hessian, first.x)
    assert again.reason == "gradient"
    assert again.iterations <= 1
    at_minimum = METHODS[method](lambda x: (x @ x, 2 * x), lambda x: 2 * np.eye(3), np.zeros(3))
    assert (at_minimum.reason, at_minimum.iterations) == ("gradient", 0)


@pytest.mark.parametrize("method", BY_CURVATURE)
def test_flat_ground_is_not_called_a_minimum(method):
    flat = METHODS[method](lambda x: (1.0, np.zeros(2)), lambda x: np.zeros((2, 2)), np.ones(2))
    assert (flat.reason, flat.converged) == ("flat", False)
    assert "nothing tells a minimum from a plain" in str(flat)


@pytest.mark.parametrize("method", METHODS)
def test_where_the_function_is_not_finite_it_steps_back(method):
    left = []

    def barrier(x):
        if x[0] <= 0:
            left.append(x[0])
            if x[0] > -1:
                raise FloatingPointError("outside")
            return -1e9, np.array([np.nan])
        return x[0] - np.log(x[0]), 1 - 1 / x

    for start in (1e-3, 30.0):
        minimum = METHODS[method](barrier, lambda x: np.diag(1 / x**2), np.array([start]))
        assert minimum.reason == "gradient"
        assert minimum.x[0] == pytest.approx(1, rel=1e-5)
    assert left, "the test is to step out of the domain"


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_gradient_makes_no_progress(method):
    minimum = METHODS[method](lambda x: (x @ x, -2 * x), lambda x: 2 * np.eye(3), np.ones(3))
    assert (minimum.reason, minimum.converged) == ("no_progress", False)
    assert "Check that the gradient is the derivative" in str(minimum)


@pytest.mark.parametrize("method", BY_CURVATURE)
def test_beyond_the_last_digit_it_says_rounding(method):
    rng = np.random.default_rng(0)

    def noisy(x):
        return 1e6 + 1e6 * x @ x, 2e6 * x + 1e-3 * rng.normal(size=3)

    minimum = METHODS[method](noisy, lambda x: 2e6 * np.eye(3), np.ones(3))
    assert (minimum.reason, minimum.converged) == ("rounding", True)
    assert minimum.gradient_norm > 1e-6
    assert "as near the minimum as its value has digits" in str(minimum)


@pytest.mark.parametrize("method", METHODS)
def test_messages_of_the_functions(method):
    def minimize(function, start, **options):
        return METHODS[method](function, lambda x: 2 * np.eye(len(x)), start, **options)

    def bowl(x):
        return x @ x, 2 * x

    with pytest.raises(TypeError, match="expects start to be a NumPy array, got list"):
        minimize(bowl, [1.0])
    with pytest.raises(TypeError, match="expects start to be real, got complex128"):
        minimize(bowl, np.ones(2) * 1j)
    with pytest.raises(ValueError, match=r"expects start to be a vector, got shape \(2, 2\)"):
        minimize(bowl, np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"got nan in start\[1\]"):
        minimize(bowl, np.array([0, np.nan]))
    with pytest.raises(
        TypeError, match=r"expects function\(x\) -> \(value, gradient\) with a gradient of shape \(2,\)"
    ):
        minimize(lambda x: x @ x, np.ones(2))
    with pytest.raises(ValueError, match="got inf in the value at the start"):
        minimize(lambda x: (np.inf, x), np.ones(2))
    with pytest.raises(ValueError, match="expects tolerance to be a finite number of 0 or more, got -1"):
        minimize(bowl, np.ones(2), tolerance=-1)
    with pytest.raises(TypeError, match="expects max_iterations to be a whole number, got float"):
        minimize(bowl, np.ones(2), max_iterations=1e3)
    with pytest.raises(ValueError, match="expects max_iterations of 0 or more, got -1"):
        minimize(bowl, np.ones(2), max_iterations=-1)


def test_messages_of_newton_and_lbfgs():
    def bowl(x):
        return x @ x, 2 * x

    with pytest.raises(ValueError, match=r"expects hessian\(x\) of shape \(2, 2\), got \(2,\)"):
        minimize_newton(bowl, np.ones(2), lambda x: np.ones(2))
    with pytest.raises(ValueError, match=r"got nan in the Hessian\[0, 0\]"):
        minimize_newton(bowl, np.ones(2), lambda x: np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="expects memory to be a positive integer, got 0"):
        minimize_lbfgs(bowl, np.ones(2), memory=0)


# Costs.


def logistic(features, rng=0, reduction="sum"):
    return Sequential(Linear(features, 1, rng=rng), BernoulliNLLLoss(reduction))


def softmax(features, classes, rng=0, reduction="sum"):
    return Sequential(Linear(features, classes, rng=rng), LogSoftmax(), NLLLoss(reduction))


RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
SCORES = X @ np.array([1.0, -2.0, 0.5])
SEPARATED = (SCORES > 0).astype(int)
MIXED = (SCORES + RNG.normal(size=60) > 0).astype(int)
LINE = np.linspace(-2, 2, 40)[:, np.newaxis]
RIGHT = (LINE[:, 0] > 0).astype(int)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_logistic_fit_is_that_of_fifty_digits(solver):
    mpmath = pytest.importorskip("mpmath")
    rows = [[mpmath.mpf(float(v)) for v in (*row, 1.0)] for row in X]
    with mpmath.workdps(50):
        theta = mpmath.zeros(4, 1)
        for _ in range(12):
            gradient, hessian = mpmath.zeros(4, 1), mpmath.zeros(4)
            for row, t in zip(rows, MIXED.tolist(), strict=True):
                y = 1 / (1 + mpmath.exp(-mpmath.fdot(row, theta)))
                for i in range(4):
                    gradient[i] += (y - t) * row[i]
                    for j in range(4):
                        hessian[i, j] += y * (1 - y) * row[i] * row[j]
            theta -= mpmath.lu_solve(hessian, gradient)
        assert max(map(abs, gradient)) < 1e-30
    cost = logistic(3)
    minimum = solver(cost, tolerance=1e-9).solve(X, MIXED)
    assert minimum.reason == "gradient"
    np.testing.assert_allclose(minimum.x, [float(v) for v in theta], rtol=1e-8)
    np.testing.assert_array_equal(np.append(cost[0].weight, cost[0].bias), minimum.x)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("make", [logistic, lambda features: softmax(features, 2)], ids=["logistic", "softmax"])
def test_separated_classes_have_no_minimum(solver, make):
    for x, t in ((X, SEPARATED), (1e-5 * X + 3, SEPARATED), (LINE, RIGHT)):
        minimum = solver(make(x.shape[1])).solve(x, t)
        assert (minimum.reason, minimum.converged) == ("no_minimum", False), minimum
        assert "look for classes that can be separated" in str(minimum)


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
@pytest.mark.parametrize("make", [logistic, lambda features: softmax(features, 2)], ids=["logistic", "softmax"])
def test_nearly_separated_classes_have_none_either(solver, make):
    x, t = np.vstack([LINE, np.zeros((4, 1))]), np.append(RIGHT, [0, 1, 0, 1])
    minimum = solver(make(1)).solve(x, t)
    assert (minimum.reason, minimum.converged) == ("no_minimum", False), minimum
    assert minimum.value == pytest.approx(4 * np.log(2), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_nor_have_several_classes_or_a_start_far_out(solver, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, 3))
    w = rng.normal(size=(3, 4))
    minimum = solver(softmax(3, 4)).solve(x, (x @ w).argmax(axis=1))
    assert (minimum.reason, minimum.converged) == ("no_minimum", False), minimum
    cost = softmax(3, 4)
    cost[0].weight[...], cost[0].bias[...] = 1e6 * w.T, 0
    minimum = solver(cost).solve(x, (x @ w).argmax(axis=1))
    assert minimum.reason in ("flat", "no_minimum")


@pytest.mark.parametrize("overlap", [1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-9])
@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
@pytest.mark.parametrize("make", [logistic, lambda features: softmax(features, 2)], ids=["logistic", "softmax"])
def test_an_overlap_however_small_makes_a_minimum(solver, make, overlap):
    x, t = np.vstack([LINE, [[0.0]], [[overlap]]]), np.append(RIGHT, [1, 0])
    minimum = solver(make(1)).solve(x, t)
    assert minimum.reason == "gradient", minimum


@pytest.mark.parametrize("solver", OF_CURVATURE)
def test_what_the_softmax_does_not_identify_does_no_harm(solver):
    two, one = solver(softmax(3, 2, rng=5)).solve(X, MIXED), solver(logistic(3)).solve(X, MIXED)
    assert two.value == pytest.approx(one.value, rel=1e-13)
    weight, bias = two.x[:6].reshape(2, 3), two.x[6:]
    np.testing.assert_allclose(weight[1] - weight[0], one.x[:3], rtol=1e-6)
    assert bias[1] - bias[0] == pytest.approx(one.x[3], rel=1e-6)
    assert np.abs(two.x).max() < 20
    constant = np.column_stack([X, np.ones(60), np.zeros(60)])
    three = solver(logistic(5)).solve(constant, MIXED)
    assert three.reason == "gradient"
    assert three.value == pytest.approx(one.value, rel=1e-13)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("has_bias", [True, False])
def test_units_of_measurement_cost_no_iterations(solver, has_bias):
    def fit(x):
        at_zero = (
            {"weight_initializer": zeros(), "bias_initializer": zeros()}
            if has_bias
            else {"weight_initializer": zeros()}
        )
        cost = Sequential(Linear(3, 1, bias=has_bias, **at_zero), BernoulliNLLLoss("mean"))
        return solver(cost).solve(x, MIXED)

    plain = fit(X)
    # In large units the tolerance, on the parameters as they are, is stricter: Newton's last step is far below it.
    scales = ([1e-8, 1e8, 1.0], [1e3, 1e-3, 1e-8]) if solver in OF_CURVATURE else ([1e-8, 1e-3, 1.0], [0.1, 1e-5, 1e-8])
    for scale in scales:
        other = fit(X * scale)
        assert other.converged
        assert abs(other.iterations - plain.iterations) <= 1 + plain.iterations // 4
        assert other.value == pytest.approx(plain.value, rel=1e-10)
        np.testing.assert_allclose(other.x[:3] * scale, plain.x[:3], rtol=1e-4)
    if has_bias:
        # Logits of large parts that cancel are rounded, so that counts differ from one offset to the next: by 10 for
        # plain descent, whose rates are made from differences of gradients.
        counts = []
        for offset in range(9):
            years = fit(X * [1, 10, 100] + [2000 + offset, 1950 - offset, -1e5 + 3 * offset])
            assert years.converged
            counts.append(years.iterations)
        slack = plain.iterations if solver is GradientDescent else 2 + plain.iterations // 2
        assert abs(np.median(counts) - plain.iterations) <= slack, counts
        assert years.value == pytest.approx(plain.value, rel=1e-10)


def test_the_change_of_variables_and_its_derivatives():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 3)) * [1e-3, 1.0, 1e3] + [5, 2000, 0]
    x[:, 1] = 7.0
    t = rng.integers(0, 2, 30)
    cost = Penalized(softmax(3, 2), L2Penalty(0.1))
    problem = Problem(cost, x, (t,), None)
    columns = problem.columns
    assert columns.active
    u = columns.from_parameters(problem.start)
    np.testing.assert_allclose(columns.to_parameters(u), problem.start, rtol=1e-12)
    v = rng.normal(size=8)
    h = 1e-5
    slope = (problem(u + h * v)[0] - problem(u - h * v)[0]) / (2 * h)
    _, gradient = problem(u)
    assert slope == pytest.approx(gradient @ v, rel=1e-7)
    of_parameters = problem.theta.flatten(value_and_gradients(cost, x, t)[1])
    np.testing.assert_allclose(columns.parameter_gradient(gradient), of_parameters, rtol=1e-9)
    assert columns.parameter_norm(gradient) == pytest.approx(np.abs(of_parameters).max())
    by_differences = (problem(u + h * v)[1] - problem(u - h * v)[1]) / (2 * h)
    product = problem.product(u)(v)
    np.testing.assert_allclose(product, by_differences, rtol=1e-6)
    generic = Problem(cost, x, (t,), None)
    generic.units = None
    np.testing.assert_allclose(generic.product(u)(v), product, rtol=1e-8)
    np.testing.assert_allclose(generic.hessian(u), problem.hessian(u), rtol=1e-7, atol=1e-6)


def test_only_the_bottom_linear_layer_is_seen_through():
    shared = Linear(3, 3, rng=0)
    for cost in (
        Sequential(Tanh(), Linear(3, 2), LogSoftmax(), NLLLoss()),
        Sequential(shared, Tanh(), shared, LogSoftmax(), NLLLoss()),
    ):
        columns = Columns(cost, X)
        assert not columns.active
        theta = np.arange(float(sum(array.size for array in cost.parameters().values())))
        assert columns.to_parameters(theta) is columns.from_parameters(theta) is theta
    nested = Penalized(Sequential(Sequential(Linear(3, 2), Tanh()), LogSoftmax(), NLLLoss()), L2Penalty(1.0))
    assert Columns(nested, X).active


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_digits(solver):
    with np.load(DIGITS) as data:
        pixels, labels = data["images"].astype(float).reshape(len(data["labels"]), -1), data["labels"]
    cost = Penalized(softmax(64, 10), L2Penalty(1.0, "*.weight"))
    minimum = solver(cost, max_iterations=5000).solve(pixels, labels)
    assert minimum.reason == "gradient"
    assert minimum.value == pytest.approx(17.0323521816, rel=1e-10)
    gradients = value_and_gradients(cost, pixels, labels)[1]
    assert max(np.abs(array).max() for array in gradients.values()) <= 1e-6
    assert minimum.gradient_norm <= 1e-6
    if solver is NewtonCG:
        assert minimum.iterations <= 20
        assert minimum.products <= 400


@pytest.mark.parametrize("solver", SOLVERS)
def test_least_squares_is_least_squares(solver):
    target = X @ RNG.normal(size=(3, 2)) + 1 + 0.1 * RNG.normal(size=(60, 2))
    cost = Sequential(Linear(3, 2, rng=0), MSELoss("sum"))
    minimum = solver(cost).solve(X, target)
    assert minimum.reason == "gradient"
    assert minimum.iterations == 1 or solver is not Newton
    expected = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), target, rcond=None)[0]
    np.testing.assert_allclose(cost[0].weight, expected[:3].T, rtol=1e-6)
    np.testing.assert_allclose(cost[0].bias, expected[3], rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_network_is_trained_by_its_rules_alone(solver):
    rng = np.random.default_rng(0)
    net = Sequential(Linear(3, 4, rng=rng), Tanh(), Linear(4, 2, rng=rng), LogSoftmax(), NLLLoss("sum"))
    cost = Penalized(net, L2Penalty(1.0))
    values = []
    minimum = solver(cost, tolerance=1e-5).solve(X, MIXED, callback=lambda i, value, norm: values.append(value))
    assert minimum.reason == "gradient", minimum
    assert all(later <= earlier * (1 + 1e-10) for earlier, later in pairwise(values))
    gradients = value_and_gradients(cost, X, MIXED)[1]
    assert max(np.abs(array).max() for array in gradients.values()) <= 1e-5
    assert (minimum.products > 0) == (solver is NewtonCG)
    assert (minimum.hessians > 0) == (solver is Newton)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_cost_with_corners_ends_with_an_answer(solver):
    cost = Sequential(Linear(3, 5, rng=0), ReLU(), Linear(5, 1, rng=1), BernoulliNLLLoss())
    minimum = solver(cost, max_iterations=300).solve(X, MIXED)
    assert minimum.reason in ADVICE
    assert np.isfinite(minimum.value)
    assert "at a corner, as of ReLU" in ADVICE["no_progress"]
    with pytest.raises(ValueError, match=f"{solver.__name__} expects a cost that is smooth, got one with L1Penalty"):
        solver(Penalized(Penalized(logistic(3), L1Penalty(1.0, "*.weight")), L2Penalty(1.0)))
    solver(Penalized(logistic(3), L1Penalty(0.0)))


# Certificates of regressions.


CONSTANTS = [0.1, 1 / 3, 19.99, 2023.0, 1e10]


@pytest.mark.parametrize("constant", CONSTANTS)
@pytest.mark.parametrize("dtype", [float, np.float32])
@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_a_constant_column_changes_nothing(solver, dtype, constant):
    x = np.column_stack([X, np.full(len(X), constant)]).astype(dtype)
    for make in (logistic, lambda features: softmax(features, 2)):
        plain = solver(make(3)).solve(X.astype(dtype), MIXED)
        minimum = solver(make(4)).solve(x, MIXED)
        assert minimum.reason in ("gradient", "rounding"), minimum
        np.testing.assert_allclose(minimum.value, plain.value, rtol=1e-6)


def quasi_separated(seed, classes):
    """Overlapping rows, and one of which an indicator column says what it is."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 3))
    labels = (x @ rng.normal(size=(3, classes)) + rng.normal(size=(60, classes))).argmax(axis=1)
    return np.column_stack([x, np.arange(60) == 3]).astype(float), labels


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_an_indicator_of_one_row_leaves_no_minimum(solver, classes, reduction):
    for seed in range(4):
        x, labels = quasi_separated(seed, classes)
        assert solver(softmax(4, classes, seed, reduction)).solve(x, labels).reason == "no_minimum"
        assert solver(softmax(3, classes, seed, reduction)).solve(x[:, :3], labels).reason == "gradient"


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_whether_there_is_a_minimum_is_what_linear_programming_says(solver):
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows, features = int(rng.integers(4, 60)), int(rng.integers(1, 6))
        x = np.round(rng.normal(size=(rows, features))) if seed % 2 else (rng.normal(size=(rows, features)) > 1) * 1.0
        noise = rng.choice([0.0, 0.3, 1.0, 3.0]) * rng.normal(size=rows)
        labels = (x @ rng.normal(size=features) + 0.5 * rng.normal() + noise > 0).astype(int)
        design = np.column_stack([x, np.ones(rows)]) * (2 * labels - 1.0)[:, np.newaxis]
        bounds = [(-1, 1)] * design.shape[1]
        best = optimize.linprog(-design.sum(axis=0), A_ub=-design, b_ub=np.zeros(rows), bounds=bounds)
        reason = "no_minimum" if -best.fun > 1e-6 else "gradient"
        for make in (logistic, lambda features: softmax(features, 2)):
            assert solver(make(features)).solve(x, labels).reason == reason, seed


@pytest.mark.parametrize("size", [1e6, 1e10, 1e20, 9.97e36])
@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_a_row_that_dwarfs_its_column_does_not_hide_the_others(solver, size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    slope = rng.normal(size=3)
    labels = (x @ slope + rng.normal(size=80) > 0).astype(int)
    others = np.arange(80) != 7
    expected = solver(logistic(3)).solve(x[others], labels[others]).value
    size = min(size, 1e20) if solver is LBFGS else size  # which does not get there from a gradient of 1e37
    x[7, 1] = size * np.sign(slope[1]) * (2 * labels[7] - 1)  # on its right side: its loss vanishes
    minimum = solver(logistic(3)).solve(x, labels)
    assert minimum.reason == "gradient"
    np.testing.assert_allclose(minimum.value, expected, rtol=1e-5)
    x[7, 1] = -x[7, 1]
    weighted = solver(logistic(3)).solve(x, labels, others.astype(float))
    assert weighted.converged
    np.testing.assert_allclose(weighted.value, expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e31, 1e100, 1e150])
@pytest.mark.parametrize("minimise", [minimize_lbfgs, minimize_gradient_descent])
def test_a_bowl_has_a_bottom_from_however_far(minimise, scale):
    minimum = minimise(lambda x: (float(x @ x), 2 * x), scale * np.array([1.0, 0.5]))
    assert (minimum.reason, minimum.value) == ("gradient", 0.0)


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_a_regression_starts_where_its_cost_has_no_value(solver):
    cost = Sequential(Linear(3, 1, rng=0), MSELoss())
    cost[0].weight[:] = 1e200
    minimum = solver(cost).solve(X, X[:, :1] + 1)
    assert minimum.converged
    np.testing.assert_allclose(cost[0].bias, 1, atol=1e-5)


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_counts_by_year(solver):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    counts = rng.poisson(np.exp(x @ [0.5, -0.5, 0.2])).astype(float)[:, np.newaxis]
    plain = solver(Sequential(Linear(3, 1, rng=0), PoissonNLLLoss("sum"))).solve(x, counts)
    x[:, 0] = 2000 + 10 * x[:, 0]
    minimum = solver(Sequential(Linear(3, 1, rng=0), PoissonNLLLoss("sum"))).solve(x, counts)
    assert plain.reason == "gradient"
    np.testing.assert_allclose(minimum.value, plain.value, rtol=1e-9)
    none = np.where(x[:, 1:2] > 0, 0.0, 1.0) * 0
    assert solver(Sequential(Linear(3, 1, rng=0), PoissonNLLLoss("sum"))).solve(x, none).reason == "no_minimum"


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_rows_that_are_all_alike_have_a_minimum(solver):
    rows = np.repeat(np.random.default_rng(1).normal(size=(1, 3)), 10, axis=0)
    minimum = solver(logistic(3, reduction="mean")).solve(rows, np.array([0, 1] * 5))
    assert minimum.reason == "gradient"
    assert minimum.newton_decrement < 1e-6
    np.testing.assert_allclose(minimum.value, np.log(2), rtol=1e-12)


def test_a_user_s_preconditioner_that_is_not_positive_does_no_harm():
    value, matrix = quadratic()[:2]
    for sign in (-1.0, 0.0, np.nan):
        minimum = minimize_newton_cg(
            value, np.ones(8), lambda x: lambda v: matrix @ v, preconditioner=lambda x, a, s=sign: lambda v: s * v
        )
        assert minimum.reason == "gradient"


def test_the_certificate_counts_among_the_iterations():
    seen = []
    solver = LBFGS(logistic(1), max_iterations=30)
    minimum = solver.solve(LINE, RIGHT, callback=lambda i, value, size: seen.append(i))
    assert minimum.iterations <= 30
    assert seen == list(range(minimum.iterations + 1))


def test_a_small_gradient_alone_is_not_called_a_minimum():
    cost = Sequential(Linear(3, 4, rng=0), Tanh(), Linear(4, 1, rng=0), BernoulliNLLLoss())
    minimum = LBFGS(cost, tolerance=1e-3).solve(X, MIXED)
    assert minimum.reason == "gradient"
    assert "Nothing is left" not in str(minimum)
    assert str(minimum).endswith("Newton and NewtonCG look.")


@pytest.mark.parametrize("solver", SOLVERS)
def test_unknown_settings_are_named(solver):
    with pytest.raises(TypeError, match=f"{solver.__name__} takes no tol, maxiter: it has tolerance, max_iterations"):
        solver(logistic(3), tol=1e-3, maxiter=5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("solver", SOLVERS)
def test_when_interrupted_the_best_is_kept(solver, error):
    cost = logistic(3)
    values = [cost(X, MIXED)]

    def stop(iteration, value, norm):
        values.append(value)
        if iteration == 3:
            cost[0].weight[...] = 99.0  # as in the middle of a line search
            raise error("enough")

    with pytest.raises(error):
        solver(cost).solve(X, MIXED, callback=stop)
    assert cost(X, MIXED) == pytest.approx(min(values), rel=1e-12)
    assert cost(X, MIXED) < values[0]


@pytest.mark.parametrize("solver", SOLVERS)
def test_bad_data_change_nothing(solver):
    cost = logistic(3)
    before = cost[0].weight.copy()
    with pytest.raises(ValueError, match="expects labels 0 and 1"):
        solver(cost).solve(X, MIXED + 5)
    bad = X.copy()
    bad[2, 1] = np.nan
    with pytest.raises(FloatingPointError, match=r"got nan in x\[2, 1\]"):
        solver(cost).solve(bad, MIXED)
    np.testing.assert_array_equal(cost[0].weight, before)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_minimum_is_where_it_already_stands(solver):
    cost = Penalized(logistic(3), L2Penalty(1.0))
    solver(cost, tolerance=1e-9).solve(X, MIXED)
    before = cost.cost[0].weight.copy()
    again = solver(cost).solve(X, MIXED)
    assert (again.reason, again.iterations) == ("gradient", 0)
    np.testing.assert_allclose(cost.cost[0].weight, before, rtol=1e-14)


@pytest.mark.parametrize("solver", SOLVERS)
def test_noise_is_refused(solver):
    cost = Sequential(Linear(3, 4, rng=0), Dropout(0.5, rng=0), Linear(4, 2, rng=1), LogSoftmax(), NLLLoss())
    with pytest.raises(ValueError, match=r"leave out the layers that do, such as Dropout, or train it by .* SGD"):
        solver(cost).solve(X, MIXED)


def test_running_statistics_survive_steps_that_go_too_far():
    cost = Sequential(Linear(3, 4, rng=0), BatchNorm1d(4), Tanh(), Linear(4, 2, rng=1), LogSoftmax(), NLLLoss())
    problem = Problem(cost, X, (MIXED,), None)
    u = problem.columns.from_parameters(problem.start)
    problem(u)
    before = {name: np.copy(value) for name, value in cost.state().items()}
    with pytest.raises(FloatingPointError):
        problem(1e308 * u)
    for name, value in cost.state().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("solver", SOLVERS)
def test_single_precision_parameters_stay_single(solver):
    cost = Penalized(logistic(3), L2Penalty(1.0)).astype(np.float32)
    minimum = solver(cost, tolerance=1e-3).solve(X.astype(np.float32), MIXED)
    assert minimum.converged
    assert cost.cost[0].weight.dtype == np.float32


@pytest.mark.parametrize("solver", SOLVERS)
def test_in_chunks_it_is_the_same_minimum(solver):
    pytest.importorskip("minigrad.derivatives.chunks")
    whole, parts = Penalized(logistic(3), L2Penalty(1.0)), Penalized(logistic(3), L2Penalty(1.0))
    a, b = solver(whole).solve(X, MIXED), solver(parts, chunk_size=7).solve(X, MIXED)
    assert b.reason == "gradient"
    np.testing.assert_allclose(b.x, a.x, rtol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_messages_of_the_solvers(solver):
    name = solver.__name__
    with pytest.raises(TypeError, match=f"{name} expects a layer, got list"):
        solver([])
    with pytest.raises(ValueError, match=f"{name} expects tolerance to be a finite number of 0 or more"):
        solver(logistic(3), tolerance=-1e-6)
    with pytest.raises(TypeError, match=f"{name} expects max_iterations to be a whole number"):
        solver(logistic(3), max_iterations=2.5)
    with pytest.raises(ValueError, match=f"{name} expects chunk_size to be a positive integer"):
        solver(logistic(3), chunk_size=0)
    with pytest.raises(ValueError, match="expects a layer with parameters"):
        solver(NLLLoss()).solve(X, MIXED)
    assert repr(solver(logistic(3), max_iterations=5)) == f"{name}(tolerance=1e-06, max_iterations=5)"


def test_the_answer_in_a_sentence():
    cost = Penalized(logistic(3), L2Penalty(1.0))
    minimum = NewtonCG(cost).solve(X, MIXED)
    text = str(minimum)
    assert text.startswith("Converged: largest gradient entry")
    assert f"It took {minimum.iterations} iterations, {minimum.evaluations} evaluations, {minimum.products} " in text
    assert "By the Newton decrement the value" in text
    assert text.endswith("Nothing is left to do.")
    short = str(LBFGS(Penalized(logistic(3), L2Penalty(1.0)), max_iterations=2).solve(X, MIXED))
    assert short.startswith("Stopped after 2 iterations")
    assert short.endswith("NewtonCG.")


@pytest.mark.parametrize("solver", [LBFGS, Newton, NewtonCG])
def test_columns_that_cancel_are_no_proof_that_there_is_no_minimum(solver):
    """A year and the years until 2026: their weights may grow together without any logit moving, but by rounding.

    In a few of a hundred such sets they grow until rounding is all that is left, which is said, and is no proof either.
    """
    converged = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        year = 2000.0 + rng.integers(0, 20, 80)
        x, t = np.column_stack([year, 2026 - year, rng.normal(size=80)]), (rng.random(80) < 0.5).astype(int)
        minimum = solver(Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss())).solve(x, t)
        assert minimum.reason != "no_minimum", minimum
        if not minimum.converged:
            assert minimum.reason in ("no_progress", "rounding"), minimum
            continue
        converged += 1
        one = solver(Sequential(Linear(2, 1, rng=0), BernoulliNLLLoss())).solve(x[:, 1:], t)
        assert minimum.value == pytest.approx(one.value, rel=1e-6)
    assert converged >= 18


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_single_precision_does_not_hide_that_there_is_no_minimum(solver):
    for seed in range(6):
        x, labels = quasi_separated(seed, 3)
        x = x.astype(np.float32)
        cost = softmax(4, 3, seed).astype(np.float32)
        assert solver(cost, tolerance=1e-3).solve(x, labels).reason == "no_minimum"
        cost = softmax(3, 3, seed).astype(np.float32)
        assert solver(cost, tolerance=1e-3).solve(x[:, :3], labels).converged


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
def test_one_output_without_a_minimum_is_enough(solver):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    good = (x @ [1.0, -1.0, 0.5] + rng.logistic(size=60) > 0).astype(float)
    for columns, reason in (
        ([good, 1 - good], "gradient"),
        ([good, (x[:, 0] > 0.1).astype(float), good], "no_minimum"),
    ):
        cost = Sequential(Linear(3, len(columns), rng=0), BCEWithLogitsLoss("sum"))
        assert solver(cost).solve(x, np.column_stack(columns)).reason == reason
    x[:, 2] = np.arange(60) % 7 == 3
    counts = rng.poisson(2.0, size=(60, 2)).astype(float) + 1
    cost = Sequential(Linear(3, 2, rng=0), PoissonNLLLoss("sum"))
    assert solver(cost).solve(x, counts).reason == "gradient"
    counts[x[:, 2] == 1, 1] = 0
    cost = Sequential(Linear(3, 2, rng=0), PoissonNLLLoss("sum"))
    assert solver(cost).solve(x, counts).reason == "no_minimum"


@pytest.mark.parametrize("solver", [LBFGS, *OF_CURVATURE])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_what_is_not_penalised_may_run_away(solver, size):
    x = size * X
    for pattern, reason in (("*.bias", "no_minimum"), ("*.weight", "gradient")):
        cost = Penalized(logistic(3), L2Penalty(0.1, pattern))
        assert solver(cost, max_iterations=3000).solve(x, SEPARATED).reason == reason
    cost = Penalized(logistic(3), L2Penalty(0.1, "*.weight"))
    assert solver(cost).solve(x, np.ones(60, int)).reason == "no_minimum"  # the bias alone


@pytest.mark.parametrize("solver", [LBFGS, NewtonCG])
def test_many_parameters_without_a_minimum(solver):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 40))
    labels = (x @ rng.normal(size=(40, 8))).argmax(axis=1)
    cost = softmax(40, 8)
    assert solver(cost).solve(x, labels).reason == "no_minimum"
    cost[0].weight[...] = 1e6 * rng.normal(size=(8, 40))
    assert not solver(cost).solve(x, labels).converged
    stopped = solver(softmax(40, 8), max_iterations=1).solve(x, labels)
    assert stopped.reason == "no_minimum"


def with_a_dummy(rows, features, classes, rng=0):
    """Overlapping classes of ordinary columns, and a dummy that the first class never has."""
    rng = np.random.default_rng(rng)
    x = rng.normal(size=(rows, features))
    labels = (x @ (0.3 * rng.normal(size=(features, classes))) + rng.gumbel(size=(rows, classes))).argmax(axis=1)
    x[:, 0] = (rng.random(rows) < 0.1) & (labels != 0)
    return x, labels


def test_a_dummy_among_many_columns_is_found_in_time():
    x, labels = with_a_dummy(500, 35, 3)
    start = process_time()
    minimum = NewtonCG(softmax(35, 3)).solve(x, labels)
    assert process_time() - start < 10  # 0.6 s; by elimination in whole numbers 18
    assert minimum.reason == "no_minimum"
    # It is by the dummy alone.
    assert NewtonCG(softmax(34, 3)).solve(x[:, 1:].copy(), labels).converged


@pytest.mark.parametrize("solver", [Newton, NewtonCG, LBFGS])
@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_single_precision_of_scaled_columns_is_converged_to_rounding(solver, seed):
    rng = np.random.default_rng(seed)
    features = int(rng.integers(1, 4))
    x = rng.normal(size=(60, features))
    labels = (x.sum(axis=1) + rng.logistic(size=60) > 0).astype(int)
    scale = 10.0 ** rng.integers(-8, 9, size=features)

    def solved(dtype, columns):
        cost = Sequential(Linear(features, 2, rng=0, dtype=dtype), LogSoftmax(), NLLLoss("sum"))
        return solver(cost).solve(columns.astype(dtype), labels)

    single, double = solved(np.float32, x * scale), solved(float, (x * scale).astype(np.float32).astype(float))
    assert single.converged
    assert single.reason in ("rounding", "gradient")
    assert single.value == pytest.approx(double.value, rel=1e-6)


STACKS = {
    "probabilities": (lambda: Sequential(Linear(2, 1, rng=0), Sigmoid(), BCELoss("sum")), True),
    "scaled": (lambda: Sequential(Scale(2), Linear(2, 2, rng=1), LogSoftmax(), NLLLoss("sum")), False),
}


@pytest.mark.parametrize("solver", [Newton, NewtonCG])
@pytest.mark.parametrize("stack", STACKS)
def test_regressions_by_another_name_have_no_minimum_either(solver, stack):
    make, column = STACKS[stack]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    separated = (x[:, 0] > 0).astype(int)
    overlapping = np.where(rng.random(40) < 0.2, 1 - separated, separated)
    for labels, reasons in ((separated, {"no_minimum"}), (overlapping, {"gradient", "rounding"})):
        minimum = solver(make()).solve(x, labels[:, np.newaxis].astype(float) if column else labels)
        assert minimum.reason in reasons
