"""Fusions: layers that stand one on top of the other, run as one.  Faster, and equal to the plain rules to rounding.

`FUSIONS` maps the types of the top layers of a stack to a class that takes those layers and obeys their three rules
in one.  `value_and_gradients` runs the fused form; where it raises, the plain one runs, whose errors name the layers
that the caller wrote.  Only exact types count: a subclass may have other rules.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from minigrad.checks import require_delta
from minigrad.containers import Sequential
from minigrad.kernels import log1p
from minigrad.layer import Layer
from minigrad.layers import Linear, LogSoftmax
from minigrad.losses import NLLLoss
from minigrad.typing import Array, Delta, Gradients


class LogSoftmaxNLLLoss(Layer):
    """LogSoftmax and NLLLoss in one pass.

    With m_n = max_j z_nj, label t of row n, e_nj = e^{z_nj - m_n} and others_n = sum_{j != t} e_nj:

        term n  =  log(others_n + e_nt) - (z_nt - m_n)
        dz_n    =  delta w_n (p_n - onehot(t)) / sum w for the mean;   p_nt - 1 = -others_n / (others_n + e_nt)

    Nothing is subtracted that is nearly equal, so small terms and small derivatives are as accurate as large ones.
    """

    rows_independent = False

    def __init__(self, _: LogSoftmax, loss: NLLLoss) -> None:
        self.loss = loss

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Array, Array]:
        chosen = self.loss.chosen(z, target)
        shifted = z - np.maximum.reduce(z.real, axis=1, keepdims=True)
        terms = np.exp(shifted)
        of_target = shifted[chosen]
        terms[chosen] = 0
        others = np.add.reduce(terms, axis=1)
        total_minus_1 = others + (np.exp(of_target) - 1)
        value, scale = self.loss.reduce(log1p(total_minus_1) - of_target, chosen[1], weights)
        residual = terms
        residual[chosen] = -others
        residual *= (scale / (1 + total_minus_1))[:, np.newaxis]
        return value, residual

    def backward(self, delta: Delta, residual: Array) -> Array:
        require_delta(self, delta, self.loss.value_shape(len(residual)))
        if type(delta) is float and delta == 1.0:
            return residual  # the start of every sweep: a product by 1 would be one more pass over the data
        return (delta[:, np.newaxis] if np.ndim(delta) else delta) * residual


class LinearLogSoftmaxNLLLoss(Layer):
    """Softmax regression in one layer: Linear, then `LogSoftmaxNLLLoss`."""

    rows_independent = False

    def __init__(self, linear: Linear, log_softmax: LogSoftmax, loss: NLLLoss) -> None:
        self.linear = linear
        self.top = LogSoftmaxNLLLoss(log_softmax, loss)

    def parameters(self) -> dict[str, Array]:
        return self.linear.parameters()

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return self.linear.parameter_places()

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Array, Any]:
        logits, _ = self.linear.forward(z)
        value, residual = self.top.forward(logits, target, weights)
        return value, (z, residual)

    def backward(self, delta: Delta, cache: Any) -> Array:
        z, residual = cache
        return self.linear.backward(self.top.backward(delta, residual), z)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        z, residual = cache
        return self.linear.parameter_gradients(self.top.backward(delta, residual), z)


FUSIONS: dict[tuple[type, ...], type] = {
    (Linear, LogSoftmax, NLLLoss): LinearLogSoftmaxNLLLoss,
    (LogSoftmax, NLLLoss): LogSoftmaxNLLLoss,
}

_fused: WeakKeyDictionary[Layer, Sequential | None] = WeakKeyDictionary()


def fused(cost: Layer) -> Layer:
    """`cost` with its top layers fused where the table has them, else `cost` itself; parameters are shared."""
    if type(cost) is not Sequential:
        return cost
    try:
        form = _fused[cost]
    except KeyError:
        # None, not `cost`, where nothing fuses: a value that holds its key would keep it alive for ever.
        form = _fused[cost] = _fuse(cost.layers)
    return cost if form is None else form


def _fuse(layers: tuple[Layer, ...]) -> Sequential | None:
    for types, fusion in FUSIONS.items():
        below, top = layers[: -len(types)], layers[-len(types) :]
        if tuple(map(type, top)) == types:
            return Sequential(*below, fusion(*top))
    return None
