"""One pass through a cost, up and down, as in training: what went into each rule at each place, and what came out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.typing import Array, Gradients, Input
from minigrad.watching.watched import Event, parts_of, watch

Runs = dict[str, dict[str, Event]]


class Leaf(NamedTuple):
    """A layer that works on arrays itself: rule 1 there, and what comes down, None where nothing does."""

    up: Event
    layer: Layer
    delta_next: Any
    delta: Any
    gradients: Gradients | None

    @property
    def parameters(self) -> dict[str, Array]:
        """Of its own: those of layers inside have places of their own."""
        layer = self.up.layer
        inside = isinstance(layer, Container) and layer.parameter_names
        return {name: getattr(layer, name) for name in layer.parameter_names} if inside else layer.parameters()


class Pass(NamedTuple):
    """The cost, its leaves from the lowest up, its parameters, and their gradients, None where it is not one number."""

    value: Any
    leaves: tuple[Leaf, ...]
    parameters: dict[str, Array]
    gradients: Gradients | None


def run(cost: Layer, x: Input, arguments: tuple[Any, ...], options: dict[str, Any], to_input: bool) -> Pass:
    """The rules once, on a copy that shares the parameters; down to x, or to the lowest layer with parameters."""
    events: list[Event] = []
    twin, release = watch(cost, events.append)
    with np.errstate(all="ignore"):
        value, cache = twin.forward(x, *arguments, **options)
        count = len(events)
        gradients: Gradients | None = None
        if type(value) is not tuple and not np.ndim(value):
            try:
                gradients = twin.backpropagate(1.0, cache)[1] if to_input else twin.parameter_gradients(1.0, cache)
            except NotImplementedError:  # a layer at the bottom need not have a rule 2
                del events[count:]
                gradients = twin.parameter_gradients(1.0, cache)
    release()
    # Of a layer that one place runs several times, the last way up belongs to the first way down.
    down: Runs = {}
    for event in events[count:]:
        down.setdefault(event.place, {}).setdefault(event.rule, event)
    own = layers_by_place(cost)
    leaves = tuple(_leaf(up, down.get(up.place, {}), own.get(up.place)) for up in _leaves(events[:count]))
    return Pass(value, leaves, twin.parameters(), gradients)


def layers_by_place(layer: Layer, place: str = "") -> dict[str, Layer]:
    """{place: layer} for a layer and all inside, by the places that events name."""
    found = {place: layer}
    for name, part in parts_of(layer):
        found |= layers_by_place(part, ".".join(filter(None, (place, name))))
    return found


def is_built(layer: Layer) -> bool:
    """A layer has all its arrays."""
    places = [(owner, attribute) for _, owner, attribute in layer.parameter_places()]
    places += [(layer, name) for name in layer.state_names]
    return all(getattr(owner, attribute, None) is not None for owner, attribute in places)


def _leaves(events: list[Event]) -> list[Event]:
    """Rule 1 of the layers that work on arrays themselves, from the lowest up, each place once."""
    upwards = {event.place: event for event in events}
    inside = {place.rpartition(".")[0] for place in upwards if place}
    return [event for place, event in upwards.items() if place not in inside or event.layer.parameter_names]


def _leaf(up: Event, down: dict[str, Event], own: Layer | None) -> Leaf:
    both, two, three = (down.get(rule) for rule in ("backpropagate", "backward", "parameter_gradients"))
    first = both or two or three
    gradients = three.result if three else both.result[1] if both else None
    return Leaf(
        up,
        # What the caller knows; of a layer whose width was left out, the copy that saw the batch.
        own if own is not None and is_built(own) else up.layer,
        None if first is None else first.given,
        two.result if two else both.result[0] if both else None,
        gradients,
    )
