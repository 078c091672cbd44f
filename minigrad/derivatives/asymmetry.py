"""Asymmetry of a Hessian that comes from first-order rules: second derivatives that depend on their order.

Column j of the raw matrix is d grad / d theta_j, so that H_ij holds the rules that give the gradient by theta_i, and
H_ji those by theta_j.  Where both are right, they are equal, but for rounding; how large that is, is measured.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.typing import Array

SUSPECT = 1e-9  # an asymmetry that is looked into
BEYOND = 100.0  # times the noise that was met, or the error of differences
DEAD = 1e-13  # a row of nothing but rounding, relative to the largest, as of a bias below a normalisation
PAIRS = 3  # of parameters that are named
LOOKS = 100  # entries that are looked into


class AsymmetryWarning(RuntimeWarning):
    """Second derivatives depend on their order: rule 2 or 3 of some layer is wrong."""


def examine(
    cost: Layer,
    arrays: Mapping[str, Array],
    raw: Array,
    sizes: Array,
    error: float,
    again: Callable[[Array, np.random.Generator], Array],
) -> float:
    """The largest asymmetry of `raw`, scaled, that is not all rounding.

    AsymmetryWarning where neither rounding nor `error` explains it.  `sizes` are those of the
    parameters, and again(v, rng) is H v at a point that is off by rounding.
    """
    scaled = equilibrated(raw, sizes)
    apart = np.abs(scaled - scaled.T)
    found: list[tuple[int, int]] = []
    largest, rng = 0.0, np.random.default_rng(0)
    sums = np.abs(raw * sizes).max(axis=1, initial=0.0) * sizes
    for _ in range(LOOKS):
        i, j = (int(k) for k in np.unravel_index(int(apart.argmax()), apart.shape))
        if len(found) == PAIRS or not apart[i, j] > max(SUSPECT, BEYOND * error):
            break
        if abs(raw[i, j] - raw[j, i]) > BEYOND * _noise(raw, i, j, again, rng):
            found.append((i, j))
            largest = max(largest, float(apart[i, j]))
            apart[np.ix_(_same(arrays, i), _same(arrays, j))] = 0
            apart[np.ix_(_same(arrays, j), _same(arrays, i))] = 0
        else:
            rounding = i if sums[i] < sums[j] else j  # all of its row is
            apart[rounding], apart[:, rounding] = 0, 0
    largest = max(largest, float(apart.max(initial=0.0)))
    if found:
        pairs = "; ".join(_said(arrays, raw, i, j) for i, j in found)
        warnings.warn(
            f"the Hessian of {label(cost)} is not symmetric, so that rule 2 or 3 of some layer is wrong, or one that "
            f"is not analytic does not say complex_safe = False: {pairs}. minigrad.testing.check_layer(cost, x, ...) "
            "finds the layer at fault",
            AsymmetryWarning,
            stacklevel=3,
        )
    return largest


def equilibrated(raw: Array, sizes: Array) -> Array:
    """D raw D, with D diagonal, so that every row and column has a largest entry of about 1; rows of rounding are 0.

    Ruiz, "A scaling algorithm to equilibrate both rows and columns norms in matrices", RAL-TR-2001-034.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        scaled = np.nan_to_num(sizes[:, np.newaxis] * raw * sizes)
        largest = np.maximum(np.abs(scaled).max(axis=1, initial=0.0), np.abs(scaled).max(axis=0, initial=0.0))
        dead = largest <= DEAD * largest.max(initial=0.0)
        scaled[dead], scaled[:, dead] = 0.0, 0.0
        for _ in range(20):
            largest = np.maximum(np.abs(scaled).max(axis=1, initial=0.0), np.abs(scaled).max(axis=0, initial=0.0))
            root = np.sqrt(np.where(largest > 0, largest, 1.0))
            scaled = scaled / root[:, np.newaxis] / root
    return np.asarray(scaled)


def _noise(raw: Array, i: int, j: int, again: Callable[[Array, np.random.Generator], Array], rng: Any) -> float:
    """How much H_ij and H_ji move when the parameters move by their rounding."""
    unit_i, unit_j = (np.eye(1, len(raw), k)[0] for k in (i, j))
    moves = [(again(unit_j, rng)[i] - raw[i, j], again(unit_i, rng)[j] - raw[j, i]) for _ in range(3)]
    return float(np.abs(moves).max()) + float(np.finfo(float).eps * (abs(raw[i, j]) + abs(raw[j, i])))


def _place(arrays: Mapping[str, Array], i: int) -> tuple[str, str]:
    """The parameter of entry i of the vector: its name, and its name with the index."""
    for name, array in arrays.items():
        if i < array.size:
            index = ", ".join(str(int(k)) for k in np.unravel_index(i, array.shape))
            return name, f"{name}[{index}]" if index else name
        i -= array.size
    raise IndexError(i)


def _same(arrays: Mapping[str, Array], i: int) -> Array:
    """The entries of the vector that belong to the same array as entry i."""
    start = 0
    for array in arrays.values():
        if i < start + array.size:
            break
        start += array.size
    return np.arange(start, start + array.size)


def _said(arrays: Mapping[str, Array], raw: Array, i: int, j: int) -> str:
    first, second = _place(arrays, i)[1], _place(arrays, j)[1]
    return f"by {first} and {second} it is {raw[i, j]:.6g} one way, {raw[j, i]:.6g} the other"
