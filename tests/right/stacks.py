"""Right layers: noise, containers and stacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import Container, Layer, Linear, Sequential, Tanh
from minigrad.checks import require_delta, require_floating
from minigrad.typing import Array, Gradients
from right.norms import LayerNorm
from right.shapes import RNN, Attention, Conv1d, Flatten, MaxPool
from right.smooth import GELU, Right, Swish, anything, normal, rows_of, seed, shaped


class Dropout(Layer):
    """z m / (1 - p), where each m is 0 with probability p, else 1; dz = delta m / (1 - p)."""

    def __init__(self, p: float, seed: int) -> None:
        self.p = p
        self.rng = np.random.default_rng(seed)

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        mask = (self.rng.random(z.shape) >= self.p).astype(z.real.dtype) / (1 - self.p)
        return z * mask, mask

    def backward(self, delta: Array, mask: Array) -> Array:
        require_delta(self, delta, mask.shape)
        return delta * mask


class FeatureDropout(Layer):
    """Whole features dropped, the same for all rows of the batch."""

    def __init__(self, p: float, seed: int) -> None:
        self.p = p
        self.rng = np.random.default_rng(seed)

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        kept = self.rng.random(z.shape[-1]) >= self.p
        return np.where(kept, z / (1 - self.p), 0), kept

    def backward(self, delta: Array, kept: Array) -> Array:
        return np.where(kept, delta / (1 - self.p), 0)


class Noise(Layer):
    """z + e^s n with normal n and a trained log-scale s; ds = sum delta e^s n."""

    parameter_names = ("s",)

    def __init__(self, s: float, seed: int) -> None:
        self.s = np.array(s)
        self.rng = np.random.default_rng(seed)

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        added = np.exp(self.s) * self.rng.normal(size=z.shape).astype(z.real.dtype)
        return z + added, added

    def backward(self, delta: Array, added: Array) -> Array:
        require_delta(self, delta, added.shape)
        return delta

    def parameter_gradients(self, delta: Array, added: Array) -> Gradients:
        return {"s": (delta * added).sum()}


class Residual(Container):
    """z + inner(z); dz = delta + inner's."""

    def __init__(self, inner: Layer) -> None:
        self.inner = inner

    def children(self) -> Sequence[tuple[str, Layer]]:
        return [("inner", self.inner)]

    def forward(self, z: Array) -> tuple[Array, Any]:
        y, cache = self.inner.forward(z)
        return z + y, cache

    def backward(self, delta: Array, cache: Any) -> Array:
        return delta + self.inner.backward(delta, cache)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        return self.gather([self.inner.parameter_gradients(delta, cache)])


class Gate(Container):
    """g(z) v(z) with two layers g and v."""

    def __init__(self, gate: Layer, value: Layer) -> None:
        self.gate, self.value = gate, value

    def children(self) -> Sequence[tuple[str, Layer]]:
        return [("gate", self.gate), ("value", self.value)]

    def forward(self, z: Array) -> tuple[Array, Any]:
        g, of_gate = self.gate.forward(z)
        v, of_value = self.value.forward(z)
        return g * v, (g, of_gate, v, of_value)

    def backward(self, delta: Array, cache: Any) -> Array:
        g, of_gate, v, of_value = cache
        return self.gate.backward(delta * v, of_gate) + self.value.backward(delta * g, of_value)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        g, of_gate, v, of_value = cache
        return self.gather(
            [
                self.gate.parameter_gradients(delta * v, of_gate),
                self.value.parameter_gradients(delta * g, of_value),
            ]
        )


class TiedAutoencoder(Layer):
    """h W with h = tanh(z W^T): one array in two places; dW is the sum over both."""

    parameter_names = ("W",)

    def __init__(self, w: Array) -> None:
        self.W = w

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        h = np.tanh(z @ self.W.T)
        return h @ self.W, (z, h)

    def below_tanh(self, delta: Array, h: Array) -> Array:
        """The delta of z W^T."""
        return (delta @ self.W.T) * (1 - h * h)

    def backward(self, delta: Array, cache: Any) -> Array:
        return self.below_tanh(delta, cache[1]) @ self.W

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        z, h = cache
        return {"W": h.T @ delta + self.below_tanh(delta, h).T @ z}


def applied_twice(rng: np.random.Generator) -> Layer:
    """One Linear in two places of a stack."""
    linear = Linear(3, 3, rng=rng)
    return Sequential(linear, Swish(), linear)


def shared_bias(rng: np.random.Generator) -> Layer:
    """Two Linears that hold one bias."""
    first, second = Linear(2, 4, rng=rng), Linear(4, 4, rng=rng)
    second.bias = first.bias
    return Sequential(first, Tanh(), second)


def convolutional(rng: np.random.Generator) -> Layer:
    """Convolution, pool and a linear layer."""
    return Sequential(Conv1d(*normal(rng, (2, 1, 2), (2,))), MaxPool(2), Flatten(), Linear(4, 2, rng=rng))


def transformer(rng: np.random.Generator) -> Layer:
    """Attention and a small network of each step, both with a path around them."""
    attention = Attention(*normal(rng, (3, 3), (3, 3), (3, 3)), causal=True)
    norm = LayerNorm(*normal(rng, (3,), (3,)))
    network = Sequential(Linear(3, 4, rng=rng), GELU(), Linear(4, 3, rng=rng))
    return Sequential(Residual(Sequential(norm, attention)), Residual(network))


RIGHT: list[Right] = [
    Right("dropout", lambda rng: Dropout(0.4, seed(rng)), anything),
    Right("dropout of features", lambda rng: FeatureDropout(0.3, seed(rng)), anything),
    Right("noise", lambda rng: Noise(rng.normal(), seed(rng)), anything),
    Right("residual", lambda rng: Residual(Sequential(Linear(3, 3, rng=rng), Tanh())), rows_of(3)),
    Right(
        "gate, one layer on both sides",
        lambda rng: (lambda linear: Gate(Sequential(linear, Swish()), linear))(Linear(3, 2, rng=rng)),
        rows_of(3),
    ),
    Right("tied autoencoder", lambda rng: TiedAutoencoder(rng.normal(size=(2, 3))), rows_of(3)),
    Right("linear twice", applied_twice, rows_of(3)),
    Right("shared bias", shared_bias, rows_of(2)),
    Right("empty stack", lambda rng: Sequential(), anything),
    Right(
        "stack with dropout",
        lambda rng: Sequential(Linear(3, 4, rng=rng), Dropout(0.5, seed(rng)), Swish()),
        rows_of(3),
    ),
    Right("convolutional", convolutional, shaped(1, 5)),
    Right("transformer", transformer, shaped(3, 3)),
    Right(
        "rnn, stacked", lambda rng: Sequential(*(RNN(*normal(rng, (2, 2), (2, 2), (2,))) for _ in "ab")), shaped(3, 2)
    ),
]
