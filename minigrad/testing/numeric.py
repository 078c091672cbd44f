"""Derivatives of a function of an array, from its values alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minigrad.typing import Array

STEPS = (2.0**-26, 2.0**-20, 2.0**-14, 2.0**-8)  # from the finest to the coarsest, relative to max(|x|, 1)


class Derivative(NamedTuple):
    """A derivative with respect to every entry of an array, how far it may be off, and where there is a kink."""

    value: Array
    error: Array
    kink: Array


class _Estimate(NamedTuple):
    """A derivative of every output at one step."""

    value: Array
    error: Array


def finite_differences(
    function: Callable[[Array], Any], array: Array, weights: Any = 1.0, expected: Array | None = None
) -> Derivative:
    """d sum(weights * function(x)) / dx by central differences, with their own error estimate.

        D(h) = (f(x + h) - f(x - h)) / 2h  =  f' + a h^2 + b h^4 + ...

    D is taken for every output at h, h/2, h/4 and extrapolated twice to h = 0 (Richardson), which leaves an error of
    order h^6.  The estimate adds the last correction and the rounding of f divided by the smallest step.  Of four
    steps, from the finest up, the one of smallest error is believed, but none beyond a step that contradicts the finer
    ones: a kink lies between.  At a kink itself four times the error covers both one-sided slopes.

    Where `expected` is given, entries for which the coarsest step confirms it closely are not looked at further.

    Ridders, Advances in Engineering Software 4 (1982) 75-76, for the extrapolation; he walks the other way.
    """
    x = np.array(array, dtype=float)
    with np.errstate(invalid="ignore", over="ignore"):
        return _differences(function, x, weights, expected)


def _differences(function: Callable[[Array], Any], x: Array, weights: Any, expected: Array | None) -> Derivative:
    value, error, kink = np.empty_like(x), np.empty_like(x), np.zeros(x.shape, bool)
    for index in np.ndindex(x.shape):
        if expected is not None:
            value[index], error[index] = _weigh(_central(function, x, index, STEPS[-1]), weights)
            if abs(value[index] - expected[index]) <= 4 * error[index] <= 1e-7 * np.abs(expected).max():
                continue
        best, kinked = _one_sided_gap(function, x, index)
        open_ = np.ones(np.shape(best.value), bool)  # outputs that no step has contradicted yet
        for step in STEPS:
            estimate = _central(function, x, index, step)
            agrees = np.abs(estimate.value - best.value) <= 4 * (estimate.error + best.error)
            open_ &= agrees
            better = open_ & (estimate.error < best.error) & ~kinked
            best = _Estimate(*(np.where(better, new, old) for new, old in zip(estimate, best, strict=True)))
        value[index], error[index] = _weigh(best, weights)
        kink[index] = bool(np.any(kinked & (np.asarray(weights) != 0)))
    return Derivative(value, error, kink)


def _central(function: Callable[[Array], Any], x: Array, index: tuple[int, ...], step: float) -> _Estimate:
    """Extrapolated central differences of every output with respect to x[index]."""
    h = step * max(abs(float(x[index])), 1.0)
    sides = [(_at(function, x, index, h / 2**k), _at(function, x, index, -h / 2**k)) for k in range(3)]
    differences = [(above - below) / (h_above - h_below) for (h_above, above), (h_below, below) in sides]
    once = [(4 * fine - coarse) / 3 for coarse, fine in pairwise(differences)]
    twice = (16 * once[1] - once[0]) / 15
    # Corrections of a smooth f shrink like h^2.  Where f'' jumps they shrink more slowly, and the last is the error.
    first, last = np.abs(differences[2] - differences[1]), np.abs(once[1] - once[0])
    correction = np.where(last > first / 8, last, np.abs(twice - once[1]))
    size = max(np.abs(side).max(initial=0.0) for pair in sides for _, side in pair)
    # Inside f, terms as large as |x| times the slope may have cancelled.
    size = max(size, np.abs(x).max() * np.abs(twice).max(initial=0.0))
    rounding = 4 * np.finfo(float).eps * size / (h / 4)
    return _Estimate(twice, correction + rounding)


def _one_sided_gap(function: Callable[[Array], Any], x: Array, index: tuple[int, ...]) -> tuple[_Estimate, Array]:
    """Where the slopes on both sides of x[index] differ: an interval that holds both, and True.  Elsewhere nothing."""
    here = _at(function, x, index, 0.0)[1]
    middle, gap, rounding = _slopes(function, x, index, here, STEPS[0])
    kinked = gap > 4 * rounding + 1e-4 * np.abs(middle)
    if kinked.any():
        # The gap of a smooth f grows with the step; that of a kink does not.
        _, coarse_gap, _ = _slopes(function, x, index, here, STEPS[1])
        kinked &= coarse_gap < 8 * gap
    # Half the gap is no estimate but the whole truth: it enters a bound of four errors once.
    return _Estimate(middle, np.where(kinked, gap / 8 + rounding, np.inf)), kinked


def _slopes(
    function: Callable[[Array], Any], x: Array, index: tuple[int, ...], here: Array, step: float
) -> tuple[Array, Array, float]:
    """The mean of the slopes on both sides, their distance, and its rounding."""
    h = step * max(abs(float(x[index])), 1.0)
    (h_above, above), (h_below, below) = _at(function, x, index, h), _at(function, x, index, -h)
    right, left = (above - here) / h_above, (below - here) / h_below
    size = max(np.abs(side).max(initial=0.0) for side in (above, here, below))
    slope = max(np.abs(right).max(initial=0.0), np.abs(left).max(initial=0.0))
    rounding = 8 * np.finfo(float).eps * max(size, np.abs(x).max() * slope) / h
    return (right + left) / 2, np.abs(right - left), rounding


def _at(function: Callable[[Array], Any], x: Array, index: tuple[int, ...], h: float) -> tuple[float, Array]:
    """(h as it was rounded, not as it was meant; function(x) with x[index] moved by it)."""
    moved = x.copy()
    moved[index] += h
    rounded = float(moved[index] - x[index])
    if h == 0:
        return rounded, np.asarray(function(moved))
    try:
        with np.errstate(all="ignore"):
            return rounded, np.asarray(function(moved))
    except (ValueError, ArithmeticError):
        return rounded, np.array(np.nan)  # outside the domain of f


def _weigh(estimate: _Estimate, weights: Any) -> tuple[float, float]:
    """The weighted sum over outputs, and its error; outputs that cancel in the sum do not hide theirs."""
    relevant = np.where(np.asarray(weights) != 0, estimate.error, 0.0)
    return float(np.sum(weights * estimate.value)), float(np.sum(np.abs(weights) * relevant))


def complex_step(function: Callable[[Array], Any], array: Array, step: float = 1e-30) -> Array:
    """Im f(x + i h) / h for every entry of x: exact to rounding where f is analytic, as nothing is subtracted.

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
