"""Linear equations in whole numbers, solved digit by digit: modulo a prime first, then modulo its powers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.typing import Array

Matrix = list[list[int]]

PRIMES = (2**31 - 19, 2**31 - 61)  # products have 62 bits
LIMB = 22  # bits of which a whole number is made: times a digit, a thousand of them have a sum below 2^63
HALF = 16  # bits of the parts into which a digit is split
SPARE = 2**40  # a fraction that is by so much simpler than chance has it is taken for the answer, and then tested


def profile(rows: Matrix, prime: int) -> tuple[list[int], list[int]]:
    """Places of rows and columns whose matrix is regular modulo the prime, as large as there is one.

    Some rows first, and then those that do not vanish on random vectors on which these do.
    """
    if not rows:
        return [], []
    left = remainders(rows, prime)
    some = 2 * left.shape[1]
    among, rng = np.arange(min(some, len(left))), np.random.default_rng(0)
    while True:
        chosen, pivots, reduced = _eliminated(left[among], prime)
        chosen = among[chosen]
        z = rng.integers(0, prime, (left.shape[1], 3))
        for c, row in zip(reversed(pivots), reversed(reduced), strict=True):
            z[c] = 0
            z[c] = -np.sum(row[:, np.newaxis] * z % prime, axis=0) % prime
        new = np.flatnonzero(_times(left, z, prime).any(axis=1)) if len(left) > some else chosen[:0]
        if not len(new) or len(pivots) == left.shape[1]:
            return chosen.tolist(), pivots
        among = np.append(chosen, new[:some])


def _eliminated(left: Array, prime: int) -> tuple[Array, list[int], list[Array]]:
    """Places of independent rows, the first that are, the pivot columns, and the rows that stay, of pivots 1."""
    places = np.arange(len(left))
    chosen: list[int] = []
    pivots: list[int] = []
    reduced: list[Array] = []
    while (present := left.any(axis=1)).any():
        k = int(np.argmax(present))
        c = int(np.flatnonzero(left[k])[0])
        pivot = left[k] * pow(int(left[k, c]), -1, prime) % prime
        chosen.append(int(places[k]))
        pivots.append(c)
        reduced.append(pivot)
        left, places = left[k + 1 :], places[k + 1 :]
        left = (left - left[:, c, np.newaxis] * pivot) % prime
    return np.array(chosen, int), pivots, reduced


def remainders(rows: Matrix, prime: int) -> Array:
    """0 to prime - 1."""
    return np.array([[v % prime for v in row] for row in rows], dtype=np.int64)


def _times(matrix: Array, vectors: Array, prime: int) -> Array:
    """matrix vectors modulo the prime, of remainders: by halves, whose sums are below 2^63."""
    low, high = vectors & (2**HALF - 1), vectors >> HALF
    return np.asarray((matrix @ low % prime + (matrix @ high % prime << HALF)) % prime)


def lifted(matrix: Matrix, right: Sequence[int], inverse: Array, prime: int) -> tuple[list[int], int]:
    """(numerators, denominator > 0) of the one solution of matrix x = right, square, by its inverse modulo the prime.

    x = x_0 + x_1 p + ..., x_i = inverse r_i mod p, r_(i+1) = (r_i - matrix x_i) / p from r_0 = right; fractions of
    which all digits so far are those of x are tested in the equations, so that what is returned is exact.  Dixon,
    Numerische Mathematik 40 (1982) 137-141.
    """
    limbs = _limbs(matrix)
    rest, digits, steps = list(right), [0] * len(right), 0
    power, test = 1, 2
    while True:
        r = np.array([v % prime for v in rest], dtype=np.int64)
        digit = _times(inverse, r, prime)
        parts = [(limb @ digit).tolist() for limb in limbs]
        taken = parts.pop()
        while parts:
            taken = [(a << LIMB) + b for a, b in zip(taken, parts.pop(), strict=True)]
        rest = [(a - b) // prime for a, b in zip(rest, taken, strict=True)]
        digits = [a + power * int(b) for a, b in zip(digits, digit.tolist(), strict=True)]
        power *= prime
        steps += 1
        if steps >= test or not any(rest):
            test = steps + steps // 2 + 1
            found = _fractions(digits, power)
            if found is not None and _holds(matrix, right, *found):
                return found


def inverted(matrix: Matrix, prime: int) -> Array:
    """The inverse modulo the prime of a matrix that is regular modulo the prime."""
    n = len(matrix)
    left = np.hstack([remainders(matrix, prime), np.eye(n, dtype=np.int64)])
    for c in range(n):
        k = c + int(np.argmax(left[c:, c] != 0))
        left[[c, k]] = left[[k, c]]
        left[c] = left[c] * pow(int(left[c, c]), -1, prime) % prime
        by = left[:, c].copy()
        by[c] = 0
        left = (left - by[:, np.newaxis] * left[c]) % prime
    return left[:, n:]


def _limbs(matrix: Matrix) -> list[Array]:
    """matrix = sum_l limbs_l 2^(LIMB l), the lowest first."""
    limbs: list[Array] = []
    left = matrix
    while any(any(row) for row in left) or not limbs:
        limbs.append(
            np.array([[abs(v) & (2**LIMB - 1) if v >= 0 else -(-v & (2**LIMB - 1)) for v in row] for row in left])
        )
        left = [[v >> LIMB if v >= 0 else -(-v >> LIMB) for v in row] for row in left]
    return limbs


def _fractions(digits: list[int], power: int) -> tuple[list[int], int] | None:
    """Numerators over one denominator that are the digits modulo the power, all small beside it; None: no such."""
    common = 1
    numerators: list[int] = []
    for x in digits:
        y = x * common % power
        y = y - power if 2 * y > power else y
        if abs(y) * common * SPARE > power:
            found = _fraction(y % power, power)
            if found is None or abs(found[0]) * found[1] * common * SPARE > power:
                return None
            y, times = found
            common *= times
            numerators = [v * times for v in numerators]
        numerators.append(y)
    return numerators, common


def _fraction(x: int, power: int) -> tuple[int, int] | None:
    """(a, b) with a = b x modulo the power, |a| about its root or less, by Euclid's remainders."""
    limit = 1 << (power.bit_length() // 2)
    (a, b), (u, v) = (power, x), (0, 1)
    while b > limit:
        times, rest = divmod(a, b)
        a, b, u, v = b, rest, v, u - times * v
    return (b, v) if v > 0 else (-b, -v) if v < 0 else None


def _holds(matrix: Matrix, right: Sequence[int], numerators: list[int], common: int) -> bool:
    return all(
        sum(a * x for a, x in zip(row, numerators, strict=True) if a and x) == b * common
        for row, b in zip(matrix, right, strict=True)
    )
