"""Parameters on which a cost does not depend."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import shape_of
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.typing import Input
from minigrad.watching.watched import Event, watched


def unused_parameters(cost: Layer, x: Input, *arguments: Any, **options: Any) -> dict[str, str]:
    """{name: why} for the parameters whose gradient is exactly 0 in all entries, penalties aside.

        "its layer does not run"            nothing leads from x through it
        "no delta reaches its layer"        the cost does not change with what the layer gives: what stands above is
                                            dead, or multiplies by 0, as a layer that starts at 0 does
        "its gradient is 0 for this batch"  the layer works, but not with this array: nothing but zeros goes into it

    Of one batch: a parameter that other rows use, such as the embedding of a rare word, may be among them.  The rules
    run once, on a copy that shares the parameters and moves no state.  ValueError unless the cost is one number.

    >>> from minigrad import Linear, MSELoss, ReLU, Sequential
    >>> cost = Sequential(Linear(2, 3, rng=0), ReLU(), Linear(3, 1, rng=1), MSELoss())
    >>> cost[0].bias[:] = -100
    >>> for name, why in unused_parameters(cost, np.ones((4, 2)), np.ones((4, 1))).items():
    ...     print(name, why, sep=": ")
    0.weight: no delta reaches its layer
    0.bias: no delta reaches its layer
    2.weight: its gradient is 0 for this batch
    """
    while isinstance(cost, Penalized):
        cost = cost.cost
    events: list[Event] = []
    copy = watched(cost, events.append)
    value, cache = copy.forward(x, *arguments, **options)
    if np.ndim(value):
        raise ValueError(
            f"unused_parameters expects a cost that is one number, got {shape_of(value)}: "
            "end the stack with a loss of reduction 'mean' or 'sum'"
        )
    gradients = copy.parameter_gradients(1.0, cache)
    names = {id(array): name for name, array in copy.parameters().items()}
    owners: dict[str, list[Layer]] = {}
    for _, owner, attribute in copy.parameter_places():
        if (name := names.get(id(getattr(owner, attribute)))) is not None:
            owners.setdefault(name, []).append(owner)
    return {name: _why(owners.get(name, []), events) for name, array in gradients.items() if not np.any(array)}


def _why(owners: list[Layer], events: list[Event]) -> str:
    runs = [event for event in events if any(event.layer is owner for owner in owners)]
    if not any(event.rule == "forward" for event in runs):
        return "its layer does not run"
    deltas = [event.given for event in runs if event.rule != "forward"]
    if not any(np.any(part) for delta in deltas for part in (delta if type(delta) is tuple else (delta,))):
        return "no delta reaches its layer"
    return "its gradient is 0 for this batch"
