"""The formulas of layers as numbers: a small evaluator of their trees, which knows NumPy and nothing of the layers.

A value has named axes, one for each index such as n or k, and after them the axes of the array that have no index.  Of
a z with fewer indices than axes they are its first if n is among them, else its last; of a parameter, its first.  What
lies outside of an array is 0, and below a max minus infinity.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from minigrad.explaining.indices import bound_by, free_indices
from minigrad.explaining.parsing import parse
from minigrad.explaining.tree import (
    Accent,
    Fence,
    Fraction,
    Function,
    Macro,
    Number,
    Operator,
    Root,
    Row,
    Scripts,
    Space,
    Symbol,
    Tree,
    definitions,
    items_of,
)

COMPARED = {"=": np.equal, "ne": np.not_equal, "<": np.less, ">": np.greater, "le": np.less_equal}
COMPARED |= {"ge": np.greater_equal}
RUNNING = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
FUNCTIONS = {name: getattr(np, name) for name in ("log", "exp", "tanh", "sin", "cos")}
TOP = Symbol("top")


@dataclass
class Value:
    names: tuple[str, ...]
    array: np.ndarray


@dataclass
class Evaluator:
    """`known` says what symbols, macros and functions are; `sizes` how far indices run."""

    known: dict[Tree, object]
    sizes: dict[str, int] = field(default_factory=dict)
    outside: float = 0.0

    def rule(self, source: str, shape: tuple[int, ...], sorted_: bool = True, own: tuple[Tree, ...] = ()) -> np.ndarray:
        """What a formula gives, as an array of `shape`."""
        main, *further = definitions(parse(source))
        free = free_indices(main, own, sorted_)
        for tree in (main, *further):
            self.measure(tree)
        at = 0 if "n" in free or not sorted_ else len(shape) - len(free)
        for i, name in enumerate(free):
            assert self.sizes.setdefault(name, shape[at + i]) == shape[at + i], (
                f"{name} is not axis {at + i} of {shape}"
            )
        for tree in reversed(further):
            self.define(tree)
            for other in (main, *further):  # those of what is defined
                self.measure(other)
        value = self.of(main)
        assert set(value.names) <= set(free), f"{value.names} on the right, {free} on the left"
        array = spread(value, tuple(free), self.sizes)
        if "n" in free:
            array = array.reshape(array.shape + (1,) * (len(shape) - array.ndim))
        elif sorted_:
            array = np.moveaxis(array, range(len(free)), range(-len(free), 0))
        return np.broadcast_to(array, shape)

    def define(self, tree: Tree) -> None:
        """A definition, such as s = 1 / sqrt(var(z))."""
        items = items_of(tree)
        i = items.index(Operator("="))
        value = self.of(Row(items[i + 1 :]))
        name = items[0]
        if isinstance(name, Scripts):
            names = [item.name for item in items_of(name.sub) if isinstance(item, Symbol)]
            array = spread(value, tuple(names), self.sizes)
            self.known[name.base] = np.broadcast_to(array, [self.sizes[n] for n in names])
        else:
            assert not value.names
            self.known[name] = value.array

    def measure(self, tree: Tree) -> None:
        """How far an index runs that stands alone on an axis."""
        for node in walk(tree):
            if isinstance(node, Scripts) and node.sub is not None and isinstance(self.known.get(node.base), np.ndarray):
                entries, array = split(node.sub, ","), np.asarray(self.known[node.base])
                for axis, entry in zip(axes(node.base, entries, array.ndim), entries, strict=True):
                    if isinstance(entry, Symbol):
                        self.sizes.setdefault(entry.name, array.shape[axis])

    def of(self, tree: Tree) -> Value:
        if tree in self.known:
            return Value((), np.asarray(self.known[tree]))
        match tree:
            case Number(digits):
                return Value((), np.asarray(float(digits)))
            case Symbol("pi"):
                return Value((), np.asarray(math.pi))
            case Symbol(name) if name in self.sizes:
                return Value((name,), np.arange(self.sizes[name]))
            case Row(items):
                return self.sum_of_terms(items)
            case Fraction(top, bottom):
                return joined(np.divide, self.of(top), self.of(bottom))
            case Root(inside):
                return mapped(np.sqrt, self.of(inside))
            case Fence("[", inside, "]"):
                return self.truth(inside)
            case Fence("|", inside, "|"):
                return mapped(np.abs, self.of(inside))
            case Fence("lVert", inside, "rVert"):
                return mapped(lambda a: np.sqrt((a * a).sum(axis=-1)), self.of(inside))
            case Fence("(", inside, ")"):
                return self.of(inside)
            case Scripts(base, sub, sup):
                value = self.entry(base, sub) if sub is not None else self.of(base)
                if sup == TOP:
                    return mapped(np.transpose, value)
                return value if sup is None else joined(np.power, value, self.of(sup))
        raise NotImplementedError(tree)

    def entry(self, base: Tree, sub: Tree) -> Value:
        """An array at indices."""
        if Scripts(base, sub, None) in self.known:
            return Value((), np.asarray(self.known[Scripts(base, sub, None)]))
        array, entries = np.asarray(self.known[base]), split(sub, ",")
        places = [self.of(entry) for entry in entries]
        names = tuple(dict.fromkeys(name for place in places for name in place.names))
        where = [spread(place, names, self.sizes).astype(int) for place in places]
        array = np.moveaxis(array, axes(base, entries, array.ndim), range(len(entries)))
        inside = np.ones((1,) * len(names), bool)
        for i, at in enumerate(where):
            inside = inside & (at >= 0) & (at < array.shape[i])
        found = array[tuple(np.clip(at, 0, array.shape[i] - 1) for i, at in enumerate(where))]
        inside = inside.reshape(inside.shape + (1,) * (found.ndim - inside.ndim))
        return Value(names, np.where(inside, found, self.outside))

    def truth(self, inside: Tree) -> Value:
        """1 where a relation holds, else 0; (a, b) = m compares one by one."""
        items = items_of(inside)
        i = next(i for i, item in enumerate(items) if isinstance(item, Operator) and item.name in COMPARED)
        left, right = self.of(Row(items[:i])), self.of(Row(items[i + 1 :]))
        return mapped(lambda a: a.astype(float), joined(COMPARED[items[i].name], left, right))

    def sum_of_terms(self, items: tuple[Tree, ...]) -> Value:
        terms: list[tuple[float, list[Tree]]] = [(1.0, [])]
        for item in items:
            if item in (Operator("+"), Operator("-")):
                sign = -1.0 if item == Operator("-") else 1.0
                if terms[-1][1]:
                    terms.append((sign, []))
                else:
                    terms[-1] = (terms[-1][0] * sign, [])
            elif not isinstance(item, Space):
                terms[-1][1].append(item)
        total: Value | None = None
        for sign, factors in terms:
            value = mapped(lambda a, sign=sign: sign * a, self.product(factors))
            total = value if total is None else joined(np.add, total, value)
        return total

    def product(self, items: list[Tree]) -> Value:
        value: Value | None = None
        operation: Callable | None = None  # of the sign before; juxtaposed matrices multiply as such
        while items:
            item, *items = items
            if isinstance(item, Operator):
                operation = np.divide if item.name == "/" else np.multiply
                continue
            named = item.base if isinstance(item, Scripts) else item
            if getattr(named, "name", "") in RUNNING and not (isinstance(named, Function) and is_call(items)):
                factor, items = self.running(named.name, item, items), []
            elif isinstance(named, Function) or callable(self.known.get(named)):
                factor, items = self.call(named, item, items)
            else:
                factor = self.of(item)
            if value is None:
                value = factor
            elif operation is None and not (value.names or factor.names) and value.array.ndim == factor.array.ndim == 2:
                value = Value((), value.array @ factor.array)
            else:
                value = joined(operation or np.multiply, value, factor)
            operation = None
        return value

    def running(self, name: str, item: Tree, rest: list[Tree]) -> Value:
        """A sum, product or maximum over indices, or over all axes where it has none."""
        outer, self.outside = self.outside, -math.inf if name == "max" else self.outside
        value = self.product(rest)
        self.outside = outer
        if not isinstance(item, Scripts) or item.sub is None:
            over = tuple(range(len(value.names), value.array.ndim))
            return Value(value.names, np.asarray(RUNNING[name].reduce(value.array, axis=over)))
        names = bound_by(item.sub)
        value = Value((names := tuple(dict.fromkeys([*names, *value.names]))), spread(value, names, self.sizes))
        over = tuple(i for i, n in enumerate(names) if n in bound_by(item.sub))
        array = np.broadcast_to(value.array, [self.sizes[n] for n in names] + list(value.array.shape[len(names) :]))
        return Value(tuple(n for n in names if n not in bound_by(item.sub)), RUNNING[name].reduce(array, axis=over))

    def call(self, named: Tree, item: Tree, items: list[Tree]) -> tuple[Value, list[Tree]]:
        """A function of what follows: of a bracket, of all factors from a sum on, or of one thing."""
        argument, *rest = items
        if getattr(argument.base if isinstance(argument, Scripts) else argument, "name", "") == "sum":
            argument, rest = Row(tuple(items)), []
        power = None
        if isinstance(argument, Scripts) and isinstance(argument.base, Fence):
            argument, power = argument.base, argument.sup
        name = getattr(named, "name", "")
        if name in ("max", "min"):
            first, second = (self.of(part) for part in split(argument.inside, ","))
            value = joined(RUNNING[name], first, second)
        elif isinstance(argument, Row | Fence) or not isinstance(argument, Function):
            function = self.known.get(named) or FUNCTIONS[name]
            # One thing without brackets may be a function again: log sigma(z).
            if callable(self.known.get(argument)):
                inner, rest = self.call(argument, argument, rest)
            else:
                inner = self.of(argument)
            value = mapped(function, inner)
        if power is not None:
            value = joined(np.power, value, self.of(power))
        return value, rest


def split(tree: Tree, sign: str) -> list[Tree]:
    """What stands between commas."""
    found: list[list[Tree]] = [[]]
    for item in items_of(tree):
        if item == Operator(sign):
            found.append([])
        else:
            found[-1].append(item)
    return [part[0] if len(part) == 1 else Row(tuple(part)) for part in found]


def axes(base: Tree, entries: list[Tree], ndim: int) -> list[int]:
    """The axes that indices stand on: of z, z_next and delta the last, unless n is one of them; else the first."""
    array = base.inside if isinstance(base, Accent) else base
    first = entries[0] == Symbol("n") or array not in (Z, Y, D)
    return list(range(len(entries))) if first else list(range(ndim - len(entries), ndim))


def spread(value: Value, names: tuple[str, ...], sizes: dict[str, int]) -> np.ndarray:
    """The array with an axis for each of `names`, and its own axes after these."""
    order = [value.names.index(name) for name in names if name in value.names]
    rest = list(range(len(value.names), value.array.ndim))
    array = value.array.transpose(order + rest)
    missing = tuple(i for i, name in enumerate(names) if name not in value.names)
    return np.expand_dims(array, missing)


def joined(operation: Callable, a: Value, b: Value) -> Value:
    names = tuple(dict.fromkeys([*a.names, *b.names]))
    arrays = [spread(v, names, {}) for v in (a, b)]
    rest = max(array.ndim for array in arrays) - len(names)
    arrays = [
        array.reshape(array.shape[: len(names)] + (1,) * (rest - array.ndim + len(names)) + array.shape[len(names) :])
        for array in arrays
    ]
    return Value(names, operation(*arrays))


def mapped(function: Callable, value: Value) -> Value:
    return Value(value.names, np.asarray(function(value.array)))


def is_call(items: list[Tree]) -> bool:
    """max(a, b), and not the maximum over an index."""
    first = items[0].base if items and isinstance(items[0], Scripts) else items[0] if items else None
    return isinstance(first, Fence) and Operator(",") in items_of(first.inside)


def walk(tree: Tree) -> Iterator[Tree]:
    """A tree and all in it."""
    yield tree
    match tree:
        case Row(items):
            inside = items
        case Fraction(top, bottom):
            inside = (top, bottom)
        case Root(one) | Accent(_, one) | Fence(_, one, _):
            inside = (one,)
        case Scripts(base, sub, sup):
            inside = tuple(part for part in (base, sub, sup) if part is not None)
        case _:
            inside = ()
    for part in inside:
        yield from walk(part)


Z, Y, D = Macro("z"), Macro("y"), Macro("d")
