"""Error-free sums and products: what rounding loses is kept, in a second number, on any machine.

Knuth, The Art of Computer Programming 2, 4.2.2; Dekker, Numerische Mathematik 18 (1971) 224-242; products of matrices
by Ozaki, Ogita, Oishi and Rump, Numerical Algorithms 59 (2012) 95-118.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.typing import Array

SPLITTER = 2.0**27 + 1


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """a + b rounded, and what was rounded away."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Any, b: Any) -> tuple[Any, Any]:
    """a b rounded, and what was rounded away."""
    product = a * b
    a_high, b_high = SPLITTER * a, SPLITTER * b
    a_high, b_high = a_high - (a_high - a), b_high - (b_high - b)
    a_low, b_low = a - a_high, b - b_high
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


class Total:
    """A sum of arrays as `high` + `low`, good to twice the digits of one."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.high, self.low = np.zeros(shape), np.zeros(shape)

    def add(self, *parts: Array) -> None:
        """Add arrays of that shape."""
        for part in parts:
            self.high, lost = two_sum(self.high, part)
            self.low += lost

    @property
    def rounded(self) -> Array:
        """The sum, rounded once."""
        return np.asarray(self.high + self.low)


def slices(a: Array, terms: int) -> list[Array]:
    """Three arrays whose sum is `a`: of the first two, products summed over so many `terms` are exact.

    |a| is 1 at most.  The first two are multiples of 2^-b and 2^-2b-1, with 2 b + log2 terms <= 53; the rest is below
    that, with all its own digits, so that numbers that are tiny beside others keep theirs.
    """
    bits = (53 - max(terms - 1, 1).bit_length()) // 2
    parts, rest = [], a
    for last in (bits, 2 * bits + 1):
        anchor = 1.5 * 2.0 ** (52 - last)  # the last bit of which is that of the slice
        part = (rest + anchor) - anchor
        parts.append(part)
        rest = rest - part
    return [*parts, rest]


def exact_products(a: list[Array], b: list[Array]) -> list[Array]:
    """Matrices whose sum is (sum a) @ (sum b), the large ones first and exact, the small ones rounded."""
    pairs = sorted(((i, j) for i in range(len(a)) for j in range(len(b))), key=sum)
    return [a[i] @ b[j] for i, j in pairs]


def to_unit(a: Array) -> tuple[Array, Array]:
    """`a` by powers of two in its rows, so that no |entry| is above 1, and the powers, (rows, 1)."""
    power = 2.0 ** np.frexp(np.abs(a).max(axis=1, keepdims=True, initial=0.0))[1]
    return a / power, power
