"""Fusions: layers that stand one on top of the other, run as one.  Faster, and equal to the plain rules to rounding.

`FUSIONS` maps the types of the top layers of a stack to a class that takes those layers and obeys their three rules
in one.  `value_and_gradients` runs the fused form; where it raises, the plain one runs, whose errors name the layers
that the caller wrote.  Only exact types count: a subclass may have other rules.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from minigrad.containers import Sequential
from minigrad.layer import Layer
from minigrad.layers import Linear, LogSoftmax
from minigrad.losses import NLLLoss, Penalized
from minigrad.typing import Array, Delta, Gradients


class LogSoftmaxNLLLoss(Layer):
    """LogSoftmax and NLLLoss in one pass, as CrossEntropyLoss is: see `softmax_kernels.cross_entropy`."""

    rows_independent = False

    def __init__(self, _: LogSoftmax, loss: NLLLoss) -> None:
        self.loss = loss

    def forward(self, z: Array, target: Any, weights: Any = None) -> tuple[Any, Array]:
        return self.loss.of_logits(z, target, weights)

    def backward(self, delta: Delta, residual: Array) -> Array:
        return self.loss.of_residual(delta, residual)


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

_fused: WeakKeyDictionary[Layer, Layer | None] = WeakKeyDictionary()


def fused(cost: Layer) -> Layer:
    """`cost` with its top layers fused where the table has them, else `cost` itself; parameters are shared."""
    if type(cost) not in (Sequential, Penalized):
        return cost
    try:
        form = _fused[cost]
    except KeyError:
        # None, not `cost`, where nothing fuses: a value that holds its key would keep it alive for ever.
        form = _fused[cost] = _fuse(cost)
    return cost if form is None else form


def _fuse(cost: Layer) -> Layer | None:
    if isinstance(cost, Penalized):
        inner = fused(cost.cost)
        return None if inner is cost.cost else cost.around(inner)
    assert isinstance(cost, Sequential)
    for types, fusion in FUSIONS.items():
        below, top = cost.layers[: -len(types)], cost.layers[-len(types) :]
        if tuple(map(type, top)) == types:
            return Sequential(*below, fusion(*top))
    return None
