"""Right layers: losses, which take a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad import Container, Layer, Linear, LogSoftmax, NLLLoss, Sequential
from minigrad.checks import require_floating
from minigrad.kernels import log_sigmoid, sigmoid
from minigrad.softmax_kernels import log_softmax
from minigrad.typing import Array, Delta, Gradients
from right.smooth import ELU, LogCosh, Right, draw, matrix, normal, rows_of, small_shape
from right.trained import ScaleShift


class Mean(Layer):
    """The mean of f(z - target) over all entries, f given with its derivative; dz = delta f' / count."""

    rows_independent = False

    def __init__(self, name: str, f: Callable[[Array], Array], df: Callable[[Array], Array], analytic: bool) -> None:
        self.name, self.f, self.df = name, f, df
        self.complex_safe = analytic

    def forward(self, z: Array, target: Array) -> tuple[Any, Array]:
        require_floating(self, z)
        if np.shape(target) != z.shape:
            raise ValueError(f"{self!r} expects a target of shape {z.shape}, got {np.shape(target)}")
        if not z.size:
            raise ValueError(f"{self!r} expects a batch of one row or more")
        apart = z - np.asarray(target).astype(z.real.dtype)
        return self.f(apart).mean(), apart

    def backward(self, delta: Delta, apart: Array) -> Array:
        return delta * (self.df(apart) / apart.size)

    def __repr__(self) -> str:
        return f"Mean({self.name})"


def huber(r: Array) -> Array:
    """r^2 / 2 for |r| < 1, else |r| - 1/2."""
    a = np.abs(r)
    return np.where(a < 1, 0.5 * r * r, a - 0.5)


def pinball(r: Array) -> Array:
    """0.8 max(-r, 0) + 0.2 max(r, 0): the 0.8 quantile of the target is the best z."""
    return np.maximum(0.2 * r, -0.8 * r)


def pinball_slope(r: Array) -> Array:
    """0.2 or -0.8."""
    return np.where(r >= 0, 0.2, -0.8).astype(r.dtype)


class WeightedMSE(Layer):
    """sum_n w_n |z_n - t_n|^2 / sum w; dz = 2 delta w_n (z_n - t_n) / sum w."""

    rows_independent = False

    def forward(self, z: Array, target: Array, weights: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        total = np.sum(weights)
        if not total > 0:
            raise ValueError(f"{self!r} expects a batch of some weight, got {total}")
        w = (np.asarray(weights) / total).astype(z.real.dtype)[:, np.newaxis]
        apart = z - np.asarray(target).astype(z.real.dtype)
        return (w * apart * apart).sum(), (w, apart)

    def backward(self, delta: Delta, cache: Any) -> Array:
        w, apart = cache
        return 2 * delta * w * apart


class Hinge(Layer):
    """The mean of max(0, 1 - t_n z_n), t in {-1, 1}, for z (N, 1); dz = -delta t_n / N where the margin is below 1."""

    complex_safe = False
    rows_independent = False

    def forward(self, z: Array, target: Array) -> tuple[Any, Array]:
        require_floating(self, z)
        if z.ndim != 2 or z.shape[1] != 1 or not len(z):
            raise ValueError(f"{self!r} expects z of shape (1 or more, 1), got {z.shape}")
        t = np.asarray(target).astype(z.dtype)[:, np.newaxis]
        margin = t * z
        return np.maximum(0, 1 - margin).mean(), np.where(margin < 1, -t, 0) / len(z)

    def backward(self, delta: Delta, slope: Array) -> Array:
        return delta * slope


class MultiMargin(Layer):
    """sum_n sum_{k != t} max(0, 1 - z_nt + z_nk) / (N K); the target gets minus the sum of the others."""

    complex_safe = False
    rows_independent = False

    def forward(self, z: Array, target: Array) -> tuple[Any, Array]:
        require_floating(self, z)
        if not z.size:
            raise ValueError(f"{self!r} expects a batch of one row or more")
        chosen = (np.arange(len(z)), target)
        over = 1 - z[chosen][:, np.newaxis] + z
        over[chosen] = 0
        slope = (over > 0).astype(z.dtype)
        slope[chosen] = -slope.sum(axis=1)
        return np.maximum(over, 0).sum() / z.size, slope / z.size

    def backward(self, delta: Delta, slope: Array) -> Array:
        return delta * slope


class KL(Layer):
    """sum_n sum_k t (log t - z) / N for log-probabilities z, with 0 log 0 = 0; dz = -delta t / N."""

    rows_independent = False

    def forward(self, z: Array, target: Array) -> tuple[Any, Array]:
        require_floating(self, z)
        if not len(z):
            raise ValueError(f"{self!r} expects a batch of one row or more")
        t = np.asarray(target).astype(z.real.dtype)
        logs = np.log(np.where(t > 0, t, 1))
        return (t * (logs - z)).sum() / len(z), t

    def backward(self, delta: Delta, t: Array) -> Array:
        return -delta * t / len(t)


class PoissonNLL(Layer):
    """sum e^z - t z for counts t, z the logarithm of the mean; dz = delta (e^z - t)."""

    rows_independent = False

    def forward(self, z: Array, target: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        mean, t = np.exp(z), np.asarray(target).astype(z.real.dtype)
        return (mean - t * z).sum(), mean - t

    def backward(self, delta: Delta, slope: Array) -> Array:
        return delta * slope


class GaussianNLL(Layer):
    """sum_nd (s_d + (z - t)^2 e^-s_d) / (2 N) with trained s; ds = delta sum_n (1 - (z - t)^2 e^-s) / (2 N)."""

    parameter_names = ("s",)
    rows_independent = False

    def __init__(self, s: Array) -> None:
        self.s = s

    def forward(self, z: Array, target: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        if not len(z):
            raise ValueError(f"{self!r} expects a batch of one row or more")
        apart = z - np.asarray(target).astype(z.real.dtype)
        precise = apart * np.exp(-self.s)
        return (self.s + apart * precise).sum() / (2 * len(z)), (apart, precise)

    def backward(self, delta: Delta, cache: Any) -> Array:
        _, precise = cache
        return delta * precise / len(precise)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        apart, precise = cache
        return {"s": delta * (1 - apart * precise).sum(axis=0) / (2 * len(apart))}


class SmoothedCrossEntropy(Layer):
    """-sum_nk q log p / N, q = (1 - a) onehot(t) + a / K, p = softmax(z); dz = delta (p - q) / N."""

    rows_independent = False

    def __init__(self, a: float) -> None:
        self.a = a

    def forward(self, z: Array, target: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        if not z.size:
            raise ValueError(f"{self!r} expects a batch of one row or more")
        q = np.full(z.shape, self.a / z.shape[1], z.real.dtype)
        q[np.arange(len(z)), target] += 1 - self.a
        log_p = log_softmax(z)
        return -(q * log_p).sum() / len(z), (log_p, q)

    def backward(self, delta: Delta, cache: Any) -> Array:
        log_p, q = cache
        return delta * (np.exp(log_p) - q) / len(q)


class FocalLoss(Layer):
    """sum_n -(1 - p)^2 log p with p = sigmoid(t_n z_n), t in {-1, 1}; with m = t z: the slope is
    t (1 - p)^2 (2 p log p - (1 - p)).
    """

    rows_independent = False

    def forward(self, z: Array, target: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        t = np.asarray(target).astype(z.real.dtype).reshape(z.shape)
        m = t * z
        return -(sigmoid(-m) ** 2 * log_sigmoid(m)).sum(), (t, m)

    def backward(self, delta: Delta, cache: Any) -> Array:
        t, m = cache
        rest = sigmoid(-m)
        return delta * t * rest * rest * (2 * sigmoid(m) * log_sigmoid(m) - rest)


class Triplet(Layer):
    """The mean of max(0, |a - p|^2 - |a - n|^2 + 1), z = (a, p, n) side by side."""

    complex_safe = False
    rows_independent = False

    def forward(self, z: Array) -> tuple[Any, Any]:
        require_floating(self, z)
        if not len(z) or z.shape[1] % 3:
            raise ValueError(f"{self!r} expects some rows of three equal parts, got {z.shape}")
        a, p, n = np.split(z, 3, axis=1)
        loss = ((n - p) * (2 * a - p - n)).sum(axis=1) + 1  # |a - p|^2 - |a - n|^2, with no squares to cancel
        return np.maximum(loss, 0).mean(), (a, p, n, loss > 0)

    def backward(self, delta: Delta, cache: Any) -> Array:
        a, p, n, active = cache
        scale = (2 * delta / len(a)) * active[:, np.newaxis].astype(a.dtype)
        return np.concatenate([scale * (n - p), scale * (p - a), scale * (a - n)], axis=1)


class Penalised(Container):
    """A loss on top of a layer, plus c times half the squares of the trained arrays, as weight decay has it."""

    rows_independent = False

    def __init__(self, inner: Layer, c: float) -> None:
        self.inner, self.c = inner, c

    def children(self) -> Sequence[tuple[str, Layer]]:
        return [("inner", self.inner)]

    def forward(self, z: Array, *arguments: Any) -> tuple[Any, Any]:
        value, cache = self.inner.forward(z, *arguments)
        return value + self.c / 2 * sum((array * array).sum() for array in self.parameters().values()), cache

    def backward(self, delta: Delta, cache: Any) -> Array:
        return self.inner.backward(delta, cache)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        gradients = self.gather([self.inner.parameter_gradients(delta, cache)])
        return {name: gradients[name] + delta * self.c * array for name, array in self.parameters().items()}


def near_target(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """(z, target) of one shape; some entries agree."""
    z = draw(rng, size, small_shape(rng))
    target = draw(rng, size, z.shape)
    return z, np.where(rng.random(z.shape) < 0.1, z, target)


def weighted_target(rng: np.random.Generator, size: float) -> tuple[Array, Array, Array]:
    """(z, target, weights), with a weight of 0 now and then."""
    (z,) = matrix(rng, size)
    weights = rng.uniform(0.5, 2, size=len(z))
    weights[1:][rng.random(len(z) - 1) < 0.2] = 0
    return z, draw(rng, size, z.shape), weights


def signs(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """(z, target) with z (N, 1) and targets -1 and 1."""
    n = int(rng.integers(1, 6))
    return draw(rng, size, (n, 1)), rng.choice([-1, 1], size=n)


def labels(features: int, classes: int) -> Callable[[np.random.Generator, float], tuple[Array, Array]]:
    """(z, target) with targets 0 .. classes - 1."""

    def sample(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
        n = int(rng.integers(1, 6))
        return draw(rng, size, (n, features)), rng.integers(classes, size=n)

    return sample


def distributions(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """(z, target) whose targets are probabilities, some of them 0."""
    (z,) = matrix(rng, size)
    t = rng.random(z.shape) * (rng.random(z.shape) < 0.8)
    t[:, 0] += 0.1
    return z, t / t.sum(axis=1, keepdims=True)


def counts(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """(z, target) of log-means that do not overflow, and counts."""
    (z,) = matrix(rng, min(size, 5.0))
    return z, rng.poisson(2.0, size=z.shape)


def thirds(rng: np.random.Generator, size: float) -> tuple[Array]:
    """(z,) with a multiple of three features."""
    return (draw(rng, size, (int(rng.integers(1, 5)), 3 * int(rng.integers(1, 4)))),)


def with_target(rng: np.random.Generator, size: float) -> tuple[Array, Array]:
    """(z, target) of shape (N, 2)."""
    (z,) = rows_of(2)(rng, size)
    return z, draw(rng, size, z.shape)


def classifier(rng: np.random.Generator) -> Layer:
    """A stack with a loss on top."""
    return Sequential(Linear(3, 4, rng=rng), ELU(), Linear(4, 3, rng=rng), LogSoftmax(), NLLLoss())


RIGHT: list[Right] = [
    Right("classifier", classifier, labels(3, 3)),
    Right("mse", lambda rng: Mean("mse", np.square, lambda r: 2 * r, True), near_target),
    Right("mae", lambda rng: Mean("mae", np.abs, np.sign, False), near_target),
    Right("huber", lambda rng: Mean("huber", huber, lambda r: np.clip(r, -1, 1), False), near_target),
    Right("log cosh loss", lambda rng: Mean("log cosh", LogCosh().f, np.tanh, False), near_target),
    Right("quantile", lambda rng: Mean("quantile", pinball, pinball_slope, False), near_target),
    Right("weighted mse", lambda rng: WeightedMSE(), weighted_target),
    Right("hinge", lambda rng: Hinge(), signs),
    Right("multi-margin", lambda rng: MultiMargin(), labels(4, 4)),
    Right("kl", lambda rng: KL(), distributions),
    Right("poisson nll", lambda rng: PoissonNLL(), counts),
    Right("gaussian nll", lambda rng: GaussianNLL(rng.normal(size=2)), with_target),
    Right("smoothed cross entropy", lambda rng: SmoothedCrossEntropy(0.1), labels(3, 3)),
    Right("focal loss", lambda rng: FocalLoss(), signs),
    Right("triplet", lambda rng: Triplet(), thirds),
    Right(
        "penalised regression",
        lambda rng: Penalised(Sequential(Linear(2, 2, rng=rng), Mean("mse", np.square, lambda r: 2 * r, True)), 0.1),
        with_target,
    ),
    Right(
        "likelihood with trained noise",
        lambda rng: Sequential(ScaleShift(*normal(rng, (2,), (2,))), GaussianNLL(rng.normal(size=2))),
        with_target,
    ),
]
