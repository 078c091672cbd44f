"""Far out: does J go on falling from where a search came to rest, and how far."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from minigrad.mle.likelihood import Listing
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.stacks.trust_region import Quadratic, equilibrated
from minigrad.typing import Array

DOUBLINGS = 60  # of a step along a direction
DISTANT = 2.0**10  # sizes of u: beyond, what rounding has left of other directions may be seen
NOISE = 1e-13  # of J, relative
FLAT = 1e-10  # a curvature of this, in variables in which most are 1, is taken for 0, if the likelihood says so too
SLIGHT = (1e-9, 1e-5, 1e-3)  # parts of a direction, beside its largest, that may be rounding


class Ray(NamedTuple):
    """J along u + t direction: it is least at `best`, and up to `reach` it does not rise; infinity: it never does."""

    direction: Array
    best: Array
    gain: float
    noise: float
    reach: float
    ended: bool = False  # beyond `reach` J is no number

    @property
    def gains(self) -> bool:
        """J is lower somewhere, by more than rounding."""
        return self.gain > 10 * self.noise

    def for_ever(self, level: bool) -> bool:
        """The likelihood rises along it without end.

        If it is known to be `level` far out, as where a search was seen to go off: or it never falls, as far as
        rounding of the direction, and numbers, allow.
        """
        if math.isinf(self.reach) and (self.gains or level):
            return True
        return level and (self.reach >= DISTANT or (self.ended and self.reach >= 1))


def farthest(found: Iterable[Ray], level: bool) -> Ray | None:
    """Of the rays along which the likelihood rises for ever the one of greatest reach, and few parts; else None."""
    seen = [ray for ray in found if ray.for_ever(level)]
    parts = [int(np.count_nonzero(ray.direction)) for ray in seen]
    reach = [min(ray.reach, DISTANT) for ray in seen]
    best = max(range(len(seen)), key=lambda i: (reach[i], seen[i].gains, -parts[i], seen[i].gain), default=None)
    return None if best is None else seen[best]


def one_sided(found: list[Ray]) -> list[Ray]:
    """The rays that go on far, while the opposite ones do not: no J that stays as it is has such."""
    far = [ray for ray in found if ray.reach >= DISTANT]
    short = [ray for ray in found if ray.reach < 32]
    return [ray for ray in far if any(np.array_equal(ray.direction, -other.direction) for other in short)]


def rays(value: Callable[[Array], float], found: Maximum) -> Iterator[Ray]:
    """J along Newton's step, directions without curvature and from the origin, both ways, as far as numbers go."""
    u, hessian = found.u, found.objective.hessian
    directions = [u, -u]
    if np.isfinite(hessian).all():
        quadratic = Quadratic(found.objective.gradient, hessian, equilibrated(hessian))
        weak = [0, *np.flatnonzero(np.abs(quadratic.values) < FLAT)]
        weakest = [quadratic.vectors[:, i] / quadratic.units for i in dict.fromkeys(weak)]
        directions = [quadratic.newton()[0], *(sign * v for v in weakest for sign in (1.0, -1.0)), u, -u]
    yield from rays_along(value, found, directions)


def rays_along(value: Callable[[Array], float], found: Maximum, directions: Iterable[Array]) -> Iterator[Ray]:
    """J along each direction, stretched to the size of u."""
    size = float(np.abs(found.u).max(initial=0.0)) or 1.0
    start = value(found.u)  # there may be no gradient
    for direction in directions:
        largest = float(np.abs(direction).max(initial=0.0))
        if largest and math.isfinite(largest):
            yield _along(value, found.u, direction * (size / largest), start)


def _along(value: Callable[[Array], float], u: Array, direction: Array, start: float) -> Ray:
    least, best, reach = start, u, 0.0
    noise = NOISE * (1 + abs(start))
    for i in range(DOUBLINGS):
        t = 2.0 ** (i - 5)
        there = u + t * direction
        now = value(there)
        if not now <= least + NOISE * (1 + abs(least)):
            if reach == 0.5:  # where numbers may become small: all sizes on the way to 0
                least, best = min([(value(p), i, p) for i, p in enumerate(_inward(u, direction))])[::2]
                least, best = (least, best) if least < start else (start, u)
            return Ray(direction, best, start - least, noise, reach, not math.isfinite(now))
        if now < least:
            least, best = now, there
        reach = t
    return Ray(direction, best, start - least, noise, math.inf)


def _inward(u: Array, direction: Array) -> list[Array]:
    """u + t direction, t = 1/2, 3/4, 7/8, ..."""
    return [u + (1 - 2.0**-j) * direction for j in range(1, DOUBLINGS // 2)]


def cleared(listing: Listing, direction: Array) -> Iterator[Array]:
    """The direction of u, and the same where parameters that it hardly moves stay as they are."""
    yield direction
    moved = listing.matrix @ direction
    terms = np.abs(listing.matrix) @ np.abs(direction)  # of which entries are differences
    for slight in SLIGHT:
        large = (np.abs(moved) > slight * np.abs(moved).max(initial=0.0)) & (np.abs(moved) > slight * terms)
        if large.any() and not large.all():
            yield np.linalg.lstsq(listing.matrix, np.where(large, moved, 0.0), rcond=None)[0]


def held(outputs: Array, direction: Array) -> Iterator[Array]:
    """The direction of u next to this one by which those `outputs` (k, N) stay that it hardly moves."""
    moved = np.abs(direction @ outputs)
    for slight in SLIGHT[1:]:
        still = outputs[:, moved <= slight * moved.max(initial=0.0)]
        if still.any():
            left, sizes, _ = np.linalg.svd(still)
            free = left[:, int(np.count_nonzero(sizes > 1e-10 * sizes[0])) :]
            yield free @ (free.T @ direction)


def one_error(
    value: Callable[[Array], float], found: Maximum, covariance: Array, listing: Listing
) -> list[tuple[Array, float]]:
    """(v, J(u + v) - J(u)) for each parameter m u and sign, v the least that moves it by one standard error.

    v  =  +-C m / sqrt(m^T C m),    J(u + v) - J(u) = 1/2  where J is a parabola
    """
    steps = []
    for row in listing.matrix:
        along = covariance @ row
        square = float(row @ along)
        if square > 0:
            steps += [(sign / math.sqrt(square)) * along for sign in (1.0, -1.0)]
    return [(v, value(found.u + v) - found.objective.value) for v in steps]
