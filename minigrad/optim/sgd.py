"""SGD: gradient descent, on batches."""

from __future__ import annotations

import math

import numpy as np

from minigrad.checks import all_finite, kind, require_gradients, require_layer
from minigrad.layer import Layer
from minigrad.typing import Gradients


class SGD:
    """theta <- theta - learning_rate * gradient, in place.

    `step` changes all parameters of `cost` or, where a gradient is missing, misshapen or not finite, none
    (ValueError, FloatingPointError).
    """

    def __init__(self, cost: Layer, learning_rate: float) -> None:
        require_layer(SGD, cost)
        if not (isinstance(learning_rate, int | float | np.number) and 0 < learning_rate < math.inf):
            raise ValueError(f"SGD expects a positive, finite learning_rate, got {learning_rate!r}")
        self.cost = cost
        self.learning_rate = float(learning_rate)

    def step(self, gradients: Gradients) -> None:
        """One step down `gradients`, {name: array} as `value_and_gradients` gives them."""
        arrays = self.cost.parameters()
        require_gradients(self, arrays, gradients)
        moved = {}
        for name, array in arrays.items():
            new = array - self.learning_rate * gradients[name]
            if not array.flags.writeable or not np.can_cast(new.dtype, array.dtype, "same_kind"):
                raise ValueError(
                    f"{self!r} cannot write {new.dtype} into {name}, {kind(array)}"
                    f"{'' if array.flags.writeable else ', read-only'}; no parameter was changed"
                )
            moved[name] = new.astype(array.dtype, copy=False)
            if not all_finite(moved[name]):
                raise FloatingPointError(
                    f"{self!r} would make {name} NaN or infinite, so no parameter was changed: "
                    "lower the learning rate, or look for extreme inputs"
                )
        for name, array in arrays.items():
            array[...] = moved[name]

    def __repr__(self) -> str:
        return f"SGD(learning_rate={self.learning_rate:g})"
