"""Rows of linear units: what a change U_n of the logits of a row makes of the derivative of its loss by them.

    R_n  =  s_n p_n (U_n - p_n . U_n)     for the softmax
    R_n  =  s_n p'_n U_n                  for means p that are not coupled

Of few classes, all (N, K) here are class-major, see kernels.py, and sums over the classes are products with ones.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.derivatives.likelihoods import IDENTITY, SIGMOID, Mean
from minigrad.kernels import ROWS, Pair, affine, both_affine, sigmoid, softmax_by_class, transposed_product
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array

BLOCK = 3 * 2**19  # bytes of the rows that are taken at a time, and so stay in the cache for all three products
FAR = 1e200  # times z_k - z_m it takes all but the likeliest classes out of a maximum
SURE = 0.9  # a probability beyond which 1 - p is not taken as a difference


def mean_or_slope(mean: Mean, z: Array) -> Array:
    """p of the softmax, else p', each to full relative accuracy, in double precision.  z may be written into."""
    z = _in_double(z)
    if mean.coupled:
        return _softmax(z, None)[0]
    p = mean.of(z)
    slope = mean.slope(p)
    if mean is SIGMOID and (sure := p > SURE).any():
        slope[sure] = p[sure] * sigmoid(-z[sure])  # where 1 - p loses its digits
    return slope


def coupled(p: Array, u: Array, of_likeliest: Array) -> Array:
    """p_n (U_n - p_n . U_n), written into u; `of_likeliest`, (N,), is the U_nk of the likeliest class k of each row."""
    by_class, change = p.T, u.T
    # What all classes share leaves nothing behind, and a class that is all but certain has p_n (U_n - p . U) of the
    # others alone: 1 - p would lose its digits.
    change -= of_likeliest
    change -= np.ones(len(change), u.dtype) @ (by_class * change)
    change *= by_class
    return u


def product(mean: Mean, scale: Array, parameters: Pair, x: Array, direction: Pair) -> tuple[Array, Array]:
    """(R^T x, sum_n R_n) for U = x V^T + c, with direction (V, c), at parameters (W, b): (K, D), (K,).

    `scale` is s, of one number (1, 1), of each row, (N, 1), or of each entry, (N, K).
    """
    classes, width = direction[0].shape
    of_weight, of_bias = np.zeros((classes, width)), np.zeros(classes)
    is_number = scale.shape == (1, 1)
    if is_number:
        # The power of two in s goes first, and rounds nothing: sums over many rows need not have a place without it.
        part, exponent = math.frexp(scale[0, 0])
        weight, bias = direction
        power = 2.0 ** (exponent - 1)
        direction = weight * power, None if bias is None else bias * power
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
    return (of_weight * (2 * part), of_bias * (2 * part)) if is_number else (of_weight, of_bias)


def _changes(mean: Mean, z: Array, parameters: Pair, direction: Pair) -> Array:
    """R_n of rows z, for s = 1."""
    if mean is IDENTITY:
        return affine(z, *direction)
    logits, u = both_affine(z, parameters, direction)
    if not mean.coupled:
        return u * mean_or_slope(mean, logits)
    p, of_likeliest = _softmax(_in_double(logits), u)
    return coupled(p, u, of_likeliest)


def _softmax(z: Array, u: Array | None) -> tuple[Array, Any]:
    """p, and the U_nk of the likeliest class k of each row, (N,), where U is given.  z may be written into."""
    by_class, reference = z.T, None
    if not (by_class.flags.c_contiguous and z.dtype.kind == "f"):
        p = softmax(z)
        return p, u if u is None else u[np.arange(len(u)), p.argmax(axis=1)]
    by_class -= np.maximum.reduce(by_class, axis=0)
    if u is not None:  # in a third of the time that the places of the largest take
        beside = by_class * FAR
        beside += u.T
        reference = np.maximum.reduce(beside, axis=0)
    return softmax_by_class(by_class).T, reference


def _in_double(z: Array) -> Array:
    """In single precision, p would not sum to 1 near enough."""
    return z.astype(np.result_type(z, np.float64), copy=False)
