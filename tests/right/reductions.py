"""Right layers: reductions over an axis, orders and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import Layer
from minigrad.checks import require_delta, require_floating
from minigrad.typing import Array
from right.smooth import Right, anything, features_at_least, halves, matrix, times


class Maximum(Layer):
    """The largest of the last axis; the delta goes to the first largest, or in equal parts to all of them."""

    complex_safe = False

    def __init__(self, shared: bool = False) -> None:
        self.shared = shared

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        largest = z.max(axis=-1)
        if self.shared:
            ties = z == largest[..., np.newaxis]
            return largest, ties / ties.sum(axis=-1, keepdims=True, dtype=z.dtype)
        return largest, np.arange(z.shape[-1]) == z.argmax(axis=-1)[..., np.newaxis]

    def backward(self, delta: Array, share: Array) -> Array:
        require_delta(self, delta, share.shape[:-1])
        return delta[..., np.newaxis] * share


class Minimum(Layer):
    """The smallest of the last axis, which is kept; the delta goes to the first smallest."""

    complex_safe = False

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        place = z.argmin(axis=-1)[..., np.newaxis]
        return np.take_along_axis(z, place, axis=-1), (place, z.shape)

    def backward(self, delta: Array, cache: Any) -> Array:
        place, shape = cache
        dz = np.zeros(shape, delta.dtype)
        np.put_along_axis(dz, place, delta, axis=-1)
        return dz


class MeanPool(Layer):
    """The mean over all axes but the first and the last; dz = delta / count at every place."""

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        if z.ndim != 3:
            raise ValueError(f"{self!r} expects z of shape (batch, time, features), got {z.shape}")
        return z.mean(axis=1), z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        return np.broadcast_to(delta[:, np.newaxis] / shape[1], shape)


class LogSumExp(Layer):
    """log sum_k e^(z_k) over the last axis; dz = delta softmax(z)."""

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        largest = z.real.max(axis=-1, keepdims=True)
        terms = np.exp(z - largest)
        total = terms.sum(axis=-1, keepdims=True)
        return (largest + np.log(total))[..., 0], terms / total

    def backward(self, delta: Array, p: Array) -> Array:
        require_delta(self, delta, p.shape[:-1])
        return delta[..., np.newaxis] * p


class L2Normalise(Layer):
    """y = z / r, r = sqrt(z . z + e); dz = (delta - y (y . delta)) / r."""

    def __init__(self, e: float) -> None:
        self.e = e

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        r = np.sqrt((z * z).sum(axis=-1, keepdims=True) + self.e)
        return z / r, (z / r, r)

    def backward(self, delta: Array, cache: Any) -> Array:
        y, r = cache
        require_delta(self, delta, y.shape)
        return (delta - y * (y * delta).sum(axis=-1, keepdims=True)) / r


class L1Normalise(Layer):
    """y = z / s, s = e + sum |z|; dz = (delta - sign(z) (y . delta)) / s."""

    complex_safe = False

    def __init__(self, e: float) -> None:
        self.e = e

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        s = self.e + np.abs(z).sum(axis=-1, keepdims=True)
        y = z / s
        return y, (y, s)

    def backward(self, delta: Array, cache: Any) -> Array:
        y, s = cache
        return (delta - np.sign(y) * (y * delta).sum(axis=-1, keepdims=True)) / s


class Variance(Layer):
    """v = sum_k (z_k - mean)^2 / K of each row; dz = 2 delta (z - mean) / K."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        centred = z - z.mean(axis=-1, keepdims=True)
        return (centred * centred).mean(axis=-1), centred

    def backward(self, delta: Array, centred: Array) -> Array:
        return 2 * delta[..., np.newaxis] * centred / centred.shape[-1]


class Deviation(Layer):
    """s = sqrt(e + variance) of each row; dz = delta (z - mean) / (K s)."""

    def __init__(self, e: float) -> None:
        self.e = e

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        centred = z - z.mean(axis=-1, keepdims=True)
        s = np.sqrt(self.e + (centred * centred).mean(axis=-1, keepdims=True))
        return s, (centred, s)

    def backward(self, delta: Array, cache: Any) -> Array:
        centred, s = cache
        return delta * centred / (s * centred.shape[-1])


class CumSum(Layer):
    """y_k = z_1 + ... + z_k; dz is the same sum from the other end."""

    def forward(self, z: Array) -> tuple[Array, None]:
        require_floating(self, z)
        return np.cumsum(z, axis=-1), None

    def backward(self, delta: Array, cache: None) -> Array:
        return np.flip(np.cumsum(np.flip(delta, axis=-1), axis=-1), axis=-1)


class Sort(Layer):
    """Each row sorted; delta goes back to where its entry came from, equal entries in their order."""

    complex_safe = False

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        order = np.argsort(z, axis=-1, kind="stable")
        return np.take_along_axis(z, order, axis=-1), order

    def backward(self, delta: Array, order: Array) -> Array:
        require_delta(self, delta, order.shape)
        return np.take_along_axis(delta, np.argsort(order, axis=-1), axis=-1)


class TopK(Layer):
    """The k largest of each row, the largest first; the others get no delta."""

    complex_safe = False

    def __init__(self, k: int) -> None:
        self.k = k

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        if z.shape[-1] < self.k:
            raise ValueError(f"{self!r} expects {self.k} features or more, got {z.shape}")
        places = np.argsort(-z, axis=-1, kind="stable")[..., : self.k]
        return np.take_along_axis(z, places, axis=-1), (z.shape, places)

    def backward(self, delta: Array, cache: Any) -> Array:
        shape, places = cache
        dz = np.zeros(shape, delta.dtype)
        np.put_along_axis(dz, places, delta, axis=-1)
        return dz


class Median(Layer):
    """The middle one of an odd number of features, to which the delta goes."""

    complex_safe = False

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        if z.shape[-1] % 2 == 0:
            raise ValueError(f"{self!r} expects an odd number of features, got {z.shape}")
        place = np.argsort(z, axis=-1, kind="stable")[..., z.shape[-1] // 2, np.newaxis]
        return np.take_along_axis(z, place, axis=-1)[..., 0], (place, z.shape[-1])

    def backward(self, delta: Array, cache: Any) -> Array:
        place, features = cache
        return delta[..., np.newaxis] * (np.arange(features) == place)


class Product(Layer):
    """The product of each row; dz_k = delta prod_{j != k} z_j, from both ends, so that zeros do no harm."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return z.prod(axis=-1), z

    def backward(self, delta: Array, z: Array) -> Array:
        one = np.ones_like(z[..., :1])
        below = np.concatenate([one, z[..., :-1]], axis=-1).cumprod(axis=-1)
        above = np.concatenate([one, z[..., :0:-1]], axis=-1).cumprod(axis=-1)[..., ::-1]
        return delta[..., np.newaxis] * below * above


class Cosine(Layer):
    """c = u . v / (|u| |v|) with z = (u, v), |u| = sqrt(u . u + e); du = delta (v / |v| - c u / |u|) / |u|."""

    def __init__(self, e: float) -> None:
        self.e = e

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        halves = z.reshape(len(z), 2, z.shape[1] // 2)
        norms = np.sqrt((halves * halves).sum(axis=2, keepdims=True) + self.e)
        units = halves / norms
        c = units.prod(axis=1).sum(axis=1)
        return c, (units, norms, c)

    def backward(self, delta: Array, cache: Any) -> Array:
        units, norms, c = cache
        require_delta(self, delta, c.shape)
        dz = delta[:, np.newaxis, np.newaxis] * (units[:, ::-1] - c[:, np.newaxis, np.newaxis] * units) / norms
        return dz.reshape(len(c), units.shape[1] * units.shape[2])


RIGHT: list[Right] = [
    Right("max", lambda rng: Maximum(), anything),
    Right("max, shared by ties", lambda rng: Maximum(shared=True), anything),
    Right("min", lambda rng: Minimum(), anything),
    Right("mean pool", lambda rng: MeanPool(), times),
    Right("logsumexp", lambda rng: LogSumExp(), anything),
    Right("l2 normalise", lambda rng: L2Normalise(1e-4), anything),
    Right("l1 normalise", lambda rng: L1Normalise(1e-2), anything),
    Right("variance", lambda rng: Variance(), anything),
    Right("deviation", lambda rng: Deviation(1e-4), anything),
    Right("cumsum", lambda rng: CumSum(), anything),
    Right("sort", lambda rng: Sort(), anything),
    Right("top 2", lambda rng: TopK(2), features_at_least(2)),
    Right("median", lambda rng: Median(), features_at_least(1, odd=True)),
    Right("product", lambda rng: Product(), matrix),
    Right("cosine of halves", lambda rng: Cosine(1e-4), halves),
]
