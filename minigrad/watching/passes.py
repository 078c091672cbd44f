"""One pass through a cost, up and down, as in training: what went into each rule at each place, and what came out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.typing import Array, Gradients, Input
from minigrad.watching.watched import Event, parts_of, watch

Runs = dict[str, dict[str, Event]]


class Leaf(NamedTuple):
    """A layer that works on arrays itself: rule 1 there, and what comes down, None where nothing does.

    Of a place that runs several times, it is the last run of rule 1, and of rules 2 and 3 those that belong to it.
    """

    up: Event
    layer: Layer
    delta_next: Any
    delta: Any
    gradients: Gradients | None
    has_inside: bool  # others stand inside

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
    upwards, down = _last_runs(events[:count]), Runs()
    for event in events[count:]:
        up = upwards.get(event.place)
        if up is not None and event.run in (up.run, None if up.run == 0 else up.run):
            down.setdefault(event.place, {}).setdefault(event.rule, event)
    own = layers_by_place(cost)
    around = _places_around(upwards)
    leaves = tuple(
        _leaf(up, down.get(up.place, {}), own.get(up.place), up.place in around) for up in _leaves(upwards, around)
    )
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


def _last_runs(events: list[Event]) -> dict[str, Event]:
    """{place: the last run of rule 1 there}, in the order of these."""
    last: dict[str, Event] = {}
    for event in reversed(events):
        if not _is_aside(event):
            last.setdefault(event.place, event)
    return dict(reversed(last.items()))


def _is_aside(event: Event) -> bool:
    """A penalty stands at the place of its cost, which is the one to be shown there."""
    return isinstance(event.layer, Penalized)


def _places_around(upwards: dict[str, Event]) -> set[str]:
    """Of the layers that ran others inside."""
    return {place.rpartition(".")[0] for place in upwards if place}


def _leaves(upwards: dict[str, Event], around: set[str]) -> list[Event]:
    """Rule 1 of the layers that work on arrays themselves, as the data go: a container before what stands inside."""
    leaves = [event for place, event in upwards.items() if place not in around or event.layer.parameter_names]
    first: dict[str, int] = {}  # of all that stands at a place or inside of it
    for i, event in enumerate(leaves):
        parts = event.place.split(".") if event.place else []
        for n in range(len(parts) + 1):
            first.setdefault(".".join(parts[:n]), i)
    return sorted(leaves, key=lambda event: (first[event.place], bool(event.place), event.place.count(".")))


def _leaf(up: Event, down: dict[str, Event], own: Layer | None, has_inside: bool) -> Leaf:
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
        has_inside,
    )
