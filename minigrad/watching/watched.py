"""A copy of a cost that reports each rule as it runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import require_layer
from minigrad.containers import Container, Frozen
from minigrad.layer import Layer
from minigrad.losses import Penalized


class Event(NamedTuple):
    """One run of one rule.

    rule                     given                                    result
    "forward"                (z, *arguments), what rule 1 was given   z_next
    "backward"               delta                                    dz
    "parameter_gradients"    delta                                    {name: gradient}
    "backpropagate"          delta                                    (dz, {name: gradient})

    `place` is as in the names of parameters, "2.inner.0", and "" for the cost itself.  Of a rule that raised, `error`
    says what, and `result` is None.  `run` counts the runs of rule 1 at a place in one pass, from 0; of rules 2 and 3
    it says to which of them they belong, by the cache, and is None where that is none that rule 1 gave there.
    """

    place: str
    layer: Layer
    rule: str
    given: Any
    result: Any
    cache: Any = None
    error: Exception | None = None
    options: Mapping[str, Any] = {}  # those by name, whose values end `given`
    run: int | None = 0


def watched(cost: Layer, observe: Callable[[Event], None]) -> Any:
    """A copy of `cost` whose layers call observe(event) when a rule of theirs has run, from the inside out.

    The copy has the same parameters, but a state of its own: running it moves no running statistics and no generator
    of the original.  Containers report too; `backpropagate` is reported where a layer wrote one of its own, else as the
    two rules that it consists of.  A layer that stands in several places is reported at each.

    >>> from minigrad import Linear, Sequential, Tanh
    >>> copy = watched(Sequential(Linear(2, 3), Tanh()), lambda event: print(event.place or "all", event.rule))
    >>> z_next, cache = copy.forward(np.ones((4, 2)))
    0 forward
    1 forward
    all forward
    """
    return watch(cost, observe)[0]


def watch(cost: Layer, observe: Callable[[Event], None], rules: tuple[str, ...] = ()) -> tuple[Any, Callable[[], None]]:
    """`watched(cost, observe)`, and a function after which the copy reports no more.

    `rules` are other methods to report than the three rules, such as "output_shape".
    """
    require_layer(watched, cost)
    twin, at_work = sharing(cost), _Watch(observe)
    at_work.cover(twin, rules)
    return twin, at_work.uncover


def sharing(layer: Layer) -> Any:
    """A copy of a layer that has the same parameters, and a state of its own."""
    # What rule 1 moves on must be copied, and is all that must: the rest may be large.
    places = [(owner, attribute) for _, owner, attribute in layer.parameter_places()]
    arrays = [getattr(owner, attribute, None) for owner, attribute in places]  # None where still to be made
    return copy.deepcopy(layer, {id(array): array for array in arrays if isinstance(array, np.ndarray)})


def parts_of(layer: Layer) -> list[tuple[str, Layer]]:
    """(name, layer) for what rule 1 of a container runs, named as parameters are; nothing for another layer."""
    if isinstance(layer, Frozen):
        return [("inner", layer._fixed)]
    if isinstance(layer, Penalized):
        return [("", layer.cost)]
    return list(layer.children()) if isinstance(layer, Container) else []


class _Kept(NamedTuple):
    """A cache of which it must be known who made it, in which place, and in which run there."""

    cache: Any
    layer: Layer
    name: str
    run: int | None


class _Frame:
    """A rule at work: whose it is, where it stands, and how often it has called each layer inside."""

    def __init__(self, layer: Layer | None, place: str, names: dict[int, list[str]]) -> None:
        self.layer, self.place, self.names = layer, place, names
        self.calls: dict[int, int] = {}


class _Watch:
    """The places of all layers, and the rules at work, from the outside in."""

    def __init__(self, observe: Callable[[Event], None]) -> None:
        self.observe = observe
        self.names: dict[int, dict[int, list[str]]] = {}  # for each container, of each layer inside
        self.stack: list[_Frame] = []
        self.covered: list[tuple[Layer, str, Any]] = []  # and what stood there before
        self.runs: dict[str, int] = {}  # of rule 1 at each place, in this pass
        # By place and id of a cache, in which run it was made: ids keep nothing alive.
        self.made: dict[tuple[str, int], int | None] = {}

    def cover(self, cost: Layer, rules: tuple[str, ...] = ()) -> None:
        """Let the rules of `cost`, and of all layers inside, report."""
        self.stack = [_Frame(None, "", {id(cost): [""]})]
        pending, seen = [cost], set()
        while pending:
            layer = pending.pop()
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            inside = parts_of(layer)
            of_layer = self.names.setdefault(id(layer), {})
            for name, part in inside:
                of_layer.setdefault(id(part), []).append(name)
                pending.append(part)
            own = getattr(type(layer), "backpropagate", Layer.backpropagate) is not Layer.backpropagate
            both = ["backpropagate"] if own else []
            for rule in rules or ("forward", "backward", "parameter_gradients", *both):
                self.covered.append((layer, rule, vars(layer).get(rule)))
                vars(layer)[rule] = self.reporting(layer, rule, getattr(layer, rule))

    def uncover(self) -> None:
        """Let all layers be as they were."""
        while self.covered:
            layer, rule, before = self.covered.pop()
            if before is None:
                del vars(layer)[rule]
            else:
                vars(layer)[rule] = before

    def reporting(self, layer: Layer, rule: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """`original`, a rule of `layer`, that reports."""

        def run(given: Any, *arguments: Any, **options: Any) -> Any:
            above = self.stack[-1]
            if above.layer is layer:  # a rule that uses another rule of its own layer
                return original(given, *arguments, **options)
            upwards = rule in ("forward", "output_shape")
            kept = None
            if not upwards and "cache" in options:
                arguments, options = (options["cache"], *arguments), {}
            if not upwards and arguments and isinstance(arguments[0], _Kept) and arguments[0].layer is layer:
                kept, arguments = arguments[0], (arguments[0].cache, *arguments[1:])
            name, several = self.name(above, layer, kept)
            frame = _Frame(layer, ".".join(filter(None, (above.place, name))), self.names[id(layer)])
            at = self.run_of(rule, frame.place, above, kept, arguments)
            event = Event(frame.place, layer, rule, (given, *arguments, *options.values()) if upwards else given, None)
            event = event._replace(options=options, run=at)
            self.stack.append(frame)
            try:
                result = original(given, *arguments, **options)
            except Exception as error:
                self.observe(event._replace(error=error))
                raise
            finally:
                self.stack.pop()
            if not upwards:
                self.observe(event._replace(result=result, cache=arguments[0] if arguments else None))
                return result
            if rule == "output_shape":
                self.observe(event._replace(result=result))
                return result
            if type(result) is not tuple or len(result) != 2:  # the caller says what is wrong with it
                return result
            self.observe(event._replace(result=result[0], cache=result[1]))
            # Two runs may keep one object, such as None: the second is then told by what it is wrapped in.
            again = self.made.setdefault((frame.place, id(result[1])), at) != at
            return (result[0], _Kept(result[1], layer, name, at)) if several or again else result

        run.__wrapped__ = original  # type: ignore[attr-defined]  # its signature, for errors that say what it takes
        return run

    def run_of(
        self, rule: str, place: str, above: _Frame, kept: _Kept | None, arguments: tuple[Any, ...]
    ) -> int | None:
        """Which run at a place this is, or belongs to."""
        if rule == "forward":
            if above.layer is None:  # another pass
                self.runs.clear()
                self.made.clear()
            self.runs[place] = self.runs.get(place, -1) + 1
            return self.runs[place]
        if kept is not None:
            return kept.run
        return self.made.get((place, id(arguments[0]))) if arguments else None

    def name(self, above: _Frame, layer: Layer, kept: _Kept | None) -> tuple[str, bool]:
        """The name of `layer` in what calls it, and whether it has several there."""
        names = above.names.get(id(layer), ["?"])
        if len(names) == 1:
            return names[0], False
        if kept is not None:
            return kept.name, True
        i = above.calls.get(id(layer), 0)
        above.calls[id(layer)] = i + 1
        return names[min(i, len(names) - 1)], True
