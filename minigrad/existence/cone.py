"""The inequalities that a direction satisfies along which no likelihood falls: signs that are exact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minigrad.existence.exact import dot, nearest, whole
from minigrad.existence.null import BLOCK, Table
from minigrad.typing import Array

EPS = float(np.finfo(float).eps)
TINY = 1e-150  # whose products do not underflow


class Observations(NamedTuple):
    """Row n was seen in class t.  A row with a share in several classes is seen in each of them."""

    row: Array
    label: Array

    def taken(self, places: Array) -> Observations:
        return Observations(self.row[places], self.label[places])


class Cone:
    """The directions d = (V, c) of logits U = x V^T + c with U_nt - U_nk >= 0 for every observation (n, t), all k.

    The class 0 stands still: V_0 = 0.  A sigmoid has a class 1 beside it; so has a Poisson mean, where a count of 0 is
    the class 0, and any other count both classes, since U must be 0 there.  Inside, d is (K - 1, q) for the q columns
    that are kept, scaled by powers of two where they are far from 1.
    """

    def __init__(self, table: Table, columns: Array, observations: Observations, classes: int) -> None:
        self.table, self.columns, self.all, self.classes = table, columns, observations, classes
        self.shape = (classes - 1, len(columns))

    @property
    def has_bias(self) -> bool:
        """The last column is that of ones."""
        return self.table.bias and bool(len(self.columns)) and int(self.columns[-1]) == self.table.features

    @property
    def size(self) -> int:
        """How many parameters."""
        return self.shape[0] * self.shape[1]

    def design(self, seen: Observations) -> Array:
        """The kept columns, one row for each observation."""
        return self.table.design(seen.row, self.columns, self.table.exact)

    def pair(self, row: list[int], label: int, against: int) -> list[int]:
        """The inequality of one observation and one other class, x (e_t - e_k), for x = `row`."""
        q = self.shape[1]
        vector = [0] * self.size
        if label:
            vector[(label - 1) * q : label * q] = row
        if against:
            vector[(against - 1) * q : against * q] = [-v for v in row]
        return vector

    def signs(self, direction: list[int], seen: Observations) -> Array:
        """The sign of U_nt - U_nk, exactly: (observations, K), 0 in the column of t itself."""
        blocks = [
            self._signs(direction, Observations(seen.row[i : i + BLOCK], seen.label[i : i + BLOCK]))
            for i in range(0, len(seen.row), BLOCK)
        ]
        return np.concatenate([np.zeros((0, self.classes), np.int8), *blocks])

    def _signs(self, direction: list[int], seen: Observations) -> Array:
        v = nearest(direction).reshape(self.shape)
        design = self.design(seen)
        used = np.flatnonzero(v.any(axis=0))
        places = np.arange(len(design))
        # What underflows is not 0.
        sizes = np.abs(design[:, used])
        tiny = bool(((sizes < TINY) & (sizes > 0)).any() or (np.abs(v)[v != 0] < TINY).any())
        with np.errstate(under="ignore"):
            u = _with_zero(design[:, used] @ v[:, used].T)
            parts = _with_zero(sizes @ np.abs(v[:, used]).T)
            margin = u[places, seen.label][:, np.newaxis] - u
            bound = (len(used) + 6) * EPS * (parts + parts[places, seen.label][:, np.newaxis])
            bound += 1e-300 * tiny
        signs = np.where(margin > bound, 1, np.where(margin < -bound, -1, 0)).astype(np.int8)
        doubtful = (np.abs(margin) <= bound) & (bound > 0)
        doubtful[places, seen.label] = False
        signs[places, seen.label] = 0
        rows = np.flatnonzero(doubtful.any(axis=1))
        if len(rows):
            q = self.shape[1]
            units = [[0] * q, *(direction[k * q : (k + 1) * q] for k in range(self.classes - 1))]
            unique, inverse = np.unique(design[rows], axis=0, return_inverse=True)
            logits = [[dot(row, unit) for unit in units] for row in whole(unique)[0]]
            for n, i in zip(rows.tolist(), inverse.ravel().tolist(), strict=True):
                own = logits[i][int(seen.label[n])]
                signs[n] = [(own > other) - (own < other) for other in logits[i]]
        return signs


def _with_zero(u: Array) -> Array:
    return np.column_stack([np.zeros(len(u)), u])
