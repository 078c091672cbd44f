"""The Hessian of a regression, by its formula: linear units under a softmax, a sigmoid or a squared error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minigrad.containers import Sequential
from minigrad.kernels import affine, sigmoid, transposed_product
from minigrad.layer import Layer
from minigrad.layers import Linear, LogSoftmax
from minigrad.losses import (
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    L2Penalty,
    MSELoss,
    NLLLoss,
    Penalized,
)
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array

ROWS = 1024  # of the inputs that are scaled at a time
NEGLIGIBLE = 0.05  # a row's weight, relative to the mean of all, without which a preconditioner does
SINGLE = 1e-6  # added to the unit diagonal of blocks that are known to single precision


class Mean(NamedTuple):
    """The mean p(z) of the likelihood, of which the derivative of the loss is a linear function: s p(z) + constant."""

    of: Callable[[Array], Array]
    coupled: bool  # dp/dz is diag(p) - p p^T, else the diagonal `slope` of p
    slope: Callable[[Array], Array]


SOFTMAX = Mean(softmax, True, lambda p: p)
SIGMOID = Mean(sigmoid, False, lambda p: p * (1 - p))
IDENTITY = Mean(lambda z: z, False, np.ones_like)

# What stands on the linear units, and the mean of it.
LIKELIHOODS: dict[tuple[type, ...], Mean] = {
    (LogSoftmax, NLLLoss): SOFTMAX,
    (CrossEntropyLoss,): SOFTMAX,
    (BernoulliNLLLoss,): SIGMOID,
    (BCEWithLogitsLoss,): SIGMOID,
    (MSELoss,): IDENTITY,
}


class LinearUnits:
    """The Hessian of a cost of K linear units z = x W^T + b on N rows, at the parameters of one moment.

        H v   =  (R^T x, sum_n R_n) + ridge v,    for v = (V, c), U = x V^T + c, and of weights s_n of the rows
        R_n   =  s_n p_n (U_n - p_n . U_n)        for the softmax;  s_n p'_n U_n for means that are not coupled
        block =  sum_n w_nk (x_n, 1)(x_n, 1)^T    that of unit k, w_nk = s_n p_nk (1 - p_nk) or s_n p'_nk

    Each product costs two of matrices.  With `centre` and `spread`, (D,), it is the Hessian in other variables
    (W', b'), those in which the columns of x are centred and of unit spread: W = W' / spread, b = b' - W centre.
    """

    method = "analytic"

    def __init__(self, units: Units, x: Array, centre: Array | None = None, spread: Array | None = None) -> None:
        weight, bias = units.linear.weight, units.linear.bias
        self.x, self.has_bias, self.coupled = x, bias is not None, units.mean.coupled
        self.constant = units.mean is IDENTITY
        self.classes, self.features = weight.shape
        self.centre = np.zeros(self.features) if centre is None else centre
        self.spread = np.ones(self.features) if spread is None else spread
        p = units.mean.of(affine(x, weight, bias))
        self.p, self.slope = p, units.scale * units.mean.slope(p)
        # theta_k = change theta'_k turns the ridge into change^T ridge change.
        change = np.diag(np.append(1 / self.spread, 1.0))
        change[-1, :-1] = -self.centre / self.spread
        ridge = change.T @ (units.ridge[:, np.newaxis] * change)
        self.ridge = ridge if self.has_bias else ridge[:-1, :-1]

    def product(self, vector: Array) -> Array:
        """H v."""
        v = self._by_unit(vector)
        r = self._units(v)
        if self.coupled:
            r -= np.add.reduce(self.p * r, axis=1, keepdims=True)
        r *= self.slope
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

    def solve_blocks(self, damping: float = 0.0) -> Callable[[Array], Array]:
        """v -> B^-1 v, for B near the blocks of H + damping: a preconditioner.

        In single precision, and without the rows that hardly count: what it lacks costs a product or two.
        """
        own = self._own()
        blocks = self._blocks(np.where(own >= NEGLIGIBLE * own.mean(axis=0), own, 0.0), np.float32) + damping * np.eye(
            len(self.ridge)
        )
        diagonals = np.diagonal(blocks, axis1=1, axis2=2)
        scale = np.sqrt(np.where(diagonals > 0, diagonals, 1.0))
        both = scale[:, :, np.newaxis] * scale[:, np.newaxis, :]
        inverse = np.linalg.inv((blocks / both + SINGLE * np.eye(len(self.ridge))).astype(np.float32)) / both
        return lambda vector: self._flat(np.matmul(inverse, self._by_unit(vector)[:, :, np.newaxis])[:, :, 0])

    def _own(self) -> Array:
        """w_nk, the weights of the blocks."""
        return self.slope * (1 - self.p) if self.coupled else self.slope

    def _blocks(self, own: Array, dtype: Any) -> Array:
        blocks = np.zeros((self.classes, *self.ridge.shape)) + self.ridge
        for rows, design in self._designs(dtype):
            for k in range(self.classes):
                weights = own[rows, k]
                counted = np.flatnonzero(weights)
                few = len(counted) < len(weights) / 2
                blocks[k] += (
                    _weighted_square(design[counted], weights[counted]) if few else _weighted_square(design, weights)
                )
        return blocks

    def matrix(self) -> Array:
        """H, (P, P), symmetric."""
        k, d = self.classes, len(self.ridge)
        tensor = np.zeros((k, k, d, d))
        own = self._own()
        for rows, design in self._designs(float):
            for i in range(k):
                tensor[i, i] += _weighted_square(design, own[rows, i])
                for j in range(i if self.coupled else 0):
                    tensor[i, j] -= _weighted_square(design, self.slope[rows, i] * self.p[rows, j])
        for i in range(k):
            tensor[i, i] += self.ridge
            for j in range(i):
                tensor[j, i] = tensor[i, j]  # each is symmetric
        order = self._flat(np.arange(k * d).reshape(k, d))
        return tensor.transpose(0, 2, 1, 3).reshape(k * d, k * d)[np.ix_(order, order)]

    def diagonal(self) -> Array:
        """The diagonal of H."""
        return self._flat(np.diagonal(self.blocks(), axis1=1, axis2=2))

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

    def furthest(self, step: Array) -> float:
        """The largest change of a logit, beside those of other classes, along a step; 0 where H is the same everywhere.

        Along a direction in which no logit moves by as much as 1, H cannot fall so fast that a gradient that Newton's
        step would make 0 never gets there: Bach, Electronic Journal of Statistics 4 (2010) 384-414, lemma 1.
        """
        if self.constant:
            return 0.0
        change = self._units(self._by_unit(step))
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
        for start in range(0, len(self.x), ROWS):
            rows = slice(start, start + ROWS)
            scaled = self.x[rows] - self.centre
            design = np.ones((len(scaled), len(self.ridge)), dtype)
            np.divide(scaled, self.spread, out=design[:, : self.features], casting="same_kind")
            yield rows, design


class Units(NamedTuple):
    """What of a regression does not change with its parameters."""

    linear: Linear
    mean: Mean
    scale: Array  # s: of each row, (N, 1), or of each entry, (N, K)
    ridge: Array  # (D + 1,): the strengths of the penalties on the weights of a unit, and on its bias

    def at(self, x: Array, centre: Array | None = None, spread: Array | None = None) -> LinearUnits:
        """The Hessian, at the parameters as they are now."""
        return LinearUnits(self, x, centre, spread)


def linear_units(cost: Layer, x: Any, *arguments: Any) -> LinearUnits | None:
    """The Hessian of `cost` by its formula; None where it is no such regression."""
    units = units_of(cost, x, *arguments)
    return None if units is None else units.at(x)


def units_of(cost: Layer, x: Any, *arguments: Any) -> Units | None:
    """The regression that `cost` is on these data; None where it is none.  Only exact types count, as for fusions."""
    from fnmatch import fnmatchcase  # on use: importing minigrad loads little beyond NumPy

    penalties: list[Any] = []
    stack = cost
    while type(stack) is Penalized:
        penalties += stack.penalties
        stack = stack.cost
    if type(stack) is not Sequential or len(stack) < 2 or type(stack[0]) is not Linear:
        return None
    linear, head = stack[0], stack[1:]
    mean = LIKELIHOODS.get(tuple(map(type, head)))
    if mean is None or any(type(penalty) is not L2Penalty for penalty in penalties):
        return None
    if type(x) is not np.ndarray or x.ndim != 2 or x.dtype.kind != "f":
        return None
    ridge = np.zeros(linear.weight.shape[1] + 1)
    for penalty in penalties:
        ridge[:-1] += penalty.strength * fnmatchcase("0.weight", penalty.pattern)
        ridge[-1] += penalty.strength * fnmatchcase("0.bias", penalty.pattern)
    return Units(linear, mean, _scale(head, mean, (len(x), len(linear.weight)), arguments), ridge)


def _scale(head: Sequential, mean: Mean, shape: tuple[int, int], arguments: tuple[Any, ...]) -> Array:
    """s: the derivative of the loss is s p(z) + constant, so that its values at two z tell s apart."""
    low, high = np.zeros(shape), np.zeros(shape)
    if mean.coupled:
        high[:, 0] = np.log(shape[1])  # half of all probability
        if shape[1] == 1:
            return np.zeros((shape[0], 1))
    else:
        high[:] = 1.0
    of_low, of_high = (head.backward(1.0, head.forward(z, *arguments)[1]) for z in (low, high))
    scale = (of_high - of_low)[:, :1] if mean.coupled else of_high - of_low
    rise = (mean.of(high) - mean.of(low))[:, : scale.shape[1]]
    return np.maximum(scale / rise, 0.0)


def _weighted_square(design: Array, weights: Array) -> Array:
    """design^T diag(weights) design, weights of 0 or more: A^T A, which takes half the time of other products."""
    a = design * np.sqrt(weights).astype(design.dtype)[:, np.newaxis]
    return a.T @ a
