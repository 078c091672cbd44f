"""check_layer finds what is wrong, and leaves in peace what is right."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import (
    BatchNorm1d,
    Container,
    CrossEntropyLoss,
    Elementwise,
    Layer,
    Linear,
    LogSoftmax,
    NLLLoss,
    ReLU,
    Sequential,
    Tanh,
)
from minigrad.testing import GradientContractError, check_layer, complex_step, diagnose, finite_differences
from minigrad.testing.numeric import _central, direction, line

Z = np.random.default_rng(0).normal(size=(5, 3))


class Function(Elementwise):
    """Any f and df."""

    keeps = "input"

    def __init__(self, f, df, complex_safe=True):
        self.f, self.df, self.complex_safe = f, df, complex_safe

    def __repr__(self):
        return "Function()"


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 0.1, 1.0, 10.0, 1e3]))
def test_right_relu_networks_pass(seed, size):
    """Somewhere inside, some unit is near its kink."""
    rng = np.random.default_rng(seed)
    cost = Sequential(
        Linear(4, 6, rng=rng), ReLU(), Linear(6, 6, rng=rng), ReLU(), Linear(6, 3, rng=rng), LogSoftmax(), NLLLoss()
    )
    diagnosis = diagnose(cost, size * rng.normal(size=(4, 4)), rng.integers(0, 3, 4), cases="given")
    assert diagnosis.ok, diagnosis


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 1e2, 1e4]))
def test_right_functions_pass_on_any_scale(seed, size):
    z = np.random.default_rng(seed).uniform(-size, size, (2, 3))
    functions = [
        (np.sin, np.cos),
        (np.abs, np.sign, False),
        (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
        (lambda z: z**3, lambda z: 3 * z**2),
        (lambda z: np.where(z < 0, 0.1 * z, z), lambda z: np.where(z < 0, 0.1, np.ones_like(z)), False),
    ]
    for function in functions:
        diagnosis = diagnose(Function(*function), z, cases="given")
        assert diagnosis.ok, diagnosis


@pytest.mark.parametrize("cases", ["given", "all"])
@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_at_a_kink_any_slope_between_passes_and_no_other(slope, cases):
    def relu(at_zero):
        return Function(lambda z: np.maximum(z, 0), lambda z: np.where(z == 0, z + at_zero, (z > 0).astype(z.dtype)))

    z = np.zeros((2, 2), np.float32)
    diagnosis = diagnose(relu(np.float32(slope)), z, cases=cases)
    assert diagnosis.ok, diagnosis
    assert diagnosis.derivatives[0].kinks >= 4
    assert "at a kink, where any slope between those of both sides is right" in str(diagnosis)
    for outside in (-0.01 - slope, 1.01 + slope):
        wrong = diagnose(relu(np.float32(outside)), z, cases=cases)
        assert wrong.derivatives[0].wrong >= 4


@pytest.mark.parametrize("error", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_small_errors_are_found(error, size):
    wrong = Function(np.tanh, lambda z: (1 - np.tanh(z) ** 2) * (1 + error))
    assert not diagnose(wrong, size * np.linspace(0.1, 0.7, 6).reshape(2, 3) / max(size, 1)).ok
    wrong = Function(lambda z: z**2, lambda z: 2 * z * (1 + error))
    assert not diagnose(wrong, size * Z).ok


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
    diagnosis = diagnose(Scale(), Z)
    assert [(finding.rule, finding.array) for finding in diagnosis.findings] == [(2, "z"), (3, "a")]
    assert [(a.rule, a.array, a.wrong > 0) for a in diagnosis.derivatives] == [(2, "z", True), (3, "a", True)]


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_infinite_and_undefined_gradients_are_wrong(value):
    wrong = Function(np.tanh, lambda z: np.where(z == z[0, 0], value, 1 - np.tanh(z) ** 2))
    diagnosis = diagnose(wrong, Z, cases="given")
    (finding,) = [finding for finding in diagnosis.findings if finding.numeric is not None]
    assert (finding.rule, finding.array, finding.index, finding.wrong, finding.entries) == (2, "z", (0, 0), 1, 15)
    assert not np.isfinite(finding.analytic)
    assert finding.digits == 0
    assert "at [0, 0] the rule gives" in str(diagnosis)


@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_what_cannot_be_told_is_not_called_right(slope):
    layer = Function(lambda z: z + 1e12, lambda z: 0 * z + slope)
    diagnosis = diagnose(layer, Z, cases="given")
    assert not diagnosis.findings
    assert diagnosis.untold == ("z",)
    assert not diagnosis.ok
    assert diagnosis.headline() == "could not confirm the rules of Function(): nothing can be told of z"
    with pytest.raises(GradientContractError, match="could not confirm the rules of"):
        check_layer(layer, Z, cases="given")


def test_a_true_derivative_of_zero_is_right():
    assert diagnose(Function(lambda z: 0 * z + 3, lambda z: 0 * z), Z).ok
    assert diagnose(Function(lambda z: z * z, lambda z: 2 * z), np.zeros((2, 2))).ok


class OnSelf(Tanh):
    def forward(self, z):
        self.y = np.tanh(z)
        return self.y, None

    def backward(self, delta, cache):
        return delta * (1 - self.y**2)


class Clipped(Tanh):
    def backward(self, delta, y):
        return np.clip(delta, -5, 5) * (1 - y * y)


class Counting(Tanh):
    calls = 0

    def f(self, z):
        self.calls += 1
        return np.tanh(z) * self.calls


class Adding(Scale):
    """Rule 3 adds to what the last call gave."""

    def parameter_gradients(self, delta, z):
        self.sum = getattr(self, "sum", 0) + (delta * z).sum(axis=0)
        return {"a": self.sum}


class UsesUp(Layer):
    """Rule 2 takes what it needs out of the cache."""

    def forward(self, z):
        return np.sin(z), [z]

    def backward(self, delta, cache):
        return delta * np.cos(cache.pop())


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
    """Its bias is never trained."""

    def __init__(self):
        super().__init__()
        self.bias = np.zeros(3)

    def forward(self, z):
        return self.a * z + self.bias, z


@pytest.mark.parametrize(
    ("layer", "rule", "cause", "said"),
    [
        (OnSelf(), 2, "stale_cache", "another answer when another forward ran in between"),
        (Adding(), 3, "stale_cache", "it adds to what the last call gave"),
        (UsesUp(), 2, "mutation", "it used it up"),
        (Clipped(), 2, "nonlinear", "gives too little for a large delta (clipped?)"),
        (Counting(), 1, "nondeterministic", "two outputs for one z"),
        (OtherSweep(), 0, "sweep", "backpropagate gives something else than rules 2 and 3 for z"),
        (KeptAxis(3, 1, rng=0), 0, "sweep", "backpropagate gives something else than rules 2 and 3 for bias"),
        (Forgetful(), 0, "unlisted_parameter", "Forgetful() holds the layer self.inner, but lists none of its"),
        (Unlisted(), 3, "unlisted_parameter", "self.bias is an array that is not in parameter_names"),
        (Sequential(Forgetful(), Tanh()), 0, "unlisted_parameter", "Forgetful() holds the layer self.inner"),
    ],
)
def test_broken_laws_are_named(layer, rule, cause, said):
    with pytest.raises(GradientContractError, match="broken rules in") as caught:
        check_layer(layer, Z)
    first = caught.value.diagnosis.findings[0]
    assert (first.rule, first.cause) == (rule, cause)
    assert said in first.message


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
    (finding,) = diagnose(layer, z).findings
    assert (finding.rule, finding.cause) == (rule, "mutation")
    assert f"rule {rule} writes into z, delta, the cache" in finding.message
    assert "work on a copy" in finding.message
    np.testing.assert_array_equal(z, Z)
    assert z.flags.writeable


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
    diagnosis = check_layer(stack, Z)
    assert [a.array for a in diagnosis.derivatives][1:] == ["0.inner.0.weight", "0.inner.0.bias", "1.weight", "1.bias"]


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
    diagnosis = diagnose(cost, x, cost[:-1](x).argmax(axis=1), cases="given")
    assert diagnosis.ok, diagnosis


@given(st.integers(0, 10_000))
def test_a_jump_of_the_second_derivative_is_no_error(seed):
    elu = Function(lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0)))
    diagnosis = diagnose(elu, np.random.default_rng(seed).integers(-2, 3, (4, 3)).astype(float))
    assert diagnosis.ok, diagnosis


def test_edges_of_a_domain_are_no_error():
    def log(z):
        if (z <= 0).any():
            raise ValueError("log expects z > 0")
        return np.log(z)

    assert diagnose(Function(log, lambda z: 1 / z), np.array([[1e-3, 0.5, 1.0]])).ok
    assert diagnose(Function(np.arctanh, lambda z: 1 / (1 - z * z)), np.array([[0.9, 0.5, 0.1]])).ok
    diagnosis = diagnose(Function(np.log, lambda z: 1 / z), np.array([[1e-9, 0.5, 1.0]]))
    assert diagnosis.ok
    assert "the numbers cannot show more than" in str(diagnosis)


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
    diagnosis = diagnose(OneChild(), Z)
    assert not any(agreement.wrong for agreement in diagnosis.derivatives)
    first = diagnosis.findings[0]
    assert (first.rule, first.cause) == (0, "unlisted_parameter")
    assert "holds the layer self.second" in first.message
    assert "name it in children" in first.message


def test_the_target_may_not_be_written_to():
    class Eraser(NLLLoss):
        def forward(self, log_p, target, weights=None):
            target *= 0
            return super().forward(log_p, target, weights)

    target = np.array([0, 1, 2, 1, 0])
    (finding,) = diagnose(Eraser(), Z, target).findings
    assert (finding.rule, finding.cause) == (1, "mutation")
    assert "read-only" in finding.message
    np.testing.assert_array_equal(target, [0, 1, 2, 1, 0])


def test_the_order_of_a_sweeps_dictionary_does_not_matter():
    class Reordered(Linear):
        def backpropagate(self, delta, z):
            dz, gradients = super().backpropagate(delta, z)
            return dz, dict(reversed(gradients.items()))

    assert diagnose(Reordered(3, 2, rng=0), Z).ok


def test_small_deltas_count():
    class Thresholded(Tanh):
        def backward(self, delta, y):
            return np.where(np.abs(delta) < 1e-3, 0, delta) * (1 - y * y)

    (finding,) = diagnose(Thresholded(), Z).findings
    assert finding.cause == "nonlinear"
    assert "loses a small delta" in finding.message


def test_a_jump_of_the_second_derivative_beside_large_numbers_is_no_error():
    squared = Function(lambda z: np.maximum(z, 0) ** 2, lambda z: 2 * np.maximum(z, 0), False)
    for x in np.logspace(-3.1, -2.6, 40):
        diagnosis = diagnose(squared, np.array([[x, 1000.0]]), cases="given")
        assert not diagnosis.findings, diagnosis


def test_a_function_that_repeats_itself_at_the_coarse_steps_is_no_error():
    """At the coarsest step and its halves this sine has gone round whole turns: it looks constant, very exactly."""
    turns = 2 * np.pi * 2.0**12
    z = np.arange(6.0).reshape(2, 3) + 0.3 * 2.0**-12
    diagnosis = diagnose(Function(lambda z: np.sin(turns * z) / turns, lambda z: np.cos(turns * z)), z)
    assert diagnosis.ok, diagnosis


def test_differences_across_a_jump_of_the_second_derivative_state_their_error():
    def f(x):
        return x + 0.5 * np.where(x > 0, x * x, 0)  # f' = 1 + max(x, 0)

    derivative = finite_differences(f, np.zeros(1))
    assert np.abs(derivative.value - 1) <= 4 * derivative.error
    for step in (2.0**-8, 2.0**-14):
        estimate = _central(line(f, np.zeros(1), direction(np.zeros(1), (0,))), step, 0.0)
        assert np.abs(estimate.value - 1) <= 4 * estimate.error


def test_the_error_is_seen_where_two_terms_of_the_expansion_cancel():
    """Of D(h) = 1 + 1000 h^2 + b h^4 + h^6 this b makes the last correction vanish, though the result is off."""
    b = -1.3125 / 4
    estimate = _central(lambda t: (t, np.array([t + 1000 * t**3 + b * t**5 + t**7])), 1.0, 0.0)
    assert 1e-5 < abs(float(estimate.value[0]) - 1) <= 4 * float(estimate.error[0])


def test_a_gradient_that_cancels_is_not_held_to_its_own_size():
    """A bias below batch normalisation changes nothing: what is left of its gradient is rounding, in any layout."""
    for seed in range(4):
        z = np.random.default_rng(seed).normal(size=(8, 20))
        check_layer(Linear(20, 8, rng=seed) >> BatchNorm1d(8), z, cases="given")


def test_complex_steps_of_many_units_are_not_blamed_for_the_kinks_close_by():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        cost = Linear(20, 32, rng=rng) >> ReLU() >> Linear(32, 5, rng=rng) >> CrossEntropyLoss()
        check_layer(cost, rng.normal(size=(64, 20)), rng.integers(0, 5, 64), cases="given")
