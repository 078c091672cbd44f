"""Right layers, as users write them: none of them should be found wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import Elementwise, Layer, Linear, LogSoftmax, NLLLoss, Sequential, Tanh
from minigrad.containers import Container
from minigrad.kernels import log1p
from right.inputs import rows


class Scale(Layer):
    """z_next = a z, with one factor for each feature."""

    parameter_names = ("a",)

    def __init__(self, features=3):
        self.a = np.ones(features)

    def forward(self, z):
        return self.a * z, z

    def backward(self, delta, z):
        return delta * self.a

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0)}


class Gain(Layer):
    """z_next = g z, with one factor for all, an array of no axes."""

    parameter_names = ("g",)

    def __init__(self):
        self.g = np.array(0.8)

    def forward(self, z):
        return self.g * z, z

    def backward(self, delta, z):
        return self.g * delta

    def parameter_gradients(self, delta, z):
        return {"g": (delta * z).sum()}


class Dense(Layer):
    """z W + b, with W (inputs, outputs)."""

    parameter_names = ("w", "b")

    def __init__(self, inputs=3, outputs=2, seed=0):
        rng = np.random.default_rng(seed)
        self.w = rng.normal(size=(inputs, outputs)) / inputs**0.5
        self.b = 0.1 * rng.normal(size=outputs)

    def forward(self, z):
        return z @ self.w + self.b, z

    def backward(self, delta, z):
        return delta @ self.w.T

    def parameter_gradients(self, delta, z):
        return {"w": z.T @ delta, "b": delta.sum(axis=0)}


class PReLU(Layer):
    """z where z > 0, else a z, with one slope for each feature."""

    parameter_names = ("a",)

    def __init__(self, features=3):
        self.a = np.full(features, 0.25)

    def forward(self, z):
        return np.where(z.real > 0, z, self.a * z), z

    def backward(self, delta, z):
        return np.where(z.real > 0, delta, self.a * delta)

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z * (z.real <= 0)).sum(axis=0)}


class LayerNorm(Layer):
    """gamma (z - mean) / std + beta, over the features of each row."""

    parameter_names = ("gamma", "beta")

    def __init__(self, features=4):
        self.gamma = np.ones(features)
        self.beta = np.zeros(features)
        self.eps = 1e-5

    def forward(self, z):
        centred = z - z.mean(axis=1, keepdims=True)
        std = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + self.eps)
        unit = centred / std
        return self.gamma * unit + self.beta, (unit, std)

    def backward(self, delta, cache):
        unit, std = cache
        g = delta * self.gamma
        return (g - g.mean(axis=1, keepdims=True) - unit * (g * unit).mean(axis=1, keepdims=True)) / std

    def parameter_gradients(self, delta, cache):
        unit, _ = cache
        return {"gamma": (delta * unit).sum(axis=0), "beta": delta.sum(axis=0)}


class BatchNorm(Layer):
    """gamma (z - mean) / std, over the batch."""

    parameter_names = ("gamma",)
    rows_independent = False

    def __init__(self, features=3):
        self.gamma = np.ones(features)
        self.eps = 1e-3

    def forward(self, z):
        n = max(len(z), 1)
        centred = z - z.sum(axis=0) / n
        std = np.sqrt((centred * centred).sum(axis=0) / n + self.eps)
        return self.gamma * centred / std, (centred / std, std)

    def backward(self, delta, cache):
        unit, std = cache
        n = max(len(unit), 1)
        g = delta * self.gamma
        return (g - g.sum(axis=0) / n - unit * (g * unit).sum(axis=0) / n) / std

    def parameter_gradients(self, delta, cache):
        return {"gamma": (delta * cache[0]).sum(axis=0)}


class CentreBatch(Layer):
    """z minus the mean of the batch."""

    rows_independent = False

    def forward(self, z):
        return z - z.sum(axis=0) / max(len(z), 1), None

    def backward(self, delta, cache):
        return delta - delta.sum(axis=0) / max(len(delta), 1)


class RowNorm(Layer):
    """z / |z|, row by row, softened at 0."""

    def forward(self, z):
        norm = np.sqrt((z * z).sum(axis=1, keepdims=True) + 1e-3)
        return z / norm, (z / norm, norm)

    def backward(self, delta, cache):
        unit, norm = cache
        return (delta - unit * (unit * delta).sum(axis=1, keepdims=True)) / norm


class PlainSoftmax(Layer):
    """Softmax over the features."""

    def forward(self, z):
        e = np.exp(z - z.real.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return p, p

    def backward(self, delta, p):
        return p * (delta - (p * delta).sum(axis=1, keepdims=True))


class MaxPool(Layer):
    """The largest over axis 1 of (N, T, D)."""

    def forward(self, z):
        index = z.real.argmax(axis=1)[:, None]
        return np.take_along_axis(z, index, axis=1)[:, 0], (index, z.shape)

    def backward(self, delta, cache):
        index, shape = cache
        dz = np.zeros(shape, delta.dtype)
        np.put_along_axis(dz, index, delta[:, None], axis=1)
        return dz


class MeanPool(Layer):
    """The mean over axis 1 of (N, T, D)."""

    def forward(self, z):
        return z.mean(axis=1), z.shape

    def backward(self, delta, shape):
        return np.broadcast_to(delta[:, None] / shape[1], shape)


class CumSum(Layer):
    """Running sums over the features."""

    def forward(self, z):
        return z.cumsum(axis=1), None

    def backward(self, delta, cache):
        return delta[:, ::-1].cumsum(axis=1)[:, ::-1]


class Flatten(Layer):
    """(N, ...) to (N, D), a view where NumPy can."""

    def forward(self, z):
        return z.reshape(len(z), int(np.prod(z.shape[1:]))), z.shape

    def backward(self, delta, shape):
        return delta.reshape(shape)


class Conv1d(Layer):
    """Correlation of (N, C, T) with a kernel (K, C, width), without padding."""

    parameter_names = ("kernel",)

    def __init__(self, outputs=2, inputs=2, width=3):
        self.kernel = np.random.default_rng(1).normal(size=(outputs, inputs, width)) / 2

    def windows(self, z):
        return np.lib.stride_tricks.sliding_window_view(z, self.kernel.shape[2], axis=2)

    def forward(self, z):
        return np.einsum("nctw,kcw->nkt", self.windows(z), self.kernel), z

    def backward(self, delta, z):
        dz = np.zeros(z.shape, np.result_type(delta, self.kernel))
        t = delta.shape[2]
        for j in range(self.kernel.shape[2]):
            dz[:, :, j : j + t] += np.einsum("nkt,kc->nct", delta, self.kernel[:, :, j])
        return dz

    def parameter_gradients(self, delta, z):
        return {"kernel": np.einsum("nkt,nctw->kcw", delta, self.windows(z))}


class Dropout(Layer):
    """Entries put to 0 at random, the others divided by the share that is kept."""

    def __init__(self, keep=0.6, seed=0):
        self.keep = keep
        self.rng = np.random.default_rng(seed)

    def forward(self, z):
        mask = self.rng.random(z.shape) < self.keep
        return z * mask / self.keep, mask

    def backward(self, delta, mask):
        return delta * mask / self.keep


class Softplus(Elementwise):
    """log(1 + e^z)."""

    keeps = "input"

    def f(self, z):
        large = z.real > 0
        return np.where(large, z, 0) + log1p(np.exp(np.where(large, -z, z)))

    def df(self, z):
        return 0.5 * (1 + np.tanh(0.5 * z))


class Swish(Elementwise):
    """z sigmoid(z)."""

    keeps = "input"

    def f(self, z):
        return 0.5 * z * (1 + np.tanh(0.5 * z))

    def df(self, z):
        s = 0.5 * (1 + np.tanh(0.5 * z))
        return s + z * s * (1 - s)


class SquaredLoss(Layer):
    """Half the sum of squares of z - target."""

    rows_independent = False

    def forward(self, z, target):
        residual = z - np.asarray(target).astype(z.dtype)
        return 0.5 * (residual * residual).sum(), residual

    def backward(self, delta, residual):
        return delta * residual


class HuberLoss(Layer):
    """r^2 / 2 where |r| < 1, else |r| - 1/2, summed, with r = z - target."""

    rows_independent = False

    def forward(self, z, target):
        r = z - np.asarray(target).astype(z.dtype)
        sign = np.sign(r.real)
        return np.where(np.abs(r.real) < 1, 0.5 * r * r, sign * r - 0.5).sum(), (r, sign)

    def backward(self, delta, cache):
        r, sign = cache
        return delta * np.where(np.abs(r.real) < 1, r, sign)


class Residual(Container):
    """z + inner(z)."""

    def __init__(self, inner):
        self.inner = inner

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        z_next, cache = self.inner.forward(z)
        return z + z_next, cache

    def backward(self, delta, cache):
        return delta + self.inner.backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.inner.parameter_gradients(delta, cache)])


class SlowSine(Layer):
    """sin z, 5 ms a call."""

    def forward(self, z):
        time.sleep(0.005)
        return np.sin(z), z

    def backward(self, delta, z):
        return delta * np.cos(z)


def with_target(*shape):
    """Draws (z, target), standard normal numbers both."""
    return lambda rng: (rng.normal(size=shape), rng.normal(size=shape))


RIGHT: list[tuple[Callable[[], Layer], Callable[[np.random.Generator], tuple[Any, ...]]]] = [
    (Scale, rows(5, 3)),
    (Gain, rows(5, 3)),
    (Dense, rows(5, 3)),
    (PReLU, rows(5, 3)),
    (LayerNorm, rows(5, 4)),
    (BatchNorm, rows(6, 3)),
    (CentreBatch, rows(5, 3)),
    (RowNorm, rows(5, 3)),
    (PlainSoftmax, rows(5, 3)),
    (MaxPool, rows(3, 4, 2)),
    (MeanPool, rows(3, 4, 2)),
    (CumSum, rows(4, 5)),
    (Flatten, rows(3, 2, 4)),
    (Conv1d, rows(3, 2, 6)),
    (Dropout, rows(5, 4)),
    (Softplus, rows(5, 3)),
    (Swish, rows(5, 3)),
    (SquaredLoss, with_target(5, 3)),
    (HuberLoss, with_target(5, 3)),
    (lambda: Residual(Linear(3, 3, rng=0)), rows(5, 3)),
    (SlowSine, rows(4, 3)),
    (
        lambda: Sequential(
            Dense(3, 4), LayerNorm(), Residual(Sequential(Linear(4, 4, rng=0), Tanh())), Linear(4, 3, rng=1)
        ),
        rows(5, 3),
    ),
    (
        lambda: Sequential(Conv1d(), Flatten(), PReLU(8), Dropout(), Dense(8, 3), LogSoftmax(), NLLLoss()),
        lambda rng: (rng.normal(size=(4, 2, 6)), rng.integers(0, 3, 4)),
    ),
]
