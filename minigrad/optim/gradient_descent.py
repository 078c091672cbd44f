"""Gradient descent with a line search."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.optim.descent import Method, Step, descend, first_length
from minigrad.optim.minimum import Callback, Evaluation, Function, Minimum, Point, require_limits, require_start
from minigrad.typing import Array


def minimize_gradient_descent(
    function: Function,
    start: Array,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
    callback: Callback | None = None,
) -> Minimum:
    """Minimise `function`, x -> (value, gradient), along -gradient, until no gradient entry exceeds `tolerance`.

        first trial  a = s.y / y.y,    s and y the last changes of x and of the gradient

    and from there a line search, so that the value never rises beyond its rounding.  It learns nothing but the length
    of its steps: where the curvature differs between directions, it needs as many more iterations.  Otherwise as
    `minimize_lbfgs`.  Barzilai and Borwein, IMA Journal of Numerical Analysis 8 (1988) 141-148.
    """
    start = require_start(minimize_gradient_descent, start)
    require_limits(minimize_gradient_descent, tolerance, max_iterations)
    evaluate = Evaluation(minimize_gradient_descent, function)
    return descend(evaluate, start, SteepestDescent(), tolerance, max_iterations, callback)


class SteepestDescent(Method):
    """-gradient, and how far the last step suggests."""

    def __init__(self) -> None:
        super().__init__()
        self.length: float | None = None

    def step(self, point: Point, close: bool, enough: Callable[[Array], bool]) -> Step:
        if self.length is not None:
            return Step(-point.gradient, self.length)
        # The first direction has no curvature behind it: its length means nothing.
        return Step(-point.gradient, first_length(point))

    def learn(self, origin: Point, found: Point, step: Step) -> None:
        s, y = found.x - origin.x, found.gradient - origin.gradient
        bends = float(s @ y)
        # Where the gradient has not grown along the step, the curvature says nothing, and twice the step is tried.
        self.length = bends / float(y @ y) if bends > 0 else 2 * _length(s, origin.gradient)


def _length(s: Array, gradient: Array) -> float:
    return float(np.linalg.norm(s)) / max(float(np.linalg.norm(gradient)), 1e-300)
