"""The answer to whether a maximum exists, which proves itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from minigrad.existence.cone import Cone, Observations
from minigrad.existence.exact import Integers, dot, nearest, null_basis, whole
from minigrad.existence.null import NullSpace
from minigrad.typing import Array

EXACT = 160  # parameters up to which multipliers are checked in whole numbers


class Multipliers(NamedTuple):
    """lambda > 0 of inequalities U_nt - U_nk >= 0: `row` n, `label` t, `against` k, `value`.

    Values that are floating-point numbers sum to 0 but for rounding; `Existence.check` changes as many of them as there
    are parameters so that they do exactly, and looks whether they are still positive.
    """

    row: Array
    label: Array
    against: Array
    value: Array

    @classmethod
    def none(cls) -> Multipliers:
        """Of no inequality."""
        empty = np.zeros(0, int)
        return cls(empty, empty, empty, np.zeros(0))

    @classmethod
    def of(cls, seen: Observations, values: Array) -> Multipliers:
        """Those of values (observations, K) that are not 0."""
        n, k = np.nonzero(values)
        return cls(seen.row[n], seen.label[n], k, values[n, k])


@dataclass(frozen=True, eq=False)
class Existence:
    """Whether a maximum exists, and the certificate of it.

    kind "exists": `multipliers` lambda > 0 of inequalities A that determine all parameters, with A^T lambda = 0.
    "complete" or "quasi": `direction`, (K, D + 1) with the bias last, or (1, D + 1) of one unit, along which the
    likelihood rises for ever: A d >= 0 on all rows, and > 0 wherever any direction has it so, on the rows `strict`;
    of "complete" that is every inequality; of "quasi" `multipliers` prove that no others can be, or else `message`
    says that there were too many parameters to tell.  "undecided": `message` says why.  `strict_pairs` (N, K) are the
    classes from which a row is told, and `class_pairs` those that are told apart altogether.  Columns that are sums of
    others, which no data tell apart, are another matter: `null`.
    For a softmax the numbers are up to one vector that is added to all classes.
    """

    kind: str
    likelihood: str
    direction: Array | None
    exact_direction: Array | None  # of fractions, which floating-point numbers may not hold
    strict: Array
    strict_pairs: Array
    class_pairs: list[tuple[int, int]]
    multipliers: Multipliers | None
    null: NullSpace
    message: str = ""

    @property
    def exists(self) -> bool:
        """The maximum exists, and that is proven."""
        return self.kind == "exists"

    def check(
        self,
        x: Array,
        target: Any,
        *,
        classes: int | None = None,
        bias: bool = True,
        weights: Any = None,
        free: Any = None,
    ) -> bool:
        """The certificate holds for these data, and all that is said agrees with it: in whole numbers.

        Multipliers of more than 160 parameters are checked with bounds of rounding instead.  An answer that is
        "undecided" holds none; one of "quasi" with a `message` holds none that no other rows can be strict.
        """
        from minigrad.existence.problem import LIKELIHOODS, Problem  # which make the data into inequalities

        if self.likelihood not in LIKELIHOODS or self.kind not in ("exists", "complete", "quasi"):
            return False
        problem = Problem.of(x, target, self.likelihood, classes, bias, weights, free)
        cone, null = problem.cone, problem.null
        if not np.array_equal(null.kept, self.null.kept) or not np.array_equal(null.vectors, self.null.vectors):
            return False
        shape = (len(cone.table.x), cone.classes)
        if self.strict_pairs.shape != shape or not np.array_equal(self.strict, self.strict_pairs.any(axis=1)):
            return False
        if self.kind == "exists":
            said = self.direction is not None or self.exact_direction is not None or self.strict.any()
            return not said and not self.class_pairs and self._spans(cone, None)
        units = cone.classes if self.likelihood == "softmax" else 1
        if not _of_fractions(self.exact_direction, (units, cone.table.width)):
            return False
        assert self.exact_direction is not None
        if self.direction is None or not np.array_equal(self.direction, self.exact_direction.astype(float)):
            return False
        signs = _exact_signs(cone, self.exact_direction)
        if (signs < 0).any() or not (signs > 0).any():
            return False
        strict = np.zeros(shape, bool)
        strict[cone.all.row[(signs > 0).nonzero()[0]], (signs > 0).nonzero()[1]] = True
        complete = bool((np.count_nonzero(signs > 0, axis=1) == cone.classes - 1).all())
        if not np.array_equal(strict, self.strict_pairs) or complete != (self.kind == "complete"):
            return False
        if [tuple(pair) for pair in self.class_pairs] != told_apart(cone, signs):
            return False
        return complete or bool(self.message) or self._spans(cone, signs)

    def _spans(self, cone: Cone, signs: Array | None) -> bool:
        """A^T lambda = 0, and what is not strict, by default every direction, is 0 wherever those rows are."""
        multipliers = self.multipliers or Multipliers.none()
        if not cone.size or not len(cone.all.row):
            return True
        if not _seen(cone, multipliers):
            return False
        if cone.size > EXACT:
            return signs is None and _proven(cone, multipliers)
        found = settled(cone, multipliers)
        if found is None:
            return False
        space: Integers = null_basis([found.rows[i] for i in found.basis], cone.size)
        if signs is None:
            return not space
        still = signs == 0
        still[np.arange(len(still)), cone.all.label] = False
        at = np.flatnonzero(still.any(axis=1))
        design = whole(cone.design(cone.all.taken(at)))[0]
        return not any(
            dot(cone.pair(row, int(cone.all.label[n]), int(k)), v)
            for n, row in zip(at.tolist(), design, strict=True)
            for k in np.flatnonzero(still[n])
            for v in space
        )

    def __str__(self) -> str:
        if self.kind == "exists":
            text = "The likelihood has a maximum"
        elif self.kind == "undecided":
            text = f"Whether the likelihood has a maximum is not known: {self.message}"
        else:
            strict = np.count_nonzero(self.strict)
            apart = ", ".join(f"{a} and {b}" for a, b in self.class_pairs)
            text = f"The likelihood has no maximum ({self.kind} separation): along the direction found it rises for "
            text += f"ever, by {strict} of {len(self.strict)} rows"
            text += f"; classes {apart} are told apart altogether" if apart and self.strict_pairs.shape[1] > 2 else ""
            text += f"; that no other rows can be strict is not proven: {self.message}" if self.message else ""
        dependent = self.null.vectors.shape[1]
        if dependent:
            text += f". {dependent} column{'s are sums' if dependent > 1 else ' is a sum'} of others: not identified"
        return text + "."


class Settled(NamedTuple):
    """Inequalities `rows`, `values` > 0 with sum values rows = 0 exactly, and rows of a `basis` of all of them."""

    rows: Integers
    values: list[Fraction]
    basis: list[int]


def settled(cone: Cone, multipliers: Multipliers) -> Settled | None:
    """The multipliers, with those of a basis changed so that they sum to 0 exactly; None if not all stay positive."""
    from minigrad.existence.faces import independent, repaired

    place = {n: i for i, n in enumerate(np.unique(multipliers.row).tolist())}
    unique = np.array(list(place), int)
    of_x = whole(cone.design(Observations(unique, unique)))[0]
    names = zip(*(part.tolist() for part in multipliers[:3]), strict=True)
    rows = [cone.pair(of_x[place[n]], t, k) for n, t, k in names]
    values = [Fraction(v) for v in multipliers.value.tolist()]
    basis = independent(rows, np.arange(len(rows)), nearest(multipliers.value.tolist())) if rows else []
    if any(sum(v * row[c] for v, row in zip(values, rows, strict=True)) for c in range(cone.size)):
        found = repaired(rows, dict(enumerate(values)), basis)
        if found is None:
            return None
        fixed = next(i for i in range(len(rows)) if i not in basis)  # a basis alone sums to 0 only with zeros
        values = [found[i] * values[fixed] / found[fixed] for i in range(len(rows))]
    return Settled(rows, values, basis)


def told_apart(cone: Cone, signs: Array) -> list[tuple[int, int]]:
    """Pairs of classes such that every observation of either is strict against the other."""
    label, classes = cone.all.label, cone.classes
    apart = np.array([[bool((signs[label == a, b] > 0).all()) for b in range(classes)] for a in range(classes)])
    return [(a, b) for a in range(classes) for b in range(a + 1, classes) if apart[a, b] and apart[b, a]]


def _of_fractions(array: Array | None, shape: tuple[int, int]) -> bool:
    return array is not None and array.shape == shape and all(isinstance(c, Fraction | int) for c in array.flat)


def _seen(cone: Cone, multipliers: Multipliers) -> bool:
    """All are positive numbers, of inequalities that are among those of the data."""
    row, label, against, value = multipliers
    if not len(row) == len(label) == len(against) == len(value) or any(
        p.dtype.kind not in "iu" for p in (row, label, against)
    ):
        return False
    if not (value > 0).all() or (value.dtype.kind == "f" and not np.isfinite(value).all()):
        return False
    for part, limit in ((row, len(cone.table.x)), (label, cone.classes), (against, cone.classes)):
        if part.min(initial=0) < 0 or part.max(initial=0) >= limit:
            return False
    known = np.zeros((len(cone.table.x), cone.classes), bool)
    known[cone.all.row, cone.all.label] = True
    return bool((known[row, label] & (label != against)).all())


def _exact_signs(cone: Cone, direction: Array) -> Array:
    """Signs of U_nt - U_nk, in whole numbers throughout."""
    units = [
        [Fraction(c) * Fraction(2) ** int(e) for c, e in zip(unit, cone.table.exact, strict=True)] for unit in direction
    ]
    if len(units) < cone.classes:
        units = [[Fraction(0)] * cone.table.width, *units]
    common = int(np.lcm.reduce(np.array([c.denominator for unit in units for c in unit], dtype=object)))
    numbers = [[int(c * common) for c in unit] for unit in units]
    used = [k for k in range(cone.table.width) if any(unit[k] for unit in numbers)]
    numbers = [[unit[k] for k in used] for unit in numbers]
    rows, inverse = np.unique(cone.all.row, return_inverse=True)
    signs = np.zeros((len(inverse), cone.classes), np.int8)
    design = whole(cone.table.design(rows, np.array(used, int), cone.table.exact))[0]
    logits = [[dot(row, unit) for unit in numbers] for row in design]
    for n, (i, t) in enumerate(zip(inverse.tolist(), cone.all.label.tolist(), strict=True)):
        signs[n] = [(logits[i][t] > u) - (logits[i][t] < u) for u in logits[i]]
    return signs


def _proven(cone: Cone, multipliers: Multipliers) -> bool:
    """With bounds of rounding, see `interior.proof`."""
    from minigrad.existence.interior import certain

    key = multipliers.row * cone.classes + multipliers.label
    unique, inverse = np.unique(key, return_inverse=True)
    seen = Observations(unique // cone.classes, unique % cone.classes)
    values = np.zeros((len(unique), cone.classes))
    values[inverse, multipliers.against] = multipliers.value
    return certain(cone.design(seen), seen.label, values)
