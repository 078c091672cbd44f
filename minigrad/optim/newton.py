"""Newton's method with the whole Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minigrad.checks import all_finite, label, require_finite, shape_of
from minigrad.optim.damping import Damping
from minigrad.optim.descent import Method, Step, descend
from minigrad.optim.minimum import Callback, Evaluation, Function, Minimum, Point, require_limits, require_start
from minigrad.typing import Array

COMFORTABLE = 1e-9  # the least square of a pivot of an equilibrated Hessian that is taken as positive definite


def minimize_newton(
    function: Function,
    start: Array,
    hessian: Callable[[Array], Array],
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
    callback: Callback | None = None,
) -> Minimum:
    """Minimise `function`, x -> (value, gradient), by steps -H^-1 gradient with H = `hessian(x)`, (P, P).

    H is scaled to a diagonal of ones first.  Where it is not positive definite, its eigenvalues count by their size, so
    that every direction descends; those of 0 in which the gradient has no part count nothing, so that a singular H does
    no harm.  From a saddle point it goes on along the negative curvature.  A line search, so that the value never
    rises beyond its rounding.  A small gradient is not enough to stop: Newton's step must vanish too, which it does
    not where there is no minimum, as for e^-x.  Otherwise as `minimize_lbfgs`.

    >>> bowl = minimize_newton(lambda x: (float(x @ x), 2 * x), np.array([3.0, 4.0]), lambda x: 2 * np.eye(2))
    >>> bowl.iterations, bowl.x
    (1, array([0., 0.]))

    Nocedal and Wright, Numerical Optimization, 2nd ed. (2006), section 3.4.
    """
    start = require_start(minimize_newton, start)
    require_limits(minimize_newton, tolerance, max_iterations)
    evaluate = Evaluation(minimize_newton, function)
    return descend(evaluate, start, WholeHessian(hessian), tolerance, max_iterations, callback)


class WholeHessian(Method):
    """-H^-1 gradient.  `null_space(x)` may give directions, as columns, along which H and the gradient are always 0."""

    sees_curvature = True
    patience = 3

    def __init__(self, hessian: Callable[[Array], Array]) -> None:
        super().__init__()
        self.hessian = hessian
        self.damping = Damping()

    def learn(self, origin: Point, found: Point, step: Step) -> None:
        self.damping.learn(origin, found, step)

    def step(self, point: Point, close: bool, enough: Callable[[Array], bool]) -> Step:
        self.hessians += 1
        h = np.asarray(self.hessian(point.x))
        if h.shape != (point.x.size, point.x.size):
            shape = (point.x.size, point.x.size)
            raise ValueError(f"{label(minimize_newton)} expects hessian(x) of shape {shape}, got {shape_of(h)}")
        require_finite(minimize_newton, h, "the Hessian")
        if not h.any():
            return Step(-point.gradient, 1 / max(float(np.abs(point.gradient).max()), 1e-300), flat=True)
        if not close:
            h = h + self.damping(point.gradient) * np.eye(len(h))
        diagonal = np.abs(np.diagonal(h))
        scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, diagonal.max() or np.abs(h).max()))
        h = h * scale[:, np.newaxis] * scale
        with np.errstate(over="ignore", invalid="ignore"):  # of a Hessian that is hardly there
            return self._solved(h, scale, point.gradient * scale, close)

    def _solved(self, h: Array, scale: Array, gradient: Array, close: bool) -> Step:
        """Newton's step from the scaled Hessian and gradient."""
        direction = _by_cholesky(h, gradient)
        if direction is None:
            values, vectors = np.linalg.eigh((h + h.T) / 2)
            negligible = len(values) * np.finfo(float).eps * float(np.abs(values).max())
            if close and values[0] < -1e3 * negligible:
                return Step(vectors[:, 0] * scale, curvature=float(values[0]))
            direction = _by_eigenvalues(values, vectors, gradient, negligible)
        return Step(direction * scale, decrement=math.sqrt(max(0.0, -float(gradient @ direction))))


def _by_cholesky(h: Array, gradient: Array) -> Array | None:
    """-H^-1 gradient where H is positive definite beyond doubt."""
    try:
        pivots = np.diagonal(np.linalg.cholesky(h))
    except np.linalg.LinAlgError:
        return None
    if float(pivots.min()) ** 2 < COMFORTABLE:
        return None
    direction = -np.linalg.solve(h, gradient)
    return direction if all_finite(direction) else None


def _by_eigenvalues(values: Array, vectors: Array, gradient: Array, negligible: float) -> Array:
    """-sum_i v_i (v_i . gradient) / |lambda_i|; where lambda_i is 0, what the gradient has there beyond rounding."""
    parts = vectors.T @ gradient
    curved = np.abs(values) > negligible
    sloped = np.abs(parts) > 1e-8 * np.abs(parts).max()
    sizes = np.where(curved, np.abs(values), 1e-8 * float(np.abs(values).max()))
    direction: Array = -vectors @ np.where(curved | sloped, parts / sizes, 0.0)
    return direction
