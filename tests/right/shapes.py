"""Right layers: convolutions, pools, changes of shape, attention and recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minigrad import Layer
from minigrad.checks import require_delta, require_floating
from minigrad.kernels import sigmoid
from minigrad.typing import Array, Gradients
from right.smooth import Right, anything, features_at_least, halves, normal, rows_of, shaped, times


class Conv1d(Layer):
    """y_not = b_o + sum_ck W_ock z_n,c,t+k: (N, C, T) -> (N, O, T - K + 1)."""

    parameter_names = ("W", "b")

    def __init__(self, w: Array, b: Array) -> None:
        self.W, self.b = w, b

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        if z.ndim != 3 or z.shape[2] < self.W.shape[2]:
            raise ValueError(f"{self!r} expects z of shape (batch, channels, {self.W.shape[2]} or more), got {z.shape}")
        windows = sliding_window_view(z, self.W.shape[2], axis=2)
        return np.einsum("nctk,ock->not", windows, self.W) + self.b[:, np.newaxis], z

    def backward(self, delta: Array, z: Array) -> Array:
        width = self.W.shape[2]
        padded = np.pad(delta, ((0, 0), (0, 0), (width - 1, width - 1)))
        return np.einsum("notk,ock->nct", sliding_window_view(padded, width, axis=2), self.W[:, :, ::-1])

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        windows = sliding_window_view(z, self.W.shape[2], axis=2)
        return {"W": np.einsum("nctk,not->ock", windows, delta), "b": delta.sum(axis=(0, 2))}


class Conv2d(Layer):
    """A 2-d correlation with stride 1 and no padding: (N, C, H, W) -> (N, O, H - P + 1, W - Q + 1)."""

    parameter_names = ("kernel",)

    def __init__(self, kernel: Array) -> None:
        self.kernel = kernel

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        p, q = self.kernel.shape[2:]
        h, w = z.shape[2] - p + 1, z.shape[3] - q + 1
        dtype = np.result_type(z, self.kernel)
        y = np.zeros((len(z), len(self.kernel), h, w), dtype)
        for i, j in np.ndindex(p, q):
            y += np.einsum("nchw,oc->nohw", z[:, :, i : i + h, j : j + w], self.kernel[:, :, i, j])
        return y, z

    def backward(self, delta: Array, z: Array) -> Array:
        dz = np.zeros(z.shape, np.result_type(delta, self.kernel))
        h, w = delta.shape[2:]
        for i, j in np.ndindex(*self.kernel.shape[2:]):
            dz[:, :, i : i + h, j : j + w] += np.einsum("nohw,oc->nchw", delta, self.kernel[:, :, i, j])
        return dz

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        gradient = np.zeros(self.kernel.shape, np.result_type(delta, z))
        h, w = delta.shape[2:]
        for i, j in np.ndindex(*self.kernel.shape[2:]):
            gradient[:, :, i, j] = np.einsum("nohw,nchw->oc", delta, z[:, :, i : i + h, j : j + w])
        return {"kernel": gradient}


class MaxPool(Layer):
    """The largest of each k neighbours along the last axis, the first of them at ties; a rest is left out."""

    complex_safe = False

    def __init__(self, k: int) -> None:
        self.k = k

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        count = z.shape[-1] // self.k
        blocks = z[..., : count * self.k].reshape(*z.shape[:-1], count, self.k)
        place = blocks.argmax(axis=-1) + self.k * np.arange(count)
        return blocks.max(axis=-1), (place, z.shape)

    def backward(self, delta: Array, cache: Any) -> Array:
        place, shape = cache
        require_delta(self, delta, place.shape)
        dz = np.zeros(shape, delta.dtype)
        np.put_along_axis(dz, place, delta, axis=-1)
        return dz


class OverlappingMaxPool(Layer):
    """y_t = max(z_t, z_t+1): one entry may win twice, and then gets both deltas."""

    complex_safe = False

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        left = z[..., :-1] >= z[..., 1:]
        return np.where(left, z[..., :-1], z[..., 1:]), left

    def backward(self, delta: Array, left: Array) -> Array:
        dz = np.zeros((*left.shape[:-1], left.shape[-1] + 1), delta.dtype)
        dz[..., :-1] = delta * left
        dz[..., 1:] += delta * ~left
        return dz


class AvgPool(Layer):
    """The mean of each 2 x 2 block: (N, C, H, W) -> (N, C, H / 2, W / 2); dz = delta / 4."""

    def forward(self, z: Array) -> tuple[Array, None]:
        require_floating(self, z)
        n, c, h, w = z.shape
        if h % 2 or w % 2:
            raise ValueError(f"{self!r} expects even height and width, got {z.shape}")
        return z.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5)), None

    def backward(self, delta: Array, cache: None) -> Array:
        return np.repeat(np.repeat(delta / 4, 2, axis=2), 2, axis=3)


class Pad(Layer):
    """z with zeros on both sides of the last axis, or with its border values repeated there."""

    def __init__(self, left: int, right: int, edge: bool = False) -> None:
        self.left, self.right, self.edge = left, right, edge

    def forward(self, z: Array) -> tuple[Array, int]:
        require_floating(self, z)
        widths = [(0, 0)] * (z.ndim - 1) + [(self.left, self.right)]
        return np.pad(z, widths, mode="edge" if self.edge else "constant"), z.shape[-1]

    def backward(self, delta: Array, features: int) -> Array:
        dz = delta[..., self.left : self.left + features].copy()
        if self.edge:
            dz[..., 0] += delta[..., : self.left].sum(axis=-1)
            dz[..., -1] += delta[..., self.left + features :].sum(axis=-1)
        return dz


class Transpose(Layer):
    """The last two axes exchanged; both rules return views."""

    def forward(self, z: Array) -> tuple[Array, None]:
        require_floating(self, z)
        return z.swapaxes(-1, -2), None

    def backward(self, delta: Array, cache: None) -> Array:
        return delta.swapaxes(-1, -2)


class Flatten(Layer):
    """(N, ...) -> (N, D), a view where possible."""

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        return z.reshape(len(z), int(np.prod(z.shape[1:]))), z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        return delta.reshape(shape)


class Reshape(Layer):
    """(N, D) -> (N, *shape)."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        return z.reshape(len(z), *self.shape), z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        require_delta(self, delta, (shape[0], *self.shape))
        return delta.reshape(shape)


class Slice(Layer):
    """Every second feature, the last one first; the others get no delta."""

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        return z[..., ::-2], z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        dz = np.zeros(shape, delta.dtype)
        dz[..., ::-2] = delta
        return dz


class Gather(Layer):
    """Chosen features, some of them more than once, so that their deltas add up."""

    def __init__(self, places: list[int]) -> None:
        self.places = np.array(places)

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        return z[:, self.places], z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        dz = np.zeros(shape, delta.dtype)
        np.add.at(dz, (slice(None), self.places), delta)
        return dz


class Twice(Layer):
    """z beside itself, along the features; dz is the sum of both halves of delta."""

    def forward(self, z: Array) -> tuple[Array, None]:
        require_floating(self, z)
        return np.concatenate([z, z], axis=-1), None

    def backward(self, delta: Array, cache: None) -> Array:
        return np.add(*np.split(delta, 2, axis=-1))


class GLU(Layer):
    """u sigmoid(v) with z = (u, v); du = delta s, dv = delta u s (1 - s)."""

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        if z.shape[-1] % 2:
            raise ValueError(f"{self!r} expects an even number of features, got {z.shape}")
        u, v = np.split(z, 2, axis=-1)
        s = sigmoid(v)
        return u * s, (u, v, s)

    def backward(self, delta: Array, cache: Any) -> Array:
        u, v, s = cache
        return np.concatenate([delta * s, delta * u * s * sigmoid(-v)], axis=-1)


class Attention(Layer):
    """softmax(Q K^T / sqrt E) V with Q, K, V = z Wq, z Wk, z Wv: (N, T, D) -> (N, T, E), at will causal."""

    parameter_names = ("Wq", "Wk", "Wv")

    def __init__(self, wq: Array, wk: Array, wv: Array, causal: bool = False) -> None:
        self.Wq, self.Wk, self.Wv = wq, wk, wv
        self.causal = causal

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        q, k, v = z @ self.Wq, z @ self.Wk, z @ self.Wv
        scores = q @ k.swapaxes(1, 2) / self.Wq.shape[1] ** 0.5
        seen = np.tril(np.ones(scores.shape[1:], bool)) if self.causal else np.ones(scores.shape[1:], bool)
        largest = np.where(seen, scores.real, -np.inf).max(axis=2, keepdims=True)
        terms = np.exp(np.where(seen, scores - largest, 0)) * seen
        p = terms / terms.sum(axis=2, keepdims=True)
        return p @ v, (z, q, k, v, p)

    def projections(self, delta: Array, cache: Any) -> tuple[Array, Array, Array]:
        """The deltas of q, k and v."""
        _, q, k, v, p = cache
        dp = delta @ v.swapaxes(1, 2)
        ds = p * (dp - (p * dp).sum(axis=2, keepdims=True)) / self.Wq.shape[1] ** 0.5
        return ds @ k, ds.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ delta

    def backward(self, delta: Array, cache: Any) -> Array:
        dq, dk, dv = self.projections(delta, cache)
        return dq @ self.Wq.T + dk @ self.Wk.T + dv @ self.Wv.T

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        z = cache[0]
        deltas = self.projections(delta, cache)
        return {name: np.einsum("ntd,nte->de", z, d) for name, d in zip(self.parameter_names, deltas, strict=True)}


class RNN(Layer):
    """h_t = tanh(z_t U + h_t-1 W + b), h_0 = 0: (N, T, D) -> (N, T, H); deltas go back through time."""

    parameter_names = ("U", "W", "b")

    def __init__(self, u: Array, w: Array, b: Array) -> None:
        self.U, self.W, self.b = u, w, b

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        n, steps, _ = z.shape
        h = np.zeros((n, len(self.b)), np.result_type(z, self.U))
        states = []
        for t in range(steps):
            h = np.tanh(z[:, t] @ self.U + h @ self.W + self.b)
            states.append(h)
        hs = np.stack(states, axis=1)
        return hs, (z, hs)

    def sweep(self, delta: Array, hs: Array) -> Array:
        """The deltas before the tanh, from the last step to the first."""
        before = np.empty(hs.shape, np.result_type(delta, hs, self.W))
        carried = np.zeros_like(before[:, 0])
        for t in reversed(range(hs.shape[1])):
            before[:, t] = (delta[:, t] + carried) * (1 - hs[:, t] ** 2)
            carried = before[:, t] @ self.W.T
        return before

    def backward(self, delta: Array, cache: Any) -> Array:
        return self.sweep(delta, cache[1]) @ self.U.T

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        return self.backpropagate(delta, cache)[1]

    def backpropagate(self, delta: Array, cache: Any) -> tuple[Array, Gradients]:
        """Rules 2 and 3 from one sweep."""
        z, hs = cache
        before = self.sweep(delta, hs)
        return before @ self.U.T, {
            "U": np.einsum("ntd,nth->dh", z, before),
            "W": np.einsum("nth,ntk->hk", hs[:, :-1], before[:, 1:]),
            "b": before.sum(axis=(0, 1)),
        }


RIGHT: list[Right] = [
    Right("conv 1-d", lambda rng: Conv1d(*normal(rng, (2, 2, 3), (2,))), shaped(2, 5)),
    Right("conv 2-d", lambda rng: Conv2d(rng.normal(size=(2, 1, 2, 3))), shaped(1, 3, 4)),
    Right("max pool", lambda rng: MaxPool(2), features_at_least(2)),
    Right("max pool, overlapping", lambda rng: OverlappingMaxPool(), features_at_least(2)),
    Right("average pool", lambda rng: AvgPool(), shaped(1, 4, 2)),
    Right("pad by zeros", lambda rng: Pad(2, 1), anything),
    Right("pad by the border", lambda rng: Pad(1, 2, edge=True), anything),
    Right("transpose", lambda rng: Transpose(), times),
    Right("flatten", lambda rng: Flatten(), times),
    Right("reshape", lambda rng: Reshape(2, 2), rows_of(4)),
    Right("slice", lambda rng: Slice(), anything),
    Right("gather", lambda rng: Gather([2, 0, 2, 1, 0]), rows_of(4)),
    Right("twice", lambda rng: Twice(), anything),
    Right("glu", lambda rng: GLU(), halves),
    Right("attention", lambda rng: Attention(*normal(rng, (2, 3), (2, 3), (2, 2))), shaped(3, 2)),
    Right("attention, causal", lambda rng: Attention(*normal(rng, (2, 2), (2, 2), (2, 3)), True), shaped(4, 2)),
    Right("rnn", lambda rng: RNN(*normal(rng, (2, 3), (3, 3), (3,))), shaped(4, 2)),
]
