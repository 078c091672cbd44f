"""Limited-memory BFGS: full-batch minimisation of a smooth function of a vector."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.checks import all_finite, kind, require_finite, require_floating
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

    @property
    def norm(self) -> float:
        return float(np.abs(self.gradient).max())


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
    recursion; steps satisfy the weak Wolfe conditions, so the value never rises beyond its rounding.  Where the
    function raises FloatingPointError, or gives a value or gradient that is not finite, its value counts as +infinity.
    `callback(iteration, value, gradient_norm)` reports progress.  The result says why it stopped; with
    `theta = FlatParameters(cost)`, `theta.vector = minimum.x` puts it into the model.

    TypeError, ValueError where `start` or the function's first answer is not what it should be, or not finite.

    >>> bowl = minimize_lbfgs(lambda x: (float(x @ x), 2 * x), np.array([3.0, 4.0]))
    >>> bowl.converged, bool(np.abs(bowl.x).max() < 1e-6)
    (True, True)

    Nocedal and Wright, Numerical Optimization, 2nd ed. (2006), algorithm 7.4; line search: Lewis and Overton,
    Mathematical Programming 141 (2013), algorithm 2.6.
    """
    require_floating(minimize_lbfgs, start, "start")
    require_finite(minimize_lbfgs, start, "start")
    if start.ndim != 1 or not start.size:
        raise ValueError(f"minimize_lbfgs expects start to be a vector, got shape {start.shape}: start.ravel() is one")
    if max_iterations < 0:
        raise ValueError(f"minimize_lbfgs expects max_iterations of 0 or more, got {max_iterations}")
    evaluate = _Evaluation(function)
    point = evaluate.first(start.copy())
    history: deque[tuple[Array, Array]] = deque(maxlen=memory)
    for iteration in range(max_iterations + 1):
        if callback is not None:
            callback(iteration, point.value, point.norm)
        if point.norm <= tolerance:
            message = f"converged: largest gradient entry {point.norm:.1e} <= {tolerance:.1e}"
            break
        still = f"largest gradient entry {point.norm:.1e} > {tolerance:.1e}"
        if iteration == max_iterations:
            message = f"stopped after {iteration} iterations: {still}"
            break
        direction = -_inverse_hessian_product(point.gradient, history)
        # The first direction has no curvature behind it: its length means nothing.
        step = 1.0 if history else 1 / float(np.abs(direction).max())
        found, bounded = _wolfe_step(evaluate, point, direction, step)
        if not bounded:
            message = f"stopped: the function falls without end along the descent direction, it has no minimum; {still}"
            point = found or point
            break
        if found is None or not (found.value < point.value or found.norm < point.norm):
            message = (
                f"stopped: no step lowers the value any more: {still}; "
                "the value has no more digits, or the gradient is not its derivative"
            )
            break
        s, y = found.x - point.x, found.gradient - point.gradient
        if s @ y > 0 and y @ y > 0:
            history.append((s, y))
        point = found
    return Minimum(point.x, point.value, point.norm, iteration, evaluate.count, point.norm <= tolerance, message)


class _Evaluation:
    """The function, counted; where it has no finite answer its value is +infinity."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.count = 0

    def __call__(self, x: Array) -> _Point:
        self.count += 1
        try:
            value, gradient = self.function(x)
        except FloatingPointError:
            return _Point(x, np.inf, np.full_like(x, np.nan))
        # A copy: the function may use one buffer for all its gradients.
        point = _Point(x, float(value), np.array(gradient))
        finite = np.isfinite(point.value) and all_finite(point.gradient)
        return point if finite else point._replace(value=np.inf)

    def first(self, start: Array) -> _Point:
        """The function at the start, whose answer must be a value and a gradient, both finite."""
        self.count += 1
        answer: Any = self.function(start)
        shapes = [np.shape(part) for part in answer] if isinstance(answer, tuple) else None
        if shapes != [(), start.shape]:
            got = kind(answer) if shapes is None else f"({', '.join(map(kind, answer))})"
            raise TypeError(
                f"minimize_lbfgs expects function(x) -> (value, gradient) with a gradient of shape {start.shape}, "
                f"got {got}: theta.flatten(gradients) makes a dictionary one vector"
            )
        point = _Point(start, float(answer[0]), np.array(answer[1]))
        require_finite(minimize_lbfgs, np.array(point.value), "the value at the start")
        require_finite(minimize_lbfgs, point.gradient, "the gradient at the start")
        return point


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
    evaluate: Callable[[Array], _Point], origin: _Point, direction: Array, step: float, trials: int = 100
) -> tuple[_Point | None, bool]:
    """(a point with sufficient decrease and a slope that has flattened, or the lowest such point tried, or None;
    whether the function was seen to rise again along the direction).
    """
    slope = float(origin.gradient @ direction)
    # Near the minimum the decrease drowns in the rounding of the value, while the gradient still has digits.
    highest = origin.value + 4 * np.finfo(float).eps * abs(origin.value)
    low, high = 0.0, np.inf
    best = None
    for _ in range(trials):
        trial = evaluate(origin.x + step * direction)
        if not trial.value <= highest + 1e-4 * step * slope:
            high = step
        elif trial.gradient @ direction < 0.9 * slope:
            low, best = step, trial
        else:
            return trial, True
        step = (low + high) / 2 if high < np.inf else 2 * step
    return best, high < np.inf
