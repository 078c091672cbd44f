"""Minimum: where a minimisation ended, and why; and the function that is minimised, looked at and counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.checks import all_finite, kind, label, require_finite, require_floating, require_number
from minigrad.typing import Array

Function: TypeAlias = Callable[[Array], tuple[float, Array]]
"""x -> (value, gradient)."""

Callback: TypeAlias = Callable[[int, float, float], None]
"""callback(iteration, value, gradient_norm): the progress of a minimisation."""

ADVICE = {
    "gradient": "Nothing is left to do.",
    "rounding": (
        "It is as near the minimum as its value has digits. For a smaller gradient, bring the inputs to unit size."
    ),
    "no_minimum": (
        "It has no minimum, as far as can be seen: x goes off without end, and these numbers are where it was stopped. "
        "Add a penalty, such as L2Penalty, or more data; of a classifier, look for classes that can be separated."
    ),
    "max_iterations": "Go on from where it stopped, with more iterations: start from x, or call solve again.",
    "no_progress": (
        "Either x is as good as the rounding of the value allows: bring the inputs to unit size, or ask for a larger "
        "tolerance. Or it stands at a corner, as of ReLU, MaxPool and L1Penalty, where no gradient vanishes: smooth "
        "layers, such as Softplus and L2Penalty, have none. Check that the gradient is the derivative, as "
        "check_layer does, where it is neither."
    ),
    "flat": (
        "Gradient and curvature are both 0, so that nothing tells a minimum from a plain: start from somewhere else, "
        "such as small weights."
    ),
}

ROUNDING = 32  # units in its last place by which a value may be off
UNSEEN = (
    "No curvature was looked at, and without it a small gradient is no proof of a minimum: where there is none, as of "
    "classes that can be separated, gradients vanish too. Newton and NewtonCG look."
)
FASTER = " A solver that knows the curvature takes fewer: NewtonCG."


class Minimum(NamedTuple):
    """Where a minimisation ended, and why; `print(minimum)` says whether it converged, and what to do.

    `newton_decrement` is sqrt(g^T H^-1 g), for the gradient g and Hessian H at x, on the directions in which H is not
    0 to rounding: the value lies about half its square above the minimum.  Solvers that know H, or products with it,
    compute it; L-BFGS has an estimate from its last steps, and `decrement_is_exact` is then False.  NaN: nothing is
    known.

    `reason` is one of

        gradient        converged: no gradient entry exceeds the tolerance, and Newton's step, where known, vanishes
        rounding        converged: the gradient is larger, but by the decrement the value has no more digits to lose
        no_minimum      the function falls without end, or towards a value that it has nowhere
        max_iterations  there was no time
        no_progress     no step lowers the value any more
        flat            gradient and Hessian are 0
    """

    x: Array
    value: float
    gradient_norm: float  # the largest absolute entry of the gradient
    iterations: int
    evaluations: int  # of value and gradient
    converged: bool
    message: str
    reason: str
    newton_decrement: float
    decrement_is_exact: bool
    products: int  # of the Hessian with a vector
    hessians: int

    def __str__(self) -> str:
        work = [_counted(self.iterations, "iteration"), _counted(self.evaluations, "evaluation")]
        work += [_counted(self.products, "Hessian product")] * bool(self.products)
        work += [_counted(self.hessians, "Hessian")] * bool(self.hessians)
        text = f"{self.message[0].upper()}{self.message[1:]}. It took {', '.join(work)}. "
        if math.isfinite(self.newton_decrement) and self.reason not in ("no_minimum", "flat"):
            above = f"{self.newton_decrement**2 / 2:.1e} above the minimum"
            source = "the Newton decrement" if self.decrement_is_exact else "an estimate of the Newton decrement"
            text += f"By {source} the value, {self.value:.10g}, lies about {above}. "
        if self.reason == "gradient" and not self.decrement_is_exact:
            return text + UNSEEN
        return text + ADVICE[self.reason] + FASTER * (self.reason == "max_iterations" and not self.decrement_is_exact)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


class Point(NamedTuple):
    """A place, with the function's answer there."""

    x: Array
    value: float
    gradient: Array


class Evaluation:
    """The function, counted; where it has no finite answer its value is +infinity.  It is computed to `eps`."""

    def __init__(self, who: object, function: Function, eps: float = float(np.finfo(float).eps)) -> None:
        self.who = who
        self.function = function
        self.count = 0
        self.rounding = ROUNDING * eps  # of a value, relative to it
        self.noise = max(1e-11, 128 * eps)  # the most that a value may be off, as the sum of many terms

    def __call__(self, x: Array) -> Point:
        self.count += 1
        try:
            value, gradient = self.function(x)
        except FloatingPointError:
            return Point(x, np.inf, np.full_like(x, np.nan))
        # A copy: the function may use one buffer for all its gradients.
        point = Point(x, float(value), np.array(gradient))
        finite = math.isfinite(point.value) and all_finite(point.gradient)
        return point if finite else point._replace(value=np.inf)

    def first(self, start: Array) -> Point:
        """The function at the start, whose answer must be a value and a gradient, both finite."""
        self.count += 1
        answer: Any = self.function(start)
        shapes = [np.shape(part) for part in answer] if isinstance(answer, tuple) else None
        if shapes != [(), start.shape]:
            got = kind(answer) if shapes is None else f"({', '.join(map(kind, answer))})"
            raise TypeError(
                f"{label(self.who)} expects function(x) -> (value, gradient) with a gradient of shape {start.shape}, "
                f"got {got}: theta.flatten(gradients) makes a dictionary one vector"
            )
        point = Point(start, float(answer[0]), np.array(answer[1]))
        require_finite(self.who, np.array(point.value), "the value at the start")
        require_finite(self.who, point.gradient, "the gradient at the start")
        return point


def largest(gradient: Array) -> float:
    """The largest absolute entry."""
    return float(np.abs(gradient).max())


def require_start(who: object, start: Any) -> Array:
    """`start` as a vector of finite numbers, a copy (TypeError, ValueError)."""
    require_floating(who, start, "start")
    require_finite(who, start, "start")
    if start.dtype.kind == "c":
        raise TypeError(f"{label(who)} expects start to be real, got {start.dtype}: pass start.real")
    if start.ndim != 1 or not start.size:
        raise ValueError(f"{label(who)} expects start to be a vector, got shape {start.shape}: start.ravel() is one")
    return start.astype(float)


def require_limits(who: object, tolerance: Any, max_iterations: Any) -> None:
    """`tolerance` is a number of 0 or more, `max_iterations` a whole number of 0 or more (TypeError, ValueError)."""
    require_number(who, "tolerance", tolerance, least=0.0)
    if not isinstance(max_iterations, int | np.integer) or isinstance(max_iterations, bool):
        raise TypeError(f"{label(who)} expects max_iterations to be a whole number, got {kind(max_iterations)}")
    if max_iterations < 0:
        raise ValueError(f"{label(who)} expects max_iterations of 0 or more, got {max_iterations}")
