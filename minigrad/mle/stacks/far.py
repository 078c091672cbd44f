"""Far out: does J go on falling from where a search came to rest, and how far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from minigrad.mle.search.maximize import Maximum
from minigrad.mle.stacks.trust_region import Quadratic, equilibrated
from minigrad.typing import Array

DOUBLINGS = 60  # of a step along a direction
NOISE = 1e-13  # of J, relative


class Ray(NamedTuple):
    """J along u + t direction: it is least at `best`, and up to `reach` it does not rise; infinity: it never does."""

    direction: Array
    best: Array
    gain: float
    noise: float
    reach: float

    @property
    def gains(self) -> bool:
        """J is lower somewhere, by more than rounding."""
        return self.gain > 10 * self.noise

    def for_ever(self, diverging: bool) -> bool:
        """The likelihood rises along it without end; or no more than rounding, where a search was seen to go off."""
        return math.isinf(self.reach) if self.gains else diverging


def rays(value: Callable[[Array], float], found: Maximum) -> Iterator[Ray]:
    """J along Newton's step, the direction of the least curvature and from the origin, as far as numbers go."""
    u, hessian = found.u, found.objective.hessian
    directions = [u]
    if np.isfinite(hessian).all():
        quadratic = Quadratic(found.objective.gradient, hessian, equilibrated(hessian))
        weakest = quadratic.vectors[:, 0] / quadratic.units
        directions = [quadratic.newton()[0], weakest, -weakest, u]
    size = float(np.abs(u).max(initial=0.0)) or 1.0
    for direction in directions:
        largest = float(np.abs(direction).max(initial=0.0))
        if largest and math.isfinite(largest):
            yield _along(value, u, direction * (size / largest), found.objective.value)


def _along(value: Callable[[Array], float], u: Array, direction: Array, start: float) -> Ray:
    least, best, before = start, u, start
    noise = NOISE * (1 + abs(start))
    for i in range(DOUBLINGS):
        t = 2.0 ** (i - 5)
        there = u + t * direction
        now = value(there)
        if not now <= before + noise:
            return Ray(direction, best, start - least, noise, t)
        if now < least:
            least, best = now, there
        before = now
    return Ray(direction, best, start - least, noise, math.inf)
