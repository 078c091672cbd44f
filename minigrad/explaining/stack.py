"""The stack as a chain of nodes, each with its number, and with the arrays of one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.checks import label, shape_of
from minigrad.containers import Container, Frozen, Sequential
from minigrad.explaining.tree import Number, Operator, Scripts, Symbol, Tree, row, with_scripts
from minigrad.layer import Layer
from minigrad.losses import Penalized, Penalty
from minigrad.typing import Array, Gradients
from minigrad.watching.watched import Event, parts_of, sharing, watch

BIT, ROUNDING = "to the bit", "to rounding"


@dataclass
class Node:
    """A layer at one place.  `below` and `above` are the numbers of its z and its z_next, as in z^2 and z^3.

    What stands in a container has numbers of its own: z^(2.1) is what goes into the layer inside of layer 2, and
    z^(2a.1), z^(2b.1) where there are several.
    """

    place: str
    layer: Layer
    below: str
    above: str
    frozen: bool
    z: Any = None
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    z_next: Any = None
    cache: Any = None
    delta_next: Any = None
    delta: Any = None
    gradients: Gradients = field(default_factory=dict)
    insides: list[list[Node]] = field(default_factory=list)
    route: tuple[str, ...] = ()  # the numbers from the cost down to `above`
    runs: int = 1  # of rule 1 at its place; what is here is of the last
    elsewhere: list[Gradients] = field(default_factory=list)  # what rule 3 gave for the other runs

    @property
    def parameters(self) -> dict[str, Array]:
        """Its own arrays, kept ones too: those of layers inside have nodes of their own."""
        if isinstance(self.layer, Penalized):
            return {}
        if isinstance(self.layer, Container):
            return {name: getattr(self.layer, name) for name in self.layer.parameter_names}
        return self.layer.parameters()


@dataclass
class Worked:
    """One pass through a cost: its nodes from the lowest up, its value and its gradients."""

    cost: Layer
    nodes: list[Node]
    value: Any
    gradients: Gradients
    names: dict[int, str]  # of the parameters, by the array
    summed: set[int]  # the arrays whose gradient has several parts: from several places, or penalties
    agreement: str  # of all parts, added up, with parameter_gradients: BIT, ROUNDING, or "" where they differ


def work(cost: Layer, x: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Worked:
    """The three rules once, on a copy that shares the parameters and moves no state (ValueError unless a cost)."""
    events: list[Event] = []
    twin, release = watch(cost, events.append)
    again = sharing(cost)  # before any generator has moved
    with np.errstate(all="ignore"):
        value, cache = twin.forward(x, *arguments, **options)
        if type(value) is tuple or np.ndim(value):
            raise ValueError(
                f"explain expects a cost that is one number, got {shape_of(value)} from {label(cost)}: "
                "end the stack with a loss of reduction 'mean' or 'sum', and pass its target after x"
            )
        count = len(events)
        try:
            gradients = twin.backpropagate(1.0, cache)[1]
        except NotImplementedError:  # a layer at the bottom need not have a rule 2
            del events[count:]
            gradients = twin.parameter_gradients(1.0, cache)
        release()
        separate = again.parameter_gradients(1.0, again.forward(x, *arguments, **options)[1])
    nodes = _Numbering(events[:count], events[count:]).chain(twin, "", "", 1)
    _route(nodes, ())
    names = {id(array): name for name, array in reversed(twin.parameters().items())}
    total, summed = _added_up(nodes, names)
    found = {_agreement(gradients, separate), _agreement(total, separate)}
    agreement = "" if "" in found else ROUNDING if ROUNDING in found else BIT
    return Worked(cost, nodes, value, gradients, names, summed, agreement)


def penalties_of(node: Node) -> list[tuple[Penalty, Array]]:
    """Each penalty that stands there, with each array that it matches."""
    if not isinstance(node.layer, Penalized):
        return []
    return [(penalty, theta) for penalty, _, theta in node.layer._penalized(node.layer.cost.parameters())]


def slope_of(penalty: Penalty, theta: Array, node: Node) -> Any:
    """What a penalty adds to rule 3."""
    return node.delta_next * penalty.strength * penalty.gradient(theta)


def everywhere(nodes: list[Node]) -> Iterator[Node]:
    """All nodes, those inside of others too, from the lowest up."""
    for node in nodes:
        for inside in node.insides:
            yield from everywhere(inside)
        yield node


def z_at(number: str, part: int | None = None) -> Tree:
    """z^number, or a part of it where that is a tuple."""
    return with_scripts(Scripts(Symbol("z"), None, Number(number)), None if part is None else Number(str(part)), None)


def delta_at(number: str, part: int | None = None) -> Tree:
    """delta^number."""
    sub = None if part is None else Number(str(part))
    return with_scripts(Scripts(Symbol("delta"), None, Number(number)), sub, None)


def d_cost(by: Tree) -> Tree:
    """dC/d(by), as two sides of a slash."""
    return row(Symbol("partial"), Symbol("C"), Operator("/"), Symbol("partial"), by)


class _Numbering:
    """Nodes of a chain, with what their rules were given and gave."""

    def __init__(self, up: list[Event], down: list[Event]) -> None:
        self.up = {(event.place, id(event.layer)): event for event in up}
        self.runs = Counter((event.place, id(event.layer)) for event in up)
        self.down: dict[tuple[str, int], dict[str, Event]] = {}
        self.elsewhere: dict[tuple[str, int], list[Gradients]] = {}
        for event in down:
            key = (event.place, id(event.layer))
            if self.runs[key] < 2 or event.run == self.up[key].run:
                self.down.setdefault(key, {}).setdefault(event.rule, event)
            elif event.rule != "backward":
                found = event.result[1] if event.rule == "backpropagate" else event.result
                self.elsewhere.setdefault(key, []).append(found)

    def chain(self, layer: Layer, place: str, prefix: str, first: int) -> list[Node]:
        """A node for each layer of a stack; stacks in stacks are one stack."""
        nodes: list[Node] = []
        for i, (where, part, frozen) in enumerate(_flat(layer, place, False), first):
            node = Node(where, part, f"{prefix}{i}", f"{prefix}{i + 1}", frozen)
            self.fill(node)
            if isinstance(part, Penalized):  # here, what is added to the cost
                node.z, node.delta = nodes[-1].z_next, node.delta_next
            insides = [] if isinstance(part, Penalized) else parts_of(part)
            for j, (name, child) in enumerate(insides):
                letter = "" if len(insides) == 1 else _letters(j)
                inside = f"{where}.{name}" if where else name
                chain = self.chain(child, inside, f"{node.below}{letter}.", 1)
                if all(self.up.get((n.place, id(n.layer))) is not None for n in chain):  # a fusion runs none of them
                    node.insides.append(chain)
            nodes.append(node)
        return nodes

    def fill(self, node: Node) -> None:
        key = (node.place, id(node.layer))
        if (event := self.up.get(key)) is not None:
            node.z, *rest = event.given  # options stand at its end
            node.arguments, node.options = tuple(rest[: len(rest) - len(event.options)]), event.options
            node.z_next, node.cache = event.result, event.cache
            node.runs, node.elsewhere = self.runs[key], self.elsewhere.get(key, [])
        rules = self.down.get(key, {})
        both, two, three = (rules.get(rule) for rule in ("backpropagate", "backward", "parameter_gradients"))
        if (first := both or two or three) is not None:
            node.delta_next = first.given
        node.delta = both.result[0] if both else two.result if two else None
        node.gradients = both.result[1] if both else three.result if three else {}


def _flat(layer: Layer, place: str, frozen: bool) -> Iterator[tuple[str, Layer, bool]]:
    """The layers of a stack, whether they stand in it, or in a stack or a Frozen in it."""
    if isinstance(layer, Penalized):
        yield from _flat(layer.cost, place, frozen)
        yield place, layer, frozen
    elif isinstance(layer, Frozen) or type(layer).forward is Sequential.forward:
        for name, part in parts_of(layer):
            yield from _flat(part, f"{place}.{name}" if place else name, frozen or isinstance(layer, Frozen))
    else:
        yield place, layer, frozen


def _route(nodes: list[Node], above: tuple[str, ...]) -> None:
    """The numbers on the way from the cost to each node."""
    for node in reversed(nodes):
        above = node.route = (*above, node.above)
        outputs = {id(inside[0].z): inside for inside in node.insides if inside}
        for inside in reversed(node.insides):
            if not inside:
                continue
            taker = outputs.get(id(inside[-1].z_next))  # another layer inside that takes what this one gives
            _route(inside, (*taker[0].route, taker[0].below) if taker and taker is not inside else above)


def _added_up(nodes: list[Node], names: dict[int, str]) -> tuple[Gradients, set[int]]:
    """What rule 3 gave at all places of each parameter, and its penalties, added up; and which have several parts."""
    parts: dict[int, list[Any]] = {}
    for node in reversed(list(everywhere(nodes))):
        for own, array in node.parameters.items():
            if id(array) in names and own in node.gradients:
                others = [found[own] for found in node.elsewhere]
                parts.setdefault(id(array), []).extend([node.gradients[own], *others])
    for node in everywhere(nodes):
        for penalty, theta in penalties_of(node):
            parts.setdefault(id(theta), []).append(slope_of(penalty, theta, node))
    total = {names[i]: sum(given[1:], start=given[0]) for i, given in parts.items()}
    return total, {i for i, given in parts.items() if len(given) > 1}


def _agreement(found: Gradients, right: Gradients) -> str:
    """How closely two gradients agree."""
    if found.keys() != right.keys():
        return ""
    pairs = [(np.asarray(found[name]), np.asarray(array)) for name, array in right.items()]
    if all(np.array_equal(a, b, equal_nan=True) for a, b in pairs):
        return BIT
    return ROUNDING if all(a.shape == b.shape and _is_close(a, b) for a, b in pairs) else ""


def _is_close(found: Array, right: Array) -> bool:
    """They differ by no more than sums of another order do."""
    size = np.abs(right[np.isfinite(right)]).max(initial=0.0)
    return np.allclose(found, right, rtol=0, atol=1000 * np.finfo(right.dtype).eps * size, equal_nan=True)


def _letters(i: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    return (_letters(i // 26 - 1) if i >= 26 else "") + chr(ord("a") + i % 26)
