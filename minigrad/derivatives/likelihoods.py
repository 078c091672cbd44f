"""Likelihoods of linear units: losses whose derivative is s (p(z) - t), for a mean p of the logits z."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
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


def scale_of(head: Sequence[Any], mean: Mean, shape: tuple[int, int], arguments: tuple[Any, ...]) -> Array:
    """s alone, (1, 1), (N, 1) or (N, K): as the loss itself says it, where it does."""
    own = None if mean.coupled and shape[1] == 1 else SCALES.get(type(head[-1]))
    if own is not None and head[-1].reduction != "none":
        with suppress(TypeError, ValueError):  # below the rules raise them again, and name the layer
            scale = own(head[-1], shape, *arguments)
            if isinstance(scale, np.ndarray):
                return scale[:, np.newaxis] if scale.ndim == 1 else scale
            if scale is not None:
                return np.full((1, 1), scale)
    return scale_and_target(Sequential(*head), mean, shape, arguments)[0]


def _of_labels(loss: Any, shape: tuple[int, int], target: Any, weights: Any = None) -> Any:
    if not loss.is_sum_of_labels(target):
        return None
    return loss.labels_and_scale(np.zeros(shape[0]), shape[1], target, weights)[1]


def _of_binary_labels(loss: Any, shape: tuple[int, int], target: Any, weights: Any = None) -> Any:
    return loss.signs_and_scale(np.zeros(shape[0]), target, weights)[1] if shape[1] == 1 else None


def _of_numbers(loss: Any, shape: tuple[int, int], target: Any, weights: Any = None) -> Any:
    if getattr(loss, "pos_weight", None) is not None or getattr(loss, "weight", None) is not None:
        return None
    z = np.zeros(shape)
    loss.targets(z, target)
    return loss.scale(z, weights) * (2 if type(loss) is MSELoss else 1)


# (loss, (N, K), target, weights) -> s, as one number, of each row, or of each entry; None where it is not so simple.
SCALES: dict[type, Callable[..., Any]] = {
    NLLLoss: _of_labels,
    CrossEntropyLoss: _of_labels,
    BernoulliNLLLoss: _of_binary_labels,
    MSELoss: _of_numbers,
    BCEWithLogitsLoss: _of_numbers,
    PoissonNLLLoss: _of_numbers,
}


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
