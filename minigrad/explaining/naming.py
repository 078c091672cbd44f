"""What formulas say of a layer at its place: its arrays with their numbers, its parameters by their symbols."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from minigrad.checks import kind, label
from minigrad.explaining.indices import free_indices, with_indices
from minigrad.explaining.letters import GREEK
from minigrad.explaining.parsing import FormulaError, parse
from minigrad.explaining.stack import Node, delta_at, z_at
from minigrad.explaining.tree import (
    Accent,
    Fence,
    Fraction,
    Macro,
    Number,
    Operator,
    Root,
    Row,
    Scripts,
    Symbol,
    Tree,
    Words,
    brackets,
    definitions,
    items_of,
    partial,
    row,
    substituted,
    with_scripts,
)
from minigrad.layer import Layer
from minigrad.losses import Penalty
from minigrad.typing import Array, Formulas

Z, Y, D = Macro("z"), Macro("y"), Macro("d")
DOT = Operator("cdot")
WORD = re.compile(r"\b(" + "|".join(GREEK) + r")\b")


class Sides(NamedTuple):
    """What stands on the left and on the right of =."""

    left: Tree
    right: Tree
    definitions: tuple[Tree, ...] = ()
    is_part: bool = False  # of what stands on the left, which is not written then


class Naming:
    """The symbols of all parameters.  Where one stands for several arrays, each has the number of its layer: W^2."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        first: dict[int, tuple[Tree, str]] = {}  # of each array, its symbol and where it first stands
        for node in nodes:
            for name, array in node.parameters.items():
                first.setdefault(id(array), (_symbol(node, name), node.below))
        symbols = [symbol for symbol, _ in first.values()]
        self.of_array = {
            i: with_scripts(symbol, None, Number(number)) if symbols.count(symbol) > 1 else symbol
            for i, (symbol, number) in first.items()
        }

    def parameter(self, node: Node, name: str) -> Tree:
        """The symbol of a parameter of a layer."""
        return self.of_array[id(node.parameters[name])]

    def forward(self, node: Node) -> Sides:
        """z^(l+1) = ..."""
        formulas = formulas_of(node)
        if formulas is not None:
            return self._put(node, z_at(node.above), formulas.forward, "forward")
        own = [self.parameter(node, name) for name in node.parameters]
        inside: list[Tree] = [z_at(node.below)]
        for i, symbol in enumerate(own):
            inside += [Operator(",") if i else Operator(";"), symbol]
        return Sides(z_at(node.above), row(Symbol("f"), brackets(Row(tuple(inside)))))

    def backward(self, node: Node) -> Sides:
        """delta^l = ..."""
        formulas, left = formulas_of(node), delta_at(node.below)
        if formulas is not None:
            return self._put(node, left, formulas.backward, "backward")
        return Sides(left, row(delta_at(node.above), DOT, partial(z_at(node.above), z_at(node.below))))

    def gradient(self, node: Node, name: str) -> Sides:
        """dC/dparameter = ..."""
        formulas, symbol = formulas_of(node), _closed(self.parameter(node, name))
        if formulas is not None and name in formulas.gradients:
            sides = self._put(node, symbol, formulas.gradients[name], f"gradients[{name!r}]", sorted_=False)
            return sides._replace(left=d_by(sides.left))
        return Sides(d_by(symbol), row(delta_at(node.above), DOT, partial(z_at(node.above), symbol)))

    def penalty(self, penalty: Penalty, theta: Array, node: Node) -> tuple[Tree, Tree]:
        """What a penalty adds to the cost, and to rule 3."""
        meaning: dict[Tree, Tree] = {Symbol("theta"): self.of_array[id(theta)], D: delta_at(node.above)}
        value, slope = (substituted(_read(penalty, source, "written"), meaning) for source in penalty.written)
        return value, slope

    def plain(self, node: Node, rule: int, name: str) -> Tree:
        """The left-hand side, whose indices would give something away."""
        if rule == 3:
            return d_by(_closed(self.parameter(node, name)))
        return z_at(node.above) if rule == 1 else delta_at(node.below)

    def _put(self, node: Node, left: Tree, source: str, where: str, sorted_: bool = True) -> Sides:
        """A formula of the layer at its place; what it gives has the indices that no sum runs over."""
        tree = _read(node.layer, source, f"formulas.{where}")
        own = [_symbol(node, name) for name in node.parameters]
        tree, *further = definitions(tree)
        left = with_indices(left, free_indices(tree, own, sorted_))
        if node.insides:
            tree, *further = (_with_insides(part, node) for part in (tree, *further))
        meaning: dict[Tree, Tree] = {Z: z_at(node.below), Y: z_at(node.above), D: delta_at(node.above)}
        meaning |= {_symbol(node, name): self.parameter(node, name) for name in node.parameters}
        return Sides(left, substituted(tree, meaning), tuple(substituted(other, meaning) for other in further))


def formulas_of(node: Node) -> Formulas | None:
    """The formulas of a layer as they are in this pass, None where it has none (TypeError).

    A layer whose formulas depend on what it is given has `formulas_at`, which takes what rule 1 takes.
    """
    layer = node.layer
    found: Any = getattr(layer, "formulas", None)
    if found is not None and _sees_the_pass(type(layer)):
        found = layer.formulas_at(node.z, *node.arguments, **node.options)  # type: ignore[attr-defined]
    if found is not None and not isinstance(found, Formulas):
        raise TypeError(
            f"{label(layer)} must have formulas as minigrad.typing.Formulas(forward=..., backward=...), "
            f"got {kind(found)}"
        )
    return found


def _sees_the_pass(cls: type) -> bool:
    """It has `formulas_at`, and no class below has other formulas."""
    owner: Mapping[str, Any] = next((vars(c) for c in cls.__mro__ if "formulas_at" in vars(c)), {})
    return "formulas" in owner and owner["formulas"] is inspect.getattr_static(cls, "formulas")


def where_of(node: Node) -> str:
    """What other symbols in the formulas mean, with Greek letters."""
    formulas = formulas_of(node)
    return "" if formulas is None else WORD.sub(lambda found: GREEK[found[0]], formulas.where)


def hint(layer: Layer) -> str:
    """How to add formulas to a layer without."""
    name = type(layer).__name__
    own = ", ".join(f'"{p}": r"..."' for p in layer.parameter_names)
    gradients = f", gradients={{{own}}}" if own else ""
    return (
        f'{name} has no formulas. In its class, formulas = Formulas(forward=r"...", backward=r"..."{gradients}) from '
        r"minigrad.typing shows them here; in their LaTeX \z is z, \y is z_next and \d is delta."
    )


def _symbol(node: Node, name: str) -> Tree:
    """The symbol of a parameter: as its formulas say, else its name."""
    layer, formulas = node.layer, formulas_of(node)
    if formulas is not None and name in formulas.symbols:
        return _read(layer, formulas.symbols[name], f"formulas.symbols[{name!r}]")
    if len(name) == 1 or name in GREEK:
        return Symbol(name)
    return Words(name)


def _read(owner: object, source: str, where: str) -> Tree:
    try:
        return parse(source)
    except FormulaError as error:
        error.add_note(f"in {where} of {label(owner)}")
        raise


def _closed(symbol: Tree) -> Tree:
    """A symbol of several signs, such as log gamma, in brackets."""
    return brackets(symbol) if isinstance(symbol, Row) else symbol


def d_by(symbol: Tree) -> Tree:
    """dC/dsymbol."""
    return partial(Symbol("C"), _closed(symbol))


def _with_insides(tree: Tree, node: Node) -> Tree:
    r"""f(..) and \d \cdot df/dz in the formulas of a container, as the arrays of what stands inside.

    f is the layer inside; of several, f_0, f_1, ...
    """
    insides = {}
    for i, inside in enumerate(node.insides):
        name: Tree = Symbol("f") if len(node.insides) == 1 else Scripts(Symbol("f"), Number(str(i)), None)
        if inside:
            insides[name] = inside
    return _scan(tree, insides)


def _scan(tree: Tree, insides: dict[Tree, list[Node]]) -> Tree:
    match tree:
        case Row() | Fraction():
            found = [_scan(item, insides) for item in items_of(tree)] if isinstance(tree, Row) else [tree]
            items: list[Tree] = []
            for i, item in enumerate(found):
                if items and isinstance(item, Fence) and found[i - 1] in insides:
                    items[-1] = z_at(insides[found[i - 1]][-1].above)
                    continue
                if isinstance(item, Fraction) and len(items) > 1 and items[-1] == DOT:
                    top = items_of(item.top)
                    if len(top) == 2 and top[0] == Symbol("partial") and top[1] in insides:
                        items[-2:] = [delta_at(insides[top[1]][0].below)]
                        continue
                items.append(item)
            return items[0] if len(items) == 1 else Row(tuple(items))
        case Fence(left, inside, right):
            return Fence(left, _scan(inside, insides), right)
        case Root(inside):
            return Root(_scan(inside, insides))
        case Accent(name, inside):
            return Accent(name, _scan(inside, insides))
        case _:
            return tree
