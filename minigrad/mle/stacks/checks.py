"""Do the rules of a stack agree?  A wrong rule of a custom layer is to give an error, not an estimate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.checks import label
from minigrad.mle.stacks.rules import OUTSIDE
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.stacks.stack import Stack

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)  # of differences, in variables of usual size
WRONG = 1e-4  # relative: what no difference is off by at all steps alike
ASYMMETRIC = 1e-6  # of second derivatives, relative to the diagonal
DIRECTIONS = 3
BLAME = (
    "so that rule 2 or 3 of a layer is not the derivative of its rule 1: check_layer(cost, x, target) of "
    "minigrad.testing says which"
)


def require_agreement(stack: Stack, u: Array) -> None:
    """Gradients are the derivatives of the value, and second derivatives do not depend on their order (ValueError).

    Where a complex step does not give the derivative of the gradient, as where a rule takes absolute values,
    differences take its place from now on.
    """
    rng = np.random.default_rng(0)
    value, gradient = stack.value_and_gradient(u)
    if not math.isfinite(value):
        return
    for _ in range(DIRECTIONS):
        v = rng.choice([-1.0, 1.0], u.size) * rng.uniform(0.5, 1.5, u.size)
        if not math.isfinite(stack.value(u + STEPS[0] * v)):
            v *= np.minimum(1.0, np.maximum(np.abs(u), 1e-3))
        _require_gradient(stack, u, v, float(gradient @ v), value)
        _see_whether_analytic(stack, u, v)
    stack.evaluate(u)
    if stack.asymmetry > (ASYMMETRIC if stack.slopes.complex_safe else 1e3 * ASYMMETRIC):
        raise ValueError(
            f"the rules of {label(stack.cost)} disagree: its second derivatives depend on their order, by "
            f"{stack.asymmetry:.1e} of their size, {BLAME}"
        )


def _require_gradient(stack: Stack, u: Array, v: Array, slope: float, value: float) -> None:
    """dJ/du v = (J(u + h v) - J(u - h v)) / 2h, at one step h at least, or the differences have no digits."""
    found = []
    for h in STEPS:
        there, back = stack.value(u + h * v), stack.value(u - h * v)
        if not (math.isfinite(there) and math.isfinite(back)):
            continue
        noise = 1e-13 * (abs(value) + abs(there) + abs(back)) / h
        bend = abs(there - 2 * value + back) / h  # of an even part, and of a kink
        found.append(((there - back) / (2 * h), noise, bend))
    if not found:
        return
    for each, noise, bend in found:
        if abs(each - slope) <= WRONG * (abs(slope) + abs(each)) + 10 * noise + 0.6 * bend:
            return
    nearest = min((each for each, _, _ in found), key=lambda each: abs(each - slope))
    raise ValueError(
        f"the rules of {label(stack.cost)} disagree: along one direction the cost rises by {nearest:.6g}, but by its "
        f"gradient it should by {slope:.6g}, {BLAME}"
    )


def _see_whether_analytic(stack: Stack, u: Array, v: Array) -> None:
    if not stack.slopes.complex_safe:
        return
    try:
        exact = stack.slopes.along(stack._gradient, u, v[:, np.newaxis])[0]
        if not stack.slopes.complex_safe:
            return
        size = float(np.abs(exact).max())
        for h in (1e-3, 1e-5):
            there, back = stack.value_and_gradient(u + h * v), stack.value_and_gradient(u - h * v)
            if not (math.isfinite(there[0]) and math.isfinite(back[0])):
                return
            found = (there[1] - back[1]) / (2 * h)
            noise = 1e-13 * float(np.abs(there[1]).max()) / h
            if float(np.abs(found - exact).max()) <= 1e-2 * (size + float(np.abs(found).max())) + 10 * noise:
                return
    except OUTSIDE:
        return
    stack.slopes.complex_safe = False
