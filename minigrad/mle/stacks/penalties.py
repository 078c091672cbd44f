"""Penalties of a stack: their value, gradient and Hessian by the parameters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.containers import Sequential
from minigrad.layer import Layer
from minigrad.losses import L1Penalty, L2Penalty, Penalized
from minigrad.losses.penalties import Penalty
from minigrad.mle.likelihood import Local
from minigrad.typing import Array

STEP = 1e-20  # of a complex step, relative to the parameter


class Penalties:
    """The penalties within a cost, each with the number of the array that it is of, among `arrays`."""

    def __init__(self, cost: Layer, arrays: list[int]) -> None:
        self.found = [(penalty, arrays.index(id(theta))) for penalty, theta in _within(cost)]
        for penalty, _ in self.found:
            if isinstance(penalty, L1Penalty):
                raise ValueError(
                    f"fit expects a penalty that has second derivatives, got {penalty!r}, at whose kinks estimates "
                    "have no standard errors: L2Penalty has them"
                )

    def __bool__(self) -> bool:
        return bool(self.found)

    @property
    def squares(self) -> bool:
        """All are L2 penalties: of the parameters that the likelihood does not tell apart, the least count least."""
        return all(type(penalty) is L2Penalty for penalty, _ in self.found)

    def at(self, theta: Array, slices: list[slice]) -> Local:
        """Their sum at the parameters theta."""
        value, gradient, hessian = 0.0, np.zeros(theta.size), np.zeros((theta.size, theta.size))
        for penalty, i in self.found:
            own = theta[slices[i]]
            value += penalty.strength * float(penalty.of(own))
            gradient[slices[i]] += penalty.strength * penalty.gradient(own)
            hessian[slices[i], slices[i]] += penalty.strength * _second(penalty, own)
        return Local(value, gradient, hessian)


class _Of(NamedTuple):
    penalty: Penalty
    theta: Array


def _within(cost: Layer) -> list[_Of]:
    """The penalties of `cost`, of stacks within it, and of penalised costs within those."""
    if isinstance(cost, Penalized):
        own = [_Of(penalty, theta) for penalty, _, theta in cost._penalized(cost.cost.parameters())]
        return own + _within(cost.cost)
    return [found for part in cost for found in _within(part)] if type(cost) is Sequential else []


def _second(penalty: Penalty, theta: Array) -> Array:
    """The second derivatives of strength 1, by complex steps through the first."""
    if type(penalty) is L2Penalty:
        return np.eye(theta.size)
    steps = STEP * np.where(theta != 0, np.abs(theta), 1.0)
    rows = [penalty.gradient(theta + 1j * h * unit).imag / h for h, unit in zip(steps, np.eye(theta.size), strict=True)]
    return np.array(rows)
