"""Limited-memory BFGS: full-batch minimisation of a smooth function of a vector."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from minigrad.checks import require_count
from minigrad.optim.descent import Method, Step, descend, first_length
from minigrad.optim.minimum import Callback, Evaluation, Function, Minimum, Point, require_limits, require_start
from minigrad.typing import Array


def minimize_lbfgs(
    function: Function,
    start: Array,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
    memory: int = 20,
    callback: Callback | None = None,
) -> Minimum:
    """Minimise `function`, x -> (value, gradient), from `start`, until no gradient entry exceeds `tolerance`.

    The direction is -H gradient, where H approximates the inverse Hessian from the last `memory` steps by the two-loop
    recursion; steps satisfy the weak Wolfe conditions, so the value never rises beyond its rounding.  Where the
    function raises FloatingPointError, or gives a value or gradient that is not finite, its value counts as +infinity.
    `callback(iteration, value, gradient_norm)` reports progress.  The result says why it stopped, and `print(minimum)`
    what to do; with `theta = FlatParameters(cost)`, `theta.vector = minimum.x` puts it into the model.

    TypeError, ValueError where `start` or the function's first answer is not what it should be, or not finite.

    >>> import numpy as np
    >>> bowl = minimize_lbfgs(lambda x: (float(x @ x), 2 * x), np.array([3.0, 4.0]))
    >>> bowl.converged, bool(np.abs(bowl.x).max() < 1e-6)
    (True, True)

    Nocedal and Wright, Numerical Optimization, 2nd ed. (2006), algorithm 7.4; line search: Lewis and Overton,
    Mathematical Programming 141 (2013), algorithm 2.6.
    """
    start = require_start(minimize_lbfgs, start)
    require_limits(minimize_lbfgs, tolerance, max_iterations)
    method = CurvaturePairs(require_count(minimize_lbfgs, "memory", memory))
    return descend(Evaluation(minimize_lbfgs, function), start, method, tolerance, max_iterations, callback)


class CurvaturePairs(Method):
    """-H gradient, with H from the last `memory` pairs of changes: s of x, and y of the gradient."""

    def __init__(self, memory: int) -> None:
        super().__init__()
        self.pairs: deque[tuple[Array, Array]] = deque(maxlen=memory)

    def step(self, point: Point, close: bool, enough: Callable[[Array], bool]) -> Step:
        direction = -inverse_hessian_product(point.gradient, self.pairs)
        if self.pairs:
            decrement = math.sqrt(max(0.0, -float(point.gradient @ direction)))
            return Step(direction, decrement=decrement)
        # The first direction has no curvature behind it: its length means nothing.
        return Step(direction, first_length(point))

    def learn(self, origin: Point, found: Point, step: Step) -> None:
        s, y = found.x - origin.x, found.gradient - origin.gradient
        if s @ y > 0 and y @ y > 0:
            self.pairs.append((s, y))


def inverse_hessian_product(gradient: Array, pairs: deque[tuple[Array, Array]]) -> Array:
    """The two-loop recursion: H gradient."""
    q = gradient.copy()
    alphas = []
    for s, y in reversed(pairs):
        alpha = (s @ q) / (s @ y)
        q -= alpha * y
        alphas.append(alpha)
    if pairs:
        s, y = pairs[-1]
        q *= (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - (y @ q) / (s @ y)) * s
    return q
