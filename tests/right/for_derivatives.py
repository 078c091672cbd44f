"""Right layers, as users write them.  The wrong ones derive from them; they also test for false alarms."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import Container, Elementwise, Layer, Linear, LogSoftmax, NLLLoss, Sequential, Tanh
from minigrad.kernels import log_sigmoid, sigmoid
from right.inputs import rows

Sample = Callable[[np.random.Generator], tuple[Any, ...]]


# Draws of (z, target).


def with_values(*shape: int) -> Sample:
    """(z, a real target of the same shape)."""
    return lambda rng: (2 * rng.normal(size=shape), rng.normal(size=shape))


def with_labels(n: int, classes: int) -> Sample:
    """(z, class labels)."""
    return lambda rng: (rng.normal(size=(n, classes)), rng.integers(0, classes, n))


def with_signs(*shape: int) -> Sample:
    """(z, -1 or +1)."""
    return lambda rng: (1.5 * rng.normal(size=shape), rng.choice([-1.0, 1.0], size=shape))


def with_counts(*shape: int) -> Sample:
    """(z, counts)."""
    return lambda rng: (rng.normal(size=shape), rng.poisson(2.0, size=shape).astype(float))


def with_probabilities(*shape: int) -> Sample:
    """(z, rows of probabilities)."""
    return lambda rng: (rng.normal(size=shape), rng.dirichlet(np.ones(shape[-1]), size=shape[:-1]))


# Activations.


class Swish(Elementwise):
    """z sigmoid(z)."""

    keeps = "input"

    def f(self, z):
        return z * sigmoid(z)

    def df(self, z):
        s = sigmoid(z)
        return s + z * s * (1 - s)


class BetaSwish(Layer):
    """z sigmoid(beta z), with a trained beta."""

    parameter_names = ("beta",)

    def __init__(self, beta=1.3):
        self.beta = np.array(beta)

    def forward(self, z):
        return z * sigmoid(self.beta * z), z

    def backward(self, delta, z):
        s = sigmoid(self.beta * z)
        return delta * (s + self.beta * z * s * (1 - s))

    def parameter_gradients(self, delta, z):
        s = sigmoid(self.beta * z)
        return {"beta": np.array((delta * z * z * s * (1 - s)).sum())}


class Gelu(Elementwise):
    """The Gaussian error linear unit, by its formula with tanh."""

    keeps = "input"
    scale = math.sqrt(2 / math.pi)

    def f(self, z):
        return 0.5 * z * (1 + np.tanh(self.scale * (z + 0.044715 * z * z * z)))

    def df(self, z):
        t = np.tanh(self.scale * (z + 0.044715 * z * z * z))
        return 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * self.scale * (1 + 3 * 0.044715 * z * z)


class Elu(Layer):
    """z above 0, alpha (e^z - 1) below."""

    def __init__(self, alpha=0.7):
        self.alpha = alpha

    def forward(self, z):
        positive = z.real > 0
        below = self.alpha * np.expm1(np.where(positive, 0, z))
        return np.where(positive, z, below), (positive, below)

    def backward(self, delta, cache):
        positive, below = cache
        return np.where(positive, delta, delta * (below + self.alpha))


class Softplus(Elementwise):
    """log(1 + e^{beta z}) / beta."""

    keeps = "input"

    def __init__(self, beta=2.0):
        self.beta = beta

    def f(self, z):
        return -log_sigmoid(-self.beta * z) / self.beta

    def df(self, z):
        return sigmoid(self.beta * z)


class LeakyReLU(Layer):
    """z above 0, slope z below."""

    slope = 0.1

    def forward(self, z):
        positive = z.real > 0
        return np.where(positive, z, self.slope * z), positive

    def backward(self, delta, positive):
        return np.where(positive, delta, self.slope * delta)


class HardTanh(Layer):
    """z clipped to -1 .. 1."""

    complex_safe = False

    def forward(self, z):
        return np.clip(z, -1, 1), z

    def backward(self, delta, z):
        return delta * (np.abs(z) < 1)


class Softsign(Elementwise):
    """z / (1 + |z|)."""

    keeps = "input"
    complex_safe = False

    def f(self, z):
        return z / (1 + np.abs(z))

    def df(self, z):
        return 1 / (1 + np.abs(z)) ** 2


class Softshrink(Layer):
    """z moved towards 0 by a threshold, 0 within it."""

    complex_safe = False
    threshold = 0.5

    def forward(self, z):
        return np.sign(z) * np.maximum(np.abs(z) - self.threshold, 0), z

    def backward(self, delta, z):
        return delta * (np.abs(z) > self.threshold)


class Sine(Layer):
    """sin(w z), with one trained frequency for each feature."""

    parameter_names = ("w",)

    def __init__(self, features=3):
        self.w = np.random.default_rng(11).uniform(0.5, 2.0, features)

    def forward(self, z):
        return np.sin(self.w * z), z

    def backward(self, delta, z):
        return delta * np.cos(self.w * z) * self.w

    def parameter_gradients(self, delta, z):
        return {"w": (delta * np.cos(self.w * z) * z).sum(axis=0)}


class Snake(Elementwise):
    """z + sin(a z)^2 / a."""

    keeps = "input"
    a = 1.5

    def f(self, z):
        return z + np.sin(self.a * z) ** 2 / self.a

    def df(self, z):
        return 1 + np.sin(2 * self.a * z)


class Gaussian(Layer):
    """e^{-z^2}."""

    def forward(self, z):
        y = np.exp(-z * z)
        return y, (z, y)

    def backward(self, delta, cache):
        z, y = cache
        return -2 * delta * z * y


class Decay(Elementwise):
    """e^{-z}."""

    def f(self, z):
        return np.exp(-z)

    def df(self, y):
        return -y


class Asinh(Elementwise):
    """The inverse hyperbolic sine."""

    keeps = "input"

    def f(self, z):
        return np.arcsinh(z)

    def df(self, z):
        return 1 / np.sqrt(1 + z * z)


class Softclip(Elementwise):
    """z / sqrt(1 + z^2)."""

    keeps = "input"

    def f(self, z):
        return z / np.sqrt(1 + z * z)

    def df(self, z):
        return (1 + z * z) ** -1.5


class PReLU(Layer):
    """z above 0, a z below, with one trained a for each feature."""

    parameter_names = ("a",)

    def __init__(self, features=3):
        self.a = np.random.default_rng(12).uniform(0.1, 0.6, features)

    def forward(self, z):
        return np.where(z.real > 0, z, self.a * z), z

    def backward(self, delta, z):
        return np.where(z.real > 0, delta, self.a * delta)

    def parameter_gradients(self, delta, z):
        return {"a": np.where(z.real > 0, 0, delta * z).sum(axis=0)}


# Scales, shifts, sums of products.


class Offset(Layer):
    """z - mu."""

    parameter_names = ("mu",)

    def __init__(self, features=3):
        self.mu = np.random.default_rng(13).normal(size=features)

    def forward(self, z):
        return z - self.mu, None

    def backward(self, delta, cache):
        return delta.copy()

    def parameter_gradients(self, delta, cache):
        return {"mu": -delta.sum(axis=0)}


class ScaleShift(Layer):
    """gamma z + beta, feature by feature."""

    parameter_names = ("gamma", "beta")

    def __init__(self, features=3):
        rng = np.random.default_rng(14)
        self.gamma = rng.uniform(0.5, 2.0, features)
        self.beta = rng.normal(size=features)

    def forward(self, z):
        return self.gamma * z + self.beta, z

    def backward(self, delta, z):
        return delta * self.gamma

    def parameter_gradients(self, delta, z):
        return {"gamma": (delta * z).sum(axis=0), "beta": delta.sum(axis=0)}


class ScalarAffine(Layer):
    """a z + b, with numbers a and b."""

    parameter_names = ("a", "b")

    def __init__(self):
        self.a, self.b = np.array(1.7), np.array(-0.4)

    def forward(self, z):
        return self.a * z + self.b, z

    def backward(self, delta, z):
        return self.a * delta

    def parameter_gradients(self, delta, z):
        return {"a": np.array((delta * z).sum()), "b": np.array(delta.sum())}


class Dense(Layer):
    """z W + b, with W (D, K)."""

    parameter_names = ("weight", "bias")

    def __init__(self, inputs=3, outputs=2):
        rng = np.random.default_rng(15)
        self.weight = rng.normal(size=(inputs, outputs))
        self.bias = rng.normal(size=outputs)

    def forward(self, z):
        return z @ self.weight + self.bias, z

    def backward(self, delta, z):
        return delta @ self.weight.T

    def parameter_gradients(self, delta, z):
        return {"weight": z.T @ delta, "bias": delta.sum(axis=0)}


class ScaledDense(Layer):
    """z W / sqrt(D)."""

    parameter_names = ("weight",)

    def __init__(self, inputs=3, outputs=2):
        self.weight = np.random.default_rng(16).normal(size=(inputs, outputs))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, z):
        return self.scale * z @ self.weight, z

    def backward(self, delta, z):
        return self.scale * delta @ self.weight.T

    def parameter_gradients(self, delta, z):
        return {"weight": self.scale * z.T @ delta}


class MaskedLinear(Linear):
    """A linear layer without the weights above the diagonal."""

    def forward(self, z):
        return z @ np.tril(self.weight).T + self.bias, z

    def backward(self, delta, z):
        return delta @ np.tril(self.weight)

    def parameter_gradients(self, delta, z):
        return {"weight": np.tril(delta.T @ z), "bias": delta.sum(axis=0)}


class WeightNorm(Layer):
    """z W^T, row k of W being g_k v_k / |v_k|."""

    parameter_names = ("v", "g")

    def __init__(self, inputs=3, outputs=2):
        rng = np.random.default_rng(25)
        self.v = rng.normal(size=(outputs, inputs))
        self.g = rng.uniform(0.5, 2.0, outputs)

    def forward(self, z):
        norm = np.sqrt((self.v * self.v).sum(axis=1, keepdims=True))
        unit = self.v / norm
        return z @ unit.T * self.g, (z, unit, norm)

    def backward(self, delta, cache):
        return (delta * self.g) @ cache[1]

    def parameter_gradients(self, delta, cache):
        z, unit, norm = cache
        du = (delta * self.g).T @ z
        v = (du - unit * (du * unit).sum(axis=1, keepdims=True)) / norm
        return {"v": v, "g": (delta * (z @ unit.T)).sum(axis=0)}


class ExpScale(Layer):
    """e^a z, feature by feature: a scale that stays positive."""

    parameter_names = ("a",)

    def __init__(self, features=3):
        self.a = np.random.default_rng(26).normal(size=features)

    def forward(self, z):
        return np.exp(self.a) * z, z

    def backward(self, delta, z):
        return delta * np.exp(self.a)

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0) * np.exp(self.a)}


class Bilinear(Layer):
    """x^T A y for z = (x, y) side by side: one number for each row."""

    parameter_names = ("a",)

    def __init__(self, size=2):
        self.a = np.random.default_rng(17).normal(size=(size, size))

    def forward(self, z):
        x, y = np.split(z, 2, axis=1)
        return ((x @ self.a) * y).sum(axis=1, keepdims=True), (x, y)

    def backward(self, delta, cache):
        x, y = cache
        return np.concatenate([delta * (y @ self.a.T), delta * (x @ self.a)], axis=1)

    def parameter_gradients(self, delta, cache):
        x, y = cache
        return {"a": (delta * x).T @ y}


class QuadraticForm(Layer):
    """z^T A z / 2 + b^T z: one number for each row."""

    parameter_names = ("a", "b")

    def __init__(self, size=3):
        rng = np.random.default_rng(18)
        self.a = rng.normal(size=(size, size))
        self.b = rng.normal(size=size)

    def forward(self, z):
        return (z * (0.5 * z @ self.a + self.b)).sum(axis=1, keepdims=True), z

    def backward(self, delta, z):
        return delta * (0.5 * z @ (self.a + self.a.T) + self.b)

    def parameter_gradients(self, delta, z):
        return {"a": 0.5 * (delta * z).T @ z, "b": (delta * z).sum(axis=0)}


class Powers(Layer):
    """z, z^2 and z^3 side by side."""

    def forward(self, z):
        return np.concatenate([z, z**2, z**3], axis=1), z

    def backward(self, delta, z):
        first, second, third = np.split(delta, 3, axis=1)
        return first + 2 * z * second + 3 * z**2 * third


class Cubic(Layer):
    """c_0 + c_1 z + c_2 z^2 + c_3 z^3, entry by entry."""

    parameter_names = ("c",)

    def __init__(self):
        self.c = np.array([0.3, -1.2, 0.8, 0.4])

    def forward(self, z):
        c = self.c
        return c[0] + z * (c[1] + z * (c[2] + z * c[3])), z

    def backward(self, delta, z):
        c = self.c
        return delta * (c[1] + z * (2 * c[2] + z * 3 * c[3]))

    def parameter_gradients(self, delta, z):
        return {"c": np.array([(delta * z**k).sum() for k in range(4)])}


class RadialBasis(Layer):
    """e^{-(z - c_k)^2 / 2} for a column z and K centres."""

    parameter_names = ("c",)

    def __init__(self, centres=4):
        self.c = np.linspace(-1.5, 1.5, centres)

    def forward(self, z):
        distance = z - self.c
        y = np.exp(-distance * distance / 2)
        return y, (distance, y)

    def backward(self, delta, cache):
        distance, y = cache
        return -(delta * distance * y).sum(axis=1, keepdims=True)

    def parameter_gradients(self, delta, cache):
        distance, y = cache
        return {"c": (delta * distance * y).sum(axis=0)}


# The softmax family.


def softmax(z):
    """Over the last axis."""
    e = np.exp(z - z.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


class WarmSoftmax(Layer):
    """softmax(z / temperature)."""

    def __init__(self, temperature=2.5):
        self.temperature = temperature

    def forward(self, z):
        p = softmax(z / self.temperature)
        return p, p

    def backward(self, delta, p):
        return p * (delta - (p * delta).sum(axis=-1, keepdims=True)) / self.temperature


class LogProbabilities(Layer):
    """z - log sum e^z over the last axis."""

    def forward(self, z):
        shifted = z - z.real.max(axis=-1, keepdims=True)
        y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return y, y

    def backward(self, delta, y):
        return delta - np.exp(y) * delta.sum(axis=-1, keepdims=True)


class LogSumExp(Layer):
    """log sum e^z over the features: one number for each row."""

    def forward(self, z):
        top = z.real.max(axis=1, keepdims=True)
        y = top + np.log(np.exp(z - top).sum(axis=1, keepdims=True))
        return y, (z, y)

    def backward(self, delta, cache):
        z, y = cache
        return delta * np.exp(z - y)


# Normalisations.


class LayerNorm(Layer):
    """Each row centred and scaled to variance 1, then gamma y + beta."""

    parameter_names = ("gamma", "beta")
    eps = 1e-5

    def __init__(self, features=4):
        rng = np.random.default_rng(19)
        self.gamma = rng.uniform(0.5, 2.0, features)
        self.beta = rng.normal(size=features)

    def forward(self, z):
        centred = z - z.mean(axis=1, keepdims=True)
        s = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + self.eps)
        y = centred / s
        return self.gamma * y + self.beta, (y, s)

    def backward(self, delta, cache):
        y, s = cache
        g = delta * self.gamma
        return (g - g.mean(axis=1, keepdims=True) - y * (g * y).mean(axis=1, keepdims=True)) / s

    def parameter_gradients(self, delta, cache):
        y, _ = cache
        return {"gamma": (delta * y).sum(axis=0), "beta": delta.sum(axis=0)}


class RMSNorm(Layer):
    """Each row divided by its root mean square, times gamma."""

    parameter_names = ("gamma",)

    def __init__(self, features=4):
        self.gamma = np.random.default_rng(20).uniform(0.5, 2.0, features)

    def forward(self, z):
        s = np.sqrt((z * z).mean(axis=1, keepdims=True) + 1e-6)
        return self.gamma * z / s, (z, s)

    def backward(self, delta, cache):
        z, s = cache
        g = delta * self.gamma
        return g / s - z * (g * z).mean(axis=1, keepdims=True) / s**3

    def parameter_gradients(self, delta, cache):
        z, s = cache
        return {"gamma": (delta * z / s).sum(axis=0)}


class BatchNorm(Layer):
    """Each feature centred and scaled over the batch, then gamma y + beta."""

    parameter_names = ("gamma", "beta")
    rows_independent = False

    def __init__(self, features=3):
        rng = np.random.default_rng(21)
        self.gamma = rng.uniform(0.5, 2.0, features)
        self.beta = rng.normal(size=features)

    def forward(self, z):
        centred = z - z.mean(axis=0)
        s = np.sqrt((centred * centred).mean(axis=0) + 1e-5)
        y = centred / s
        return self.gamma * y + self.beta, (y, s)

    def backward(self, delta, cache):
        y, s = cache
        g = delta * self.gamma
        return (g - g.mean(axis=0) - y * (g * y).mean(axis=0)) / s

    def parameter_gradients(self, delta, cache):
        y, _ = cache
        return {"gamma": (delta * y).sum(axis=0), "beta": delta.sum(axis=0)}


class L2Normalise(Layer):
    """Each row divided by its Euclidean norm."""

    def forward(self, z):
        norm = np.sqrt((z * z).sum(axis=1, keepdims=True) + 1e-12)
        y = z / norm
        return y, (y, norm)

    def backward(self, delta, cache):
        y, norm = cache
        return (delta - y * (y * delta).sum(axis=1, keepdims=True)) / norm


class Centre(Layer):
    """z minus the mean of its row."""

    def forward(self, z):
        return z - z.mean(axis=1, keepdims=True), None

    def backward(self, delta, cache):
        return delta - delta.mean(axis=1, keepdims=True)


# Selections, orders, windows.


class RowMax(Layer):
    """The largest feature of each row."""

    def forward(self, z):
        index = z.real.argmax(axis=1)[:, None]
        return np.take_along_axis(z, index, axis=1), (z, index)

    def backward(self, delta, cache):
        z, index = cache
        dz = np.zeros(z.shape, delta.dtype)
        np.put_along_axis(dz, index, delta, axis=1)
        return dz


class MaxPool(Layer):
    """The larger of each two neighbours."""

    def forward(self, z):
        pairs = z.reshape(len(z), z.shape[1] // 2, 2)
        first = pairs[..., 0].real >= pairs[..., 1].real
        return np.where(first, pairs[..., 0], pairs[..., 1]), (pairs, first)

    def backward(self, delta, cache):
        pairs, first = cache
        dz = np.stack([delta * first, delta * ~first], axis=-1)
        return dz.reshape(len(pairs), 2 * pairs.shape[1])


class Maxout(Layer):
    """The larger of the two halves of the features."""

    def forward(self, z):
        a, b = np.split(z, 2, axis=1)
        return np.where(a.real >= b.real, a, b), (a, b)

    def backward(self, delta, cache):
        a, b = cache
        return np.concatenate([delta * (a.real >= b.real), delta * (a.real < b.real)], axis=1)


class Sort(Layer):
    """Each row in ascending order."""

    def forward(self, z):
        order = np.argsort(z.real, axis=1, kind="stable")
        return np.take_along_axis(z, order, axis=1), order

    def backward(self, delta, order):
        return np.take_along_axis(delta, np.argsort(order, axis=1), axis=1)


class Cumsum(Layer):
    """Sums of the features so far."""

    def forward(self, z):
        return np.cumsum(z, axis=1), None

    def backward(self, delta, cache):
        return np.cumsum(delta[:, ::-1], axis=1)[:, ::-1]


class Increments(Layer):
    """Differences of neighbouring features."""

    def forward(self, z):
        return z[:, 1:] - z[:, :-1], z.shape

    def backward(self, delta, shape):
        dz = np.zeros(shape, delta.dtype)
        dz[:, 1:] += delta
        dz[:, :-1] -= delta
        return dz


class Conv1d(Layer):
    """Correlation of each row with a kernel of three, the row padded with a 0 at both ends; plus a bias."""

    parameter_names = ("kernel", "bias")

    def __init__(self):
        self.kernel, self.bias = np.array([0.7, -0.4, 1.1]), np.array(0.2)

    def forward(self, z):
        padded = np.pad(z, ((0, 0), (1, 1)))
        n = z.shape[1]
        return sum(self.kernel[k] * padded[:, k : k + n] for k in range(3)) + self.bias, padded

    def backward(self, delta, padded):
        d = np.pad(delta, ((0, 0), (1, 1)))
        n = delta.shape[1]
        return sum(self.kernel[2 - k] * d[:, k : k + n] for k in range(3))

    def parameter_gradients(self, delta, padded):
        n = delta.shape[1]
        kernel = np.array([(delta * padded[:, k : k + n]).sum() for k in range(3)])
        return {"kernel": kernel, "bias": np.array(delta.sum())}


class Product(Layer):
    """The product of the features of each row."""

    def forward(self, z):
        return z.prod(axis=1, keepdims=True), z

    def backward(self, delta, z):
        others = [np.delete(z, i, axis=1).prod(axis=1) for i in range(z.shape[1])]
        return delta * np.stack(others, axis=1)


class FixedDropout(Layer):
    """Some features 0, always the same ones, the others divided by 1 - p."""

    def __init__(self, p=0.4):
        self.p = p
        self.mask = np.array([True, False, True, True, False])

    def forward(self, z):
        return z * self.mask / (1 - self.p), None

    def backward(self, delta, cache):
        return delta * self.mask / (1 - self.p)


class Repeat(Layer):
    """(N, D) twice along a new axis: z and -2 z, (N, 2, D)."""

    def forward(self, z):
        return np.stack([z, -2 * z], axis=1), None

    def backward(self, delta, cache):
        return delta[:, 0] - 2 * delta[:, 1]


# Gates and attention.


class Glu(Layer):
    """a sigmoid(b) for z = (a, b) side by side."""

    def forward(self, z):
        a, b = np.split(z, 2, axis=1)
        s = sigmoid(b)
        return a * s, (a, s)

    def backward(self, delta, cache):
        a, s = cache
        return np.concatenate([delta * s, delta * a * s * (1 - s)], axis=1)


class GatedDense(Layer):
    """(z W) sigmoid(z V)."""

    parameter_names = ("w", "v")

    def __init__(self, inputs=3, outputs=2):
        rng = np.random.default_rng(22)
        self.w, self.v = rng.normal(size=(2, inputs, outputs))

    def forward(self, z):
        a, s = z @ self.w, sigmoid(z @ self.v)
        return a * s, (z, a, s)

    def backward(self, delta, cache):
        _, a, s = cache
        return (delta * s) @ self.w.T + (delta * a * s * (1 - s)) @ self.v.T

    def parameter_gradients(self, delta, cache):
        z, a, s = cache
        return {"w": z.T @ (delta * s), "v": z.T @ (delta * a * s * (1 - s))}


class Attention(Layer):
    """softmax(Q K^T / sqrt(D)) V with Q = z Wq, K = z Wk, V = z Wv, for z (N, T, D)."""

    parameter_names = ("wq", "wk", "wv")
    causal = False

    def __init__(self, size=2):
        rng = np.random.default_rng(23)
        self.wq, self.wk, self.wv = rng.normal(size=(3, size, size))
        self.scale = 1 / math.sqrt(size)

    def forward(self, z):
        q, k, v = z @ self.wq, z @ self.wk, z @ self.wv
        scores = self.scale * q @ k.swapaxes(1, 2)
        if self.causal:
            scores = np.where(np.tri(z.shape[1], dtype=bool), scores, -1e9)
        p = softmax(scores)
        return p @ v, (z, q, k, v, p)

    def deltas(self, delta, cache):
        """Those of q, k and v."""
        _, q, k, v, p = cache
        dp = delta @ v.swapaxes(1, 2)
        ds = self.scale * p * (dp - (p * dp).sum(axis=-1, keepdims=True))
        return ds @ k, ds.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ delta

    def backward(self, delta, cache):
        dq, dk, dv = self.deltas(delta, cache)
        return dq @ self.wq.T + dk @ self.wk.T + dv @ self.wv.T

    def parameter_gradients(self, delta, cache):
        z = cache[0]
        names = ("wq", "wk", "wv")
        return {w: (z.swapaxes(1, 2) @ d).sum(axis=0) for w, d in zip(names, self.deltas(delta, cache), strict=True)}


class CausalAttention(Attention):
    """Attention to the past alone."""

    causal = True


class Mlp(Layer):
    """tanh(z W + b) V, in one layer."""

    parameter_names = ("w", "b", "v")

    def __init__(self, inputs=3, hidden=4, outputs=2):
        rng = np.random.default_rng(24)
        self.w = rng.normal(size=(inputs, hidden))
        self.b = rng.normal(size=hidden)
        self.v = rng.normal(size=(hidden, outputs))

    def forward(self, z):
        h = np.tanh(z @ self.w + self.b)
        return h @ self.v, (z, h)

    def backward(self, delta, cache):
        _, h = cache
        return ((delta @ self.v.T) * (1 - h * h)) @ self.w.T

    def parameter_gradients(self, delta, cache):
        z, h = cache
        inner = (delta @ self.v.T) * (1 - h * h)
        return {"w": z.T @ inner, "b": inner.sum(axis=0), "v": h.T @ delta}


# Losses.


class Loss(Layer):
    """A number from z and a target."""

    rows_independent = False


class MeanSquares(Loss):
    """The mean of (z - t)^2 over all entries."""

    def forward(self, z, target):
        r = z - np.asarray(target, z.dtype)
        return (r * r).mean(), r

    def backward(self, delta, r):
        return delta * 2 * r / r.size


class Huber(Loss):
    """r^2 / 2 within a threshold t, t (|r| - t / 2) beyond; summed over the features, averaged over the batch."""

    complex_safe = False
    t = 1.2

    def forward(self, z, target):
        r = z - np.asarray(target, z.dtype)
        terms = np.where(np.abs(r) <= self.t, r * r / 2, self.t * (np.abs(r) - self.t / 2))
        return terms.sum() / len(z), r

    def backward(self, delta, r):
        return delta * np.clip(r, -self.t, self.t) / len(r)


class CrossEntropy(Loss):
    """Minus the mean log softmax of the logits at the labels."""

    def forward(self, z, labels):
        shifted = z - z.real.max(axis=1, keepdims=True)
        log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return -log_p[np.arange(len(z)), labels].mean(), (log_p, labels)

    def backward(self, delta, cache):
        log_p, labels = cache
        p = np.exp(log_p)
        p[np.arange(len(p)), labels] -= 1
        return delta * p / len(p)


class Hinge(Loss):
    """The sum of max(0, 1 - t z), t = -1 or +1."""

    complex_safe = False

    def forward(self, z, target):
        t = np.asarray(target, z.dtype)
        margin = 1 - t * z
        return np.maximum(margin, 0).sum(), (margin, t)

    def backward(self, delta, cache):
        margin, t = cache
        return -delta * t * (margin > 0)


class SquaredHinge(Hinge):
    """The sum of max(0, 1 - t z)^2, t = -1 or +1."""

    def forward(self, z, target):
        t = np.asarray(target, z.dtype)
        slack = np.maximum(1 - t * z, 0)
        return (slack * slack).sum(), (slack, t)

    def backward(self, delta, cache):
        slack, t = cache
        return -2 * delta * t * slack


class KullbackLeibler(Loss):
    """sum p (log p - log softmax z) over all entries, p the target."""

    def forward(self, z, target):
        p = np.asarray(target, z.dtype)
        shifted = z - z.real.max(axis=1, keepdims=True)
        log_q = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return (p * (np.log(np.where(p == 0, 1, p)) - log_q)).sum(), (p, log_q)

    def backward(self, delta, cache):
        p, log_q = cache
        return delta * (np.exp(log_q) - p)


class PoissonLoss(Loss):
    """The mean of e^z - t z, t counts."""

    def forward(self, z, target):
        t = np.asarray(target, z.dtype)
        rate = np.exp(z)
        return (rate - t * z).mean(), (rate, t)

    def backward(self, delta, cache):
        rate, t = cache
        return delta * (rate - t) / t.size


class LogCosh(Loss):
    """The sum of log cosh(z - t)."""

    def forward(self, z, target):
        r = z - np.asarray(target, z.dtype)
        a = np.where(r.real > 0, r, -r)
        return (a + np.log1p(np.expm1(-2 * a) / 2)).sum(), r

    def backward(self, delta, r):
        return delta * np.tanh(r)


# Containers.


class Residual(Container):
    """z + inner(z)."""

    def __init__(self, inner):
        self.inner = inner

    def children(self):
        return [("inner", self.inner)]

    def forward(self, z):
        y, cache = self.inner.forward(z)
        return z + y, cache

    def backward(self, delta, cache):
        return delta + self.inner.backward(delta, cache)

    def parameter_gradients(self, delta, cache):
        return self.gather([self.inner.parameter_gradients(delta, cache)])


class Times(Container):
    """left(z) * right(z)."""

    def __init__(self, left, right):
        self.left, self.right = left, right

    def children(self):
        return [("left", self.left), ("right", self.right)]

    def forward(self, z):
        a, left = self.left.forward(z)
        b, right = self.right.forward(z)
        return a * b, (a, left, b, right)

    def backward(self, delta, cache):
        a, left, b, right = cache
        return self.left.backward(delta * b, left) + self.right.backward(delta * a, right)

    def parameter_gradients(self, delta, cache):
        a, left, b, right = cache
        return self.gather(
            [self.left.parameter_gradients(delta * b, left), self.right.parameter_gradients(delta * a, right)]
        )


class SideBySide(Container):
    """left(z) and right(z), concatenated."""

    def __init__(self, left, right):
        self.left, self.right = left, right

    def children(self):
        return [("left", self.left), ("right", self.right)]

    def forward(self, z):
        a, left = self.left.forward(z)
        b, right = self.right.forward(z)
        return np.concatenate([a, b], axis=1), (a.shape[1], left, right)

    def backward(self, delta, cache):
        k, left, right = cache
        return self.left.backward(delta[:, :k], left) + self.right.backward(delta[:, k:], right)

    def parameter_gradients(self, delta, cache):
        k, left, right = cache
        return self.gather(
            [self.left.parameter_gradients(delta[:, :k], left), self.right.parameter_gradients(delta[:, k:], right)]
        )


def residual(kind=Residual):
    """A residual layer of one linear layer."""
    return kind(Linear(3, 3, rng=3))


def pair(kind=Times, second=2):
    """A container of two linear layers."""
    return kind(Linear(3, 2, rng=4), Linear(3, second, rng=5))


class Perceptron(Sequential):
    """A stack with one hidden layer."""

    def __init__(self):
        super().__init__(Linear(3, 4, rng=9), Tanh(), Linear(4, 2, rng=10))


def classifier():
    """A stack with a loss on top."""
    return Sequential(Linear(3, 4, rng=6), Tanh(), Linear(4, 3, rng=7), LogSoftmax(), NLLLoss())


RIGHT: list[tuple[Callable[[], Layer], Sample]] = [
    *((kind, rows(5, 3)) for kind in (Swish, BetaSwish, Gelu, Elu, Softplus, LeakyReLU, HardTanh, Softsign)),
    *((kind, rows(5, 3)) for kind in (Softshrink, Sine, Snake, Gaussian, Decay, Asinh, Softclip, PReLU)),
    *((kind, rows(5, 3)) for kind in (Offset, ScaleShift, ScalarAffine, Dense, ScaledDense, QuadraticForm)),
    *((kind, rows(5, 3)) for kind in (WeightNorm, ExpScale, lambda: MaskedLinear(3, 3, rng=8), Perceptron)),
    *((kind, rows(4, 3)) for kind in (Powers, Cubic, WarmSoftmax, LogProbabilities, LogSumExp, BatchNorm)),
    *((kind, rows(5, 4)) for kind in (Bilinear, LayerNorm, RMSNorm, L2Normalise, Centre, RowMax, MaxPool)),
    *((kind, rows(5, 4)) for kind in (Maxout, Sort, Cumsum, Increments, Product, Glu)),
    *((kind, rows(4, 5)) for kind in (Conv1d, FixedDropout)),
    *((kind, rows(3, 4, 2)) for kind in (Attention, CausalAttention)),
    *((kind, rows(5, 3)) for kind in (Repeat, GatedDense, Mlp, residual, pair)),
    *((kind, with_values(5, 2)) for kind in (MeanSquares, Huber, LogCosh)),
    *((kind, with_labels(5, 3)) for kind in (CrossEntropy, classifier)),
    *((kind, with_signs(6, 2)) for kind in (Hinge, SquaredHinge)),
    (RadialBasis, rows(5, 1)),
    (KullbackLeibler, with_probabilities(4, 3)),
    (PoissonLoss, with_counts(5, 2)),
    (lambda: pair(SideBySide, 3), rows(5, 3)),
]
