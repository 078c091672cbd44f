"""Array expressions that a rule uses as one operation, arranged for numpy's fast paths.

Each equals the plain formula in its first line, to rounding; the tests hold it to that.  Two arrangements matter:

- OpenBLAS has a faster way for small products.  With few columns, rows taken ROWS at a time as a stack of small
  products run faster than one tall product, up to about twice.
- With few classes, numbers that belong to one class should be neighbours ("class-major", Fortran order): numpy then
  takes maxima and sums over the classes in long vector operations, many times as fast.

Measured by `python -m benchmarks.kernels`.
"""

from __future__ import annotations

import numpy as np

from minigrad.typing import Array

ROWS = 96  # rows in one small product; beyond about 120 OpenBLAS leaves its fast path
COLUMNS = 16  # up to so many columns, small products and class-major order pay
PRODUCTS = 32  # small products in one stack of partial sums, which bounds the memory for them


def affine(z: Array, weight: Array, bias: Array | None) -> Array:
    """z W^T + b for z (..., D), W (K, D), b (K,) or none: (..., K), class-major when K is small."""
    n, classes = len(z), len(weight)
    if n <= ROWS or classes > COLUMNS or z.ndim != 2 or not _one_dtype(z, weight, bias):
        product = z @ weight.T
        return product if bias is None else product + bias
    by_class = np.empty((classes, n), z.dtype)
    head = n - n % ROWS if z.flags.c_contiguous else 0
    if head:
        small = z[:head].reshape(-1, ROWS, z.shape[1])
        np.matmul(small, weight.T, out=by_class[:, :head].reshape(classes, -1, ROWS).transpose(1, 2, 0))
    np.matmul(weight, z[head:].T, out=by_class[:, head:])
    if bias is not None:
        by_class += bias[:, np.newaxis]
    return by_class.T


def transposed_product(delta: Array, z: Array) -> Array:
    """delta^T z for delta (N, K), z (N, D): (K, D), summed over the rows in blocks when K is small."""
    n, classes = delta.shape
    if n <= ROWS or classes > COLUMNS or not z.flags.c_contiguous or not _one_dtype(z, delta, None):
        return delta.T @ z
    head = n - n % ROWS
    total = delta[head:].T @ z[head:]
    for start in range(0, head, ROWS * PRODUCTS):
        rows = slice(start, min(start + ROWS * PRODUCTS, head))
        left = delta[rows].T.reshape(classes, -1, ROWS).transpose(1, 0, 2)
        total += np.matmul(left, z[rows].reshape(-1, ROWS, z.shape[1])).sum(axis=0)
    return total


def _one_dtype(z: Array, other: Array, third: Array | None) -> bool:
    return z.dtype == other.dtype and (third is None or z.dtype == third.dtype)


def log1p(z: Array) -> Array:
    """log(1 + z), to full relative accuracy for small z of non-negative real part, complex too."""
    if z.dtype.kind != "c":
        return np.log1p(z)
    # numpy's complex log1p adds 1 first and so loses the real part of a small z.
    x, y = z.real, z.imag
    return (0.5 * np.log1p(x * (2 + x) + y * y) + 1j * np.arctan2(y, 1 + x)).astype(z.dtype)


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z)."""
    positive, e = _sign_and_exponential(z)
    return np.where(positive, 1, e) / (1 + e)


def log_sigmoid(z: Array) -> Array:
    """-log(1 + e^-z) = min(z, 0) - log(1 + e^-|z|)."""
    positive, e = _sign_and_exponential(z)
    return np.where(positive, 0, z) - log1p(e)


def _sign_and_exponential(z: Array) -> tuple[Array, Array]:
    """(z > 0, e^-|z|), which never overflows; signs are of the real part, so that both stay analytic."""
    positive = z.real > 0
    return positive, np.exp(np.where(positive, -z, z))


def log_softmax(z: Array) -> Array:
    """z - logsumexp(z) over the last axis, with logsumexp z = z_m + log1p(sum_{j != m} e^{z_j - z_m}), z_m largest.

    The largest term is split off: adding its 1 to the other terms would round away all below 1e-16, and with them
    the cost of a confident, right prediction.
    """
    shifted, others, _ = shift(z)
    shifted -= log1p(np.add.reduce(others, axis=1, keepdims=True))
    return shifted.reshape(z.shape)


def softmax(z: Array) -> Array:
    """e^z / sum_k e^{z_k} over the last axis, shifted by the largest z."""
    _, terms, largest = shift(z)
    total = 1 + np.add.reduce(terms, axis=1, keepdims=True)
    terms[largest] = 1
    terms /= total
    return terms.reshape(z.shape)


def shift(z: Array) -> tuple[Array, Array, tuple[Array, Array]]:
    """Rows of z - z_m, of e^{z - z_m} with the term of z_m itself put to 0, and the index of z_m, the largest z."""
    rows = z if z.ndim == 2 else z.reshape(-1, z.shape[-1])
    largest = (np.arange(len(rows)), rows.real.argmax(axis=1))
    shifted = rows - rows[largest][:, np.newaxis]
    terms = np.exp(shifted)
    terms[largest] = 0
    return shifted, terms, largest
