"""Examination: the verdict on a fitted likelihood, by the names of its columns and classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.existence import Existence
from minigrad.mle.identification import by_name, estimable, in_words
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.regressions.separation import Question, held_by, questions
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.verdict import Verdict
from minigrad.typing import Array

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
            return Verdict("not_converged", f"whether there is a maximum could not be decided: {existence.message}")
    certificate = _Certificate(list(zip(asked, found, strict=False)))
    if maximum.reason != "converged":
        return Verdict(
            "not_converged",
            f"the search for the maximum ended before it was reached ({maximum.reason}, after "
            f"{maximum.iterations} iterations): the maximum exists, so bring the columns to usual sizes",
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
    return Verdict("regular", "the estimate exists, is one, and was found", certificate=certificate)


class _Certificate:
    """The answers, which can be checked again: `certificate()`."""

    def __init__(self, answers: list[tuple[Question, Existence]]) -> None:
        self.answers = answers

    def __call__(self) -> bool:
        return bool(self.answers) and all(question.check(found) for question, found in self.answers)

    def __str__(self) -> str:
        return " ".join(map(str, (found for _, found in self.answers)))


def _separated(likelihood: Regression, question: Question, found: Existence) -> Verdict:
    assert found.direction is not None
    names = [*(likelihood.data.names or []), *["const"] * likelihood.has_bias]
    labels = likelihood.labels
    if question.output is not None:
        own = names if likelihood.classes == 1 else [f"{labels[question.output]}:{name}" for name in names]
        direction = by_name(own, found.direction[0])
    else:
        beside = found.direction - found.direction[0]
        direction = {
            name: value
            for label, unit in zip(labels[1:], beside[1:], strict=True)
            for name, value in by_name([f"{label}:{name}" for name in names], unit).items()
        }
    pairs = [(labels[a], labels[b]) for a, b in found.class_pairs] if question.output is None else []
    rows = np.flatnonzero(found.strict)
    complete = found.kind == "complete"
    told = "all rows" if complete else f"{len(rows)} of {likelihood.rows} rows"
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
        f"exists: the likelihood rises for ever along {in_words(direction)}, by {told}. What to do: "
        f"{_remedy(likelihood)}",
        kind=found.kind,
        direction=direction,
        rows=rows.tolist(),
        class_pairs=pairs,
        certificate=_Certificate([(question, found)]),
    )


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
    from minigrad.existence import null_space

    columns = null_space(likelihood.data.x, likelihood.has_bias, None, likelihood.free).vectors
    names = [*(likelihood.data.names or []), *["const"] * likelihood.has_bias]
    vectors = [by_name(names, column) for column in columns.T]
    listing = likelihood.listing(*listed)
    which = dict.fromkeys(listing.names, True) if listed[0] == "minimum_norm" else estimable(listing, null)
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
        null_vectors=vectors,
        estimable=which,
        certificate=certificate,
    )


def _inverse(maximum: Maximum) -> Array:
    return np.linalg.pinv(maximum.objective.hessian) if maximum.covariance is None else maximum.covariance


def _rows(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:5]))
    return f"row{'s' * (len(rows) > 1)} {shown}{', ...' if len(rows) > 5 else ''}"
