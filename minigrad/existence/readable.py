"""A direction of few and small numbers among those that say the same."""

from __future__ import annotations

import numpy as np

from minigrad.existence.cone import Cone
from minigrad.existence.exact import flat, nearest
from minigrad.existence.null import BLOCK
from minigrad.typing import Array

DIGITS = (0, 1, 2, 3)
EFFORT = 200_000  # parameters times observations, up to which every entry is tried without


def readable(cone: Cone, direction: list[int], signs: Array) -> list[int]:
    """`direction`, rounded, and without entries that can be spared, as long as every sign is the same."""
    first = min(BLOCK, len(cone.all.row))

    def same(tried: Array) -> list[int] | None:
        if not tried.any():
            return None
        found = flat(tried)
        # The first rows mostly say that it is not the same.
        if not np.array_equal(cone.signs(found, cone.all.taken(np.arange(first))), signs[:first]):
            return None
        return found if np.array_equal(cone.signs(found, cone.all), signs) else None

    near = nearest(direction)
    exact = same(near)
    for digits in DIGITS:
        rounded = np.round(near, digits)
        found = same(rounded)
        if found is not None:
            near, exact = rounded, found
            break
    if exact is None or cone.size * len(cone.all.row) > EFFORT:
        return exact or direction
    for place in np.argsort(np.abs(near), kind="stable").tolist():
        if near[place]:
            without = near.copy()
            without[place] = 0.0
            found = same(without)
            if found is not None:
                near, exact = without, found
    return exact
