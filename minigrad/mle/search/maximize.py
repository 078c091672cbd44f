"""The maximum of a likelihood, by Newton's method with a line search."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad.mle.likelihood import Likelihood, Local
from minigrad.mle.search.refinement import refined
from minigrad.mle.search.solving import Scaled
from minigrad.typing import Array

NOISE = 4 * float(np.finfo(float).eps)  # of a value, relative to itself
ROUNDING = 8 * float(np.finfo(float).eps)  # of u, relative to itself
SUFFICIENT = 1e-4  # of the descent that the gradient promises
NEAR = 1e-9  # standard errors from the maximum, from which one more step leaves nothing
CLOSE = 1e-4  # standard errors, from which steps that get no shorter are those of rounding
STILL = 0.1  # a step that moves no logit further ends at a minimum, see derivatives.regression.LinearUnits.verdict
CHORD = 1e-3  # of the Hessian, that changes on the way: so little that it serves for another step
SAME = 1e-12  # of the Hessian, that makes no difference
LOST = 1e-9  # standard errors, by the root of the observations: of a gradient that rounding may leave
TRIALS = 60


class Maximum(NamedTuple):
    """Where the search ended.  `reason`: "converged", "max_iterations", "no_progress" or "diverges"."""

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
    point, iterations, reason = search(likelihood, likelihood.start if start is None else start, max_iterations)
    if start is not None and reason in ("max_iterations", "no_progress"):  # too far out
        point, iterations, reason = search(likelihood, likelihood.start, max_iterations)
    if reason != "converged":
        condition = point.scaled.condition if np.isfinite(point.objective.hessian).all() else math.nan
        return Maximum(point.u, point.local, point.objective, iterations, reason, point.decrement, condition, 0.0)
    found = refined(likelihood, point.u, point.scaled, point.objective.gradient)
    if found.u is not point.u:
        point = Point(likelihood, found.u)
    objective = point.objective if found.gradient is None else point.objective._replace(gradient=found.gradient)
    of_maximum = (found.decrement, found.condition, found.digits, found.covariance)
    return Maximum(found.u, point.local, objective, iterations, reason, *of_maximum)


def search(likelihood: Likelihood, start: Array, max_iterations: int, near: float = NEAR) -> tuple[Point, int, str]:
    """Newton's method, until `near` standard errors from the maximum, or steps get no shorter; how often, and why.

    Far out, where no curvature is left, down the gradient.  J may rise for ever along some direction: then a step is
    long, but leads down by next to nothing.  Near the maximum a step with the Hessian of the last point spares one.
    """
    point, before, rate = Point(likelihood, start), math.inf, 0.0
    if not math.isfinite(point.objective.value):
        point = Point(likelihood, likelihood.start)
    unit = 1.0 if likelihood.weights is None else math.sqrt(max(float(np.mean(likelihood.weights)), 1e-300))
    for iteration in range(max_iterations + 1):
        if not math.isfinite(point.objective.value):
            return point, iteration, "no_progress"
        if not math.isfinite(point.decrement):
            point.down()
        decrement = point.decrement
        rate = rate if point.by_chord else decrement / max(before, 1e-300) / max(before, 1e-300)
        ended = decrement <= near * unit
        stalled = decrement >= before / 2 and (before < CLOSE * unit or decrement <= point.resolution)
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
        if near * unit < rate * decrement**2 and rate * decrement < CHORD and decrement < unit:
            found = point.twice()
        found = found or point.searched()
        if found is None:
            if decrement < 10 * CLOSE * unit and point.flat and point.convex:
                return point, iteration, "converged"
            point.down()
            found = point.searched()
            if found is None:
                return point, iteration, "no_progress"
        point, before = found, decrement
    return point, max_iterations, "max_iterations"


class Point:
    """The objective at u, with its Hessian on demand, and the step from there."""

    by_chord = False  # the last step was one with the Hessian of another point

    def __init__(self, likelihood: Likelihood, u: Array) -> None:
        self.likelihood, self.u = likelihood, u
        with np.errstate(over="ignore", invalid="ignore"):
            local, penalty = likelihood.evaluate(u), likelihood.penalty(u)
            self.local, self.objective = local, _sum(local, penalty)
        self.step, self.decrement = np.zeros(len(u)), math.inf
        if math.isfinite(self.objective.value) and np.isfinite(self.objective.hessian).all():
            self.scaled = Scaled(self.objective.hessian)
            with np.errstate(over="ignore", invalid="ignore"):
                step = -self.scaled.solve(self.objective.gradient)
                if np.isfinite(step).all():
                    self.step, self.decrement = step, math.sqrt(max(0.0, -float(step @ self.objective.gradient)))

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
        """What the rounding of u alone moves, in standard errors."""
        return ROUNDING * float(np.linalg.norm(self.scaled.d * self.u))

    def down(self) -> None:
        """Go down the gradient instead, as far as that falls."""
        self.step = -self.objective.gradient / self._total
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
        length, noise = 1.0, NOISE * abs(self.objective.value)
        for _ in range(TRIALS):
            u = self.u + length * self.step
            with np.errstate(over="ignore", invalid="ignore"):
                found = Point(self.likelihood, u)
            fallen = self.objective.value - found.objective.value
            if fallen >= SUFFICIENT * length * self.decrement**2 - noise:
                return found
            length /= 2 if fallen > -10 * self.decrement**2 * length else 16
        return None

    def twice(self) -> Point | None:
        """Two steps on, both with the Hessian of here; None where the second is no better than the first."""
        u = self.u + self.step
        with np.errstate(over="ignore", invalid="ignore"):
            (value, gradient), penalty = self.likelihood.slope(u), self.likelihood.penalty(u)
            step = -self.scaled.solve(gradient + penalty.gradient)
            short = math.sqrt(max(0.0, -float(step @ (gradient + penalty.gradient)))) < self.decrement / 10
        if not short or not value + penalty.value <= self.objective.value:
            return None
        found = Point(self.likelihood, u + step)
        found.by_chord = True
        return found

    def next(self) -> Point:
        """At the end of the step."""
        return Point(self.likelihood, self.u + self.step)

    @property
    def _total(self) -> float:
        w = self.likelihood.weights
        return float(self.likelihood.rows if w is None else w.sum())


def _sum(local: Local, penalty: Local) -> Local:
    return Local(local.value + penalty.value, local.gradient + penalty.gradient, local.hessian + penalty.hessian)
