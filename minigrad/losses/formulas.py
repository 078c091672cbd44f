"""The rules of losses in LaTeX: terms and their derivatives, put together as the reduction says."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.typing import Formulas

COUNTED = {"M": "M counts its entries", "N": "N counts the terms"}
WEIGHTED = "weights that are given multiply the terms"


class Written(NamedTuple):
    """A term of a loss and its derivative by z, in LaTeX, as factors of a product.

    `letters` count the terms, none where they go entry by entry; `number` is that by which the mean divides; `where`
    says what other letters mean, and `further` what they are in rule 2, in LaTeX.
    """

    term: str
    slope: str
    where: str = ""
    letters: str = ""
    number: str = "M"
    further: str = ""


def reduced(written: Written, reduction: str) -> Formulas:
    """The rules of a loss of such terms."""
    count = {"sum": "", "none": "", "batchmean": "N"}.get(reduction, written.number)
    index = f"_{{{written.letters}}}" if written.letters else ""
    summed = "" if reduction == "none" else rf"\sum{index} "
    delta = r"\d" if summed else rf"\d{index}" if index else r"\odot \d"
    counted = "N counts the rows" if reduction == "batchmean" else COUNTED.get(count, "")
    weighted = f"{WEIGHTED}, and the mean divides by their sum" if count else WEIGHTED
    said = ("t is the target", counted, written.where, weighted)
    return Formulas(
        forward=_product(written.term, count, summed),
        backward=f"{_product(written.slope, count)} {delta}{written.further}",
        where="; ".join(part for part in said if part),
    )


def _product(factors: str, count: str, summed: str = "") -> str:
    """The factors over `count`, which goes with a sign and a 2 in front of them."""
    sign, rest = ("-", factors[1:]) if factors.startswith("-") else ("", factors)
    share = ""
    if count:
        two, rest = ("2", rest[2:]) if rest.startswith("2 ") else ("1", rest)
        share = rf"\frac{{{two}}}{{{count}}} "
    return f"{sign}{share}{summed}{rest}"


def decimal(number: float) -> str:
    """A number in LaTeX: 0.5, 10^{-8}."""
    digits, _, power = f"{number:.12g}".partition("e")
    if not power:
        return digits
    ten = f"10^{{{int(power)}}}"
    return ten if digits == "1" else rf"{digits} \cdot {ten}"
