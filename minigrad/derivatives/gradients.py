"""The value of a cost and its gradients, of one batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import label, require_finite, require_layer, shape_of
from minigrad.fusions import plan
from minigrad.layer import Layer
from minigrad.typing import Gradients, Input


def value_and_gradients(cost: Layer, x: Input, *arguments: Any, **options: Any) -> tuple[Any, Gradients]:
    """The cost of a batch and its derivatives with respect to the parameters: (C, {name: dC/dparameter}).

        C = cost.forward(x, *arguments)[0],   the sweep starts at dC/dC = 1

    `arguments` are what the loss on top takes: the target, and observation weights.  ValueError unless the cost is
    one number (reduction "mean" or "sum"); FloatingPointError, which says where it comes from, unless it is finite.

    >>> from minigrad import BernoulliNLLLoss, Linear, Sequential
    >>> from minigrad.initializers import zeros
    >>> cost = Sequential(Linear(1, 1, weight_initializer=zeros(), bias_initializer=zeros()), BernoulliNLLLoss("sum"))
    >>> x, t = np.array([[1.0], [2.0], [3.0]]), np.array([0, 0, 1])
    >>> value, gradients = value_and_gradients(cost, x, t)
    >>> gradients["0.weight"]  # X^T (y - t), with y = 1/2
    array([[0.]])
    >>> gradients["0.bias"]
    array([0.5])
    """
    require_layer(value_and_gradients, cost)
    fused = plan(cost)
    if fused is None:
        return _sweep(cost, x, arguments, options)

    try:
        value, kept = fused.forward(x, *arguments, **options)
    except Exception as error:
        failed = error
    else:
        require_value("value_and_gradients", cost, value, x)
        try:
            return value, fused.gradients(kept)
        except Exception as error:
            failed = error
    # The plain rules raise it again, and name the layers that the caller wrote.
    _sweep(cost, x, arguments, options)
    failed.add_note(
        f"the fused form of {label(cost)} raised this, and its plain rules did not: `with minigrad.fusions.off():` "
        "runs those alone"
    )
    raise failed


def gradient(cost: Layer, x: Input, *arguments: Any, **options: Any) -> Gradients:
    """The derivatives of a cost by its parameters, {name: dC/dparameter}: `value_and_gradients` without the value."""
    require_layer(gradient, cost)
    return value_and_gradients(cost, x, *arguments, **options)[1]


def _sweep(cost: Layer, x: Input, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Gradients]:
    value, cache = cost.forward(x, *arguments, **options)
    require_value("value_and_gradients", cost, value, x)
    return value, cost.parameter_gradients(1.0, cache)


def require_value(who: str, cost: Layer, value: Any, x: Input) -> None:
    """`value`, that of `cost` at x, is one finite number (ValueError, FloatingPointError)."""
    if getattr(value, "shape", None) != () and not isinstance(value, float | int):
        raise ValueError(
            f"{who} expects a cost that is one number, got {shape_of(value)}: "
            "end the stack with a loss of reduction 'mean' or 'sum'"
        )
    if not math.isfinite(abs(value)):
        raise FloatingPointError(f"the cost is {value}: {_origin(cost, x)}")


def _origin(cost: Layer, x: Input) -> str:
    """Where a cost that is not finite comes from."""
    inputs = {f"x[{i}]": part for i, part in enumerate(x)} if type(x) is tuple else {"x": x}
    for name, array in {**inputs, **cost.parameters()}.items():
        try:
            require_finite(cost, np.asarray(array), name)
        except ValueError as error:
            return str(error)
    return "x and all parameters are finite, so a layer overflowed or a loss is infinite there: look at cost[:-1](x)"
