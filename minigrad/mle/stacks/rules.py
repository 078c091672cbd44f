"""Rules: the value of a stack and its derivatives at any parameters, from the three rules of its layers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.containers import Sequential
from minigrad.derivatives.directions import Directions, split
from minigrad.layer import Layer
from minigrad.mle.stacks.total import Total, total_of
from minigrad.mle.stacks.trying import first, rows_of
from minigrad.typing import Array, Input

COMPLEX_STEP = 1e-20  # of variables of usual size: its square, the error, vanishes beside 1
LEVEL = 4  # of the step with which differences begin
ANALYTIC = 1e-8  # relative: by what a complex step may differ from differences, beyond their error
ERRORS = 20.0  # of differences: how far they may be off
OUTSIDE = (FloatingPointError, ValueError, OverflowError, ZeroDivisionError, np.linalg.LinAlgError)
"""What a layer may raise where its parameters have gone too far."""


class Rules:
    """J(phi) = sum_n w_n l(f(x_n) + offset_n, t_n), of layers `lower` below the offset and `upper` above it.

    phi is one vector of all parameters, real or complex, in the order of `shapes`.  The copies that are evaluated have
    views of one vector each: another phi is written there, and nothing is copied again.
    """

    def __init__(self, lower: Sequence[Layer], upper: Sequence[Layer], loss: Layer) -> None:
        self._below, self._above, self._loss = Sequential(*lower), Sequential(*upper), loss

    def arrays(self) -> list[Array]:
        """The parameters in the order of phi."""
        return list(Sequential(self._below, self._above, self._loss).parameters().values())

    def start(self, x: Input, target: Any, weights: Array | None, offset: Array | None) -> None:
        """Look at the data (what the loss raises, where it takes them neither as they are nor as a column)."""
        self.x, self.weights, self.offset = x, weights, None if offset is None else column(offset)
        with np.errstate(all="ignore"):
            z = self._above.forward(moved_by(self._below.forward(x)[0], self.offset))[0]
        trouble: Exception | None = None
        for each in _forms(target, z):
            try:
                self.target, self.total = each, total_of(self._loss, z, each)
                with np.errstate(all="ignore"):
                    _require_delta(self.total, z, each, weights)
                break
            except (ValueError, TypeError, IndexError) as error:
                trouble = trouble or error
        else:
            assert trouble is not None
            raise trouble
        joint = Sequential(self._below, self._above, self.total)
        arrays = joint.parameters()
        self.shapes = {name: array.shape for name, array in arrays.items()}
        self.point = np.concatenate([np.ravel(array) for array in arrays.values()]).astype(float)
        self.complex_safe = bool(joint.complex_safe)
        self._copies = {kind: self._copy(joint, kind) for kind in (float, complex)[: 1 + self.complex_safe]}

    def shifts_freely(self, outputs: int) -> bool:
        """Adding a number to all `outputs` of a row above `lower` changes nothing, as of a softmax: found by trying."""
        if outputs < 2:
            return False
        rng, rows = np.random.default_rng(0), slice(0, 50)
        z = self._below.forward(rows_of(self.x, rows))[0]
        if type(z) is tuple or z.shape[-1] != outputs:
            return False
        z, target = rng.normal(size=z.shape), rows_of(self.target, rows)

        def loss(z: Array) -> float:
            return float(self.total.forward(self._above.forward(z)[0], target)[0])

        with np.errstate(all="ignore"):
            try:
                base = loss(z)
                moved = [loss(z + rng.normal(size=(*z.shape[:-1], 1))) for _ in range(2)]
                return all(abs(each - base) <= 1e-12 * abs(base) for each in moved)
            except OUTSIDE:
                return False

    def value(self, phi: Array) -> float:
        """J; infinity where phi has gone too far."""
        with np.errstate(all="ignore"):
            try:
                value = float(self._forward(phi)[0].real)
            except OUTSIDE:
                return math.inf
        return value if math.isfinite(value) else math.inf

    def value_and_gradient(self, phi: Array) -> tuple[Any, Array]:
        """J and dJ/dphi, by one sweep."""
        value, (joint, lower, upper, top) = self._forward(phi)
        total = joint[2]
        delta, of_above = joint[1].backpropagate(total.backward(1.0, top), upper)
        gradients = joint.gather(
            [joint[0].parameter_gradients(delta, lower), of_above, total.parameter_gradients(1.0, top)]
        )
        return value, np.concatenate([np.ravel(gradients[name]) for name in self.shapes])

    def output(self, phi: Array, x: Any = None, offset: Any = None) -> Any:
        """What the loss is given: (N, ...), or a tuple."""
        joint = self._at(phi)
        return joint[1].forward(moved_by(joint[0].forward(x)[0], offset))[0]

    def terms(self, phi: Array) -> Array:
        """The loss of each row, (N,)."""
        return np.asarray(self._at(phi)[2].terms(self.output(phi, self.x, self.offset), self.target))

    def total_at(self, phi: Array) -> Total:
        """The loss on top, with its parameters in phi."""
        total: Total = self._at(phi)[2]
        return total

    def of_row(self, phi: Array, n: int) -> Array:
        """The gradient of the loss of row n alone."""
        kept = self.x, self.target, self.weights, self.offset
        try:
            self.x, self.target = rows_of(self.x, slice(n, n + 1)), rows_of(self.target, slice(n, n + 1))
            self.weights, self.offset = None, None if self.offset is None else self.offset[n : n + 1]
            return self.value_and_gradient(phi)[1]
        finally:
            self.x, self.target, self.weights, self.offset = kept

    def _forward(self, phi: Array) -> tuple[Any, tuple[Any, Any, Any, Any]]:
        joint = self._at(phi)
        z, lower = joint[0].forward(self.x)
        z, upper = joint[1].forward(moved_by(z, self.offset))
        value, top = joint[2].forward(z, self.target, self.weights)
        return value, (joint, lower, upper, top)

    def _at(self, phi: Array) -> Any:
        vector, joint = self._copies[complex if np.iscomplexobj(phi) else float]
        vector[:] = phi
        return joint

    def _copy(self, joint: Sequential, kind: type) -> tuple[Array, Sequential]:
        vector: Array = self.point.astype(kind)
        return vector, joint.with_parameters(split(vector, joint.parameters()))


class Differences(Directions):
    """Differences of functions of variables u of usual size, where phi = map(u): extrapolated, at the best of steps."""

    def __init__(self, u: Array, units: Array | float = 1.0) -> None:
        self.u, self.point = u, np.maximum(units, np.sqrt(np.abs(u) * units))  # what steps are measured by
        self.error, self.step, self._level, self.layer = 0.0, 0.0, LEVEL, Layer()

    def of(self, function: Any, v: Array) -> Array:
        """The derivative along v; `error` is the largest so far, relative to the largest entry."""
        base = np.asarray(function(self.u))
        if not v.any():
            return np.zeros(base.shape)
        found, error = self.differences(function, v, base, 1.0)
        self.step = 0.5 / self.relative_size(v) * 4.0**-self._level
        self.error = max(self.error, error)
        return found

    def _at(self, function: Any, step: Array, real: bool = True) -> Array | None:
        try:
            return np.asarray(function(self.u + step))
        except OUTSIDE:
            return None


class Slopes:
    """Derivatives of functions of variables u of usual size, where phi = map(u), along each of them.

        complex step           Im f(u + i h e_j) / h                          exact to rounding
        central differences    those of `Directions`                          to about eleven digits

    `error` is the largest estimated error in the last matrix, relative to its largest entry; of complex steps it is
    `doubt`, by which they were seen to differ from differences.
    """

    def __init__(self, complex_safe: bool) -> None:
        self.complex_safe, self.doubt, self.error = complex_safe, 0.0, 0.0

    @property
    def method(self) -> str:
        """How derivatives are computed."""
        return "complex step" if self.complex_safe else "central differences"

    def along(self, function: Any, u: Array, directions: Array) -> Array:
        """The derivative of an array along each column of `directions`, stacked on a first axis."""
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            if self.complex_safe:
                try:
                    self.error = self.doubt
                    return np.array([function(u + 1j * COMPLEX_STEP * v).imag / COMPLEX_STEP for v in directions.T])
                except (TypeError, ValueError, np.exceptions.ComplexWarning):
                    self.complex_safe = False  # some rule, whatever it declares, takes real numbers alone
            differences = Differences(u)
            found = np.array([differences.of(function, v) for v in directions.T])
            self.error = differences.error
            return found

    def verify(self, function: Any, u: Array, v: Array) -> None:
        """Take differences from now on, if complex steps do not agree with them, as where a rule takes |z|."""
        if not self.complex_safe:
            return
        exact = self.along(function, u, v[:, np.newaxis])[0]
        if not self.complex_safe or not exact.size:
            return
        differences = Differences(u)
        try:
            with np.errstate(all="ignore"):
                found = differences.of(function, v)
        except FloatingPointError:
            return
        size = float(np.abs(found).max())
        apart = float(np.abs(found - exact).max())
        if apart > (ANALYTIC + ERRORS * differences.error) * size:
            self.complex_safe = False
        elif apart > ERRORS * differences.error * size:
            self.doubt = max(self.doubt, apart / size)


def flat(z: Any) -> Array:
    """z, or a tuple of parts, as (N, E)."""
    if type(z) is tuple:
        return np.concatenate([flat(part) for part in z], axis=1)
    return np.reshape(z, (len(z), -1))


def unflat(values: Array, like: Any) -> Any:
    """(N, E) in the shape of `like`."""
    if type(like) is not tuple:
        return values.reshape(like.shape)
    ends = np.cumsum([part.size // len(part) for part in like])[:-1]
    return tuple(part.reshape(each.shape) for part, each in zip(np.split(values, ends, axis=1), like, strict=True))


def moved_by(z: Any, offset: Array | None) -> Any:
    """z + offset (ValueError unless they have one shape)."""
    if offset is None:
        return z
    if np.shape(z) != offset.shape:
        raise ValueError(f"fit expects offset of the shape of the linear units, {np.shape(z)}, got {offset.shape}")
    return z + offset


def column(values: Any) -> Array:
    """(N, K): one number for each row as a column."""
    array = np.asarray(values, dtype=float)
    return array[:, np.newaxis] if array.ndim == 1 else array


def _forms(target: Any, z: Any) -> list[Any]:
    """The target as it is, and, where there is one number for each row, as a column or without its axis.

    Two shapes that broadcast would compare every pair of rows, and no sum over rows comes of it.
    """
    shape = np.shape(first(z))
    if type(target) is tuple or len(shape) != 2 or shape[1] != 1:
        return [target]
    array = np.asarray(target)
    if array.ndim == 1:
        return [target, array[:, np.newaxis]]
    return [target, array[:, 0]] if array.ndim == 2 and array.shape[1] == 1 else [target]


def _require_delta(total: Total, z: Any, target: Any, weights: Array | None) -> None:
    """Rule 2 of the loss gives one number for each that it is given (ValueError): none, where shapes broadcast."""
    _, cache = total.forward(z, target, weights)
    delta = total.backward(1.0, cache)
    if type(z) is not tuple and np.shape(delta) != np.shape(z):
        raise ValueError(
            f"{label(total.loss)} expects to give a delta of the shape of its input, {np.shape(z)}, for a target of "
            f"shape {np.shape(target)}, got {np.shape(delta)}: y may need another shape"
        )
