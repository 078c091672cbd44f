"""FlatParameters: all parameters of a layer as one vector, for optimisers and solvers."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import label, require_apart, require_finite, require_gradients, require_layer
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
    finite (ValueError).  Arrays that were looked up before are the layer's no longer.  Made again of the layer, or of a
    part of it, it is a view of the same vector, so that optimisers and averages of one layer go together; of more than
    the layer it is another vector, so make that of the whole first.  Where the layer's arrays were later replaced, by
    that or by `layer.weight = ...`, the vector trains nothing any more: `vector` and `flatten` raise RuntimeError.
    """

    def __init__(self, layer: Layer) -> None:
        require_layer(FlatParameters, layer)
        arrays = layer.parameters()
        _require_one_vector(layer, arrays)
        self.layer = layer
        self.shapes = {name: array.shape for name, array in arrays.items()}
        joined = _joined(list(arrays.values()))
        if joined is None:
            self._vector = np.concatenate([array.ravel() for array in arrays.values()])
            views = dict(zip(map(id, arrays.values()), self.split(self._vector).values(), strict=True))
        else:
            self._vector = joined
            views = {id(array): array for array in arrays.values()}
        self._places = [
            (name, owner, attribute, views[id(getattr(owner, attribute))])
            for name, owner, attribute in layer.parameter_places()
            if id(getattr(owner, attribute)) in views
        ]
        for _, owner, attribute, view in self._places:
            setattr(owner, attribute, view)

    def require_writeable(self, who: object) -> None:
        """None of the arrays was made read-only, here or in the layer (ValueError)."""
        writeable = self._vector.flags.writeable
        for name, _, _, view in self._places:
            if not (writeable and view.flags.writeable):
                raise ValueError(
                    f"{label(who)} cannot write into {name}, it is read-only; no parameter was changed: "
                    "Frozen(layer) is a layer whose parameters stay"
                )

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


def _joined(arrays: list[Array]) -> Array | None:
    """The vector of which `arrays` are views, one after the other; None where they are not."""
    base = arrays[0].base
    if type(base) is not np.ndarray or base.ndim != 1 or base.dtype != arrays[0].dtype or not base.flags.c_contiguous:
        return None
    if any(array.base is not base or not array.flags.c_contiguous or not array.flags.writeable for array in arrays):
        return None
    arrays = [array for array in arrays if array.size]  # the address of an empty array says nothing
    places = [_address(array) - _address(base) for array in arrays]
    ends = [place + array.nbytes for place, array in zip(places, arrays, strict=True)]
    if not places or places[1:] != ends[:-1]:
        return None
    start = places[0] // base.itemsize
    return base[start : start + sum(array.size for array in arrays)]


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


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
