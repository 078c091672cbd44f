"""Each law can fail: layers with one bug planted, and the laws that must find it."""

import numpy as np
import pytest
from case import Case, Sizes, drafts
from cases_core import binary_labels, labels, logits, scores, weighted_labels
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from laws import LAWS

from minigrad import BernoulliNLLLoss, Layer, Linear, LogSoftmax, NLLLoss, ReLU, Sequential, Sigmoid, Softmax, Tanh
from minigrad.fusions import LogSoftmaxNLLLoss
from minigrad.layers import Elementwise

LAW = {law.__name__: law for law in LAWS}
RULES = "rules_2_and_3_are_the_derivatives"
COMPLEX, COMPLEX_RULES = "complex_steps_agree_with_rules_2_and_3", "complex_steps_go_through_rules_2_and_3"
LINEAR, ROWS, PURE = "rules_2_and_3_are_linear_in_delta", "rows_are_independent", "nothing_is_changed_or_kept"
REPEAT, NAMES, DTYPE = "results_repeat_to_the_bit", "shapes_and_names_agree", "dtype_in_is_dtype_out"
LAYOUT, FLOAT32 = "layout_does_not_matter", "float32_is_close_to_float64"
FOUND_IS_ENOUGH = settings(database=None, report_multiple_bugs=False, phases=[Phase.generate])  # nothing is shrunk


class TransposedWeight(Linear):
    """Rule 2 with W for W^T: the right shape when W is square."""

    def backward(self, delta, z):
        return delta @ self.weight.T


class MeanBias(Linear):
    """Mean over the batch where the sum belongs."""

    def parameter_gradients(self, delta, z):
        return super().parameter_gradients(delta, z) | {"bias": delta.sum(axis=0) / max(len(delta), 1)}


class FirstRowBias(Linear):
    def parameter_gradients(self, delta, z):
        return super().parameter_gradients(delta, z) | {"bias": delta[:1].sum(axis=0)}


class SlightlyOff(Linear):
    """A relative error of 1e-8."""

    def parameter_gradients(self, delta, z):
        gradients = super().parameter_gradients(delta, z)
        return gradients | {"weight": gradients["weight"] * (1 + 1e-8)}


class ForgottenBias(Linear):
    def parameter_gradients(self, delta, z):
        return {"weight": super().parameter_gradients(delta, z)["weight"]}


class KeptDims(Linear):
    def parameter_gradients(self, delta, z):
        return super().parameter_gradients(delta, z) | {"bias": delta.sum(axis=0, keepdims=True)}


class ZeroSoftmax(LogSoftmax):
    """Passes every check that starts from a delta of ones through a softmax."""

    def backward(self, delta, log_p):
        return np.zeros_like(log_p)


class DiagonalSoftmax(Softmax):
    def backward(self, delta, p):
        return delta * p * (1 - p)


class MaximumForSum(LogSoftmax):
    def backward(self, delta, log_p):
        return delta - np.exp(log_p) * delta.max(axis=-1, keepdims=True)


class TanhOfInput(Tanh):
    keeps = "input"


class SigmoidIdentity(Sigmoid):
    """The local derivative skipped."""

    def df(self, y):
        return np.ones_like(y)


class MaskFromDelta(ReLU):
    def backward(self, delta, y):
        return delta * (delta > 0)


class ClippedDelta(Tanh):
    def backward(self, delta, y):
        return np.clip(delta, -5, 5) * (1 - y * y)


class IgnoredDelta(Tanh):
    def backward(self, delta, y):
        return 1 - y * y


class CacheOnSelf(Tanh):
    """The state of Torch's nn: the last forward wins."""

    def forward(self, z):
        self.y = np.tanh(z)
        return self.y, None

    def backward(self, delta, cache):
        return delta * (1 - self.y**2)


class WritesInput(ReLU):
    def forward(self, z):
        if z.flags.writeable:
            z[z < 0] = 0
        return super().forward(z)


class WritesDelta(Tanh):
    def backward(self, delta, y):
        delta *= 1 - y * y
        return delta


class ReusedBuffer(Tanh):
    buffers: dict = {}  # noqa: RUF012 - the bug

    def f(self, z):
        return np.tanh(z, out=self.buffers.setdefault((z.shape, z.dtype), np.empty_like(z)))


class Countdown(Tanh):
    """Wrong from the second backward on."""

    def backward(self, delta, y):
        self.buffers = getattr(self, "buffers", 0) + 1
        return delta * (1 - y * y) * self.buffers


class Noisy(Tanh):
    def f(self, z):
        return np.tanh(z) + 1e-9 * np.random.normal(size=z.shape)  # noqa: NPY002 - the bug


class CoupledRows(Linear):
    """Centred over the batch."""

    def forward(self, z):
        return super().forward(z - z.mean(axis=0) if len(z) else z)


class DoublePrecision(Tanh):
    def f(self, z):
        return np.tanh(z.astype(complex) if z.dtype.kind == "c" else z.astype(float))


class SinglePrecision(Tanh):
    """float32 inside, float64 outside."""

    def f(self, z):
        return np.tanh(z) if z.dtype.kind == "c" else np.tanh(z.astype(np.float32)).astype(z.dtype)


class AbsoluteValue(Elementwise):
    """|z| is not analytic: a complex step through it gives 0."""

    keeps = "input"

    def f(self, z):
        return np.sqrt(1 + np.abs(z) ** 2)

    def df(self, z):
        return z / np.sqrt(1 + z**2)


class RealGradient(Linear):
    """A rule 3 that drops the imaginary part: second derivatives of 0."""

    def parameter_gradients(self, delta, z):
        gradients = super().parameter_gradients(np.real(delta), np.real(z))
        return {name: gradient.astype(np.result_type(delta, z)) for name, gradient in gradients.items()}


class ReversedRows(Linear):
    """Right for one row, and where the gradient does not see the order of rows."""

    def backward(self, delta, z):
        return super().backward(delta[::-1], z)


class LayoutTrap(Linear):
    """Takes the memory of delta for its contents."""

    def backward(self, delta, z):
        memory = delta.ravel(order="K").reshape(delta.shape)
        return super().backward(memory, z)


class WrongMean(NLLLoss):
    """Rule 2 of the sum, rule 1 of the mean."""

    def backward(self, delta, cache):
        log_p, chosen, _ = cache
        return super().backward(delta, (log_p, chosen, 1.0))


class UnweightedBackward(NLLLoss):
    def backward(self, delta, cache):
        log_p, chosen, _ = cache
        return super().backward(delta, (log_p, chosen, 1 / len(log_p)))


class WrongSign(BernoulliNLLLoss):
    def backward(self, delta, cache):
        return -super().backward(delta, cache)


class ForgottenTarget(LogSoftmaxNLLLoss):
    """p in place of p - onehot."""

    def backward(self, delta, residual):
        return super().backward(delta, residual - residual * (residual < 0))


class LastPlaceWins(Sequential):
    """The gradient of a shared array is that of one place, not the sum."""

    def gather(self, gradients, arrays=None):
        total = super().gather(gradients, arrays)
        names = {id(array): name for name, array in self.parameters().items()}
        for own, of_child in zip(arrays, gradients, strict=True):
            total |= {names[id(array)]: of_child[name] for name, array in own.items()}
        return total


class SkippedLayer(Sequential):
    """Rule 2 of the container forgets one layer."""

    def backward(self, delta, caches):
        return Sequential(*self.layers[1:]).backward(delta, caches[1:])


def shared(s: Sizes, rng: np.random.Generator) -> Layer:
    square = Linear(s.d, s.d, rng=rng)
    return LastPlaceWins(square, Tanh(), square)


def linear(bug):
    return Case(bug.__name__, lambda s, rng: bug(s.d, s.k, rng=rng))


def plain(bug, z_shape=lambda s: (s.n, s.d), kinks=()):
    return Case(bug.__name__, lambda s, rng: bug(), z_shape, kinks=kinks)


PLANTED = [
    (Case("TransposedWeight", lambda s, rng: TransposedWeight(s.d, s.d, rng=rng)), (RULES, COMPLEX)),
    (linear(MeanBias), (RULES, COMPLEX, ROWS)),
    (linear(FirstRowBias), (RULES, COMPLEX, ROWS)),
    (linear(SlightlyOff), (RULES, COMPLEX)),
    (linear(ForgottenBias), (NAMES,)),
    (linear(KeptDims), (NAMES,)),
    (plain(ZeroSoftmax, scores), (RULES, COMPLEX)),
    (plain(DiagonalSoftmax, scores), (RULES, COMPLEX)),
    (plain(MaximumForSum, scores), (RULES, LINEAR)),
    (plain(TanhOfInput), (RULES, COMPLEX)),
    (plain(SigmoidIdentity), (RULES, COMPLEX)),
    (plain(MaskFromDelta, kinks=(0.0,)), (RULES, LINEAR)),
    (plain(ClippedDelta), (LINEAR,)),
    (plain(IgnoredDelta), (RULES, LINEAR)),
    (plain(CacheOnSelf), (PURE,)),
    (plain(WritesInput, kinks=(0.0,)), (PURE,)),
    (plain(WritesDelta), (PURE,)),
    (plain(ReusedBuffer), (PURE,)),
    (plain(Countdown), (PURE,)),
    (plain(Noisy), (REPEAT,)),
    (linear(CoupledRows), (ROWS,)),
    (plain(DoublePrecision), (DTYPE,)),
    (plain(SinglePrecision), (RULES,)),
    (plain(AbsoluteValue), (COMPLEX,)),
    (linear(RealGradient), (COMPLEX_RULES,)),
    (linear(ReversedRows), (RULES, ROWS)),
    (linear(LayoutTrap), (LAYOUT,)),
    (Case("WrongMean", lambda s, rng: WrongMean(), scores, labels, 1), (RULES, COMPLEX)),
    (Case("UnweightedBackward", lambda s, rng: UnweightedBackward(), scores, weighted_labels, 1), (RULES,)),
    (Case("WrongSign", lambda s, rng: WrongSign("sum"), logits, binary_labels), (RULES,)),
    (
        Case("ForgottenTarget", lambda s, rng: ForgottenTarget(LogSoftmax(), NLLLoss("sum")), scores, labels),
        (RULES,),
    ),
    (Case("LastPlaceWins", shared), (RULES, COMPLEX)),
    (Case("SkippedLayer", lambda s, rng: SkippedLayer(Tanh(), Linear(s.d, s.k, rng=rng))), (RULES,)),
]


@pytest.mark.parametrize(
    ("case", "law"), [(case, law) for case, laws in PLANTED for law in laws], ids=lambda p: getattr(p, "name", p)
)
def test_a_planted_bug_is_found(case: Case, law: str):
    @settings(FOUND_IS_ENOUGH, max_examples=60)
    @given(st.data())
    def holds(data):
        LAW[law](data.draw(drafts(case)).example())

    with pytest.raises(AssertionError):
        holds()


def test_every_law_finds_some_planted_bug():
    """float32_is_close_to_float64 looks at values that no planted bug changes alone; its bug is below.

    What the checker finds is measured on hundreds of bugs in test_detection.py.
    """
    found = {law for _, laws in PLANTED for law in laws}
    assert found | {FLOAT32} == set(LAW)


def test_a_loss_of_precision_in_float32_is_found():
    class NaiveVariance(Elementwise):
        """(z + 1e4)^2 - 1e8: the digits cancel."""

        keeps = "input"

        def f(self, z):
            return (z + 10_000) ** 2 - 100_000_000

        def df(self, z):
            return 2 * (z + 10_000)

    @settings(FOUND_IS_ENOUGH)
    @given(drafts(plain(NaiveVariance)))
    def holds(draft):
        LAW[FLOAT32](draft.example())

    with pytest.raises(AssertionError):
        holds()
