"""SGD: gradient descent, on batches."""

from __future__ import annotations

import math

from minigrad.checks import all_finite, require_gradients
from minigrad.layer import Layer
from minigrad.typing import Gradients


class SGD:
    """theta <- theta - learning_rate * gradient, in place.

    `step` changes all parameters of `cost` or, where a gradient is missing, misshapen or not finite, none
    (ValueError, FloatingPointError).
    """

    def __init__(self, cost: Layer, learning_rate: float) -> None:
        if not (math.isfinite(learning_rate) and learning_rate > 0):
            raise ValueError(f"SGD expects a positive, finite learning_rate, got {learning_rate}")
        self.cost = cost
        self.learning_rate = float(learning_rate)

    def step(self, gradients: Gradients) -> None:
        """One step down `gradients`, {name: array} as `value_and_gradients` gives them."""
        arrays = self.cost.parameters()
        require_gradients(self, arrays, gradients)
        for name in arrays:
            if not all_finite(gradients[name]):
                raise FloatingPointError(
                    f"{self!r}: the gradient of {name} is not finite, so no parameter was changed: "
                    "lower the learning rate, or look for extreme inputs"
                )
        for name, array in arrays.items():
            array -= self.learning_rate * gradients[name]

    def __repr__(self) -> str:
        return f"SGD(learning_rate={self.learning_rate:g})"
