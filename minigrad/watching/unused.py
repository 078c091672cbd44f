"""Parameters on which a cost does not depend."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import require_layer, shape_of
from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.losses import Loss, Penalized
from minigrad.typing import Array, Gradients, Input
from minigrad.watching.watched import Event, watched

ROUNDINGS = 64  # of the largest sum: what is left of one that cancels is a few
MOVE = 0.01  # of the standard deviation of what a layer gives


def unused_parameters(cost: Layer, x: Input, *arguments: Any, **options: Any) -> dict[str, str]:
    """{name: why} for the parameters whose gradient is 0 in all entries, penalties aside.

        "its layer does not run"            nothing leads from x through it
        "the loss gives no delta"           the batch is fitted exactly, or beyond what the loss asks for
        "no delta reaches its layer"        the cost does not change with what the layer gives: what stands above is
                                            dead, or multiplies by 0, as a layer that starts at 0 does
        "its gradient is 0 for this batch"  the layer works, but not with this array: nothing but zeros goes into it
        "its gradient is 0 to rounding"     and stays so when the parameter is moved: what stands above takes out what
                                            it adds, as BatchNorm does with a bias below

    Of one batch: a parameter that other rows use, such as the embedding of a rare word, may be among them.  The rules
    run once, on a copy that shares the parameters and moves no state; and once more for each gradient that seems to be
    0 to rounding, since that of a cost at its minimum is too.  ValueError unless the cost is one number.

    >>> from minigrad import Linear, MSELoss, ReLU, Sequential
    >>> cost = Sequential(Linear(2, 3, rng=0), ReLU(), Linear(3, 1, rng=1), MSELoss())
    >>> cost[0].bias[:] = -100
    >>> for name, why in unused_parameters(cost, np.ones((4, 2)), np.ones((4, 1))).items():
    ...     print(name, why, sep=": ")
    0.weight: no delta reaches its layer
    0.bias: no delta reaches its layer
    2.weight: its gradient is 0 for this batch
    """
    require_layer(unused_parameters, cost)
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
    parameters = copy.parameters()
    names = {id(array): name for name, array in parameters.items()}
    owners: dict[str, list[tuple[Layer, str]]] = {}
    for _, owner, attribute in copy.parameter_places():
        if (name := names.get(id(getattr(owner, attribute)))) is not None:
            owners.setdefault(name, []).append((owner, attribute))

    def moved(name: str, by: float) -> Array:
        """The gradient where a parameter is another."""
        step = by * np.random.default_rng(0).standard_normal(parameters[name].shape)
        twin = cost.with_parameters({name: (parameters[name] + step).astype(parameters[name].dtype)})
        found: Gradients = twin.parameter_gradients(1.0, twin.forward(x, *arguments, **options)[1])
        return found[name]

    is_built = all(getattr(owner, attribute, None) is not None for _, owner, attribute in cost.parameter_places())
    unused = {}
    for name, gradient in gradients.items():
        if not np.any(gradient):
            unused[name] = _why([owner for owner, _ in owners.get(name, [])], events)
        elif np.abs(gradient).max() <= (bound := _rounding(owners.get(name, []), events)) and is_built:
            by = MOVE * max(_spread(event) for event in _runs([owner for owner, _ in owners[name]], events))
            if by and np.abs(moved(name, by)).max() <= bound:
                unused[name] = "its gradient is 0 to rounding"
    return unused


def _why(owners: list[Layer], events: list[Event]) -> str:
    runs = _runs(owners, events)
    if not any(event.rule == "forward" for event in runs):
        return "its layer does not run"
    of_losses = [event.result for event in events if isinstance(event.layer, Loss) and event.rule != "forward"]
    if of_losses and not any(_any(result) for result in of_losses):
        return "the loss gives no delta"
    if not any(_any(event.given) for event in runs if event.rule != "forward"):
        return "no delta reaches its layer"
    return "its gradient is 0 for this batch"


def _runs(owners: list[Layer], events: list[Event]) -> list[Event]:
    return [event for event in events if any(event.layer is owner for owner in owners)]


def _any(value: Any) -> bool:
    """A number in arrays, tuples and dictionaries is not 0."""
    parts = value.values() if isinstance(value, dict) else value if type(value) is tuple else None
    return bool(np.any(value)) if parts is None else any(_any(part) for part in parts)


def _spread(event: Event) -> float:
    z_next = event.result
    return float(np.std(z_next)) if event.rule == "forward" and isinstance(z_next, np.ndarray) and z_next.size else 0.0


def _rounding(owners: list[tuple[Layer, str]], events: list[Event]) -> float:
    """What rounding may leave of a gradient that is 0; 0.0 where it is not known.

    The sum in rule 3 is taken of deltas with signs of chance, which do not cancel: each of its terms was rounded.
    """
    total = 0.0
    for owner, attribute in owners:
        if isinstance(owner, Container):
            continue
        for event in _runs([owner], list(events)):
            delta = event.given
            if event.rule == "forward" or not isinstance(delta, np.ndarray) or delta.dtype.kind != "f":
                continue
            signs = np.random.default_rng(0).choice([-1, 1], delta.shape).astype(delta.dtype)
            try:
                found = type(owner).parameter_gradients(owner, delta * signs, event.cache)[attribute]
            except Exception:  # a rule that wants what these deltas are not
                return 0.0
            total = max(total, float(np.abs(found).max(initial=0.0)) * float(np.finfo(delta.dtype).eps))
    return ROUNDINGS * total
