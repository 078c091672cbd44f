"""The layers that minigrad began with, and stacks of them."""

import numpy as np
from case import Case, Sizes

from minigrad import (
    BCELoss,
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
from minigrad.fusions import (
    LinearBernoulliNLLLoss,
    LinearLogSoftmaxNLLLoss,
    LinearReLU,
    LogSoftmaxNLLLoss,
    SigmoidBCELoss,
)


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
    Case("ReLU", lambda s, rng: ReLU(), kinks=(0.0,)),
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
    Case(
        "LinearBernoulliNLLLoss",
        lambda s, rng: LinearBernoulliNLLLoss(Linear(s.d, 1, rng=rng), BernoulliNLLLoss("sum")),
        arguments=weighted_binary_labels,
    ),
    Case("LinearReLU", lambda s, rng: LinearReLU(Linear(s.d, s.k, rng=rng), ReLU())),
    Case(
        "SigmoidBCELoss",
        lambda s, rng: SigmoidBCELoss(Sigmoid(), BCELoss("sum", rng.uniform(0.5, 2, s.k))),
        scores,
        lambda s, rng: (rng.uniform(size=(s.n, s.k)), rng.uniform(0.5, 2, s.n)),
        domain=lambda z: 3 * np.tanh(z),  # further out, the limits of BCELoss are not its derivatives
    ),
]
