"""How large a model is that a table of objects makes: a short table can make more layers than there is time for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

LARGEST = 10**6  # layers_in a model: sixty stacks, each of twice the one before, would take for ever


def layers_in(objects: Sequence[Any]) -> int:
    """How many objects a table makes, each counted at every place where it stands: twice in a stack is two."""
    inside = [inside_of(entry, len(objects)) for entry in objects]
    sizes: dict[int, int] = {}
    begun: set[int] = set()
    waiting = [0]
    while waiting:
        i = waiting[-1]
        if i not in begun:
            begun.add(i)
            waiting += [n for n in inside[i] if n not in begun]
        else:
            waiting.pop()
            # An object that is not done yet stands within itself: who descends into it is stopped by Python.
            sizes[i] = min(1 + sum(times * sizes.get(n, 0) for n, times in inside[i].items()), 2 * LARGEST)
    return sizes[0]


def inside_of(entry: Any, count: int) -> dict[int, int]:
    """{number: how often an entry refers to it}."""
    parts = entry.get("attributes") if isinstance(entry, dict) else None
    times = {
        name: Counter(n for n in references(part) if n < count)
        for name, part in (parts.items() if isinstance(parts, dict) else [("", entry)])
    }
    # A stack has its layers in two attributes.
    stacked = times.pop("_layers", Counter()) | times.pop("_children", Counter())
    return sum(times.values(), stacked)


def references(value: Any) -> Iterator[int]:
    """The numbers of the objects that a value refers to, as often as it does."""
    if isinstance(value, dict):
        number = value.get("object")
        if type(number) is int and number >= 0 and len(value) == 1:
            yield number
        else:
            for item in value.values():
                yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)
