"""Chords: Newton's steps with the Hessian of another point, which need gradients alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad.mle.likelihood import Likelihood
from minigrad.mle.search.solving import Scaled
from minigrad.typing import Array

NOISE = 4 * float(np.finfo(float).eps)  # of a value, relative to itself
MOST = 8  # steps with one Hessian
WORTH = 0.25  # of a step, that the next is longer than: another Hessian is better


class Chord(NamedTuple):
    """Where the steps lead."""

    u: Array
    decrement: float  # about how far it is from the minimum, in standard errors
    rate: float  # of the Hessian, that a standard error changes


def chord(
    likelihood: Likelihood,
    scaled: Scaled,
    u: Array,
    value: float = math.inf,
    decrement: float = math.inf,
    enough: float = 0.1,
) -> Chord | None:
    """From u, where the objective is to be below `value` and the next step shorter than the last, `decrement`.

    Until the minimum is likely to be `enough` standard errors away; None where the first step already is no shorter.
    """
    found = None
    for _ in range(MOST):
        with np.errstate(over="ignore", invalid="ignore"):
            (here, gradient), penalty = likelihood.slope(u), likelihood.penalty(u)
            gradient = gradient + penalty.gradient
            step = -scaled.solve(gradient)
            size = math.sqrt(max(0.0, -float(step @ gradient)))
        if not (here + penalty.value <= value * (1 + math.copysign(NOISE, value)) and size < WORTH * decrement):
            break
        ratio = size / decrement if decrement < math.inf else 1.0
        rate = ratio / decrement if found is None else found.rate
        value, decrement, u = here + penalty.value, size, u + step
        found = Chord(u, ratio * size, rate)
        if found.decrement <= enough:
            break
    return found
