"""Fusions: layers run as one give what they give one after the other."""

import gc
import threading
import warnings
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import (
    BatchNorm1d,
    BCELoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    Dropout,
    L1Penalty,
    L2Penalty,
    Layer,
    Linear,
    LogSoftmax,
    MSELoss,
    NLLLoss,
    Penalized,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    value_and_gradients,
    value_and_gradients_in_chunks,
)
from minigrad.fusions import (
    FUSIONS,
    Fusion,
    LinearLogSoftmaxNLLLoss,
    LinearReLU,
    SigmoidBCELoss,
    explain,
    fuses,
    off,
    plan,
    rows,
)
from minigrad.testing import check_fusion

ROWS = rows.ROWS
WIDTH = 4


def plainly(cost, *arguments):
    """By the rules of every layer, as a loop by hand would have it."""
    value, cache = cost.forward(*arguments)
    return value, cost.parameter_gradients(1.0, cache)


def assert_same(found, expected, roundings=200.0):
    """The same names, types and numbers, to `roundings` of the largest of each array."""
    assert list(found[1]) == list(expected[1])
    pairs = [(found[0], expected[0]), *((found[1][name], expected[1][name]) for name in expected[1])]
    for own, right in pairs:
        assert own.dtype == right.dtype
        assert own.shape == right.shape
        most = roundings * np.finfo(right.dtype).eps * np.abs(right).max(initial=0.0)
        assert np.abs(own - right).max(initial=0.0) <= most, (own, right)


# Random stacks.

LOWER = {
    "none": lambda rng: [],
    "relu": lambda rng: [Linear(WIDTH, WIDTH, rng=rng), ReLU()],
    "deep": lambda rng: [Linear(WIDTH, 7, rng=rng), ReLU(), Tanh(), Linear(7, WIDTH, bias=False, rng=rng), ReLU()],
    "nested": lambda rng: [Sequential(Sequential(Linear(WIDTH, WIDTH, rng=rng)), ReLU()), Sequential(), Tanh()],
    "no parameters": lambda rng: [Tanh(), Sequential(ReLU())],
    "split": lambda rng: [Linear(WIDTH, WIDTH, rng=rng), Sequential(ReLU(), Tanh())],
}
TOP = {
    "softmax": lambda rng, k, reduction: [LogSoftmax(), NLLLoss(reduction)],
    "weighted classes": lambda rng, k, reduction: [LogSoftmax(), NLLLoss(reduction, rng.uniform(1, 2, k))],
    "ignored": lambda rng, k, reduction: [LogSoftmax(), NLLLoss(reduction, ignore_index=-100)],
    "cross entropy": lambda rng, k, reduction: [CrossEntropyLoss(reduction)],
    "smoothed": lambda rng, k, reduction: [CrossEntropyLoss(reduction, label_smoothing=0.1)],
    "nested": lambda rng, k, reduction: [Sequential(LogSoftmax(), NLLLoss(reduction))],
    "bernoulli": lambda rng, k, reduction: [BernoulliNLLLoss(reduction)],
    "weighted bernoulli": lambda rng, k, reduction: [BernoulliNLLLoss(reduction, [1.0, 3.0])],
    "sigmoid": lambda rng, k, reduction: [Sigmoid(), BCELoss(reduction, rng.uniform(1, 2, (1,)))],
}
DTYPES = st.sampled_from([np.float32, np.float64, np.complex128])


@given(
    st.sampled_from([1, 2, 31, ROWS, ROWS + 1, 2 * ROWS + 5]),
    st.sampled_from(sorted(LOWER)),
    st.sampled_from(sorted(TOP)),
    st.sampled_from(["mean", "sum"]),
    st.sampled_from([2, 3, rows.COLUMNS, rows.COLUMNS + 1]),
    DTYPES,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.1, 1.0, 30.0]),
    st.integers(0, 2**16),
)
def test_fused_costs_equal_the_plain_rules(n, lower, top, reduction, k, dtype, bias, weighted, penalized, size, seed):
    rng = np.random.default_rng(seed)
    if "bernoulli" in top or top == "sigmoid":
        k, t = 1, rng.integers(0, 2, n)
    else:
        t = rng.integers(0, k, n)
    if top == "ignored":
        t = np.where(rng.random(n) < 0.3, -100, t)
        t[0] = 0
    if top == "sigmoid":
        t = t[:, np.newaxis].astype(float)
    cost = Sequential(*LOWER[lower](rng), Linear(WIDTH, k, bias=bias, rng=rng), *TOP[top](rng, k, reduction))
    cost = cost.astype(dtype)
    if penalized:
        cost = Penalized(cost, L2Penalty(0.1), L1Penalty(0.01, "*weight"))
    x = (size * rng.normal(size=(n, WIDTH))).astype(dtype)
    if dtype is np.complex128:
        x.imag *= 1e-3  # as of a derivative: logarithms stay on one branch
    arguments = (x, t, rng.integers(0, 3, n) + (rng.random(n) < 0.9) * 0.5) if weighted else (x, t)
    if weighted:
        arguments[2][0] = 1.0
    assert plan(cost) is not None or (lower in ("none", "no parameters", "split") and top == "smoothed" and k > 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, again = value_and_gradients(cost, *arguments), value_and_gradients(cost, *arguments)
    with off():
        assert plan(cost) is None
        assert_same(value_and_gradients(cost, *arguments), plainly(cost, *arguments), 0.0)
    assert_same(found, again, 0.0)
    assert_same(found, plainly(cost, *arguments), 4000.0)


@pytest.mark.parametrize("top", ["softmax", "bernoulli"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_many_blocks_of_rows_are_as_one(monkeypatch, top, dtype, reduction):
    rng = np.random.default_rng(0)
    n, k = 5 * ROWS + 7, 1 if top == "bernoulli" else 5
    cost = Sequential(Linear(WIDTH, k, rng=rng), *TOP[top](rng, k, reduction)).astype(dtype)
    x, t, w = rng.normal(size=(n, WIDTH)).astype(dtype), rng.integers(0, max(k, 2), n), rng.uniform(size=n)
    expected = plainly(cost, x, t, w)
    seen = []
    product = rows.class_major
    monkeypatch.setattr(rows, "class_major", lambda x, *rest: seen.append(len(x)) or product(x, *rest))
    for size in (ROWS, 2 * ROWS, 10 * ROWS):
        monkeypatch.setattr(rows, "LONGEST", size)
        seen.clear()
        assert_same(value_and_gradients(cost, x, t, w), expected, 1000.0)
        assert sum(seen) == n
        assert len(seen) == -(-n // size)


def test_x_in_any_layout():
    rng = np.random.default_rng(0)
    cost = Sequential(Linear(WIDTH, 3, rng=rng), LogSoftmax(), NLLLoss())
    whole, t = rng.normal(size=(3 * ROWS, 2 * WIDTH)), rng.integers(0, 3, 3 * ROWS)
    for x in (whole[:, ::2], np.asfortranarray(whole[:, :WIDTH]), whole[::-1, :WIDTH], whole[:, :WIDTH]):
        x = x[:]
        x.flags.writeable = False
        assert_same(value_and_gradients(cost, x, t), plainly(cost, x, t), 1000.0)
    sequences, labels = whole.reshape(-1, 3, WIDTH), rng.integers(0, 3, (2 * ROWS, 3))
    assert_same(value_and_gradients(cost, sequences, labels), plainly(cost, sequences, labels), 1000.0)


@pytest.mark.parametrize("types", [("f", "d", "d"), ("d", "f", "f"), ("f", "f", "d"), ("d", "d", "f"), ("e", "e", "e")])
def test_mixed_types_give_the_wider_one(types):
    rng = np.random.default_rng(0)
    for k, top in ((3, [LogSoftmax(), NLLLoss()]), (1, [BernoulliNLLLoss()])):
        linear = Linear(WIDTH, k, rng=rng)
        linear.weight, linear.bias = linear.weight.astype(types[1]), linear.bias.astype(types[2])
        x, t = rng.normal(size=(7, WIDTH)).astype(types[0]), np.arange(7) % 2
        for layer in (linear, Linear(WIDTH, k, bias=False, rng=rng, dtype=types[1])):
            cost = Sequential(layer, *top)
            assert_same(value_and_gradients(cost, x, t), plainly(cost, x, t))


@pytest.mark.parametrize("below", [[], [Tanh()], [Linear(3, 3, rng=0), ReLU()]])
def test_targets_and_reductions_that_are_not_for_one_pass(below):
    rng = np.random.default_rng(0)
    x, t, q = rng.normal(size=(8, 3)), rng.integers(0, 4, 8), rng.dirichlet(np.ones(4), size=8)
    for loss, target in (
        (CrossEntropyLoss(), q),
        (CrossEntropyLoss(label_smoothing=0.2), t),
        (CrossEntropyLoss(label_smoothing=0.2), q),
    ):
        cost = Sequential(*below, Linear(3, 4, rng=1), loss)
        assert_same(value_and_gradients(cost, x, target), plainly(cost, x, target))
    for top in ([CrossEntropyLoss("none")], [LogSoftmax(), NLLLoss("none")]):
        with pytest.raises(ValueError, match=r"expects a cost that is one number, got \(8,\)"):
            value_and_gradients(Sequential(*below, Linear(3, 4, rng=1), *top), x, t)
    with pytest.raises(ValueError, match=r"expects a cost that is one number, got \(8,\)"):
        value_and_gradients(Sequential(*below, Linear(3, 1, rng=1), BernoulliNLLLoss("none")), x, t % 2)


def logits_as_they_are(k, dtype, top):
    """A cost whose logits are x itself, so that a closed form of float numbers is an oracle."""
    linear = Linear(k, k, bias=False, rng=0).with_parameters({"weight": np.eye(k)})
    return Sequential(linear, *top).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("z", [0.0, 1.0, 30.0, 60.0, 80.0, 100.0, 500.0, 1e4])
def test_tiny_costs_and_derivatives_keep_their_digits(dtype, z):
    """Of two logits (z, 0): the costs log(1 + e^-+z), with derivatives that are -+1 / (1 + e^+-z)."""
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    softmax = logits_as_they_are(2, dtype, [LogSoftmax(), NLLLoss("sum")])
    x = np.array([[z, 0.0]], dtype)
    with np.errstate(under="ignore"):
        small, missed = np.exp(-np.float64(z)), 1 / (1 + np.exp(-np.float64(z)))
    for label, value, slope in ((0, np.log1p(small), -small * missed), (1, z + np.log1p(small), missed)):
        found, gradients = value_and_gradients(softmax, x, np.array([label]))
        np.testing.assert_allclose(found, value, rtol=8 * eps, atol=tiny)
        expected = np.array([[slope * z, 0.0], [-slope * z, 0.0]])
        np.testing.assert_allclose(gradients["0.weight"], expected, rtol=8 * eps, atol=tiny * max(z, 1))
    logistic = Sequential(Linear(1, 1, bias=False, rng=0), BernoulliNLLLoss("sum"))
    logistic = logistic.with_parameters({"0.weight": np.ones((1, 1))}).astype(dtype)
    for label, value, slope in ((1, np.log1p(small), -small * missed), (0, z + np.log1p(small), missed)):
        found, gradients = value_and_gradients(logistic, np.array([[z]], dtype), np.array([label]))
        np.testing.assert_allclose(found, value, rtol=8 * eps, atol=tiny)
        np.testing.assert_allclose(gradients["0.weight"], [[slope * z]], rtol=8 * eps, atol=tiny * max(z, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [-1e4, -300.0, -95.0, 95.0, 300.0, 1e4])
def test_logits_that_are_all_large_or_all_small(dtype, shift):
    rng = np.random.default_rng(0)
    for k in (3, 200):
        cost = logits_as_they_are(k, dtype, [LogSoftmax(), NLLLoss()])
        x, t = (shift + rng.normal(size=(5, k))).astype(dtype), rng.integers(0, k, 5)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same(value_and_gradients(cost, x, t), plainly(cost, x, t), 200.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [20.0, 29.0, 31.0, 43.0, 45.0, 80.0, 299.0, 301.0, 350.0, 360.0, 500.0])
def test_logits_far_apart(dtype, far):
    """e^far and e^-far are numbers where their ratio is none any more."""
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    x = np.array([[far, -far], [-far, far], [0.0, far]])
    for t in (np.array([0, 1, 1]), np.array([1, 0, 0])):
        cost = logits_as_they_are(2, dtype, [LogSoftmax(), NLLLoss("sum")])
        value, gradients = value_and_gradients(cost, x.astype(dtype), t)
        margin = (1 - 2 * t) * (x[:, 0] - x[:, 1])
        with np.errstate(over="ignore"):
            missed = 1 / (1 + np.exp(margin))  # the probability of the other class
        of_second = (1 - 2 * t) * missed
        np.testing.assert_allclose(value, np.logaddexp(0, -margin).sum(), rtol=20 * eps, atol=tiny)
        expected = np.stack([-of_second @ x, of_second @ x])
        np.testing.assert_allclose(gradients["0.weight"], expected, rtol=20 * eps, atol=tiny * far)
        logistic = Sequential(Linear(1, 1, bias=False, rng=0), BernoulliNLLLoss("sum"))
        logistic = logistic.with_parameters({"0.weight": np.ones((1, 1))}).astype(dtype)
        value, gradients = value_and_gradients(logistic, (x[:, :1] - x[:, 1:]).astype(dtype), 1 - t)
        np.testing.assert_allclose(value, np.logaddexp(0, -margin).sum(), rtol=20 * eps, atol=tiny)
        expected = -of_second @ (x[:, 0] - x[:, 1])
        np.testing.assert_allclose(gradients["0.weight"], [[expected]], rtol=20 * eps, atol=tiny * far)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [-36, -30, -21, -19, 0, 19, 21, 28, 36])
@pytest.mark.parametrize("shift", [-25.0, 0.0, 20.0])
def test_weights_of_any_size(dtype, power, shift):
    """Also where their product with e^z, or its inverse, is no number."""
    rng = np.random.default_rng(0)
    w = rng.uniform(0.5, 2, 7) * 10.0**power
    w[3] = 0.0
    x, t = (shift + rng.normal(size=(7, 3))).astype(dtype), np.arange(7) % 3
    weighted = (w, {}), (None, {"class_weights": w[:3]})
    for weights, options in weighted:
        cost = logits_as_they_are(3, dtype, [LogSoftmax(), NLLLoss("sum", **options)])
        arguments = (x, t) if weights is None else (x, t, weights)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = value_and_gradients(cost, *arguments)
        assert_same(found, plainly(cost, *arguments), 400.0)
    logistic = Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss("sum")).astype(dtype)
    assert_same(value_and_gradients(logistic, x, t % 2, w), plainly(logistic, x, t % 2, w), 400.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_far_out_leave_the_others_in_one_pass(monkeypatch, dtype):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(rows, "LONGEST", ROWS)
    x, t = rng.normal(size=(5 * ROWS, WIDTH)).astype(dtype), rng.integers(0, 2, 5 * ROWS)
    x[ROWS + 3] = 500 * np.sign(x[ROWS + 3])
    passes = []
    product = rows.class_major
    monkeypatch.setattr(rows, "class_major", lambda x, *rest: passes.append(1) or product(x, *rest))
    for top, k in (([LogSoftmax(), NLLLoss()], 3), ([BernoulliNLLLoss()], 1)):
        cost = Sequential(Linear(WIDTH, k, rng=0), *top).astype(dtype)
        passes.clear()
        assert_same(value_and_gradients(cost, x, t), plainly(cost, x, t), 1000.0)
        assert len(passes) == 5


def test_infinite_logits_and_wrong_labels_are_told_by_the_layers_of_the_caller():
    cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    with pytest.raises(ValueError, match=r"NLLLoss\(mean\) expects labels") as caught:
        value_and_gradients(cost, np.ones((2, 3)), [0, 2])
    assert caught.value.__notes__ == ["in layer 2 of Sequential(Linear, LogSoftmax, NLLLoss)"]
    with pytest.raises(ValueError, match=r"expects labels 0 \.\. 1 for 2 classes, got -1 in target\[1\]"):
        value_and_gradients(cost, np.ones((2, 3)), [0, -1])
    with pytest.raises(FloatingPointError, match=r"expects finite numbers, got nan in x\[0, 0\]"):
        value_and_gradients(cost, np.full((2, 3), np.nan), [0, 1])
    with pytest.raises(ValueError, match="the batch is empty"):
        value_and_gradients(cost, np.ones((0, 3)), np.zeros(0, int))
    weighted = Sequential(cost[0], LogSoftmax(), NLLLoss("mean", [1, 2, 3]))
    with pytest.raises(ValueError, match="has 3 class weights, but log_p has 2 classes"):
        value_and_gradients(weighted, np.ones((2, 3)), [0, 1])
    logistic = Sequential(Linear(3, 1, rng=0), BernoulliNLLLoss("mean", [1, 2, 3]))
    with pytest.raises(ValueError, match="expects 2 class weights, got 3"):
        value_and_gradients(logistic, np.ones((2, 3)), [0, 1])


def test_an_empty_batch_of_a_sum():
    for top, k in (([LogSoftmax(), NLLLoss("sum")], 3), ([BernoulliNLLLoss("sum")], 1)):
        value, gradients = value_and_gradients(Sequential(Linear(2, k, rng=0), *top), np.ones((0, 2)), np.zeros(0, int))
        assert value == 0
        assert not gradients["0.weight"].any()
        assert gradients["0.weight"].shape == (k, 2)


def test_an_error_of_the_fused_form_alone_is_not_swallowed():
    class Flaky(Tanh):
        calls = 0

        def forward(self, z):
            type(self).calls += 1
            if self.calls == 1:
                raise OSError("only once")
            return super().forward(z)

    cost = Sequential(Linear(3, 2, rng=0), Flaky(), LogSoftmax(), NLLLoss())
    with pytest.raises(OSError, match="only once") as caught:
        value_and_gradients(cost, np.ones((2, 3)), [0, 1])
    assert caught.value.__notes__[-1] == (
        "the fused form of Sequential(Linear, Flaky, LogSoftmax, NLLLoss) raised this, and its plain rules did not: "
        "`with minigrad.fusions.off():` runs those alone"
    )


def test_a_cost_that_is_not_finite_says_so_whatever_a_second_draw_would_give():
    x, t = np.ones((6, WIDTH)), np.arange(6) % 3
    x[2] = 1e308
    cost = Sequential(Dropout(0.5, rng=0), Linear(WIDTH, 3, rng=0), LogSoftmax(), NLLLoss())
    said = set()
    for _ in range(40):
        before = cost[0].rng.bit_generator.state
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                value_and_gradients(cost, x, t)
        except FloatingPointError as error:
            said.add(str(error))
            after = cost[0].rng.bit_generator.state
            cost[0].rng.bit_generator.state = before
            cost[0].forward(np.ones_like(x))  # one draw, and no other
            assert cost[0].rng.bit_generator.state == after
    assert said == {
        "the cost is nan: x and all parameters are finite, so a layer overflowed or a loss is infinite there: "
        "look at cost[:-1](x)"
    }


def test_only_exact_types_are_fused():
    class Scaled(NLLLoss):
        def backward(self, delta, cache):
            return 2 * super().backward(delta, cache)

    plain = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    other = Sequential(plain[0], LogSoftmax(), Scaled())
    x, t = np.ones((4, 3)), np.array([0, 1, 1, 1])
    assert plan(other) is None
    np.testing.assert_array_equal(
        value_and_gradients(other, x, t)[1]["0.bias"],
        2 * plain.parameter_gradients(1.0, plain.forward(x, t)[1])["0.bias"],
    )

    class Mine(Sequential):
        pass

    assert plan(Mine(*plain)) is None
    assert plan(Penalized(Mine(*plain), L2Penalty(1.0))) is None
    inner = Sequential(Mine(plain[0]), LogSoftmax(), NLLLoss())
    assert [part.places for part in plan(inner).parts] == [("0",), ("1", "2")]


def test_the_fused_form_follows_parameters_that_are_replaced():
    cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    x, t = np.ones((4, 3)), np.array([0, 1, 1, 1])
    value_and_gradients(cost, x, t)
    cost[0].weight = np.zeros((2, 3))
    cost[0].bias = np.zeros(2)
    assert value_and_gradients(cost, x, t)[0] == pytest.approx(np.log(2), rel=1e-15)
    cost[-1].reduction = "sum"
    assert value_and_gradients(cost, x, t)[0] == pytest.approx(4 * np.log(2), rel=1e-15)


def test_parameters_that_several_layers_share():
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(ROWS + 3, WIDTH)), rng.integers(0, WIDTH, ROWS + 3)
    layer, other = Linear(WIDTH, WIDTH, rng=0), Linear(WIDTH, WIDTH, rng=1)
    other.weight = layer.weight
    for cost in (
        Sequential(layer, ReLU(), layer, Tanh(), layer, LogSoftmax(), NLLLoss()),
        Sequential(layer, ReLU(), Sequential(other, ReLU()), other, CrossEntropyLoss()),
    ):
        assert plan(cost) is not None
        assert_same(value_and_gradients(cost, x, t), plainly(cost, x, t), 1000.0)


def test_layers_below_are_run_once_whatever_the_top_does():
    """A draw of dropout, and running statistics, are those of one pass: also where the top declines, as here."""
    x, t = 200 * np.random.default_rng(0).normal(size=(20, WIDTH)), np.arange(20) % 3
    for top in ([LogSoftmax(), NLLLoss()], [CrossEntropyLoss(label_smoothing=0.1)]):
        one, two = (
            Sequential(Dropout(0.5, rng=0), BatchNorm1d(WIDTH, affine=False), Linear(WIDTH, 3, rng=1), *top)
            for _ in range(2)
        )
        two[2].weight *= 1e3
        one[2].weight[:] = two[2].weight
        assert_same(value_and_gradients(one, x, t), plainly(two, x, t), 2000.0)
        assert one[0].rng.bit_generator.state == two[0].rng.bit_generator.state
        np.testing.assert_array_equal(one[1].running_mean, two[1].running_mean)


def test_widths_that_are_left_out():
    x, t = np.random.default_rng(0).normal(size=(9, WIDTH)), np.arange(9) % 3
    cost = Sequential(Linear(None, 5, rng=0), ReLU(), Linear(None, 3, rng=1), LogSoftmax(), NLLLoss())
    assert list(value_and_gradients(cost, x, t)[1]) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    single = Sequential(Linear(None, 3, rng=0), CrossEntropyLoss())
    assert_same(value_and_gradients(single, x, t), plainly(single, x, t))


def test_chunks_are_fused_too(monkeypatch):
    rng = np.random.default_rng(0)
    cost = Sequential(Linear(WIDTH, 3, rng=0), LogSoftmax(), NLLLoss())
    x, t, w = rng.normal(size=(50, WIDTH)), rng.integers(0, 3, 50), rng.uniform(size=50)
    calls = []
    own = LinearLogSoftmaxNLLLoss.value_and_gradients
    monkeypatch.setattr(
        LinearLogSoftmaxNLLLoss,
        "value_and_gradients",
        lambda self, *arguments, **options: calls.append(1) or own(self, *arguments, **options),
    )
    found = value_and_gradients_in_chunks(cost, x, t, w, chunk_size=20)
    assert len(calls) == 3
    assert_same(found, plainly(cost, x, t, w), 1000.0)


def test_a_cost_is_not_kept_alive():
    penalized = Penalized(Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss()), L2Penalty(1.0))
    costs = [Sequential(Linear(3, 2, rng=0), *top) for top in ([LogSoftmax(), NLLLoss()], [ReLU()], [])]
    costs += [penalized, Penalized(penalized, L2Penalty(1.0)), Sequential(costs[0])]
    del penalized
    gone = []
    for cost in costs:
        plan(cost)
        gone.append(weakref.ref(cost))
    del cost
    costs.clear()
    gc.collect()
    assert [reference() for reference in gone] == [None] * len(gone)


# Seeing and turning off.


def test_explain():
    cost = Sequential(Linear(4, 3, rng=0), ReLU(), Dropout(0.5), Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    assert explain(cost) == (
        "0, 1  LinearReLU: Linear + ReLU, as one\n"
        "2     Dropout(0.5)\n"
        "3     Linear(3 -> 2)\n"
        "4, 5  LogSoftmaxNLLLoss: LogSoftmax + NLLLoss, as one"
    )
    top = cost[3:]
    assert explain(top) == "0, 1, 2  LinearLogSoftmaxNLLLoss: Linear + LogSoftmax + NLLLoss, in one pass"
    assert explain(Penalized(Sequential(Tanh(), top), L2Penalty(1.0))) == (
        "0              Tanh()\n"
        "1.0, 1.1, 1.2  LinearLogSoftmaxNLLLoss: Linear + LogSoftmax + NLLLoss, in one pass\n"
        "and L2Penalty(1, '*')"
    )
    assert explain(cost[2:4]) == "Sequential(Dropout, Linear): no layers are fused, every layer runs by its own rules"
    with off():
        assert explain(top) == (
            "Sequential(Linear, LogSoftmax, NLLLoss): fusions are off, every layer runs by its own rules"
        )
    with pytest.raises(TypeError, match="explain expects a layer, got list"):
        explain([])


def test_explain_says_what_is_not_for_one_pass():
    def top(*layers, classes=3, dtype=np.float64):
        return explain(Sequential(Linear(4, classes, rng=0), *layers).astype(dtype))

    apart = "0     Linear(4 -> {})\n1, 2  LogSoftmaxNLLLoss: LogSoftmax + NLLLoss, as one"
    assert top(LogSoftmax(), NLLLoss(), classes=16).endswith(", in one pass")
    assert top(LogSoftmax(), NLLLoss(), classes=17) == apart.format(17)
    assert top(LogSoftmax(), NLLLoss(), dtype=np.float16) == apart.format(3)
    assert top(LogSoftmax(), NLLLoss("none")) == apart.format(3)
    for loss in (CrossEntropyLoss(label_smoothing=0.1), BernoulliNLLLoss()):
        assert "no layers are fused" in top(loss)
    residual = Sequential(Residual(Linear(4, 4, rng=0)), Linear(4, 2, rng=0), ReLU())
    assert explain(residual) == "0     Residual(Linear)\n1, 2  LinearReLU: Linear + ReLU, as one"


def test_a_stack_on_top_that_is_empty_is_a_layer():
    cost = Sequential(Linear(2, 2, rng=0), LogSoftmax(), NLLLoss(), Sequential())
    with pytest.raises(TypeError, match="a layer that takes a target must stand on top"):
        value_and_gradients(cost, np.ones((3, 2)), [0, 1, 1])


def test_off_is_of_one_thread_and_ends_with_its_context():
    cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    seen = []
    with off():
        with off():
            assert plan(cost) is None
        assert plan(cost) is None
        thread = threading.Thread(target=lambda: seen.append(plan(cost)))
        thread.start()
        thread.join()
    assert seen[0] is plan(cost) is not None
    with pytest.raises(KeyError), off():
        raise KeyError
    assert plan(cost) is not None


# Of one's own.


class Doubled(Layer):
    def forward(self, z):
        return 2 * z, None

    def backward(self, delta, cache):
        return 2 * delta


class LinearDoubled(Fusion):
    def forward(self, z):
        z_next, _ = self.layers[0].forward(z)
        z_next *= 2
        return z_next, z

    def backward(self, delta, z):
        return self.layers[0].backward(2 * delta, z)

    def parameter_gradients(self, delta, z):
        return self.named(self.layers[0].parameter_gradients(2 * delta, z))


def test_a_fusion_of_ones_own():
    rng = np.random.default_rng(0)
    cost = Sequential(Linear(WIDTH, 5, rng=0), Doubled(), Linear(5, 3, rng=1), LogSoftmax(), NLLLoss())
    x, t = rng.normal(size=(6, WIDTH)), rng.integers(0, 3, 6)
    expected = value_and_gradients(cost, x, t)
    assert fuses(Linear, Doubled)(LinearDoubled) is LinearDoubled
    assert FUSIONS[Linear, Doubled] is LinearDoubled
    assert type(plan(cost).parts[0].layer) is LinearDoubled
    assert_same(value_and_gradients(cost, x, t), expected)
    assert check_fusion(LinearDoubled(cost[0], Doubled()), x).ok


def test_the_longest_fusion_is_taken():
    @fuses(Linear, ReLU, Tanh)
    class LinearReLUTanh(Fusion):
        pass

    cost = Sequential(Linear(3, 3, rng=0), ReLU(), Tanh(), Linear(3, 3, rng=0), ReLU(), BatchNorm1d(3), NLLLoss())
    assert [type(part.layer) for part in plan(cost).parts[:2]] == [LinearReLUTanh, LinearReLU]
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert list(value_and_gradients(cost, x, [0, 1, 2, 0])[1]) == list(cost.parameters())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: fuses(Linear(2, 2), ReLU), r"fuses expects classes of layers, got Linear: @fuses\(Linear, Tanh\)"),
        (lambda: fuses(Linear, int), "fuses expects classes of layers, got the class int"),
        (lambda: fuses(Linear, Sequential), "got Sequential: a Sequential is looked into"),
        (lambda: check_fusion(LinearReLU(Linear(3, 4), ReLU()), [[1.0, 2.0, 3.0]]), "check_fusion expects z to be a"),
        (lambda: fuses(Linear), "fuses expects two layers or more, got 1"),
        (lambda: fuses(Linear, ReLU)(ReLU), "fuses expects a class derived from Fusion below it, got the class ReLU"),
        (lambda: LinearReLU(Linear, ReLU()), "LinearReLU expects layers, got the class Linear as layer 0"),
        (lambda: check_fusion(ReLU(), np.ones((2, 3))), "check_fusion expects a Fusion made of its layers, got ReLU"),
    ],
)
def test_what_is_no_fusion_is_refused(wrong, message):
    before = dict(FUSIONS)
    with pytest.raises(TypeError, match=message):
        wrong()
    assert dict(FUSIONS) == before


def test_the_table_is_changed_by_fuses_alone():
    with pytest.raises(TypeError, match="does not support item assignment"):
        FUSIONS[Linear, Tanh] = LinearReLU


def test_a_fusion_may_decline_layers():
    @fuses(Linear, Doubled)
    class OfManyUnits(LinearDoubled):
        @classmethod
        def takes(cls, linear, doubled):
            return linear.out_features > 4

    few, many = (Sequential(Linear(3, k, rng=0), Doubled(), Linear(k, 2, rng=0), CrossEntropyLoss()) for k in (4, 5))
    assert plan(few) is None
    assert type(plan(many).parts[0].layer) is OfManyUnits
    with pytest.raises(AssertionError, match=r"OfManyUnits\(Linear, Doubled\): OfManyUnits.takes declines"):
        check_fusion(OfManyUnits(few[0], few[1]), np.ones((2, 3)))


class OnePass(Fusion):
    one_pass = True

    def value_and_gradients(self, z, *arguments):
        value, cache = self.plain.forward(z, *arguments)
        return value, self.changed(self.plain.parameter_gradients(1.0, cache))


@pytest.mark.parametrize("below", [[], [Tanh()]])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda gradients: {"0.weight": gradients["0.weight"]}, "'0.bias' is lacking"),
        (lambda gradients: {name[2:]: g for name, g in gradients.items()}, "'weight' is not in parameter_names"),
        (lambda gradients: {name: g[:1] for name, g in gradients.items()}, "expects the gradient of 0.weight to have"),
    ],
)
def test_the_gradients_of_a_single_pass_are_looked_at(below, changed, message):
    fusion = type("Wrong", (OnePass,), {"changed": staticmethod(changed)})
    fuses(Linear, MSELoss)(fusion)
    cost = Sequential(*below, Linear(3, 2, rng=0), MSELoss())
    with pytest.raises(ValueError, match=message) as caught:
        value_and_gradients(cost, np.ones((4, 3)), np.ones((4, 2)))
    assert "its plain rules did not" in caught.value.__notes__[-1]
    assert "Wrong(Linear, MSELoss) expects" in str(caught.value)


def test_layers_below_a_single_pass_that_gain_parameters():
    class Late(Tanh):
        def parameter_gradients(self, delta, cache):
            return {name: np.zeros(3) for name in self.parameter_names}

    cost = Sequential(Late(), Linear(3, 2, rng=0), CrossEntropyLoss())
    value_and_gradients(cost, np.ones((2, 3)), [0, 1])
    cost[0].scale, cost[0].parameter_names = np.ones(3), ("scale",)
    with pytest.raises(RuntimeError, match=r"Sequential\(Late\) had no parameters when it was first run"):
        value_and_gradients(cost, np.ones((2, 3)), [0, 1])


class ForgetsToDouble(LinearDoubled):
    def backward(self, delta, z):
        return self.layers[0].backward(delta, z)


class ForgetsTheBias(LinearDoubled):
    def parameter_gradients(self, delta, z):
        return {"0.weight": super().parameter_gradients(delta, z)["0.weight"]}


class WrongType(LinearDoubled):
    def forward(self, z):
        z_next, cache = super().forward(z)
        return z_next.astype(float), cache


class WrongAtLargeNumbers(LinearDoubled):
    def forward(self, z):
        z_next, cache = super().forward(z)
        return np.minimum(z_next, 50.0).astype(z.dtype), cache


class ForgetsTheScale(LinearLogSoftmaxNLLLoss):
    def value_and_gradients(self, z, target, weights=None):
        value, gradients = super().value_and_gradients(z, target, weights)
        return value, {name: len(z) * gradient for name, gradient in gradients.items()}


class NeverInOnePass(LinearLogSoftmaxNLLLoss):
    def value_and_gradients(self, z, target, weights=None):
        return None


class LacksRule3(Fusion):
    def forward(self, z):
        return self.plain(z), z

    def backward(self, delta, z):
        return self.layers[0].backward(2 * delta, z)


class LacksRule2(Fusion):
    def forward(self, z):
        return self.plain(z), z


@pytest.mark.parametrize(
    ("fusion", "message", "error"),
    [
        (ForgetsToDouble, "rule 2: ForgetsToDouble is off by", AssertionError),
        (ForgetsTheBias, "ForgetsTheBias gives rule 1, rule 2, the gradient of 0.weight, its layers", AssertionError),
        (WrongType, "rule 1: WrongType gives ndarray of float64 .* its layers ndarray of float32", AssertionError),
        (WrongAtLargeNumbers, "rule 1: WrongAtLargeNumbers is off by", AssertionError),
        (LacksRule3, r"LacksRule3 has a rule 1 of its own, but lacks rule 3: parameter_grad", NotImplementedError),
        (LacksRule2, r"LacksRule2 has a rule 1 of its own, but lacks rule 2: backward", NotImplementedError),
    ],
)
def test_a_wrong_fusion_is_found(fusion, message, error):
    x = np.random.default_rng(0).normal(size=(6, WIDTH))
    with pytest.raises(error, match=message):
        check_fusion(fusion(Linear(WIDTH, 5, rng=0), Doubled()), x)


def test_a_wrong_single_pass_is_found():
    x, layers = np.random.default_rng(0).normal(size=(6, WIDTH)), (Linear(WIDTH, 5, rng=0), LogSoftmax(), NLLLoss())
    assert check_fusion(LinearLogSoftmaxNLLLoss(*layers), x, np.arange(6) % 5).ok
    with pytest.raises(AssertionError, match=r"the gradient of 0\.weight: ForgetsTheScale is off by"):
        check_fusion(ForgetsTheScale(*layers), x, np.arange(6) % 5)
    with pytest.raises(AssertionError, match="NeverInOnePass says one_pass = True, but value_and_gradients gives None"):
        check_fusion(NeverInOnePass(*layers), x, np.arange(6) % 5)


def test_every_fusion_is_in_the_table_of_layers():
    from case import Sizes
    from table import CASES

    made = {type(case.make(Sizes(2, 2, 2), np.random.default_rng(0))) for case in CASES}
    assert set(FUSIONS.values()) <= made


def test_the_limits_of_the_binary_cross_entropy_are_kept():
    """Far out, where BCELoss cuts logarithms at -100 and y (1 - y) at 1e-12, its fusion with Sigmoid does the same."""
    z = np.concatenate([np.linspace(-60, 60, 241), [-1e4, 1e4]])[:, np.newaxis]
    for t in (np.zeros_like(z), np.ones_like(z), np.full_like(z, 0.3)):
        fusion = SigmoidBCELoss(Sigmoid(), BCELoss("none"))
        (value, cache), (expected, of_plain) = fusion.forward(z, t), fusion.plain.forward(z, t)
        np.testing.assert_array_equal(value, expected)
        delta = np.random.default_rng(0).normal(size=z.shape)
        expected = fusion.plain.backward(delta, of_plain)
        np.testing.assert_allclose(fusion.backward(delta, cache), expected, rtol=1e-14, atol=1e-300)


def test_every_fusion_is_held_to_its_layers():
    rng = np.random.default_rng(0)
    x, t, q = rng.normal(size=(9, WIDTH)), rng.integers(0, WIDTH, 9), rng.uniform(size=(9, WIDTH))
    for types, fusion in FUSIONS.items():
        width = 1 if BernoulliNLLLoss in types else WIDTH
        layers = [kind(WIDTH, width, rng=0) if kind is Linear else kind() for kind in types]
        target = () if types[-1] is ReLU else (q,) if BCELoss in types else (t % 2 if width == 1 else t,)
        assert check_fusion(fusion(*layers), x, *target).ok
