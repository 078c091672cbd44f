"""An answer for rule 1: the same numbers as the layer's own, at the z of the explanation and at others."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.explaining.blank import parameters_at_hand
from minigrad.explaining.fitting import protected, taken
from minigrad.explaining.stack import Node
from minigrad.shapes import shapes_of
from minigrad.typing import Array

CLOSE = 1e-9  # of the largest entry, in float64; of another type, as many of its roundings


def same_function(node: Node, function: Callable[..., Any]) -> tuple[str, int]:
    """How an answer differs from rule 1 of a layer, "" where it does not; and at how many other z it was tried."""
    names = list(inspect.signature(type(node.layer).forward).parameters)[2:]
    others = -1
    for words, z, arguments, options in _inputs(node):
        with np.errstate(all="ignore"):
            try:
                right = copy.deepcopy(node.layer).forward(z, *arguments, **options)[0]
            except (ValueError, ArithmeticError):  # out of the domain of the layer, or too few rows for it
                continue
            held = {"z": z, **dict(zip(names, arguments, strict=False)), **options, **parameters_at_hand(node.layer)}
            try:
                found = function(**protected(taken(function, held)))
            except Exception as error:
                if "read-only" in str(error):
                    return f"it writes into what it is given ({error}): rules are pure, work on a copy", others
                return f"it raises {type(error).__name__}: {error}; with {words}", others
        others += 1
        if shapes_of(found) != shapes_of(right):
            return f"it gives shape {shapes_of(found)}, and not {shapes_of(right)}; seen with {words}", others
        for part, (a, b) in enumerate(zip(_parts(found), _parts(right), strict=True)):
            of = f" of part {part}" if type(right) is tuple else ""
            if said := difference(np.asarray(a), np.asarray(b), len(_parts(z)[0])):
                return f"{said}{of}; seen with {words}", others
    return "", others


def difference(found: Array, right: Array, rows: int) -> str:
    """How an array differs from the right one; "" where it does not."""
    if found.dtype.kind != right.dtype.kind:
        return f"it gives numbers of {found.dtype}, and not of {right.dtype}"
    if _close(found, right):
        return ""
    if found.dtype != right.dtype and _close(found, right.astype(found.dtype)):
        return f"every entry is a {found.dtype} number: it is computed in single precision"
    factors: dict[float, str] = {
        -1: "its sign is wrong",
        rows: "it is N times the right one, the size of the batch",
        1 / max(rows, 1): "it is the right one divided by N, the size of the batch",
    }
    for factor, words in factors.items():
        if factor != 1 and _close(found, factor * right):
            return words
    if found.ndim == 2 and found.shape[0] == found.shape[1] and _close(found, right.T):
        return "it is transposed"
    off = found - right
    if off.size > 1 and np.all(np.isfinite(off)) and _close(off, np.broadcast_to(off.mean(), off.shape)):
        return f"it is off by {off.mean():.4g} everywhere"
    sizes = np.where(np.isfinite(off), abs(off), np.inf)
    worst = np.unravel_index(int(np.argmax(sizes)), off.shape)
    at = f"at [{', '.join(map(str, worst))}] " if off.ndim else ""
    wrong = int(np.count_nonzero(~np.isclose(found, right, rtol=1e-7, atol=1e-12, equal_nan=True)))
    return f"{at}it gives {found[worst]:.6g}, the layer gives {right[worst]:.6g}; {wrong} of {off.size} entries differ"


def _inputs(node: Node) -> Iterator[tuple[str, Any, tuple[Any, ...], dict[str, Any]]]:
    """That of the explanation, others near it, smaller ones for a domain with a limit, and one row of it."""
    rng = np.random.default_rng(0)
    options = dict(node.options)
    yield "the z of the explanation", node.z, node.arguments, options

    def moved(z: Array, largest: float) -> Array:
        if z.dtype.kind == "f":
            return np.asarray(z * rng.uniform(0.5, largest, z.shape), z.dtype)
        return rng.permuted(z.ravel()).reshape(z.shape)

    for largest in (1.5, 1.5, 1.0, 1.0):
        z = tuple(moved(part, largest) for part in node.z) if type(node.z) is tuple else moved(node.z, largest)
        yield "other numbers", z, node.arguments, options
    rows = len(_parts(node.z)[0])
    if rows > 1:

        def first(value: Any) -> Any:
            return value[:1] if np.ndim(value) and len(value) == rows else value

        z = tuple(map(first, node.z)) if type(node.z) is tuple else first(node.z)
        cut = {name: first(value) for name, value in options.items()}
        yield "a batch of one", z, tuple(map(first, node.arguments)), cut


def _close(a: Array, b: Array) -> bool:
    eps = np.finfo(b.dtype).eps if b.dtype.kind in "fc" else 0.0
    scale = np.abs(b).max(initial=0.0)
    close = max(CLOSE, 100 * float(eps)) * (float(scale) if np.isfinite(scale) else 1.0)
    return bool(np.allclose(a, b, rtol=close if scale else 0.0, atol=close, equal_nan=True))


def _parts(value: Any) -> tuple[Any, ...]:
    return value if type(value) is tuple else (value,)
