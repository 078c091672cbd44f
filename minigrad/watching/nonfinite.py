"""Where the first NaN or infinity of a cost, or of its gradients, arises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.checks import all_finite, label, require_layer
from minigrad.layer import Layer
from minigrad.losses import BCELoss, CrossEntropyLoss, Loss, NLLLoss
from minigrad.typing import Array, Input
from minigrad.watching.watched import Event, watched

RULES = {
    "forward": "rule 1, forward",
    "backward": "rule 2, backward",
    "parameter_gradients": "rule 3, parameter_gradients",
    "backpropagate": "rules 2 and 3, backpropagate",
}


def find_nonfinite(cost: Layer, x: Input, *arguments: Any, **options: Any) -> str | None:
    """In words, where the first NaN or infinity arises: the layer, its place, the rule, the entry, and what to do.

    The three rules run once, as in training, on a copy that shares the parameters and moves no state.  None where the
    value and all gradients are finite.  Of a layer whose output is not one number, rule 1 alone is looked at.  An error
    in a rule is part of the answer, and is not raised.

    >>> from minigrad import Elementwise, Linear, MSELoss, Sequential
    >>> class Log(Elementwise):
    ...     def f(self, z):
    ...         return np.log(z)
    ...     def df(self, z_next):
    ...         return np.exp(-z_next)
    >>> cost = Sequential(Log(), Linear(1, 1, rng=0), MSELoss())
    >>> found = find_nonfinite(cost, np.array([[2.0], [0.0], [1.0]]), np.ones((3, 1)))
    >>> print(found.partition(" of the batch")[0])
    layer 0, Log(): rule 1, forward, gives -inf at [1, 0], row 1
    """
    import warnings  # on use: importing minigrad loads little beyond NumPy

    require_layer(find_nonfinite, cost)
    events: list[Event] = []
    failure: Exception | None = None
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            copy = watched(cost, events.append)
            value, cache = copy.forward(x, *arguments, **options)
            one_number = type(value) is not tuple and not np.ndim(value)
            gradients = copy.parameter_gradients(1.0, cache) if one_number and _is_finite(value) else {}
        except Exception as error:
            failure = error
        else:
            if _is_finite((value, gradients)):
                return None
        bad = [event for event in events if event.error is not None or not _is_finite(event.result)]
        if not bad:
            return f"{label(cost)} raised {_said(failure)}" if failure else f"{label(cost)} gives what no layer gave"
        return _given(bad[0], x, arguments, options) or _origin(events, bad)


def _given(first: Event, x: Input, arguments: tuple[Any, ...], options: dict[str, Any]) -> str | None:
    """That the data are to blame; None where they are not."""
    if _is_finite(first.given):
        return None
    names = ("target", "weights", *(f"argument {i} after x" for i in range(2, len(arguments))))
    for name, value in {"x": x, **dict(zip(names, arguments, strict=False)), **options}.items():
        for part, array in _parts(value, name):
            if not _is_finite(array):
                return f"{_entries(part, np.asarray(array), of_rows=True)}: clean or impute the data first"
    return None


def _origin(events: list[Event], bad: list[Event]) -> str:
    """The rule to blame: the first that gave such a number for finite ones."""
    # Where none did, the first at all: a container that works on what goes between its layers ends after them.
    event = next((event for event in bad if _is_finite(event.given)), bad[0])
    for name, array in _held(event.layer).items():
        if not all_finite(array):
            full = f"{event.place}.{name}" if event.place else name
            return (
                f"{_who(event)}: {_entries(full, array)}, before any rule ran: go back to the last parameters that "
                "were finite, with a lower learning rate"
            )
    if event.error is not None:
        return f"{_who(event)}: {RULES[event.rule]}, raised {_said(event.error)}. {_went_in(event)}"
    name, array = next((name, np.asarray(part)) for name, part in _parts(event.result) if not _is_finite(part))
    said = _entries("", array, of_rows=event.rule in ("forward", "backward"))
    index = _first(array)
    below = next((e.given[0] for e in events if e.rule == "forward" and e.place == event.place), None)
    there = ""
    if index and event.rule != "parameter_gradients" and getattr(below, "shape", None) == array.shape:
        there = f"; z is {below[index]:.6g} at that entry"  # type: ignore[index]
    of = f" of {name}" if name else ""
    what = f"{RULES[event.rule]}, gives {said}{of}"
    return f"{_who(event)}: {what}. {_went_in(event)}{there}. {_advice(event, array[index])}"


def _advice(event: Event, number: Any) -> str:
    if event.rule == "forward" and isinstance(event.layer, Loss):
        if isinstance(event.layer, BCELoss | NLLLoss) and not isinstance(event.layer, CrossEntropyLoss):
            return "The loss overflows, or the model holds for impossible what was seen: a loss of logits stays finite"
        return "The loss overflows: scale the data and the target, or go back to parameters that were smaller"
    if event.rule == "forward" and np.isnan(number):
        return (
            "The function is undefined there, as 0 / 0, inf - inf and the root or logarithm of a negative number are: "
            "keep what goes in away from there"
        )
    if event.rule == "forward":
        return (
            "Numbers overflow there, or a logarithm or quotient meets 0: keep what goes in within bounds, by scaled "
            "data, a lower learning rate or clipped gradients"
        )
    if event.rule == "parameter_gradients":
        return "The derivative, or its sum over the batch, overflows: scale the data, or clip what goes in"
    return (
        "The derivative overflows, or is infinite or undefined there, as that of a root at 0 is: keep what goes into "
        "rule 1 away from there"
    )


def _went_in(event: Event) -> str:
    """Of which size was what the rule was given; of rule 1, z, not the target."""
    what = "z, what went in," if event.rule == "forward" else "delta, what went in,"
    given = event.given[0] if event.rule == "forward" else event.given
    parts = [np.asarray(part) for _, part in _parts(given) if np.asarray(part).dtype.kind in "fciu"]
    parts = [part.real for part in parts if part.size]
    if not parts:
        return f"{what} is finite"
    if not _is_finite(tuple(parts)):
        return f"{what} is not finite"
    low, high = min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)
    so_too = ", and so are the parameters" if _held(event.layer) else ""
    return f"{what} is finite, from {low:.6g} to {high:.6g}{so_too}"


def _who(event: Event) -> str:
    return f"layer {event.place}, {label(event.layer)}" if event.place else label(event.layer)


def _said(error: Exception | None) -> str:
    return f"{type(error).__name__}: {error}"


def _entries(name: str, array: Array, of_rows: bool = False) -> str:
    """The first entry that is not finite, and how many there are."""
    index, bad = _first(array), array.size - int(np.count_nonzero(np.isfinite(array)))
    at = f"[{', '.join(map(str, index))}]" if index else ""
    row = f", row {index[0]} of the batch" if index and of_rows else ""
    count = f": {bad} of {array.size} entries {'is' if bad == 1 else 'are'} not finite" if index else ""
    return f"{name}{at} is {array[index]}{row}{count}" if name else f"{array[index]}{at and f' at {at}'}{row}{count}"


def _first(array: Array) -> tuple[int, ...]:
    finite = np.isfinite(array)
    return tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), finite.shape))


def _held(layer: Layer) -> dict[str, Array]:
    """The arrays that a layer works with: parameters, and arrays of state."""
    try:
        named = layer.parameters() | layer.state()
    except ValueError:  # arrays that are still to be made
        return {}
    return {name: array for name, array in named.items() if isinstance(array, np.ndarray) and array.dtype.kind in "fc"}


def _parts(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(name, part) for each array of a tuple or dictionary, or for the value itself."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _parts(part, f"{name}{'.' if name else ''}{key}")
    elif type(value) is tuple:
        for i, part in enumerate(value):
            yield from _parts(part, f"{name or 'part '}[{i}]" if name else f"part {i}")
    else:
        yield name, value


def _is_finite(value: Any) -> bool:
    """All numbers in arrays, tuples and dictionaries are finite; what is no number is."""
    for _, part in _parts(value):
        array = part if isinstance(part, np.ndarray) else np.asarray(part) if _is_data(part) else None
        if array is not None and array.dtype.kind in "fc" and not all_finite(array):
            return False
    return True


def _is_data(value: Any) -> bool:
    return isinstance(value, float | complex | np.number | list)
