"""The expected information of a stack, sum_n w_n J_n^T F_n J_n, where the expected curvature F_n by z is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from minigrad.checks import label
from minigrad.derivatives.information import INFORMATION, require_likelihood
from minigrad.layer import Layer
from minigrad.losses import HomoscedasticGaussianNLLLoss
from minigrad.mle.stacks.rules import flat, unflat
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.stacks.stack import Stack

KNOWN = (*INFORMATION, HomoscedasticGaussianNLLLoss)  # losses whose expected curvature is
BEND = 0.1  # of a step: where second derivatives along it are taken
KIND = 'cov(kind="expected")'


def is_known(loss: Layer) -> bool:
    """The expected curvature of a loss is known."""
    return hasattr(loss, "expected_curvature") or type(loss) in KNOWN


def scoring(stack: Stack, u: Array) -> tuple[Array, Callable[[Array], Array]]:
    """The expected information, and s -> sum_n w_n J_n^T F_n d2z_n(u + h s)/dh2 (ValueError where it is not known)."""
    if not is_known(stack.loss):
        raise ValueError(
            f"{KIND} expects a loss whose expected curvature is known, got {label(stack.loss)}: write a method "
            'expected_curvature(self, z, u, target) that returns E[d2 l / dz2] u, or take kind="observed"'
        )
    require_likelihood(KIND, stack.loss)
    z, total = stack._output(u), stack.rules.total_at(stack.variables.phi(u))
    own = _own_directions(stack, total.loss)
    jacobian = stack.slopes.along(lambda v: flat(stack._output(v)), u, np.eye(stack.size))
    target, weights = stack.rules.target, stack.rules.weights
    whole = np.zeros((stack.size, stack.size))
    for j in range(stack.size):
        moved = {name: by_u[..., j] for name, by_u in own.items()}
        of_z, of_own = total.expected_curvature(z, (unflat(jacobian[j], z), moved), target, weights)
        whole[j] = np.tensordot(jacobian, flat(of_z), axes=2)
        for name, value in of_own.items():
            whole[j] += np.tensordot(value, own[name], axes=value.ndim)
    here, still = flat(z), {name: by_u[..., 0] * 0.0 for name, by_u in own.items()}

    def bend(step: Array) -> Array:
        there = (flat(stack._output(u + BEND * step)) - here) / BEND
        second = (2 / BEND) * (there - np.tensordot(step, jacobian, axes=1))
        of_z, _ = stack.rules.total_at(stack.variables.phi(u)).expected_curvature(
            z, (unflat(second, z), still), target, weights
        )
        return np.asarray(np.tensordot(jacobian, flat(of_z), axes=2))

    return whole / 2 + whole.T / 2, bend


def _own_directions(stack: Stack, loss: Layer) -> dict[str, Array]:
    """The derivatives of the parameters of the loss by u, (*shape, k)."""
    by_u = stack.variables.size[:, np.newaxis] * stack.variables.inward
    places = dict(zip(stack.rules.shapes, stack.variables.slices, strict=True))
    return {
        name: by_u[places[f"2.loss.{name}"]].reshape(*array.shape, stack.size)
        for name, array in loss.parameters().items()
        if f"2.loss.{name}" in places
    }
