"""Right layers: one smooth function for every entry.  What the other files draw from is here too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad import Elementwise, Layer
from minigrad.checks import require_delta, require_floating
from minigrad.kernels import log_sigmoid, sigmoid
from minigrad.typing import Array


class Right(NamedTuple):
    """One right layer: how it is made, and what it is fed."""

    name: str
    make: Callable[[np.random.Generator], Layer]
    sample: Callable[[np.random.Generator, float], tuple[Any, ...]]


def draw(rng: np.random.Generator, size: float, shape: tuple[int, ...]) -> Array:
    """Numbers of the given size; at random some are zero, tied or integers, or all are negative."""
    z = rng.normal(size=shape) * size
    negative, tied, whole, zero = rng.random(4) < 0.25
    if negative:
        z = -np.abs(z)
    if tied and z.size:
        z[rng.random(shape) < 0.4] = z.flat[rng.integers(z.size)]
    if whole:
        z = np.where(rng.random(shape) < 0.5, np.rint(z), z)
    if zero:
        z[rng.random(shape) < 0.3] = 0.0
    return z


def small_shape(rng: np.random.Generator) -> tuple[int, ...]:
    """(batch, features), at times with an axis between them."""
    n, t, d = (int(k) for k in rng.integers(1, [6, 4, 5]))
    return (n, t, d) if rng.random() < 0.25 else (n, d)


def anything(rng: np.random.Generator, size: float) -> tuple[Array]:
    """(z,) of any small shape and of the given size."""
    return (draw(rng, size, small_shape(rng)),)


def up_to(limit: float) -> Callable[[np.random.Generator, float], tuple[Array]]:
    """As `anything`, but of size `limit` at most, for functions that would overflow."""
    return lambda rng, size: (draw(rng, min(size, limit), small_shape(rng)),)


def positive(rng: np.random.Generator, size: float) -> tuple[Array]:
    """(z,) of positive numbers, none nearer to 0 than a tenth of the size."""
    z = draw(rng, size, small_shape(rng))
    return (np.abs(z) + 0.1 * size,)


class OfInput(Elementwise):
    """z_next = f(z), with a derivative that is a function of z."""

    keeps = "input"


def real_sign(z: Array) -> Array:
    """-1 where the real part is negative, else 1, of the real type of z: sign * z is |z|, and analytic."""
    return np.where(z.real < 0, -1, 1).astype(z.real.dtype)


def rows_of(features: int, limit: float = np.inf) -> Callable[[np.random.Generator, float], tuple[Array]]:
    """(z,) of shape (batch, features)."""
    return lambda rng, size: (draw(rng, min(size, limit), (int(rng.integers(1, 6)), features)),)


def matrix(rng: np.random.Generator, size: float) -> tuple[Array]:
    """(z,) of two axes."""
    n, d = (int(k) for k in rng.integers(1, 6, 2))
    return (draw(rng, size, (n, d)),)


def features_at_least(k: int, odd: bool = False) -> Callable[[np.random.Generator, float], tuple[Array]]:
    """(z,) with k features or more."""
    return lambda rng, size: (
        draw(rng, size, (*small_shape(rng)[:-1], k + (2 if odd else 1) * int(rng.integers(0, 3)))),
    )


def positive_rows(features: int) -> Callable[[np.random.Generator, float], tuple[Array]]:
    """(z,) of positive numbers, none nearer to 0 than a tenth of the size."""
    return lambda rng, size: (np.abs(rows_of(features)(rng, size)[0]) + 0.1 * size,)


def halves(rng: np.random.Generator, size: float) -> tuple[Array]:
    """(z,) of an even number of features."""
    return (draw(rng, size, (int(rng.integers(1, 6)), 2 * int(rng.integers(1, 4)))),)


def times(rng: np.random.Generator, size: float) -> tuple[Array]:
    """(z,) of shape (batch, time, features)."""
    n, t, d = (int(k) for k in rng.integers(1, 4, 3))
    return (draw(rng, size, (n, t, d)),)


def shaped(*shape: int) -> Callable[[np.random.Generator, float], tuple[Array]]:
    """(z,) of shape (batch, *shape)."""
    return lambda rng, size: (draw(rng, size, (int(rng.integers(1, 4)), *shape)),)


def normal(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[Array]:
    """Standard normal arrays."""
    return [rng.normal(size=shape) for shape in shapes]


def seed(rng: np.random.Generator) -> int:
    """A seed for the generator that a layer holds."""
    return int(rng.integers(2**31))


class Swish(OfInput):
    """z s, s = sigmoid(z); derivative s (1 + z sigmoid(-z))."""

    def f(self, z: Array) -> Array:
        return z * sigmoid(z)

    def df(self, z: Array) -> Array:
        return sigmoid(z) * (1 + z * sigmoid(-z))


class SwishBeta(Layer):
    """z sigmoid(b z) with one trained b; db = sum delta z^2 s (1 - s)."""

    parameter_names = ("b",)

    def __init__(self, b: float) -> None:
        self.b = np.array(b)

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        s = sigmoid(self.b * z)
        return z * s, (z, s)

    def backward(self, delta: Array, cache: Any) -> Array:
        z, s = cache
        return delta * (s + self.b * z * s * sigmoid(-self.b * z))

    def parameter_gradients(self, delta: Array, cache: Any) -> dict[str, Array]:
        z, s = cache
        return {"b": np.sum(delta * z * z * s * sigmoid(-self.b * z))}


class GELU(OfInput):
    """z P(z), P(z) = erfc(-z / sqrt 2) / 2; derivative P(z) + z e^(-z^2 / 2) / sqrt(2 pi)."""

    complex_safe = False
    _erfc = staticmethod(np.vectorize(math.erfc, otypes=[float]))

    def probability(self, z: Array) -> Array:
        """P(z) of the normal distribution, in the type of z."""
        return (0.5 * self._erfc(-z / math.sqrt(2))).astype(z.dtype)

    def f(self, z: Array) -> Array:
        return z * self.probability(z)

    def df(self, z: Array) -> Array:
        return self.probability(z) + z * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


class GELUTanh(OfInput):
    """z (1 + tanh u) / 2 = z sigmoid(2 u), u = sqrt(2 / pi) (z + 0.044715 z^3)."""

    def doubled(self, z: Array) -> tuple[Array, Array]:
        """2 u and its derivative."""
        c, a = 2 * math.sqrt(2 / math.pi), 0.044715
        return c * (z + a * z * z * z), c * (1 + 3 * a * z * z)

    def f(self, z: Array) -> Array:
        return z * sigmoid(self.doubled(z)[0])

    def df(self, z: Array) -> Array:
        u, du = self.doubled(z)
        s = sigmoid(u)
        return s + z * s * sigmoid(-u) * du


class ELU(OfInput):
    """z for z > 0, else a (e^z - 1); derivative 1 or a e^z."""

    def __init__(self, a: float = 1.0) -> None:
        self.a = a

    def f(self, z: Array) -> Array:
        return np.where(z.real > 0, z, self.a * np.expm1(np.where(z.real > 0, 0, z)))

    def df(self, z: Array) -> Array:
        return np.where(z.real > 0, 1, self.a * np.exp(np.where(z.real > 0, 0, z)))


class SELU(Layer):
    """s z for z > 0, else s a (e^z - 1); derivative s for z > 0, else y + s a."""

    scale, a = 1.0507009873554805, 1.6732632423543772

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        upper = z.real > 0
        y = self.scale * np.where(upper, z, self.a * np.expm1(np.where(upper, 0, z)))
        return y, {"upper": upper, "y": y}

    def backward(self, delta: Array, cache: Any) -> Array:
        return delta * np.where(cache["upper"], self.scale, cache["y"] + self.scale * self.a)


class CELU(OfInput):
    """max(z, 0) + min(0, a (e^(z / a) - 1)); derivative 1 or e^(z / a)."""

    complex_safe = False

    def __init__(self, a: float) -> None:
        self.a = a

    def f(self, z: Array) -> Array:
        return np.maximum(z, 0) + self.a * np.expm1(np.minimum(z, 0) / self.a)

    def df(self, z: Array) -> Array:
        return np.exp(np.minimum(z, 0) / self.a)


class Softplus(OfInput):
    """log(1 + e^(b z)) / b; derivative sigmoid(b z)."""

    def __init__(self, b: float = 1.0) -> None:
        self.b = b

    def f(self, z: Array) -> Array:
        return -log_sigmoid(-self.b * z) / self.b

    def df(self, z: Array) -> Array:
        return sigmoid(self.b * z)


class Mish(OfInput):
    """z t, t = tanh(log(1 + e^z)) = (e^2z + 2 e^z) / (e^2z + 2 e^z + 2), written with w = e^-|z|."""

    def parts(self, z: Array) -> tuple[Array, Array]:
        """t and 1 - t^2."""
        upper = z.real > 0
        w = np.exp(np.where(upper, -z, z))
        t = np.where(upper, 1 + 2 * w, w * (w + 2)) / np.where(upper, 1 + 2 * w + 2 * w * w, w * (w + 2) + 2)
        root = 2 * (1 + w) * np.where(upper, w, 1) / ((1 + w) ** 2 + np.where(upper, w * w, 1))
        return t, root * root

    def f(self, z: Array) -> Array:
        return z * self.parts(z)[0]

    def df(self, z: Array) -> Array:
        t, rest = self.parts(z)
        return t + z * rest * sigmoid(z)


class Softsign(OfInput):
    """z / (1 + |z|); derivative 1 / (1 + |z|)^2, with |z| by the sign of the real part."""

    def f(self, z: Array) -> Array:
        return z / (1 + real_sign(z) * z)

    def df(self, z: Array) -> Array:
        return 1 / (1 + real_sign(z) * z) ** 2


class Tanhshrink(OfInput):
    """z - tanh z, near 0 as z k / (1 + k) with k = z^2 / (3 + z^2 / (5 + ...)); derivative tanh^2 z."""

    def f(self, z: Array) -> Array:
        near = np.abs(z.real) < 1
        small = np.where(near, z, 0)
        k = np.zeros_like(z)
        for odd in range(19, 1, -2):
            k = small * small / (odd + k)
        return np.where(near, small * k / (1 + k), z - np.tanh(z))

    def df(self, z: Array) -> Array:
        return np.tanh(z) ** 2


class Square(OfInput):
    """z^2; derivative 2 z."""

    def f(self, z: Array) -> Array:
        return z * z

    def df(self, z: Array) -> Array:
        return 2 * z


class Cube(OfInput):
    """z^3; derivative 3 z^2."""

    def f(self, z: Array) -> Array:
        return z**3

    def df(self, z: Array) -> Array:
        return 3 * z**2


class Exp(Elementwise):
    """e^z; its own derivative."""

    def f(self, z: Array) -> Array:
        return np.exp(z)

    def df(self, y: Array) -> Array:
        return y


class Log(OfInput):
    """log z for z > 0 (else ValueError); derivative 1 / z."""

    def f(self, z: Array) -> Array:
        if not (z.real > 0).all():
            raise ValueError(f"{self!r} expects positive numbers, got {z.real.min()}")
        return np.log(z)

    def df(self, z: Array) -> Array:
        return 1 / z


class Hyperbola(Layer):
    """y = sqrt(1 + z^2); derivative z / y."""

    def forward(self, z: Array) -> tuple[Array, tuple[Array, Array]]:
        require_floating(self, z)
        y = np.sqrt(1 + z * z)
        return y, (z, y)

    def backward(self, delta: Array, cache: tuple[Array, Array]) -> Array:
        z, y = cache
        require_delta(self, delta, z.shape)
        return delta * z / y


class Sin(OfInput):
    """sin z; derivative cos z."""

    def f(self, z: Array) -> Array:
        return np.sin(z)

    def df(self, z: Array) -> Array:
        return np.cos(z)


class Sinc(OfInput):
    """sin z / z, 1 at 0; derivative (cos z - sin z / z) / z, near 0 by its series -z/3 + z^3/30 - ..."""

    def f(self, z: Array) -> Array:
        safe = np.where(z == 0, 1, z)
        return np.where(z == 0, 1, np.sin(safe) / safe)

    def df(self, z: Array) -> Array:
        near = np.abs(z.real) < 1
        far, small = np.where(near, 2, z), np.where(near, z, 0)
        series, square = np.zeros_like(z), small * small
        for k in range(10, 0, -1):
            series = series * square + (-1) ** k * 2 * k / math.factorial(2 * k + 1)
        return np.where(near, small * series, (np.cos(far) - np.sin(far) / far) / far)


class Arctan(OfInput):
    """arctan z; derivative 1 / (1 + z^2)."""

    def f(self, z: Array) -> Array:
        return np.arctan(z)

    def df(self, z: Array) -> Array:
        return 1 / (1 + z * z)


class Witch(Elementwise):
    """y = 1 / (1 + z^2); derivative -2 z y^2."""

    keeps = "input"

    def f(self, z: Array) -> Array:
        return 1 / (1 + z * z)

    def df(self, z: Array) -> Array:
        return -2 * z / (1 + z * z) ** 2


class Bump(Layer):
    """y = e^(-z^2 / (2 s^2)) with a fixed width s; derivative -z y / s^2."""

    def __init__(self, s: float) -> None:
        self.s = s

    def forward(self, z: Array) -> tuple[Array, tuple[Array, Array]]:
        require_floating(self, z)
        y = np.exp(-0.5 * (z / self.s) ** 2)
        return y, (z, y)

    def backward(self, delta: Array, cache: tuple[Array, Array]) -> Array:
        z, y = cache
        require_delta(self, delta, y.shape)
        return -delta * z * y / self.s**2


class LogCosh(OfInput):
    """log cosh z = log1p(2 sinh^2(z / 2)), from |z| = 1 on as |z| - log 2 + log1p(e^(-2 |z|)); derivative tanh z."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        a = np.abs(z)
        near = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
        return np.where(a < 1, near, a - math.log(2) + np.log1p(np.exp(-2 * a)))

    def df(self, z: Array) -> Array:
        return np.tanh(z)


class Softclip(OfInput):
    """z / sqrt(1 + z^2 / c^2); derivative (1 + z^2 / c^2)^(-3/2)."""

    def __init__(self, c: float) -> None:
        self.c = c

    def f(self, z: Array) -> Array:
        return z / np.sqrt(1 + (z / self.c) ** 2)

    def df(self, z: Array) -> Array:
        return 1 / np.sqrt(1 + (z / self.c) ** 2) ** 3


class Arcsinh(OfInput):
    """arcsinh z; derivative 1 / sqrt(1 + z^2)."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return np.arcsinh(z)

    def df(self, z: Array) -> Array:
        return 1 / np.hypot(1, z)


RIGHT: list[Right] = [
    Right("swish", lambda rng: Swish(), anything),
    Right("swish, trained", lambda rng: SwishBeta(rng.normal()), anything),
    Right("gelu", lambda rng: GELU(), anything),
    Right("gelu by tanh", lambda rng: GELUTanh(), anything),
    Right("elu", lambda rng: ELU(0.7), anything),
    Right("selu", lambda rng: SELU(), anything),
    Right("celu", lambda rng: CELU(1.5), anything),
    Right("softplus", lambda rng: Softplus(), anything),
    Right("softplus, steep", lambda rng: Softplus(3.0), anything),
    Right("mish", lambda rng: Mish(), anything),
    Right("softsign", lambda rng: Softsign(), anything),
    Right("tanhshrink", lambda rng: Tanhshrink(), anything),
    Right("square", lambda rng: Square(), anything),
    Right("cube", lambda rng: Cube(), anything),
    Right("exp", lambda rng: Exp(), up_to(8.0)),
    Right("log", lambda rng: Log(), positive),
    Right("sqrt(1 + z^2)", lambda rng: Hyperbola(), anything),
    Right("sin", lambda rng: Sin(), anything),
    Right("sinc", lambda rng: Sinc(), anything),
    Right("arctan", lambda rng: Arctan(), anything),
    Right("1 / (1 + z^2)", lambda rng: Witch(), anything),
    Right("bump", lambda rng: Bump(0.8), anything),
    Right("log cosh", lambda rng: LogCosh(), anything),
    Right("softclip", lambda rng: Softclip(2.0), anything),
    Right("arcsinh", lambda rng: Arcsinh(), anything),
]
