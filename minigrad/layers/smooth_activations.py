"""Smooth activations: one function applied to every entry, with a derivative everywhere.

All keep their input: from the output the derivative is hard to tell, or loses its digits where the function is flat.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.checks import require_number
from minigrad.kernels import clipped, log_sigmoid, magnitude, normal_cdf, normal_pdf, sigmoid
from minigrad.layers.activations import Elementwise, factor, number
from minigrad.typing import Array, Formulas

SIGMOID = "sigma(z) = 1 / (1 + e^-z)"


class GELU(Elementwise):
    """z Phi(z), with Phi the distribution function of the normal distribution; Hendrycks and Gimpel, 2016.

        dz = delta (Phi(z) + z phi(z)),    phi = dPhi/dz

    approximate="tanh" takes s(z) = (1 + tanh u) / 2, u = sqrt(2/pi) (z + 0.044715 z^3), for Phi: off by up to 5e-4.
    """

    keeps = "input"

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU expects approximate to be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With Phi, or what is taken for it."""
        if self.approximate == "none":
            return Formulas(
                forward=r"\z \odot \Phi(\z)",
                backward=r"\d \odot (\Phi(\z) + \z \odot \varphi(\z))",
                where="Phi is the distribution function of the normal distribution, varphi its density",
            )
        return Formulas(
            forward=r"\frac{1}{2} \z \odot (1 + \tanh(u))",
            backward=r"\frac{1}{2} \d \odot (1 + \tanh(u) + \z \odot (1 - \tanh(u)^2) \odot v)",
            where="u = sqrt(2 / pi) (z + 0.044715 z^3), v = du/dz",
        )

    def f(self, z: Array) -> Array:
        return z * (normal_cdf(z) if self.approximate == "none" else self._sigmoid(z))

    def df(self, z: Array) -> Array:
        if self.approximate == "none":
            return normal_cdf(z) + z * normal_pdf(z)
        s, near = self._sigmoid(z), clipped(z, -FLAT, FLAT)
        du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * near * near)
        return s + 2 * near * s * (1 - s) * du

    def _sigmoid(self, z: Array) -> Array:
        """(1 + tanh u) / 2 = 1 / (1 + e^-2u), which keeps its digits where tanh u is nearly -1."""
        near = clipped(z, -FLAT, FLAT)
        return sigmoid(math.sqrt(8 / math.pi) * near * (1 + 0.044715 * near * near))

    def __repr__(self) -> str:
        return "GELU()" if self.approximate == "none" else f"GELU({self.approximate!r})"


FLAT = 30.0  # from here on the sigmoid of the tanh form is 0 or 1, and the cube of z could only overflow


class SiLU(Elementwise):
    """z s with s = 1 / (1 + e^-z), or swish; derivative s (1 + z (1 - s)); Elfwing, Uchibe and Doya, 2018."""

    keeps = "input"
    formulas = Formulas(
        forward=r"\z \odot \sigma(\z)",
        backward=r"\d \odot \sigma(\z) \odot (1 + \z \odot (1 - \sigma(\z)))",
        where=SIGMOID,
    )

    def f(self, z: Array) -> Array:
        return z * sigmoid(z)

    def df(self, z: Array) -> Array:
        s = sigmoid(z)
        return s * (1 + z * (1 - s))


class Mish(Elementwise):
    """z t with t = tanh(log(1 + e^z)); derivative t + z (1 - t^2) / (1 + e^-z); Misra, 2019."""

    keeps = "input"
    formulas = Formulas(
        forward=r"\z \odot t",
        backward=r"\d \odot (t + \z \odot (1 - t^2) \odot \sigma(\z))",
        where=f"t = tanh(log(1 + e^z)), {SIGMOID}",
    )

    def f(self, z: Array) -> Array:
        return z * np.tanh(-log_sigmoid(-z))

    def df(self, z: Array) -> Array:
        t = np.tanh(-log_sigmoid(-z))
        return t + z * (1 - t * t) * sigmoid(z)


class Softplus(Elementwise):
    """log(1 + e^(beta z)) / beta, and z itself where beta z > threshold; derivative 1 / (1 + e^-(beta z)), there 1.

    Nothing overflows, so the threshold is not needed: it is PyTorch's, where the function jumps down by
    log(1 + e^-threshold) / beta, 2e-9 as a rule.  threshold=math.inf leaves it out.
    """

    keeps = "input"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = require_number(Softplus, "beta", beta)
        if not self.beta:
            raise ValueError("Softplus expects beta to be other than 0, by which it divides")
        self.threshold = threshold if threshold == math.inf else require_number(Softplus, "threshold", threshold)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With beta put in."""
        beta = factor(self.beta)
        log = rf"\log(1 + \exp({beta}\z))"
        times = "" if self.beta == 1 else f"{self.beta:g} "
        limit = f"; where {times}z is above {self.threshold:g}, z and delta themselves"
        return Formulas(
            forward=rf"\frac{{{log}}}{{{number(self.beta)}}}" if beta else log,
            backward=rf"\d \odot \sigma({beta}\z)",
            where=SIGMOID + (limit if self.threshold < math.inf else ""),
        )

    def f(self, z: Array) -> Array:
        a = self.beta * z
        return np.where(a.real > self.threshold, z, log_sigmoid(-a) / -self.beta)

    def df(self, z: Array) -> Array:
        a = self.beta * z
        return np.where(a.real > self.threshold, 1, sigmoid(a))

    def __repr__(self) -> str:
        return f"Softplus(beta={self.beta:g}, threshold={self.threshold:g})"


class Softsign(Elementwise):
    """z / (1 + |z|); derivative 1 / (1 + |z|)^2.  |z| is z or -z by the sign of the real part."""

    keeps = "input"
    formulas = Formulas(r"\frac{\z}{1 + |\z|}", r"\d \odot \frac{1}{(1 + |\z|)^2}")

    def f(self, z: Array) -> Array:
        return z / (1 + magnitude(z))

    def df(self, z: Array) -> Array:
        reciprocal = 1 / (1 + magnitude(z))
        return reciprocal * reciprocal
