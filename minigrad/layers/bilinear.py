"""Bilinear: every output is a weighted sum of products of two inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import (
    ShapeError,
    require_count,
    require_delta,
    require_flag,
    require_floating,
    require_shape,
    require_tuple,
)
from minigrad.initializers import Initializer, uniform
from minigrad.kernels import affine, transposed_product
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.layers.many_rows import with_rows
from minigrad.shapes import require_shapes
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape, Shapes


class Bilinear(LazyLayer):
    """y_o = sum_ij u_i W_oij v_j + b_o of a tuple z = (u, v), with W = `weight` (out, in1, in2) and b = `bias` (out,).

        u (..., in1_features), v (..., in2_features)  ->  y (..., out_features)
        with M_ij = sum_o delta_o W_oij:   du_i = sum_j M_ij v_j,    dv_j = sum_i M_ij u_i
        dW_oij = sum_n delta_no u_ni v_nj,    db = sum_n delta_n

    It is Linear on all products u_i v_j.  Both arrays start uniform on +-1/sqrt(in1_features), as in PyTorch, or as
    their initialisers say; `bias=False` leaves b out; a width of None is left to the first batch.

    TypeError unless z is a tuple of two floating arrays, ValueError unless they agree but for the last axis, of
    in1_features and in2_features.
    """

    bias: Array | None

    def __init__(
        self,
        in1_features: int | None,
        in2_features: int | None,
        out_features: int,
        bias: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.in1_features = None if in1_features is None else require_count(Bilinear, "in1_features", in1_features)
        self.in2_features = None if in2_features is None else require_count(Bilinear, "in2_features", in2_features)
        self.out_features = require_count(Bilinear, "out_features", out_features)
        has_bias = require_flag(Bilinear, "bias", bias, "see bias_initializer")
        self.parameter_names = ("weight", "bias") if has_bias else ("weight",)
        self._initializers = (weight_initializer, bias_initializer)
        widths = (self.in1_features, self.in2_features)
        self.start(None if None in widths else widths, rng, dtype)

    def create(self, width: tuple[int, int], make: Make) -> None:
        self.in1_features, self.in2_features = width
        default = uniform(self.in1_features**-0.5)
        for_weight, for_bias = self._initializers
        self.weight = make(for_weight or default, (self.out_features, *width))
        self.bias = make(for_bias or default, (self.out_features,)) if "bias" in self.parameter_names else None

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With b, or without."""
        has_bias = "bias" in self.parameter_names
        return Formulas(
            forward=r"\sum_{i, j} u_i W_{o, i, j} v_j" + (" + b_o" if has_bias else ""),
            backward=r"(\sum_{o, j} \d_o W_{o, i, j} v_j, \sum_{o, i} \d_o W_{o, i, j} u_i)",
            gradients={"weight": r"\sum_n \d_{n, o} u_{n, i} v_{n, j}"}
            | ({"bias": r"\sum_n \d_n"} if has_bias else {}),
            symbols={"weight": "W", "bias": "b"},
            where="z = (u, v), with the features i of u and j of v; o is an output, n a row",
        )

    def formulas_at(self, z: Any) -> Formulas | None:
        """With what its rows are."""
        return with_rows(self.formulas, z)

    def output_shape(self, shape: Shapes) -> Shape:
        require_shapes(self, shape, 2)
        for i, part in enumerate(shape):
            require_shape(self, part, f"z[{i}]")
        self._require_shapes(*shape)
        return (*shape[0][:-1], self.out_features)

    def multiply_adds(self, shape: Shapes) -> int:
        return math.prod(shape[0]) * shape[1][-1] * self.out_features

    def forward(self, z: Any) -> tuple[Array, Any]:
        u, v = self._parts(z)
        self.see((u.shape[-1], v.shape[-1]))
        y = affine(_products(u, v), self.weight.reshape(self.out_features, -1), self.bias)
        return y.reshape(*u.shape[:-1], self.out_features), (u, v)

    def backward(self, delta: Array, cache: Any) -> tuple[Array, Array]:
        u, v = cache
        require_delta(self, delta, (*u.shape[:-1], self.out_features))
        m = np.tensordot(delta, self.weight, 1)
        return (m @ v[..., np.newaxis])[..., 0], (u[..., np.newaxis, :] @ m)[..., 0, :]

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        u, v = cache
        require_delta(self, delta, (*u.shape[:-1], self.out_features))
        delta = delta.reshape(-1, self.out_features)
        gradients = {"weight": transposed_product(delta, _products(u, v)).reshape(self.weight.shape)}
        if self.bias is not None:
            gradients["bias"] = np.add.reduce(delta, axis=0)
        return gradients

    def _parts(self, z: Any) -> tuple[Array, Array]:
        require_tuple(self, z, 2)
        for i, part in enumerate(z):
            require_floating(self, part, f"z[{i}]")
        u, v = z
        self._require_shapes(u.shape, v.shape)
        return u, v

    def _require_shapes(self, u: Shape, v: Shape) -> None:
        fits = all(
            len(shape) > 1 and shape[-1] == (own or shape[-1] or 1)
            for own, shape in ((self.in1_features, u), (self.in2_features, v))
        )
        if not fits or u[:-1] != v[:-1]:
            expected = " and ".join(f"(batch, {own or 'features'})" for own in (self.in1_features, self.in2_features))
            raise ShapeError(
                f"{self!r} expects a tuple of arrays of shapes {expected}, got {u} and {v}: "
                "all axes agree but the last, which holds the features"
            )

    def __repr__(self) -> str:
        bias = "" if "bias" in self.parameter_names else ", bias=False"
        return f"Bilinear({self.in1_features or '?'}, {self.in2_features or '?'} -> {self.out_features}{bias})"


def _products(u: Array, v: Array) -> Array:
    """u_i v_j for all i, j, as one row for each row of u and v."""
    count = u.shape[-1] * v.shape[-1]
    return (u[..., :, np.newaxis] * v[..., np.newaxis, :]).reshape(-1, count)
