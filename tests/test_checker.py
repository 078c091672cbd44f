"""check_layer finds what is wrong, and leaves in peace what is right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Container, Elementwise, Layer, Linear, LogSoftmax, NLLLoss, ReLU, Sequential, Tanh
from minigrad.testing import check_layer, check_rules, complex_step, finite_differences
from minigrad.testing.numeric import _central

Z = np.random.default_rng(0).normal(size=(5, 3))


class Function(Elementwise):
    """Any f and df."""

    keeps = "input"

    def __init__(self, f, df):
        self.f, self.df = f, df

    def __repr__(self):
        return "Function()"


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 0.1, 1.0, 10.0, 1e3]))
def test_right_relu_networks_pass(seed, size):
    """Somewhere inside, some unit is near its kink."""
    rng = np.random.default_rng(seed)
    cost = Sequential(
        Linear(4, 6, rng=rng), ReLU(), Linear(6, 6, rng=rng), ReLU(), Linear(6, 3, rng=rng), LogSoftmax(), NLLLoss()
    )
    report = check_rules(cost, size * rng.normal(size=(4, 4)), rng.integers(0, 3, 4))
    assert report.ok, report


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 1e2, 1e4]))
def test_right_functions_pass_on_any_scale(seed, size):
    z = np.random.default_rng(seed).uniform(-size, size, (2, 3))
    functions = [
        (np.sin, np.cos),
        (np.abs, np.sign),
        (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
        (lambda z: z**3, lambda z: 3 * z**2),
        (lambda z: np.where(z < 0, 0.1 * z, z), lambda z: np.where(z < 0, 0.1, 1.0)),
    ]
    for f, df in functions:
        report = check_rules(Function(f, df), z)
        assert report.ok, report


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_at_a_kink_any_slope_between_passes_and_no_other(slope):
    z = np.zeros((2, 2))
    report = check_rules(Function(lambda z: np.maximum(z, 0), lambda z: np.full_like(z, slope)), z)
    assert report.ok
    assert "4 at a kink" in str(report)
    report = check_rules(Function(lambda z: np.maximum(z, 0), lambda z: np.full_like(z, -0.01 - slope)), z)
    assert not report.ok


@pytest.mark.parametrize("error", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_small_errors_are_found(error, size):
    wrong = Function(np.tanh, lambda z: (1 - np.tanh(z) ** 2) * (1 + error))
    assert not check_rules(wrong, size * np.linspace(0.1, 0.7, 6).reshape(2, 3) / max(size, 1)).ok
    wrong = Function(lambda z: z**2, lambda z: 2 * z * (1 + error))
    assert not check_rules(wrong, size * Z).ok


class Scale(Layer):
    """Starts at 1, where a forgotten factor does not show."""

    parameter_names = ("a",)

    def __init__(self):
        self.a = np.ones(3)

    def forward(self, z):
        return self.a * z, z

    def backward(self, delta, z):
        return delta / self.a

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z * self.a).sum(axis=0)}


def test_a_factor_of_one_at_the_start_is_found():
    report = check_rules(Scale(), Z)
    assert [check.ok for check in report.checks] == [False, False]
    assert [(check.rule, check.array) for check in report.checks] == [(2, "z"), (3, "a")]


def test_infinite_and_undefined_gradients_are_wrong():
    for value in (np.inf, np.nan):
        report = check_rules(
            Function(np.tanh, lambda z, value=value: np.where(z == z[0, 0], value, 1 - np.tanh(z) ** 2)), Z
        )
        assert not report.ok
        assert "WRONG in 1 of 15 entries: at [0, 0] the rule gives" in str(report)


def test_what_cannot_be_told_is_not_called_right():
    report = check_rules(Function(lambda z: z + 1e12, lambda z: 0 * z), Z)
    assert not report.ok
    assert "CANNOT BE TOLD" in str(report)


def test_a_true_derivative_of_zero_is_right():
    assert check_rules(Function(lambda z: 0 * z + 3, lambda z: 0 * z), Z).ok
    assert check_rules(Function(lambda z: z * z, lambda z: 2 * z), np.zeros((2, 2))).ok


class OnSelf(Tanh):
    def forward(self, z):
        self.y = np.tanh(z)
        return self.y, None

    def backward(self, delta, cache):
        return delta * (1 - self.y**2)


class Clipped(Tanh):
    def backward(self, delta, y):
        return np.clip(delta, -5, 5) * (1 - y * y)


class Random(Tanh):
    rng = np.random.default_rng(0)

    def f(self, z):
        return np.tanh(z) * self.rng.uniform(0.9, 1.1)


class OtherSweep(Tanh):
    def backpropagate(self, delta, cache):
        return delta, {}


class KeptAxis(Linear):
    """Its own sweep gives the bias another shape, which would broadcast."""

    def backpropagate(self, delta, z):
        return self.backward(delta, z), self.parameter_gradients(delta, z) | {"bias": delta.sum(axis=0, keepdims=True)}


class Forgetful(Layer):
    """Holds a layer and trains it not."""

    def __init__(self):
        self.inner = Linear(3, 3, rng=0)

    def forward(self, z):
        z_next, cache = self.inner.forward(z)
        return z + z_next, cache

    def backward(self, delta, cache):
        return delta + self.inner.backward(delta, cache)


class Unlisted(Scale):
    parameter_names = ()

    def parameter_gradients(self, delta, z):
        return {}


@pytest.mark.parametrize(
    ("layer", "finding"),
    [
        (OnSelf(), "another answer after another forward, or the second time"),
        (Clipped(), "not linear in delta"),
        (Random(), "two outputs for one z"),
        (OtherSweep(), "backpropagate gives something else than rules 2 and 3"),
        (KeptAxis(3, 1, rng=0), "backpropagate gives something else than rules 2 and 3"),
        (Forgetful(), "Forgetful() holds the layer self.inner, but lists none of its parameters: make it a Container"),
        (Unlisted(), "has a rule 3, but no parameters"),
        (Sequential(Forgetful(), Tanh()), "Forgetful() holds the layer self.inner"),
    ],
)
def test_broken_laws_are_named(layer, finding):
    report = check_rules(layer, Z)
    assert not report.ok
    assert finding in "\n".join(report.findings)
    with pytest.raises(AssertionError, match="broken rules in"):
        check_layer(layer, Z)


class WritesZ(ReLU):
    def forward(self, z):
        return np.maximum(z, 0, out=z), z


class WritesDelta(ReLU):
    def backward(self, delta, y):
        delta[y <= 0] = 0
        return delta


class WritesCache(Linear):
    def parameter_gradients(self, delta, z):
        z *= 0
        return super().parameter_gradients(delta, z)


@pytest.mark.parametrize(("layer", "rule"), [(WritesZ(), 1), (WritesDelta(), 2), (WritesCache(3, 2), 3)])
def test_writing_into_arguments_is_named(layer, rule):
    z = Z.copy()
    with pytest.raises(ValueError, match=rf"rule {rule} of .* writes into z, delta or the cache .*work on a copy"):
        check_layer(layer, z)
    np.testing.assert_array_equal(z, Z)


def test_the_residual_of_the_docstring_passes():
    class Residual(Container):
        def __init__(self, inner):
            self.inner = inner

        def children(self):
            return [("inner", self.inner)]

        def forward(self, z):
            z_next, cache = self.inner.forward(z)
            return z + z_next, cache

        def backward(self, delta, cache):
            return delta + self.inner.backward(delta, cache)

        def parameter_gradients(self, delta, cache):
            return self.gather([self.inner.parameter_gradients(delta, cache)])

    stack = Sequential(Residual(Sequential(Linear(3, 3, rng=0), Tanh())), Linear(3, 2, rng=1))
    report = check_layer(stack, Z)
    assert [check.array for check in report.checks][1:] == ["0.inner.0.weight", "0.inner.0.bias", "1.weight", "1.bias"]


def test_the_report_as_text():
    report = check_layer(Linear(3, 2, rng=0), Z)
    lines = str(report).splitlines()
    assert lines[0] == "Linear(3 -> 2)"
    assert [line.split()[:4] for line in lines[1:]] == [
        ["rule", "2", "d/dz", "5x3"],
        ["rule", "3", "d/dweight", "2x3"],
        ["rule", "3", "d/dbias", "2"],
    ]
    for check in report.checks:
        assert 0 < check.relative_error < 1e-9 or np.abs(check.analytic - check.numeric.value).max() == 0


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_numeric_derivatives_state_their_error(a, b):
    def f(x):
        return np.array([np.sin(x[0] * x[1]), np.exp(x[0]) + x[1] ** 5])

    weights, x = np.array([2.0, -1.0]), np.array([a, b])
    exact = np.array([2 * b * np.cos(a * b) - np.exp(a), 2 * a * np.cos(a * b) - 5 * b**4])
    derivative = finite_differences(f, x, weights)
    assert (np.abs(derivative.value - exact) <= 4 * derivative.error + 1e-15).all()
    assert (derivative.error <= 1e-7 * (1 + np.abs(exact))).all()
    assert not derivative.kink.any()
    by_step = complex_step(lambda x: weights @ f(x), x)
    np.testing.assert_allclose(by_step, exact, rtol=1e-13, atol=1e-13)


@given(st.integers(0, 10_000), st.sampled_from([10.0, 100.0, 300.0]))
def test_confident_classifiers_pass(seed, size):
    rng = np.random.default_rng(seed)
    cost = Sequential(Linear(4, 3, rng=rng), LogSoftmax(), NLLLoss())
    x = size * rng.normal(size=(1, 4))
    report = check_rules(cost, x, cost[:-1](x).argmax(axis=1))
    assert report.ok, report


@given(st.integers(0, 10_000))
def test_a_jump_of_the_second_derivative_is_no_error(seed):
    elu = Function(lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0)))
    report = check_rules(elu, np.random.default_rng(seed).integers(-2, 3, (4, 3)).astype(float))
    assert report.ok, report


def test_edges_of_a_domain_are_no_error():
    def log(z):
        if (z <= 0).any():
            raise ValueError("log expects z > 0")
        return np.log(z)

    assert check_rules(Function(log, lambda z: 1 / z), np.array([[1e-3, 0.5, 1.0]])).ok
    assert check_rules(Function(np.arctanh, lambda z: 1 / (1 - z * z)), np.array([[0.9, 0.5, 0.1]])).ok
    report = check_rules(Function(np.log, lambda z: 1 / z), np.array([[1e-9, 0.5, 1.0]]))
    assert report.ok
    assert "1 too rough to tell" in str(report)


def test_what_could_not_be_confirmed_is_not_called_broken():
    with pytest.raises(AssertionError, match="could not confirm the rules of"):
        check_layer(Function(lambda z: z + 1e12, lambda z: 0 * z + 1), Z)


class OneChild(Container):
    """Names one of its two layers."""

    def __init__(self):
        self.first, self.second = Linear(3, 3, rng=0), [Linear(3, 3, rng=1)]

    def children(self):
        return [("first", self.first)]

    def forward(self, z):
        middle, below = self.first.forward(z)
        z_next, above = self.second[0].forward(middle)
        return z_next, (below, above)

    def backward(self, delta, cache):
        return self.first.backward(self.second[0].backward(delta, cache[1]), cache[0])

    def parameter_gradients(self, delta, cache):
        return self.gather([self.first.parameter_gradients(self.second[0].backward(delta, cache[1]), cache[0])])


def test_a_forgotten_child_is_named():
    report = check_rules(OneChild(), Z)
    assert all(check.ok for check in report.checks)
    assert any("holds the layer self.second" in finding and "children" in finding for finding in report.findings)


def test_the_target_may_not_be_written_to():
    class Eraser(NLLLoss):
        def forward(self, log_p, target, weights=None):
            target *= 0
            return super().forward(log_p, target, weights)

    target = np.array([0, 1, 2, 1, 0])
    with pytest.raises(ValueError, match="read-only"):
        check_layer(Eraser(), Z, target)
    np.testing.assert_array_equal(target, [0, 1, 2, 1, 0])


def test_the_order_of_a_sweeps_dictionary_does_not_matter():
    class Reordered(Linear):
        def backpropagate(self, delta, z):
            dz, gradients = super().backpropagate(delta, z)
            return dz, dict(reversed(gradients.items()))

    assert check_rules(Reordered(3, 2, rng=0), Z).ok


def test_small_deltas_count():
    class Thresholded(Tanh):
        def backward(self, delta, y):
            return np.where(np.abs(delta) < 1e-3, 0, delta) * (1 - y * y)

    assert "not linear in delta" in str(check_rules(Thresholded(), Z))


def test_a_function_that_repeats_itself_at_the_coarse_steps_is_no_error():
    """At the coarsest step and its halves this sine has gone round whole turns: it looks constant, very exactly."""
    turns = 2 * np.pi * 2.0**12
    z = np.arange(6.0).reshape(2, 3) + 0.3 * 2.0**-12
    report = check_rules(Function(lambda z: np.sin(turns * z) / turns, lambda z: np.cos(turns * z)), z)
    assert report.ok, report


def test_differences_across_a_jump_of_the_second_derivative_state_their_error():
    def f(x):
        return x + 0.5 * np.where(x > 0, x * x, 0)  # f' = 1 + max(x, 0)

    derivative = finite_differences(f, np.zeros(1))
    assert np.abs(derivative.value - 1) <= 4 * derivative.error
    for step in (2.0**-8, 2.0**-14):
        estimate = _central(f, np.zeros(1), (0,), step)
        assert np.abs(estimate.value - 1) <= 4 * estimate.error
