"""Limited-memory BFGS: full-batch minimisation of a smooth function of a vector."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from minigrad.checks import require_finite
from minigrad.typing import Array

Function: TypeAlias = Callable[[Array], tuple[float, Array]]


class Minimum(NamedTuple):
    """Where a minimisation ended, and why."""

    x: Array
    value: float
    gradient_norm: float  # the largest absolute entry of the gradient
    iterations: int
    evaluations: int
    converged: bool  # gradient_norm <= tolerance
    message: str


class _Point(NamedTuple):
    x: Array
    value: float
    gradient: Array


def minimize_lbfgs(
    function: Function,
    start: Array,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 1000,
    memory: int = 20,
    callback: Callable[[int, float, float], None] | None = None,
) -> Minimum:
    """Minimise `function`, x -> (value, gradient), from `start`, until no gradient entry exceeds `tolerance`.

    The direction is -H gradient, where H approximates the inverse Hessian from the last `memory` steps by the two-loop
    recursion; each step satisfies the weak Wolfe conditions, so that the value falls at every iteration.  A
    FloatingPointError of `function` counts as a value of +infinity.  `callback(iteration, value, gradient_norm)`
    reports progress.  ValueError where `start` or the function's first answer is not finite.

    >>> bowl = minimize_lbfgs(lambda x: (float(x @ x), 2 * x), np.array([3.0, 4.0]))
    >>> bowl.converged, bool(np.abs(bowl.x).max() < 1e-6)
    (True, True)

    Nocedal and Wright, Numerical Optimization, 2nd ed. (2006), algorithm 7.4; line search: Lewis and Overton,
    Mathematical Programming 141 (2013), algorithm 2.6.
    """
    require_finite(minimize_lbfgs, start, "start")
    evaluations = 0

    def evaluate(x: Array) -> _Point:
        nonlocal evaluations
        evaluations += 1
        try:
            value, gradient = function(x)
        except FloatingPointError:
            return _Point(x, np.inf, np.full_like(x, np.nan))
        return _Point(x, float(value), gradient)

    point = _Point(start.copy(), *function(start))
    evaluations += 1
    require_finite(minimize_lbfgs, np.append(point.gradient, point.value), "(gradient, value) at the start")
    history: deque[tuple[Array, Array]] = deque(maxlen=memory)
    for iteration in range(max_iterations + 1):
        norm = float(np.abs(point.gradient).max())
        if callback is not None:
            callback(iteration, point.value, norm)
        if norm <= tolerance:
            message = f"converged: largest gradient entry {norm:.1e} <= {tolerance:.1e}"
            break
        if iteration == max_iterations:
            message = f"stopped after {iteration} iterations: largest gradient entry {norm:.1e} > {tolerance:.1e}"
            break
        direction = -_inverse_hessian_product(point.gradient, history)
        # The first direction has no curvature behind it: its length means nothing.
        step = 1.0 if history else 1 / float(np.linalg.norm(direction))
        found = _wolfe_step(evaluate, point, direction, step)
        if found is None or not (found.value < point.value or np.abs(found.gradient).max() < norm):
            message = (
                f"stopped: no step lowers the value any more: largest gradient entry {norm:.1e} > {tolerance:.1e}; "
                "the value has no more digits, or the gradient is not its derivative"
            )
            break
        s, y = found.x - point.x, found.gradient - point.gradient
        if s @ y > 0:
            history.append((s, y))
        point = found
    return Minimum(point.x, point.value, norm, iteration, evaluations, norm <= tolerance, message)


def _inverse_hessian_product(gradient: Array, history: deque[tuple[Array, Array]]) -> Array:
    """The two-loop recursion: H gradient."""
    q = gradient.copy()
    alphas = []
    for s, y in reversed(history):
        alpha = (s @ q) / (s @ y)
        q -= alpha * y
        alphas.append(alpha)
    if history:
        s, y = history[-1]
        q *= (s @ y) / (y @ y)
    for (s, y), alpha in zip(history, reversed(alphas), strict=True):
        q += (alpha - (y @ q) / (s @ y)) * s
    return q


def _wolfe_step(
    evaluate: Callable[[Array], _Point], origin: _Point, direction: Array, step: float, trials: int = 60
) -> _Point | None:
    """A point with sufficient decrease and a slope that has flattened, by bisection; or any lower one; or None."""
    slope = float(origin.gradient @ direction)
    low, high = 0.0, np.inf
    best = None
    for _ in range(trials):
        trial = evaluate(origin.x + step * direction)
        if not trial.value <= origin.value + 1e-4 * step * slope:
            high = step
        elif trial.gradient @ direction < 0.9 * slope:
            low, best = step, trial
        else:
            return trial
        step = (low + high) / 2 if high < np.inf else 2 * step
    return best
