"""Layer: the three rules, and everything that follows from them.  Read this file first.

A layer maps z to z_next.  Write C for the cost at the end of a stack and delta for dC/dz_next, which has the
shape of z_next.  A layer is complete when it has

    rule 1   forward(z)                          ->  z_next = f(z; theta), and a cache
    rule 2   backward(delta, cache)              ->  dC/dz     = delta . dz_next/dz
    rule 3   parameter_gradients(delta, cache)   ->  dC/dtheta = delta . dz_next/dtheta, by name

Conventions, here once for the whole package:
- The first axis of z is the batch.  N counts observations, D features, K classes.
- The cache is whatever rules 2 and 3 need of rule 1.  The caller keeps it and hands it back, so that a layer holds
  its parameters and nothing of any one call: it may be used twice in a stack, or by several threads at once.
- Rules are pure: they never write into an argument, and never change an array that they returned.
- Rules 2 and 3 are linear in delta.
- Rules are array expressions on any floating type, complex included: on complex numbers they give second
  derivatives without subtraction (`complex_safe`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from minigrad.checks import require_held, require_parameter, require_replacement
from minigrad.typing import Array, Delta, Gradients


class Layer:
    """A function with three rules.  Subclasses write the rules; the rest is derived."""

    parameter_names: tuple[str, ...] = ()  # the attributes that hold trained arrays
    complex_safe: bool = True  # the rules are analytic, so that complex steps through them give derivatives
    rows_independent: bool = True  # row n of z_next depends on row n of z alone

    # The three rules.

    def forward(self, z: Array, *arguments: Any, **options: Any) -> tuple[Array, Any]:
        """Rule 1: (z_next, cache).  A loss also takes a target after z."""
        raise NotImplementedError(f"{type(self).__name__} lacks rule 1: forward(self, z) -> (z_next, cache)")

    def backward(self, delta: Delta, cache: Any) -> Array:
        """Rule 2: dC/dz, of the shape of z, from delta = dC/dz_next."""
        raise NotImplementedError(f"{type(self).__name__} lacks rule 2: backward(self, delta, cache) -> dC/dz")

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        """Rule 3: {name: dC/dparameter} for every name in `parameter_names`."""
        if not self.parameter_names:
            return {}
        raise NotImplementedError(
            f"{type(self).__name__} lacks rule 3: parameter_gradients(self, delta, cache) -> "
            f"{{name: gradient}} for {self.parameter_names}"
        )

    # What follows from them.

    def __call__(self, z: Array, *arguments: Any, **options: Any) -> Array:
        """Inference: z_next alone, nothing kept."""
        return self.forward(z, *arguments, **options)[0]

    def backpropagate(self, delta: Delta, cache: Any) -> tuple[Delta, Gradients]:
        """Rules 2 and 3 in one sweep: (dC/dz, {name: dC/dparameter})."""
        return self.backward(delta, cache), self.parameter_gradients(delta, cache)

    def parameters(self) -> dict[str, Array]:
        """{name: array}: the arrays themselves, so that `array -= step` trains the layer."""
        return {name: require_parameter(self, name, getattr(self, name, None)) for name in self.parameter_names}

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        """(name, owner, attribute) for each place that holds a parameter: `getattr(owner, attribute)` is the array."""
        return [(name, self, name) for name in self.parameter_names]

    def with_parameters(self, arrays: Mapping[str, Array]) -> Self:
        """A copy that holds `arrays` under their names and shares the other parameters; this layer is unchanged.

        Shapes must agree and values be finite (ValueError); the floating type is free, complex included.  What else
        a layer keeps, such as a random generator, is copied: passes through the copy leave it alone here.
        """
        own = self.parameters()
        require_replacement(self, own, arrays)
        # deepcopy looks each object up by identity first: what is listed here stands wherever the old array stood,
        # so that layers and arrays that were shared stay shared.
        kept = {id(array): array for array in own.values()}
        twin = copy.deepcopy(self, kept | {id(own[name]): array for name, array in arrays.items()})
        require_held(twin, arrays)
        return twin

    def astype(self, dtype: Any) -> Self:
        """A copy whose parameters have the floating type `dtype`."""
        return self.with_parameters({name: array.astype(np.dtype(dtype)) for name, array in self.parameters().items()})

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
