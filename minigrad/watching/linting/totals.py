"""A cost as one number: the sum over rows where it is many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.typing import Array, Delta, Gradients


class Total(Container):
    """The sum of what a cost gives, with the names of its parameters; rule 3 is silent on those in `without`."""

    def __init__(self, cost: Layer, without: frozenset[str] = frozenset()) -> None:
        self.cost, self.without = cost, without

    def children(self) -> Sequence[tuple[str, Layer]]:
        return (("", self.cost),)

    def parameters(self) -> dict[str, Array]:
        return self.cost.parameters()

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return self.cost.parameter_places()

    def state(self) -> dict[str, Any]:
        return self.cost.state()

    def forward(self, z: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        value, cache = self.cost.forward(z, *arguments, **options)
        return np.sum(value), (cache, ones_of(value))

    def backward(self, delta: Delta, cache: Any) -> Any:
        return self.cost.backward(delta * cache[1], cache[0])

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        found = self.cost.parameter_gradients(delta * cache[1], cache[0])
        return {name: gradient for name, gradient in found.items() if name not in self.without}


def ones_of(value: Any) -> Any:
    """dC/dvalue of the sum: 1, or an array of it."""
    return np.ones_like(value) if np.ndim(value) else 1.0
