"""Curvature: products of the Hessian of a cost with vectors, from the rules of its layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import all_finite, kind, label, require_finite, require_gradients, require_layer
from minigrad.derivatives.directions import Directions, joined, split
from minigrad.derivatives.gradients import value_and_gradients
from minigrad.derivatives.symmetric import Symmetric
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients, Input, Seed

MOST_DIGITS = 14


class Curvature(Symmetric):
    """The Hessian H of a cost at one point, by products with vectors v in the order of `cost.parameters()`.

        complex step           H v  =  Im grad(theta + i h v) / h                        exact to rounding
        central differences    H v  =  (grad(theta + h v) - grad(theta - h v)) / 2h      to about ten digits

    The first where every layer is analytic (`complex_safe`), else the second, extrapolated to h = 0; `method` says
    which, and `digits` how many are to be trusted.  h follows the sizes of the parameters, see `directions.py`.  All
    numbers are taken to double precision.  FloatingPointError where the cost is not finite.

    `digits`, and all that takes many products, first compare one product with differences: where a layer is not
    analytic and does not say so, differences are taken from then on, with a NotAnalyticWarning.  `product` alone does
    not look.
    """

    def __init__(self, cost: Layer, x: Input, arguments: tuple[Any, ...]) -> None:
        self.x, self.arguments = x, arguments
        self._directions = Directions(cost, "curvature_at")
        self.point, self.size = self._directions.point, self._directions.point.size
        self._start: tuple[float, Array] | None = None
        self._asymmetry: float | None = None
        self._is_verified = False

    def product(self, vector: Array) -> Array:
        """H v."""
        value, gradient = self._value_and_gradient()
        units = np.abs(self.point) + (self.point == 0)
        return self._directions.along(self._gradient, vector, gradient, abs(value), units)

    def verified_product(self, vector: Array) -> Array:
        """H v, compared with differences."""
        from minigrad.derivatives.analytic import verify  # on use: importing minigrad loads little beyond NumPy

        value, gradient = self._value_and_gradient()
        units = np.abs(self.point) + (self.point == 0)
        return verify(self._directions, self._gradient, gradient, abs(value), units, vector)

    def verify(self) -> None:
        """Compare a product with differences, once."""
        if not self._is_verified and self.method == "complex step":
            from minigrad.derivatives.analytic import is_trusted, random_direction

            self._is_verified = True
            if not is_trusted(self._directions.plain):
                self.verified_product(random_direction(self.point))

    def use_differences(self) -> None:
        """Take no complex step from now on."""
        self._directions.use_differences()

    def raw(self) -> Array:
        """H as it comes, (P, P), column j by a step along parameter j: symmetric as far as the rules are right."""
        self.verify()
        columns = np.empty((self.point.size, self.point.size))
        for j, unit in enumerate(np.eye(self.point.size)):
            columns[:, j] = self.product(unit)
        return columns

    def matrix(self) -> Array:
        """H itself, (P, P), symmetric: one product for each parameter.  AsymmetryWarning where a rule is wrong."""
        from minigrad.derivatives.asymmetry import examine  # on use: importing minigrad loads little beyond NumPy

        raw = self.raw()
        cost, arrays = self._directions.plain, self._directions.arrays
        self._asymmetry = examine(cost, arrays, raw, self._directions.sizes, self.error, self._again)
        return raw / 2 + raw.T / 2

    def diagonal(self) -> Array:
        """The diagonal of H."""
        self.verify()
        return super().diagonal()

    @property
    def asymmetry(self) -> float:
        """max |H_ij - H_ji| of the raw matrix, its rows and columns scaled to a largest entry of 1; 0 if all is right.

        Beyond rounding, and for differences their error, some rule is wrong.
        """
        if self._asymmetry is None:
            self.matrix()
        assert self._asymmetry is not None
        return self._asymmetry

    @property
    def digits(self) -> int:
        """How many digits of H v to trust, relative to its largest entry in the parameters' own units.

        Of differences by their estimated error; of both by what a relative change of the parameters by 1e-16 makes of
        products with random vectors.  An estimate, on the safe side by a factor of 4.
        """
        self.verify()
        rng, units = np.random.default_rng(0), np.abs(self.point) + (self.point == 0)
        error = float(np.finfo(float).eps)
        for _ in range(2):
            v = rng.choice([-1.0, 1.0], self.point.size) * units
            product = self.product(v) * units
            size = float(np.abs(product).max())
            change = float(np.abs(self._again(v, rng) * units - product).max())
            error = max(error, change / size if size else 0.0)
        return max(0, min(MOST_DIGITS, int(-np.log10(4 * max(error, self.error)))))

    @property
    def method(self) -> str:
        """Either "complex step" or "central differences"."""
        return self._directions.method

    def _signs(self, who: object, samples: int, rng: Seed) -> list[tuple[Array, Array]]:
        self.verify()
        return super()._signs(who, samples, rng)

    @property
    def error(self) -> float:
        """The largest estimated error so far, relative to the largest entry.

        0 of complex steps, unless numbers too small to be represented are part of it.
        """
        return self._directions.error

    def _again(self, vector: Array, rng: np.random.Generator) -> Array:
        """H v at parameters that are off by rounding, and with another step."""
        near = self.point * (1 + np.finfo(float).eps * rng.choice([-1.0, 1.0], self.point.size))
        other = Curvature(
            self._directions.plain.with_parameters(split(near, self._directions.arrays)), self.x, self.arguments
        )
        if self.method != "complex step":
            other.use_differences()
        return other.product(0.7 * vector) / 0.7

    def _value_and_gradient(self) -> tuple[float, Array]:
        """Those at the point, once."""
        if self._start is None:
            with np.errstate(over="ignore", invalid="ignore"):  # an error says it
                value, gradients = value_and_gradients(self._directions.plain, self.x, *self.arguments)
            self._start = float(value), joined(self._directions.arrays, gradients)
            self._directions.sizes_for(*self._start)
        return self._start

    def _gradient(self, cost: Layer) -> Array:
        return joined(self._directions.arrays, value_and_gradients(cost, self.x, *self.arguments)[1])


def curvature_at(
    cost: Layer, x: Input, *arguments: Any, chunk_size: int | None = None, reduction: str | None = None
) -> Any:
    """The Hessian H of a cost, at its parameters as they are now.

        .product(v)  .matrix()  .diagonal()  .trace()                         H v, H, and its diagonal and trace
        .diagonal_estimate(samples, rng)  .trace_estimate(samples, rng)      with standard errors, by a few products
        .method  .digits  .asymmetry                                         how it was computed, and how well

    Analytic, with the probabilities computed once, for linear units under a softmax, sigmoid or squared error, with
    L2 penalties or none (`LinearUnits`); for every other cost `Curvature`.  `chunk_size` takes so many rows at a time,
    in constant extra memory (`CurvatureInChunks`); `reduction` is as in `value_and_gradients_in_chunks`.  ValueError
    for layers that draw at random: their cost is another function at each call.
    """
    require_layer(curvature_at, cost)
    require_deterministic(curvature_at, cost)
    if chunk_size is not None:
        from minigrad.derivatives.curvature_in_chunks import CurvatureInChunks  # on use

        return CurvatureInChunks(cost, x, arguments, chunk_size, reduction)
    from minigrad.derivatives.regression import linear_units  # on use: importing minigrad loads little beyond NumPy

    with np.errstate(over="ignore", invalid="ignore"):
        units = linear_units(cost, x, *arguments)
        # Where they are not finite, the rules say what is not.
        is_formula = units is not None and all_finite(x) and all_finite(units.slope)
    return units if is_formula else Curvature(cost, x, arguments)


def hessian_vector_product(
    cost: Layer,
    vector: Array | Gradients,
    x: Input,
    *arguments: Any,
    chunk_size: int | None = None,
    reduction: str | None = None,
) -> Any:
    """H v, for the Hessian H of the cost by its parameters, without H: of a vector, or of {name: array} the same.

        H v  =  d/dh grad(theta + h v)  at h = 0

    How it is computed, and how well, `curvature_at` says; of many products at one point, it makes the later ones
    cheaper.  A vector has the order of `cost.parameters()`.  ValueError where its shape, or a name, is wrong, TypeError
    where it is complex, FloatingPointError where the cost, or H v, is not finite.

    >>> from minigrad import Linear, MSELoss, Sequential
    >>> cost = Sequential(Linear(1, 1, bias=False), MSELoss("sum"))
    >>> x = np.array([[1.0], [2.0]])
    >>> hessian_vector_product(cost, np.array([1.0]), x, np.zeros((2, 1)))  # 2 sum x^2
    array([10.])
    """
    from minigrad.derivatives.regression import units_of  # on use: importing minigrad loads little beyond NumPy

    require_layer(hessian_vector_product, cost)
    arrays = cost.parameters()
    flat = require_vector(hessian_vector_product, arrays, vector)
    # H v of a huge v has its place where that of products has none.
    unit = math.ldexp(0.5, math.frexp(np.maximum.reduce(np.abs(flat), initial=0.0))[1])
    with np.errstate(over="ignore", invalid="ignore"):
        units = None if chunk_size is not None or reduction is not None else units_of(cost, x, *arguments)
        if units is not None:
            product = units.product(x, flat / unit) * unit
        else:
            at = curvature_at(cost, x, *arguments, chunk_size=chunk_size, reduction=reduction)
            product = at.verified_product(flat / unit) * unit
        if not all_finite(product):
            if units is not None:
                value_and_gradients(cost, x, *arguments)  # which says where it is the cost that is not finite
            raise FloatingPointError(
                f"the product of the Hessian of {label(cost)} with this vector is not finite, though the cost is: "
                "numbers of x, even of rows without weight, or of the product are too large for double precision"
            )
    return split(product, arrays) if isinstance(vector, Mapping) else product


def hessian(
    cost: Layer, x: Input, *arguments: Any, chunk_size: int | None = None, reduction: str | None = None
) -> Array:
    """All second derivatives of the cost by its parameters, (P, P), in the order of `cost.parameters()`.

    `curvature_at` says how it is computed, and how well.  AsymmetryWarning where second derivatives depend on their
    order, so that a rule is wrong.
    """
    matrix: Array = curvature_at(cost, x, *arguments, chunk_size=chunk_size, reduction=reduction).matrix()
    return matrix


def require_vector(who: object, arrays: Mapping[str, Array], vector: Any) -> Array:
    """`vector`, or {name: array}, as one vector of finite numbers (TypeError, ValueError)."""
    if isinstance(vector, Mapping):
        require_gradients(who, arrays, dict(vector))
        flat = joined(arrays, vector)
    else:
        size = sum(array.size for array in arrays.values())
        if np.shape(vector) != (size,):
            raise ValueError(
                f"{label(who)} expects a vector of shape {(size,)}, one number for each parameter, or "
                f"{{name: array}}, got {kind(vector)}"
            )
        flat = np.asarray(vector)
    if np.iscomplexobj(flat):
        raise TypeError(
            f"{label(who)} expects a vector of real numbers, got {kind(flat)}: products are linear, so take "
            "those of its real and of its imaginary part"
        )
    with np.errstate(over="ignore"):  # of numbers that only a wider type has
        flat = flat.astype(float)
    require_finite(who, flat, "vector")
    return flat


def require_deterministic(who: object, cost: Layer) -> None:
    """No layer of `cost` draws at random (ValueError)."""
    for name, value in cost.state().items():
        if hasattr(value, "bit_generator"):
            raise ValueError(
                f"{label(who)} expects a cost that is one function of its parameters, but {label(cost)} draws from "
                f"its generator {name!r} at every call: leave out the layers that do, such as Dropout, or train it by "
                "optimisers that take noise, such as SGD"
            )


__all__ = [
    "Curvature",
    "curvature_at",
    "hessian",
    "hessian_vector_product",
    "require_deterministic",
    "require_vector",
    "split",
]
