"""Wording: numbers, levels and shapes as pictures say them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.watching.statistics import arrays_of

MINUS = "\N{MINUS SIGN}"
_HIGH = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None) -> str:
    """Three digits, with a minus sign as long as the plus; a dash for what there is not.

    >>> number(0.031281), number(1.2e11)
    ('0.0313', '1.2e11')
    """
    if value is None:
        return "\N{EN DASH}"
    if not math.isfinite(value):
        return "NaN" if value != value else "∞" if value > 0 else f"{MINUS}∞"
    mantissa, _, power = f"{value:.3g}".partition("e")
    return (mantissa + (f"e{int(power)}" if power else "")).replace("-", MINUS)


def not_finite(value: Any) -> str:
    """How many of all numbers of a value are NaN or infinite, or nothing.

    >>> not_finite(np.array([1.0, np.nan]))
    '1 of 2 not finite'
    """
    parts = arrays_of(value)
    total = sum(part.size for part in parts)
    lost = total - sum(int(np.isfinite(part).sum()) for part in parts)
    return f"{lost:,} of {total:,} not finite" if lost else ""


def level(letter: str, number: int) -> str:
    """z and its level: z¹."""
    return letter + str(number).translate(_HIGH)


def count(number: int, what: str) -> str:
    """1 layer, 2 layers."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
