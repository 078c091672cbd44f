"""Examination: the verdict on a fitted likelihood, by the names of its columns and classes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from minigrad.existence import Existence
from minigrad.existence.claim import claim, least_margin, named
from minigrad.existence.readable import CLEAR, held
from minigrad.mle.identification import MANY, by_name, estimable, in_words
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.regressions.separation import Question, held_by, questions
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.verdict import Verdict
from minigrad.typing import Array

FOLLOWS = ("kind", "direction", "rows", "class_pairs", "null_vectors", "estimable")  # from what is proven
NOTHING: dict[str, Any] = dict(zip(FOLLOWS, (None, {}, [], [], [], {}), strict=True))
REMEDY = "penalty='firth' has an estimate always; penalty=1.0, or another number, gives a MAP estimate; "


def verdict_on(
    likelihood: Regression, maximum: Maximum, null: Array, listed: tuple[str, int], penalized_by_firth: bool = False
) -> Verdict:
    """What is to be said of a regression before its numbers are."""
    asked = questions(likelihood)
    found = [] if penalized_by_firth else [each.answer(maximum.u, likelihood.weights) for each in asked]
    for question, existence in zip(asked, found, strict=False):
        if existence.kind in ("complete", "quasi"):
            return _separated(likelihood, question, existence)
        if existence.kind == "undecided":
            return Verdict(
                "not_converged",
                "it is proven neither that the likelihood has a maximum nor that it has none: "
                f"{existence.message}. Numbers, then, would be of an estimate that may not exist: use fewer columns or "
                "classes, or a penalty",
            )
    certificate = _Certificate(likelihood, list(zip(asked, found, strict=False)), null, listed)
    if maximum.reason != "converged":
        remedy = "bring columns and offset to usual sizes, and leave out columns that nearly repeat others"
        if maximum.reason == "overflow":
            remedy = "rates overflow on the way: take a constant out of the offset, or add a bias"
        return Verdict(
            "not_converged",
            f"the maximum exists, but the search ended before it was reached ({maximum.reason}, after "
            f"{maximum.iterations} iterations): {remedy}",
            certificate=certificate,
        )
    if maximum.digits < 1:
        return Verdict(
            "not_converged",
            "the maximum exists, but no digit of it can be computed: the condition of the information is "
            f"{maximum.condition:.1e}, so that rounding decides. Bring columns and offsets to usual sizes, and "
            "leave out columns that nearly repeat others",
            certificate=certificate,
        )
    if null.shape[1]:
        return _not_identified(likelihood, null, listed, certificate)
    held = None if likelihood.penalized or penalized_by_firth else held_by(likelihood, maximum.u, _inverse(maximum))
    if held is not None:
        why, rows = held
        return Verdict(
            "near_separated",
            f"the estimate exists, but only just: {why} ({_rows(rows)}). Wald tests and intervals are not to be "
            "trusted here: use lr_test and ci(kind='profile'), or penalty='firth'",
            rows=rows,
            certificate=certificate,
        )
    one = "" if penalized_by_firth else ", is one"  # the maximum of Firth's likelihood may be one of several
    return Verdict("regular", f"the estimate exists{one}, and was found", certificate=certificate)


class _Certificate:
    """The answers on which a verdict rests, which can be checked again."""

    def __init__(
        self,
        likelihood: Regression,
        answers: list[tuple[Question, Existence]],
        null: Array | None = None,
        listed: tuple[str, int] | None = None,
    ) -> None:
        self.likelihood, self.answers, self.null, self.listed = likelihood, answers, null, listed

    def check(self, verdict: Verdict) -> bool:
        """The answers hold, in exact arithmetic, and the verdict says what follows from them."""
        if not self.answers or not all(question.check(found) for question, found in self.answers):
            return False
        said = {name: value for name, value in vars(verdict).items() if name in FOLLOWS}
        question, found = self.answers[0]
        if found.kind in ("complete", "quasi"):
            return verdict.status == "separated" and said == NOTHING | _separation(self.likelihood, question, found)
        if len(self.answers) != len(questions(self.likelihood)):
            return False
        if verdict.status in ("regular", "near_separated"):
            near, rows = verdict.status == "near_separated", verdict.rows
            known = all(0 <= row < self.likelihood.rows for row in rows) and bool(rows) == near
            return known and not found.null.vectors.size and said == NOTHING | {"rows": rows}
        if verdict.status == "not_identified" and found.null.vectors.size:
            assert self.null is not None
            assert self.listed is not None
            return said == NOTHING | _dependence(self.likelihood, found.null.vectors, self.null, self.listed)
        return verdict.status == "not_converged" and said == NOTHING

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON has them, from which a program can prove the same."""
        return {"statement": str(self), "claims": [_claim(self.likelihood, *answer) for answer in self.answers]}

    def __str__(self) -> str:
        return " ".join(map(str, (found for _, found in self.answers)))


def _claim(likelihood: Regression, question: Question, found: Existence) -> dict[str, Any]:
    names, labels = _names(likelihood, question)
    data = likelihood.data
    return claim(found, data.x, question.target, names, labels, weights=data.weights, **question.options())


def _names(likelihood: Regression, question: Question) -> tuple[list[str], list[str]]:
    """Of the columns of one output, or of those that belong together, and of the classes."""
    names, labels = [*(likelihood.data.names or []), *["const"] * likelihood.has_bias], likelihood.labels
    if question.output is None or likelihood.classes == 1:
        return names, labels
    return [f"{labels[question.output]}:{name}" for name in names], labels


def _separation(likelihood: Regression, question: Question, found: Existence) -> dict[str, Any]:
    """The fields of a verdict that an answer of "complete" or "quasi" comes to."""
    labels = likelihood.labels
    pairs = [(labels[a], labels[b]) for a, b in found.class_pairs] if question.output is None else []
    return {
        "kind": found.kind,
        "direction": {name: float(value) for name, value in named(found, *_names(likelihood, question)).items()},
        "rows": np.flatnonzero(found.strict).tolist(),
        "class_pairs": pairs,
    }


def _separated(likelihood: Regression, question: Question, found: Existence) -> Verdict:
    fields = _separation(likelihood, question, found)
    pairs = fields["class_pairs"]
    complete = found.kind == "complete"
    told = "all rows" if complete else f"{len(fields['rows'])} of {likelihood.rows} rows"
    what = "the classes can be told apart by a plane"
    if likelihood.family == "poisson":
        what = "counts of 0 can be told from the others by a plane"
    elif pairs and likelihood.classes > 2 and not complete:
        what = "classes can be told apart by a plane"
        what += " (" + ", ".join(f"{a} from {b}" for a, b in pairs[:4]) + ("; ..." if len(pairs) > 4 else "") + ")"
    elif not complete:
        what = "a plane tells some rows of the classes apart, and has all others on it"
    return Verdict(
        "separated",
        f"{'complete' if complete else 'quasi-complete'} separation: {what}, so that no maximum likelihood estimate "
        f"exists: the likelihood rises for ever along {in_full(fields['direction'])}, by {told}."
        f"{_reservations(likelihood, question, found)} What to do: {_remedy(likelihood)}",
        **fields,
        certificate=_Certificate(likelihood, [(question, found)]),
    )


def _reservations(likelihood: Regression, question: Question, found: Existence) -> str:
    """What numbers do not show of it, and what is not proven."""
    names, labels = _names(likelihood, question)
    exact = named(found, names, labels)
    units = labels[1:] if question.output is None else [""]
    of_units = [[float(exact.get(f"{unit}:{name}" if unit else name, 0)) for name in names] for unit in units]
    direction = np.array([[0.0] * len(names), *of_units])
    margin = least_margin(direction, likelihood.data.x, found.strict_pairs)
    text = ""
    if margin < CLEAR or not all(map(held, exact.values())):
        size = "below rounding" if margin < 1e-15 else f"only {margin:.0e} of its terms"
        text = f" The least margin of a row is {size}" if margin < CLEAR else " These numbers are rounded"
        text += ": exact are the fractions of verdict.to_dict()['certificate']."
    if found.message:
        text += f" That there is no maximum is proven; that no other rows can be strict is not: {found.message}."
    return text


def _remedy(likelihood: Regression) -> str:
    if likelihood.penalized:
        return "let the penalty have a part of every coefficient of the direction"
    others = (
        "leave out the columns or rows that do"
        if likelihood.family == "poisson"
        else ("leave out the column that separates, merge classes, or find more data")
    )
    return f"{REMEDY}or {others}"


def _not_identified(likelihood: Regression, null: Array, listed: tuple[str, int], certificate: Any) -> Verdict:
    fields = _dependence(likelihood, likelihood.columns.null.vectors, null, listed)
    vectors, which = fields["null_vectors"], fields["estimable"]
    text = "; ".join(f"{in_words(vector)} = 0" for vector in vectors[:4])
    lost = [name for name, is_so in which.items() if not is_so]
    one = len(vectors) == 1
    count = "a combination" if one else f"{len(vectors)} combinations"
    return Verdict(
        "not_identified",
        f"{count} of columns {'is' if one else 'are'} 0 on every row, so that no data tell "
        f"{'its coefficient' if one else 'their coefficients'}: {text}"
        f"{'; ...' if len(vectors) > 4 else ''}. Not estimable: {', '.join(lost) or 'nothing, as fixed here'}. What is "
        "the same however they are chosen is: the other parameters, and predictions for rows that keep to the "
        "combination. What to do: leave out a column of each",
        **fields,
        certificate=certificate,
    )


def _dependence(likelihood: Regression, columns: Array, null: Array, listed: tuple[str, int]) -> dict[str, Any]:
    """The fields of a verdict that columns (D, M) which sum to 0 come to."""
    names = [*(likelihood.data.names or []), *["const"] * likelihood.has_bias]
    listing = likelihood.listing(*listed)
    which = dict.fromkeys(listing.names, True) if listed[0] == "minimum_norm" else estimable(listing, null)
    return {"null_vectors": [by_name(names, column) for column in columns.T], "estimable": which}


def in_full(direction: dict[str, float]) -> str:
    """'x1 - 2 x2 + 5': a combination with all digits, the constant as a number; 'x1 - 2004.5' where that is short."""
    if len(direction) > MANY:
        return f"a combination of {len(direction)} parameters"
    exact = {name: Fraction(value) for name, value in direction.items()}
    largest = max((abs(v) for name, v in exact.items() if name.split(":")[-1] != "const"), default=Fraction(1))
    if max(map(abs, exact.values()), default=0) > 99 or any(v.denominator > 1 for v in exact.values()):
        short = {name: Fraction(round(v / largest * 10**6), 10**6) for name, v in exact.items()}
        if max(short.values()) < 10**6 and all(short[name] == v / largest for name, v in exact.items()):
            direction = {name: float(v) for name, v in short.items()}
    text = ""
    for name, value in direction.items():
        size = f"{abs(value):.15g}"
        size = size if float(size) == abs(value) else repr(abs(value))
        factor = size if name == "const" and len(direction) > 1 else name if size == "1" else f"{size} {name}"
        text += (" - " if value < 0 else " + ") + factor if text else ("-" if value < 0 else "") + factor
    return text or "0"


def _inverse(maximum: Maximum) -> Array:
    return np.linalg.pinv(maximum.objective.hessian) if maximum.covariance is None else maximum.covariance


def _rows(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:5]))
    return f"row{'s' * (len(rows) > 1)} {shown}{', ...' if len(rows) > 5 else ''}"
