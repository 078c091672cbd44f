"""Softmax, its logarithm, and the cross-entropy of its labels, arranged for speed.

Each equals the plain formula in its first line, to rounding; the tests hold it to that.  Few classes, or rows that do
not follow one another in memory, are taken as a whole: see kernels.py for the order of few classes.  Long rows are
taken in blocks that stay in the processor's cache through all steps, and e^z is first tried without a shift: of
ordinary scores it is as good as e^{z - m}, and two passes are saved.  Measured by `python -m benchmarks W6`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from minigrad.kernels import log1p
from minigrad.typing import Array

FEW = 64  # up to so many classes, class-major order pays for turning the scores around
WIDE = 128  # from so many classes, rows are taken in blocks
BLOCK = 2**21  # bytes of one block of rows
LOG2_E = 1.4426950408889634
SAFE = 2.0**23  # a sum of e^z between 1/SAFE and SAFE has lost no term that counts, and a logarithm of few digits


def log_softmax(z: Array) -> Array:
    """z - logsumexp(z) over the last axis, with logsumexp z = z_m + log1p(sum_{j != m} e^{z_j - z_m}), z_m largest.

    The largest term is split off: adding its 1 to the other terms would round away all below 1e-16, and with them
    the cost of a confident, right prediction.
    """
    if _takes_blocks(z):
        return _log_softmax_in_blocks(z)
    shifted, others, _ = _shift(z)
    shifted -= log1p(np.add.reduce(others, axis=1, keepdims=True))
    return shifted.reshape(z.shape)


def log_softmax_backward(delta: Array, log_p: Array) -> Array:
    """delta - e^log_p sum_k delta_k over the last axis."""
    if not (_takes_blocks(log_p) and delta.flags.c_contiguous and delta.dtype == log_p.dtype):
        return delta - np.exp(log_p) * np.add.reduce(delta, axis=-1, keepdims=True)
    dz = np.empty_like(log_p)
    deltas, log_ps, result = _rows(delta), _rows(log_p), _rows(dz)
    ones, exp = np.ones(log_p.shape[-1], log_p.dtype), _exp_of_blocks(log_ps)
    with _unbuffered(), np.errstate(over="ignore"):
        for rows in _blocks(log_ps):
            p = exp(log_ps[rows], result[rows])
            p *= np.dot(deltas[rows], ones)[:, np.newaxis]
            np.subtract(deltas[rows], p, out=p)
    return dz


def softmax(z: Array) -> Array:
    """e^z / sum_k e^{z_k} over the last axis, shifted by the largest z."""
    if _takes_blocks(z):
        return _softmax_in_blocks(z)
    _, terms, largest = _shift(z)
    total = 1 + np.add.reduce(terms, axis=1, keepdims=True)
    terms[largest] = 1
    terms /= total
    return terms.reshape(z.shape)


def cross_entropy(z: Array, labels: Array, scale: Array | float) -> tuple[Array, Array]:
    """(-log p_t, scale (p - onehot(t))) of each row of z (N, K), with p = softmax(z), labels t (N,), scale (N,) or one.

    With m_n = max_j z_nj, e_nj = e^{z_nj - m_n} and others_n = sum_{j != t} e_nj:

        -log p_nt  =  log(others_n + e_nt) - (z_nt - m_n);    p_nt - 1  =  -others_n / (others_n + e_nt)

    Nothing is subtracted that is nearly equal, so small terms and small derivatives are as accurate as large ones.
    """
    if _takes_blocks(z):
        return _cross_entropy_in_blocks(z, labels, scale)
    by_class = z.shape[1] <= FEW or z.flags.fnc
    axis, scores = (0, np.ascontiguousarray(z.T)) if by_class else (1, np.ascontiguousarray(z))
    terms = scores - np.maximum.reduce(scores.real, axis=axis, keepdims=True)
    entries, places = terms.reshape(-1), _places(scores, labels, axis)
    of_target = entries[places]
    np.exp(terms, out=terms)
    entries[places] = 0
    others = np.add.reduce(terms, axis=axis)
    total_minus_1 = others + (np.exp(of_target) - 1)
    factor = scale / (1 + total_minus_1)
    terms *= factor if by_class else factor[:, np.newaxis]
    entries[places] = -others * factor
    return log1p(total_minus_1) - of_target, terms.T if by_class else terms


def _shift(z: Array) -> tuple[Array, Array, tuple[Array, Array]]:
    """Rows of z - z_m, of e^{z - z_m} with the term of z_m itself put to 0, and the index of z_m, the largest z."""
    rows = z if z.ndim == 2 else z.reshape(-1, z.shape[-1])
    largest = (np.arange(len(rows)), rows.real.argmax(axis=1))
    shifted = rows - rows[largest][:, np.newaxis]
    terms = np.exp(shifted)
    terms[largest] = 0
    return shifted, terms, largest


# The same in blocks.  Sums over a row are products with ones: numpy's own sum is three times as slow.


def _log_softmax_in_blocks(z: Array) -> Array:
    log_p = np.empty_like(z)
    scores, result = _rows(z), _rows(log_p)
    ones, exp = np.ones(z.shape[-1], z.dtype), _exp_of_blocks(scores)
    safe = True
    with _unbuffered(), np.errstate(over="ignore"):
        for rows in _blocks(scores):
            block, out = scores[rows], result[rows]
            largest = _places(block, block.argmax(axis=1))
            of_largest = block.reshape(-1)[largest]
            if safe:
                terms = exp(block, out)
                terms.reshape(-1)[largest] = 0
                others, own = np.dot(terms, ones), np.exp(of_largest)
                safe = _is_safe(others + own)
                if safe:
                    np.subtract(block, np.log(others + own)[:, np.newaxis], out=out)
                    out.reshape(-1)[largest] = -np.log1p(others / own)
            if not safe:
                shifted = np.subtract(block, of_largest[:, np.newaxis], out=out)
                terms = exp(shifted, np.empty_like(shifted))
                terms.reshape(-1)[largest] = 0
                shifted -= np.log1p(np.dot(terms, ones))[:, np.newaxis]
    return log_p


def _softmax_in_blocks(z: Array) -> Array:
    p = np.empty_like(z)
    scores, result = _rows(z), _rows(p)
    ones, exp = np.ones(z.shape[-1], z.dtype), _exp_of_blocks(scores)
    safe = True
    with _unbuffered(), np.errstate(over="ignore"):
        for rows in _blocks(scores):
            terms = result[rows]
            if safe:
                total = np.dot(exp(scores[rows], terms), ones)
                safe = _is_safe(total)
            if not safe:
                largest = np.maximum.reduce(scores[rows], axis=1)
                exp(np.subtract(scores[rows], largest[:, np.newaxis], out=terms), terms)
                total = np.dot(terms, ones)
            terms /= total[:, np.newaxis]
    return p


def _cross_entropy_in_blocks(z: Array, labels: Array, scale: Array | float) -> tuple[Array, Array]:
    with _unbuffered(), np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        residual, of_target, others, total = _residual_in_blocks(z, labels, scale, None)
        if not _is_safe(total):
            shift = np.maximum.reduce(z, axis=1)
            residual, of_target, others, total = _residual_in_blocks(z, labels, scale, shift)
        # Near log(total), and z_t itself where the term of the target is the largest, so that nothing is left of it.
        reference = np.where(of_target >= np.log(others), of_target, np.rint(np.log(others)))
    of_target -= reference
    return np.log1p(others * np.exp(-reference) + (np.exp(of_target) - 1)) - of_target, residual


def _residual_in_blocks(
    z: Array, labels: Array, scale: Array | float, shift: Array | None
) -> tuple[Array, Array, Array, Array]:
    """(scale (p - onehot(t)), z_t, the sum of the terms but that of t, the sum of all), with z - shift for z."""
    residual, ones, exp = np.empty_like(z), np.ones(z.shape[1], z.dtype), _exp_of_blocks(z)
    entries, places = residual.reshape(-1), _places(z, labels)
    of_target = z.reshape(-1)[places] if shift is None else z.reshape(-1)[places] - shift
    own, others, total, factor = np.exp(of_target), *(np.empty(len(z), z.dtype) for _ in range(3))
    factor[:] = scale
    for rows in _blocks(z):
        terms, targets = residual[rows], places[rows]
        exp(z[rows] if shift is None else np.subtract(z[rows], shift[rows, np.newaxis], out=terms), terms)
        entries[targets] = 0
        np.add(np.dot(terms, ones, out=others[rows]), own[rows], out=total[rows])
        factor[rows] /= total[rows]
        terms *= factor[rows, np.newaxis]
        entries[targets] = -others[rows] * factor[rows]
    return residual, of_target, others, total


def _is_safe(total: Array) -> bool:
    return bool(total.min() >= 1 / SAFE and total.max() <= SAFE)  # not of NaN


def _exp_of_blocks(z: Array) -> Callable[[Array, Array], Array]:
    """(block, out) -> e^block into `out`, for blocks of the rows of z."""
    if z.dtype != np.float32 or not _exp2_is_vectorised():
        return lambda block, out: np.exp(block, out=out)
    # Of float32, 2^z is computed twice as fast; the product rounds e^z by another |z| eps.  It does not go to `out`:
    # to fetch that memory takes long, which 2^z hides and a product does not.
    buffer = np.empty((min(len(z), _rows_of_a_block(z)), z.shape[1]), z.dtype)

    def exp(block: Array, out: Array) -> Array:
        return np.exp2(np.multiply(block, LOG2_E, out=buffer[: len(block)]), out=out)

    return exp


@functools.cache
def _exp2_is_vectorised() -> bool:
    """NumPy computes 2^z by vector operations of this processor, not one number after the other."""
    from numpy.lib.introspect import opt_func_info

    target = opt_func_info("^exp2$", "^float32$").get("exp2", {}).get("ff", {}).get("current", "baseline")
    return not target.startswith("baseline")


def _takes_blocks(z: Array) -> bool:
    return z.shape[-1] >= WIDE and z.flags.c_contiguous and z.dtype.kind == "f" and z.itemsize >= 4 and z.size > 0


def _rows(z: Array) -> Array:
    return z.reshape(-1, z.shape[-1])


def _blocks(z: Array) -> Iterator[slice]:
    count = _rows_of_a_block(z)
    return (slice(start, start + count) for start in range(0, len(z), count))


def _rows_of_a_block(z: Array) -> int:
    """As many as fill a block; by fours, as OpenBLAS takes them in a product with one vector."""
    count = BLOCK // (z.shape[1] * z.itemsize)
    return count - count % 4 if count > 4 else max(1, count)


def _places(z: Array, classes: Array, axis: int = 1) -> Array:
    """Where z[n, classes_n] stands in z.reshape(-1), or with axis 0 z[classes_n, n]: faster than two indices."""
    if axis == 0:
        return classes * z.shape[1] + np.arange(z.shape[1])
    return np.arange(0, z.size, z.shape[1]) + classes


@contextmanager
def _unbuffered() -> Iterator[None]:
    """Have numpy combine a row with one number in place: it copies both to a buffer first where that holds the row."""
    before = np.setbufsize(16)
    try:
        yield
    finally:
        np.setbufsize(before)
