"""Right layers: one function with kinks or jumps for every entry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad import Elementwise, Layer
from minigrad.checks import require_delta, require_floating
from minigrad.typing import Array
from right.smooth import OfInput, Right, anything, draw, small_shape


class HardTanh(OfInput):
    """min(max(z, -1), 1); derivative 1 for |z| < 1, else 0."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return np.clip(z, -1, 1)

    def df(self, z: Array) -> Array:
        return np.abs(z) < 1


class HardSigmoid(OfInput):
    """min(max(z / 6 + 1/2, 0), 1); derivative 1/6 for |z| < 3, else 0."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return np.clip(z / 6 + 0.5, 0, 1)

    def df(self, z: Array) -> Array:
        return np.where(np.abs(z) < 3, np.ones_like(z) / 6, 0)


class HardSwish(OfInput):
    """z min(max(z + 3, 0), 6) / 6; derivative 0, (2 z + 3) / 6 or 1."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return z * np.clip(z + 3, 0, 6) / 6

    def df(self, z: Array) -> Array:
        return np.where(z <= -3, 0, np.where(z >= 3, 1, (2 * z + 3) / 6))


class LeakyReLU(OfInput):
    """z for z > 0, else a z; derivative 1 or a, by the sign of the real part."""

    def __init__(self, a: float) -> None:
        self.a = a

    def f(self, z: Array) -> Array:
        return np.where(z.real > 0, z, self.a * z)

    def df(self, z: Array) -> Array:
        return np.where(z.real > 0, 1, self.a).astype(z.real.dtype)


class ReLU6(Layer):
    """min(max(z, 0), 6); the mask 0 < z < 6 is all that rule 2 needs."""

    complex_safe = False

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return np.minimum(np.maximum(z, 0), 6), (z > 0) & (z < 6)

    def backward(self, delta: Array, inside: Array) -> Array:
        require_delta(self, delta, inside.shape)
        return np.where(inside, delta, 0)


class Threshold(OfInput):
    """z where z > t, else a constant: a jump at t; derivative 1 or 0."""

    complex_safe = False

    def __init__(self, t: float, value: float) -> None:
        self.t, self.value = t, value

    def f(self, z: Array) -> Array:
        return np.where(z > self.t, z, self.value)

    def df(self, z: Array) -> Array:
        return z > self.t


class Softshrink(OfInput):
    """sign(z) max(|z| - t, 0); derivative 1 for |z| > t, else 0."""

    complex_safe = False

    def __init__(self, t: float) -> None:
        self.t = t

    def f(self, z: Array) -> Array:
        return np.sign(z) * np.maximum(np.abs(z) - self.t, 0)

    def df(self, z: Array) -> Array:
        return np.abs(z) > self.t


class Hardshrink(Layer):
    """z where |z| > t, else 0: jumps at -t and t."""

    complex_safe = False

    def __init__(self, t: float) -> None:
        self.t = t

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        kept = np.abs(z) > self.t
        return z * kept, kept

    def backward(self, delta: Array, kept: Array) -> Array:
        return delta * kept


class Abs(OfInput):
    """|z|; derivative sign(z), which is 0 at 0."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return np.abs(z)

    def df(self, z: Array) -> Array:
        return np.sign(z)


class Log1pAbs(OfInput):
    """log(1 + |z|); derivative sign(z) / (1 + |z|), 0 at 0."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return np.log1p(np.abs(z))

    def df(self, z: Array) -> Array:
        return np.sign(z) / (1 + np.abs(z))


class Constant(Layer):
    """A function of slope 0 wherever it has one; the cache is the shape alone."""

    complex_safe = False

    def __init__(self, function: Callable[[Array], Array], name: str) -> None:
        self.function, self.name = function, name

    def forward(self, z: Array) -> tuple[Array, tuple[int, ...]]:
        require_floating(self, z)
        return self.function(z), z.shape

    def backward(self, delta: Array, shape: tuple[int, ...]) -> Array:
        require_delta(self, delta, shape)
        return np.zeros_like(delta)

    def __repr__(self) -> str:
        return f"Constant({self.name})"


def heaviside(z: Array) -> Array:
    """1 where z >= 0, else 0."""
    return (z >= 0).astype(z.dtype)


def stairs(z: Array) -> Array:
    """z rounded to quarters."""
    return np.rint(4 * z) / 4


class Clip(Layer):
    """min(max(z, low), high); delta passes where low <= z <= high."""

    complex_safe = False

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return np.clip(z, self.low, self.high), (z >= self.low) & (z <= self.high)

    def backward(self, delta: Array, inside: Array) -> Array:
        return delta * inside


class Sawtooth(Layer):
    """z - floor(z), of slope 1 between its jumps; rule 2 hands delta on."""

    complex_safe = False

    def forward(self, z: Array) -> tuple[Array, None]:
        require_floating(self, z)
        return z - np.floor(z), None

    def backward(self, delta: Array, cache: None) -> Array:
        return delta


class TriangleWave(OfInput):
    """The distance of z to the nearest even integer; derivative 1 on the way up, -1 on the way down."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return np.abs(z - 2 * np.rint(z / 2))

    def df(self, z: Array) -> Array:
        return np.sign(z - 2 * np.rint(z / 2))


class LogitOfClipped(OfInput):
    """log(p / (1 - p)), p = z clipped to [e, 1 - e]; derivative 1 / (p (1 - p)) inside, else 0."""

    complex_safe = False

    def __init__(self, e: float) -> None:
        self.e = e

    def f(self, z: Array) -> Array:
        p = np.clip(z, self.e, 1 - self.e)
        return np.log(p) - np.log1p(-p)

    def df(self, z: Array) -> Array:
        p = np.clip(z, self.e, 1 - self.e)
        return ((z > self.e) & (z < 1 - self.e)) / (p * (1 - p))


class SquaredReLU(Elementwise):
    """y = max(z, 0)^2; derivative 2 sqrt(y)."""

    complex_safe = False

    def f(self, z: Array) -> Array:
        return np.maximum(z, 0) ** 2

    def df(self, y: Array) -> Array:
        return 2 * np.sqrt(y)


def around_unit(rng: np.random.Generator, size: float) -> tuple[Array]:
    """(z,) half of the given size, half between 0 and 1."""
    z = draw(rng, size, small_shape(rng))
    return (np.where(rng.random(z.shape) < 0.5, z, rng.random(z.shape)),)


RIGHT: list[Right] = [
    Right("hardtanh", lambda rng: HardTanh(), anything),
    Right("hardsigmoid", lambda rng: HardSigmoid(), anything),
    Right("hardswish", lambda rng: HardSwish(), anything),
    Right("leaky relu", lambda rng: LeakyReLU(0.01), anything),
    Right("relu6", lambda rng: ReLU6(), anything),
    Right("threshold", lambda rng: Threshold(0.5, -2.0), anything),
    Right("softshrink", lambda rng: Softshrink(0.5), anything),
    Right("hardshrink", lambda rng: Hardshrink(0.5), anything),
    Right("abs", lambda rng: Abs(), anything),
    Right("log1p of abs", lambda rng: Log1pAbs(), anything),
    Right("floor", lambda rng: Constant(np.floor, "floor"), anything),
    Right("round", lambda rng: Constant(stairs, "round"), anything),
    Right("sign", lambda rng: Constant(np.sign, "sign"), anything),
    Right("heaviside", lambda rng: Constant(heaviside, "heaviside"), anything),
    Right("clip", lambda rng: Clip(-0.5, 2.0), anything),
    Right("sawtooth", lambda rng: Sawtooth(), anything),
    Right("triangle wave", lambda rng: TriangleWave(), anything),
    Right("logit of clipped", lambda rng: LogitOfClipped(0.01), around_unit),
    Right("squared relu", lambda rng: SquaredReLU(), anything),
]
