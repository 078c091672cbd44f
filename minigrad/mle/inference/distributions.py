"""Tails of the normal and the chi-squared distribution, to full relative accuracy however far out."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np

from minigrad.kernels import normal_cdf, normal_quantile
from minigrad.typing import Array

# At p = 1e-300 the exponent is 690, and rounding it in double precision would spoil p by 1e-13: decimals do not.
DIGITS, ENOUGH = 40, Decimal("1e-22")
STIRLING = [(1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156), (-3617, 122400)]
FAR = 40  # from here on the terms above give log Gamma to 1e-26


def two_sided(z: Array) -> Array:
    """P(|Z| >= |z|) for a standard normal Z; NaN where z is."""
    return np.asarray(2 * normal_cdf(-np.abs(np.asarray(z, dtype=float))))


def two_sided_quantile(level: float) -> float:
    """The z with P(|Z| <= z) = level, for 0 < level < 1."""
    return -float(normal_quantile(np.array([(1 - level) / 2]))[0])


def chi_squared_tail(x: float, df: float) -> float:
    """P(X >= x) for a chi-squared X of `df` degrees of freedom, a whole number or not; 0 below 1e-308.

    Q(a, y) = Gamma(a, y) / Gamma(a) at a = df / 2, y = x / 2.
    """
    return float(_log_and_tail(x, df)[1])


def chi_squared_log_tail(x: float, df: float) -> float:
    """log P(X >= x), which ends nowhere."""
    return float(_log_and_tail(x, df)[0])


def _log_and_tail(x: float, df: float) -> tuple[Decimal, Decimal]:
    if not (df > 0 and math.isfinite(df)):
        raise ValueError(f"a chi-squared distribution has a positive number of degrees of freedom, got {df!r}")
    if math.isnan(x):
        return Decimal("nan"), Decimal("nan")
    if x <= 0:
        return Decimal(0), Decimal(1)
    if math.isinf(x):
        return Decimal("-inf"), Decimal(0)
    with localcontext(prec=DIGITS):
        a, y = Decimal(df) / 2, Decimal(x) / 2
        log_front = a * y.ln() - y - _log_gamma(a)
        tail = 1 - log_front.exp() * _series(a, y) if y < a + 1 else log_front.exp() * _fraction(a, y)
        return tail.ln(), tail


def _series(a: Decimal, y: Decimal) -> Decimal:
    """Gamma(a) P(a, y) e^y y^-a  =  sum_n y^n / (a (a + 1) ... (a + n))."""
    term = total = 1 / a
    n = a
    while term > ENOUGH * total:
        n += 1
        term *= y / n
        total += term
    return total


def _fraction(a: Decimal, y: Decimal) -> Decimal:
    """Gamma(a) Q(a, y) e^y y^-a  =  1 / (y + 1 - a - 1 (1 - a) / (y + 3 - a - 2 (2 - a) / (y + 5 - a - ...))).

    By Lentz's method: Press et al., Numerical Recipes, section 6.2.
    """
    b = y + 1 - a
    d = 1 / b
    c, total = Decimal("1e90"), d
    for n in range(1, 100_000):
        factor = -n * (n - a)
        b += 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        total *= c * d
        if abs(c * d - 1) < ENOUGH:
            break
    return total


def _log_gamma(a: Decimal) -> Decimal:
    """log Gamma(a), by Stirling's series where that is short: Gamma(a) = Gamma(a + n) / (a (a + 1) ... (a + n - 1))."""
    below = Decimal(1)
    while a < FAR:
        below *= a
        a += 1
    tail = sum(Decimal(top) / bottom / a ** (2 * i + 1) for i, (top, bottom) in enumerate(STIRLING))
    return (a - Decimal("0.5")) * a.ln() - a + (2 * PI).ln() / 2 + tail - below.ln()


PI = Decimal("3.141592653589793238462643383279502884197")
