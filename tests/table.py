"""The table of layers.  A new layer adds a line to CASES, and every law of laws.py is tested for it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad import (
    BernoulliNLLLoss,
    Layer,
    Linear,
    LogSigmoid,
    LogSoftmax,
    NLLLoss,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from minigrad.fusions import LinearLogSoftmaxNLLLoss, LogSoftmaxNLLLoss


class Sizes(NamedTuple):
    """N rows, D features, K classes: small, and drawn apart, so that they mostly disagree."""

    n: int
    d: int
    k: int


class Case(NamedTuple):
    """How to make a layer and what goes into it."""

    name: str
    make: Callable[[Sizes, np.random.Generator], Layer]
    z_shape: Callable[[Sizes], tuple[int, ...]] = lambda s: (s.n, s.d)
    arguments: Callable[[Sizes, np.random.Generator], tuple] = lambda s, rng: ()
    least_rows: int = 0  # 1 where an empty batch has no answer
    kink: float | None = None  # where the function has no derivative


class Example(NamedTuple):
    """One layer with an input, a dtype and a seed for deltas."""

    case: Case
    layer: Layer
    z: np.ndarray
    arguments: tuple
    seed: int

    def delta(self, z_next: np.ndarray, stream: int = 0) -> np.ndarray:
        """Signed normal numbers: of ones or one-hot, errors could hide."""
        numbers = np.random.default_rng((self.seed, stream)).normal(size=np.shape(z_next))
        return numbers.astype(np.real(z_next).dtype)[()]

    @property
    def eps(self) -> float:
        """The rounding of this precision."""
        return float(np.finfo(self.z.dtype).eps)


def labels(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, s.k, s.n),)


def weighted_labels(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, s.k, s.n).astype(np.uint8), rng.uniform(0.5, 2, s.n))


def binary_labels(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, 2, s.n),)


def weighted_binary_labels(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, 2, s.n).astype(float), rng.uniform(0.5, 2, s.n))


def scores(s: Sizes) -> tuple[int, ...]:
    return (s.n, s.k)


def logits(s: Sizes) -> tuple[int, ...]:
    return (s.n, 1)


def classifier(s: Sizes, rng: np.random.Generator) -> Sequential:
    return Sequential(Linear(s.d, 3, rng=rng), Tanh(), Linear(3, s.k, rng=rng), LogSoftmax())


def used_twice(s: Sizes, rng: np.random.Generator) -> Sequential:
    square = Linear(s.d, s.d, rng=rng)
    return Sequential(square, Tanh(), square)


def sharing_an_array(s: Sizes, rng: np.random.Generator) -> Sequential:
    below, above = Linear(s.d, s.d, rng=rng), Linear(s.d, s.d, rng=rng)
    above.weight = below.weight
    return Sequential(Sequential(below, Tanh()), above)


def fused_regression(s: Sizes, rng: np.random.Generator) -> Layer:
    return LinearLogSoftmaxNLLLoss(Linear(s.d, s.k, rng=rng), LogSoftmax(), NLLLoss("sum"))


CASES = [
    Case("Linear", lambda s, rng: Linear(s.d, s.k, rng=rng)),
    Case("Linear without bias", lambda s, rng: Linear(s.d, s.k, bias=False, rng=rng)),
    Case("Linear on sequences", lambda s, rng: Linear(s.d, s.k, rng=rng), lambda s: (s.n, 2, s.d)),
    Case("Linear, wide", lambda s, rng: Linear(s.d, 20, rng=rng)),
    Case("LogSoftmax", lambda s, rng: LogSoftmax(), scores),
    Case("LogSoftmax on sequences", lambda s, rng: LogSoftmax(), lambda s: (s.n, 2, s.k)),
    Case("Softmax", lambda s, rng: Softmax(), scores),
    Case("Sigmoid", lambda s, rng: Sigmoid()),
    Case("LogSigmoid", lambda s, rng: LogSigmoid()),
    Case("Tanh", lambda s, rng: Tanh(), lambda s: (s.n, 2, s.d)),
    Case("ReLU", lambda s, rng: ReLU(), kink=0.0),
    Case("NLLLoss", lambda s, rng: NLLLoss(), scores, labels, least_rows=1),
    Case("NLLLoss sum", lambda s, rng: NLLLoss("sum"), scores, weighted_labels),
    Case("NLLLoss none", lambda s, rng: NLLLoss("none"), scores, labels),
    Case("NLLLoss weighted", lambda s, rng: NLLLoss("mean", rng.uniform(1, 2, s.k)), scores, weighted_labels, 1),
    Case("NLLLoss none, weighted", lambda s, rng: NLLLoss("none", rng.uniform(1, 2, s.k)), scores, weighted_labels),
    Case("BernoulliNLLLoss", lambda s, rng: BernoulliNLLLoss(), logits, binary_labels, least_rows=1),
    Case("BernoulliNLLLoss sum", lambda s, rng: BernoulliNLLLoss("sum"), logits, weighted_binary_labels),
    Case("BernoulliNLLLoss none", lambda s, rng: BernoulliNLLLoss("none", [1, 3]), logits, binary_labels),
    Case("Sequential", classifier),
    Case("Sequential, empty", lambda s, rng: Sequential()),
    Case("Sequential, nested", lambda s, rng: Sequential(Sequential(classifier(s, rng)[:2]), classifier(s, rng)[2:])),
    Case("Sequential, a layer twice", used_twice),
    Case("Sequential, a shared array", sharing_an_array),
    Case("Sequential with a loss", lambda s, rng: Sequential(*classifier(s, rng), NLLLoss("sum")), arguments=labels),
    Case("LogSoftmaxNLLLoss", lambda s, rng: LogSoftmaxNLLLoss(LogSoftmax(), NLLLoss()), scores, labels, least_rows=1),
    Case(
        "LogSoftmaxNLLLoss none",
        lambda s, rng: LogSoftmaxNLLLoss(LogSoftmax(), NLLLoss("none", rng.uniform(1, 2, s.k))),
        scores,
        weighted_labels,
    ),
    Case("LinearLogSoftmaxNLLLoss", fused_regression, arguments=weighted_labels),
]

# What random numbers rarely hit: ties, zeros, saturation; and the ordinary.
VALUES = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 0.5, -2.0, 1e-3, 30.0, -30.0]), st.floats(-4, 4, width=32))

LAYOUTS = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "strided": lambda z: np.repeat(z, 2, axis=-1)[..., ::2],
    "reversed": lambda z: np.ascontiguousarray(z[::-1])[::-1],
}


def laid_out(z: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers, laid out otherwise in memory, and read-only."""
    z = LAYOUTS[layout](z)
    z.flags.writeable = False
    return z


@st.composite
def examples(draw: st.DrawFn, case: Case, dtypes: tuple = (np.float64,)) -> Example:
    """A layer of the case with parameters, input, sizes, precision and memory layout drawn."""
    dtype = draw(st.sampled_from(dtypes))
    sizes = Sizes(draw(st.integers(case.least_rows, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 5)))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    layer = case.make(sizes, rng)
    if layer.parameters():
        layer = layer.with_parameters(
            {name: rng.normal(size=array.shape).astype(dtype) for name, array in layer.parameters().items()}
        )
    for array in layer.parameters().values():
        array.flags.writeable = False
    z = draw(hnp.arrays(np.float64, case.z_shape(sizes), elements=VALUES))
    if case.kink is not None:
        z = np.where(abs(z - case.kink) < 0.1, case.kink + 0.5, z)
    z = laid_out(z.astype(dtype), draw(st.sampled_from(list(LAYOUTS))))
    return Example(case, layer, z, case.arguments(sizes, rng), seed)
