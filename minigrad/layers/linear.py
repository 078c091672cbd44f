"""Linear: every output is a weighted sum of the inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import kind, require_delta, require_float_dtype, require_floating
from minigrad.initializers import Initializer, initialize, uniform
from minigrad.kernels import affine, transposed_product
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients, Seed


class Linear(Layer):
    """z W^T + b, with W = `weight` (out_features, in_features) and b = `bias` (out_features,).

        z      (..., in_features)  ->  z_next (..., out_features)
        dz  =  delta W,    dW = sum_n delta_n z_n^T,    db = sum_n delta_n

    Both arrays start uniform on +-1/sqrt(in_features), as in PyTorch, or as their initialisers say; `bias=False`
    leaves b out.  Hand one generator to all layers as `rng`: layers given the same seed start with the same numbers.
    An input and parameters of different floating types give the wider of both, as in NumPy.

    TypeError unless z is a floating array, ValueError unless it has two axes or more, the last of in_features.
    """

    bias: Array | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
                raise ValueError(f"Linear expects {name} to be a positive integer, got {size!r}")
        if not isinstance(bias, bool | np.bool):
            raise TypeError(f"Linear expects bias to be True or False, got {kind(bias)}: see bias_initializer")
        dtype = require_float_dtype(Linear, dtype)
        generator = np.random.default_rng(rng)
        default = uniform(in_features**-0.5)
        self.weight = initialize(
            default if weight_initializer is None else weight_initializer, (out_features, in_features), generator, dtype
        )
        self.bias = None
        if bias:
            start = default if bias_initializer is None else bias_initializer
            self.bias = initialize(start, (out_features,), generator, dtype)
        self.parameter_names = ("weight", "bias") if bias else ("weight",)

    def forward(self, z: Array) -> tuple[Array, Array]:
        self._require_input(z)
        return affine(z, self.weight, self.bias), z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, (*z.shape[:-1], len(self.weight)))
        return delta @ self.weight

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        require_delta(self, delta, (*z.shape[:-1], len(self.weight)))
        out_features, in_features = self.weight.shape
        if z.ndim > 2:
            delta, z = delta.reshape(-1, out_features), z.reshape(-1, in_features)
        gradients = {"weight": transposed_product(delta, z)}
        if self.bias is not None:
            gradients["bias"] = np.add.reduce(delta, axis=0)
        return gradients

    def _require_input(self, z: Array) -> None:
        require_floating(self, z)
        in_features = self.weight.shape[1]
        if z.ndim < 2:
            fix = "z[np.newaxis, :] is a batch of one" if z.ndim == 1 else "the first axis is the batch"
            raise ValueError(f"{self!r} expects z of shape (batch, {in_features}), got {z.shape}: {fix}")
        if z.shape[-1] != in_features:
            fix = "z.T has that shape" if z.shape == (in_features, z.shape[-1]) else "the last axis holds the features"
            raise ValueError(f"{self!r} expects z of shape (batch, {in_features}), got {z.shape}: {fix}")

    def __repr__(self) -> str:
        out_features, in_features = self.weight.shape
        return (
            f"{type(self).__name__}({in_features} -> {out_features}{'' if self.bias is not None else ', bias=False'})"
        )
