"""Floors: what a layer cake shows, as data, before it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.pictures.wording import not_finite
from minigrad.watching.passes import layers_by_place
from minigrad.watching.statistics import Statistics
from minigrad.watching.trace import LayerTrace, ParameterTrace, Trace, root_mean_square
from minigrad.watching.watched import parts_of

KINDS = {
    "Residual": "z + f(z)",
    "Branch": "one z into each",
    "Parallel": "one z for each",
    "Repeat": "one layer, several times",
    "Frozen": "not trained",
}


class Weights(NamedTuple):
    """A parameter: root mean squares of its entries and of its gradient's, and the one by the other."""

    name: str
    shape: tuple[int, ...]
    size: float
    gradient: float | None
    ratio: float | None
    shared: str = ""  # the name of the place where it is told


class Floor(NamedTuple):
    """A layer, with what goes into it from below and what comes down to there."""

    place: str
    name: str
    level: int
    weights: tuple[Weights, ...]
    z: Statistics | None
    delta: Statistics | None
    array: Any  # z itself, where it was kept
    lost: str = ""  # how many entries of z are not finite
    lost_delta: str = ""


class Frame(NamedTuple):
    """A container around the floors from `first` to `last`."""

    place: str
    kind: str
    first: int
    last: int

    @property
    def title(self) -> str:
        said = f"{self.kind}: {KINDS[self.kind]}" if self.kind in KINDS else self.kind
        return "  ".join(filter(None, (self.place, said)))


def floors_of(trace: Trace) -> tuple[Floor, ...]:
    """From the lowest layer up."""
    known = {key: one for one in trace.parameters for key in (one.name, id(one.array))}
    return tuple(
        Floor(
            one.place,
            " ".join(repr(one.layer).split()),
            one.level,
            _weights(one, known),
            one.of_z,
            one.of_delta,
            one.z,
            not_finite(one.z),
            not_finite(one.delta),
        )
        for one in trace.layers
    )


def frames_of(cost: Layer | None, places: Sequence[str]) -> list[Frame]:
    """The containers inside `cost` around the layers at `places`, those outside first.

    Of two that hold the same layers one is shown; a Sequential says least.  Without a cost, places alone tell of them.
    """
    found: dict[tuple[int, int], Frame] = {}
    for place, kind in _by_place(places) if cost is None else _containers(cost):
        inside = [i for i, each in enumerate(places) if not place or f"{each}.".startswith(f"{place}.")]
        plain = kind in ("Sequential", "")
        if not inside or (plain and (not place or len(inside) < 2)):
            continue
        ends = inside[0], inside[-1]
        if ends not in found or (found[ends].kind == "Sequential" and not plain):
            found[ends] = Frame(place, kind, *ends)
    return sorted(found.values(), key=lambda frame: (frame.first, -frame.last))


def _containers(cost: Layer) -> Iterator[tuple[str, str]]:
    for place, layer in layers_by_place(cost).items():
        if parts_of(layer):
            yield place, type(layer).__name__


def _by_place(places: Sequence[str]) -> Iterator[tuple[str, str]]:
    parts = [place.split(".") for place in places]
    for place in dict.fromkeys(".".join(each[:n]) for each in parts for n in range(1, len(each))):
        yield place, ""


def _weights(one: LayerTrace, of: dict[str | int, ParameterTrace]) -> tuple[Weights, ...]:
    """With the gradients of the whole cost: the sums over all places, and those of penalties."""
    found = []
    for name, array in one.parameters.items():
        size, own = root_mean_square(array), ".".join(filter(None, (one.place, name)))
        known = of.get(id(array)) or of.get(own)
        if known is not None and known.name != own:
            found.append(Weights(name, np.shape(array), size, None, None, known.name))
            continue
        of_gradient = None if known is None else known.gradient_size
        if of_gradient is None and name in one.gradients:
            of_gradient = root_mean_square(one.gradients[name])
        ratio = of_gradient / size if size and of_gradient is not None else None
        found.append(Weights(name, np.shape(array), size, of_gradient, ratio))
    return tuple(found)
