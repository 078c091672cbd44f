"""Right layers: softmaxes and normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import Layer
from minigrad.checks import require_delta, require_floating
from minigrad.softmax_kernels import log_softmax, softmax
from minigrad.typing import Array, Gradients
from right.smooth import Right, anything, normal, rows_of, shaped


class Softmax(Layer):
    """p = e^z / sum e^z over any one axis; dz = p (delta - sum p delta)."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis
        self.rows_independent = axis != 0

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        if not z.shape[self.axis]:
            raise ValueError(f"{self!r} expects one entry or more along axis {self.axis}, got {z.shape}")
        terms = np.exp(z - z.real.max(axis=self.axis, keepdims=True))
        p = terms / terms.sum(axis=self.axis, keepdims=True)
        return p, p

    def backward(self, delta: Array, p: Array) -> Array:
        require_delta(self, delta, p.shape)
        return p * (delta - (p * delta).sum(axis=self.axis, keepdims=True))


class SoftmaxByJacobian(Layer):
    """p = softmax(z) of each row, and rule 2 as a product with the whole matrix diag(p) - p p^T."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        p = softmax(z)
        return p, p[:, :, np.newaxis] * (np.eye(p.shape[1], dtype=p.dtype) - p[:, np.newaxis, :])

    def backward(self, delta: Array, jacobians: Array) -> Array:
        return np.einsum("ni,nij->nj", delta, jacobians)


class LogSoftmaxAt(Layer):
    """log softmax(z / T) with a fixed temperature; dz = (delta - p sum delta) / T."""

    def __init__(self, t: float) -> None:
        self.t = t

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        log_p = log_softmax(z / self.t)
        return log_p, log_p

    def backward(self, delta: Array, log_p: Array) -> Array:
        return (delta - np.exp(log_p) * delta.sum(axis=-1, keepdims=True)) / self.t


class Sparsemax(Layer):
    """max(z - t, 0) with t such that a row sums to 1; dz = delta - mean of delta on the support, 0 off it."""

    complex_safe = False

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        shifted = z - z.max(axis=-1, keepdims=True)
        falling = -np.sort(-shifted, axis=-1)
        count = np.arange(1, z.shape[-1] + 1)
        sums = falling.cumsum(axis=-1) - 1
        k = np.sum(falling * count > sums, axis=-1, keepdims=True)
        threshold = np.take_along_axis(sums, k - 1, axis=-1) / k.astype(z.dtype)
        p = np.maximum(shifted - threshold, 0)
        return p, p > 0

    def backward(self, delta: Array, support: Array) -> Array:
        require_delta(self, delta, support.shape)
        count = support.sum(axis=-1, keepdims=True, dtype=delta.real.dtype)
        return support * (delta - (support * delta).sum(axis=-1, keepdims=True) / count)


class Standardise(Layer):
    """y = (z - mean) / sqrt(variance + e) over some axes; dz = (delta - mean delta - y mean(delta y)) / s."""

    def __init__(self, axes: tuple[int, ...], e: float = 1e-3) -> None:
        self.axes, self.e = axes, e
        self.rows_independent = 0 not in axes

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        if not all(z.shape[axis] for axis in self.axes):
            raise ValueError(f"{self!r} expects entries to average, got {z.shape}")
        y, s = self.standardised(z)
        return y, (y, s)

    def standardised(self, z: Array) -> tuple[Array, Array]:
        """y and s."""
        centred = z - z.mean(axis=self.axes, keepdims=True)
        s = np.sqrt((centred * centred).mean(axis=self.axes, keepdims=True) + self.e)
        return centred / s, s

    def descend(self, delta: Array, y: Array, s: Array) -> Array:
        """Rule 2."""
        mean = delta.mean(axis=self.axes, keepdims=True)
        return (delta - mean - y * (delta * y).mean(axis=self.axes, keepdims=True)) / s

    def backward(self, delta: Array, cache: Any) -> Array:
        require_delta(self, delta, cache[0].shape)
        return self.descend(delta, *cache)


class LayerNorm(Standardise):
    """g y + b over the last axis, with y as in Standardise; dg = sum_n delta y, db = sum_n delta."""

    parameter_names = ("gain", "bias")

    def __init__(self, gain: Array, bias: Array, axes: tuple[int, ...] = (-1,), e: float = 1e-3) -> None:
        super().__init__(axes, e)
        self.gain, self.bias = gain, bias

    def forward(self, z: Array) -> tuple[Array, Any]:
        y, cache = super().forward(z)
        return self.gain * y + self.bias, cache

    def backward(self, delta: Array, cache: Any) -> Array:
        return super().backward(delta * self.gain, cache)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        others = tuple(range(delta.ndim - 1))
        return {"gain": (delta * cache[0]).sum(axis=others), "bias": delta.sum(axis=others)}


class RunningNorm(Layer):
    """g (z - m) / sqrt(v + e) + b with running m and v, which are state, not trained."""

    parameter_names = ("gain", "bias")

    def __init__(self, gain: Array, bias: Array, mean: Array, variance: Array) -> None:
        self.gain, self.bias = gain, bias
        self.running_mean, self.running_variance = mean, variance

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        real = z.real.dtype
        scale = (1 / np.sqrt(self.running_variance + 1e-5)).astype(real)
        y = (z - self.running_mean.astype(real)) * scale
        return self.gain * y + self.bias, (y, scale)

    def backward(self, delta: Array, cache: Any) -> Array:
        return delta * (self.gain * cache[1])

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        return {"gain": (delta * cache[0]).sum(axis=0), "bias": delta.sum(axis=0)}


class RMSNorm(Layer):
    """g z / r, r = sqrt(mean z^2 + e); with d = delta g: dz = (d - y mean(d y)) / r, y = z / r."""

    parameter_names = ("gain",)

    def __init__(self, gain: Array, e: float = 1e-3) -> None:
        self.gain, self.e = gain, e

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        r = np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + self.e)
        y = z / r
        return self.gain * y, (y, r)

    def backward(self, delta: Array, cache: Any) -> Array:
        y, r = cache
        require_delta(self, delta, y.shape)
        d = delta * self.gain
        return (d - y * np.mean(d * y, axis=-1, keepdims=True)) / r

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        return {"gain": (delta * cache[0]).reshape(-1, len(self.gain)).sum(axis=0)}


class GroupNorm(Standardise):
    """As Standardise within groups of channels: (N, C, T) is seen as (N, groups, C / groups * T)."""

    def __init__(self, groups: int, e: float = 1e-3) -> None:
        super().__init__((2,), e)
        self.groups = groups

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        n, channels, t = z.shape
        if channels % self.groups:
            raise ValueError(f"{self!r} expects a multiple of {self.groups} channels, got {channels}")
        y, s = self.standardised(z.reshape(n, self.groups, channels // self.groups * t))
        return y.reshape(z.shape), (y, s, z.shape)

    def backward(self, delta: Array, cache: Any) -> Array:
        y, s, shape = cache
        require_delta(self, delta, shape)
        return self.descend(delta.reshape(y.shape), y, s).reshape(shape)


RIGHT: list[Right] = [
    Right("softmax", lambda rng: Softmax(), anything),
    Right("softmax over the batch", lambda rng: Softmax(axis=0), anything),
    Right("softmax by its jacobian", lambda rng: SoftmaxByJacobian(), rows_of(4)),
    Right("log softmax, temperature", lambda rng: LogSoftmaxAt(2.5), anything),
    Right("sparsemax", lambda rng: Sparsemax(), anything),
    Right("standardise", lambda rng: Standardise((-1,)), anything),
    Right("layer norm", lambda rng: LayerNorm(*normal(rng, (4,), (4,))), rows_of(4)),
    Right("layer norm over two axes", lambda rng: LayerNorm(*normal(rng, (3,), (3,)), axes=(1, 2)), shaped(2, 3)),
    Right("instance norm", lambda rng: Standardise((2,)), shaped(2, 4)),
    Right("batch norm", lambda rng: LayerNorm(*normal(rng, (3,), (3,)), axes=(0,)), rows_of(3)),
    Right(
        "batch norm, running",
        lambda rng: RunningNorm(*normal(rng, (3,), (3,), (3,)), rng.uniform(0.5, 2, size=3)),
        rows_of(3),
    ),
    Right("rms norm", lambda rng: RMSNorm(rng.normal(size=4)), rows_of(4)),
    Right("group norm", lambda rng: GroupNorm(2), shaped(4, 2)),
]
