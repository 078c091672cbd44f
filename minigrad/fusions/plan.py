"""FusionPlan: how the layers of a cost are run, some of them as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from minigrad.checks import require_gradients
from minigrad.containers import Sequential
from minigrad.fusions.base import Fusion
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.typing import Gradients

Table = dict[tuple[type[Layer], ...], type[Fusion]]


class Placed(NamedTuple):
    """A layer of a cost, or a fusion of several, and their places in the cost, with which names of parameters begin."""

    layer: Layer
    places: tuple[str, ...]


class FusionPlan:
    """The layers of a cost from the lowest up, fused where the table says so.

    Where the table has a fusion for one pass over the upper end, and nothing below it has parameters, that is tried
    first, as `top`, on what comes out of `below`.  Else `rest` runs the three rules: of the upper end, where it
    declines, and of all layers where there is none.
    """

    def __init__(self, cost: Layer, table: Table) -> None:
        # From the inside out.  Made again, since a plan that held its cost would keep it alive.
        self.penalized: list[Penalized] = []
        while type(cost) is Penalized:
            self.penalized.insert(0, cost.around(cost.cost))
            cost = cost.cost
        layers = list(_flat(cost)) if type(cost) is Sequential else []
        place, self.top = _one_pass(layers, table)
        self._renames = self.top is not None and self.top.places != tuple(map(str, range(len(self.top.places))))
        self._top_was_checked = False  # once: the fusion is the same at every call
        self.below = Rules(layers[:place], table)
        self.rest = Rules(layers[place:], table)

    @property
    def parts(self) -> list[Placed]:
        """All layers and fusions, from the lowest up."""
        return self.below.parts + (self.rest.parts if self.top is None else [self.top])

    def forward(self, x: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        """The value, as the plain rules give it, to rounding; and what `gradients` needs, which uses it up."""
        if self.below.parts:
            if self.below.stack.parameters():
                raise RuntimeError(f"{self.below.stack.outline()} had no parameters when it was first run, and now has")
            x, _ = self.below.stack.forward(x)
        found = None
        if self.top is not None:
            found = self.top.layer.value_and_gradients(x, *arguments, **options)  # type: ignore[attr-defined]
        value, kept = self.rest.forward(x, *arguments, **options) if found is None else found
        for cost in self.penalized:
            value = cost.with_penalties(value)
        return value, (found is not None, kept)

    def gradients(self, kept: tuple[bool, Any]) -> Gradients:
        """Rule 3 from delta = 1, by the names of the cost."""
        in_one_pass, kept_of_rules = kept
        gradients = self._of_top(kept_of_rules) if in_one_pass else self.rest.gradients(kept_of_rules)
        for cost in self.penalized:
            gradients = cost.with_gradients(1.0, gradients)
        return gradients

    def _of_top(self, gradients: Gradients) -> Gradients:
        """The gradients of `top`, by the names of the cost."""
        assert self.top is not None
        if not self._top_was_checked:
            require_gradients(self.top.layer, self.top.layer.parameters(), gradients)
            self._top_was_checked = True
        return {_in_cost(self.top, name): g for name, g in gradients.items()} if self._renames else gradients


class Rules:
    """Neighbouring layers of a cost as a stack for the three rules, fused where the table says so."""

    def __init__(self, layers: Sequence[tuple[str, Layer]], table: Table) -> None:
        self.parts = _matched(layers, table)
        self.stack = Sequential(*(part.layer for part in self.parts))
        self._names: dict[str, str] = {}

    def forward(self, x: Any, *arguments: Any, **options: Any) -> tuple[Any, list[Any]]:
        """Rule 1: the value, and the caches."""
        value, caches = self.stack.forward(x, *arguments, **options)
        return value, list(caches)

    def gradients(self, caches: list[Any]) -> Gradients:
        """Rule 3 from delta = 1, by the names of the cost.  It uses up the caches."""
        gradients = self.stack.descend(1.0, caches, to_input=False)[1]
        return {self._name(name): gradient for name, gradient in gradients.items()}

    def _name(self, name: str) -> str:
        if name not in self._names:
            i, rest = name.split(".", 1)
            self._names[name] = _in_cost(self.parts[int(i)], rest)
        return self._names[name]


def _in_cost(part: Placed, name: str) -> str:
    """The name in the cost of what is called `name` in a part of it."""
    if not isinstance(part.layer, Fusion):
        return f"{part.places[0]}.{name}"
    i, rest = name.split(".", 1)
    return f"{part.places[int(i)]}.{rest}"


def _flat(stack: Sequential, place: str = "") -> Iterator[tuple[str, Layer]]:
    """(place, layer) of a stack and the stacks in it, from the lowest up."""
    for name, layer in stack.children():
        if type(layer) is Sequential and len(layer):  # an empty one is a layer that hands z on
            yield from _flat(layer, f"{place}{name}.")
        else:
            yield place + name, layer


def _matched(layers: Sequence[tuple[str, Layer]], table: Table) -> list[Placed]:
    """The layers in parts, from the lowest up; of several fusions that begin with one layer, the longest."""
    parts: list[Placed] = []
    while layers:
        part = _part(layers, table)
        parts.append(part)
        layers = layers[len(part.places) :]
    return parts


def _part(layers: Sequence[tuple[str, Layer]], table: Table) -> Placed:
    types = tuple(type(layer) for _, layer in layers)
    for count in range(len(layers), 1, -1):
        fusion = table.get(types[:count])
        if fusion is not None and not fusion.one_pass and _takes(fusion, layers[:count]):
            return _as_one(fusion, layers[:count])
    return Placed(layers[0][1], (layers[0][0],))


def _takes(fusion: type[Fusion], layers: Sequence[tuple[str, Layer]]) -> bool:
    return fusion.takes(*(layer for _, layer in layers))


def _as_one(fusion: type[Fusion], layers: Sequence[tuple[str, Layer]]) -> Placed:
    return Placed(fusion(*(layer for _, layer in layers)), tuple(place for place, _ in layers))


def _one_pass(layers: Sequence[tuple[str, Layer]], table: Table) -> tuple[int, Placed | None]:
    """Where the largest fusion for one pass over the upper end begins, and that; 0 and None where there is none."""
    types = tuple(type(layer) for _, layer in layers)
    for start in range(len(layers) - 1):
        fusion = table.get(types[start:])
        if fusion is not None and fusion.one_pass and _takes(fusion, layers[start:]):
            return start, _as_one(fusion, layers[start:])
        if not _has_no_parameters(layers[start][1]):
            break
    return 0, None


def _has_no_parameters(layer: Layer) -> bool:
    try:
        return not layer.parameters()
    except ValueError:  # a width that is still to be seen
        return False
