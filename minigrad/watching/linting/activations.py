"""Activations after the last linear unit, which keep scores and predictions from where they have to go."""

from __future__ import annotations

import math

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
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    L1Loss,
    MSELoss,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)
from minigrad.typing import Array
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run

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
OF_NUMBERS = (MSELoss, L1Loss, HuberLoss, SmoothL1Loss, QuantileLoss, HomoscedasticGaussianNLLLoss)
SOME = 0.01  # of the targets: fewer may be errors of measurement at the edge
SAID_ELSEWHERE = {
    BCEWithLogitsLoss: (Sigmoid, HardSigmoid),
    BernoulliNLLLoss: (Sigmoid, HardSigmoid),
    CrossEntropyLoss: (Softmax, LogSoftmax),
    LogSoftmax: (Softmax, LogSoftmax),
}


def reach(layer: Layer) -> tuple[float, float] | None:
    """The least and the largest number that an activation can give; None for another layer, and one without bounds."""
    if isinstance(layer, Hardtanh):
        return layer.min_val, layer.max_val
    if isinstance(layer, ELU):
        return (-layer.alpha, math.inf) if layer.alpha >= 0 else None
    return next((bounds for kind, bounds in REACH.items() if isinstance(layer, kind)), None)


def activation_before_scores(run: Run) -> Places:
    """ReLU and the like between the last linear unit and a softmax, or a loss of logits."""
    for event in run.of((LogSoftmax, *SAID_ELSEWHERE, HingeLoss, PoissonNLLLoss)):
        giver = run.below(event)
        bounds = None if giver is None else reach(giver.layer)
        if giver is None or bounds is None or isinstance(giver.layer, _said_elsewhere(event.layer)):
            continue
        said = _confined(event.layer, event.given[0], *bounds)
        if said:
            yield run.where(giver, below=event), said


def out_of_reach(run: Run) -> Places:
    """Targets that no output can be."""
    for event in run.of(OF_NUMBERS):
        giver = run.below(event)
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
    if isinstance(layer, BCEWithLogitsLoss | BernoulliNLLLoss):
        least, most = (
            1 / (1 + math.exp(-bound)) if math.isfinite(bound) else float(bound > 0) for bound in (low, high)
        )
        ends = [f"below {least:.3g}"] * (least > 0) + [f"above {most:.3g}"] * (most < 1)
        return f"{bounds}{dead}: no P(t = 1) is {' or '.join(ends)}."
    if math.isfinite(high - low):
        classes = z.shape[-1]
        most = 1 / (1 + (classes - 1) * math.exp(low - high))
        return f"{bounds}: of {classes} classes none gets a probability above {most:.3g}."
    return f"{bounds}{dead}."


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
        "target-out-of-reach",
        out_of_reach,
        "It trains, until the outputs lie at the edge, where the activation lets no delta through.",
        "Let the stack end in a linear unit, or scale the targets into these bounds.",
    ),
)
