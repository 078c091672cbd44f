"""Derivatives of a cost, from the rules of its layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import require_finite
from minigrad.fusions import fused
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients


def value_and_gradients(cost: Layer, x: Array, *arguments: Any, **options: Any) -> tuple[Any, Gradients]:
    """The cost of a batch and its derivatives by the parameters: (C, {name: dC/dparameter}).

        C = cost.forward(x, *arguments)[0],   the sweep starts at dC/dC = 1

    `arguments` are what the loss on top takes: the target, and observation weights.  ValueError unless the cost is
    one number (reduction "mean" or "sum"); FloatingPointError, which says where it comes from, unless it is finite.
    """
    form = fused(cost)
    try:
        value, cache = form.forward(x, *arguments, **options)
    except Exception:
        if form is cost:
            raise
        form = cost  # its errors name the layers that the caller wrote
        value, cache = form.forward(x, *arguments, **options)
    if getattr(value, "shape", ()) != ():
        raise ValueError(
            f"value_and_gradients expects a cost that is one number, got shape {np.shape(value)}: "
            "end the stack with a loss of reduction 'mean' or 'sum'"
        )
    if not math.isfinite(value.real):
        raise FloatingPointError(f"the cost is {value}: {_origin(cost, x)}")
    return value, form.parameter_gradients(1.0, cache)


def _origin(cost: Layer, x: Array) -> str:
    """Where a cost that is not finite comes from."""
    for name, array in {"x": x, **cost.parameters()}.items():
        try:
            require_finite(cost, np.asarray(array), name)
        except ValueError as error:
            return str(error)
    return "x and all parameters are finite, so a layer overflowed or a loss is infinite there: look at cost[:-1](x)"
