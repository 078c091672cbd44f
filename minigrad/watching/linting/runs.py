"""One run of the rules of a cost, and which layer gave each array to which."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.containers import Branch, Frozen, Parallel, Repeat, Sequential
from minigrad.layer import Layer
from minigrad.layers import Flatten, Reshape, Transpose
from minigrad.losses import Loss, Penalized
from minigrad.typing import Array, Gradients
from minigrad.watching.nonfinite import find_nonfinite
from minigrad.watching.watched import Event, watched

MOVES = (Flatten, Reshape, Transpose)  # layers that hand on all numbers as they are
UNMOVED = 1e4  # roundings: a cost that changes by less than that does not depend on what moved
HANDS_ON = (Sequential, Repeat, Penalized, Frozen, Branch, Parallel)  # containers that use z for nothing else


class Run:
    """The rules of a cost, run once as in training on a copy, whose state alone they move.

    `leaves` are the runs of rule 1 of layers that work on arrays themselves, from the lowest up; where one raised,
    `error` says what, and the last of `leaves` is that one.  `gradients` are {} unless the cost is one number.
    """

    def __init__(self, cost: Layer, x: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.cost = _built(cost, x, arguments, options)
        self.x, self.arguments, self.options = x, arguments, options
        self.error: Exception | None = None
        self.value: Any = None
        self.gradients: Gradients = {}
        self.parameters: dict[str, Array] = {}
        events: list[Event] = []
        sums: dict[int, Any] = {}
        changed: set[int] = set()

        def observe(event: Event) -> None:
            events.append(event)
            for part in _parts(event.result) if event.rule == "forward" else ():
                # A container may work on in the array that a layer inside gave it.
                if (
                    isinstance(part, np.ndarray)
                    and part.dtype.kind in "fc"
                    and not np.array_equal(sums.setdefault(id(part), part.sum()), part.sum(), equal_nan=True)
                ):
                    changed.add(id(part))

        try:
            twin = watched(self.cost, observe)
            self.value, cache = twin.forward(x, *arguments, **options)
            self.parameters = twin.parameters()
            if self.is_one_number:
                self.gradients = twin.parameter_gradients(1.0, cache)
        except Exception as error:
            self.error = error
        self.upwards = [event for event in events if event.rule == "forward"]
        inside = {event.place.rpartition(".")[0] for event in self.upwards if event.place}
        self.leaves = [e for e in self.upwards if e.place not in inside or e.layer.parameter_names]
        self._givers = {key: e for key, e in _givers(self.leaves).items() if key not in changed}
        self._names = {id(array): name for name, array in self.parameters.items()}
        self.nonfinite = None if self.error else find_nonfinite(self.cost, x, *arguments, **options)

    @property
    def is_one_number(self) -> bool:
        """The value of the cost is one real number."""
        return type(self.value) is not tuple and not np.ndim(self.value) and not np.iscomplexobj(self.value)

    def of(self, kinds: Any) -> Iterator[Event]:
        """The leaves of some kinds, of a batch that is not empty."""
        return (e for e in self.leaves if isinstance(e.layer, kinds) and getattr(e.given[0], "size", 1) != 0)

    def below(self, event: Event, moves: Any = MOVES) -> Event | None:
        """The leaf that gave `event` its z, past those that only move numbers; None where it is x, or was made between.

        Only where the very array went from one to the other: what a residual adds, or a container does itself, lies
        between.
        """
        giver = self._givers.get(id(event.given[0]))
        while giver is not None and isinstance(giver.layer, moves):
            giver = self._givers.get(id(giver.given[0]))
        return giver

    def takers(self, event: Event) -> list[Event]:
        """Whatever uses what `event` gave: leaves, and containers that do more than hand it on."""
        return [
            taker
            for taker in self.upwards
            if any(part is event.result for part in _parts(taker.given[0]))
            and taker.result is not event.result
            and type(taker.layer) not in HANDS_ON
        ]

    def scores_of(self, event: Event) -> bool:
        """What `event` gives, past layers that move numbers, goes into a loss."""
        return any(
            isinstance(taker.layer, Loss) or (isinstance(taker.layer, MOVES) and self.scores_of(taker))
            for taker in self.takers(event)
        )

    def is_bottom(self, event: Event) -> bool:
        """No layer with parameters stands between x and `event`."""
        z = event.given[0]
        while (giver := self._givers.get(id(z))) is not None:
            if giver.layer.parameter_names or type(giver.given[0]) is tuple:
                return False
            z = giver.given[0]
        return any(part is z for part in _parts(self.x))

    def name(self, event: Event, attribute: str) -> str | None:
        """What the cost calls the parameter `attribute` of a leaf; None where it is not trained."""
        return self._names.get(id(getattr(event.layer, attribute, None)))

    def where(self, event: Event, *, below: Event | None = None, above: Event | None = None) -> str:
        """A leaf, as its place and its layer."""
        text = f"layer {event.place}, {_one_line(event.layer)}" if event.place else _one_line(event.layer)
        if below is not None:
            return f"{text}, below {self.where(below)}"
        return text if above is None else f"{text}, above {self.where(above)}"

    def again(self, arrays: dict[str, Array]) -> tuple[Any, Gradients]:
        """The value and the gradients with other parameters; the same masks and statistics are used."""
        twin = self.cost.with_parameters(arrays)
        value, cache = twin.forward(self.x, *self.arguments, **self.options)
        return value, twin.parameter_gradients(1.0, cache)

    def change(self, name: str, step: Array) -> float | None:
        """By how much of itself the cost changes where a parameter does, where that is rounding; else None."""
        array = self.parameters[name]
        try:
            moved, _ = self.again({name: (array + step).astype(array.dtype)})
        except Exception:  # elsewhere a layer may refuse what it is given
            return None
        change = abs(float(moved) - float(self.value)) / (abs(float(self.value)) or 1.0)
        return change if change <= UNMOVED * np.finfo(array.dtype).eps else None


def _built(cost: Layer, x: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Layer:
    """The cost itself; of one whose widths were left out, a copy that has seen x."""
    if all(getattr(owner, attribute, None) is not None for _, owner, attribute in cost.parameter_places()):
        return cost
    twin = copy.deepcopy(cost)
    try:
        twin.forward(x, *arguments, **options)
    except Exception:  # the run says which
        return cost
    return twin


def _givers(leaves: list[Event]) -> dict[int, Event]:
    """{id of an array: the leaf that made it}; one that hands on what it was given made nothing."""
    made: dict[int, Event] = {}
    seen: set[int] = set()
    for event in leaves:
        seen |= {id(part) for part in _parts(event.given[0])}
        for part in _parts(event.result):
            inside = id(part) in made and made[id(part)].place.startswith(f"{event.place}.")
            if id(part) not in seen or inside:
                made[id(part)] = event
                seen.add(id(part))
    return made


def _parts(value: Any) -> tuple[Any, ...]:
    return value if type(value) is tuple else (value,)


def _one_line(layer: Layer) -> str:
    return " ".join(repr(layer).split())
