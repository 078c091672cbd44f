"""The rules of losses in LaTeX: terms and their derivatives, put together as the reduction says."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.typing import Formulas

COUNTED = {"M": "M counts its entries", "N": "N counts the terms"}
UNSEEN = "weights that are given multiply the terms"
BY_ROW = "u are the weights given, one for each row, of D entries"
BY_TERM = "u are the weights given"


HALF = r"\frac{1}{2} "


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


def reduced(written: Written, reduction: str, weights: str | None = None) -> Formulas:
    """The rules of a loss of such terms, whose weights are "" for none, BY_ROW or BY_TERM; None where nobody knows."""
    mean = {"sum": "", "none": "", "batchmean": "N"}.get(reduction, written.number)
    u, count = _weighted(written, mean, weights == BY_ROW) if weights else ("", mean)
    index = f"_{{{written.letters}}}" if written.letters else ""
    summed = "" if reduction == "none" else rf"\sum{index} "
    delta = r"\d" if summed else rf"\d{index}" if index else r"\odot \d"
    counted = "N counts the rows" if (reduction, count) == ("batchmean", "N") else COUNTED.get(count, "")
    weighted = weights or ""
    if weights is None:
        weighted = f"{UNSEEN}, and the mean divides by the sum of those of all terms" if mean else UNSEEN
    said = ("t is the target", counted, written.where, weighted)
    return Formulas(
        forward=_product(written.term, count, u, summed),
        backward=f"{_product(written.slope, count, u)} {delta}{written.further}",
        where="; ".join(part for part in said if part),
    )


def of_labels(written: Written | None, of_places: bool, ignored: int | None) -> Written | None:
    """The term of labels, some of which may be ignored."""
    if written is None:
        return None
    left_out = f"where t is {ignored}, term and derivative are 0, and it is not counted" * (ignored is not None)
    said = (written.where, "n runs over all places of all rows" * of_places, left_out)
    return written._replace(where="; ".join(filter(None, said)))


def of_classes(q: str, smoothing: float, w: str, count: str, where: str) -> Written:
    """Cross-entropy with a target that gives each class the number q, [k = t_n] for a label."""
    log_p, p = r"(\z_{n, k} - \log \sum_j \exp \z_{n, j})", r"\frac{\exp \z_{n, k}}{\sum_j \exp \z_{n, j}}"
    if q == "[k = t_n]" and not smoothing:
        term = f"-{w}{log_p.replace('n, k', 'n, t_n')}"
        return Written(term, rf"{w}\left( {p} - {q} \right)", where, "n", count)
    if smoothing:
        q = rf"({decimal(1 - smoothing)} {q} + \frac{{{decimal(smoothing)}}}{{K}})"
        where = "; ".join(filter(None, ("K counts the classes", where)))
    c = "w_k " * bool(w) + q
    slope = rf"\left( {p} \sum_i c_{{n, i}} - c_{{n, k}} \right)"
    return Written(rf"-\sum_k {c} {log_p}", slope, where, "n", count, rf", \quad c_{{n, k}} = {c}")


def _weighted(written: Written, mean: str, by_row: bool) -> tuple[str, str]:
    """The weight of a term, and by what the mean divides."""
    letters = written.letters
    if not letters:
        count = {"": "", "N": r"\sum u" if by_row else r"\frac{1}{D} \sum u"}.get(mean)
        return r"u \odot ", (r"D \sum u" if by_row else r"\sum u") if count is None else count
    at = "n" if by_row else letters
    total = rf"\sum_{{{at}}} u_{{{at}}}"
    if mean.startswith(r"\sum_n "):
        total += mean.removeprefix(r"\sum_n").rstrip()
    elif by_row and letters != "n":
        total = f"D {total}"
    return f"u_{{{at}}} ", total if mean else ""


def _product(factors: str, count: str, u: str = "", summed: str = "") -> str:
    """The factors over `count`, which goes with a sign and a 2 in front of them, and before them the weight u."""
    sign, rest = ("-", factors[1:]) if factors.startswith("-") else ("", factors)
    share = ""
    if count or u:
        two, rest = ("2", rest[2:]) if rest.startswith("2 ") else ("1", rest)
        share = rf"\frac{{{two}}}{{{count}}} " if count else "2 " if two == "2" else ""
    if u and rest.startswith(HALF):
        share, rest = share + HALF, rest.removeprefix(HALF)
    return f"{sign}{share}{summed}{u}{rest}"


def decimal(number: float) -> str:
    """A number in LaTeX: 0.5, 10^{-8}."""
    digits, _, power = f"{number:.12g}".partition("e")
    if not power:
        return digits
    ten = f"10^{{{int(power)}}}"
    return ten if digits == "1" else rf"{digits} \cdot {ten}"
