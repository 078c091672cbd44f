"""Descent: the loop that all solvers share, and the certificate with which it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import numpy as np

from minigrad.checks import all_finite
from minigrad.optim.line_search import saddle_step, slope_step, wolfe_step
from minigrad.optim.minimum import ROUNDING, Callback, Evaluation, Minimum, Point, largest
from minigrad.optim.shrinking import Proven, Shrinking
from minigrad.typing import Array

FAR = (1e1, 1e2, 1e3, 1e4)  # Newton steps along which a cost falls that has no minimum
LONGEST = 1e3  # of a first trial, relative to |x|: the line search goes further where it pays


class Step(NamedTuple):
    """What a method proposes."""

    direction: Array
    length: float = 1.0  # of the first trial along it
    decrement: float = math.nan
    curvature: float = 0.0  # below 0: the gradient says nothing, and along the direction the function falls either way
    flat: bool = False  # the Hessian is 0
    whole: bool = True  # Newton's step has no part that is lost in rounding


def first_length(point: Point) -> float:
    """Of a step along the gradient that has no curvature behind it: it moves x by its own size, or by 1."""
    return max(1.0, largest(point.x)) / max(largest(point.gradient), 1e-300)


class Method:
    """How to choose a direction.  Subclasses write `step`, and `learn` if they learn from the steps taken."""

    sees_curvature = False  # it knows the Hessian, so that its steps tell a minimum from its absence
    patience = 50  # so many steps in a row may lower neither the value nor the gradient, within their noise

    def __init__(self) -> None:
        self.products = self.hessians = 0

    def step(self, point: Point, close: bool, enough: Callable[[Array], bool]) -> Step:
        """The proposal at `point`.  `close`: the gradient there is within tolerance, or as small as it gets; and
        `enough(g)` says whether a gradient g is.
        """
        raise NotImplementedError(f"{type(self).__name__} lacks step(self, point, close, enough) -> Step")

    def learn(self, origin: Point, found: Point, step: Step) -> None:
        """A step was taken, as proposed or shorter or longer."""


class Measures(NamedTuple):
    """What counts as small."""

    norm: Callable[[Array], float] = largest  # of the gradient, held to the tolerance
    reported: Callable[[Array], float] = largest  # of the gradient, as the result states it
    verdict: Callable[[Array, Array], str | None] | None = None  # what is known of x and Newton's step p, see `Proven`


def descend(
    evaluate: Evaluation,
    start: Array,
    method: Method,
    tolerance: float,
    max_iterations: int,
    callback: Callback | None = None,
    measures: Measures | None = None,
) -> Minimum:
    """Minimise from `start` on, along the directions of `method`."""
    return Descent(evaluate, start, method, tolerance, measures or Measures()).run(max_iterations, callback)


class Descent:
    """One minimisation."""

    def __init__(
        self, evaluate: Evaluation, start: Array, method: Method, tolerance: float, measures: Measures
    ) -> None:
        self.evaluate, self.method, self.tolerance, self.measures = evaluate, method, tolerance, measures
        self.point = evaluate.first(start)
        self.step = Step(np.zeros_like(start))
        self.shrinking = Shrinking() if measures.verdict is None else Proven(measures.verdict)
        self.iteration = 0
        self.least_value, self.least_size = self.point.value, self.size
        self.stalled = 0

    @property
    def size(self) -> float:
        """Of the gradient."""
        return self.measures.norm(self.point.gradient)

    def enough(self, gradient: Array) -> bool:
        """The gradient is within tolerance."""
        return self.measures.norm(gradient) <= self.tolerance

    def run(self, max_iterations: int, callback: Callback | None) -> Minimum:
        """From the start to the end."""
        for self.iteration in count():
            close = self.enough(self.point.gradient)
            if callback is not None:
                callback(self.iteration, self.point.value, self.measures.reported(self.point.gradient))
            if close or self.iteration < max_iterations:
                self.step = self.method.step(self.point, close, self.enough)
            reason = self._judge() if close else None
            if not close:
                self.shrinking.far()
            if reason == "gradient" and self.method.sees_curvature and self._falls_for_ever():
                reason = "no_minimum"
            if reason:
                return self._end(reason)
            if self.iteration >= max_iterations:
                return self._end("max_iterations")
            found, bounded = self._search()
            if not bounded:
                self.point = found or self.point
                return self._end("no_minimum", falls=True)
            found = self._beyond_digits(found)
            if found is None:
                reason, found = self._stuck(close)
            if found is None:
                return self._end(reason or "no_progress")
            self.method.learn(self.point, found, self.step)
            self.point = found
        raise AssertionError("count() ended")

    def _judge(self) -> str | None:
        """What Newton's step, where it is known, says of a point whose gradient is within tolerance."""
        if not self.method.sees_curvature:
            return "gradient"
        if self.step.flat:
            return "flat"
        return None if self.step.curvature < 0 else self.shrinking.close(self.point.x, self.step.direction)

    def _falls_for_ever(self) -> bool:
        """Along Newton's step, or away from 0, the cost is lower than at x, and does not rise however far: no proof."""
        x, direction = self.point.x, self.step.direction
        size, from_0 = float(np.linalg.norm(direction)), float(np.linalg.norm(x))
        if self.measures.verdict is not None or not size > 0:
            return False
        # However short the step, a bowl rises where it has led as far again as x is from 0.
        return self._falls(max(1.0, from_0 / size) * direction) or self._falls(x)

    def _falls(self, direction: Array) -> bool:
        before = self.point.value - self.evaluate.noise * abs(self.point.value)
        for far in FAR:
            value = self.evaluate(self.point.x + far * direction).value
            if not value <= before or value == self.point.value:
                return False
            before = value
        return True

    def _search(self) -> tuple[Point | None, bool]:
        if not (all_finite(self.step.direction) and self.step.direction.any()):
            self.step = Step(-self.point.gradient, first_length(self.point))
        size = self.shrinking.taken(self.step.direction)
        if self.step.curvature < 0:
            return saddle_step(self.evaluate, self.point, self.step.direction, self.step.curvature)
        longest = LONGEST * max(1.0, float(np.linalg.norm(self.point.x))) / size
        return wolfe_step(self.evaluate, self.point, self.step.direction, min(self.step.length, longest))

    def _beyond_digits(self, found: Point | None) -> Point | None:
        """`found`, if the value or the gradient fell; else a step by the slope, where the value is all noise."""
        if found is None or not (
            found.value < self.point.value or self.measures.norm(found.gradient) < 0.9 * self.size
        ):
            found = self._by_slope()
        if found is None:
            return None
        size = self.measures.norm(found.gradient)
        progress = found.value < self.least_value or size < 0.9 * self.least_size
        self.stalled = 0 if progress else self.stalled + 1
        self.least_value, self.least_size = min(self.least_value, found.value), min(self.least_size, size)
        return None if self.stalled > self.method.patience else found

    def _by_slope(self) -> Point | None:
        decrease = -float(self.point.gradient @ self.step.direction) * self.step.length
        noise = self.evaluate.noise * abs(self.least_value)
        if self.step.curvature < 0 or decrease > noise or self.point.value > self.least_value + noise:
            return None
        return slope_step(self.evaluate, self.point, self.step.direction, self.step.length)

    def _stuck(self, close: bool) -> tuple[str, Point | None]:
        """Why no step lowers the value or the gradient; or a point further down, past a saddle."""
        if not self.method.sees_curvature:
            return "no_progress", None
        if not close:
            self.step = self.method.step(self.point, True, self.enough)  # as Newton has it, and with a look for saddles
            if self.step.curvature < 0:
                return "no_progress", self._search()[0]
        if self.shrinking.does_not(self.point.x, self.step.direction):
            return "no_minimum", None
        if close and self.measures.verdict is None:
            return "gradient", None
        if close:
            return "gradient" if self.shrinking.has_vanished(self.point.x, self.step.direction) else "no_progress", None
        if self.measures.verdict is not None:  # this step was solved for better than the others
            found = self._beyond_digits(self._search()[0])
            if found is not None:
                return "", found
        no_digits = self.step.decrement**2 / 2 <= self.evaluate.rounding * abs(self.point.value)
        size, eps = float(np.linalg.norm(self.step.direction)), self.evaluate.rounding / ROUNDING
        nothing = size <= eps * float(np.linalg.norm(self.point.x))  # to which x has no digits
        vanishes = (self.step.whole or nothing) and self.shrinking.has_vanished(self.point.x, self.step.direction)
        return "rounding" if no_digits and vanishes else "no_progress", None

    def _end(self, reason: str, falls: bool = False) -> Minimum:
        size = self.size
        still = f"largest gradient entry {size:.1e} {'<=' if size <= self.tolerance else '>'} {self.tolerance:.1e}"
        if size <= self.tolerance and reason in ("max_iterations", "no_progress"):
            still += ", but Newton's step has not vanished"
        elif self.measures.reported(self.point.gradient) <= self.tolerance < size:
            still += ", by variables in which the columns of the inputs are of unit spread"
        message = {
            "gradient": f"converged: {still}",
            "rounding": f"converged to rounding: {still}, and no step makes it smaller",
            "flat": f"stopped: {still}, but the Hessian is 0 as well",
            "no_minimum": f"stopped: Newton's steps do not shrink, as there is no minimum; {still}",
            "max_iterations": f"stopped after {self.iteration} iteration{'s' * (self.iteration != 1)}: {still}",
            "no_progress": f"stopped: no step lowers the value any more: {still}",
        }[reason]
        if falls:
            message = f"stopped: the function falls without end along the descent direction; {still}"
        return Minimum(
            self.point.x,
            self.point.value,
            self.measures.reported(self.point.gradient),
            self.iteration,
            self.evaluate.count,
            reason in ("gradient", "rounding"),
            message,
            reason,
            self.step.decrement,
            self.method.sees_curvature,
            self.method.products,
            self.method.hessians,
        )
