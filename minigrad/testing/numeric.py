"""Derivatives of a function of an array, from its values alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minigrad.typing import Array


class Derivative(NamedTuple):
    """A derivative by every entry of an array, and how far it may be off."""

    value: Array
    error: Array


def finite_differences(
    function: Callable[[Array], Any], array: Array, weights: Any = 1.0, step: float = 2.0**-8
) -> Derivative:
    """d sum(weights * function(x)) / dx by central differences, with their own error estimate.

        D(h) = (f(x + h) - f(x - h)) / 2h  =  f' + a h^2 + b h^4 + ...

    taken for every output at the steps h, h/2, h/4 and extrapolated twice to h = 0 (Richardson), which leaves an error
    of order h^6.  The estimate adds the size of the last correction and the rounding of f divided by the smallest
    step, output by output, so that outputs which cancel in the sum do not hide it.  h is `step` times max(|x|, 1).

    Ridders, Advances in Engineering Software 4 (1982) 75-76.
    """
    x = np.array(array, dtype=float)
    value, error = np.empty_like(x), np.empty_like(x)
    for index in np.ndindex(x.shape):
        original = float(x[index])
        h = step * max(abs(original), 1.0)
        differences, size = [], 0.0
        for k in range(3):
            x[index] = original + h / 2**k
            above, f_above = x[index], np.asarray(function(x.copy()))
            x[index] = original - h / 2**k
            below, f_below = x[index], np.asarray(function(x.copy()))
            # The step as it was rounded, not as it was meant.
            differences.append((f_above - f_below) / (above - below))
            size = max(size, np.abs(f_above).max(initial=0.0), np.abs(f_below).max(initial=0.0))
        x[index] = original
        once = [(4 * fine - coarse) / 3 for coarse, fine in pairwise(differences)]
        twice = (16 * once[1] - once[0]) / 15
        # Inside f, terms as large as |x| times the slope may have cancelled.
        size = max(size, np.abs(x).max() * np.abs(twice).max(initial=0.0))
        rounding = 4 * np.finfo(float).eps * size / (h / 4)
        value[index] = np.sum(weights * twice)
        error[index] = np.sum(np.abs(weights) * (np.abs(twice - once[1]) + rounding))
    return Derivative(value, error)


def complex_step(function: Callable[[Array], Any], array: Array, step: float = 1e-30) -> Array:
    """Im f(x + i h) / h for every entry: exact to rounding where `function` is analytic, as nothing is subtracted.

    >>> complex_step(lambda x: np.exp(x).sum(), np.array([0.0, 1.0]))
    array([1.        , 2.71828183])

    Squire and Trapp, SIAM Review 40 (1998) 110-112.  A function that takes abs, sign, conj or the real part on the
    way gives a wrong derivative, silently.
    """
    x = np.array(array, dtype=complex)
    value = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        x.imag[index] = step
        value[index] = np.imag(function(x.copy())) / step
        x.imag[index] = 0
    return value
