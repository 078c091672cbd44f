"""What is known of losses that are likelihoods: what they expect of y, and what they leave out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.kernels import sigmoid
from minigrad.layer import Layer
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HomoscedasticGaussianNLLLoss,
    NLLLoss,
    PoissonNLLLoss,
)
from minigrad.mle.stacks.trying import first
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array

HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)
log_factorial = np.vectorize(lambda t: math.lgamma(t + 1), otypes=[float])

MEANS: dict[type, Callable[[Any, Any], Any]] = {  # (loss, what it is given) -> E y
    NLLLoss: lambda _, z: np.exp(z),
    CrossEntropyLoss: lambda _, z: softmax(z),
    BernoulliNLLLoss: lambda _, z: sigmoid(z),
    BCEWithLogitsLoss: lambda _, z: sigmoid(z),
    BCELoss: lambda _, z: z,
    PoissonNLLLoss: lambda loss, z: np.exp(z) if loss.log_input else z,
    GaussianNLLLoss: lambda _, z: z[0],
    HomoscedasticGaussianNLLLoss: lambda _, z: z,
}


def says_mean(loss: Layer | None) -> bool:
    """What is expected of y is known; of a loss of one's own without `response`, only what it is given is."""
    return loss is None or type(loss) in MEANS or hasattr(loss, "response")


def expected_of_y(loss: Layer, z: Any) -> Array:
    """E y, (N, K): of a loss of one's own, what its method `response(z)` says, or z itself, or its first part.

    Of what range it is, `response_scale` says: "logit" between 0 and 1, "log" above 0, "identity" anywhere.
    """
    if type(loss) in MEANS:
        found = MEANS[type(loss)](loss, z)
    else:
        found = loss.response(z) if hasattr(loss, "response") else first(z)
    return np.asarray(found).reshape(len(found), -1)


def hint_on(loss: Layer, target: Any) -> str:
    """What to say beside a verdict of separation: y of two values may be labels in another code than the loss's."""
    if type(loss).__module__.partition(".")[0] == "minigrad" or type(target) is tuple:
        return ""
    values = np.unique(np.asarray(target, dtype=float))
    if len(values) != 2 or tuple(values) == (0.0, 1.0):
        return ""
    low, high = values
    return f"y holds {low:g} and {high:g} alone: {label(loss)} may expect 0 and 1"


def left_out(loss: Any, z: Any, target: Any) -> Array | float:
    """What the loss leaves out of -log p(y_n), (N,), since it depends on no parameter."""
    count = len(first(z))
    if isinstance(loss, GaussianNLLLoss | HomoscedasticGaussianNLLLoss):
        return 0.0 if loss.full else HALF_LOG_2_PI * (first(z).size // count)
    if type(loss) is not PoissonNLLLoss:
        return 0.0
    t = np.asarray(target, dtype=float)
    terms = log_factorial(t)
    if loss.full:  # Stirling's formula is there already
        large = np.where(t > 1, t, 1.0)
        terms = terms - np.where(t > 1, t * np.log(large) - t + 0.5 * np.log(2 * math.pi * large), 0.0)
    return np.asarray(terms.reshape(count, -1).sum(axis=1))
