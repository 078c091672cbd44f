"""Scale and Bias: one trained factor, or shift, for each feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_count, require_delta, require_floating, require_shape
from minigrad.initializers import Initializer, constant
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape


class Trailing(LazyLayer):
    """One array over the last axes of z: what Scale and Bias have in common."""

    shape: Shape | None
    initial: float  # where the array starts, unless an initialiser says otherwise

    def __init__(self, shape: int | Shape | None, initializer: Initializer | None, rng: Seed, dtype: Any) -> None:
        self.shape = None if shape is None else _shape(type(self), shape)
        self._initializers = (initializer,)
        self.start(self.shape, rng, dtype)

    def create(self, width: Shape, make: Make) -> None:
        self.shape = width
        setattr(self, self.parameter_names[0], make(self._initializers[0] or constant(self.initial), width))

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self.require_width(self._fitted(shape))
        return shape

    def look(self, z: Array) -> None:
        """z has the last axes that the array has (TypeError, ValueError); where they were left out, now it has them."""
        require_floating(self, z)
        self.see(self._fitted(z.shape))

    def _fitted(self, of_z: Shape) -> Shape:
        """The shape of the array for a z that fits (ValueError)."""
        shape = of_z[-1:] if self.shape is None else self.shape
        last, short = of_z[len(of_z) - len(shape) :], len(of_z) <= len(shape)
        if short or any(own not in (1, size) for own, size in zip(shape, last, strict=True)):
            expected = ", ".join(["batch", "...", *map(str, ("features",) if self.shape is None else shape)])
            fix = "the first axis is the batch" if short else "the last axes hold the features"
            raise ShapeError(f"{self!r} expects z of shape ({expected}), got {of_z}: {fix}")
        return shape

    def __repr__(self) -> str:
        shape = self.shape
        return f"{type(self).__name__}({'?' if shape is None else shape[0] if len(shape) == 1 else shape})"


class Scale(Trailing):
    """z s, with trained factors s = `scale` over the last axes of z.

        dz = delta s,    ds = sum over all other axes of delta z

    Scale(D) has one factor for each of D features; Scale((C, 1, 1)) one for each channel of images, since an axis of
    length 1 is stretched; Scale(()) one for all; None takes the width of the first batch.  They start at 1, or as
    `scale_initializer` says.  TypeError unless z is a floating array, ValueError unless its last axes fit.
    """

    parameter_names = ("scale",)
    formulas = Formulas(
        forward=r"\z \odot s",
        backward=r"\d \odot s",
        gradients={"scale": r"\sum_n \d_n \odot \z_n"},
        symbols={"scale": "s"},
        where="the sum is over all axes that s does not have",
    )
    initial = 1.0
    scale: Array

    def __init__(
        self,
        num_features: int | Shape | None,
        *,
        scale_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        super().__init__(num_features, scale_initializer, rng, dtype)

    def forward(self, z: Array) -> tuple[Array, Array]:
        self.look(z)
        return z * self.scale, z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, z.shape)
        return delta * self.scale

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        require_delta(self, delta, z.shape)
        return {"scale": _summed(delta * z, self.scale.shape)}


class Bias(Trailing):
    """z + b, with trained shifts b = `bias` over the last axes of z.

        dz = delta,    db = sum over all other axes of delta

    Shapes as in Scale: Bias(D), Bias((C, 1, 1)), Bias(()), Bias(None).  They start at 0, or as `bias_initializer` says.
    TypeError unless z is a floating array, ValueError unless its last axes fit.
    """

    parameter_names = ("bias",)
    formulas = Formulas(
        forward=r"\z + b",
        backward=r"\d",
        gradients={"bias": r"\sum_n \d_n"},
        symbols={"bias": "b"},
        where="the sum is over all axes that b does not have",
    )
    initial = 0.0
    bias: Array

    def __init__(
        self,
        num_features: int | Shape | None,
        *,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        super().__init__(num_features, bias_initializer, rng, dtype)

    def forward(self, z: Array) -> tuple[Array, Shape]:
        self.look(z)
        return z + self.bias, z.shape

    def backward(self, delta: Array, shape: Shape) -> Array:
        require_delta(self, delta, shape)
        return delta

    def parameter_gradients(self, delta: Array, shape: Shape) -> Gradients:
        require_delta(self, delta, shape)
        return {"bias": _summed(delta, self.bias.shape)}


def _summed(array: Array, shape: Shape) -> Array:
    """`array` summed over the axes that `shape`, which stands at its end, does not have or has of length 1."""
    before = array.ndim - len(shape)
    stretched = tuple(before + i for i, size in enumerate(shape) if size == 1)
    return np.asarray(array.sum(axis=(*range(before), *stretched)).reshape(shape))


def _shape(who: object, shape: int | Shape) -> Shape:
    sizes = shape if type(shape) is tuple else (shape,)
    return tuple(require_count(who, "num_features", size) for size in sizes)
