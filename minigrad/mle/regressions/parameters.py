"""Parameters: how those of a cost follow from the variables of its regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.mle.likelihood import Listing
from minigrad.mle.regressions.designs import Design
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression


def bias_row(design: Design) -> Array:
    """b of one unit is this, (width,), times its variables: b = c - W centre."""
    return np.append(-design.centre * design.factor, 1.0)


def listing_of(regression: Regression, identification: str, reference: int) -> Listing:
    """All parameters, class by class and the bias last; under a softmax those beside the class `reference`."""
    shown, labels = regression.contrast, regression.labels
    if regression.mean.coupled and identification == "reference":
        others = [k for k in range(regression.classes) if k != reference]
        shown, labels = (shown - shown[reference])[others], [labels[k] for k in others]
    columns = [*(regression.data.names or []), *["const"] * regression.has_bias]
    by_column = np.eye(regression.width)
    if regression.has_bias:
        by_column[-1] = bias_row(regression.design)
    names = [(f"{label}:" if regression.classes > 1 else "") + column for label in labels for column in columns]
    scale = np.append(regression.design.factor, [1.0] * regression.has_bias)
    return Listing(names, np.kron(shown, by_column), np.tile(scale, len(shown)))


def coefficients_of(regression: Regression, u: Array) -> tuple[Array, Array | None]:
    """W (K, D) and b (K,)."""
    v = regression.contrast @ u.reshape(regression.units, regression.width)
    weight = v[:, : regression.features] * regression.design.factor
    return weight, v @ bias_row(regression.design) if regression.has_bias else None


def arrays_of(regression: Regression, u: Array) -> dict[str, Array]:
    """{name: array}: the parameters of the cost, in its floating type."""
    weight, bias = coefficients_of(regression, u)
    named = {id(regression.linear.weight): weight, id(regression.linear.bias): bias}
    found = {name: (array, named[id(array)]) for name, array in regression.cost.parameters().items()}
    with np.errstate(over="ignore"):
        return {name: np.asarray(value, dtype=array.dtype) for name, (array, value) in found.items()}
