"""One run of the rules of a cost, and which layer gave each array to which."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from minigrad.checks import all_finite
from minigrad.containers import Branch, Frozen, Parallel, Repeat, Sequential
from minigrad.layer import Layer
from minigrad.layers import Flatten, Reshape, Transpose
from minigrad.losses import Loss, Penalized
from minigrad.typing import Array, Gradients
from minigrad.watching.linting.totals import Total, ones_of
from minigrad.watching.nonfinite import find_nonfinite
from minigrad.watching.passes import is_built
from minigrad.watching.trace import name_of
from minigrad.watching.watched import Event, watched

T = TypeVar("T")
MOVES = (Flatten, Reshape, Transpose)  # layers that hand on all numbers as they are
UNMOVED = 1e4  # roundings: a cost that changes by less than that does not depend on what moved
HANDS_ON = (Sequential, Repeat, Penalized, Frozen, Branch, Parallel)  # containers that use z for nothing else


class Run:
    """The rules of a cost, run once as in training on a copy, whose state alone they move.

    `leaves` are the runs of rule 1 of layers that work on arrays themselves, from the lowest up; where one raised,
    `error` says what, and the last of `leaves` is that one.  Penalties are left out of `cost`, `value` and `gradients`;
    the latter are those of the sum of a cost that is many numbers, and {} where nothing is a cost.  `uncopied` is the
    error of a cost that cannot be copied, of which nothing runs.
    """

    def __init__(self, cost: Layer, x: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.cost, self.x, self.arguments, self.options = cost, x, arguments, options
        self.error: Exception | None = None
        self.uncopied: Exception | None = None
        self.value: Any = None
        self.gradients: Gradients = {}
        self.parameters: dict[str, Array] = {}
        self.nonfinite: str | None = None
        self.upwards: list[Event] = []
        self._found: dict[Any, Any] = {}
        changed = self._pass()
        inside = {event.place.rpartition(".")[0] for event in self.upwards if event.place}
        self.leaves = [e for e in self.upwards if e.place not in inside or e.layer.parameter_names]
        self._givers = {key: e for key, e in _givers(self.leaves).items() if key not in changed}
        self._makers = {id(part): e for e in reversed(self.upwards) for part in parts_of(e.result)}
        self._names = {id(array): name for name, array in self.parameters.items()}

    def _pass(self) -> set[int]:
        """Run the rules, up and down; the arrays that were written into after a layer gave them."""
        events: list[Event] = []
        sums: dict[int, Any] = {}
        changed: set[int] = set()

        def observe(event: Event) -> None:
            events.append(event)
            for part in parts_of(event.result) if event.rule == "forward" else ():
                # A container may work on in the array that a layer inside gave it.
                if (
                    isinstance(part, np.ndarray)
                    and part.dtype.kind in "fc"
                    and not np.array_equal(sums.setdefault(id(part), part.sum()), part.sum(), equal_nan=True)
                ):
                    changed.add(id(part))

        given = (self.x, *self.arguments)
        try:
            cost = _built(self.cost, given, self.options)
            twin = watched(cost, observe)
        except Exception as error:
            self.uncopied = error
            return changed
        self.cost, inner = _without_penalties(cost), _without_penalties(twin)
        try:
            value, cache = twin.forward(*given, **self.options)
            self.parameters = inner.parameters()
            self.value = next(event.result for event in reversed(events) if event.layer is inner)
            if self._is_cost(events):
                total = twin.parameter_gradients(ones_of(value), cache)
                of_inner = (e.result for e in events if e.layer is inner and e.rule == "parameter_gradients")
                self.gradients = next(of_inner, total)
                value = (value, *total.values())
            if not _is_finite(value):
                self.nonfinite = find_nonfinite(cost, *given, **self.options)
        except Exception as error:
            self.error = error
        self.upwards = [e for e in events if e.rule == "forward" and not isinstance(e.layer, Penalized)]
        return changed

    def _is_cost(self, events: list[Event]) -> bool:
        """The value is a real number, or many that a loss gave."""
        if type(self.value) is tuple or np.iscomplexobj(self.value):
            return False
        from_loss = any(e.result is self.value and len(e.given) > 1 and e.rule == "forward" for e in events)
        return not np.ndim(self.value) or (from_loss and getattr(self.value, "dtype", np.dtype(int)).kind == "f")

    def once(self, look: Callable[[Run], T]) -> T:
        """What `look` finds in this run, looked for once."""
        if look not in self._found:
            self._found[look] = look(self)
        found: T = self._found[look]
        return found

    def of(self, kinds: Any) -> Iterator[Event]:
        """The leaves of some kinds, of a batch that is not empty."""
        return (e for e in self.leaves if isinstance(e.layer, kinds) and getattr(e.given[0], "size", 1) != 0)

    def below(self, event: Event, moves: Any = MOVES) -> Event | None:
        """The leaf that gave `event` its z, past those that only move numbers; None where it is x, or was made between.

        Only where the very array went from one to the other: what a residual adds, or a container does itself, lies
        between.
        """
        return self.giver_of(event.given[0], moves)

    def giver_of(self, array: Any, moves: Any = MOVES) -> Event | None:
        """The leaf that made an array, past those that only move numbers."""
        giver = self._givers.get(id(array))
        while giver is not None and isinstance(giver.layer, moves):
            giver = self._givers.get(id(giver.given[0]))
        return giver

    def takers(self, event: Event) -> list[Event]:
        """Whatever uses what `event` gave: leaves, and containers that do more than hand it on."""
        return [
            taker
            for taker in self.upwards
            if any(part is event.result for part in parts_of(taker.given[0]))
            and taker.result is not event.result
            and type(taker.layer) not in HANDS_ON
        ]

    def above(self, event: Event) -> Iterator[Event]:
        """Whatever uses what `event` gave, past layers that only move numbers."""
        for taker in self.takers(event):
            yield from self.above(taker) if isinstance(taker.layer, MOVES) else (taker,)

    def scores_of(self, event: Event) -> bool:
        """What `event` gives, past layers that move numbers, goes into a loss."""
        return any(isinstance(taker.layer, Loss) for taker in self.above(event))

    def upstream(self, event: Event, stop: Any = ()) -> list[Event]:
        """All leaves whose numbers reach `event`, but not through a layer of the kinds `stop`."""
        found, seen, pending = [], set(), list(parts_of(event.given[0]))
        while pending:
            maker = self._makers.get(id(pending.pop()))
            if maker is None or id(maker) in seen:
                continue
            seen.add(id(maker))
            inside = [
                e for e in self.upwards if e.place and e.place.rpartition(".")[0] == maker.place and e is not maker
            ]
            if not inside or maker.layer.parameter_names:
                found.append(maker)
            if not isinstance(maker.layer, stop):
                pending += [*parts_of(maker.given[0]), *(part for e in inside for part in parts_of(e.result))]
        return found

    def is_bottom(self, z: Any) -> bool:
        """No layer with parameters stands between x and an array."""
        while (giver := self._givers.get(id(z))) is not None:
            if giver.layer.parameter_names or type(giver.given[0]) is tuple:
                return False
            z = giver.given[0]
        return any(part is z for part in parts_of(self.x))

    def name(self, event: Event, attribute: str) -> str | None:
        """What the cost calls the parameter `attribute` of a leaf; None where it is not trained."""
        return self._names.get(id(getattr(event.layer, attribute, None)))

    def where(self, event: Event, *, below: Event | None = None, above: Event | None = None) -> str:
        """A leaf, as its place and its layer."""
        text = f"layer {event.place}, {name_of(event.layer)}" if event.place else name_of(event.layer)
        if below is not None:
            return f"{text}, below {self.where(below)}"
        return text if above is None else f"{text}, above {self.where(above)}"

    def gradients_at(self, arrays: dict[str, Array]) -> Gradients:
        """The gradients with other parameters; the same masks and statistics are used."""
        twin = Total(self.cost.with_parameters(arrays))
        cache = twin.forward(self.x, *self.arguments, **self.options)[1]
        return twin.parameter_gradients(1.0, cache)

    def change(self, steps: dict[str, Array]) -> float | None:
        """By how much of itself the cost changes where parameters do, where that is rounding; else None."""
        arrays = {
            name: (self.parameters[name] + step).astype(self.parameters[name].dtype) for name, step in steps.items()
        }
        try:
            value = self.cost.with_parameters(arrays).forward(self.x, *self.arguments, **self.options)[0]
        except Exception:  # elsewhere a layer may refuse what it is given
            return None
        # Row by row where there are rows: sums of what normalisation gives hardly change.
        size = float(np.abs(self.value).max(initial=0.0)) or 1.0
        change = float(np.abs(np.asarray(value) - self.value).max(initial=0.0)) / size
        eps = max(float(np.finfo(array.dtype).eps) for array in arrays.values())
        return change if change <= UNMOVED * eps else None


def parts_of(value: Any) -> tuple[Any, ...]:
    """The arrays of a tuple, or the value itself."""
    return value if type(value) is tuple else (value,)


def _built(cost: Layer, given: tuple[Any, ...], options: dict[str, Any]) -> Layer:
    """The cost itself; of one whose widths were left out, a copy that has seen x."""
    if is_built(cost):
        return cost
    twin = copy.deepcopy(cost)
    try:
        twin.forward(*given, **options)
    except Exception:  # the run says which
        return cost
    return twin


def _without_penalties(cost: Layer) -> Layer:
    while isinstance(cost, Penalized):
        cost = cost.cost
    return cost


def _is_finite(value: Any) -> bool:
    arrays = [np.asarray(part) for part in parts_of(value)]
    return all(all_finite(array) for array in arrays if array.dtype.kind in "fc")


def _givers(leaves: list[Event]) -> dict[int, Event]:
    """{id of an array: the leaf that made it}; one that hands on what it was given made nothing."""
    made: dict[int, Event] = {}
    seen: set[int] = set()
    for event in leaves:
        seen |= {id(part) for part in parts_of(event.given[0])}
        for part in parts_of(event.result):
            inside = id(part) in made and made[id(part)].place.startswith(f"{event.place}.")
            if id(part) not in seen or inside:
                made[id(part)] = event
                seen.add(id(part))
    return made
