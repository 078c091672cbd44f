"""The shapes that layers declare, beside those that were measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.typing import Shapes
from minigrad.watching.passes import layers_by_place
from minigrad.watching.watched import Event, sharing, watch
from minigrad.watching.zeros import Runs


def declared(model: Layer, shape: Shapes, measured: Runs, runs: bool = False) -> Runs:
    """The shapes as layers declare them; the errors of `check`, unless the model is known to run.

    What is measured stands in where one declares none.
    """
    events: list[Event] = []
    twin, _ = watch(_told(model, measured), events.append, ("output_shape",))
    try:
        twin.output_shape(shape)
    except Exception:
        if not runs:
            raise
    found: Runs = {}
    for event in events:
        if event.error is not None:
            continue
        found.setdefault(event.place, []).append((event.given[0], event.result))
    return found


def misdeclared(model: Layer, measured: Runs) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) where a layer declares another shape than it gives; not where one inside does."""
    layers, wrong = layers_by_place(_told(model, measured)), set[str]()
    for place in sorted(measured, key=lambda place: place.count(".") + bool(place), reverse=True):
        layer = layers.get(place)
        if layer is None or not _declares(layer) or any(_is_within(other, place) for other in wrong):
            continue
        for z, z_next in measured[place]:
            if z is not None and z_next is not None and (said := _said(layer, z, z_next)):
                wrong.add(place)
                who = f"layer {place}, {label(layer)}" if place else label(layer)
                yield place, f"the output_shape of {who} is wrong: of z {z} it {said}, and rule 1 gives {z_next}"
                break


def _said(layer: Layer, z: Shapes, z_next: Shapes) -> str:
    """What a layer declares, where that is not what it gives."""
    try:
        found = layer.output_shape(z)
    except Exception as error:
        return f"raises {type(error).__name__}, {error}"
    return f"says {found}" if found is not None and found != z_next else ""


def _told(model: Layer, measured: Runs) -> Any:
    """A copy in which layers that declare no shape say what was measured."""
    twin = sharing(model)
    known: dict[int, dict[Shapes, Shapes]] = {}
    for place, layer in layers_by_place(twin).items():
        if not _declares(layer):
            runs = {z: z_next for z, z_next in measured.get(place, []) if z_next is not None}
            known.setdefault(id(layer), {}).update(runs)
            vars(layer)["output_shape"] = _Told(layer, known[id(layer)])
    return twin


class _Told:
    """The output shape of a layer that declares none, known of some shapes."""

    def __init__(self, layer: Layer, known: dict[Shapes, Shapes]) -> None:
        self.layer, self.known = layer, known

    def __call__(self, shape: Shapes) -> Shapes:
        found = self.known.get(shape)
        return type(self.layer).output_shape(self.layer, shape) if found is None else found


def _declares(layer: Layer) -> bool:
    return type(layer).output_shape is not Layer.output_shape


def _is_within(place: str, other: str) -> bool:
    return not other or f"{place}.".startswith(f"{other}.")
