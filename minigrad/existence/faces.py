"""The one partition of inequalities into those that can be strict, all at once, and those that never are; exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from minigrad.existence.cone import EPS
from minigrad.existence.exact import Integers, dot, null_basis, primitive, product, solve
from minigrad.existence.interior import whitening
from minigrad.existence.lifting import PRIMES, profile
from minigrad.existence.wolfe import integers_of, nearest_point, proposal
from minigrad.typing import Array

FAINT = 1e-14  # multipliers that may be anything
MANY = 6  # times as many rows as columns, those of the largest weights, are put in order
TRIES = 5  # of the gaps between large and small ones


class Partition(NamedTuple):
    """Rows A: `direction` d with A d >= 0, strict wherever any is; `multipliers` > 0 of rows that sum to 0.

    Rows that are not strict vanish on all directions on which those with multipliers do.
    """

    direction: list[int] | None
    multipliers: dict[int, int]
    space: Integers  # spans the directions on which those vanish


def partition(rows: Integers, guess: Array) -> Partition:
    """Of whole rows, face by face: what sums to 0 is 0 on every direction, and what is left is looked at there.

    `guess`, one number of 0 or more for each row, are near multipliers.  Goldman and Tucker, in Linear Inequalities and
    Related Systems (1956) 53-97; facial reduction: Borwein and Wolkowicz, J. Australian Math. Soc. A 30 (1981) 369-380.
    """
    width = len(rows[0])
    space: Integers = [[int(i == j) for j in range(width)] for i in range(width)]
    multipliers = _guessed(rows, guess)
    if multipliers:
        space = null_space_of(rows, list(multipliers))
    active = np.arange(len(rows))
    within = product(rows, space) if multipliers else rows
    while space:
        left = [i for i, row in enumerate(within) if any(row)]
        active, within = active[left], [within[i] for i in left]
        if not within:
            break
        weights, normal = _face(within)
        if normal is not None:
            return Partition(primitive(product([normal], list(zip(*space, strict=True)))[0]), multipliers, space)
        assert weights is not None
        multipliers = _joined(rows, multipliers, {int(active[i]): w for i, w in weights.items()})
        smaller = null_basis([within[i] for i in weights], len(space))
        space = [primitive(v) for v in product(smaller, list(zip(*space, strict=True)))]
        within = product([rows[i] for i in active], space)
    return Partition(None, multipliers, space)


def _face(rows: Integers) -> tuple[dict[int, int] | None, list[int] | None]:
    """Rows that sum to 0 with whole weights > 0, or a whole direction along which all rows are strict."""
    bits = [max(map(abs, row)).bit_length() for row in rows]
    most = max(bits)
    near = _nearly(rows, np.array(bits))
    t = whitening(near)
    whole_t = integers_of(t)
    columns = list(zip(*whole_t, strict=True))

    def point(i: int) -> list[int]:
        return [dot(rows[i], column) << (most - bits[i]) for column in columns]

    def worst(w: list[int]) -> int | None:
        v = [dot(row, w) for row in whole_t]
        size = max(map(abs, v))
        v_near = np.array([_near(c, size.bit_length()) for c in v])
        margins = near @ v_near
        bound = (len(v) + 6) * EPS * float(np.abs(v_near).sum())
        order = np.argsort(margins)
        for i in order[margins[order] <= bound].tolist():
            if dot(rows[i], v) <= 0:
                return int(i)
        return None

    scaled = near @ t
    corral, weights = proposal(scaled / np.sqrt((scaled**2).sum(axis=1, keepdims=True)))
    found, w = nearest_point(point, worst, corral, weights)
    if w is not None:
        return None, primitive([dot(row, w) for row in whole_t])
    assert found is not None
    return {i: value << (most - bits[i]) for i, value in found.items()}, None


def _nearly(rows: Integers, bits: Array) -> Array:
    """Each row over 2^bits, to the nearest but for a part in 2^60."""
    if bits.max(initial=0) < 63:
        return np.asarray(np.ldexp(np.array(rows, dtype=np.int64).astype(float), -bits[:, np.newaxis]))
    return np.array([[_near(v, b) for v in row] for row, b in zip(rows, bits.tolist(), strict=True)])


def _near(value: int, bits: int) -> float:
    """value / 2^bits, to the nearest but for a part in 2^60."""
    return value / 2**bits if bits < 1000 else float((value >> (bits - 900)) / 2**900)


def null_space_of(rows: Integers, among: list[int]) -> Integers:
    """Whole vectors that span the directions on which all rows `among` these vanish."""
    return null_basis([rows[i] for i in independent(rows, np.array(among, int))], len(rows[0]))


def independent(rows: Integers, among: Array, weight: Array | None = None) -> list[int]:
    """Independent rows among these, as many as there are; with weights, those far from each other first.

    By remainders, which never call dependent rows independent.
    """
    if weight is not None:
        among = among[_far_apart(rows, among, weight)]
    places, _ = profile([rows[i] for i in among.tolist()], PRIMES[0])
    return among[places].tolist()


def _far_apart(rows: Integers, among: Array, weight: Array) -> Array:
    """An order: at every step the row, times its weight, that is farthest from the span of those before."""
    heavy = np.argsort(-weight, kind="stable")[: MANY * len(rows[0])]
    most = max((max(map(abs, rows[i])) for i in among[heavy].tolist()), default=1).bit_length()
    left = _nearly([rows[i] for i in among[heavy].tolist()], np.full(len(heavy), most)) * weight[heavy, np.newaxis]
    left /= np.abs(left).max(initial=0.0) or 1.0
    order: list[int] = []
    for _ in range(min(left.shape)):
        size = (left**2).sum(axis=1)
        size[order] = -1.0
        k = int(np.argmax(size))
        if size[k] <= 1e-28:
            break
        order.append(k)
        unit = left[k] / np.sqrt(size[k])
        left = left - np.outer(left @ unit, unit)
    first = heavy[order]
    rest = np.setdiff1d(np.arange(len(among)), first)
    return np.append(first, rest[np.argsort(-weight[rest], kind="stable")])


def _guessed(rows: Integers, guess: Array) -> dict[int, int]:
    """Whole multipliers near those guessed that are not small beside the others; {} where there are none."""
    order = np.argsort(-guess)
    size = np.log10(np.maximum(guess[order], FAINT))
    gaps = size[:-1] - size[1:]
    for last in np.argsort(-gaps)[:TRIES].tolist():
        if gaps[last] < 1:
            break
        among = order[: last + 1]
        basis = independent(rows, among, guess[among])
        if len(basis) == len(among):
            continue
        space = null_basis([rows[i] for i in basis], len(rows[0]))
        if not space or not any(map(any, product([rows[i] for i in among.tolist()], space))):
            found = repaired(rows, {int(i): Fraction(float(guess[i])) for i in among}, basis)
            if found is not None:
                return found
    return {}


def repaired(rows: Integers, values: dict[int, Fraction], basis: list[int]) -> dict[int, int] | None:
    """The same multipliers but for those of the basis, which are changed so that all sum to 0; None if not all > 0."""
    common = max((v.denominator for v in values.values()), default=1)
    if any(common % v.denominator for v in values.values()):
        common = int(np.lcm.reduce(np.array([v.denominator for v in values.values()], dtype=object)))
    scaled = {i: int(v * common) for i, v in values.items()}
    rest = [0] * len(rows[0])
    for i, v in scaled.items():
        if i not in basis:
            rest = [r - v * a for r, a in zip(rest, rows[i], strict=True)]
    if any(rest) or basis:
        found = solve_over(rows, basis, rest)
        if found is None or any(v <= 0 for v in found[0]):
            return None
        scaled = {i: v * found[1] for i, v in scaled.items()} | dict(zip(basis, found[0], strict=True))
    return scaled


def solve_over(rows: Integers, basis: list[int], right: list[int]) -> tuple[list[int], int] | None:
    """(c, denominator) with sum c_i rows_i = right; None where there are none."""
    if not basis:
        return None if any(right) else ([], 1)
    system = [list(column) for column in zip(*(rows[i] for i in basis), strict=True)]
    found = solve(system, right)
    if found is None:
        return None
    consistent = all(dot(row, found[0]) == b * found[1] for row, b in zip(system, right, strict=True))
    return found if consistent else None


def _joined(rows: Integers, before: dict[int, int], circuit: dict[int, int]) -> dict[int, int]:
    """Multipliers of both, where the circuit sums to something that vanishes wherever those before do."""
    left = [0] * len(rows[0])
    for i, w in circuit.items():
        left = [a - w * b for a, b in zip(left, rows[i], strict=True)]
    if not any(left):
        joined = dict(before)
        for i, w in circuit.items():
            joined[i] = joined.get(i, 0) + w
        return joined
    basis = independent(rows, np.array(list(before)))
    found = solve_over(rows, basis, left)
    assert found is not None, "the circuit lies in a face"
    joined = {i: w * found[1] for i, w in circuit.items()}
    times = max(1, *(-v // before[i] + 1 for i, v in zip(basis, found[0], strict=True)))
    for i, w in before.items():
        joined[i] = joined.get(i, 0) + times * w
    for i, v in zip(basis, found[0], strict=True):
        joined[i] += v
    return joined
