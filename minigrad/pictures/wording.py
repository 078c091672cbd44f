"""Wording: numbers, levels and shapes as pictures say them."""

from __future__ import annotations

import math

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


def level(letter: str, number: int) -> str:
    """z and its level: z¹."""
    return letter + str(number).translate(_HIGH)


def count(number: int, what: str) -> str:
    """1 layer, 2 layers."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
