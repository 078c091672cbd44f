"""The maximum of a likelihood, by Newton's method with a line search."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad.mle.likelihood import Likelihood, Local
from minigrad.mle.search.chords import chord
from minigrad.mle.search.refinement import refined
from minigrad.mle.search.solving import Scaled
from minigrad.typing import Array

NOISE = 4 * float(np.finfo(float).eps)  # of a value, relative to itself
ROUNDING = 8 * float(np.finfo(float).eps)  # of u, relative to itself
SUFFICIENT = 1e-4  # of the descent that the gradient promises
NEAR = 1e-9  # standard errors from the maximum, from which one more step leaves nothing
CLOSE = 1e-4  # standard errors, from which steps that get no shorter are those of rounding
STILL = 0.1  # a step that moves no logit further, see `reach`, ends at a minimum
STEEP = 0.6  # of decrement^2: a quadratic falls by a half of it in a step, what goes on falling further by more
CHORD = 1e-3  # of the Hessian, that changes on the way: so little that it serves for another step
SAME = 1e-12  # of the Hessian, that makes no difference
LOST = 1e-9  # standard errors, by the root of the observations: of a gradient that rounding may leave
FAR = 1e-3  # standard errors from the maximum, from which it is not reached
WORK = 1e8  # products of numbers, beyond which no root of a curvature is taken in a search
LONG = 1e3  # a step that moves a logit further, and further than it is from 0, is cut
POOR = 1e12  # a condition, from which the Hessian's root has more digits
TRIALS = 60


class Maximum(NamedTuple):
    """Where the search ended.  `reason`: "converged", "max_iterations", "no_progress", "overflow" or "diverges"."""

    u: Array
    local: Local  # J without the penalty
    objective: Local  # J and the penalty
    iterations: int
    reason: str
    decrement: float  # sqrt(g^T H^-1 g) of the objective: u is about so many standard errors from the maximum
    condition: float = math.nan  # of the Hessian of the objective, scaled to a diagonal of ones
    digits: float = math.nan  # decimal digits of estimates and standard errors that can be relied on
    covariance: Array | None = None  # of u, where the search has it to more digits than the Hessian's inverse


def maximize(likelihood: Likelihood, start: Array | None = None, max_iterations: int = 500) -> Maximum:
    """The u at which J(u) + penalty(u) is least, to as many digits as `digits` says."""
    if start is None:
        found = search(likelihood, likelihood.start, max_iterations, guess=likelihood.hessian_at_start)
    else:
        found = search(likelihood, start, max_iterations)
    point, iterations, reason = found
    if start is not None and reason in ("max_iterations", "no_progress", "overflow"):  # too far out
        point, iterations, reason = search(likelihood, likelihood.start, max_iterations)
    if reason != "converged":
        condition = point.scaled.condition if np.isfinite(point.objective.hessian).all() else math.nan
        return Maximum(point.u, point.local, point.objective, iterations, reason, point.decrement, condition, 0.0)
    last = refined(likelihood, point.u, point.scaled, point.objective.gradient)
    if last.u is not point.u:
        point = Point(likelihood, last.u)
    if not last.decrement <= max(FAR * _unit(likelihood), point.resolution) or not math.isfinite(last.condition):
        last, reason = last._replace(digits=0.0), "no_progress"
    objective = point.objective if last.gradient is None else point.objective._replace(gradient=last.gradient)
    of_maximum = (last.decrement, last.condition, last.digits, last.covariance)
    return Maximum(last.u, point.local, objective, iterations, reason, *of_maximum)


def search(
    likelihood: Likelihood, start: Array, max_iterations: int, near: float = NEAR, guess: Array | None = None
) -> tuple[Point, int, str]:
    """Newton's method, until `near` standard errors from the maximum, or steps get no shorter; how often, and why.

    With a `guess` at the Hessian of J at the start, the first steps are taken with that.  Far out, where no curvature
    is left, down the gradient.  J may rise for ever along some direction: then a step is long, but leads down by next
    to nothing.  Near the maximum steps with the Hessian of the last point spare some.
    """
    if guess is not None:
        nearer = chord(likelihood, Scaled(guess + likelihood.penalty(start).hessian), start)
        start = start if nearer is None else nearer.u
    point, before, rate = Point(likelihood, start), math.inf, 0.0
    if not math.isfinite(point.objective.value):
        point = Point(likelihood, likelihood.start)
    unit = _unit(likelihood)
    for iteration in range(max_iterations + 1):
        if not math.isfinite(point.objective.value):
            return point, iteration, "overflow"
        if not math.isfinite(point.decrement):
            point.down()
        decrement = point.decrement
        rate = point.rate if point.by_chord else decrement / max(before, 1e-300) / max(before, 1e-300)
        ended = decrement <= near * unit
        stalled = decrement >= before / 2 and (before < CLOSE * unit or decrement <= point.resolution)
        if (ended or stalled) and point.lossy:  # the curvature is too small for sums of squares, or 0
            point, before = Point(likelihood, point.u, by_root=True), math.inf
            continue
        if (ended or stalled) and not point.flat:
            point.down()
        elif ended or stalled:
            # Near a maximum, too, a step may move rows far that count for nothing, but then no two steps are alike.
            runs = decrement > before / 10 and likelihood.reach(point.step) > STILL
            if ended or not runs:
                last = None if runs or rate * decrement < SAME or near > NEAR else point.next()
                point = point if last is None or not last.decrement < decrement else last
                return point, iteration, "diverges" if runs else "converged" if point.convex else "no_progress"
        if iteration == max_iterations:
            break
        found = None
        change = rate * decrement if before < math.inf else 0.0  # of the Hessian, in one step; not known at first
        if near * unit < (rate or 1.0) * decrement**2 and change < CHORD and decrement < unit:
            found = point.by_chords(near * unit / 10)
        found = found or point.searched()
        if found is None:
            if decrement < 10 * CLOSE * unit and point.flat and point.convex:
                return point, iteration, "converged"
            for everywhere in (False, True):
                point.down(everywhere)
                found = found or point.searched()
            if found is None:
                return point, iteration, "no_progress"
        point, before = found, decrement
    return point, max_iterations, "max_iterations"


class Point:
    """The objective at u, with its Hessian on demand, and the step from there."""

    by_chord = False  # the last step was one with the Hessian of another point
    rate = 0.0  # of the Hessian, that a standard error changes, where such steps have said so

    def __init__(self, likelihood: Likelihood, u: Array, by_root: bool = False) -> None:
        self.likelihood, self.u, self.by_root = likelihood, u, by_root
        with np.errstate(over="ignore", invalid="ignore"):
            local, penalty = likelihood.evaluate(u), likelihood.penalty(u)
            self.local, self.objective = local, _sum(local, penalty)
        self.step, self.decrement = np.zeros(len(u)), math.inf
        if math.isfinite(self.objective.value) and np.isfinite(self.objective.hessian).all():
            root = likelihood.root(u, np.zeros(len(u))) if by_root else None
            self.scaled = Scaled(self.objective.hessian) if root is None else Scaled.of_root(root)
            with np.errstate(over="ignore", invalid="ignore"):
                step = -self.scaled.solve(self.objective.gradient)
                if np.isfinite(step).all():
                    self.step, self.decrement = step, math.sqrt(max(0.0, -float(step @ self.objective.gradient)))

    @property
    def lossy(self) -> bool:
        """Curvatures are lost in the Hessian that its root may still have."""
        work = float(self.likelihood.rows) * len(self.u) ** 2
        if self.by_root or work > WORK:
            return False
        return bool(self.scaled.dropped.size) or self.scaled.condition > POOR

    @property
    def flat(self) -> bool:
        """Along no direction is there a gradient, but a curvature that rounding has lost."""
        lost = self.scaled.dropped.T @ (self.objective.gradient / self.scaled.d)
        return bool((np.abs(lost) <= LOST * math.sqrt(self._total)).all())

    @property
    def convex(self) -> bool:
        """The Hessian has no direction of negative curvature."""
        return not self.step.size or bool(self.scaled.values[0] > -1e-8)

    @property
    def resolution(self) -> float:
        """What the rounding of u, or of a unit of it, alone moves, in standard errors."""
        return ROUNDING * float(np.linalg.norm(self.scaled.d * (1 + np.abs(self.u))))

    def down(self, everywhere: bool = False) -> None:
        """Go down the gradient instead, as far as that falls: along directions that have lost their curvature, if any,
        unless told `everywhere`.

        Along those, what is near its minimum in all others stays there.
        """
        self.step = -self.objective.gradient / self._total
        if not everywhere and math.isfinite(self.decrement) and not self.flat:
            unit = self.scaled.dropped / self.scaled.d[:, np.newaxis]
            self.step = -unit @ (unit.T @ self.objective.gradient) / self._total
        for _ in range(TRIALS):
            length = 2 * self.step
            with np.errstate(over="ignore", invalid="ignore"):
                near, far = (self.likelihood.value(self.u + s) + self.likelihood.penalty(self.u + s).value
                             for s in (self.step, length))  # fmt: skip
            if not far < near:
                break
            self.step = length
        self.decrement = math.sqrt(max(0.0, -float(self.step @ self.objective.gradient)))

    def searched(self) -> Point | None:
        """The first of u + step, u + step / 2, ... that is lower by enough; None where rounding hides that."""
        noise, reach = NOISE * abs(self.objective.value), self.likelihood.reach
        length, far = 1.0, reach(self.step)
        if far > LONG:  # where curvature is all but lost, a step may be of any length
            length = min(1.0, 2.0 ** math.ceil(math.log2((LONG + reach(self.u)) / far))) if far < math.inf else 0.0
        for _ in range(TRIALS):
            u = self.u + length * self.step
            with np.errstate(over="ignore", invalid="ignore"):
                found = Point(self.likelihood, u, self.by_root)
            fallen = self.objective.value - found.objective.value
            if fallen >= SUFFICIENT * length * self.decrement**2 - noise:
                overshot = self.decrement**2 > 4 * self._total and fallen > STEEP * self.decrement**2
                return self._further(found) if length == 1 and overshot else found
            length /= 2 if fallen > -10 * self.decrement**2 * length else 16
        return None

    def _further(self, found: Point) -> Point:
        """Twice as far, and again, while that falls: where rates overshoot, a step takes back one logit alone."""
        length, least = 1.0, found.objective.value
        for _ in range(TRIALS):
            u = self.u + 2 * length * self.step
            with np.errstate(over="ignore", invalid="ignore"):
                value = self.likelihood.value(u) + self.likelihood.penalty(u).value
            if not value < least:
                break
            length, least = 2 * length, value
        return found if length == 1 else Point(self.likelihood, self.u + length * self.step, self.by_root)

    def by_chords(self, enough: float) -> Point | None:
        """Some steps on, all with the Hessian of here; None where the second is hardly shorter than the first."""
        value, resolution = self.objective.value, 4 * self.resolution
        found = chord(self.likelihood, self.scaled, self.u + self.step, value, self.decrement, max(enough, resolution))
        if found is None:
            return None
        point = Point(self.likelihood, found.u, self.by_root)
        point.by_chord, point.rate = True, found.rate
        return point

    def next(self) -> Point:
        """At the end of the step."""
        return Point(self.likelihood, self.u + self.step, self.by_root)

    @property
    def _total(self) -> float:
        w = self.likelihood.weights
        return float(self.likelihood.rows if w is None else w.sum())


def _unit(likelihood: Likelihood) -> float:
    """A standard error of one observation's weight."""
    w = likelihood.weights
    return 1.0 if w is None else math.sqrt(max(float(np.mean(w)), 1e-300))


def _sum(local: Local, penalty: Local) -> Local:
    return Local(local.value + penalty.value, local.gradient + penalty.gradient, local.hessian + penalty.hessian)
