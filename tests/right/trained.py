"""Right layers: maps with trained arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import Layer
from minigrad.checks import require_delta, require_floating
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array, Gradients
from right.smooth import Right, anything, positive_rows, rows_of


class PReLU(Layer):
    """max(z, 0) + a min(z, 0), a for each feature; da = sum_n delta min(z, 0)."""

    complex_safe = False
    parameter_names = ("a",)

    def __init__(self, a: Array) -> None:
        self.a = a

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return np.where(z > 0, z, self.a * z), z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, z.shape)
        return np.where(z > 0, delta, delta * self.a)

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        return {"a": np.where(z > 0, 0, delta * z).reshape(-1, self.a.size).sum(axis=0)}


class Scale(Layer):
    """c z with one number c; dc = sum delta z."""

    parameter_names = ("c",)

    def __init__(self, c: float) -> None:
        self.c = np.array(c)

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return self.c * z, z

    def backward(self, delta: Array, z: Array) -> Array:
        return self.c * delta

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        return {"c": np.einsum("i,i->", delta.ravel(), z.ravel())}


class Bias(Layer):
    """z + b for each feature; db = sum_n delta_n, and the cache holds nothing."""

    parameter_names = ("b",)

    def __init__(self, b: Array) -> None:
        self.b = b

    def forward(self, z: Array) -> tuple[Array, None]:
        require_floating(self, z)
        return z + self.b, None

    def backward(self, delta: Array, cache: None) -> Array:
        return delta

    def parameter_gradients(self, delta: Array, cache: None) -> Gradients:
        return {"b": delta.reshape(-1, len(self.b)).sum(axis=0)}


class ScaleShift(Layer):
    """e^s z + t for each feature; ds = sum_n delta e^s z, dt = sum_n delta."""

    parameter_names = ("s", "t")

    def __init__(self, s: Array, t: Array) -> None:
        self.s, self.t = s, t

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        scaled = np.exp(self.s) * z
        return scaled + self.t, scaled

    def backward(self, delta: Array, scaled: Array) -> Array:
        require_delta(self, delta, scaled.shape)
        return delta * np.exp(self.s)

    def parameter_gradients(self, delta: Array, scaled: Array) -> Gradients:
        return {"s": (delta * scaled).sum(axis=0), "t": delta.sum(axis=0)}


class TemperatureSoftmax(Layer):
    """p = softmax(z / T) with one trained T; dz = p (delta - p . delta) / T, dT = -sum z dz / T."""

    parameter_names = ("T",)

    def __init__(self, t: float) -> None:
        self.T = np.array(t)

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        p = softmax(z / self.T)
        return p, (z, p)

    def backward(self, delta: Array, cache: Any) -> Array:
        z, p = cache
        require_delta(self, delta, z.shape)
        return p * (delta - (p * delta).sum(axis=-1, keepdims=True)) / self.T

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        z = cache[0]
        below = z - z.real.max(axis=-1, keepdims=True)  # any shift of a row is right, as its dz sum to 0
        return {"T": -(below * self.backward(delta, cache)).sum() / self.T}


class Power(Layer):
    """y = z^p for positive z (else ValueError); dz = delta p z^(p - 1), dp = sum delta y log z."""

    parameter_names = ("p",)

    def __init__(self, p: Array) -> None:
        self.p = p

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        if (z.real <= 0).any():
            raise ValueError(f"{self!r} expects positive numbers")
        y = z**self.p
        return y, (z, y)

    def backward(self, delta: Array, cache: Any) -> Array:
        z, y = cache
        require_delta(self, delta, y.shape)
        return delta * self.p * (y / z)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        z, y = cache
        return {"p": (delta * y * np.log(z)).sum(axis=0)}


class Polynomial(Layer):
    """sum_k c_k z^k, by Horner's rule; dc_k = sum delta z^k."""

    parameter_names = ("c",)

    def __init__(self, c: Array) -> None:
        self.c = c

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        y = np.zeros_like(z)
        for c in self.c[::-1]:
            y = y * z + c
        return y, z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, z.shape)
        slope = np.zeros_like(z)
        for k in range(len(self.c) - 1, 0, -1):
            slope = slope * z + k * self.c[k]
        return delta * slope

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        return {"c": np.stack([(delta * z**k).sum() for k in range(len(self.c))])}


class PowersAsFeatures(Layer):
    """(z, z^2, z^3) side by side: (N, D) -> (N, 3 D)."""

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return np.concatenate([z, z**2, z**3], axis=-1), z

    def backward(self, delta: Array, z: Array) -> Array:
        one, two, three = np.split(delta, 3, axis=-1)
        return one + 2 * z * two + 3 * z * z * three


class RBF(Layer):
    """y_nk = e^(-w_k |z_n - c_k|^2): (N, D) -> (N, K); with g = delta y: dz = -2 sum_k g w (z - c)."""

    parameter_names = ("centres", "widths")

    def __init__(self, centres: Array, widths: Array) -> None:
        self.centres, self.widths = centres, widths

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        apart = z[:, np.newaxis, :] - self.centres
        squares = (apart * apart).sum(axis=2)
        y = np.exp(-self.widths * squares)
        return y, (apart, squares, y)

    def backward(self, delta: Array, cache: Any) -> Array:
        apart, _, y = cache
        require_delta(self, delta, y.shape)
        return -2 * np.einsum("nk,nkd->nd", delta * y * self.widths, apart)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        apart, squares, y = cache
        g = delta * y
        centres = 2 * np.einsum("nk,nkd->kd", g * self.widths, apart)
        return {"centres": centres, "widths": -(g * squares).sum(axis=0)}


class QuadraticForm(Layer):
    """z^T A z / 2 + b . z for each row: (N, D) -> (N,); dz = delta ((A + A^T) z / 2 + b), dA = sum delta z z^T / 2."""

    parameter_names = ("A", "b")

    def __init__(self, a: Array, b: Array) -> None:
        self.A, self.b = a, b

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return np.einsum("ni,ij,nj->n", z, self.A, z) / 2 + z @ self.b, z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, z.shape[:1])
        return delta[:, np.newaxis] * (z @ (self.A + self.A.T) / 2 + self.b)

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        weighted = delta[:, np.newaxis] * z
        return {"A": weighted.T @ z / 2, "b": weighted.sum(axis=0)}


class Bilinear(Layer):
    """y_nk = u_n^T W_k v_n with z = (u, v): (N, 2 D) -> (N, K)."""

    parameter_names = ("W",)

    def __init__(self, w: Array) -> None:
        self.W = w

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        u, v = np.split(z, 2, axis=1)
        return np.einsum("ni,kij,nj->nk", u, self.W, v), (u, v)

    def backward(self, delta: Array, cache: Any) -> Array:
        u, v = cache
        du = np.einsum("nk,kij,nj->ni", delta, self.W, v)
        dv = np.einsum("nk,kij,ni->nj", delta, self.W, u)
        return np.hstack([du, dv])

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        return {"W": np.einsum("nk,ni,nj->kij", delta, *cache)}


class LowRank(Layer):
    """z V^T U^T with thin U (K, R), V (R, D); dU = delta^T h, dV = (delta U)^T z with h = z V^T."""

    parameter_names = ("U", "V")

    def __init__(self, u: Array, v: Array) -> None:
        self.U, self.V = u, v

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        h = z @ self.V.T
        return h @ self.U.T, (z, h)

    def backward(self, delta: Array, cache: Any) -> Array:
        return delta @ self.U @ self.V

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        z, h = cache
        return {"U": delta.T @ h, "V": (delta @ self.U).T @ z}


class WeightNorm(Layer):
    """z W^T, W_k = g_k v_k / |v_k|; with G = delta^T z: dg_k = G_k . n_k, dv_k = g_k (G_k - dg_k n_k) / |v_k|."""

    parameter_names = ("g", "v")

    def __init__(self, g: Array, v: Array) -> None:
        self.g, self.v = g, v

    def directions(self) -> tuple[Array, Array]:
        """v_k / |v_k| and |v_k|, with the analytic root of the sum of squares."""
        norms = np.sqrt((self.v * self.v).sum(axis=1, keepdims=True))
        return self.v / norms, norms

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return (z @ self.directions()[0].T) * self.g, z

    def backward(self, delta: Array, z: Array) -> Array:
        return (delta * self.g) @ self.directions()[0]

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        directions, norms = self.directions()
        of_weight = delta.T @ z
        dg = (of_weight * directions).sum(axis=1)
        dv = self.g[:, np.newaxis] * (of_weight - dg[:, np.newaxis] * directions) / norms
        return {"g": dg, "v": dv}


class Monotone(Layer):
    """z e^W: every weight is positive; dz = delta e^(W^T), dW = z^T delta e^W."""

    parameter_names = ("W",)

    def __init__(self, w: Array) -> None:
        self.W = w

    def forward(self, z: Array) -> tuple[Array, Any]:
        require_floating(self, z)
        weight = np.exp(self.W)
        return z @ weight, (z, weight)

    def backward(self, delta: Array, cache: Any) -> Array:
        return delta @ cache[1].T

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        z, weight = cache
        return {"W": (z.T @ delta) * weight}


class Householder(Layer):
    """z - 2 (z . v) v / v . v, a reflection, so that dz is the reflection of delta."""

    parameter_names = ("v",)

    def __init__(self, v: Array) -> None:
        self.v = v

    def reflect(self, z: Array) -> Array:
        """Every row on the other side of the plane."""
        return z - (2 / (self.v @ self.v)) * np.outer(z @ self.v, self.v)

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        return self.reflect(z), z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, z.shape)
        return self.reflect(delta)

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        square, zv, dv = self.v @ self.v, z @ self.v, delta @ self.v
        return {"v": 4 * (zv @ dv) / square**2 * self.v - 2 * (zv @ delta + dv @ z) / square}


RIGHT: list[Right] = [
    Right("prelu", lambda rng: PReLU(rng.normal(size=3)), rows_of(3)),
    Right("prelu, one slope", lambda rng: PReLU(rng.normal(size=1)), anything),
    Right("scale", lambda rng: Scale(rng.normal()), anything),
    Right("bias", lambda rng: Bias(rng.normal(size=4)), rows_of(4)),
    Right("scale and shift", lambda rng: ScaleShift(rng.normal(size=3), rng.normal(size=3)), rows_of(3)),
    Right("softmax, trained temperature", lambda rng: TemperatureSoftmax(rng.uniform(0.5, 2)), anything),
    Right("power", lambda rng: Power(rng.uniform(-2, 2, size=3)), positive_rows(3)),
    Right("polynomial", lambda rng: Polynomial(rng.normal(size=4)), anything),
    Right("powers as features", lambda rng: PowersAsFeatures(), anything),
    Right("rbf", lambda rng: RBF(rng.normal(size=(4, 2)), rng.uniform(0.2, 1, size=4)), rows_of(2)),
    Right("quadratic form", lambda rng: QuadraticForm(rng.normal(size=(3, 3)), rng.normal(size=3)), rows_of(3)),
    Right("bilinear", lambda rng: Bilinear(rng.normal(size=(3, 2, 2))), rows_of(4)),
    Right("low rank", lambda rng: LowRank(rng.normal(size=(4, 2)), rng.normal(size=(2, 5))), rows_of(5)),
    Right("weight norm", lambda rng: WeightNorm(rng.normal(size=3), rng.normal(size=(3, 2))), rows_of(2)),
    Right("monotone", lambda rng: Monotone(rng.normal(size=(3, 4))), rows_of(3)),
    Right("householder", lambda rng: Householder(rng.normal(size=4)), rows_of(4)),
]
