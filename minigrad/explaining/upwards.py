"""An answer for rule 1: the same numbers as the layer's own, at the z of the explanation and at others."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.explaining.stack import Node
from minigrad.typing import Array

CLOSE = 1e-9  # of the largest entry, in float64; of another type, as many of its roundings


def same_function(node: Node, function: Callable[..., Any]) -> str:
    """How an answer differs from rule 1 of a layer; "" where it does not."""
    wanted = inspect.signature(function).parameters
    taken = list(inspect.signature(type(node.layer).forward).parameters)[2:]
    for words, z, arguments in _inputs(node):
        layer = copy.deepcopy(node.layer)
        with np.errstate(all="ignore"):
            right = layer.forward(z, *arguments, **node.options)[0]
            if not _equal(layer.forward(z, *arguments, **node.options)[0], right):
                return "the layer draws random numbers in rule 1, so that no answer can be compared with it"
            held = {"z": z, **dict(zip(taken, arguments, strict=False)), **node.options, **node.parameters}
            try:
                found = function(**{name: held[name] for name in wanted if name in held})
            except Exception as error:
                return f"it raises {type(error).__name__}: {error}; with {words}"
        for part, (a, b) in enumerate(zip(_parts(found), _parts(right), strict=False)):
            of = f" of part {part}" if type(right) is tuple else ""
            if said := difference(np.asarray(a), np.asarray(b), len(_parts(z)[0])):
                return f"{said}{of}; seen with {words}"
    return ""


def difference(found: Array, right: Array, rows: int) -> str:
    """How an array differs from the right one; "" where it does not."""
    if found.shape != right.shape:
        return f"it gives shape {found.shape}, and not {right.shape}"
    if _close(found, right):
        return ""
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


def _inputs(node: Node) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Inputs of the layer's domain: that of the explanation, others near it, and one row of it."""
    rng = np.random.default_rng(0)
    yield "the z of the explanation", node.z, node.arguments

    def moved(z: Array) -> Array:
        return np.asarray(z * rng.uniform(0.5, 1.5, z.shape), z.dtype) if z.dtype.kind == "f" else z

    for _ in range(3):
        z = tuple(map(moved, node.z)) if type(node.z) is tuple else moved(node.z)
        yield "other numbers", z, node.arguments
    rows = len(_parts(node.z)[0])
    if rows > 1:
        first = slice(0, 1)
        z = tuple(part[first] for part in node.z) if type(node.z) is tuple else node.z[first]
        cut = tuple(a[first] if np.ndim(a) and len(a) == rows else a for a in node.arguments)
        yield "a batch of one", z, cut


def _close(a: Array, b: Array) -> bool:
    eps = np.finfo(b.dtype).eps if b.dtype.kind in "fc" else 0.0
    scale = np.abs(b).max(initial=0.0)
    close = max(CLOSE, 100 * float(eps)) * (float(scale) if np.isfinite(scale) else 1.0)
    return bool(np.allclose(a, b, rtol=close if scale else 0.0, atol=close, equal_nan=True))


def _equal(a: Any, b: Any) -> bool:
    return all(np.array_equal(p, q, equal_nan=True) for p, q in zip(_parts(a), _parts(b), strict=True))


def _parts(value: Any) -> tuple[Any, ...]:
    return value if type(value) is tuple else (value,)
