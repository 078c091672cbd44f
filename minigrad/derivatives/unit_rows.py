"""Rows of linear units: what a change U_n of the logits of a row makes of the derivative of its loss by them.

    R_n  =  s_n p_n (U_n - p_n . U_n)     for the softmax
    R_n  =  s_n p'_n U_n                  for means p that are not coupled

Of few classes, all (N, K) here are class-major, see kernels.py, and sums over the classes are products with ones.
"""

from __future__ import annotations

import numpy as np

from minigrad.derivatives.likelihoods import IDENTITY, SIGMOID, Mean
from minigrad.kernels import COLUMNS, ROWS, affine, sigmoid, transposed_product
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array

BLOCK = 3 * 2**19  # bytes of the rows that are taken at a time, and so stay in the cache for all three products
SURE = 0.9  # a probability beyond which 1 - p is not taken as a difference
ENTRIES = 1120  # of one small product: OpenBLAS leaves its fast path beyond some 1200

Pair = tuple[Array, Array | None]
"""The weight (K, D) and bias (K,) of linear units, or a change of both; no bias is None."""


def slopes(mean: Mean, z: Array) -> Array:
    """p of the softmax, else p', each to full relative accuracy, in double precision.  z may be written into."""
    z = z.astype(np.result_type(z, np.float64), copy=False)  # in single precision, p would not sum to 1 near enough
    if mean.coupled:
        return _softmax(z)
    p = mean.of(z)
    slope = mean.slope(p)
    if mean is SIGMOID and (sure := p > SURE).any():
        slope[sure] = p[sure] * sigmoid(-z[sure])  # where 1 - p loses its digits
    return slope


def coupled(p: Array, u: Array) -> Array:
    """p_n (U_n - p_n . U_n), written into u."""
    by_class, change = p.T, u.T
    ones = np.ones(len(change), u.dtype)
    if np.maximum.reduce(by_class, axis=None, initial=0.0) > 0.5:
        # A class that is all but certain has p_n (U_n - p . U) of the others alone: 1 - p would lose its digits.
        change -= ones @ (np.rint(by_class) * change)
    change -= ones @ (by_class * change)
    change *= by_class
    return u


def product(mean: Mean, scale: Array, parameters: Pair, x: Array, direction: Pair) -> tuple[Array, Array]:
    """(R^T x, sum_n R_n) for U = x V^T + c, with direction (V, c), at parameters (W, b): (K, D), (K,).

    `scale` is s, of one number (1, 1), of each row, (N, 1), or of each entry, (N, K).
    """
    classes, width = direction[0].shape
    of_weight, of_bias = np.zeros((classes, width)), np.zeros(classes)
    is_number = scale.shape == (1, 1)
    step = max(4 * ROWS, BLOCK // ((width + 3 * classes) * x.itemsize) // ROWS * ROWS)
    # NumPy copies rows that are combined with one number in place to a buffer first, where that holds them.
    before = np.setbufsize(16)
    try:
        for start in range(0, len(x), step):
            z = x[start : start + step]
            r = _changes(mean, z, parameters, direction)
            if not is_number:
                r *= scale[start : start + step]
            of_weight += transposed_product(r, z)
            of_bias += r.T @ np.ones(len(r))
    finally:
        np.setbufsize(before)
    return (of_weight * scale, of_bias * scale[0]) if is_number else (of_weight, of_bias)


def _changes(mean: Mean, z: Array, parameters: Pair, direction: Pair) -> Array:
    """R_n of rows z, for s = 1."""
    if mean is IDENTITY:
        return affine(z, *direction)
    logits, u = both_affine(z, parameters, direction)
    slope = slopes(mean, logits)
    return coupled(slope, u) if mean.coupled else u * slope


def both_affine(z: Array, first: Pair, second: Pair) -> tuple[Array, Array]:
    """z W^T + b of both pairs, as `affine`; where K is small, by one product for both."""
    classes, width = first[0].shape
    rows = min(ROWS, ENTRIES // (2 * classes))
    if len(z) <= ROWS or classes > COLUMNS or not z.flags.c_contiguous or not _one_dtype(z, *first, *second):
        return affine(z, *first), affine(z, *second)
    weight = np.concatenate([first[0], second[0]])
    by_class = np.empty((2 * classes, len(z)), z.dtype)
    head = len(z) - len(z) % rows
    small = z[:head].reshape(-1, rows, width)
    np.matmul(small, weight.T, out=by_class[:, :head].reshape(2 * classes, -1, rows).transpose(1, 2, 0))
    np.matmul(weight, z[head:].T, out=by_class[:, head:])
    if first[1] is not None and second[1] is not None:
        by_class += np.concatenate([first[1], second[1]])[:, np.newaxis]
    return by_class[:classes].T, by_class[classes:].T


def _softmax(z: Array) -> Array:
    by_class = z.T
    if not (by_class.flags.c_contiguous and z.dtype.kind == "f"):
        return softmax(z)
    by_class -= np.maximum.reduce(by_class, axis=0)
    np.exp(by_class, out=by_class)
    by_class *= 1 / (np.ones(len(by_class), z.dtype) @ by_class)
    return z


def _one_dtype(z: Array, *others: Array | None) -> bool:
    return all(array is None or array.dtype == z.dtype for array in others)
