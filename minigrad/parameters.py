"""FlatParameters: all parameters of a layer as one vector, for optimisers and solvers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import require_apart, require_finite, require_gradients, require_layer
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients


class FlatParameters:
    """theta: one contiguous vector, of which the layer's arrays become views.

        theta = FlatParameters(cost)
        theta.vector -= step                    # trains the layer; tested for NaN after it was written
        best = theta.vector.copy()              # without the copy, `best` goes on changing
        theta.vector = best                     # tested first, then written
        gradient = theta.flatten(gradients)     # {name: array} -> vector, in the same order

    >>> from minigrad import Linear, Sequential
    >>> layer = Linear(2, 1, rng=0)
    >>> theta = FlatParameters(layer)
    >>> theta
    FlatParameters(3: weight (1, 2), bias (1,))
    >>> theta.vector = np.array([1.0, 2.0, 3.0])
    >>> layer.bias
    array([3.])

    A parameter that several places share appears once.  The arrays must have one floating type, not overlap and be
    finite (ValueError).  Where the layer's arrays were later replaced, as by `layer.weight = ...` or by another
    FlatParameters, the vector trains nothing any more: `vector` and `flatten` then raise RuntimeError.
    """

    def __init__(self, layer: Layer) -> None:
        require_layer(FlatParameters, layer)
        arrays = layer.parameters()
        _require_one_vector(layer, arrays)
        self.layer = layer
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self._vector = np.concatenate([array.ravel() for array in arrays.values()])
        views = dict(zip(map(id, arrays.values()), self.split(self._vector).values(), strict=True))
        self._places = [
            (name, owner, attribute, views[id(getattr(owner, attribute))])
            for name, owner, attribute in layer.parameter_places()
            if id(getattr(owner, attribute)) in views
        ]
        for _, owner, attribute, view in self._places:
            setattr(owner, attribute, view)

    @property
    def vector(self) -> Array:
        """The vector itself: what is written into it, the layer has."""
        for name, owner, attribute, view in self._places:
            if getattr(owner, attribute) is not view:
                raise RuntimeError(
                    f"{name} of {type(self.layer).__name__} is no longer part of this vector: it was replaced. "
                    f"Write into it in place, {attribute}[...] = new, or make FlatParameters again"
                )
        return self._vector

    @vector.setter
    def vector(self, values: Array) -> None:
        """Write `values` into the vector (TypeError, ValueError unless they are as many finite real numbers)."""
        given = np.asarray(values)
        if given.shape != self.vector.shape:
            raise ValueError(f"{self!r} expects a vector of shape {self._vector.shape}, got {given.shape}")
        if not np.can_cast(given.dtype, self._vector.dtype, "same_kind"):
            raise TypeError(f"{self!r} holds {self._vector.dtype}, got {given.dtype}: with_parameters takes any type")
        given = given.astype(self._vector.dtype, copy=False)
        require_finite(self, given, "vector")
        self._vector[:] = given

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is a new vector over a copy of the layer: copied apart, they would have nothing to do with each other.
        return FlatParameters, (self.layer,)

    def flatten(self, gradients: Gradients) -> Array:
        """{name: array} -> one vector in the order of `vector` (ValueError where a name or shape is wrong)."""
        views = self.split(self.vector)
        require_gradients(self, views, gradients)
        return np.concatenate([np.ravel(gradients[name]) for name in views])

    def split(self, vector: Array) -> dict[str, Array]:
        """One vector -> {name: array}: views of it in the parameters' shapes."""
        arrays, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + int(np.prod(shape))
            arrays[name] = vector[start:stop].reshape(shape)
            start = stop
        return arrays

    def __len__(self) -> int:
        return self._vector.size

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"FlatParameters({len(self)}: {shapes})"


def _require_one_vector(layer: Layer, arrays: dict[str, Array]) -> None:
    if not arrays:
        raise ValueError(f"FlatParameters expects a layer with parameters, got {layer!r}")
    dtypes = {str(array.dtype) for array in arrays.values()}
    if len(dtypes) > 1:
        raise ValueError(
            f"FlatParameters expects parameters of one floating type, got {', '.join(sorted(dtypes))}: "
            "astype(np.float64) gives a layer of one type"
        )
    for name, array in arrays.items():
        require_finite(layer, array, name)
    require_apart(layer, arrays)
