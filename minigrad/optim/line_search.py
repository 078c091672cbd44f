"""Line searches: how far to go along a direction, so that the value falls whatever the direction is worth."""

from __future__ import annotations

import numpy as np

from minigrad.optim.minimum import Evaluation, Point
from minigrad.typing import Array


def wolfe_step(
    evaluate: Evaluation, origin: Point, direction: Array, step: float = 1.0, trials: int = 100
) -> tuple[Point | None, bool]:
    """A point along `direction` with sufficient decrease and a slope that has flattened, tried from length `step` on.

        f(x + a d)  <=  f(x) + 1e-4 a g.d,        f'(x + a d).d  >=  0.9 g.d

    Returns (that point, or the lowest tried that has the decrease, or None; whether the function is bounded along the
    direction, as far as can be seen: False where it fell as far as there are numbers).
    Near a minimum, where the decrease drowns in the rounding of the value, the slope decides.
    Lewis and Overton, Mathematical Programming 141 (2013), algorithm 2.6.
    """
    slope = float(origin.gradient @ direction)
    highest = origin.value + evaluate.rounding * abs(origin.value)
    low, high = 0.0, np.inf
    best = None
    for i in range(2 * trials):
        if i == trials and low == 0:
            break  # it has but been shortened
        trial = evaluate(origin.x + step * direction)
        if not trial.value <= highest + 1e-4 * step * slope:
            high = step
        elif trial.gradient @ direction < 0.9 * slope:
            low, best = step, trial
        else:
            return trial, True
        step = (low + high) / 2 if high < np.inf else (2 if i < trials else 1e9) * step
        if best is None and -step * slope < 1e-3 * evaluate.rounding * abs(origin.value):
            break  # no value could show a decrease so small
        if not step * np.abs(direction).max() < np.finfo(float).max:
            return best, high < np.inf
    return best, True


def slope_step(
    evaluate: Evaluation, origin: Point, direction: Array, step: float = 1.0, trials: int = 20
) -> Point | None:
    """A point along `direction` where |slope| is at most 0.9 times what it was, and the value the same but for noise.

    Near a minimum the gradient still has digits where the value has none.  Compare the approximate Wolfe conditions of
    Hager and Zhang, SIAM Journal on Optimization 16 (2005) 170-192.
    """
    slope = float(origin.gradient @ direction)
    low, high = 0.0, np.inf
    for _ in range(trials):
        trial = evaluate(origin.x + step * direction)
        rises = not trial.value <= origin.value + evaluate.noise * abs(origin.value)
        new_slope = 0.0 if rises else float(trial.gradient @ direction)
        if rises or new_slope > -0.9 * slope:
            high = step
        elif new_slope < 0.9 * slope:
            low = step
        else:
            return trial
        step = (low + high) / 2 if high < np.inf else 2 * step
    return None


def saddle_step(
    evaluate: Evaluation, origin: Point, direction: Array, curvature: float, trials: int = 60
) -> tuple[Point | None, bool]:
    """A lower point along a direction of negative curvature, to that side which is lower; as `wolfe_step` returns it.

    f(x + a d)  <=  f(x) + a^2 / 4 d^T H d,   a doubled while the value falls, halved until it does
    """
    scale = max(1.0, float(np.linalg.norm(origin.x))) / float(np.linalg.norm(direction))
    slope = float(origin.gradient @ direction)
    toward = direction if slope <= 0 else -direction
    for step in scale * 0.5 ** np.arange(trials):
        found = None
        for side in (toward, -toward):
            trial = evaluate(origin.x + step * side)
            if trial.value < origin.value + step**2 / 4 * curvature and (found is None or trial.value < found.value):
                found = trial
        if found is not None:
            return _doubled(evaluate, origin, found)
    return None, True


def _doubled(evaluate: Evaluation, origin: Point, found: Point, trials: int = 100) -> tuple[Point, bool]:
    """Twice as far, and twice again, while the value falls."""
    for _ in range(trials):
        further = evaluate(origin.x + 2 * (found.x - origin.x))
        if not further.value < found.value:
            return found, True
        found = further
    return found, False
