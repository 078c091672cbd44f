"""The curves of NIST's nonlinear regressions as layers: y = f(x; b1, b2, ...) and its slopes, derived by hand."""

from __future__ import annotations

import numpy as np

from minigrad import Layer
from minigrad.typing import Array, Delta, Gradients


class Curve(Layer):
    """y (N, 1) = f(x; b1, ..., bp) of x (N, columns); `slopes` gives y, dy/dx of the shape of x, and every dy/db.

    dx  =  delta dy/dx,    db_j  =  sum_n delta_n dy_n/db_j
    """

    def __init__(self, b: Array) -> None:
        self.parameter_names = tuple(f"b{j}" for j in range(1, len(b) + 1))
        for name, value in zip(self.parameter_names, b, strict=True):
            setattr(self, name, np.array(value))

    def slopes(self, x: Array, *b: Array) -> tuple[Array, Array, list[Array]]:
        raise NotImplementedError

    def forward(self, z: Array) -> tuple[Array, tuple[Array, list[Array]]]:
        y, dx, db = self.slopes(z, *self.parameters().values())
        return y, (dx, db)

    def backward(self, delta: Delta, cache: tuple[Array, list[Array]]) -> Array:
        return delta * cache[0]

    def parameter_gradients(self, delta: Delta, cache: tuple[Array, list[Array]]) -> Gradients:
        return {name: (delta * slope).sum() for name, slope in zip(self.parameter_names, cache[1], strict=True)}


class Saturation(Curve):  # Misra1a, BoxBOD
    """b1 (1 - e^(-b2 x))."""

    def slopes(self, x, b1, b2):
        e, rise = np.exp(-b2 * x), -np.expm1(-b2 * x)
        return b1 * rise, b1 * b2 * e, [rise, b1 * x * e]


class Misra1b(Curve):
    """b1 (1 - (1 + b2 x / 2)^-2)."""

    def slopes(self, x, b1, b2):
        a = b2 * x / 2
        u = 1 + a
        rise = a * (1 + u) / u**2
        return b1 * rise, b1 * b2 / u**3, [rise, b1 * x / u**3]


class Misra1c(Curve):
    """b1 (1 - (1 + 2 b2 x)^(-1/2))."""

    def slopes(self, x, b1, b2):
        root = np.sqrt(1 + 2 * b2 * x)
        rise = 2 * b2 * x / (root * (root + 1))
        return b1 * rise, b1 * b2 / root**3, [rise, b1 * x / root**3]


class Misra1d(Curve):
    """b1 b2 x / (1 + b2 x)."""

    def slopes(self, x, b1, b2):
        u = 1 + b2 * x
        return b1 * b2 * x / u, b1 * b2 / u**2, [b2 * x / u, b1 * x / u**2]


class Chwirut(Curve):
    """e^(-b1 x) / (b2 + b3 x)."""

    def slopes(self, x, b1, b2, b3):
        u = b2 + b3 * x
        y = np.exp(-b1 * x) / u
        return y, -y * (b1 + b3 / u), [-x * y, -y / u, -x * y / u]


class DanWood(Curve):
    """b1 x^b2."""

    def slopes(self, x, b1, b2):
        power = x**b2
        return b1 * power, b1 * b2 * power / x, [power, b1 * power * np.log(x)]


class Lanczos(Curve):
    """b1 e^(-b2 x) + b3 e^(-b4 x) + b5 e^(-b6 x)."""

    def slopes(self, x, *b):
        e = [np.exp(-rate * x) for rate in b[1::2]]
        parts = [factor * power for factor, power in zip(b[::2], e, strict=True)]
        dx = -sum(rate * part for rate, part in zip(b[1::2], parts, strict=True))
        return sum(parts), dx, [slope for power, part in zip(e, parts, strict=True) for slope in (power, -x * part)]


class Gauss(Curve):
    """b1 e^(-b2 x) + b3 e^(-(x - b4)^2 / b5^2) + b6 e^(-(x - b7)^2 / b8^2)."""

    def slopes(self, x, b1, b2, *peaks):
        e = np.exp(-b2 * x)
        y, dx, db = b1 * e, -b1 * b2 * e, [e, -b1 * x * e]
        for height, centre, width in (peaks[:3], peaks[3:]):
            u = (x - centre) / width
            bell = np.exp(-u * u)
            slope = 2 * height * u * bell / width
            y, dx, db = y + height * bell, dx - slope, [*db, bell, slope, slope * u]
        return y, dx, db


class MGH17(Curve):
    """b1 + b2 e^(-b4 x) + b3 e^(-b5 x)."""

    def slopes(self, x, b1, b2, b3, b4, b5):
        e4, e5 = np.exp(-b4 * x), np.exp(-b5 * x)
        y = b1 + b2 * e4 + b3 * e5
        return y, -b2 * b4 * e4 - b3 * b5 * e5, [np.ones_like(y), e4, e5, -b2 * x * e4, -b3 * x * e5]


class Rational(Curve):
    """(b1 + b2 x + ... + b_m x^(m-1)) / (1 + b_(m+1) x + b_(m+2) x^2 + ...), m - 1 powers or as many below as above."""

    def slopes(self, x, *b):
        m = (len(b) + 1) // 2
        above, below = b[:m], (1.0, *b[m:])
        top, bottom = (sum(c * x**i for i, c in enumerate(part)) for part in (above, below))
        dtop, dbottom = (sum(i * c * x ** (i - 1) for i, c in enumerate(part) if i) for part in (above, below))
        y = top / bottom
        powers = [x**i / bottom for i in range(max(len(above), len(below)))]
        return y, (dtop - y * dbottom) / bottom, [*powers[:m], *(-y * power for power in powers[1 : len(below)])]


class Nelson(Curve):
    """b1 - b2 x1 e^(-b3 x2), of log y."""

    def slopes(self, x, b1, b2, b3):
        x1, x2 = x[:, :1], x[:, 1:]
        e = np.exp(-b3 * x2)
        y = b1 - b2 * x1 * e
        return y, np.hstack([-b2 * e, b2 * b3 * x1 * e]), [np.ones_like(y), -x1 * e, b2 * x1 * x2 * e]


class MGH09(Curve):
    """b1 (x^2 + b2 x) / (x^2 + b3 x + b4)."""

    def slopes(self, x, b1, b2, b3, b4):
        top, bottom = x * x + b2 * x, x * x + b3 * x + b4
        y = b1 * top / bottom
        return (
            y,
            (b1 * (2 * x + b2) - y * (2 * x + b3)) / bottom,
            [
                top / bottom,
                b1 * x / bottom,
                -y * x / bottom,
                -y / bottom,
            ],
        )


class MGH10(Curve):
    """b1 e^(b2 / (x + b3))."""

    def slopes(self, x, b1, b2, b3):
        u = x + b3
        e = np.exp(b2 / u)
        slope = -b1 * b2 * e / u**2
        return b1 * e, slope, [e, b1 * e / u, slope]


class ENSO(Curve):
    """b1 + b2 cos(2 pi x / 12) + b3 sin(2 pi x / 12) + b5 cos(2 pi x / b4) + b6 sin(..) + b8 cos(2 pi x / b7) + ..."""

    def slopes(self, x, b1, b2, b3, b4, b5, b6, b7, b8, b9):
        y, dx, db = b1 + 0 * x, 0 * x, [np.ones_like(x)]
        for period, cosine, sine in ((12.0, b2, b3), (b4, b5, b6), (b7, b8, b9)):
            turn = 2 * np.pi / period
            c, s = np.cos(turn * x), np.sin(turn * x)
            slope = turn * (sine * c - cosine * s)
            y, dx = y + cosine * c + sine * s, dx + slope
            db += [c, s] if period is not b4 and period is not b7 else [-slope * x / period, c, s]
        return y, dx, db


class Eckerle4(Curve):
    """(b1 / b2) e^(-((x - b3) / b2)^2 / 2)."""

    def slopes(self, x, b1, b2, b3):
        u = (x - b3) / b2
        bell = np.exp(-0.5 * u * u) / b2
        y = b1 * bell
        return y, -y * u / b2, [bell, y * (u * u - 1) / b2, y * u / b2]


class Rat42(Curve):
    """b1 / (1 + e^(b2 - b3 x))."""

    def slopes(self, x, b1, b2, b3):
        e = np.exp(b2 - b3 * x)
        p = 1 / (1 + e)
        slope = b1 * p * p * e
        return b1 * p, b3 * slope, [p, -slope, x * slope]


class Rat43(Curve):
    """b1 / (1 + e^(b2 - b3 x))^(1 / b4)."""

    def slopes(self, x, b1, b2, b3, b4):
        u = b2 - b3 * x
        m = np.maximum(u.real, 0)
        log_sum = m + np.log(np.exp(-m) + np.exp(u - m))  # log(1 + e^u)
        power = np.exp(-log_sum / b4)
        y = b1 * power
        slope = y * np.exp(u - log_sum) / b4
        return y, b3 * slope, [power, -slope, x * slope, y * log_sum / b4**2]


class Bennett5(Curve):
    """b1 (b2 + x)^(-1 / b3)."""

    def slopes(self, x, b1, b2, b3):
        u = b2 + x
        power = u ** (-1 / b3)
        slope = -b1 * power / (b3 * u)
        return b1 * power, slope, [power, slope, b1 * power * np.log(u) / b3**2]


class Roszman1(Curve):
    """b1 - b2 x - arctan(b3 / (x - b4)) / pi."""

    def slopes(self, x, b1, b2, b3, b4):
        u = x - b4
        norm = np.pi * (u * u + b3 * b3)
        y = b1 - b2 * x - np.arctan(b3 / u) / np.pi
        return y, -b2 + b3 / norm, [np.ones_like(y), -x, -u / norm, -b3 / norm]
