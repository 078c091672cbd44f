"""Single columns that separate: a class that never has any of what a column says."""

from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np

from minigrad.existence.cone import Cone, Observations
from minigrad.existence.exact import primitive
from minigrad.existence.null import BLOCK


def by_columns(cone: Cone) -> list[int] | None:
    """The sum of all directions -(x_j - min x_j) and -(max x_j - x_j) of classes that only have 0 there; None: none.

    Without a bias, of columns only that are of one sign.
    """
    (units, q), observations = cone.shape, cone.all
    blocks = [
        Observations(observations.row[i : i + BLOCK], observations.label[i : i + BLOCK])
        for i in range(0, len(observations.row), BLOCK)
    ]
    ends = np.array([np.full(q, np.inf), np.full(q, -np.inf)])
    for seen in blocks:
        design = cone.design(seen)
        ends = np.array([np.minimum(ends[0], design.min(axis=0)), np.maximum(ends[1], design.max(axis=0))])
    if not cone.has_bias:
        ends = np.array([np.where(ends[0] >= 0, 0.0, ends[0]), np.where(ends[1] <= 0, 0.0, ends[1])])
    beyond = np.zeros((2, units + 1, q), bool)  # some row of the class is not at the end
    for seen in blocks:
        design = cone.design(seen)
        for k in range(units + 1):
            of_class = design[seen.label == k]
            for side in (0, 1):
                beyond[side, k] |= (of_class != ends[side]).any(axis=0)
    direction = [[Fraction(0)] * q for _ in range(units + 1)]
    for side in (0, 1):
        sign = 1 - 2 * side
        for j in np.flatnonzero(beyond[side].any(axis=0) & ~beyond[side].all(axis=0)).tolist():
            if not cone.has_bias and ends[side, j] != 0:
                continue
            for k in np.flatnonzero(~beyond[side, :, j]).tolist():
                direction[k][j] -= sign
                if cone.has_bias:
                    direction[k][-1] += sign * Fraction(float(ends[side, j]))
    whole = [v - first for unit in direction[1:] for v, first in zip(unit, direction[0], strict=True)]
    if not any(whole):
        return None
    common = lcm(*(v.denominator for v in whole))
    return primitive([int(v * common) for v in whole])
