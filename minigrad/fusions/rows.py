"""Linear units over blocks of rows that stay in the processor's cache, so that x is read from memory once.

Numbers that belong to one unit are neighbours here ("class-major", (K, N)): see kernels.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from minigrad.kernels import COLUMNS, ROWS, affine, transposed_product
from minigrad.layers import Linear
from minigrad.typing import Array, Gradients

CHUNK = 2**21  # bytes of x in one block of rows
LONGEST = 8192  # rows of one block
# By the size of a number, of float32 and of float64: of such logits, e^z and ratios of two of them have all digits, and
# still have them when they are multiplied or divided by such a scale.
MODERATE = {4: (30.0, 1e20), 8: (300.0, 1e150)}

OfBlock: TypeAlias = Callable[[Array, slice], tuple[float, Array] | None]


def has_few_units(linear: Linear) -> bool:
    """Few enough units, of float32 or float64: what is arranged here."""
    weight = getattr(linear, "weight", None)  # not there yet where its width was left out
    return linear.out_features <= COLUMNS and (weight is None or _is_real(weight))


def fits(linear: Linear, x: Array) -> bool:
    """Rows of x, of the type of the weights."""
    weight, bias = getattr(linear, "weight", None), getattr(linear, "bias", None)
    return (
        weight is not None
        and type(x) is np.ndarray
        and x.ndim == 2
        and x.size > 0
        and _is_real(x)
        and x.dtype == weight.dtype
        and (bias is None or bias.dtype == x.dtype)
        and len(weight) <= COLUMNS
    )


def _is_real(array: Array) -> bool:
    return array.dtype.kind == "f" and array.itemsize in MODERATE


def over_blocks(x: Array, linear: Linear, of_block: OfBlock) -> tuple[Any, Gradients] | None:
    """(C, {dW, db}) of a cost that is a sum over rows of the logits of `linear`.

        of_block(logits, rows)  ->  (C, r) of a block of rows, logits (K, n),  r = dC/dlogits;    dW = r x,  db = r 1

    None where that is None.  x is read once: both products of a block are made while its rows are in the cache.
    """
    n, size = len(x), max(ROWS, min(LONGEST, CHUNK // (x.shape[1] * x.itemsize or 1)))
    total: Gradients = {}
    value = 0.0
    for start in range(0, n, size):
        rows = slice(start, start + size)
        block = x[rows]
        found = of_block(class_major(block, linear.weight, linear.bias), rows)
        if found is None:
            return None
        value += found[0]
        gradients = _of_linear(found[1], block, linear)
        if total:
            for name, gradient in gradients.items():
                total[name] += gradient
        else:
            total = gradients
    return x.dtype.type(value), total


def _of_linear(r: Array, x: Array, linear: Linear) -> Gradients:
    of_weight = r.dot(x) if len(x) <= ROWS else transposed_product(r.T, x)
    if linear.bias is None:
        return {"0.weight": of_weight}
    return {"0.weight": of_weight, "0.bias": r.dot(ones(len(x), x.dtype))}


def class_major(x: Array, weight: Array, bias: Array | None) -> Array:
    """W x^T + b for x (N, D): (K, N), in memory of its own."""
    if len(x) > ROWS:
        return np.ascontiguousarray(affine(x, weight, bias).T)
    product: Array = weight.dot(x.T)
    if bias is not None:
        product += bias[:, np.newaxis]
    return product


@functools.lru_cache(16)
def ones(n: int, dtype: np.dtype[Any]) -> Array:
    """A vector of ones: a product with it is a quicker sum than NumPy's of short rows.  Not to be written to."""
    return _constant(np.ones(n, dtype))


@functools.lru_cache(16)
def counted(n: int) -> Array:
    """0 .. n - 1.  Not to be written to."""
    return _constant(np.arange(n))


def weighted_sum(terms: Array, scale: Array | float) -> float:
    """sum_n scale_n terms_n, for one scale or as many as there are terms."""
    if isinstance(scale, np.ndarray):
        return float(terms.dot(scale))
    return float(terms.dot(ones(len(terms), terms.dtype))) * scale


def are_moderate(logits: Array) -> bool:
    """No logit is so large or small that e^z, or a product or ratio of two of them, overflows or loses digits."""
    far, flat = MODERATE[logits.itemsize][0], logits.reshape(-1)
    if flat.dot(flat) <= far * far:  # which is quicker to see than both extremes, where it is so
        return True
    return bool(flat.item(flat.argmax()) <= far and flat.item(flat.argmin()) >= -far)  # not of NaN


def is_moderate_scale(scale: Array | float) -> bool:
    """One number, which is 1 or 1 over a number of rows; or an array whose entries are 0 or neither huge nor tiny."""
    if not isinstance(scale, np.ndarray):
        return True
    far = MODERATE[scale.itemsize][1]
    return bool(scale.max() <= far and scale.min(where=scale > 0, initial=1.0) >= 1 / far)


def _constant(array: Array) -> Array:
    array.flags.writeable = False
    return array
