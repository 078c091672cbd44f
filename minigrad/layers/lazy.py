"""Widths that are left out: a layer makes its arrays when it first sees how wide its input is."""

from __future__ import annotations

import _thread  # what threading.RLock is: importing minigrad loads little beyond NumPy
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import ShapeError, require_float_dtype
from minigrad.initializers import Initializer, initialize
from minigrad.layer import Layer
from minigrad.typing import Array, Seed

Make: TypeAlias = "Callable[[Initializer, tuple[int, ...]], Array]"
"""make(initializer, shape): a new array of the layer's floating type, from its generator."""


_creating = _thread.RLock()  # of all layers, so that each can be copied and pickled


class LazyLayer(Layer):
    """A layer whose arrays are made by `create`, at once where the width of its input is given, else with the first z.

    A subclass calls `start` at the end of __init__, `see` in rule 1, when z has been looked at, and `require_width` in
    `output_shape`.  `minigrad.build` makes the arrays of a whole model from the shape of its input.
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
        if self._make is None:
            return
        self.require_width(width)
        with _creating:
            if self._make is not None:  # else another thread was first
                before = dict(vars(self))
                try:
                    self.create(width, self._make)
                except Exception:
                    vars(self).clear()  # it waits for a width still
                    vars(self).update(before)
                    raise
                self._make, self._initializers = None, ()

    def require_width(self, width: Any) -> None:
        """A width that was left out is that of something: for `output_shape`, which creates nothing (ValueError)."""
        if self._make is not None and 0 in (width if isinstance(width, tuple) else (width,)):
            raise ShapeError(f"{self!r} expects a width of 1 or more, got an input of none: z.shape[1:] has a 0")

    def create(self, width: Any, make: Make) -> None:
        """Make the arrays: self.weight = make(uniform(0.1), (out, width))."""
        raise NotImplementedError(f"{type(self).__name__} lacks create(self, width, make)")

    def parameters(self) -> dict[str, Array]:
        if self._make is not None:
            self._require_created()
        return super().parameters()

    def state(self) -> dict[str, Any]:
        if self._make is not None:
            self._require_created()
        return super().state()

    def __getattr__(self, name: str) -> Any:
        # Called where there is no such attribute: arrays that are still to be made are told apart.
        if not name.startswith("_") and name in (*type(self).parameter_names, *vars(self).get("parameter_names", ())):
            raise AttributeError(self._not_yet())
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _require_created(self) -> None:
        if self.parameter_names or self.state_names:
            raise ValueError(self._not_yet())

    def _not_yet(self) -> str:
        return (
            f"{self!r} has no arrays yet, since its width was left out: run the model on a batch first, or "
            "minigrad.build(model, shape) with the shape of one row of its input, such as (784,) or (1, 28, 28)"
        )
