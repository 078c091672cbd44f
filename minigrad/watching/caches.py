"""How much memory the caches of a pass hold, place by place, each buffer once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from minigrad.layer import Layer
from minigrad.typing import Array
from minigrad.watching.watched import Event


def cache_bytes(events: Iterable[Event], held: Iterable[Layer]) -> dict[str, int]:
    """{place: bytes} of what each run of rule 1 keeps and none before it does; arrays of the layers left out.

    An array counts as the whole buffer that it is a view of, since that is what it keeps alive.
    """
    seen = {id(buffer(array)) for layer in held for array in arrays_in(tuple(vars(layer).values()))}
    found: dict[str, int] = {}
    for event in events:
        found.setdefault(event.place, 0)
        for array in arrays_in(event.cache):
            of_array = buffer(array)
            if id(of_array) not in seen:
                seen.add(id(of_array))
                found[event.place] += of_array.nbytes
    return found


def arrays_in(value: Any) -> Iterator[Array]:
    """The arrays in tuples, lists, dictionaries and objects, but not in layers."""
    pending, seen = [value], set()
    while pending:
        part = pending.pop()
        if id(part) in seen or isinstance(part, Layer | type):
            continue
        seen.add(id(part))
        if isinstance(part, np.ndarray):
            yield part
        elif isinstance(part, tuple | list | set | frozenset):
            pending.extend(part)
        elif isinstance(part, dict):
            pending.extend(part.values())
        else:
            pending.extend(getattr(part, "__dict__", {}).values())
            slots = [name for kind in type(part).__mro__ for name in vars(kind).get("__slots__", ())]
            pending.extend(getattr(part, name, None) for name in slots)
            pending.extend(_held_by(part))


def _held_by(function: Any) -> list[Any]:
    """What a closure or a partial function keeps, for a cache that is a function of delta."""
    if isinstance(function, partial):
        return [function.func, function.args, function.keywords]
    cells = getattr(function, "__closure__", None) or ()
    return [cell.cell_contents for cell in cells if cell != type(cell)()]  # an empty one has none


def buffer(array: Array) -> Array:
    """The array that owns the memory of a view."""
    owner, base = array, array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            owner = base
        base = getattr(base, "base", None)  # that of as_strided stands behind another object
    return owner
