"""Linear: every output is a weighted sum of the inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_count, require_delta, require_flag, require_floating, require_shape
from minigrad.initializers import Initializer, uniform
from minigrad.kernels import affine, column_sums, times, transposed_product
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.layers.many_rows import with_rows
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape


class Linear(LazyLayer):
    """z W^T + b, with W = `weight` (out_features, in_features) and b = `bias` (out_features,).

        z      (..., in_features)  ->  z_next (..., out_features)
        dz  =  delta W,    dW = sum_n delta_n z_n^T,    db = sum_n delta_n

    Both arrays start uniform on +-1/sqrt(in_features), as in PyTorch, or as their initialisers say; `bias=False`
    leaves b out, and in_features=None leaves the width to the first batch.  Hand one generator to all layers as `rng`:
    layers given the same seed start with the same numbers.  An input and parameters of different floating types give
    the wider of both, as in NumPy.

    TypeError unless z is a floating array, ValueError unless it has two axes or more, the last of in_features.
    """

    bias: Array | None

    def __init__(
        self,
        in_features: int | None,
        out_features: int,
        bias: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.in_features = None if in_features is None else require_count(Linear, "in_features", in_features)
        self.out_features = require_count(Linear, "out_features", out_features)
        has_bias = require_flag(Linear, "bias", bias, "see bias_initializer")
        self.parameter_names = ("weight", "bias") if has_bias else ("weight",)
        self._initializers = (weight_initializer, bias_initializer)
        self.start(self.in_features, rng, dtype)

    def create(self, width: int, make: Make) -> None:
        self.in_features = width
        default = uniform(width**-0.5)
        for_weight, for_bias = self._initializers
        self.weight = make(for_weight or default, (self.out_features, width))
        self.bias = make(for_bias or default, (self.out_features,)) if "bias" in self.parameter_names else None

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With b, or without."""
        has_bias = "bias" in self.parameter_names
        return Formulas(
            forward=r"\z W^\top + b" if has_bias else r"\z W^\top",
            backward=r"\d W",
            gradients={"weight": r"\d^\top \z"} | ({"bias": r"\sum_n \d_n"} if has_bias else {}),
            symbols={"weight": "W", "bias": "b"},
        )

    def formulas_at(self, z: Any) -> Formulas | None:
        """With what its rows are."""
        return with_rows(self.formulas, z)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        self.require_width(shape[-1])
        return (*shape[:-1], self.out_features)

    def multiply_adds(self, shape: Shape) -> int:
        return math.prod(shape) * self.out_features

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        if z.ndim < 2 or z.shape[-1] != self.in_features:
            self._require_shape(z.shape)
        self.see(z.shape[-1])
        return affine(z, self.weight, self.bias), z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, (*z.shape[:-1], len(self.weight)))
        return times(delta, self.weight)

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        require_delta(self, delta, (*z.shape[:-1], len(self.weight)))
        out_features, in_features = self.weight.shape
        if z.ndim > 2:
            delta, z = delta.reshape(-1, out_features), z.reshape(-1, in_features)
        gradients = {"weight": transposed_product(delta, z)}
        if self.bias is not None:
            gradients["bias"] = column_sums(delta)
        return gradients

    def _require_shape(self, shape: Shape) -> None:
        width = self.in_features
        if len(shape) > 1 and (width is None or shape[-1] == width):
            return
        if len(shape) < 2:
            fix = "z[np.newaxis, :] is a batch of one" if len(shape) == 1 else "the first axis is the batch"
        elif shape == (width, shape[-1]):
            fix = "z.T has that shape"
        else:
            fix = "the last axis holds the features"
            fix += f", and Linear({shape[-1]}, {self.out_features}) takes {shape[-1]}" if shape[-1] else ""
        raise ShapeError(
            f"{self!r} expects z of shape (batch, {'in_features' if width is None else width}), got {shape}: {fix}"
        )

    def __repr__(self) -> str:
        bias = "" if "bias" in self.parameter_names else ", bias=False"
        return f"{type(self).__name__}({self.in_features or '?'} -> {self.out_features}{bias})"
