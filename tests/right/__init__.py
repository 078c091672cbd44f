"""Right layers, on which the checker must find nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import Layer
from right import (
    for_derivatives,
    for_protocol,
    kinks,
    losses,
    norms,
    reductions,
    shapes,
    smooth,
    stacks,
    trained,
)
from right.smooth import Right


def _named(module: Any) -> list[Right]:
    """The layers of a module that lists (make, sample), whose inputs have a size of their own."""

    def entry(number: int, make: Callable[[], Layer], sample: Callable[[np.random.Generator], tuple]) -> Right:
        name = f"{type(make()).__name__} {number} of {module.__name__.split('.')[-1]}"
        return Right(name, lambda rng: make(), lambda rng, size: sample(rng))

    return [entry(number, make, sample) for number, (make, sample) in enumerate(module.RIGHT)]


RIGHT: list[Right] = [
    right
    for module in (
        smooth,
        kinks,
        losses,
        norms,
        reductions,
        shapes,
        stacks,
        trained,
    )
    for right in module.RIGHT
] + [*_named(for_derivatives), *_named(for_protocol)]

__all__ = ["RIGHT", "Right"]
