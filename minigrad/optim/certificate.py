"""Whether a regression has a minimum at all."""

from __future__ import annotations

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL, IDENTITY
from minigrad.derivatives.regression import Units
from minigrad.existence import existence
from minigrad.typing import Array

SNAP = 1e-10  # by which targets are off that are derived from the loss


def has_no_minimum(units: Units, x: Array) -> bool:
    """It is proven that the cost falls for ever along some direction of parameters without a penalty.

    Units that share nothing are looked at one by one.  The parameters as they are make the answer come sooner.
    """
    if units.mean is IDENTITY or (units.mean.coupled and len(units.linear.weight) == 1):
        return False
    linear, has_bias = units.linear, units.linear.bias is not None
    start = np.column_stack([linear.weight, linear.bias]) if linear.bias is not None else linear.weight
    free = units.ridge[: start.shape[1]] == 0
    target = np.where(np.abs(units.target) < SNAP, 0.0, units.target)
    if units.mean is not EXPONENTIAL:
        target = np.where(np.abs(target - 1) < SNAP, 1.0, target)
    if not free.any() or not np.isfinite(x).all():
        return False
    options = {"bias": has_bias, "free": free}
    if units.mean.coupled:
        found = existence(x, target, likelihood="softmax", weights=units.scale[:, 0], start=start, **options)
        return found.kind in ("complete", "quasi")
    likelihood = "poisson" if units.mean is EXPONENTIAL else "sigmoid"
    return any(
        existence(
            x,
            target[:, k],
            likelihood=likelihood,
            weights=units.scale[:, k if units.scale.shape[1] > 1 else 0],
            start=start[k : k + 1],
            **options,
        ).kind
        in ("complete", "quasi")
        for k in range(len(linear.weight))
    )
