"""Exact arithmetic: floating-point numbers are whole numbers times powers of two, and elimination keeps them whole."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd

import numpy as np

from minigrad.existence.lifting import PRIMES, inverted, lifted, profile
from minigrad.typing import Array

Integers = list[list[int]]

SMALL = 12  # equations that are eliminated as they are


def whole(array: Array) -> tuple[Integers, int]:
    """Rows of whole numbers and an exponent e: array = rows 2^e, exactly."""
    mantissa, exponent = np.frexp(np.asarray(array, dtype=float))
    mantissa = np.ldexp(mantissa, 53).astype(np.int64)
    # Trailing zeros go first, so that 1.0 is 1 and not 2^52.
    trailing = np.where(mantissa == 0, 0, _trailing_zeros(mantissa))
    mantissa, exponent = mantissa >> trailing, exponent - 53 + trailing
    present = mantissa != 0
    least = int(exponent[present].min(initial=10**9)) if present.any() else 0
    shift = np.where(present, exponent - least, 0)
    rows = [
        [m << s for m, s in zip(row, by, strict=True)]
        for row, by in zip(mantissa.tolist(), shift.tolist(), strict=True)
    ]
    return rows, least


def _trailing_zeros(mantissa: Array) -> Array:
    lowest = mantissa & -mantissa
    return np.asarray(np.frexp(np.where(lowest == 0, 1, lowest).astype(float))[1] - 1)


def flat(array: Array) -> list[int]:
    """All entries, as small whole numbers of the same ratios."""
    return primitive(whole(array.reshape(1, -1))[0][0])


def primitive(vector: Sequence[int]) -> list[int]:
    """`vector` over the greatest common divisor of its entries."""
    divisor = gcd(*vector)
    return [v // divisor for v in vector] if divisor > 1 else list(vector)


def echelon(rows: Integers, columns: int | None = None) -> tuple[Integers, list[int], int]:
    """Gauss and Jordan without fractions: (rows, pivot columns, the value of all pivots).

    Only the first `columns` are eliminated; what stands behind them goes along.  Bareiss, Mathematics of Computation 22
    (1968) 565-578: every division leaves no remainder.
    """
    left = [list(row) for row in rows]
    done: list[tuple[list[int], int]] = []
    last = 1
    width = (len(rows[0]) if rows else 0) if columns is None else columns
    for c in range(width):
        present = [i for i, row in enumerate(left) if row[c]]
        if not present:
            continue
        pivot = left.pop(min(present, key=lambda i: abs(left[i][c]).bit_length()))
        left = [_without(row, pivot, c, last) for row in left]
        done = [*((_without(row, pivot, c, last), k) for row, k in done), (pivot, c)]
        last = pivot[c]
        if not left:
            break
    return [row for row, _ in done], [k for _, k in done], last


def _without(row: list[int], pivot: list[int], c: int, last: int) -> list[int]:
    """(pivot_c row - row_c pivot) / last."""
    value, by = pivot[c], row[c]
    if by == 0:
        return row if value == last else [value * a // last for a in row]
    return [(value * a - by * b) // last for a, b in zip(row, pivot, strict=True)]


def null_basis(rows: Integers, width: int) -> Integers:
    """Whole vectors that span {v: rows v = 0}: one for each column without a pivot."""
    if min(len(rows), width) > SMALL and (found := _lifted_basis(rows, width)) is not None:
        return found
    reduced, pivots, value = echelon(rows)
    basis = []
    for free in (k for k in range(width) if k not in pivots):
        vector = [0] * width
        vector[free] = value
        for row, pivot in zip(reduced, pivots, strict=True):
            vector[pivot] = -row[free]
        vector = primitive(vector)
        basis.append(vector if value > 0 else [-v for v in vector])
    return basis


def solve(matrix: Integers, right: Sequence[int]) -> tuple[list[int], int] | None:
    """(numerators, denominator > 0) of the one solution of matrix x = right; None where there is none, or many."""
    size = len(matrix[0])
    if size > SMALL:
        return _lifted_solution(matrix, right)
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    reduced, pivots, value = echelon(rows, size)
    if len(pivots) < size:
        return None
    solution = [row[-1] for row in reduced]
    return ([-v for v in solution], -value) if value < 0 else (solution, value)


def _lifted_solution(matrix: Integers, right: Sequence[int]) -> tuple[list[int], int] | None:
    """`solve`, of equations of which as many count as there are unknowns."""
    for prime in PRIMES:
        places, pivots = profile(matrix, prime)
        if len(pivots) == len(matrix[0]):
            chosen = [matrix[i] for i in places]
            return lifted(chosen, [right[i] for i in places], inverted(chosen, prime), prime)
    return None


def _lifted_basis(rows: Integers, width: int) -> Integers | None:
    """`null_basis`: rows that are independent modulo a prime are so, and the others are tested; None: not all are."""
    for prime in PRIMES:
        places, pivots = profile(rows, prime)
        square = [[rows[i][c] for c in pivots] for i in places]
        inverse = inverted(square, prime)
        basis = []
        for free in sorted(set(range(width)) - set(pivots)):
            found, value = lifted(square, [-rows[i][free] for i in places], inverse, prime)
            vector = [0] * width
            vector[free] = value
            for c, v in zip(pivots, found, strict=True):
                vector[c] = v
            basis.append(primitive(vector))
        others = [rows[i] for i in sorted(set(range(len(rows))) - set(places))]
        if not any(map(any, product(others, basis))):
            return basis
    return None


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    """a . b."""
    return sum(u * v for u, v in zip(a, b, strict=True) if u and v)


def product(rows: Sequence[Sequence[int]], others: Sequence[Sequence[int]]) -> Integers:
    """rows . others^T."""
    if not rows or not others:
        return [[] for _ in rows]
    most = [max(max(map(abs, row)) for row in matrix).bit_length() for matrix in (rows, others)]
    kind = np.int64 if sum(most) + len(rows[0]).bit_length() < 62 else object
    result: Integers = (np.array(rows, dtype=kind) @ np.array(others, dtype=kind).T).tolist()
    return result


def nearest(vector: Sequence[int | float]) -> Array:
    """The vector over its largest entry, as floating-point numbers."""
    exact = [Fraction(v) for v in vector]
    largest = max(map(abs, exact), default=Fraction(0)) or 1
    return np.array([float(v / largest) for v in exact])
