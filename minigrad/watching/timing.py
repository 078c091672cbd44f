"""How long each rule of a layer takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minigrad.watching.passes import Leaf
from minigrad.watching.watched import sharing


def seconds(leaf: Leaf, repeats: int) -> dict[str, float]:
    """{rule: the shortest of `repeats` runs} on what the pass recorded, of the rules that it ran."""
    if not repeats:
        return {}
    layer, options = sharing(leaf.up.layer), leaf.up.options
    z = leaf.up.given[: len(leaf.up.given) - len(options)]
    found = {}
    with np.errstate(all="ignore"):
        found["forward"], (_, cache) = _best(lambda: layer.forward(*z, **options), repeats)
        for rule, result in (("backward", leaf.delta), ("parameter_gradients", leaf.gradients or None)):
            if result is not None:
                found[rule], _ = _best(partial(getattr(layer, rule), leaf.delta_next, cache), repeats)
    return found


def _best(rule: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The shortest time, and what the last run gave."""
    shortest, result = math.inf, None
    for _ in range(repeats):
        start = time.perf_counter()
        result = rule()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, result
