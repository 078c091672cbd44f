"""Plan: how the layers of a cost are run, some of them as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from minigrad.containers import Sequential
from minigrad.fusions.base import Fusion
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.typing import Gradients

Table = dict[tuple[type[Layer], ...], type[Fusion]]


class Part(NamedTuple):
    """A layer of a cost, or a fusion of several, and their places in the cost, with which names of parameters begin."""

    layer: Layer
    places: tuple[str, ...]


class Plan:
    """The layers of a cost from the lowest up, fused where the table says so.

    Where the table has a fusion for one pass over the upper end, and nothing below it has parameters, that is tried
    first, as `top`, on what comes out of `below`.  Else `rest` runs the three rules: of the upper end, where it
    declines, and of all layers where there is none.
    """

    def __init__(self, cost: Layer, table: Table) -> None:
        self.penalized: list[
            Penalized
        ] = []  # from the inside out; others of the same, since a plan keeps no cost alive
        while type(cost) is Penalized:
            self.penalized.insert(0, cost.around(cost.cost))
            cost = cost.cost
        layers = list(_flat(cost)) if type(cost) is Sequential else []
        place, self.top = _one_pass(layers, table)
        self._renames = self.top is not None and self.top.places != tuple(map(str, range(len(self.top.places))))
        self.below = Rules(layers[:place], table)
        self.rest = Rules(layers[place:], table)

    @property
    def parts(self) -> list[Part]:
        """All layers and fusions, from the lowest up."""
        return self.below.parts + (self.rest.parts if self.top is None else [self.top])

    def value_and_gradients(
        self, check: Callable[[Any], None], x: Any, arguments: Any, options: Any
    ) -> tuple[Any, Gradients]:
        """As the plain rules give them, to rounding; `check` looks at the value before there are gradients."""
        if self.below.parts:
            x, _ = self.below.stack.forward(x)
        found = None
        if self.top is not None:
            found = self.top.layer.value_and_gradients(x, *arguments, **options)  # type: ignore[attr-defined]
        value, kept = self.rest.forward(x, *arguments, **options) if found is None else found
        for cost in self.penalized:
            value = cost.with_penalties(value)
        check(value)
        gradients = self.rest.gradients(kept) if found is None else self._of_top(kept)
        for cost in self.penalized:
            gradients = cost.with_gradients(1.0, gradients)
        return value, gradients

    def _of_top(self, gradients: Any) -> Gradients:
        """The gradients of `top`, by the names of the cost."""
        if self.top is None or not self._renames:
            return gradients
        return {_in_cost(self.top, name): gradient for name, gradient in gradients.items()}


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
        """Rule 3 from delta = 1, by the names of the cost.  It uses up the caches: each is let go after its layer."""
        layers = self.stack.layers
        arrays = [layer.parameters() for layer in layers]
        lowest = next((i for i, named in enumerate(arrays) if named), len(layers))
        gradients: list[Gradients] = [{}] * len(layers)
        deltas = [1.0]  # the one of now, which nobody else holds on to
        for i in range(len(layers) - 1, lowest, -1):
            delta, gradients[i] = layers[i].backpropagate(deltas.pop(), caches.pop())
            deltas.append(delta)
            del delta
        if lowest < len(layers):
            gradients[lowest] = layers[lowest].parameter_gradients(deltas.pop(), caches.pop())
        return {self._name(name): gradient for name, gradient in self.stack.gather(gradients, arrays).items()}

    def _name(self, name: str) -> str:
        if name not in self._names:
            i, rest = name.split(".", 1)
            self._names[name] = _in_cost(self.parts[int(i)], rest)
        return self._names[name]


def _in_cost(part: Part, name: str) -> str:
    """The name in the cost of what is called `name` in a part of it."""
    if not isinstance(part.layer, Fusion):
        return f"{part.places[0]}.{name}"
    i, rest = name.split(".", 1)
    return f"{part.places[int(i)]}.{rest}"


def _flat(stack: Sequential, place: str = "") -> Iterator[tuple[str, Layer]]:
    """(place, layer) of a stack and the stacks in it, from the lowest up."""
    for name, layer in stack.children():
        if type(layer) is Sequential:
            yield from _flat(layer, f"{place}{name}.")
        else:
            yield place + name, layer


def _matched(layers: Sequence[tuple[str, Layer]], table: Table) -> list[Part]:
    """The layers in parts, from the lowest up; of several fusions that begin with one layer, the longest."""
    parts: list[Part] = []
    while layers:
        part = _part(layers, table)
        parts.append(part)
        layers = layers[len(part.places) :]
    return parts


def _part(layers: Sequence[tuple[str, Layer]], table: Table) -> Part:
    types = tuple(type(layer) for _, layer in layers)
    for count in range(len(layers), 1, -1):
        fusion = table.get(types[:count])
        if fusion is not None and not fusion.one_pass:
            return _as_one(fusion, layers[:count])
    return Part(layers[0][1], (layers[0][0],))


def _as_one(fusion: type[Fusion], layers: Sequence[tuple[str, Layer]]) -> Part:
    return Part(fusion(*(layer for _, layer in layers)), tuple(place for place, _ in layers))


def _one_pass(layers: Sequence[tuple[str, Layer]], table: Table) -> tuple[int, Part | None]:
    """Where the largest fusion for one pass over the upper end begins, and that; 0 and None where there is none."""
    types = tuple(type(layer) for _, layer in layers)
    for start in range(len(layers) - 1):
        fusion = table.get(types[start:])
        if fusion is not None and fusion.one_pass:
            return start, _as_one(fusion, layers[start:])
        if not _has_no_parameters(layers[start][1]):
            break
    return 0, None


def _has_no_parameters(layer: Layer) -> bool:
    try:
        return not layer.parameters()
    except ValueError:  # a width that is still to be seen
        return False
