"""Which columns are sums of others, so that no data tell their coefficients apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np

from minigrad.typing import Array

BLOCK = 4096  # rows at a time
CLEARLY = 1e-6  # of a column, relative to its length, that no others explain: more is no rounding
ORDINARY = 64  # powers of two by which columns may differ without being scaled
READABLE = (1, 12, 1000)  # denominators that are tried for coefficients


class NullSpace(NamedTuple):
    """Columns of (x, 1), and the directions along which x v = 0.

    `vectors`, (D, M), or (D + 1, M) with a bias, whose row is the last; `kept` are the columns, as many as the rank,
    of which the others, and no two of these, are sums.
    """

    rank: int
    vectors: Array
    kept: Array

    @property
    def columns(self) -> list[list[int]]:
        """For each vector the columns that take part."""
        return [np.flatnonzero(vector).tolist() for vector in self.vectors.T]


class Columns(NamedTuple):
    """What is known of the columns of x: their table, and which of those that are `free` depend on others."""

    table: Table
    free: Array
    null: NullSpace

    @classmethod
    def of(cls, table: Table, free: Array | None = None) -> Columns:
        """Of a table; all are free unless said."""
        free = np.ones(table.width, bool) if free is None else np.asarray(free)
        return cls(table, free, null_space_of(table, free))


def null_space(
    x: Array, bias: bool = True, weights: Array | None = None, free: Array | None = None, eps: float | None = None
) -> NullSpace:
    """The directions v with x v = 0 on all rows whose weight is not 0, among the columns that are `free`.

    Column j, in order and the bias before all, is a sum of those kept before it, x_j = sum beta_k x_k, if on every row

        |x_nj - sum_k beta_k x_nk|  <=  c eps (|x_nj| + sum_k |beta_k x_nk|),     c = 4 + (number of k) / 2

    which is what the rounding of one operation or two leaves; `eps` is that of the type of x unless given.  A column
    that differs from such a sum by more, by a part in 10^12 say, is identified, however badly.
    """
    return null_space_of(Table(x, bias, weights, eps), free)


def null_space_of(table: Table, free: Array | None = None) -> NullSpace:
    """The same, of a table."""
    columns = np.flatnonzero(np.ones(table.width, bool) if free is None else np.asarray(free, bool))
    rows = table.sample()
    while True:
        kept, relations = _relations(table, columns, rows)
        broken = [row for j, beta in relations for row in table.broken(j, beta, rows)]
        if not broken:
            break
        rows = np.unique(np.append(rows, broken))
    vectors = np.zeros((table.width, len(relations)))
    for vector, (j, beta) in zip(vectors.T, relations, strict=True):
        for k, value in _with_small_numbers(j, beta).items():
            vector[k] = value
    return NullSpace(len(kept), vectors, np.array(sorted(kept), int))


class Table:
    """(x, 1), without rows of weight 0; times 2^-`exponents` a column has its largest entry in [1/2, 1)."""

    def __init__(self, x: Array, bias: bool, weights: Array | None = None, eps: float | None = None) -> None:
        self.x, self.bias, self.features = x, bias, x.shape[1]
        self.width = self.features + bias
        self.rows = None if weights is None or (weights > 0).all() else np.flatnonzero(weights > 0)
        self.count = len(x) if self.rows is None else len(self.rows)
        self.eps = float(np.finfo(x.dtype).eps) if eps is None else eps
        self.lowest, self.highest = np.zeros(self.features), np.zeros(self.features)
        self._extreme = np.zeros((2, self.features), int)
        if self.features and self.count:
            self._find_ends()
        largest = np.maximum(self.highest, -self.lowest)
        self.exponents = np.append(np.frexp(largest)[1], [1] * bias).astype(np.intc)
        self.exact = self._without_loss()

    def design(self, places: Array, columns: Array, exponents: Array) -> Array:
        """So many rows of the columns named, in float64, times 2^-exponent."""
        taken = columns[columns < self.features]
        out = np.ones((len(places), len(columns)))
        of_x = self.x[np.ix_(places, taken)].astype(float)
        out[:, columns < self.features] = of_x
        exponents = exponents[columns]
        return np.ldexp(out, -exponents) if exponents.any() else out

    def _find_ends(self) -> None:
        """The least and the greatest of each column, and rows that have them."""
        ends = np.array([column_ends(block) for _, block in self._blocks()])  # (blocks, 2, D)
        self.lowest, self.highest = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)
        where = (ends[:, 0].argmin(axis=0), ends[:, 1].argmax(axis=0))
        for i, (places, block) in enumerate(self._blocks()):
            for side in (0, 1):
                for j in np.flatnonzero(where[side] == i):
                    column = block[:, j]
                    self._extreme[side, j] = places[column.argmax() if side else column.argmin()]

    def _without_loss(self) -> Array:
        """Exponents that bring no entry so far down that digits are lost; 0 where a column can stay as it is."""
        exact = np.where(np.abs(self.exponents) <= ORDINARY, 0, self.exponents)
        for k in np.flatnonzero(exact > 0):
            sizes = np.abs(self.x[:, k].astype(float))
            least = float(sizes.min(initial=np.inf, where=sizes > 0))
            exact[k] = min(exact[k], max(0, int(np.frexp(least)[1]) - 53 + 1074))
        return exact.astype(np.intc)

    @property
    def extremes(self) -> Array:
        """The rows of the largest and smallest entry of each column."""
        return self._extreme.ravel()

    def sample(self) -> Array:
        """Rows that are likely to tell the columns apart: the extremes of each, and some of all the others."""
        if self.count <= max(BLOCK, 8 * self.width):
            return np.arange(len(self.x)) if self.rows is None else self.rows
        every = np.arange(0, self.count, max(1, self.count // max(1024, 4 * self.width)))
        every = every if self.rows is None else self.rows[every]
        return np.unique(np.append(every, self.extremes))

    def broken(self, j: int, beta: dict[int, Fraction], seen: Array) -> list[int]:
        """Rows, some of the worst, on which column j is not the sum that the rows seen have it to be."""
        if len(seen) >= self.count:
            return []
        columns = np.array([j, *beta])
        worst: list[int] = []
        for places, _ in self._blocks():
            excess = _excess(self.design(places, columns, self.exponents), self._scaled(j, beta), self.eps)
            if (excess > 1).any():
                worst.append(int(places[excess.argmax()]))
        return worst

    def _scaled(self, j: int, beta: dict[int, Fraction]) -> Array:
        own = int(self.exponents[j])
        return np.array([float(b * Fraction(2) ** (int(self.exponents[k]) - own)) for k, b in beta.items()])

    def _blocks(self) -> Iterator[tuple[Array, Array]]:
        for start in range(0, self.count, BLOCK):
            places = np.arange(start, min(start + BLOCK, self.count))
            if self.rows is None:
                yield places, self.x[start : start + BLOCK]
            else:
                yield self.rows[places], self.x[self.rows[places]]


def column_ends(block: Array) -> tuple[Array, Array]:
    """The least and the greatest of each column (D,), 0 where there are no rows."""
    rows, features = block.shape
    if not block.size:
        return np.zeros(features), np.zeros(features)
    fold = max(1, 512 // features) if block.flags.c_contiguous else 1
    whole = rows - rows % fold
    parts = [block[whole:]]
    if whole:
        long = block[:whole].reshape(-1, fold * features)  # NumPy is faster along long rows
        parts += [end(axis=0).reshape(fold, features) for end in (long.min, long.max)]
    both = np.concatenate(parts)
    return both.min(axis=0).astype(float), both.max(axis=0).astype(float)


def _relations(table: Table, columns: Array, rows: Array) -> tuple[list[int], list[tuple[int, dict[int, Fraction]]]]:
    """The columns kept, and for each of the others its coefficients on those kept before it."""
    order = np.array(sorted(columns, key=lambda k: (k != table.features, k)), int)
    design = table.design(rows, order, table.exponents)
    # A row times anything says the same of the columns: so small rows count as large ones do.
    size = np.abs(design).max(axis=1, initial=0.0)
    design = np.ldexp(design, -np.frexp(np.where(size > 0, size, 1.0))[1][:, np.newaxis])
    kept: list[int] = []
    relations: list[tuple[int, dict[int, Fraction]]] = []
    q = np.zeros((len(rows), 0))
    r = np.zeros((0, 0))
    basis = np.zeros((len(rows), len(order)), order="F")
    for i, j in enumerate(order.tolist()):
        v = design[:, i].copy()
        length = float(np.linalg.norm(v))
        if length == 0:
            relations.append((j, {}))
            continue
        c = q.T @ v
        v -= q @ c
        again = q.T @ v
        v -= q @ again
        c += again
        left = float(np.linalg.norm(v))
        if left <= CLEARLY * length:
            own = np.array([order.tolist().index(k) for k in kept], int)
            beta = _coefficients(design[:, i], design[:, own], q, r, c, table, j, kept)
            if beta is not None:
                relations.append((j, beta))
                continue
        if left == 0:  # rounding hides what is left of it: a direction of its own all the same
            v = design[:, i] - q @ (q.T @ design[:, i])
            left = float(np.linalg.norm(v)) or 1.0
        basis[:, len(kept)] = v / left
        grown = np.zeros((len(kept) + 1, len(kept) + 1))
        grown[:-1, :-1], grown[:-1, -1], grown[-1, -1] = r, c, left
        kept.append(j)
        r, q = grown, basis[:, : len(kept)]
    return kept, relations


def _coefficients(
    column: Array, others: Array, q: Array, r: Array, c: Array, table: Table, j: int, kept: list[int]
) -> dict[int, Fraction] | None:
    """beta with column = others beta but for rounding; in small fractions if that is as good.  None: there is none."""
    if not kept:
        return None
    scaled = np.linalg.solve(r, c)
    wide = others.astype(np.longdouble)
    for _ in range(2):
        scaled = scaled + np.linalg.solve(r, q.T @ (column - wide @ scaled.astype(np.longdouble)).astype(float))
    scaled[np.abs(scaled) * np.abs(others).max(axis=0) <= 1e-13 * np.abs(column).max()] = 0.0
    both = np.column_stack([column, others])
    units = [Fraction(2) ** int(table.exponents[j] - table.exponents[k]) for k in kept]
    beta = [Fraction(float(b)) * unit for b, unit in zip(scaled, units, strict=True)]
    for most in READABLE:
        tried = [b.limit_denominator(most) for b in beta]
        as_scaled = [_float(b / unit) for b, unit in zip(tried, units, strict=True)]
        if (_excess(both, np.array(as_scaled), table.eps) <= 1).all():
            beta = tried
            break
    else:
        if not (_excess(both, scaled, table.eps) <= 1).all():
            return None
    return {k: b for k, b in zip(kept, beta, strict=True) if b}


def _excess(design: Array, beta: Array, eps: float) -> Array:
    """How many times the tolerance column 0 of the design is off the others times beta, for each row."""
    parts = design[:, 1:].astype(np.longdouble) * beta
    off = np.abs(design[:, 0] - parts.sum(axis=1))
    allowed = (4 + np.count_nonzero(beta) / 2) * eps * (np.abs(design[:, 0]) + np.abs(parts).sum(axis=1))
    return np.asarray(np.where(off == 0, 0.0, off / np.where(allowed > 0, allowed, 1e-300)), dtype=float)


def _float(value: Fraction) -> float:
    """To the nearest; infinity beyond."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _with_small_numbers(j: int, beta: dict[int, Fraction]) -> dict[int, float]:
    """x_j - sum beta_k x_k = 0, times the common denominator if that is small; no entry beyond floating point."""
    common = lcm(*(b.denominator for b in beta.values()))
    largest = max(Fraction(1), *(abs(b) for b in beta.values())) if beta else Fraction(1)
    times = Fraction(common if common <= READABLE[-1] else 1)
    if largest * times > 2**1000:
        times = Fraction(1) / 2 ** (math.floor(math.log2(largest.numerator) - math.log2(largest.denominator)) - 900)
    return {j: float(times), **{k: -float(b * times) for k, b in beta.items()}}
