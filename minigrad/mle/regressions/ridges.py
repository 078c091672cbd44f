"""Ridges: L2 penalties of the weights of a regression, of its biases, or of both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.likelihood import Local
from minigrad.mle.regressions.parameters import bias_row
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression


def root_of_ridge(regression: Regression) -> Array:
    """M (width, width) with |M v|^2 / 2 the penalty of one unit: W = V factor, b = c - W centre."""
    root = np.zeros((regression.width, regression.width))
    d = np.arange(regression.features)
    root[d, d] = math.sqrt(regression.ridge[0]) * regression.design.factor
    if regression.has_bias:
        root[-1] = math.sqrt(regression.ridge[1]) * bias_row(regression.design)
    return root


def ridge_at(regression: Regression, u: Array) -> Local:
    """The penalty of all units, its gradient and its Hessian."""
    root, units, size = regression.penalty_root, regression.units, regression.size
    square = root.T @ root
    moved = u.reshape(units, regression.width) @ root.T
    hessian = np.einsum("ij,kl->ikjl", np.eye(units), square).reshape(size, size)
    return Local(0.5 * float(np.sum(moved * moved)), (moved @ root).ravel(), hessian)
