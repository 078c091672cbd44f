"""A direction of few and small whole numbers among those that say the same, with margins that numbers can show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from math import floor, lcm, log10

import numpy as np

from minigrad.existence.cone import Cone, Observations
from minigrad.existence.exact import flat, nearest, primitive, whole
from minigrad.existence.faces import null_space_of
from minigrad.existence.interior import whitening
from minigrad.existence.null import BLOCK
from minigrad.existence.wolfe import proposal
from minigrad.typing import Array

DIGITS = (0, 1, 2, 3)  # decimals, beside a largest entry of 1, with the constants or without
SIGNIFICANT = (1, 2, 3, 4, 6, 8, 10, 12, 14, 15)  # digits of every entry, where that is not enough
EFFORT = 200_000  # parameters times inequalities, up to which every entry is tried without
CLEAR = 1e-9  # a margin, relative to its terms, that no rounding of theirs hides
SMALL = 999_999  # whole numbers up to here are printed in full


def readable(cone: Cone, direction: list[int], signs: Array) -> list[int]:
    """`direction`, or one of the same signs: rounded as decimals, and without entries that can be spared.

    Its entries are floating-point numbers exactly, and its least margin is CLEAR, if such a direction is found.
    """
    first = min(BLOCK, len(cone.all.row))

    def margin(tried: list[int], least: float) -> float | None:
        """Of numbers that floating point holds, all of whose signs are the same; None if below `least`."""
        if not any(tried) or any((abs(v) // (v & -v)).bit_length() > 53 for v in tried if v):
            return None
        # The first rows mostly say that it is not the same.
        if not np.array_equal(cone.signs(tried, cone.all.taken(np.arange(first))), signs[:first]):
            return None
        found = least_margin(cone, tried, signs)
        return found if found >= least and np.array_equal(cone.signs(tried, cone.all), signs) else None

    def chosen(least: float) -> list[int] | None:
        return next((tried for w in ways for tried in _rounded(w, constants) if margin(tried, least) is not None), None)

    last = cone.shape[1] - 1
    constants = [place for place in range(cone.size) if cone.has_bias and place % (last + 1) == last]
    ways = [direction]
    wide = least_margin(cone, direction, signs)
    if wide < 2 * CLEAR:  # another may do better
        other = _in_the_middle(cone, signs)
        better = None if other is None else margin(other, max(wide, 0.0))
        if other is not None and better is not None:
            ways, wide = [other, direction], better
    least, exact = CLEAR, chosen(CLEAR)
    if exact is None and wide < 2 * CLEAR:
        least = wide / 2 if wide > 0 else -np.inf
        exact = chosen(least)
    if exact is None and cone.size * len(cone.all.row) <= EFFORT:
        others = chain(_on_the_plane(cone, direction, signs), _times(direction))
        exact = next((tried for tried in others if margin(tried, least) is not None), None)
    if exact is None:
        return ways[0]
    if cone.size * len(cone.all.row) > EFFORT:
        return exact
    for place in np.argsort(np.abs(nearest(exact)), kind="stable").tolist():
        without = primitive([0 if i == place else v for i, v in enumerate(exact)])
        if exact[place] and margin(without, least) is not None:
            exact = without
    return exact


def held(value: int | Fraction) -> bool:
    """Floating point holds the number exactly."""
    try:
        return Fraction(float(value)) == value
    except OverflowError:
        return False


def least_margin(cone: Cone, direction: list[int], signs: Array) -> float:
    """The least of (U_nt - U_nk) / (|x| |V_t| + |x| |V_k|) over those that are strict, as numbers have it."""
    v = np.vstack([np.zeros(cone.shape[1]), nearest(direction).reshape(cone.shape)])
    least = np.inf
    for i in range(0, len(cone.all.row), BLOCK):
        seen = Observations(cone.all.row[i : i + BLOCK], cone.all.label[i : i + BLOCK])
        design = cone.design(seen)
        u, parts, places = design @ v.T, np.abs(design) @ np.abs(v).T, np.arange(len(design))
        own, of_own = u[places, seen.label][:, np.newaxis], parts[places, seen.label][:, np.newaxis]
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = (own - u) / (of_own + parts)
        least = min(least, float(relative.min(initial=np.inf, where=signs[i : i + BLOCK] > 0)))
    return -np.inf if np.isnan(least) else least


def in_numbers(values: list[Fraction]) -> list[Fraction]:
    """The same ratios: small whole numbers, else times a power of two such that floating point holds all, if it can."""
    sizes = [abs(v) for v in values if v]
    if not sizes:
        return values
    common = lcm(*(v.denominator for v in sizes))
    whole = primitive([int(v * common) for v in values])
    if max(map(abs, whole)) <= SMALL:
        return [Fraction(v) for v in whole]
    largest = max(sizes).numerator.bit_length() - max(sizes).denominator.bit_length()
    for exponent in (0, largest, largest - 1000):
        scaled = [v / Fraction(2) ** exponent for v in values]
        if all(held(v) for v in scaled):
            return scaled
    return values


def _rounded(direction: list[int], constants: Sequence[int] = ()) -> Iterator[list[int]]:
    """Beside a largest entry of 1, with so many decimals; then so many digits; then as it is, to the nearest."""
    near = [Fraction(v) for v in nearest(direction).tolist()]
    slope = max((abs(v) for i, v in enumerate(near) if i not in constants), default=Fraction(0)) or Fraction(1)
    for digits in DIGITS:
        yield _whole([round(v, digits) for v in near])
        if slope < 1:
            yield _whole([round(v / slope, digits) for v in near])
    for digits in SIGNIFICANT:
        yield _whole([round(v, digits - 1 - floor(log10(abs(float(v))))) if v else v for v in near])
    yield primitive(direction)
    yield flat(nearest(direction))


def _times(direction: list[int]) -> Iterator[list[int]]:
    """To the nearest numbers, times this and that: between neighbours there may be one of other multiples."""
    most = Fraction(max(map(abs, direction)))
    for by in range(64, 128):
        yield flat(np.array([float(v / most * by) for v in direction]))


def _on_the_plane(cone: Cone, direction: list[int], signs: Array) -> Iterator[list[int]]:
    """Rounded among the directions that leave every inequality at 0 that is 0, if these are not too many to ask."""
    still = signs == 0
    still[np.arange(len(signs)), cone.all.label] = False
    n, k = np.nonzero(still)
    if not len(n) or len(n) * cone.size > EFFORT:
        return
    design = whole(cone.design(cone.all))[0]
    rows = [cone.pair(design[i], int(cone.all.label[i]), j) for i, j in zip(n.tolist(), k.tolist(), strict=True)]
    space = null_space_of(rows, list(range(len(rows))))
    own = [next(c for c, v in enumerate(u) if v and not any(w[c] for w in space if w is not u)) for u in space]
    coordinates = [Fraction(direction[c], u[c]) for c, u in zip(own, space, strict=True)]
    for tried in _rounded(_whole(coordinates)):
        yield primitive([sum(a * u[c] for a, u in zip(tried, space, strict=True)) for c in range(cone.size)])


def _whole(values: list[Fraction]) -> list[int]:
    common = lcm(*(v.denominator for v in values))
    return primitive([int(v * common) for v in values]) if any(values) else [0] * len(values)


def _in_the_middle(cone: Cone, signs: Array) -> list[int] | None:
    """The normal of the plane that is as far from all inequalities as can be, each of length 1, if all are strict."""
    others, count = cone.classes - 1, len(cone.all.row)
    if not (np.count_nonzero(signs > 0, axis=1) == others).all() or count * others * cone.size > 5 * EFFORT:
        return None
    design = cone.design(cone.all)
    t = whitening(design)
    n, k = np.nonzero(signs > 0)
    units = np.vstack([np.zeros(others), np.eye(others)])
    told = units[cone.all.label[n]] - units[k]
    with np.errstate(all="ignore"):
        points = (told[:, :, np.newaxis] * (design @ t)[n][:, np.newaxis, :]).reshape(len(n), -1)
        points /= np.sqrt((points**2).sum(axis=1, keepdims=True))
        if not np.isfinite(points).all():
            return None
        corral, weights = proposal(points)
        v = (weights @ points[corral]).reshape(cone.shape) @ t.T
    return flat(v) if np.isfinite(v).all() and v.any() else None
