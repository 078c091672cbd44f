"""Activations: one function applied to every entry.

Here are their base and the classic ones; those made of straight pieces or with a kink stand in rectifiers.py, those
that are smooth everywhere in smooth_activations.py.
"""

from __future__ import annotations

import numpy as np

from minigrad.checks import require_delta, require_floating, require_shape
from minigrad.kernels import log_sigmoid, positive_part, sigmoid
from minigrad.layer import Layer
from minigrad.shapes import is_outdated
from minigrad.typing import Array, Formulas, Shape


class Elementwise(Layer):
    """z_next = f(z), entry by entry.

        dz = delta df

    A subclass writes `f(z)` and its derivative `df`, as a function of the output, f(z), or, with `keeps = "input"`,
    of z itself.  What `df` needs is what the cache keeps; the output is alive anyway, as the input of the next layer.
    """

    keeps: str = "output"
    formulas = Formulas(r"f(\z)", r"\d \odot \frac{\partial f}{\partial \z}", where="f is applied entry by entry")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.keeps not in ("output", "input"):
            raise ValueError(f"{cls.__name__}.keeps must be 'output' or 'input', got {cls.keeps!r}")
        if is_outdated(cls, "formulas", ("f", "df"), Elementwise):
            cls.formulas = Elementwise.formulas

    def f(self, z: Array) -> Array:
        """The function."""
        raise NotImplementedError(f"{type(self).__name__} lacks f(self, z) -> z_next")

    def df(self, kept: Array) -> Array:
        """Its derivative, from the output or, where `keeps` says so, from the input."""
        raise NotImplementedError(f"{type(self).__name__} lacks df(self, {self.keeps}) -> derivative of f")

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        return 0

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        z_next = self.f(z)
        return z_next, (z if self.keeps == "input" else z_next)

    def backward(self, delta: Array, kept: Array) -> Array:
        require_delta(self, delta, kept.shape)
        return delta * self.df(kept)


class Identity(Layer):
    """z itself: the branch that leaves its input as it is, or a place held free.

    dz = delta
    """

    formulas = Formulas(r"\z", r"\d")

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        return shape

    def forward(self, z: Array) -> tuple[Array, Shape]:
        require_floating(self, z)
        return z, z.shape

    def backward(self, delta: Array, shape: Shape) -> Array:
        require_delta(self, delta, shape)
        return delta


class Sigmoid(Elementwise):
    """1 / (1 + e^-z) = P(t = 1) of the Bernoulli distribution with logit z; derivative y (1 - y) at output y.

    Where y has rounded to 1, from z = 37 on, the derivative is 0, as in PyTorch: LogSigmoid keeps its digits there.
    """

    formulas = Formulas(r"\frac{1}{1 + \exp(-\z)}", r"\d \odot \y \odot (1 - \y)")

    def f(self, z: Array) -> Array:
        return sigmoid(z)

    def df(self, y: Array) -> Array:
        return y * (1 - y)


class LogSigmoid(Elementwise):
    """log(1 / (1 + e^-z)) = min(z, 0) - log(1 + e^-|z|); derivative 1 - e^y at output y."""

    formulas = Formulas(r"-\log(1 + \exp(-\z))", r"\d \odot (1 - \exp(\y))")

    def f(self, z: Array) -> Array:
        return log_sigmoid(z)

    def df(self, y: Array) -> Array:
        return -np.expm1(y)  # 1 - e^y to full accuracy where e^y is nearly 1


class Tanh(Elementwise):
    """tanh z; derivative 1 - y^2 at output y."""

    formulas = Formulas(r"\tanh \z", r"\d \odot (1 - \y^2)")

    def f(self, z: Array) -> Array:
        return np.tanh(z)

    def df(self, y: Array) -> Array:
        return 1 - y * y


class ReLU(Elementwise):
    """max(z, 0); derivative 1 where z > 0, else 0 (at the kink z = 0 too, as in PyTorch)."""

    formulas = Formulas(r"\max(\z, 0)", r"\d \odot [\z > 0]")

    def f(self, z: Array) -> Array:
        return positive_part(z)

    def df(self, y: Array) -> Array:
        return (y.real > 0).astype(y.real.dtype)


def number(value: float) -> str:
    """A number as a formula has it: 0.01, 10^{-5} for 1e-05."""
    digits, _, power = f"{value:g}".partition("e")
    if not power:
        return digits
    return (rf"{digits} \cdot " if digits != "1" else "") + f"10^{{{int(power)}}}"


def factor(value: float) -> str:
    """A number that stands before a product, with brackets where it is negative; nothing for 1."""
    return "" if value == 1 else f"({number(value)}) " if value < 0 else f"{number(value)} "
