"""Heads: what the loss on top of a stack takes as y, and whether it is a negative log-likelihood at all."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from minigrad.building import build
from minigrad.checks import require_layer
from minigrad.containers import Sequential
from minigrad.layer import Layer
from minigrad.layers import Linear, LogSoftmax, Sigmoid, Softmax
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    Penalized,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)

# Losses that are no negative log-likelihood, and what to take.
_GAUSSIAN = "take HomoscedasticGaussianNLLLoss({K}, 'sum', full=True), whose variance is trained too"
_OF_MARGINS = "its number is no probability of the labels: take "
NO_LIKELIHOODS: dict[type, str] = {
    MSELoss: f"its squares are those of normal errors of a variance that it leaves open: {_GAUSSIAN}",
    L1Loss: "its errors are those of a Laplace distribution of a scale b that it leaves open: write |z - t| / b + "
    "log(2 b) as a loss with b trained",
    SmoothL1Loss: f"no distribution with a scale has these errors: {_GAUSSIAN}",
    HuberLoss: f"no distribution with a scale has these errors: {_GAUSSIAN}",
    QuantileLoss: "write its asymmetric Laplace distribution as a loss with the scale trained",
    HingeLoss: _OF_MARGINS + "BernoulliNLLLoss() and labels 0, 1",
    MultiMarginLoss: _OF_MARGINS + "LogSoftmax() and NLLLoss()",
    KLDivLoss: "take CrossEntropyLoss() for labels",
}
# Pairs that are one transformation too many, or one too few.
MISMATCHES: dict[tuple[type, type], str] = {
    (Linear, NLLLoss): "NLLLoss takes log-probabilities: put LogSoftmax() between them",
    (Softmax, NLLLoss): "NLLLoss takes log-probabilities: put LogSoftmax() in place of Softmax()",
    (Softmax, CrossEntropyLoss): "CrossEntropyLoss takes raw scores: leave Softmax() out",
    (Sigmoid, BCEWithLogitsLoss): "BCEWithLogitsLoss takes logits: leave Sigmoid() out",
    (Sigmoid, BernoulliNLLLoss): "BernoulliNLLLoss takes logits: leave Sigmoid() out",
    (Linear, BCELoss): "BCELoss takes probabilities: take BCEWithLogitsLoss()",
}


class Head(NamedTuple):
    """What the loss on top takes as y.

    "softmax"  labels, one of K classes        "counts"   0, 1, 2, ... for each output
    "binary"   two classes, or a fraction      "numbers"  any numbers for each output
    "own"      whatever a loss takes that minigrad does not know
    """

    kind: str
    loss: Layer
    outputs: int | None  # K; None where it is not known
    rank: int | None  # axes of the output of one row: 1 for K numbers
    fractions: bool = False


def layers_of(cost: Layer) -> list[Layer]:
    """The layers of stacks within stacks, without penalties, in order."""
    if isinstance(cost, Penalized):
        return layers_of(cost.cost)
    if type(cost) is not Sequential:
        return [cost]
    return [inner for part in cost for inner in layers_of(part)]


def built(cost: Layer, x: Any) -> Layer:
    """`cost`, or a copy of it with the widths that were left out, by the first row of x."""
    require_layer("fit", cost)
    try:
        cost.parameters()
    except ValueError:
        row = tuple(part[:1] for part in x) if isinstance(x, tuple) else x[:1]
        return build(copy.deepcopy(cost), row)
    return cost


def head_of(cost: Layer, x: Any) -> Head:
    """What the top of `cost` takes as y (ValueError for what is no negative log-likelihood)."""
    layers = layers_of(cost)
    loss, below = layers[-1], layers[-2] if len(layers) > 1 else None
    require_likelihood(loss, below)
    of = next((kind for types, kind in _KINDS if isinstance(loss, types)), "own")
    if of == "own":
        return Head(of, loss, None, None)
    flat = [layer for layer in layers[:-1] if not isinstance(layer, LogSoftmax)]
    shape: tuple[int, ...] | None = None
    if len(flat) == 1 and type(flat[0]) is Linear and isinstance(x, np.ndarray) and x.ndim == 2:
        shape = (flat[0].out_features,)
    elif len(layers) > 1:
        shape = _shape_of_row(cost, layers[:-1], x)
    outputs = shape[-1] if shape else None
    return Head(of, loss, outputs, None if shape is None else len(shape), isinstance(loss, BCEWithLogitsLoss | BCELoss))


_KINDS: list[tuple[Any, str]] = [
    (NLLLoss, "softmax"),
    (BernoulliNLLLoss | BCEWithLogitsLoss | BCELoss, "binary"),
    (PoissonNLLLoss, "counts"),
    (GaussianNLLLoss | HomoscedasticGaussianNLLLoss, "numbers"),
]


def require_likelihood(loss: Layer, below: Layer | None) -> None:
    """`loss` is a negative log-likelihood of what stands below, and gives no row or class a weight (ValueError)."""
    name = type(loss).__name__
    if type(loss) in NO_LIKELIHOODS:
        outputs = getattr(below, "out_features", 1)
        why = NO_LIKELIHOODS[type(loss)].replace("{K}", str(outputs))
        raise ValueError(f"fit expects a stack that ends in a negative log-likelihood, got {name}: {why}")
    if type(loss).__module__.startswith("minigrad.layers."):
        raise ValueError(
            f"fit expects a stack that ends in a negative log-likelihood, got {loss!r} on top: put a loss on it, such "
            "as CrossEntropyLoss('sum'), BCEWithLogitsLoss('sum') or PoissonNLLLoss('sum')"
        )
    mismatch = MISMATCHES.get((type(below), type(loss)))
    if mismatch:
        raise ValueError(
            f"fit expects a stack that ends in a negative log-likelihood, got {name} on {type(below).__name__}: "
            f"{mismatch}"
        )
    for option in ("class_weights", "weight", "pos_weight"):
        if getattr(loss, option, None) is not None and type(loss).__module__.startswith("minigrad.losses"):
            raise ValueError(
                f"fit expects a loss without {option}, with which its number is no log-likelihood, got {name}"
                f"({option}=...): weights= of fit weighs rows, and kind= says what they stand for"
            )
    if getattr(loss, "label_smoothing", 0.0):
        raise ValueError(
            f"fit expects a loss without label_smoothing, with which its number is no log-likelihood, got {loss!r}: "
            "penalty= of fit keeps estimates finite, or penalty='firth'"
        )


def _shape_of_row(cost: Layer, below: list[Layer], x: Any) -> tuple[int, ...] | None:
    """The shape of the output for one row; None where the stack cannot take the row, which it will say itself."""
    try:
        whole = built(cost, x)
        out: Any = tuple(part[:1] for part in x) if isinstance(x, tuple) else x[:1]
        with np.errstate(all="ignore"):
            out = Sequential(*layers_of(whole)[: len(below)])(out)
    except Exception:
        return None
    return tuple(np.shape(out[0] if isinstance(out, tuple) else out)[1:])
