"""Gauss-Newton and Fisher: curvature that the loss alone makes, seen through the first derivatives of the model.

    Gauss-Newton    G  =  J^T H_l J        J = dz/dtheta of the model below the loss l, H_l its Hessian by z
    Fisher          F  =  J^T E[H_l] J     E over targets that follow the model: the expected information

Own parameters of the loss count with z.  Both are positive semi-definite where the loss is convex, or a likelihood.
Schraudolph, Neural Computation 14 (2002) 1723-1738; Martens, JMLR 21 (2020) 146.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import label, require_layer
from minigrad.containers import Sequential
from minigrad.derivatives.curvature import Curvature, require_deterministic, require_vector
from minigrad.derivatives.directions import joined, split
from minigrad.derivatives.information import Direction, expected_curvature, require_likelihood
from minigrad.derivatives.jacobians import Jacobian, flat, shaped
from minigrad.derivatives.likelihoods import flattened
from minigrad.derivatives.reductions import model_and_loss, with_top
from minigrad.derivatives.regression import linear_units
from minigrad.derivatives.symmetric import Symmetric
from minigrad.layer import Layer
from minigrad.layers import LogSoftmax
from minigrad.losses import CrossEntropyLoss, NLLLoss
from minigrad.typing import Array, Gradients, Input


def gauss_newton_product(cost: Layer, vector: Array | Gradients, x: Input, *arguments: Any) -> Any:
    """G v = J^T H_l J v, and H v of the penalties, of a vector or of {name: array} the same.

    LogSoftmax and NLLLoss count as one loss.  The Hessian itself where the model is linear in its parameters.
    ValueError unless the cost is a stack that ends in a loss, or for NLLLoss on anything else, in which it is linear.
    """
    return _product(gauss_newton_product, cost, vector, x, arguments, expected=False)


def gauss_newton_matrix(cost: Layer, x: Input, *arguments: Any) -> Array:
    """G, (P, P), in the order of `cost.parameters()`: see `gauss_newton_product`."""
    matrix: Array = _at(gauss_newton_matrix, cost, x, arguments, expected=False).matrix()
    return matrix


def fisher_product(cost: Layer, vector: Array | Gradients, x: Input, *arguments: Any) -> Any:
    """F v = J^T E[H_l] J v, of a vector or of {name: array} the same; penalties are left out, as they are no data.

    For NLLLoss, CrossEntropyLoss, BernoulliNLLLoss, BCELoss, BCEWithLogitsLoss, PoissonNLLLoss, GaussianNLLLoss,
    HomoscedasticGaussianNLLLoss, MSELoss as a variance of 1/2, and losses with a method `expected_curvature`, see
    `information.py`; ValueError for others.  What the targets say in its place is `scores_at(...).outer()`.
    """
    return _product(fisher_product, cost, vector, x, arguments, expected=True)


def fisher_matrix(cost: Layer, x: Input, *arguments: Any) -> Array:
    """F, (P, P), in the order of `cost.parameters()`: see `fisher_product`."""
    matrix: Array = _at(fisher_matrix, cost, x, arguments, expected=True).matrix()
    return matrix


def gauss_newton_at(cost: Layer, x: Input, *arguments: Any) -> Any:
    """G at the parameters as they are now: .product(v), .matrix(), .diagonal(), .trace() and their estimates."""
    return _at(gauss_newton_at, cost, x, arguments, expected=False)


def fisher_at(cost: Layer, x: Input, *arguments: Any) -> Any:
    """F at the parameters as they are now: .product(v), .matrix(), .diagonal(), .trace() and their estimates."""
    return _at(fisher_at, cost, x, arguments, expected=True)


class GaussNewton(Symmetric):
    """G, or with `expected` F, by products with vectors in the order of `cost.parameters()`."""

    def __init__(self, who: str, cost: Layer, x: Input, arguments: tuple[Any, ...], expected: bool) -> None:
        self.arrays, self._arguments = cost.parameters(), arguments
        self.size = sum(array.size for array in self.arrays.values())
        below, self._loss, penalized = model_and_loss(who, cost)
        below, self._loss = _loss_of(who, below, self._loss, expected)
        model = Sequential(*below)
        self._jacobian = Jacobian(model, x, (), {}, who) if model.parameters() else None
        self.z = model.forward(x)[0] if self._jacobian is None else self._jacobian.z
        at_input = AtInput(self._loss, self.z)
        self._names = {id(array): name for name, array in self.arrays.items()}
        self._of_loss = None if expected else Curvature(at_input, None, arguments)
        self._penalties = [] if expected else [Curvature(p.around(Zero(p.cost)), None, ()) for p in penalized]
        self._is_verified = False

    @property
    def method(self) -> str:
        """The string "central differences" where a part of it is, else "complex step"."""
        parts = [self._jacobian, self._of_loss, *self._penalties]
        of_parts = {part.method for part in parts if part is not None}
        return "central differences" if "central differences" in of_parts else "complex step"

    def verify(self) -> None:
        """Compare a product of each part with differences, once."""
        if not self._is_verified:
            self._is_verified = True
            for part in (self._jacobian, self._of_loss, *self._penalties):
                if part is not None:
                    part.verify()

    def product(self, vector: Array) -> Array:
        """G v.  The first compares its parts with differences: NotAnalyticWarning where a layer does not say so."""
        self.verify()
        parts = split(np.asarray(vector, dtype=float), self.arrays)
        total = {name: np.zeros(array.shape) for name, array in self.arrays.items()}
        u = shaped(np.zeros(flat(self.z).size), self.z)
        if self._jacobian is not None:
            own = self._jacobian.arrays
            u = self._jacobian.product(np.concatenate([parts[self._names[id(a)]].ravel() for a in own.values()]))
        of_loss = self._loss.parameters()
        r, of_own = self._middle((u, {name: parts[self._names[id(array)]] for name, array in of_loss.items()}))
        for name, array in of_loss.items():
            total[self._names[id(array)]] += of_own[name]
        if self._jacobian is not None:
            gradients = self._jacobian.transposed_product(r)
            for name, array in self._jacobian.arrays.items():
                total[self._names[id(array)]] += gradients[name]
        product = joined(self.arrays, total)
        for penalty in self._penalties:
            product = product + penalty.product(vector)
        return product

    def _middle(self, direction: Direction) -> Direction:
        """H_l, or E[H_l], times a direction."""
        if self._of_loss is None:
            return expected_curvature(self._loss, self.z, direction, self._arguments)
        u, own = direction
        of_z = flat(u)
        found = self._of_loss.product(np.concatenate([of_z, *map(np.ravel, own.values())]))
        return shaped(found[: of_z.size], self.z), split(found[of_z.size :], self._loss.parameters()) if own else {}


class AtInput(Layer):
    """A loss at one input, which counts among its parameters, before those of its own."""

    rows_independent = False

    def __init__(self, loss: Layer, z: Any) -> None:
        self.loss, self.parts, self._is_tuple = loss, [np.array(part) for part in _tuple_of(z)], type(z) is tuple

    @property
    def complex_safe(self) -> bool:  # type: ignore[override]
        return self.loss.complex_safe

    def parameters(self) -> dict[str, Array]:
        own = {f"loss.{name}": array for name, array in self.loss.parameters().items()}
        return {f"z{i}": part for i, part in enumerate(self.parts)} | own

    def forward(self, z: None, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        return self.loss.forward(tuple(self.parts) if self._is_tuple else self.parts[0], *arguments, **options)

    def parameter_gradients(self, delta: Any, cache: Any) -> Gradients:
        of_z, own = self.loss.backpropagate(delta, cache)
        found = {f"z{i}": part for i, part in enumerate(_tuple_of(of_z))}
        return found | {f"loss.{name}": array for name, array in own.items()}


class Zero(Layer):
    """A cost of 0 with the parameters of another, on which nothing but penalties is left."""

    def __init__(self, cost: Layer) -> None:
        self.cost = cost

    def parameters(self) -> dict[str, Array]:
        return self.cost.parameters()

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return self.cost.parameter_places()

    def forward(self, z: None, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        return 0.0, None

    def parameter_gradients(self, delta: Any, cache: Any) -> Gradients:
        return {name: np.zeros_like(array) for name, array in self.parameters().items()}


def _product(
    function: Any, cost: Layer, vector: Array | Gradients, x: Input, arguments: tuple[Any, ...], expected: bool
) -> Any:
    require_layer(function, cost)
    arrays = cost.parameters()
    flat_vector = require_vector(function, arrays, vector)
    product = _at(function, cost, x, arguments, expected).product(flat_vector)
    return split(product, arrays) if isinstance(vector, Mapping) else product


def _at(function: Any, cost: Layer, x: Input, arguments: tuple[Any, ...], expected: bool) -> Any:
    require_layer(function, cost)
    require_deterministic(function, cost)
    who = label(function)
    if not cost.parameters():
        raise ValueError(f"{who} expects a cost with parameters, got {label(cost)}")
    if expected:
        require_likelihood(who, model_and_loss(who, cost)[1])
    # For linear units both are the Hessian, by its formula.
    units = linear_units(with_top(cost, None, penalties=False) if expected else cost, x, *arguments)
    return GaussNewton(who, cost, x, arguments, expected) if units is None else units


def _loss_of(who: str, below: list[Layer], loss: Layer, expected: bool) -> tuple[list[Layer], Layer]:
    """The layers below the loss, and the loss, with LogSoftmax where the loss is linear without it."""
    if expected or not isinstance(loss, NLLLoss) or isinstance(loss, CrossEntropyLoss):
        return below, loss
    layers = [layer for part in below for layer in flattened(part)]
    if layers and type(layers[-1]) is LogSoftmax:
        return layers[:-1], Sequential(layers[-1], loss)
    raise ValueError(
        f"{who} expects LogSoftmax below {label(loss)}, which is linear in its input, so that nothing would be left: "
        "put it there, or take fisher_product"
    )


def _tuple_of(z: Any) -> tuple[Any, ...]:
    return z if type(z) is tuple else (z,)
