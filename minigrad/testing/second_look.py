"""A second look at what seems wrong: rounding of the rule itself, kinks and ties; and at arrays as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from minigrad.containers import Container
from minigrad.testing.comparison import Comparison
from minigrad.testing.numeric import EPS, largest, line, noise_of, slope
from minigrad.typing import Array


def forgive(c: Comparison, rng: np.random.Generator) -> None:
    """Take back what the rounding of the rule itself explains, and at a kink what a neighbour of z would give."""
    rounding = 16 * _spread(c, rng)
    c.wrong[...] &= ~(np.abs(c.analytic - c.numeric.value) <= c.bound + rounding) | ~np.isfinite(c.analytic)
    c.bound[...] = c.bound + rounding
    if not c.wrong.any():
        return
    (low, high), (fine_low, fine_high) = _hull(c, _nearby(c, rng, 1e-8)), _hull(c, _nearby(c, rng, 1e-10))
    # At a kink the derivative jumps however near the points are; elsewhere it changes with the distance.
    kink = (fine_high - fine_low > 0.25 * (high - low)) & (fine_high - fine_low > 1e-6 * max(c.size, 1e-3 * c.scale))
    between = (c.analytic >= low - c.bound) & (c.analytic <= high + c.bound)
    if isinstance(c.subject.layer, Container):
        # Slopes that are each between those of both sides may multiply to one that is not; each layer is checked apart.
        between = np.isfinite(c.analytic) & (np.abs(c.analytic) <= 8 * np.maximum(np.abs(low), np.abs(high)) + c.bound)
        kink |= c.numeric.kink
    c.numeric.kink[...] |= kink & between & c.wrong
    c.wrong[...] &= ~(kink & between)


def _spread(c: Comparison, rng: np.random.Generator) -> Array:
    """How far rounding what goes in moves the rule's result."""
    tiny = 2.0**-30
    spread = np.zeros(c.analytic.shape)
    for _ in range(4):
        delta = c.delta * (1 + tiny * rng.uniform(-1, 1, c.delta.shape))
        result = _rule_near(c, delta, lambda array: array * (1 + tiny * rng.uniform(-1, 1, array.shape)))
        if result is not None:
            np.fmax(spread, np.abs(result - c.analytic) * (EPS / tiny), out=spread)
    # A kink at z moves the result by far more than rounding does.
    spread[~(spread <= 1e-3 * max(c.size, 1e-3 * c.scale))] = 0.0
    return spread


def _nearby(c: Comparison, rng: np.random.Generator, distance: float) -> list[Array]:
    """What the rule gives at points at some distance from z."""

    def move(array: Array) -> Array:
        return array + distance * max(largest(array), 1e-3) * rng.normal(size=array.shape)

    count = 16 if c.subject.slow else 64
    return [result for _ in range(count) if (result := _rule_near(c, c.delta, move)) is not None]


def _hull(c: Comparison, results: list[Array]) -> tuple[Array, Array]:
    """The least and the largest of each entry."""
    if not results:
        return np.full(c.analytic.shape, np.nan), np.full(c.analytic.shape, np.nan)
    return np.min(results, axis=0), np.max(results, axis=0)


def _rule_near(c: Comparison, delta: Array, move: Callable[[Array], Array]) -> Array | None:
    """The rule at a z that has been moved a little."""

    def moved(part: Array) -> Array:
        return move(part) if part.dtype.kind == "f" else part

    z = c.subject.z
    z = tuple(moved(part) for part in z) if type(z) is tuple else moved(z)
    try:
        near = c.subject.at(z, c.subject.arguments)
        cache = near.forward()[1]
        result = (near.backward if c.rule == 2 else near.parameter_gradients)(delta[()], cache)[c.array]
    except Exception:
        return None
    return result if result.shape == c.analytic.shape else None


def random_directions(
    c: Comparison, function: Callable[[Array], Any], array: Array, rng: np.random.Generator
) -> Iterator[tuple[Array, float, float, float]]:
    """All entries of a large array at once, along two random directions."""
    for _ in range(2):
        v = rng.choice([-1.0, 1.0], array.shape)
        yield from _along(c, function, array, v)


def tied_directions(
    c: Comparison, function: Callable[[Array], Any], array: Array, rng: np.random.Generator
) -> Iterator[tuple[Array, float, float, float]]:
    """Entries that are tied, moved together: at a maximum of equals the slopes of all of them must sum to one.

    Only directions count in which the rule gives one slope at all points close by.
    """
    groups: dict[bytes, Array] = {}
    whole = np.ones(array.shape)
    groups[whole.tobytes()] = whole
    for index, axis in product(map(tuple, np.argwhere(c.numeric.kink)), range(array.ndim)):
        v = np.zeros(array.shape)
        along = (*index[:axis], slice(None), *index[axis + 1 :])
        v[along] = array[along] == array[index]
        groups.setdefault(v.tobytes(), v)
    nearby = _nearby(c, rng, 1e-8)
    for v in list(groups.values())[:12]:
        slopes = [float(np.sum(result * v)) for result in nearby]
        if slopes and max(slopes) - min(slopes) <= 1e-6 * max(c.size, 1e-3 * c.scale):
            yield from _along(c, function, array, v, smooth_only=True)


def _along(
    c: Comparison, function: Callable[[Array], Any], array: Array, v: Array, smooth_only: bool = False
) -> Iterator[tuple[Array, float, float, float]]:
    size = max(largest(array), 1.0)
    along = line(function, array, v)
    columns = slope(along, size, size)
    total = columns.weigh(c.delta.ravel())
    if not np.isfinite(total.value) or (smooth_only and total.kink):
        return
    by_rule = float(np.sum(c.analytic * v))
    terms = float(np.abs(c.analytic * v).sum())

    def bound() -> float:
        gap = float(total.high - total.low)
        return 4 * float(total.error) + gap + 64 * EPS * max(terms, c.scale * np.sqrt(array.size))

    if abs(by_rule - float(total.value)) > bound():
        noise = 0.0 if c.subject.slow else noise_of(along, size)
        total = slope(along, size, size, noise).weigh(c.delta.ravel())
    if bound() <= 1e-3 * max(terms, 1e-3 * c.scale):
        yield v, by_rule, float(total.value), bound()
