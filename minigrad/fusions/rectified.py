"""Linear and ReLU as one layer: one array of activations instead of two."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import require_delta
from minigrad.fusions.base import Fusion
from minigrad.kernels import positive_part
from minigrad.typing import Array, Delta, Gradients


class LinearReLU(Fusion):
    """max(z W^T + b, 0), in the memory of the product.

    dz = r W,    dW = r^T z,    db = sum_n r_n,    with r = delta where z_next > 0, else 0
    """

    def forward(self, z: Array) -> tuple[Array, tuple[Array, Array]]:
        a, _ = self.layers[0].forward(z)
        z_next = np.maximum(a, 0, out=a) if a.dtype.kind == "f" else positive_part(a)
        return z_next, (z, z_next)

    def backward(self, delta: Delta, cache: Any) -> Array:
        z, z_next = cache
        return self.layers[0].backward(self._behind(delta, z_next), z)

    # Below, the delta of before and the output, which nobody else may need, are let go: few arrays here are as large.

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        delta, z, cache = self._behind(delta, cache[1]), cache[0], None
        return self.named(self.layers[0].parameter_gradients(delta, z))

    def backpropagate(self, delta: Delta, cache: Any) -> tuple[Array, Gradients]:
        delta, z, cache = self._behind(delta, cache[1]), cache[0], None
        return self.layers[0].backward(delta, z), self.named(self.layers[0].parameter_gradients(delta, z))

    def _behind(self, delta: Delta, z_next: Array) -> Array:
        """r: the delta of the product."""
        require_delta(self, delta, z_next.shape)
        r: Array = (z_next.real > 0).astype(z_next.real.dtype)
        return np.multiply(delta, r, out=r) if delta.dtype == r.dtype else delta * r
