"""Starts: where the search for a maximum begins."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression

MANY = 2**15  # rows, from which some of them are asked first
PART = 16  # one in so many
LARGE = 8.0  # an offset, beside what others usually are
FEW, ROUGH = 100, 0.1  # steps, and standard errors, of a maximum that is only the start of another
FAR = 30.0  # units from 0 at which some rows say nothing of the others


class Start(NamedTuple):
    """Where the search begins, and about the Hessian there, where some of the rows have said so."""

    u: Array
    hessian: Array | None = None


def start_of(regression: Regression) -> Start:
    """The base rates of the outputs; where there are many rows, the maximum of one in sixteen.

    Of large offsets, the maximum of smaller ones.
    """
    start = base_rates(regression)
    if not regression.size:
        return Start(start)
    if regression.offset is not None and float(np.abs(regression.offset).max(initial=0.0)) > LARGE:
        return Start(_of_smaller_offsets(regression, start))
    if regression.rows < MANY:
        return Start(start)
    return _of_a_part(regression, start) or Start(start)


def base_rates(regression: Regression) -> Array:
    """Weights of 0 and biases for which the mean of y is that of the data, about."""
    w = np.ones(regression.rows) if regression.weights is None else regression.weights
    total = float(w.sum())
    u = np.zeros((regression.units, regression.width))
    if not regression.has_bias or not total:
        return _by_logarithms(regression) if regression.mean is EXPONENTIAL else u.ravel()
    if regression.mean.coupled:
        share = np.bincount(regression.target, w, regression.classes) / total
        centre = np.log((share + 1 / total) / (1 + regression.classes / total))
    else:
        share = (regression.target @ w) / total
        if regression.mean is EXPONENTIAL:
            centre = np.log((share * total + 0.5) / total)
            if regression.offset is not None:
                top = regression.offset.max(axis=1)
                centre -= top + np.log(np.exp(regression.offset - top[:, np.newaxis]) @ w / total)
        else:
            centre = np.log((share * total + 0.5) / ((1 - share) * total + 0.5))
    u[:, -1] = regression.contrast.T @ (centre - regression.shift)
    return u.ravel()


def _by_logarithms(regression: Regression) -> Array:
    """0, or where offsets are so large that rates overflow there, the least squares of log(t + 1/2) - offset."""
    u = np.zeros((regression.units, regression.width))
    if regression.offset is None or float(regression.offset.max(initial=0.0)) < FAR:
        return u.ravel()
    square, product = np.zeros((regression.width,) * 2), np.zeros(u.shape)
    for rows, design in regression.design.blocks():
        square += design.T @ design
        product += (np.log(regression.target[:, rows] + 0.5) - regression.offset[:, rows]) @ design
    return np.linalg.lstsq(square, product.T, rcond=None)[0].T.ravel()


def _of_smaller_offsets(regression: Regression, start: Array) -> Array:
    """The maximum with half the offset, twice as far out; and that, while offsets are large, in the same way.

    Of offsets s o and s -> infinity, the maximum is s times the solution of a linear program: z / s has a limit.
    """
    from minigrad.mle.search.maximize import search

    data = regression.data
    if regression.offset is None or data.offset is None:
        return start
    times = math.ceil(math.log2(float(np.abs(regression.offset).max()) / LARGE)) + 1
    u: Array | None = None
    for power in range(times, 0, -1):
        twin = regression.on(dataclasses.replace(data, offset=data.offset * 0.5**power))
        begin = base_rates(twin) if u is None else u
        found, _, reason = search(twin, begin, max_iterations=FEW, near=ROUGH)
        if reason in ("no_progress", "overflow") or not np.isfinite(found.u).all():
            return start
        u = 2 * found.u
    assert u is not None
    values = [regression.value(each) + regression.penalty(each).value for each in (u, start)]
    return u if values[0] < values[1] or not math.isfinite(values[1]) else start


def _of_a_part(regression: Regression, start: Array) -> Start | None:
    """The maximum of every sixteenth row; None where it is far out, and so says little of the others."""
    from minigrad.mle.search.maximize import search

    data, w = regression.data, regression.weights
    part = dataclasses.replace(
        data,
        x=np.ascontiguousarray(data.x[::PART]),
        target=data.target[::PART],
        weights=None if w is None else w[::PART],
        offset=None if data.offset is None else data.offset[::PART],
    )
    twin = regression.on(part)
    found, _, reason = search(twin, start, max_iterations=15, near=1e-2)
    if reason != "converged" or not twin.reach(found.u - start) < FAR:
        return None
    return Start(found.u, found.local.hessian * (regression.rows / twin.rows))
