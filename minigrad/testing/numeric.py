"""Derivatives of a function of an array, from its values alone, with the error that they may have."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from minigrad.typing import Array

# From the finest to the coarsest, relative to max(|x|, 1).  The finest serve functions of tiny numbers.
STEPS = (2.0**-44, 2.0**-35, 2.0**-26, 2.0**-20, 2.0**-14, 2.0**-8)
COMPLEX_STEP = 1e-30
EPS = float(np.finfo(float).eps)


class Derivative(NamedTuple):
    """A derivative, how far it may be off, and at a kink the slopes on its two sides.

    `low` and `high` are equal to `value` where there is no kink.  Any slope between them is a derivative at a kink.
    """

    value: Array
    error: Array
    low: Array
    high: Array
    kink: Array

    def weigh(self, weights: Array) -> Derivative:
        """d sum(weights * f), from one row for each output of f; what cancels in the sum does not hide its error."""
        w = weights.reshape(-1, *[1] * (self.value.ndim - 1))
        used = w != 0

        def total(terms: Array) -> Array:
            return np.add.reduce(np.where(used, w * terms, 0.0), axis=0)

        positive, negative = np.maximum(w, 0), np.minimum(w, 0)
        low, high = self.low, self.high
        return Derivative(
            total(self.value),
            np.add.reduce(np.where(used, np.abs(w) * self.error, 0.0), axis=0),
            np.add.reduce(np.where(used, positive * low + negative * high, 0.0), axis=0),
            np.add.reduce(np.where(used, positive * high + negative * low, 0.0), axis=0),
            np.logical_or.reduce(self.kink & used, axis=0),
        )


Line = Callable[[float], tuple[float, Array]]
"""t -> (t as it was rounded, every output of f(x + t v) in one vector)"""


class _Estimate(NamedTuple):
    value: Array
    error: Array


def finite_differences(function: Callable[[Array], Any], array: Array, weights: Any = 1.0) -> Derivative:
    """d sum(weights * function(x)) / dx for every entry of x, by central differences that estimate their own error.

    >>> finite_differences(lambda x: x**3, np.array([1.0, 2.0])).value.round(9)
    array([ 3., 12.])

    See `slope` for the method.
    """
    x = np.array(array, dtype=float)
    outputs = np.asarray(function(x.copy()))
    w = np.broadcast_to(np.asarray(weights, float), outputs.shape).ravel()
    columns = [
        slope(line(function, x, direction(x, index)), size_at(x, index), largest(x)).weigh(w)
        for index in np.ndindex(x.shape)
    ]
    return Derivative(*(np.reshape([getattr(c, name) for c in columns], x.shape) for name in Derivative._fields))


def direction(x: Array, index: tuple[int, ...]) -> Array:
    """The direction in which x[index] alone moves."""
    v = np.zeros(x.shape)
    v[index] = 1.0
    return v


def size_at(x: Array, index: tuple[int, ...]) -> float:
    """What steps in x[index] are relative to."""
    return max(abs(float(x[index])), 1.0)


def largest(x: Array) -> float:
    """The largest absolute value; 0 of none."""
    return float(np.abs(x).max(initial=0.0))


def line(function: Callable[[Array], Any], x: Array, v: Array) -> Line:
    """`function` along x + t v.  Outside its domain, where it raises, it is NaN."""
    single = np.count_nonzero(v) == 1
    index = np.unravel_index(int(np.argmax(v != 0)), v.shape) if single else ()

    def at(t: float) -> tuple[float, Array]:
        if single:
            moved = np.array(x)
            moved[index] += t * v[index]
            t = float(moved[index] - x[index]) / float(v[index])
        else:
            moved = x + t * v
        if t == 0:
            return t, np.array(function(moved)).ravel()
        try:
            return t, np.array(function(moved)).ravel()
        except (ValueError, ArithmeticError):
            return t, np.array([np.nan])

    return at


def slope(along: Line, size: float = 1.0, scale: float = 1.0, noise: Array | float = 0.0) -> Derivative:
    """The derivative of every output along a line at t = 0; steps are relative to `size`.

        D(h) = (f(h) - f(-h)) / 2h  =  f' + a h^2 + b h^4 + ...

    D is taken at h, h/2, h/4 and h/8, and the last three are extrapolated to h = 0 (Richardson), which leaves an error
    of order h^6.  The estimate of the error adds the last correction and the rounding of f over the smallest step.
    Of six steps, from the finest up, the one of smallest error is believed, but none beyond a step that contradicts the
    finer ones: a kink lies between.  At a kink itself, where the slopes on both sides differ by more than 1e-4 of
    themselves, both are given.  `scale` is the size of x as a whole: inside f, terms of that size times the slope may
    have cancelled.  `noise` is that of f where it is known to be larger than rounding; see `noise_of`.

    Ridders, Advances in Engineering Software 4 (1982) 75-76, for the extrapolation; he walks the other way.
    """
    with np.errstate(all="ignore"):
        best, kinked, low, high = _one_sided(along, size, scale, noise)
        open_ = np.ones(best.value.shape, bool)  # outputs that no step has contradicted yet
        for step in STEPS:
            estimate = _central(along, step * size, scale, noise)
            agrees = np.abs(estimate.value - best.value) <= 2 * (estimate.error + best.error)
            open_ &= agrees
            better = open_ & (estimate.error < best.error) & ~kinked
            best = _Estimate(*(np.where(better, new, old) for new, old in zip(estimate, best, strict=True)))
        return Derivative(
            best.value, best.error, np.where(kinked, low, best.value), np.where(kinked, high, best.value), kinked
        )


def quick_slope(along: Line, size: float = 1.0, scale: float = 1.0) -> Derivative:
    """The derivative at the coarsest step alone: eight evaluations, enough to confirm what is right."""
    with np.errstate(all="ignore"):
        value, error = _central(along, STEPS[-1] * size, scale)
    return Derivative(value, error, value, value, np.zeros(value.shape, bool))


def _central(along: Line, h: float, scale: float, noise: Array | float = 0.0) -> _Estimate:
    sides = [(along(h / 2**k), along(-h / 2**k)) for k in range(4)]
    differences = [(above - below) / (h_above - h_below) for (h_above, above), (h_below, below) in sides]
    once = [(4 * fine - coarse) / 3 for coarse, fine in pairwise(differences)]
    before, twice = ((16 * fine - coarse) / 15 for coarse, fine in pairwise(once))
    size = max(largest(side) for pair in sides for _, side in pair)
    # Inside f, terms as large as the step's scale times the slope may have cancelled.
    rounding = (4 * EPS * max(size, scale * largest(twice)) + 2 * noise) / (h / 8)
    # The differences of a smooth f shrink like h^2, by 4 and by 4.  Where f'' jumps or a kink is close, they do not,
    # and the largest of them is the error.
    first, second, third = (fine - coarse for coarse, fine in pairwise(differences))
    smooth = (np.abs(second - first / 4) <= np.abs(first) / 64) & (np.abs(third - second / 4) <= np.abs(second) / 64)
    jump = np.maximum(np.abs(first), np.maximum(np.abs(second), np.abs(third)))
    # Where the term in h^4 happens to vanish, the last correction is small, and that in h^6 is what is off.
    correction = np.maximum(np.abs(twice - once[2]), np.abs(twice - before) / 16)
    return _Estimate(twice, np.where(smooth, correction, jump) + rounding)


def _one_sided(along: Line, size: float, scale: float, noise: Array | float) -> tuple[_Estimate, Array, Array, Array]:
    """Where the slopes on the two sides differ, at the finest step that can tell: (their mean, kinked, low, high)."""
    here = along(0.0)[1]
    sides = [_slopes(along, here, step * size, scale, noise) for step in STEPS[:5]]
    right, left, rounding = sides[0]
    low, high = np.minimum(right, left), np.maximum(right, left)
    widest, kinked = rounding, np.zeros(here.shape, bool)
    seen = np.full(here.shape, np.inf)  # the gap that a finer step would have seen
    for (right, left, rounding), (coarse_right, coarse_left, _) in pairwise(sides):
        gap, least = np.abs(right - left), 4 * rounding + 1e-4 * np.abs(right + left) / 2
        # The gap of a smooth f grows with the step, 64-fold or more; that of a kink does not.
        found = (gap > least) & (np.abs(coarse_right - coarse_left) < 8 * gap) & (gap < seen) & ~kinked
        low, high = np.where(found, np.minimum(right, left), low), np.where(found, np.maximum(right, left), high)
        curvature = np.maximum(np.abs(right - coarse_right), np.abs(left - coarse_left)) / 32
        widest = np.where(found, rounding + curvature, widest)
        kinked |= found
        seen = np.minimum(seen, 4 * rounding)
    return _Estimate((low + high) / 2, np.where(kinked, widest, np.inf)), kinked, low, high


def _slopes(along: Line, here: Array, h: float, scale: float, noise: Array | float) -> tuple[Array, Array, Array]:
    """The slopes on both sides, and their rounding."""
    (h_above, above), (h_below, below) = along(h), along(-h)
    right, left = (above - here) / h_above, (below - here) / h_below
    size = max(np.abs(side).max(initial=0.0) for side in (above, here, below))
    steepest = max(np.abs(right).max(initial=0.0), np.abs(left).max(initial=0.0))
    rounding = (8 * EPS * max(size, scale * steepest) + 4 * noise) / h
    return right, left, np.broadcast_to(rounding, here.shape)


NOISE_WINDOWS = (2.0**-34, 2.0**-28, 2.0**-22)


def noise_of(along: Line, size: float = 1.0) -> Array:
    """The noise in every output of f near t = 0, an upper estimate from tables of differences.

    A smooth f has fourth differences that vanish with the spacing; what is left is noise.  Nine points on each side at
    three spacings, of which the largest counts: an f that is rounded to float32 inside is a staircase, and constant
    between its steps.

    More and Wild, SIAM Journal on Scientific Computing 33 (2011) 1292-1314.
    """
    with np.errstate(all="ignore"):
        windows = [_noise_in(along, sign * window * size) for window in NOISE_WINDOWS for sign in (1, -1)]
        return np.nan_to_num(np.fmax.reduce(windows), nan=np.inf)


def _noise_in(along: Line, spacing: float) -> Array:
    table = np.array(np.broadcast_arrays(*(along(k * spacing)[1] for k in range(9))))
    levels = []
    for k in range(1, 7):
        table = np.diff(table, axis=0)
        if k >= 4:
            levels.append(np.sqrt(np.mean(table**2, axis=0) * math.factorial(k) ** 2 / math.factorial(2 * k)))
    return np.max(levels, axis=0)


def complex_step(function: Callable[[Array], Any], array: Array, step: float = COMPLEX_STEP) -> Array:
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
