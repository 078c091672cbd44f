"""Value and gradients by chunks: those of the whole batch, in constant memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import (
    BatchNorm1d,
    Branch,
    Container,
    Dropout,
    Frozen,
    Identity,
    Layer,
    Linear,
    LogSoftmax,
    Sequential,
    Sigmoid,
    Tanh,
    value_and_gradients,
)
from minigrad import losses as all_losses
from minigrad.derivatives.chunks import (
    value_and_gradients_in_batches,
    value_and_gradients_in_chunks,
    value_in_batches,
    value_in_chunks,
)
from minigrad.derivatives.mapped import release
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
    L1Penalty,
    L2Penalty,
    Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)
from minigrad.losses.classification import LikelihoodLoss

D, K = 4, 3
CLASSES = [0.5, 2.0, 0.0]


class Positive(Layer):
    """(z_0, e^{z_1}) for a mean and a variance."""

    def forward(self, z):
        return (z[0], np.exp(z[1])), np.exp(z[1])

    def backward(self, delta, e):
        return delta[0], delta[1] * e


def labels(n, rng):
    return rng.integers(0, K, n)


def ignored(n, rng):
    return np.where(rng.random(n) < 0.5, -100, labels(n, rng))


def numbers(n, rng):
    return rng.normal(size=(n, K))


def counts(n, rng):
    return rng.poisson(2.0, (n, K))


def shares(n, rng):
    return rng.random((n, K))


def signs(n, rng):
    return rng.choice([-1, 1], (n, K))


# (the loss, its targets, what stands between the model and the loss, reductions beside mean and sum)
LOSSES = {
    "nll": (NLLLoss, labels, LogSoftmax()),
    "nll of classes": (lambda r: NLLLoss(r, CLASSES, ignore_index=1), labels, LogSoftmax()),
    "cross-entropy": (CrossEntropyLoss, ignored, None),
    "cross-entropy of classes": (lambda r: CrossEntropyLoss(r, CLASSES), ignored, None),
    "smoothed": (lambda r: CrossEntropyLoss(r, CLASSES, label_smoothing=0.2), ignored, None),
    "of probabilities": (lambda r: CrossEntropyLoss(r, CLASSES), shares, None),
    "bernoulli": (lambda r: BernoulliNLLLoss(r, [1.0, 3.0]), lambda n, rng: rng.integers(0, 2, n), Linear(K, 1, rng=0)),
    "margins": (lambda r: MultiMarginLoss(r, CLASSES), labels, None),
    "bce": (lambda r: BCELoss(r, weight=np.array(CLASSES)), shares, Sigmoid()),
    "logits": (lambda r: BCEWithLogitsLoss(r, pos_weight=np.array(CLASSES)), shares, None),
    "hinge": (HingeLoss, signs, None),
    "squares": (MSELoss, numbers, None),
    "l1": (L1Loss, numbers, None),
    "huber": (HuberLoss, numbers, None),
    "smooth l1": (SmoothL1Loss, numbers, None),
    "quantile": (lambda r: QuantileLoss(0.3, r), numbers, None),
    "quantiles": (lambda r: QuantileLoss([0.1, 0.5, 0.9], r), lambda n, rng: rng.normal(size=n), None),
    "kl": (KLDivLoss, shares, LogSoftmax()),
    "kl of rows": (lambda r: KLDivLoss("batchmean" if r == "mean" else r), shares, LogSoftmax()),
    "poisson": (PoissonNLLLoss, counts, None),
    "gaussian": (GaussianNLLLoss, numbers, Branch(Identity(), Identity()) >> Positive()),
    "homoscedastic": (lambda r: HomoscedasticGaussianNLLLoss(K, r), numbers, None),
}


def stack(name, reduction="mean", *, nested=False, dtype=np.float64):
    make, _, below = LOSSES[name]
    top = [*([] if below is None else [below]), make(reduction)]
    body = [Linear(D, 5, rng=1), Tanh(), Linear(5, K, rng=2)]
    return Sequential(*body, Sequential(*top) if nested else top[0], *([] if nested else top[1:])).astype(dtype)


def data(name, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, D)), LOSSES[name][1](n, rng)


def assert_same(found, expected, eps=2.3e-16, scale=64):
    value, gradients = found
    assert list(gradients) == list(expected[1])
    np.testing.assert_allclose(value, expected[0], rtol=scale * eps, atol=scale * eps)
    assert np.asarray(value).dtype == np.asarray(expected[0]).dtype
    for name, array in expected[1].items():
        size = max(np.abs(array).max(initial=0), np.abs(expected[0]))
        np.testing.assert_allclose(gradients[name], array, rtol=0, atol=scale * eps * size, err_msg=name)
        assert gradients[name].dtype == array.dtype


def test_every_loss_is_looked_at():
    bases = {Loss, ElementwiseLoss, LikelihoodLoss}
    public = {getattr(all_losses, name) for name in all_losses.__all__}
    known = {kind for kind in public if isinstance(kind, type) and issubclass(kind, Loss)}
    assert {type(make("mean")) for make, _, _ in LOSSES.values()} == known - bases


@pytest.mark.parametrize("name", LOSSES)
@given(st.data())
def test_chunks_are_the_whole_batch(name, draw):
    n, seed = draw.draw(st.integers(1, 23)), draw.draw(st.integers(0, 99))
    size, reduction = draw.draw(st.integers(1, 25)), draw.draw(st.sampled_from(["mean", "sum"]))
    x, t = data(name, n, seed)
    arguments = [t]
    if draw.draw(st.booleans()):
        w = np.random.default_rng(seed + 1).uniform(0.2, 3, n)
        w[: draw.draw(st.integers(0, n - 1))] = 0  # whole chunks of no weight
        arguments.append(w)
    cost = stack(name, reduction, nested=draw.draw(st.booleans()))
    if draw.draw(st.booleans()):
        cost = Penalized(cost, L2Penalty(0.7, "*.weight"), L1Penalty(0.1))
    try:
        expected = value_and_gradients(cost, x, *arguments)
    except ValueError as error:  # nothing counts: the same is said of the chunks
        with pytest.raises(ValueError, match=str(error).partition("(")[0]):
            value_and_gradients_in_chunks(cost, x, *arguments, chunk_size=size)
        return
    assert_same(value_and_gradients_in_chunks(cost, x, *arguments, chunk_size=size), expected)
    at_inference = value_in_chunks(cost, x, *arguments, chunk_size=size)
    np.testing.assert_allclose(at_inference, cost(x, *arguments), rtol=1e-13, atol=1e-14)
    batches = [(x[i : i + size], *(a[i : i + size] for a in arguments)) for i in range(0, n, size)]
    assert_same(value_and_gradients_in_batches(cost, iter(batches)), expected)
    np.testing.assert_array_equal(value_in_batches(cost, iter(batches)), at_inference)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_float32_stays_and_is_added_up_in_float64(reduction):
    x, t = data("nll", 20_000)
    x32 = x.astype(np.float32)
    cost = stack("nll", reduction, dtype=np.float32)
    exact = value_and_gradients(cost.astype(np.float64), x32.astype(float), t)
    value, gradients = value_and_gradients_in_chunks(cost, x32, t, chunk_size=2)
    assert value.dtype == gradients["0.weight"].dtype == np.float32
    assert value == pytest.approx(exact[0], rel=2e-7)
    for name, array in gradients.items():
        np.testing.assert_allclose(array, exact[1][name], rtol=0, atol=4e-7 * np.abs(exact[1][name]).max())


def test_one_chunk_is_the_batch_to_the_bit():
    x, t = data("nll", 30)
    cost = Penalized(stack("nll"), L2Penalty(0.1))
    for size in (30, 1000):
        found, expected = value_and_gradients_in_chunks(cost, x, t, chunk_size=size), value_and_gradients(cost, x, t)
        assert found[0] == expected[0]
        for name, array in expected[1].items():
            np.testing.assert_array_equal(found[1][name], array)


@pytest.mark.parametrize("scale", [1e308, 1e-308, 5e-324])
def test_weights_whose_sum_overflows_or_vanishes(scale):
    x, t = data("squares", 12)
    cost = stack("squares")
    expected = value_and_gradients(cost, x, t)
    assert_same(value_and_gradients_in_chunks(cost, x, t, np.full(12, scale), chunk_size=5), expected)
    # From tiny to huge and back: the tiny ones do not count beside the others.
    w = np.full(12, scale)
    w[4:8] = 1e300
    assert_same(value_and_gradients_in_chunks(cost, x, t, w, chunk_size=4), value_and_gradients(cost, x, t, w))


def test_options_and_sequences_are_cut_too():
    x, t = data("nll", 10)
    cost, w = stack("nll"), np.linspace(0.1, 1, 10)
    expected = value_and_gradients(cost, x, t, w)
    assert_same(value_and_gradients_in_chunks(cost, x, list(t), weights=list(w), chunk_size=3), expected)
    assert_same(value_and_gradients_in_chunks(cost, x, target=t, weights=w, chunk_size=3), expected)
    assert_same(value_and_gradients_in_chunks(cost, x, t, weights=None, chunk_size=3), value_and_gradients(cost, x, t))


def test_several_inputs():
    from minigrad import Add, Parallel

    x, t = data("squares", 11)
    encoder = Linear(D, K, rng=0)
    cost = Sequential(Parallel(encoder, encoder), Add(), MSELoss())
    expected = value_and_gradients(cost, (x, 2 * x), t)
    assert_same(value_and_gradients_in_chunks(cost, (x, 2 * x), t, chunk_size=4), expected)
    assert_same(
        value_and_gradients_in_batches(cost, [((x[:4], 2 * x[:4]), t[:4]), ((x[4:], 2 * x[4:]), t[4:])]), expected
    )
    with pytest.raises(ValueError, match=r"x with one entry for each of 11 rows, got 10"):
        value_and_gradients_in_chunks(cost, (x, x[1:]), t, chunk_size=4)


def test_a_loss_alone_and_widths_left_out():
    z, t = np.random.default_rng(0).normal(size=(9, K)), np.arange(9) % K
    assert value_in_chunks(CrossEntropyLoss(), z, t, chunk_size=2) == pytest.approx(CrossEntropyLoss()(z, t), rel=1e-15)
    x, t = data("nll", 9)
    lazy, given_widths = (Sequential(Linear(width, K, rng=5), LogSoftmax(), NLLLoss(), *()) for width in (None, D))
    assert_same(value_and_gradients_in_chunks(lazy, x, t, chunk_size=4), value_and_gradients(given_widths, x, t))


def test_a_penalty_within_the_stack_counts_once():
    x, t = data("homoscedastic", 10)
    for reduction in ("mean", "sum"):
        loss = HomoscedasticGaussianNLLLoss(K, reduction)
        loss.log_variance[:] = 0.5
        cost = Sequential(Linear(D, K, rng=0), Penalized(loss, L2Penalty(3.0, "log_variance")))
        assert_same(value_and_gradients_in_chunks(cost, x, t, chunk_size=3), value_and_gradients(cost, x, t))


class RootMeanSquare(Layer):
    """A mean of rows, as sum_n |z_n - t_n| / N, which says nothing of how it puts rows together."""

    def forward(self, z, target):
        return np.abs(z - target).sum() / len(z), np.sign(z - target) / len(z)

    def backward(self, delta, cache):
        return delta * cache


def test_another_layer_on_top_is_asked_about():
    x, t = data("squares", 10)
    cost = Sequential(Linear(D, K, rng=0), RootMeanSquare())
    with pytest.raises(
        ValueError, match=r"cannot know how RootMeanSquare\(\) .* say reduction='sum', or reduction='mean'"
    ):
        value_and_gradients_in_chunks(cost, x, t, chunk_size=3)
    found = value_and_gradients_in_chunks(cost, x, t, chunk_size=3, reduction="mean")
    assert_same(found, value_and_gradients(cost, x, t))
    with pytest.raises(ValueError, match="expects reduction to be 'mean' or 'sum'"):
        value_in_chunks(cost, x, t, reduction="average")
    with pytest.raises(ValueError, match=r"got reduction='sum', but the cost ends with MSELoss\(mean\)"):
        value_in_chunks(stack("squares"), x, t, reduction="sum")
    with pytest.raises(ValueError, match=r"ends with MSELoss\(none\): take 'mean' or 'sum'"):
        value_in_chunks(stack("squares", "none"), x, t)


class OwnMean(Loss):
    """A Loss that divides on its own."""

    def forward(self, z, target, weights=None):
        return ((z - target) ** 2).sum() / len(z), 2 * (z - target) / len(z)

    def backward(self, delta, cache):
        return delta * cache


def test_a_loss_that_does_not_say_what_it_divides_by():
    x, t = data("squares", 10)
    with pytest.raises(TypeError, match=r"OwnMean\(mean\) expects its forward to call self.scale.* got 0 calls"):
        value_in_chunks(Sequential(Linear(D, K, rng=0), OwnMean()), x, t, chunk_size=3)


class Squared(Sequential):
    """A stack with rules of its own: not the sum of its rows."""

    def forward(self, z, *arguments):
        value, cache = super().forward(z, *arguments)
        return value**2, (value, cache)

    def __call__(self, z, *arguments):
        return super().__call__(z, *arguments) ** 2


def test_a_stack_with_rules_of_its_own_is_not_taken_apart():
    x, t = data("squares", 10)
    with pytest.raises(ValueError, match="cannot know how Squared"):
        value_in_chunks(Squared(Linear(D, K, rng=0), MSELoss()), x, t, chunk_size=3)


def normalised(norm):
    return Sequential(Linear(D, K, rng=0), Sequential(norm, Tanh()), MSELoss())


def test_rows_that_depend_on_one_another_are_refused():
    x, t = data("squares", 10)
    cost = normalised(BatchNorm1d(K))
    cost.forward(x, t)  # moves the statistics
    before = {name: array.copy() for name, array in cost.state().items()}
    with pytest.raises(
        ValueError, match=r"got BatchNorm1d\(3\) as layer 1\.0, .*Frozen\(layer\) runs it as at inference"
    ):
        value_and_gradients_in_chunks(cost, x, t, chunk_size=3)
    assert value_in_chunks(cost, x, t, chunk_size=3) == pytest.approx(cost(x, t), rel=1e-14)
    frozen = normalised(Frozen(cost[1][0]))
    assert_same(value_and_gradients_in_chunks(frozen, x, t, chunk_size=3), value_and_gradients(frozen, x, t))
    for name, array in cost.state().items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(ValueError, match=r"got BatchNorm1d\(3\) as layer 1\.0.*value_and_gradients of all rows"):
        value_in_chunks(normalised(BatchNorm1d(K, track_running_stats=False)), x, t, chunk_size=3)


class Shifted(Container):
    """A container on top, whose parts are looked at too."""

    def __init__(self, norm):
        self.norm, self.loss = norm, MSELoss("sum")
        self.reduction = "sum"

    def children(self):
        return [("norm", self.norm), ("loss", self.loss)]

    def forward(self, z, target):
        z, below = self.norm.forward(z)
        value, above = self.loss.forward(z, target)
        return value, (below, above)

    def backward(self, delta, cache):
        return self.norm.backward(self.loss.backward(delta, cache[1]), cache[0])

    def parameter_gradients(self, delta, cache):
        delta, own = self.loss.backpropagate(delta, cache[1])
        return self.gather([self.norm.parameter_gradients(delta, cache[0]), own])


def test_a_container_of_ones_own_on_top():
    x, t = data("squares", 10)
    cost = Sequential(Linear(D, K, rng=0), Shifted(Linear(K, K, rng=1)))
    assert_same(value_and_gradients_in_chunks(cost, x, t, chunk_size=4), value_and_gradients(cost, x, t))
    with pytest.raises(ValueError, match=r"got BatchNorm1d\(3\) as layer 1\.norm"):
        value_and_gradients_in_chunks(Sequential(Linear(D, K, rng=0), Shifted(BatchNorm1d(K))), x, t, chunk_size=4)


def test_dropout_is_off_at_inference():
    x, t = data("squares", 10)
    cost = Sequential(Dropout(0.5, rng=0), Linear(D, K, rng=0), MSELoss())
    state = cost[0].rng.bit_generator.state
    assert value_in_chunks(cost, x, t, chunk_size=4) == pytest.approx(cost(x, t), rel=1e-14)
    assert cost[0].rng.bit_generator.state == state


@pytest.mark.parametrize("evaluate", [value_and_gradients_in_chunks, value_in_chunks])
def test_a_cost_that_is_not_finite_names_the_rows(evaluate):
    x, t = data("squares", 10)
    x[7, 2] = 1e200
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="the cost is inf") as caught:
        evaluate(Sequential(Linear(D, K, rng=0), MSELoss()), x, t, chunk_size=3)
    assert caught.value.__notes__[-1] == f"in rows 6 .. 8 of {evaluate.__name__}"
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError) as caught:
        value_in_batches(Sequential(Linear(D, K, rng=0), MSELoss()), [(x[:5], t[:5]), (x[5:], t[5:])])
    assert caught.value.__notes__[-1] == "in batch 1, rows 5 .. 9 of all, of value_in_batches"


def test_a_sum_that_overflows_though_its_parts_do_not():
    x, t = np.full((4, 1), 1e154), np.zeros((4, 1))
    with pytest.raises(FloatingPointError, match="the sum of all parts is inf"):
        value_in_chunks(MSELoss("sum"), x, t, chunk_size=1)


def test_errors_name_the_rows():
    x, t = data("nll", 10)
    t[5] = 7
    with pytest.raises(ValueError, match=r"expects labels 0 \.\. 2") as caught:
        value_and_gradients_in_chunks(stack("nll"), x, t, chunk_size=4)
    assert "in rows 4 .. 7 of value_and_gradients_in_chunks" in caught.value.__notes__


def test_data_of_no_rows():
    x, t = data("nll", 0)
    with pytest.raises(ValueError, match="expects a batch of some weight, but the batch is empty"):
        value_and_gradients_in_chunks(stack("nll"), x, t)
    assert_same(
        value_and_gradients_in_chunks(stack("nll", "sum"), x, t), value_and_gradients(stack("nll", "sum"), x, t)
    )
    x, t = data("nll", 6)
    with pytest.raises(ValueError, match="but all weights are 0"):
        value_and_gradients_in_chunks(stack("nll"), x, t, np.zeros(6), chunk_size=2)
    with pytest.raises(ValueError, match="but all targets are -100, which is ignored"):
        value_and_gradients_in_chunks(stack("nll"), x, np.full(6, -100), chunk_size=2)
    with pytest.raises(ValueError, match="expects a batch or more, got none: an iterator that is used up"):
        value_in_batches(stack("nll"), iter([]))


def test_bad_arguments():
    x, t = data("nll", 10)
    cost = stack("nll")
    with pytest.raises(ValueError, match="argument 0 after x with one entry for each of 10 rows, got 9"):
        value_in_chunks(cost, x, t[1:])
    with pytest.raises(ValueError, match="weights with one entry for each of 10 rows, got 9"):
        value_in_chunks(cost, x, t, weights=np.ones(9))
    with pytest.raises(ValueError, match="expects chunk_size to be a positive integer, got 0"):
        value_in_chunks(cost, x, t, chunk_size=0)
    with pytest.raises(TypeError, match=r"expects x to be an array or a tuple of arrays, got list: np.asarray\(x\)"):
        value_in_chunks(cost, x.tolist(), t)
    with pytest.raises(TypeError, match=r"expects an iterable of batches \(x, target\), got tuple"):
        value_in_batches(cost, (x, t))
    with pytest.raises(
        ValueError, match=r"Linear\(4 -> 3\) gives an array of shape \(10, 3\), where a cost is one number"
    ):
        value_in_chunks(Linear(D, 3), x, reduction="sum")


def test_terms_that_are_not_counted_by_the_mean():
    """Smoothed labels of a class of weight 0 have terms, but no part in the sum of weights; a penalty counts once."""
    x, _ = data("smoothed", 9)
    t = np.array([2, 2, 2, 0, 1, 0, 2, 2, 2])
    cost = Penalized(stack("smoothed"), L2Penalty(0.7))
    assert_same(value_and_gradients_in_chunks(cost, x, t, chunk_size=3), value_and_gradients(cost, x, t))


def test_the_mean_of_equal_chunks_by_hand():
    """Weights of chunks are their own: of 3 and 1 rows, the mean of means would be wrong."""
    t = np.array([[1.0], [2.0], [3.0], [100.0]])
    assert value_in_chunks(MSELoss(), np.zeros((4, 1)), t, chunk_size=3) == pytest.approx(2503.5, rel=1e-15)
    w = np.array([1.0, 0.0, 0.0, 3.0])
    assert value_in_chunks(MSELoss(), np.zeros((4, 1)), t, w, chunk_size=2) == pytest.approx(7500.25, rel=1e-15)


def test_the_loss_of_the_caller_is_left_alone():
    cost = stack("nll")
    x, t = data("nll", 10)
    before = dict(vars(cost.layers[-1]))
    value_and_gradients_in_chunks(cost, x, t, chunk_size=3)
    assert vars(cost.layers[-1]) == before
    with pytest.raises(ValueError, match="all weights are 0"):
        cost(x, t, np.zeros(10))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_released_pages_are_read_again(tmp_path: Path, mode):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(40_000.0).reshape(-1, 4))
    x = np.load(path, mmap_mode=mode)
    if mode != "r":
        x[3, 2] = -7
    release(x)
    release((x[5:], np.asarray(x), np.ones(3), None))
    expected = np.arange(40_000.0).reshape(-1, 4)
    if mode != "r":
        expected[3, 2] = -7  # what was written stays, in memory alone for mode "c"
    np.testing.assert_array_equal(x, expected)
    t = np.zeros((10_000, 4))
    assert value_in_chunks(MSELoss(), x, t, chunk_size=999) == pytest.approx((expected**2).mean(), rel=1e-13)


RESIDENT = """
import resource, sys
import numpy as np
from minigrad import Linear, MSELoss, Sequential
from minigrad.derivatives.chunks import value_and_gradients_in_chunks, value_in_chunks
rows = int(sys.argv[3]) * 256  # of 4 KiB: MiB of a file that is all hole
with open(sys.argv[1], "wb") as file:
    file.truncate(rows * 4096)
x = np.memmap(sys.argv[1], np.float32, sys.argv[2], shape=(rows, 1024))
cost = Sequential(Linear(1024, 1, rng=0, dtype=np.float32), MSELoss())
t = np.ones((rows, 1), np.float32)
value, gradients = value_and_gradients_in_chunks(cost, x, t, chunk_size=4096)
residual = float(cost[0].bias[0]) - 1
assert abs(value - residual**2) < 1e-5, value
assert abs(gradients["0.bias"][0] - 2 * residual) < 1e-5
lines = open("/proc/self/status")  # getrusage would count what the parent of this process had
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep pages as they like")
@pytest.mark.parametrize(("mode", "mib"), [("r", 1024), ("r+", 256)])
def test_a_file_larger_than_memory(tmp_path: Path, mode, mib):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(tmp_path / "x"), mode, str(mib)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 100, f"{run.stdout} MiB were resident"
