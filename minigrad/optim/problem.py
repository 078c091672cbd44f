"""Problem: a cost of all data as a function of one vector, in variables that suit its columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import all_finite
from minigrad.derivatives.curvature import Curvature
from minigrad.derivatives.gradients import value_and_gradients
from minigrad.derivatives.regression import LinearUnits, units_of
from minigrad.layer import Layer
from minigrad.optim.certificate import has_no_minimum
from minigrad.optim.columns import Columns
from minigrad.optim.newton_cg import Operator
from minigrad.parameters import FlatParameters
from minigrad.typing import Array, Gradients

SHORT = 0.1  # a step along which no logit moves further leads to a minimum, where there is one


class Problem:
    """u -> (cost, dcost/du) of a cost on all of x, whose parameters theta(u) are written into it, see `Columns`."""

    def __init__(self, cost: Layer, x: Any, arguments: tuple[Any, ...], chunk_size: int | None) -> None:
        self.cost, self.x, self.arguments, self.chunk_size = cost, x, arguments, chunk_size
        self.theta = FlatParameters(cost)
        self.units = units_of(cost, x, *arguments)
        self.columns = Columns(cost, x, None if self.units is None else np.asarray(self.units.scale.any(axis=1)))
        self.start = self.theta.vector.copy()
        self.best = (np.inf, self.start)
        self._met: tuple[Array, LinearUnits] | None = None
        self._separated: bool | None = None

    def __call__(self, u: Array) -> tuple[float, Array]:
        """The value and its gradient.  FloatingPointError where they are not finite; then no state has moved."""
        self.write(u)
        before = {name: value.copy() for name, value in self.cost.state().items() if isinstance(value, np.ndarray)}
        try:
            # Steps that go too far are expected, and told by their values.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                value, gradients = self._value_and_gradients()
        except FloatingPointError:
            for name, array in before.items():
                self.cost.state()[name][...] = array
            raise
        if value < self.best[0]:
            self.best = (float(value), self.theta.vector.copy())
        return float(value), self.columns.gradient(self.theta.flatten(gradients).astype(float))

    def write(self, u: Array) -> None:
        """Give the cost the parameters theta(u)."""
        with np.errstate(over="ignore", invalid="ignore"):
            theta = self.columns.to_parameters(u).astype(self.theta.vector.dtype)
        if not all_finite(theta):
            raise FloatingPointError("a step so long that the parameters overflow")
        self.theta.vector[:] = theta

    def product(self, u: Array) -> Operator:
        """v -> H v at u."""
        if self.units is not None:
            units, columns = self._units_at(u), self.columns
            return lambda v: columns.quiet(units.product(v))
        self.write(u)
        curvature, columns = Curvature(self.cost, self.x, self.arguments), self.columns
        return lambda v: columns.gradient(curvature.product(columns.to_parameters(v)))

    def preconditioner(self, u: Array, damping: float, exact: bool = False) -> Operator:
        """v -> (B + damping)^-1 v at u, B the blocks of H that belong to one unit each."""
        return self._units_at(u).solve_blocks(damping, exact)

    def hessian(self, u: Array) -> Array:
        """H at u, for a softmax with what makes it regular: no gradient has a part in its null space."""
        if self.units is not None:
            units = self._units_at(u)
            h, null = units.matrix(), units.null_space()
            empty = np.diagonal(h) == 0  # as of a constant column, of which the gradient has nothing but rounding
            return h + (null * (np.diagonal(h) @ null**2)) @ null.T + np.diag(empty * np.diagonal(h).max())
        self.write(u)
        h = Curvature(self.cost, self.x, self.arguments).matrix()
        half = np.array([self.columns.gradient(row) for row in h])
        return np.array([self.columns.gradient(row) for row in half.T])

    def verdict(self, u: Array, step: Array) -> str | None:
        """What is known of u, of a regression: "gradient", Newton's step is short; "no_minimum"; None, not yet."""
        if self.separated(u):
            return "no_minimum"
        return "gradient" if self._units_at(u).reach(step) <= SHORT else None

    def separated(self, u: Array) -> bool:
        """Of a regression: its minimum is proven not to exist.  u makes the answer come sooner."""
        if self._separated is None:
            assert self.units is not None
            self.write(u)
            self._separated = has_no_minimum(self.units, self.x)
        return self._separated

    def _units_at(self, u: Array) -> LinearUnits:
        """The Hessian of linear units, once for each point."""
        assert self.units is not None
        if self._met is None or self._met[0] is not u:
            self.write(u)
            self._met = u, self.units.at(self.x, self.columns.centre, self.columns.spread)
        return self._met[1]

    def _value_and_gradients(self) -> tuple[Any, Gradients]:
        if self.chunk_size is None:
            return value_and_gradients(self.cost, self.x, *self.arguments)
        from minigrad.derivatives.chunks import value_and_gradients_in_chunks  # on use

        return value_and_gradients_in_chunks(self.cost, self.x, *self.arguments, chunk_size=self.chunk_size)
