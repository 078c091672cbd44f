r"""The indices that the left-hand side of a formula has: those on its right that no sum runs over:
\z_k - \log \sum_j \exp(\z_j)  is an entry k of z_next;  [k = t_n] \d  is an entry n, k.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from minigrad.explaining.tree import (
    Accent,
    Fence,
    Fraction,
    Function,
    Operator,
    Root,
    Row,
    Scripts,
    Symbol,
    Tree,
    items_of,
    with_scripts,
)

RUNNING = (Symbol("sum"), Symbol("prod"), Function("max"), Function("min"))
RELATED = (Operator("="), Operator("in"))
CHANNELS = "ockm"  # which stand before places in an array


def free_indices(tree: Tree, own: Container[Tree] = (), sorted_: bool = True) -> list[str]:
    """The indices of what a formula gives, in the order of its axes; `own` are symbols whose index is part of them."""
    if _is_tuple(tree):
        return []
    compared: list[str] = []
    found = [*_indices(tree, frozenset(), compared, own), *compared]
    free = list(dict.fromkeys(found))
    return sorted(free, key=lambda name: 0 if name == "n" else 1 if name in CHANNELS else 2) if sorted_ else free


def with_indices(symbol: Tree, indices: list[str]) -> Tree:
    """An entry of an array."""
    if not indices:
        return symbol
    items: list[Tree] = []
    for name in indices:
        items += [Operator(","), Symbol(name)] if items else [Symbol(name)]
    return with_scripts(symbol, items[0] if len(items) == 1 else Row(tuple(items)), None)


def bound_by(sub: Tree) -> list[str]:
    """What the index of a sum runs over: n, or (i, j), or h of h in B."""
    items = items_of(sub)
    for relation in RELATED:
        if relation in items:
            items = items[: items.index(relation)]
    return [item.name for item in _letters(Row(items))]


def _indices(tree: Tree, bound: frozenset[str], compared: list[str], own: Container[Tree]) -> Iterator[str]:
    """The indices in a formula that are not `bound`; those of [k = ...] go to `compared`."""
    match tree:
        case Scripts(base, sub, sup):
            if sub is not None and Scripts(base, sub, None) not in own:
                yield from (item.name for item in _letters(sub) if item.name not in bound)
            for part in (base, sup):
                if part is not None:
                    yield from _indices(part, bound, compared, own)
        case Fence("[", inside, "]") if related := [r for r in RELATED if r in items_of(inside)]:
            items = items_of(inside)
            left = Row(items[: items.index(related[0])])
            compared += [item.name for item in _letters(left) if item.name not in bound]
            for item in items:
                yield from _indices(item, bound, compared, own)
        case Row(items):
            inner = bound
            for item in items:
                if item in (Operator("+"), Operator("-")):  # where a sum ends
                    inner = bound
                elif isinstance(item, Scripts) and item.sub is not None and item.base in RUNNING:
                    inner |= frozenset(bound_by(item.sub))
                yield from _indices(item, inner, compared, own)
        case Fraction(top, bottom):
            yield from _indices(top, bound, compared, own)
            yield from _indices(bottom, bound, compared, own)
        case Fence(_, inside, _) | Root(inside) | Accent(_, inside):
            yield from _indices(inside, bound, compared, own)


def _letters(sub: Tree) -> Iterator[Symbol]:
    """The letters of an index; of one that has an index itself, such as t_n, that."""
    for item in items_of(sub):
        match item:
            case Symbol(name) if len(name) == 1 and name.islower():
                yield item
            case Scripts(_, inner, _) if inner is not None:
                yield from _letters(inner)
            case Fence(_, inside, _):
                yield from _letters(inside)


def _is_tuple(tree: Tree) -> bool:
    """It is (a, b)."""
    return isinstance(tree, Fence) and tree.left == "(" and Operator(",") in items_of(tree.inside)
