"""A formula as a tree: what the parser makes, and the writers read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Symbol:
    """A letter, or a named one without its backslash: W, delta, sum."""

    name: str


@dataclass(frozen=True, slots=True)
class Macro:
    r"""What stands for an array of the layer: z, y (its output) or d (delta)."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    """Its digits, as written."""

    digits: str


@dataclass(frozen=True, slots=True)
class Operator:
    """A sign between two things, or before one: +, odot, le."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A name that is set upright, such as log."""

    name: str


@dataclass(frozen=True, slots=True)
class Words:
    """Upright words."""

    text: str


@dataclass(frozen=True, slots=True)
class Space:
    """A wide gap."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A formula that is left to be filled in."""


@dataclass(frozen=True, slots=True)
class Row:
    """Things one after the other."""

    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Fraction:
    """One thing over another."""

    top: Tree
    bottom: Tree


@dataclass(frozen=True, slots=True)
class Root:
    """A square root."""

    inside: Tree


@dataclass(frozen=True, slots=True)
class Accent:
    """hat, bar or tilde over something."""

    name: str
    inside: Tree


@dataclass(frozen=True, slots=True)
class Board:
    """Letters of the blackboard."""

    letters: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Something between brackets; "" where there is none on a side."""

    left: str
    inside: Tree
    right: str


@dataclass(frozen=True, slots=True)
class Scripts:
    """Something with an index, an exponent, or both."""

    base: Tree
    sub: Tree | None
    sup: Tree | None


Tree: TypeAlias = (
    Symbol
    | Macro
    | Number
    | Operator
    | Function
    | Words
    | Space
    | Blank
    | Row
    | Fraction
    | Root
    | Accent
    | Board
    | Fence
    | Scripts
)


def row(*items: Tree) -> Row:
    """Things one after the other."""
    return Row(items)


def brackets(inside: Tree) -> Fence:
    """The same between round brackets."""
    return Fence("(", inside, ")")


def equation(*sides: Tree) -> Row:
    """a = b = ..."""
    items: list[Tree] = []
    for side in sides:
        items += [Operator("="), side] if items else [side]
    return Row(tuple(items))


def partial(above: Tree, below: Tree) -> Fraction:
    """The derivative of one by the other."""
    d = Symbol("partial")
    return Fraction(row(d, above), row(d, below))


def items_of(tree: Tree) -> tuple[Tree, ...]:
    """What stands in a row, or the one thing that is none."""
    return tree.items if isinstance(tree, Row) else (tree,)


def with_scripts(tree: Tree, sub: Tree | None, sup: Tree | None) -> Tree:
    """`tree` with an index and an exponent, in brackets where it has an exponent already."""
    if sub is not None:
        if isinstance(tree, Scripts):
            joined = sub if tree.sub is None else row(tree.sub, Operator(","), sub)
            tree = Scripts(tree.base, joined, tree.sup)
        else:
            tree = Scripts(tree if isinstance(tree, Symbol | Fence | Accent) else brackets(tree), sub, None)
    if sup is None:
        return tree
    if isinstance(tree, Scripts) and tree.sup is None:
        return Scripts(tree.base, tree.sub, sup)
    return Scripts(tree if isinstance(tree, Symbol | Fence | Accent) else brackets(tree), None, sup)


def definitions(tree: Tree) -> list[Tree]:
    """A formula, and the definitions after it, which a comma and a gap divide: z s,  s = 1 / 2."""
    items, found = items_of(tree), [list[Tree]()]
    for i, item in enumerate(items):
        if isinstance(item, Space):
            found.append([])
        elif not (item == Operator(",") and i + 1 < len(items) and isinstance(items[i + 1], Space)):
            found[-1].append(item)
    return [part[0] if len(part) == 1 else Row(tuple(part)) for part in found]


def substituted(tree: Tree, meaning: Mapping[Tree, Tree]) -> Tree:
    """`tree` with what `meaning` says for macros and symbols, indices and exponents kept."""
    if tree in meaning:
        return meaning[tree]
    match tree:
        case Scripts(base, sub, sup):
            new_sub, new_sup = (None if part is None else substituted(part, meaning) for part in (sub, sup))
            if Scripts(base, sub, None) in meaning:
                return with_scripts(meaning[Scripts(base, sub, None)], None, new_sup)
            if base in meaning:
                return with_scripts(meaning[base], new_sub, new_sup)
            new = substituted(base, meaning)
            return with_scripts(new, new_sub, new_sup) if isinstance(new, Scripts) else Scripts(new, new_sub, new_sup)
        case Row(items):
            return Row(tuple(substituted(item, meaning) for item in items))
        case Fraction(top, bottom):
            return Fraction(substituted(top, meaning), substituted(bottom, meaning))
        case Root(inside):
            return Root(substituted(inside, meaning))
        case Accent(name, inside):
            new = substituted(inside, meaning)
            if isinstance(new, Scripts):  # the hat goes over z, and not over z^2
                return Scripts(Accent(name, new.base), new.sub, new.sup)
            return Accent(name, new)
        case Fence(left, inside, right):
            return Fence(left, substituted(inside, meaning), right)
        case _:
            return tree
