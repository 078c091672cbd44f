"""Rectifiers: one function above a kink and another below it.

Sides are told by the real part, so that each piece stays analytic.  At the kink itself the derivative is PyTorch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import (
    ShapeError,
    require_count,
    require_delta,
    require_float_dtype,
    require_floating,
    require_number,
    require_shape,
)
from minigrad.initializers import constant
from minigrad.kernels import clipped, negative_part, positive_part
from minigrad.layers.activations import Elementwise, factor, number
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.typing import Array, Formulas, Gradients, Shape


class LeakyReLU(Elementwise):
    """z where z > 0, else slope z; derivative 1 or slope; Maas, Hannun and Ng, 2013."""

    keeps = "input"

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = require_number(LeakyReLU, "negative_slope", negative_slope)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the slope put in."""
        slope = factor(self.negative_slope)
        return Formulas(
            forward=rf"\max(\z, 0) + {slope}\min(\z, 0)",
            backward=rf"\d \odot ([\z > 0] + {slope}[\z \le 0])",
        )

    def f(self, z: Array) -> Array:
        return positive_part(z) + self.negative_slope * negative_part(z)

    def df(self, z: Array) -> Array:
        return _steps(z, self.negative_slope)

    def __repr__(self) -> str:
        return f"LeakyReLU({self.negative_slope:g})"


class PReLU(LazyLayer):
    """z where z > 0, else w z, with trained slopes w = `weight`, one for all or one for each channel (axis 1).

        dz = delta where z > 0, else w delta
        dw_c = sum of delta z over the entries of channel c where z <= 0

    z (batch, num_parameters, ...); with num_parameters=1, of any shape; None takes as many as axis 1 is long.  All
    slopes start at `init`.  TypeError unless z is a floating array, ValueError unless it has as many channels.
    He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015.
    """

    parameter_names = ("weight",)

    def __init__(self, num_parameters: int | None = 1, init: float = 0.25, *, dtype: Any = np.float64) -> None:
        self.num_parameters = None if num_parameters is None else require_count(PReLU, "num_parameters", num_parameters)
        self.init = require_number(PReLU, "init", init)
        self.start(self.num_parameters, 0, require_float_dtype(PReLU, dtype))

    def create(self, width: int, make: Make) -> None:
        self.num_parameters = width
        self.weight = make(constant(self.init), (width,))

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With one slope, or one for each channel."""
        each = r"\sum_n \d_n \odot \min(\z_n, 0)"
        return Formulas(
            forward=r"\max(\z, 0) + w \odot \min(\z, 0)",
            backward=r"\d \odot ([\z > 0] + w \odot [\z \le 0])",
            gradients={"weight": r"\sum \d \odot \min(\z, 0)" if self.num_parameters == 1 else each},
            symbols={"weight": "w"},
            where="" if self.num_parameters == 1 else "w lies along axis 1, and the sum is over all others",
        )

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        self.require_width(shape[1] if len(shape) > 1 else 1)
        return shape

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        self._require_shape(z.shape)
        self.see(z.shape[1] if z.ndim > 1 else 1)
        return positive_part(z) + self._slopes(z) * negative_part(z), z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, z.shape)
        return delta * _steps(z, self._slopes(z))

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        require_delta(self, delta, z.shape)
        below = delta * negative_part(z)
        if self.num_parameters == 1:
            return {"weight": below.sum().reshape(1)}
        return {"weight": below.sum(axis=tuple(i for i in range(z.ndim) if i != 1))}

    def _require_shape(self, shape: Shape) -> None:
        if self.num_parameters != 1 and (len(shape) < 2 or shape[1] != (self.num_parameters or shape[1])):
            raise ShapeError(
                f"{self!r} expects z of shape (batch, {self.num_parameters or 'channels'}, ...), got {shape}: "
                "axis 1 holds the channels, each with its slope; PReLU(1) takes any shape"
            )

    def _slopes(self, z: Array) -> Array:
        """`weight`, so that it stands along axis 1 of z."""
        return self.weight if self.num_parameters == 1 else self.weight.reshape(-1, *(1,) * (z.ndim - 2))

    def __repr__(self) -> str:
        return f"PReLU({self.num_parameters or '?'})"


class ELU(Elementwise):
    """z where z > 0, else alpha (e^z - 1); derivative 1 or alpha e^z; Clevert, Unterthiner and Hochreiter, 2016."""

    keeps = "input"  # the output would do, y + alpha, but not to full accuracy where e^z is small

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = require_number(ELU, "alpha", alpha)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With alpha put in."""
        alpha = factor(self.alpha)
        return Formulas(
            forward=rf"\max(\z, 0) + {alpha}(\exp(\min(\z, 0)) - 1)",
            backward=rf"\d \odot ([\z > 0] + {alpha}[\z \le 0] \odot \exp(\min(\z, 0)))",
        )

    def f(self, z: Array) -> Array:
        return positive_part(z) + self.alpha * np.expm1(negative_part(z))

    def df(self, z: Array) -> Array:
        return _steps(z, self.alpha * np.exp(negative_part(z)))

    def __repr__(self) -> str:
        return f"ELU(alpha={self.alpha:g})"


class SELU(Elementwise):
    """scale ELU(z) with scale = 1.0507... and alpha = 1.6732..., under which normal numbers stay normal.

        dz = delta scale where z > 0, else delta scale alpha e^z

    Klambauer, Unterthiner, Mayr and Hochreiter, "Self-normalizing neural networks", 2017.
    """

    keeps = "input"
    formulas = Formulas(
        forward=r"\lambda (\max(\z, 0) + \alpha (\exp(\min(\z, 0)) - 1))",
        backward=r"\lambda \d \odot ([\z > 0] + \alpha [\z \le 0] \odot \exp(\min(\z, 0)))",
        where="lambda = 1.0507..., alpha = 1.6732...",
    )
    alpha = 1.6732632423543772848170429916717
    scale = 1.0507009873554804934193349852946

    def f(self, z: Array) -> Array:
        return self.scale * (positive_part(z) + self.alpha * np.expm1(negative_part(z)))

    def df(self, z: Array) -> Array:
        return self.scale * _steps(z, self.alpha * np.exp(negative_part(z)))


class Hardtanh(Elementwise):
    """z held between min_val and max_val; derivative 1 strictly between them, else 0."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val = require_number(Hardtanh, "min_val", min_val)
        self.max_val = require_number(Hardtanh, "max_val", max_val)
        if not self.min_val < self.max_val:
            raise ValueError(f"Hardtanh expects min_val < max_val, got {min_val!r} and {max_val!r}")

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the bounds put in."""
        low, high = number(self.min_val), number(self.max_val)
        return Formulas(
            forward=rf"\min(\max(\z, {low}), {high})",
            backward=rf"\d \odot [\z > {low}] \odot [\z < {high}]",
        )

    def f(self, z: Array) -> Array:
        return clipped(z, self.min_val, self.max_val)

    def df(self, y: Array) -> Array:
        return ((y.real > self.min_val) & (y.real < self.max_val)).astype(y.real.dtype)

    def __repr__(self) -> str:
        return f"Hardtanh({self.min_val:g}, {self.max_val:g})"


class HardSigmoid(Elementwise):
    """z/6 + 1/2 held between 0 and 1; derivative 1/6 for -3 < z < 3, else 0.  PyTorch spells it Hardsigmoid."""

    keeps = "input"
    formulas = Formulas(
        forward=r"\frac{\min(\max(\z, -3), 3)}{6} + \frac{1}{2}",
        backward=r"\frac{1}{6} \d \odot [\z > -3] \odot [\z < 3]",
    )

    def f(self, z: Array) -> Array:
        return clipped(z, -3.0, 3.0) / 6 + 0.5

    def df(self, z: Array) -> Array:
        return ((z.real > -3) & (z.real < 3)).astype(z.real.dtype) / 6


def _steps(z: Array, below: Any) -> Array:
    """1 where z > 0, else `below`."""
    above = (z.real > 0).astype(z.real.dtype)
    return above + (1 - above) * below
