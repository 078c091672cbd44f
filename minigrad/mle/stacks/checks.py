"""Do the rules of a stack agree?  A wrong rule of a custom layer is to give an error, not an estimate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.checks import label
from minigrad.mle.stacks.rules import ERRORS, Differences
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.stacks.stack import Stack

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)  # of differences at a kink, in variables of usual size
WRONG = 1e-8  # relative: by what a slope may differ from differences, beyond their error
ROUNDING = 1e-13  # of J, and of the parts of which a slope is a sum
AT_KINKS = 1e-4  # relative: what no difference is off by at all steps alike
ASYMMETRIC = 1e-6  # of second derivatives, relative to the diagonal
DIRECTIONS = 2
EPS = 10 * float(np.finfo(float).eps)
BLAME = (
    "so that rule 2 or 3 of a layer is not the derivative of its rule 1: check_layer(cost, x, target) of "
    "minigrad.testing says which"
)


def require_agreement(stack: Stack, u: Array) -> None:
    """Gradients are the derivatives of the value, and second derivatives do not depend on their order (ValueError).

    Where a complex step does not give the derivative of the gradient, as where a rule takes absolute values,
    differences take its place from now on.
    """
    value, gradient = stack.value_and_gradient(u)
    if not math.isfinite(value):
        return
    rng = np.random.default_rng(0)
    hessian = np.abs(np.nan_to_num(stack.evaluate(u).hessian))
    units = np.minimum(1.0, 1 / np.sqrt(np.maximum(np.diagonal(hessian), 1.0)))  # a standard error, where that is less
    for n in range(DIRECTIONS):
        v = units * rng.choice([-1.0, 1.0], u.size) * rng.uniform(0.5, 1.5, u.size)
        if not math.isfinite(stack.value(u + STEPS[0] * v)):
            v *= np.minimum(1.0, np.maximum(np.abs(u), 1e-3))
        rounding = EPS * float(np.abs(v) @ hessian @ np.abs(u))  # of the gradient, by that of u
        _require_gradient(stack, u, v, units, gradient, value, rounding)
        if n == 0:
            stack.verify(u, v)
    stack.evaluate(u)
    if stack.asymmetry > (ASYMMETRIC if stack.slopes.complex_safe else 1e3 * ASYMMETRIC):
        raise ValueError(
            f"the rules of {label(stack.cost)} disagree: its second derivatives depend on their order, by "
            f"{stack.asymmetry:.1e} of their size, {BLAME}"
        )


def _require_gradient(
    stack: Stack, u: Array, v: Array, units: Array, gradient: Array, value: float, noise: float
) -> None:
    """dJ/du v is the limit of (J(u + h v) - J(u - h v)) / 2h; at a kink, where there is none, it is between both sides.

    Slopes below 1 are compared with 1: so much is next to nothing in variables of usual size.
    """
    slope = float(gradient @ v)
    rounding = noise + ROUNDING * (abs(value) + float(np.abs(gradient * v).sum()))

    def values(at: Array) -> Array:
        return np.array([stack.value(at) - value, float((at - u) @ v) / float(v @ v)])

    differences = Differences(u, units)
    try:
        with np.errstate(all="ignore"):
            found = float(differences.of(values, v)[0])
    except FloatingPointError:
        return
    rounding += EPS * abs(value) / differences.step  # differences of J that are 0 agree with each other
    error = ERRORS * differences.error * max(abs(found), 1.0) + rounding
    if abs(found - slope) <= WRONG * (abs(slope) + abs(found)) + error or _at_kink(stack, u, v, slope, value):
        return
    raise ValueError(
        f"the rules of {label(stack.cost)} disagree: along one direction the cost rises by {found:.10g}, but by its "
        f"gradient it should by {slope:.10g}, {BLAME}"
    )


def _at_kink(stack: Stack, u: Array, v: Array, slope: float, value: float) -> bool:
    """J has a kink at u, of which `slope` is not outside: left and right differences differ however short the step."""
    seen = []
    for h in STEPS:
        there, back = stack.value(u + h * v), stack.value(u - h * v)
        noise = ROUNDING * (abs(value) + abs(there) + abs(back)) / h
        bend = abs(there - 2 * value + back) / h  # in proportion to h unless there is a kink
        if math.isfinite(bend) and bend > 10 * noise:
            seen.append((bend, abs((there - back) / (2 * h) - slope), AT_KINKS * abs(slope) + 10 * noise))
    if len(seen) < 2 or seen[-1][0] < 0.5 * seen[-2][0]:
        return False
    bend, off, error = seen[-1]
    return off <= 0.6 * bend + error
