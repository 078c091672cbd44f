"""Whole costs with wrong layers in them: (make, sample, place), where `place` names the wrong layer or layers.

A place is the path of a layer below the cost, as in the names of parameters: "1.0" is layer 0 of layer 1; several are
parted by commas.  In the costs of CANCELLING two wrong rules make up for each other from end to end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from right.for_protocol import Conv1d, Dense, Flatten, LayerNorm, MeanPool, PReLU, Residual, Scale, SquaredLoss, Swish

from minigrad import Layer, Linear, LogSoftmax, NLLLoss, Sequential, Sigmoid, Softmax, Tanh


class FlatTanh(Tanh):
    """Rule 2 takes the derivative at tanh z for z: 1 - tanh(y)^2."""

    def df(self, y):
        return 1 - np.tanh(y) ** 2


class ForgetfulResidual(Residual):
    """Rule 2 forgets the direct path."""

    def backward(self, delta, cache):
        return self.inner.backward(delta, cache)


class DiagonalSoftmax(Softmax):
    """Rule 2 is the diagonal of the Jacobian alone."""

    def backward(self, delta, p):
        return delta * p * (1 - p)


class FixedStatistics(LayerNorm):
    """Rule 2 takes mean and standard deviation for constants."""

    def backward(self, delta, cache):
        return delta * self.gamma / cache[1]


class SummedLoss(SquaredLoss):
    """Rule 1 is the mean over the batch, rule 2 that of the sum."""

    def forward(self, z, target):
        value, residual = super().forward(z, target)
        return value / max(len(z), 1), residual


class MeanWeight(Dense):
    """Rule 3 of w takes the mean over the batch for the sum."""

    def parameter_gradients(self, delta, z):
        return {"w": z.T @ delta / max(len(z), 1), "b": delta.sum(axis=0)}


class SquareTransposed(Dense):
    """Rule 3 of w, which is square, is transposed."""

    def parameter_gradients(self, delta, z):
        return {"w": delta.T @ z, "b": delta.sum(axis=0)}


class FlippedKernel(Conv1d):
    """Rule 3 returns the kernel reversed along its width."""

    def parameter_gradients(self, delta, z):
        return {"kernel": super().parameter_gradients(delta, z)["kernel"][:, :, ::-1]}


class SlopeEverywhere(PReLU):
    """Rule 3 sums over z above 0 as well."""

    def parameter_gradients(self, delta, z):
        return {"a": (delta * z).sum(axis=0)}


class DoubledSwish(Swish):
    """Rule 2 is twice the right one."""

    def df(self, z):
        return 2 * super().df(z)


class HalvedSigmoid(Sigmoid):
    """Rule 2 is half the right one."""

    def df(self, y):
        return 0.5 * y * (1 - y)


class NegatedTanh(Tanh):
    """Rule 2 has the wrong sign."""

    def df(self, y):
        return y * y - 1


class NegatedScale(Scale):
    """Rule 2 has the wrong sign; rule 3 is right."""

    def backward(self, delta, z):
        return -delta * self.a


class SumPoolRule(MeanPool):
    """Rule 2 is that of the sum: too large by the length of axis 1."""

    def backward(self, delta, shape):
        return np.broadcast_to(delta[:, None], shape)


class AveragedMaps(Layer):
    """Squares its input; rule 2 divides by the length of axis 1."""

    def forward(self, z):
        return z * z, z

    def backward(self, delta, z):
        return 2 * delta * z / z.shape[1]


class Rotation(Layer):
    """z R for a fixed rotation R; rule 2 takes R for its transpose."""

    def __init__(self, angle):
        self.cos, self.sin = float(np.cos(angle)), float(np.sin(angle))

    def turn(self, z, sin):
        x, y = z[:, :1], z[:, 1:]
        return np.concatenate([self.cos * x + sin * y, self.cos * y - sin * x], axis=1)

    def forward(self, z):
        return self.turn(z, self.sin), None

    def backward(self, delta, cache):
        return self.turn(delta, self.sin)


def classes(n, features, count):
    """Draws (z, labels)."""
    return lambda rng: (rng.normal(size=(n, features)), rng.integers(0, count, n))


def targets(shape, outputs):
    """Draws (z, target)."""
    return lambda rng: (rng.normal(size=shape), rng.normal(size=(shape[0], outputs)))


def sequences(rng):
    """Draws (z, labels) with z (4, 2, 6)."""
    return rng.normal(size=(4, 2, 6)), rng.integers(0, 3, 4)


RULE_2 = [
    (
        lambda: Sequential(Linear(3, 4, rng=0), FlatTanh(), Linear(4, 3, rng=1), LogSoftmax(), NLLLoss()),
        classes(5, 3, 3),
        "1",
    ),
    (
        lambda: Sequential(Dense(3, 4), ForgetfulResidual(Linear(4, 4, rng=2)), Dense(4, 2), SquaredLoss()),
        targets((5, 3), 2),
        "1",
    ),
    (
        lambda: Sequential(Dense(3, 4), Sequential(DiagonalSoftmax(), Dense(4, 3, seed=1)), SquaredLoss()),
        targets((5, 3), 3),
        "1.0",
    ),
    (
        lambda: Sequential(
            Dense(3, 4), Residual(Sequential(FixedStatistics(), Dense(4, 4, seed=3), Tanh())), LogSoftmax(), NLLLoss()
        ),
        classes(5, 3, 4),
        "1.inner.0",
    ),
    (lambda: Sequential(Dense(3, 2), Tanh(), SummedLoss()), targets((5, 3), 2), "2"),
    (
        lambda: Sequential(FlatTanh(), Dense(3, 4), LayerNorm(), DiagonalSoftmax(), Dense(4, 2), SquaredLoss()),
        targets((5, 3), 2),
        "0,3",
    ),
]

RULE_3 = [
    (
        lambda: Sequential(MeanWeight(3, 4), Tanh(), Dense(4, 4, seed=1), Swish(), Dense(4, 2, seed=2), SquaredLoss()),
        targets((5, 3), 2),
        "0",
    ),
    (
        lambda: Sequential(
            Dense(3, 4), Sequential(Tanh(), Residual(SquareTransposed(4, 4))), Dense(4, 3), LogSoftmax(), NLLLoss()
        ),
        classes(5, 3, 3),
        "1.1.inner",
    ),
    (
        lambda: Sequential(FlippedKernel(), Flatten(), PReLU(8), Dense(8, 3), LogSoftmax(), NLLLoss()),
        sequences,
        "0",
    ),
    (
        lambda: Sequential(Dense(3, 4), SlopeEverywhere(4), Dense(4, 3), LogSoftmax(), NLLLoss()),
        classes(6, 3, 3),
        "1",
    ),
]

# No parameters stand between the two: all gradients of the whole are right.
CANCELLING = [
    (lambda: Sequential(HalvedSigmoid(), DoubledSwish(), Dense(3, 2), SquaredLoss()), targets((5, 3), 2), "0,1"),
    (
        lambda: Sequential(Dense(3, 4), NegatedTanh(), NegatedScale(4), Dense(4, 3), LogSoftmax(), NLLLoss()),
        classes(5, 3, 3),
        "1,2",
    ),
    (
        lambda: Sequential(Rotation(0.7), Rotation(-0.7), Dense(2, 3), SquaredLoss()),
        targets((5, 2), 3),
        "0,1",
    ),
    (
        lambda: Sequential(Sequential(Swish(), NegatedTanh()), Sequential(NegatedTanh(), Dense(3, 2)), SquaredLoss()),
        targets((5, 3), 2),
        "0.1,1.0",
    ),
    (
        lambda: Sequential(Conv1d(), AveragedMaps(), SumPoolRule(), Dense(4, 3), LogSoftmax(), NLLLoss()),
        sequences,
        "1,2",
    ),
]


MODELS: list[tuple[Callable[[], Layer], Callable[[np.random.Generator], tuple[Any, ...]], str]] = [
    *RULE_2,
    *RULE_3,
    *CANCELLING,
]
