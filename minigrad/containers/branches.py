"""Branches: stacks side by side.  A tuple of arrays goes between them, and its deltas come back as a tuple."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.checks import (
    ShapeError,
    label,
    require_layers,
    require_pair,
    require_tuple,
    shape_of,
)
from minigrad.containers.base import Container
from minigrad.layer import Layer
from minigrad.shapes import is_shape, require_shapes, shapes_of
from minigrad.typing import Array, Delta, Formulas, Gradients, Input, Shape, Shapes


class Parallel(Container):
    """(f(z_0), g(z_1), ...) of a tuple (z_0, z_1, ...), one layer for each.

    dz_i  =  rule 2 of layer i at delta_i
    """

    def __init__(self, *layers: Layer) -> None:
        require_layers(type(self), layers)
        if not layers:
            raise ValueError(f"{type(self).__name__} expects a layer or more, got none: {type(self).__name__}(f, g)")
        self.layers = layers
        self._children = tuple((str(i), layer) for i, layer in enumerate(layers))

    def children(self) -> Sequence[tuple[str, Layer]]:
        return self._children

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """f_i is the layer i, and d_i df_i/dz_i its rule 2."""
        places = range(len(self.layers))
        up, down = (rf"f_{{{i}}}(\z_{{{i}}})" for i in places), (_term(i, rf"\z_{{{i}}}") for i in places)
        return Formulas(f"({', '.join(up)})", f"({', '.join(down)})")

    def output_shape(self, shape: Shapes) -> Shapes:
        require_shapes(self, shape, len(self.layers))
        shapes = []
        for (place, layer), part in zip(self._children, shape, strict=True):
            with self.within(place):
                shapes.append(layer.output_shape(part))
        return None if None in shapes else tuple(shapes)

    def forward(self, z: Input) -> tuple[Any, Any]:
        require_tuple(self, z, len(self.layers))
        results = []
        for (place, layer), part in zip(self._children, z, strict=True):
            with self.within(place):
                result = layer.forward(part)
                require_pair(layer, result)
            results.append(result)
        return tuple(z_next for z_next, _ in results), tuple(cache for _, cache in results)

    def backward(self, delta: Any, caches: Any) -> Any:
        return tuple(self._downwards("backward", delta, caches))

    def parameter_gradients(self, delta: Any, caches: Any) -> Gradients:
        return self.gather(self._downwards("parameter_gradients", delta, caches))

    def backpropagate(self, delta: Any, caches: Any) -> tuple[Any, Gradients]:
        both = self._downwards("backpropagate", delta, caches)
        return tuple(dz for dz, _ in both), self.gather([gradients for _, gradients in both])

    def __call__(self, z: Input) -> Any:
        require_tuple(self, z, len(self.layers))
        outputs = []
        for (place, layer), part in zip(self._children, z, strict=True):
            with self.within(place):
                outputs.append(layer(part))
        return tuple(outputs)

    def _downwards(self, rule: str, delta: Any, caches: Any) -> list[Any]:
        """What `rule` gives in each layer."""
        require_tuple(self, delta, len(self.layers), "delta")
        results = []
        for (place, layer), of_layer, cache in zip(self._children, delta, caches, strict=True):
            with self.within(place):
                results.append(getattr(layer, rule)(of_layer, cache))
        return results


class Branch(Parallel):
    """(f(z), g(z), ...): one z goes into every layer.  `Add` or `Concatenate` on top joins the branches.

        dz  =  sum_i (rule 2 of layer i at delta_i)

    >>> import numpy as np
    >>> from minigrad import Concatenate, Identity, Linear, Sequential
    >>> Sequential(Branch(Linear(4, 3), Identity()), Concatenate())(np.ones((5, 4))).shape
    (5, 7)
    """

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """f_i is the layer i, and d_i df_i/dz its rule 2."""
        places = range(len(self.layers))
        up, down = (rf"f_{{{i}}}(\z)" for i in places), (_term(i, r"\z") for i in places)
        return Formulas(f"({', '.join(up)})", " + ".join(down))

    def output_shape(self, shape: Shapes) -> Shapes:
        return super().output_shape((shape,) * len(self.layers))

    def forward(self, z: Array) -> tuple[Any, Any]:
        return super().forward((z,) * len(self.layers))

    def backward(self, delta: Any, caches: Any) -> Array:
        return _total(super().backward(delta, caches))

    def backpropagate(self, delta: Any, caches: Any) -> tuple[Array, Gradients]:
        deltas, gradients = super().backpropagate(delta, caches)
        return _total(deltas), gradients

    def __call__(self, z: Array) -> Any:
        return super().__call__((z,) * len(self.layers))


class Residual(Container):
    """z + f(z), which needs f to keep the shape; He, Zhang, Ren and Sun, "Deep residual learning", 2016.

        dz  =  delta + (rule 2 of f at delta)

    Where the shapes differ, project the shortcut: `f + Linear(...)`.  ValueError unless f keeps the shape.
    """

    formulas = Formulas(r"\z + f(\z)", r"\d + \d \cdot \frac{\partial f}{\partial \z}")

    def __init__(self, inner: Layer) -> None:
        require_layers(Residual, (inner,))
        self.inner = inner

    def children(self) -> Sequence[tuple[str, Layer]]:
        return (("inner", self.inner),)

    def output_shape(self, shape: Shapes) -> Shapes:
        with self.within("inner"):
            shape_next = self.inner.output_shape(shape)
        if shape_next is not None:
            self._require_same(shape, shape_next)
        return shape_next

    def forward(self, z: Array) -> tuple[Array, Any]:
        with self.within("inner"):
            result = self.inner.forward(z)
            require_pair(self.inner, result)
        return self._sum(z, result[0]), result[1]

    def backward(self, delta: Delta, cache: Any) -> Array:
        with self.within("inner"):
            dz = self.inner.backward(delta, cache)
            if getattr(dz, "shape", ()) != delta.shape:
                raise _wrong_result(self.inner, dz, delta.shape)
            return delta + dz

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        with self.within("inner"):
            return self.gather([self.inner.parameter_gradients(delta, cache)])

    def backpropagate(self, delta: Delta, cache: Any) -> tuple[Array, Gradients]:
        with self.within("inner"):
            dz, gradients = self.inner.backpropagate(delta, cache)
            if getattr(dz, "shape", ()) != delta.shape:
                raise _wrong_result(self.inner, dz, delta.shape)
        return delta + dz, self.gather([gradients])

    def __call__(self, z: Array) -> Array:
        with self.within("inner"):
            z_next = self.inner(z)
        return self._sum(z, z_next)

    def _sum(self, z: Any, z_next: Any) -> Array:
        if getattr(z, "shape", None) != getattr(z_next, "shape", ()):
            self._require_same(shapes_of(z), shapes_of(z_next))
        return z + z_next

    def _require_same(self, shape: Shapes, shape_next: Shapes) -> None:
        if not (is_shape(shape) and is_shape(shape_next)):
            raise TypeError(f"{self.outline()} expects an array that becomes an array, got a tuple: Add joins branches")
        if shape_next != shape:
            raise ShapeError(
                f"{self.outline()} expects its layer to keep the shape of z, {shape}, got {shape_next}: "
                "f + Linear(...) projects the shortcut to another width"
            )


def _term(i: int, z: str) -> str:
    """What rule 2 of layer i gives, in LaTeX."""
    return rf"\d_{{{i}}} \cdot \frac{{\partial f_{{{i}}}}}{{\partial {z}}}"


def _wrong_result(layer: Layer, dz: Any, shape: Shape) -> ValueError:
    """The error of a rule 2 that gives dC/dz of another shape than z.  No ShapeError: no delta came down so."""
    return ValueError(
        f"{label(layer)} must give dC/dz of the shape of z, {shape}, by rule 2, got {shape_of(dz)}: "
        "it would broadcast to a wrong sum"
    )


def _total(deltas: tuple[Any, ...]) -> Any:
    """The sum of the deltas of one array that went several ways; of each part where it was a tuple."""
    if type(deltas[0]) is tuple:
        return tuple(_total(parts) for parts in zip(*deltas, strict=True))
    total = deltas[0]
    for delta in deltas[1:]:
        if delta.shape != total.shape:  # it would broadcast
            raise ValueError(
                f"Branch expects rule 2 of all its layers to give deltas of the shape of z, got {total.shape} and "
                f"{delta.shape}"
            )
        total = total + delta
    return total
