"""Curvature: products of the Hessian of a cost with vectors, from the rules of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import kind, label, require_finite, require_gradients, require_layer
from minigrad.derivatives.gradients import value_and_gradients
from minigrad.derivatives.regression import LinearUnits, linear_units
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients, Input

COMPLEX_STEP = 1e-20  # h |v|: its square, the error, vanishes beside 1, and nothing underflows
DIFFERENCE_STEP = float(np.finfo(float).eps ** (1 / 3))  # the error of the formula and that of rounding are alike


class Curvature:
    """The Hessian H of a cost at one point, by products with vectors v in the order of `cost.parameters()`.

        complex step           H v  =  Im grad(theta + i h v) / h              exact to rounding
        central differences    H v  =  (grad(theta + h v) - grad(theta - h v)) / 2h,   h = eps^(1/3) |theta| / |v|

    The first where every layer is analytic (`complex_safe`), else the second, good to about ten digits; `method` says
    which.  All numbers are taken to double precision.  Squire and Trapp, SIAM Review 40 (1998) 110-112.
    """

    def __init__(self, cost: Layer, x: Input, arguments: tuple[Any, ...]) -> None:
        self.x, self.arguments = x, arguments
        self.method = "complex step" if cost.complex_safe else "central differences"
        arrays = cost.parameters()
        if not arrays:
            raise ValueError(f"curvature_at expects a cost with parameters, got {label(cost)}")
        self.point = np.concatenate([np.ravel(array) for array in arrays.values()]).astype(float)
        # The copy's arrays are views of one vector: a step along v writes that vector, and copies nothing again.
        self._moved = self.point.astype(complex if cost.complex_safe else float)
        self._cost = cost.with_parameters(split(self._moved, arrays))

    def product(self, vector: Array) -> Array:
        """H v."""
        size = float(np.abs(vector).max(initial=0.0))
        if size == 0:
            return np.zeros(self.point.size)
        if self.method == "complex step":
            h = COMPLEX_STEP / size
            return self._gradient(1j * h * vector).imag / h
        h = DIFFERENCE_STEP * max(float(np.abs(self.point).max()), 1.0) / size
        return (self._gradient(h * vector) - self._gradient(-h * vector)) / (2 * h)

    def matrix(self) -> Array:
        """H itself, symmetric: one product for each parameter."""
        columns = np.array([self.product(unit) for unit in np.eye(self.point.size)])
        return (columns + columns.T) / 2

    def diagonal(self) -> Array:
        """The diagonal of H: as many products."""
        return np.array([self.product(unit) @ unit for unit in np.eye(self.point.size)])

    def _gradient(self, step: Array) -> Array:
        self._moved[:] = self.point + step
        _, gradients = value_and_gradients(self._cost, self.x, *self.arguments)
        return np.concatenate([np.ravel(gradients[name]) for name in self._cost.parameters()])


def curvature_at(cost: Layer, x: Input, *arguments: Any) -> Curvature | LinearUnits:
    """The Hessian of a cost, at its parameters as they are now: `.product(v)`, `.diagonal()`, `.matrix()`, `.method`.

    Analytic, with the probabilities computed once, for linear units under a softmax, sigmoid or squared error, with
    L2 penalties or none (`LinearUnits`); for every other cost `Curvature`.  ValueError for layers that draw at random:
    their cost is another function at each call.
    """
    require_layer(curvature_at, cost)
    require_deterministic(curvature_at, cost)
    units = linear_units(cost, x, *arguments)
    return Curvature(cost, x, arguments) if units is None else units


def hessian_vector_product(cost: Layer, vector: Array | Gradients, x: Input, *arguments: Any) -> Any:
    """H v, for the Hessian H of the cost by its parameters, without H: of a vector, or of {name: array} the same.

        H v  =  d/dh grad(theta + h v)  at h = 0

    How it is computed, and how well, `curvature_at` says; of many products at one point, it makes the later ones
    cheaper.  A vector has the order of `cost.parameters()`.  ValueError where its shape, or a name, is wrong.

    >>> from minigrad import Linear, MSELoss, Sequential
    >>> cost = Sequential(Linear(1, 1, bias=False), MSELoss("sum"))
    >>> x = np.array([[1.0], [2.0]])
    >>> hessian_vector_product(cost, np.array([1.0]), x, np.zeros((2, 1)))  # 2 sum x^2
    array([10.])
    """
    require_layer(hessian_vector_product, cost)
    arrays = cost.parameters()
    if isinstance(vector, Mapping):
        require_gradients(hessian_vector_product, arrays, vector)
        flat = np.concatenate([np.ravel(vector[name]) for name in arrays])
    else:
        size = sum(array.size for array in arrays.values())
        if np.shape(vector) != (size,):
            raise ValueError(
                f"hessian_vector_product expects a vector of shape {(size,)}, one number for each parameter, or "
                f"{{name: array}}, got {kind(vector)}"
            )
        flat = np.asarray(vector)
    require_finite(hessian_vector_product, flat, "vector")
    flat = flat.astype(float)
    unit = 2.0 ** float(
        np.frexp(np.abs(flat).max(initial=0.0))[1] - 1
    )  # H v of a huge v has its place where that of products has none
    with np.errstate(over="ignore"):
        product = curvature_at(cost, x, *arguments).product(flat / unit) * unit
    return split(product, arrays) if isinstance(vector, Mapping) else product


def hessian(cost: Layer, x: Input, *arguments: Any) -> Array:
    """All second derivatives of the cost by its parameters, (P, P), in the order of `cost.parameters()`."""
    return curvature_at(cost, x, *arguments).matrix()


def require_deterministic(who: object, cost: Layer) -> None:
    """No layer of `cost` draws at random (ValueError)."""
    for name, value in cost.state().items():
        if hasattr(value, "bit_generator"):
            raise ValueError(
                f"{label(who)} expects a cost that is one function of its parameters, but {label(cost)} draws from "
                f"its generator {name!r} at every call: leave out the layers that do, such as Dropout, or train it by "
                "optimisers that take noise, such as SGD"
            )


def split(vector: Array, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """One vector as {name: array}: views of it, in the shapes of `arrays`."""
    ends = np.cumsum([array.size for array in arrays.values()])[:-1]
    parts = np.split(vector, ends)
    return {name: part.reshape(array.shape) for (name, array), part in zip(arrays.items(), parts, strict=True)}
