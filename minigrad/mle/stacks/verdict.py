"""Has the likelihood of a stack a maximum, and is it one?  Found by evaluating it far out, and along what is flat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.mle.identification import by_name, estimable, in_words
from minigrad.mle.likelihood import Listing
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.stacks.far import FLAT, NOISE, Ray, cleared, farthest, held, one_error, one_sided, rays, rays_along
from minigrad.mle.stacks.search import objective_at
from minigrad.mle.stacks.stack import Stack
from minigrad.mle.stacks.trust_region import Quadratic, equilibrated
from minigrad.typing import Array

AWAY = 0.1  # so far along a flat direction it is tried
SAME = 1e-10  # of two values of J that are alike, relative
LEVEL = 1e-3  # a rise of J one standard error away, by which there is no curvature but rounding: 1/2 is usual
BENT = 0.1, 2.5  # a rise beyond which a parabola is no picture of J


def unbounded(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    """What is to be said of a maximum that does not exist, or is not one: fields of a Verdict, and `null`; else None.

    boundary        a perfect fit, or parameters other than those of linear units that go off without end
    separated       the weights of linear units do
    not_identified  directions `null` (k, M) along which the likelihood stays as it is
    """
    if maximum.reason != "converged":
        listing = stack.listing("reference")
        single = [d for one in np.linalg.pinv(listing.matrix).T for d in (one, -one)]
        seen = [*rays(_value(stack), maximum), *rays_along(_value(stack), maximum, single)]
        return _perfect(stack, maximum) or _rising(stack, maximum, seen)
    if maximum.digits > 1 and maximum.condition < 1 / FLAT:
        return _one_error_away(stack, maximum)
    off = one_sided(list(rays(_value(stack), maximum)))
    return (_rising(stack, maximum, off, level=True) if off else None) or _flat(stack, maximum)


def _value(stack: Stack) -> Callable[[Array], float]:
    return lambda u: objective_at(stack, u)


def _perfect(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    if not stack.profiled(maximum.u)[1]:
        return None
    listing = stack.listing("reference")
    names = [name for name in listing.names if name.split("[")[0].endswith("log_variance")]
    return {
        "status": "boundary",
        "message": "the fit is perfect: all residuals are rounding, and the likelihood rises without end as the "
        "variance falls to 0. There are more parameters than the rows can tell from noise, or y is a function of x: "
        "fit fewer parameters, or look for y among the columns",
        "direction": dict.fromkeys(names, -1.0),
    }


def _rising(stack: Stack, maximum: Maximum, seen: list[Ray], level: bool = False) -> dict[str, Any] | None:
    """A direction from where the search ended, along which J falls, or at last stays, as far as numbers go."""
    listing = stack.listing("reference")
    level = level or maximum.reason == "diverges" or not np.isfinite(maximum.objective.hessian).all()
    near = [ray.direction for ray in seen if ray.reach > 0]
    clear = [d for direction in near for d in _next_to(stack, maximum, listing, direction)]
    ray = farthest([*seen, *rays_along(_value(stack), maximum, clear)], level)
    return None if ray is None else _of_direction(stack, listing, ray)


def _next_to(stack: Stack, maximum: Maximum, listing: Listing, direction: Array) -> list[Array]:
    """The direction less what may be rounding, of parameters, and of linear units."""
    found = list(cleared(listing, direction))[1:]
    units = [d for d in (direction, *found) if stack.variables.of_units(d)]
    if units:
        outputs = stack.variables.units_by(stack.rules.x)
        found += [d for each in units for d in held(outputs, each)]
    return found


def _of_direction(stack: Stack, listing: Listing, ray: Ray) -> dict[str, Any]:
    moved = listing.values(ray.direction)
    terms = listing.scale * (np.abs(listing.matrix) @ np.abs(ray.direction))
    named = by_name(listing.names, _cleaned(np.where(np.abs(moved) > 1e-12 * terms, moved, 0.0), 0.0))
    linear = stack.variables.of_units(ray.direction)
    what = (
        "a combination of columns tells apart what y is, or all but some rows of it"
        if linear
        else "its parameters go off to infinity, or to the edge of what they may be"
    )
    return {
        "status": "separated" if linear else "boundary",
        "message": f"the likelihood rises without end along {in_words(named, parameters=True)}: {what}, and no "
        "estimate exists. A penalty makes it finite, as Penalized(cost, L2Penalty(1.0)) does, and so do more data or "
        "fewer parameters",
        "direction": named,
        "details": {"gain": ray.gain},
    }


def _one_error_away(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    """What J says of the curvature at a maximum: one standard error away it is 1/2 higher, if that is not rounding."""
    listing = stack.listing("reference")
    if maximum.covariance is None or 100 * NOISE * (1 + abs(maximum.objective.value)) > LEVEL:
        return None
    rises = one_error(_value(stack), maximum, maximum.covariance, listing)
    level = [v for v, rise in rises if rise < LEVEL]
    if level:
        seen = [*rays_along(_value(stack), maximum, level), *rays(_value(stack), maximum)]
        said = _rising(stack, maximum, seen, level=True)
        if said or min(rise for _, rise in rises) <= 10 * NOISE * (1 + abs(maximum.objective.value)):
            return said or _slow()
    most, least = max(rise for _, rise in rises), min(rise for _, rise in rises)
    if BENT[0] <= least and most <= BENT[1]:
        return None
    return {
        "status": "regular",
        "message": "the estimate exists, is the only one near, and was found; but log L is far from a parabola there, "
        f"one standard error away it is lower by {least:.2g} to {most:.2g}, not by 0.5: standard errors say little, "
        'rely on ci(kind="profile") and lr_test',
    }


def _flat(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    """Null vectors of the Hessian along which J does stay as it is, other variables following."""
    hessian = maximum.objective.hessian
    quadratic = Quadratic(maximum.objective.gradient, hessian, equilibrated(hessian))
    weak = quadratic.vectors[:, np.abs(quadratic.values) < FLAT]
    kept = [v for v in weak.T if _stays(stack, maximum, quadratic, v)]
    if not kept:
        return None if maximum.digits > 0 else _slow()
    if not _rests(quadratic, maximum):
        return _slow()
    null = np.linalg.qr(np.array(kept).T / quadratic.units[:, np.newaxis])[0]
    listing = stack.listing("reference")
    known = estimable(listing, null)
    vectors = [by_name(listing.names, _signed(_cleaned(listing.values(v)))) for v in null.T]
    return {
        "status": "not_identified",
        "message": f"{len(kept)} direction{'s' * (len(kept) > 1)} in the parameters change nothing of the likelihood: "
        f"{'; '.join(in_words(vector, parameters=True) for vector in vectors)}. Fix a parameter of each, leave it "
        "out, or add a penalty",
        "null_vectors": vectors,
        "estimable": known,
        "null": null,
    }


def _rests(quadratic: Quadratic, maximum: Maximum) -> bool:
    """Beside what is flat, the point is within a thousandth of a standard error of a maximum."""
    strong = np.abs(quadratic.values) >= FLAT
    parts = quadratic.vectors.T @ (maximum.objective.gradient / quadratic.units)
    return float((parts[strong] ** 2 / np.abs(quadratic.values[strong])).sum()) <= 1e-6


def _slow() -> dict[str, Any]:
    return {
        "status": "not_converged",
        "message": "the information is singular, to rounding, where the search came to rest, but the likelihood is not "
        "flat there: standard errors do not exist, or have no digits. Other parameters may have them, such as the "
        "square of one that enters as a square, or fewer that are nearly tied",
    }


def _stays(stack: Stack, maximum: Maximum, quadratic: Quadratic, v: Array) -> bool:
    """J is the same AWAY along v, when the other variables are at their best for that."""
    along = v / quadratic.units
    u = maximum.u + AWAY * along
    for _ in range(8):
        local = stack.evaluate(u)
        penalty = stack.penalty(u)
        hessian, gradient = local.hessian + penalty.hessian, local.gradient + penalty.gradient
        if not np.isfinite(hessian).all():
            return False
        others = np.eye(v.size) - np.outer(v, v)  # in scaled variables
        inner = others @ (hessian / quadratic.units[:, np.newaxis] / quadratic.units) @ others + np.outer(v, v)
        step = np.linalg.lstsq(inner, others @ (gradient / quadratic.units), rcond=FLAT)[0]
        u = u - (others @ step) / quadratic.units
        if float(np.abs(step).max()) < 1e-9:
            break
    return objective_at(stack, u) - maximum.objective.value <= SAME * (1 + abs(maximum.objective.value))


def _cleaned(vector: Array, rounding: float = 1e-9) -> Array:
    """Of a largest entry of 1, without what is rounding."""
    largest = np.abs(vector).max(initial=0.0) or 1.0
    return np.where(np.abs(vector) > rounding * largest, np.round(vector / largest, 14), 0.0)


def _signed(vector: Array) -> Array:
    """Of v and -v, which say the same, the one whose first part is positive."""
    first = vector[np.flatnonzero(vector)[:1]]
    return -vector if (first < 0).any() else vector
