"""Columns: variables in which the inputs of the bottom layer are centred and of unit spread."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.containers import Sequential
from minigrad.layer import Layer
from minigrad.layers import Linear
from minigrad.losses import Penalized
from minigrad.optim.minimum import largest
from minigrad.typing import Array

DWARFS = 1e6  # so many times the usual distance from the median, a row decides mean and spread alone


class Columns:
    """theta <-> u: the parameters of a cost, and variables that do not depend on the units of the input's columns.

        W = U / s,   b = c - W m;      dC/dU = (dC/dW - dC/db m^T) / s,   dC/dc = dC/db

    with the mean m, 0 where there is no bias, and the spread s of each column of x, 1 where it is constant, of the rows
    that are `counted`.  Where a few rows dwarf all others, m is the median and s the median distance from it.  Every
    other parameter is itself.  Where the bottom layer is no Linear, or shares its arrays, all are.
    """

    def __init__(self, cost: Layer, x: Any, counted: Array | None = None) -> None:
        arrays = cost.parameters()
        linear = _bottom(cost)
        self.active = linear is not None and _is_table(x) and _stands_once(cost, linear)
        self.centre: Array | None = None
        self.spread: Array | None = None
        self._still = np.zeros(0, int)  # constant columns that nothing but the bias depends on
        if not self.active or linear is None:
            return
        places = {}
        start = 0
        for array in arrays.values():
            places[id(array)] = slice(start, start + array.size)
            start += array.size
        self._shape = linear.weight.shape
        self._weight = places[id(linear.weight)]
        self._bias = None if linear.bias is None else places[id(linear.bias)]
        rows = x.reshape(-1, x.shape[-1])
        if counted is not None and counted.any() and not counted.all():
            rows = rows[counted]
        with np.errstate(over="ignore", invalid="ignore"):
            self.centre, spread = _moments(rows)
        if not np.isfinite(self.centre + spread).all():
            self.active, self.centre = False, None  # the cost will say what is wrong with x
            return
        if self._bias is not None and not isinstance(cost, Penalized):
            self._still = np.flatnonzero(spread == 0)
        if self._bias is None:
            spread = np.sqrt(spread**2 + self.centre**2)
            self.centre = np.zeros_like(spread)
        self.spread = np.where(spread > 0, spread, 1.0)

    def to_parameters(self, u: Array) -> Array:
        """theta of u: a linear map, so that it takes directions too."""
        if self.spread is None or self.centre is None:
            return u
        theta = u.copy()
        weight = u[self._weight].reshape(self._shape) / self.spread
        theta[self._weight] = weight.ravel()
        if self._bias is not None:
            theta[self._bias] = u[self._bias] - weight @ self.centre
        return theta

    def from_parameters(self, theta: Array) -> Array:
        """u of theta."""
        if self.spread is None or self.centre is None:
            return theta
        u = theta.copy()
        weight = theta[self._weight].reshape(self._shape)
        u[self._weight] = (weight * self.spread).ravel()
        if self._bias is not None:
            u[self._bias] = theta[self._bias] + weight @ self.centre
        return u

    def gradient(self, of_theta: Array) -> Array:
        """dC/du of dC/dtheta."""
        if self.spread is None or self.centre is None:
            return of_theta
        of_u = of_theta.copy()
        weight = of_theta[self._weight].reshape(self._shape)
        if self._bias is not None:
            weight = weight - np.outer(of_theta[self._bias], self.centre)
        of_u[self._weight] = (weight / self.spread).ravel()
        return self.quiet(of_u)

    def quiet(self, of_u: Array) -> Array:
        """`of_u`, changed in place: 0 where it is 0 but for rounding, as of constant columns beside a bias."""
        if self._still.size:
            of_u[self._weight].reshape(self._shape)[:, self._still] = 0.0
        return of_u

    def parameter_gradient(self, of_u: Array) -> Array:
        """dC/dtheta of dC/du."""
        if self.spread is None or self.centre is None:
            return of_u
        of_theta = of_u.copy()
        weight = of_u[self._weight].reshape(self._shape) * self.spread
        if self._bias is not None:
            weight = weight + np.outer(of_u[self._bias], self.centre)
        of_theta[self._weight] = weight.ravel()
        return of_theta

    def norm(self, of_u: Array) -> float:
        """The largest entry of the gradient, in the parameters or in u, whichever is the larger."""
        return max(largest(of_u), self.parameter_norm(of_u))

    def parameter_norm(self, of_u: Array) -> float:
        """The largest entry of the gradient by the parameters."""
        return largest(self.parameter_gradient(of_u))


def _bottom(cost: Layer) -> Linear | None:
    """The Linear that takes the input, if there is one."""
    while type(cost) in (Penalized, Sequential):
        if isinstance(cost, Penalized):
            cost = cost.cost
        elif isinstance(cost, Sequential):
            if not len(cost):
                return None
            cost = cost[0]
    return cost if type(cost) is Linear and isinstance(cost, Linear) else None


def _is_table(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.ndim >= 2 and x.dtype.kind == "f" and x.size > 0


def _stands_once(cost: Layer, linear: Linear) -> bool:
    """No other layer has the arrays of `linear`, for which other columns than those of x count."""
    held = [id(getattr(owner, attribute)) for _, owner, attribute in cost.parameter_places()]
    return all(held.count(id(array)) == 1 for array in linear.parameters().values())


def _moments(rows: Array) -> tuple[Array, Array]:
    """Centre and spread of each column, in two passes, a block of rows at a time."""
    blocks = [rows[start : start + 4096] for start in range(0, len(rows), 4096)]
    centre = np.asarray(sum(np.add.reduce(block, axis=0, dtype=float) for block in blocks)) / len(rows)
    squares = np.asarray(sum(np.add.reduce((block - centre) ** 2, axis=0, dtype=float) for block in blocks)) / len(rows)
    spread = np.sqrt(squares)
    lowest, highest = rows.min(axis=0).astype(float), rows.max(axis=0).astype(float)
    for k in np.flatnonzero(np.maximum(highest - centre, centre - lowest) ** 2 > 0.5 * squares * len(rows)):
        middle = float(np.median(rows[:, k]))
        usual = float(np.median(np.abs(rows[:, k] - middle)))
        if max(highest[k] - middle, middle - lowest[k]) > DWARFS * usual > 0:
            centre[k], spread[k] = middle, usual
    # Of a constant column the mean is off by its rounding: what it leaves would be divided by its own size.
    constant = lowest == highest
    return np.where(constant, lowest, centre), np.where(constant, 0.0, spread)
