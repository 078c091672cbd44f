"""Likelihoods of linear units: losses whose derivative is s (p(z) - t), for a mean p of the logits z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.containers import Sequential
from minigrad.kernels import sigmoid
from minigrad.layers import LogSoftmax
from minigrad.losses import (
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
)
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array


class Mean(NamedTuple):
    """The mean p(z) of the likelihood: the derivative of the loss is s (p(z) - t).

    Those below are each one object: copies and pickles are that object again.
    """

    of: Callable[[Array], Array]
    coupled: bool  # dp/dz is diag(p) - p p^T, else the diagonal `slope` of p
    slope: Callable[[Array], Array]  # of p

    def __reduce__(self) -> Any:
        name = next((name for name, mean in NAMED.items() if mean is self), None)
        return name or (Mean, tuple(self))


def _same(p: Array) -> Array:
    return p


def _logistic_slope(p: Array) -> Array:
    return p * (1 - p)


SOFTMAX = Mean(softmax, True, _same)
SIGMOID = Mean(sigmoid, False, _logistic_slope)
EXPONENTIAL = Mean(np.exp, False, _same)
IDENTITY = Mean(_same, False, np.ones_like)
NAMED = {"SOFTMAX": SOFTMAX, "SIGMOID": SIGMOID, "EXPONENTIAL": EXPONENTIAL, "IDENTITY": IDENTITY}

# What stands on the linear units, and the mean of it.
LIKELIHOODS: dict[tuple[type, ...], Mean] = {
    (LogSoftmax, NLLLoss): SOFTMAX,
    (CrossEntropyLoss,): SOFTMAX,
    (BernoulliNLLLoss,): SIGMOID,
    (BCEWithLogitsLoss,): SIGMOID,
    (PoissonNLLLoss,): EXPONENTIAL,
    (MSELoss,): IDENTITY,
}


def flattened(layer: Any) -> list[Any]:
    """The layers of stacks within stacks, in order."""
    if type(layer) is not Sequential or not len(layer):
        return [layer]
    return [inner for part in layer for inner in flattened(part)]


def scale_and_target(
    head: Sequential, mean: Mean, shape: tuple[int, int], arguments: tuple[Any, ...]
) -> tuple[Array, Array]:
    """s and t: the derivative of the loss is s (p(z) - t), so that its values at two z tell them."""
    low, high = np.zeros(shape), np.zeros(shape)
    if mean.coupled:
        high[:, 0] = np.log(shape[1])  # half of all probability
        if shape[1] == 1:
            return np.zeros((shape[0], 1)), np.ones(shape)
    else:
        high[:] = 1.0
    of_low, of_high = (head.backward(1.0, head.forward(z, *arguments)[1]) for z in (low, high))
    scale = (of_high - of_low)[:, :1] if mean.coupled else of_high - of_low
    rise = (mean.of(high) - mean.of(low))[:, : scale.shape[1]]
    scale = np.maximum(scale / rise, 0.0)
    return scale, mean.of(low) - of_low / np.where(scale > 0, scale, 1.0)
