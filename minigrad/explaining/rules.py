"""The lines of an explanation: rule 1 upwards, rules 2 and 3 downwards, and the chain of factors for each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.explaining.as_text import as_text
from minigrad.explaining.blank import Asked
from minigrad.explaining.document import Hidden, Line, Said
from minigrad.explaining.naming import Naming, Sides, d_by, formulas_of, hint, where_of
from minigrad.explaining.stack import Node, Worked, delta_at, everywhere, penalties_of, slope_of, z_at
from minigrad.explaining.tree import Blank, Operator, Symbol, Tree, Words, equation, items_of, partial, row
from minigrad.losses import Penalized
from minigrad.shapes import shapes_of

FACTORS = 8  # of a longer chain, those in the middle are left out


class Lines:
    """Makes the lines of one worked pass, with what is asked for left blank."""

    def __init__(self, worked: Worked, naming: Naming, asked: Asked | None) -> None:
        self.worked, self.naming, self.asked = worked, naming, asked
        self.hinted: set[type] = set()
        self.defined: set[tuple[int, Tree]] = set()  # at each node, on the way down

    def up(self, nodes: Sequence[Node], depth: int = 0) -> list[Line]:
        """Rule 1 of each layer, from the lowest up."""
        lines = []
        for node in nodes:
            lines.append(self.heading(node, depth))
            for inside in node.insides:
                if inside:
                    lines.append(self.entry(node, inside, depth + 1))
                    lines += self.up(inside, depth + 1)
            sides = self.penalized(node) if isinstance(node.layer, Penalized) else self.naming.forward(node)
            lines.append(self.line(sides, node.z_next, node, 1, "", self.said(node), depth))
            if not node.insides:
                lines += [
                    Line(
                        _named(self.naming.parameter(node, name), name),
                        np.shape(array),
                        self.shown(array),
                        depth=depth,
                    )
                    for name, array in node.parameters.items()
                ]
        return lines

    def down(self, nodes: Sequence[Node], depth: int = 0) -> list[Line]:
        """Rules 2 and 3 of each layer, from the one on top down."""
        lines = []
        for node in reversed(nodes):
            lines.append(self.heading(node, depth))
            for inside in reversed(node.insides):
                if inside:
                    lines.append(self.descent(node, inside, depth + 1))
                    lines += self.down(inside, depth + 1)
            for name in node.parameters:
                if name in node.gradients:
                    lines.append(self.gradient(node, name, depth))
            if isinstance(node.layer, Penalized):
                lines += self.penalties(node, depth)
                sides = Sides(delta_at(node.below), delta_at(node.above))
            else:
                sides = self.naming.backward(node)
            if node.delta is not None:
                lines.append(self.line(sides, node.delta, node, 2, "", (), depth))
        return lines

    def heading(self, node: Node, depth: int) -> Line:
        """Which layer it is, and where it stands."""
        name = f"{label(node.layer)} at {node.place}" if node.place else label(node.layer)
        kept = ", kept as it is: rule 3 is skipped" if node.frozen else ""
        several = f", which runs {node.runs} times: here is the last" if node.runs > 1 else ""
        return Line(None, heading=f"{name}{kept}{several}", depth=depth)

    def gradient(self, node: Node, name: str, depth: int = 0) -> Line:
        """Rule 3 for one parameter; where its gradient has several parts, this is one of them."""
        sides = self.naming.gradient(node, name)
        is_part = id(node.parameters[name]) in self.worked.summed
        return self.line(sides._replace(is_part=is_part), node.gradients[name], node, 3, name, (), depth)

    def hides(self, node: Node, rule: int, name: str) -> bool:
        """The formula is asked for, or is that of a layer of the kind."""
        return self.asked is not None and self.asked.hides(node.layer, rule, name)

    def line(
        self, sides: Sides, value: Any, node: Node, rule: int, name: str, said: tuple[Said, ...] = (), depth: int = 0
    ) -> Line:
        """left = right, and its numbers; blank where it is asked for, and the formula in all layers of the kind."""
        if self.hides(node, rule, name):
            sides = Sides(self.naming.plain(node, rule, name), Blank(), is_part=sides.is_part)
        if sides.is_part:
            said = (("a part of ", sides.left), *said)
        definitions = [tree for tree in sides.definitions if rule == 1 or (id(node), tree) not in self.defined]
        self.defined |= {(id(node), tree) for tree in definitions}
        if definitions:
            first, *others = definitions
            said = (("with ", first, *(part for other in others for part in (", ", other))), *said)
        return Line(
            sides.right if sides.is_part else equation(sides.left, sides.right),
            shapes_of(value),
            self.shown(value),
            said,
            rule=f"rule {rule}",
            depth=depth,
        )

    def shown(self, value: Any) -> Any:
        """The numbers of an array, unless they are asked for."""
        if self.asked is not None and self.asked.is_hidden(value):
            return Hidden()
        return value if isinstance(value, np.ndarray | np.generic | float | int) else None

    def said(self, node: Node) -> tuple[Said, ...]:
        """What the symbols of a layer mean, or how it gets formulas; once for each class."""
        layer = node.layer
        if isinstance(layer, Penalized) or (formulas_of(node) is None and type(layer) in self.hinted):
            return ()
        if formulas_of(node) is None:
            self.hinted.add(type(layer))
            return ((hint(layer),),)
        where = where_of(node)
        return ((f"where {where}",),) if where else ()

    # What stands in a container.

    def entry(self, node: Node, inside: list[Node], depth: int) -> Line:
        """Where the z of the first layer inside comes from."""
        number, z = inside[0].below, inside[0].z
        others = [(z_at(other[-1].above), other[-1].z_next) for other in node.insides if other and other is not inside]
        parts = _parts(z_at, node.below, node.z, node.insides.index(inside))
        source = _same(z, [(z_at(node.below), node.z), *parts, *others])
        given: Said = (f"what {type(node.layer).__name__} hands to {inside[0].place}",)
        sides = (z_at(number),) if source is None else (z_at(number), source)
        return Line(equation(*sides), shapes_of(z), None, () if source else (given,), depth=depth)

    def descent(self, node: Node, inside: list[Node], depth: int) -> Line:
        """Where the delta of the last layer inside comes from."""
        number, delta = inside[-1].above, inside[-1].delta_next
        others = [(delta_at(other[0].below), other[0].delta) for other in node.insides if other and other is not inside]
        parts = _parts(delta_at, node.above, node.delta_next, node.insides.index(inside))
        source = _same(delta, [(delta_at(node.above), node.delta_next), *parts, *others])
        given: Said = (f"what {type(node.layer).__name__} hands down to {inside[-1].place}",)
        sides = (delta_at(number),) if source is None else (delta_at(number), source)
        return Line(equation(*sides), shapes_of(delta), None, () if source else (given,), depth=depth)

    # Penalties.

    def penalized(self, node: Node) -> Sides:
        """C plus each penalty."""
        items: list[Tree] = [z_at(node.below)]
        for penalty, theta in penalties_of(node):
            items += [Operator("+"), *items_of(self.naming.penalty(penalty, theta, node)[0])]
        return Sides(z_at(node.above), row(*items))

    def penalties(self, node: Node, depth: int) -> list[Line]:
        """What each penalty adds to the gradients."""
        lines = []
        for penalty, theta in penalties_of(node):
            said: Said = (f"added by {penalty!r} to ", d_by(self.naming.of_array[id(theta)]))
            _, right = self.naming.penalty(penalty, theta, node)
            added = self.shown(slope_of(penalty, theta, node))
            lines.append(Line(right, theta.shape, added, (said,), rule="rule 3", depth=depth))
        return lines

    # The whole chain.

    def chains(self) -> list[Line]:
        """dC/dW = delta times one Jacobian for each layer on the way, for every place of every parameter."""
        found: dict[int, tuple[Tree, Any, list[Tree]]] = {}
        for node in everywhere(self.worked.nodes):
            for name, array in node.parameters.items():
                if id(array) not in self.worked.names:
                    continue
                symbol = self.naming.parameter(node, name)
                _, _, chains = found.setdefault(id(array), (symbol, array, []))
                chains.append(_product(node, symbol))
                if node.runs > 1:
                    chains.append(Words("the same of its other runs"))
            for penalty, theta in penalties_of(node):
                found[id(theta)][2].append(self.naming.penalty(penalty, theta, node)[1])
        lines = []
        for i, (symbol, array, chains) in found.items():
            items: list[Tree] = []
            for chain in chains:
                items += [Operator("+"), *items_of(chain)] if items else [chain]
            said: Said = (f"{self.worked.names[i]}",)
            total = self.total(array) if i in self.worked.summed else None
            lines.append(Line(equation(d_by(symbol), row(*items)), np.shape(array), total, (said,)))
        return lines

    def total(self, array: Any) -> Any:
        """The numbers of a gradient of several parts, unless one of these is asked for."""
        asked = self.asked if self.asked is not None and self.asked.rule == 3 else None
        if asked is not None and any(asked.node.parameters[name] is array for name in asked.names):
            return Hidden()
        return self.shown(self.worked.gradients[self.worked.names[id(array)]])


def _named(symbol: Tree, name: str) -> Tree:
    """A symbol, and the name that it stands for."""
    return symbol if as_text(symbol) == name else equation(symbol, Words(name))


def _product(node: Node, symbol: Tree) -> Tree:
    """delta of the cost, and the Jacobians from there down to a parameter."""
    numbers = node.route
    factors: list[Tree] = [partial(z_at(a), z_at(b)) for a, b in pairwise(numbers)]
    factors.append(partial(z_at(numbers[-1]), symbol))
    if len(factors) > FACTORS:
        factors = [*factors[: FACTORS // 2], Symbol("cdots"), *factors[-FACTORS // 2 :]]
    items: list[Tree] = [delta_at(numbers[0])]
    for factor in factors:
        items += [Operator("cdot"), factor]
    return row(*items)


def _same(array: Any, candidates: list[tuple[Tree, Any]]) -> Tree | None:
    return next((tree for tree, other in candidates if other is array and other is not None), None)


def _parts(at: Any, number: str, value: Any, first: int) -> list[tuple[Tree, Any]]:
    """The parts of a tuple, that of branch `first` first: two may be one array."""
    parts = [(at(number, i), part) for i, part in enumerate(value)] if type(value) is tuple else []
    return [*parts[first : first + 1], *parts]
