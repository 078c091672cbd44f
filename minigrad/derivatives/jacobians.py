"""Jacobians: derivatives of what a model gives, along directions in its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import require_layer
from minigrad.derivatives.analytic import random_direction, verify
from minigrad.derivatives.curvature import require_deterministic, require_vector
from minigrad.derivatives.directions import Directions
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients, Input


def jacobian_vector_product(model: Layer, vector: Array | Gradients, x: Input, *arguments: Any, **options: Any) -> Any:
    """J v, the derivative of the output z of a model along v in its parameters, of the shape of z; a tuple of a tuple.

        J v  =  dz/dtheta . v  =  d/dh z(theta + h v)  at h = 0

    By a complex step, or by differences where a layer is not `complex_safe`, see `directions.py`; NotAnalyticWarning
    where it does not say so, and the two differ.  `vector` is in the order of `model.parameters()`, or {name: array}.
    z is rule 1's, as in training: of inference pass `model.at_inference()`.  ValueError where the vector's shape or a
    name is wrong, or layers draw at random.

    >>> from minigrad import Linear
    >>> jacobian_vector_product(Linear(2, 1, rng=0), np.array([1.0, 0.0, 0.0]), np.array([[3.0, 5.0]]))
    array([[3.]])
    """
    require_layer(jacobian_vector_product, model)
    require_deterministic(jacobian_vector_product, model)
    arrays = model.parameters()
    flat = require_vector(jacobian_vector_product, arrays, dict(vector) if isinstance(vector, Mapping) else vector)
    return Jacobian(model, x, arguments, options, "jacobian_vector_product").product(flat, verified=True)


class Jacobian:
    """J = dz/dtheta at one point, by products with vectors on both sides; `z` is the output there."""

    def __init__(self, model: Layer, x: Input, arguments: tuple[Any, ...], options: dict[str, Any], who: str) -> None:
        self._directions = Directions(model, who)
        self._call = (x, *arguments), options
        self.arrays, self.size = self._directions.arrays, self._directions.point.size
        self.z, self._cache = self._directions.plain.forward(x, *arguments, **options)

    @property
    def method(self) -> str:
        """Either "complex step" or "central differences"."""
        return self._directions.method

    def verify(self) -> None:
        """Compare a product with differences, and take these from now on where it is another."""
        self.product(random_direction(self._directions.point), verified=True)

    def product(self, vector: Array, verified: bool = False) -> Any:
        """J v, of the shape of z; `verified`, compared with differences."""
        arguments, options = self._call

        def output(model: Layer) -> Array:
            found = flat(model.forward(*arguments, **options)[0])
            if not np.isfinite(found).all():
                raise FloatingPointError("the output is not finite")
            return found

        base = flat(self.z)
        if verified:
            return shaped(verify(self._directions, output, base, 0.0, 1.0, vector), self.z)
        return shaped(self._directions.along(output, vector, base, 0.0), self.z)

    def transposed_product(self, delta: Any) -> Gradients:
        """J^T delta: rule 3."""
        return self._directions.plain.parameter_gradients(delta, self._cache)


def flat(z: Any) -> Array:
    """An output as one vector."""
    return np.concatenate([np.ravel(part) for part in z]) if type(z) is tuple else np.ravel(z)


def shaped(vector: Array, z: Any) -> Any:
    """One vector in the shapes of the output z."""
    if type(z) is not tuple:
        return vector.reshape(np.shape(z))
    ends = np.cumsum([part.size for part in z])[:-1]
    return tuple(part.reshape(of.shape) for part, of in zip(np.split(vector, ends), z, strict=True))
