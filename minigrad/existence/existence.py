"""Whether the maximum of a likelihood of linear units exists."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.existence.certificate import Existence, Multipliers
from minigrad.existence.columns import by_columns
from minigrad.existence.cone import Observations
from minigrad.existence.exact import Integers, flat, whole
from minigrad.existence.faces import partition
from minigrad.existence.interior import interior
from minigrad.existence.null import BLOCK, Columns
from minigrad.existence.problem import Problem
from minigrad.existence.readable import readable
from minigrad.existence.wolfe import TooMuchWorkError
from minigrad.typing import Array

FEW = 400  # observations that are looked at all at once
MANY = 16  # times as many are looked at, to find some where a start errs
LIMIT = 160  # parameters of which exact elimination costs little
LARGE = 3000  # parameters whose normal equations are solved


def existence(
    x: Array,
    target: Any,
    *,
    likelihood: str = "softmax",
    classes: int | None = None,
    bias: bool = True,
    weights: Any = None,
    free: Any = None,
    start: Any = None,
    columns: Columns | None = None,
) -> Existence:
    """Whether the likelihood of linear units z = x W^T + b has a maximum, with a certificate: `Existence`.

    x (N, D); target labels (N,) or shares (N, K) for the "softmax" of K `classes`, (N,) between 0 and 1 for the
    "sigmoid", counts (N,) for "poisson".  Rows of weight 0 do not count, nor do penalised parameters: `free`, (D,) or
    (D + 1,) with the bias, tells those without a penalty.  `start`, parameters (K, D + 1) near the maximum or far out
    where none is found, makes the answer come sooner; it never changes it; nor do `columns`, what is known of those of
    this very x.  With logits U = x V^T + c of a direction
    (V, c), the likelihood falls along none for which, on every row,

        softmax   U_t >= U_k           sigmoid  U >= 0 for t = 1, U <= 0 for t = 0, else U = 0
        Poisson   U <= 0 for t = 0, else U = 0

    so the maximum exists if and only if this leaves only U = 0: lambda > 0 with A^T lambda = 0 are its proof, for rows
    A of the inequalities; see `Existence` for the other case.  What floating point cannot settle, exact arithmetic
    does.  Where the problem is too large for that, the kind is "undecided".

    Albert and Anderson, Biometrika 71 (1984) 1-10; Silvapulle, J. R. Statist. Soc. B 43 (1981) 310-313.
    """
    problem = Problem.of(x, target, likelihood, classes, bias, weights, free, columns)
    return _Search(problem).run(problem.inner(start))


class _Search:
    """Of the observations only some are looked at: those that contradict what these say are added."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.cone, self.null = problem, problem.cone, problem.null
        self.unsettled = f"{self.cone.size} parameters are too many for exact arithmetic, and rounding leaves it open"

    def run(self, start: Array | None) -> Existence:
        """From few observations to all that are needed."""
        cone = self.cone
        if not cone.size or not len(cone.all.row):
            return self._exists(Multipliers.none())
        if start is not None:
            far_out = flat(start)
            if any(far_out) and self._strict(far_out, cone.all):
                return self._separated(far_out, cone.signs(far_out, cone.all), Multipliers.none())
        places = self._first(start)
        while True:
            seen = cone.all.taken(places)
            direction, multipliers, space = self._settled(seen, start)
            if direction is None:
                return self._exists(multipliers) if multipliers is not None else self._by_columns()
            assert multipliers is not None
            signs = cone.signs(direction, cone.all)
            wrong = self._against(signs, places, space)
            if not len(wrong):
                return self._separated(direction, signs, multipliers)
            places = np.union1d(places, wrong)
            start = None

    def _settled(
        self, seen: Observations, start: Array | None
    ) -> tuple[list[int] | None, Multipliers | None, Integers]:
        """(direction, multipliers, the directions on which these leave anything) of the observations seen.

        Without a direction the maximum exists; without multipliers too, nothing is known.
        """
        cone = self.cone
        if cone.size > LARGE:
            return None, None, []
        design = cone.design(seen)
        inside = interior(design, seen.label, cone.classes, start)
        if inside.proven:
            return None, Multipliers.of(seen, inside.multipliers), []
        for v in inside.directions:
            if np.isfinite(v).all() and v.any():
                direction = flat(v)
                if self._strict(direction, seen):
                    return direction, Multipliers.none(), _unit_vectors(cone.size)
        if cone.size > LIMIT:
            return None, None, []
        of_x = whole(design)[0]
        pairs = [(n, int(t), k) for n, t in enumerate(seen.label) for k in range(cone.classes) if k != t]
        rows = [cone.pair(of_x[n], t, k) for n, t, k in pairs]
        guess = np.array([inside.multipliers[n, k] for n, _, k in pairs])
        try:
            found = partition(rows, guess)
        except TooMuchWorkError:
            self.unsettled = "exact arithmetic would take too long, and rounding leaves it open"
            return None, None, []
        if found.direction is None and found.space:
            self.unsettled = "columns depend on each other so nearly that rounding hides whether they do"
            return None, None, []
        used = list(found.multipliers)
        multipliers = Multipliers(
            np.array([seen.row[pairs[i][0]] for i in used], int),
            np.array([pairs[i][1] for i in used], int),
            np.array([pairs[i][2] for i in used], int),
            np.array([found.multipliers[i] for i in used], dtype=object),
        )
        return found.direction, multipliers, found.space

    def _strict(self, direction: list[int], seen: Observations) -> bool:
        """Every inequality is strict."""
        others = self.cone.classes - 1
        for start in range(0, len(seen.row), BLOCK):  # of a direction that is not, the first rows mostly say so
            signs = self.cone.signs(direction, seen.taken(np.arange(start, min(start + BLOCK, len(seen.row)))))
            if not (np.count_nonzero(signs > 0, axis=1) == others).all():
                return False
        return True

    def _against(self, signs: Array, places: Array, space: Integers) -> Array:
        """Observations that the direction contradicts, or that another one of the same face may make strict."""
        wrong = np.flatnonzero((signs < 0).any(axis=1))
        still = signs == 0
        still[np.arange(len(signs)), self.cone.all.label] = False
        unseen = np.ones(len(signs), bool)
        unseen[places] = False
        zero = np.flatnonzero(still.any(axis=1) & unseen)
        if len(space) > 1 and len(zero):
            seen = self.cone.all.taken(zero)
            moved = np.zeros(len(zero), bool)
            for v in space:
                moved |= ((self.cone.signs(v, seen) != 0) & still[zero]).any(axis=1)
            wrong = np.union1d(wrong, zero[moved])
        most = max(64, len(places))
        return wrong if len(wrong) <= most else wrong[np.linspace(0, len(wrong) - 1, most).astype(int)]

    def _first(self, start: Array | None) -> Array:
        """The observations to begin with: of every class some, the extremes of every column, and where start errs."""
        observations, cone = self.cone.all, self.cone
        count, some = len(observations.row), max(FEW, 12 * cone.size)
        if count <= 2 * some:
            return np.arange(count)
        chosen = [np.arange(0, count, max(1, count // some))]
        for k in range(cone.classes):
            of_class = np.flatnonzero(observations.label == k)
            chosen.append(of_class[:: max(1, len(of_class) * cone.classes // some)])
        first, last = (  # observations are in the order of their rows
            np.searchsorted(observations.row, self.problem.table.extremes, side) for side in ("left", "right")
        )
        chosen += [np.arange(a, b) for a, b in zip(first, last, strict=True)]
        if start is not None:
            some_of_all = np.arange(0, count, max(1, count // (MANY * some)))
            wrong = some_of_all[(cone.signs(flat(start), observations.taken(some_of_all)) < 0).any(axis=1)]
            chosen.append(wrong[:: max(1, len(wrong) // some)])
        return np.unique(np.concatenate(chosen))

    def _exists(self, multipliers: Multipliers) -> Existence:
        return self._answer("exists", multipliers=multipliers)

    def _by_columns(self) -> Existence:
        """What single columns say, where there are too many for more."""
        cone = self.cone
        direction = by_columns(cone)
        if direction is not None:
            message = f"{cone.size} parameters are too many to tell whether other rows can be strict as well"
            return self._separated(direction, cone.signs(direction, cone.all), Multipliers.none(), message)
        return self._answer("undecided", message=self.unsettled)

    def _separated(self, direction: list[int], signs: Array, multipliers: Multipliers, message: str = "") -> Existence:
        cone, problem = self.cone, self.problem
        direction = readable(cone, direction, signs)
        complete = bool((np.count_nonzero(signs > 0, axis=1) == cone.classes - 1).all())
        strict_pairs = np.zeros((len(problem.table.x), cone.classes), bool)
        for t in range(cone.classes):
            seen = cone.all.label == t
            strict_pairs[cone.all.row[seen]] |= signs[seen] > 0
        return self._answer(
            "complete" if complete else "quasi",
            message="" if complete else message,
            exact_direction=problem.outer(direction),
            strict_pairs=strict_pairs,
            class_pairs=self._class_pairs(signs),
            multipliers=multipliers if len(multipliers.row) else None,
        )

    def _class_pairs(self, signs: Array) -> list[tuple[int, int]]:
        """Classes that are told apart: every observation of either is strict against the other."""
        label, classes = self.cone.all.label, self.cone.classes
        apart = np.array([[bool((signs[label == a, b] > 0).all()) for b in range(classes)] for a in range(classes)])
        return [(a, b) for a in range(classes) for b in range(a + 1, classes) if apart[a, b] and apart[b, a]]

    def _answer(
        self,
        kind: str,
        *,
        message: str = "",
        exact_direction: Array | None = None,
        strict_pairs: Array | None = None,
        class_pairs: list[tuple[int, int]] | None = None,
        multipliers: Multipliers | None = None,
    ) -> Existence:
        problem = self.problem
        if strict_pairs is None:
            strict_pairs = np.zeros((len(problem.table.x), self.cone.classes), bool)
        direction = None if exact_direction is None else exact_direction.astype(float)
        return Existence(
            kind,
            problem.likelihood,
            direction,
            exact_direction,
            np.asarray(strict_pairs.any(axis=1)),
            strict_pairs,
            class_pairs or [],
            multipliers,
            self.null,
            message,
        )


def _unit_vectors(size: int) -> Integers:
    return [[int(i == j) for j in range(size)] for i in range(size)]
