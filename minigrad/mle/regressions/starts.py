"""Starts: where the search for a maximum begins."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from minigrad.derivatives.likelihoods import EXPONENTIAL
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.regressions.regression import Regression

MANY = 2**15  # rows, from which some of them are asked first
PART = 16  # one in so many
FAR = 30.0  # units from 0 at which some rows say nothing of the others


def start_of(regression: Regression) -> Array:
    """The base rates of the outputs; where there are many rows, the maximum of one in sixteen."""
    start = base_rates(regression)
    if regression.rows < MANY or not regression.size:
        return start
    found = _of_a_part(regression, start)
    return start if found is None else found


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


def _of_a_part(regression: Regression, start: Array) -> Array | None:
    """The maximum of every sixteenth row; None where it is far out, and so says little of the others."""
    from minigrad.mle.search.maximize import search

    part = dataclasses.replace(
        regression.data,
        x=np.ascontiguousarray(regression.data.x[::PART]),
        target=regression.data.target[::PART],
        weights=None if regression.weights is None else regression.weights[::PART],
        offset=None if regression.data.offset is None else regression.data.offset[::PART],
    )
    twin = regression.on(part)
    found, _, reason = search(twin, start, max_iterations=15, near=1e-3)
    return found.u if reason == "converged" and twin.reach(found.u - start) < FAR else None
