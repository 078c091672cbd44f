"""Activations after the last linear unit, which keep scores and predictions from where they have to go."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.layer import Layer
from minigrad.layers import (
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    Hardtanh,
    LogSigmoid,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from minigrad.losses import (
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    MultiMarginLoss,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)
from minigrad.typing import Array
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run
from minigrad.watching.linting.softmaxes import most_probable
from minigrad.watching.watched import Event

# The least and the largest number that each can give.
REACH: dict[type[Layer], tuple[float, float]] = {
    Sigmoid: (0, 1),
    HardSigmoid: (0, 1),
    Softmax: (0, 1),
    Tanh: (-1, 1),
    Softsign: (-1, 1),
    ReLU: (0, math.inf),
    Softplus: (0, math.inf),
    LogSigmoid: (-math.inf, 0),
    LogSoftmax: (-math.inf, 0),
    SELU: (-SELU.scale * SELU.alpha, math.inf),
    GELU: (-0.1701, math.inf),
    SiLU: (-0.2785, math.inf),
    Mish: (-0.3089, math.inf),
}
OF_SCORES = (
    LogSoftmax,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    HingeLoss,
    MultiMarginLoss,
    PoissonNLLLoss,
)
OF_NUMBERS = (MSELoss, L1Loss, HuberLoss, SmoothL1Loss, QuantileLoss, HomoscedasticGaussianNLLLoss)
OF_CLASSES = (Softmax, LogSoftmax, CrossEntropyLoss, MultiMarginLoss)
SOME = 0.01  # of the targets: fewer may be errors of measurement at the edge
SAID_ELSEWHERE = {
    BCEWithLogitsLoss: (Sigmoid, HardSigmoid),
    BernoulliNLLLoss: (Sigmoid, HardSigmoid),
    CrossEntropyLoss: (Softmax, LogSoftmax),
    LogSoftmax: (Softmax, LogSoftmax),
    Softmax: (Softmax, LogSoftmax),
}


def reach(layer: Layer) -> tuple[float, float] | None:
    """The least and the largest number that an activation can give; None for another layer, and one without bounds."""
    if isinstance(layer, Hardtanh):
        return layer.min_val, layer.max_val
    if isinstance(layer, ELU):
        return (-layer.alpha, math.inf) if layer.alpha >= 0 else None
    return next((bounds for kind, bounds in REACH.items() if isinstance(layer, kind)), None)


def activation_before_scores(run: Run) -> Places:
    """Bounds of scores, which bound what comes of them."""
    for event, giver, bounds in _bounded_scores(run):
        said = _confined(event.layer, event.given[0], *bounds)
        if said:
            yield run.where(giver, below=event), said


def silent_scores(run: Run) -> Places:
    """Scores that are cut at 0: a softmax needs no others, since what it gives is of their differences."""
    for event, giver, _ in _bounded_scores(run):
        z = event.given[0]
        if isinstance(giver.layer, ReLU) and isinstance(event.layer, OF_CLASSES) and (z == 0).any():
            yield run.where(giver, below=event), f"{(z == 0).mean():.0%} of the scores are 0."


def out_of_reach(run: Run) -> Places:
    """Targets that no output can be."""
    for event in run.of((*OF_NUMBERS, GaussianNLLLoss)):
        giver = run.giver_of(prediction(event))
        bounds = None if giver is None else reach(giver.layer)
        if giver is None or bounds is None or event.error is not None:
            continue
        t = np.asarray(event.given[1], dtype=float)
        low, high = bounds
        slack = 1e-6 * max(abs(low) if math.isfinite(low) else 0, abs(high) if math.isfinite(high) else 0, 1e-6)
        beyond = (t < low - slack) | (t > high + slack)
        if beyond.mean() > SOME:
            yield (
                run.where(giver, below=event),
                f"The outputs lie {_interval(low, high)}, and {beyond.mean():.0%} of the targets, which go from "
                f"{t.min():.3g} to {t.max():.3g}, do not.",
            )


def prediction(event: Event) -> Any:
    """What a loss compares with the target: of a pair of mean and variance, the mean."""
    z = event.given[0]
    return z[0] if isinstance(event.layer, GaussianNLLLoss) and type(z) is tuple and z else z


def _bounded_scores(run: Run) -> Iterator[tuple[Event, Event, tuple[float, float]]]:
    """(what takes scores, the activation below it, its bounds), of what goes into a loss, or is one."""
    for event in run.of((*OF_SCORES, Softmax, Sigmoid)):
        if not isinstance(event.layer, OF_SCORES) and not run.scores_of(event):
            continue
        giver = run.below(event)
        bounds = None if giver is None else reach(giver.layer)
        if giver is not None and bounds is not None and not isinstance(giver.layer, _said_elsewhere(event.layer)):
            yield event, giver, bounds


def _said_elsewhere(layer: Layer) -> tuple[type, ...]:
    return next((kinds for kind, kinds in SAID_ELSEWHERE.items() if isinstance(layer, kind)), ())


def _confined(layer: Layer, z: Array, low: float, high: float) -> str:
    """What scores in such bounds cannot say; nothing where they can."""
    bounds = f"The scores lie {_interval(low, high)}"
    zeros = float((z == 0).mean())
    dead = f", and {zeros:.0%} of them are 0, where no delta comes through" if zeros and low == 0 else ""
    if isinstance(layer, PoissonNLLLoss):
        return f"{bounds}{dead}: as logarithms they allow no rate below 1." if layer.log_input and low >= 0 else ""
    if isinstance(layer, HingeLoss):
        if low >= 0 or high <= 0:
            return f"{bounds}{dead}: none can be on the side of t = {-1 if low >= 0 else 1}."
        return ""
    if isinstance(layer, BCEWithLogitsLoss | BernoulliNLLLoss | Sigmoid):
        least, most = (
            1 / (1 + math.exp(-bound)) if math.isfinite(bound) else float(bound > 0) for bound in (low, high)
        )
        ends = [f"below {least:.3g}"] * (least > 0) + [f"above {most:.3g}"] * (most < 1)
        return f"{bounds}{dead}: no P(t = 1) is {' or '.join(ends)}."
    if not math.isfinite(high - low):
        return ""
    if isinstance(layer, MultiMarginLoss):
        said = f"{bounds}: none can exceed another by more than {high - low:.3g}, and the margin is {layer.margin:.3g}."
        return said if high - low <= layer.margin else ""
    classes = z.shape[-1]
    return f"{bounds}: of {classes} classes none gets a probability above {most_probable(high - low, classes):.3g}."


def _interval(low: float, high: float) -> str:
    if math.isinf(high):
        return f"above {low:.3g}"
    return f"below {high:.3g}" if math.isinf(low) else f"between {low:.3g} and {high:.3g}"


RULES = (
    Rule(
        "activation-before-scores",
        activation_before_scores,
        "Scores have to be free to take any value. It trains, as far as the bounds allow, and the cost stops too high.",
        "Let the stack end in a linear unit: take the activation out.",
    ),
    Rule(
        "activation-before-scores",
        silent_scores,
        "A score of 0 lets no delta through: from such a row its class learns nothing, and a class whose scores are 0 "
        "for all rows stays so. What is learned, and how well, hangs on the start.",
        "Let the stack end in a linear unit: take the activation out.",
    ),
    Rule(
        "target-out-of-reach",
        out_of_reach,
        "It trains, until the outputs lie at the edge, where the activation lets no delta through.",
        "Let the stack end in a linear unit, or scale the targets into these bounds.",
    ),
)
