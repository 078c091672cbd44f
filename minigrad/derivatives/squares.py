"""Sums of weighted squares sum_n w_n x_n x_n^T, the blocks of which the Hessian of a regression is made."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minigrad.typing import Array

ROWS = 256  # that are taken at a time, so that what is made of them stays in the cache
MANY, NARROW = 6, 128  # more classes, and columns up to so many, are taken by one product


def coupled_squares(designs: Iterable[tuple[slice, Array]], p: Array, scale: Array) -> Array:
    """sum_n s_n p_ni ([i = j] - p_nj) x_n x_n^T, of each pair of classes: (K, D, K, D).

        block (i, j)  =  -sum_n s_n p_ni p_nj x_n x_n^T  for i != j,    block (i, i)  =  -sum of the other (i, j)

    Nothing cancels: 1 - p_ni is the sum of the other p_nj.  Each block is symmetric: of few classes each is a matrix
    times its own transpose, which takes half the time of other products; of many, all are one product, of the products
    of two classes with the products of two columns.
    """
    k = p.shape[1]
    first, second = np.triu_indices(k, 1)
    d = 0
    total = np.zeros(0)
    for rows, design in designs:
        d = design.shape[1]
        by_column = k > MANY and d <= NARROW
        if not total.size:
            total = np.zeros((d * (d + 1) // 2, len(first)) if by_column else (len(first), d, d))
        for start in range(0, len(design), ROWS):
            part = slice(start, start + ROWS)
            x = np.ascontiguousarray(design[part].T)
            of_class = np.ascontiguousarray((p[rows][part] * np.sqrt(scale[rows][part])).T)
            if by_column:
                total += _products_of_columns(x) @ (of_class[first] * of_class[second]).T
            else:
                _add_squares(total, x, np.sqrt(of_class), first, second)
    return _blocks(total, k, d, first, second)


def _products_of_columns(x: Array) -> Array:
    """x_d x_e for all d <= e of x (D, N): (D (D + 1) / 2, N)."""
    products, start = np.empty((len(x) * (len(x) + 1) // 2, x.shape[1])), 0
    for i in range(len(x)):
        stop = start + len(x) - i
        np.multiply(x[i], x[i:], out=products[start:stop])
        start = stop
    return products


def _add_squares(total: Array, x: Array, root: Array, first: Array, second: Array) -> None:
    for square, i, j in zip(total, first, second, strict=True):
        a = x * (root[i] * root[j])
        square += a @ a.T


def _blocks(total: Array, k: int, d: int, first: Array, second: Array) -> Array:
    """All blocks, from those of classes i < j."""
    blocks = np.zeros((k, d, k, d))
    upper = np.triu_indices(d)
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        if total.ndim == 2:
            block = np.empty((d, d))
            block[upper] = block.T[upper] = total[:, pair]
        else:
            block = total[pair]
        blocks[i, :, j] = blocks[j, :, i] = -block
        blocks[i, :, i] += block
        blocks[j, :, j] += block
    return blocks


def separate_squares(designs: Iterable[tuple[slice, Array]], weights: Array) -> Array:
    """sum_n w_nk x_n x_n^T, as blocks (k, k) of (K, D, K, D)."""
    k = weights.shape[1]
    blocks = np.zeros((k, 0, k, 0))
    for rows, design in designs:
        if not blocks.size:
            blocks = np.zeros((k, design.shape[1], k, design.shape[1]))
        for i in range(k):
            blocks[i, :, i] += weighted_square(design, weights[rows, i])
    return blocks


def without(p: Array) -> Array:
    """1 - p for probabilities of classes, that of a likely class as the sum of the others: none loses its digits."""
    likely = p > 0.5
    others = np.add.reduce(np.where(likely, 0.0, p), axis=1, keepdims=True)
    return np.where(likely, others, 1 - p)


def weighted_square(design: Array, weights: Array) -> Array:
    """design^T diag(weights) design, weights of 0 or more: A^T A, which takes half the time of other products."""
    a = design * np.sqrt(weights).astype(design.dtype)[:, np.newaxis]
    return a.T @ a


def scaled_roots(blocks: Array, single: float = 0.0) -> Array:
    """R with R R^T near the inverse of each block: by a root, whatever is rounded, that is not negative.

    The blocks are changed.  With `single`, which is added to their diagonals of 1, in single precision.
    """
    unit, diagonals = np.eye(blocks.shape[1]), np.diagonal(blocks, axis1=1, axis2=2)
    empty = ~(diagonals > 0)  # as of a constant column, of which the gradient has nothing but rounding
    scale = np.sqrt(np.where(empty, diagonals.max(axis=1, keepdims=True, initial=1e-300), diagonals))
    blocks /= scale[:, :, np.newaxis]
    blocks /= scale[:, np.newaxis, :]
    blocks += empty[:, :, np.newaxis] * unit
    root = inverse_root((blocks + single * unit).astype(np.float32) if single else blocks)
    return np.asarray(root / scale[:, :, np.newaxis])


def inverse_root(matrices: Array) -> Array:
    """R with R R^T the inverse of each symmetric matrix, and 0 on the directions in which it is 0 to rounding."""
    try:
        return np.linalg.inv(np.linalg.cholesky(matrices)).transpose(0, 2, 1)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrices)
        least = values.shape[1] * np.finfo(matrices.dtype).eps * np.abs(values).max(axis=1, keepdims=True)
        counted = values > least
        return np.asarray(vectors * (counted / np.sqrt(np.where(counted, values, 1.0)))[:, np.newaxis])
