"""The Hessian of a regression, by its formula: linear units under a softmax, a sigmoid or a squared error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.checks import all_finite
from minigrad.containers import Sequential
from minigrad.derivatives.likelihoods import (
    EXPONENTIAL,
    IDENTITY,
    LIKELIHOODS,
    SIGMOID,
    Mean,
    flattened,
    scale_and_target,
    scale_of,
)
from minigrad.derivatives.squares import (
    coupled_squares,
    scaled_roots,
    separate_squares,
    weighted_square,
    without,
)
from minigrad.derivatives.symmetric import Symmetric
from minigrad.derivatives.unit_rows import coupled, mean_or_slope, product
from minigrad.kernels import affine, transposed_product
from minigrad.layer import Layer
from minigrad.layers import Linear, Sigmoid
from minigrad.losses import BCELoss, L2Penalty, Penalized
from minigrad.typing import Array

ROWS = 1024  # of the inputs that are scaled at a time
NEGLIGIBLE = 0.05  # a row's weight, relative to the mean of all, without which a preconditioner does
SINGLE = 1e-6  # added to the unit diagonal of blocks that are known to single precision
CERTAIN = 1e-18  # a row's curvature, relative to the largest, that is lost beside it


class LinearUnits(Symmetric):
    """The Hessian of a cost of K linear units z = x W^T + b on N rows, at the parameters of one moment.

        H v   =  (R^T x, sum_n R_n) + ridge v,    for v = (V, c), U = x V^T + c, and of weights s_n of the rows
        R_n   =  s_n p_n (U_n - p_n . U_n)        for the softmax;  s_n p'_n U_n for means that are not coupled
        block =  sum_n w_nk (x_n, 1)(x_n, 1)^T    that of unit k, w_nk = s_n p_nk (1 - p_nk) or s_n p'_nk

    Each product costs two of matrices.  With `centre` and `spread`, (D,), it is the Hessian in other variables
    (W', b'), those in which the columns of x are centred and of unit spread: W = W' / spread, b = b' - W centre.
    """

    method = "analytic"
    asymmetry = 0.0  # by its formula

    def __init__(self, units: Units, x: Array, centre: Array | None = None, spread: Array | None = None) -> None:
        weight, bias = units.linear.weight, units.linear.bias
        self.units, self.x, self.has_bias, self.coupled = units, x, bias is not None, units.mean.coupled
        self.constant = units.mean is IDENTITY
        self.classes, self.features = weight.shape
        self.size = weight.size + (0 if bias is None else bias.size)
        self.centre = np.zeros(self.features) if centre is None else centre
        self.spread = np.ones(self.features) if spread is None else spread
        self._p = mean_or_slope(units.mean, affine(x, weight, bias))  # of coupled means alone used as p
        self._likeliest = (np.arange(len(x)), self._p.argmax(axis=1)) if self.coupled else None
        self.slope = units.scale * self._p
        # theta_k = change theta'_k turns the ridge into change^T ridge change.
        change = np.diag(np.append(1 / self.spread, 1.0))
        change[-1, :-1] = -self.centre / self.spread
        ridge = change.T @ (units.ridge[:, np.newaxis] * change)
        self.ridge = ridge if self.has_bias else ridge[:-1, :-1]

    def product(self, vector: Array) -> Array:
        """H v."""
        v = self._by_unit(vector)
        r = self._units(v)
        likeliest = self._likeliest
        r = r * self.slope if likeliest is None else coupled(self._p, r, r[likeliest]) * self.units.scale
        product = v @ self.ridge
        d_weight = transposed_product(r, self.x)
        if self.has_bias:
            d_bias = np.add.reduce(r, axis=0)
            d_weight -= d_bias[:, np.newaxis] * self.centre
            product[:, -1] += d_bias
        product[:, : self.features] += d_weight / self.spread
        return self._flat(product)

    def blocks(self) -> Array:
        """The blocks of H that belong to one unit each: (K, D + 1, D + 1), the bias last, or (K, D, D) without one."""
        return self._blocks(self._own(), float)

    def solve_blocks(self, damping: float = 0.0, exact: bool = False) -> Callable[[Array], Array]:
        """v -> B^-1 v, for B near the blocks of H + damping: a preconditioner, positive definite.

        In single precision, and without the rows that hardly count: what it lacks costs a product or two.  `exact`
        is in double precision, of all rows: those that hardly count are what tells a minimum from its absence.
        """
        own = self._own()
        with np.errstate(over="ignore", invalid="ignore"):
            if exact:
                blocks = self._blocks(own, float)
            else:
                blocks = self._blocks(np.where(own >= NEGLIGIBLE * own.mean(axis=0), own, 0.0), np.float32)
            blocks += damping * np.eye(len(self.ridge))
        if not all_finite(blocks):
            # Squares of rows that are so far out have no place in single precision, or in double.
            return (lambda vector: vector) if exact else self.solve_blocks(damping, exact=True)
        root = scaled_roots(blocks, SINGLE if not exact else 0.0)
        transposed = root.transpose(0, 2, 1)
        return lambda vector: self._flat((root @ (transposed @ self._by_unit(vector)[:, :, np.newaxis]))[:, :, 0])

    def _own(self) -> Array:
        """w_nk, the weights of the blocks."""
        return self.slope * without(self._p) if self.coupled else self.slope

    def _blocks(self, own: Array, dtype: Any) -> Array:
        blocks = np.zeros((self.classes, *self.ridge.shape)) + self.ridge
        for rows, design in self._designs(dtype):
            for k in range(self.classes):
                weights = own[rows, k]
                counted = np.flatnonzero(weights)
                few = len(counted) < len(weights) / 2
                blocks[k] += (
                    weighted_square(design[counted], weights[counted]) if few else weighted_square(design, weights)
                )
        return blocks

    def matrix(self) -> Array:
        """H, (P, P), symmetric."""
        k, d = self.classes, len(self.ridge)
        if self.coupled:
            tensor = coupled_squares(self._designs(float), self._p, self.units.scale)
        else:
            tensor = separate_squares(self._designs(float), self.slope)
        for i in range(k):
            tensor[i, :, i] += self.ridge
        order = self._flat(np.arange(k * d).reshape(k, d))
        whole = tensor.reshape(k * d, k * d)
        return whole[order[:, np.newaxis], order] if self.has_bias else whole

    def diagonal(self) -> Array:
        """The diagonal of H."""
        return self._flat(np.diagonal(self.blocks(), axis1=1, axis2=2))

    @property
    def digits(self) -> int:
        """How many digits of H to trust, relative to its diagonal: those of the logits, whose parts may cancel."""
        weight, bias = self.units.linear.weight, self.units.linear.bias
        parts = affine(np.abs(self.x), np.abs(weight), None if bias is None else np.abs(bias))
        return max(0, min(14, int(-np.log10(np.finfo(float).eps * (8 + parts.max(initial=0.0))))))

    def null_space(self) -> Array:
        """Directions along which H is 0 wherever it is taken, as columns (P, M).

        A softmax does not change where one vector is added to the weights of all classes.
        """
        free = np.flatnonzero(~np.any(self.ridge, axis=0)) if self.coupled else np.zeros(0, int)
        directions = np.zeros((self.classes * len(self.ridge), len(free)))
        for direction, feature in zip(directions.T, free, strict=True):
            unit = np.zeros((self.classes, len(self.ridge)))
            unit[:, feature] = self.classes**-0.5
            direction[:] = self._flat(unit)
        return directions

    def reach(self, step: Array) -> float:
        """How far Newton's step p moves a logit.  Where there is no minimum, by 1 or more, see `minigrad.existence`.

        For if the loss of no row rises along some v, of logits U with largest |U_n| = 1, then for the sigmoid, with
        e_n = s_n |p_n - t_n| and logits P of the step,

            sum_n e_n |U_n|  =  -g.v  =  p^T H v  =  sum_n s_n p'_n P_n U_n  <=  max |P_n| sum_n e_n |U_n|
        """
        if self.constant:
            return 0.0
        own = self._own().max(axis=1)
        bent = own > CERTAIN * own.max(initial=0.0)  # the others have no part in either sum
        return self._size(self._units(self._by_unit(step))[bent])

    def _size(self, change: Array) -> float:
        """The largest change of a logit, beside those of other classes where they are coupled."""
        if self.coupled:
            return float((change.max(axis=1) - change.min(axis=1)).max(initial=0.0))
        return float(np.abs(change).max(initial=0.0))

    def _units(self, v: Array) -> Array:
        """x V^T + c, for V and c in the scaled variables."""
        weight = v[:, : self.features] / self.spread
        return affine(self.x, weight, v[:, -1] - weight @ self.centre if self.has_bias else None)

    def _by_unit(self, vector: Array) -> Array:
        """The weights and bias of each unit in one row."""
        if not self.has_bias:
            return vector.reshape(self.classes, self.features)
        split = self.classes * self.features
        return np.column_stack([vector[:split].reshape(self.classes, self.features), vector[split:]])

    def _flat(self, by_unit: Array) -> Array:
        """Back to the order of the parameters: all weights, then all biases."""
        if not self.has_bias:
            return by_unit.ravel()
        return np.concatenate([by_unit[:, :-1].ravel(), by_unit[:, -1]])

    def _designs(self, dtype: Any) -> Iterator[tuple[slice, Array]]:
        """Rows of the inputs, centred and of unit spread, with a last column of ones for the bias."""
        for start in range(0, max(len(self.x), 1), ROWS):
            rows = slice(start, start + ROWS)
            scaled = self.x[rows] - self.centre
            design = np.ones((len(scaled), len(self.ridge)), dtype)
            np.divide(scaled, self.spread, out=design[:, : self.features], casting="same_kind")
            yield rows, design


class Units:
    """What of a regression does not change with its parameters.

    `ridge`, (D + 1,), holds the strengths of the penalties on the weights of a unit, and on its bias.
    """

    def __init__(
        self, linear: Linear, mean: Mean, head: Sequence[Any], ridge: Array, rows: int, arguments: Any
    ) -> None:
        self.linear, self.mean, self.ridge, self._shape = linear, mean, ridge, (rows, len(linear.weight))
        self._head, self._arguments = head, arguments
        self._scale = scale_of(head, mean, self._shape, arguments)

    @cached_property
    def scale(self) -> Array:
        """s: of each row, (N, 1), or of each entry, (N, K)."""
        return np.broadcast_to(self._scale, (self._shape[0], self._scale.shape[1]))

    @cached_property
    def target(self) -> Array:
        """t, (N, K), of the arguments as they are when it is first read."""
        return scale_and_target(Sequential(*self._head), self.mean, self._shape, self._arguments)[1]

    def at(self, x: Array, centre: Array | None = None, spread: Array | None = None) -> LinearUnits:
        """The Hessian, at the parameters as they are now."""
        return LinearUnits(self, x, centre, spread)

    def product(self, x: Array, vector: Array) -> Array:
        """H v of one vector: as `at(x).product(vector)`, with nothing kept, in constant extra memory."""
        weight, bias = self.linear.weight, self.linear.bias
        v, c = vector[: weight.size].reshape(weight.shape), vector[weight.size :]
        direction = v, None if bias is None else c
        of_weight, of_bias = product(self.mean, self._scale, (weight, bias), x, direction)
        of_weight += v * self.ridge[:-1]
        of_bias[: c.size] += c * self.ridge[-1]
        return np.concatenate([of_weight.ravel(), of_bias[: c.size]])


def linear_units(cost: Layer, x: Any, *arguments: Any) -> LinearUnits | None:
    """The Hessian of `cost` by its formula; None where it is no such regression."""
    return None if (units := units_of(cost, x, *arguments)) is None else units.at(x)


def units_of(cost: Layer, x: Any, *arguments: Any) -> Units | None:
    """The regression that `cost` is on these data; None where it is none.  Only exact types count, as for fusions."""
    penalties: list[tuple[Any, dict[int, str]]] = []
    stack = cost
    while type(stack) is Penalized:
        names = {id(array): name for name, array in stack.parameters().items()}
        penalties += [(penalty, names) for penalty in stack.penalties]
        stack = stack.cost
    linear, *head = flattened(stack)
    types = tuple(map(type, head))
    mean = SIGMOID if types == (Sigmoid, BCELoss) else LIKELIHOODS.get(types)
    if type(linear) is not Linear or mean is None or any(type(penalty) is not L2Penalty for penalty, _ in penalties):
        return None
    if mean is EXPONENTIAL and not head[0].log_input:
        return None
    if type(x) is not np.ndarray or x.ndim != 2 or x.dtype.kind != "f" or x.shape[1] != linear.weight.shape[1]:
        return None
    if any(array.dtype.kind != "f" for array in linear.parameters().values()):
        return None
    ridge = np.zeros(linear.weight.shape[1] + 1)
    for penalty, names in penalties:
        from fnmatch import fnmatchcase  # on use: importing minigrad loads little beyond NumPy

        ridge[:-1] += penalty.strength * fnmatchcase(names[id(linear.weight)], penalty.pattern)
        if linear.bias is not None:
            ridge[-1] += penalty.strength * fnmatchcase(names[id(linear.bias)], penalty.pattern)
    return Units(linear, mean, head, ridge, len(x), arguments)
