"""Widths that are left out: a layer makes its arrays when it first sees how wide its input is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import require_float_dtype
from minigrad.initializers import Initializer, initialize
from minigrad.layer import Layer
from minigrad.typing import Array, Seed

Make: TypeAlias = "Callable[[Initializer, tuple[int, ...]], Array]"
"""make(initializer, shape): a new array of the layer's floating type, from its generator."""


class LazyLayer(Layer):
    """A layer whose arrays are made by `create`, at once where the width of its input is given, else with the first z.

    A subclass calls `start` at the end of __init__ and `see` in rule 1, when z has been looked at.  `minigrad.build`
    makes the arrays of a whole model from the shape of its input.
    """

    _make: Make | None = None
    _initializers: tuple[Initializer | None, ...] = ()  # those that the caller gave, kept until the arrays are made

    def start(self, width: Any, rng: Seed, dtype: Any) -> None:
        """Create the arrays from `rng`, of `dtype`; where `width` is None, with the first batch."""
        self._make = partial(initialize, rng=np.random.default_rng(rng), dtype=require_float_dtype(type(self), dtype))
        if width is not None:
            self.see(width)

    def see(self, width: Any) -> None:
        """The width of the input is known: create the arrays, unless they are there."""
        if self._make is not None:
            self.create(width, self._make)
            self._make, self._initializers = None, ()

    def create(self, width: Any, make: Make) -> None:
        """Make the arrays: self.weight = make(uniform(0.1), (out, width))."""
        raise NotImplementedError(f"{type(self).__name__} lacks create(self, width, make)")

    def parameters(self) -> dict[str, Array]:
        self._require_created()
        return super().parameters()

    def state(self) -> dict[str, Any]:
        self._require_created()
        return super().state()

    def _require_created(self) -> None:
        if self._make is not None:
            raise ValueError(
                f"{self!r} has no arrays yet, since its width was left out: run the model on a batch first, or "
                "minigrad.build(model, (features,)) with the shape of one row of its input"
            )
