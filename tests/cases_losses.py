"""Losses and penalties.

Scores and targets of a loss with kinks stand on two grids, so that no number comes near a kink.
"""

from functools import partial

import numpy as np
from case import Case, OneArray, Sizes

from minigrad import Layer, Linear, LogSoftmax, NLLLoss, Sequential, Tanh
from minigrad.fusions import LogSoftmaxNLLLoss
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    L1Penalty,
    L2Penalty,
    MSELoss,
    MultiMarginLoss,
    Penalized,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)
from minigrad.softmax_kernels import WIDE


def scores(s: Sizes) -> tuple[int, ...]:
    return (s.n, s.k)


def sequences(s: Sizes) -> tuple[int, ...]:
    return (s.n, s.d, s.k)


def wide(s: Sizes) -> tuple[int, ...]:
    return (s.n, WIDE + s.k)


def labels(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, s.k, s.n),)


def wide_labels(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, WIDE + s.k, s.n), rng.uniform(0.5, 2, s.n))


def labels_of_sequences(s: Sizes, rng: np.random.Generator) -> tuple:
    target = rng.integers(0, s.k, (s.n, s.d))
    target[1:, 0] = -1  # ignored
    return (target, rng.uniform(0.5, 2, s.n))


def weighted_places(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, s.k, (s.n, s.d)), rng.uniform(0.5, 2, (s.n, s.d)))


def probabilities(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.dirichlet(np.ones(s.k), s.n), rng.uniform(0.5, 2, s.n))


def numbers(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.normal(size=(s.n, s.d)),)


def weighted_numbers(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.normal(size=(s.n, s.d)), rng.uniform(0.5, 2, s.n))


def shares(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.uniform(size=(s.n, s.d)), rng.uniform(0.5, 2, (s.n, s.d)))


def counts(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, 6, (s.n, s.d)), rng.uniform(0.5, 2, s.n))


def signs(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.choice([-1, 1], (s.n, s.d)), rng.uniform(0.5, 2, s.n))


def off_grid(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(-4, 4, (s.n, s.d)) / 2 + 0.25, rng.uniform(0.5, 2, s.n))


def off_grid_of_rows(s: Sizes, rng: np.random.Generator) -> tuple:
    return (off_grid(s, rng)[0][:, 0],)


def on_grid(z: np.ndarray) -> np.ndarray:
    return np.round(2 * z) / 2


def between_grid(z: np.ndarray) -> np.ndarray:
    return on_grid(z) + 0.25


def inside(z: np.ndarray) -> np.ndarray:
    return 0.05 + 0.9 / (1 + np.exp(-np.clip(z, -4, 4)))


def moderate(z: np.ndarray) -> np.ndarray:
    return np.clip(z, -4, 4)


def positive(z: np.ndarray) -> np.ndarray:
    return 0.5 + np.exp(moderate(z) / 2)


def positive_half(z: np.ndarray) -> np.ndarray:
    """The variances, which are the right half of the columns, or the last."""
    half = (z.shape[1] + 1) // 2
    return np.concatenate([moderate(z[:, :half]), positive(z[:, half:])], axis=1)


def classes(make, *options, **named):
    """A loss with class weights."""
    return lambda s, rng: make(*options, class_weights=rng.uniform(0.5, 2, s.k), **named)


def penalized(s: Sizes, rng: np.random.Generator, reduction: str = "mean") -> Layer:
    cost = Sequential(Linear(s.d, 3, rng=rng), Tanh(), Linear(3, s.k, rng=rng), LogSoftmax(), NLLLoss(reduction))
    return Penalized(cost, L2Penalty(0.5, "*.weight"), L1Penalty(0.25, "0.*"), L2Penalty(0.1))


def tied(s: Sizes, rng: np.random.Generator) -> Layer:
    square = Linear(s.d, s.d, rng=rng)
    return Penalized(Sequential(square, Tanh(), square, MSELoss("sum")), L2Penalty(0.5))


SMOOTH = {"label_smoothing": 0.3}
CROSS_ENTROPIES = [
    Case("CrossEntropyLoss", lambda s, rng: CrossEntropyLoss(), scores, labels, 1),
    Case("CrossEntropyLoss sum, weighted", classes(CrossEntropyLoss, "sum"), scores, probabilities),
    Case("CrossEntropyLoss of probabilities", lambda s, rng: CrossEntropyLoss(), scores, probabilities, 1),
    Case(
        "CrossEntropyLoss of probabilities, smooth", classes(CrossEntropyLoss, "none", **SMOOTH), scores, probabilities
    ),
    Case("CrossEntropyLoss smooth", classes(CrossEntropyLoss, **SMOOTH), scores, labels, 1),
    Case(
        "CrossEntropyLoss smooth, ignoring",
        classes(CrossEntropyLoss, "sum", ignore_index=-1, **SMOOTH),
        sequences,
        labels_of_sequences,
    ),
    Case(
        "CrossEntropyLoss ignoring",
        lambda s, rng: CrossEntropyLoss(ignore_index=-1),
        sequences,
        labels_of_sequences,
        1,
    ),
    Case("CrossEntropyLoss of places", lambda s, rng: CrossEntropyLoss("none"), sequences, weighted_places),
    Case("CrossEntropyLoss of many classes", lambda s, rng: CrossEntropyLoss(), wide, wide_labels, 1),
    Case("CrossEntropyLoss of many classes, sum", lambda s, rng: CrossEntropyLoss("none"), wide, wide_labels),
    Case("NLLLoss ignoring", classes(NLLLoss, "none", ignore_index=-1), sequences, labels_of_sequences),
    Case("NLLLoss of places", lambda s, rng: NLLLoss(), sequences, weighted_places, 1),
    Case(
        "LogSoftmaxNLLLoss of many classes",
        lambda s, rng: LogSoftmaxNLLLoss(LogSoftmax(), NLLLoss()),
        wide,
        wide_labels,
        1,
    ),
    Case("LogSoftmax of many classes", lambda s, rng: LogSoftmax(), wide),
]

CASES = [
    *CROSS_ENTROPIES,
    Case("BCELoss", lambda s, rng: BCELoss(), arguments=shares, least_rows=1, domain=inside),
    Case("BCELoss weighted", lambda s, rng: BCELoss("sum", rng.uniform(1, 2, s.d)), arguments=shares, domain=inside),
    Case("BCEWithLogitsLoss", lambda s, rng: BCEWithLogitsLoss(), arguments=shares, least_rows=1),
    Case(
        "BCEWithLogitsLoss weighted",
        lambda s, rng: BCEWithLogitsLoss("none", rng.uniform(1, 2, s.d), rng.uniform(1, 2, s.d)),
        arguments=shares,
    ),
    Case("MSELoss", lambda s, rng: MSELoss(), arguments=weighted_numbers, least_rows=1),
    Case("MSELoss none", lambda s, rng: MSELoss("none"), arguments=weighted_numbers),
    Case("L1Loss", lambda s, rng: L1Loss(), arguments=off_grid, least_rows=1, domain=on_grid),
    Case("HuberLoss", lambda s, rng: HuberLoss("sum"), arguments=off_grid, domain=on_grid),
    Case("HuberLoss wide", lambda s, rng: HuberLoss(delta=2.0), arguments=off_grid, least_rows=1, domain=on_grid),
    Case("SmoothL1Loss", lambda s, rng: SmoothL1Loss(), arguments=off_grid, least_rows=1, domain=on_grid),
    Case("SmoothL1Loss wide", lambda s, rng: SmoothL1Loss("none", 2.5), arguments=off_grid, domain=on_grid),
    Case("SmoothL1Loss, beta 0", lambda s, rng: SmoothL1Loss("sum", 0.0), arguments=off_grid, domain=on_grid),
    Case("QuantileLoss", lambda s, rng: QuantileLoss(0.2), arguments=off_grid, least_rows=1, domain=on_grid),
    Case(
        "QuantileLoss several",
        lambda s, rng: QuantileLoss((0.1, 0.5, 0.8), "sum"),
        lambda s: (s.n, 3),
        off_grid_of_rows,
        domain=on_grid,
    ),
    Case("HingeLoss", lambda s, rng: HingeLoss(), arguments=signs, least_rows=1, domain=between_grid),
    Case("HingeLoss squared", lambda s, rng: HingeLoss("sum", True), arguments=signs, domain=between_grid),
    Case("MultiMarginLoss", classes(MultiMarginLoss, margin=0.75), scores, labels, 1, domain=on_grid),
    Case(
        "MultiMarginLoss p=2", lambda s, rng: MultiMarginLoss("none", p=2, margin=0.75), scores, labels, domain=on_grid
    ),
    Case("KLDivLoss", lambda s, rng: KLDivLoss("batchmean"), scores, probabilities, 1),
    Case("KLDivLoss log", lambda s, rng: KLDivLoss(log_target=True), arguments=weighted_numbers, least_rows=1),
    Case("PoissonNLLLoss", lambda s, rng: PoissonNLLLoss(), arguments=counts, least_rows=1, domain=moderate),
    Case(
        "PoissonNLLLoss of rates",
        lambda s, rng: PoissonNLLLoss("sum", log_input=False, full=True),
        arguments=counts,
        domain=positive,
    ),
    Case(
        "GaussianNLLLoss",
        lambda s, rng: OneArray(GaussianNLLLoss(full=True), [(s.d,), (s.d,)]),
        lambda s: (s.n, 2 * s.d),
        weighted_numbers,
        1,
        domain=positive_half,
    ),
    Case(
        "GaussianNLLLoss, one variance",
        lambda s, rng: OneArray(GaussianNLLLoss("none"), [(1,), (1,)]),
        lambda s: (s.n, 2),
        lambda s, rng: (rng.normal(size=(s.n, 1)),),
        domain=positive_half,
    ),
    Case(
        "GaussianNLLLoss, a variance for rows",
        lambda s, rng: OneArray(GaussianNLLLoss("sum"), [(2,), (1,)]),
        lambda s: (s.n, 3),
        lambda s, rng: (rng.normal(size=(s.n, 2)),),
        domain=positive_half,
    ),
    Case(
        "HomoscedasticGaussianNLLLoss",
        lambda s, rng: HomoscedasticGaussianNLLLoss(s.d, full=True),
        arguments=weighted_numbers,
        least_rows=1,
        domain=moderate,
    ),
    Case(
        "HomoscedasticGaussianNLLLoss none",
        lambda s, rng: HomoscedasticGaussianNLLLoss(s.d, "none"),
        arguments=weighted_numbers,
        domain=moderate,
    ),
    Case("Penalized", penalized, arguments=labels, least_rows=1),
    Case("Penalized sum", partial(penalized, reduction="sum"), arguments=labels),
    Case("Penalized, a layer twice", tied, arguments=numbers),
]
